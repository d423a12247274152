/* Gradients of networks against finite differences, and receptive fields against what can be worked out by
 * hand. */
#include <math.h>

#include "model_util.h"

#include "analysis/field.h"
#include "analysis/gradient.h"

static dcls_context *ctx;

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / 8388608.0 - 1;
}

/* A model of the nodes (JSON objects) with an input of `channels` and `spatial` axes; tensors get random
 * values, those whose name ends in "var" positive ones. */
static dcls_model *make_model(const char *tensors, int channels, int spatial, const char *nodes,
                              const char *output)
{
    static const char *const sizes[] = {"", "\"width\":\"any\"", "\"height\":\"any\",\"width\":\"any\"",
                                        "\"depth\":\"any\",\"height\":\"any\",\"width\":\"any\""};
    dcls_tensors *set = make_tensors(ctx, tensors);
    for (size_t i = 0; i < set->count; i++) {
        union {
            const void *in;
            float *out;
        } data = {set->items[i].data};
        bool positive = strstr(set->items[i].name, "var") != NULL;
        for (size_t k = 0; k < set->items[i].nbytes / sizeof(float); k++)
            data.out[k] = (float)(positive ? 1 + 0.5 * uniform() : uniform());
    }
    dcls_string json = {0};
    dcls_string_printf(
        &json, "{\"task\":\"features\",\"input\":{\"channels\":%d,%s},\"nodes\":[%s],\"output\":\"%s\"}",
        channels, sizes[spatial], nodes, output);
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, set, json.data, &model));
    dcls_string_free(&json);
    return model;
}

static int64_t count_of(const dcls_shape *shape)
{
    int64_t count = 1;
    for (int d = 0; d < shape->ndim; d++)
        count *= shape->size[d];
    return count;
}

/* dy' J v, forward by central differences and backward by the gradient, for random directions v. */
static void check_gradient(const char *tensors, int channels, int spatial, const int64_t *size,
                           const char *nodes)
{
    dcls_model *model = make_model(tensors, channels, spatial, nodes, "out");
    int64_t shape[DCLS_MAX_DIMS] = {1, channels}, n;
    for (int d = 0; d < spatial; d++)
        shape[2 + d] = size[d];
    dcls_gradient *g;
    dcls_plan *plan;
    assert_ok(ctx, dcls_gradient_create(ctx, model, model->output, spatial + 2, shape, &g));
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, spatial + 2, shape, &plan));
    n = count_of(dcls_gradient_shape(g, 0));
    int64_t m = count_of(dcls_gradient_shape(g, model->output));
    float *x = calloc((size_t)n * 4, sizeof *x), *dx = x + n, *high = x + 2 * n, *low = x + 3 * n;
    float *dy = calloc((size_t)m * 3, sizeof *dy), *up = dy + m, *down = dy + 2 * m;
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)uniform();
    for (int64_t i = 0; i < m; i++)
        dy[i] = (float)uniform();
    assert_ok(ctx, dcls_gradient_run(ctx, g, x, dy, dx));
    const double h = 4e-3;
    double worst = 0, scale = 0;
    for (int64_t k = 0; k < n; k++) { /* one input at a time: nothing averages out */
        memcpy(high, x, (size_t)n * sizeof *x);
        memcpy(low, x, (size_t)n * sizeof *x);
        high[k] += (float)h;
        low[k] -= (float)h;
        assert_ok(ctx, dcls_plan_run(ctx, plan, high, up));
        assert_ok(ctx, dcls_plan_run(ctx, plan, low, down));
        double expected = 0;
        for (int64_t i = 0; i < m; i++)
            expected +=
                (double)dy[i] * ((double)up[i] - (double)down[i]) / ((double)high[k] - (double)low[k]);
        worst = fmax(worst, fabs(expected - (double)dx[k]));
        scale = fmax(scale, fabs(expected));
    }
    assert_true(scale > 1e-3);
    if (worst > 4e-3 * scale) fail_msg("%s: off by %g of %g", nodes, worst, scale);
    free(x);
    free(dy);
    dcls_plan_destroy(plan);
    dcls_gradient_destroy(g);
    dcls_model_destroy(model);
}

