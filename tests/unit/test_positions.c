/* The repulsive loss and its gradient against the formula in double; layers that share positions. */
#include "model_util.h"
#include "numeric_util.h"
#include "train/positions.h"

/* ---- the window --------------------------------------------------------------------------------- */

static void test_clamp(void **state)
{
    (void)state;
    /* indices with limits 4 and 1: in the window, beyond it, at its edges, whole, and a window of one cell */
    const float start[2][6] = {{1.5f, 4.5f, -9, 4, 2, 0}, {0.5f, 1.25f, -2, 1, 0, 0}};
    const float clamped[2][6] = {{1.5f, 4, -4, 4, 2, 0}, {0.5f, 1, -1, 1, 0, 0}};
    const float moved[2][6] = {{1.5f, 3.75f, -3.75f, 3.75f, 2.25f, -0.25f},
                               {0.5f, 0.75f, -0.75f, 0.75f, 0.25f, -0.25f}};
    for (int way = 0; way < 3; way++) {
        float value[2][6];
        memcpy(value, start, sizeof value);
        dcls_parameter p = {
            .value = value[0], .count = 12, .ndim = 2, .rows = 3, .elements = 2, .limit = {4, 1}};
        p.stuck_when_whole = way > 0;
        dcls_positions_clamp(&p, 0, 5, way < 2 ? 0 : 0.25);
        dcls_positions_clamp(&p, 5, 7, way < 2 ? 0 : 0.25);
        assert_memory_equal(value, way < 2 ? clamped : moved, sizeof value);
    }
    float zero[2] = {0, 0};
    const dcls_parameter single = {.value = zero, .count = 2, .ndim = 1, .rows = 1, .elements = 2};
    dcls_positions_clamp(&single, 0, 2, 0.25);
    assert_true(zero[0] == 0 && zero[1] == 0);
    float broken[2] = {NAN, INFINITY};
    const dcls_parameter far = {.value = broken,
                                .count = 2,
                                .ndim = 1,
                                .rows = 1,
                                .elements = 2,
                                .limit = {3},
                                .stuck_when_whole = true};
    dcls_positions_clamp(&far, 0, 2, 0.25);
    assert_true(isnan(broken[0]) && broken[1] == 2.75f);
}

/* ---- the repulsive loss --------------------------------------------------------------------------- */

#define SETS 4

typedef struct fixture {
    dcls_parameter items[SETS];
    dcls_parameters set;
} fixture;

static void describe(dcls_parameter *p, dcls_role role, int ndim, int64_t rows, int64_t elements)
{
    *p = (dcls_parameter){.name = "P", .role = role, .ndim = ndim, .rows = rows, .elements = elements};
    p->count = (size_t)(ndim * rows * elements);
    p->value = new_floats((int64_t)p->count);
    p->gradient = new_floats((int64_t)p->count);
}

/* More kernels than a thread takes at once; a P whose kernels have one element; a tensor that is no P. */
static fixture *make_fixture(void)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    random_state = 1;
    describe(&f->items[0], DCLS_ROLE_POSITION, 2, 150, 5);
    describe(&f->items[1], DCLS_ROLE_POSITION, 2, 9, 1);
    describe(&f->items[2], DCLS_ROLE_SPREAD, 2, 150, 5);
    describe(&f->items[3], DCLS_ROLE_POSITION, 3, 3, 4);
    f->set = (dcls_parameters){.items = f->items, .count = SETS};
    return f;
}

static void discard(fixture *f)
{
    for (int i = 0; i < SETS; i++) {
        free(f->items[i].value);
        free(f->items[i].gradient);
    }
    free(f);
}

static double distance_of(const dcls_parameter *p, const double *P, int64_t row, int64_t a, int64_t b)
{
    double squares = 0;
    for (int64_t j = 0; j < p->ndim; j++) {
        const int64_t at = (j * p->rows + row) * p->elements;
        squares += (P[at + a] - P[at + b]) * (P[at + a] - P[at + b]);
    }
    return sqrt(squares);
}

/* Mean over kernels of the mean over pairs. */
static double overlap_of(const dcls_parameter *p, const double *P)
{
    double kernels = 0;
    for (int64_t row = 0; row < p->rows; row++) {
        double sum = 0;
        int pairs = 0;
        for (int64_t a = 0; a < p->elements; a++)
            for (int64_t b = 0; b < a; b++, pairs++)
                sum += fmax(0, 1 - distance_of(p, P, row, a, b));
        kernels += sum / pairs;
    }
    return kernels / (double)p->rows;
}

static double *doubles(const dcls_parameter *p)
{
    double *P = calloc(p->count, sizeof *P);
    assert_non_null(P);
    for (size_t i = 0; i < p->count; i++)
        P[i] = (double)p->value[i];
    return P;
}

