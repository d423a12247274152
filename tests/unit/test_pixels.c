/* Products by pixel and the convolutions made of them against sums in double precision, at sizes around tiles
 * and panels, at every instruction set. */
#include "ops/conv_panels.h"
#include "pair_util.h"

#define PANEL DCLS_GEMM_PANEL
#define STRIP DCLS_GEMM_STRIP

static const float guard = 12345.0f;

/* ---- one panel ---- */

/* in is [pixels, k], or turned [k, pixels], with gaps between rows. */
static void check_panel(const dcls_simd *simd, int64_t pixels, int64_t k, dcls_activation activation,
                        bool with_bias, bool turned)
{
    int64_t gap = random_int(0, 3), row = (turned ? pixels : k) + gap;
    int64_t step = turned ? row : 1, stride = turned ? 1 : row;
    int64_t in_floats = (turned ? k : pixels) * row - gap, out_stride = PANEL + random_int(0, 2);
    int64_t out_floats = pixels * out_stride;
    float *in = new_floats(in_floats), *weight = new_floats(k * PANEL), *bias = new_floats(PANEL);
    float *out = new_floats(out_floats);
    for (int64_t i = 0; i < out_floats; i++)
        out[i] = guard;
    const dcls_gemm_pixels g = {.pixels = pixels,
                                .k = k,
                                .in = in,
                                .in_step = step,
                                .in_stride = stride,
                                .weight = weight,
                                .bias = with_bias ? bias : NULL,
                                .activation = activation,
                                .out = out,
                                .out_stride = out_stride};
    simd->gemm_pixels(&g);
    for (int64_t i = 0; i < out_floats; i++) {
        int64_t p = i / out_stride, o = i % out_stride;
        if (o >= PANEL) {
            assert_true(out[i] == guard);
            continue;
        }
        double sum = with_bias ? (double)bias[o] : 0, magnitude = fabs(sum);
        for (int64_t j = 0; j < k; j++) {
            double term =
                (double)in[p * stride + j * step] * (double)weight[(o / STRIP * k + j) * STRIP + o % STRIP];
            sum += term;
            magnitude += fabs(term);
        }
        if (with_bias) sum = (double)reference_activation(activation, sum);
        assert_near(out[i], sum, magnitude, "panel", i);
    }
    free(in), free(weight), free(bias), free(out);
}

static void panels(void **state)
{
    const dcls_simd *simd = simd_of(state);
    static const int64_t depths[] = {1, 2, 255, 256, 257, 511, 513, 800};
    for (int turned = 0; turned < 2; turned++) {
        for (int64_t pixels = 1; pixels <= 40; pixels++)
            check_panel(simd, pixels, random_int(1, 40), DCLS_ACT_NONE, false, turned);
        for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
            check_panel(simd, 13, depths[i], (dcls_activation)(i % 5), true, turned);
    }
}

/* ---- convolutions ---- */

static double hidden_value(const problem *p, int64_t image, int64_t h, int64_t pixel)
{
    double sum = (double)p->first_bias[h];
    for (int64_t c = 0; c < p->g.in_channels; c++)
        sum += (double)p->first[h * p->g.in_channels + c] *
               (double)p->in[(image * p->g.in_channels + c) * p->g.in[2] + pixel];
    return (double)reference_activation(p->activation, sum);
}

static void check_pixel(const problem *p, int64_t image, int64_t pixel, const float *out)
{
    int64_t k = p->hidden > 0 ? p->hidden : p->g.in_channels, n = p->g.in[2];
    double *x = malloc((size_t)k * sizeof *x);
    for (int64_t j = 0; j < k; j++)
        x[j] = p->hidden > 0 ? hidden_value(p, image, j, pixel)
                             : (double)p->in[(image * p->g.in_channels + j) * n + pixel];
    for (int64_t o = 0; o < p->g.out_channels; o++) {
        int64_t at = (image * p->g.out_channels + o) * n + pixel;
        const dcls_epilogue *e = &p->epilogue;
        double sum = (double)e->bias[o], magnitude = 1 + fabs(sum);
        for (int64_t j = 0; j < k; j++) {
            sum += x[j] * (double)p->second[o * k + j];
            magnitude += (1 + fabs(x[j])) * fabs((double)p->second[o * k + j]);
        }
        sum = sum * (double)e->scale[o] + (double)e->shift[o];
        if (e->residual) sum += (double)p->residual[at];
        assert_near(out[at], (double)reference_activation(e->activation2, sum), magnitude, "pixel", at);
    }
    free(x);
}

static float *run(dcls_context *ctx, const dcls_simd *simd, const problem *p, int threads)
{
    dcls_conv *conv = NULL;
    const dcls_conv_expansion e = expansion_of(p);
    dcls_status status =
        p->hidden > 0 ? dcls_conv_create_pair(ctx, NULL, threads, &p->g, &e, p->second, &p->epilogue, &conv)
                      : dcls_conv_create_pixels(ctx, NULL, threads, &p->g, p->second, &p->epilogue, &conv);
    assert_int_equal(status, DCLS_OK);
    const bool seven =
        p->g.in_channels >= 192 && p->g.out_channels % 64 == 0 && p->hidden % 64 == 0 && p->hidden > 0;
    assert_string_equal(dcls_conv_algorithm(conv), seven ? "strassen" : p->hidden > 0 ? "fused" : "dense");
    return run_on_threads(conv, simd, p);
}

