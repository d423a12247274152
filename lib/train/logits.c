#include "train/logits.h"

/* The value of the softmax the network ends in, 0 if it does not; *resized: behind a resize. */
static int find_softmax(const dcls_model *model, bool *resized)
{
    *resized = false;
    for (int value = model->output; value > 0; value = model->nodes[value - 1].inputs[0]) {
        const dcls_op op = model->nodes[value - 1].op;
        if (op == DCLS_OP_SOFTMAX) return value;
        if (op != DCLS_OP_RESIZE && op != DCLS_OP_FLATTEN && op != DCLS_OP_IDENTITY) break;
        *resized = *resized || op == DCLS_OP_RESIZE;
    }
    return 0;
}

bool dcls_ends_in_softmax(const dcls_model *model)
{
    bool resized;
    return find_softmax(model, &resized) > 0;
}

dcls_status dcls_find_logits(dcls_context *ctx, const dcls_model *model, int *value)
{
    bool resized;
    const int softmax = find_softmax(model, &resized);
    *value = softmax > 0 ? model->nodes[softmax - 1].inputs[0] : model->output;
    if (softmax == 0 || !resized) return DCLS_OK;
    return dcls_fail(
        ctx, DCLS_ERR_UNSUPPORTED,
        "'%s' resizes probabilities: a network is trained whose softmax comes last, or not at all",
        model->nodes[model->output - 1].name);
}
