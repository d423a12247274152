/* Small planes of depthwise convolutions against sums in double precision, at every size and instruction set.
 */
#include "numeric_util.h"

#include "ops/conv.h"
#include "ops/conv_internal.h"

static const float guard = 12345.0f;

/* ---- one plane ---- */

static void check_plane(const dcls_simd *simd, int64_t in_rows, int64_t in_width, int64_t rows, int64_t width)
{
    float *in = new_floats(in_rows * in_width);
    float *weight = new_floats((rows + in_rows - 1) * DCLS_PLANE_PITCH);
    float *out = new_floats(rows * width + 1);
    out[rows * width] = guard;
    const dcls_plane plane = {.in = in,
                              .in_rows = in_rows,
                              .in_width = in_width,
                              .weight = weight,
                              .out = out,
                              .rows = rows,
                              .width = width};
    simd->plane(&plane);
    assert_true(out[rows * width] == guard);
    for (int64_t o = 0; o < rows * width; o++) {
        double sum = 0, magnitude = 0;
        for (int64_t p = 0; p < in_rows * in_width; p++) {
            int64_t row = in_rows - 1 - p / in_width + o / width,
                    column = in_width - 1 - p % in_width + o % width;
            double term = (double)in[p] * (double)weight[row * DCLS_PLANE_PITCH + column];
            sum += term;
            magnitude += fabs(term);
        }
        assert_near(out[o], sum, magnitude, "plane", o);
    }
    free(in), free(weight), free(out);
}

static void planes(void **state)
{
    for (int64_t in_rows = 1; in_rows <= 10; in_rows++)
        for (int64_t in_width = 1; in_width <= DCLS_PLANE_SIDE; in_width++)
            for (int64_t rows = 1; rows <= DCLS_PLANE_SIDE; rows++)
                for (int64_t width = 1; width <= DCLS_PLANE_SIDE; width++)
                    check_plane(simd_of(state), in_rows, in_width, rows, width);
}

/* ---- convolutions ---- */

typedef struct problem {
    dcls_geometry g;
    dcls_taps taps;
    dcls_epilogue epilogue;
    float *in, *dense, *terms, *residual;
    int64_t out_floats;
} problem;

static int64_t random_axis(dcls_geometry *g, int d)
{
    g->in[d] = random_int(1, DCLS_PLANE_SIDE);
    g->kernel[d] = random_int(1, 19);
    g->dilation[d] = random_int(1, 2);
    g->stride[d] = 1;
    g->pad[d] = random_int(-1, 10);
    g->out[d] = random_int(1, DCLS_PLANE_SIDE);
    return g->kernel[d];
}

static problem make_problem(dcls_context *ctx)
{
    int64_t channels = random_int(1, 5), fanout = random_int(1, 3);
    problem p = {.g = {.batch = random_int(1, 3), .in_channels = channels, .groups = channels}};
    dcls_geometry *g = &p.g;
    g->out_channels = channels * fanout;
    g->in[0] = g->out[0] = g->kernel[0] = g->stride[0] = g->dilation[0] = 1;
    int64_t cells = random_axis(g, 1) * random_axis(g, 2), out = g->out_channels;
    p.in = new_floats(g->batch * channels * dcls_volume(g->in));
    p.dense = new_floats(out * cells);
    for (int64_t i = 0; i < out * cells; i++)
        if (random_int(0, 2) == 0) p.dense[i] = 0;
    assert_int_equal(dcls_taps_from_dense(ctx, p.dense, out, cells, 0, &p.taps), DCLS_OK);
    p.out_floats = g->batch * out * dcls_volume(g->out);
    p.residual = new_floats(p.out_floats);
    p.terms = new_floats(3 * out);
    p.epilogue = (dcls_epilogue){.bias = random_int(0, 1) ? p.terms : NULL,
                                 .scale = p.terms + out,
                                 .shift = p.terms + 2 * out,
                                 .activation = (dcls_activation)random_int(0, 4),
                                 .residual = random_int(0, 1)};
    return p;
}

static void free_problem(problem *p)
{
    free(p->in), free(p->dense), free(p->terms), free(p->residual);
    dcls_taps_free(&p->taps);
}

