/* Every convolution algorithm against a plain loop in double precision, at every instruction set of this
 * machine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ops/conv.h"
#include "ops/conv_internal.h"

typedef enum algorithm { DENSE, SPARSE, INTERPOLATED, ALGORITHM_COUNT, WINOGRAD = ALGORITHM_COUNT } algorithm;

static const char *const algorithm_names[] = {"dense", "sparse", "interpolated", "winograd"};

/* ---- random numbers ------------------------------------------------------------------------------------ */

static uint64_t random_state;

static uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static int64_t random_int(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_bits() % (uint64_t)(hi - lo + 1));
}

static float random_float(void)
{
    return (float)random_bits() / 1073741824.0f - 1.0f;
}

static float *random_floats(int64_t n)
{
    float *x = malloc((size_t)n * sizeof *x + 1);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

/* ---- one problem ---- */

typedef struct problem {
    dcls_geometry g;
    algorithm algorithm;
    int64_t count; /* interpolated: elements per input channel */
    bool shared;   /* interpolated: the same positions in every group */
    dcls_epilogue epilogue;
    float *in, *residual;
    float *dense;  /* [out_channels, in_channels / groups, cells]: the kernel, however it is given */
    float *weight; /* interpolated: of elements */
    dcls_taps taps;
    double *expected, *magnitude;
} problem;

static int64_t out_floats(const dcls_geometry *g)
{
    return g->batch * g->out_channels * dcls_volume(g->out);
}

static double activate(dcls_activation activation, double x)
{
    switch (activation) {
    case DCLS_ACT_RELU: return x > 0 ? x : 0;
    case DCLS_ACT_GELU: return x / 2 * (1 + erf(x / sqrt(2)));
    case DCLS_ACT_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case DCLS_ACT_SIGMOID: return 1 / (1 + exp(-x));
    default: return x;
    }
}

/* One output before the epilogue; *magnitude: the sum of the absolute terms. */
static double convolve(const problem *p, int64_t image, int64_t o, const int64_t at[3], double *magnitude)
{
    const dcls_geometry *g = &p->g;
    int64_t cg = g->in_channels / g->groups, group = o / (g->out_channels / g->groups);
    const float *w = p->dense + o * cg * dcls_volume(g->kernel);
    double sum = 0;
    *magnitude = 0;
    for (int64_t c = 0; c < cg; c++) {
        const float *x = p->in + (image * g->in_channels + group * cg + c) * dcls_volume(g->in);
        for (int64_t i = 0; i < g->kernel[0]; i++)
            for (int64_t j = 0; j < g->kernel[1]; j++)
                for (int64_t k = 0; k < g->kernel[2]; k++, w++) {
                    int64_t z = at[0] * g->stride[0] - g->pad[0] + i * g->dilation[0];
                    int64_t y = at[1] * g->stride[1] - g->pad[1] + j * g->dilation[1];
                    int64_t v = at[2] * g->stride[2] - g->pad[2] + k * g->dilation[2];
                    if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1] || v < 0 || v >= g->in[2]) continue;
                    double term = (double)*w * (double)x[(z * g->in[1] + y) * g->in[2] + v];
                    sum += term;
                    *magnitude += fabs(term);
                }
    }
    return sum;
}

static void compute_expected(problem *p)
{
    const dcls_geometry *g = &p->g;
    const dcls_epilogue *e = &p->epilogue;
    int64_t n = out_floats(g), volume = dcls_volume(g->out);
    p->expected = malloc((size_t)n * sizeof *p->expected);
    p->magnitude = malloc((size_t)n * sizeof *p->magnitude);
    for (int64_t i = 0; i < n; i++) {
        int64_t pixel = i % volume, o = i / volume % g->out_channels;
        int64_t at[3] = {pixel / (g->out[1] * g->out[2]), pixel / g->out[2] % g->out[1], pixel % g->out[2]};
        double y = convolve(p, i / volume / g->out_channels, o, at, &p->magnitude[i]);
        y = activate(e->activation, y + (e->bias ? (double)e->bias[o] : 0));
        if (e->scale) y = y * (double)e->scale[o] + (double)e->shift[o];
        if (e->residual) y += (double)p->residual[i];
        p->expected[i] = activate(e->activation2, y);
    }
}

