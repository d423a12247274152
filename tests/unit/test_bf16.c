/* Products in bfloat16: what stands in for the instruction against its definition and against the instruction
 * itself, bit by bit; and convolutions against sums in double precision of operands rounded here. */
#include "pair_util.h"

#define PANEL DCLS_GEMM_PANEL

/* ---- bfloat16, by itself ------------------------------------------------------------------------------- */

/* To the nearest, ties to even, by comparing distances. */
static float rounded(float x)
{
    if (isnan(x) || isinf(x)) return x;
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t down = bits & 0xffff0000u, up = down + 0x10000u;
    uint32_t rest = bits - down;
    bits = rest < 0x8000u || (rest == 0x8000u && down % 0x20000u == 0) ? down : up;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float half_of(uint32_t pair, int term)
{
    uint32_t bits = term ? pair & 0xffff0000u : pair << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float flushed(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

/* The definition in the manuals. */
static float dot(float sum, uint32_t a, uint32_t b)
{
    for (int term = 1; term >= 0; term--)
        sum = flushed(fmaf(flushed(half_of(a, term)), flushed(half_of(b, term)), flushed(sum)));
    return sum;
}

/* ---- tables ---- */

/* All that this machine can run, by number; NULL past the end. */
static const dcls_bf16 *table(int index)
{
    const dcls_cpu_level level = highest_level();
    if (index <= (int)level) return dcls_bf16_get((dcls_cpu_level)index, false);
    return index == (int)level + 1 && dcls_cpu_has_bf16(level) ? dcls_bf16_get(level, true) : NULL;
}

typedef uint32_t make_pair(void);

static uint32_t two(float a, float b)
{
    uint32_t low, high;
    memcpy(&low, &a, sizeof low);
    memcpy(&high, &b, sizeof high);
    return low >> 16 | (high & 0xffff0000u);
}

static uint32_t usual_pair(void)
{
    return two(rounded(random_float()), rounded(random_float()));
}

/* Products and sums of all magnitudes that stay normal. */
static uint32_t wide_pair(void)
{
    return two(rounded(ldexpf(random_float(), (int)random_int(-30, 30))),
               rounded(ldexpf(random_float(), (int)random_int(-30, 30))));
}

/* Products around the smallest normal number, and denormal operands. */
static uint32_t tiny_pair(void)
{
    return two(rounded(ldexpf(random_float(), (int)random_int(-70, -55))),
               random_int(0, 3) ? rounded(ldexpf(random_float(), -63)) : 0x1p-130f);
}

/* For NaN and infinity only the kind counts. */
static void assert_same(const dcls_bf16 *bf16, float got, float want, int64_t at)
{
    if (isnan(got) && isnan(want)) return;
    uint32_t bits[2];
    memcpy(&bits[0], &got, sizeof got);
    memcpy(&bits[1], &want, sizeof want);
    if (bits[0] != bits[1])
        fail_msg("%s: at %lld got %a, expected %a", bf16->name, (long long)at, (double)got, (double)want);
}

static void check_product(const dcls_bf16 *bf16, int64_t pixels, int64_t pairs, bool near, make_pair *make)
{
    const int64_t gap = random_int(0, 2), row = (near ? pixels : pairs) + (near ? gap : gap + 2),
                  rows = near ? pairs : pixels;
    const int64_t stride = PANEL + random_int(0, 2);
    uint32_t *in = malloc((size_t)(row * rows) * sizeof *in),
             *weight = malloc((size_t)(pairs * PANEL) * sizeof *weight);
    float *out = new_floats(pixels * stride);
    for (int64_t i = 0; i < row * rows; i++)
        in[i] = make();
    for (int64_t i = 0; i < pairs * PANEL; i++)
        weight[i] = make();
    const dcls_bf16_product g = {.pixels = pixels,
                                 .pairs = pairs,
                                 .in = in,
                                 .in_step = near ? row : 1,
                                 .in_stride = near ? 1 : row,
                                 .weight = weight,
                                 .out = out,
                                 .out_stride = stride};
    bf16->multiply(&g);
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t o = 0; o < PANEL; o++) {
            float sum = 0;
            for (int64_t j = 0; j < pairs; j++)
                sum = dot(sum, in[near ? j * row + p : p * row + j], weight[j * PANEL + o]);
            assert_same(bf16, out[p * stride + o], sum, p * PANEL + o);
        }
    free(in), free(weight), free(out);
}

static void products(void **state)
{
    (void)state;
    const dcls_bf16 *bf16;
    for (int t = 0; (bf16 = table(t)) != NULL; t++)
        for (int64_t pixels = 1; pixels <= 26; pixels++)
            for (int near = 0; near < 2; near++) {
                check_product(bf16, pixels, random_int(1, 9), near, usual_pair);
                check_product(bf16, pixels, random_int(1, 9), near, wide_pair);
                if (pixels % 8 == 0) check_product(bf16, pixels, 126 + pixels / 4, near, usual_pair);
                /* without fused additions products of denormal size are lost */
                if (t > 0) check_product(bf16, pixels, random_int(1, 9), near, tiny_pair);
            }
}

static void rounding(void **state)
{
    (void)state;
    static const float special[] = {
        0,         -0.0f,        1,         1.00390625f, 1.01171875f, -1.00390625f, 3.3895314e38f,
        3.4e38f,   INFINITY,     -INFINITY, 0x1p-140f,   -0x1p-126f,  0x1.01p0f,    0x1.010001p0f,
        0x1.03p0f, 0x1.02ffffp0f};
    const int64_t n = sizeof special / sizeof *special;
    const dcls_bf16 *bf16;
    uint32_t nan_bits = 0x7f800001u;
    float nan_low;
    memcpy(&nan_low, &nan_bits, sizeof nan_low);
    for (int t = 0; (bf16 = table(t)) != NULL; t++)
        for (int64_t count = 0; count <= 70; count++) {
            float *a = new_floats(count), *b = new_floats(count);
            uint32_t *out = malloc((size_t)count * sizeof *out + 1);
            for (int64_t i = 0; i < count && i < n; i++)
                a[i] = special[i], b[count - 1 - i] = special[i];
            if (count > n) a[n] = nan_low;
            bf16->pack(a, b, out, count);
            for (int64_t i = 0; i < count; i++) {
                assert_same(bf16, half_of(out[i], 0), rounded(a[i]), i);
                assert_same(bf16, half_of(out[i], 1), rounded(b[i]), i);
            }
            free(a), free(b), free(out);
        }
}

/* ---- convolutions ---- */

/* The rounded input under cell `cell` of channel c for output pixel; 0 outside. */
static double input_at(const problem *p, int64_t image, int64_t c, int64_t cell, int64_t pixel)
{
    const dcls_geometry *g = &p->g;
    const int64_t out[3] = {pixel / (g->out[1] * g->out[2]), pixel / g->out[2] % g->out[1],
                            pixel % g->out[2]};
    const int64_t k[3] = {cell / (g->kernel[1] * g->kernel[2]), cell / g->kernel[2] % g->kernel[1],
                          cell % g->kernel[2]};
    int64_t at = image * g->in_channels + c;
    for (int d = 0; d < 3; d++) {
        int64_t x = out[d] * g->stride[d] - g->pad[d] + k[d] * g->dilation[d];
        if (x < 0 || x >= g->in[d]) return 0;
        at = at * g->in[d] + x;
    }
    return (double)rounded(p->in[at]);
}

/* What the second product reads, rounded; *doubt: how far it may be off because the sum lies near a tie. */
static double term_at(const problem *p, int64_t image, int64_t j, int64_t pixel, double *doubt)
{
    *doubt = 0;
    if (p->hidden == 0) return input_at(p, image, j / p->cells, j % p->cells, pixel);
    double sum = (double)p->first_bias[j], magnitude = fabs(sum);
    for (int64_t c = 0; c < p->g.in_channels; c++) {
        double term = (double)rounded(p->first[j * p->g.in_channels + c]) * input_at(p, image, c, 0, pixel);
        sum += term;
        magnitude += fabs(term);
    }
    double value = (double)reference_activation(p->activation, sum), error = 3e-6 * magnitude + 1e-7;
    if (p->activation == DCLS_ACT_GELU) error += 4e-5;
    *doubt = fabs((double)rounded((float)(value + error)) - (double)rounded((float)(value - error)));
    return (double)rounded((float)value);
}

static void check_pixel(const problem *p, int64_t image, int64_t pixel, const float *out)
{
    const dcls_epilogue *e = &p->epilogue;
    int64_t k = p->hidden > 0 ? p->hidden : p->g.in_channels * p->cells,
            n = p->g.out[0] * p->g.out[1] * p->g.out[2];
    double *x = malloc((size_t)k * sizeof *x), *doubt = malloc((size_t)k * sizeof *doubt);
    for (int64_t j = 0; j < k; j++)
        x[j] = term_at(p, image, j, pixel, &doubt[j]);
    for (int64_t o = 0; o < p->g.out_channels; o++) {
        int64_t at = (image * p->g.out_channels + o) * n + pixel;
        double sum = (double)e->bias[o], magnitude = 1 + fabs(sum);
        for (int64_t j = 0; j < k; j++) {
            double weight = (double)rounded(p->second[o * k + j]);
            sum += x[j] * weight;
            magnitude += fabs(x[j] * weight) + doubt[j] * fabs(weight) / 3e-6;
        }
        sum = sum * (double)e->scale[o] + (double)e->shift[o];
        if (e->residual) sum += (double)p->residual[at];
        assert_near((double)out[at], (double)reference_activation(e->activation2, sum), magnitude, "pixel",
                    at);
    }
    free(x), free(doubt);
}

static float *run(dcls_context *ctx, const dcls_bf16 *bf16, const problem *p)
{
    dcls_conv *conv = NULL;
    const dcls_conv_expansion e = expansion_of(p);
    dcls_status status = p->hidden > 0
                             ? dcls_conv_create_pair(ctx, bf16, 1, &p->g, &e, p->second, &p->epilogue, &conv)
                             : dcls_conv_create_pixels(ctx, bf16, 1, &p->g, p->second, &p->epilogue, &conv);
    assert_int_equal(status, DCLS_OK);
    return run_on_threads(conv, dcls_simd_get(dcls_cpu_detect()), p);
}

/* Every table gives the same bits, which are near the reference; activations aside, whose bits are the
 * level's own. */
static void check_problem(dcls_context *ctx, problem *p)
{
    const dcls_bf16 *bf16;
    float *first = NULL;
    const int64_t n = p->g.out[0] * p->g.out[1] * p->g.out[2];
    if (p->activation != DCLS_ACT_RELU) p->activation = random_int(0, 1) ? p->activation : DCLS_ACT_NONE;
    for (int t = 0; (bf16 = table(t)) != NULL; t++) {
        float *out = run(ctx, bf16, p);
        for (int64_t image = 0; image < p->g.batch; image++)
            for (int64_t pixel = 0; pixel<n; pixel += n> 50 ? 7 : 1)
                check_pixel(p, image, pixel, out);
        bool plain = p->hidden == 0 || p->activation == DCLS_ACT_NONE || p->activation == DCLS_ACT_RELU;
        if (first && plain) assert_same_bits(first, out, p->out_floats, bf16->name);
        if (!first) first = copy_floats(out, p->out_floats);
        free(out);
    }
    free(first);
    free_problem(p);
}

static void pointwise(void **state)
{
    static const int64_t sizes[][5] = {
        /* batch, channels in, between, out, pixels */
        {1, 1, 1, 1, 1},     {2, 3, 5, 4, 7},       {1, 33, 0, 31, 49},  {3, 16, 0, 64, 2},
        {1, 300, 0, 33, 25}, {2, 8, 64, 32, 49},    {1, 32, 96, 32, 65}, {1, 17, 70, 33, 196},
        {2, 5, 33, 3, 300},  {1, 24, 600, 24, 130}, {1, 7, 32, 32, 64},  {1, 600, 0, 7, 97},
    };
    (void)state;
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        problem p = make_problem(flat(sizes[i][0], sizes[i][1], sizes[i][3], sizes[i][4]), sizes[i][2]);
        check_problem(ctx, &p);
    }
    dcls_context_destroy(ctx);
}

static void windows(void **state)
{
    (void)state;
    dcls_context *ctx;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    for (int round = 0; round < 40; round++) {
        dcls_geometry g = flat(random_int(1, 2), random_int(1, 9), random_int(1, 40), 1);
        for (int d = round % 4 ? 1 : 0; d < 3; d++) {
            g.kernel[d] = random_int(1, d ? 5 : 2);
            g.stride[d] = random_int(1, 3);
            g.dilation[d] = random_int(1, 3);
            g.in[d] = random_int(3, d ? 17 : 3);
            g.pad[d] = random_int(-1, 4);
            int64_t span = g.in[d] + 2 * g.pad[d] - (g.kernel[d] - 1) * g.dilation[d] - 1;
            g.out[d] = span < 0 ? 1 : span / g.stride[d] + 1;
        }
        problem p = make_problem(g, 0);
        check_problem(ctx, &p);
    }
    dcls_context_destroy(ctx);
}

static void wrong_arguments(void **state)
{
    (void)state;
    dcls_context *ctx;
    dcls_conv *conv;
    assert_int_equal(dcls_context_create(&ctx), DCLS_OK);
    problem p = make_problem(flat(1, 4, 4, 10), 8);
    const dcls_bf16 *bf16 = table(0);
    dcls_conv_expansion e = {.channels = 0, .weight = p.first};
    assert_int_equal(dcls_conv_create_pair(ctx, bf16, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    e.channels = DCLS_PAIR_MOST + 1;
    assert_int_equal(dcls_conv_create_pair(ctx, bf16, 1, &p.g, &e, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    p.g.groups = 2;
    assert_int_equal(dcls_conv_create_pixels(ctx, bf16, 1, &p.g, p.second, NULL, &conv), DCLS_ERR_ARGUMENT);
    free_problem(&p);
    dcls_context_destroy(ctx);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(products), cmocka_unit_test(rounding),
                                              cmocka_unit_test(pointwise), cmocka_unit_test(windows),
                                              cmocka_unit_test(wrong_arguments)};
    return cmocka_run_group_tests_name("bf16", tests, NULL, NULL);
}
