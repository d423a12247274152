/* Plans against plain evaluation: nodes run one by one, each as a network of its own, so that nothing can be
 * fused or share memory, must give what the whole network's plan gives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plan/plan_internal.h"

static dcls_context *ctx;

static uint32_t random_state;

static float next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

static void add_tensor(dcls_tensors *set, const char *name, int ndim, const int64_t *shape, bool positive)
{
    void *data;
    assert_int_equal(dcls_tensors_add_new(ctx, set, name, DCLS_F32, ndim, shape, &data), DCLS_OK);
    float *x = data;
    size_t count = dcls_tensors_find(set, name)->nbytes / sizeof *x;
    for (size_t i = 0; i < count; i++)
        x[i] = positive ? 0.5f + fabsf(next_random()) : 0.5f * next_random();
}

/* Weights for the networks below: 6 channels everywhere. */
static dcls_tensors *make_weights(void)
{
    dcls_tensors *set = NULL;
    assert_int_equal(dcls_tensors_create(ctx, "", &set), DCLS_OK);
    random_state = 7;
    add_tensor(set, "w3", 4, (int64_t[]){6, 6, 3, 3}, false);
    add_tensor(set, "w1", 4, (int64_t[]){6, 6, 1, 1}, false);
    add_tensor(set, "dw", 3, (int64_t[]){6, 1, 4}, false);
    add_tensor(set, "dP", 4, (int64_t[]){2, 6, 1, 4}, false);
    add_tensor(set, "b", 1, (int64_t[]){6}, false);
    add_tensor(set, "g", 1, (int64_t[]){6}, false);
    add_tensor(set, "m", 1, (int64_t[]){6}, false);
    add_tensor(set, "v", 1, (int64_t[]){6}, true);
    add_tensor(set, "fc", 2, (int64_t[]){5, 6}, false);
    return set;
}

#define CONV3 "\"op\":\"conv\",\"weight\":\"w3\",\"bias\":\"b\",\"padding\":1"
#define CONV1 "\"op\":\"conv\",\"weight\":\"w1\""
#define BN                                                                                                   \
    "\"op\":\"batch_norm\",\"weight\":\"g\",\"bias\":\"b\",\"running_mean\":\"m\",\"running_var\":\"v\""
#define SCALE "\"op\":\"layer_scale\",\"weight\":\"g\""
#define DCLS_LAYER                                                                                           \
    "\"op\":\"dcls\",\"weight\":\"dw\",\"P\":\"dP\",\"bias\":\"b\",\"groups\":6,\"version\":\"v1\","         \
    "\"dilated_kernel_size\":7,\"padding\":3"

