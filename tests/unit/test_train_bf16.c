/* Gradients with dense convolutions in bfloat16 beside those in float: near, on processors with AMX or a fast
 * AVX512-BF16 not the same, and the same bits for any number of threads. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "base/rng.h"
#include "simd/amx.h"
#include "train/program.h"

#define BATCH   19
#define SIDE    10
#define CLASSES 3

static dcls_context *ctx;

/* Windows of 1 and 3, a stride, a sum whose terms both convolutions write to, a dense DCLS layer. */
static const char description[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{\"channels\":"
    "3,"
    "\"height\":10,\"width\":10},\"nodes\":["
    "{\"op\":\"conv\",\"name\":\"a\",\"weight\":\"a.w\",\"bias\":\"a.b\",\"out_channels\":24,\"kernel_size\":"
    "3,"
    "\"padding\":1},"
    "{\"op\":\"gelu\",\"name\":\"b\"},"
    "{\"op\":\"conv\",\"name\":\"c\",\"weight\":\"c.w\",\"out_channels\":40,\"kernel_size\":3,\"padding\":2,"
    "\"dilation\":2},"
    "{\"op\":\"batch_norm\",\"name\":\"d\",\"weight\":\"d.w\",\"bias\":\"d.b\",\"running_mean\":\"d.m\","
    "\"running_var\":\"d.v\"},"
    "{\"op\":\"gelu\",\"name\":\"e\"},"
    "{\"op\":\"dcls\",\"name\":\"f\",\"weight\":\"f.w\",\"P\":\"f.P\",\"version\":\"v1\",\"dilated_kernel_"
    "size\":5,"
    "\"padding\":2,\"out_channels\":24,\"kernel_count\":4},"
    "{\"op\":\"add\",\"name\":\"g\",\"inputs\":[\"f\",\"b\"]},"
    "{\"op\":\"conv\",\"name\":\"h\",\"weight\":\"h.w\",\"bias\":\"h.b\",\"out_channels\":33,\"kernel_size\":"
    "3,"
    "\"stride\":2},"
    "{\"op\":\"conv\",\"name\":\"i\",\"weight\":\"i.w\",\"bias\":\"i.b\",\"out_channels\":20,\"kernel_size\":"
    "1},"
    "{\"op\":\"global_avg_pool\",\"name\":\"j\",\"flatten\":true},"
    "{\"op\":\"linear\",\"name\":\"k\",\"weight\":\"k.w\",\"bias\":\"k.b\",\"out_channels\":3}]}}";

typedef struct outcome {
    double loss;
    float *gradients;
} outcome;

static outcome run(dcls_model *model, dcls_parameters *parameters, dcls_precision precision, int threads)
{
    static float input[BATCH * 3 * SIDE * SIDE];
    static int32_t target[BATCH];
    dcls_rng rng = dcls_rng_stream(5, 1);
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = (float)dcls_rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        target[i] = i % CLASSES;
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    options.precision = precision;
    options.algo = DCLS_ALGO_CONSTRUCT;
    dcls_program *program;
    dcls_step_result result;
    const dcls_batch batch = square_batch(BATCH, SIDE, 1, input, target);
    dcls_context_set_threads(ctx, threads);
    assert_ok(ctx, dcls_program_create(ctx, model, parameters, &options, NULL, &program));
    assert_ok(ctx, dcls_program_run(ctx, program, &batch, 7, &result));
    outcome o = {result.loss, malloc(parameters->floats * sizeof(float))};
    memcpy(o.gradients, parameters->gradients, parameters->floats * sizeof(float));
    dcls_program_destroy(program);
    return o;
}

static void check_parameter(const dcls_parameters *all, const dcls_parameter *p, const float *expected,
                            const float *got)
{
    const size_t first = (size_t)(p->gradient - all->gradients);
    double size = 0, error = 0;
    for (size_t i = first; i < first + p->count; i++) {
        size += (double)expected[i] * (double)expected[i];
        error += pow((double)got[i] - (double)expected[i], 2);
    }
    if (!(sqrt(error) <= 0.03 * sqrt(size) + 1e-6))
        fail_msg("%s: gradients differ by %.3g of %.3g", p->name, sqrt(error), sqrt(size));
}

static void near_float(void **state)
{
    (void)state;
    dcls_model *fresh, *model;
    dcls_parameters parameters;
    const dcls_create_options how = {.arch_json = description, .classes = CLASSES, .seed = 3};
    assert_ok(ctx, dcls_model_create(ctx, &how, &fresh));
    assert_ok(ctx, dcls_model_writable_copy(ctx, fresh, &model));
    dcls_model_destroy(fresh);
    assert_ok(ctx, dcls_parameters_create(ctx, model, NULL, 0, &parameters));
    outcome fp32 = run(model, &parameters, DCLS_PRECISION_FP32, 1),
            bf16 = run(model, &parameters, DCLS_PRECISION_BF16, 1),
            threads = run(model, &parameters, DCLS_PRECISION_BF16, 3);
    const size_t bytes = parameters.floats * sizeof(float);
    assert_true(fabs(fp32.loss - bf16.loss) <= 0.01 * fp32.loss);
    assert_true(bf16.loss == threads.loss && memcmp(bf16.gradients, threads.gradients, bytes) == 0);
    assert_true((dcls_amx_get_bf16() != NULL) == (memcmp(fp32.gradients, bf16.gradients, bytes) != 0));
    for (size_t i = 0; i < parameters.count; i++)
        if (parameters.items[i].gradient != NULL)
            check_parameter(&parameters, &parameters.items[i], fp32.gradients, bf16.gradients);
    free(fp32.gradients), free(bf16.gradients), free(threads.gradients);
    dcls_parameters_free(&parameters);
    dcls_model_destroy(model);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(near_float)};
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    const int failed = cmocka_run_group_tests_name("train_bf16", tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