#define IN "\"inputs\":[\"input\"]"

static void test_convolutions(void **unused)
{
    (void)unused;
    check_gradient("w 4 3 3 3; b 4", 3, 2, (int64_t[]){6, 7},
                   "{\"op\":\"conv\",\"name\":\"out\"," IN ",\"weight\":\"w\",\"bias\":\"b\",\"padding\":1}");
    check_gradient("w 4 2 3 2", 4, 2, (int64_t[]){9, 8},
                   "{\"op\":\"conv\",\"name\":\"out\"," IN
                   ",\"weight\":\"w\",\"groups\":2,\"stride\":[2,3],\"dilation\":[2,1],\"padding\":[3,1]}");
    check_gradient("w 2 2 1 1", 2, 2, (int64_t[]){5, 4}, /* more padding than the kernel reaches */
                   "{\"op\":\"conv\",\"name\":\"out\"," IN ",\"weight\":\"w\",\"padding\":2,\"stride\":2}");
    check_gradient("w 3 2 5", 2, 1, (int64_t[]){11},
                   "{\"op\":\"conv\",\"name\":\"out\"," IN ",\"weight\":\"w\",\"stride\":2,\"padding\":1}");
    check_gradient("w 2 2 2 3 2", 2, 3, (int64_t[]){4, 5, 4},
                   "{\"op\":\"conv\",\"name\":\"out\"," IN ",\"weight\":\"w\",\"padding\":1}");
    const char *const modes[] = {"reflect", "replicate", "circular"};
    for (int i = 0; i < 3; i++) {
        char node[256];
        snprintf(node, sizeof node,
                 "{\"op\":\"conv\",\"name\":\"out\"," IN
                 ",\"weight\":\"w\",\"padding\":2,\"padding_mode\":\"%s\",\"stride\":2}",
                 modes[i]);
        check_gradient("w 3 2 3 3", 2, 2, (int64_t[]){5, 6}, node);
    }
}

static void test_dcls_layers(void **unused)
{
    (void)unused;
    check_gradient("w 3 1 4; p 2 3 1 4", 3, 2, (int64_t[]){7, 8},
                   "{\"op\":\"dcls\",\"name\":\"out\"," IN
                   ",\"weight\":\"w\",\"P\":\"p\",\"version\":\"v1\",\"dilated_kernel_size\":[5,3],"
                   "\"padding\":[2,1],\"groups\":3}");
    check_gradient("w 4 2 3; p 2 4 2 3; s 2 4 2 3", 2, 2, (int64_t[]){6, 6},
                   "{\"op\":\"dcls\",\"name\":\"out\"," IN
                   ",\"weight\":\"w\",\"P\":\"p\",\"SIG\":\"s\",\"version\":\"gauss\",\"dilated_kernel_"
                   "size\":5,\"padding\":2}");
}

static void test_pointwise(void **unused)
{
    static const char *const ops[] = {"relu", "gelu", "sigmoid", "softmax"};
    char nodes[512];
    (void)unused;
    for (int i = 0; i < 4; i++) { /* spread out first, so that no input stands at a kink */
        snprintf(nodes, sizeof nodes,
                 "{\"op\":\"conv\",\"name\":\"c\"," IN
                 ",\"weight\":\"w\"},{\"op\":\"%s\",\"name\":\"out\",\"inputs\":[\"c\"]}",
                 ops[i]);
        state = 7;
        check_gradient("w 5 3 1 1", 3, 2, (int64_t[]){3, 4}, nodes);
    }
    check_gradient("", 4, 1, (int64_t[]){9},
                   "{\"op\":\"gelu\",\"name\":\"out\"," IN ",\"approximate\":\"tanh\"}");
    check_gradient("w 4; b 4; m 4; var 4", 4, 2, (int64_t[]){3, 3},
                   "{\"op\":\"batch_norm\",\"name\":\"out\"," IN
                   ",\"weight\":\"w\",\"bias\":\"b\",\"running_mean\":\"m\",\"running_var\":\"var\"}");
    check_gradient("w 5; b 5", 5, 2, (int64_t[]){3, 3},
                   "{\"op\":\"layer_norm\",\"name\":\"out\"," IN ",\"weight\":\"w\",\"bias\":\"b\"}");
    check_gradient("w 5", 5, 2, (int64_t[]){3, 3},
                   "{\"op\":\"layer_scale\",\"name\":\"out\"," IN ",\"weight\":\"w\"}");
}

