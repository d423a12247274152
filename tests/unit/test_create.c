/* New networks: key names and shapes as the original implementations have them, statistics of initial weights
 * against the distributions they are drawn from, settings, descriptions without tensors. */
#include "model_util.h"

#include <math.h>

#include "dcls_train.h"

typedef struct create_row {
    const char *arch, *json;
    const char *settings[8]; /* ended by NULL */
    int64_t classes;
    dcls_status status;
    const char *part;
} create_row;

static dcls_status create_with(dcls_context *ctx, dcls_create_options options, const char *const *settings,
                               dcls_model **out)
{
    options.settings = settings;
    while (settings != NULL && settings[options.setting_count] != NULL)
        options.setting_count++;
    return dcls_model_create(ctx, &options, out);
}

static void expect_shape(const dcls_model *model, const char *name, const char *want)
{
    const dcls_tensor *tensor = dcls_tensors_find(dcls_model_tensors(model), name);
    char text[DCLS_SHAPE_TEXT];
    if (tensor == NULL) {
        fail_msg("there is no tensor '%s'", name);
        return;
    }
    assert_int_equal(tensor->dtype, DCLS_F32);
    assert_string_equal(dcls_shape_text(text, sizeof text, tensor->ndim, tensor->shape), want);
}

static int64_t parameters(const dcls_model *model)
{
    int64_t sum = 0;
    const dcls_tensors *tensors = dcls_model_tensors(model);
    for (size_t i = 0; i < dcls_tensors_count(tensors); i++)
        if (strstr(dcls_tensors_at(tensors, i)->name, "running_") == NULL)
            sum += (int64_t)(dcls_tensors_at(tensors, i)->nbytes / sizeof(float));
    return sum;
}

/* Runs the network on a picture of one value and checks that the output is finite and has this shape. */
static void expect_run(dcls_context *ctx, const dcls_model *model, int64_t side, const char *want)
{
    const int64_t shape[] = {1, model->input_shape[1], side, side};
    const size_t count = (size_t)(shape[1] * side * side);
    float *input = malloc(count * sizeof *input);
    for (size_t i = 0; i < count; i++)
        input[i] = (float)(i % 7) - 3;
    dcls_plan *plan;
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, 4, shape, &plan));
    int64_t size[DCLS_MAX_DIMS];
    const int ndim = dcls_plan_output_shape(plan, size);
    char text[DCLS_SHAPE_TEXT];
    assert_string_equal(dcls_shape_text(text, sizeof text, ndim, size), want);
    int64_t outputs = 0;
    assert_true(dcls_shape_count(ndim, size, &outputs));
    float *output = malloc((size_t)outputs * sizeof *output);
    assert_ok(ctx, dcls_plan_run(ctx, plan, input, output));
    for (int64_t i = 0; i < outputs; i++)
        assert_true(isfinite(output[i]));
    free(input);
    free(output);
    dcls_plan_destroy(plan);
}

/* ---- statistics ---- */

typedef struct moments {
    double mean, deviation, least, most;
    size_t count;
} moments;

static moments moments_of(const dcls_model *model, const char *name)
{
    const dcls_tensor *tensor = dcls_tensors_find(dcls_model_tensors(model), name);
    if (tensor == NULL) {
        fail_msg("there is no tensor '%s'", name);
        return (moments){0};
    }
    const float *values = tensor->data;
    moments m = {.count = tensor->nbytes / sizeof(float), .least = INFINITY, .most = -INFINITY};
    for (size_t i = 0; i < m.count; i++) {
        m.mean += (double)values[i] / (double)m.count;
        m.least = fmin(m.least, (double)values[i]);
        m.most = fmax(m.most, (double)values[i]);
    }
    for (size_t i = 0; i < m.count; i++)
        m.deviation += ((double)values[i] - m.mean) * ((double)values[i] - m.mean) / (double)m.count;
    m.deviation = sqrt(m.deviation);
    return m;
}

/* Within five standard errors of what the distribution has; kurtosis at most 3. */
static void expect_moments(moments m, double mean, double deviation)
{
    const double error = 5 / sqrt((double)m.count);
    assert_true(fabs(m.mean - mean) <= error * deviation + 1e-9);
    assert_true(fabs(m.deviation - deviation) <= error * deviation + 1e-9);
}

