/* What is said of DCLS layers, against numbers worked out by hand. */
#include <string.h>

#include "model_util.h"

static dcls_context *ctx;

/* Depthwise, 4 channels, 8x8, K = 3, D = 5. */
static dcls_layer_spec small_spec(void)
{
    return (dcls_layer_spec){.version = "v1",
                             .ndim = 2,
                             .dilated_kernel_size = {5, 5},
                             .kernel_count = 3,
                             .in_channels = 4,
                             .out_channels = 4,
                             .groups = 4,
                             .stride = {1, 1},
                             .padding = {DCLS_ANY, DCLS_ANY},
                             .input = {8, 8},
                             .bias = true,
                             .spread = -1};
}

static dcls_layer_facts explain(const dcls_layer_spec *spec)
{
    dcls_explanation *result;
    assert_ok(ctx, dcls_explain(ctx, spec, &result));
    const dcls_layer_facts facts = *dcls_explanation_facts(result);
    dcls_explanation_destroy(result);
    return facts;
}

static bool says(const dcls_layer_spec *spec, const char *part)
{
    dcls_explanation *result;
    bool found = false;
    assert_ok(ctx, dcls_explain(ctx, spec, &result));
    for (size_t i = 0; dcls_explanation_note(result, i) != NULL; i++)
        found = found || strstr(dcls_explanation_note(result, i), part) != NULL;
    dcls_explanation_destroy(result);
    return found;
}

static void test_depthwise(void **unused)
{
    dcls_layer_spec spec = small_spec();
    (void)unused;
    dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.weights, 12);
    assert_int_equal(f.biases, 4);
    assert_int_equal(f.positions, 24);
    assert_int_equal(f.spreads, 0);
    assert_int_equal(f.dense_weights, 100);
    assert_int_equal(f.padding[0], 2);
    assert_int_equal(f.same_padding[0], 2);
    assert_int_equal(f.output[0], 8);
    assert_int_equal(f.output[1], 8);
    assert_int_equal(f.macs_dense, 64 * 100);
    assert_int_equal(f.taps, 4 * 3 * 4); /* four cells an element */
    assert_int_equal(f.macs_sparse, 64 * 48);
    assert_int_equal(f.macs_im2col, 64 * (12 * 4 + 12)); /* 12 columns of 4 cells, 12 weights */
    assert_int_equal(f.dense_bytes, 400);
    assert_int_equal(f.columns_bytes, 64 * 12 * 4);
    assert_int_equal(f.taps_bytes, 48 * 8);
    assert_int_equal(f.learned_bytes, (12 + 4 + 24) * 4);
    assert_int_equal(f.output_bytes, 4 * 64 * 4);
    assert_string_equal(f.algorithm, "sparse");
}

/* dilation (side - 1) + 1 = 5: side 2 at 4, side 3 at 2. */
static void test_reach(void **unused)
{
    dcls_layer_spec spec = small_spec();
    (void)unused;
    dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.reach_count, 2);
    assert_int_equal(f.reach[0].side[0], 2);
    assert_int_equal(f.reach[0].dilation[0], 4);
    assert_int_equal(f.reach[1].side[1], 3);
    assert_int_equal(f.reach[1].dilation[1], 2);
    assert_int_equal(f.classic, 0); /* even 2x2 has more cells than 3 */
    spec.kernel_count = 9;
    f = explain(&spec);
    assert_int_equal(f.classic, 1);
    assert_int_equal(f.classic_weights, 36);
    assert_int_equal(f.classic_macs, 64 * 36);
    spec.kernel_count = 8;
    assert_int_equal(explain(&spec).classic, 0);
    spec.dilated_kernel_size[0] = 1; /* stays one cell */
    f = explain(&spec);
    assert_int_equal(f.reach[1].side[0], 1);
    assert_int_equal(f.reach[1].side[1], 3);
    assert_int_equal(f.classic_weights, 12);
    spec.dilated_kernel_size[1] = 1;
    assert_int_equal(explain(&spec).classic, -1);
}

static void test_full_convolution(void **unused)
{
    dcls_layer_spec spec = small_spec();
    (void)unused;
    spec.out_channels = 6;
    spec.groups = 2;
    spec.bias = false;
    spec.stride[0] = spec.stride[1] = 2;
    spec.padding[0] = spec.padding[1] = 0;
    spec.input[0] = 10;
    dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.weight_shape[0], 6);
    assert_int_equal(f.weight_shape[1], 2);
    assert_int_equal(f.weight_shape[2], 3);
    assert_int_equal(f.position_ndim, 4);
    assert_int_equal(f.position_shape[0], 2);
    assert_int_equal(f.positions, 2 * 6 * 2 * 3);
    assert_int_equal(f.output[0], 3); /* (10 - 5) / 2 + 1 */
    assert_int_equal(f.output[1], 2); /* (8 - 5) / 2 + 1 */
    assert_int_equal(f.macs_dense, 6 * 6 * 2 * 25);
    assert_int_equal(f.macs_im2col, -1);
    spec.shared_positions = true;
    f = explain(&spec);
    assert_int_equal(f.position_ndim, 3);
    assert_int_equal(f.positions, 2 * 2 * 3);
    assert_int_equal(f.macs_im2col, 6 * (4 * 3 * 4 + 36));
}