static void test_pools(void **unused)
{
    (void)unused;
    check_gradient("", 2, 2, (int64_t[]){7, 8},
                   "{\"op\":\"max_pool\",\"name\":\"out\"," IN
                   ",\"kernel_size\":3,\"stride\":2,\"padding\":1}");
    check_gradient("", 2, 2, (int64_t[]){7, 8},
                   "{\"op\":\"avg_pool\",\"name\":\"out\"," IN
                   ",\"kernel_size\":3,\"stride\":2,\"padding\":1}");
    check_gradient(
        "", 2, 2, (int64_t[]){7, 8},
        "{\"op\":\"avg_pool\",\"name\":\"out\"," IN
        ",\"kernel_size\":3,\"stride\":2,\"padding\":1,\"count_include_pad\":false,\"ceil_mode\":true}");
    check_gradient("w 3 2; b 3", 2, 2, (int64_t[]){4, 5},
                   "{\"op\":\"global_avg_pool\",\"name\":\"g\"," IN
                   ",\"flatten\":true},{\"op\":\"linear\",\"name\":\"out\",\"inputs\":[\"g\"],\"weight\":"
                   "\"w\",\"bias\":\"b\"}");
    check_gradient("", 2, 2, (int64_t[]){4, 5}, "{\"op\":\"global_max_pool\",\"name\":\"out\"," IN "}");
}

/* Values read more than once, parts, repeats, resizes. */
static void test_joins(void **unused)
{
    (void)unused;
    check_gradient("w 2 2 3 3", 2, 2, (int64_t[]){5, 6},
                   "{\"op\":\"conv\",\"name\":\"c\"," IN ",\"weight\":\"w\",\"padding\":1},"
                   "{\"op\":\"gelu\",\"name\":\"g\",\"inputs\":[\"c\"]},"
                   "{\"op\":\"add\",\"name\":\"a\",\"inputs\":[\"g\",\"input\"]},"
                   "{\"op\":\"mul\",\"name\":\"m\",\"inputs\":[\"a\",\"c\"]},"
                   "{\"op\":\"concat\",\"name\":\"out\",\"inputs\":[\"m\",\"input\",\"a\"]}");
    check_gradient("", 3, 2, (int64_t[]){4, 4}, /* squeeze and excite */
                   "{\"op\":\"global_avg_pool\",\"name\":\"g\"," IN
                   "},{\"op\":\"sigmoid\",\"name\":\"s\",\"inputs\":[\"g\"]},"
                   "{\"op\":\"mul\",\"name\":\"m\",\"inputs\":[\"s\",\"input\"]},"
                   "{\"op\":\"add\",\"name\":\"out\",\"inputs\":[\"m\",\"g\"]}");
    check_gradient("", 2, 2, (int64_t[]){4, 5},
                   "{\"op\":\"resize\",\"name\":\"out\"," IN ",\"mode\":\"bilinear\",\"size\":[7,12]}");
    check_gradient("", 2, 2, (int64_t[]){6, 5},
                   "{\"op\":\"resize\",\"name\":\"out\"," IN
                   ",\"mode\":\"bilinear\",\"size\":[4,3],\"align_corners\":true}");
    check_gradient("", 2, 2, (int64_t[]){4, 5},
                   "{\"op\":\"resize\",\"name\":\"out\"," IN ",\"mode\":\"nearest\",\"scale\":2}");
    check_gradient("w 3 24", 2, 2, (int64_t[]){4, 3},
                   "{\"op\":\"dropout\",\"name\":\"d\"," IN
                   ",\"p\":0.1},{\"op\":\"flatten\",\"name\":\"f\",\"inputs\":[\"d\"]},"
                   "{\"op\":\"linear\",\"name\":\"out\",\"inputs\":[\"f\"],\"weight\":\"w\"}");
}

