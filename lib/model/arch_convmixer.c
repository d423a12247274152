/* ConvMixer ("Patches Are All You Need?", arXiv 2201.09792): patch convolution, blocks of {residual around a
 * depthwise convolution, 1x1 convolution}, global average, linear. The depthwise convolutions are plain or
 * DCLS. Two ways of naming the same modules are known: the original's numbers and timm's. */
#include <stdio.h>

#include "model/arch.h"

typedef struct naming {
    bool timm;
    const char *stem; /* prefix of the stem's modules */
    int first_block;  /* number of the first block */
} naming;

static const naming SEQUENTIAL = {false, "", 3};
static const naming TIMM = {true, "stem.", 0};

typedef struct prefix {
    char text[32];
} prefix;

static prefix block_prefix(const naming *names, int block)
{
    prefix p;
    snprintf(p.text, sizeof p.text, "%s%d.", names->timm ? "blocks." : "", block + names->first_block);
    return p;
}

static void build_block(dcls_builder *b, const char *block, dcls_act act, double drop)
{
    const char *before = b->value;
    dcls_build_conv(b, (dcls_conv_form){.stride = 1, .same = true}, "%s0.fn.0", block);
    dcls_build_act(b, act, "%s0.fn.1", block);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, 1e-5, "%s0.fn.2", block);
    dcls_build_drop(b, DCLS_OP_DROP_PATH, drop, "%s0.drop_path", block);
    dcls_build_join(b, DCLS_OP_ADD, before, "%s0", block);
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "%s1", block);
    dcls_build_act(b, act, "%s2", block);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, 1e-5, "%s3", block);
}

/* Behind the blocks the original has an average pool, a flatten and the linear layer, each with a number. */
static void build_head(dcls_builder *b, const naming *names, int depth, double dropout)
{
    const int number = depth + names->first_block;
    char pool[32] = "pooling", head[32] = "head";
    if (!names->timm) {
        snprintf(pool, sizeof pool, "%d", number);
        snprintf(head, sizeof head, "%d", number + 2);
        for (int i = number + 1; i < number + 4; i++)
            if (dcls_build_find(b, "%d.weight", i) != NULL) snprintf(head, sizeof head, "%d", i);
    }
    dcls_draft_node *node = dcls_build_op(b, DCLS_OP_GLOBAL_AVG_POOL, "%s", pool);
    if (node != NULL) dcls_attr_set_int(node, DCLS_ATTR_FLATTEN, 1);
    dcls_build_drop(b, DCLS_OP_DROPOUT, dropout, "dropout");
    dcls_build_linear(b, "%s", head);
}

static int count_blocks(const dcls_builder *b, const naming *names)
{
    int depth = 0;
    while (dcls_build_find(b, "%s0.fn.0.weight", block_prefix(names, depth).text) != NULL)
        depth++;
    return depth;
}

void dcls_arch_convmixer(dcls_builder *b)
{
    static const char *const ACTIVATIONS[] = {"gelu", "gelu_tanh", "relu", NULL};
    const naming *names = dcls_build_find(b, "stem.0.weight") != NULL ? &TIMM : &SEQUENTIAL;
    const dcls_tensor *stem = dcls_build_tensor(b, "%s0.weight", names->stem);
    int act = 0;
    double drop_path = 0, dropout = 0;
    if (b->status == DCLS_OK)
        b->status = dcls_settings_choice(b->ctx, b->settings, "activation", ACTIVATIONS, &act);
    if (b->status == DCLS_OK)
        b->status = dcls_settings_number(b->ctx, b->settings, "drop_path", 0, 0.99, &drop_path);
    if (b->status == DCLS_OK)
        b->status = dcls_settings_number(b->ctx, b->settings, "dropout", 0, 0.99, &dropout);
    if (b->status != DCLS_OK) return;
    if (stem->ndim != 4) {
        dcls_build_fail(b, "tensor '%s' must be the patch convolution [out, in, height, width]", stem->name);
        return;
    }
    dcls_model *model = b->draft->model;
    model->task = DCLS_TASK_CLASSIFICATION;
    model->input_shape[1] = b->channels = stem->shape[1];

    dcls_build_conv(b, (dcls_conv_form){0}, "%s0", names->stem);
    dcls_build_act(b, (dcls_act)act, "%s1", names->stem);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, 1e-5, "%s2", names->stem);
    const int depth = count_blocks(b, names);
    for (int i = 0; i < depth && b->status == DCLS_OK; i++)
        build_block(b, block_prefix(names, i).text, (dcls_act)act,
                    depth > 1 ? drop_path * i / (depth - 1) : 0);
    if (depth == 0) dcls_build_fail(b, "tensor '%s0.fn.0.weight' is missing", block_prefix(names, 0).text);
    build_head(b, names, depth, dropout);
}
