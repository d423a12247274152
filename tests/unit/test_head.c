/* Networks for other classes: the last layer is drawn anew, all else stays byte for byte. */
#include "create_util.h"

#define INPUT  "\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},"
#define LABELS "\"labels\":[\"a\",\"b\",\"c\",\"d\"],"
#define BODY                                                                                                 \
    "{\"op\":\"conv\",\"name\":\"body\",\"weight\":\"body.weight\",\"out_channels\":64,\"kernel_size\":1},"
#define HEAD(op, sizes)                                                                                      \
    "{\"op\":\"" op                                                                                          \
    "\",\"name\":\"head\",\"weight\":\"h.weight\",\"bias\":\"h.bias\",\"out_channels\":4" sizes "}"
#define SEGMENTS "{\"task\":\"segmentation\"," INPUT LABELS "\"nodes\":["

static dcls_model *create(dcls_context *ctx, const char *json)
{
    dcls_model *model;
    assert_ok(ctx, dcls_model_create(ctx, &(dcls_create_options){.arch_json = json, .seed = 3}, &model));
    return model;
}

static const char *const LABELS_OF_SEVEN[] = {"s", "t", "u", "v", "w", "x", "y"};

static dcls_model *refit(dcls_context *ctx, const dcls_model *model, const char *layer)
{
    dcls_model *made;
    const char *name;
    assert_ok(ctx, dcls_model_new_head(ctx, model, 7, LABELS_OF_SEVEN, 5, &made, &name));
    assert_string_equal(name, layer);
    assert_int_equal(dcls_model_label_count(made), 7);
    assert_string_equal(dcls_model_label(made, 6), "y");
    int64_t classes = 0;
    assert_ok(ctx, dcls_model_classes(ctx, made, &classes));
    assert_int_equal(classes, 7);
    return made;
}

static void expect_kept(const dcls_model *before, const dcls_model *after, const char *name)
{
    const dcls_tensor *a = dcls_tensors_find(dcls_model_tensors(before), name);
    const dcls_tensor *b = dcls_tensors_find(dcls_model_tensors(after), name);
    assert_int_equal(a->nbytes, b->nbytes);
    assert_memory_equal(a->data, b->data, a->nbytes);
}

static void linear_behind_a_softmax(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model = create(ctx, "{\"task\":\"classification\"," INPUT LABELS "\"nodes\":[" BODY
                                    "{\"op\":\"global_avg_pool\",\"name\":\"pool\",\"flatten\":true}," HEAD(
                                        "linear", "") ",{\"op\":\"softmax\",\"name\":\"s\"}]}");
    dcls_model *made = refit(ctx, model, "head");
    expect_shape(made, "h.weight", "[7, 64]");
    expect_shape(made, "h.bias", "[7]");
    expect_uniform(made, "h.weight", 1.0 / 8);
    expect_kept(model, made, "body.weight");
    expect_run(ctx, made, 5, "[1, 7]");
    dcls_model_destroy(made);
    dcls_model_destroy(model);
}

static void convolution_behind_a_resize(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model = create(
        ctx,
        SEGMENTS BODY HEAD(
            "conv", ",\"kernel_size\":3,\"padding\":1") ","
                                                        "{\"op\":\"resize\",\"name\":\"up\",\"scale\":2}]}");
    dcls_model *made = refit(ctx, model, "head");
    expect_shape(made, "h.weight", "[7, 64, 3, 3]");
    expect_uniform(made, "h.weight", 1 / sqrt(64 * 9.0));
    expect_kept(model, made, "body.weight");
    expect_run(ctx, made, 5, "[1, 7, 10, 10]");
    dcls_model_destroy(made);
    dcls_model_destroy(model);
}

static void dcls_layer(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model = create(
        ctx, SEGMENTS BODY "{\"op\":\"dcls\",\"name\":\"head\",\"weight\":\"h.weight\",\"P\":\"h.P\","
                           "\"SIG\":\"h.SIG\",\"version\":\"gauss\",\"dilated_kernel_size\":5,\"padding\":2,"
                           "\"kernel_count\":3,\"out_channels\":4}]}");
    dcls_model *made = refit(ctx, model, "head");
    expect_shape(made, "h.weight", "[7, 64, 3]");
    expect_shape(made, "h.P", "[2, 7, 64, 3]");
    expect_constant(made, "h.SIG", 0.23);
    expect_run(ctx, made, 5, "[1, 7, 5, 5]");
    dcls_model_destroy(made);
    dcls_model_destroy(model);
}

static void refuse(dcls_context *ctx, const char *json, const char *fragment)
{
    dcls_model *model = create(ctx, json), *made;
    assert_int_equal(dcls_model_new_head(ctx, model, 7, NULL, 5, &made, NULL), DCLS_ERR_UNSUPPORTED);
    assert_null(made);
    if (strstr(dcls_context_message(ctx), fragment) == NULL)
        fail_msg("'%s' lacks '%s'", dcls_context_message(ctx), fragment);
    dcls_model_destroy(model);
}

static void what_has_no_last_layer(void **state)
{
    dcls_context *ctx = *state;
    refuse(ctx, SEGMENTS HEAD("conv", ",\"kernel_size\":1") ",{\"op\":\"relu\",\"name\":\"r\"}]}",
           "from 'r' (relu), which has no weights");
    refuse(ctx, "{\"task\":\"segmentation\"," INPUT "\"nodes\":[{\"op\":\"identity\",\"name\":\"i\"}]}",
           "no layer with weights makes its output");
    refuse(ctx, SEGMENTS BODY HEAD("conv", ",\"kernel_size\":1,\"groups\":4") "]}",
           "the outputs of its last layer 'head' are not its classes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(linear_behind_a_softmax),
        CONTEXT_TEST(convolution_behind_a_resize),
        CONTEXT_TEST(dcls_layer),
        CONTEXT_TEST(what_has_no_last_layer),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