/* ---- fields ---- */

static void set_all(const dcls_model *model, const char *name, float value)
{
    union {
        const void *in;
        float *out;
    } data = {dcls_tensors_find(model->tensors, name)->data};
    for (size_t i = 0; i < dcls_tensors_find(model->tensors, name)->nbytes / sizeof(float); i++)
        data.out[i] = value;
}

/* Two box filters of 3 cells make the triangle 1 2 3 2 1 along each axis, at stride 2 around input cell 2 *
 * cell. */
static void test_triangle(void **unused)
{
    (void)unused;
    dcls_model *model = make_model(
        "a 1 1 3 3; b 1 1 3 3", 1, 2,
        "{\"op\":\"conv\",\"name\":\"x\"," IN ",\"weight\":\"a\",\"padding\":1},"
        "{\"op\":\"conv\",\"name\":\"out\",\"inputs\":[\"x\"],\"weight\":\"b\",\"padding\":1,\"stride\":2}",
        "out");
    set_all(model, "a", 1);
    set_all(model, "b", 0.5f);
    dcls_field f;
    int value;
    const int64_t shape[4] = {1, 1, 12, 16};
    assert_ok(ctx, dcls_field_default_value(ctx, model, 4, shape, &value));
    assert_int_equal(value, 2);
    assert_ok(ctx, dcls_field_measure(ctx, model, value, 4, shape, 3, 0, &f));
    assert_string_equal(f.node, "out");
    const int64_t row = 2 * (6 / 2), column = 2 * (8 / 2);
    assert_true(f.low[0] == row - 2 && f.high[0] == row + 2 && f.low[1] == column - 2 &&
                f.high[1] == column + 2);
    for (int64_t y = 0; y < 12; y++)
        for (int64_t x = 0; x < 16; x++) {
            double expected =
                0.5 * fmax(0, 3 - fabs((double)(y - row))) * fmax(0, 3 - fabs((double)(x - column)));
            assert_true(fabs(f.rms[y * 16 + x] - expected) < 1e-5);
        }
    double *share;
    int64_t count;
    assert_ok(ctx, dcls_field_shares(ctx, &f, &share, &count));
    assert_true(fabs(share[0] - 9.0 / 81) < 1e-6 && fabs(share[1] - 49.0 / 81) < 1e-6 &&
                fabs(share[2] - 1) < 1e-6);
    free(share);
    dcls_field_free(&f);
    dcls_model_destroy(model);
}

/* Channels with opposite weights do not cancel: the root of the sum of squares over outputs and the mean over
 * inputs. */
static void test_channels(void **unused)
{
    (void)unused;
    dcls_model *model =
        make_model("w 2 2 1", 2, 1, "{\"op\":\"conv\",\"name\":\"out\"," IN ",\"weight\":\"w\"}", "out");
    union {
        const void *in;
        float *out;
    } w = {dcls_tensors_find(model->tensors, "w")->data};
    memcpy(w.out, (float[]){3, 0, -3, 4}, 4 * sizeof(float));
    dcls_field f;
    assert_ok(ctx, dcls_field_measure(ctx, model, 1, 3, (int64_t[]){1, 2, 5}, 4000, 11, &f));
    /* signs s: mean of ((3 s0 - 3 s1)^2 + (4 s1)^2) / 2 = (18 + 16) / 2 */
    assert_true(fabs(f.rms[2] - sqrt(17)) < 0.1 && f.rms[1] == 0 && f.rms[3] == 0);
    dcls_field again;
    assert_ok(ctx, dcls_field_measure(ctx, model, 1, 3, (int64_t[]){1, 2, 5}, 4000, 11, &again));
    assert_true(f.rms[2] == again.rms[2]);
    dcls_field_free(&again);
    dcls_field_free(&f);
    dcls_model_destroy(model);
}

