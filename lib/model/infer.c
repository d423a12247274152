/* Shapes of all values for an input shape, by PyTorch's formulas. A size may be DCLS_ANY where the model
 * leaves it open: it stays open through windows and is taken to fit where it cannot be compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"

#include "dcls_analysis.h"

typedef struct infer {
    dcls_context *ctx;
    const dcls_model *model;
    dcls_status status; /* what a misfit is: the caller's or the file's fault */
    const dcls_shape *shapes;
} infer;

static const char *shape_text(char buffer[DCLS_SHAPE_TEXT], const dcls_shape *shape)
{
    char number[32];
    size_t used = 0;
    buffer[used++] = '[';
    for (int i = 0; i < shape->ndim; i++) {
        const char *text = "any";
        if (shape->size[i] != DCLS_ANY) {
            snprintf(number, sizeof number, "%lld", (long long)shape->size[i]);
            text = number;
        }
        used += (size_t)snprintf(buffer + used, DCLS_SHAPE_TEXT - used, "%s%s", i > 0 ? ", " : "", text);
    }
    snprintf(buffer + used, DCLS_SHAPE_TEXT - used, "]");
    return buffer;
}

/* The spatial part as "33x33". */
static const char *spatial_text(char buffer[DCLS_SHAPE_TEXT], const dcls_shape *shape)
{
    size_t used = 0;
    buffer[0] = '\0';
    for (int i = 2; i < shape->ndim; i++)
        used += (size_t)snprintf(buffer + used, DCLS_SHAPE_TEXT - used, "%s%lld", i > 2 ? "x" : "",
                                 (long long)shape->size[i]);
    return buffer;
}

static bool agree(int64_t a, int64_t b)
{
    return a == b || a == DCLS_ANY || b == DCLS_ANY;
}

static dcls_status want_channels(const infer *in, const dcls_shape *x, int64_t channels)
{
    if (agree(x->size[1], channels)) return DCLS_OK;
    return dcls_fail(in->ctx, in->status, "its input has %lld channels, its tensors are for %lld",
                     (long long)x->size[1], (long long)channels);
}

static dcls_status want_spatial(const infer *in, const dcls_shape *x)
{
    if (x->ndim == in->model->input_ndim) return DCLS_OK;
    char text[DCLS_SHAPE_TEXT];
    return dcls_fail(in->ctx, in->status, "its input %s has no spatial dimensions", shape_text(text, x));
}

/* ---- windows -------------------------------------------------------------------------------------- */

/* What reflect and circular padding repeat must be there. */
static dcls_status check_pad_mode(const infer *in, const dcls_window *w, int i, int64_t size)
{
    const int64_t pad = w->pad_before[i] > w->pad_after[i] ? w->pad_before[i] : w->pad_after[i];
    if (w->pad_mode == DCLS_PAD_REFLECT && pad >= size)
        return dcls_fail(in->ctx, in->status,
                         "reflect padding %lld needs an input larger than itself, not %lld", (long long)pad,
                         (long long)size);
    if (w->pad_mode == DCLS_PAD_CIRCULAR && pad > size)
        return dcls_fail(in->ctx, in->status, "circular padding %lld is more than the input's %lld",
                         (long long)pad, (long long)size);
    return DCLS_OK;
}

/* floor((size + padding - dilation (kernel - 1) - 1) / stride) + 1. With ceil_mode the division rounds up,
 * unless the last window would start in the padding behind the input. */
static dcls_status window_size(const infer *in, const dcls_window *w, int i, int64_t size, int64_t *out)
{
    *out = DCLS_ANY;
    if (size == DCLS_ANY) return DCLS_OK;
    DCLS_TRY(check_pad_mode(in, w, i, size));
    const int64_t reach = w->dilation[i] * (w->kernel[i] - 1) + 1; /* at most 2^40: no overflow */
    const int64_t excess = w->ceil_mode ? w->stride[i] - 1 : 0;
    int64_t padded = 0;
    if (!dcls_add_i64(size, w->pad_before[i] + w->pad_after[i] + excess, &padded))
        return dcls_fail(in->ctx, DCLS_ERR_LIMIT, "its padded input is too large");
    if (padded < reach)
        return dcls_fail(in->ctx, in->status, "its window of %lld is larger than the padded input of %lld",
                         (long long)reach, (long long)(padded - excess));
    *out = (padded - reach) / w->stride[i] + 1;
    if (w->ceil_mode && (*out - 1) * w->stride[i] >= size + w->pad_before[i]) --*out;
    return DCLS_OK;
}

