/* Matching of elements, figures of tensors and differences of networks against what can be worked out by hand
 * or tried out. */
#include <math.h>

#include "model_util.h"

#include "analysis/match.h"

static dcls_context *ctx;

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / 8388608.0 - 1;
}

/* ---- matching ---- */

typedef struct cloud {
    int64_t count;
    float x[600], y[600], weight[600];
    const float *at[2];
} cloud;

static dcls_match_set set_of(cloud *c)
{
    c->at[0] = c->x;
    c->at[1] = c->y;
    return (dcls_match_set){
        .count = c->count, .at = c->at, .weight = c->weight, .weight_count = 1, .weight_stride = c->count};
}

static void match(cloud *a, cloud *b, double atol, int64_t *out)
{
    const dcls_match_options options = {.at_count = 2, .weight_scale = 1, .atol = atol};
    const dcls_match_set x = set_of(a), y = set_of(b);
    assert_ok(ctx, dcls_match_elements(ctx, &x, &y, &options, out));
}

static void fill(cloud *c, int64_t count)
{
    c->count = count;
    for (int64_t i = 0; i < count; i++) {
        c->x[i] = (float)(8 * uniform());
        c->y[i] = (float)(8 * uniform());
        c->weight[i] = (float)uniform();
    }
}

static void put(cloud *c, int64_t i, double x, double y, double weight)
{
    c->x[i] = (float)x;
    c->y[i] = (float)y;
    c->weight[i] = (float)weight;
    if (i >= c->count) c->count = i + 1;
}

/* Every size on both sides of the change from optimal to greedy finds a permutation again. */
static void test_permutation(void **unused)
{
    static const int64_t sizes[] = {1, 2, 9, 34, DCLS_MATCH_OPTIMAL, DCLS_MATCH_OPTIMAL + 1, 600};
    static cloud a, b;
    int64_t place[600], out[600];
    (void)unused;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        fill(&a, n);
        b.count = n;
        for (int64_t i = 0; i < n; i++)
            place[i] = i;
        for (int64_t i = n - 1; i > 0; i--) {
            const int64_t j = (int64_t)((uniform() + 1) / 2 * (double)i), kept = place[i];
            place[i] = place[j];
            place[j] = kept;
        }
        for (int64_t i = 0; i < n; i++)
            put(&b, place[i], (double)a.x[i], (double)a.y[i], (double)a.weight[i]);
        match(&a, &b, 0, out);
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(out[i], place[i]);
    }
}

/* Elements at one position are told apart by their weights, and keep their index where nothing tells. */
static void test_ties(void **unused)
{
    cloud a = {0}, b = {0};
    int64_t out[4];
    (void)unused;
    for (int i = 0; i < 4; i++) {
        put(&a, i, 1, 2, i);
        put(&b, i, 1, 2, 3 - i);
    }
    match(&a, &b, 0, out);
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i], 3 - i);
    for (int i = 0; i < 4; i++)
        put(&b, i, 1, 2, a.weight[i] = 5);
    match(&a, &b, 0, out);
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i], i);
}

/* The nearest first would take a's 0 to b's 0.4 and leave 10 cells for the other. */
static void test_optimal_not_greedy(void **unused)
{
    cloud a = {0}, b = {0};
    int64_t out[2];
    (void)unused;
    put(&a, 0, 0, 0, 1);
    put(&a, 1, 1, 0, 1);
    put(&b, 0, 0.4, 0, 1);
    put(&b, 1, -10, 0, 1);
    match(&a, &b, 0, out);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 0);
}

/* Two pairs within tolerance go before one perfect pair and one beyond. */
static void test_tolerance_decides(void **unused)
{
    cloud a = {0}, b = {0};
    int64_t out[2];
    (void)unused;
    put(&a, 0, 0, 0, 1);
    put(&a, 1, 1, 0, 1);
    put(&b, 0, 1, 0, 1);
    put(&b, 1, 2.05, 0, 1);
    match(&a, &b, 1.1, out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 1);
}

