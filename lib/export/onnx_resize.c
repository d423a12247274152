/* Resizing as ONNX nodes, with the source positions PyTorch takes. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "export/onnx_emit.h"

static bool is_known(const dcls_shape *shape)
{
    for (int i = 2; i < shape->ndim; i++)
        if (shape->size[i] == DCLS_ANY) return false;
    return true;
}

/* ---- nearest -------------------------------------------------------------------------------------- */

static int64_t clamp_cell(float position, int64_t size)
{
    const int64_t cell = (int64_t)floorf(position);
    return cell < size ? cell : size - 1;
}

/* PyTorch multiplies by a rounded step where ONNX divides by a rounded scale. */
static int64_t torch_cell(const dcls_node *node, int axis, int64_t in, int64_t out, int64_t at)
{
    const float step = node->scale[axis] > 0 ? (float)(1.0 / node->scale[axis]) : (float)in / (float)out;
    return clamp_cell((float)at * step, in);
}

static int64_t onnx_cell(const dcls_node *node, int axis, int64_t in, int64_t out, int64_t at)
{
    const float scale = node->scale[axis] > 0 ? (float)node->scale[axis] : (float)out / (float)in;
    return clamp_cell((float)at / scale, in);
}

static bool cells_agree(const dcls_onnx_emit *e)
{
    const dcls_shape *in = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    for (int i = 0; i < in->ndim - 2; i++)
        for (int64_t at = 0; at < out->size[i + 2]; at++)
            if (torch_cell(e->node, i, in->size[i + 2], out->size[i + 2], at) !=
                onnx_cell(e->node, i, in->size[i + 2], out->size[i + 2], at))
                return false;
    return true;
}

/* The cells themselves, axis by axis. */
static dcls_status gather_cells(dcls_onnx_emit *e)
{
    const dcls_shape *in = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    const char *x = dcls_emit_input(e, 0);
    for (int i = 0; i < in->ndim - 2; i++) {
        const int64_t size = out->size[i + 2];
        int64_t *cells = dcls_alloc(e->ctx, (size_t)size, sizeof *cells);
        if (cells == NULL) return DCLS_ERR_MEMORY;
        for (int64_t at = 0; at < size; at++)
            cells[at] = torch_cell(e->node, i, in->size[i + 2], size, at);
        const char *inputs[] = {x, dcls_emit_ints(e, "cells", (int)size, cells)};
        x = dcls_emit_node(e, "Gather", i == in->ndim - 3, 2, inputs);
        dcls_onnx_attr_int(e->graph, "axis", i + 2);
        free(cells);
    }
    return DCLS_OK;
}

/* ---- sizes and scales ----------------------------------------------------------------------------- */

static const char *shape_part(dcls_onnx_emit *e, const char *x, int64_t from, int64_t to)
{
    const char *inputs[] = {dcls_emit_step(e, "Shape", x, NULL), dcls_emit_ints(e, "from", 1, &from),
                            dcls_emit_ints(e, "to", 1, &to)};
    return dcls_emit_node(e, "Slice", false, 3, inputs);
}

/* Resize wants the sizes of all axes, and the batch is open. */
static const char *emit_sizes(dcls_onnx_emit *e)
{
    const dcls_shape *x = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    const char *spatial = is_known(out) ? dcls_emit_ints(e, "size", out->ndim - 2, out->size + 2)
                                        : shape_part(e, dcls_emit_input(e, 1), 2, x->ndim);
    const char *parts[] = {shape_part(e, dcls_emit_input(e, 0), 0, 2), spatial};
    const char *sizes = dcls_emit_node(e, "Concat", false, 2, parts);
    dcls_onnx_attr_int(e->graph, "axis", 0);
    return sizes;
}

/* A float that gives the output's size, rounded down, from the input's. */
static float fitting_scale(double scale, int64_t in, int64_t out)
{
    float fit = (float)scale;
    if (in == DCLS_ANY || out == DCLS_ANY) return fit;
    while ((int64_t)floorf(fit * (float)in) < out)
        fit = nextafterf(fit, INFINITY);
    while ((int64_t)floorf(fit * (float)in) > out)
        fit = nextafterf(fit, 0);
    return fit;
}

static const char *emit_scales(dcls_onnx_emit *e)
{
    const dcls_shape *in = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    const char *name;
    const int64_t count = in->ndim;
    const char *base = dcls_onnx_join(e->graph, e->node->name, "scales");
    float *scales = dcls_onnx_new_floats(e->graph, base, 1, &count, &name);
    for (int i = 0; scales != NULL && i < in->ndim; i++)
        scales[i] = i < 2 ? 1.0f : fitting_scale(e->node->scale[i - 2], in->size[i], out->size[i]);
    return name;
}

/* A scale decides where the cells come from as well, except with align_corners. */
static bool by_scale(const dcls_onnx_emit *e)
{
    const bool known = is_known(dcls_emit_output(e));
    return e->node->scale[0] > 0 && !(e->node->align_corners && known);
}

dcls_status dcls_onnx_resize(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const bool nearest = node->interpolation == DCLS_INTERP_NEAREST;
    if (nearest && is_known(dcls_emit_shape(e, 0)) && is_known(dcls_emit_output(e)) && !cells_agree(e))
        return gather_cells(e);
    const char *inputs[4] = {dcls_emit_input(e, 0), "", ""};
    if (by_scale(e))
        inputs[2] = emit_scales(e);
    else
        inputs[3] = emit_sizes(e);
    dcls_emit_node(e, "Resize", true, inputs[3] != NULL ? 4 : 3, inputs);
    dcls_onnx_attr_text(e->graph, "mode", nearest ? "nearest" : "linear");
    dcls_onnx_attr_text(e->graph, "coordinate_transformation_mode",
                        nearest               ? "asymmetric"
                        : node->align_corners ? "align_corners"
                                              : "half_pixel");
    if (nearest) dcls_onnx_attr_text(e->graph, "nearest_mode", "floor");
    return DCLS_OK;
}
