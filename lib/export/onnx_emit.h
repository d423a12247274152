/* One operation of a network on its way into an ONNX graph, shared by the files that know the operations. */
#ifndef DCLS_EXPORT_ONNX_EMIT_H
#define DCLS_EXPORT_ONNX_EMIT_H

#include "export/onnx_graph.h"
#include "model/model.h"

typedef struct dcls_onnx_emit {
    dcls_context *ctx;
    dcls_onnx_graph *graph;
    const dcls_model *model;
    const dcls_shape *shapes; /* of all values; open sizes are DCLS_ANY */
    const char **values;      /* names of the values made so far */
    const dcls_node *node;
    const char *result; /* the name its last ONNX node must give its output */
} dcls_onnx_emit;

/* Shape and name of an input of the node, shape of its output. */
const dcls_shape *dcls_emit_shape(const dcls_onnx_emit *e, int input);
const char *dcls_emit_input(const dcls_onnx_emit *e, int input);
const dcls_shape *dcls_emit_output(const dcls_onnx_emit *e);

/* An ONNX node of one or two inputs (the second NULL) whose output gets a name after the op, or is the
 * result. */
const char *dcls_emit_step(dcls_onnx_emit *e, const char *op, const char *a, const char *b);
const char *dcls_emit_last(dcls_onnx_emit *e, const char *op, const char *a, const char *b);
/* The same for any inputs; last says which. */
const char *dcls_emit_node(dcls_onnx_emit *e, const char *op, bool last, int count,
                           const char *const *inputs);
/* The value as DCLS_F32 or DCLS_I64. */
const char *dcls_emit_cast(dcls_onnx_emit *e, const char *x, dcls_dtype dtype);

/* A tensor of the model as floats of the given shape, without a copy where it is F32; stored once however
 * often it is asked for. */
const char *dcls_emit_tensor(dcls_onnx_emit *e, const dcls_tensor *tensor, int ndim, const int64_t *shape);
/* A number, stored once. */
const char *dcls_emit_scalar(dcls_onnx_emit *e, float value);
/* A vector of I64 named after what it is for. */
const char *dcls_emit_ints(dcls_onnx_emit *e, const char *part, int count, const int64_t *values);

typedef dcls_status dcls_onnx_emit_fn(dcls_onnx_emit *e);
dcls_onnx_emit_fn dcls_onnx_conv, dcls_onnx_pool, dcls_onnx_resize;
/* Any operation; the node is named in failures by the caller. */
dcls_onnx_emit_fn dcls_onnx_lower;

#endif