static void test_unequal_counts(void **unused)
{
    static const int64_t counts[][2] = {{3, 5}, {5, 3}, {300, 400}, {400, 300}};
    static cloud a, b;
    int64_t out[600];
    (void)unused;
    for (size_t s = 0; s < 4; s++) {
        const int64_t less = counts[s][0] < counts[s][1] ? counts[s][0] : counts[s][1];
        fill(&a, counts[s][0]);
        b.count = counts[s][1];
        for (int64_t i = 0; i < b.count;
             i++) /* b's last ones are a's first ones, what is left lies far away */
            put(&b, b.count - 1 - i, i < less ? (double)a.x[i] : 100, i < less ? (double)a.y[i] : 100,
                i < less ? (double)a.weight[i] : 0);
        match(&a, &b, 0, out);
        for (int64_t i = 0; i < a.count; i++)
            assert_int_equal(out[i], i < less ? b.count - 1 - i : -1);
    }
}

static void test_nan_matches_nan(void **unused)
{
    cloud a = {0}, b = {0};
    int64_t out[2];
    (void)unused;
    put(&a, 0, NAN, 0, 1);
    put(&a, 1, 3, 0, 1);
    put(&b, 0, 3, 0, 1);
    put(&b, 1, NAN, 0, 1);
    match(&a, &b, 0, out);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 0);
}

/* Against every permutation: the least sum of squares. */
static double total(const cloud *a, const cloud *b, const int64_t *match_of, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const double dx = (double)(a->x[i] - b->x[match_of[i]]), dy = (double)(a->y[i] - b->y[match_of[i]]);
        const double dw = (double)(a->weight[i] - b->weight[match_of[i]]);
        sum += dx * dx + dy * dy + dw * dw;
    }
    return sum;
}

static double least_total(const cloud *a, const cloud *b, int64_t *order, int64_t at, int64_t n)
{
    double best = at == n ? total(a, b, order, n) : INFINITY;
    for (int64_t i = at; i < n; i++) {
        int64_t kept = order[at];
        order[at] = order[i];
        order[i] = kept;
        best = fmin(best, least_total(a, b, order, at + 1, n));
        order[i] = order[at];
        order[at] = kept;
    }
    return best;
}

static void test_least_of_all(void **unused)
{
    static cloud a, b;
    (void)unused;
    for (int trial = 0; trial < 50; trial++) {
        int64_t out[6], order[6] = {0, 1, 2, 3, 4, 5};
        fill(&a, 6);
        fill(&b, 6);
        match(&a, &b, 0, out);
        assert_float_equal(total(&a, &b, out, 6), least_total(&a, &b, order, 0, 6), 1e-5);
    }
}

/* ---- tensors ---- */

static void add_data(dcls_tensors *set, const char *name, dcls_dtype dtype, int ndim, const int64_t *shape,
                     const void *from)
{
    void *data;
    size_t bytes = 0;
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, dtype, ndim, shape, &data));
    assert_true(dcls_shape_bytes(dtype, ndim, shape, &bytes));
    memcpy(data, from, bytes);
}

static dcls_tensors *one_tensor(dcls_dtype dtype, int64_t count, const void *from)
{
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    add_data(set, "x", dtype, 1, &count, from);
    return set;
}

static dcls_compare_row compare_one(dcls_tensors *a, dcls_tensors *b, dcls_compare_options options)
{
    const dcls_compare_source x = {.tensors = a}, y = {.tensors = b};
    dcls_comparison *result;
    assert_ok(ctx, dcls_compare(ctx, &x, &y, &options, &result));
    assert_int_equal(dcls_comparison_row_count(result), 1);
    dcls_compare_row row = *dcls_comparison_row(result, 0);
    assert_int_equal(dcls_comparison_differs(result), row.result >= DCLS_COMPARE_DIFFERENT);
    dcls_comparison_destroy(result);
    dcls_tensors_destroy(a);
    dcls_tensors_destroy(b);
    return row;
}

static dcls_compare_row compare_floats(int64_t count, const float *a, const float *b,
                                       dcls_compare_options options)
{
    return compare_one(one_tensor(DCLS_F32, count, a), one_tensor(DCLS_F32, count, b), options);
}

