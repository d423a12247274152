/* The gradient of the construction against differences of kernels built from its equations in double, and
 * where positions are shared against the sum over rows. (The published package's gradients are tests/golden.)
 */
#include "kernel/kernel.h"
#include "numeric_util.h"

static dcls_context *ctx;

#define K    3
#define MOST 400

/* A kernel of its own elements; P and SIG as [ndim, position_rows, K]. */
typedef struct layer {
    dcls_kernel k;
    float weight[4 * K], P[3 * 4 * K], SIG[3 * 4 * K], G[4 * MOST];
} layer;

static layer *make_layer(dcls_kernel_version version, int ndim, const int64_t *size, int64_t rows,
                         int64_t position_rows)
{
    layer *made = calloc(1, sizeof *made);
    assert_non_null(made);
    made->k = (dcls_kernel){.version = version,
                            .ndim = ndim,
                            .rows = rows,
                            .count = K,
                            .position_rows = position_rows,
                            .spread_offset = dcls_spread_offset(version, false),
                            .weight = made->weight,
                            .P = made->P,
                            .SIG = dcls_kernel_version_has_spread(version) ? made->SIG : NULL};
    memcpy(made->k.size, size, (size_t)ndim * sizeof *size);
    for (int i = 0; i < rows * K; i++)
        made->weight[i] = random_float();
    for (int i = 0; i < ndim * position_rows * K; i++) {
        made->P[i] = 1.7f * random_float();
        made->SIG[i] = 0.2f + 0.4f * fabsf(random_float());
        if (i % 2) made->SIG[i] = -made->SIG[i];
    }
    for (int i = 0; i < 4 * MOST; i++)
        made->G[i] = random_float();
    return made;
}

/* One cell's share of an element along index j, by the equations of design. */
static double coefficient(const dcls_kernel *k, int j, int64_t at, int64_t t, const double *P,
                          const double *SIG)
{
    const double centre = P[at] + (double)(k->size[j] / 2), distance = fabs((double)t - centre);
    const double S = k->SIG ? fabs(SIG[at]) + (double)k->spread_offset : 1;
    if (k->version == DCLS_GAUSS) return exp(-0.5 * distance * distance / (S * S));
    return fmax(0, S - distance); /* v0 too: away from whole positions it is the same tent */
}

/* sum G * K of one row. */
static double loss_of_row(const layer *made, int64_t row, const double *weight, const double *P,
                          const double *SIG)
{
    const dcls_kernel *k = &made->k;
    const int64_t cells = dcls_kernel_cells(k);
    double loss = 0;
    for (int e = 0; e < K; e++) {
        double sum = 0, product = 0;
        for (int64_t cell = 0; cell < cells; cell++) {
            double X = 1;
            int64_t rest = cell, t[3];
            for (int d = k->ndim - 1; d >= 0; d--) {
                t[d] = rest % k->size[d];
                rest /= k->size[d];
            }
            for (int j = 0; j < k->ndim; j++) {
                const int64_t at = (j * k->position_rows + row % k->position_rows) * K + e;
                X *= coefficient(k, j, at, t[dcls_kernel_axis(k->version, k->ndim, j)], P, SIG);
            }
            sum += X;
            product += X * (double)made->G[row * cells + cell];
        }
        loss += weight[row * K + e] * product / (k->version == DCLS_V0 ? 1 : sum + 1e-7);
    }
    return loss;
}

static double loss_of(const layer *made, const double *weight, const double *P, const double *SIG)
{
    double loss = 0;
    for (int64_t row = 0; row < made->k.rows; row++)
        loss += loss_of_row(made, row, weight, P, SIG);
    return loss;
}

static void widen(const float *from, int64_t count, double *to)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = (double)from[i];
}

