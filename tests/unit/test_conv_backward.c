/* Gradients of convolutions, dense and sparse, by input and by weights, against the sums written out, for
 * random geometries of one to three dimensions, at every instruction set. */
#include "numeric_util.h"

#include "base/context.h"
#include "ops/conv_backward.h"

static dcls_context *ctx;

static dcls_geometry random_geometry(void)
{
    dcls_geometry g = {.batch = 1, .groups = random_int(1, 4)};
    g.in_channels = g.groups * random_int(1, 3);
    g.out_channels = g.groups * random_int(1, 5);
    if (random_int(0, 2) == 0) g.in_channels = g.out_channels = g.groups = random_int(1, 20); /* depthwise */
    const int spatial = (int)random_int(1, 3);
    for (int d = 0; d < 3; d++) {
        const bool real = d >= 3 - spatial;
        g.kernel[d] = real ? random_int(1, 5) : 1;
        g.stride[d] = real && random_int(0, 2) == 0 ? random_int(1, 3) : 1;
        g.dilation[d] = real && random_int(0, 2) == 0 ? random_int(1, 3) : 1;
        const int64_t reach = (g.kernel[d] - 1) * g.dilation[d];
        g.pad[d] = real ? random_int(0, reach) : 0;
        g.in[d] = real ? random_int(1, d == 2 ? 40 : 9) + reach : 1;
        g.out[d] = (g.in[d] + 2 * g.pad[d] - reach - 1) / g.stride[d] + 1;
    }
    if (random_int(0, 4) == 0) /* pointwise */
        for (int d = 0; d < 3; d++) {
            g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
            g.pad[d] = 0;
            g.out[d] = g.in[d];
        }
    return g;
}

/* Calls add for every product of the convolution: indices into weight, x and y. */
typedef struct sums {
    const float *weight, *x, *dy;
    double *dweight, *dx;
} sums;

static void add_products(const dcls_geometry *g, int64_t row, int64_t cell, const sums *s)
{
    const int64_t in = g->in_channels / g->groups, o = row / in,
                  c = o / (g->out_channels / g->groups) * in + row % in, cells = dcls_volume(g->kernel);
    const int64_t k[3] = {cell / (g->kernel[1] * g->kernel[2]), cell / g->kernel[2] % g->kernel[1],
                          cell % g->kernel[2]};
    for (int64_t y = 0; y < dcls_volume(g->out); y++) {
        const int64_t at[3] = {y / (g->out[1] * g->out[2]), y / g->out[2] % g->out[1], y % g->out[2]};
        int64_t from = 0;
        bool inside = true;
        for (int d = 0; d < 3; d++) {
            const int64_t p = at[d] * g->stride[d] - g->pad[d] + k[d] * g->dilation[d];
            inside = inside && p >= 0 && p < g->in[d];
            from = from * g->in[d] + p;
        }
        if (!inside) continue;
        const int64_t i = c * dcls_volume(g->in) + from, j = o * dcls_volume(g->out) + y;
        s->dweight[row * cells + cell] += (double)s->dy[j] * (double)s->x[i];
        s->dx[i] += (double)s->dy[j] * (double)s->weight[row * cells + cell];
    }
}

static void check(const float *got, const double *expected, int64_t n, double magnitude, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        assert_near((double)got[i], expected[i], magnitude, what, i);
}

static void check_input(const dcls_geometry *g, const dcls_simd *simd, dcls_conv *turned, const sums *s,
                        const char *what)
{
    const dcls_geometry back = dcls_conv_turned_geometry(g);
    const int64_t count = g->in_channels * dcls_volume(g->in);
    float *spread = new_floats(g->out_channels * dcls_volume(back.in)), *dx = new_floats(count);
    void *workspace = calloc(dcls_conv_workspace(turned, 1) + 64, 1);
    void *aligned = (void *)(((uintptr_t)workspace + 63) / 64 * 64);
    const float *dy = s->dy;
    if (dcls_conv_is_strided(g)) {
        dcls_conv_spread(g, g->out_channels, s->dy, spread);
        dy = spread;
    }
    dcls_conv_run(turned, simd, dy, NULL, dx, aligned, 1);
    check(dx, s->dx, count, 30, what);
    free(spread);
    free(dx);
    free(workspace);
    dcls_conv_destroy(turned);
}

static void check_dense(const dcls_geometry *g, const dcls_simd *simd, const sums *s, int64_t weights)
{
    dcls_conv *turned;
    assert_int_equal(dcls_conv_create_turned_dense(ctx, g, s->weight, NULL, (dcls_conv_how){0}, &turned),
                     DCLS_OK);
    check_input(g, simd, turned, s, "dense, input");
    float *dweight = calloc((size_t)weights, sizeof *dweight);
    float *scratch = new_floats((int64_t)dcls_conv_dense_backward_scratch(g));
    dcls_conv_dense_backward(g, simd, s->x, s->dy, dweight, scratch);
    check(dweight, s->dweight, weights, (double)dcls_volume(g->out), "dense, weight");
    free(dweight);
    free(scratch);
}

