/* Vector kernels of every instruction set against plain loops in double precision, at sizes around the vector
 * width. */
#include "numeric_util.h"

#define LONGEST 56 /* three vectors of the widest set and some */

static const float guard = 12345.0f;

/* n floats and one behind that nobody may write. */
static float *guarded(int64_t n)
{
    float *y = new_floats(n + 1);
    y[n] = guard;
    return y;
}

static void release_guarded(float *y, int64_t n)
{
    assert_true(y[n] == guard);
    free(y);
}

static int64_t longest(const dcls_simd *simd)
{
    return 3 * simd->width + 5;
}

/* ---- elementwise ---- */

static void test_add_mul(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= longest(simd); n++) {
        float *a = new_floats(n), *b = new_floats(n), *sum = guarded(n), *product = guarded(n),
              *affine = guarded(n);
        simd->add(a, b, sum, n);
        simd->mul(a, b, product, n);
        simd->scale_shift(a, affine, n, 1.5f, -0.25f);
        for (int64_t i = 0; i < n; i++) {
            assert_true(sum[i] == a[i] + b[i]);
            assert_true(product[i] == a[i] * b[i]);
            assert_near(affine[i], 1.5 * (double)a[i] - 0.25, 2, "scale_shift", i);
        }
        simd->add(a, b, a, n);
        assert_same_bits(a, sum, n, "add in place");
        release_guarded(sum, n);
        release_guarded(product, n);
        release_guarded(affine, n);
        free(a);
        free(b);
    }
}

static void test_activate_sizes(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int activation = DCLS_ACT_NONE; activation <= DCLS_ACT_SIGMOID; activation++)
        for (int64_t n = 0; n <= longest(simd); n++) {
            float *x = new_floats(n), *y = guarded(n);
            simd->activate((dcls_activation)activation, x, y, n);
            for (int64_t i = 0; i < n; i++)
                assert_near(y[i],
                            (double)reference_activation((dcls_activation)activation, (long double)x[i]), 1,
                            "activate", i);
            simd->activate((dcls_activation)activation, x, x, n);
            assert_same_bits(x, y, n, "activate in place");
            release_guarded(y, n);
            free(x);
        }
}

typedef struct epilogue_case {
    int64_t n;
    dcls_activation first, second;
    bool residual, in_place;
} epilogue_case;

static void check_epilogue(const dcls_simd *simd, epilogue_case c)
{
    const float bias = 0.3f, scale = -1.25f, shift = 0.125f;
    float *x = new_floats(c.n), *residual = new_floats(c.n), *y = guarded(c.n);
    memcpy(y, x, (size_t)c.n * sizeof *y);
    simd->epilogue(y,
                   !c.residual  ? NULL
                   : c.in_place ? y
                                : residual,
                   c.n, bias, c.first, scale, shift, c.second);
    for (int64_t i = 0; i < c.n; i++) {
        long double v = reference_activation(c.first, (long double)(x[i] + bias));
        v = (long double)scale * v + (long double)shift;
        if (c.residual) v += (long double)(c.in_place ? x[i] : residual[i]);
        assert_near(y[i], (double)reference_activation(c.second, v), 3, "epilogue", i);
    }
    release_guarded(y, c.n);
    free(residual);
    free(x);
}

static void test_epilogue(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= longest(simd); n++)
        for (int pair = 0; pair < 25; pair++)
            for (int residual = 0; residual < 3; residual++)
                check_epilogue(simd,
                               (epilogue_case){n, (dcls_activation)(pair / 5), (dcls_activation)(pair % 5),
                                               residual > 0, residual == 2});
}

static void test_epilogue_nan(void **state)
{
    float y[3] = {NAN, -INFINITY, INFINITY};
    simd_of(state)->epilogue(y, NULL, 3, 0.0f, DCLS_ACT_NONE, 1.0f, 0.0f, DCLS_ACT_RELU);
    assert_true(isnan(y[0]));
    assert_true(y[1] == 0.0f);
    assert_true(isinf(y[2]));
}

