/* Operations as ONNX nodes: one function per kind. Those with windows and resizing have files of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "export/onnx_emit.h"

/* ---- helpers -------------------------------------------------------------------------------------- */

const dcls_shape *dcls_emit_shape(const dcls_onnx_emit *e, int input)
{
    return &e->shapes[e->node->inputs[input]];
}

const char *dcls_emit_input(const dcls_onnx_emit *e, int input)
{
    return e->values[e->node->inputs[input]];
}

const dcls_shape *dcls_emit_output(const dcls_onnx_emit *e)
{
    return &e->shapes[e->node - e->model->nodes + 1];
}

const char *dcls_emit_node(dcls_onnx_emit *e, const char *op, bool last, int count, const char *const *inputs)
{
    const char *name = last ? e->result : dcls_onnx_part(e->graph, e->node->name, op);
    return dcls_onnx_node(e->graph, op, name, count, inputs);
}

const char *dcls_emit_step(dcls_onnx_emit *e, const char *op, const char *a, const char *b)
{
    return dcls_emit_node(e, op, false, b != NULL ? 2 : 1, (const char *[]){a, b});
}

const char *dcls_emit_last(dcls_onnx_emit *e, const char *op, const char *a, const char *b)
{
    return dcls_emit_node(e, op, true, b != NULL ? 2 : 1, (const char *[]){a, b});
}

const char *dcls_emit_cast(dcls_onnx_emit *e, const char *x, dcls_dtype dtype)
{
    const char *y = dcls_emit_step(e, "Cast", x, NULL);
    dcls_onnx_attr_dtype(e->graph, "to", dtype);
    return y;
}

const char *dcls_emit_tensor(dcls_onnx_emit *e, const dcls_tensor *tensor, int ndim, const int64_t *shape)
{
    char dims[DCLS_SHAPE_TEXT];
    dcls_shape_text(dims, sizeof dims, ndim, shape);
    const char *key = dcls_onnx_join(e->graph, dims, tensor->name), *name = dcls_onnx_known(e->graph, key);
    if (name != NULL) return name;
    if (tensor->dtype == DCLS_F32) {
        name = dcls_onnx_floats(e->graph, tensor->name, ndim, shape, tensor->data);
    } else {
        float *data = dcls_onnx_new_floats(e->graph, tensor->name, ndim, shape, &name);
        if (data != NULL)
            dcls_to_float(tensor->dtype, tensor->data, data, tensor->nbytes / dcls_dtype_size(tensor->dtype));
    }
    dcls_onnx_remember(e->graph, key, name);
    return name;
}

/* A vector over axis 1 of values like x: [C, 1, ..]. */
static const char *emit_vector(dcls_onnx_emit *e, const dcls_tensor *tensor, const dcls_shape *x)
{
    int64_t shape[DCLS_MAX_DIMS] = {tensor->shape[0]};
    for (int i = 1; i < x->ndim - 1; i++)
        shape[i] = 1;
    return dcls_emit_tensor(e, tensor, x->ndim - 1, shape);
}

const char *dcls_emit_scalar(dcls_onnx_emit *e, float value)
{
    char text[32], base[48];
    const char *name;
    dcls_format_float(text, sizeof text, value);
    snprintf(base, sizeof base, "const/%s", text);
    const char *known = dcls_onnx_known(e->graph, base);
    if (known != NULL) return known;
    float *data = dcls_onnx_new_floats(e->graph, base, 0, NULL, &name);
    if (data != NULL) *data = value;
    dcls_onnx_remember(e->graph, base, name);
    return name;
}

const char *dcls_emit_ints(dcls_onnx_emit *e, const char *part, int count, const int64_t *values)
{
    return dcls_onnx_ints(e->graph, dcls_onnx_join(e->graph, e->node->name, part), count, values);
}

/* ---- one function per kind of operation -------------------------------------------------------------- */

/* x / 2 (1 + erf(x / sqrt 2)), or with tanh(sqrt(2 / pi) (x + 0.044715 x^3)). ONNX has Gelu from opset 20 on.
 */
