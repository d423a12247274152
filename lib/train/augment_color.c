/*
 * Colour jitter, byte for byte what torchvision's functional_tensor computes on uint8 pictures in float32.
 * Its ColorJitter draws an order for every picture; here it is fixed.
 */
#include "train/augment.h"

#include <string.h>

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
    float value = (float)ratio * a + (float)(1 - ratio) * b, low = value < 0 ? 0 : value;
    return (uint8_t)(int)(low > 255 ? 255 : low);
}

static uint8_t gray_of(const uint8_t *rgb)
{
    return (uint8_t)(int)(0.2989f * rgb[0] + 0.587f * rgb[1] + 0.114f * rgb[2]);
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
    for (int64_t i = 0; i < count; i++) {
        uint8_t *p = pixels + i * 3;
        float gray = gray_of(p);
        for (int c = 0; c < 3; c++)
            p[c] = blend(ratio, p[c], gray);
    }
}

/* ---- hue ---- */

/* Pixels are taken apart by blocks into arrays of each colour, and conditions written as choices between
 * values, for the compiler to work on several at once. */
enum { BLOCK = 128 };

struct block {
    float r[BLOCK], g[BLOCK], b[BLOCK]; /* 0..1 */
    float h[BLOCK], s[BLOCK], v[BLOCK]; /* hue 0..1 */
};

static void split(const uint8_t *pixels, int count, struct block *k)
{
    for (int i = 0; i < count; i++) {
        k->r[i] = pixels[i * 3] / 255.0f;
        k->g[i] = pixels[i * 3 + 1] / 255.0f;
        k->b[i] = pixels[i * 3 + 2] / 255.0f;
    }
}

static void to_hsv(struct block *k)
{
    for (int i = 0; i < BLOCK; i++) {
        float r = k->r[i], g = k->g[i], b = k->b[i];
        float rg_high = r > g ? r : g, rg_low = r < g ? r : g;
        float high = rg_high > b ? rg_high : b, low = rg_low < b ? rg_low : b;
        float range = high - low, divisor = range == 0 ? 1 : range;
        float rc = (high - r) / divisor, gc = (high - g) / divisor, bc = (high - b) / divisor;
        float from_g = 2 + rc - bc, from_b = 4 + gc - rc, other = high == g ? from_g : from_b;
        float h = (high == r ? bc - gc : other) / 6 + 1;
        k->h[i] = h >= 1 ? h - 1 : h;
        k->s[i] = range / (range == 0 ? 1 : high);
        k->v[i] = high;
    }
}

static float clamp01(float x)
{
    float low = x < 0 ? 0 : x;
    return low > 1 ? 1 : low;
}

/* A colour is v (1 - s w); around the circle of hues w rises from 0 to 1 and falls again, along straight
 * lines of one sixth each:  red 0 / 1 1 \ 0   green \ 0 0 / 1 1   blue 1 1 \ 0 0 / */
static void to_rgb(struct block *k, float turn)
{
    for (int i = 0; i < BLOCK; i++) {
        float turned = k->h[i] + turn, up = turned < 0 ? turned + 1 : turned, h = (up >= 1 ? up - 1 : up) * 6;
        float s = k->s[i], v = k->v[i];
        float r_up = clamp01(h - 1), r_down = clamp01(1 - (h - 4)), r = r_up < r_down ? r_up : r_down;
        float g_down = clamp01(1 - h), g_up = clamp01(h - 3), g = g_down > g_up ? g_down : g_up;
        float b_down = clamp01(1 - (h - 2)), b_up = clamp01(h - 5), b = b_down > b_up ? b_down : b_up;
        k->r[i] = clamp01(v * (1 - s * r));
        k->g[i] = clamp01(v * (1 - s * g));
        k->b[i] = clamp01(v * (1 - s * b));
    }
}

static void join(const struct block *k, int count, uint8_t *pixels)
{
    for (int i = 0; i < count; i++) {
        pixels[i * 3] = (uint8_t)(int)(k->r[i] * 255.999f);
        pixels[i * 3 + 1] = (uint8_t)(int)(k->g[i] * 255.999f);
        pixels[i * 3 + 2] = (uint8_t)(int)(k->b[i] * 255.999f);
    }
}

static void turn_hue(float turn, int64_t count, uint8_t *pixels)
{
    struct block block;
    memset(&block, 0, sizeof block);
    for (int64_t at = 0; at < count; at += BLOCK) {
        int here = count - at < BLOCK ? (int)(count - at) : BLOCK;
        split(pixels + at * 3, here, &block);
        to_hsv(&block);
        to_rgb(&block, turn);
        join(&block, here, pixels + at * 3);
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
