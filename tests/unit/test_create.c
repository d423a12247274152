/* New networks of the architectures: key names and shapes as the original implementations have them,
 * statistics of initial weights against the distributions they are drawn from. */
#include "create_util.h"

/* ---- ConvMixer ---- */

static void convmixer(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {
        "dim=64", "depth=5", "patch_size=2", "kernel_count=9", "drop_path=0.2", "dropout=0.1", NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx,
                          (dcls_create_options){.arch = "convmixer", .classes = 10, .preprocess = "cifar10"},
                          settings, &model));
    int64_t classes = 0;
    assert_ok(ctx, dcls_model_classes(ctx, model, &classes));
    assert_int_equal(classes, 10);
    expect_shape(model, "0.weight", "[64, 3, 2, 2]");
    expect_shape(model, "2.running_var", "[64]");
    expect_shape(model, "3.0.fn.0.weight", "[64, 1, 9]");
    expect_shape(model, "3.0.fn.0.P", "[2, 64, 1, 9]");
    expect_shape(model, "7.1.weight", "[64, 64, 1, 1]");
    expect_shape(model, "10.weight", "[10, 64]");
    /* stem, 5 blocks of weights, positions, two norms, and the classifier, by hand */
    assert_int_equal(parameters(model),
                     64 * 12 + 64 + 128 + 5 * (64 * 9 * 3 + 64 + 128 + 64 * 64 + 64 + 128) + 640 + 10);
    expect_run(ctx, model, 32, "[1, 10]");
    assert_true(node_named(model, "4.0.drop_path")->p == 0.05);
    assert_true(node_named(model, "7.0.drop_path")->p == 0.2);
    assert_true(node_named(model, "dropout")->p == 0.1);
    assert_int_equal(node_named(model, "3.0.fn.0")->window.kernel[1], 9);

    expect_uniform(model, "0.weight", 1 / sqrt(12));
    expect_uniform(model, "0.bias", 1 / sqrt(12));
    expect_uniform(model, "3.0.fn.0.weight", 1 / sqrt(9));
    expect_uniform(model, "3.0.fn.0.bias", 1 / sqrt(9));
    expect_uniform(model, "3.1.weight", 1 / sqrt(64));
    expect_uniform(model, "10.weight", 1 / sqrt(64));
    expect_moments(moments_of(model, "5.0.fn.0.P"), 0, 1.7575); /* a normal one of 1.8 clamped to +-4 */
    expect_constant(model, "2.weight", 1);
    expect_constant(model, "2.bias", 0);
    expect_constant(model, "2.running_mean", 0);
    expect_constant(model, "2.running_var", 1);
    dcls_model_destroy(model);
}

static void convmixer_dense_twin(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"dim=8",      "depth=2", "kernel_count=0", "dilated_kernel_size=5",
                                    "version=v1", NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "convmixer", .classes = 3}, settings, &model));
    expect_shape(model, "3.0.fn.0.weight", "[8, 1, 5, 5]");
    assert_int_equal(node_named(model, "3.0.fn.0")->op, DCLS_OP_CONV);
    expect_run(ctx, model, 9, "[1, 3]");
    expect_uniform(model, "3.0.fn.0.weight", 1 / sqrt(25));
    dcls_model_destroy(model);
}

static void spreads_by_version(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"dim=32",           "depth=3",           "kernel_count=5",
                                    "version=gauss",    "4.*:version=max",   "5.*:spread=0.7",
                                    "position_sigma=4", "4.3:norm_weight=0", NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "convmixer", .classes = 3}, settings, &model));
    expect_constant(model, "3.0.fn.0.SIG", 0.23);
    expect_constant(model, "5.0.fn.0.SIG", 0.7);
    expect_constant(model, "4.3.weight", 0);
    expect_constant(model, "4.3.running_var", 1);
    expect_constant(model, "3.3.weight", 1);
    const moments max = moments_of(model, "4.0.fn.0.SIG"), P = moments_of(model, "3.0.fn.0.P");
    assert_true(max.least >= 0.05 && max.most <= 0.25 && max.deviation > 0.05);
    assert_true(P.least == -4 && P.most == 4); /* the clamp of a window of 9 */
    expect_run(ctx, model, 8, "[1, 3]");
    dcls_model_destroy(model);
}

