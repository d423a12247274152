/* What plots are made of: colour scales, ticks, elements in their windows, densities. */
#include <math.h>

#include "format_util.h"

#include "draw/plot.h"

static double step_between(const uint8_t a[3], const uint8_t b[3])
{
    double x[3], y[3];
    for (int c = 0; c < 3; c++) {
        x[c] = a[c] / 255.0;
        y[c] = b[c] / 255.0;
    }
    dcls_oklab p = dcls_oklab_from_rgb(x), q = dcls_oklab_from_rgb(y);
    return sqrt((p.L - q.L) * (p.L - q.L) + (p.a - q.a) * (p.a - q.a) + (p.b - q.b) * (p.b - q.b));
}

static double lightness(const uint8_t rgb[3])
{
    double x[3] = {rgb[0] / 255.0, rgb[1] / 255.0, rgb[2] / 255.0};
    return dcls_oklab_from_rgb(x).L;
}

/* Known colours of the Oklab paper's reference code. */
static void test_oklab(void **state)
{
    static const struct {
        double rgb[3], lab[3];
    } known[] = {{{1, 1, 1}, {1, 0, 0}},
                 {{0, 0, 0}, {0, 0, 0}},
                 {{1, 0, 0}, {0.627955, 0.224863, 0.125846}},
                 {{0, 1, 0}, {0.866440, -0.233888, 0.179498}},
                 {{0, 0, 1}, {0.452014, -0.032457, -0.311528}}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double back[3];
        dcls_oklab lab = dcls_oklab_from_rgb(known[i].rgb);
        assert_true(fabs(lab.L - known[i].lab[0]) < 1e-4 && fabs(lab.a - known[i].lab[1]) < 1e-4 &&
                    fabs(lab.b - known[i].lab[2]) < 1e-4);
        dcls_oklab_to_rgb(lab, back);
        for (int c = 0; c < 3; c++)
            assert_true(fabs(back[c] - known[i].rgb[c]) < 1e-3);
    }
}

/* Equal steps (over strides that drown the rounding to 8 bits) and one direction of lightness. */
static void check_even(const uint8_t (*rgb)[3], int count, bool darker)
{
    enum { STRIDE = 21 };
    double least = INFINITY, most = 0;
    for (int i = 0; i + STRIDE < count; i += STRIDE) {
        double step = step_between(rgb[i], rgb[i + STRIDE]),
               change = lightness(rgb[i + STRIDE]) - lightness(rgb[i]);
        least = fmin(least, step);
        most = fmax(most, step);
        assert_true(darker ? change < -0.01 : change > 0.01);
    }
    assert_true(most < 1.2 * least);
}

static void test_sequential(void **state)
{
    dcls_colormap map;
    (void)state;
    dcls_colormap_sequential(&map);
    check_even((const uint8_t(*)[3])map.rgb, DCLS_COLORMAP_COLORS, true);
    assert_true(lightness(map.rgb[0]) > 0.95 && lightness(map.rgb[DCLS_COLORMAP_COLORS - 1]) < 0.3);
}

static void test_diverging(void **state)
{
    dcls_colormap map;
    enum { MIDDLE = DCLS_COLORMAP_COLORS / 2 };
    (void)state;
    dcls_colormap_diverging(&map);
    check_even((const uint8_t(*)[3])map.rgb, MIDDLE + 1, false);
    check_even((const uint8_t(*)[3])map.rgb + MIDDLE, MIDDLE + 1, true);
    for (int i = 0; i <= MIDDLE; i++) /* equal magnitudes are equally light */
        assert_true(fabs(lightness(map.rgb[MIDDLE - i]) - lightness(map.rgb[MIDDLE + i])) < 0.02);
    const uint8_t *zero = dcls_colormap_at(&map, 0.5), *low = dcls_colormap_at(&map, -3),
                  *high = dcls_colormap_at(&map, 7);
    assert_true(zero[0] > 245 && zero[0] == zero[1] && zero[1] == zero[2]);
    assert_true(low[2] > low[0] + 60 && high[0] > high[2] + 60);
    assert_memory_equal(dcls_colormap_at(&map, NAN), ((uint8_t[3]){150, 150, 150}), 3);
}

