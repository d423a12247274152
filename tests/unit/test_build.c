/* Networks out of state dicts: what is refused, presets, labels, descriptions, leftovers. */
#include "arch_util.h"

/* ---- what is refused ---- */

static const struct {
    const char *tensors;
    const char *arch, *preprocess;
    const char *settings[4];
    dcls_status status;
    const char *part;
} REFUSED[] = {
    {MIXER, NULL, NULL, {NULL}, DCLS_ERR_ARGUMENT, "it needs an architecture"},
    {MIXER,
     "resnet",
     NULL,
     {NULL},
     DCLS_ERR_ARGUMENT,
     "unknown architecture 'resnet': there are convmixer, convnext_dcls and"},
    {MIXER,
     "deeplabv3",
     NULL,
     {NULL},
     DCLS_ERR_FORMAT,
     "architecture deeplabv3: tensor 'backbone.conv1.weight' is missing"},
    {MIXER,
     "convnext_dcls",
     NULL,
     {NULL},
     DCLS_ERR_FORMAT,
     "tensor 'downsample_layers.0.0.weight' is missing"},
    {TIMM, "convnext_dcls", NULL, {NULL}, DCLS_ERR_FORMAT, "is missing"},
    {MIXER_STEM, "convmixer", NULL, {NULL}, DCLS_ERR_FORMAT, "tensor '3.0.fn.0.weight' is missing"},
    {MIXER_STEM PLAIN_BLOCK("3"), "convmixer", NULL, {NULL}, DCLS_ERR_FORMAT, "tensor '6.weight' is missing"},
    {"net.0.weight 8",
     "convmixer",
     NULL,
     {NULL},
     DCLS_ERR_FORMAT,
     "tensor '0.weight' is missing, but there is 'net.0.weight': take the module 'net' alone"},
    {"0.weight 8", "convmixer", NULL, {NULL}, DCLS_ERR_FORMAT, "must be the patch convolution"},
    {"downsample_layers.0.0.weight 8",
     "convnext_dcls",
     NULL,
     {NULL},
     DCLS_ERR_FORMAT,
     "must be the stem convolution"},
    {"backbone.conv1.weight", "deeplabv3", NULL, {NULL}, DCLS_ERR_FORMAT, "must be the stem convolution"},
    {TIMM "; blocks.2.weight 3; foo 3",
     "convmixer",
     NULL,
     {NULL},
     DCLS_ERR_FORMAT,
     "the network does not use 2 of the tensors: 'blocks.2.weight', 'foo'"},
    {MIXER,
     "convmixer",
     NULL,
     {NULL},
     DCLS_ERR_ARGUMENT,
     "layer '3.0.fn.0': its tensors do not tell the version: set version=v0 or version=v1"},
    {MIXER, "convmixer", NULL, {"version=v1"}, DCLS_ERR_ARGUMENT, "set dilated_kernel_size=N"},
    {MIXER,
     "convmixer",
     NULL,
     {"version=v1", "3*:dilated_kernel_size=9"},
     DCLS_ERR_ARGUMENT,
     "layer '4.0.fn.0'"},
    {MIXER,
     "convmixer",
     NULL,
     {"version=gauss", "dilated_kernel_size=9"},
     DCLS_ERR_FORMAT,
     "gauss needs SIG"},
    {MIXER,
     "convmixer",
     NULL,
     {"version=v7"},
     DCLS_ERR_ARGUMENT,
     "setting 'version=v7': attribute 'version' is 'v7'"},
    {MIXER, "convmixer", NULL, {"dilated_kernel_size=0"}, DCLS_ERR_ARGUMENT, "must be 1 to"},
    {MIXER, "convmixer", NULL, {"dilated_kernel_size=9,x"}, DCLS_ERR_ARGUMENT, "must be a whole number"},
    {MIXER,
     "convmixer",
     NULL,
     {"versoin=v1"},
     DCLS_ERR_ARGUMENT,
     "unknown key 'versoin' (did you mean 'version'?)"},
    {MIXER, "convmixer", NULL, {"9*:version=v1"}, DCLS_ERR_ARGUMENT, "no layer's name matches '9*'"},
    {MIXER, "convmixer", NULL, {"0:version=v1"}, DCLS_ERR_ARGUMENT, "none of the layers has 'version'"},
    {MIXER, "convmixer", NULL, {"version"}, DCLS_ERR_ARGUMENT, "setting 'version' must be KEY=VALUE"},
    {MIXER, "convmixer", NULL, {"=v1"}, DCLS_ERR_ARGUMENT, "must be KEY=VALUE"},
    {MIXER, "convmixer", NULL, {":version=v1"}, DCLS_ERR_ARGUMENT, "must be KEY=VALUE"},
    {MIXER, "convmixer", NULL, {"version="}, DCLS_ERR_ARGUMENT, "must be KEY=VALUE"},
    {MIXER,
     "convmixer",
     NULL,
     {"activation=silu"},
     DCLS_ERR_ARGUMENT,
     "must be one of 'gelu', 'gelu_tanh', 'relu'"},
    {TIMM,
     "convmixer",
     NULL,
     {"version=v1"},
     DCLS_ERR_ARGUMENT,
     "setting 'version=v1': there is no DCLS layer"},
    {TIMM,
     "convmixer",
     "imagenette",
     {NULL},
     DCLS_ERR_ARGUMENT,
     "unknown preprocessing 'imagenette': there are imagenet,"},
    {"stem.0.weight 8 5 2 2; stem.0.bias 8; " BN("stem.2", "8")
         PLAIN_BLOCK("blocks.0") "head.weight 10 8; head.bias 10",
     "convmixer",
     "cifar10",
     {NULL},
     DCLS_ERR_ARGUMENT,
     "is for pictures of 3 channels"},
};