/* Windows in which most cells are zero, and some hold nothing. */
static void make_sparse_weights(dcls_context *ctx, problem *p, int64_t rows, int64_t cells)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t keep = random_int(0, 3);
        for (int64_t i = 0; i < cells; i++)
            if (random_int(0, 3) > keep || keep == 0) p->dense[r * cells + i] = 0;
    }
    assert_int_equal(dcls_taps_from_dense(ctx, p->dense, rows, cells, 0, &p->taps), DCLS_OK);
}

/* Elements of 0 to 4 neighbouring taps, and the dense kernel they add up to. */
static void make_elements(dcls_context *ctx, problem *p, int64_t cells)
{
    const dcls_geometry *g = &p->g;
    int64_t cg = g->in_channels / g->groups, og = g->out_channels / g->groups;
    int64_t rows = (p->shared ? cg : g->in_channels) * p->count;
    float *windows = calloc((size_t)(rows * cells), sizeof *windows);
    for (int64_t r = 0; r < rows; r++) {
        int64_t cell = random_int(0, cells - 1), taps = random_int(0, 4);
        const int64_t next[4] = {0, 1, g->kernel[2], g->kernel[2] + 1};
        for (int64_t t = 0; t < taps; t++)
            if (cell + next[t] < cells) windows[r * cells + cell + next[t]] = random_float();
    }
    assert_int_equal(dcls_taps_from_dense(ctx, windows, rows, cells, 0, &p->taps), DCLS_OK);
    p->weight = random_floats(g->out_channels * cg * p->count);
    memset(p->dense, 0, (size_t)(g->out_channels * cg * cells) * sizeof *p->dense);
    for (int64_t o = 0; o < g->out_channels; o++)
        for (int64_t c = 0; c < cg; c++)
            for (int64_t e = 0; e < p->count; e++) {
                int64_t row = ((p->shared ? 0 : o / og * cg) + c) * p->count + e;
                float w = p->weight[(o * cg + c) * p->count + e];
                for (int64_t i = 0; i < cells; i++)
                    p->dense[(o * cg + c) * cells + i] += w * windows[row * cells + i];
            }
    free(windows);
}

static void make_epilogue(problem *p)
{
    static const dcls_activation activations[] = {DCLS_ACT_NONE, DCLS_ACT_RELU, DCLS_ACT_GELU,
                                                  DCLS_ACT_SIGMOID};
    int64_t channels = p->g.out_channels;
    dcls_epilogue *e = &p->epilogue;
    *e = (dcls_epilogue){0};
    if (random_int(0, 3) == 0) return;
    if (random_int(0, 1)) e->bias = random_floats(channels);
    e->activation = activations[random_int(0, 3)];
    if (random_int(0, 1)) {
        e->scale = random_floats(channels);
        e->shift = random_floats(channels);
    }
    e->residual = random_int(0, 1) == 1;
    e->activation2 = activations[random_int(0, 1)];
}

static void make_problem(dcls_context *ctx, problem *p)
{
    const dcls_geometry *g = &p->g;
    int64_t cells = dcls_volume(g->kernel), rows = g->out_channels * (g->in_channels / g->groups);
    p->in = random_floats(g->batch * g->in_channels * dcls_volume(g->in));
    p->residual = random_floats(out_floats(g));
    p->dense = random_floats(rows * cells);
    p->weight = NULL;
    p->taps = (dcls_taps){0};
    if (p->algorithm == SPARSE) make_sparse_weights(ctx, p, rows, cells);
    if (p->algorithm == INTERPOLATED) make_elements(ctx, p, cells);
    compute_expected(p);
}

/* Free what is const for the library and ours here. */
static void free_const(const float *x)
{
    void *p;
    memcpy(&p, &x, sizeof p);
    free(p);
}

static void free_problem(problem *p)
{
    free(p->in);
    free(p->residual);
    free(p->dense);
    free(p->weight);
    dcls_taps_free(&p->taps);
    free_const(p->epilogue.bias);
    free_const(p->epilogue.scale);
    free_const(p->epilogue.shift);
    free(p->expected);
    free(p->magnitude);
}

