/* Matrix products against sums in double precision, at sizes around the tiles of every instruction set, and
 * from several threads at once. tests/check_openblas.sh builds this a second time, for OpenBLAS. */
#include "numeric_util.h"

#include "base/threads.h"
#include "ops/gemm.h"

static const float guard = 12345.0f;

typedef struct product {
    dcls_gemm g;               /* its a is packed unless transposed */
    float *a, *packed, *b, *c; /* a: row-major */
    float *before;             /* what c held */
    int64_t a_floats, b_floats, c_floats;
} product;

/* Floats from the first of `rows` rows to the last one's end. */
static int64_t span(int64_t rows, int64_t columns, int64_t stride)
{
    return rows > 0 ? (rows - 1) * stride + columns : 0;
}

static product make_product(int64_t m, int64_t n, int64_t k, bool transposed, bool accumulate)
{
    product p = {.g = {.m = m, .n = n, .k = k, .transposed = transposed, .accumulate = accumulate}};
    p.g.lda = k + random_int(0, 3);
    p.g.ldb = (transposed ? k : n) + random_int(0, 3);
    p.g.ldc = n + random_int(0, 3);
    p.a_floats = span(m, k, p.g.lda);
    p.b_floats = transposed ? span(n, k, p.g.ldb) : span(k, n, p.g.ldb);
    p.c_floats = span(m, n, p.g.ldc);
    p.a = new_floats(p.a_floats);
    p.packed = new_floats(m * k);
    p.b = new_floats(p.b_floats);
    p.c = new_floats(p.c_floats);
    for (int64_t i = 0; i < p.c_floats; i++)
        if (i % p.g.ldc >= n) p.c[i] = guard;
    p.before = copy_floats(p.c, p.c_floats);
    dcls_gemm_pack(m, k, p.a, p.g.lda, p.packed);
    p.g.a = transposed ? p.a : p.packed;
    p.g.b = p.b;
    p.g.c = p.c;
    return p;
}

static void free_product(product *p)
{
    free(p->a);
    free(p->packed);
    free(p->b);
    free(p->c);
    free(p->before);
}

static void check_element(const product *p, int64_t i, int64_t j)
{
    const dcls_gemm *g = &p->g;
    const double old = g->accumulate ? (double)p->before[i * g->ldc + j] : 0;
    double sum = old, magnitude = fabs(old);
    for (int64_t l = 0; l < g->k; l++) {
        double term =
            (double)p->a[i * g->lda + l] * (double)p->b[g->transposed ? j * g->ldb + l : l * g->ldb + j];
        sum += term;
        magnitude += fabs(term);
    }
    assert_near(p->c[i * g->ldc + j], sum, magnitude, "product", i * g->n + j);
}

static void check_product(const dcls_simd *simd, product p)
{
    dcls_gemm_run(simd, &p.g);
    for (int64_t i = 0; i < p.g.m; i++)
        for (int64_t j = 0; j < p.g.n; j++)
            check_element(&p, i, j);
    for (int64_t i = 0; i < p.c_floats; i++)
        if (i % p.g.ldc >= p.g.n) assert_true(p.c[i] == guard);
    free_product(&p);
}

/* ---- values ---- */

static void sweep(const dcls_simd *simd, bool transposed)
{
    const int64_t rows = 2 * DCLS_GEMM_ROWS + 3, columns = 4 * simd->width + 3;
    for (int64_t m = 0; m <= rows; m++)
        for (int64_t n = 0; n <= columns; n++)
            check_product(
                simd, make_product(m, n, random_int(0, 2 * simd->width + 3), transposed, random_bits() % 2));
}

static void test_small(void **state)
{
    sweep(simd_of(state), false);
}

static void test_small_transposed(void **state)
{
    sweep(simd_of(state), true);
}

/* Several blocks of k, and sizes where they begin. */
static void test_long_sums(void **state)
{
    const int64_t k[] = {255, 256, 257, 511, 512, 513, 1000};
    for (size_t i = 0; i < sizeof k / sizeof *k; i++)
        for (int kind = 0; kind < 4; kind++)
            check_product(simd_of(state),
                          make_product(random_int(1, 40), random_int(1, 100), k[i], kind % 2, kind / 2));
}

static void test_no_terms(void **state)
{
    for (int kind = 0; kind < 4; kind++)
        check_product(simd_of(state), make_product(5, 7, 0, kind % 2, kind / 2));
}

