/* Checks of single nodes: tensors exist and have the shapes their operation and its attributes imply. */
#include "model/check.h"

#include <string.h>

static const char *tensor_name(const void *of, size_t index)
{
    const dcls_tensors *tensors = of;
    return tensors->items[index].name;
}

static dcls_status find_tensor(dcls_context *ctx, const dcls_tensors *tensors, dcls_draft_node *draft,
                               dcls_slot slot)
{
    const char *name = draft->tensor[slot];
    const dcls_tensor *tensor = dcls_tensors_find(tensors, name);
    char hint[DCLS_HINT_TEXT];
    if (tensor == NULL && tensors->count == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "its %s, tensor '%s', does not exist: this is a network without tensors, to be "
                         "given to dcls convert --arch together with a state dict",
                         dcls_slot_name(slot), name);
    if (tensor == NULL) {
        dcls_hint(hint, sizeof hint, dcls_nearest(name, tensors->count, tensor_name, tensors));
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "its %s, tensor '%s', does not exist%s", dcls_slot_name(slot),
                         name, hint);
    }
    if (!dcls_dtype_is_float(tensor->dtype))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %s, must be F32, F16, BF16 or F64", name,
                         dcls_dtype_name(tensor->dtype));
    dcls_node_set_tensor(&draft->node, slot, tensor);
    return DCLS_OK;
}

static dcls_status find_tensors(dcls_context *ctx, const dcls_tensors *tensors, dcls_draft_node *draft)
{
    const dcls_op_info *info = dcls_op_describe(draft->node.op);
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
        const bool needed = (info->needs >> slot) & 1;
        if (draft->tensor[slot] != NULL)
            DCLS_TRY(find_tensor(ctx, tensors, draft, (dcls_slot)slot));
        else if (needed)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s', the name of a tensor, is missing",
                             dcls_slot_name((dcls_slot)slot));
    }
    return DCLS_OK;
}

static dcls_status check_required(dcls_context *ctx, const dcls_draft_node *draft)
{
    const unsigned required = dcls_op_describe(draft->node.op)->required;
    for (int attr = 0; attr < DCLS_ATTR_COUNT; attr++)
        if (((required >> attr) & 1) && draft->given[attr] == 0)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' is missing",
                             dcls_attr_name((dcls_attr)attr));
    return DCLS_OK;
}

/* ---- shapes of tensors ---------------------------------------------------------------------------- */

static dcls_status fail_shape(dcls_context *ctx, const dcls_tensor *tensor, int ndim, const int64_t *want)
{
    char is[DCLS_SHAPE_TEXT], must[DCLS_SHAPE_TEXT];
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %s, must be %s", tensor->name,
                     dcls_shape_text(is, sizeof is, tensor->ndim, tensor->shape),
                     dcls_shape_text(must, sizeof must, ndim, want));
}

/* tensor may be NULL. */
static dcls_status want_vector(dcls_context *ctx, const dcls_tensor *tensor, int64_t length)
{
    if (tensor == NULL || dcls_shape_equal(tensor->ndim, tensor->shape, 1, &length)) return DCLS_OK;
    return fail_shape(ctx, tensor, 1, &length);
}

static dcls_status want_rank(dcls_context *ctx, const dcls_tensor *tensor, int ndim, const char *axes)
{
    char is[DCLS_SHAPE_TEXT];
    dcls_shape_text(is, sizeof is, tensor->ndim, tensor->shape);
    if (tensor->ndim != ndim)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %s, must be %s", tensor->name, is, axes);
    for (int i = 0; i < ndim; i++)
        if (tensor->shape[i] < 1)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %s: it is empty", tensor->name, is);
    return DCLS_OK;
}

/* A size that is said as well must be what its tensor has. */
static dcls_status check_said(dcls_context *ctx, const dcls_draft_node *draft, dcls_attr attr, int64_t said,
                              int64_t is)
{
    if (draft->given[attr] == 0 || said == is || said == DCLS_CLASSES) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' is %lld, but tensor '%s' has %lld",
                     dcls_attr_name(attr), (long long)said, draft->node.weight->name, (long long)is);
}

/* weight [out, in/groups, ..]: channels and groups. */
static dcls_status set_channels(dcls_context *ctx, dcls_draft_node *draft)
{
    dcls_node *node = &draft->node;
    const int64_t *shape = node->weight->shape;
    DCLS_TRY(check_said(ctx, draft, DCLS_ATTR_OUT_CHANNELS, node->out_channels, shape[0]));
    node->out_channels = shape[0];
    if (node->out_channels % node->groups != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%lld groups do not divide its %lld output channels",
                         (long long)node->groups, (long long)node->out_channels);
    if (!dcls_mul_i64(shape[1], node->groups, &node->in_channels))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "too many input channels");
    return want_vector(ctx, node->bias, node->out_channels);
}