/* ---- reductions ---- */

static void test_sum_max(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= 2 * LONGEST + 9000; n = n < 2 * LONGEST ? n + 1 : n * 3 + 1) {
        float *x = new_floats(n);
        double sum = 0, magnitude = 0, largest = -INFINITY;
        for (int64_t i = 0; i < n; i++) {
            sum += (double)x[i];
            magnitude += fabs((double)x[i]);
            largest = fmax(largest, (double)x[i]);
        }
        assert_near(simd->sum(x, n), sum, magnitude, "sum", n);
        if (n > 0) assert_true((double)simd->max(x, n) == largest);
        free(x);
    }
}

static void test_max_nan(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 1; n <= longest(simd); n++)
        for (int64_t at = 0; at < n; at++) {
            float *x = new_floats(n);
            x[at] = NAN;
            assert_true(isnan(simd->max(x, n)));
            x[at] = 3.0f;
            assert_true(simd->max(x, n) == 3.0f);
            free(x);
        }
}

/* A sum of very many floats must not lose them one by one. */
static void test_sum_is_accurate(void **state)
{
    const int64_t n = 1 << 22;
    float *x = new_floats(n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        x[i] = 0.1f + 0.01f * x[i];
        sum += (double)x[i];
    }
    double error = fabs((double)simd_of(state)->sum(x, n) - sum) / sum;
    if (error > 5e-7) fail_msg("relative error %.3g", error);
    free(x);
}

static void test_exp_sum(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= longest(simd); n++) {
        float *x = new_floats(n), *y = guarded(n);
        double expected = 0;
        float sum = simd->exp_sum(x, y, n, 0.75f);
        for (int64_t i = 0; i < n; i++) {
            assert_near(y[i], exp((double)x[i] - 0.75), 1, "exp", i);
            expected += (double)y[i];
        }
        assert_near(sum, expected, expected, "exp_sum", n);
        release_guarded(y, n);
        free(x);
    }
}

/* ---- taps ---- */

typedef struct taps_case {
    int64_t window, taps, rows, n, step, row_step;
    bool by_column; /* vertical neighbours follow each other */
} taps_case;

/* Picks `taps` cells of a window, fewer if it is smaller. Returns how many. */
static int64_t choose_taps(taps_case c, int64_t plane_width, int64_t *offset, float *value)
{
    int64_t count = 0, cells = c.window * c.window;
    for (int64_t cell = 0; cell < cells; cell++) {
        if (random_int(0, cells - 1) >= c.taps) continue;
        int64_t major = cell / c.window, minor = cell % c.window;
        offset[count] = c.by_column ? minor * plane_width + major : major * plane_width + minor;
        value[count++] = random_float();
    }
    return count;
}

static void check_taps_values(taps_case c, const float *x, int64_t x_stride, const int64_t *offset,
                              const float *value, int64_t count, const float *y, int64_t y_stride)
{
    for (int64_t r = 0; r < c.rows; r++)
        for (int64_t i = 0; i < c.n; i++) {
            double expected = 0, magnitude = 0;
            for (int64_t t = 0; t < count; t++) {
                double term = (double)value[t] * (double)x[offset[t] + r * x_stride + i * c.step];
                expected += term;
                magnitude += fabs(term);
            }
            assert_near(y[r * y_stride + i], expected, magnitude, "taps_rows", r * c.n + i);
        }
}

