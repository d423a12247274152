#include "plan/node_ops.h"

/* Spatial sizes with leading ones. */
static void spatial(const dcls_shape *shape, int64_t size[3])
{
    for (int d = 0; d < 3; d++) {
        const int from = shape->ndim - 3 + d;
        size[d] = from >= 2 ? shape->size[from] : 1;
    }
}

dcls_geometry dcls_node_geometry(const dcls_node *node, const dcls_shape *in, const dcls_shape *out)
{
    const dcls_window *w = &node->window;
    dcls_geometry g = {.batch = in->size[0],
                       .in_channels = in->size[1],
                       .out_channels = out->size[1],
                       .groups = node->groups};
    spatial(in, g.in);
    spatial(out, g.out);
    for (int d = 0; d < 3; d++) {
        const int from = w->ndim - 3 + d;
        g.kernel[d] = from >= 0 ? w->kernel[from] : 1;
        g.stride[d] = from >= 0 ? w->stride[from] : 1;
        g.dilation[d] = from >= 0 ? w->dilation[from] : 1;
        g.pad[d] = from >= 0 ? w->pad_before[from] : 0;
    }
    return g;
}

void dcls_node_pad_after(const dcls_node *node, int64_t pad[3])
{
    const dcls_window *w = &node->window;
    for (int d = 0; d < 3; d++) {
        const int from = w->ndim - 3 + d;
        pad[d] = from >= 0 ? w->pad_after[from] : 0;
    }
}

dcls_resize_shape dcls_node_resize(const dcls_node *node, const dcls_shape *in, const dcls_shape *out)
{
    dcls_resize_shape r = {.planes = in->size[0] * in->size[1],
                           .linear = node->interpolation == DCLS_INTERP_LINEAR,
                           .align_corners = node->align_corners};
    spatial(in, r.in);
    spatial(out, r.out);
    for (int d = 0; d < 3; d++) {
        const int from = in->ndim - 5 + d;
        r.scale[d] = from >= 0 ? node->scale[from] : 0;
    }
    return r;
}

dcls_activation dcls_node_activation(const dcls_node *node)
{
    switch (node->op) {
    case DCLS_OP_RELU: return DCLS_ACT_RELU;
    case DCLS_OP_GELU: return node->approximate ? DCLS_ACT_GELU_TANH : DCLS_ACT_GELU;
    case DCLS_OP_SIGMOID: return DCLS_ACT_SIGMOID;
    default: return DCLS_ACT_NONE;
    }
}