static dcls_status infer_window(const infer *in, const dcls_node *node, const dcls_shape *x, dcls_shape *out)
{
    DCLS_TRY(want_spatial(in, x));
    *out = *x;
    for (int i = 0; i < node->window.ndim; i++)
        DCLS_TRY(window_size(in, &node->window, i, x->size[i + 2], &out->size[i + 2]));
    return DCLS_OK;
}

static dcls_status infer_conv(const infer *in, const dcls_node *node, const dcls_shape *x, dcls_shape *out)
{
    DCLS_TRY(want_channels(in, x, node->in_channels));
    DCLS_TRY(infer_window(in, node, x, out));
    out->size[1] = node->out_channels;
    return DCLS_OK;
}

/* ---- other operations ----------------------------------------------------------------------------- */

static dcls_status infer_linear(const infer *in, const dcls_node *node, const dcls_shape *x, dcls_shape *out)
{
    char text[DCLS_SHAPE_TEXT];
    if (x->ndim != 2)
        return dcls_fail(in->ctx, in->status, "its input %s must be [N, features]: put a flatten before it",
                         shape_text(text, x));
    if (!agree(x->size[1], node->in_channels))
        return dcls_fail(in->ctx, in->status, "its input has %lld features, its weight is for %lld",
                         (long long)x->size[1], (long long)node->in_channels);
    *out = *x;
    out->size[1] = node->out_channels;
    return DCLS_OK;
}

static dcls_status infer_norm(const infer *in, const dcls_node *node, const dcls_shape *x, dcls_shape *out)
{
    *out = *x;
    return node->out_channels > 0 ? want_channels(in, x, node->out_channels) : DCLS_OK;
}

static dcls_status infer_global_pool(const infer *in, const dcls_node *node, const dcls_shape *x,
                                     dcls_shape *out)
{
    DCLS_TRY(want_spatial(in, x));
    *out = *x;
    if (node->flatten) out->ndim = 2;
    for (int i = 2; i < out->ndim; i++)
        out->size[i] = 1;
    return DCLS_OK;
}

static dcls_status infer_flatten(const infer *in, const dcls_shape *x, dcls_shape *out)
{
    *out = (dcls_shape){.ndim = 2, .size = {x->size[0], x->size[1]}};
    for (int i = 2; i < x->ndim; i++) {
        if (x->size[i] == DCLS_ANY || out->size[1] == DCLS_ANY)
            out->size[1] = DCLS_ANY;
        else if (!dcls_mul_i64(out->size[1], x->size[i], &out->size[1]))
            return dcls_fail(in->ctx, DCLS_ERR_LIMIT, "its output is too large");
    }
    return DCLS_OK;
}

static dcls_status infer_concat(const infer *in, const dcls_node *node, dcls_shape *out)
{
    char a[DCLS_SHAPE_TEXT], b[DCLS_SHAPE_TEXT];
    const dcls_shape *first = &in->shapes[node->inputs[0]];
    *out = *first;
    for (int k = 1; k < node->input_count; k++) {
        const dcls_shape *x = &in->shapes[node->inputs[k]];
        bool fits = x->ndim == first->ndim;
        for (int i = 0; fits && i < first->ndim; i++)
            fits = i == 1 || agree(x->size[i], first->size[i]);
        if (!fits)
            return dcls_fail(in->ctx, in->status, "its inputs %s and %s differ in more than channels",
                             shape_text(a, first), shape_text(b, x));
        if (out->size[1] == DCLS_ANY || x->size[1] == DCLS_ANY)
            out->size[1] = DCLS_ANY;
        else if (!dcls_add_i64(out->size[1], x->size[1], &out->size[1]))
            return dcls_fail(in->ctx, DCLS_ERR_LIMIT, "its output is too large");
        for (int i = 2; i < out->ndim; i++)
            if (out->size[i] == DCLS_ANY) out->size[i] = x->size[i];
    }
    return DCLS_OK;
}

