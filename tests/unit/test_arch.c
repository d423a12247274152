/* The architectures on state dicts: lists of keys and shapes, made here from what the original
 * implementations name their modules, and real checkpoints. */
#include "arch_util.h"

static void expect_output(dcls_context *ctx, const dcls_model *model, int64_t height, int64_t width,
                          const char *want)
{
    const int64_t input[] = {2, model->input_shape[1], height, width};
    dcls_shape *shapes = malloc((model->node_count + 1) * sizeof *shapes);
    char text[DCLS_SHAPE_TEXT];
    assert_ok(ctx, dcls_model_infer(ctx, model, 4, input, shapes));
    const dcls_shape *output = &shapes[model->output];
    assert_string_equal(dcls_shape_text(text, sizeof text, output->ndim, output->size), want);
    free(shapes);
}

/* ---- ConvMixer ---- */

static void convmixer_by_numbers(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    const char *const settings[] = {"version=v1", "dilated_kernel_size=9", "4.*:dilated_kernel_size=5,17",
                                    NULL};
    assert_ok(ctx, build_with(ctx, make_tensors(ctx, MIXER), (dcls_build_options){.arch = "convmixer"},
                              settings, &model));
    expect_output(ctx, model, 28, 32, "[2, 10]");
    assert_int_equal(dcls_model_task(model), DCLS_TASK_CLASSIFICATION);
    const dcls_node *stem = node_named(model, "0"), *a = node_named(model, "3.0.fn.0"),
                    *b = node_named(model, "4.0.fn.0");
    assert_int_equal(stem->window.stride[0], 7);
    assert_int_equal(stem->window.stride[1], 4);
    assert_int_equal(a->op, DCLS_OP_DCLS);
    assert_int_equal(a->groups, 8);
    assert_int_equal(a->window.pad_before[0], 4);
    assert_int_equal(b->window.kernel[1], 17); /* the setting with a glob wins whatever the order */
    assert_int_equal(b->window.pad_before[0], 2);
    assert_int_equal(b->window.pad_after[1], 8);
    assert_int_equal(node_named(model, "4.2")->op, DCLS_OP_GELU);
    assert_false(node_named(model, "1")->approximate);
    /* the residual goes around the depthwise convolution, its activation and its norm */
    const dcls_node *add = node_named(model, "4.0");
    assert_string_equal(model->nodes[add->inputs[0] - 1].name, "4.0.fn.2");
    assert_string_equal(model->nodes[add->inputs[1] - 1].name, "3.3");
    assert_string_equal(model->nodes[model->output - 1].name, "7");
    assert_null(dcls_tensors_find(dcls_model_tensors(model), "2.num_batches_tracked"));
    assert_non_null(dcls_tensors_find(dcls_model_tensors(model), "2.running_var"));
    dcls_model_destroy(model);
}

static void convmixer_of_timm(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    const char *const settings[] = {"activation=relu", "stem.0:stride=1", NULL};
    assert_ok(ctx, build_with(ctx, make_tensors(ctx, TIMM), (dcls_build_options){.arch = "convmixer"},
                              settings, &model));
    expect_output(ctx, model, 28, 32, "[2, 10]");
    assert_int_equal(node_named(model, "blocks.1.0.fn.0")->op, DCLS_OP_CONV);
    assert_int_equal(node_named(model, "blocks.1.0.fn.0")->window.pad_before[1], 4);
    assert_int_equal(node_named(model, "blocks.1.2")->op, DCLS_OP_RELU);
    assert_int_equal(node_named(model, "stem.0")->window.stride[1], 1);
    dcls_model_destroy(model);
}

/* ---- ConvNeXt ---- */

#define NEXT_BLOCK(p, dwconv)                                                                                \
    dwconv p ".dwconv.bias 4; " p ".norm.weight 4; " p ".norm.bias 4; " p ".pwconv1.weight 16 4; " p         \
             ".pwconv1.bias 16; " p ".pwconv2.weight 4 16; " p ".pwconv2.bias 4; "
#define NEXT_DCLS(p)                                                                                         \
    NEXT_BLOCK(p, p ".dwconv.weight 4 1 6; " p ".dwconv.P 2 4 1 6; " p ".dwconv.SIG 2 4 1 6; " p ".gamma "   \
                    "4; ")
#define NEXT_PLAIN(p) NEXT_BLOCK(p, p ".dwconv.weight 4 1 7 7; ")
#define NEXT_DOWN(i)                                                                                         \
    "downsample_layers." i ".0.weight 4; downsample_layers." i ".0.bias 4; downsample_layers." i             \
    ".1.weight 4 4 2 2; downsample_layers." i ".1.bias 4; "
