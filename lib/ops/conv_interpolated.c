/* The im2col method for DCLS (arXiv 2112.03740): one column per (input channel, element), the input
 * interpolated at the element's position, multiplied by the weights. Neither time nor memory depends on how
 * far apart elements lie. */
#include "ops/conv_matrix.h"

static dcls_status pack(dcls_context *ctx, dcls_conv_matrix *x, const dcls_taps *elements, int64_t count,
                        const float *weight)
{
    int64_t weights;
    x->k = x->base.g.in_channels / x->base.g.groups * count;
    if (!dcls_mul_i64(x->base.g.out_channels, x->k, &weights))
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "this convolution has too many elements");
    DCLS_TRY(dcls_conv_matrix_set_columns(ctx, x, elements, count));
    return dcls_conv_matrix_plan(ctx, x, weight);
}

dcls_status dcls_conv_create_interpolated(dcls_context *ctx, const dcls_geometry *g,
                                          const dcls_taps *elements, int64_t count, const float *weight,
                                          const dcls_epilogue *epilogue, dcls_conv **out)
{
    DCLS_TRY(dcls_conv_check(ctx, g));
    int64_t rows;
    if (count < 1 || !dcls_mul_i64(g->in_channels, count, &rows))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a kernel cannot have %lld elements", (long long)count);
    if (elements->rows != rows && elements->rows != rows / g->groups)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the elements do not fit the convolution's channels");
    dcls_conv_matrix *x = dcls_conv_matrix_allocate(ctx, "interpolated", g, epilogue);
    if (x == NULL) return DCLS_ERR_MEMORY;
    return dcls_conv_finish(&x->base, pack(ctx, x, elements, count, weight), out);
}
