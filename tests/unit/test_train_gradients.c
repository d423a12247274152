/* Gradients of every operation that trains against differences of the loss: along a random direction in each
 * parameter tensor, the slope of the loss is the gradient times the direction. The operation under test
 * stands between two convolutions, so that the first one's gradient has passed through it. */
#include "batch_util.h"
#include "model_util.h"

#include <math.h>

#include "base/rng.h"
#include "train/program.h"

#define BATCH   4
#define SIDE    9
#define CLASSES 3

#define HEAD(input)                                                                                          \
    "{\"op\":\"conv\",\"name\":\"head\",\"inputs\":[\"" input                                                \
    "\"],\"weight\":\"head.weight\",\"bias\":\"head.bias\",\"out_channels\":3,\"kernel_size\":1},"           \
    "{\"op\":\"global_avg_pool\",\"name\":\"pooled\",\"flatten\":true}"
#define STEM                                                                                                 \
    "{\"op\":\"conv\",\"name\":\"stem\",\"weight\":\"stem.weight\",\"bias\":\"stem.bias\",\"out_channels\":" \
    "6,\"kernel_size\":3,\"padding\":1},"
#define CONV(rest)                                                                                           \
    "{\"op\":\"conv\",\"name\":\"t\",\"weight\":\"t.weight\",\"bias\":\"t.bias\",\"out_channels\":6," rest   \
    "},"
#define ELEMENTS(rest)                                                                                       \
    "{\"op\":\"dcls\",\"name\":\"t\",\"weight\":\"t.weight\",\"bias\":\"t.bias\",\"P\":\"t.P\","             \
    "\"out_channels\":6," rest "},"
#define OP(op, rest) "{\"op\":\"" op "\",\"name\":\"t\"" rest "},"

typedef struct row {
    const char *name, *nodes; /* between stem and head; the last is called t */
    double kinks;             /* tolerance beyond rounding, where slopes jump */
} row;