static void refuses(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        dcls_model *model = NULL;
        const dcls_build_options options = {.arch = REFUSED[i].arch, .preprocess = REFUSED[i].preprocess};
        const dcls_status status =
            build_with(ctx, make_tensors(ctx, REFUSED[i].tensors), options, REFUSED[i].settings, &model);
        check_outcome(ctx, REFUSED[i].part, status, REFUSED[i].status, REFUSED[i].part);
        assert_null(model);
    }
}

/* ---- labels, presets, descriptions ---- */

#define TINY_BODY                                                                                            \
    "\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[{\"op\":\"conv\",\"name\":"  \
    "\"c\","                                                                                                 \
    "\"weight\":\"w\"}]}"
#define TINY "{" TINY_BODY

static void labels_and_presets(void **state)
{
    dcls_context *ctx = *state;
    static const char *const LABELS[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    dcls_model *model;
    dcls_build_options options = {
        .arch = "convmixer", .labels = LABELS, .label_count = 10, .preprocess = "cifar10"};
    assert_ok(ctx, dcls_model_build(ctx, make_tensors(ctx, TIMM), &options, &model));
    assert_int_equal(dcls_model_label_count(model), 10);
    assert_string_equal(dcls_model_label(model, 9), "j");
    const dcls_preprocess *p = dcls_model_preprocess(model);
    assert_int_equal(p->resize, DCLS_RESIZE_SHORTER);
    assert_int_equal(p->crop_width, 32);
    assert_true(p->std[2] == 0.2616f && p->mean[1] == 0.4822f);
    /* what was built is what a file of it says */
    assert_non_null(strstr(dcls_tensors_meta(model->tensors, DCLS_META_MODEL), "\"labels\": [\"a\""));
    dcls_model_destroy(model);

    options.label_count = 11;
    check_outcome(ctx, "labels", dcls_model_build(ctx, make_tensors(ctx, TIMM), &options, &model),
                  DCLS_ERR_FORMAT, "there are 11 labels, but the output 'head' has 10 channels");

    options = (dcls_build_options){.arch = "convmixer", .preprocess = "imagenet-bicubic"};
    assert_ok(ctx, dcls_model_build(ctx, make_tensors(ctx, TIMM), &options, &model));
    p = dcls_model_preprocess(model);
    assert_int_equal(p->filter, DCLS_FILTER_BICUBIC);
    assert_int_equal(p->resize_height, 256);
    assert_int_equal(p->crop_height, 224);
    dcls_model_destroy(model);
}

static void other_labels(void **state)
{
    dcls_context *ctx = *state;
    static const char *const LABELS[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
    dcls_model *model;
    const dcls_build_options options = {.arch = "convmixer", .labels = LABELS, .label_count = 10};
    assert_ok(ctx, dcls_model_build(ctx, make_tensors(ctx, TIMM), &options, &model));
    check_outcome(ctx, "labels", dcls_model_set_labels(ctx, model, LABELS, 11), DCLS_ERR_FORMAT,
                  "there are 11 labels, but the output 'head' has 10 channels");
    assert_string_equal(dcls_model_label(model, 0), "a");
    assert_ok(ctx, dcls_model_set_labels(ctx, model, LABELS + 1, 10));
    assert_string_equal(dcls_model_label(model, 0), "b");
    assert_non_null(strstr(dcls_tensors_meta(model->tensors, DCLS_META_MODEL), "\"labels\": [\"b\""));
    assert_ok(ctx, dcls_model_set_labels(ctx, model, LABELS, 0));
    assert_int_equal(dcls_model_label_count(model), 0);
    dcls_model_destroy(model);
}

static void preset_none(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model;
    dcls_tensors *set = make_tensors(ctx, "w 2 3 1 1");
    assert_ok(ctx, dcls_tensors_set_meta(
                       ctx, set, DCLS_META_MODEL,
                       "{\"preprocess\":{\"mean\":3,\"crop\":{\"height\":5,\"width\":5}}," TINY_BODY));
    const dcls_build_options options = {.preprocess = "none"};
    assert_ok(ctx, dcls_model_build(ctx, set, &options, &model));
    const dcls_preprocess *p = dcls_model_preprocess(model);
    assert_true(p->mean[0] == 0 && p->std[2] == 1 && p->crop_height == 0 && p->channels == 3);
    dcls_model_destroy(model);
}

static void descriptions(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model, *again;
    dcls_build_options options = {.arch_json = TINY};
    assert_ok(ctx, dcls_model_build(ctx, make_tensors(ctx, "w 2 3 1 1; bn.num_batches_tracked I64"), &options,
                                    &model));
    assert_int_equal(dcls_tensors_count(dcls_model_tensors(model)), 1);
    assert_ptr_equal(model->nodes[0].weight, dcls_tensors_at(dcls_model_tensors(model), 0));
    dcls_model_destroy(model);

    check_outcome(ctx, "leftover",
                  dcls_model_build(ctx, make_tensors(ctx, "v 9; w 2 3 1 1"), &options, &model),
                  DCLS_ERR_FORMAT, "does not use 1 of the tensors: 'v'");
    options.arch = "convmixer";
    check_outcome(ctx, "both", dcls_model_build(ctx, make_tensors(ctx, "w 2 3 1 1"), &options, &model),
                  DCLS_ERR_ARGUMENT, "exclude each other");

    /* a file with a network of its own may be adjusted, and keeps what else it has */
    dcls_tensors *set = make_tensors(ctx, "w 2 3 1 1; extra 5");
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL, TINY));
    const char *const settings[] = {"c:stride=2", NULL};
    assert_ok(ctx, build_with(ctx, set, (dcls_build_options){.preprocess = "imagenet"}, settings, &model));
    assert_int_equal(model->nodes[0].window.stride[1], 2);
    assert_non_null(dcls_tensors_find(dcls_model_tensors(model), "extra"));
    char *text = model_text(ctx, model);
    assert_ok(ctx, dcls_model_from_json(ctx, make_tensors(ctx, "w 2 3 1 1"), text, &again));
    assert_memory_equal(&model->preprocess, &again->preprocess, sizeof model->preprocess);
    free(text);
    dcls_model_destroy(again);
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(refuses),      CONTEXT_TEST(labels_and_presets), CONTEXT_TEST(preset_none),
        CONTEXT_TEST(other_labels), CONTEXT_TEST(descriptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
