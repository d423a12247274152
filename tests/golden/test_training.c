/* 50 steps of SGD on two small networks against PyTorch with the published formulas in double precision
 * (tests/fixtures/make_training.py): the gradients of the first step, the curve of losses, the weights
 * afterwards; with every algorithm and several numbers of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dcls_train.h"
#include "model/rewrite.h"

static dcls_context *ctx;
static dcls_tensors *golden;

static void must(dcls_status status)
{
    if (status) fail_msg("%s: %s", dcls_status_name(status), dcls_context_message(ctx));
}

static const dcls_tensor *find(const char *net, const char *part, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s%s", net, part, name);
    const dcls_tensor *tensor = dcls_tensors_find(golden, full);
    if (tensor == NULL) fail_msg("the file has no '%s'", full);
    return tensor;
}

/* Tensors NET/model/NAME as NAME. */
static dcls_tensors *state_dict(const char *net)
{
    char prefix[64];
    dcls_tensors *set;
    must(dcls_tensors_create(ctx, "", &set));
    const int length = snprintf(prefix, sizeof prefix, "%s/model/", net);
    for (size_t i = 0; i < dcls_tensors_count(golden); i++) {
        dcls_tensor tensor = *dcls_tensors_at(golden, i);
        if (strncmp(tensor.name, prefix, (size_t)length) != 0) continue;
        tensor.name += length;
        must(dcls_copy_tensor(ctx, set, &tensor));
    }
    return set;
}

#define NORM(name)                                                                                           \
    "\"weight\":\"" name ".weight\",\"bias\":\"" name ".bias\",\"running_mean\":\"" name                     \
    ".running_mean\",\"running_var\":\"" name ".running_var\"}"
#define WEIGHTS(name) "\"weight\":\"" name ".weight\",\"bias\":\"" name ".bias\""
#define ELEMENTS(name)                                                                                       \
    "\"op\":\"dcls\",\"name\":\"" name "\",\"weight\":\"" name ".weight\",\"P\":\"" name ".P\""