/* One output before the epilogue. */
static double convolve(const problem *p, int64_t plane, int64_t y, int64_t x, double *magnitude)
{
    const dcls_geometry *g = &p->g;
    int64_t image = plane / g->out_channels, o = plane % g->out_channels,
            fanout = g->out_channels / g->groups;
    const float *in = p->in + (image * g->in_channels + o / fanout) * dcls_volume(g->in);
    const float *w = p->dense + o * g->kernel[1] * g->kernel[2];
    double sum = 0;
    for (int64_t i = 0; i < g->kernel[1]; i++)
        for (int64_t j = 0; j < g->kernel[2]; j++, w++) {
            int64_t v = y - g->pad[1] + i * g->dilation[1], u = x - g->pad[2] + j * g->dilation[2];
            if (v < 0 || v >= g->in[1] || u < 0 || u >= g->in[2]) continue;
            double term = (double)*w * (double)in[v * g->in[2] + u];
            sum += term;
            *magnitude += fabs(term);
        }
    return sum;
}

static void check_output(const problem *p, int64_t at, float got)
{
    const dcls_epilogue *e = &p->epilogue;
    int64_t volume = dcls_volume(p->g.out), pixel = at % volume, plane = at / volume;
    int64_t o = plane % p->g.out_channels;
    double magnitude = 2, sum = convolve(p, plane, pixel / p->g.out[2], pixel % p->g.out[2], &magnitude);
    if (e->bias) sum += (double)e->bias[o];
    sum = (double)reference_activation(e->activation, sum) * (double)e->scale[o] + (double)e->shift[o];
    if (e->residual) sum += (double)p->residual[at];
    assert_near(got, sum, magnitude, "output", at);
}

/* Runs with several numbers of threads, over the residual and beside it: the same bits each time. */
static void check_problem(const dcls_simd *simd, const problem *p, const dcls_conv *conv)
{
    float *first = NULL;
    for (int threads = 1; threads <= 4; threads++) {
        void *workspace = aligned_alloc(64, dcls_conv_workspace(conv, threads) + 64);
        float *out = threads % 2 ? copy_floats(p->residual, p->out_floats) : new_floats(p->out_floats);
        dcls_conv_run(conv, simd, p->in, threads % 2 ? out : p->residual, out, workspace, threads);
        free(workspace);
        if (first) assert_same_bits(first, out, p->out_floats, "threads");
        for (int64_t i = 0; i < p->out_floats && !first; i++)
            check_output(p, i, out[i]);
        free(first);
        first = out;
    }
    free(first);
}

static void convolutions(void **state)
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    for (int i = 0; i < 300; i++) {
        problem p = make_problem(ctx);
        dcls_conv *conv;
        assert_int_equal(dcls_conv_create_plane(ctx, &p.g, &p.taps, &p.epilogue, &conv), DCLS_OK);
        check_problem(simd_of(state), &p, conv);
        dcls_conv_destroy(conv);
        free_problem(&p);
    }
    dcls_context_destroy(ctx);
}

/* ---- choice ---- */

static dcls_geometry stage(int64_t side, int64_t kernel)
{
    return (dcls_geometry){.batch = 1,
                           .in_channels = 2,
                           .out_channels = 2,
                           .groups = 2,
                           .in = {1, side, side},
                           .out = {1, side, side},
                           .kernel = {1, kernel, kernel},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .pad = {0, kernel / 2, kernel / 2}};
}

static bool is_preferred(const dcls_geometry *g, bool full)
{
    int64_t cells = dcls_volume(g->kernel), windows = g->out_channels * g->in_channels / g->groups;
    float *dense = new_floats(windows * cells);
    for (int64_t i = 0; i < windows * cells && !full; i++)
        dense[i] = i % cells == 0 ? 1.0f : 0.0f;
    dcls_taps taps;
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    assert_int_equal(dcls_taps_from_dense(ctx, dense, windows, cells, 0, &taps), DCLS_OK);
    bool preferred = dcls_conv_prefers_plane(g, &taps);
    dcls_taps_free(&taps);
    dcls_context_destroy(ctx);
    free(dense);
    return preferred;
}

static void choice(void **state)
{
    (void)state;
    dcls_geometry g = stage(7, 17);
    assert_true(is_preferred(&g, true));
    g = stage(8, 17);
    assert_true(is_preferred(&g, true));
    g = stage(8, 3);
    assert_false(is_preferred(&g, false));
    g = stage(9, 17);
    assert_false(is_preferred(&g, true));
    g = stage(7, 17);
    g.stride[1] = 2;
    g.out[1] = 4;
    assert_false(is_preferred(&g, true));
    g = stage(7, 17);
    g.groups = 1;
    assert_false(is_preferred(&g, true));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(planes), cmocka_unit_test(convolutions),
                                              cmocka_unit_test(choice)};
    return run_at_every_level("plane", tests, sizeof tests / sizeof *tests);
}