static void test_ticks(void **state)
{
    static const struct {
        double low, high;
        int most, count;
        double first, step;
    } cases[] = {{0, 10, 6, 6, 0, 2},
                 {-5.5, 5.5, 5, 5, -4, 2},
                 {0, 9.54, 6, 5, 0, 2},
                 {0.27, 1.9, 5, 3, 0.5, 0.5},
                 {-0.42, 0.42, 5, 5, -0.4, 0.2},
                 {1e-7, 9e-7, 4, 4, 2e-7, 2e-7},
                 {990, 1010, 3, 3, 990, 10},
                 {5, 5, 5, 0, 0, 0},
                 {0, INFINITY, 5, 0, 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double ticks[DCLS_MAX_TICKS];
        int count = dcls_ticks(cases[i].low, cases[i].high, cases[i].most, ticks);
        assert_int_equal(count, cases[i].count);
        for (int k = 0; k < count; k++)
            assert_true(fabs(ticks[k] - (cases[i].first + k * cases[i].step)) < 1e-6 * cases[i].step + 1e-12);
    }
}

static void test_numbers(void **state)
{
    char text[DCLS_NUMBER_TEXT];
    (void)state;
    assert_string_equal(dcls_plot_number(text, 0.123456), "0.123");
    assert_string_equal(dcls_plot_number(text, -0.0), "0");
    assert_string_equal(dcls_plot_number(text, 1234567), "1.23e+06");
}

/* Where index j of P goes: design equations, the quirk of unequal windows included. */
static void test_elements(void **state)
{
    static const float P[6] = {1.5f, -2, 0.25f, 3, -1, 0}; /* [3 axes, 1 row, 2 elements] */
    static const float weight[2] = {1, -2}, SIG[6] = {0.5f, -1, 0, 0, 2, 0};
    dcls_kernel k = {.version = DCLS_GAUSS,
                     .ndim = 3,
                     .size = {3, 5, 7},
                     .rows = 1,
                     .count = 2,
                     .position_rows = 1,
                     .spread_offset = 0.27f,
                     .weight = weight,
                     .P = P,
                     .SIG = SIG};
    (void)state;
    dcls_plot_element e = dcls_plot_element_at(&k, 0, 0);
    /* a(j) = 2 - j; the centre takes floor(D_j / 2) of the index's own number */
    assert_true(fabs(e.centre[2] - (1.5 + 1)) < 1e-6 && fabs(e.centre[1] - (0.25 + 2)) < 1e-6 &&
                fabs(e.centre[0] - (-1 + 3)) < 1e-6);
    assert_true(fabs(e.spread[2] - 0.77) < 1e-6 && fabs(e.spread[1] - 0.27) < 1e-6 &&
                fabs(e.spread[0] - 2.27) < 1e-6);
    assert_true(e.finite && e.inside && e.clamped); /* 1.5 is beyond floor(3 / 2) */
    e = dcls_plot_element_at(&k, 0, 1);
    assert_true(!e.inside && e.clamped); /* axis 2 at -2 + 1 = -1, axis 0 at 0 + 3 = 3 of 3 cells */
    k.version = DCLS_V0;
    e = dcls_plot_element_at(&k, 0, 0); /* a = 0, 2, 1 */
    assert_true(fabs(e.centre[0] - 2.5) < 1e-6 && fabs(e.centre[2] - 2.25) < 1e-6 &&
                fabs(e.centre[1] - 2) < 1e-6);
    float bad[6] = {NAN, 0, 0, 0, 0, INFINITY};
    k.P = bad;
    assert_false(dcls_plot_element_at(&k, 0, 0).finite);
    assert_false(dcls_plot_element_at(&k, 0, 1).finite);
}

/* Every element's unit is split linearly: by hand. */
static void test_density(void **state)
{
    static const float P[8] = {0.25f, 1, -1, 0, /* x of two rows */ 0.5f, 1, -1, 7 /* y */};
    static const float weight[4] = {1, 1, 1, 1};
    dcls_plot_layer layer = {.outputs = 2, .per_output = 1, .channel_count = 2};
    layer.k = (dcls_kernel){.version = DCLS_V1,
                            .ndim = 2,
                            .size = {3, 3},
                            .rows = 2,
                            .count = 2,
                            .position_rows = 2,
                            .weight = weight,
                            .P = P};
    static const double expected[9] = {1, 0, 0, 0, 0.375, 0.125, 0, 0.375, 0.125 + 1};
    double density[9];
    int64_t elements;
    (void)state;
    dcls_plot_density_of(&layer, density, &elements);
    assert_int_equal(elements, 4);
    for (int i = 0; i < 9; i++)
        assert_true(fabs(density[i] - expected[i]) < 1e-6);
    int64_t second = 1;
    layer.channels = &second;
    layer.channel_count = 1;
    dcls_plot_density_of(&layer, density, &elements);
    assert_int_equal(elements, 2);
    assert_true(fabs(density[0] - 1) < 1e-6 && density[8] == 0);
}

/* Rows of shared positions count once, whatever channels are chosen. */
static void test_shared_positions(void **state)
{
    dcls_plot_layer layer = {
        .outputs = 4, .per_output = 3, .channel_count = 2, .channels = (const int64_t[]){1, 3}};
    layer.k = (dcls_kernel){.rows = 12, .position_rows = 3};
    (void)state;
    assert_int_equal(dcls_plot_row_count(&layer), 6);
    assert_int_equal(dcls_plot_row(&layer, 0), 3);
    assert_int_equal(dcls_plot_row(&layer, 5), 11);
    assert_int_equal(dcls_plot_position_row_count(&layer), 3);
    assert_int_equal(dcls_plot_position_row(&layer, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oklab),     cmocka_unit_test(test_sequential),
        cmocka_unit_test(test_diverging), cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_elements),
        cmocka_unit_test(test_density),   cmocka_unit_test(test_shared_positions),
    };
    return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
