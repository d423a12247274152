/* Convolutions by AMX tiles against a plain loop in double precision, with the processor's tiles where there
 * are any and with emulated ones everywhere: the same bits, however planes are cut and images are joined. */
#include "conv_util.h"

#include "amx_util.h"
#include "ops/conv_backward.h"

static dcls_geometry plain(int64_t batch, int64_t in, int64_t out, int64_t side, int64_t kernel)
{
    dcls_geometry g = {.batch = batch,
                       .in_channels = in,
                       .out_channels = out,
                       .groups = 1,
                       .in = {1, side, side + 1},
                       .kernel = {1, kernel, kernel},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 1},
                       .pad = {0, kernel / 2, kernel / 2}};
    set_out(&g);
    return g;
}

static dcls_geometry padded(int64_t batch, int64_t in, int64_t out, int64_t side, int64_t pad)
{
    dcls_geometry g = plain(batch, in, out, side, 3);
    g.pad[1] = g.pad[2] = pad;
    set_out(&g);
    return g;
}

/* A number that bfloat16 has. */
static void round_all(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = roundf(x[i] * 64) / 64;
}

/* ---- forward ---- */

static void check(dcls_context *ctx, const dcls_geometry *g, int parts)
{
    problem p = {.g = *g, .algorithm = AMX};
    make_epilogue(&p);
    make_problem(ctx, &p);
    if (parts == 1) {
        round_all(p.in, g->batch * g->in_channels * dcls_volume(g->in));
        round_all(p.dense, g->out_channels * g->in_channels * dcls_volume(g->kernel));
        free(p.expected), free(p.magnitude);
        compute_expected(&p);
    }
    float *first[2] = {NULL, NULL};
    const dcls_simd *simd = dcls_simd_get(dcls_cpu_detect());
    const dcls_amx *tables[AMX_TABLES];
    const int count = amx_tables(parts, tables);
    for (int t = 0; t < count; t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            p.amx =
                (dcls_conv_how){.amx = tables[t], .parts = parts, .threads = threads, .images = p.amx.images};
            float **same = &first[amx_is_exact(tables[t])];
            dcls_conv *conv = create(ctx, &p);
            check_with(&p, conv, simd);
            float *out = run(&p, conv, simd, 1, false);
            if (*same != NULL) check_same_bits(&p, *same, out, p.amx.amx->name, threads);
            if (*same == NULL)
                *same = out;
            else
                free(out);
            dcls_conv_destroy(conv);
        }
    free(first[0]), free(first[1]);
    free_problem(&p);
}

static void random_windows(void **state)
{
    for (int i = 0; i < 40; i++) {
        dcls_geometry g = {.batch = random_int(1, 4), .groups = 1};
        for (int d = 0; d < 3; d++)
            g.in[d] = g.out[d] = g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
        for (int d = i % 8 ? 1 : 0; d < 3; d++) {
            g.in[d] = random_int(1, d ? 14 : 3);
            g.kernel[d] = random_int(1, d ? 5 : 2);
            g.stride[d] = random_int(0, 2) ? 1 : random_int(1, 3);
            g.dilation[d] = random_int(1, 3);
            g.pad[d] = random_int(0, 4) ? (g.kernel[d] - 1) * g.dilation[d] / 2
                                        : random_int(-1, (g.kernel[d] - 1) * g.dilation[d] + 3);
        }
        g.in_channels = random_int(1, 40);
        g.out_channels = random_int(1, 50);
        if (!set_out(&g)) continue;
        for (int d = 1; d < 3; d++)
            if (random_int(0, 3) == 0) g.out[d] += random_int(0, 3);
        check(*state, &g, random_int(0, 1) ? 3 : 1);
    }
}

static void large_windows(void **state)
{
    const dcls_geometry shapes[] = {
        plain(1, 300, 40, 7, 3),  /* chunks of channels */
        plain(1, 900, 20, 4, 3),  /* chunks of bfloat16 numbers */
        plain(1, 34, 33, 40, 3),  /* pieces of rows */
        plain(1, 700, 33, 20, 1), /* pointwise, chunks and pieces */
        plain(9, 20, 30, 4, 3),   /* joined images */
        plain(7, 33, 17, 3, 1),   /* the same, pointwise */
        padded(4, 20, 18, 4, 3),  /* more padding than a window reaches: images share outputs' rows no more */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int parts = 1; parts <= 3; parts += 2)
            check(*state, &shapes[i], parts);
}

/* ---- pairs ---- */

