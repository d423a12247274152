#include "ops/gemm.h"

#include <string.h>

static void clear(const dcls_gemm *g)
{
    for (int64_t i = 0; i < g->m; i++)
        memset(g->c + i * g->ldc, 0, (size_t)g->n * sizeof *g->c);
}

#ifndef DCLS_USE_OPENBLAS

void dcls_gemm_pack(int64_t m, int64_t k, const float *a, int64_t lda, float *packed)
{
    for (int64_t i = 0; i < m; i += DCLS_GEMM_ROWS) {
        int64_t rows = m - i < DCLS_GEMM_ROWS ? m - i : DCLS_GEMM_ROWS;
        for (int64_t p = 0; p < k; p++)
            for (int64_t r = 0; r < rows; r++)
                *packed++ = a[(i + r) * lda + p];
    }
}

static void multiply(const dcls_simd *simd, const dcls_gemm *g)
{
    if (g->transposed)
        simd->gemm_transposed(g);
    else
        simd->gemm(g);
}

#else

#include <cblas.h>
#include <pthread.h>

/* OpenBLAS hands its scratch buffers out from a table of the whole process, and some builds of it (Debian's
 * serial 0.3.21 is one) let two threads take the same buffer: one product then overwrites what another has
 * packed. This lock keeps our own calls apart; it is the library's one piece of global state, for the sake of
 * OpenBLAS's own. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* BLAS counts in int. Larger matrices are multiplied in pieces of at most this many rows, columns or terms; a
 * row stride that does not fit leaves pieces of one row, for which the stride means nothing. */
#define PIECE ((int64_t)1 << 30)

void dcls_gemm_pack(int64_t m, int64_t k, const float *a, int64_t lda, float *packed)
{
    for (int64_t i = 0; i < m && k > 0; i++)
        memcpy(packed + i * k, a + i * lda, (size_t)k * sizeof *packed);
}

static int64_t rows_at_once(int64_t stride)
{
    return stride <= PIECE ? PIECE : 1;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Everything fits, strides of single rows aside. */
static void multiply_piece(const dcls_gemm *g)
{
    int lda = (int)smaller(g->lda, PIECE), ldb = (int)smaller(g->ldb, PIECE),
        ldc = (int)smaller(g->ldc, PIECE);
    pthread_mutex_lock(&one_at_a_time);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, g->transposed ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n,
                (int)g->k, 1.0f, g->a, lda, g->b, ldb, g->accumulate ? 1.0f : 0.0f, g->c, ldc);
    pthread_mutex_unlock(&one_at_a_time);
}

static void multiply(const dcls_simd *simd, const dcls_gemm *gemm)
{
    (void)simd;
    dcls_gemm whole = *gemm, *g = &whole;
    if (!g->transposed) g->lda = g->k;
    const int64_t m_piece = smaller(rows_at_once(g->lda), rows_at_once(g->ldc));
    const int64_t n_piece = g->transposed ? rows_at_once(g->ldb) : PIECE;
    const int64_t k_piece = g->transposed ? PIECE : rows_at_once(g->ldb);
    for (int64_t i = 0; i < g->m; i += m_piece)
        for (int64_t j = 0; j < g->n; j += n_piece)
            for (int64_t p = 0; p < g->k; p += k_piece) {
                dcls_gemm piece = *g;
                piece.m = smaller(m_piece, g->m - i);
                piece.n = smaller(n_piece, g->n - j);
                piece.k = smaller(k_piece, g->k - p);
                piece.a = g->a + i * g->lda + p;
                piece.b = g->transposed ? g->b + j * g->ldb + p : g->b + p * g->ldb + j;
                piece.c = g->c + i * g->ldc + j;
                piece.accumulate = g->accumulate || p > 0;
                multiply_piece(&piece);
            }
}

#endif

void dcls_gemm_run(const dcls_simd *simd, const dcls_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k > 0)
        multiply(simd, g);
    else if (!g->accumulate)
        clear(g);
}
