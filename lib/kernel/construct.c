/* Dense kernels out of elements, and the facts that describe a version. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threads.h"
#include "kernel/kernel.h"
#include "kernel/profile.h"

static const char *const version_names[DCLS_KERNEL_VERSION_COUNT] = {"v0", "v1", "max", "gauss"};

const char *dcls_kernel_version_name(dcls_kernel_version version)
{
    return version_names[version];
}

int dcls_kernel_version_from_name(const char *name)
{
    for (int v = 0; v < DCLS_KERNEL_VERSION_COUNT; v++)
        if (strcmp(name, version_names[v]) == 0) return v;
    return -1;
}

bool dcls_kernel_version_has_spread(dcls_kernel_version version)
{
    return version == DCLS_MAX || version == DCLS_GAUSS;
}

float dcls_spread_offset(dcls_kernel_version version, bool is_2_1d)
{
    if (version == DCLS_MAX) return 1.0f;
    if (version == DCLS_GAUSS) return is_2_1d ? 1.0f : 0.27f;
    return 0.0f;
}

int64_t dcls_kernel_cells(const dcls_kernel *k)
{
    int64_t cells = 1;
    for (int d = 0; d < k->ndim; d++)
        cells *= k->size[d];
    return cells;
}

int dcls_kernel_axis(dcls_kernel_version version, int ndim, int j)
{
    if (version != DCLS_V0) return ndim - 1 - j;
    if (ndim == 3 && j > 0) return 3 - j;
    return j;
}

/* Profiles of one element in the order of kernel dimensions, missing dimensions as a single cell of 1. */
static void element_profiles(const dcls_kernel *k, int64_t position_row, int64_t element,
                             dcls_profile profiles[3])
{
    for (int d = k->ndim; d < 3; d++) {
        profiles[d].lo = 0;
        profiles[d].hi = 1;
        profiles[d].sum = profiles[d].x[0] = 1;
    }
    for (int j = 0; j < k->ndim; j++) {
        int axis = dcls_kernel_axis(k->version, k->ndim, j);
        int64_t at = (j * k->position_rows + position_row) * k->count + element;
        float spread = k->SIG ? fabsf(k->SIG[at]) + k->spread_offset : 0;
        dcls_profile_fill(k->version, k->size[axis], dcls_profile_centre(k->P[at], k->size[j]), spread,
                          &profiles[axis]);
    }
}

/* Adds scale * (product of the profiles) to the window. */
static void add_element(const dcls_kernel *k, const dcls_profile profiles[3], double scale, float *window)
{
    int64_t size1 = k->ndim > 1 ? k->size[1] : 1, size2 = k->ndim > 2 ? k->size[2] : 1;
    const dcls_profile *p0 = &profiles[0], *p1 = &profiles[1], *p2 = &profiles[2];
    for (int64_t t0 = p0->lo; t0 < p0->hi; t0++) {
        double x0 = scale * p0->x[t0 - p0->lo];
        for (int64_t t1 = p1->lo; t1 < p1->hi; t1++) {
            double x01 = x0 * p1->x[t1 - p1->lo];
            float *cells = window + (t0 * size1 + t1) * size2;
            for (int64_t t2 = p2->lo; t2 < p2->hi; t2++)
                cells[t2] += (float)(x01 * p2->x[t2 - p2->lo]);
        }
    }
}

/* A bilinear element in the midst of a plane window: four cells, whose profiles add up to 1 exactly. False if
 * it is another kind of element. The bits are those of the general way. */
static bool add_bilinear(const dcls_kernel *k, int64_t position_row, int64_t e, float weight, float *window)
{
    const float *x_at = k->P + position_row * k->count, *y_at = x_at + k->position_rows * k->count;
    const float x = dcls_profile_centre(x_at[e], k->size[0]), y = dcls_profile_centre(y_at[e], k->size[1]);
    const float x_end = (float)(k->size[1] - 1), y_end = (float)(k->size[0] - 1);
    if (!(x >= 0 && x < x_end && y >= 0 && y < y_end && isfinite(weight))) return false;
    const int64_t column = (int64_t)x, row = (int64_t)y;
    const double right = (double)x - (double)column, below = (double)y - (double)row;
    const double scale = (double)weight / (1 + 1e-7), lower = scale * below, upper = scale * (1 - below);
    float *cells = window + row * k->size[1] + column, *next = cells + k->size[1];
    cells[0] += (float)(upper * (1 - right));
    cells[1] += (float)(upper * right);
    next[0] += (float)(lower * (1 - right));
    next[1] += (float)(lower * right);
    return true;
}

static void construct_row(const dcls_kernel *k, int64_t row, dcls_profile profiles[3], float *window)
{
    const bool bilinear = k->version == DCLS_V1 && k->ndim == 2;
    memset(window, 0, (size_t)dcls_kernel_cells(k) * sizeof *window);
    for (int64_t e = 0; e < k->count; e++) {
        const float weight = k->weight[row * k->count + e];
        if (bilinear && add_bilinear(k, row % k->position_rows, e, weight, window)) continue;
        element_profiles(k, row % k->position_rows, e, profiles);
        double scale = (double)weight;
        if (k->version != DCLS_V0) scale /= profiles[0].sum * profiles[1].sum * profiles[2].sum + 1e-7;
        add_element(k, profiles, scale, window);
    }
}

#define ROWS_PER_TASK 32

typedef struct construct_job {
    const dcls_kernel *k;
    int64_t first, rows, cells;
    float *out;
    double *scratch; /* per worker: a profile for each of three dimensions */
    int64_t scratch_stride;
} construct_job;

static void construct_task(void *arg, int64_t item, int worker)
{
    const construct_job *job = arg;
    const dcls_kernel *k = job->k;
    dcls_profile profiles[3];
    double *scratch = job->scratch + worker * job->scratch_stride;
    for (int d = 0; d < 3; d++) {
        profiles[d].x = scratch;
        scratch += d < k->ndim ? k->size[d] : 1;
    }
    int64_t begin = item * ROWS_PER_TASK,
            end = begin + ROWS_PER_TASK < job->rows ? begin + ROWS_PER_TASK : job->rows;
    for (int64_t row = begin; row < end; row++)
        construct_row(k, job->first + row, profiles, job->out + row * job->cells);
}

dcls_status dcls_kernel_construct_rows(dcls_context *ctx, const dcls_kernel *k, int64_t first, int64_t rows,
                                       int threads, float *out)
{
    construct_job job = {.k = k, .first = first, .rows = rows, .cells = dcls_kernel_cells(k), .out = out};
    for (int d = 0; d < 3; d++)
        job.scratch_stride += d < k->ndim ? k->size[d] : 1;
    job.scratch_stride = (job.scratch_stride + 7) / 8 * 8; /* workers share no cache line */
    job.scratch = dcls_alloc(ctx, (size_t)threads * (size_t)job.scratch_stride, sizeof *job.scratch);
    if (!job.scratch) return DCLS_ERR_MEMORY;
    dcls_parallel_for(threads, (rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, construct_task, &job);
    free(job.scratch);
    return DCLS_OK;
}

dcls_status dcls_kernel_construct(dcls_context *ctx, const dcls_kernel *k, int threads, float *out)
{
    return dcls_kernel_construct_rows(ctx, k, 0, k->rows, threads, out);
}