#define FACTOR 3.0

static double loss_of(const fixture *f, double *const P[SETS])
{
    const double mean = (overlap_of(&f->items[0], P[0]) + overlap_of(&f->items[3], P[3])) / 2;
    return FACTOR * mean * mean;
}

static void test_repel(void **state)
{
    dcls_context *ctx = *state;
    fixture *f = make_fixture();
    double *P[SETS], loss;
    float *before[SETS];
    for (int i = 0; i < SETS; i++) {
        P[i] = doubles(&f->items[i]);
        before[i] = copy_floats(f->items[i].gradient, (int64_t)f->items[i].count);
    }
    assert_ok(ctx, dcls_positions_repel(ctx, &f->set, FACTOR, 2, &loss));
    assert_near(loss, loss_of(f, P), loss, "loss", 0);
    assert_true(loss > 0.01);
    const double step = 1e-5;
    for (int s = 0; s < SETS; s += SETS - 1)
        for (size_t i = 0; i < f->items[s].count; i += s == 0 ? 37 : 1) {
            const double at = P[s][i];
            P[s][i] = at + step;
            const double up = loss_of(f, P);
            P[s][i] = at - step;
            const double slope = (up - loss_of(f, P)) / (2 * step);
            P[s][i] = at;
            assert_near((double)(f->items[s].gradient[i] - before[s][i]), slope, 0.1, "gradient", (int64_t)i);
        }
    assert_same_bits(f->items[1].gradient, before[1], (int64_t)f->items[1].count, "a single element");
    assert_same_bits(f->items[2].gradient, before[2], (int64_t)f->items[2].count, "spreads");
    for (int i = 0; i < SETS; i++) {
        free(P[i]);
        free(before[i]);
    }
    discard(f);
}

/* Three elements: two in one place, one half a cell from them. */
static void test_repel_by_hand(void **state)
{
    dcls_context *ctx = *state;
    float value[] = {1, 1, 1, -1, -1, -0.5f}, gradient[6] = {0};
    dcls_parameter p = {.name = "P",
                        .role = DCLS_ROLE_POSITION,
                        .count = 6,
                        .value = value,
                        .gradient = gradient,
                        .ndim = 2,
                        .rows = 1,
                        .elements = 3};
    const dcls_parameters set = {.items = &p, .count = 1};
    double loss;
    assert_ok(ctx, dcls_positions_repel(ctx, &set, 9, 1, &loss));
    /* overlaps 1, 1/2, 1/2: mean 2/3, 9 (2/3)^2; 2 * 9 * 2/3 * 1/3 for each slope of 1 */
    assert_near(loss, 4, 1, "loss", 0);
    const float expected[] = {0, 0, 0, 4, 4, -8};
    for (int i = 0; i < 6; i++)
        assert_near((double)gradient[i], (double)expected[i], 1, "gradient", i);
    p.role = DCLS_ROLE_WEIGHT;
    assert_ok(ctx, dcls_positions_repel(ctx, &set, 9, 1, &loss));
    assert_true(loss == 0);
}

static void test_repel_threads(void **state)
{
    dcls_context *ctx = *state;
    fixture *one = make_fixture(), *many = make_fixture();
    double loss[2];
    assert_ok(ctx, dcls_positions_repel(ctx, &one->set, FACTOR, 1, &loss[0]));
    assert_ok(ctx, dcls_positions_repel(ctx, &many->set, FACTOR, 5, &loss[1]));
    assert_memory_equal(&loss[0], &loss[1], sizeof loss[0]);
    for (int i = 0; i < SETS; i++)
        assert_same_bits(one->items[i].gradient, many->items[i].gradient, (int64_t)one->items[i].count,
                         "gradient");
    discard(one);
    discard(many);
}

/* ---- shared positions ----------------------------------------------------------------------------- */

/* A line of depthwise DCLS layers: NAME:D, K = 2, 4 channels; one more tensor beside them. */
static dcls_model *line_of(dcls_context *ctx, const char *const *layers, size_t count)
{
    dcls_string json = {0}, tensors = {0};
    dcls_string_puts(&tensors, "other 3");
    dcls_string_puts(&json,
                     "{\"task\":\"features\",\"input\":{\"channels\":4,\"height\":\"any\",\"width\":\"any\"},"
                     "\"nodes\":[");
    for (size_t i = 0; i < count; i++) {
        const char *colon = strchr(layers[i], ':');
        const int length = (int)(colon - layers[i]), side = colon[1] - '0';
        dcls_string_printf(&tensors, "; %.*s.weight 4 1 2; %.*s.P 2 4 1 2", length, layers[i], length,
                           layers[i]);
        dcls_string_printf(
            &json,
            "%s{\"op\":\"dcls\",\"name\":\"%.*s\",\"inputs\":[\"%.*s\"],\"weight\":\"%.*s.weight\","
            "\"P\":\"%.*s.P\",\"groups\":4,\"version\":\"v1\",\"dilated_kernel_size\":%d,"
            "\"padding\":%d}",
            i > 0 ? "," : "", length, layers[i],
            i > 0 ? (int)(strchr(layers[i - 1], ':') - layers[i - 1]) : 5, i > 0 ? layers[i - 1] : "input",
            length, layers[i], length, layers[i], side, side / 2);
    }
    dcls_string_puts(&json, "]}");
    dcls_tensors *set = make_tensors(ctx, tensors.data);
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < set->items[i].nbytes / sizeof(float); j++)
            ((float *)(uintptr_t)set->items[i].data)[j] = (float)i;
    dcls_model *model;
    assert_ok(ctx, dcls_model_from_json(ctx, set, json.data, &model));
    dcls_string_free(&json);
    dcls_string_free(&tensors);
    return model;
}