static void check_sparse(const dcls_geometry *g, const dcls_simd *simd, const sums *s, int64_t weights)
{
    const int64_t cells = dcls_volume(g->kernel);
    dcls_conv *turned;
    dcls_taps taps;
    dcls_taps_backward *backward;
    assert_int_equal(dcls_taps_from_dense(ctx, s->weight, weights / cells, cells, 0, &taps), DCLS_OK);
    assert_int_equal(dcls_conv_create_turned_sparse(ctx, g, &taps, NULL, &turned), DCLS_OK);
    check_input(g, simd, turned, s, "sparse, input");
    assert_int_equal(dcls_taps_backward_create(ctx, g, &taps, &backward), DCLS_OK);
    float *vectors = calloc((size_t)(dcls_taps_backward_count(backward) * simd->width + 1), sizeof *vectors);
    float *scratch = new_floats((int64_t)dcls_taps_backward_scratch(backward)),
          *dweight = new_floats(weights);
    dcls_taps_backward_run(backward, simd, s->x, s->dy, vectors, scratch);
    dcls_taps_backward_collect(backward, simd, vectors, dweight);
    for (int64_t i = 0; i < weights; i++) /* cells without a tap have no gradient */
        if (s->weight[i] == 0) s->dweight[i] = 0;
    check(dweight, s->dweight, weights, (double)dcls_volume(g->out), "sparse, weight");
    free(vectors);
    free(scratch);
    free(dweight);
    dcls_taps_backward_destroy(backward);
    dcls_taps_free(&taps);
}

static void test_random(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int round = 0; round < 400; round++) {
        const dcls_geometry g = random_geometry();
        const int64_t rows = g.out_channels * (g.in_channels / g.groups), cells = dcls_volume(g.kernel);
        const int64_t in = g.in_channels * dcls_volume(g.in), out = g.out_channels * dcls_volume(g.out);
        float *weight = new_floats(rows * cells), *x = new_floats(in), *dy = new_floats(out);
        for (int64_t i = 0; i < rows * cells; i++)
            if (random_int(0, 1)) weight[i] = 0;
        sums s = {weight, x, dy, calloc((size_t)(rows * cells), sizeof(double)),
                  calloc((size_t)in, sizeof(double))};
        for (int64_t row = 0; row < rows; row++)
            for (int64_t cell = 0; cell < cells; cell++)
                add_products(&g, row, cell, &s);
        check_dense(&g, simd, &s, rows * cells);
        check_sparse(&g, simd, &s, rows * cells);
        free(weight);
        free(x);
        free(dy);
        free(s.dweight);
        free(s.dx);
    }
}

/* Weights' gradients by Winograd's method, of one image and of more than stand side by side. */
static void test_winograd(void **state)
{
    const dcls_simd *simd = simd_of(state);
    for (int round = 0; round < 60; round++) {
        dcls_geometry g = {.batch = 1, .groups = 1, .in = {1, 1, 1}, .out = {1, 1, 1}};
        g.in_channels = random_int(1, 30);
        g.out_channels = random_int(1, 30);
        for (int d = 0; d < 3; d++)
            g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
        for (int d = 1; d < 3; d++) {
            g.kernel[d] = 3;
            g.dilation[d] = random_int(0, 3) ? 1 : 2;
            g.pad[d] = random_int(0, 2);
            /* smaller ones are another form of tiles, which has no gradient */
            const int64_t least = 4 * g.dilation[d] + 1 - 2 * g.pad[d], small = least > 3 ? least : 3;
            g.in[d] = round % 3 ? 7 + random_int(0, 20) : small + random_int(0, 4);
            g.out[d] = g.in[d] + 2 * g.pad[d] - 2 * g.dilation[d];
        }
        const int64_t images = random_int(1, round % 3 ? 9 : 40),
                      weights = g.out_channels * g.in_channels * 9;
        const int64_t in = g.in_channels * dcls_volume(g.in), out = g.out_channels * dcls_volume(g.out);
        float *x = new_floats(images * in), *dy = new_floats(images * out), *got = new_floats(weights);
        float *zeros = calloc((size_t)weights, sizeof *zeros);
        double *ignored = calloc((size_t)in, sizeof *ignored);
        sums s = {zeros, NULL, NULL, calloc((size_t)weights, sizeof(double)), ignored};
        for (int64_t n = 0; n < images; n++)
            for (int64_t row = 0; row < g.out_channels * g.in_channels; row++)
                for (int64_t cell = 0; cell < 9; cell++) {
                    s.x = x + n * in;
                    s.dy = dy + n * out;
                    add_products(&g, row, cell, &s);
                }
        dcls_winograd_backward *backward;
        assert_int_equal(dcls_winograd_backward_create(ctx, &g, random_int(1, (int)images + 3), &backward),
                         DCLS_OK);
        float *at_points = calloc(dcls_winograd_backward_sums(backward), sizeof *at_points),
              *scratch = new_floats((int64_t)dcls_winograd_backward_scratch(backward));
        memset(scratch, 0xff, dcls_winograd_backward_scratch(backward) * sizeof *scratch);
        dcls_winograd_backward_run(backward, simd, images, x, dy, at_points, scratch);
        dcls_winograd_backward_collect(backward, at_points, got);
        check(got, s.dweight, weights, (double)(images * dcls_volume(g.out)), "winograd, weight");
        free(x), free(dy), free(got), free(zeros), free(ignored), free(s.dweight), free(at_points),
            free(scratch);
        dcls_winograd_backward_destroy(backward);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_winograd)};
    if (dcls_context_create(&ctx) != DCLS_OK) return 1;
    const int failed = run_at_every_level("conv_backward", tests, sizeof tests / sizeof *tests);
    dcls_context_destroy(ctx);
    return failed;
}