static dcls_status infer_resize(const infer *in, const dcls_node *node, const dcls_shape *x, dcls_shape *out)
{
    DCLS_TRY(want_spatial(in, x));
    *out = *x;
    if (node->input_count > 1) {
        const dcls_shape *like = &in->shapes[node->inputs[1]];
        DCLS_TRY(want_spatial(in, like));
        memcpy(out->size + 2, like->size + 2, (size_t)(out->ndim - 2) * sizeof out->size[0]);
        return DCLS_OK;
    }
    for (int i = 0; i < out->ndim - 2; i++) {
        int64_t *size = &out->size[i + 2];
        if (node->size[i] > 0) *size = node->size[i];
        if (node->size[i] > 0 || *size == DCLS_ANY) continue;
        const double scaled = (double)*size * node->scale[i];
        if (scaled < 1 || scaled >= 1e15)
            return dcls_fail(in->ctx, scaled < 1 ? in->status : DCLS_ERR_LIMIT,
                             "scale %g of size %lld is out of range", node->scale[i], (long long)*size);
        *size = (int64_t)scaled;
    }
    return DCLS_OK;
}

/* ---- add and mul ---------------------------------------------------------------------------------- */

/* Goes back from a value over single-input operations to a DCLS layer with stride 1 that changed the size. */
static const dcls_node *find_even_window(const infer *in, int value)
{
    while (value > 0) {
        const dcls_node *node = &in->model->nodes[value - 1];
        const dcls_shape *from = &in->shapes[node->inputs[0]], *to = &in->shapes[value];
        if (node->op == DCLS_OP_DCLS)
            for (int i = 0; i < node->window.ndim; i++)
                if (node->window.kernel[i] % 2 == 0 && node->window.stride[i] == 1 &&
                    from->size[i + 2] != to->size[i + 2])
                    return node;
        if (node->input_count != 1) return NULL;
        value = node->inputs[0];
    }
    return NULL;
}

static dcls_status fail_pair(const infer *in, const dcls_node *node)
{
    char a[DCLS_SHAPE_TEXT], b[DCLS_SHAPE_TEXT], why[2 * DCLS_SHAPE_TEXT + 200] = "";
    for (int k = 0; k < 2 && why[0] == '\0'; k++) {
        const dcls_node *layer = find_even_window(in, node->inputs[k]);
        if (layer == NULL) continue;
        int axis = 0;
        while (layer->window.kernel[axis] % 2 != 0)
            axis++;
        snprintf(
            why, sizeof why, ": at '%.60s' an even dilated_kernel_size %lld with padding %lld makes %s of %s",
            layer->name, (long long)layer->window.kernel[axis], (long long)layer->window.pad_before[axis],
            spatial_text(a, &in->shapes[layer - in->model->nodes + 1]),
            spatial_text(b, &in->shapes[layer->inputs[0]]));
    }
    return dcls_fail(in->ctx, in->status, "its inputs %s and %s differ%s",
                     shape_text(a, &in->shapes[node->inputs[0]]), shape_text(b, &in->shapes[node->inputs[1]]),
                     why);
}

static bool is_one_pixel(const dcls_shape *shape)
{
    for (int i = 2; i < shape->ndim; i++)
        if (shape->size[i] != 1) return false;
    return true;
}

/* Equal shapes, or one input of a single pixel, which is repeated over the other's. */
static dcls_status infer_pair(const infer *in, const dcls_node *node, dcls_shape *out)
{
    const dcls_shape *a = &in->shapes[node->inputs[0]], *b = &in->shapes[node->inputs[1]];
    if (is_one_pixel(a)) {
        const dcls_shape *other = a;
        a = b;
        b = other;
    }
    *out = *a;
    if (a->ndim != b->ndim) return fail_pair(in, node);
    bool repeat = is_one_pixel(b);
    for (int i = 0; i < a->ndim; i++) {
        if (!agree(a->size[i], b->size[i]) && !(i >= 2 && repeat)) return fail_pair(in, node);
        if (i < 2 && out->size[i] == DCLS_ANY) out->size[i] = b->size[i];
    }
    return DCLS_OK;
}

