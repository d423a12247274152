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

static const char *shape_part(dcls_onnx_emit *e, const char *x, int64_t from, int64_t to)
{
    const char *inputs[] = {dcls_emit_step(e, "Shape", x, NULL), dcls_emit_ints(e, "from", 1, &from),
                            dcls_emit_ints(e, "to", 1, &to)};
    return dcls_emit_node(e, "Slice", false, 3, inputs);
}

/* ---- nearest -------------------------------------------------------------------------------------- */

static int64_t clamp_cell(float position, int64_t size)
{
    const int64_t cell = (int64_t)floorf(position);
    return cell < size ? cell : size - 1;
}

static float torch_step(const dcls_node *node, int axis, int64_t in, int64_t out)
{
    return node->scale[axis] > 0 ? (float)(1.0 / node->scale[axis]) : (float)in / (float)out;
}

/* Output cells that are compared where a scale says nothing of their number. */
#define MANY_CELLS 65536

/* PyTorch multiplies by a rounded step, ONNX divides by a rounded scale: 14 cells made 2 are 0 and 7 here, 0
 * and 6 there. */
static bool axis_agrees(const dcls_node *node, int axis, int64_t in, int64_t out)
{
    const bool known = in != DCLS_ANY && out != DCLS_ANY;
    if (!known && node->scale[axis] <= 0) return false;
    const float step = torch_step(node, axis, in, out);
    const float scale = node->scale[axis] > 0 ? (float)node->scale[axis] : (float)out / (float)in;
    const int64_t cells = known ? out : MANY_CELLS, size = known ? in : INT32_MAX;
    for (int64_t at = 0; at < cells; at++)
        if (clamp_cell((float)at * step, size) != clamp_cell((float)at / scale, size)) return false;
    return true;
}

static bool cells_agree(const dcls_onnx_emit *e)
{
    const dcls_shape *in = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    for (int i = 2; i < in->ndim; i++)
        if (!axis_agrees(e->node, i - 2, in->size[i], out->size[i])) return false;
    return true;
}

/* The cells of an axis that are taken, known now. */
static const char *constant_cells(dcls_onnx_emit *e, int axis, int64_t in, int64_t out)
{
    const float step = torch_step(e->node, axis, in, out);
    int64_t *cells = dcls_alloc(e->ctx, (size_t)out, sizeof *cells);
    if (cells == NULL) return NULL;
    for (int64_t at = 0; at < out; at++)
        cells[at] = clamp_cell((float)at * step, in);
    const char *name = dcls_emit_ints(e, "cells", (int)out, cells);
    free(cells);
    return name;
}

/* A size of a value as a float. */
static const char *axis_length(dcls_onnx_emit *e, const char *value, int axis)
{
    const char *size = dcls_emit_step(e, "Squeeze", shape_part(e, value, axis, axis + 1), NULL);
    return dcls_emit_cast(e, size, DCLS_F32);
}

/* The same for an input of any size: min(floor(at step), in - 1), worked out when the network runs. */
static const char *computed_cells(dcls_onnx_emit *e, int axis)
{
    const dcls_node *node = e->node;
    const bool scaled = node->scale[axis] > 0;
    const char *in = axis_length(e, dcls_emit_input(e, 0), axis + 2), *out;
    if (scaled)
        out = dcls_emit_step(
            e, "Floor", dcls_emit_step(e, "Mul", in, dcls_emit_scalar(e, (float)node->scale[axis])), NULL);
    else if (node->size[axis] > 0)
        out = dcls_emit_scalar(e, (float)node->size[axis]);
    else
        out = axis_length(e, dcls_emit_input(e, 1), axis + 2);
    const char *step =
        scaled ? dcls_emit_scalar(e, torch_step(node, axis, 0, 0)) : dcls_emit_step(e, "Div", in, out);
    const char *range[] = {dcls_emit_scalar(e, 0), out, dcls_emit_scalar(e, 1)};
    const char *at = dcls_emit_node(e, "Range", false, 3, range);
    const char *cells = dcls_emit_step(e, "Floor", dcls_emit_step(e, "Mul", at, step), NULL);
    const char *last = dcls_emit_step(e, "Sub", in, dcls_emit_scalar(e, 1));
    return dcls_emit_cast(e, dcls_emit_step(e, "Min", cells, last), DCLS_I64);
}

static dcls_status gather_cells(dcls_onnx_emit *e)
{
    const dcls_shape *in = dcls_emit_shape(e, 0), *out = dcls_emit_output(e);
    const char *x = dcls_emit_input(e, 0);
    for (int i = 2; i < in->ndim; i++) {
        const bool known = in->size[i] != DCLS_ANY && out->size[i] != DCLS_ANY;
        const char *cells =
            known ? constant_cells(e, i - 2, in->size[i], out->size[i]) : computed_cells(e, i - 2);
        if (cells == NULL) return DCLS_ERR_MEMORY;
        x = dcls_emit_node(e, "Gather", i == in->ndim - 1, 2, (const char *[]){x, cells});
        dcls_onnx_attr_int(e->graph, "axis", i);
    }
    return DCLS_OK;
}

/* ---- sizes and scales ----------------------------------------------------------------------------- */

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
    if (nearest && !cells_agree(e)) return gather_cells(e);
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