static const row rows[] = {
    {"conv", CONV("\"kernel_size\":3,\"padding\":1"), 0},
    {"conv strided", CONV("\"kernel_size\":3,\"stride\":2,\"padding\":1"), 0},
    {"conv dilated", CONV("\"kernel_size\":3,\"dilation\":2,\"padding\":2"), 0},
    {"conv grouped", CONV("\"kernel_size\":3,\"groups\":3,\"padding\":1"), 0},
    {"conv depthwise", CONV("\"kernel_size\":5,\"groups\":6,\"padding\":2"), 0},
    {"conv depthwise strided", CONV("\"kernel_size\":5,\"groups\":6,\"padding\":2,\"stride\":2"), 0},
    {"conv patches", CONV("\"kernel_size\":3,\"stride\":3"), 0},
    {"conv same, even", CONV("\"kernel_size\":4,\"padding\":\"same\""), 0},
    {"conv reflect", CONV("\"kernel_size\":3,\"padding\":1,\"padding_mode\":\"reflect\""), 0},
    {"conv replicate", CONV("\"kernel_size\":3,\"padding\":1,\"padding_mode\":\"replicate\""), 0},
    {"conv circular", CONV("\"kernel_size\":3,\"padding\":1,\"padding_mode\":\"circular\""), 0},
    {"v0",
     ELEMENTS("\"version\":\"v0\",\"dilated_kernel_size\":7,\"padding\":3,\"groups\":6,\"kernel_count\":4"),
     0},
    {"v1",
     ELEMENTS("\"version\":\"v1\",\"dilated_kernel_size\":7,\"padding\":3,\"groups\":6,\"kernel_count\":4"),
     0},
    {"v1 strided",
     ELEMENTS("\"version\":\"v1\",\"dilated_kernel_size\":5,\"padding\":2,\"groups\":6,\"kernel_count\":4,"
              "\"stride\":2"),
     0},
    {"v1 full", ELEMENTS("\"version\":\"v1\",\"dilated_kernel_size\":5,\"padding\":2,\"kernel_count\":3"), 0},
    {"max",
     ELEMENTS("\"version\":\"max\",\"SIG\":\"t.SIG\",\"dilated_kernel_size\":7,\"padding\":3,\"groups\":6,"
              "\"kernel_count\":4"),
     0},
    {"gauss",
     ELEMENTS("\"version\":\"gauss\",\"SIG\":\"t.SIG\",\"dilated_kernel_size\":7,\"padding\":3,\"groups\":6,"
              "\"kernel_count\":4"),
     0},
    {"gauss full",
     ELEMENTS("\"version\":\"gauss\",\"SIG\":\"t.SIG\",\"dilated_kernel_size\":5,\"padding\":2,"
              "\"kernel_count\":3"),
     0},
    {"gauss reflect",
     ELEMENTS("\"version\":\"gauss\",\"SIG\":\"t.SIG\",\"dilated_kernel_size\":5,\"padding\":2,"
              "\"padding_mode\":\"reflect\",\"groups\":6,\"kernel_count\":3"),
     0},
    {"unequal window",
     ELEMENTS("\"version\":\"gauss\",\"SIG\":\"t.SIG\",\"dilated_kernel_size\":[3,7],\"padding\":[1,3],"
              "\"groups\":6,\"kernel_count\":3"),
     0},
    {"batch norm",
     OP("batch_norm",
        ",\"weight\":\"t.weight\",\"bias\":\"t.bias\",\"running_mean\":\"t.m\",\"running_var\":\"t.v\""),
     0},
    {"gelu, batch norm, sum",
     "{\"op\":\"gelu\",\"name\":\"g\"},{\"op\":\"batch_norm\",\"name\":\"n\",\"weight\":\"t.weight\","
     "\"bias\":"
     "\"t.bias\",\"running_mean\":\"t.m\",\"running_var\":\"t.v\"},{\"op\":\"add\",\"name\":\"t\",\"inputs\":"
     "["
     "\"n\",\"stem\"]},",
     0},
    {"layer norm", OP("layer_norm", ",\"weight\":\"t.weight\",\"bias\":\"t.bias\",\"eps\":1e-6"), 0},
    {"layer scale", OP("layer_scale", ",\"weight\":\"t.weight\""), 0},
    {"relu", OP("relu", ""), 0.05},
    {"gelu", OP("gelu", ""), 0},
    {"gelu tanh", OP("gelu", ",\"approximate\":\"tanh\""), 0},
    {"sigmoid", OP("sigmoid", ""), 0},
    {"softmax", OP("softmax", ""), 0},
    {"max pool", OP("max_pool", ",\"kernel_size\":3,\"stride\":2,\"padding\":1"), 0.1},
    {"max pool, ceil", OP("max_pool", ",\"kernel_size\":2,\"stride\":2,\"ceil_mode\":true"), 0.1},
    {"max pool, halves", OP("max_pool", ",\"kernel_size\":2,\"stride\":2"), 0.1},
    {"avg pool", OP("avg_pool", ",\"kernel_size\":3,\"stride\":2,\"padding\":1"), 0},
    {"avg pool, padding not counted",
     OP("avg_pool", ",\"kernel_size\":3,\"stride\":2,\"padding\":1,\"count_include_pad\":false"), 0},
    {"global avg pool", OP("global_avg_pool", ""), 0},
    {"global max pool", OP("global_max_pool", ""), 0.05},
    {"add, repeated",
     "{\"op\":\"global_avg_pool\",\"name\":\"g\"},{\"op\":\"sigmoid\",\"name\":\"s\"},{\"op\":\"add\","
     "\"name\":"
     "\"t\",\"inputs\":[\"stem\",\"s\"]},",
     0},
    {"mul, repeated",
     "{\"op\":\"global_avg_pool\",\"name\":\"g\"},{\"op\":\"sigmoid\",\"name\":\"s\"},{\"op\":\"mul\","
     "\"name\":"
     "\"t\",\"inputs\":[\"s\",\"stem\"]},",
     0},
    {"mul", "{\"op\":\"gelu\",\"name\":\"g\"},{\"op\":\"mul\",\"name\":\"t\",\"inputs\":[\"g\",\"stem\"]},",
     0},
    {"square", "{\"op\":\"mul\",\"name\":\"t\",\"inputs\":[\"stem\",\"stem\"]},", 0},
    {"double", "{\"op\":\"add\",\"name\":\"t\",\"inputs\":[\"stem\",\"stem\"]},", 0},
    {"sums of sums",
     "{\"op\":\"gelu\",\"name\":\"a\"},{\"op\":\"add\",\"name\":\"b\",\"inputs\":[\"a\",\"stem\"]},"
     "{\"op\":\"sigmoid\",\"name\":\"c\",\"inputs\":[\"b\"]},{\"op\":\"add\",\"name\":\"d\",\"inputs\":["
     "\"b\","
     "\"c\"]},{\"op\":\"add\",\"name\":\"e\",\"inputs\":[\"d\",\"b\"]},{\"op\":\"add\",\"name\":\"t\","
     "\"inputs\":[\"e\",\"stem\"]},",
     0},
    {"concat",
     "{\"op\":\"gelu\",\"name\":\"g\"},{\"op\":\"concat\",\"name\":\"t\",\"inputs\":[\"g\",\"stem\",\"g\"]},",
     0},
    {"resize up", OP("resize", ",\"size\":[14,20],\"mode\":\"bilinear\""), 0},
    {"resize down", OP("resize", ",\"size\":[4,5],\"mode\":\"bilinear\""), 0},
    {"resize, corners", OP("resize", ",\"size\":[14,13],\"mode\":\"bilinear\",\"align_corners\":true"), 0},
    {"resize, nearest", OP("resize", ",\"size\":[14,6],\"mode\":\"nearest\""), 0},
    {"resize by scale", OP("resize", ",\"scale\":2,\"mode\":\"bilinear\""), 0},
    {"dropout", OP("dropout", ",\"p\":0.3"), 0},
    {"drop path", OP("drop_path", ",\"p\":0.4"), 0},
    {"linear",
     "{\"op\":\"flatten\",\"name\":\"f\"},{\"op\":\"linear\",\"name\":\"l\",\"weight\":\"t.weight\",\"bias\":"
     "\"t.bias\",\"out_channels\":5},{\"op\":\"identity\",\"name\":\"t\"},",
     0},
};

