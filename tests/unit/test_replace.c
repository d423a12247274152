/* Convolutions that become DCLS layers: the same outputs as before for dilated ones, the same energy for
 * depthwise ones. */
#include "model_util.h"

#include <math.h>

#include "dcls_train.h"

#define HEAD(dims) "{\"input\":{\"channels\":4," dims "},\"nodes\":["
#define SIZE_2D    "\"height\":\"any\",\"width\":\"any\""
#define TAIL       "]}"
/* reach 5x9 with other dilations, stride 2; reach 7 even padding; a plain one; one that keeps the size */
#define MIXED                                                                                                \
    HEAD(SIZE_2D)                                                                                            \
    "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"a.weight\",\"bias\":\"a.bias\",\"out_channels\":6,"        \
    "\"kernel_size\":3,\"dilation\":[2,4],\"padding\":[3,1],\"stride\":[2,1],\"groups\":2},"                 \
    "{\"op\":\"conv\",\"name\":\"b\",\"weight\":\"b.filter\",\"out_channels\":6,\"kernel_size\":[4,4],"      \
    "\"dilation\":2,\"padding\":\"same\",\"groups\":6},"                                                     \
    "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"c.weight\",\"out_channels\":5,\"kernel_size\":3,"          \
    "\"padding\":1}" TAIL

static dcls_model *create(dcls_context *ctx, const char *json, uint64_t seed)
{
    dcls_model *model;
    assert_ok(ctx, dcls_model_create(ctx, &(dcls_create_options){.arch_json = json, .seed = seed}, &model));
    return model;
}

typedef struct result {
    int ndim;
    int64_t shape[DCLS_MAX_DIMS];
    size_t count;
    float *values;
} result;

static result run(dcls_context *ctx, const dcls_model *model, int ndim, const int64_t *shape)
{
    result r;
    int64_t count = 0;
    assert_true(dcls_shape_count(ndim, shape, &count));
    float *input = malloc((size_t)count * sizeof *input);
    for (int64_t i = 0; i < count; i++)
        input[i] = (float)((i * 2654435761u >> 7) % 1000) / 500 - 1;
    dcls_plan *plan;
    assert_ok(ctx, dcls_plan_create(ctx, model, NULL, ndim, shape, &plan));
    r.ndim = dcls_plan_output_shape(plan, r.shape);
    r.count = dcls_plan_output_count(plan);
    r.values = malloc(r.count * sizeof *r.values);
    assert_ok(ctx, dcls_plan_run(ctx, plan, input, r.values));
    dcls_plan_destroy(plan);
    free(input);
    return r;
}

static double difference(const result *a, const result *b)
{
    double most = 0, largest = 0;
    assert_true(dcls_shape_equal(a->ndim, a->shape, b->ndim, b->shape));
    for (size_t i = 0; i < a->count; i++) {
        most = fmax(most, fabs((double)a->values[i] - (double)b->values[i]));
        largest = fmax(largest, fabs((double)a->values[i]));
    }
    assert_true(largest > 0.1);
    return most / largest;
}

/* Replaces and compares; the new model is the caller's. */
static dcls_model *expect_same(dcls_context *ctx, const dcls_model *model,
                               const dcls_replace_options *options, int ndim, const int64_t *shape,
                               double tolerance, int64_t want)
{
    dcls_model *replaced;
    int64_t layers = 0;
    assert_ok(ctx, dcls_model_replace(ctx, model, options, &replaced, &layers));
    assert_int_equal(layers, want);
    result before = run(ctx, model, ndim, shape), after = run(ctx, replaced, ndim, shape);
    const double d = difference(&before, &after);
    if (!(d <= tolerance)) fail_msg("%s: differs by %g", options->version, d);
    free(before.values);
    free(after.values);
    return replaced;
}