/* expected: for each layer the number of the layer whose P it is to name. */
static void expect_sharing(dcls_context *ctx, const char *const *layers, const int *expected, size_t count)
{
    dcls_model *model = line_of(ctx, layers, count), *changed;
    int64_t shared = -1, gone = 0;
    assert_ok(ctx, dcls_positions_share(ctx, model, &changed, &shared));
    for (size_t i = 0; i < count; i++) {
        const dcls_node *leader = &model->nodes[expected[i]], *node = &changed->nodes[i];
        assert_string_equal(node->P->name, leader->P->name);
        assert_memory_equal(node->P->data, leader->P->data, leader->P->nbytes);
        assert_memory_equal(node->weight->data, model->nodes[i].weight->data, leader->weight->nbytes);
        if (expected[i] == (int)i) continue;
        gone++;
        assert_null(dcls_tensors_find(changed->tensors, model->nodes[i].P->name));
    }
    assert_int_equal(shared, gone);
    assert_int_equal(changed->tensors->count, model->tensors->count - (size_t)gone);
    assert_non_null(dcls_tensors_find(changed->tensors, "other"));
    dcls_model_destroy(changed);
    dcls_model_destroy(model);
}

static void test_share(void **state)
{
    dcls_context *ctx = *state;
    /* stages by name, whatever lies between */
    static const char *const stages[] = {"stages.0.0.dwconv:7", "stages.0.1.dwconv:5",
                                         "stages.0.2.dwconv:7", "stages.1.0.dwconv:7",
                                         "stages.1.1.dwconv:7", "stages.10.0.dwconv:7"};
    expect_sharing(ctx, stages, (const int[]){0, 1, 0, 3, 3, 5}, 6);
    static const char *const layers[] = {"backbone.layer3.0.conv2:5", "backbone.layer3.1.conv2:5",
                                         "backbone.layer4.0.conv2:5", "classifier.0:5"};
    expect_sharing(ctx, layers, (const int[]){0, 0, 2, 3}, 4);
    /* without stages: what follows each other */
    static const char *const blocks[] = {"3.0.fn.0:9", "4.0.fn.0:9", "5.0.fn.0:9",
                                         "6.0.fn.0:5", "7.0.fn.0:9", "8.0.fn.0:9"};
    expect_sharing(ctx, blocks, (const int[]){0, 0, 0, 3, 4, 4}, 6);
    /* names that only look like stages */
    static const char *const odd[] = {"layers3:5", "stages:5", "mystage1:5", "stage1x:5"};
    expect_sharing(ctx, odd, (const int[]){0, 0, 0, 0}, 4);
}

/* A P that another layer keeps stays; sharing twice changes nothing more. */
static void test_share_again(void **state)
{
    dcls_context *ctx = *state;
    static const char *const layers[] = {"stages.0.0:5", "stages.0.1:5", "stages.1.0:5"};
    dcls_model *model = line_of(ctx, layers, 3), *once, *twice;
    int64_t shared;
    model->nodes[2].P = model->nodes[1].P; /* of another stage */
    assert_ok(ctx, dcls_positions_share(ctx, model, &once, &shared));
    assert_int_equal(shared, 1);
    assert_string_equal(once->nodes[1].P->name, "stages.0.0.P");
    assert_string_equal(once->nodes[2].P->name, "stages.0.1.P");
    assert_ok(ctx, dcls_positions_share(ctx, once, &twice, &shared));
    assert_int_equal(shared, 0);
    assert_int_equal(once->tensors->count, twice->tensors->count);
    dcls_model_destroy(twice);
    dcls_model_destroy(once);
    dcls_model_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_clamp),         CONTEXT_TEST(test_repel), CONTEXT_TEST(test_repel_by_hand),
        CONTEXT_TEST(test_repel_threads), CONTEXT_TEST(test_share), CONTEXT_TEST(test_share_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