/* Node k is {"name":"nK", BODY [, "inputs":[..]]}; bodies without inputs take the node before. */
static const char *const networks[][9] = {
    {CONV3, BN, "\"op\":\"relu\"", NULL},
    {CONV3, BN, "\"op\":\"gelu\"", BN, SCALE, NULL},
    {CONV3, "\"op\":\"gelu\"", BN, "\"op\":\"add\",\"inputs\":[\"n2\",\"input\"]", "\"op\":\"relu\"", NULL},
    {CONV1, DCLS_LAYER, "\"op\":\"gelu\"", BN, "\"op\":\"add\",\"inputs\":[\"n3\",\"n0\"]", CONV1,
     "\"op\":\"gelu\"", BN, NULL},
    /* the addition's other operand comes later than the first convolution: the second takes it along */
    {CONV3, CONV1 ",\"inputs\":[\"input\"]", "\"op\":\"add\",\"inputs\":[\"n0\",\"n1\"]", "\"op\":\"relu\"",
     NULL},
    /* a value read twice must not be fused away */
    {CONV3, "\"op\":\"relu\"", "\"op\":\"add\",\"inputs\":[\"n0\",\"n1\"]", BN, NULL},
    {CONV3, "\"op\":\"add\",\"inputs\":[\"n0\",\"n0\"]", "\"op\":\"add\",\"inputs\":[\"n1\",\"n1\"]", NULL},
    {"\"op\":\"relu\",\"inputs\":[\"input\"]", "\"op\":\"mul\",\"inputs\":[\"n0\",\"input\"]",
     "\"op\":\"sigmoid\"", "\"op\":\"softmax\"", "\"op\":\"layer_norm\",\"weight\":\"g\",\"bias\":\"b\"",
     NULL},
    {CONV3, "\"op\":\"dropout\",\"p\":0.5", "\"op\":\"relu\"", "\"op\":\"identity\"",
     "\"op\":\"global_avg_pool\",\"flatten\":true", "\"op\":\"linear\",\"weight\":\"fc\"", NULL},
    {CONV3, "\"op\":\"global_avg_pool\"", "\"op\":\"mul\",\"inputs\":[\"n1\",\"n0\"]",
     "\"op\":\"concat\",\"inputs\":[\"n2\",\"input\",\"n0\"]", NULL},
    {"\"op\":\"max_pool\",\"kernel_size\":3,\"stride\":2,\"padding\":1", CONV1,
     "\"op\":\"resize\",\"mode\":\"bilinear\",\"inputs\":[\"n1\",\"input\"]",
     "\"op\":\"add\",\"inputs\":[\"n2\",\"input\"]", NULL},
    {CONV3 ",\"padding_mode\":\"reflect\"", DCLS_LAYER ",\"padding_mode\":\"circular\"",
     "\"op\":\"add\",\"inputs\":[\"n1\",\"n0\"]", "\"op\":\"flatten\"", NULL},
    /* pairs of pointwise convolutions: with a residual, in a chain of three, with a wide value others read */
    {CONV3, CONV1, "\"op\":\"gelu\"", CONV1 ",\"bias\":\"b\"", SCALE,
     "\"op\":\"add\",\"inputs\":[\"n4\",\"n0\"]", "\"op\":\"relu\"", NULL},
    {CONV1, BN, "\"op\":\"relu\"", CONV1, "\"op\":\"gelu\"", CONV1,
     "\"op\":\"add\",\"inputs\":[\"n5\",\"input\"]", NULL},
    {CONV1, "\"op\":\"gelu\"", CONV1, "\"op\":\"mul\",\"inputs\":[\"n2\",\"n1\"]", NULL},
    {CONV3, CONV1, "\"op\":\"gelu\"", BN, CONV1, NULL},
    {"\"op\":\"identity\"", NULL},
    {"\"op\":\"flatten\"", NULL},
};

static dcls_model *make_model(const char *const *bodies, int count, const char *output)
{
    dcls_string text = {0};
    dcls_string_puts(&text,
                     "{\"task\":\"features\",\"input\":{\"channels\":6,\"height\":\"any\",\"width\":\"any\"},"
                     "\"nodes\":[");
    for (int i = 0; i < count; i++)
        dcls_string_printf(&text, "%s{\"name\":\"n%d\",%s}", i ? "," : "", i, bodies[i]);
    dcls_string_printf(&text, "],\"output\":\"%s\"}", output);
    dcls_model *model = NULL;
    if (dcls_model_from_json(ctx, make_weights(), text.data, &model))
        fail_msg("%s: %s", text.data, dcls_context_message(ctx));
    dcls_string_free(&text);
    return model;
}

#define BATCH 2
static const int64_t input_shape[4] = {BATCH, 6, 11, 13};

static size_t count_of(const dcls_shape *shape)
{
    int64_t count;
    assert_true(dcls_shape_count(shape->ndim, shape->size, &count));
    return (size_t)count;
}

/* One node as a network: its input is brought to rank 4, which is all that planes need to be. */
static void run_single(const char *body, const dcls_shape *in, const float *x, float *y)
{
    char trimmed[512];
    snprintf(trimmed, sizeof trimmed, "%s", body);
    char *inputs = strstr(trimmed, ",\"inputs\"");
    if (inputs) *inputs = 0;
    bool flat = strstr(trimmed, "\"linear\"") != NULL;
    const char *bodies[] = {flat ? "\"op\":\"flatten\"" : trimmed, trimmed};
    dcls_model *model = make_model(bodies, flat ? 2 : 1, flat ? "n1" : "n0");
    int64_t shape[4] = {in->size[0], in->size[1], in->ndim > 2 ? in->size[2] : 1,
                        in->ndim > 3 ? in->size[3] : 1};
    dcls_plan *plan = NULL;
    if (dcls_plan_create(ctx, model, NULL, 4, shape, &plan))
        fail_msg("%s: %s", body, dcls_context_message(ctx));
    assert_int_equal(dcls_plan_run(ctx, plan, x, y), DCLS_OK);
    dcls_plan_destroy(plan);
    dcls_model_destroy(model);
}