static void expect_uniform(const dcls_model *model, const char *name, double bound)
{
    const moments m = moments_of(model, name);
    expect_moments(m, 0, bound / sqrt(3));
    assert_true(m.most <= bound && m.least >= -bound);
    assert_true(m.most > bound * (1 - 20.0 / (double)m.count));
}

static void expect_constant(const dcls_model *model, const char *name, double value)
{
    const moments m = moments_of(model, name);
    assert_true(m.least == (double)(float)value && m.most == (double)(float)value);
}

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
    expect_moments(moments_of(model, "5.0.fn.0.P"), 0, 0.5);
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

/* ---- descriptions ---- */

#define HEAD                                                                                                 \
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"segmentation\",\"input\":{\"channels\":" \
    "3,"                                                                                                     \
    "\"height\":\"any\",\"width\":\"any\"},\"nodes\":["
#define TAIL "]}}"
#define STEM                                                                                                 \
    "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"a.weight\",\"bias\":\"a.bias\",\"out_channels\":12,"       \
    "\"kernel_size\":[3,5],\"padding\":\"same\"},"
#define NORM                                                                                                 \
    "{\"op\":\"batch_norm\",\"name\":\"n\",\"weight\":\"n.weight\",\"bias\":\"n.bias\",\"running_mean\":"    \
    "\"n.running_mean\",\"running_var\":\"n.running_var\"},"
#define SPREAD                                                                                               \
    "{\"op\":\"dcls\",\"name\":\"d\",\"weight\":\"d.weight\",\"P\":\"d.P\",\"version\":\"v1\","              \
    "\"dilated_kernel_size\":7,\"padding\":3,\"groups\":6,\"out_channels\":24,\"kernel_count\":5},"
#define JOIN "{\"op\":\"concat\",\"name\":\"c\",\"inputs\":[\"d\",\"a\"]},"
#define CLASS                                                                                                \
    "{\"op\":\"conv\",\"name\":\"z\",\"weight\":\"z.weight\",\"out_channels\":\"classes\",\"kernel_size\":"  \
    "1}"

static void description(void **state)
{
    dcls_context *ctx = *state;
    const char *const labels[] = {"one", "two"};
    dcls_model *model;
    assert_ok(ctx, create_with(ctx,
                               (dcls_create_options){.arch_json = HEAD STEM NORM SPREAD JOIN CLASS TAIL,
                                                     .classes = 2,
                                                     .labels = labels},
                               NULL, &model));
    expect_shape(model, "a.weight", "[12, 3, 3, 5]");
    expect_shape(model, "n.running_var", "[12]");
    expect_shape(model, "d.weight", "[24, 2, 5]");
    expect_shape(model, "d.P", "[2, 24, 2, 5]");
    expect_shape(model, "z.weight", "[2, 36, 1, 1]");
    expect_uniform(model, "a.weight", 1 / sqrt(45));
    expect_uniform(model, "d.weight", 1 / sqrt(10));
    expect_run(ctx, model, 8, "[1, 2, 8, 8]");
    assert_string_equal(dcls_model_label(model, 1), "two");
    /* what tensors say is not said again */
    char *text = model_text(ctx, model);
    assert_null(strstr(text, "out_channels"));
    assert_null(strstr(text, "kernel_count"));
    free(text);
    dcls_model_destroy(model);

    const char *const settings[] = {"kernel_count=11", "version=gauss", "d:position_sigma=2", NULL};
    assert_ok(ctx, create_with(ctx,
                               (dcls_create_options){.arch_json = HEAD STEM NORM SPREAD JOIN CLASS TAIL,
                                                     .classes = 3},
                               settings, &model));
    expect_shape(model, "d.SIG", "[2, 24, 2, 11]");
    expect_shape(model, "z.weight", "[3, 36, 1, 1]");
    expect_constant(model, "d.SIG", 0.23);
    assert_true(moments_of(model, "d.P").deviation > 1);
    dcls_model_destroy(model);
}

