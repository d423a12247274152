/* Training with the Lovász loss: its place in a step of several pictures, beside cross entropy. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "base/rng.h"
#include "train/lovasz.h"
#include "train/program.h"

enum { BATCH = 4, SIDE = 21, PIXELS = SIDE * SIDE, CLASSES = 3, INPUTS = BATCH * 3 * PIXELS };

static const char network[] =
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"segmentation\",\"input\":{\"channels\":3,"
    "\"height\":21,\"width\":21},\"nodes\":["
    "{\"op\":\"conv\",\"name\":\"stem\",\"weight\":\"stem.weight\",\"bias\":\"stem.bias\",\"out_channels\":6,"
    "\"kernel_size\":3,\"padding\":1},{\"op\":\"gelu\",\"name\":\"g\"},"
    "{\"op\":\"conv\",\"name\":\"head\",\"weight\":\"head.weight\",\"bias\":\"head.bias\",\"out_channels\":3,"
    "\"kernel_size\":1}]}}";

static const float class_weights[CLASSES] = {0.5f, 1, 2};

typedef struct bench {
    dcls_context *ctx;
    dcls_model *model;
    dcls_parameters parameters;
    dcls_program *program;
    float input[INPUTS];
    int32_t target[BATCH * PIXELS];
} bench;

static dcls_trainer_options make_options(void)
{
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    options.label_smoothing = 0.1;
    options.class_weights = class_weights;
    options.lovasz = 1.5;
    return options;
}

static dcls_batch make_batch(const bench *b)
{
    return square_batch(BATCH, SIDE, PIXELS, b->input, b->target);
}

/* Targets that differ from picture to picture; one picture has none, another lacks a class. */
static void fill(bench *b)
{
    dcls_rng rng = {11};
    for (int i = 0; i < INPUTS; i++)
        b->input[i] = 2 * (float)dcls_rng_normal(&rng);
    for (int i = 0; i < BATCH * PIXELS; i++) {
        const int picture = i / PIXELS, c = (int)(dcls_rng_uniform(&rng) * CLASSES);
        const bool counts = picture != 2 && i % 7 != 3;
        b->target[i] = !counts ? DCLS_IGNORE : picture == 3 && c == 1 ? 2 : c;
    }
}

static bench *create(int threads)
{
    bench *b = calloc(1, sizeof *b);
    dcls_model *fresh;
    assert_int_equal(dcls_context_create(&b->ctx), DCLS_OK);
    dcls_context_set_threads(b->ctx, threads);
    assert_ok(b->ctx, dcls_model_create(
                          b->ctx, &(dcls_create_options){.arch_json = network, .classes = CLASSES, .seed = 3},
                          &fresh));
    assert_ok(b->ctx, dcls_model_writable_copy(b->ctx, fresh, &b->model));
    dcls_model_destroy(fresh);
    const dcls_trainer_options options = make_options();
    assert_ok(b->ctx, dcls_parameters_create(b->ctx, b->model, NULL, 0, &b->parameters));
    assert_ok(b->ctx, dcls_program_create(b->ctx, b->model, &b->parameters, &options, NULL, &b->program));
    dcls_rng rng = {5};
    for (size_t i = 0; i < b->parameters.count; i++)
        for (size_t k = 0; k < b->parameters.items[i].count; k++)
            b->parameters.items[i].value[k] += 0.3f * (float)dcls_rng_normal(&rng);
    fill(b);
    return b;
}

static void destroy(bench *b)
{
    dcls_program_destroy(b->program);
    dcls_parameters_free(&b->parameters);
    dcls_model_destroy(b->model);
    dcls_context_destroy(b->ctx);
    free(b);
}

static dcls_step_result result_of(bench *b)
{
    const dcls_batch batch = make_batch(b);
    dcls_step_result result;
    assert_ok(b->ctx, dcls_program_run(b->ctx, b->program, &batch, 7, &result));
    return result;
}

static double loss_of(bench *b)
{
    return result_of(b).loss;
}

static void assert_same(const char *what, double got, double want)
{
    if (!(fabs(got - want) < 1e-5 * want)) fail_msg("%s: %.8g, the plan's logits say %.8g", what, got, want);
}

/* Of one picture's logits: *sum and *weight are added to for cross entropy; returns the Lovász loss. */
static double plain_losses(const float *logits, const int32_t *target, double *sum, double *weight)
{
    static float probability[CLASSES * PIXELS], slopes[CLASSES * PIXELS];
    static struct dcls_lovasz_entry entries[2 * PIXELS];
    for (int i = 0; i < PIXELS; i++) {
        double all = 0;
        for (int c = 0; c < CLASSES; c++)
            all += exp((double)logits[c * PIXELS + i]);
        for (int c = 0; c < CLASSES; c++) {
            const double x = (double)logits[c * PIXELS + i];
            const double mass = 0.1 / CLASSES + (c == target[i] ? 0.9 : 0);
            probability[c * PIXELS + i] = (float)(exp(x) / all);
            if (target[i] != DCLS_IGNORE) *sum += mass * (double)class_weights[c] * (log(all) - x);
        }
        if (target[i] != DCLS_IGNORE) *weight += (double)class_weights[target[i]];
    }
    return dcls_lovasz(probability, CLASSES, PIXELS, target, 1, slopes, entries);
}

