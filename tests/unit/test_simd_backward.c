/* Vector kernels of training, of every instruction set, against plain loops in double precision. */
#include "numeric_util.h"

#define LONGEST 56

/* The derivative of an activation by central differences of the long double reference. */
static double reference_slope(dcls_activation activation, double x)
{
    const long double h = 1e-5L, at = (long double)x;
    return (double)((reference_activation(activation, at + h) - reference_activation(activation, at - h)) /
                    (2 * h));
}

static void test_activate_slope(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int kind = DCLS_ACT_NONE; kind <= DCLS_ACT_SIGMOID; kind++)
        for (int64_t n = 0; n <= LONGEST; n++) {
            float *x = new_floats(n), *y = new_floats(n), *slope = new_floats(n);
            for (int64_t i = 0; i < n; i++)
                x[i] *= 10;
            float moments[2];
            double off = 0, squares = 0;
            simd->activate_slope((dcls_activation)kind, x, y, slope, n, 0.5f, moments);
            for (int64_t i = 0; i < n; i++) {
                const double at = (double)x[i];
                assert_near((double)y[i],
                            (double)reference_activation((dcls_activation)kind, (long double)at),
                            0.3 * fmax(1, fabs(at)), "value", i);
                off += (double)y[i] - 0.5;
                squares += ((double)y[i] - 0.5) * ((double)y[i] - 0.5);
                if (kind == DCLS_ACT_RELU && fabs(at) < 1e-4) continue;
                assert_near((double)slope[i], reference_slope((dcls_activation)kind, at), 1, "slope", i);
            }
            assert_near((double)moments[0], off, 10 * (double)n, "moments, sum", n);
            assert_near((double)moments[1], squares, squares, "moments, squares", n);
            free(x);
            free(y);
            free(slope);
        }
    float extreme[] = {-INFINITY, -1e30f, 1e30f, INFINITY, NAN, 0.0f}, y[6], slope[6];
    simd->activate_slope(DCLS_ACT_GELU, extreme, y, slope, 6, 0, (float[2]){0});
    assert_true(y[1] == 0 && slope[1] == 0 && y[2] == 1e30f && slope[2] == 1 &&
                fabsf(slope[5] - 0.5f) < 2e-7f);
    assert_true(isnan(y[4]) && isnan(slope[4]));
}

static void test_sums(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= 4 * LONGEST; n++) {
        float *x = new_floats(n), *y = new_floats(n), *z = new_floats(n), *before = copy_floats(z, n), out[2];
        double off = 0, squares = 0, sum = 0, product = 0;
        for (int64_t i = 0; i < n; i++) {
            const double d = (double)x[i] - 0.25;
            off += d;
            squares += d * d;
            sum += (double)y[i];
            product += (double)y[i] * d;
        }
        simd->moments(x, n, 0.25f, out);
        assert_near((double)out[0], off, (double)n, "moments, sum", n);
        assert_near((double)out[1], squares, squares, "moments, squares", n);
        simd->sum_products(y, x, n, 0.25f, out);
        assert_near((double)out[0], sum, (double)n, "sum", n);
        assert_near((double)out[1], product, (double)n, "product", n);
        simd->combine(y, x, z, n, 1.5f, -2.0f, 0.5f, true);
        for (int64_t i = 0; i < n; i++)
            assert_near((double)z[i], (double)before[i] + 1.5 * (double)y[i] - 2.0 * (double)x[i] + 0.5, 4,
                        "combine", i);
        memcpy(z, before, (size_t)n * sizeof *z);
        double whole = 0;
        for (int64_t i = 0; i < n; i++)
            whole += (double)before[i] * (1.5 * (double)y[i] - 2.0 * (double)x[i] + 0.5);
        assert_near((double)simd->combine_product(y, x, before, z, n, 1.5f, -2.0f, 0.5f, true), whole,
                    (double)n, "combine_product, sum", n);
        for (int64_t i = 0; i < n; i++)
            assert_near((double)z[i], (double)before[i] * (1 + 1.5 * (double)y[i] - 2.0 * (double)x[i] + 0.5),
                        5, "combine_product", i);
        memcpy(z, before, (size_t)n * sizeof *z);
        simd->gate(x, y, z, n, true);
        for (int64_t i = 0; i < n; i++)
            assert_near((double)z[i], (double)before[i] + (x[i] > 0 ? (double)y[i] : 0), 2, "gate", i);
        memcpy(z, before, (size_t)n * sizeof *z);
        simd->add_product(x, y, z, n);
        for (int64_t i = 0; i < n; i++)
            assert_near((double)z[i], (double)before[i] + (double)x[i] * (double)y[i], 2, "add_product", i);
        free(x);
        free(y);
        free(z);
        free(before);
    }
}

static void test_transpose(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t rows = 1; rows <= 36; rows++)
        for (int64_t columns = 1; columns <= 36; columns++) {
            const int64_t x_stride = columns + random_int(0, 3), y_stride = rows + random_int(0, 3);
            float *x = new_floats((rows - 1) * x_stride + columns), *y = new_floats(columns * y_stride),
                  *before = copy_floats(y, columns * y_stride);
            simd->transpose(x, x_stride, rows, columns, y, y_stride);
            for (int64_t c = 0; c < columns; c++)
                for (int64_t r = 0; r < y_stride; r++)
                    assert_true(y[c * y_stride + r] ==
                                (r < rows ? x[r * x_stride + c] : before[c * y_stride + r]));
            free(x);
            free(y);
            free(before);
        }
}

