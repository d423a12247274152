/* ONNX graphs as protobuf messages. */
#include "export/onnx_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tensor.h"
#include "base/text.h"
#include "export/onnx.pb-c.h"
#include "export/onnx_file.h"

#define IR_VERSION    7 /* of ONNX 1.8: the oldest that knows the operators below */
#define OPSET_VERSION 13

typedef Dcls__Onnx__ModelProto model_message;
typedef Dcls__Onnx__GraphProto graph_message;
typedef Dcls__Onnx__NodeProto node_message;
typedef Dcls__Onnx__AttributeProto attribute_message;
typedef Dcls__Onnx__TensorProto tensor_message;
typedef Dcls__Onnx__ValueInfoProto value_message;
typedef Dcls__Onnx__TypeProto type_message;
typedef Dcls__Onnx__TypeProto__Tensor tensor_type_message;
typedef Dcls__Onnx__TensorShapeProto shape_message;
typedef Dcls__Onnx__TensorShapeProto__Dimension dimension_message;
typedef Dcls__Onnx__StringStringEntryProto entry_message;

struct dcls_onnx_graph {
    dcls_context *ctx;
    dcls_status status;
    dcls_arena arena; /* messages and names */
    void **blocks;    /* large data, to be freed one by one */
    size_t block_count, block_capacity;
    dcls_map names, known; /* both to indices into `texts` */
    const char **texts;
    size_t text_count, text_capacity;
    size_t bytes; /* of all tensors */
    model_message model;
    graph_message graph;
    Dcls__Onnx__OperatorSetIdProto opset, *opsets[1];
    size_t node_capacity, tensor_capacity, attribute_capacity, input_capacity, output_capacity, meta_capacity;
};

/* ---- building blocks ----------------------------------------------------------------------------- */

static const char unnamed[] = "";

static bool failed(const dcls_onnx_graph *g)
{
    return g->status != DCLS_OK;
}

/* The messages have no const in them; nothing writes through these pointers. */
static char *loosen(const char *text)
{
    char *out;
    memcpy(&out, &text, sizeof out);
    return out;
}

static char *copy_text(dcls_onnx_graph *g, const char *text)
{
    char *copy = failed(g) ? NULL : dcls_arena_strdup(g->ctx, &g->arena, text);
    if (copy != NULL) return copy;
    if (!failed(g)) g->status = DCLS_ERR_MEMORY;
    return loosen(unnamed);
}

static void *new_object(dcls_onnx_graph *g, size_t count, size_t size)
{
    void *object = failed(g) ? NULL : dcls_arena_alloc(g->ctx, &g->arena, count, size);
    if (object == NULL && !failed(g)) g->status = DCLS_ERR_MEMORY;
    return object;
}

/* A message of the given kind with its initial values, or NULL. */
#define NEW_MESSAGE(g, kind) new_message(g, sizeof(kind##_message), &(kind##_message)KIND_##kind)
#define KIND_node            DCLS__ONNX__NODE_PROTO__INIT
#define KIND_attribute       DCLS__ONNX__ATTRIBUTE_PROTO__INIT
#define KIND_tensor          DCLS__ONNX__TENSOR_PROTO__INIT
#define KIND_value           DCLS__ONNX__VALUE_INFO_PROTO__INIT
#define KIND_type            DCLS__ONNX__TYPE_PROTO__INIT
#define KIND_tensor_type     DCLS__ONNX__TYPE_PROTO__TENSOR__INIT
#define KIND_shape           DCLS__ONNX__TENSOR_SHAPE_PROTO__INIT
#define KIND_dimension       DCLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT
#define KIND_entry           DCLS__ONNX__STRING_STRING_ENTRY_PROTO__INIT

static void *new_message(dcls_onnx_graph *g, size_t size, const void *initial)
{
    void *message = new_object(g, 1, size);
    if (message != NULL) memcpy(message, initial, size);
    return message;
}

/* Appends a pointer to an array of them; list is the address of the array (T ***). */
static void append(dcls_onnx_graph *g, void *list, size_t *count, size_t *capacity, const void *item)
{
    if (failed(g)) return;
    g->status = dcls_grow(g->ctx, list, capacity, *count + 1, sizeof item);
    if (failed(g)) return;
    char *items;
    memcpy(&items, list, sizeof items);
    memcpy(items + (*count)++ * sizeof item, &item, sizeof item);
}

static int64_t *copy_ints(dcls_onnx_graph *g, int64_t count, const int64_t *values)
{
    int64_t *copy = new_object(g, (size_t)count, sizeof *copy);
    if (copy != NULL && count > 0) memcpy(copy, values, (size_t)count * sizeof *copy);
    return copy;
}