/* x is exactly as large as the contract allows the kernel to read. */
static void check_taps(const dcls_simd *simd, taps_case c)
{
    int64_t width = (c.n - 1) * c.step + c.window, height = (c.rows - 1) * c.row_step + c.window;
    int64_t y_stride = c.n + 3;
    int64_t *offset = calloc((size_t)(c.window * c.window), sizeof *offset);
    float *x = new_floats(width * height), *value = new_floats(c.window * c.window);
    float *y = new_floats(c.rows * y_stride);
    for (int64_t r = 0; r < c.rows; r++)
        for (int64_t i = c.n; i < y_stride; i++)
            y[r * y_stride + i] = guard;
    int64_t count = choose_taps(c, width, offset, value);
    simd->taps_rows(x, c.row_step * width, c.step, offset, value, count, y, y_stride, c.rows, c.n);
    check_taps_values(c, x, c.row_step * width, offset, value, count, y, y_stride);
    for (int64_t r = 0; r < c.rows; r++)
        for (int64_t i = c.n; i < y_stride; i++)
            assert_true(y[r * y_stride + i] == guard);
    free(y);
    free(value);
    free(x);
    free(offset);
}

/* Past the widest tile of a row and the highest of a column. */
static void test_taps_rows(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t rows = 1; rows <= 19; rows++)
        for (int64_t n = 1; n <= 5 * simd->width + 3; n += rows % 3 + 1)
            for (int64_t step = 1; step <= 3; step++) {
                taps_case c = {5, random_int(0, 25), rows, n, step, random_int(1, 3), random_bits() & 1};
                check_taps(simd, c);
            }
}

/* Every cell of a window: the longest runs. */
static void test_taps_dense(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t rows = 1; rows <= 16; rows++)
        for (int64_t n = 1; n <= longest(simd); n += 3) {
            check_taps(simd, (taps_case){7, 49, rows, n, 1, 1, true});
            check_taps(simd, (taps_case){7, 49, rows, n, 2, 2, true});
        }
}

static void test_axpy(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= longest(simd); n++)
        for (int64_t step = 1; step <= 4; step++) {
            float *x = new_floats(n > 0 ? (n - 1) * step + 1 : 0), *y = guarded(n),
                  *before = copy_floats(y, n);
            simd->axpy(-0.7f, x, step, y, n);
            for (int64_t i = 0; i < n; i++)
                assert_near(y[i], (double)before[i] + (double)-0.7f * (double)x[i * step], 2, "axpy", i);
            release_guarded(y, n);
            free(before);
            free(x);
        }
}

/* ---- over channels ---- */

typedef struct columns_case {
    int64_t channels, stride, n;
    bool weighted;
} columns_case;

static void check_layer_norm(const dcls_simd *simd, columns_case c)
{
    int64_t size = (c.channels - 1) * c.stride + c.n;
    float *x = new_floats(size), *y = new_floats(size), *weight = new_floats(c.channels),
          *bias = new_floats(c.channels);
    for (int64_t i = 0; i < size; i++)
        x[i] += 5.0f;
    simd->layer_norm(x, y, c.channels, c.stride, c.n, c.weighted ? weight : NULL, c.weighted ? bias : NULL,
                     1e-3f);
    for (int64_t i = 0; i < c.n; i++) {
        double mean = 0, var = 0;
        for (int64_t k = 0; k < c.channels; k++)
            mean += (double)x[k * c.stride + i] / (double)c.channels;
        for (int64_t k = 0; k < c.channels; k++)
            var += pow((double)x[k * c.stride + i] - mean, 2) / (double)c.channels;
        for (int64_t k = 0; k < c.channels; k++) {
            double v = ((double)x[k * c.stride + i] - mean) / sqrt(var + (double)1e-3f);
            if (c.weighted) v = v * (double)weight[k] + (double)bias[k];
            assert_near(y[k * c.stride + i], v, 5 / sqrt(var + 1e-3), "layer_norm", k);
        }
    }
    simd->layer_norm(x, x, c.channels, c.stride, c.n, c.weighted ? weight : NULL, c.weighted ? bias : NULL,
                     1e-3f);
    for (int64_t k = 0; k < c.channels; k++)
        assert_same_bits(x + k * c.stride, y + k * c.stride, c.n, "layer_norm in place");
    free(bias);
    free(weight);
    free(y);
    free(x);
}