typedef struct dots_case {
    int64_t rows, n, step, taps;
} dots_case;

static void check_dots(const dcls_simd *simd, dots_case c)
{
    const int64_t margin = 4, stride = (c.n - 1) * c.step + 1 + margin, height = c.rows + margin;
    float *x = new_floats(stride * height), *y = new_floats(c.rows * c.n),
          *sum = calloc((size_t)(c.taps * simd->width), sizeof *sum);
    int64_t offset[32];
    for (int64_t t = 0; t < c.taps; t++) /* runs of several lengths, down columns */
        offset[t] = t % 5 < 4 ? (t % 5) * stride + t / 5 % margin : random_int(0, margin - 1);
    simd->taps_dots(x, stride, c.step, offset, c.taps, y, c.n, c.rows, c.n, sum);
    for (int64_t t = 0; t < c.taps; t++) {
        double expected = 0, got = 0;
        for (int64_t r = 0; r < c.rows; r++)
            for (int64_t i = 0; i < c.n; i++)
                expected += (double)y[r * c.n + i] * (double)x[offset[t] + r * stride + i * c.step];
        for (int lane = 0; lane < simd->width; lane++)
            got += (double)sum[t * simd->width + lane];
        assert_near(got, expected, (double)(c.rows * c.n), "taps_dots", t);
    }
    free(x);
    free(y);
    free(sum);
}

static void test_taps_dots(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t rows = 1; rows <= 35; rows += rows < 18 ? 1 : 5)
        for (int64_t n = 1; n <= 2 * simd->width + 3; n++)
            for (int64_t step = 1; step <= 3; step++)
                check_dots(simd, (dots_case){rows, n, step, random_int(1, 25)});
}

typedef struct norm_case {
    int64_t channels, stride, n;
    bool weighted, add;
} norm_case;

/* Sums of lanes. */
static double total(const dcls_simd *simd, const float *sums, int64_t at)
{
    double sum = 0;
    for (int lane = 0; lane < simd->width; lane++)
        sum += (double)sums[at * simd->width + lane];
    return sum;
}

static void check_layer_norm(const dcls_simd *simd, norm_case c)
{
    const int64_t count = (c.channels - 1) * c.stride + c.n;
    float *x = new_floats(count), *dy = new_floats(count), *dx = new_floats(count),
          *before = copy_floats(dx, count), *weight = new_floats(c.channels);
    float *dw = calloc((size_t)(c.channels * simd->width), sizeof *dw),
          *db = calloc((size_t)(c.channels * simd->width), sizeof *db);
    double *want_dw = calloc((size_t)c.channels, sizeof *want_dw);
    const double eps = 0.01, channels = (double)c.channels;
    simd->layer_norm_backward(x, dy, dx, c.channels, c.stride, c.n, c.weighted ? weight : NULL, (float)eps,
                              c.add, dw, db);
    for (int64_t i = 0; i < c.n; i++) {
        double mean = 0, var = 0, sum = 0, product = 0;
        for (int64_t k = 0; k < c.channels; k++)
            mean += (double)x[k * c.stride + i] / channels;
        for (int64_t k = 0; k < c.channels; k++)
            var += pow((double)x[k * c.stride + i] - mean, 2) / channels;
        const double factor = 1 / sqrt(var + eps);
        for (int64_t k = 0; k < c.channels; k++) {
            const double g = (double)dy[k * c.stride + i], w = c.weighted ? (double)weight[k] : 1;
            const double normal = ((double)x[k * c.stride + i] - mean) * factor;
            want_dw[k] += g * normal;
            sum += g * w / channels;
            product += g * w * normal / channels;
        }
        for (int64_t k = 0; k < c.channels; k++) {
            const double g = (double)dy[k * c.stride + i] * (c.weighted ? (double)weight[k] : 1);
            const double normal = ((double)x[k * c.stride + i] - mean) * factor;
            const double want =
                factor * (g - sum - normal * product) + (c.add ? (double)before[k * c.stride + i] : 0);
            assert_near((double)dx[k * c.stride + i], want, 40, "dx", k);
        }
    }
    for (int64_t k = 0; k < c.channels; k++)
        assert_near(total(simd, dw, k), want_dw[k], 20 * (double)c.n, "dweight", k);
    free(x);
    free(dy);
    free(dx);
    free(before);
    free(weight);
    free(dw);
    free(db);
    free(want_dw);
}

static void test_layer_norm_backward(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 1; n <= LONGEST; n += 3)
        for (int64_t channels = 2; channels <= 70; channels = channels * 2 + 1)
            check_layer_norm(
                simd, (norm_case){channels, n + random_int(0, 3), n, random_bits() & 1, random_bits() & 1});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activate_slope),      cmocka_unit_test(test_sums),
        cmocka_unit_test(test_transpose),           cmocka_unit_test(test_taps_dots),
        cmocka_unit_test(test_layer_norm_backward),
    };
    return run_at_every_level("simd_backward", tests, sizeof tests / sizeof *tests);
}
