#include "ops/gemm.h"

#include <cblas.h>
#include <string.h>

/* BLAS counts in int. Larger matrices are multiplied in pieces of at most this many rows, columns or terms; a
 * row stride that does not fit leaves pieces of one row, for which the stride means nothing. */
#define PIECE ((int64_t)1 << 30)

static int64_t rows_at_once(int64_t stride)
{
    return stride <= PIECE ? PIECE : 1;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void clear(const dcls_gemm *g)
{
    for (int64_t i = 0; i < g->m; i++)
        memset(g->c + i * g->ldc, 0, (size_t)g->n * sizeof *g->c);
}

/* Everything fits, strides of single rows aside. */
static void multiply(const dcls_gemm *g)
{
    int lda = (int)smaller(g->lda, PIECE), ldb = (int)smaller(g->ldb, PIECE),
        ldc = (int)smaller(g->ldc, PIECE);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, g->transpose_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n,
                (int)g->k, 1.0f, g->a, lda, g->b, ldb, g->accumulate ? 1.0f : 0.0f, g->c, ldc);
}

void dcls_gemm_run(const dcls_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) return;
    if (g->k <= 0) {
        if (!g->accumulate) clear(g);
        return;
    }
    const int64_t m_piece = smaller(rows_at_once(g->lda), rows_at_once(g->ldc));
    const int64_t n_piece = g->transpose_b ? rows_at_once(g->ldb) : PIECE;
    const int64_t k_piece = g->transpose_b ? PIECE : rows_at_once(g->ldb);
    for (int64_t i = 0; i < g->m; i += m_piece)
        for (int64_t j = 0; j < g->n; j += n_piece)
            for (int64_t p = 0; p < g->k; p += k_piece) {
                dcls_gemm piece = *g;
                piece.m = smaller(m_piece, g->m - i);
                piece.n = smaller(n_piece, g->n - j);
                piece.k = smaller(k_piece, g->k - p);
                piece.a = g->a + i * g->lda + p;
                piece.b = g->transpose_b ? g->b + j * g->ldb + p : g->b + p * g->ldb + j;
                piece.c = g->c + i * g->ldc + j;
                piece.accumulate = g->accumulate || p > 0;
                multiply(&piece);
            }
}
