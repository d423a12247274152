/* DeepLabV3 (arXiv 1706.05587) on a bottleneck ResNet (arXiv 1512.03385), with torchvision's key names and
 * dilation rule at output stride 8. Any 3x3 convolution may be a DCLS layer. */
#include "model/arch.h"

#define EPS 1e-5

static void conv_norm_relu(dcls_builder *b, dcls_conv_form form, const char *prefix, int conv, int norm,
                           int relu)
{
    dcls_build_conv(b, form, "%s.%d", prefix, conv);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "%s.%d", prefix, norm);
    dcls_build_act(b, DCLS_ACT_RELU, "%s.%d", prefix, relu);
}

/* ---- the ResNet ----------------------------------------------------------------------------------- */

static void build_bottleneck(dcls_builder *b, int layer, int block, int stride, int dilation)
{
    const char *skip = b->value;
    const int64_t channels = b->channels;
    const dcls_conv_form middle = {.stride = stride, .padding = dilation, .dilation = dilation};
    if (dcls_build_find(b, "backbone.layer%d.%d.downsample.0.weight", layer, block) != NULL) {
        dcls_build_conv(b, (dcls_conv_form){.stride = stride}, "backbone.layer%d.%d.downsample.0", layer,
                        block);
        dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "backbone.layer%d.%d.downsample.1", layer, block);
        const char *shortcut = b->value;
        dcls_build_from(b, skip, channels);
        skip = shortcut;
    }
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "backbone.layer%d.%d.conv1", layer, block);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "backbone.layer%d.%d.bn1", layer, block);
    dcls_build_act(b, DCLS_ACT_RELU, "backbone.layer%d.%d.relu1", layer, block);
    dcls_build_conv(b, middle, "backbone.layer%d.%d.conv2", layer, block);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "backbone.layer%d.%d.bn2", layer, block);
    dcls_build_act(b, DCLS_ACT_RELU, "backbone.layer%d.%d.relu2", layer, block);
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "backbone.layer%d.%d.conv3", layer, block);
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "backbone.layer%d.%d.bn3", layer, block);
    dcls_build_join(b, DCLS_OP_ADD, skip, "backbone.layer%d.%d.add", layer, block);
    dcls_build_act(b, DCLS_ACT_RELU, "backbone.layer%d.%d.relu3", layer, block);
}

/* Layers 3 and 4 trade their stride for dilation. torchvision's first block of such a layer still has the
 * dilation of the layer before, where the stride would have been. */
static void build_resnet(dcls_builder *b)
{
    static const int STRIDE[] = {1, 2, 1, 1}, FIRST[] = {1, 1, 1, 2}, DILATION[] = {1, 1, 2, 4};
    dcls_build_conv(b, (dcls_conv_form){.stride = 2, .padding = 3}, "backbone.conv1");
    dcls_build_norm(b, DCLS_OP_BATCH_NORM, EPS, "backbone.bn1");
    dcls_build_act(b, DCLS_ACT_RELU, "backbone.relu");
    dcls_draft_node *pool = dcls_build_op(b, DCLS_OP_MAX_POOL, "backbone.maxpool");
    if (pool != NULL) {
        dcls_attr_set_int(pool, DCLS_ATTR_KERNEL_SIZE, 3);
        dcls_attr_set_int(pool, DCLS_ATTR_STRIDE, 2);
        dcls_attr_set_int(pool, DCLS_ATTR_PADDING, 1);
    }
    for (int layer = 0; layer < 4; layer++) {
        int block = 0;
        for (; dcls_build_find(b, "backbone.layer%d.%d.conv1.weight", layer + 1, block) != NULL; block++) {
            if (b->status != DCLS_OK) return;
            const bool first = block == 0;
            build_bottleneck(b, layer + 1, block, first ? STRIDE[layer] : 1,
                             first ? FIRST[layer] : DILATION[layer]);
        }
        if (block == 0) dcls_build_fail(b, "tensor 'backbone.layer%d.0.conv1.weight' is missing", layer + 1);
    }
}

/* ---- atrous spatial pyramid pooling ---------------------------------------------------------------- */

static dcls_draft_node *resize_like(dcls_builder *b, const char *like, const char *name)
{
    dcls_draft_node *node = dcls_build_join(b, DCLS_OP_RESIZE, like, "%s", name);
    if (node != NULL) dcls_attr_set_int(node, DCLS_ATTR_MODE, DCLS_INTERP_LINEAR);
    return node;
}

#define BRANCHES 5

static void concat_branches(dcls_builder *b, const char *const branch[BRANCHES], int64_t channels)
{
    dcls_draft_node *node = NULL;
    if (b->status == DCLS_OK)
        b->status = dcls_draft_add(b->ctx, b->draft, DCLS_OP_CONCAT, "classifier.0.concat", &node);
    for (int i = 0; i < BRANCHES && b->status == DCLS_OK; i++)
        b->status = dcls_draft_connect(b->ctx, b->draft, node, BRANCHES, i, branch[i]);
    if (b->status == DCLS_OK) dcls_build_from(b, node->node.name, channels);
}

static void build_aspp(dcls_builder *b)
{
    static const int RATES[] = {12, 24, 36};
    static const char *const CONVS[] = {"classifier.0.convs.1", "classifier.0.convs.2",
                                        "classifier.0.convs.3"};
    const char *features = b->value, *branch[BRANCHES];
    const int64_t channels = b->channels;
    conv_norm_relu(b, (dcls_conv_form){.stride = 1}, "classifier.0.convs.0", 0, 1, 2);
    int64_t sum = b->channels;
    branch[0] = b->value;
    for (int i = 0; i < 3; i++) {
        const dcls_conv_form atrous = {.stride = 1, .padding = RATES[i], .dilation = RATES[i]};
        dcls_build_from(b, features, channels);
        conv_norm_relu(b, atrous, CONVS[i], 0, 1, 2);
        branch[i + 1] = b->value;
        sum += b->channels;
    }
    dcls_build_from(b, features, channels);
    dcls_build_op(b, DCLS_OP_GLOBAL_AVG_POOL, "classifier.0.convs.4.0");
    conv_norm_relu(b, (dcls_conv_form){.stride = 1}, "classifier.0.convs.4", 1, 2, 3);
    sum += b->channels;
    resize_like(b, features, "classifier.0.convs.4.resize");
    branch[4] = b->value;
    concat_branches(b, branch, sum);
    conv_norm_relu(b, (dcls_conv_form){.stride = 1}, "classifier.0.project", 0, 1, 2);
    dcls_draft_node *dropout = dcls_build_op(b, DCLS_OP_DROPOUT, "classifier.0.project.3");
    if (dropout != NULL) dropout->node.p = 0.5;
}

void dcls_arch_deeplabv3(dcls_builder *b)
{
    const dcls_tensor *stem = dcls_build_tensor(b, "backbone.conv1.weight");
    if (b->status != DCLS_OK) return;
    if (stem->ndim != 4) {
        dcls_build_fail(b, "tensor '%s' must be the stem convolution [out, in, height, width]", stem->name);
        return;
    }
    dcls_model *model = b->draft->model;
    model->task = DCLS_TASK_SEGMENTATION;
    model->input_shape[1] = b->channels = stem->shape[1];
    build_resnet(b);
    build_aspp(b);
    conv_norm_relu(b, (dcls_conv_form){.stride = 1, .padding = 1, .dilation = 1}, "classifier", 1, 2, 3);
    dcls_build_conv(b, (dcls_conv_form){.stride = 1}, "classifier.4");
    resize_like(b, "input", "resize");
}