static dcls_status emit_gelu(dcls_onnx_emit *e)
{
    const char *x = dcls_emit_input(e, 0), *inner;
    if (e->node->approximate) {
        const char *square = dcls_emit_step(e, "Mul", x, x);
        const char *cube = dcls_emit_step(e, "Mul", square, x);
        const char *small = dcls_emit_step(e, "Mul", cube, dcls_emit_scalar(e, 0.044715f));
        const char *sum = dcls_emit_step(e, "Add", x, small);
        inner = dcls_emit_step(e, "Tanh", dcls_emit_step(e, "Mul", sum, dcls_emit_scalar(e, 0.7978845608f)),
                               NULL);
    } else {
        const char *scaled = dcls_emit_step(e, "Div", x, dcls_emit_scalar(e, 1.41421356237f));
        inner = dcls_emit_step(e, "Erf", scaled, NULL);
    }
    const char *gate = dcls_emit_step(e, "Add", inner, dcls_emit_scalar(e, 1.0f));
    dcls_emit_last(e, "Mul", dcls_emit_step(e, "Mul", x, gate), dcls_emit_scalar(e, 0.5f));
    return DCLS_OK;
}

static dcls_status emit_relu(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Relu", dcls_emit_input(e, 0), NULL);
    return DCLS_OK;
}

static dcls_status emit_sigmoid(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Sigmoid", dcls_emit_input(e, 0), NULL);
    return DCLS_OK;
}

static dcls_status emit_softmax(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Softmax", dcls_emit_input(e, 0), NULL);
    dcls_onnx_attr_int(e->graph, "axis", 1);
    return DCLS_OK;
}

static dcls_status emit_linear(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const char *inputs[3] = {dcls_emit_input(e, 0),
                             dcls_emit_tensor(e, node->weight, 2, node->weight->shape)};
    if (node->bias != NULL) inputs[2] = dcls_emit_tensor(e, node->bias, 1, node->bias->shape);
    dcls_emit_node(e, "Gemm", true, node->bias != NULL ? 3 : 2, inputs);
    dcls_onnx_attr_int(e->graph, "transB", 1);
    return DCLS_OK;
}

/* weight or bias of a norm, of which ONNX wants both. */
static const char *affine_or(dcls_onnx_emit *e, const dcls_tensor *tensor, const char *part, float value)
{
    if (tensor != NULL) return dcls_emit_tensor(e, tensor, 1, tensor->shape);
    char base[64];
    const char *name;
    snprintf(base, sizeof base, "%s %lld", part, (long long)e->node->out_channels);
    const char *known = dcls_onnx_known(e->graph, base);
    if (known != NULL) return known;
    float *data = dcls_onnx_new_floats(e->graph, base, 1, &e->node->out_channels, &name);
    for (int64_t c = 0; data != NULL && c < e->node->out_channels; c++)
        data[c] = value;
    dcls_onnx_remember(e->graph, base, name);
    return name;
}

static dcls_status emit_batch_norm(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const char *inputs[] = {dcls_emit_input(e, 0), affine_or(e, node->weight, "ones", 1.0f),
                            affine_or(e, node->bias, "zeros", 0.0f),
                            dcls_emit_tensor(e, node->running_mean, 1, node->running_mean->shape),
                            dcls_emit_tensor(e, node->running_var, 1, node->running_var->shape)};
    dcls_emit_node(e, "BatchNormalization", true, 5, inputs);
    dcls_onnx_attr_float(e->graph, "epsilon", node->eps);
    return DCLS_OK;
}

static const char *mean_over_channels(dcls_onnx_emit *e, const char *x)
{
    const char *mean = dcls_emit_step(e, "ReduceMean", x, NULL);
    dcls_onnx_attr_ints(e->graph, "axes", 1, (const int64_t[]){1});
    return mean;
}

/* Over axis 1: LayerNormalization normalises from an axis to the last. */
static dcls_status emit_layer_norm(dcls_onnx_emit *e)
{
    const dcls_node *node = e->node;
    const dcls_shape *shape = dcls_emit_shape(e, 0);
    const char *x = dcls_emit_input(e, 0);
    const char *centred = dcls_emit_step(e, "Sub", x, mean_over_channels(e, x));
    const char *variance = mean_over_channels(e, dcls_emit_step(e, "Mul", centred, centred));
    const char *stable = dcls_emit_step(e, "Add", variance, dcls_emit_scalar(e, node->eps));
    const char *deviation = dcls_emit_step(e, "Sqrt", stable, NULL);
    if (node->weight == NULL) {
        dcls_emit_last(e, "Div", centred, deviation);
        return DCLS_OK;
    }
    const char *y = dcls_emit_step(e, "Div", centred, deviation);
    const char *weight = emit_vector(e, node->weight, shape);
    if (node->bias == NULL) {
        dcls_emit_last(e, "Mul", y, weight);
        return DCLS_OK;
    }
    dcls_emit_last(e, "Add", dcls_emit_step(e, "Mul", y, weight), emit_vector(e, node->bias, shape));
    return DCLS_OK;
}

