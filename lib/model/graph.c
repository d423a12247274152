/* Reading the "model" object: its nodes. What stands around them is read in header.c. */
#include <stdio.h>
#include <string.h>

#include "model/header.h"

static const char *attribute_at(const void *of, size_t index)
{
    const dcls_op_info *info = of;
    if (index < DCLS_ATTR_COUNT)
        return ((info->attributes | info->sizes) >> index) & 1 ? dcls_attr_name((dcls_attr)index) : NULL;
    const size_t slot = index - DCLS_ATTR_COUNT;
    return ((info->needs | info->may) >> slot) & 1 ? dcls_slot_name((dcls_slot)slot) : NULL;
}

static const char *op_at(const void *of, size_t index)
{
    (void)of;
    return dcls_op_name((dcls_op)index);
}

static int slot_from_name(const char *name)
{
    for (int i = 0; i < DCLS_SLOT_COUNT; i++)
        if (strcmp(dcls_slot_name((dcls_slot)i), name) == 0) return i;
    return -1;
}

static dcls_status fail_unknown(dcls_context *ctx, dcls_op op, const char *key)
{
    const dcls_op_info *info = dcls_op_describe(op);
    char hint[DCLS_HINT_TEXT], list[400];
    const char *nearest = dcls_nearest(key, DCLS_ATTR_COUNT + DCLS_SLOT_COUNT, attribute_at, info);
    dcls_hint(hint, sizeof hint, nearest);
    dcls_attr_list(list, sizeof list, op, true);
    if (list[0] == '\0')
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "unknown attribute '%s'%s: it has none", key, hint);
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "unknown attribute '%s'%s: it has %s", key, hint, list);
}

