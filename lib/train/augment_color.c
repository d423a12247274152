/*
 * Colour jitter, byte for byte what torchvision's functional_tensor computes on uint8 pictures in float32.
 * Its ColorJitter draws an order for every picture; here it is fixed.
 */
#include <math.h>
#include <string.h>

#include "train/augment.h"

static double factor(double strength, dcls_rng *rng)
{
    if (strength <= 0) return 1;
    double low = strength < 1 ? 1 - strength : 0;
    return low + dcls_rng_uniform(rng) * (1 + strength - low);
}

dcls_jitter dcls_jitter_draw(const dcls_augment *augment, dcls_rng *rng)
{
    dcls_jitter jitter = {1, 1, 1, 0};
    jitter.brightness = factor(augment->brightness, rng);
    jitter.contrast = factor(augment->contrast, rng);
    jitter.saturation = factor(augment->saturation, rng);
    if (augment->hue > 0) jitter.hue = (2 * dcls_rng_uniform(rng) - 1) * augment->hue;
    return jitter;
}

/* ratio * a + (1 - ratio) * b, cut to 0..255, fraction dropped. */
static uint8_t blend(double ratio, float a, float b)
{
    float value = (float)ratio * a + (float)(1 - ratio) * b;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static uint8_t gray_of(const uint8_t *rgb)
{
    return (uint8_t)(0.2989f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]);
}

/* All bytes towards one value. */
static void blend_all(double ratio, float towards, int64_t bytes, uint8_t *pixels)
{
    uint8_t to[256];
    for (int i = 0; i < 256; i++)
        to[i] = blend(ratio, (float)i, towards);
    for (int64_t i = 0; i < bytes; i++)
        pixels[i] = to[pixels[i]];
}

static float mean_gray(int channels, int64_t count, const uint8_t *pixels)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += channels == 3 ? gray_of(pixels + i * 3) : pixels[i];
    return (float)((double)sum / (double)count);
}

static void saturate(double ratio, int64_t count, uint8_t *pixels)
{
    for (uint8_t *p = pixels, *end = pixels + count * 3; p < end; p += 3) {
        float gray = gray_of(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(ratio, p[c], gray);
    }
}

/* ---- hue
 * ---------------------------------------------------------------------------------------------------- */

struct hsv {
    float h, s, v;
};

static struct hsv to_hsv(float r, float g, float b)
{
    float high = fmaxf(r, fmaxf(g, b)), low = fminf(r, fminf(g, b)), range = high - low;
    if (range == 0) return (struct hsv){0, 0, high};
    float rc = (high - r) / range, gc = (high - g) / range, bc = (high - b) / range;
    float h = high == r ? bc - gc : high == g ? 2 + rc - bc : 4 + gc - rc;
    return (struct hsv){fmodf(h / 6 + 1, 1), range / high, high};
}

static float clamp01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static void to_rgb(struct hsv from, float rgb[3])
{
    float whole = floorf(from.h * 6), f = from.h * 6 - whole, v = from.v;
    float p = clamp01(v * (1 - from.s)), q = clamp01(v * (1 - from.s * f));
    float t = clamp01(v * (1 - from.s * (1 - f)));
    const float sector[6][3] = {{v, t, p}, {q, v, p}, {p, v, t}, {p, q, v}, {t, p, v}, {v, p, q}};
    memcpy(rgb, sector[(int)whole % 6], sizeof sector[0]);
}

static void turn_hue(float turn, int64_t count, uint8_t *pixels)
{
    for (uint8_t *p = pixels, *end = pixels + count * 3; p < end; p += 3) {
        struct hsv hsv = to_hsv(p[0] / 255.0f, p[1] / 255.0f, p[2] / 255.0f);
        float rgb[3], h = hsv.h + turn;
        hsv.h = h - floorf(h);
        to_rgb(hsv, rgb);
        for (int c = 0; c < 3; c++)
            p[c] = (uint8_t)(rgb[c] * 255.999f);
    }
}

void dcls_jitter_run(const dcls_jitter *jitter, int channels, int64_t count, uint8_t *pixels)
{
    if (jitter->brightness != 1) blend_all(jitter->brightness, 0, count * channels, pixels);
    if (jitter->contrast != 1)
        blend_all(jitter->contrast, mean_gray(channels, count, pixels), count * channels, pixels);
    if (channels != 3) return;
    if (jitter->saturation != 1) saturate(jitter->saturation, count, pixels);
    if (jitter->hue != 0) turn_hue((float)jitter->hue, count, pixels);
}