static void test_figures(void **unused)
{
    dcls_compare_options options = {.atol = 0.25, .rtol = 0.5};
    const float a[] = {1, 3, 0, -2, 5}, b[] = {1, 2, 0.25f, -4, 1};
    (void)unused;
    /* |a - b| = 0 1 0.25 2 4; allowed 0.75 1.25 0.375 2.25 0.75 */
    dcls_compare_row row = compare_floats(5, a, b, options);
    assert_int_equal(row.result, DCLS_COMPARE_DIFFERENT);
    assert_int_equal(row.outside, 1);
    assert_float_equal(row.max_abs, 4, 0);
    assert_float_equal(row.mean_abs, 7.25 / 5, 1e-12);
    assert_float_equal(row.max_relative, 4, 0);
    assert_float_equal(row.relative, sqrt((1 + 0.0625 + 4 + 16) / (1 + 4 + 0.0625 + 16 + 1)), 1e-12);
    assert_int_equal(row.worst[0], 4);
    assert_float_equal(row.worst_a, 5, 0);
    assert_float_equal(row.worst_b, 1, 0);
    options.rtol = 3.75; /* |a - b| <= atol + rtol |b| holds with equality: 4 <= 0.25 + 3.75 */
    assert_int_equal(compare_floats(5, a, b, options).result, DCLS_COMPARE_CLOSE);
    assert_int_equal(compare_floats(5, a, a, options).result, DCLS_COMPARE_IDENTICAL);
}

/* torch.testing.assert_close for F32: rtol 1.3e-6, atol 1e-5. */
static void test_usual_tolerance(void **unused)
{
    const dcls_compare_options usual = dcls_compare_options_default();
    const float a[] = {0, 0, 1000}, near[] = {9e-6f, 0, 1000}, far[] = {1.1e-5f, 0, 1000},
                big[] = {0, 0, 1000.0012f}, bigger[] = {0, 0, 1000.0015f};
    const double x = 1, y = 1 + 3e-7;
    (void)unused;
    assert_int_equal(compare_floats(3, a, near, usual).result, DCLS_COMPARE_CLOSE);
    assert_int_equal(compare_floats(3, a, far, usual).result, DCLS_COMPARE_DIFFERENT);
    assert_int_equal(compare_floats(3, a, big, usual).result, DCLS_COMPARE_CLOSE);
    assert_int_equal(compare_floats(3, a, bigger, usual).result, DCLS_COMPARE_DIFFERENT);
    assert_int_equal(compare_one(one_tensor(DCLS_F64, 1, &x), one_tensor(DCLS_F64, 1, &y), usual).result,
                     DCLS_COMPARE_DIFFERENT);
    /* One of the two given: the other is 0. */
    dcls_compare_options one = {.atol = 0, .rtol = -1};
    assert_int_equal(compare_floats(3, a, near, one).result, DCLS_COMPARE_DIFFERENT);
    one = (dcls_compare_options){.atol = -1, .rtol = 1e-3};
    assert_int_equal(compare_floats(3, a, bigger, one).result, DCLS_COMPARE_CLOSE);
}

static void test_not_finite(void **unused)
{
    dcls_compare_options options = {.atol = 1, .rtol = 1};
    const float a[] = {NAN, INFINITY, -INFINITY, 1}, b[] = {NAN, INFINITY, INFINITY, 1};
    (void)unused;
    dcls_compare_row row = compare_floats(2, a, b, options);
    assert_int_equal(row.result, DCLS_COMPARE_DIFFERENT);
    assert_int_equal(row.nan, 1);
    assert_int_equal(row.outside, 1);
    assert_int_equal(row.worst[0], 0);
    options.equal_nan = true;
    assert_int_equal(compare_floats(2, a, b, options).result, DCLS_COMPARE_IDENTICAL);
    row = compare_floats(4, a, b, options);
    assert_int_equal(row.result, DCLS_COMPARE_DIFFERENT);
    assert_int_equal(row.worst[0], 2);
    assert_true(isinf(row.max_abs));
    const float x[] = {1, 1}, y[] = {INFINITY, NAN};
    row = compare_floats(2, x, y, options);
    assert_int_equal(row.outside, 2);
    assert_int_equal(row.nan, 1);
}