static void dilated_computes_the_same(void **state)
{
    dcls_context *ctx = *state;
    static const char *const VERSIONS[] = {"v0", "v1", "max", "gauss", NULL};
    static const int64_t SHAPE[] = {2, 4, 19, 23};
    dcls_model *model = create(ctx, MIXED, 3);
    for (int i = 0; i < 5; i++) {
        const dcls_replace_options options = {.dilated = true, .version = VERSIONS[i]};
        dcls_model *replaced = expect_same(ctx, model, &options, 4, SHAPE, i == 3 ? 0.02 : 1e-5, 2);
        const dcls_node *a = node_named(replaced, "a"), *b = node_named(replaced, "b");
        assert_int_equal(a->op, DCLS_OP_DCLS);
        assert_int_equal(a->kernel_count, 9);
        assert_int_equal(b->kernel_count, 16);
        assert_int_equal(b->window.kernel[0], 7);
        assert_int_equal(a->window.kernel[0], i == 0 ? 5 : 9); /* v0 measures each side on its own */
        assert_int_equal(a->window.pad_before[0], i == 0 ? 3 : 5);
        assert_int_equal(a->window.stride[0], 2);
        assert_string_equal(a->P->name, "a.P");
        assert_string_equal(b->P->name, "b.filter.P");
        assert_int_equal(a->SIG != NULL, i == 2 || i == 3);
        /* nothing lies where the clamp of training would move it */
        const float *P = a->P->data;
        for (size_t k = 0; k < a->P->nbytes / sizeof *P; k++)
            assert_true(fabsf(P[k]) <= 4 && P[k] == rintf(P[k]));
        if (a->SIG != NULL) assert_true(*(const float *)a->SIG->data > 0); /* |SIG| has a slope there */
        dcls_model_destroy(replaced);
    }
    dcls_model_destroy(model);
}

static void wider_windows(void **state)
{
    dcls_context *ctx = *state;
    static const int64_t SHAPE[] = {1, 4, 19, 23};
    dcls_model *model = create(ctx, MIXED, 4);
    dcls_replace_options options = {
        .dilated = true, .version = "v1", .dilated_kernel_size = 13, .layers = "[ab]"};
    dcls_model *replaced = expect_same(ctx, model, &options, 4, SHAPE, 1e-5, 2);
    assert_int_equal(node_named(replaced, "b")->window.kernel[1], 13);
    dcls_model_destroy(replaced);
    options.dilated_kernel_size = 8;
    check_outcome(ctx, "even", dcls_model_replace(ctx, model, &options, &replaced, NULL),
                  DCLS_ERR_UNSUPPORTED,
                  "layer 'a': a reach of 5 does not stand in the middle of a window of 8");
    options.dilated_kernel_size = 7;
    check_outcome(ctx, "small", dcls_model_replace(ctx, model, &options, &replaced, NULL), DCLS_ERR_ARGUMENT,
                  "layer 'a': a window of 7 is smaller than the layer's reach of 9");
    assert_null(replaced);
    dcls_model_destroy(model);
}

static void other_dimensions(void **state)
{
    dcls_context *ctx = *state;
    static const char *const LINE = HEAD(
        "\"width\":\"any\"") "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"a.weight\",\"out_channels\":3,"
                             "\"kernel_size\":3,\"dilation\":3,\"padding\":2}" TAIL;
    static const char *const SOLID =
        HEAD("\"depth\":\"any\",\"height\":\"any\",\"width\":\"any\"") "{\"op\":\"conv\",\"name\":\"a\","
                                                                       "\"weight\":\"a.weight\",\"out_"
                                                                       "channels\":3,\"kernel_size\":[1,3,2],"
                                                                       "\"dilation\":[1,2,4],"
                                                                       "\"padding\":[0,2,3]}" TAIL;
    static const int64_t LINE_SHAPE[] = {2, 4, 21}, SOLID_SHAPE[] = {1, 4, 6, 9, 11};
    static const char *const VERSIONS[] = {"v0", "v1", "max"};
    for (int i = 0; i < 3; i++) {
        const dcls_replace_options options = {.dilated = true, .version = VERSIONS[i]};
        dcls_model *line = create(ctx, LINE, 5), *solid = create(ctx, SOLID, 6);
        dcls_model_destroy(expect_same(ctx, line, &options, 3, LINE_SHAPE, 1e-5, 1));
        dcls_model_destroy(expect_same(ctx, solid, &options, 5, SOLID_SHAPE, 1e-5, 1));
        dcls_model_destroy(line);
        dcls_model_destroy(solid);
    }
}

