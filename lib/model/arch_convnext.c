/* ConvNeXt (arXiv 2201.03545) under its original key names, its depthwise convolutions plain or DCLS. The
 * published DCLS variant lets all blocks of a stage share one P. */
#include <string.h>

#include "model/arch.h"

#define EPS 1e-6

/* The first tensor of a stage under one of these keys. */
static const dcls_tensor *first_in_stage(const dcls_builder *b, int stage, int blocks, const char *slot)
{
    for (int j = 0; j < blocks; j++) {
        const dcls_tensor *tensor = dcls_build_find(b, "stages.%d.%d.dwconv.%s", stage, j, slot);
        if (tensor != NULL) return tensor;
    }
    return NULL;
}

static bool same_content(const dcls_tensor *a, const dcls_tensor *b)
{
    if (a->dtype != b->dtype || a->ndim != b->ndim || a->nbytes != b->nbytes) return false;
    return memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0 &&
           (a->data == b->data || memcmp(a->data, b->data, a->nbytes) == 0);
}

/* The tensor all blocks of the stage share, or NULL when they differ. A state dict repeats a shared tensor
 * under the key of every block, or has it once; the copies are then left over. */
static const char *shared_in_stage(const dcls_builder *b, int stage, int blocks, const char *slot)
{
    const dcls_tensor *first = first_in_stage(b, stage, blocks, slot);
    for (int pass = 0; pass < 2 && first != NULL; pass++)
        for (int j = 0; j < blocks; j++) {
            const dcls_tensor *tensor = dcls_build_find(b, "stages.%d.%d.dwconv.%s", stage, j, slot);
            if (tensor == NULL || tensor == first) continue;
            if (pass == 0 && !same_content(first, tensor)) return NULL;
            b->expected[tensor - b->tensors->items] = true;
        }
    return first != NULL ? first->name : NULL;
}

static void build_block(dcls_builder *b, int stage, int block, const dcls_conv_form *dwconv, double drop)
{
    const char *before = b->value;
    dcls_build_conv(b, *dwconv, "stages.%d.%d.dwconv", stage, block);
    dcls_build_norm(b, DCLS_OP_LAYER_NORM, EPS, "stages.%d.%d.norm", stage, block);
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "stages.%d.%d.pwconv1", stage, block);
    dcls_build_act(b, DCLS_ACT_GELU, "stages.%d.%d.act", stage, block);
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "stages.%d.%d.pwconv2", stage, block);
    if (dcls_build_find(b, "stages.%d.%d.gamma", stage, block) != NULL)
        dcls_build_layer_scale(b, "stages.%d.%d.gamma", stage, block);
    dcls_build_drop(b, DCLS_OP_DROP_PATH, drop, "stages.%d.%d.drop_path", stage, block);
    dcls_build_join(b, DCLS_OP_ADD, before, "stages.%d.%d", stage, block);
}

static int count_blocks(const dcls_builder *b, int stage)
{
    int blocks = 0;
    while (dcls_build_find(b, "stages.%d.%d.dwconv.weight", stage, blocks) != NULL)
        blocks++;
    return blocks;
}

/* Stochastic depth: block number i of n is left out with probability p i / (n - 1). */
typedef struct drop_rule {
    double p;
    int done, all; /* blocks */
} drop_rule;

static void build_stage(dcls_builder *b, int stage, drop_rule *drop)
{
    /* The stem has its norm behind the convolution, the other downsampling layers before it. */
    if (stage == 0) {
        dcls_build_conv(b, (dcls_conv_form){0}, "downsample_layers.0.0");
        dcls_build_norm(b, DCLS_OP_LAYER_NORM, EPS, "downsample_layers.0.1");
    } else {
        dcls_build_norm(b, DCLS_OP_LAYER_NORM, EPS, "downsample_layers.%d.0", stage);
        dcls_build_conv(b, (dcls_conv_form){0}, "downsample_layers.%d.1", stage);
    }
    const int blocks = count_blocks(b, stage);
    if (blocks == 0) dcls_build_fail(b, "tensor 'stages.%d.0.dwconv.weight' is missing", stage);
    const dcls_conv_form dwconv = {.stride = 1,
                                   .same = true,
                                   .P = shared_in_stage(b, stage, blocks, "P"),
                                   .SIG = shared_in_stage(b, stage, blocks, "SIG")};
    for (int j = 0; j < blocks && b->status == DCLS_OK; j++, drop->done++)
        build_block(b, stage, j, &dwconv, drop->all > 1 ? drop->p * drop->done / (drop->all - 1) : 0);
}

void dcls_arch_convnext(dcls_builder *b)
{
    const dcls_tensor *stem = dcls_build_tensor(b, "downsample_layers.0.0.weight");
    if (b->status != DCLS_OK) return;
    if (stem->ndim != 4) {
        dcls_build_fail(b, "tensor '%s' must be the stem convolution [out, in, height, width]", stem->name);
        return;
    }
    dcls_model *model = b->draft->model;
    model->task = DCLS_TASK_CLASSIFICATION;
    model->input_shape[1] = b->channels = stem->shape[1];
    drop_rule drop = {0};
    b->status = dcls_settings_number(b->ctx, b->settings, "drop_path", 0, 0.99, &drop.p);
    for (int stage = 0, blocks; (blocks = count_blocks(b, stage)) > 0; stage++)
        drop.all += blocks;
    for (int stage = 0; b->status == DCLS_OK; stage++) {
        if (stage > 0 && dcls_build_find(b, "downsample_layers.%d.1.weight", stage) == NULL) break;
        build_stage(b, stage, &drop);
    }
    dcls_draft_node *pool = dcls_build_op(b, DCLS_OP_GLOBAL_AVG_POOL, "avgpool");
    if (pool != NULL) dcls_attr_set_int(pool, DCLS_ATTR_FLATTEN, 1);
    dcls_build_norm(b, DCLS_OP_LAYER_NORM, EPS, "norm");
    dcls_build_linear(b, "head");
}
