/* Non-zero cells of dense windows. */
#include <math.h>
#include <stdlib.h>

#include "kernel/kernel.h"

static double threshold_of(const float *window, int64_t cells, double cutoff)
{
    if (cutoff <= 0) return 0;
    double sum = 0;
    for (int64_t i = 0; i < cells; i++)
        sum += fabs((double)window[i]);
    return isfinite(sum) ? cutoff * sum / (double)cells : 0;
}

/* A NaN must not vanish: it compares false, so the test is for what may be dropped. */
static bool is_tap(float value, double threshold)
{
    return !(fabs((double)value) <= threshold);
}

static dcls_status append_window(dcls_context *ctx, const float *window, int64_t cells, double cutoff,
                                 int64_t row, dcls_taps *out)
{
    int64_t n = out->start[row];
    DCLS_TRY(dcls_grow(ctx, &out->cell, &out->cell_capacity, (size_t)(n + cells), sizeof *out->cell));
    DCLS_TRY(dcls_grow(ctx, &out->value, &out->value_capacity, (size_t)(n + cells), sizeof *out->value));
    double threshold = threshold_of(window, cells, cutoff);
    for (int64_t i = 0; i < cells; i++) { /* writing all spares a branch nobody can predict */
        out->cell[n] = (int32_t)i;
        out->value[n] = window[i];
        n += is_tap(window[i], threshold);
    }
    out->start[row + 1] = n;
    return DCLS_OK;
}

static dcls_status begin_taps(dcls_context *ctx, int64_t rows, int64_t cells, dcls_taps *out)
{
    *out = (dcls_taps){.rows = rows};
    if (cells > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "a kernel window of %lld cells is too large", (long long)cells);
    out->start = dcls_alloc(ctx, (size_t)rows + 1, sizeof *out->start);
    if (!out->start) return DCLS_ERR_MEMORY;
    out->start[0] = 0;
    return DCLS_OK;
}

static dcls_status append_windows(dcls_context *ctx, const float *dense, int64_t rows, int64_t cells,
                                  double cutoff, int64_t first, dcls_taps *out)
{
    for (int64_t r = 0; r < rows; r++)
        DCLS_TRY(append_window(ctx, dense + r * cells, cells, cutoff, first + r, out));
    return DCLS_OK;
}

dcls_status dcls_taps_from_dense(dcls_context *ctx, const float *dense, int64_t rows, int64_t cells,
                                 double cutoff, dcls_taps *out)
{
    dcls_status status = begin_taps(ctx, rows, cells, out);
    if (!status) status = append_windows(ctx, dense, rows, cells, cutoff, 0, out);
    if (status) dcls_taps_free(out);
    return status;
}

#define CHUNK_CELLS ((int64_t)1 << 21)

static dcls_status append_kernel(dcls_context *ctx, const dcls_kernel *k, double cutoff, int threads,
                                 dcls_taps *out)
{
    int64_t cells = dcls_kernel_cells(k), chunk = cells < CHUNK_CELLS ? CHUNK_CELLS / cells : 1;
    if (chunk > k->rows) chunk = k->rows;
    float *dense = dcls_alloc(ctx, (size_t)chunk * (size_t)cells, sizeof *dense);
    if (!dense) return DCLS_ERR_MEMORY;
    dcls_status status = DCLS_OK;
    for (int64_t first = 0; first < k->rows && !status; first += chunk) {
        int64_t rows = k->rows - first < chunk ? k->rows - first : chunk;
        status = dcls_kernel_construct_rows(ctx, k, first, rows, threads, dense);
        if (!status) status = append_windows(ctx, dense, rows, cells, cutoff, first, out);
    }
    free(dense);
    return status;
}

dcls_status dcls_taps_from_kernel(dcls_context *ctx, const dcls_kernel *k, double cutoff, int threads,
                                  dcls_taps *out)
{
    dcls_status status = begin_taps(ctx, k->rows, dcls_kernel_cells(k), out);
    if (!status) status = append_kernel(ctx, k, cutoff, threads, out);
    if (status) dcls_taps_free(out);
    return status;
}

void dcls_taps_free(dcls_taps *taps)
{
    free(taps->start);
    free(taps->cell);
    free(taps->value);
    *taps = (dcls_taps){0};
}
