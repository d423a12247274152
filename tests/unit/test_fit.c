/* Dense kernels taken apart: made of known elements, they must come back as elements that make the same
 * kernel. */
#include "kernel/fit.h"
#include "numeric_util.h"

static dcls_context *ctx;

#define ROWS 16
#define SEED 7

typedef struct kernels {
    dcls_kernel k;
    int64_t cells;
    float *weight, *P, *SIG, *dense;
    double *error;
} kernels;

static kernels make(dcls_kernel_version version, int ndim, const int64_t *size, int64_t count)
{
    kernels made = {.k = {.version = version,
                          .ndim = ndim,
                          .rows = ROWS,
                          .count = count,
                          .position_rows = ROWS,
                          .spread_offset = dcls_spread_offset(version, false)}};
    memcpy(made.k.size, size, (size_t)ndim * sizeof *size);
    made.cells = dcls_kernel_cells(&made.k);
    const int64_t n = ROWS * count;
    made.weight = new_floats(n);
    made.P = new_floats(ndim * n);
    made.SIG = new_floats(ndim * n);
    made.dense = new_floats(ROWS * made.cells);
    made.error = calloc(ROWS, sizeof *made.error);
    for (int64_t j = 0; j < ndim; j++)
        for (int64_t i = 0; i < n; i++)
            made.P[j * n + i] *= 0.8f * (float)(size[j] / 2);
    for (int64_t i = 0; i < ndim * n; i++)
        made.SIG[i] = 0.3f + 0.15f * made.SIG[i];
    return made;
}

static const dcls_kernel *filled(kernels *from)
{
    from->k.weight = from->weight;
    from->k.P = from->P;
    from->k.SIG = dcls_kernel_version_has_spread(from->k.version) ? from->SIG : NULL;
    return &from->k;
}

static void discard(kernels *made)
{
    free(made->weight);
    free(made->P);
    free(made->SIG);
    free(made->dense);
    free(made->error);
}

static kernels fitted(const kernels *to, int64_t count, int threads)
{
    kernels fit = make(to->k.version, to->k.ndim, to->k.size, count);
    const dcls_fit_options options = {.seed = SEED, .tolerance = DCLS_FIT_TOLERANCE, .effort = 1};
    const dcls_fit_result out = {fit.weight, fit.P, fit.SIG, fit.error};
    assert_int_equal(dcls_kernel_fit(ctx, &fit.k, to->dense, &options, threads, NULL, NULL, &out), DCLS_OK);
    assert_int_equal(dcls_kernel_construct(ctx, filled(&fit), 1, fit.dense), DCLS_OK);
    return fit;
}

/* Of one row, from the constructed kernels. */
static double relative_error(const kernels *to, const kernels *fit, int64_t row)
{
    double lost = 0, all = 0;
    for (int64_t i = row * to->cells; i < (row + 1) * to->cells; i++) {
        const double a = (double)to->dense[i], b = (double)fit->dense[i];
        lost += (a - b) * (a - b);
        all += a * a;
    }
    return all > 0 ? sqrt(lost / all) : sqrt(lost);
}

static void expect_within_limits(const kernels *fit)
{
    const int64_t n = ROWS * fit->k.count;
    for (int j = 0; j < fit->k.ndim; j++)
        for (int64_t i = 0; i < n; i++) {
            assert_true(fabsf(fit->P[j * n + i]) <= (float)(fit->k.size[j] / 2));
            if (fit->k.SIG) assert_true(fit->SIG[j * n + i] >= 0);
        }
}

static void recovers(void **state)
{
    (void)state;
    static const struct {
        int ndim;
        int64_t size[3], count;
    } CASES[] = {{1, {25}, 4},   {2, {9, 9}, 3},  {2, {17, 17}, 5},
                 {2, {8, 8}, 3}, {2, {7, 13}, 3}, {3, {7, 7, 7}, 4}};
    for (int v = 0; v < DCLS_KERNEL_VERSION_COUNT; v++)
        for (size_t c = 0; c < sizeof CASES / sizeof *CASES; c++) {
            kernels to = make((dcls_kernel_version)v, CASES[c].ndim, CASES[c].size, CASES[c].count);
            assert_int_equal(dcls_kernel_construct(ctx, filled(&to), 1, to.dense), DCLS_OK);
            kernels fit = fitted(&to, CASES[c].count, 2);
            int found = 0;
            for (int64_t row = 0; row < ROWS; row++) {
                const double error = relative_error(&to, &fit, row);
                found += error < 1e-3;
                if (!(fabs(error - fit.error[row]) < 1e-4 + 0.01 * error))
                    fail_msg("%s %d-D case %zu row %d: says %g, is %g",
                             dcls_kernel_version_name(to.k.version), CASES[c].ndim, c, (int)row,
                             fit.error[row], error);
            }
            if (found < ROWS * 9 / 10)
                fail_msg("%s %d-D case %zu: %d of %d", dcls_kernel_version_name(to.k.version), CASES[c].ndim,
                         c, found, ROWS);
            expect_within_limits(&fit);
            discard(&to);
            discard(&fit);
        }
}

static void same_for_any_threads(void **state)
{
    (void)state;
    static const int64_t size[] = {9, 9};
    kernels to = make(DCLS_GAUSS, 2, size, 6); /* random cells: nothing fits, every row searches to the end */
    kernels one = fitted(&to, 4, 1);
    for (int threads = 2; threads <= 3; threads++) {
        kernels more = fitted(&to, 4, threads);
        assert_memory_equal(one.weight, more.weight, ROWS * 4 * sizeof(float));
        assert_memory_equal(one.P, more.P, 2 * ROWS * 4 * sizeof(float));
        assert_memory_equal(one.SIG, more.SIG, 2 * ROWS * 4 * sizeof(float));
        discard(&more);
    }
    discard(&one);
    discard(&to);
}

/* With an element for every cell any kernel can be made; more elements than cells do no harm. */
static void many_elements(void **state)
{
    (void)state;
    static const int64_t size[] = {5, 5};
    kernels to = make(DCLS_V1, 2, size, 1);
    for (int64_t count = 25; count <= 100; count *= 4) {
        kernels fit = fitted(&to, count, 2);
        for (int64_t row = 0; row < ROWS; row++)
            if (!(relative_error(&to, &fit, row) < 1e-3))
                fail_msg("%d elements, row %d: %g", (int)count, (int)row, relative_error(&to, &fit, row));
        discard(&fit);
    }
    discard(&to);
}

static void zeros_and_single_cells(void **state)
{
    (void)state;
    static const int64_t size[] = {1, 6};
    kernels to = make(DCLS_MAX, 2, size, 2);
    memset(to.dense, 0, (size_t)(ROWS * to.cells) * sizeof *to.dense);
    to.dense[to.cells] = 3; /* row 1, its first cell alone */
    kernels fit = fitted(&to, 2, 1);
    for (int64_t row = 0; row < ROWS; row++) {
        assert_true(isfinite(fit.error[row]));
        if (row != 1)
            for (int64_t i = 0; i < to.cells; i++)
                assert_true(fit.dense[row * to.cells + i] == 0);
    }
    assert_true(fit.error[0] == 0);
    discard(&fit);
    discard(&to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recovers), cmocka_unit_test(same_for_any_threads),
                                       cmocka_unit_test(many_elements),
                                       cmocka_unit_test(zeros_and_single_cells)};
    if (dcls_context_create(&ctx)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