/* ---- depthwise ---- */

static double row_energy(dcls_context *ctx, const dcls_node *node, int64_t row)
{
    const int64_t cells = node->window.kernel[0] * node->window.kernel[1];
    float *dense = malloc((size_t)(node->weight->shape[0] * cells) * sizeof *dense);
    if (node->op == DCLS_OP_DCLS)
        assert_ok(ctx, dcls_node_construct(ctx, node, dense));
    else
        memcpy(dense, node->weight->data, node->weight->nbytes);
    double sum = 0;
    for (int64_t i = 0; i < cells; i++)
        sum += (double)dense[row * cells + i] * (double)dense[row * cells + i];
    free(dense);
    return sum;
}

static void depthwise_keeps_energy(void **state)
{
    dcls_context *ctx = *state;
    static const char *const VERSIONS[] = {"v0", "v1", "max", "gauss"};
    static const char *const SETTINGS[] = {"dim=16", "depth=2", "kernel_count=0", "dilated_kernel_size=9"};
    dcls_model *model;
    assert_ok(ctx, dcls_model_create(
                       ctx,
                       &(dcls_create_options){
                           .arch = "convmixer", .classes = 3, .settings = SETTINGS, .setting_count = 4},
                       &model));
    for (int i = 0; i < 4; i++) {
        dcls_model *replaced, *again, *other;
        int64_t layers = 0;
        dcls_replace_options options = {.depthwise = 12, .version = VERSIONS[i], .sigma = 2, .seed = 5};
        assert_ok(ctx, dcls_model_replace(ctx, model, &options, &replaced, &layers));
        assert_ok(ctx, dcls_model_replace(ctx, model, &options, &again, &layers));
        options.seed = 6;
        assert_ok(ctx, dcls_model_replace(ctx, model, &options, &other, &layers));
        assert_int_equal(layers, 2);
        const dcls_node *node = node_named(replaced, "4.0.fn.0"), *old = node_named(model, "4.0.fn.0");
        assert_int_equal(node->kernel_count, 12);
        assert_int_equal(node->window.kernel[0], 9);
        assert_int_equal(node->window.pad_before[1], 4);
        for (int64_t row = 0; row < 16; row++) {
            const double before = row_energy(ctx, old, row), after = row_energy(ctx, node, row);
            assert_true(fabs(after - before) <= 1e-5 * before);
        }
        const float *P = node->P->data;
        double sum = 0;
        for (int k = 0; k < 2 * 16 * 12; k++)
            sum += (double)P[k] * (double)P[k] / (2 * 16 * 12);
        assert_true(sqrt(sum) > 1.6 && sqrt(sum) < 2.2); /* sigma 2, clamped at 4 */
        assert_memory_equal(P, node_named(again, "4.0.fn.0")->P->data, node->P->nbytes);
        assert_true(memcmp(P, node_named(other, "4.0.fn.0")->P->data, node->P->nbytes) != 0);
        assert_true(memcmp(P, node_named(replaced, "3.0.fn.0")->P->data, node->P->nbytes) != 0);
        static const int64_t SHAPE[] = {1, 3, 16, 16};
        result r = run(ctx, replaced, 4, SHAPE);
        for (size_t k = 0; k < r.count; k++)
            assert_true(isfinite(r.values[k]));
        free(r.values);
        dcls_model_destroy(replaced);
        dcls_model_destroy(again);
        dcls_model_destroy(other);
    }
    dcls_model_destroy(model);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) return NULL;
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