static int data_type(dcls_dtype dtype)
{
    switch (dtype) {
    case DCLS_U8: return DCLS__ONNX__TENSOR_PROTO__DATA_TYPE__UINT8;
    case DCLS_I64: return DCLS__ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
    default: return DCLS__ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    }
}

/* ---- the graph as a whole ------------------------------------------------------------------------- */

dcls_status dcls_onnx_create(dcls_context *ctx, dcls_onnx_graph **out)
{
    *out = NULL;
    dcls_onnx_graph *g = dcls_alloc_zero(ctx, 1, sizeof *g);
    if (g == NULL) return DCLS_ERR_MEMORY;
    g->ctx = ctx;
    dcls__onnx__model_proto__init(&g->model);
    dcls__onnx__graph_proto__init(&g->graph);
    dcls__onnx__operator_set_id_proto__init(&g->opset);
    g->opset.domain = loosen(unnamed);
    g->opset.has_version = true;
    g->opset.version = OPSET_VERSION;
    g->opsets[0] = &g->opset;
    g->model.has_ir_version = true;
    g->model.ir_version = IR_VERSION;
    g->model.producer_name = copy_text(g, "dcls");
    g->model.producer_version = copy_text(g, dcls_version());
    g->model.n_opset_import = 1;
    g->model.opset_import = g->opsets;
    g->model.graph = &g->graph;
    g->graph.name = copy_text(g, "dcls");
    *out = g;
    return DCLS_OK;
}

void dcls_onnx_destroy(dcls_onnx_graph *g)
{
    if (g == NULL) return;
    for (size_t i = 0; i < g->block_count; i++)
        free(g->blocks[i]);
    for (size_t i = 0; i < g->graph.n_node; i++)
        free(g->graph.node[i]->attribute);
    free(g->blocks);
    free(g->texts);
    free(g->graph.node);
    free(g->graph.initializer);
    free(g->graph.input);
    free(g->graph.output);
    free(g->model.metadata_props);
    dcls_map_free(&g->names);
    dcls_map_free(&g->known);
    dcls_arena_free(&g->arena);
    free(g);
}

dcls_status dcls_onnx_status(const dcls_onnx_graph *g)
{
    return g->status;
}

/* ---- names ---------------------------------------------------------------------------------------- */

/* Puts text under key; false if the key was there. */
static bool put(dcls_onnx_graph *g, dcls_map *map, const char *key, const char *text)
{
    bool found = false;
    if (failed(g)) return true;
    g->status = dcls_map_add(g->ctx, map, key, (int64_t)g->text_count, &found, NULL);
    if (!found) append(g, &g->texts, &g->text_count, &g->text_capacity, text);
    return !found;
}

const char *dcls_onnx_name(dcls_onnx_graph *g, const char *base)
{
    if (base[0] == '\0') base = "tensor"; /* an empty name is that of an input that is left out */
    const char *name = copy_text(g, base);
    for (int number = 2; !failed(g) && !put(g, &g->names, name, name); number++) {
        char *longer = new_object(g, strlen(base) + 16, 1);
        if (longer == NULL) break;
        snprintf(longer, strlen(base) + 16, "%s_%d", base, number);
        name = longer;
    }
    return failed(g) ? unnamed : name;
}

const char *dcls_onnx_join(dcls_onnx_graph *g, const char *node, const char *part)
{
    const size_t size = strlen(node) + strlen(part) + 2;
    char *joined = new_object(g, size, 1);
    if (joined == NULL) return unnamed;
    snprintf(joined, size, "%s/%s", node, part);
    return joined;
}

const char *dcls_onnx_part(dcls_onnx_graph *g, const char *node, const char *part)
{
    return dcls_onnx_name(g, dcls_onnx_join(g, node, part));
}

const char *dcls_onnx_known(dcls_onnx_graph *g, const char *key)
{
    const int64_t index = dcls_map_find(&g->known, key);
    return index < 0 ? NULL : g->texts[index];
}

void dcls_onnx_remember(dcls_onnx_graph *g, const char *key, const char *name)
{
    put(g, &g->known, copy_text(g, key), name);
}

/* ---- tensors -------------------------------------------------------------------------------------- */

