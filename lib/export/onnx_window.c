/* Convolutions and pools as ONNX nodes. DCLS layers become the convolution with their dense kernel. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "export/onnx_emit.h"

/* pads as ONNX wants them for a window: all begins, then all ends. */
static void window_pads(const dcls_window *w, int64_t pads[2 * DCLS_MAX_SPATIAL])
{
    for (int i = 0; i < w->ndim; i++) {
        pads[i] = w->pad_before[i];
        pads[w->ndim + i] = w->pad_after[i];
    }
}

/* ---- padding -------------------------------------------------------------------------------------- */

/* The Pad operator: pads of a window spread over all axes of its input. value is what constant padding puts
 * there. */
static const char *emit_pad(dcls_onnx_emit *e, const char *x, const char *mode, int ndim, const int64_t *pads,
                            float value)
{
    int64_t all[2 * (DCLS_MAX_SPATIAL + 2)] = {0};
    for (int i = 0; i < ndim; i++) {
        all[2 + i] = pads[i];
        all[ndim + 4 + i] = pads[ndim + i];
    }
    const char *inputs[3] = {x, dcls_emit_ints(e, "pads", 2 * (ndim + 2), all)};
    const bool constant = strcmp(mode, "constant") == 0;
    if (constant) inputs[2] = dcls_emit_scalar(e, value);
    const char *padded = dcls_emit_node(e, "Pad", false, constant ? 3 : 2, inputs);
    dcls_onnx_attr_text(e->graph, "mode", mode);
    return padded;
}

static const char *emit_slice(dcls_onnx_emit *e, const char *x, int64_t axis, int64_t start, int64_t end)
{
    const char *inputs[] = {x, dcls_emit_ints(e, "start", 1, &start), dcls_emit_ints(e, "end", 1, &end),
                            dcls_emit_ints(e, "axis", 1, &axis)};
    return dcls_emit_node(e, "Slice", false, 4, inputs);
}

/* Pad has a mode for it from opset 19 on. */
static const char *pad_circular(dcls_onnx_emit *e, const char *x)
{
    const dcls_window *w = &e->node->window;
    for (int i = 0; i < w->ndim; i++) {
        const char *parts[3];
        int count = 0;
        if (w->pad_before[i] > 0) parts[count++] = emit_slice(e, x, i + 2, -w->pad_before[i], INT64_MAX);
        parts[count++] = x;
        if (w->pad_after[i] > 0) parts[count++] = emit_slice(e, x, i + 2, 0, w->pad_after[i]);
        if (count == 1) continue;
        x = dcls_emit_node(e, "Concat", false, count, parts);
        dcls_onnx_attr_int(e->graph, "axis", i + 2);
    }
    return x;
}

/* The input with the node's padding around it, for modes other than zeros. */
static const char *pad_ahead(dcls_onnx_emit *e, const char *x)
{
    const dcls_window *w = &e->node->window;
    int64_t pads[2 * DCLS_MAX_SPATIAL] = {0};
    window_pads(w, pads);
    if (w->pad_mode == DCLS_PAD_CIRCULAR) return pad_circular(e, x);
    return emit_pad(e, x, w->pad_mode == DCLS_PAD_REFLECT ? "reflect" : "edge", w->ndim, pads, 0);
}

/* ---- convolutions --------------------------------------------------------------------------------- */

/* Layers that make the same kernel of the same tensors share it, as they share those. */
static bool dense_key(const dcls_node *node, dcls_string *key)
{
    dcls_string_printf(key, "dense %d %d %d", (int)node->version, (int)node->layer, node->flat_dim);
    for (int i = 0; i < node->window.ndim; i++)
        dcls_string_printf(key, " %lld", (long long)node->window.kernel[i]);
    /* With their lengths: names may hold blanks. */
    const char *const names[] = {node->weight->name, node->P->name, node->SIG != NULL ? node->SIG->name : ""};
    for (int i = 0; i < 3; i++)
        dcls_string_printf(key, " %zu:%s", strlen(names[i]), names[i]);
    return !key->failed;
}

static dcls_status dense_kernel(dcls_onnx_emit *e, const char *key, const char **name)
{
    const dcls_node *node = e->node;
    int64_t shape[DCLS_MAX_DIMS] = {node->weight->shape[0], node->weight->shape[1]};
    memcpy(shape + 2, node->window.kernel, (size_t)node->window.ndim * sizeof shape[0]);
    *name = dcls_onnx_known(e->graph, key);
    if (*name != NULL) return DCLS_OK;
    float *dense = dcls_onnx_new_floats(e->graph, node->weight->name, node->window.ndim + 2, shape, name);
    if (dense == NULL) return dcls_onnx_status(e->graph);
    dcls_onnx_remember(e->graph, key, *name);
    return dcls_node_construct(e->ctx, node, dense);
}

