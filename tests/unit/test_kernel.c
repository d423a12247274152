/* What kernels lose and keep: statistics against direct sums, taps against their windows, values that are not
 * finite. (Values of kernels are tests/golden.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/kernel.h"

static dcls_context *ctx;

/* Sum over all integers of one element's interpolation along one axis, by the definition. */
static double everywhere(dcls_kernel_version version, double centre, double spread)
{
    double sum = 0;
    for (int t = -400; t <= 400; t++) {
        double distance = fabs(t - centre), z = distance / spread;
        sum += version == DCLS_GAUSS ? exp(-0.5 * z * z)
                                     : fmax(0, (version == DCLS_MAX ? spread : 1) - distance);
    }
    return sum;
}

/* Kernel mass lost by one element of a 1-D layer of size D, straight from design: 1 - inside / everywhere. */
static double lost(dcls_kernel_version version, int D, float position, float spread)
{
    double centre = (double)(position + (float)(D / 2)), inside = 0;
    for (int t = 0; t < D; t++) {
        double distance = fabs(t - centre), z = distance / (double)spread;
        inside += version == DCLS_GAUSS ? exp(-0.5 * z * z)
                                        : fmax(0, (version == DCLS_MAX ? (double)spread : 1) - distance);
    }
    return 1 - inside / everywhere(version, centre, (double)spread);
}

static void mass_lost_matches_direct_sums(void **state)
{
    (void)state;
    static const float positions[] = {0, 0.3f, -2.5f, 2.75f, 3, -3, 3.5f, 4, 9};
    static const float spreads[] = {0, 0.1f, -0.6f, 0.73f, 2, -5, 20};
    for (int v = DCLS_V0; v < DCLS_KERNEL_VERSION_COUNT; v++) {
        dcls_kernel_version version = (dcls_kernel_version)v;
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            for (size_t s = 0; s < sizeof spreads / sizeof *spreads; s++) {
                for (int D = 6; D <= 7; D++) {
                    float weight = -2, scratch_position = positions[p], sig = spreads[s];
                    dcls_kernel k = {.version = version,
                                     .ndim = 1,
                                     .size = {D},
                                     .rows = 1,
                                     .count = 1,
                                     .position_rows = 1,
                                     .spread_offset = dcls_spread_offset(version, false),
                                     .weight = &weight,
                                     .P = &scratch_position,
                                     .SIG = dcls_kernel_version_has_spread(version) ? &sig : NULL};
                    double scratch[8];
                    double got = dcls_kernel_statistics(&k, scratch).mass_lost;
                    double want = lost(version, D, positions[p], fabsf(sig) + k.spread_offset);
                    if (!(fabs(got - want) < 1e-6))
                        fail_msg("version %d, D %d, position %g, spread %g: %g, not %g", v, D,
                                 (double)positions[p], (double)spreads[s], got, want);
                }
            }
        }
    }
}

static void positions_are_described(void **state)
{
    (void)state;
    float weight[4] = {1, 1, 1, 1}, P[8] = {-3, 0, 1, 2, /* columns */ 0.5f, 1, NAN, 0};
    dcls_kernel k = {.version = DCLS_V1,
                     .ndim = 2,
                     .size = {5, 7},
                     .rows = 1,
                     .count = 4,
                     .position_rows = 1,
                     .weight = weight,
                     .P = P};
    double scratch[8];
    dcls_kernel_stats s = dcls_kernel_statistics(&k, scratch);
    assert_int_equal(s.not_finite, 1);
    assert_int_equal(s.clamped, 2); /* -3 and 2 reach floor(5/2) */
    assert_true(fabs(s.position_mean[0] - (-1.0 / 3)) < 1e-12);
    assert_true(fabs(s.position_std[1] - sqrt(1.25 / 3 - 0.25)) < 1e-12);
    assert_true(s.position_min[0] == -3 && s.position_max[0] == 2);
}