/* ---- windows -------------------------------------------------------------------------------------- */

static dcls_status spread(dcls_context *ctx, const dcls_draft_node *draft, dcls_attr attr, int ndim,
                          int64_t *values)
{
    const int given = draft->given[attr];
    if (given > 1 && given != ndim)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute '%s' has %d values, must have 1 or %d",
                         dcls_attr_name(attr), given, ndim);
    for (int i = given > 1 ? ndim : 1; i < ndim; i++)
        values[i] = values[0];
    return DCLS_OK;
}

static dcls_status pad_same(dcls_context *ctx, dcls_window *w)
{
    for (int i = 0; i < w->ndim; i++) {
        if (w->stride[i] != 1)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "padding \"same\" needs stride 1, not %lld",
                             (long long)w->stride[i]);
        const int64_t total = w->dilation[i] * (w->kernel[i] - 1);
        w->pad_before[i] = total / 2;
        w->pad_after[i] = total - total / 2;
    }
    return DCLS_OK;
}

static dcls_status fill_padding(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    dcls_window *w = &draft->node.window;
    if (w->pad_before[0] == DCLS_PAD_SAME) return pad_same(ctx, w);
    if (w->pad_before[0] == DCLS_PAD_HALF)
        for (int i = 0; i < ndim; i++)
            w->pad_before[i] = w->kernel[i] / 2;
    else
        DCLS_TRY(spread(ctx, draft, DCLS_ATTR_PADDING, ndim, w->pad_before));
    memcpy(w->pad_after, w->pad_before, sizeof w->pad_after);
    return DCLS_OK;
}

/* Spreads stride, padding and dilation over the dimensions of a window whose kernel is known. Dimensions it
 * does not have become those of a 1x1 window. */
static dcls_status fill_window(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    dcls_window *w = &draft->node.window;
    w->ndim = ndim;
    DCLS_TRY(spread(ctx, draft, DCLS_ATTR_STRIDE, ndim, w->stride));
    DCLS_TRY(spread(ctx, draft, DCLS_ATTR_DILATION, ndim, w->dilation));
    DCLS_TRY(fill_padding(ctx, draft, ndim));
    for (int i = ndim; i < DCLS_MAX_SPATIAL; i++) {
        w->kernel[i] = w->stride[i] = w->dilation[i] = 1;
        w->pad_before[i] = w->pad_after[i] = 0;
    }
    return DCLS_OK;
}

static dcls_status check_conv(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    static const char *const AXES[] = {"[out, in/groups, width]", "[out, in/groups, height, width]",
                                       "[out, in/groups, depth, height, width]"};
    dcls_node *node = &draft->node;
    const dcls_tensor *weight = node->weight;
    if (weight->ndim == 3 && ndim > 1) {
        char is[DCLS_SHAPE_TEXT];
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "tensor '%s' is %s, must be %s; as the elements of a DCLS layer it would need their "
                         "positions beside it, P",
                         weight->name, dcls_shape_text(is, sizeof is, weight->ndim, weight->shape),
                         AXES[ndim - 1]);
    }
    DCLS_TRY(want_rank(ctx, weight, ndim + 2, AXES[ndim - 1]));
    DCLS_TRY(set_channels(ctx, draft));
    DCLS_TRY(spread(ctx, draft, DCLS_ATTR_KERNEL_SIZE, ndim, node->window.kernel));
    for (int i = 0; i < ndim; i++) {
        DCLS_TRY(check_said(ctx, draft, DCLS_ATTR_KERNEL_SIZE, node->window.kernel[i],
                            node->weight->shape[i + 2]));
        node->window.kernel[i] = node->weight->shape[i + 2];
        if (node->window.kernel[i] > DCLS_WINDOW_MAX)
            return dcls_fail(ctx, DCLS_ERR_LIMIT, "a kernel side of %lld is more than the %d supported",
                             (long long)node->window.kernel[i], DCLS_WINDOW_MAX);
    }
    return fill_window(ctx, draft, ndim);
}

static dcls_status check_pool(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    dcls_window *w = &draft->node.window;
    DCLS_TRY(spread(ctx, draft, DCLS_ATTR_KERNEL_SIZE, ndim, w->kernel));
    if (draft->given[DCLS_ATTR_STRIDE] == 0) {
        memcpy(w->stride, w->kernel, sizeof w->stride);
        draft->given[DCLS_ATTR_STRIDE] = (uint8_t)ndim;
    }
    DCLS_TRY(fill_window(ctx, draft, ndim));
    for (int i = 0; i < ndim; i++)
        if (w->pad_before[i] > w->kernel[i] / 2 || w->pad_after[i] > w->kernel[i] / 2)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "padding %lld is more than half of kernel_size %lld",
                             (long long)w->pad_after[i], (long long)w->kernel[i]);
    return DCLS_OK;
}