/* The twin with its dilated convolutions replaced is the DCLS network, layer for layer. */
static void shipped_twins(void **state)
{
    dcls_context *ctx = *state;
    char *dcls = read_file("weights/arch/unet-dcls.json"),
         *dilated = read_file("weights/arch/unet-dilated.json");
    if (dcls == NULL || dilated == NULL) skip();
    static const int64_t SHAPE[] = {1, 3, 64, 96};
    dcls_model *model = create(ctx, dcls, 1), *twin = create(ctx, dilated, 1);
    dcls_model *replaced =
        expect_same(ctx, twin, &(dcls_replace_options){.dilated = true}, 4, SHAPE, 2e-5, 14);
    assert_int_equal(model->node_count, replaced->node_count);
    for (size_t i = 0; i < model->node_count; i++) {
        const dcls_node *a = &model->nodes[i], *b = &replaced->nodes[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->op, b->op);
        if (a->op != DCLS_OP_DCLS) continue;
        assert_memory_equal(&a->window, &b->window, sizeof a->window);
        assert_int_equal(a->kernel_count, b->kernel_count);
        assert_int_equal(a->groups, b->groups);
    }
    dcls_model_destroy(model);
    dcls_model_destroy(twin);
    dcls_model_destroy(replaced);
    free(dcls);
    free(dilated);
}

static void what_is_refused(void **state)
{
    dcls_context *ctx = *state;
    dcls_model *model = create(ctx, MIXED, 7), *out;
    static const struct {
        dcls_replace_options options;
        dcls_status status;
        const char *part;
    } ROWS[] = {
        {{0}, DCLS_ERR_ARGUMENT, "neither dilated nor depthwise"},
        {{.dilated = true, .version = "v3"}, DCLS_ERR_ARGUMENT, "version 'v3' must be one of"},
        {{.dilated = true, .layers = "c"},
         DCLS_ERR_ARGUMENT,
         "no convolution with dilation whose name matches 'c'"},
        {{.depthwise = -1}, DCLS_ERR_ARGUMENT, "-1 elements"},
        {{.depthwise = 4, .layers = "c"},
         DCLS_ERR_ARGUMENT,
         "with a side of more than 3 whose name matches 'c'"},
        {{.depthwise = 4, .sigma = NAN}, DCLS_ERR_ARGUMENT, "sigma"},
        {{.dilated = true, .dilated_kernel_size = 100000}, DCLS_ERR_ARGUMENT, "a window of 100000"},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        check_outcome(ctx, ROWS[i].part, dcls_model_replace(ctx, model, &ROWS[i].options, &out, NULL),
                      ROWS[i].status, ROWS[i].part);
        assert_null(out);
    }
    dcls_model_destroy(model);
    model = create(
        ctx,
        HEAD(SIZE_2D) "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"w\",\"out_channels\":4,\"kernel_size\":3,"
                      "\"dilation\":2},{\"op\":\"conv\",\"name\":\"b\",\"weight\":\"w\",\"out_channels\":4,"
                      "\"kernel_size\":3}" TAIL,
        8);
    check_outcome(ctx, "shared",
                  dcls_model_replace(ctx, model, &(dcls_replace_options){.dilated = true}, &out, NULL),
                  DCLS_ERR_UNSUPPORTED, "layer 'a': it shares tensor 'w' with 'b'");
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(dilated_computes_the_same), CONTEXT_TEST(wider_windows),
        CONTEXT_TEST(other_dimensions),          CONTEXT_TEST(shipped_twins),
        CONTEXT_TEST(depthwise_keeps_energy),    CONTEXT_TEST(what_is_refused),
    };
    return cmocka_run_group_tests_name("replace", tests, NULL, NULL);
}