static dcls_conv *create(dcls_context *ctx, const problem *p)
{
    dcls_conv *conv = NULL;
    dcls_status status = DCLS_OK;
    switch (p->algorithm) {
    case DENSE: status = dcls_conv_create_dense(ctx, &p->g, p->dense, &p->epilogue, &conv); break;
    case SPARSE: status = dcls_conv_create_sparse(ctx, &p->g, &p->taps, &p->epilogue, &conv); break;
    case WINOGRAD: status = dcls_conv_create_winograd(ctx, &p->g, p->dense, &p->epilogue, &conv); break;
    default:
        status =
            dcls_conv_create_interpolated(ctx, &p->g, &p->taps, p->count, p->weight, &p->epilogue, &conv);
    }
    if (status != DCLS_OK) fail_msg("create: %s", dcls_context_message(ctx));
    return conv;
}

static void describe(const problem *p, const char *simd, int threads)
{
    const dcls_geometry *g = &p->g;
    printf("%s, %s, %d threads: batch %lld channels %lld -> %lld groups %lld", algorithm_names[p->algorithm],
           simd, threads, (long long)g->batch, (long long)g->in_channels, (long long)g->out_channels,
           (long long)g->groups);
    for (int d = 0; d < 3; d++)
        printf(" | in %lld out %lld kernel %lld stride %lld dilation %lld pad %lld", (long long)g->in[d],
               (long long)g->out[d], (long long)g->kernel[d], (long long)g->stride[d],
               (long long)g->dilation[d], (long long)g->pad[d]);
    printf(" | residual %d\n", p->epilogue.residual);
}

/* One run with memory of exactly the sizes promised, full of NaN. in_place: the residual is the output. */
static float *run(const problem *p, const dcls_conv *conv, const dcls_simd *simd, int threads, bool in_place)
{
    int64_t n = out_floats(&p->g);
    size_t bytes = dcls_conv_workspace(conv, threads);
    assert_int_equal(bytes % 64, 0);
    void *workspace = aligned_alloc(64, bytes > 0 ? bytes : 64);
    float *out = malloc((size_t)n * sizeof *out);
    assert_non_null(workspace);
    assert_non_null(out);
    memset(workspace, 0xff, bytes);
    memset(out, 0xff, (size_t)n * sizeof *out);
    if (in_place) memcpy(out, p->residual, (size_t)n * sizeof *out);
    const float *residual = in_place ? out : p->epilogue.residual ? p->residual : NULL;
    dcls_conv_run(conv, simd, p->in, residual, out, workspace, threads);
    free(workspace);
    return out;
}

/* Outputs of one of Winograd's tiles share their errors. */
static double largest_magnitude(const problem *p)
{
    double largest = 0;
    for (int64_t i = 0; i < out_floats(&p->g) && p->algorithm == WINOGRAD; i++)
        largest = fmax(largest, p->magnitude[i]);
    return largest;
}

static void compare(const problem *p, const float *out, const char *simd)
{
    double largest = largest_magnitude(p);
    for (int64_t i = 0; i < out_floats(&p->g); i++) {
        double difference = fabs((double)out[i] - p->expected[i]);
        if (difference <= 3e-6 * (fmax(largest, p->magnitude[i]) + fabs(p->expected[i]) + 1)) continue;
        describe(p, simd, 1);
        fail_msg("output %lld is %.9g, should be %.9g", (long long)i, (double)out[i], p->expected[i]);
    }
}

static void check_same_bits(const problem *p, const float *a, const float *b, const char *simd, int threads)
{
    if (memcmp(a, b, (size_t)out_floats(&p->g) * sizeof *a) == 0) return;
    describe(p, simd, threads);
    fail_msg("results differ between 1 and %d threads", threads);
}

static void check_with(const problem *p, const dcls_conv *conv, const dcls_simd *simd)
{
    static const int threads[] = {2, 3, 7};
    float *one = run(p, conv, simd, 1, false);
    compare(p, one, simd->name);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        float *other = run(p, conv, simd, threads[i], false);
        check_same_bits(p, one, other, simd->name, threads[i]);
        free(other);
    }
    if (p->epilogue.residual) {
        float *other = run(p, conv, simd, 2, true);
        check_same_bits(p, one, other, simd->name, 2);
        free(other);
    }
    free(one);
}

