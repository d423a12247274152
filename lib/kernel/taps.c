/* Non-zero cells of dense windows. */
#include <math.h>
#include <stdlib.h>

#include "kernel/kernel.h"

static double cutoff_of(const float *window, int64_t cells, double cutoff)
{
    if (cutoff <= 0) return 0;
    double sum = 0;
    for (int64_t i = 0; i < cells; i++)
        sum += fabs((double)window[i]);
    return isnan(sum) ? 0 : cutoff * sum;
}

/* A NaN must not vanish: it compares false, so the test is for what may be dropped. */
static bool is_tap(float value, double threshold)
{
    return !(fabs((double)value) <= threshold);
}

static int64_t count_taps(const float *window, int64_t cells, double threshold)
{
    int64_t n = 0;
    for (int64_t i = 0; i < cells; i++)
        n += is_tap(window[i], threshold);
    return n;
}

dcls_status dcls_taps_from_dense(dcls_context *ctx, const float *dense, int64_t rows, int64_t cells,
                                 double cutoff, dcls_taps *out)
{
    *out = (dcls_taps){.rows = rows};
    if (cells > INT32_MAX)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "a kernel window of %lld cells is too large", (long long)cells);
    out->start = dcls_alloc(ctx, (size_t)rows + 1, sizeof *out->start);
    if (!out->start) return DCLS_ERR_MEMORY;
    out->start[0] = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *window = dense + r * cells;
        out->start[r + 1] = out->start[r] + count_taps(window, cells, cutoff_of(window, cells, cutoff));
    }
    out->cell = dcls_alloc(ctx, (size_t)out->start[rows], sizeof *out->cell);
    out->value = dcls_alloc(ctx, (size_t)out->start[rows], sizeof *out->value);
    if (!out->cell || !out->value) {
        dcls_taps_free(out);
        return DCLS_ERR_MEMORY;
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *window = dense + r * cells;
        double threshold = cutoff_of(window, cells, cutoff);
        int64_t n = out->start[r];
        for (int64_t i = 0; i < cells; i++) {
            if (!is_tap(window[i], threshold)) continue;
            out->cell[n] = (int32_t)i;
            out->value[n++] = window[i];
        }
    }
    return DCLS_OK;
}

void dcls_taps_free(dcls_taps *taps)
{
    free(taps->start);
    free(taps->cell);
    free(taps->value);
    *taps = (dcls_taps){0};
}