static void run_pair(const dcls_node *node, const dcls_shape *shapes, float *const *values, int out)
{
    const float *a = values[node->inputs[0]], *b = values[node->inputs[1]];
    size_t na = count_of(&shapes[node->inputs[0]]), nb = count_of(&shapes[node->inputs[1]]),
           n = count_of(&shapes[out]);
    for (size_t i = 0; i < n; i++) {
        float x = a[i / (n / na)], y = b[i / (n / nb)];
        values[out][i] = node->op == DCLS_OP_ADD ? x + y : x * y;
    }
}

static void run_concat(const dcls_node *node, const dcls_shape *shapes, float *const *values, int out)
{
    float *to = values[out];
    for (int n = 0; n < BATCH; n++) {
        for (int k = 0; k < node->input_count; k++) {
            size_t part = count_of(&shapes[node->inputs[k]]) / BATCH;
            memcpy(to, values[node->inputs[k]] + (size_t)n * part, part * sizeof *to);
            to += part;
        }
    }
}

static void run_resize(const dcls_shape *in, const dcls_shape *out, const float *x, float *y)
{
    dcls_resize_shape r = {.planes = in->size[0] * in->size[1],
                           .in = {1, in->size[2], in->size[3]},
                           .out = {1, out->size[2], out->size[3]},
                           .linear = true};
    dcls_resize_forward(&r, x, y, 1);
}

static void run_plainly(const dcls_model *model, const char *const *bodies, const float *x, float *y)
{
    dcls_shape shapes[16];
    float *values[16] = {0};
    assert_int_equal(dcls_model_infer(ctx, model, 4, input_shape, shapes), DCLS_OK);
    int count = (int)model->node_count;
    for (int v = 0; v <= count; v++)
        values[v] = malloc(count_of(&shapes[v]) * sizeof(float));
    memcpy(values[0], x, count_of(&shapes[0]) * sizeof *x);
    for (int i = 0; i < count; i++) {
        const dcls_node *node = &model->nodes[i];
        int in = node->inputs[0];
        if (node->op == DCLS_OP_ADD || node->op == DCLS_OP_MUL)
            run_pair(node, shapes, values, i + 1);
        else if (node->op == DCLS_OP_CONCAT)
            run_concat(node, shapes, values, i + 1);
        else if (node->op == DCLS_OP_RESIZE)
            run_resize(&shapes[in], &shapes[i + 1], values[in], values[i + 1]);
        else
            run_single(bodies[i], &shapes[in], values[in], values[i + 1]);
    }
    memcpy(y, values[count], count_of(&shapes[count]) * sizeof *y);
    for (int v = 0; v <= count; v++)
        free(values[v]);
}

static void expect_same(const char *what, const float *got, const float *want, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmaxf(most, fabsf(want[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(got[i] - want[i]) <= 2e-5f * most))
            fail_msg("%s: element %zu is %.9g, not %.9g", what, i, (double)got[i], (double)want[i]);
}

static void network_case(void **state)
{
    const char *const *bodies = *state;
    int nodes = 0;
    while (bodies[nodes])
        nodes++;
    char last[16];
    snprintf(last, sizeof last, "n%d", nodes - 1);
    dcls_model *model = make_model(bodies, nodes, last);
    dcls_shape shapes[16];
    assert_int_equal(dcls_model_infer(ctx, model, 4, input_shape, shapes), DCLS_OK);
    size_t in_count = count_of(&shapes[0]), count = count_of(&shapes[nodes]);
    float *x = malloc(in_count * sizeof *x), *kept = malloc(in_count * sizeof *x);
    float *want = malloc(count * sizeof *want), *got = malloc(count * sizeof *got),
          *first = malloc(count * sizeof *got);
    random_state = 99;
    for (size_t i = 0; i < in_count; i++)
        x[i] = kept[i] = next_random();
    run_plainly(model, bodies, x, want);
    for (int threads = 1; threads <= 7; threads += threads == 3 ? 4 : 1) {
        assert_int_equal(dcls_context_set_threads(ctx, threads), DCLS_OK);
        dcls_plan *plan = NULL;
        if (dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan))
            fail_msg("%s", dcls_context_message(ctx));
        for (int run = 0; run < 4; run++) { /* the later must not see what the first left behind */
            const int fewer[] = {threads, 1, -1, 1000};
            dcls_plan_set_threads(plan, fewer[run]);
            assert_int_equal(dcls_plan_run(ctx, plan, x, got), DCLS_OK);
            expect_same(bodies[nodes - 1], got, want, count);
            if (threads == 1 && run == 0) memcpy(first, got, count * sizeof *got);
            assert_memory_equal(first, got, count * sizeof *got);
        }
        dcls_plan_destroy(plan);
    }
    assert_memory_equal(x, kept, in_count * sizeof *x);
    free(x), free(kept), free(want), free(got), free(first);
    dcls_model_destroy(model);
}

