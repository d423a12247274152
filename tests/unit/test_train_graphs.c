/* Gradients of networks put together at random against differences of the loss. What layers share (memory of
 * gradients, work done in passing) depends on who else uses a value, and when: by hand one does not think of
 * all of it. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "base/rng.h"
#include "train/program.h"

#define NETWORKS 250
#define BATCH    19
#define SIDE     6
#define CLASSES  3
#define MOST     24 /* values */

static dcls_context *ctx;
static dcls_rng rng;
static float input[BATCH * 3 * SIDE * SIDE];
static int32_t target[BATCH];

static int below(int n)
{
    return (int)(dcls_rng_uniform(&rng) * n);
}

/* ---- networks ---------------------------------------------------------------------------------------- */

/* Value i of values a and b. */
static void add_node(dcls_string *text, int kind, int i, int a, int b)
{
    switch (kind) {
    case 0:
        dcls_string_printf(text,
                           "{\"op\":\"conv\",\"name\":\"v%d\",\"inputs\":[\"v%d\"],\"weight\":\"v%d.w\","
                           "\"bias\":\"v%d.b\",\"out_channels\":6,\"kernel_size\":1},",
                           i, a, i, i);
        return;
    case 1:
    case 2:
    case 3:
        dcls_string_printf(
            text,
            "{\"op\":\"batch_norm\",\"name\":\"v%d\",\"inputs\":[\"v%d\"],\"weight\":\"v%d.w\","
            "\"bias\":\"v%d.b\",\"running_mean\":\"v%d.m\",\"running_var\":\"v%d.v\"},",
            i, a, i, i, i, i);
        return;
    case 4:
        dcls_string_printf(
            text,
            "{\"op\":\"concat\",\"name\":\"c%d\",\"inputs\":[\"v%d\",\"v%d\"]},{\"op\":\"conv\","
            "\"name\":\"v%d\",\"weight\":\"v%d.w\",\"out_channels\":6,\"kernel_size\":1},",
            i, a, b, i, i);
        return;
    case 5:
    case 6:
    case 7:
        dcls_string_printf(text, "{\"op\":\"add\",\"name\":\"v%d\",\"inputs\":[\"v%d\",\"v%d\"]},", i, a, b);
        return;
    default: {
        static const char *const ops[] = {"\"gelu\"", "\"gelu\"", "\"sigmoid\"", "\"identity\"",
                                          "\"drop_path\",\"p\":0.3"};
        dcls_string_printf(text, "{\"op\":%s,\"name\":\"v%d\",\"inputs\":[\"v%d\"]},", ops[kind - 8], i, a);
    }
    }
}

#define KINDS 13

/* A chain with branches; values nobody took are added to its end. To be freed. */
static char *make_description(void)
{
    dcls_string text = {0};
    bool used[MOST] = {false};
    const int first = 3 + below(8);
    int last = first - 1;
    dcls_string_printf(&text,
                       "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\","
                       "\"input\":{\"channels\":3,\"height\":6,\"width\":6},\"nodes\":[{\"op\":\"conv\","
                       "\"name\":\"v0\",\"weight\":\"v0.w\",\"bias\":\"v0.b\",\"out_channels\":6,"
                       "\"kernel_size\":3,\"padding\":1},");
    for (int i = 1; i < first; i++) {
        const int kind = below(KINDS), a = below(3) > 0 ? i - 1 : below(i), b = below(i);
        add_node(&text, kind, i, a, b);
        used[a] = true;
        if (kind >= 4 && kind <= 7) used[b] = true;
    }
    for (int i = 0; i < first - 1; i++)
        if (!used[i]) add_node(&text, 5, last + 1, last, i), last++;
    dcls_string_printf(
        &text,
        "{\"op\":\"conv\",\"name\":\"head\",\"inputs\":[\"v%d\"],\"weight\":\"head.w\","
        "\"bias\":\"head.b\",\"out_channels\":3,\"kernel_size\":1},{\"op\":\"global_avg_pool\","
        "\"name\":\"pooled\",\"flatten\":true}]}}",
        last);
    assert_false(text.failed);
    return text.data;
}

/* ---- gradients --------------------------------------------------------------------------------------- */

typedef struct bench {
    char *description;
    dcls_model *model;
    dcls_parameters parameters;
    dcls_program *program;
} bench;

static double loss_of(dcls_program *program)
{
    const dcls_batch batch = square_batch(BATCH, SIDE, 1, input, target);
    dcls_step_result result;
    assert_ok(ctx, dcls_program_run(ctx, program, &batch, 7, &result));
    return result.loss;
}

static void create(bench *b, dcls_trainer_options *options)
{
    dcls_model *fresh;
    const dcls_create_options how = {.arch_json = b->description, .classes = CLASSES, .seed = 3};
    assert_ok(ctx, dcls_model_create(ctx, &how, &fresh));
    assert_ok(ctx, dcls_model_writable_copy(ctx, fresh, &b->model));
    dcls_model_destroy(fresh);
    char globs[2][16];
    const char *freeze[2] = {globs[0], globs[1]};
    const size_t frozen = (size_t)below(3);
    for (size_t i = 0; i < frozen; i++)
        snprintf(globs[i], sizeof globs[i], below(2) ? "v%d.*" : "v%d.w", below(8));
    *options = dcls_trainer_options_default();
    options->batch = BATCH;
    options->height = options->width = SIDE;
    assert_ok(ctx, dcls_parameters_create(ctx, b->model, freeze, frozen, &b->parameters));
    for (size_t i = 0; i < b->parameters.count; i++)
        for (size_t k = 0; k < b->parameters.items[i].count; k++) {
            const float shift = 0.2f * (float)fmax(-4, dcls_rng_normal(&rng));
            b->parameters.items[i].value[k] +=
                b->parameters.items[i].role == DCLS_ROLE_BUFFER ? fabsf(shift) : shift;
        }
    assert_ok(ctx, dcls_program_create(ctx, b->model, &b->parameters, options, NULL, &b->program));
}