/* Says how many bytes a tensor takes, unless that is too much. */
static size_t tensor_bytes(dcls_onnx_graph *g, dcls_dtype dtype, int ndim, const int64_t *shape)
{
    size_t bytes = 0;
    if (failed(g)) return 0;
    if (!dcls_shape_bytes(dtype, ndim, shape, &bytes) || bytes > DCLS_ONNX_MOST_BYTES ||
        g->bytes + bytes > DCLS_ONNX_MOST_BYTES) {
        g->status = dcls_fail(g->ctx, DCLS_ERR_LIMIT,
                              "the network's tensors take more than the 2 GiB an ONNX file can hold");
        return 0;
    }
    g->bytes += bytes;
    return bytes;
}

static void fill_tensor(dcls_onnx_graph *g, tensor_message *tensor, int ndim, const int64_t *shape,
                        size_t bytes, const void *data)
{
    tensor->n_dims = (size_t)ndim;
    tensor->dims = copy_ints(g, ndim, shape);
    tensor->has_data_type = tensor->has_raw_data = true;
    tensor->raw_data.len = bytes;
    memcpy(&tensor->raw_data.data, &data, sizeof data);
    append(g, &g->graph.initializer, &g->graph.n_initializer, &g->tensor_capacity, tensor);
}

const char *dcls_onnx_floats(dcls_onnx_graph *g, const char *base, int ndim, const int64_t *shape,
                             const float *data)
{
    const size_t bytes = tensor_bytes(g, DCLS_F32, ndim, shape);
    const char *name = dcls_onnx_name(g, base);
    tensor_message *tensor = NEW_MESSAGE(g, tensor);
    if (tensor == NULL) return unnamed;
    tensor->name = loosen(name);
    tensor->data_type = data_type(DCLS_F32);
    fill_tensor(g, tensor, ndim, shape, bytes, data);
    return name;
}

/* Memory that is freed with the graph. */
static void *new_block(dcls_onnx_graph *g, size_t bytes)
{
    void *block = failed(g) ? NULL : dcls_alloc(g->ctx, bytes, 1);
    if (block == NULL) {
        if (!failed(g)) g->status = DCLS_ERR_MEMORY;
        return NULL;
    }
    append(g, &g->blocks, &g->block_count, &g->block_capacity, block);
    if (!failed(g)) return block;
    free(block);
    return NULL;
}

float *dcls_onnx_new_floats(dcls_onnx_graph *g, const char *base, int ndim, const int64_t *shape,
                            const char **name)
{
    const size_t bytes = tensor_bytes(g, DCLS_F32, ndim, shape);
    float *data = new_block(g, bytes);
    *name = unnamed;
    if (data == NULL) return NULL;
    g->bytes -= bytes; /* counted once more below */
    *name = dcls_onnx_floats(g, base, ndim, shape, data);
    return failed(g) ? NULL : data;
}