/* p: geometry, algorithm, count and shared are set. */
static void check_problem(dcls_context *ctx, problem *p)
{
    make_problem(ctx, p);
    dcls_conv *conv = create(ctx, p);
    for (int level = DCLS_CPU_SCALAR; level <= (int)dcls_cpu_detect(); level++)
        check_with(p, conv, dcls_simd_get((dcls_cpu_level)level));
    dcls_conv_destroy(conv);
    free_problem(p);
}

/* ---- geometries ---- */

/* Padding on both sides, as most layers have it; false if the window does not fit. */
static bool set_out(dcls_geometry *g)
{
    for (int d = 0; d < 3; d++) {
        int64_t room = g->in[d] + 2 * g->pad[d] - (g->kernel[d] - 1) * g->dilation[d] - 1;
        if (room < 0) return false;
        g->out[d] = room / g->stride[d] + 1;
    }
    return true;
}

static dcls_geometry plain(int64_t in_channels, int64_t out_channels, int64_t groups, int64_t height,
                           int64_t width, int64_t kernel)
{
    dcls_geometry g = {.batch = 1,
                       .in_channels = in_channels,
                       .out_channels = out_channels,
                       .groups = groups,
                       .in = {1, height, width},
                       .kernel = {1, kernel, kernel},
                       .stride = {1, 1, 1},
                       .dilation = {1, 1, 1},
                       .pad = {0, kernel / 2, kernel / 2}};
    set_out(&g);
    return g;
}

static void check_all_algorithms(dcls_context *ctx, const dcls_geometry *g)
{
    for (int a = 0; a < ALGORITHM_COUNT; a++) {
        problem p = {
            .g = *g, .algorithm = (algorithm)a, .count = random_int(1, 5), .shared = random_int(0, 1) == 1};
        make_epilogue(&p);
        check_problem(ctx, &p);
    }
}

/* Sizes around every vector width, in one and two dimensions. */
static void test_widths(void **state)
{
    dcls_context *ctx = *state;
    for (int64_t width = 1; width <= 40; width++) {
        for (int64_t kernel = 1; kernel <= 7; kernel += 2) {
            dcls_geometry g = plain(2, 5, 1, 1 + width % 9, width, kernel);
            check_all_algorithms(ctx, &g);
            g = plain(3, 3, 3, 1 + width % 4, width, kernel);
            g.in[1] = g.kernel[1] = 1;
            g.pad[1] = 0;
            set_out(&g);
            check_all_algorithms(ctx, &g);
        }
    }
}

static void random_axis(dcls_geometry *g, int d, int64_t in, int64_t kernel)
{
    g->in[d] = random_int(1, in);
    g->kernel[d] = random_int(1, kernel);
    g->stride[d] = random_int(1, 3);
    g->dilation[d] = random_int(1, 3);
    int64_t window = (g->kernel[d] - 1) * g->dilation[d] + 1;
    g->pad[d] = random_int(0, 4) == 0 ? random_int(0, window + 3) : random_int(0, window / 2);
    int64_t missing = window - g->in[d] - 2 * g->pad[d];
    if (missing > 0) g->pad[d] += (missing + 1) / 2;
}

static dcls_geometry random_geometry(int ndim)
{
    static const int64_t in[3] = {40, 17, 7}, kernel[3] = {19, 9, 4};
    dcls_geometry g = {.batch = random_int(1, 3), .groups = random_int(1, 4)};
    for (int d = 0; d < 3; d++) {
        g.in[d] = g.out[d] = g.kernel[d] = g.stride[d] = g.dilation[d] = 1;
        if (d >= 3 - ndim) random_axis(&g, d, in[ndim - 1], kernel[ndim - 1]);
    }
    g.in_channels = g.groups * (random_int(0, 1) ? 1 : random_int(1, 4));
    g.out_channels = g.groups * random_int(1, 7);
    assert_true(set_out(&g));
    /* an unequal or missing padding behind */
    for (int d = 3 - ndim; d < 3; d++)
        g.out[d] = random_int(0, 3) ? g.out[d] : g.out[d] + random_int(0, 3);
    return g;
}

