#include "ops/conv_panels.h"

#define PANEL DCLS_GEMM_PANEL

dcls_conv_tiles dcls_conv_cut(int64_t n, int64_t most)
{
    int64_t count = dcls_ceil_div(n, most);
    if (count < 32) count = dcls_min_i64(n, dcls_ceil_div(count, 4) * 4);
    return (dcls_conv_tiles){count, dcls_ceil_div(n, count)};
}

void dcls_conv_write_panel(const dcls_conv_pass *pass, int64_t image, int64_t panel, int64_t pixel,
                           int64_t count, const float *results, float *row)
{
    const int64_t outputs = pass->conv->g.out_channels;
    const int64_t channels = dcls_min_i64(PANEL, outputs - panel * PANEL);
    for (int64_t o = 0; o < channels; o++) {
        int64_t plane = image * outputs + panel * PANEL + o;
        float *y = dcls_conv_target(pass, plane, pixel, row);
        for (int64_t p = 0; p < count; p++)
            y[p] = results[p * PANEL + o];
        dcls_conv_complete(pass, plane, pixel, y, count);
    }
}

float *dcls_conv_pack_bias(dcls_context *ctx, dcls_conv *conv, int64_t channels, const float *bias)
{
    const int64_t floats = dcls_ceil_div(channels, PANEL) * PANEL;
    float *packed = dcls_conv_pack(ctx, conv, floats, sizeof *packed);
    for (int64_t o = 0; packed != NULL && o < floats; o++)
        packed[o] = bias != NULL && o < channels ? bias[o] : 0.0f;
    return packed;
}

dcls_status dcls_conv_check_pair(dcls_context *ctx, const dcls_geometry *g, const dcls_conv_expansion *e)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    if (!dcls_conv_is_pointwise(g) || g->groups != 1 || e->channels < 1 || e->channels > DCLS_PAIR_MOST)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "these convolutions cannot run as a pair");
    return DCLS_OK;
}
