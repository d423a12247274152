/* The published package's own results: kernels of every version and dimension, their gradients, and outputs
 * of whole layers with every algorithm. The reference file is not part of the project: without it the tests
 * are skipped. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "formats/json.h"
#include "model/model.h"
#include "train/program.h"

static dcls_context *ctx;
static dcls_tensors *golden;

static const dcls_tensor *tensor_of(const char *name, const char *field)
{
    char key[256];
    snprintf(key, sizeof key, "%s.%s", name, field);
    return dcls_tensors_find(golden, key);
}

static dcls_json *facts_of(const char *name)
{
    const char *text = dcls_tensors_meta(golden, name);
    dcls_json *facts = NULL;
    assert_non_null(text);
    assert_int_equal(dcls_json_parse(ctx, text, strlen(text), &facts), DCLS_OK);
    return facts;
}

static float largest(const dcls_tensor *t)
{
    const float *x = t->data;
    float most = 0;
    for (size_t i = 0; i < t->nbytes / sizeof *x; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

static void expect_close(const float *got, const dcls_tensor *want, float tolerance, const char *what)
{
    const float *ref = want->data;
    for (size_t i = 0; i < want->nbytes / sizeof *ref; i++)
        if (!(fabsf(got[i] - ref[i]) <= tolerance))
            fail_msg("%s: element %zu is %.9g, not %.9g", what, i, (double)got[i], (double)ref[i]);
}

/* A kernel alone has no input: any size will do. */
static void add_input(dcls_json_out *j, const dcls_tensor *x, const dcls_tensor *weight, int64_t spatial)
{
    static const char *const axes[] = {"depth", "height", "width"};
    dcls_json_key(j, "input");
    dcls_json_begin(j, '{');
    dcls_json_key(j, "channels");
    dcls_json_int(j, x ? x->shape[1] : weight->shape[1]);
    for (int64_t d = 0; d < spatial; d++) {
        dcls_json_key(j, axes[d - spatial + 3]);
        dcls_json_string(j, "any");
    }
    dcls_json_end(j, '}');
}

/* A network of one DCLS layer, described as a user would. */
static void describe_layer(const char *name, const dcls_json *facts, dcls_string *text)
{
    const dcls_tensor *K = tensor_of(name, "K"), *x = tensor_of(name, "x"),
                      *weight = tensor_of(name, "weight");
    static const char *const copied[] = {
        "version", "dilated_kernel_size", "layer", "flat_dim", "groups", "stride", "padding", "padding_mode"};
    dcls_json_out j = {.to = text};
    dcls_json_begin(&j, '{');
    dcls_json_key(&j, "task");
    dcls_json_string(&j, "features");
    add_input(&j, x, weight, x ? x->ndim - 2 : K->ndim - 2);
    dcls_json_key(&j, "nodes");
    dcls_json_begin(&j, '[');
    dcls_json_begin(&j, '{');
    dcls_json_key(&j, "op");
    dcls_json_string(&j, "dcls");
    dcls_json_key(&j, "name");
    dcls_json_string(&j, "layer");
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
        if (!dcls_json_find(facts, copied[i])) continue;
        dcls_json_key(&j, copied[i]);
        dcls_json_emit(&j, dcls_json_find(facts, copied[i]));
    }
    static const char *const fields[] = {"weight", "bias", "P", "SIG"};
    for (int i = 0; i < 4; i++) {
        if (!tensor_of(name, fields[i])) continue;
        dcls_json_key(&j, fields[i]);
        dcls_json_string(&j, fields[i]);
    }
    dcls_json_end(&j, '}');
    dcls_json_end(&j, ']');
    dcls_json_end(&j, '}');
}

static dcls_model *layer_model(const char *name, const dcls_json *facts)
{
    static const char *const fields[] = {"weight", "bias", "P", "SIG"};
    dcls_tensors *set = NULL;
    assert_int_equal(dcls_tensors_create(ctx, "", &set), DCLS_OK);
    for (int i = 0; i < 4; i++) {
        const dcls_tensor *t = tensor_of(name, fields[i]);
        if (!t) continue;
        dcls_tensor copy = *t;
        copy.name = fields[i];
        assert_int_equal(dcls_tensors_add(ctx, set, &copy), DCLS_OK);
    }
    dcls_string text = {0};
    describe_layer(name, facts, &text);
    dcls_model *model = NULL;
    if (dcls_model_from_json(ctx, set, text.data, &model))
        fail_msg("%s: %s", name, dcls_context_message(ctx));
    dcls_string_free(&text);
    return model;
}