static void check_softmax(const dcls_simd *simd, columns_case c)
{
    int64_t size = (c.channels - 1) * c.stride + c.n;
    float *x = new_floats(size), *y = new_floats(size);
    for (int64_t i = 0; i < size; i++)
        x[i] *= 30.0f;
    simd->softmax(x, y, c.channels, c.stride, c.n);
    for (int64_t i = 0; i < c.n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < c.channels; k++)
            sum += exp((double)x[k * c.stride + i]);
        for (int64_t k = 0; k < c.channels; k++)
            assert_near(y[k * c.stride + i], exp((double)x[k * c.stride + i]) / sum, 1, "softmax", k);
    }
    free(y);
    free(x);
}

static void test_larger(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= 3 * simd->width + 2; n++)
        for (int64_t step = 1; step <= 3; step++) {
            float *x = new_floats(n > 0 ? (n - 1) * step + 1 : 0), *y = new_floats(n);
            if (n > 2) x[(n - 2) * step] = y[0] = NAN;
            float *before = copy_floats(y, n);
            simd->larger(x, step, y, n);
            for (int64_t i = 0; i < n; i++) {
                float v = x[i * step], expected = v > before[i] || isnan(v) ? v : before[i];
                assert_memory_equal(&y[i], &expected, sizeof expected);
            }
            free(x), free(y), free(before);
        }
}

static float larger_of(float a, float b)
{
    return isnan(a) || a > b ? a : isnan(b) ? NAN : b;
}

static void test_max_halving(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 0; n <= 3 * simd->width + 2; n++) {
        const int64_t stride = 2 * n + n % 2;
        float *x = new_floats(stride + 2 * n), *y = new_floats(n);
        for (int i = 0; i < 4 && n > 6; i++) /* at each place of a window, and a whole window */
            x[(i / 2) * stride + 2 * i + i % 2] = x[(i / 2) * stride + 2 * (n - 1) + i % 2] = NAN;
        simd->max_halving(x, stride, y, n);
        for (int64_t i = 0; i < n; i++) {
            const float *at = x + 2 * i;
            const float expected = larger_of(larger_of(at[0], at[1]), larger_of(at[stride], at[stride + 1]));
            if (isnan(expected))
                assert_true(isnan(y[i]));
            else
                assert_true(y[i] == expected);
        }
        free(x), free(y);
    }
}

/* Panels to rows of an output, and rows to panels and back. */
static void check_finish(const dcls_simd *simd, int64_t rows, int64_t pixels, int terms)
{
    const int64_t panel = DCLS_GEMM_PANEL, panels = (pixels + panel - 1) / panel, x_stride = rows * panel + 3;
    const int64_t stride = pixels + random_int(0, 3), floats = rows * stride;
    float *x = new_floats(panels * x_stride), *y = new_floats(floats), *residual = new_floats(floats);
    float *bias = new_floats(rows), *scale = new_floats(rows), *shift = new_floats(rows);
    float *before = copy_floats(y, floats);
    const dcls_finish f = {.rows = rows,
                           .pixels = pixels,
                           .x = x,
                           .x_stride = x_stride,
                           .y = y,
                           .residual = terms & 1 ? residual : NULL,
                           .stride = stride,
                           .bias = terms & 2 ? bias : NULL,
                           .scale = terms & 4 ? scale : NULL,
                           .shift = terms & 4 ? shift : NULL,
                           .activation = (dcls_activation)(pixels % 5),
                           .activation2 = terms & 8 ? DCLS_ACT_RELU : DCLS_ACT_NONE};
    simd->finish(&f);
    for (int64_t i = 0; i < floats; i++) {
        int64_t r = i / stride, p = i % stride;
        if (p >= pixels) {
            assert_true(y[i] == before[i]);
            continue;
        }
        double v = (double)x[p / panel * x_stride + r * panel + p % panel] + (f.bias ? (double)bias[r] : 0);
        v = (double)reference_activation(f.activation, v);
        if (f.scale) v = v * (double)scale[r] + (double)shift[r];
        if (f.residual) v += (double)residual[i];
        assert_near(y[i], f.activation2 == DCLS_ACT_RELU && v < 0 ? 0 : v, 4, "finish", i);
    }
    float *again = copy_floats(y, floats);
    simd->to_panels(before, pixels, x, x_stride);
    simd->from_panels(x, x_stride, again, pixels);
    assert_memory_equal(again, before, (size_t)pixels * sizeof *again);
    free(x), free(y), free(residual), free(bias), free(scale), free(shift), free(before), free(again);
}