/* The description of a created network serves its tensors as --arch does. */
static void description_serves_its_tensors(void **state)
{
    dcls_context *ctx = *state;
    const char *json = HEAD STEM NORM SPREAD JOIN CLASS TAIL;
    dcls_model *model;
    assert_ok(ctx, dcls_model_build(ctx,
                                    make_tensors(ctx, "a.weight 12 3 3 5; a.bias 12; n.weight 12; n.bias 12; "
                                                      "n.running_mean 12; n.running_var 12; d.weight 24 2 5; "
                                                      "d.P 2 24 2 5; z.weight 4 36 1 1"),
                                    &(dcls_build_options){.arch_json = json}, &model));
    dcls_model_destroy(model);
    const char *tensors[] = {"a.weight 12 3 3 3; a.bias 12; n.weight 12; n.bias 12; n.running_mean 12; "
                             "n.running_var 12; d.weight 24 2 5; d.P 2 24 2 5; z.weight 4 36 1 1",
                             "a.weight 12 3 3 5; a.bias 12; n.weight 12; n.bias 12; n.running_mean 12; "
                             "n.running_var 12; d.weight 24 2 6; d.P 2 24 2 6; z.weight 4 36 1 1",
                             "a.weight 6 3 3 5; a.bias 6; n.weight 6; n.bias 6; n.running_mean 6; "
                             "n.running_var 6; d.weight 24 1 5; d.P 2 24 1 5; z.weight 4 30 1 1"};
    const char *parts[] = {"'kernel_size' is 5, but tensor 'a.weight' has 3",
                           "'kernel_count' is 5, but tensor 'd.weight' has 6",
                           "'out_channels' is 12, but tensor 'a.weight' has 6"};
    for (int i = 0; i < 3; i++)
        check_outcome(ctx, parts[i],
                      dcls_model_build(ctx, make_tensors(ctx, tensors[i]),
                                       &(dcls_build_options){.arch_json = json}, &model),
                      DCLS_ERR_FORMAT, parts[i]);
}

/* The descriptions that ship: they can be made, run, and have the figures their README says. */
static void shipped_descriptions(void **state)
{
    dcls_context *ctx = *state;
    static const struct {
        const char *path;
        int64_t parameters;
    } ROWS[] = {{"weights/arch/dclsseg-camvid.json", 140011},
                {"weights/arch/unet-dcls.json", 1502563},
                {"weights/arch/unet-dilated.json", 1474051}};
    static const char *const SEVEN[] = {"background", "cat", "cow", "dog", "horse", "sheep", "person"};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        FILE *file = fopen(ROWS[i].path, "r");
        if (file == NULL) skip();
        char *text = calloc(1, 1 << 20);
        assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
        fclose(file);
        dcls_model *model;
        assert_ok(ctx, create_with(ctx, (dcls_create_options){.arch_json = text}, NULL, &model));
        assert_int_equal(parameters(model), ROWS[i].parameters);
        assert_int_equal(model->palette_count, 11);
        expect_run(ctx, model, 45, "[1, 11, 45, 45]");
        dcls_model_destroy(model);
        const dcls_create_options other = {.arch_json = text, .classes = 7, .labels = SEVEN};
        assert_ok(ctx, create_with(ctx, other, NULL, &model));
        assert_int_equal(model->palette_count, 0); /* it was for other classes */
        expect_run(ctx, model, 33, "[1, 7, 33, 33]");
        dcls_model_destroy(model);
        free(text);
    }
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