/* The kernel is taken from a node, so that axes, offsets and rows are those that running uses. */
static dcls_kernel kernel_of(const dcls_model *model)
{
    const dcls_node *node = &model->nodes[0];
    dcls_kernel k;
    dcls_node_kernel(node, &k);
    k.weight = node->weight->data;
    k.P = node->P->data;
    k.SIG = node->SIG ? node->SIG->data : NULL;
    return k;
}

static void kernel_case(void **state)
{
    const char *name = *state;
    dcls_json *facts = facts_of(name);
    const dcls_tensor *K = tensor_of(name, "K");
    dcls_model *model = layer_model(name, facts);
    const dcls_kernel k = kernel_of(model);
    assert_int_equal(k.rows * dcls_kernel_cells(&k) * (int64_t)sizeof(float), K->nbytes);
    float *dense = malloc(K->nbytes);
    for (int threads = 1; threads <= 3; threads++) {
        assert_int_equal(dcls_kernel_construct(ctx, &k, threads, dense), DCLS_OK);
        expect_close(dense, K, 2e-6f, name);
    }
    free(dense);
    dcls_model_destroy(model);
    dcls_json_free(facts);
}

/* Derivatives of loss = sum K * G. */
static void gradient_case(void **state)
{
    const char *name = *state;
    dcls_json *facts = facts_of(name);
    const dcls_tensor *G = tensor_of(name, "G"),
                      *want[] = {tensor_of(name, "dweight"), tensor_of(name, "dP"), tensor_of(name, "dSIG")};
    dcls_model *model = layer_model(name, facts);
    const dcls_kernel k = kernel_of(model);
    assert_true((want[2] != NULL) == (k.SIG != NULL));
    for (int threads = 1; threads <= 3; threads++) {
        float *got[3] = {0};
        for (int i = 0; i < 3; i++)
            if (want[i]) got[i] = malloc(want[i]->nbytes);
        dcls_kernel_gradients slopes = {got[0], got[1], got[2]};
        assert_int_equal(dcls_kernel_backward(ctx, &k, G->data, threads, &slopes), DCLS_OK);
        for (int i = 0; i < 3; i++) {
            if (want[i]) expect_close(got[i], want[i], 1e-5f * largest(want[i]) + 2e-6f, want[i]->name);
            free(got[i]);
        }
    }
    dcls_model_destroy(model);
    dcls_json_free(facts);
}

static void layer_case(void **state)
{
    static const dcls_algo algos[] = {DCLS_ALGO_AUTO, DCLS_ALGO_CONSTRUCT, DCLS_ALGO_IM2COL,
                                      DCLS_ALGO_SPARSE};
    const char *name = *state;
    dcls_json *facts = facts_of(name);
    const dcls_tensor *x = tensor_of(name, "x"), *y = tensor_of(name, "y");
    dcls_model *model = layer_model(name, facts);
    float *out = malloc(y->nbytes);
    for (size_t a = 0; a < sizeof algos / sizeof *algos; a++) {
        dcls_plan_options options = dcls_plan_options_default();
        options.algo = algos[a];
        dcls_plan *plan = NULL;
        if (dcls_plan_create(ctx, model, &options, x->ndim, x->shape, &plan))
            fail_msg("%s: %s", name, dcls_context_message(ctx));
        int64_t shape[DCLS_MAX_DIMS];
        assert_int_equal(dcls_plan_output_shape(plan, shape), y->ndim);
        for (int d = 0; d < y->ndim; d++)
            assert_int_equal(shape[d], y->shape[d]);
        assert_int_equal(dcls_plan_run(ctx, plan, x->data, out), DCLS_OK);
        expect_close(out, y, 1e-5f * largest(y) + 2e-6f, name);
        dcls_plan_destroy(plan);
    }
    free(out);
    dcls_model_destroy(model);
    dcls_json_free(facts);
}