static void convolutions(void **state)
{
    static const int64_t sizes[][5] = {
        /* batch, channels in, between, out, pixels */
        {1, 1, 1, 1, 1},          {2, 3, 5, 4, 7},        {1, 33, 0, 31, 49},     {3, 16, 0, 64, 2},
        {1, 300, 0, 33, 25},      {2, 8, 64, 32, 49},     {1, 96, 384, 96, 65},   {1, 17, 70, 33, 196},
        {2, 5, 33, 3, 500},       {1, 24, 1600, 24, 130}, {1, 2, 3000, 3, 70},    {1, 7, 32, 32, 64},
        {1, 7, 16384, 1, 66},     {1, 300, 31, 7, 97},    {1, 192, 128, 64, 196}, {2, 194, 896, 192, 254},
        {1, 400, 1664, 128, 192},
    };
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        problem p = make_problem(flat(sizes[i][0], sizes[i][1], sizes[i][3], sizes[i][4]), sizes[i][2]);
        float *out = run(ctx, simd_of(state), &p, 1), *other;
        for (int threads = 2; threads <= 64; threads += 31) { /* in other tiles */
            other = run(ctx, simd_of(state), &p, threads);
            assert_same_bits(out, other, p.out_floats, "tiles");
            free(other);
        }
        for (int64_t image = 0; image < p.g.batch; image++)
            for (int64_t pixel = 0; pixel<p.g.in[2]; pixel += p.g.in[2]> 50 ? 7 : 1)
                check_pixel(&p, image, pixel, out);
        free(out);
        free_problem(&p);
    }
    dcls_context_destroy(ctx);
}

/* Outputs and terms of very different size do not harm each other where they meet in sums. */
static void sizes_of_outputs(void **state)
{
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    problem p = make_problem(flat(1, 192, 128, 196), 128);
    p.activation = DCLS_ACT_RELU;
    p.epilogue = (dcls_epilogue){.bias = p.terms, .scale = p.terms + 128, .shift = p.terms + 256};
    for (int64_t o = 0; o < 128; o++) {
        const float size = ldexpf(1, -(int)(o * 37 % 60)); /* and 0 */
        p.terms[o] = p.terms[256 + o] = p.first_bias[o] = 0;
        p.terms[128 + o] = o == 77 ? 1 : 1 / size;
        for (int64_t i = 0; i < 192; i++)
            p.first[o * 192 + i] *= ldexpf(1, (int)(o % 41) - 20);
        for (int64_t i = 0; i < 128; i++)
            p.second[o * 128 + i] *= o == 77 ? 0 : ldexpf(size, 20 - (int)(i % 41));
    }
    float *out = run(ctx, simd_of(state), &p, 1);
    for (int64_t pixel = 0; pixel < 196; pixel += 13)
        for (int64_t o = 0; o < 128; o++) {
            double sum = 0, magnitude = 0;
            for (int64_t j = 0; j < 128; j++) {
                const double term = hidden_value(&p, 0, j, pixel) * (double)p.second[o * 128 + j];
                sum += term;
                magnitude += fabs(term);
            }
            const double scale = (double)p.epilogue.scale[o];
            assert_near(out[o * 196 + pixel], scale * sum, scale * magnitude, "output", o);
        }
    free(out);
    free_problem(&p);
    dcls_context_destroy(ctx);
}

/* Pixels, most of a tile, wanted: as many tiles. */
static void tiles(void **state)
{
    (void)state;
    static const int64_t cuts[][4] = {
        {196, 98, 1, 2}, {196, 98, 2, 2},   {196, 98, 3, 3},   {196, 98, 4, 4},       {196, 98, 64, 8},
        {196, 50, 2, 4}, {3136, 98, 1, 32}, {3136, 98, 3, 32}, {3136, 98, 64, 64},    {30, 98, 1, 1},
        {30, 98, 64, 1}, {1, 24, 5, 1},     {784, 98, 64, 32}, {100000, 98, 2, 1021},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        const dcls_conv_tiles cut = dcls_conv_cut(cuts[i][0], cuts[i][1], cuts[i][2]);
        assert_int_equal(cut.count, cuts[i][3]);
        assert_int_equal(cut.most, dcls_ceil_div(cuts[i][0], cut.count));
        assert_true(cut.most <= cuts[i][1]);
    }
}

/* What a plan sets aside for many threads does for fewer, and the distance between them is bounded. */
static void workspaces(void **state)
{
    (void)state;
    dcls_context *ctx;
    dcls_conv *conv;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    problem p = make_problem(flat(1, 8, 8, 40000), 16);
    const dcls_conv_expansion e = expansion_of(&p);
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, &p.g, &e, p.second, NULL, &conv), DCLS_OK);
    const size_t one = dcls_conv_workspace(conv, 1);
    size_t last = 0;
    for (int threads = 1; threads <= 1024; threads++) {
        const size_t bytes = dcls_conv_workspace(conv, threads);
        assert_true(bytes >= last && bytes <= (size_t)threads * one + ((size_t)4 << 20));
        last = bytes;
    }
    dcls_conv_destroy(conv);
    free_problem(&p);
    dcls_context_destroy(ctx);
}

static void wrong_arguments(void **state)
{
    (void)state;
    dcls_context *ctx;
    dcls_conv *conv;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    problem p = make_problem(flat(1, 4, 4, 10), 8);
    dcls_conv_expansion e = {.channels = 0, .weight = p.first};
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    e.channels = DCLS_PAIR_MOST + 1;
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    e.channels = 8;
    p.g.groups = 2;
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    p.g.groups = 1;
    p.g.pad[2] = 1;
    p.g.out[2] = 12;
    assert_int_equal(dcls_conv_create_pair(ctx, NULL, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    free_problem(&p);
    dcls_context_destroy(ctx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(panels), cmocka_unit_test(convolutions), cmocka_unit_test(sizes_of_outputs),
        cmocka_unit_test(tiles),  cmocka_unit_test(workspaces),   cmocka_unit_test(wrong_arguments)};
    return run_at_every_level("pixels", tests, sizeof tests / sizeof *tests);
}