static dcls_status emit_weight(dcls_onnx_emit *e, const char **name)
{
    const dcls_node *node = e->node;
    if (node->op == DCLS_OP_CONV) {
        *name = dcls_emit_tensor(e, node->weight, node->weight->ndim, node->weight->shape);
        return DCLS_OK;
    }
    dcls_string key = {0};
    dcls_status status =
        dense_key(node, &key) ? DCLS_OK : dcls_fail(e->ctx, DCLS_ERR_MEMORY, "out of memory");
    if (status == DCLS_OK) status = dense_kernel(e, key.data, name);
    dcls_string_free(&key);
    return status;
}

dcls_status dcls_onnx_conv(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const dcls_window *w = &node->window;
    const char *inputs[3] = {dcls_emit_input(e, 0)};
    int64_t pads[2 * DCLS_MAX_SPATIAL] = {0};
    DCLS_TRY(emit_weight(e, &inputs[1]));
    if (node->bias != NULL) inputs[2] = dcls_emit_tensor(e, node->bias, 1, node->bias->shape);
    if (w->pad_mode == DCLS_PAD_ZEROS)
        window_pads(w, pads);
    else
        inputs[0] = pad_ahead(e, inputs[0]);
    dcls_emit_node(e, "Conv", true, node->bias != NULL ? 3 : 2, inputs);
    dcls_onnx_attr_ints(e->graph, "kernel_shape", w->ndim, w->kernel);
    dcls_onnx_attr_ints(e->graph, "strides", w->ndim, w->stride);
    dcls_onnx_attr_ints(e->graph, "pads", 2 * w->ndim, pads);
    dcls_onnx_attr_ints(e->graph, "dilations", w->ndim, w->dilation);
    dcls_onnx_attr_int(e->graph, "group", node->groups);
    return DCLS_OK;
}

/* ---- pools ---------------------------------------------------------------------------------------- */

/* How far windows may reach past the padded input. Runtimes disagree about ceil_mode (which cells an average
 * counts, whether a last window may start in the padding, where PyTorch drops it), so it is written as
 * padding behind the input and a size rounded down. With m = input + padding before it, windows that start
 * inside number ceil(m / stride), which padding of reach - 1 gives; PyTorch has ceil((m + after - reach) /
 * stride) + 1, which after + stride - 1 gives, or the former where that is less. */
static int64_t overhang(const dcls_window *w, int axis)
{
    const int64_t reach = w->dilation[axis] * (w->kernel[axis] - 1) + 1;
    if (!w->ceil_mode) return 0;
    const int64_t inside = reach - 1 - w->pad_after[axis];
    return inside < w->stride[axis] - 1 ? inside : w->stride[axis] - 1;
}

/* Whether every pad is smaller than the kernel, as ONNX Runtime wants it of a pool. */
static bool pads_fit(const dcls_window *w, const int64_t *pads)
{
    for (int i = 0; i < 2 * w->ndim; i++)
        if (pads[i] >= w->kernel[i % w->ndim]) return false;
    return true;
}

dcls_status dcls_onnx_pool(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const dcls_window *w = &node->window;
    const bool average = node->op == DCLS_OP_AVG_POOL;
    const char *x = dcls_emit_input(e, 0);
    int64_t pads[2 * DCLS_MAX_SPATIAL] = {0}, extra[2 * DCLS_MAX_SPATIAL] = {0};
    bool over = false;
    window_pads(w, pads);
    for (int i = 0; i < w->ndim; i++) {
        extra[w->ndim + i] = overhang(w, i);
        over = over || extra[w->ndim + i] > 0;
    }
    bool include = average && w->count_include_pad;
    if (include && over) { /* the padding counts, what ceil_mode reaches beyond it does not */
        x = emit_pad(e, x, "constant", w->ndim, pads, 0);
        memcpy(pads, extra, sizeof pads);
        include = false;
    } else {
        for (int i = 0; i < 2 * w->ndim; i++)
            pads[i] += extra[i];
    }
    if (!average && !pads_fit(w, pads)) {
        x = emit_pad(e, x, "constant", w->ndim, pads, -INFINITY);
        memset(pads, 0, sizeof pads);
    }
    dcls_emit_last(e, average ? "AveragePool" : "MaxPool", x, NULL);
    dcls_onnx_attr_ints(e->graph, "kernel_shape", w->ndim, w->kernel);
    dcls_onnx_attr_ints(e->graph, "strides", w->ndim, w->stride);
    dcls_onnx_attr_ints(e->graph, "pads", 2 * w->ndim, pads);
    if (average)
        dcls_onnx_attr_int(e->graph, "count_include_pad", include);
    else
        dcls_onnx_attr_ints(e->graph, "dilations", w->ndim, w->dilation);
    return DCLS_OK;
}