static dcls_status infer_node(const infer *in, const dcls_node *node, dcls_shape *out)
{
    const dcls_shape *x = &in->shapes[node->inputs[0]];
    switch (node->op) {
    case DCLS_OP_CONV:
    case DCLS_OP_DCLS: return infer_conv(in, node, x, out);
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL: return infer_window(in, node, x, out);
    case DCLS_OP_LINEAR: return infer_linear(in, node, x, out);
    case DCLS_OP_BATCH_NORM:
    case DCLS_OP_LAYER_NORM:
    case DCLS_OP_LAYER_SCALE: return infer_norm(in, node, x, out);
    case DCLS_OP_GLOBAL_AVG_POOL:
    case DCLS_OP_GLOBAL_MAX_POOL: return infer_global_pool(in, node, x, out);
    case DCLS_OP_ADD:
    case DCLS_OP_MUL: return infer_pair(in, node, out);
    case DCLS_OP_CONCAT: return infer_concat(in, node, out);
    case DCLS_OP_FLATTEN: return infer_flatten(in, x, out);
    case DCLS_OP_RESIZE: return infer_resize(in, node, x, out);
    default: *out = *x; return DCLS_OK;
    }
}

/* A value must fit into the memory a plan may take, open sizes counting as 1. */
static dcls_status check_bytes(dcls_context *ctx, const dcls_shape *shape)
{
    dcls_shape known = *shape;
    size_t bytes = 0;
    char text[DCLS_SHAPE_TEXT];
    for (int i = 0; i < known.ndim; i++)
        if (known.size[i] == DCLS_ANY) known.size[i] = 1;
    if (dcls_shape_bytes(DCLS_F32, known.ndim, known.size, &bytes) &&
        bytes <= ctx->limit[DCLS_LIMIT_MEMORY_BYTES])
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_LIMIT,
                     "a value of shape %s takes more than the %llu bytes of memory allowed",
                     shape_text(text, shape), (unsigned long long)ctx->limit[DCLS_LIMIT_MEMORY_BYTES]);
}

dcls_status dcls_infer_node(dcls_context *ctx, const dcls_model *model, dcls_status status,
                            const dcls_node *node, const dcls_shape *shapes, dcls_shape *out)
{
    const infer in = {ctx, model, status, shapes};
    DCLS_TRY(infer_node(&in, node, out));
    return check_bytes(ctx, out);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

dcls_status dcls_infer_open(dcls_context *ctx, const dcls_model *model, dcls_status status, int ndim,
                            const int64_t *input, dcls_shape *shapes)
{
    shapes[0] = (dcls_shape){.ndim = ndim};
    memcpy(shapes[0].size, input, (size_t)ndim * sizeof *input);
    dcls_status got = check_bytes(ctx, &shapes[0]);
    if (got != DCLS_OK) return dcls_fail_within(ctx, got, "the input: ");
    for (size_t i = 0; i < model->node_count; i++) {
        const dcls_node *node = &model->nodes[i];
        got = dcls_infer_node(ctx, model, status, node, shapes, &shapes[i + 1]);
        if (got != DCLS_OK)
            return dcls_fail_within(ctx, got, "node '%s' (%s): ", node->name, dcls_op_name(node->op));
    }
    return DCLS_OK;
}

dcls_status dcls_model_infer(dcls_context *ctx, const dcls_model *model, int ndim, const int64_t *input,
                             dcls_shape *shapes)
{
    char is[DCLS_SHAPE_TEXT], must[DCLS_SHAPE_TEXT];
    dcls_shape want = {.ndim = model->input_ndim};
    memcpy(want.size, model->input_shape, sizeof want.size);
    dcls_shape given = {.ndim = ndim < 0 ? 0 : ndim > DCLS_MAX_DIMS ? DCLS_MAX_DIMS : ndim};
    memcpy(given.size, input, (size_t)given.ndim * sizeof *input);
    bool fits = ndim == want.ndim;
    for (int i = 0; fits && i < ndim; i++)
        fits = input[i] >= 1 && agree(input[i], want.size[i]);
    if (!fits)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the model takes an input of shape %s, not %s",
                         shape_text(must, &want), shape_text(is, &given));
    return dcls_infer_open(ctx, model, DCLS_ERR_ARGUMENT, ndim, input, shapes);
}

dcls_status dcls_model_output_shape(dcls_context *ctx, const dcls_model *model, int ndim,
                                    const int64_t *shape, int *out_ndim, int64_t *out_shape)
{
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (shapes == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = dcls_model_infer(ctx, model, ndim, shape, shapes);
    if (status == DCLS_OK) {
        const dcls_shape *output = &shapes[model->output];
        *out_ndim = output->ndim;
        memcpy(out_shape, output->size, (size_t)output->ndim * sizeof *out_shape);
    }
    free(shapes);
    return status;
}