static void taps_keep_what_the_cutoff_allows(void **state)
{
    (void)state;
    float dense[2][6] = {{1, 0, -0.5f, 1e-4f, -1e-4f, 0}, {0, 0, NAN, 0, 1e-9f, 0}};
    dcls_taps taps;
    assert_int_equal(dcls_taps_from_dense(ctx, dense[0], 2, 6, 0, &taps), DCLS_OK);
    assert_int_equal(taps.start[1], 4);
    assert_int_equal(taps.start[2], 6);
    assert_int_equal(taps.cell[1], 2);
    assert_true(isnan(taps.value[4]));
    dcls_taps_free(&taps);
    assert_int_equal(dcls_taps_from_dense(ctx, dense[0], 2, 6, 1e-3, &taps), DCLS_OK);
    assert_int_equal(taps.start[1], 2);     /* 1e-4 each is under 1e-3 * 1.5 / 6 */
    assert_int_equal(taps.start[2] - 2, 2); /* a NaN window keeps all it has */
    dcls_taps_free(&taps);
}

static void chunks_do_not_show(void **state)
{
    (void)state;
    enum { ROWS = 40, D = 301 }; /* more cells than one chunk of dcls_taps_from_kernel */
    float *weight = malloc(ROWS * sizeof *weight), *P = malloc(2 * ROWS * sizeof *P);
    for (int i = 0; i < ROWS; i++) {
        weight[i] = (float)i + 1;
        P[i] = (float)(i - 20) * 1.7f;
        P[ROWS + i] = (float)(20 - i) * 3.1f;
    }
    dcls_kernel k = {.version = DCLS_V1,
                     .ndim = 2,
                     .size = {D, D},
                     .rows = ROWS,
                     .count = 1,
                     .position_rows = ROWS,
                     .weight = weight,
                     .P = P};
    float *dense = malloc((size_t)ROWS * D * D * sizeof *dense);
    dcls_taps a, b;
    assert_int_equal(dcls_kernel_construct(ctx, &k, 2, dense), DCLS_OK);
    assert_int_equal(dcls_taps_from_dense(ctx, dense, ROWS, D * D, 0, &a), DCLS_OK);
    assert_int_equal(dcls_taps_from_kernel(ctx, &k, 0, 2, &b), DCLS_OK);
    assert_memory_equal(a.start, b.start, (ROWS + 1) * sizeof *a.start);
    assert_memory_equal(a.cell, b.cell, (size_t)a.start[ROWS] * sizeof *a.cell);
    assert_memory_equal(a.value, b.value, (size_t)a.start[ROWS] * sizeof *a.value);
    dcls_taps_free(&a);
    dcls_taps_free(&b);
    free(dense), free(weight), free(P);
}

/* Positions far outside, infinite or NaN must give defined kernels: nothing, or NaN for NaN. */
static void extreme_positions(void **state)
{
    (void)state;
    static const float positions[] = {1e30f, -1e30f, INFINITY, -INFINITY, 2147483648.0f, NAN};
    for (int v = 0; v < DCLS_KERNEL_VERSION_COUNT; v++) {
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            for (int s = 0; s < 3; s++) {
                float weight = 1, P = positions[p], SIG = s == 0 ? 0 : s == 1 ? 1e30f : INFINITY, out[5];
                bool has_spread = dcls_kernel_version_has_spread((dcls_kernel_version)v);
                dcls_kernel k = {.version = (dcls_kernel_version)v,
                                 .ndim = 1,
                                 .size = {5},
                                 .rows = 1,
                                 .count = 1,
                                 .position_rows = 1,
                                 .spread_offset = dcls_spread_offset((dcls_kernel_version)v, false),
                                 .weight = &weight,
                                 .P = &P,
                                 .SIG = has_spread ? &SIG : NULL};
                double scratch[5];
                assert_int_equal(dcls_kernel_construct(ctx, &k, 1, out), DCLS_OK);
                for (int i = 0; i < 5; i++)
                    assert_true(isnan(P) ? isnan(out[i]) : isfinite(out[i]) && fabsf(out[i]) <= 1);
                dcls_kernel_stats stats = dcls_kernel_statistics(&k, scratch);
                assert_true(stats.mass_lost >= 0 && stats.mass_lost <= 1);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mass_lost_matches_direct_sums),
        cmocka_unit_test(positions_are_described),
        cmocka_unit_test(taps_keep_what_the_cutoff_allows),
        cmocka_unit_test(chunks_do_not_show),
        cmocka_unit_test(extreme_positions),
    };
    if (dcls_context_create(&ctx)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    dcls_context_destroy(ctx);
    return failed;
}
