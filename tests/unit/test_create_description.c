/* New networks of descriptions without tensors, and what is refused. */
#include "create_util.h"

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

    const char *const handing_on[] = {"a:init=dirac", NULL};
    assert_ok(ctx, create_with(ctx,
                               (dcls_create_options){.arch_json = HEAD STEM NORM SPREAD JOIN CLASS TAIL,
                                                     .classes = 2},
                               handing_on, &model));
    const float *values = dcls_tensors_find(dcls_model_tensors(model), "a.weight")->data;
    for (int i = 0; i < 3 * 45; i++)
        assert_true(values[i] == (i / 45 * 15 + 7 == i % 45 ? 1.0f : 0.0f));
    assert_true(values[3 * 45] != 0);
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

/* ---- what is refused, of architectures too ---- */

typedef struct create_row {
    const char *arch, *json;
    const char *settings[8]; /* ended by NULL */
    int64_t classes;
    dcls_status status;
    const char *part;
} create_row;

static const create_row REFUSED[] = {
    {"convmixer",
     NULL,
     {"dime=3"},
     10,
     DCLS_ERR_ARGUMENT,
     "unknown key 'dime' (did you mean 'dim'?): convmixer has"},
    {"convmixer", NULL, {"dim=0"}, 10, DCLS_ERR_ARGUMENT, "setting 'dim=0': must be a whole number from 1"},
    {"convmixer", NULL, {"dim=x"}, 10, DCLS_ERR_ARGUMENT, "whole number"},
    {"convmixer", NULL, {"dim=65536", "depth=1000"}, 10, DCLS_ERR_LIMIT, "bytes of memory allowed"},
    {"convmixer", NULL, {"dim=4", "depth=1", "version=v7"}, 10, DCLS_ERR_ARGUMENT, "'v7', must be one of"},
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
     HEAD "{\"op\":\"conv\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":1,\"kernel_count\":1}" TAIL,
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

static void what_is_refused(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof REFUSED / sizeof REFUSED[0]; i++) {
        dcls_model *model;
        const create_row *row = &REFUSED[i];
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
        CONTEXT_TEST(description),
        CONTEXT_TEST(description_serves_its_tensors),
        CONTEXT_TEST(shipped_descriptions),
        CONTEXT_TEST(what_is_refused),
    };
    return cmocka_run_group_tests_name("create from descriptions", tests, NULL, NULL);
}