static void test_random(void **state)
{
    for (int i = 0; i < 200; i++) {
        dcls_geometry g = random_geometry(1 + i % 3);
        check_all_algorithms(*state, &g);
    }
}

/* Tiles of all sizes, cut by dilations up to more than the plane, and planes of several bands. */
static void test_winograd(void **state)
{
    for (int i = 0; i < 150; i++) {
        dcls_geometry g = {.batch = random_int(1, 2), .groups = 1, .in = {1, 1, 1}};
        g.in_channels = random_int(1, 5);
        g.out_channels = i % 10 ? random_int(1, 30) : random_int(190, 200);
        for (int d = 0; d < 3; d++)
            g.kernel[d] = g.out[d] = g.stride[d] = g.dilation[d] = 1;
        for (int d = 1; d < 3; d++) {
            g.in[d] = random_int(1, 40);
            g.kernel[d] = 3;
            g.dilation[d] = random_int(0, 2) ? random_int(1, 4) : random_int(1, 50);
            g.pad[d] = random_int(0, 2) ? g.dilation[d] : random_int(0, 3);
            g.out[d] = random_int(0, 3) ? g.in[d] : random_int(1, 45);
        }
        problem p = {.g = g, .algorithm = WINOGRAD};
        make_epilogue(&p);
        check_problem(*state, &p);
    }
    const int64_t blocks[] = {255, 257, 385, 600};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        problem p = {.g = plain(blocks[i], 5, 1, 9, 11, 3), .algorithm = WINOGRAD};
        check_problem(*state, &p);
    }
    problem large = {.g = plain(2, 230, 1, 130, 126, 3), .algorithm = WINOGRAD};
    check_problem(*state, &large);
}

/* A negative padding crops the input. */
static void test_negative_pad(void **state)
{
    dcls_geometry g = plain(4, 12, 2, 9, 11, 3);
    g.pad[1] = -2;
    g.pad[2] = -1;
    assert_true(set_out(&g));
    check_all_algorithms(*state, &g);
}

/* Windows that see padding alone: everything is the epilogue of 0. */
static void test_padding_only(void **state)
{
    dcls_geometry g = plain(2, 5, 1, 3, 3, 2);
    g.pad[1] = 40;
    g.pad[2] = 0;
    g.out[1] = 4;
    check_all_algorithms(*state, &g);
}

/* Shapes large enough for several tiles of every kind. */
static void test_tiles(void **state)
{
    dcls_context *ctx = *state;
    const dcls_geometry shapes[] = {
        plain(256, 512, 1, 7, 7, 1),  /* outputs cut, pixels not */
        plain(40, 24, 1, 40, 41, 1),  /* pixels cut in the middle of rows */
        plain(100, 70, 1, 13, 17, 3), /* several blocks of columns */
        plain(100, 10, 1, 30, 31, 3), /* blocks and tiles */
        plain(300, 30, 1, 16, 16, 1), /* channels that share sets of the cache */
        plain(40, 13, 1, 16, 32, 3),  /* the same with columns */
        plain(24, 24, 24, 20, 20, 9), /* several tasks of several planes */
        plain(2, 4, 2, 300, 290, 3),  /* boxes cut by rows, and channel multiplier */
        plain(1, 3, 1, 2, 70000, 3),  /* boxes cut by columns */
        plain(64, 6, 2, 40, 30, 5),   /* chunks of outputs */
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_all_algorithms(ctx, &shapes[i]);
    dcls_geometry g = plain(3, 3, 3, 60, 60, 3);
    g.in[0] = 60;
    g.kernel[0] = 2;
    g.stride[1] = 2;
    assert_true(set_out(&g));
    check_all_algorithms(ctx, &g);
}

/* Depthwise windows and groups of few outputs are lists of taps, everything else is a matrix. */
static void test_choice(void **state)
{
    static const float weight[16 * 16 * 9];
    const struct {
        dcls_geometry g;
        const char *algorithm;
    } choices[] = {
        {plain(16, 16, 16, 9, 9, 3), "sparse"}, {plain(8, 16, 8, 9, 9, 3), "sparse"},
        {plain(16, 16, 4, 9, 9, 3), "sparse"},  {plain(16, 16, 1, 9, 9, 3), "dense"},
        {plain(16, 2, 1, 9, 9, 1), "dense"},    {plain(1, 16, 1, 9, 9, 3), "dense"},
    };
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        dcls_conv *conv = NULL;
        assert_int_equal(dcls_conv_create_dense(*state, &choices[i].g, weight, NULL, &conv), DCLS_OK);
        assert_string_equal(dcls_conv_algorithm(conv), choices[i].algorithm);
        dcls_conv_destroy(conv);
    }
}

