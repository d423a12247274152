/*
 * An ONNX graph under construction: values are referred to by name, nodes are appended in execution order.
 *
 * Failures are sticky: after the first one every call does nothing and gives "", and dcls_onnx_write reports
 * it. Names and data that a call gives out belong to the graph. ONNX has no bound on what a file holds, but
 * protobuf does, so tensors of more than 2 GiB together are DCLS_ERR_LIMIT as soon as they are added.
 */
#ifndef DCLS_EXPORT_ONNX_GRAPH_H
#define DCLS_EXPORT_ONNX_GRAPH_H

#include "base/context.h"

typedef struct dcls_onnx_graph dcls_onnx_graph;

dcls_status dcls_onnx_create(dcls_context *ctx, dcls_onnx_graph **out);
void dcls_onnx_destroy(dcls_onnx_graph *graph);
dcls_status dcls_onnx_status(const dcls_onnx_graph *graph);

/* base, or base with a number behind it: a name that no value and no tensor has. */
const char *dcls_onnx_name(dcls_onnx_graph *graph, const char *base);
/* "node/part", and a name made of that in the same way. */
const char *dcls_onnx_join(dcls_onnx_graph *graph, const char *node, const char *part);
const char *dcls_onnx_part(dcls_onnx_graph *graph, const char *node, const char *part);

/* ---- tensors that are part of the file ---- */

/* data is kept by the caller until the graph is written. Gives the tensor's name. */
const char *dcls_onnx_floats(dcls_onnx_graph *graph, const char *base, int ndim, const int64_t *shape,
                             const float *data);
/* The same with room of the graph's own, which the caller fills; NULL after a failure. */
float *dcls_onnx_new_floats(dcls_onnx_graph *graph, const char *base, int ndim, const int64_t *shape,
                            const char **name);
/* A vector of I64, copied. */
const char *dcls_onnx_ints(dcls_onnx_graph *graph, const char *base, int64_t count, const int64_t *values);

/* Remembers a tensor's name under a key of the caller's, so that what is used twice is stored once. NULL if
 * the key is new. */
const char *dcls_onnx_known(dcls_onnx_graph *graph, const char *key);
void dcls_onnx_remember(dcls_onnx_graph *graph, const char *key, const char *name);

/* ---- nodes ---- */

/* Appends a node with one output, named `result`, and gives that name. */
const char *dcls_onnx_node(dcls_onnx_graph *graph, const char *op, const char *result, int count,
                           const char *const *inputs);
/* Attributes of the node appended last. */
void dcls_onnx_attr_int(dcls_onnx_graph *graph, const char *name, int64_t value);
/* DCLS_F32, DCLS_I64 or DCLS_U8. */
void dcls_onnx_attr_dtype(dcls_onnx_graph *graph, const char *name, dcls_dtype dtype);
void dcls_onnx_attr_ints(dcls_onnx_graph *graph, const char *name, int count, const int64_t *values);
void dcls_onnx_attr_float(dcls_onnx_graph *graph, const char *name, float value);
void dcls_onnx_attr_text(dcls_onnx_graph *graph, const char *name, const char *value);

/* ---- what stands around them ---- */

/* A size that is known, or named, or neither. */
typedef struct dcls_onnx_dim {
    int64_t size;     /* DCLS_ANY: see name */
    const char *name; /* or NULL */
} dcls_onnx_dim;

/* DCLS_F32 or DCLS_U8. */
void dcls_onnx_input(dcls_onnx_graph *graph, const char *name, dcls_dtype dtype, int ndim,
                     const dcls_onnx_dim *dims);
void dcls_onnx_output(dcls_onnx_graph *graph, const char *name, dcls_dtype dtype, int ndim,
                      const dcls_onnx_dim *dims);
void dcls_onnx_meta(dcls_onnx_graph *graph, const char *key, const char *value);

/* Writes the file, whole or not at all. */
dcls_status dcls_onnx_write(dcls_onnx_graph *graph, const char *path);

#endif