/* Everything of four nodes that a convolution may take along, in every order. */
static void every_tail(void **state)
{
    static const char *const OPS[] = {BN, "\"op\":\"relu\"", "\"op\":\"sigmoid\""};
    static const char *const ADD[] = {
        NULL, "\"op\":\"add\",\"inputs\":[\"n0\",\"input\"]", "\"op\":\"add\",\"inputs\":[\"n1\",\"input\"]",
        "\"op\":\"add\",\"inputs\":[\"n2\",\"input\"]", "\"op\":\"add\",\"inputs\":[\"n3\",\"input\"]"};
    (void)state;
    for (int order = 0; order < 256; order++) {
        const char *bodies[6] = {CONV3};
        for (int i = 1; i <= 4; i++) {
            const int op = order >> (2 * i - 2) & 3;
            bodies[i] = op == 3 ? ADD[i] : OPS[op];
        }
        void *network = bodies;
        network_case(&network);
    }
}

/* The residual network of the third row must run as one step and hold no activation of its own. */
static void fuses(void **state)
{
    (void)state;
    dcls_model *model = make_model(networks[2], 5, "n4");
    dcls_plan *plan = NULL;
    assert_int_equal(dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan), DCLS_OK);
    assert_int_equal(plan->step_count, 1);
    assert_int_equal(plan->live_peak, 0);
    dcls_plan_destroy(plan);
    dcls_model_destroy(model);
}

/* A convolution, then expansion and projection with the residual around both: two steps. */
static void fuses_pairs(void **state)
{
    (void)state;
    const char *const block[] = {CONV3, CONV1, "\"op\":\"gelu\"",
                                 CONV1, SCALE, "\"op\":\"add\",\"inputs\":[\"n4\",\"input\"]"};
    dcls_model *model = make_model(block, 6, "n5");
    dcls_plan *plan = NULL;
    assert_int_equal(dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan), DCLS_OK);
    assert_int_equal(plan->step_count, 2);
    assert_int_equal(strncmp(dcls_conv_algorithm(plan->steps[1].conv), "fused", 5), 0);
    assert_int_equal(plan->live_peak, (BATCH * 6 * 11 * 13 * sizeof(float) + 63) / 64 * 64);
    dcls_plan_destroy(plan);
    dcls_model_destroy(model);
}

static void shares_memory(void **state)
{
    (void)state;
    const char *const chain[] = {CONV3, CONV1, CONV3, CONV1, CONV3, CONV1, CONV3};
    dcls_model *model = make_model(chain, 7, "n6");
    dcls_plan *plan = NULL;
    assert_int_equal(dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan), DCLS_OK);
    size_t one = (BATCH * 6 * 11 * 13 * sizeof(float) + 63) / 64 * 64;
    assert_int_equal(plan->live_peak, 2 * one);
    assert_int_equal(plan->arena_bytes, 2 * one);
    dcls_plan_destroy(plan);
    dcls_model_destroy(model);
}