/* ---- refusals ---- */

static dcls_status try_dense(dcls_context *ctx, const dcls_geometry *g)
{
    static const float weight[64];
    dcls_conv *conv = NULL;
    dcls_status status = dcls_conv_create_dense(ctx, g, weight, NULL, &conv);
    dcls_conv_destroy(conv);
    return status;
}

static void test_wrong_arguments(void **state)
{
    dcls_context *ctx = *state;
    dcls_geometry g = plain(4, 4, 3, 5, 5, 1);
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_ARGUMENT);
    assert_non_null(strstr(dcls_context_message(ctx), "groups"));
    g = plain(4, 4, 2, 5, 5, 1);
    assert_int_equal(try_dense(ctx, &g), DCLS_OK);
    int64_t *const sizes[] = {&g.batch,     &g.groups,    &g.in_channels, &g.out_channels, &g.in[1],
                              &g.kernel[0], &g.stride[2], &g.dilation[1], &g.out[2]};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t old = *sizes[i];
        for (*sizes[i] = 0; *sizes[i] >= -1; --*sizes[i])
            assert_int_equal(try_dense(ctx, &g), DCLS_ERR_ARGUMENT);
        *sizes[i] = old;
    }
    dcls_taps taps = {.rows = 7};
    dcls_conv *conv = NULL;
    assert_int_equal(dcls_conv_create_sparse(ctx, &g, &taps, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_conv_create_interpolated(ctx, &g, &taps, 3, NULL, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_conv_create_interpolated(ctx, &g, &taps, 0, NULL, NULL, &conv), DCLS_ERR_ARGUMENT);
    assert_null(conv);
}

static void test_too_large(void **state)
{
    dcls_context *ctx = *state;
    dcls_geometry ok = plain(1, 1, 1, 5, 5, 1), g = ok;
    int64_t *const sizes[] = {&g.in_channels, &g.out_channels, &g.in[1],  &g.out[2], &g.kernel[0],
                              &g.stride[2],   &g.dilation[1],  &g.pad[0], &g.batch};
    const int64_t values[] = {INT64_MAX, INT64_MAX / 2, (int64_t)1 << 40};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        g = ok;
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            *sizes[i] = values[j];
            if (sizes[i] == &g.batch && j == 2) continue; /* that many can be counted */
            assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
        }
    }
    g = ok;
    g.in[0] = g.in[1] = g.in[2] = (int64_t)1 << 22; /* each fine, the product not */
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
    g = ok;
    g.stride[2] = (int64_t)1 << 28;
    g.out[2] = 3;
    assert_int_equal(try_dense(ctx, &g), DCLS_OK);
    g.out[2] = 9; /* coordinates beyond the limit */
    assert_int_equal(try_dense(ctx, &g), DCLS_ERR_LIMIT);
}

static int set_up(void **state)
{
    dcls_context *ctx = NULL;
    random_state = 20240607;
    if (dcls_context_create(&ctx) != DCLS_OK) return -1;
    *state = ctx;
    return 0;
}

static int tear_down(void **state)
{
    dcls_context_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widths),       cmocka_unit_test(test_random),
        cmocka_unit_test(test_negative_pad), cmocka_unit_test(test_padding_only),
        cmocka_unit_test(test_winograd),     cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_choice),       cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests_name("conv", tests, set_up, tear_down);
}