static void test_finish(void **state)
{
    for (int64_t pixels = 1; pixels <= 3 * DCLS_GEMM_PANEL + 1; pixels++)
        check_finish(simd_of(state), 1 + pixels % 4, pixels, (int)random_int(0, 15));
}

static void test_columns(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int64_t n = 1; n <= longest(simd); n++)
        for (int64_t channels = 1; channels <= 70; channels = channels * 2 + 1) {
            columns_case c = {channels, n + random_int(0, 3), n, random_bits() & 1};
            check_layer_norm(simd, c);
            check_softmax(simd, c);
        }
}

/* A matrix that is positive definite because its diagonal outweighs the rest; U^T U must give it back. Bands
 * leave zeros to skip. */
static void check_cholesky(const dcls_simd *simd, int64_t n, int64_t band)
{
    double *a = calloc((size_t)(n * n), sizeof *a), *u = malloc((size_t)(n * n) * sizeof *u);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n && j < i + band; j++)
            a[i * n + j] = i == j ? (double)band + 1 : (double)random_float();
    memcpy(u, a, (size_t)(n * n) * sizeof *u);
    assert_true(simd->cholesky(u, n));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < n; j++) {
            double sum = 0;
            for (int64_t k = 0; k <= i; k++)
                sum += u[k * n + i] * u[k * n + j];
            if (!(fabs(sum - a[i * n + j]) < 1e-9)) fail_msg("n %d, cell %d, %d", (int)n, (int)i, (int)j);
        }
    memcpy(u, a, (size_t)(n * n) * sizeof *u);
    u[(n - 1) * n + n - 1] = -1;
    assert_false(simd->cholesky(u, n));
    free(a);
    free(u);
}

static void test_cholesky(void **state)
{
    for (int64_t n = 1; n <= 40; n++)
        for (int64_t band = 1; band <= n; band += 5)
            check_cholesky(simd_of(state), n, band);
}

static void test_get(void **state)
{
    const dcls_simd *simd = simd_of(state);
    assert_string_equal(simd->name, dcls_cpu_name((dcls_cpu_level)(intptr_t)*state));
    assert_ptr_equal(dcls_simd_get(DCLS_CPU_SCALAR), dcls_simd_get((dcls_cpu_level)-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),         cmocka_unit_test(test_add_mul),
        cmocka_unit_test(test_epilogue),    cmocka_unit_test(test_activate_sizes),
        cmocka_unit_test(test_sum_max),     cmocka_unit_test(test_epilogue_nan),
        cmocka_unit_test(test_max_nan),     cmocka_unit_test(test_sum_is_accurate),
        cmocka_unit_test(test_exp_sum),     cmocka_unit_test(test_taps_rows),
        cmocka_unit_test(test_taps_dense),  cmocka_unit_test(test_axpy),
        cmocka_unit_test(test_max_halving), cmocka_unit_test(test_larger),
        cmocka_unit_test(test_finish),      cmocka_unit_test(test_columns),
        cmocka_unit_test(test_cholesky),
    };
    return run_at_every_level("simd", tests, sizeof tests / sizeof *tests);
}