#define NEXT_STEM                                                                                            \
    "downsample_layers.0.0.weight 4 3 4 4; downsample_layers.0.0.bias 4; downsample_layers.0.1.weight 4; "   \
    "downsample_layers.0.1.bias 4; "
#define NEXT_HEAD "norm.weight 4; norm.bias 4; head.weight 6 4; head.bias 6; "

static void convnext_shares_positions(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    dcls_tensors *set = make_tensors(ctx, NEXT_STEM NEXT_DCLS("stages.0.0") NEXT_DCLS("stages.0.1") NEXT_DOWN(
                                              "1") NEXT_DCLS("stages.1.0") NEXT_DCLS("stages.1.1") NEXT_HEAD);
    /* stage 1 has positions of its own in each block, stage 0 the same in both */
    void *data;
    memcpy(&data, &dcls_tensors_find(set, "stages.1.1.dwconv.P")->data, sizeof data);
    ((float *)data)[3] = 1;
    const char *const settings[] = {"version=gauss", "dilated_kernel_size=17", NULL};
    assert_ok(ctx, build_with(ctx, set, (dcls_build_options){.arch = "convnext_dcls"}, settings, &model));
    expect_output(ctx, model, 64, 48, "[2, 6]");
    const dcls_node *a = node_named(model, "stages.0.0.dwconv"), *b = node_named(model, "stages.0.1.dwconv");
    assert_ptr_equal(a->P, b->P);
    assert_ptr_equal(a->SIG, b->SIG);
    assert_ptr_not_equal(a->weight, b->weight);
    assert_null(dcls_tensors_find(dcls_model_tensors(model), "stages.0.1.dwconv.P"));
    assert_ptr_not_equal(node_named(model, "stages.1.0.dwconv")->P,
                         node_named(model, "stages.1.1.dwconv")->P);
    assert_ptr_equal(node_named(model, "stages.1.0.dwconv")->SIG,
                     node_named(model, "stages.1.1.dwconv")->SIG);
    assert_int_equal(a->window.pad_before[0], 8);
    assert_true(node_named(model, "stages.0.0.norm")->eps == 1e-6f);
    assert_int_equal(node_named(model, "stages.0.0.pwconv1")->op, DCLS_OP_CONV);
    assert_int_equal(node_named(model, "stages.0.0.pwconv1")->weight->ndim, 4);
    assert_int_equal(node_named(model, "stages.0.0.gamma")->op, DCLS_OP_LAYER_SCALE);
    assert_int_equal(node_named(model, "downsample_layers.0.0")->window.stride[0], 4);
    /* norm, then convolution, but for the stem */
    const dcls_node *down = node_named(model, "downsample_layers.1.1");
    assert_string_equal(model->nodes[down->inputs[0] - 1].name, "downsample_layers.1.0");
    dcls_model_destroy(model);
}

static void convnext_with_one_copy(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    dcls_tensors *set = make_tensors(
        ctx, NEXT_STEM NEXT_BLOCK("stages.0.0", "stages.0.0.dwconv.weight 4 1 6; ") NEXT_BLOCK(
                 "stages.0.1", "stages.0.1.dwconv.weight 4 1 6; stages.0.1.dwconv.P 2 1 6; ") NEXT_HEAD);
    const char *const settings[] = {"version=v1", "dilated_kernel_size=9", NULL};
    assert_ok(ctx, build_with(ctx, set, (dcls_build_options){.arch = "convnext_dcls"}, settings, &model));
    assert_string_equal(node_named(model, "stages.0.0.dwconv")->P->name, "stages.0.1.dwconv.P");
    assert_true(node_named(model, "stages.0.0.dwconv")->shared_positions);
    dcls_model_destroy(model);

    assert_ok(ctx, build_with(ctx, make_tensors(ctx, NEXT_STEM NEXT_PLAIN("stages.0.0") NEXT_HEAD),
                              (dcls_build_options){.arch = "convnext_dcls"}, NULL, &model));
    assert_int_equal(node_named(model, "stages.0.0.dwconv")->op, DCLS_OP_CONV);
    assert_int_equal(node_named(model, "stages.0.0.dwconv")->window.pad_before[0], 3);
    dcls_model_destroy(model);
}

/* ---- DeepLabV3 ---- */

static void list_conv(dcls_string *s, const char *name, int out, int in, int kernel)
{
    dcls_string_printf(s, "%s.weight %d %d %d %d; ", name, out, in, kernel, kernel);
}

static void list_norm(dcls_string *s, const char *name, int channels)
{
    static const char *const SLOTS[] = {"weight", "bias", "running_mean", "running_var"};
    for (int i = 0; i < 4; i++)
        dcls_string_printf(s, "%s.%s %d; ", name, SLOTS[i], channels);
    dcls_string_printf(s, "%s.num_batches_tracked I64; ", name);
}