static const char SEGMENTER[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"segmentation\",\"input\":{\"channels\":3,"
    "\"height\":\"any\",\"width\":\"any\"},\"nodes\":["
    "{\"op\":\"conv\",\"name\":\"stem\",\"weight\":\"stem.weight\",\"stride\":2,\"padding\":1},"
    "{\"op\":\"batch_norm\",\"name\":\"stem_norm\"," NORM(
        "stem_norm") ","
                     "{\"op\":\"relu\",\"name\":\"x0\"},"
                     "{" ELEMENTS(
                         "mix") ",\"SIG\":\"mix.SIG\",\"bias\":\"mix.bias\",\"version\":\"gauss\","
                                "\"dilated_kernel_size\":7,\"padding\":3,\"groups\":8},"
                                "{\"op\":\"layer_norm\",\"name\":\"mix_norm\"," WEIGHTS(
                                    "mix_norm") ",\"eps\":1e-6},"
                                                "{\"op\":\"conv\",\"name\":\"expand\"," WEIGHTS(
                                                    "expand") "},"
                                                              "{\"op\":\"gelu\",\"name\":\"gelu\"},"
                                                              "{\"op\":\"conv\",\"name\":"
                                                              "\"project\"," WEIGHTS(
                                                                  "project") "},"
                                                                             "{\"op\":\"layer_scale\","
                                                                             "\"name\":\"scale\",\"weight\":"
                                                                             "\"scale.weight\"},"
                                                                             "{\"op\":\"add\",\"name\":"
                                                                             "\"x1\",\"inputs\":[\"x0\","
                                                                             "\"scale\"]},"
                                                                             "{" ELEMENTS(
                                                                                 "wide") ",\"version\":"
                                                                                         "\"v1\",\"dilated_"
                                                                                         "kernel_size\":5,"
                                                                                         "\"padding\":2},"
                                                                                         "{\"op\":\"batch_"
                                                                                         "norm\",\"name\":"
                                                                                         "\"wide_"
                                                                                         "norm\"," NORM(
                                                                                             "wide_norm") ","
                                                                                                          "{"
                                                                                                          "\""
                                                                                                          "op"
                                                                                                          "\""
                                                                                                          ":"
                                                                                                          "\""
                                                                                                          "re"
                                                                                                          "lu"
                                                                                                          "\""
                                                                                                          ","
                                                                                                          "\""
                                                                                                          "na"
                                                                                                          "me"
                                                                                                          "\""
                                                                                                          ":"
                                                                                                          "\""
                                                                                                          "a"
                                                                                                          "\""
                                                                                                          "},"
                                                                                                          "{" ELEMENTS(
                                                                                                              "shared") ",\"inputs\":[\"x1\"],\"SIG\":\"shared.SIG\",\"bias\":\"shared.bias\","
                                                                                                                        "\"version\":\"max\",\"dilated_kernel_size\":5,\"padding\":2},"
                                                                                                                        "{\"op\":\"sigmoid\",\"name\":\"b0\"},"
                                                                                                                        "{\"op\":\"max_pool\",\"name\":\"pool\",\"inputs\":[\"x1\"],\"kernel_size\":2,\"stride\":2},"
                                                                                                                        "{\"op\":\"conv\",\"name\":\"around\"," WEIGHTS(
                                                                                                                            "around") ",\"padding\":1,\"padding_mode\":\"reflect\","
                                                                                                                                      "\"groups\":2},"
                                                                                                                                      "{\"op\":\"resize\",\"name\":\"c\",\"inputs\":[\"around\",\"b0\"],\"mode\":\"bilinear\"},"
                                                                                                                                      "{\"op\":\"mul\",\"name\":\"b\",\"inputs\":[\"b0\",\"c\"]},"
                                                                                                                                      "{\"op\":\"concat\",\"name\":\"both\",\"inputs\":[\"a\",\"b\"]},"
                                                                                                                                      "{\"op\":\"conv\",\"name\":\"head\"," WEIGHTS(
                                                                                                                                          "head") "},"
                                                                                                                                                  "{\"op\":\"resize\",\"name\":\"up\",\"inputs\":[\"head\",\"input\"],\"mode\":\"bilinear\"}]}}";

static dcls_model *build(const char *net)
{
    static const char *const settings[] = {"version=v1", "dilated_kernel_size=7"};
    const bool mixer = strcmp(net, "convmixer") == 0;
    const dcls_build_options options = {.arch = mixer ? "convmixer" : NULL,
                                        .arch_json = mixer ? NULL : SEGMENTER,
                                        .settings = mixer ? settings : NULL,
                                        .setting_count = mixer ? 2 : 0};
    dcls_model *model;
    must(dcls_model_build(ctx, state_dict(net), &options, &model));
    return model;
}

static dcls_batch batch_of(const char *net, int64_t step)
{
    const dcls_tensor *x = find(net, "", "x"), *target = find(net, "", "target");
    const int64_t at = step % x->shape[0], n = x->shape[1];
    dcls_batch batch = {.count = n, .channels = x->shape[2], .height = x->shape[3], .width = x->shape[4]};
    batch.target_pixels = target->ndim == 2 ? 1 : target->shape[2] * target->shape[3];
    batch.input = (const float *)x->data + at * n * batch.channels * batch.height * batch.width;
    batch.target = (const int32_t *)target->data + at * n * batch.target_pixels;
    return batch;
}

static dcls_trainer *start(const char *net, dcls_algo algo)
{
    static const float weights[] = {1.0f, 0.5f, 2.0f, 1.25f};
    const dcls_batch batch = batch_of(net, 0);
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = batch.count;
    options.height = batch.height;
    options.width = batch.width;
    options.algo = algo;
    options.optimizer = DCLS_SGD;
    options.weight_decay = 5e-4;
    options.nudge = 0; /* as published */
    if (strcmp(net, "convmixer") == 0)
        options.label_smoothing = 0.1;
    else
        options.class_weights = weights;
    dcls_model *model = build(net);
    dcls_trainer *trainer;
    must(dcls_trainer_create(ctx, model, &options, &trainer));
    dcls_model_destroy(model);
    return trainer;
}

/* The largest difference, as a share of the largest value. */
static double difference(const float *got, const dcls_tensor *want)
{
    double worst = 0, largest = 0;
    const float *values = want->data;
    for (size_t i = 0; i < want->nbytes / sizeof(float); i++) {
        worst = fmax(worst, fabs((double)got[i] - (double)values[i]));
        largest = fmax(largest, fabs((double)values[i]));
        if (isnan(got[i])) return INFINITY;
    }
    return worst / fmax(largest, 1e-3);
}

static void check_tensors(const char *net, const char *part, double tolerance, const dcls_trainer *trainer,
                          const dcls_model *model)
{
    char prefix[64];
    const int length = snprintf(prefix, sizeof prefix, "%s/%s", net, part);
    for (size_t i = 0; i < dcls_tensors_count(golden); i++) {
        const dcls_tensor *want = dcls_tensors_at(golden, i);
        if (strncmp(want->name, prefix, (size_t)length) != 0) continue;
        const char *name = want->name + length;
        const float *got = model != NULL ? dcls_tensors_find(dcls_model_tensors(model), name)->data
                                         : dcls_trainer_gradient(trainer, name);
        assert_non_null(got);
        const double d = difference(got, want);
        if (!(d <= tolerance)) fail_msg("%s: differs by %.3g", want->name, d);
    }
}

static void check_curve(const char *net, dcls_algo algo, int threads, float *weights)
{
    must(dcls_context_set_threads(ctx, threads));
    dcls_trainer *trainer = start(net, algo);
    const dcls_tensor *losses = find(net, "", "loss");
    for (int64_t step = 0; step < losses->shape[0]; step++) {
        const dcls_batch batch = batch_of(net, step);
        dcls_step_result result;
        must(dcls_trainer_step(ctx, trainer, &batch, 0.02, &result));
        const double want = ((const double *)losses->data)[step];
        if (!(fabs(result.loss - want) <= 1e-4 * want))
            fail_msg("%s, step %d: loss %.7g, PyTorch %.7g", net, (int)step, result.loss, want);
        if (step == 0) check_tensors(net, "first/", 2e-5, trainer, NULL);
    }
    const dcls_model *model = dcls_trainer_model(trainer, false);
    check_tensors(net, "final/", 3e-3, trainer, model);
    const char *kept = strcmp(net, "convmixer") == 0 ? "3.0.fn.0.P" : "wide.P";
    const dcls_tensor *P = dcls_tensors_find(dcls_model_tensors(model), kept);
    memcpy(weights, P->data, P->nbytes);
    dcls_trainer_destroy(trainer);
}

static void test_curves(void **state)
{
    static const dcls_algo algos[] = {DCLS_ALGO_AUTO, DCLS_ALGO_CONSTRUCT, DCLS_ALGO_IM2COL,
                                      DCLS_ALGO_SPARSE};
    static float one[4096], three[4096];
    const char *net = *state;
    for (size_t a = 0; a < sizeof algos / sizeof *algos; a++) {
        memset(one, 0, sizeof one);
        memset(three, 0, sizeof three);
        check_curve(net, algos[a], 1, one);
        check_curve(net, algos[a], 3, three);
        assert_memory_equal(one, three, sizeof one); /* the same bits for any number of threads */
    }
}

static void test_nothing_changes_when_it_fails(void **state)
{
    (void)state;
    dcls_trainer *trainer = start("convmixer", DCLS_ALGO_AUTO);
    dcls_batch batch = batch_of("convmixer", 0);
    const int64_t floats = batch.count * batch.channels * batch.height * batch.width;
    float *broken = malloc((size_t)floats * sizeof *broken);
    memcpy(broken, batch.input, (size_t)floats * sizeof *broken);
    broken[floats / 2] = NAN;
    batch.input = broken;
    dcls_step_result result;
    assert_int_equal(dcls_trainer_step(ctx, trainer, &batch, 0.02, &result), DCLS_ERR_FORMAT);
    assert_non_null(strstr(dcls_context_message(ctx), "input"));
    check_tensors("convmixer", "model/", 0, trainer, dcls_trainer_model(trainer, false));
    batch.count--;
    assert_int_equal(dcls_trainer_step(ctx, trainer, &batch, 0.02, &result), DCLS_ERR_ARGUMENT);
    free(broken);
    dcls_trainer_destroy(trainer);
}

/* Stored in the middle, taken up by another trainer: the same end. */
static void test_resume(void **state)
{
    (void)state;
    dcls_trainer *through = start("segmenter", DCLS_ALGO_AUTO), *second = start("segmenter", DCLS_ALGO_AUTO);
    dcls_step_result result;
    for (int64_t step = 0; step < 8; step++) {
        const dcls_batch batch = batch_of("segmenter", step);
        must(dcls_trainer_step(ctx, through, &batch, 0.02, &result));
        if (step == 3) {
            dcls_tensors *set;
            must(dcls_trainer_store(ctx, through, NULL, &set));
            must(dcls_trainer_restore(ctx, second, set));
            dcls_tensors_destroy(set);
        }
        if (step > 3) must(dcls_trainer_step(ctx, second, &batch, 0.02, &result));
    }
    const dcls_tensors *a = dcls_model_tensors(dcls_trainer_model(through, false)),
                       *b = dcls_model_tensors(dcls_trainer_model(second, false));
    for (size_t i = 0; i < dcls_tensors_count(a); i++)
        assert_memory_equal(dcls_tensors_at(a, i)->data, dcls_tensors_at(b, i)->data,
                            dcls_tensors_at(a, i)->nbytes);
    dcls_trainer_destroy(through);
    dcls_trainer_destroy(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"convmixer", test_curves, NULL, NULL, (void *)(uintptr_t) "convmixer"},
        {"segmenter", test_curves, NULL, NULL, (void *)(uintptr_t) "segmenter"},
        cmocka_unit_test(test_nothing_changes_when_it_fails),
        cmocka_unit_test(test_resume),
    };
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    if (dcls_tensors_load_file(ctx, "tests/golden/training.safetensors", &golden) != DCLS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_tensors_destroy(golden);
    dcls_context_destroy(ctx);
    return failed;
}
