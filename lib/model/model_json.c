/* Writing the "model" object: reading what is written here gives the same network. */
#include "model/header.h"

static void write_node(dcls_json_out *out, const dcls_model *model, const dcls_node *node)
{
    const dcls_op_info *info = dcls_op_describe(node->op);
    dcls_json_begin(out, '{');
    dcls_json_key(out, "op");
    dcls_json_string(out, info->name);
    dcls_json_key(out, "name");
    dcls_json_string(out, node->name);
    dcls_json_key(out, "inputs");
    dcls_json_begin(out, '[');
    for (int k = 0; k < node->input_count; k++)
        dcls_json_string(out, node->inputs[k] == 0 ? "input" : model->nodes[node->inputs[k] - 1].name);
    dcls_json_end(out, ']');
    for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
        const dcls_tensor *tensor = dcls_node_tensor(node, (dcls_slot)slot);
        if (tensor == NULL) continue;
        dcls_json_key(out, dcls_slot_name((dcls_slot)slot));
        dcls_json_string(out, tensor->name);
    }
    for (int attr = 0; attr < DCLS_ATTR_COUNT; attr++)
        if ((info->attributes >> attr) & 1) dcls_attr_write(out, node, (dcls_attr)attr);
    dcls_json_end(out, '}');
}

dcls_status dcls_model_to_json(dcls_context *ctx, const dcls_model *model, int indent, dcls_string *text)
{
    dcls_json_out out = {.to = text, .indent = indent};
    dcls_json_begin(&out, '{');
    dcls_header_write(&out, model);
    dcls_json_key(&out, "nodes");
    dcls_json_begin(&out, '[');
    for (size_t i = 0; i < model->node_count; i++)
        write_node(&out, model, &model->nodes[i]);
    dcls_json_end(&out, ']');
    dcls_json_key(&out, "output");
    dcls_json_string(&out, model->nodes[model->output - 1].name);
    dcls_json_end(&out, '}');
    if (text->failed)
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory while writing the network's description");
    return DCLS_OK;
}

dcls_status dcls_model_describe(dcls_context *ctx, dcls_model *model)
{
    dcls_string text = {0};
    dcls_status status = dcls_model_to_json(ctx, model, 0, &text);
    if (status == DCLS_OK) status = dcls_tensors_set_meta(ctx, model->tensors, DCLS_META_MODEL, text.data);
    dcls_string_free(&text);
    return status;
}