/* ---- DCLS layers ---------------------------------------------------------------------------------- */

typedef struct layer_form {
    int weight_ndim; /* with K as the last axis; 0: not of this dimension */
    int positions;   /* P's first axis */
    const char *axes;
} layer_form;

static layer_form form_of(dcls_layer_kind layer, int ndim)
{
    switch (layer) {
    case DCLS_LAYER_FULL: return (layer_form){3, ndim, "[out, in/groups, K] unless layer is 2_1d or 3_1d"};
    case DCLS_LAYER_2DK1D: return (layer_form){ndim == 2 ? 3 : 0, 1, "[out, in/groups, K]"};
    case DCLS_LAYER_2_1D: return (layer_form){ndim == 2 ? 4 : 0, 1, "[out, in/groups, dense, K]"};
    case DCLS_LAYER_3_1D: return (layer_form){ndim == 3 ? 5 : 0, 1, "[out, in/groups, dense, dense, K]"};
    }
    return (layer_form){0, 0, ""};
}

/* P and SIG: [positions, weight's shape], or without the out axis where all output channels share them. */
static dcls_status check_positions(dcls_context *ctx, const dcls_node *node, const dcls_tensor *tensor,
                                   int positions)
{
    const dcls_tensor *weight = node->weight;
    int64_t want[DCLS_MAX_DIMS];
    int n = 0;
    want[n++] = positions;
    for (int i = tensor->ndim == weight->ndim ? 1 : 0; i < weight->ndim; i++)
        want[n++] = weight->shape[i];
    if (!dcls_shape_equal(tensor->ndim, tensor->shape, n, want)) return fail_shape(ctx, tensor, n, want);
    return DCLS_OK;
}

static dcls_status check_spreads(dcls_context *ctx, const dcls_node *node, int positions)
{
    const bool wanted = dcls_kernel_version_has_spread(node->version);
    if (wanted && node->SIG == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "version %s needs SIG, which is missing (v0 and v1 do without)",
                         dcls_kernel_version_name(node->version));
    if (!wanted && node->SIG != NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "it has SIG, tensor '%s', so version must be max or gauss, not %s", node->SIG->name,
                         dcls_kernel_version_name(node->version));
    if (!wanted) return DCLS_OK;
    if (node->SIG->ndim != node->P->ndim)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "P and SIG differ in rank: %d and %d", node->P->ndim,
                         node->SIG->ndim);
    return check_positions(ctx, node, node->SIG, positions);
}

/* Puts D where the dense kernel has it; D has one value where positions have one dimension. */
static dcls_status place_kernel(dcls_context *ctx, dcls_draft_node *draft, int ndim, int positions)
{
    dcls_node *node = &draft->node;
    int64_t size[DCLS_MAX_SPATIAL] = {1, 1, 1};
    memcpy(size, node->window.kernel, sizeof size);
    DCLS_TRY(spread(ctx, draft, DCLS_ATTR_DILATED_KERNEL_SIZE, positions, size));
    for (int i = 0; i < DCLS_MAX_SPATIAL; i++)
        node->window.kernel[i] = 1;
    switch (node->layer) {
    case DCLS_LAYER_FULL: memcpy(node->window.kernel, size, (size_t)ndim * sizeof size[0]); break;
    case DCLS_LAYER_2DK1D: node->window.kernel[node->flat_dim] = size[0]; break;
    case DCLS_LAYER_2_1D:
    case DCLS_LAYER_3_1D:
        for (int i = 0; i < ndim - 1; i++)
            node->window.kernel[i] = node->weight->shape[i + 2];
        node->window.kernel[ndim - 1] = size[0];
        break;
    }
    return DCLS_OK;
}

/* The dense kernels must be something that could be built. */
static dcls_status check_kernel_bytes(dcls_context *ctx, const dcls_node *node, int ndim)
{
    const int64_t *kernel = node->window.kernel;
    const int64_t shape[5] = {node->weight->shape[0], node->weight->shape[1], kernel[0], kernel[1],
                              kernel[2]};
    int64_t cells = 0;
    size_t bytes = 0;
    char text[DCLS_SHAPE_TEXT];
    if (dcls_shape_count(3, shape + 2, &cells) && cells <= INT32_MAX &&
        dcls_shape_bytes(DCLS_F32, 5, shape, &bytes) && bytes <= ctx->limit[DCLS_LIMIT_MEMORY_BYTES])
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "its dense kernels %s are larger than memory may be",
                     dcls_shape_text(text, sizeof text, ndim + 2, shape));
}