typedef struct bench {
    dcls_context *ctx;
    dcls_model *model;
    dcls_parameters parameters;
    dcls_program *program;
    float input[BATCH * 3 * SIDE * SIDE];
    int32_t target[BATCH];
} bench;

static double loss_of(bench *b)
{
    const dcls_batch batch = square_batch(BATCH, SIDE, 1, b->input, b->target);
    dcls_step_result result;
    assert_ok(b->ctx, dcls_program_run(b->ctx, b->program, &batch, 7, &result));
    return result.loss;
}

/* Slopes along positions jump at whole numbers, along spreads at 0. */
static void keep_off_kinks(const dcls_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++) {
        const dcls_parameter *p = &parameters->items[i];
        if (p->role != DCLS_ROLE_POSITION && p->role != DCLS_ROLE_SPREAD) continue;
        for (size_t k = 0; k < p->count; k++) {
            const float whole = p->role == DCLS_ROLE_POSITION ? rintf(p->value[k]) : 0;
            if (fabsf(p->value[k] - whole) < 0.05f) p->value[k] = whole + (whole > 0 ? -0.05f : 0.05f);
        }
    }
}

static void create(bench *b, const row *r, dcls_algo algo)
{
    char json[4096];
    const bool flat = strstr(r->nodes, "\"linear\"") != NULL;
    snprintf(json, sizeof json,
             "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"classification\",\"input\":{"
             "\"channels\":3,\"height\":%d,\"width\":%d},\"nodes\":[%s%s%s]}}",
             SIDE, SIDE, STEM, r->nodes,
             flat ? "{\"op\":\"linear\",\"name\":\"head\",\"weight\":\"head.weight\",\"out_channels\":3}"
                  : HEAD("t"));
    static const char *const settings[] = {"position_sigma=1.3", "stem:init=kaiming_normal"};
    dcls_model *fresh;
    assert_ok(b->ctx, dcls_model_create(b->ctx,
                                        &(dcls_create_options){.arch_json = json,
                                                               .settings = settings,
                                                               .setting_count = strstr(json, "\"P\"") ? 2 : 0,
                                                               .classes = CLASSES,
                                                               .seed = 3},
                                        &fresh));
    assert_ok(b->ctx, dcls_model_writable_copy(b->ctx, fresh, &b->model));
    dcls_model_destroy(fresh);
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    options.algo = algo;
    assert_ok(b->ctx, dcls_parameters_create(b->ctx, b->model, NULL, 0, &b->parameters));
    assert_ok(b->ctx, dcls_program_create(b->ctx, b->model, &b->parameters, &options, NULL, &b->program));
    dcls_rng rng = {11};
    for (size_t i = 0; i < sizeof b->input / sizeof *b->input; i++)
        b->input[i] = 2 * (float)dcls_rng_normal(&rng);
    for (int i = 0; i < BATCH; i++)
        b->target[i] = i % CLASSES;
    for (size_t i = 0; i < b->parameters.count; i++) /* away from what is special about fresh ones */
        for (size_t k = 0; k < b->parameters.items[i].count; k++)
            b->parameters.items[i].value[k] += 0.2f * (float)fmax(-4, dcls_rng_normal(&rng));
    keep_off_kinks(&b->parameters);
}