/* Values that live long beside others that die at once: none may lie on another one that is still needed. */
static void keeps_what_lives_apart(void **state)
{
    (void)state;
    enum { NODES = 400 };
    static char bodies[NODES][96];
    const char *list[NODES];
    uint32_t random = 1;
    for (int i = 0; i < NODES; i++) {
        random = random * 1664525 + 1013904223;
        const int before = i > 0 ? (int)(random >> 8) % i : 0;
        if (i % 3 == 2)
            snprintf(bodies[i], sizeof bodies[i], "\"op\":\"add\",\"inputs\":[\"n%d\",\"n%d\"]", i - 1,
                     before);
        else
            snprintf(bodies[i], sizeof bodies[i],
                     "\"op\":\"max_pool\",\"kernel_size\":3,\"stride\":1,\"padding\":1");
        list[i] = bodies[i];
    }
    dcls_model *model = make_model(list, NODES, "n399");
    dcls_plan *plan = NULL;
    assert_int_equal(dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan), DCLS_OK);
    int met = 0;
    for (int v = 0; v < plan->value_count; v++) {
        int born = -1, used = -1;
        for (int s = 0; s < plan->step_count; s++) {
            if (plan->steps[s].output == v) born = s;
            for (int k = 0; k < plan->steps[s].input_count; k++)
                if (plan->steps[s].inputs[k] == v) used = s;
        }
        const dcls_storage *a = &plan->slots[v];
        for (int s = born + 1; s < used && a->place == DCLS_IN_ARENA; s++, met++) {
            const dcls_storage *b = &plan->slots[plan->steps[s].output];
            assert_true(a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset ||
                        b->place != DCLS_IN_ARENA);
        }
    }
    assert_true(met > NODES);
    assert_true(plan->arena_bytes >= plan->live_peak && plan->arena_bytes <= 2 * plan->live_peak);
    dcls_plan_destroy(plan);
    dcls_model_destroy(model);
}

static void respects_the_memory_limit(void **state)
{
    (void)state;
    const char *const chain[] = {CONV3, CONV1};
    dcls_model *model = make_model(chain, 2, "n1");
    dcls_plan *plan = NULL;
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 1000);
    assert_int_equal(dcls_plan_create(ctx, model, NULL, 4, input_shape, &plan), DCLS_ERR_LIMIT);
    assert_null(plan);
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, (uint64_t)8 << 30);
    int64_t huge[4] = {INT64_MAX / 8, 6, 11, 13};
    assert_int_not_equal(dcls_plan_create(ctx, model, NULL, 4, huge, &plan), DCLS_OK);
    dcls_model_destroy(model);
}

static void refuses_options_out_of_range(void **state)
{
    (void)state;
    dcls_model *model = make_model(networks[0], 1, "n0");
    const dcls_plan_options wrong[] = {{(dcls_algo)-1, -1, DCLS_PRECISION_FP32},
                                       {(dcls_algo)4, -1, DCLS_PRECISION_FP32},
                                       {DCLS_ALGO_AUTO, 1, DCLS_PRECISION_FP32},
                                       {DCLS_ALGO_AUTO, NAN, DCLS_PRECISION_FP32},
                                       {DCLS_ALGO_AUTO, -1, (dcls_precision)2}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dcls_plan *plan;
        assert_int_equal(dcls_plan_create(ctx, model, &wrong[i], 4, input_shape, &plan), DCLS_ERR_ARGUMENT);
        assert_null(plan);
    }
    dcls_model_destroy(model);
}

int main(void)
{
    enum { NETWORKS = sizeof networks / sizeof *networks };
    struct CMUnitTest tests[NETWORKS + 7];
    char titles[NETWORKS][32];
    if (dcls_context_create(&ctx)) return 1;
    for (int i = 0; i < NETWORKS; i++) {
        snprintf(titles[i], sizeof titles[i], "network %d", i);
        tests[i] = (struct CMUnitTest){titles[i], network_case, NULL, NULL, (void *)(uintptr_t)networks[i]};
    }
    tests[NETWORKS] = (struct CMUnitTest)cmocka_unit_test(fuses);
    tests[NETWORKS + 1] = (struct CMUnitTest)cmocka_unit_test(shares_memory);
    tests[NETWORKS + 2] = (struct CMUnitTest)cmocka_unit_test(respects_the_memory_limit);
    tests[NETWORKS + 3] = (struct CMUnitTest)cmocka_unit_test(fuses_pairs);
    tests[NETWORKS + 4] = (struct CMUnitTest)cmocka_unit_test(every_tail);
    tests[NETWORKS + 5] = (struct CMUnitTest)cmocka_unit_test(refuses_options_out_of_range);
    tests[NETWORKS + 6] = (struct CMUnitTest)cmocka_unit_test(keeps_what_lives_apart);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