const char *dcls_onnx_ints(dcls_onnx_graph *g, const char *base, int64_t count, const int64_t *values)
{
    const size_t bytes = tensor_bytes(g, DCLS_I64, 1, &count);
    const char *name = dcls_onnx_name(g, base);
    tensor_message *tensor = NEW_MESSAGE(g, tensor);
    const int64_t *copy = copy_ints(g, count, values);
    if (tensor == NULL || copy == NULL) return unnamed;
    tensor->name = loosen(name);
    tensor->data_type = data_type(DCLS_I64);
    fill_tensor(g, tensor, 1, &count, bytes, copy);
    return name;
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

const char *dcls_onnx_node(dcls_onnx_graph *g, const char *op, const char *result, int count,
                           const char *const *inputs)
{
    node_message *node = NEW_MESSAGE(g, node);
    char **in = new_object(g, (size_t)count, sizeof *in), **out = new_object(g, 1, sizeof *out);
    if (node == NULL || in == NULL || out == NULL) return unnamed;
    for (int i = 0; i < count; i++)
        in[i] = loosen(inputs[i]);
    out[0] = loosen(result);
    node->name = loosen(result);
    node->op_type = copy_text(g, op);
    node->input = in;
    node->n_input = (size_t)count;
    node->output = out;
    node->n_output = 1;
    g->attribute_capacity = 0;
    append(g, &g->graph.node, &g->graph.n_node, &g->node_capacity, node);
    return result;
}

static attribute_message *add_attribute(dcls_onnx_graph *g, const char *name,
                                        Dcls__Onnx__AttributeProto__AttributeType type)
{
    attribute_message *attribute = NEW_MESSAGE(g, attribute);
    if (attribute == NULL) return NULL;
    node_message *node = g->graph.node[g->graph.n_node - 1];
    attribute->name = copy_text(g, name);
    attribute->has_type = true;
    attribute->type = type;
    append(g, &node->attribute, &node->n_attribute, &g->attribute_capacity, attribute);
    return failed(g) ? NULL : attribute;
}

void dcls_onnx_attr_int(dcls_onnx_graph *g, const char *name, int64_t value)
{
    attribute_message *attribute = add_attribute(g, name, DCLS__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (attribute == NULL) return;
    attribute->has_i = true;
    attribute->i = value;
}

void dcls_onnx_attr_dtype(dcls_onnx_graph *g, const char *name, dcls_dtype dtype)
{
    dcls_onnx_attr_int(g, name, data_type(dtype));
}

void dcls_onnx_attr_ints(dcls_onnx_graph *g, const char *name, int count, const int64_t *values)
{
    attribute_message *attribute = add_attribute(g, name, DCLS__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    if (attribute == NULL) return;
    attribute->ints = copy_ints(g, count, values);
    attribute->n_ints = attribute->ints != NULL ? (size_t)count : 0;
}

void dcls_onnx_attr_float(dcls_onnx_graph *g, const char *name, float value)
{
    attribute_message *attribute = add_attribute(g, name, DCLS__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (attribute == NULL) return;
    attribute->has_f = true;
    attribute->f = value;
}

void dcls_onnx_attr_text(dcls_onnx_graph *g, const char *name, const char *value)
{
    attribute_message *attribute =
        add_attribute(g, name, DCLS__ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    if (attribute == NULL) return;
    char *copy = copy_text(g, value);
    attribute->has_s = true;
    attribute->s.len = strlen(copy);
    memcpy(&attribute->s.data, &copy, sizeof copy);
}

/* ---- inputs, outputs, metadata --------------------------------------------------------------------- */

static shape_message *make_shape(dcls_onnx_graph *g, int ndim, const dcls_onnx_dim *dims)
{
    shape_message *shape = NEW_MESSAGE(g, shape);
    dimension_message **list = new_object(g, (size_t)ndim, sizeof(dimension_message *));
    if (shape == NULL || list == NULL) return NULL;
    for (int i = 0; i < ndim; i++) {
        list[i] = NEW_MESSAGE(g, dimension);
        if (list[i] == NULL) return NULL;
        if (dims[i].size != DCLS_ANY) {
            list[i]->value_case = DCLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            list[i]->dim_value = dims[i].size;
        } else if (dims[i].name != NULL) {
            list[i]->value_case = DCLS__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            list[i]->dim_param = copy_text(g, dims[i].name);
        }
    }
    shape->n_dim = (size_t)ndim;
    shape->dim = list;
    return shape;
}

static value_message *make_value(dcls_onnx_graph *g, const char *name, dcls_dtype dtype, int ndim,
                                 const dcls_onnx_dim *dims)
{
    value_message *value = NEW_MESSAGE(g, value);
    type_message *type = NEW_MESSAGE(g, type);
    tensor_type_message *tensor = NEW_MESSAGE(g, tensor_type);
    shape_message *shape = make_shape(g, ndim, dims);
    if (value == NULL || type == NULL || tensor == NULL || shape == NULL) return NULL;
    tensor->has_elem_type = true;
    tensor->elem_type = data_type(dtype);
    tensor->shape = shape;
    type->value_case = DCLS__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    value->name = loosen(name);
    value->type = type;
    return value;
}

void dcls_onnx_input(dcls_onnx_graph *g, const char *name, dcls_dtype dtype, int ndim,
                     const dcls_onnx_dim *dims)
{
    append(g, &g->graph.input, &g->graph.n_input, &g->input_capacity, make_value(g, name, dtype, ndim, dims));
}

void dcls_onnx_output(dcls_onnx_graph *g, const char *name, dcls_dtype dtype, int ndim,
                      const dcls_onnx_dim *dims)
{
    append(g, &g->graph.output, &g->graph.n_output, &g->output_capacity,
           make_value(g, name, dtype, ndim, dims));
}

void dcls_onnx_meta(dcls_onnx_graph *g, const char *key, const char *value)
{
    entry_message *entry = NEW_MESSAGE(g, entry);
    if (entry == NULL) return;
    entry->key = copy_text(g, key);
    entry->value = copy_text(g, value);
    append(g, &g->model.metadata_props, &g->model.n_metadata_props, &g->meta_capacity, entry);
}

/* ---- writing -------------------------------------------------------------------------------------- */

dcls_status dcls_onnx_write(dcls_onnx_graph *g, const char *path)
{
    return failed(g) ? g->status : dcls_onnx_pack(g->ctx, &g->model.base, path);
}