/* gauss starts with S = 0.23 + 0.27, which reaches 6.5 cells a side: all five; max with S = 1: two. */
static void test_spreads(void **unused)
{
    dcls_layer_spec spec = small_spec();
    (void)unused;
    spec.version = "gauss";
    dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.spreads, 24);
    assert_int_equal(f.taps, 100);
    spec.version = "max";
    assert_int_equal(explain(&spec).taps, 48);
    spec.spread = 0.5;
    assert_int_equal(explain(&spec).taps, 100); /* 3 cells a side: 27 of 25 */
}

static void test_notes(void **unused)
{
    dcls_layer_spec spec = small_spec();
    (void)unused;
    assert_true(says(&spec, "P[0] is the column"));
    assert_false(says(&spec, "even"));
    spec.version = "v0";
    assert_true(says(&spec, "P[0] is the row"));
    spec.dilated_kernel_size[1] = 7;
    assert_false(says(&spec, "Sides differ"));
    spec.version = "v1";
    assert_true(says(&spec, "Sides differ"));
    spec.dilated_kernel_size[0] = 4;
    assert_true(says(&spec, "D = 4 is even"));
    assert_int_equal(explain(&spec).same_padding[0], DCLS_ANY);
    assert_int_equal(explain(&spec).output[0], 9);
    spec.dilated_kernel_size[0] = spec.dilated_kernel_size[1] = 1;
    assert_true(says(&spec, "one cell"));
}

static void test_limits(void **unused)
{
    dcls_explanation *result;
    (void)unused;
    dcls_layer_spec spec = small_spec();
    spec.groups = 3;
    check_outcome(ctx, "groups", dcls_explain(ctx, &spec, &result), DCLS_ERR_ARGUMENT, "must divide");
    spec = small_spec();
    spec.dilated_kernel_size[1] = INT64_MAX;
    check_outcome(ctx, "D", dcls_explain(ctx, &spec, &result), DCLS_ERR_ARGUMENT, "1 to 1048576");
    spec = small_spec();
    spec.padding[0] = 0;
    spec.dilated_kernel_size[0] = 9;
    check_outcome(ctx, "window", dcls_explain(ctx, &spec, &result), DCLS_ERR_ARGUMENT, "larger than");
    spec = small_spec();
    spec.version = NULL;
    check_outcome(ctx, "version", dcls_explain(ctx, &spec, &result), DCLS_ERR_ARGUMENT, "version");
    /* What does not fit is as large as can be said. */
    spec = small_spec();
    spec.ndim = 3;
    spec.groups = 1;
    spec.in_channels = spec.out_channels = 1 << 20;
    spec.kernel_count = INT32_MAX;
    for (int d = 0; d < 3; d++) {
        spec.dilated_kernel_size[d] = 1 << 20;
        spec.padding[d] = DCLS_ANY;
        spec.stride[d] = 1;
        spec.input[d] = 1;
    }
    const dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.dense_weights, INT64_MAX);
    assert_int_equal(f.macs_dense, INT64_MAX);
    assert_int_equal(f.learned_bytes, INT64_MAX);
}

/* The figures of a layer of a model are those of its report. */
static void test_layer_of_model(void **unused)
{
    static const char json[] =
        "{\"task\":\"features\",\"input\":{\"channels\":4,\"height\":\"any\",\"width\":\"any\"},\"nodes\":["
        "{\"op\":\"avg_pool\",\"name\":\"half\",\"inputs\":[\"input\"],\"kernel_size\":2,\"stride\":2},"
        "{\"op\":\"dcls\",\"name\":\"d\",\"inputs\":[\"half\"],\"weight\":\"w\",\"P\":\"p\",\"version\":"
        "\"v1\",\"dilated_kernel_size\":5,\"padding\":2,\"groups\":4}],\"output\":\"d\"}";
    static const int64_t shape[] = {1, 4, 16, 12};
    dcls_model *model;
    dcls_layer_spec spec;
    dcls_report *report;
    const char *found;
    (void)unused;
    dcls_tensors *set = make_tensors(ctx, "w 4 1 3; p 2 4 1 3");
    union {
        const void *in;
        float *out;
    } weight = {set->items[0].data};
    for (int i = 0; i < 12; i++)
        weight.out[i] = 1;
    assert_ok(ctx, dcls_model_from_json(ctx, set, json, &model));
    assert_ok(ctx, dcls_layer_spec_of(ctx, model, NULL, 4, shape, &spec, &found, NULL));
    assert_string_equal(found, "d");
    assert_int_equal(spec.input[0], 8);
    assert_int_equal(spec.input[1], 6);
    assert_false(spec.bias);
    assert_ok(ctx, dcls_report_create(ctx, model, 4, shape, &report));
    const dcls_node_report *node = dcls_report_node(report, 1);
    const dcls_layer_facts f = explain(&spec);
    assert_int_equal(f.macs_dense, node->macs_dense);
    assert_int_equal(f.macs_sparse, node->macs_sparse);
    assert_int_equal(f.taps, 4); /* all elements lie on the centre */
    assert_int_equal(f.macs_sparse, 8 * 6 * 4);
    assert_int_equal(f.weights, node->weights);
    assert_int_equal(f.positions, node->positions);
    check_outcome(ctx, "name", dcls_layer_spec_of(ctx, model, "nothing", 4, shape, &spec, NULL, NULL),
                  DCLS_ERR_ARGUMENT, "the first one is 'd'");
    dcls_report_destroy(report);
    dcls_model_destroy(model);
}

int main(void)
{
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depthwise),
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_full_convolution),
        cmocka_unit_test(test_spreads),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_layer_of_model),
    };
    const int failed = cmocka_run_group_tests_name("explain", tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