static dcls_status read_tensor(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node, int slot,
                               const dcls_json *value)
{
    if (dcls_json_kind_of(value) == DCLS_JSON_NULL) return DCLS_OK;
    const char *name = dcls_json_as_string(value);
    if (name == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' must be the name of a tensor, not %s",
                         dcls_slot_name((dcls_slot)slot), dcls_json_kind_text(value));
    node->tensor[slot] = dcls_arena_strdup(ctx, &draft->model->arena, name);
    return node->tensor[slot] != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status read_member(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node,
                               const dcls_json *member)
{
    static const char *const OTHERS[] = {"op", "name", "inputs"};
    const char *key = dcls_json_name(member);
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        if (strcmp(key, OTHERS[i]) == 0) return DCLS_OK;
    const dcls_op_info *info = dcls_op_describe(node->node.op);
    const int slot = slot_from_name(key);
    if (slot >= 0 && (((info->needs | info->may) >> slot) & 1))
        return read_tensor(ctx, draft, node, slot, member);
    const int attr = dcls_attr_from_name(key);
    if (attr >= 0 && (((info->attributes | info->sizes) >> attr) & 1))
        return dcls_attr_set_json(ctx, node, (dcls_attr)attr, member);
    return fail_unknown(ctx, node->node.op, key);
}

/* A list of names, one name, or nothing: the node before. */
static dcls_status read_inputs(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node,
                               const dcls_json *inputs)
{
    const size_t index = (size_t)(node - draft->nodes);
    const char *before = index > 0 ? draft->nodes[index - 1].node.name : "input";
    const char *one = dcls_json_as_string(inputs);
    if (inputs == NULL || one != NULL)
        return dcls_draft_connect(ctx, draft, node, 1, 0, one != NULL ? one : before);
    const size_t count = dcls_json_count(inputs);
    const size_t most = (size_t)dcls_op_describe(node->node.op)->max_inputs;
    if (dcls_json_kind_of(inputs) != DCLS_JSON_ARRAY || count == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'inputs' must be a list of names");
    if (count > most) return dcls_fail(ctx, DCLS_ERR_FORMAT, "it has %zu inputs, can have %zu", count, most);
    for (size_t i = 0; i < count; i++) {
        const char *name = dcls_json_as_string(dcls_json_at(inputs, i));
        if (name == NULL) return dcls_fail(ctx, DCLS_ERR_FORMAT, "'inputs' must be a list of names");
        DCLS_TRY(dcls_draft_connect(ctx, draft, node, (int)count, (int)i, name));
    }
    return DCLS_OK;
}

static dcls_status read_body(dcls_context *ctx, dcls_draft *draft, dcls_draft_node *node,
                             const dcls_json *object)
{
    DCLS_TRY(read_inputs(ctx, draft, node, dcls_json_find(object, "inputs")));
    for (size_t i = 0; i < dcls_json_count(object); i++)
        DCLS_TRY(read_member(ctx, draft, node, dcls_json_at(object, i)));
    return DCLS_OK;
}

static dcls_status fail_op(dcls_context *ctx, const char *name, const char *op)
{
    char hint[DCLS_HINT_TEXT], list[400];
    dcls_hint(hint, sizeof hint, dcls_nearest(op, DCLS_OP_COUNT, op_at, NULL));
    return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "node '%.200s': unknown op '%.60s'%s: the ops are %s", name,
                     op, hint, dcls_op_list(list, sizeof list));
}

static dcls_status read_node(dcls_context *ctx, dcls_draft *draft, const dcls_json *object)
{
    const size_t number = draft->count + 1;
    const dcls_json *given = dcls_json_find(object, "name");
    const char *op_name = dcls_json_as_string(dcls_json_find(object, "op")),
               *name = dcls_json_as_string(given);
    if (dcls_json_kind_of(object) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "node number %zu is %s, must be an object", number,
                         dcls_json_kind_text(object));
    if (given != NULL && name == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "node number %zu: 'name' must be a string, not %s", number,
                         dcls_json_kind_text(given));
    char made[64];
    if (name == NULL) {
        snprintf(made, sizeof made, "%.30s.%zu", op_name != NULL ? op_name : "", number);
        name = made;
    }
    if (op_name == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "node '%s': 'op', the name of an operation, is missing", name);
    const int op = dcls_op_from_name(op_name);
    if (op < 0) return fail_op(ctx, name, op_name);

    dcls_draft_node *node;
    DCLS_TRY(dcls_draft_add(ctx, draft, (dcls_op)op, name, &node));
    const dcls_status status = read_body(ctx, draft, node, object);
    return status == DCLS_OK ? status : dcls_fail_within(ctx, status, "node '%s' (%s): ", name, op_name);
}

static dcls_status read_nodes(dcls_context *ctx, dcls_draft *draft, const dcls_json *model)
{
    const dcls_json *nodes = dcls_json_find(model, "nodes");
    if (dcls_json_kind_of(nodes) != DCLS_JSON_ARRAY)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'nodes' must be an array, not %s",
                         dcls_json_kind_text(nodes));
    const size_t count = dcls_json_count(nodes);
    if (count > DCLS_MAX_NODES)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "the network has %zu nodes, more than the %d allowed", count,
                         DCLS_MAX_NODES);
    for (size_t i = 0; i < count; i++)
        DCLS_TRY(read_node(ctx, draft, dcls_json_at(nodes, i)));
    const dcls_json *output = dcls_json_find(model, "output");
    if (output == NULL) return DCLS_OK;
    if (dcls_json_as_string(output) == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'output' must be a node's name, not %s",
                         dcls_json_kind_text(output));
    draft->output = dcls_arena_strdup(ctx, &draft->model->arena, dcls_json_as_string(output));
    return draft->output != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* The object itself, or the one in a JSON model file. */
static dcls_status find_model(dcls_context *ctx, const dcls_json *root, const dcls_json **out)
{
    const dcls_json *inner = dcls_json_find(root, "model");
    *out = inner != NULL ? inner : root;
    if (dcls_json_kind_of(*out) == DCLS_JSON_OBJECT) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "'model' must be an object, not %s", dcls_json_kind_text(*out));
}

dcls_status dcls_draft_read(dcls_context *ctx, dcls_draft *draft, const char *json)
{
    dcls_json *root;
    const dcls_json *model = NULL;
    const dcls_status parsed = dcls_json_parse(ctx, json, strlen(json), &root);
    if (parsed != DCLS_OK) return dcls_fail_within(ctx, parsed, "the network's description: ");
    dcls_status status = find_model(ctx, root, &model);
    if (status == DCLS_OK) status = dcls_header_read(ctx, draft, model);
    if (status == DCLS_OK) status = read_nodes(ctx, draft, model);
    dcls_json_free(root);
    return status;
}
