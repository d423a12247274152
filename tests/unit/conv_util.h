/* Convolutions made at random and what a plain loop in double precision makes of them, whatever the
 * algorithm. */
#ifndef TESTS_CONV_UTIL_H
#define TESTS_CONV_UTIL_H

#include "numeric_util.h"

#include "ops/conv.h"
#include "ops/conv_internal.h"

typedef enum algorithm {
    DENSE,
    SPARSE,
    INTERPOLATED,
    ALGORITHM_COUNT,
    WINOGRAD = ALGORITHM_COUNT,
    PIXELS,
    AMX
} algorithm;

static const char *const algorithm_names[] = {"dense", "sparse", "interpolated", "winograd", "pixels", "amx"};

/* ---- one problem ---- */

typedef struct problem {
    dcls_geometry g;
    algorithm algorithm;
    int64_t count; /* interpolated: elements per input channel */
    bool shared;   /* interpolated: the same positions in every group */
    dcls_conv_how amx;
    dcls_epilogue epilogue;
    float *in, *residual;
    float *dense;  /* [out_channels, in_channels / groups, cells]: the kernel, however it is given */
    float *weight; /* interpolated: of elements */
    dcls_taps taps;
    double *expected, *magnitude;
} problem;

static inline int64_t out_floats(const dcls_geometry *g)
{
    return g->batch * g->out_channels * dcls_volume(g->out);
}

/* Padding on both sides, as most layers have it; false if the window does not fit. */
static inline bool set_out(dcls_geometry *g)
{
    for (int d = 0; d < 3; d++) {
        int64_t room = g->in[d] + 2 * g->pad[d] - (g->kernel[d] - 1) * g->dilation[d] - 1;
        if (room < 0) return false;
        g->out[d] = room / g->stride[d] + 1;
    }
    return true;
}

/* One output before the epilogue; *magnitude: the sum of the absolute terms. */
static inline double convolve(const problem *p, int64_t image, int64_t o, const int64_t at[3],
                              double *magnitude)
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

static inline void compute_expected(problem *p)
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
        y = (double)reference_activation(e->activation, y + (e->bias ? (double)e->bias[o] : 0));
        if (e->scale) y = y * (double)e->scale[o] + (double)e->shift[o];
        if (e->residual) y += (double)p->residual[i];
        p->expected[i] = (double)reference_activation(e->activation2, y);
    }
}

/* Windows in which most cells are zero, and some hold nothing. */
static inline void make_sparse_weights(dcls_context *ctx, problem *p, int64_t rows, int64_t cells)
{
    for (int64_t r = 0; r < rows; r++) {
        int64_t keep = random_int(0, 3);
        for (int64_t i = 0; i < cells; i++)
            if (random_int(0, 3) > keep || keep == 0) p->dense[r * cells + i] = 0;
    }
    assert_int_equal(dcls_taps_from_dense(ctx, p->dense, rows, cells, 0, &p->taps), DCLS_OK);
}

/* Elements of 0 to 4 neighbouring taps, and the dense kernel they add up to. */
static inline void make_elements(dcls_context *ctx, problem *p, int64_t cells)
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
    p->weight = new_floats(g->out_channels * cg * p->count);
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

static inline void make_epilogue(problem *p)
{
    static const dcls_activation activations[] = {DCLS_ACT_NONE, DCLS_ACT_RELU, DCLS_ACT_GELU,
                                                  DCLS_ACT_SIGMOID};
    int64_t channels = p->g.out_channels;
    dcls_epilogue *e = &p->epilogue;
    *e = (dcls_epilogue){0};
    if (random_int(0, 3) == 0) return;
    if (random_int(0, 1)) e->bias = new_floats(channels);
    e->activation = activations[random_int(0, 3)];
    if (random_int(0, 1)) {
        e->scale = new_floats(channels);
        e->shift = new_floats(channels);
    }
    e->residual = random_int(0, 1) == 1;
    e->activation2 = activations[random_int(0, 1)];
}

static inline void make_problem(dcls_context *ctx, problem *p)
{
    const dcls_geometry *g = &p->g;
    int64_t cells = dcls_volume(g->kernel), rows = g->out_channels * (g->in_channels / g->groups);
    p->in = new_floats(g->batch * g->in_channels * dcls_volume(g->in));
    p->residual = new_floats(out_floats(g));
    p->dense = new_floats(rows * cells);
    p->weight = NULL;
    p->taps = (dcls_taps){0};
    if (p->algorithm == SPARSE) make_sparse_weights(ctx, p, rows, cells);
    if (p->algorithm == INTERPOLATED) make_elements(ctx, p, cells);
    compute_expected(p);
}