static void check_pair(dcls_context *ctx, const dcls_geometry *g, int64_t hidden, int parts)
{
    const int64_t in = g->batch * g->in_channels * dcls_volume(g->in), out = out_floats(g);
    float *x = new_floats(in), *first = new_floats(hidden * g->in_channels), *bias = new_floats(hidden),
          *second = new_floats(g->out_channels * hidden), *expected[2] = {NULL, NULL};
    const dcls_conv_expansion e = {hidden, first, bias, (dcls_activation)random_int(0, 3), false};
    const dcls_simd *simd = dcls_simd_get(dcls_cpu_detect());
    dcls_conv *conv;
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, g, &e, second, NULL, &conv), DCLS_OK);
    problem p = {.g = *g, .algorithm = AMX, .in = x};
    float *plain_result = run(&p, conv, simd, 1, false);
    dcls_conv_destroy(conv);
    const dcls_amx *tables[AMX_TABLES];
    const int count = amx_tables(parts, tables);
    for (int t = 0; t < count; t++)
        for (int threads = 1; threads <= 3; threads += 2) {
            const dcls_conv_how how = {tables[t], parts, threads, 1};
            float **same = &expected[amx_is_exact(tables[t])];
            assert_int_equal(dcls_conv_create_amx_pair(ctx, how, g, &e, second, NULL, &conv), DCLS_OK);
            float *y = run(&p, conv, simd, threads, false);
            const double tolerance =
                (parts == 1 ? 1e-2 : 2e-6) * (4 + sqrt((double)g->in_channels)) * sqrt((double)hidden);
            for (int64_t i = 0; i < out; i++)
                if (fabs((double)y[i] - (double)plain_result[i]) > tolerance)
                    fail_msg("output %lld is %.9g, should be %.9g", (long long)i, (double)y[i],
                             (double)plain_result[i]);
            if (*same != NULL) check_same_bits(&p, *same, y, how.amx->name, threads);
            if (*same == NULL)
                *same = y;
            else
                free(y);
            dcls_conv_destroy(conv);
        }
    free(x), free(first), free(bias), free(second), free(expected[0]), free(expected[1]);
    free(plain_result);
}

static void pairs(void **state)
{
    static const int64_t sizes[][5] = {
        /* batch, channels in, between, out, side */
        {1, 5, 3, 4, 2}, {2, 33, 70, 31, 5}, {1, 64, 300, 64, 9}, {3, 40, 33, 17, 4}, {1, 24, 800, 40, 7},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int parts = 1; parts <= 3; parts += 2) {
            const dcls_geometry g = plain(sizes[i][0], sizes[i][1], sizes[i][3], sizes[i][4], 1);
            check_pair(*state, &g, sizes[i][2], parts);
        }
}

/* ---- several images at run time ---- */

static void images_joined_or_not(void **state)
{
    dcls_context *ctx = *state;
    for (int i = 0; i < 30; i++) {
        dcls_geometry g =
            plain(1, random_int(8, 40), random_int(9, 40), random_int(2, 8), random_int(0, 1) ? 3 : 1);
        const int64_t images = random_int(1, 9), in = g.in_channels * dcls_volume(g.in),
                      out = g.out_channels * dcls_volume(g.out);
        float *x = new_floats(images * in),
              *weight = new_floats(g.out_channels * g.in_channels * dcls_volume(g.kernel)),
              *before = new_floats(images * out), *joined = copy_floats(before, images * out),
              *alone = copy_floats(before, images * out);
        const int parts = i % 2 ? 3 : 1;
        const dcls_amx *tables[AMX_TABLES];
        const int count = amx_tables(parts, tables);
        const dcls_epilogue sum = {.residual = random_int(0, 1) == 1};
        const dcls_simd *simd = dcls_simd_get(dcls_cpu_detect());
        for (int way = 0; way < 2; way++) {
            const dcls_conv_how how = {tables[count - 1], parts, 1, way == 0 ? 1 : images};
            dcls_conv *conv;
            assert_int_equal(dcls_conv_create_amx(ctx, how, &g, weight, &sum, &conv), DCLS_OK);
            void *workspace = aligned_alloc(64, dcls_conv_workspace(conv, 1) + 64);
            float *y = way == 0 ? alone : joined;
            for (int64_t n = 0; n < images && way == 0; n++)
                dcls_conv_run(conv, simd, x + n * in, y + n * out, y + n * out, workspace, 1);
            if (way == 1) dcls_conv_run_images(conv, simd, images, x, y, y, workspace);
            free(workspace);
            dcls_conv_destroy(conv);
        }
        assert_same_bits(alone, joined, images * out, "joined");
        free(x), free(weight), free(before), free(joined), free(alone);
    }
}

