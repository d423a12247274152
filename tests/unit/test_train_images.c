/* Gradients of a batch, whose images go side by side through convolutions of 3x3 taps, are the mean of those
 * of its images alone, which go another way. */
#include "batch_util.h"
#include "model_util.h"
#include "numeric_util.h"

#include "train/program.h"

#define CLASSES 5
#define SIDE    14

/* %s: attributes of the convolution in the middle. */
static const char NETWORK[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{\"channels\":"
    "3,"
    "\"height\":\"any\",\"width\":\"any\"},\"nodes\":["
    "{\"op\":\"conv\",\"name\":\"stem\",\"weight\":\"stem.weight\",\"bias\":\"stem.bias\",\"out_channels\":"
    "48,"
    "\"kernel_size\":3,\"padding\":1},{\"op\":\"gelu\",\"name\":\"a\"},"
    "{\"op\":\"conv\",\"name\":\"b\",\"weight\":\"b.weight\",\"bias\":\"b.bias\",\"out_channels\":56,"
    "\"kernel_size\":3,\"padding\":1},{\"op\":\"gelu\",\"name\":\"c\"},"
    "{\"op\":\"conv\",\"name\":\"d\",\"weight\":\"d.weight\",\"out_channels\":56,\"kernel_size\":3%s},"
    "{\"op\":\"gelu\",\"name\":\"e\"},"
    "{\"op\":\"conv\",\"name\":\"f\",\"weight\":\"%s\",\"out_channels\":56,\"kernel_size\":3,\"padding\":1},"
    "{\"op\":\"global_avg_pool\",\"name\":\"g\",\"flatten\":true},"
    "{\"op\":\"linear\",\"name\":\"h\",\"weight\":\"h.weight\",\"out_channels\":5}]}}";

static dcls_context *ctx;

static dcls_model *new_network(const char *attributes, const char *weight)
{
    char json[4096];
    dcls_model *fresh, *model;
    snprintf(json, sizeof json, NETWORK, attributes, weight);
    assert_ok(ctx,
              dcls_model_create(ctx, &(dcls_create_options){.arch_json = json, .classes = CLASSES, .seed = 3},
                                &fresh));
    assert_ok(ctx, dcls_model_writable_copy(ctx, fresh, &model));
    dcls_model_destroy(fresh);
    return model;
}

/* sums += share of the gradients of `count` images from the first on. */
static void add_gradients(const dcls_model *model, const float *input, const int32_t *target, int64_t count,
                          const char *freeze, double share, double *sums)
{
    dcls_parameters parameters;
    dcls_program *program;
    dcls_step_result result;
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = count;
    options.height = options.width = SIDE;
    assert_ok(ctx, dcls_parameters_create(ctx, model, &freeze, freeze != NULL, &parameters));
    assert_ok(ctx, dcls_program_create(ctx, model, &parameters, &options, NULL, &program));
    const dcls_batch batch = square_batch(count, SIDE, 1, input, target);
    assert_ok(ctx, dcls_program_run(ctx, program, &batch, 7, &result));
    for (size_t i = 0; i < parameters.floats; i++)
        sums[i] += share * (double)parameters.gradients[i];
    dcls_program_destroy(program);
    dcls_parameters_free(&parameters);
}

static void check_network(const char *attributes, const char *weight, const char *freeze, int64_t count)
{
    dcls_model *model = new_network(attributes, weight);
    dcls_parameters parameters;
    assert_ok(ctx, dcls_parameters_create(ctx, model, NULL, 0, &parameters));
    const size_t floats = parameters.floats;
    dcls_parameters_free(&parameters);
    const int64_t image = (int64_t)3 * SIDE * SIDE;
    float *input = new_floats(count * image);
    int32_t *target = malloc((size_t)count * sizeof *target);
    double *together = calloc(floats, sizeof *together), *alone = calloc(floats, sizeof *alone), largest = 0;
    for (int64_t i = 0; i < count; i++)
        target[i] = (int32_t)random_int(0, CLASSES - 1);
    add_gradients(model, input, target, count, freeze, 1, together);
    for (int64_t i = 0; i < count; i++)
        add_gradients(model, input + i * image, target + i, 1, freeze, 1 / (double)count, alone);
    for (size_t i = 0; i < floats; i++)
        largest = fmax(largest, fabs(alone[i]));
    assert_true(largest > 1e-4);
    for (size_t i = 0; i < floats; i++)
        assert_near(together[i], alone[i], largest, attributes, (int64_t)i);
    free(input), free(target), free(together), free(alone);
    dcls_model_destroy(model);
}

static void test_images(void **state)
{
    (void)state;
    static const int64_t counts[] = {41, 64, 9};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        check_network(",\"padding\":1", "f.weight", NULL, counts[i]);
        check_network(",\"padding\":1", "d.weight", NULL, counts[i]);       /* of two layers */
        check_network(",\"padding\":1", "f.weight", "b.weight", counts[i]); /* frozen, its bias is not */
        check_network(",\"padding\":1,\"stride\":2", "f.weight", NULL, counts[i]);
        check_network(",\"padding\":1,\"padding_mode\":\"reflect\"", "f.weight", NULL, counts[i]);
        check_network(",\"padding\":2,\"dilation\":2", "f.weight", NULL, counts[i]);
        check_network(",\"padding\":0", "f.weight", NULL, counts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_images)};
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