/* Whole numbers that doubles cannot tell apart, and squares beyond doubles. */
static void test_large(void **unused)
{
    const dcls_compare_options usual = dcls_compare_options_default();
    const int64_t a[] = {INT64_MAX, INT64_MIN}, b[] = {INT64_MAX - 1, INT64_MIN};
    const double x[] = {1e300, 1}, y[] = {2e300, 1};
    (void)unused;
    dcls_compare_row row = compare_one(one_tensor(DCLS_I64, 2, a), one_tensor(DCLS_I64, 2, b), usual);
    assert_int_equal(row.result, DCLS_COMPARE_DIFFERENT);
    assert_float_equal(row.max_abs, 1, 0);
    row = compare_one(one_tensor(DCLS_F64, 2, x), one_tensor(DCLS_F64, 2, y), usual);
    assert_float_equal(row.relative, 0.5, 1e-12);
    assert_float_equal(row.max_abs, 1e300, 1e290);
}

static void test_empty_and_types(void **unused)
{
    const dcls_compare_options usual = dcls_compare_options_default();
    const float a[] = {1, 2};
    const double b[] = {1, 2};
    (void)unused;
    assert_int_equal(compare_floats(0, a, a, usual).result, DCLS_COMPARE_IDENTICAL);
    dcls_compare_row row = compare_one(one_tensor(DCLS_F32, 2, a), one_tensor(DCLS_F64, 2, b), usual);
    assert_int_equal(row.result, DCLS_COMPARE_IDENTICAL);
    assert_int_equal(row.dtype_b, DCLS_F64);
    assert_int_equal(compare_one(one_tensor(DCLS_F32, 2, a), one_tensor(DCLS_F32, 1, a), usual).result,
                     DCLS_COMPARE_SHAPE);
}

/* The same bits for any number of threads. */
static void test_threads(void **unused)
{
    enum { COUNT = 300000 };
    const dcls_compare_options usual = dcls_compare_options_default();
    float *a = malloc(COUNT * sizeof *a), *b = malloc(COUNT * sizeof *b);
    dcls_compare_row rows[2];
    (void)unused;
    assert_non_null(a);
    assert_non_null(b);
    for (int i = 0; i < COUNT; i++) {
        a[i] = (float)uniform();
        b[i] = a[i] + (float)(1e-4 * uniform());
    }
    for (int t = 0; t < 2; t++) {
        assert_ok(ctx, dcls_context_set_threads(ctx, 1 + 3 * t));
        rows[t] = compare_floats(COUNT, a, b, usual);
    }
    assert_true(rows[0].mean_abs == rows[1].mean_abs && rows[0].relative == rows[1].relative);
    assert_int_equal(rows[0].worst[0], rows[1].worst[0]);
    free(a);
    free(b);
}

/* ---- layers ---- */

/* Two output channels with one P for both: three elements, in the order `order`. */
static dcls_tensors *shared_layer(const int *order)
{
    static const float weight[] = {1, 2, 3, 4, 5, 6}, P[] = {-1, 0, 1, 0.5f, 0, -0.5f};
    static const int64_t weight_shape[] = {2, 1, 3}, P_shape[] = {2, 1, 3};
    float w[6], p[6];
    dcls_tensors *set;
    for (int i = 0; i < 6; i++) {
        w[i] = weight[i / 3 * 3 + order[i % 3]];
        p[i] = P[i / 3 * 3 + order[i % 3]];
    }
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    add_data(set, "d.P", DCLS_F32, 3, P_shape, p);
    add_data(set, "d.weight", DCLS_F32, 3, weight_shape, w);
    return set;
}