/* Derivatives of loss = sum y * Gy, with every algorithm. */
static void backward_case(void **state)
{
    static const dcls_algo algos[] = {DCLS_ALGO_AUTO, DCLS_ALGO_CONSTRUCT, DCLS_ALGO_IM2COL,
                                      DCLS_ALGO_SPARSE};
    static const char *const fields[] = {"weight", "bias", "P", "SIG"};
    const char *name = *state;
    dcls_json *facts = facts_of(name);
    const dcls_tensor *x = tensor_of(name, "x"), *dx = tensor_of(name, "dx");
    dcls_model *model = layer_model(name, facts), *copy;
    dcls_program_use use = {.ndim = x->ndim, .given = tensor_of(name, "Gy")->data, .by_input = true};
    memcpy(use.shape, x->shape, sizeof use.shape);
    assert_int_equal(dcls_model_writable_copy(ctx, model, &copy), DCLS_OK);
    for (size_t a = 0; a < sizeof algos / sizeof *algos; a++) {
        dcls_trainer_options options = dcls_trainer_options_default();
        options.batch = x->shape[0];
        options.algo = algos[a];
        dcls_parameters parameters;
        dcls_program *program;
        dcls_step_result result;
        const dcls_batch batch = {.count = x->shape[0], .input = x->data};
        assert_int_equal(dcls_parameters_create(ctx, copy, NULL, 0, &parameters), DCLS_OK);
        if (dcls_program_create(ctx, copy, &parameters, &options, &use, &program) ||
            dcls_program_run(ctx, program, &batch, 0, &result))
            fail_msg("%s: %s", name, dcls_context_message(ctx));
        for (int i = 0; i < 4; i++) {
            char field[16];
            snprintf(field, sizeof field, "d%s", fields[i]);
            const dcls_tensor *want = tensor_of(name, field);
            if (want == NULL) continue;
            const float *got =
                dcls_parameters_find(&parameters, dcls_tensors_find(copy->tensors, fields[i]))->gradient;
            expect_close(got, want, 1e-5f * largest(want) + 2e-6f, want->name);
        }
        expect_close(program->values[0].gradient, dx, 1e-5f * largest(dx) + 2e-6f, dx->name);
        dcls_program_destroy(program);
        dcls_parameters_free(&parameters);
    }
    dcls_model_destroy(copy);
    dcls_model_destroy(model);
    dcls_json_free(facts);
}

static void no_reference(void **state)
{
    (void)state;
    skip();
}

static void missing_file(void **state)
{
    (void)state;
    fail_msg("%s", dcls_context_message(ctx));
}

#define MOST_CASES 128

struct titles {
    char kernel[96], gradient[128], layer[128], backward[128];
};

static size_t list_cases(struct CMUnitTest *tests, struct titles *titles)
{
    size_t count = 0;
    const char *name;
    for (size_t i = 0; (name = dcls_tensors_meta_key(golden, i)) && i < MOST_CASES; i++) {
        struct titles *title = &titles[i];
        snprintf(title->kernel, sizeof title->kernel, "%s", name);
        snprintf(title->gradient, sizeof title->gradient, "%s, gradient", name);
        snprintf(title->layer, sizeof title->layer, "%s, every algorithm", name);
        snprintf(title->backward, sizeof title->backward, "%s, backward", name);
        if (tensor_of(name, "K"))
            tests[count++] = (struct CMUnitTest){title->kernel, kernel_case, NULL, NULL, title->kernel};
        if (tensor_of(name, "G"))
            tests[count++] = (struct CMUnitTest){title->gradient, gradient_case, NULL, NULL, title->kernel};
        if (tensor_of(name, "x"))
            tests[count++] = (struct CMUnitTest){title->layer, layer_case, NULL, NULL, title->kernel};
        if (tensor_of(name, "dx"))
            tests[count++] = (struct CMUnitTest){title->backward, backward_case, NULL, NULL, title->kernel};
    }
    return count;
}

static int run_file(const char *title, const char *folder, const char *file, CMUnitTestFunction without)
{
    const struct CMUnitTest instead[] = {cmocka_unit_test(without)};
    struct CMUnitTest tests[4 * MOST_CASES];
    struct titles titles[MOST_CASES];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (dcls_tensors_load_file(ctx, path, &golden))
        return _cmocka_run_group_tests(title, instead, 1, NULL, NULL);
    int failed = _cmocka_run_group_tests(title, tests, list_cases(tests, titles), NULL, NULL);
    dcls_tensors_destroy(golden);
    return failed;
}

int main(void)
{
    const char *shared = getenv("DCLS_SHARED");
    if (dcls_context_create(&ctx)) return 1;
    int failed =
        run_file("published package", shared ? shared : "../shared", "golden/dcls.safetensors", no_reference);
    failed += run_file("equations", "tests/golden", "extra.safetensors", missing_file);
    dcls_context_destroy(ctx);
    return failed;
}
