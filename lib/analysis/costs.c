#include "analysis/costs.h"

int64_t dcls_cost_times(int64_t a, int64_t b)
{
    int64_t product;
    return dcls_mul_i64(a, b, &product) ? product : INT64_MAX;
}

static int64_t output_pixels(const dcls_shape *shape)
{
    int64_t n = shape->size[0];
    for (int d = 2; d < shape->ndim; d++)
        n = dcls_cost_times(n, shape->size[d]);
    return n;
}

int64_t dcls_cost_dense(const dcls_node *node, const dcls_shape *output)
{
    if (node->op == DCLS_OP_LINEAR)
        return dcls_cost_times(dcls_cost_times(output->size[0], node->in_channels), node->out_channels);
    if (node->op != DCLS_OP_CONV && node->op != DCLS_OP_DCLS) return 0;
    int64_t window = node->in_channels / node->groups;
    for (int d = 0; d < node->window.ndim; d++)
        window = dcls_cost_times(window, node->window.kernel[d]);
    return dcls_cost_times(dcls_cost_times(output_pixels(output), node->out_channels), window);
}

int64_t dcls_cost_taps(const dcls_shape *output, int64_t taps)
{
    return dcls_cost_times(output_pixels(output), taps);
}