/* A NaN stays in its row and column, whatever tiles compute beside them. */
static void test_nan_stays(void **state)
{
    for (int round = 0; round < 200; round++) {
        bool transposed = round % 2;
        product p = make_product(random_int(1, 30), random_int(1, 70), random_int(1, 20), transposed, false);
        int64_t row = random_int(0, p.g.m - 1), column = random_int(0, p.g.n - 1),
                l = random_int(0, p.g.k - 1);
        p.a[row * p.g.lda + l] = INFINITY;
        p.b[transposed ? column * p.g.ldb + l : l * p.g.ldb + column] = NAN;
        dcls_gemm_pack(p.g.m, p.g.k, p.a, p.g.lda, p.packed);
        dcls_gemm_run(simd_of(state), &p.g);
        for (int64_t i = 0; i < p.g.m; i++)
            for (int64_t j = 0; j < p.g.n; j++) {
                float c = p.c[i * p.g.ldc + j];
                assert_int_equal(isnan(c) != 0, j == column);
                assert_int_equal(isfinite(c) != 0, j != column && i != row);
            }
        free_product(&p);
    }
}

/* ---- bits ---- */

static void assert_same_result(const product *p, const float *c)
{
    for (int64_t i = 0; i < p->g.m; i++)
        assert_same_bits(p->c + i * p->g.ldc, c + i * p->g.ldc, p->g.n, "product");
}

#ifndef DCLS_USE_OPENBLAS /* which does not promise that */
/* A piece of a product has the bits of the whole: results depend on k alone. */
static void test_pieces(void **state)
{
    for (int round = 0; round < 60; round++) {
        bool transposed = round % 2;
        product p = make_product(random_int(1, 60), random_int(1, 90), random_int(1, 600), transposed,
                                 round % 3 == 0);
        float *whole = copy_floats(p.before, p.c_floats);
        dcls_gemm g = p.g;
        g.c = whole;
        dcls_gemm_run(simd_of(state), &g);
        int64_t row = random_int(0, p.g.m / DCLS_GEMM_ROWS) * DCLS_GEMM_ROWS, column = random_int(0, p.g.n);
        for (int part = 0; part < 4; part++) {
            int64_t i = part / 2 ? row : 0, j = part % 2 ? column : 0;
            g = p.g;
            g.m = part / 2 ? p.g.m - row : row;
            g.n = part % 2 ? p.g.n - column : column;
            g.a += i * (transposed ? g.lda : g.k);
            g.b += transposed ? j * g.ldb : j;
            g.c += i * g.ldc + j;
            dcls_gemm_run(simd_of(state), &g);
        }
        assert_same_result(&p, whole);
        free(whole);
        free_product(&p);
    }
}
#endif

/* ---- threads ---- */

#define PRODUCTS 64

typedef struct hammer {
    const dcls_simd *simd;
    product products[PRODUCTS];
    int differing[PRODUCTS];
} hammer;

static void run_again(void *arg, int64_t item, int worker)
{
    (void)worker;
    hammer *h = arg;
    const product *p = &h->products[item % PRODUCTS];
    float *c = malloc((size_t)p->c_floats * sizeof *c + 1);
    if (c == NULL) return;
    memcpy(c, p->before, (size_t)p->c_floats * sizeof *c);
    dcls_gemm g = p->g;
    g.c = c;
    dcls_gemm_run(h->simd, &g);
    if (memcmp(c, p->c, (size_t)p->c_floats * sizeof *c) != 0)
        __atomic_add_fetch(&h->differing[item % PRODUCTS], 1, __ATOMIC_RELAXED);
    free(c);
}

/* Products at the same time have the bits they have one at a time. */
static void test_threads(void **state)
{
    static hammer h;
    h = (hammer){.simd = simd_of(state)};
    for (int i = 0; i < PRODUCTS; i++) {
        h.products[i] =
            make_product(random_int(1, 70), random_int(1, 130), random_int(1, 300), i % 4 == 0, i % 3 == 0);
        dcls_gemm_run(h.simd, &h.products[i].g);
    }
    for (int threads = 2; threads <= 4; threads++)
        dcls_parallel_for(threads, 1000, run_again, &h);
    for (int i = 0; i < PRODUCTS; i++) {
        assert_int_equal(h.differing[i], 0);
        free_product(&h.products[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),     cmocka_unit_test(test_small_transposed),
        cmocka_unit_test(test_long_sums), cmocka_unit_test(test_no_terms),
        cmocka_unit_test(test_nan_stays), cmocka_unit_test(test_threads),
#ifndef DCLS_USE_OPENBLAS
        cmocka_unit_test(test_pieces),
#endif
    };
    return run_at_every_level("gemm", tests, sizeof tests / sizeof *tests);
}