static void destroy(bench *b)
{
    dcls_program_destroy(b->program);
    dcls_parameters_free(&b->parameters);
    dcls_model_destroy(b->model);
    free(b->description);
}

static void move(dcls_parameter *p, const float *from, const float *direction, double step)
{
    for (size_t k = 0; k < p->count; k++)
        p->value[k] = from[k] + (float)step * direction[k];
}

static void check_direction(const bench *b, dcls_parameter *p, const float *gradient)
{
    float *direction = malloc(p->count * sizeof *direction), *before = malloc(p->count * sizeof *before);
    double slope = 0, norm = 0;
    memcpy(before, p->value, p->count * sizeof *before);
    for (size_t k = 0; k < p->count; k++) {
        direction[k] = (float)dcls_rng_normal(&rng);
        slope += (double)gradient[k] * (double)direction[k];
        norm += (double)gradient[k] * (double)gradient[k];
    }
    const double step = 0.01 / sqrt((double)p->count);
    move(p, before, direction, step);
    const double above = loss_of(b->program);
    move(p, before, direction, -step);
    const double measured = (above - loss_of(b->program)) / (2 * step);
    move(p, before, direction, 0);
    if (!(fabs(measured - slope) <= 0.05 * (fabs(slope) + 0.5 * sqrt(norm)) + 3e-6 / step))
        fail_msg("%s: the loss rises by %.6g, the gradient says %.6g, in %s", p->name, measured, slope,
                 b->description);
    free(direction);
    free(before);
}

/* Each parameter's; the result is them, to be freed. */
static float *check_gradients(bench *b)
{
    const size_t bytes = b->parameters.floats * sizeof(float);
    float *gradients = malloc(bytes);
    loss_of(b->program);
    memcpy(gradients, b->parameters.gradients, bytes);
    for (size_t i = 0; i < b->parameters.count; i++) {
        dcls_parameter *p = &b->parameters.items[i];
        if (p->gradient != NULL && !p->frozen)
            check_direction(b, p, gradients + (p->gradient - b->parameters.gradients));
    }
    return gradients;
}

static void check_network(int number)
{
    bench b = {0};
    dcls_trainer_options options;
    rng = dcls_rng_stream((uint64_t)number, 1);
    b.description = make_description();
    create(&b, &options);
    float *gradients = check_gradients(&b);
    const double loss = loss_of(b.program);
    dcls_program_destroy(b.program); /* the same bits on three threads */
    dcls_context_set_threads(ctx, 3);
    assert_ok(ctx, dcls_program_create(ctx, b.model, &b.parameters, &options, NULL, &b.program));
    if (loss_of(b.program) != loss ||
        memcmp(gradients, b.parameters.gradients, b.parameters.floats * sizeof(float)) != 0)
        fail_msg("three threads compute something else in %s", b.description);
    dcls_context_set_threads(ctx, 1);
    free(gradients);
    destroy(&b);
}

/* One tensor as the bias of a convolution and the weight of a norm: its gradient is the sum of both, and no
 * two threads may add to it. */
static void test_one_tensor_in_two_places(void **state)
{
    (void)state;
    bench b = {
        .description = strdup(
            "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{"
            "\"channels\":3,\"height\":6,\"width\":6},\"nodes\":[{\"op\":\"conv\",\"name\":\"v0\","
            "\"weight\":\"v0.w\",\"bias\":\"both\",\"out_channels\":6,\"kernel_size\":3},{\"op\":\"gelu\","
            "\"name\":\"v1\"},{\"op\":\"batch_norm\",\"name\":\"v2\",\"weight\":\"both\",\"bias\":\"v2.b\","
            "\"running_mean\":\"v2.m\",\"running_var\":\"v2.v\"},{\"op\":\"conv\",\"name\":\"head\","
            "\"weight\":\"head.w\",\"out_channels\":3,\"kernel_size\":1},{\"op\":\"global_avg_pool\","
            "\"name\":\"pooled\",\"flatten\":true}]}}")};
    dcls_trainer_options options;
    rng = dcls_rng_stream(5, 1);
    create(&b, &options);
    assert_true(b.program->shared);
    free(check_gradients(&b));
    destroy(&b);
}

static int begin(void **state)
{
    (void)state;
    if (dcls_context_create(&ctx) != DCLS_OK) return -1;
    dcls_context_set_threads(ctx, 1);
    rng = dcls_rng_stream(11, 0);
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = (float)dcls_rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        target[i] = i % CLASSES;
    return 0;
}

static int end(void **state)
{
    (void)state;
    dcls_context_destroy(ctx);
    return 0;
}

static void test_networks(void **state)
{
    (void)state;
    for (int i = 0; i < NETWORKS; i++)
        check_network(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_one_tensor_in_two_places)};
    return cmocka_run_group_tests(tests, begin, end);
}