static void test_shared_positions(void **unused)
{
    static const int as_is[] = {0, 1, 2}, turned[] = {2, 0, 1};
    dcls_tensors *a = shared_layer(as_is), *b = shared_layer(turned);
    const dcls_compare_source x = {.tensors = a}, y = {.tensors = b};
    dcls_compare_options options = {.atol = 0, .rtol = 0};
    dcls_comparison *result;
    (void)unused;
    assert_ok(ctx, dcls_compare(ctx, &x, &y, &options, &result));
    assert_false(dcls_comparison_differs(result));
    assert_int_equal(dcls_comparison_row_count(result), 2);
    assert_int_equal(dcls_comparison_row(result, 0)->kind, DCLS_COMPARE_ELEMENTS);
    assert_int_equal(dcls_comparison_row(result, 0)->moved, 3);
    dcls_comparison_destroy(result);
    options.strict = true;
    assert_ok(ctx, dcls_compare(ctx, &x, &y, &options, &result));
    assert_true(dcls_comparison_differs(result));
    dcls_comparison_destroy(result);
    dcls_tensors_destroy(a);
    dcls_tensors_destroy(b);
}

/* A layer of three elements against the same kernel made dense, and against one of four elements. */
static void test_kernels(void **unused)
{
    static const int as_is[] = {0, 1, 2};
    static const char *const settings[] = {"version=v0", "dilated_kernel_size=3"};
    /* v0: position (p0, p1) is (row, column); p0 = -1, 0, 1 and p1 = 0.5, 0, -0.5 */
    static const float dense[] = {0, 0.5f, 0.5f, 0, 2, 0, 1.5f, 1.5f, 0, 0, 2, 2, 0, 5, 0, 3, 3, 0};
    static const int64_t dense_shape[] = {2, 1, 3, 3}, weight_shape[] = {2, 1, 4}, P_shape[] = {2, 1, 4};
    static const float weight[] = {1, 2, 3, 7, 4, 5, 6, 0}, P[] = {-1, 0, 1, 0, 0.5f, 0, -0.5f, 1};
    dcls_tensors *a = shared_layer(as_is), *b, *c;
    dcls_comparison *result;
    dcls_compare_options options = {.atol = 1e-6, .rtol = 0, .settings = settings, .setting_count = 2};
    (void)unused;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &b));
    add_data(b, "d.weight", DCLS_F32, 4, dense_shape, dense);
    assert_ok(ctx, dcls_tensors_create(ctx, "", &c));
    add_data(c, "d.weight", DCLS_F32, 3, weight_shape, weight);
    add_data(c, "d.P", DCLS_F32, 3, P_shape, P);
    const dcls_compare_source x = {.tensors = a}, y = {.tensors = b}, z = {.tensors = c};
    assert_ok(ctx, dcls_compare(ctx, &x, &y, &options, &result));
    assert_int_equal(dcls_comparison_row_count(result), 1);
    assert_int_equal(dcls_comparison_row(result, 0)->kind, DCLS_COMPARE_KERNEL);
    assert_false(dcls_comparison_differs(result));
    dcls_comparison_destroy(result);
    /* The fourth element: weight 7 in the first channel, at (0, 1) = cell (1, 2), 0 in the second. */
    assert_ok(ctx, dcls_compare(ctx, &z, &y, &options, &result));
    assert_int_equal(dcls_comparison_row_count(result), 1);
    assert_int_equal(dcls_comparison_row(result, 0)->outside, 1);
    assert_int_equal(dcls_comparison_row(result, 0)->worst[2], 1);
    assert_int_equal(dcls_comparison_row(result, 0)->worst[3], 2);
    assert_float_equal(dcls_comparison_row(result, 0)->max_abs, 7, 0);
    dcls_comparison_destroy(result);
    dcls_tensors_destroy(a);
    dcls_tensors_destroy(b);
    dcls_tensors_destroy(c);
}

int main(void)
{
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_optimal_not_greedy),
        cmocka_unit_test(test_tolerance_decides),
        cmocka_unit_test(test_unequal_counts),
        cmocka_unit_test(test_nan_matches_nan),
        cmocka_unit_test(test_least_of_all),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_usual_tolerance),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_empty_and_types),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_shared_positions),
        cmocka_unit_test(test_kernels),
    };
    const int failed = cmocka_run_group_tests_name("compare", tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