static void destroy(bench *b)
{
    dcls_program_destroy(b->program);
    dcls_parameters_free(&b->parameters);
    dcls_model_destroy(b->model);
}

/* One direction in one parameter. */
static void check_direction(bench *b, const row *r, dcls_parameter *p, const float *gradient, dcls_rng *rng)
{
    float *direction = malloc(p->count * sizeof *direction), *before = malloc(p->count * sizeof *before);
    double slope = 0, norm = 0, length = 0;
    memcpy(before, p->value, p->count * sizeof *before);
    for (size_t i = 0; i < p->count; i++) {
        direction[i] = (float)dcls_rng_normal(rng);
        slope += (double)gradient[i] * (double)direction[i];
        norm += (double)gradient[i] * (double)gradient[i];
        length += (double)direction[i] * (double)direction[i];
    }
    double loss[2];
    const double step = 0.01 / sqrt(length / (double)p->count) / sqrt((double)p->count);
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < p->count; i++)
            p->value[i] = before[i] + (side == 0 ? -1.0f : 1.0f) * (float)step * direction[i];
        loss[side] = loss_of(b);
    }
    memcpy(p->value, before, p->count * sizeof *before);
    const double measured = (loss[1] - loss[0]) / (2 * step);
    const double scale = fabs(slope) + 0.3 * sqrt(norm), rounding = 2e-6 / step;
    if (!(fabs(measured - slope) <= (0.01 + r->kinks) * scale + rounding))
        fail_msg("%s, %s: the loss rises by %.6g, the gradient says %.6g", r->name, p->name, measured, slope);
    free(direction);
    free(before);
}

static void check_parameters(bench *b, const row *r)
{
    dcls_rng rng = {5};
    loss_of(b);
    float *gradients = malloc(b->parameters.floats * sizeof *gradients);
    memcpy(gradients, b->parameters.gradients, b->parameters.floats * sizeof *gradients);
    for (size_t i = 0; i < b->parameters.count; i++) {
        dcls_parameter *p = &b->parameters.items[i];
        if (p->gradient != NULL)
            check_direction(b, r, p, gradients + (p->gradient - b->parameters.gradients), &rng);
    }
    free(gradients);
}

static void check_row(dcls_context *ctx, const row *r, dcls_algo algo)
{
    bench *b = calloc(1, sizeof *b);
    b->ctx = ctx;
    create(b, r, algo);
    check_parameters(b, r);
    destroy(b);
    free(b);
}

static void test_row(void **state)
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    const row *r = *state;
    const int algos = strstr(r->nodes, "\"dcls\"") != NULL ? DCLS_ALGO_SPARSE : DCLS_ALGO_AUTO;
    for (int algo = DCLS_ALGO_AUTO; algo <= algos; algo++)
        check_row(ctx, r, (dcls_algo)algo);
    dcls_context_destroy(ctx);
}