/* No gradient outside the theoretical field, and some at its border. */
static void test_theory_bounds_practice(void **unused)
{
    (void)unused;
    dcls_model *model = make_model(
        "a 4 2 3 3; w 4 1 5; p 2 4 1 5; b 3 4 2 2", 2, 2,
        "{\"op\":\"conv\",\"name\":\"s\"," IN ",\"weight\":\"a\",\"stride\":2,\"padding\":1},"
        "{\"op\":\"dcls\",\"name\":\"d\",\"inputs\":[\"s\"],\"weight\":\"w\",\"P\":\"p\",\"version\":\"v1\","
        "\"dilated_kernel_size\":5,\"padding\":2,\"groups\":4},"
        "{\"op\":\"add\",\"name\":\"r\",\"inputs\":[\"d\",\"s\"]},"
        "{\"op\":\"conv\",\"name\":\"c\",\"inputs\":[\"r\"],\"weight\":\"b\"},"
        "{\"op\":\"resize\",\"name\":\"out\",\"inputs\":[\"c\"],\"mode\":\"bilinear\",\"scale\":2}",
        "out");
    dcls_field f;
    assert_ok(ctx, dcls_field_measure(ctx, model, model->output, 4, (int64_t[]){1, 2, 40, 36}, 4, 0, &f));
    assert_true(f.high[0] - f.low[0] < 39 && f.high[0] > f.low[0]);
    for (int64_t y = 0; y < 40; y++)
        for (int64_t x = 0; x < 36; x++) {
            bool inside = y >= f.low[0] && y <= f.high[0] && x >= f.low[1] && x <= f.high[1];
            assert_true(inside || f.rms[y * 36 + x] == 0);
        }
    dcls_field_free(&f);
    assert_int_equal(dcls_field_measure(ctx, model, 0, 4, (int64_t[]){1, 2, 40, 36}, 4, 0, &f),
                     DCLS_ERR_ARGUMENT);
    dcls_model_destroy(model);
}

/* Global operations see everything; the map before them is the one that is looked at. */
static void test_global(void **unused)
{
    (void)unused;
    dcls_model *model =
        make_model("w 2 2 3 3; l 3 2", 2, 2,
                   "{\"op\":\"conv\",\"name\":\"c\"," IN ",\"weight\":\"w\",\"padding\":1},"
                   "{\"op\":\"global_avg_pool\",\"name\":\"g\",\"inputs\":[\"c\"]},"
                   "{\"op\":\"mul\",\"name\":\"m\",\"inputs\":[\"c\",\"g\"]},"
                   "{\"op\":\"global_avg_pool\",\"name\":\"h\",\"inputs\":[\"m\"],\"flatten\":true},"
                   "{\"op\":\"linear\",\"name\":\"out\",\"inputs\":[\"h\"],\"weight\":\"l\"}",
                   "out");
    dcls_field f;
    int value;
    const int64_t shape[4] = {1, 2, 9, 10};
    assert_ok(ctx, dcls_field_default_value(ctx, model, 4, shape, &value));
    assert_ok(ctx, dcls_field_measure(ctx, model, value, 4, shape, 2, 0, &f));
    assert_string_equal(f.node, "m");
    assert_true(f.low[0] <= 0 && f.high[0] >= 8 && f.low[1] <= 0 && f.high[1] >= 9);
    assert_true(f.rms[0] > 0);
    dcls_field_free(&f);
    dcls_model_destroy(model);
}

static int set_up(void **unused)
{
    (void)unused;
    return dcls_context_create(&ctx) != DCLS_OK;
}

static int tear_down(void **unused)
{
    (void)unused;
    dcls_context_destroy(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolutions), cmocka_unit_test(test_dcls_layers),
        cmocka_unit_test(test_pointwise),    cmocka_unit_test(test_pools),
        cmocka_unit_test(test_joins),        cmocka_unit_test(test_triangle),
        cmocka_unit_test(test_channels),     cmocka_unit_test(test_theory_bounds_practice),
        cmocka_unit_test(test_global),
    };
    return cmocka_run_group_tests_name("field", tests, set_up, tear_down);
}