/* A ResNet's bottlenecks with a width of 4 in place of 64; names as torchvision's. dcls: the 3x3 convolutions
 * of layer 4 are DCLS layers. */
static char *list_deeplab(const int blocks[4], bool dcls)
{
    dcls_string s = {0};
    char name[64];
    list_conv(&s, "backbone.conv1", 4, 3, 7);
    list_norm(&s, "backbone.bn1", 4);
    int in = 4;
    for (int layer = 1; layer <= 4; layer++) {
        const int width = 4 << (layer - 1);
        for (int block = 0; block < blocks[layer - 1]; block++) {
            const int from[] = {in, width, width}, to[] = {width, width, 4 * width};
            for (int i = 0; i < 3; i++) {
                snprintf(name, sizeof name, "backbone.layer%d.%d.conv%d", layer, block, i + 1);
                if (dcls && layer == 4 && i == 1)
                    dcls_string_printf(&s, "%s.weight %d %d 9; %s.P 2 %d %d 9; ", name, to[i], from[i], name,
                                       to[i], from[i]);
                else
                    list_conv(&s, name, to[i], from[i], i == 1 ? 3 : 1);
                snprintf(name, sizeof name, "backbone.layer%d.%d.bn%d", layer, block, i + 1);
                list_norm(&s, name, to[i]);
            }
            if (block == 0) {
                snprintf(name, sizeof name, "backbone.layer%d.0.downsample.0", layer);
                list_conv(&s, name, 4 * width, in, 1);
                snprintf(name, sizeof name, "backbone.layer%d.0.downsample.1", layer);
                list_norm(&s, name, 4 * width);
            }
            in = 4 * width;
        }
    }
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "classifier.0.convs.%d.%d", i, i == 4);
        list_conv(&s, name, 8, in, i > 0 && i < 4 ? 3 : 1);
        snprintf(name, sizeof name, "classifier.0.convs.%d.%d", i, 1 + (i == 4));
        list_norm(&s, name, 8);
    }
    list_conv(&s, "classifier.0.project.0", 8, 40, 1);
    list_norm(&s, "classifier.0.project.1", 8);
    list_conv(&s, "classifier.1", 8, 8, 3);
    list_norm(&s, "classifier.2", 8);
    list_conv(&s, "classifier.4", 21, 8, 1);
    dcls_string_puts(&s, "classifier.4.bias 21; aux_classifier.0.weight 4 4 3 3; aux_classifier.4.bias 21");
    return s.data;
}

static void check_block(const dcls_model *model, int layer, int block, int stride, int dilation)
{
    char name[64];
    snprintf(name, sizeof name, "backbone.layer%d.%d.conv2", layer, block);
    const dcls_window *w = &node_named(model, name)->window;
    if (w->stride[0] != stride || w->dilation[1] != dilation || w->pad_before[0] != dilation)
        fail_msg("%s: stride %d, dilation %d", name, (int)w->stride[0], (int)w->dilation[1]);
}

static void deeplab_on_resnets(void **state)
{
    dcls_context *ctx = *state;
    static const int DEPTHS[2][4] = {{3, 4, 6, 3}, {3, 4, 23, 3}};
    for (int d = 0; d < 2; d++) {
        dcls_model *model;
        char *list = list_deeplab(DEPTHS[d], false);
        assert_ok(ctx, build_with(ctx, make_tensors(ctx, list),
                                  (dcls_build_options){.arch = "deeplabv3", .preprocess = "imagenet"}, NULL,
                                  &model));
        free(list);
        expect_output(ctx, model, 65, 97, "[2, 21, 65, 97]");
        assert_int_equal(dcls_model_task(model), DCLS_TASK_SEGMENTATION);
        /* torchvision's module attributes at output stride 8 */
        check_block(model, 1, 0, 1, 1);
        check_block(model, 2, 0, 2, 1);
        check_block(model, 2, 1, 1, 1);
        check_block(model, 3, 0, 1, 1);
        check_block(model, 3, 1, 1, 2);
        check_block(model, 3, DEPTHS[d][2] - 1, 1, 2);
        check_block(model, 4, 0, 1, 2);
        check_block(model, 4, 2, 1, 4);
        assert_int_equal(node_named(model, "backbone.layer3.0.downsample.0")->window.stride[0], 1);
        assert_int_equal(node_named(model, "backbone.layer2.0.downsample.0")->window.stride[0], 2);
        assert_int_equal(node_named(model, "classifier.0.convs.3.0")->window.dilation[0], 36);
        assert_int_equal(node_named(model, "resize")->interpolation, DCLS_INTERP_LINEAR);
        assert_false(node_named(model, "resize")->align_corners);
        assert_null(dcls_tensors_find(dcls_model_tensors(model), "aux_classifier.4.bias"));
        /* the preset's mean and std, but not its crop */
        assert_true(dcls_model_preprocess(model)->mean[0] == 0.485f);
        assert_int_equal(dcls_model_preprocess(model)->resize, DCLS_RESIZE_NONE);
        assert_int_equal(dcls_model_preprocess(model)->crop_height, 0);
        dcls_model_destroy(model);
    }
}

