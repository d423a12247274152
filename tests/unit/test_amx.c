/* Products of AMX tiles: the processor's against the operation that its manual gives, bit by bit, those by
 * vectors against the operation that theirs gives, and all against sums in double precision. */
#include "numeric_util.h"

#include "amx_util.h"

#define SIDE DCLS_AMX_SIDE

static float number_of(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Numbers of all sizes that float has without being denormal in any part. */
static float any_size(void)
{
    return ldexpf(random_float(), (int)random_int(-80, 80));
}

/* ---- parts ---- */

static void three_parts_are_the_number(void **state)
{
    (void)state;
    const dcls_amx *tables[AMX_TABLES];
    const int count = amx_tables(3, tables);
    for (int t = 0; t < count; t++)
        for (int64_t n = 1; n <= 80; n++) {
            float x[80];
            uint16_t part[3 * 90];
            for (int64_t i = 0; i < n; i++)
                x[i] = any_size();
            memset(part, 0x55, sizeof part);
            tables[t]->pack_row(3, x, part, 90, n);
            for (int64_t i = 0; i < n; i++) {
                double sum = 0;
                for (int p = 0; p < 3; p++)
                    sum += (double)number_of(part[p * 90 + i]);
                assert_true(sum == (double)x[i]);
            }
            for (int64_t i = n; i < 90; i++)
                assert_int_equal(part[i], 0x5555); /* nothing is written behind */
        }
}

static void one_part_is_the_nearest(void **state)
{
    (void)state;
    const dcls_amx *tables[AMX_TABLES];
    const int count = amx_tables(1, tables);
    const float x[] = {1, 0x1.01p0f, 0x1.010002p0f, 0x1.03p0f, 0x1.fffffep127f, -0x1.01p0f, NAN, INFINITY};
    const float expected[] = {1, 1, 0x1.02p0f, 0x1.04p0f, INFINITY, -1, NAN, INFINITY};
    for (int t = 0; t < count; t++) {
        uint16_t half[8];
        tables[t]->pack_row(1, x, half, 8, 8);
        for (int i = 0; i < 8; i++)
            assert_true(number_of(half[i]) == expected[i] ||
                        (isnan(expected[i]) && isnan(number_of(half[i]))));
    }
}

static void pairs_are_rows_of_two(void **state)
{
    (void)state;
    const dcls_amx *tables[AMX_TABLES];
    for (int parts = 1; parts <= 3; parts += 2)
        for (int t = amx_tables(parts, tables) - 1; t >= 0; t--)
            for (int64_t n = 1; n <= 40; n++) {
                const dcls_amx *amx = tables[t];
                float even[40], odd[40];
                uint32_t pair[3 * 40];
                uint16_t half[2][3 * 40];
                for (int64_t i = 0; i < n; i++)
                    even[i] = any_size(), odd[i] = i % 7 ? any_size() : NAN;
                amx->pack(parts, even, odd, pair, 40, n);
                amx->pack_row(parts, even, half[0], 40, n);
                amx->pack_row(parts, odd, half[1], 40, n);
                for (int p = 0; p < parts; p++)
                    for (int64_t i = p * 40; i < p * 40 + n; i++)
                        assert_int_equal(pair[i], half[0][i] | (uint32_t)half[1][i] << 16);
            }
}

static void transposes(void **state)
{
    (void)state;
    const dcls_amx *tables[AMX_TABLES];
    for (int t = amx_tables(1, tables) - 1; t >= 0; t--) {
        uint32_t from[16 * 20], to[16 * 23];
        for (uint32_t i = 0; i < 16 * 20; i++)
            from[i] = i;
        tables[t]->transpose(from, 20, to, 23);
        for (uint32_t i = 0; i < 16; i++)
            for (uint32_t j = 0; j < 16; j++)
                assert_int_equal(to[j * 23 + i], i * 20 + j);
    }
}

/* ---- products ---- */

typedef struct operands {
    int parts;
    int64_t rows, columns, terms, b_stride, c_stride;
    bool add, packed;
    float *a, *b, *c; /* [rows, terms], [terms, columns], [rows, c_stride] */
    uint16_t *numbers;
    uint32_t *pairs;
    dcls_amx_rows at;
} operands;

/* Where number k of row r is, of the first part. */
static int64_t place(const operands *o, int64_t r, int64_t k)
{
    const int64_t tiles = o->rows / SIDE;
    if (!o->packed) return r * o->at.row + k;
    return k / (2 * SIDE) * o->parts * tiles * 2 * DCLS_AMX_TILE + r * 2 * SIDE + k % (2 * SIDE);
}

static operands make(void)
{
    operands o = {.parts = random_int(0, 1) ? 3 : 1,
                  .rows = SIDE * random_int(1, 2),
                  .columns = SIDE * random_int(1, 5),
                  .terms = 2 * SIDE * random_int(1, 30),
                  .add = random_int(0, 1) == 1,
                  .packed = random_int(0, 1) == 1};
    o.b_stride = o.columns + random_int(0, 9);
    o.c_stride = o.columns + random_int(0, 9);
    o.a = new_floats(o.rows * o.terms);
    o.b = new_floats(o.terms * o.b_stride);
    o.c = new_floats(o.rows * o.c_stride);
    const int64_t row = o.terms + random_int(0, 40), part = o.packed ? o.rows * 2 * SIDE : o.rows * row;
    o.numbers = calloc((size_t)(3 * o.rows * row), sizeof *o.numbers);
    o.pairs = calloc((size_t)(3 * o.terms / 2 * o.b_stride), sizeof *o.pairs);
    if (!o.packed) o.at = (dcls_amx_rows){.row = row, .part = part, .step = 2 * SIDE};
    const dcls_amx *amx = dcls_amx_emulated();
    for (int64_t r = 0; r < o.rows; r++)
        for (int64_t k = 0; k < o.terms; k += 2 * SIDE)
            amx->pack_row(o.parts, o.a + r * o.terms + k, o.numbers + place(&o, r, k), part, 2 * SIDE);
    for (int64_t j = 0; j < o.terms / 2; j++)
        amx->pack(o.parts, o.b + 2 * j * o.b_stride, o.b + (2 * j + 1) * o.b_stride, o.pairs + j * o.b_stride,
                  o.terms / 2 * o.b_stride, o.b_stride);
    return o;
}

static void free_operands(operands *o)
{
    free(o->a), free(o->b), free(o->c), free(o->numbers), free(o->pairs);
}

static float *multiply(const operands *o, const dcls_amx *amx)
{
    int64_t start[30];
    for (int64_t s = 0; s < o->terms / (2 * SIDE); s++)
        start[s] = s * SIDE * o->b_stride;
    float *c = copy_floats(o->c, o->rows * o->c_stride);
    const dcls_amx_product g = {.parts = o->parts,
                                .row_tiles = o->rows / SIDE,
                                .column_tiles = o->columns / SIDE,
                                .steps = o->terms / (2 * SIDE),
                                .start = start,
                                .a = o->numbers,
                                .rows = o->at,
                                .b = o->pairs,
                                .b_stride = o->b_stride,
                                .b_part = o->terms / 2 * o->b_stride,
                                .c = c,
                                .c_stride = o->c_stride,
                                .add = o->add};
    amx->begin();
    amx->multiply(&g);
    amx->end();
    return c;
}

static float seen(const operands *o, float x)
{
    uint16_t half;
    if (o->parts == 3) return x;
    dcls_amx_emulated()->pack_row(1, &x, &half, 1, 1);
    return number_of(half);
}

static void check_sums(const operands *o, const float *c)
{
    for (int64_t r = 0; r < o->rows; r++)
        for (int64_t x = 0; x < o->c_stride; x++) {
            const int64_t at = r * o->c_stride + x;
            double sum = o->add ? (double)o->c[at] : 0, magnitude = fabs(sum);
            if (x >= o->columns) {
                assert_true(c[at] == o->c[at]); /* beyond the last column */
                continue;
            }
            for (int64_t k = 0; k < o->terms; k++) {
                double term =
                    (double)seen(o, o->a[r * o->terms + k]) * (double)seen(o, o->b[k * o->b_stride + x]);
                sum += term;
                magnitude += fabs(term);
            }
            assert_near((double)c[at], sum, magnitude, "sum", at);
        }
}

/* As VDPBF16PS adds: pair after pair, the odd term of each first, every sum rounded once. */
static float pair_by_pair(const operands *o, int64_t r, int64_t x)
{
    float sum = o->add ? o->c[r * o->c_stride + x] : 0;
    for (int64_t k = 0; k < o->terms; k += 2)
        for (int t = 1; t >= 0; t--)
            sum = fmaf(seen(o, o->a[r * o->terms + k + t]), seen(o, o->b[(k + t) * o->b_stride + x]), sum);
    return sum;
}

static void check_vectors(const operands *o, const float *c)
{
    check_sums(o, c);
    for (int64_t r = 0; r < o->rows; r++)
        for (int64_t x = 0; x < o->columns; x++)
            if (c[r * o->c_stride + x] != pair_by_pair(o, r, x))
                fail_msg("row %lld, column %lld: %.9g, should be %.9g", (long long)r, (long long)x,
                         (double)c[r * o->c_stride + x], (double)pair_by_pair(o, r, x));
}

static void products(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        operands o = make();
        const dcls_amx *tables[AMX_TABLES];
        const int count = amx_tables(o.parts, tables);
        float *emulated = multiply(&o, tables[0]);
        check_sums(&o, emulated);
        for (int t = 1; t < count; t++) {
            float *native = multiply(&o, tables[t]);
            if (amx_is_exact(tables[t]))
                assert_same_bits(emulated, native, o.rows * o.c_stride, "native");
            else
                check_vectors(&o, native);
            free(native);
        }
        free(emulated);
        free_operands(&o);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_parts_are_the_number), cmocka_unit_test(one_part_is_the_nearest),
        cmocka_unit_test(pairs_are_rows_of_two), cmocka_unit_test(transposes), cmocka_unit_test(products)};
    return cmocka_run_group_tests_name("amx", tests, NULL, NULL);
}