static void same_seed_same_bits(void **state)
{
    dcls_context *ctx = *state;
    const char *const small[] = {"dim=8", "depth=2", NULL}, *const deep[] = {"dim=8", "depth=3", NULL};
    dcls_model *model[4];
    const dcls_create_options options = {.arch = "convmixer", .classes = 3, .seed = 7};
    dcls_create_options other = options;
    other.seed = 8;
    assert_ok(ctx, create_with(ctx, options, small, &model[0]));
    assert_ok(ctx, create_with(ctx, options, small, &model[1]));
    assert_ok(ctx, create_with(ctx, other, small, &model[2]));
    assert_ok(ctx, create_with(ctx, options, deep, &model[3]));
    const float *data[4];
    for (int i = 0; i < 4; i++)
        data[i] = dcls_tensors_find(dcls_model_tensors(model[i]), "3.1.weight")->data;
    assert_memory_equal(data[0], data[1], 64 * sizeof(float));
    assert_memory_equal(data[0], data[3], 64 * sizeof(float)); /* by name, whatever else there is */
    assert_memory_not_equal(data[0], data[2], 64 * sizeof(float));
    const float *next = dcls_tensors_find(dcls_model_tensors(model[0]), "4.1.weight")->data;
    assert_memory_not_equal(data[0], next, 64 * sizeof(float));
    for (int i = 0; i < 4; i++)
        dcls_model_destroy(model[i]);
}

/* A share of the window: the wide one starts wider. */
static void wide_start(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"dim=64", "depth=2", "4.*:dilated_kernel_size=21", "position_sigma=10%",
                                    NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "convmixer", .classes = 3}, settings, &model));
    expect_moments(moments_of(model, "3.0.fn.0.P"), 0, 0.9);
    expect_moments(moments_of(model, "4.0.fn.0.P"), 0, 2.1);
    dcls_model_destroy(model);
    const char *const wrong[] = {"dim=4", "depth=2", "position_sigma=wide", NULL};
    check_outcome(ctx, "wide",
                  create_with(ctx, (dcls_create_options){.arch = "convmixer", .classes = 3}, wrong, &model),
                  DCLS_ERR_ARGUMENT, "as 25% a share of the window");
}

/* ---- ConvNeXt ---- */