static void deeplab_with_dcls(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    char *list = list_deeplab((const int[]){1, 1, 2, 2}, true);
    const char *const settings[] = {"version=v1", "dilated_kernel_size=9",
                                    "*layer4.0.conv2:dilated_kernel_size=5", NULL};
    assert_ok(ctx, build_with(ctx, make_tensors(ctx, list), (dcls_build_options){.arch = "deeplabv3"},
                              settings, &model));
    free(list);
    expect_output(ctx, model, 33, 64, "[2, 21, 33, 64]");
    assert_int_equal(node_named(model, "backbone.layer4.0.conv2")->window.pad_before[0], 2);
    assert_int_equal(node_named(model, "backbone.layer4.1.conv2")->window.pad_before[0], 4);
    assert_int_equal(node_named(model, "backbone.layer4.1.conv2")->groups, 1);
    dcls_model_destroy(model);
}

/* ---- real checkpoints ---- */

/* NULL where the reference data is not there. */
static dcls_tensors *load_checkpoint(dcls_context *ctx, const char *name)
{
    const char *shared = getenv("DCLS_SHARED");
    char path[4096];
    snprintf(path, sizeof path, "%s/models/%s/checkpoint.pth", shared != NULL ? shared : "../shared", name);
    if (access(path, R_OK) != 0) return NULL;
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_load_file(ctx, path, &set));
    return set;
}

static void real_convmixer(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = load_checkpoint(ctx, "convmixer-dcls-cifar10");
    if (set == NULL) skip();
    dcls_model *model;
    const char *const settings[] = {"version=v1", "dilated_kernel_size=9", NULL};
    assert_ok(ctx, build_with(ctx, set, (dcls_build_options){.arch = "convmixer"}, settings, &model));
    expect_output(ctx, model, 32, 32, "[2, 10]");
    assert_int_equal(node_named(model, "7.0.fn.0")->kernel_count, 9);
    assert_int_equal(node_named(model, "7.0.fn.0")->groups, 64);
    dcls_model_destroy(model);

    /* an even window: the message says why the sizes differ */
    const char *const even[] = {"version=v1", "dilated_kernel_size=8", NULL};
    const int64_t input[] = {1, 3, 32, 32};
    dcls_shape shapes[64];
    assert_ok(ctx, build_with(ctx, load_checkpoint(ctx, "convmixer-dcls-cifar10"),
                              (dcls_build_options){.arch = "convmixer"}, even, &model));
    check_outcome(ctx, "even", dcls_model_infer(ctx, model, 4, input, shapes), DCLS_ERR_ARGUMENT,
                  "an even dilated_kernel_size 8 with padding 4 makes 17x17 of 16x16");
    dcls_model_destroy(model);
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return NULL;
    char *text = calloc(1, 1 << 16);
    if (fread(text, 1, (1 << 16) - 1, file) == 0) text[0] = '\0';
    fclose(file);
    return text;
}

static void real_segmentation(void **state)
{
    dcls_context *ctx = *state;
    char *text = read_text("weights/arch/dclsseg-camvid.json");
    if (text == NULL) skip();
    dcls_tensors *set = load_checkpoint(ctx, "dclsseg-camvid");
    if (set == NULL) {
        free(text);
        skip();
    }
    dcls_model *model;
    const dcls_build_options options = {.arch_json = text};
    assert_ok(ctx, dcls_model_build(ctx, set, &options, &model));
    free(text);
    expect_output(ctx, model, 180, 240, "[2, 11, 180, 240]");
    assert_string_equal(dcls_model_label(model, 10), "bicyclist");
    assert_int_equal(node_named(model, "blocks.5.dwconv")->kernel_count, 10);
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(convmixer_by_numbers),
        CONTEXT_TEST(convmixer_of_timm),
        CONTEXT_TEST(convnext_shares_positions),
        CONTEXT_TEST(convnext_with_one_copy),
        CONTEXT_TEST(deeplab_on_resnets),
        CONTEXT_TEST(deeplab_with_dcls),
        CONTEXT_TEST(real_convmixer),
        CONTEXT_TEST(real_segmentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