static void what_is_refused(void **state)
{
    dcls_context *ctx = *state;
    static const create_row ROWS[] = {
        {"convmixer",
         NULL,
         {"dime=3"},
         10,
         DCLS_ERR_ARGUMENT,
         "unknown key 'dime' (did you mean 'dim'?): convmixer has"},
        {"convmixer",
         NULL,
         {"dim=0"},
         10,
         DCLS_ERR_ARGUMENT,
         "setting 'dim=0': must be a whole number from 1"},
        {"convmixer", NULL, {"dim=x"}, 10, DCLS_ERR_ARGUMENT, "whole number"},
        {"convmixer", NULL, {"dim=65536", "depth=1000"}, 10, DCLS_ERR_LIMIT, "bytes of memory allowed"},
        {"convmixer",
         NULL,
         {"dim=4", "depth=1", "version=v7"},
         10,
         DCLS_ERR_ARGUMENT,
         "'v7', must be one of"},
        {"convmixer", NULL, {"dim=4", "depth=1", "9.*:spread=1"}, 10, DCLS_ERR_ARGUMENT, "matches '9.*'"},
        {"convmixer",
         NULL,
         {"dim=4", "depth=1", "init=best"},
         10,
         DCLS_ERR_ARGUMENT,
         "'pytorch', 'trunc_normal'"},
        {"convmixer", NULL, {"dim=4", "drop_path=1.5"}, 10, DCLS_ERR_ARGUMENT, "from 0 to 0.99"},
        {"convmixer",
         NULL,
         {"dim=4", "kernel_count=0", "dilated_kernel_size=5,7x"},
         10,
         DCLS_ERR_ARGUMENT,
         "sides from 1"},
        {"convmixer",
         NULL,
         {"dim=4", "kernel_count=0", "dilated_kernel_size=0"},
         10,
         DCLS_ERR_ARGUMENT,
         "sides from 1"},
        {"convmixer", NULL, {NULL}, 0, DCLS_ERR_ARGUMENT, "needs the number of classes"},
        {"convnext_dcls",
         NULL,
         {"dims=8,8", "depths=1"},
         10,
         DCLS_ERR_ARGUMENT,
         "dims has 2 stages, depths has 1"},
        {"convnext_dcls", NULL, {"dims=8,,"}, 10, DCLS_ERR_ARGUMENT, "1 to 8 whole numbers"},
        {"convnext_dcls", NULL, {"dims=8,a"}, 10, DCLS_ERR_ARGUMENT, "1 to 8 whole numbers"},
        {"deeplabv3", NULL, {"backbone=resnet18"}, 10, DCLS_ERR_ARGUMENT, "'resnet50', 'resnet101'"},
        {"resnet", NULL, {NULL}, 10, DCLS_ERR_ARGUMENT, "unknown architecture 'resnet'"},
        {"convmixer", "{}", {NULL}, 10, DCLS_ERR_ARGUMENT, "either an architecture or a description"},
        {NULL, HEAD CLASS TAIL, {NULL}, 0, DCLS_ERR_ARGUMENT, "it is not known how many"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"kernel_size\":1}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "'out_channels' is missing"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":1}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "'kernel_size' is missing"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"out_channels\":1,\"kernel_size\":1}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "'weight', the name of a tensor, is missing"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":2000000000,\"kernel_size\":1000000}" TAIL,
         {NULL},
         2,
         DCLS_ERR_LIMIT,
         "bytes of memory allowed"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":1,\"groups\":2}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "2 groups do not divide the 3 channels"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":[3,3,3]}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "'kernel_size' has 3 values"},
        {NULL,
         HEAD
         "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":1,\"kernel_count\":1}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "unknown attribute 'kernel_count'"},
        {NULL,
         HEAD "{\"op\":\"flatten\"},{\"op\":\"linear\",\"weight\":\"w\",\"out_channels\":4}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "depends on the size of the input"},
        {NULL,
         HEAD "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":1},{"
              "\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":1}" TAIL,
         {NULL},
         2,
         DCLS_ERR_FORMAT,
         "its input has 4 channels"},
        {NULL,
         HEAD STEM NORM SPREAD JOIN CLASS TAIL,
         {"dilated_kernel_size=5", "kernel_cout=3"},
         2,
         DCLS_ERR_ARGUMENT,
         "did you mean 'kernel_count'"},
        {NULL, "[", {NULL}, 2, DCLS_ERR_FORMAT, "description"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        dcls_model *model;
        const create_row *row = &ROWS[i];
        const dcls_create_options options = {
            .arch = row->arch, .arch_json = row->json, .classes = row->classes};
        const dcls_status status = create_with(ctx, options, row->settings, &model);
        check_outcome(ctx, row->part, status, row->status, row->part);
        assert_null(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(convmixer),
        CONTEXT_TEST(convmixer_dense_twin),
        CONTEXT_TEST(spreads_by_version),
        CONTEXT_TEST(same_seed_same_bits),
        CONTEXT_TEST(convnext),
        CONTEXT_TEST(deeplab),
        CONTEXT_TEST(deeplab_is_torchvisions),
        CONTEXT_TEST(description),
        CONTEXT_TEST(description_serves_its_tensors),
        CONTEXT_TEST(shipped_descriptions),
        CONTEXT_TEST(wide_start),
        CONTEXT_TEST(what_is_refused),
    };
    return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