/* Cross entropy over all pixels that count, and the mean of the pictures' Lovász losses. */
static void test_loss(void **state)
{
    (void)state;
    bench *b = create(2);
    const int64_t shape[] = {BATCH, 3, SIDE, SIDE};
    static float logits[BATCH * CLASSES * PIXELS];
    dcls_plan *plan;
    assert_ok(b->ctx, dcls_plan_create(b->ctx, b->model, NULL, 4, shape, &plan));
    assert_ok(b->ctx, dcls_plan_run(b->ctx, plan, b->input, logits));
    double sum = 0, weight = 0, lovasz = 0;
    for (int n = 0; n < BATCH; n++)
        lovasz += plain_losses(logits + n * CLASSES * PIXELS, b->target + n * PIXELS, &sum, &weight);
    const dcls_step_result got = result_of(b);
    assert_true(lovasz > 1);
    assert_same("loss", got.loss, sum / weight + 1.5 * lovasz / BATCH);
    assert_same("what is added", got.added, 1.5 * lovasz / BATCH);
    dcls_plan_destroy(plan);
    destroy(b);
}

/* The slope of the loss along a random direction in each parameter is the gradient times the direction. */
static void test_gradients(void **state)
{
    (void)state;
    bench *b = create(1);
    dcls_rng rng = {9};
    loss_of(b);
    float *gradients = malloc(b->parameters.floats * sizeof *gradients);
    memcpy(gradients, b->parameters.gradients, b->parameters.floats * sizeof *gradients);
    for (size_t i = 0; i < b->parameters.count; i++) {
        dcls_parameter *p = &b->parameters.items[i];
        const float *gradient = gradients + (p->gradient - b->parameters.gradients);
        float direction[200], before[200];
        double slope = 0, loss[2];
        const double step = 1e-3;
        assert_true(p->count <= 200);
        memcpy(before, p->value, p->count * sizeof *before);
        for (size_t k = 0; k < p->count; k++) {
            direction[k] = (float)(dcls_rng_normal(&rng) / sqrt((double)p->count));
            slope += (double)gradient[k] * (double)direction[k];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < p->count; k++)
                p->value[k] = before[k] + (side == 0 ? -1 : 1) * (float)step * direction[k];
            loss[side] = loss_of(b);
        }
        memcpy(p->value, before, p->count * sizeof *before);
        const double measured = (loss[1] - loss[0]) / (2 * step);
        if (!(fabs(measured - slope) <= 0.01 * fabs(slope) + 1e-3))
            fail_msg("%s: the loss rises by %.6g, the gradient says %.6g", p->name, measured, slope);
    }
    free(gradients);
    destroy(b);
}

static void test_threads(void **state)
{
    (void)state;
    bench *one = create(1);
    const double loss = loss_of(one);
    for (int threads = 2; threads <= 3; threads++) {
        bench *more = create(threads);
        assert_true(loss_of(more) == loss);
        assert_memory_equal(more->parameters.gradients, one->parameters.gradients,
                            one->parameters.floats * sizeof(float));
        destroy(more);
    }
    destroy(one);
}

static void test_refused(void **state)
{
    (void)state;
    bench *b = create(1);
    dcls_trainer_options options = make_options();
    dcls_trainer *trainer;
    dcls_step_result result;
    dcls_batch batch = make_batch(b);
    float share[BATCH] = {1, 1, 1, 1};
    assert_ok(b->ctx, dcls_trainer_create(b->ctx, b->model, &options, &trainer));
    batch.mixed = b->target;
    batch.share = share;
    assert_int_equal(dcls_trainer_step(b->ctx, trainer, &batch, 0.1, &result), DCLS_ERR_ARGUMENT);
    batch.mixed = NULL;
    assert_ok(b->ctx, dcls_trainer_step(b->ctx, trainer, &batch, 0.1, &result));
    dcls_trainer_destroy(trainer);
    const double bad[] = {-1, NAN, INFINITY};
    for (int i = 0; i < 3; i++) {
        options.lovasz = bad[i];
        assert_int_equal(dcls_trainer_create(b->ctx, b->model, &options, &trainer), DCLS_ERR_ARGUMENT);
    }
    destroy(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
