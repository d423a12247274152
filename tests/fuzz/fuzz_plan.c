/* Networks that run. The bytes of the input are a program that generates a network; its plans by every
 * algorithm, its dense form and a run on more threads must agree: the last bit for bit. */
#include "network_generator.h"

#include <math.h>

static float *run(generator *g, const dcls_model *model, dcls_algo algo, int threads, const float *input,
                  size_t *count)
{
    dcls_plan *plan;
    const value *in = &g->values[0];
    int64_t shape[DCLS_MAX_DIMS], total = 0;
    const dcls_plan_options options = {.algo = algo, .tap_cutoff = 0};
    if (dcls_context_set_threads(g->ctx, threads) != DCLS_OK) abort();
    if (dcls_plan_create(g->ctx, model, &options, in->ndim, in->size, &plan) != DCLS_OK) return NULL;
    const int ndim = dcls_plan_output_shape(plan, shape);
    if (!dcls_shape_count(ndim, shape, &total)) abort();
    float *output = malloc(((size_t)total + 1) * sizeof *output);
    if (output == NULL) abort();
    output[total] = 42;
    if (dcls_plan_run(g->ctx, plan, input, output) != DCLS_OK || output[total] != 42) abort();
    dcls_plan_destroy(plan);
    *count = (size_t)total;
    return output;
}

/* Float rounding differs between algorithms and grows over layers; what is compared here are mistakes. */
static void compare(const float *a, const float *b, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return;
        most = fmaxf(most, fabsf(a[i]));
    }
    for (size_t i = 0; i < count && most < 1e6f; i++)
        if (fabsf(a[i] - b[i]) > 1e-3f * most + 1e-4f) abort();
}

static void run_all(generator *g, const dcls_model *model, const float *input)
{
    static const dcls_algo ALGOS[] = {DCLS_ALGO_AUTO, DCLS_ALGO_IM2COL, DCLS_ALGO_SPARSE};
    size_t count = 0, others = 0;
    float *reference = run(g, model, DCLS_ALGO_CONSTRUCT, 1, input, &count);
    if (reference == NULL) return;
    for (size_t i = 0; i < sizeof ALGOS / sizeof ALGOS[0]; i++) {
        float *other = run(g, model, ALGOS[i], 1, input, &others);
        float *again = run(g, model, ALGOS[i], 3, input, &others);
        if (other != NULL) compare(reference, other, count);
        if (other != NULL && again != NULL && memcmp(other, again, count * sizeof *other) != 0) abort();
        free(other);
        free(again);
    }
    dcls_model *dense;
    if (dcls_model_to_dense(g->ctx, model, &dense) == DCLS_OK) {
        float *other = run(g, dense, DCLS_ALGO_AUTO, 1, input, &others);
        if (other != NULL) compare(reference, other, count);
        free(other);
        dcls_model_destroy(dense);
    }
    free(reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 512) return 0;
    generator g = {.ctx = fuzz_context(), .at = data, .end = data + size};
    if (dcls_tensors_create(g.ctx, "", &g.set) != DCLS_OK) abort();
    const bool good = generate(&g);
    dcls_model *model = NULL;
    const dcls_status status = dcls_model_from_json(g.ctx, g.set, g.json.data, &model);
    if (status != DCLS_OK && status != DCLS_ERR_LIMIT && g.count > 1) {
        fprintf(stderr, "%s\n%s\n", g.json.data, dcls_context_message(g.ctx));
        abort();
    }
    if (status == DCLS_OK && good) {
        int64_t count = 0;
        if (!dcls_shape_count(g.values[0].ndim, g.values[0].size, &count)) abort();
        float *input = malloc((size_t)count * sizeof *input);
        if (input == NULL) abort();
        fuzz_fill(input, (size_t)count);
        run_all(&g, model, input);
        free(input);
    }
    dcls_model_destroy(model);
    dcls_string_free(&g.json);
    dcls_context_destroy(g.ctx);
    return 0;
}