static void convnext(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"dims=16,24",     "depths=2,3", "drop_path=0.4", "dilated_kernel_size=7",
                                    "kernel_count=6", NULL};
    dcls_model *model;
    assert_ok(ctx, create_with(ctx, (dcls_create_options){.arch = "convnext_dcls", .classes = 5}, settings,
                               &model));
    expect_shape(model, "downsample_layers.0.0.weight", "[16, 3, 4, 4]");
    expect_shape(model, "downsample_layers.1.0.weight", "[16]");
    expect_shape(model, "downsample_layers.1.1.weight", "[24, 16, 2, 2]");
    expect_shape(model, "stages.1.2.dwconv.weight", "[24, 1, 6]");
    expect_shape(model, "stages.1.2.pwconv1.weight", "[96, 24, 1, 1]");
    expect_shape(model, "stages.0.0.gamma", "[16]");
    expect_shape(model, "head.weight", "[5, 24]");
    /* one P a stage */
    assert_ptr_equal(node_named(model, "stages.1.0.dwconv")->P, node_named(model, "stages.1.2.dwconv")->P);
    assert_ptr_not_equal(node_named(model, "stages.0.0.dwconv")->P,
                         node_named(model, "stages.1.0.dwconv")->P);
    assert_null(dcls_tensors_find(dcls_model_tensors(model), "stages.1.1.dwconv.P"));
    /* linear over all blocks of all stages */
    assert_true(fabs(node_named(model, "stages.0.1.drop_path")->p - 0.1) < 1e-12);
    assert_true(fabs(node_named(model, "stages.1.2.drop_path")->p - 0.4) < 1e-12);
    expect_moments(moments_of(model, "stages.1.1.pwconv1.weight"), 0, 0.02);
    expect_moments(moments_of(model, "stages.1.1.dwconv.weight"), 0, 0.02);
    expect_constant(model, "stages.1.1.pwconv1.bias", 0);
    expect_constant(model, "stages.1.1.gamma", 1e-6);
    expect_run(ctx, model, 32, "[1, 5]");
    dcls_model_destroy(model);

    const char *const apart[] = {"dims=16", "depths=2", "share_positions=false", NULL};
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "convnext_dcls", .classes = 5}, apart, &model));
    assert_ptr_not_equal(node_named(model, "stages.0.0.dwconv")->P,
                         node_named(model, "stages.0.1.dwconv")->P);
    assert_int_equal(node_named(model, "stages.0.0.dwconv")->window.kernel[0], 17);
    assert_int_equal(node_named(model, "stages.0.0.dwconv")->kernel_count, 34);
    dcls_model_destroy(model);
}

/* ---- DeepLabV3 ---- */

static void deeplab(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"dim=8", "head_dim=16", NULL}, *const dilated[] = {"dim=8", "head_dim=16",
                                                                                       "kernel_count=0",
                                                                                       NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "deeplabv3", .classes = 4}, settings, &model));
    expect_shape(model, "backbone.layer3.5.conv2.weight", "[32, 32, 9]");
    expect_shape(model, "backbone.layer2.3.conv2.weight", "[16, 16, 3, 3]");
    expect_shape(model, "classifier.4.weight", "[4, 16, 1, 1]");
    assert_int_equal(node_named(model, "backbone.layer4.0.conv2")->window.kernel[0], 5);
    assert_int_equal(node_named(model, "backbone.layer4.2.conv2")->window.kernel[0], 9);
    assert_int_equal(node_named(model, "classifier.0.convs.3.0")->window.kernel[0], 73);
    expect_run(ctx, model, 32, "[1, 4, 32, 32]");
    /* fan out 128: kaiming normal for the backbone, PyTorch's own for the head */
    expect_moments(moments_of(model, "backbone.layer3.1.conv3.weight"), 0, sqrt(2.0 / 128));
    expect_uniform(model, "classifier.1.weight", 1 / sqrt(16 * 9));
    dcls_model_destroy(model);

    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "deeplabv3", .classes = 4}, dilated, &model));
    const dcls_node *atrous = node_named(model, "classifier.0.convs.3.0");
    assert_int_equal(atrous->op, DCLS_OP_CONV);
    assert_int_equal(atrous->window.dilation[0], 36);
    dcls_model_destroy(model);
}

static void deeplab_is_torchvisions(void **state)
{
    dcls_context *ctx = *state;
    const char *const settings[] = {"kernel_count=0", NULL};
    dcls_model *model;
    assert_ok(ctx,
              create_with(ctx, (dcls_create_options){.arch = "deeplabv3", .classes = 21}, settings, &model));
    /* what torchvision's deeplabv3_resnet50(weights=None, num_classes=21) without its auxiliary head counts
     */
    assert_int_equal(parameters(model), 39638869);
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(convmixer),
        CONTEXT_TEST(convmixer_dense_twin),
        CONTEXT_TEST(spreads_by_version),
        CONTEXT_TEST(same_seed_same_bits),
        CONTEXT_TEST(wide_start),
        CONTEXT_TEST(convnext),
        CONTEXT_TEST(deeplab),
        CONTEXT_TEST(deeplab_is_torchvisions),
    };
    return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