dcls_status dcls_check_layer(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    dcls_node *node = &draft->node;
    const layer_form form = form_of(node->layer, ndim);
    if (form.weight_ndim == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "this layer kind is not for %d-D networks: 2_1d and 2dK1d are 2-D, 3_1d is 3-D",
                         ndim);
    DCLS_TRY(want_rank(ctx, node->weight, form.weight_ndim, form.axes));
    const int64_t count = node->weight->shape[form.weight_ndim - 1];
    const bool shared = node->P->ndim == node->weight->ndim;
    DCLS_TRY(check_said(ctx, draft, DCLS_ATTR_KERNEL_COUNT, node->kernel_count, count));
    if (draft->given[DCLS_ATTR_SHARED_POSITIONS] && node->shared_positions != shared)
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "attribute 'shared_positions' is %s, but tensor '%s' is not so",
                         node->shared_positions ? "true" : "false", node->P->name);
    node->kernel_count = count;
    node->shared_positions = shared;
    DCLS_TRY(check_positions(ctx, node, node->P, form.positions));
    DCLS_TRY(check_spreads(ctx, node, form.positions));
    DCLS_TRY(place_kernel(ctx, draft, ndim, form.positions));
    return check_kernel_bytes(ctx, node, ndim);
}

static dcls_status check_dcls(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    DCLS_TRY(dcls_check_layer(ctx, draft, ndim));
    DCLS_TRY(set_channels(ctx, draft));
    return fill_window(ctx, draft, ndim);
}

/* ---- the rest ------------------------------------------------------------------------------------- */

static dcls_status check_linear(dcls_context *ctx, dcls_draft_node *draft)
{
    DCLS_TRY(want_rank(ctx, draft->node.weight, 2, "[out, in]"));
    draft->node.groups = 1;
    return set_channels(ctx, draft);
}

/* Norms and layer scale: vectors of one length; out_channels 0 where there is none. */
static dcls_status check_vectors(dcls_context *ctx, dcls_node *node)
{
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
        const dcls_tensor *tensor = dcls_node_tensor(node, (dcls_slot)slot);
        if (tensor == NULL) continue;
        DCLS_TRY(want_rank(ctx, tensor, 1, "[channels]"));
        if (node->out_channels == 0) node->out_channels = tensor->shape[0];
        DCLS_TRY(want_vector(ctx, tensor, node->out_channels));
    }
    node->in_channels = node->out_channels;
    if (node->weight == NULL && node->bias != NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "it has a bias but no weight");
    return DCLS_OK;
}

static dcls_status check_resize(dcls_context *ctx, dcls_draft_node *draft, int ndim)
{
    dcls_node *node = &draft->node;
    const int size = draft->given[DCLS_ATTR_SIZE], scale = draft->given[DCLS_ATTR_SCALE];
    if ((size > 0) + (scale > 0) + (draft->input_count > 1) != 1)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "it needs one of 'size', 'scale' and a second input");
    if (node->align_corners && node->interpolation == DCLS_INTERP_NEAREST)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "align_corners has no meaning with mode nearest");
    node->window.ndim = ndim;
    if (size > 0) return spread(ctx, draft, DCLS_ATTR_SIZE, ndim, node->size);
    if (scale > 1 && scale != ndim)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "attribute 'scale' has %d values, must have 1 or %d", scale,
                         ndim);
    for (int i = 1; i < ndim && scale == 1; i++)
        node->scale[i] = node->scale[0];
    return DCLS_OK;
}

dcls_status dcls_check_attributes(dcls_context *ctx, const dcls_tensors *tensors, dcls_draft_node *draft)
{
    DCLS_TRY(find_tensors(ctx, tensors, draft));
    return check_required(ctx, draft);
}

dcls_status dcls_check_node(dcls_context *ctx, const dcls_model *model, dcls_draft_node *draft)
{
    const int ndim = model->input_ndim - 2;
    DCLS_TRY(dcls_check_attributes(ctx, model->tensors, draft));
    switch (draft->node.op) {
    case DCLS_OP_CONV: return check_conv(ctx, draft, ndim);
    case DCLS_OP_DCLS: return check_dcls(ctx, draft, ndim);
    case DCLS_OP_LINEAR: return check_linear(ctx, draft);
    case DCLS_OP_BATCH_NORM:
    case DCLS_OP_LAYER_NORM:
    case DCLS_OP_LAYER_SCALE: return check_vectors(ctx, &draft->node);
    case DCLS_OP_MAX_POOL:
    case DCLS_OP_AVG_POOL: return check_pool(ctx, draft, ndim);
    case DCLS_OP_RESIZE: return check_resize(ctx, draft, ndim);
    default: return DCLS_OK;
    }
}
