/*
 * RandAugment (Cubuk et al., arXiv 1909.13719): some operations of fourteen, drawn for every picture, all of
 * one magnitude. Ranges and arithmetic are torchvision's, but shears turn about the centre as rotations do,
 * and pixels between pixels are interpolated.
 */
#include "train/augment.h"

#include <math.h>
#include <string.h>

enum kind {
    IDENTITY,
    SHEAR_X,
    SHEAR_Y,
    TRANSLATE_X,
    TRANSLATE_Y,
    ROTATE,
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    SHARPNESS,
    POSTERIZE,
    SOLARIZE,
    AUTO_CONTRAST,
    EQUALIZE,
    KINDS,
};

/* Amount at the largest magnitude; whether its sign is drawn. */
static const struct range {
    double most;
    bool either_way;
} RANGES[KINDS] = {
    [SHEAR_X] = {0.3, true},
    [SHEAR_Y] = {0.3, true},
    [TRANSLATE_X] = {150.0 / 331, true}, /* of the width */
    [TRANSLATE_Y] = {150.0 / 331, true},
    [ROTATE] = {30, true}, /* degrees */
    [BRIGHTNESS] = {0.9, true},
    [COLOR] = {0.9, true},
    [CONTRAST] = {0.9, true},
    [SHARPNESS] = {0.9, true},
    [POSTERIZE] = {4, false}, /* bits dropped */
    [SOLARIZE] = {255, false},
};

void dcls_rand_draw(const dcls_augment *augment, dcls_rng *rng, dcls_rand_op *ops)
{
    for (int64_t i = 0; i < augment->rand_ops; i++) {
        const int kind = (int)(dcls_rng_uniform(rng) * KINDS);
        const double sign = dcls_rng_next(rng) >> 63 && RANGES[kind].either_way ? -1 : 1;
        const double share = augment->rand_magnitude / DCLS_RAND_MAGNITUDES;
        ops[i] = (dcls_rand_op){kind, sign * share * RANGES[kind].most};
    }
}

/* ---- geometry ---- */

/* Where a pixel of the result comes from, both counted from the centre. */
struct affine {
    double xx, xy, x, yx, yy, y;
};

static bool is_geometric(int kind)
{
    return kind >= SHEAR_X && kind <= ROTATE;
}

static struct affine inverse_of(const dcls_rand_op *op, const dcls_pixels *p)
{
    struct affine a = {.xx = 1, .yy = 1};
    const double angle = op->amount * M_PI / 180;
    switch (op->kind) {
    case SHEAR_X: a.xy = op->amount; break;
    case SHEAR_Y: a.yx = op->amount; break;
    case TRANSLATE_X: a.x = trunc(op->amount * (double)p->width); break;
    case TRANSLATE_Y: a.y = trunc(op->amount * (double)p->height); break;
    default:
        a.xx = a.yy = cos(angle);
        a.xy = sin(angle);
        a.yx = -a.xy;
    }
    return a;
}

/* Channel c at a whole place; the fill outside. */
static double pixel_at(const dcls_pixels *p, const uint8_t *from, int64_t x, int64_t y, int c)
{
    const bool inside = x >= 0 && y >= 0 && x < p->width && y < p->height;
    return inside ? from[(y * p->width + x) * p->channels + c] : p->outside[c];
}

static void interpolate(const dcls_pixels *p, const uint8_t *from, double x, double y, uint8_t *to)
{
    const double left = floor(x), top = floor(y), fx = x - left, fy = y - top;
    const int64_t i = (int64_t)left, j = (int64_t)top;
    for (int c = 0; c < p->channels; c++) {
        const double above = pixel_at(p, from, i, j, c) * (1 - fx) + pixel_at(p, from, i + 1, j, c) * fx;
        const double below =
            pixel_at(p, from, i, j + 1, c) * (1 - fx) + pixel_at(p, from, i + 1, j + 1, c) * fx;
        to[c] = (uint8_t)nearbyint(above * (1 - fy) + below * fy);
    }
}

static void move(const dcls_rand_op *op, const dcls_pixels *p, uint8_t *spare)
{
    const struct affine a = inverse_of(op, p);
    const double middle_x = (double)(p->width - 1) / 2, middle_y = (double)(p->height - 1) / 2;
    memcpy(spare, p->values, dcls_pixels_size(p));
    uint8_t *to = p->values;
    for (int64_t j = 0; j < p->height; j++) {
        for (int64_t i = 0; i < p->width; i++, to += p->channels) {
            const double u = (double)i - middle_x, v = (double)j - middle_y;
            const double x = a.xx * u + a.xy * v + a.x + middle_x, y = a.yx * u + a.yy * v + a.y + middle_y;
            if (p->nearest)
                *to = (uint8_t)pixel_at(p, spare, (int64_t)nearbyint(x), (int64_t)nearbyint(y), 0);
            else
                interpolate(p, spare, x, y, to);
        }
    }
}

/* ---- values ---- */

