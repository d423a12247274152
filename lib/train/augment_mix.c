/* How items are mixed with each other: mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899). */
#include <math.h>
#include <string.h>

#include "train/augment.h"

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; shape >= 1. */
static double draw_gamma(dcls_rng *rng, double shape)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = dcls_rng_normal(rng), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - dcls_rng_uniform(rng)) < 0.5 * x * x + d - d * v + d * log(v)) return d * v;
    }
}

/* Logarithm of a gamma variable: those of small shapes are too small for a double. */
static double draw_log_gamma(dcls_rng *rng, double shape)
{
    if (shape >= 1) return log(draw_gamma(rng, shape));
    double larger = draw_gamma(rng, shape + 1);
    return log(larger) + log(1 - dcls_rng_uniform(rng)) / shape;
}

float dcls_mixup_share(dcls_rng *rng, double alpha)
{
    double a = draw_log_gamma(rng, alpha), b = draw_log_gamma(rng, alpha);
    return (float)(1 / (1 + exp(-fabs(a - b))));
}

/* A share of the second picture as the beta distribution has it. */
static double cut_share(dcls_rng *rng, double alpha)
{
    const double larger = (double)dcls_mixup_share(rng, alpha);
    return dcls_rng_uniform(rng) < 0.5 ? larger : 1 - larger;
}

/* [*from, *end): a side of the box around a random centre, cut at the picture's border. */
static void place_side(dcls_rng *rng, double side, int64_t length, int64_t *from, int64_t *end)
{
    const int64_t wide = (int64_t)(side * (double)length),
                  middle = (int64_t)(dcls_rng_uniform(rng) * (double)length);
    *from = middle - wide / 2 > 0 ? middle - wide / 2 : 0;
    *end = middle - wide / 2 + wide < length ? middle - wide / 2 + wide : length;
}

dcls_mix dcls_mix_draw(const dcls_augment *augment, dcls_rng *rng, int64_t height, int64_t width)
{
    const bool both = augment->mixup > 0 && augment->cutmix > 0;
    dcls_mix mix = {.share = 1};
    if (both ? dcls_rng_uniform(rng) < 0.5 : augment->cutmix == 0) {
        mix.share = dcls_mixup_share(rng, augment->mixup);
        return mix;
    }
    const double side = sqrt(cut_share(rng, augment->cutmix));
    mix.cuts = true;
    place_side(rng, side, height, &mix.top, &mix.bottom);
    place_side(rng, side, width, &mix.left, &mix.right);
    mix.share =
        (float)(1 - (double)((mix.bottom - mix.top) * (mix.right - mix.left)) / (double)(height * width));
    return mix;
}

static void paste(const dcls_mix *mix, int64_t width, const void *from, void *to)
{
    const size_t bytes = (size_t)(mix->right - mix->left) * 4;
    for (int64_t y = mix->top; y < mix->bottom; y++) {
        const size_t at = (size_t)(y * width + mix->left) * 4;
        memcpy((char *)to + at, (const char *)from + at, bytes);
    }
}

void dcls_mix_run(const dcls_mix *mix, int channels, int64_t height, int64_t width, const float *other,
                  float *tensor)
{
    const int64_t pixels = height * width;
    for (int c = 0; mix->cuts && c < channels; c++)
        paste(mix, width, other + c * pixels, tensor + c * pixels);
    for (int64_t i = 0; !mix->cuts && i < channels * pixels; i++)
        tensor[i] = mix->share * tensor[i] + (1 - mix->share) * other[i];
}

void dcls_mix_mask(const dcls_mix *mix, int64_t width, const int32_t *other, int32_t *target)
{
    if (mix->cuts) paste(mix, width, other, target);
}
