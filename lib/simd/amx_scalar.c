/* What AMX computes, without it: the operation that the processor manual gives for TDPBF16PS. */
#include "simd/amx.h"

#include <math.h>
#include <string.h>

#include "simd/tables.h"

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t to_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float flush(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static float term(uint32_t pair, int which)
{
    return flush(from_bits(which == 0 ? pair << 16 : pair & 0xffff0000u));
}

static dcls_amx_rows rows_of(const dcls_amx_product *g)
{
    if (g->rows.row != 0) return g->rows;
    const int64_t part = 2 * DCLS_AMX_TILE * g->row_tiles;
    return (dcls_amx_rows){.row = 2 * DCLS_AMX_SIDE, .part = part, .step = g->parts * part};
}

/* a b + sum, rounded once. A product of two bfloat16 numbers is a float, if not one too small. */
static float multiply_and_add(float a, float b, float sum)
{
    const float product = a * b;
    return fabsf(product) >= 0x1p-126f || a == 0 || b == 0 ? product + sum : fmaf(a, b, sum);
}

/* Sums of even and odd terms, added to what is there once. */
static float multiply_row(const uint16_t *numbers, const uint32_t *b, int64_t b_stride, float c)
{
    uint32_t a[DCLS_AMX_SIDE];
    memcpy(a, numbers, sizeof a);
    float sum[2] = {0, 0};
    for (int64_t j = 0; j < DCLS_AMX_SIDE; j++)
        for (int t = 0; t < 2; t++)
            sum[t] = flush(multiply_and_add(term(a[j], t), term(b[j * b_stride], t), sum[t]));
    return flush(c + flush(sum[0] + sum[1]));
}

/* Parts multiplied in this order: small products first would be as good. */
static const int order[][2] = {{0, 2}, {0, 1}, {0, 0}, {1, 0}, {1, 1}, {2, 0}};

static float multiply_step(const dcls_amx_product *g, int64_t step, int64_t row, int64_t column, float c)
{
    const dcls_amx_rows at = rows_of(g);
    const uint16_t *a = (const uint16_t *)g->a + step * at.step + row * at.row;
    const uint32_t *b = g->b + g->start[step] + column;
    if (g->parts == 1) return multiply_row(a, b, g->b_stride, c);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        c = multiply_row(a + order[i][0] * at.part, b + order[i][1] * g->b_part, g->b_stride, c);
    return c;
}

static void nothing(void)
{
}

static void multiply(const dcls_amx_product *g)
{
    for (int64_t r = 0; r < g->row_tiles * DCLS_AMX_SIDE; r++)
        for (int64_t x = 0; x < g->column_tiles * DCLS_AMX_SIDE; x++) {
            float *c = g->c + r * g->c_stride + x, sum = g->add ? *c : 0;
            for (int64_t s = 0; s < g->steps; s++)
                sum = multiply_step(g, s, r, x, sum);
            *c = sum;
        }
}

/* The nearest bfloat16 number, as the upper half; half: what decides ties. */
static uint32_t round_bits(uint32_t bits, uint32_t half)
{
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return is_nan ? (bits | 0x400000u) & 0xffff0000u : (bits + half) & 0xffff0000u;
}

static void split(int parts, float x, uint32_t part[DCLS_AMX_PARTS])
{
    uint32_t bits = to_bits(x);
    if (parts == 1) {
        part[0] = round_bits(bits, 0x7fffu + (bits >> 16 & 1));
        return;
    }
    for (int p = 0; p < DCLS_AMX_PARTS; p++) {
        part[p] = p < DCLS_AMX_PARTS - 1 ? round_bits(bits, 0x8000u) : bits & 0xffff0000u;
        x -= from_bits(part[p]);
        bits = to_bits(x);
    }
}

static void pack(int parts, const float *term0, const float *term1, uint32_t *out, int64_t part, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t even[DCLS_AMX_PARTS] = {0}, odd[DCLS_AMX_PARTS] = {0};
        split(parts, term0[i], even);
        split(parts, term1[i], odd);
        for (int p = 0; p < parts && p < DCLS_AMX_PARTS; p++)
            out[p * part + i] = even[p] >> 16 | odd[p];
    }
}

static void pack_row(int parts, const float *x, uint16_t *out, int64_t part, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t halves[DCLS_AMX_PARTS] = {0};
        split(parts, x[i], halves);
        for (int p = 0; p < parts && p < DCLS_AMX_PARTS; p++)
            out[p * part + i] = (uint16_t)(halves[p] >> 16);
    }
}

static void pack_tiles(int parts, const float *x, int64_t x_stride, int64_t rows, int64_t n,
                       int64_t row_tiles, void *out)
{
    const int64_t row = 2 * DCLS_AMX_SIDE, part = row_tiles * DCLS_AMX_SIDE * row;
    uint16_t *to = out;
    for (int64_t k = 0; k < n; k += row, to += parts * part)
        for (int64_t r = 0; r < row_tiles * DCLS_AMX_SIDE; r++) {
            float line[2 * DCLS_AMX_SIDE] = {0};
            for (int64_t i = 0; i < row && r < rows && k + i < n; i++)
                line[i] = x[r * x_stride + k + i];
            pack_row(parts, line, to + r * row, part, row);
        }
}

static void transpose(const uint32_t *from, int64_t from_stride, uint32_t *to, int64_t stride)
{
    for (int64_t i = 0; i < DCLS_AMX_SIDE; i++)
        for (int64_t j = 0; j < DCLS_AMX_SIDE; j++)
            to[j * stride + i] = from[i * from_stride + j];
}

static float multiply_add(int64_t rounds)
{
    return (float)rounds;
}

const dcls_amx dcls_amx_scalar = {.name = "scalar",
                                  .begin = nothing,
                                  .end = nothing,
                                  .multiply = multiply,
                                  .pack = pack,
                                  .pack_row = pack_row,
                                  .pack_tiles = pack_tiles,
                                  .transpose = transpose,
                                  .multiply_add = multiply_add};