/* Every channel through a table of its own. */
static void look_up(const dcls_pixels *p, const uint8_t table[3][256])
{
    const int64_t bytes = (int64_t)dcls_pixels_size(p);
    for (int64_t i = 0; i < bytes; i += p->channels) {
        for (int c = 0; c < p->channels; c++)
            p->values[i + c] = table[c][p->values[i + c]];
    }
}

static void count_values(const dcls_pixels *p, int c, int64_t counts[256])
{
    memset(counts, 0, 256 * sizeof *counts);
    const int64_t bytes = (int64_t)dcls_pixels_size(p);
    for (int64_t i = c; i < bytes; i += p->channels)
        counts[p->values[i]]++;
}

static void keep_values(uint8_t table[256])
{
    for (int v = 0; v < 256; v++)
        table[v] = (uint8_t)v;
}

/* From the darkest and lightest values there are to 0 and 255. */
static void stretch_table(const int64_t counts[256], uint8_t table[256])
{
    int low = 0, high = 255;
    while (low < 255 && counts[low] == 0)
        low++;
    while (high > 0 && counts[high] == 0)
        high--;
    keep_values(table);
    if (high <= low) return;
    const float factor = 255 * (1.0f / (float)(high - low)); /* PyTorch divides so */
    for (int v = low; v <= high; v++)
        table[v] = (uint8_t)fminf((float)(v - low) * factor, 255);
}

/* As many pixels at each value as can be. */
static void equalize_table(const int64_t counts[256], uint8_t table[256])
{
    int64_t sum = 0, last = 0;
    for (int v = 0; v < 256; v++) {
        sum += counts[v];
        if (counts[v] > 0) last = counts[v];
    }
    const int64_t step = (sum - last) / 255;
    keep_values(table);
    if (step == 0) return;
    int64_t before = 0;
    for (int v = 0; v < 256; v++) {
        const int64_t value = v == 0 ? 0 : (before + step / 2) / step;
        table[v] = (uint8_t)(value > 255 ? 255 : value);
        before += counts[v];
    }
}

static void spread(int kind, const dcls_pixels *p)
{
    uint8_t table[3][256];
    int64_t counts[256];
    for (int c = 0; c < p->channels; c++) {
        count_values(p, c, counts);
        if (kind == EQUALIZE)
            equalize_table(counts, table[c]);
        else
            stretch_table(counts, table[c]);
    }
    look_up(p, table);
}

static void cut_values(const dcls_rand_op *op, const dcls_pixels *p)
{
    const int dropped = (int)nearbyint(op->amount);
    const double threshold = 255 - op->amount;
    uint8_t table[3][256];
    for (int v = 0; v < 256; v++) {
        const int value = op->kind == POSTERIZE ? v >> dropped << dropped : v >= threshold ? 255 - v : v;
        table[0][v] = table[1][v] = table[2][v] = (uint8_t)value;
    }
    look_up(p, table);
}

/* Of a pixel and its neighbours, the pixel weighing five of thirteen; at the edges the pixel itself. */
static float mean_around(const dcls_pixels *p, const uint8_t *at, bool edge)
{
    const int64_t row = p->width * p->channels;
    int sum = 4 * at[0];
    if (edge) return at[0];
    for (int64_t k = -row; k <= row; k += row)
        sum += at[k - p->channels] + at[k] + at[k + p->channels];
    return nearbyintf((float)sum / 13);
}

/* Away from that mean, or towards it. */
static void sharpen(double factor, const dcls_pixels *p, uint8_t *spare)
{
    const int64_t row = p->width * p->channels;
    memcpy(spare, p->values, dcls_pixels_size(p));
    for (int64_t y = 0; y < p->height; y++) {
        for (int64_t i = 0; i < row; i++) {
            const uint8_t *at = spare + y * row + i;
            const bool edge = y == 0 || y == p->height - 1 || i < p->channels || i >= row - p->channels;
            const float value = (float)factor * (float)at[0] + (float)(1 - factor) * mean_around(p, at, edge);
            p->values[y * row + i] = (uint8_t)fminf(fmaxf(value, 0), 255);
        }
    }
}

static void change_values(const dcls_rand_op *op, const dcls_pixels *p, uint8_t *spare)
{
    const double factor = 1 + op->amount;
    dcls_jitter jitter = {1, 1, 1, 0};
    switch (op->kind) {
    case BRIGHTNESS: jitter.brightness = factor; break;
    case COLOR: jitter.saturation = factor; break;
    case CONTRAST: jitter.contrast = factor; break;
    case SHARPNESS: sharpen(factor, p, spare); return;
    case POSTERIZE:
    case SOLARIZE: cut_values(op, p); return;
    case AUTO_CONTRAST:
    case EQUALIZE: spread(op->kind, p); return;
    default: return;
    }
    dcls_jitter_run(&jitter, p->channels, p->width * p->height, p->values);
}

void dcls_rand_run(const dcls_rand_op *ops, int64_t count, const dcls_pixels *pixels, uint8_t *spare)
{
    for (int64_t i = 0; i < count; i++) {
        if (is_geometric(ops[i].kind))
            move(&ops[i], pixels, spare);
        else if (!pixels->nearest)
            change_values(&ops[i], pixels, spare);
    }
}