/* Central differences by the values of one of three arrays. */
static void expect_slopes(const layer *made, int which, const float *got, int64_t count)
{
    double values[3][3 * 4 * K];
    const double h = 1e-5;
    widen(made->weight, 4 * K, values[0]);
    widen(made->P, 12 * K, values[1]);
    widen(made->SIG, 12 * K, values[2]);
    for (int64_t i = 0; i < count; i++) {
        const double before = values[which][i];
        values[which][i] = before + h;
        const double above = loss_of(made, values[0], values[1], values[2]);
        values[which][i] = before - h;
        const double below = loss_of(made, values[0], values[1], values[2]);
        values[which][i] = before;
        const double want = (above - below) / (2 * h);
        if (!(fabs((double)got[i] - want) <= 1e-4 * fmax(1, fabs(want))))
            fail_msg("%s %d-D: value %d of array %d is %g, not %g", dcls_kernel_version_name(made->k.version),
                     made->k.ndim, (int)i, which, (double)got[i], want);
    }
}

static void matches_differences(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{9}, {6}, {7, 7}, {5, 8}, {5, 5, 5}, {4, 5, 6}};
    static const int dims[] = {1, 1, 2, 2, 3, 3};
    for (int v = 0; v < DCLS_KERNEL_VERSION_COUNT; v++)
        for (size_t s = 0; s < sizeof dims / sizeof *dims; s++)
            for (int64_t position_rows = 1; position_rows <= 4; position_rows *= 2) {
                layer *made = make_layer((dcls_kernel_version)v, dims[s], sizes[s], 4, position_rows);
                float weight[4 * K], P[12 * K], SIG[12 * K];
                const dcls_kernel_gradients slopes = {weight, P, SIG};
                assert_int_equal(dcls_kernel_backward(ctx, &made->k, made->G, 2, &slopes), DCLS_OK);
                expect_slopes(made, 0, weight, 4 * K);
                expect_slopes(made, 1, P, dims[s] * position_rows * K);
                if (made->k.SIG) expect_slopes(made, 2, SIG, dims[s] * position_rows * K);
                free(made);
            }
}

/* relu'(0) = 0 and sign(0) = 0: a tent's slope at its own cell and where it reaches zero; a spread of 0. */
static void kinks(void **state)
{
    (void)state;
    float weight = 2, P = 0, SIG = 0, dw, dP, dSIG;
    const float G[5] = {1, 10, 100, 1000, 10000};
    dcls_kernel k = {.version = DCLS_V1,
                     .ndim = 1,
                     .size = {5},
                     .rows = 1,
                     .count = 1,
                     .position_rows = 1,
                     .weight = &weight,
                     .P = &P};
    const dcls_kernel_gradients slopes = {&dw, &dP, &dSIG};
    assert_int_equal(dcls_kernel_backward(ctx, &k, G, 1, &slopes), DCLS_OK);
    assert_true(fabsf(dw - 100) < 1e-3f && dP == 0);
    k.version = DCLS_V0; /* floor(2) = 2: cell 2 loses what cell 3 gets */
    assert_int_equal(dcls_kernel_backward(ctx, &k, G, 1, &slopes), DCLS_OK);
    assert_true(fabsf(dw - 100) < 1e-3f && fabsf(dP - 2 * 900) < 1e-2f);
    k.version = DCLS_MAX;
    k.SIG = &SIG;
    k.spread_offset = 1;
    assert_int_equal(dcls_kernel_backward(ctx, &k, G, 1, &slopes), DCLS_OK);
    assert_true(dSIG == 0);
    P = NAN;
    assert_int_equal(dcls_kernel_backward(ctx, &k, G, 1, &slopes), DCLS_OK);
    assert_true(isnan(dw) && isnan(dP) && isnan(dSIG));
    const dcls_kernel_gradients none = {0};
    assert_int_equal(dcls_kernel_backward(ctx, &k, G, 1, &none), DCLS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(matches_differences), cmocka_unit_test(kinks)};
    if (dcls_context_create(&ctx)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