/* ---- backward ---- */

/* dy columns^T, of all images. */
static void expected_gradient(const dcls_geometry *g, int64_t images, const float *x, const float *dy,
                              double *gradient, double *magnitude)
{
    const int64_t cells = dcls_volume(g->kernel);
    for (int64_t n = 0; n < images; n++)
        for (int64_t o = 0; o < g->out_channels; o++)
            for (int64_t c = 0; c < g->in_channels; c++)
                for (int64_t k = 0; k < cells; k++)
                    for (int64_t i = 0; i < dcls_volume(g->out); i++) {
                        int64_t y = i / g->out[2] - g->pad[1] + k / g->kernel[2] * g->dilation[1];
                        int64_t v = i % g->out[2] - g->pad[2] + k % g->kernel[2] * g->dilation[2];
                        if (y < 0 || y >= g->in[1] || v < 0 || v >= g->in[2]) continue;
                        double term = (double)dy[(n * g->out_channels + o) * dcls_volume(g->out) + i] *
                                      (double)x[((n * g->in_channels + c) * g->in[1] + y) * g->in[2] + v];
                        gradient[(o * g->in_channels + c) * cells + k] += term;
                        magnitude[(o * g->in_channels + c) * cells + k] += fabs(term);
                    }
}

static void weights_gradient(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        dcls_geometry g = plain(1, random_int(8, 40), random_int(8, 40), random_int(2, 9), 1);
        for (int d = 1; d < 3; d++) {
            g.kernel[d] = random_int(1, 4);
            g.dilation[d] = random_int(1, 2);
            g.pad[d] = random_int(0, (g.kernel[d] - 1) * g.dilation[d]);
        }
        if (!set_out(&g) || !dcls_conv_amx_backward_suits(&g)) continue;
        const int parts = random_int(0, 1) ? 3 : 1;
        const int64_t images = random_int(1, 4),
                      weights = g.out_channels * g.in_channels * dcls_volume(g.kernel);
        const int64_t in = images * g.in_channels * dcls_volume(g.in),
                      out = images * g.out_channels * dcls_volume(g.out);
        float *x = new_floats(in), *dy = new_floats(out), *gradient = new_floats(weights);
        if (parts == 1) round_all(x, in), round_all(dy, out);
        double *expected = calloc((size_t)weights, sizeof *expected),
               *magnitude = calloc((size_t)weights, sizeof *magnitude);
        expected_gradient(&g, images, x, dy, expected, magnitude);
        const dcls_amx *tables[AMX_TABLES];
        const int count = amx_tables(parts, tables);
        for (int t = 0; t < count; t++) {
            const dcls_conv_how how = {tables[t], parts, 1, images};
            const size_t floats = dcls_conv_amx_backward_scratch(&g, how, images);
            float *sums = calloc(dcls_conv_amx_backward_sums(&g), sizeof *sums),
                  *scratch = aligned_alloc(64, (floats * sizeof *scratch + 63) / 64 * 64);
            memset(scratch, 0xff, floats * sizeof *scratch);
            dcls_conv_amx_backward(&g, how, images, x, dy, sums, scratch);
            dcls_conv_amx_backward_collect(&g, sums, gradient);
            for (int64_t i = 0; i < weights; i++)
                assert_near((double)gradient[i], expected[i], magnitude[i], "gradient", i);
            free(sums), free(scratch);
        }
        free(x), free(dy), free(gradient), free(expected), free(magnitude);
    }
}

static int make_context(void **state)
{
    dcls_context *ctx;
    int failed = dcls_context_create(&ctx);
    *state = ctx;
    return failed;
}

static int destroy_context(void **state)
{
    dcls_context_destroy(*state);
    return 0;
}

int main(void)
{
#define WITH_CONTEXT(name) cmocka_unit_test_setup_teardown(name, make_context, destroy_context)
    const struct CMUnitTest tests[] = {WITH_CONTEXT(random_windows), WITH_CONTEXT(large_windows),
                                       WITH_CONTEXT(pairs), WITH_CONTEXT(images_joined_or_not),
                                       cmocka_unit_test(weights_gradient)};
    return cmocka_run_group_tests_name("conv_amx", tests, NULL, NULL);
}