static dcls_status emit_layer_scale(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Mul", dcls_emit_input(e, 0), emit_vector(e, e->node->weight, dcls_emit_shape(e, 0)));
    return DCLS_OK;
}

static dcls_status emit_global_pool(dcls_onnx_emit *e)
{
    const char *op = e->node->op == DCLS_OP_GLOBAL_AVG_POOL ? "GlobalAveragePool" : "GlobalMaxPool";
    if (!e->node->flatten) {
        dcls_emit_last(e, op, dcls_emit_input(e, 0), NULL);
        return DCLS_OK;
    }
    dcls_emit_last(e, "Flatten", dcls_emit_step(e, op, dcls_emit_input(e, 0), NULL), NULL);
    dcls_onnx_attr_int(e->graph, "axis", 1);
    return DCLS_OK;
}

static dcls_status emit_pair(dcls_onnx_emit *e)
{
    dcls_emit_last(e, e->node->op == DCLS_OP_ADD ? "Add" : "Mul", dcls_emit_input(e, 0),
                   dcls_emit_input(e, 1));
    return DCLS_OK;
}

static dcls_status emit_concat(dcls_onnx_emit *e)
{
    const int count = e->node->input_count;
    const char **inputs = dcls_alloc(e->ctx, (size_t)count, sizeof *inputs);
    if (inputs == NULL) return DCLS_ERR_MEMORY;
    for (int i = 0; i < count; i++)
        inputs[i] = dcls_emit_input(e, i);
    dcls_emit_node(e, "Concat", true, count, inputs);
    dcls_onnx_attr_int(e->graph, "axis", 1);
    free(inputs);
    return DCLS_OK;
}

static dcls_status emit_flatten(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Flatten", dcls_emit_input(e, 0), NULL);
    dcls_onnx_attr_int(e->graph, "axis", 1);
    return DCLS_OK;
}

static dcls_status emit_identity(dcls_onnx_emit *e)
{
    dcls_emit_last(e, "Identity", dcls_emit_input(e, 0), NULL);
    return DCLS_OK;
}

static dcls_onnx_emit_fn *const TABLE[DCLS_OP_COUNT] = {
    [DCLS_OP_CONV] = dcls_onnx_conv,
    [DCLS_OP_DCLS] = dcls_onnx_conv,
    [DCLS_OP_LINEAR] = emit_linear,
    [DCLS_OP_BATCH_NORM] = emit_batch_norm,
    [DCLS_OP_LAYER_NORM] = emit_layer_norm,
    [DCLS_OP_RELU] = emit_relu,
    [DCLS_OP_GELU] = emit_gelu,
    [DCLS_OP_SIGMOID] = emit_sigmoid,
    [DCLS_OP_SOFTMAX] = emit_softmax,
    [DCLS_OP_MAX_POOL] = dcls_onnx_pool,
    [DCLS_OP_AVG_POOL] = dcls_onnx_pool,
    [DCLS_OP_GLOBAL_AVG_POOL] = emit_global_pool,
    [DCLS_OP_GLOBAL_MAX_POOL] = emit_global_pool,
    [DCLS_OP_ADD] = emit_pair,
    [DCLS_OP_MUL] = emit_pair,
    [DCLS_OP_LAYER_SCALE] = emit_layer_scale,
    [DCLS_OP_CONCAT] = emit_concat,
    [DCLS_OP_FLATTEN] = emit_flatten,
    [DCLS_OP_RESIZE] = dcls_onnx_resize,
    [DCLS_OP_DROPOUT] = emit_identity,
    [DCLS_OP_DROP_PATH] = emit_identity,
    [DCLS_OP_IDENTITY] = emit_identity,
};

dcls_status dcls_onnx_lower(dcls_onnx_emit *e)
{
    if (TABLE[e->node->op] == NULL)
        return dcls_fail(e->ctx, DCLS_ERR_UNSUPPORTED, "ONNX export does not know this operation");
    DCLS_TRY(TABLE[e->node->op](e));
    return dcls_onnx_status(e->graph);
}