/* Free what is const for the library and ours here. */
static inline void free_const(const float *x)
{
    void *p;
    memcpy(&p, &x, sizeof p);
    free(p);
}

static inline void free_problem(problem *p)
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

static inline dcls_conv *create(dcls_context *ctx, const problem *p)
{
    dcls_conv *conv = NULL;
    dcls_status status = DCLS_OK;
    switch (p->algorithm) {
    case DENSE:
        status = dcls_conv_create_dense(ctx, &p->g, p->dense, &p->epilogue, (dcls_conv_how){0}, &conv);
        break;
    case SPARSE: status = dcls_conv_create_sparse(ctx, &p->g, &p->taps, &p->epilogue, &conv); break;
    case WINOGRAD:
        status = dcls_conv_create_winograd(ctx, &p->g, p->g.batch, p->dense, &p->epilogue, &conv);
        break;
    case PIXELS: status = dcls_conv_create_pixels(ctx, NULL, 1, &p->g, p->dense, &p->epilogue, &conv); break;
    case AMX: status = dcls_conv_create_amx(ctx, p->amx, &p->g, p->dense, &p->epilogue, &conv); break;
    default:
        status =
            dcls_conv_create_interpolated(ctx, &p->g, &p->taps, p->count, p->weight, &p->epilogue, &conv);
    }
    if (status != DCLS_OK) fail_msg("create: %s", dcls_context_message(ctx));
    return conv;
}

static inline void describe(const problem *p, const char *simd, int threads)
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
static inline float *run(const problem *p, const dcls_conv *conv, const dcls_simd *simd, int threads,
                         bool in_place)
{
    int64_t n = out_floats(&p->g);
    size_t bytes = dcls_conv_workspace(conv, threads);
    assert_int_equal(bytes % 64, 0);
    void *workspace = aligned_alloc(64, bytes > 0 ? bytes : 64);
    float *out = malloc((size_t)n * sizeof *out);
    assert_non_null(workspace);
    assert_non_null(out);
    soil(workspace, bytes);
    memset(out, 0xff, (size_t)n * sizeof *out);
    if (in_place) memcpy(out, p->residual, (size_t)n * sizeof *out);
    const float *residual = in_place ? out : p->epilogue.residual ? p->residual : NULL;
    dcls_conv_run(conv, simd, p->in, residual, out, workspace, threads);
    free(workspace);
    return out;
}

/* Outputs of one of Winograd's tiles share their errors. */
static inline double largest_magnitude(const problem *p)
{
    double largest = 0;
    for (int64_t i = 0; i < out_floats(&p->g) && p->algorithm == WINOGRAD; i++)
        largest = fmax(largest, p->magnitude[i]);
    return largest;
}

static inline void compare(const problem *p, const float *out, const char *simd)
{
    double largest = largest_magnitude(p);
    for (int64_t i = 0; i < out_floats(&p->g); i++) {
        double difference = fabs((double)out[i] - p->expected[i]);
        if (difference <= 3e-6 * (fmax(largest, p->magnitude[i]) + fabs(p->expected[i]) + 1)) continue;
        describe(p, simd, 1);
        fail_msg("output %lld is %.9g, should be %.9g", (long long)i, (double)out[i], p->expected[i]);
    }
}

static inline void check_same_bits(const problem *p, const float *a, const float *b, const char *simd,
                                   int threads)
{
    if (memcmp(a, b, (size_t)out_floats(&p->g) * sizeof *a) == 0) return;
    describe(p, simd, threads);
    fail_msg("results differ between 1 and %d threads", threads);
}

static inline void check_with(const problem *p, const dcls_conv *conv, const dcls_simd *simd)
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
static inline void check_problem(dcls_context *ctx, problem *p)
{
    make_problem(ctx, p);
    dcls_conv *conv = create(ctx, p);
    for (int level = DCLS_CPU_SCALAR; level <= (int)highest_level(); level++)
        check_with(p, conv, dcls_simd_get((dcls_cpu_level)level));
    dcls_conv_destroy(conv);
    free_problem(p);
}

#endif