/* Elements without a weight put nothing into the kernel, and learn one all the same; very small ones too. */
static void test_no_weight(void **state)
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int algo = DCLS_ALGO_AUTO; strstr(rows[i].nodes, "\"dcls\"") && algo <= DCLS_ALGO_SPARSE;
             algo++) {
            bench *b = calloc(1, sizeof *b);
            b->ctx = ctx;
            create(b, &rows[i], (dcls_algo)algo);
            dcls_parameter *weight = dcls_parameters_find(
                &b->parameters, dcls_tensors_find(dcls_model_tensors(b->model), "t.weight"));
            for (size_t k = 0; k < weight->count; k++)
                if (k % 3 < 2) weight->value[k] = k % 3 == 0 ? 0 : 1e-9f;
            check_parameters(b, &rows[i]);
            destroy(b);
            free(b);
        }
    (void)state;
    dcls_context_destroy(ctx);
}

/* The network of a batch norm with tensors frozen. */
static bench *frozen_bench(dcls_context **out, const char *const freeze[2])
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    bench *b = calloc(1, sizeof *b);
    b->ctx = ctx;
    create(b, &rows[20], DCLS_ALGO_AUTO);
    assert_string_equal(rows[20].name, "batch norm");
    dcls_program_destroy(b->program);
    dcls_parameters_free(&b->parameters);
    dcls_trainer_options options = dcls_trainer_options_default();
    options.batch = BATCH;
    options.height = options.width = SIDE;
    assert_ok(ctx, dcls_parameters_create(ctx, b->model, freeze, 2, &b->parameters));
    assert_ok(ctx, dcls_program_create(ctx, b->model, &b->parameters, &options, NULL, &b->program));
    *out = ctx;
    return b;
}

/* Statistics alone are frozen: weight, bias and what stands before them learn through the fixed ones. */
static void test_fixed_statistics(void **state)
{
    (void)state;
    static const char *const freeze[] = {"t.m", "t.v"};
    dcls_context *ctx;
    bench *b = frozen_bench(&ctx, freeze);
    check_parameters(b, &rows[20]);

    /* the same loss as the plan that runs the network with these statistics */
    const int64_t shape[] = {BATCH, 3, SIDE, SIDE};
    float logits[BATCH * CLASSES];
    dcls_plan *plan;
    assert_ok(ctx, dcls_plan_create(ctx, b->model, NULL, 4, shape, &plan));
    assert_ok(ctx, dcls_plan_run(ctx, plan, b->input, logits));
    double want = 0;
    for (int n = 0; n < BATCH; n++) {
        double sum = 0;
        for (int c = 0; c < CLASSES; c++)
            sum += exp((double)logits[n * CLASSES + c]);
        want += (log(sum) - (double)logits[n * CLASSES + b->target[n]]) / BATCH;
    }
    const double got = loss_of(b);
    if (!(fabs(got - want) < 1e-5)) fail_msg("loss %.8g, the plan's logits say %.8g", got, want);
    dcls_plan_destroy(plan);
    destroy(b);
    free(b);
    dcls_context_destroy(ctx);
}

/* What is frozen has no gradient, and what stands before it is not computed. */
static void test_frozen(void **state)
{
    (void)state;
    static const char *const freeze[] = {"stem.*", "t.*"};
    dcls_context *ctx;
    bench *b = frozen_bench(&ctx, freeze);
    loss_of(b);
    for (size_t i = 0; i < b->parameters.count; i++) {
        const dcls_parameter *p = &b->parameters.items[i];
        double sum = 0;
        for (size_t k = 0; p->gradient != NULL && k < p->count; k++)
            sum += fabs((double)p->gradient[k]);
        assert_true(p->frozen ? sum == 0 : sum > 0);
        if (p->role == DCLS_ROLE_BUFFER) assert_true(p->frozen);
    }
    float before[6];
    memcpy(before, dcls_tensors_find(dcls_model_tensors(b->model), "t.m")->data, sizeof before);
    dcls_program_commit(b->program); /* frozen statistics stay */
    assert_memory_equal(before, dcls_tensors_find(dcls_model_tensors(b->model), "t.m")->data, sizeof before);
    destroy(b);
    free(b);
    dcls_context_destroy(ctx);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof *rows };
    struct CMUnitTest tests[ROWS + 3];
    for (int i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest){rows[i].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[i]};
    tests[ROWS] = (struct CMUnitTest)cmocka_unit_test(test_frozen);
    tests[ROWS + 1] = (struct CMUnitTest)cmocka_unit_test(test_fixed_statistics);
    tests[ROWS + 2] = (struct CMUnitTest)cmocka_unit_test(test_no_weight);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
