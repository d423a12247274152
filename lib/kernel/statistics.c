/* Where positions lie, and how much of a kernel falls outside its window. */
#include <float.h>
#include <math.h>

#include "kernel/kernel.h"
#include "kernel/profile.h"

/* Running mean and variance (Welford): positions can be many and close together. */
typedef struct moments {
    double mean, m2, min, max;
    int64_t count;
} moments;

static void moments_add(moments *m, double x)
{
    if (m->count == 0) m->min = m->max = x;
    m->count++;
    double delta = x - m->mean;
    m->mean += delta / (double)m->count;
    m->m2 += delta * (x - m->mean);
    m->min = fmin(m->min, x);
    m->max = fmax(m->max, x);
}

/* How far positions reach, and how many end there. */
static void count_extent(double p, int j, dcls_kernel_stats *out)
{
    const double reach = fabs(p);
    if (reach > out->position_extent[j]) {
        out->position_extent[j] = reach;
        out->at_extent[j] = 0;
    }
    out->at_extent[j] += reach == out->position_extent[j];
    out->whole[j] += reach == floor(reach);
}

static float spread_at(const dcls_kernel *k, int64_t at)
{
    return k->SIG ? fabsf(k->SIG[at]) + k->spread_offset : 0;
}

static int64_t position_index(const dcls_kernel *k, int j, int64_t position_row, int64_t element)
{
    return (j * k->position_rows + position_row) * k->count + element;
}

static bool element_finite(const dcls_kernel *k, int64_t position_row, int64_t element)
{
    for (int j = 0; j < k->ndim; j++) {
        int64_t at = position_index(k, j, position_row, element);
        if (!isfinite(k->P[at]) || !isfinite(spread_at(k, at))) return false;
    }
    return true;
}

/* Share of an element's interpolation that the window holds: the product over dimensions of inside /
 * everywhere. */
static double share_inside(const dcls_kernel *k, int64_t position_row, int64_t element, double *scratch)
{
    double share = 1;
    for (int j = 0; j < k->ndim; j++) {
        int64_t at = position_index(k, j, position_row, element);
        dcls_profile p = {.x = scratch};
        float centre = dcls_profile_centre(k->P[at], k->size[j]), spread = spread_at(k, at);
        dcls_profile_fill(k->version, k->size[dcls_kernel_axis(k->version, k->ndim, j)], centre, spread, &p);
        share *= p.sum / dcls_profile_total(k->version, centre, spread);
    }
    return fmin(share, 1);
}

static bool at_clamp_limit(const dcls_kernel *k, int64_t position_row, int64_t element)
{
    for (int j = 0; j < k->ndim; j++) {
        float limit = (float)(k->size[j] / 2);
        if (limit > 0 && fabsf(k->P[position_index(k, j, position_row, element)]) >= limit) return true;
    }
    return false;
}

static void count_positions(const dcls_kernel *k, dcls_kernel_stats *out)
{
    moments position[3] = {0}, spread = {0};
    for (int64_t row = 0; row < k->position_rows; row++) {
        for (int64_t e = 0; e < k->count; e++) {
            if (!element_finite(k, row, e)) {
                out->not_finite++;
                continue;
            }
            out->clamped += at_clamp_limit(k, row, e);
            for (int j = 0; j < k->ndim; j++) {
                int64_t at = position_index(k, j, row, e);
                moments_add(&position[j], (double)k->P[at]);
                count_extent((double)k->P[at], j, out);
                if (k->SIG) moments_add(&spread, (double)spread_at(k, at));
            }
        }
    }
    for (int j = 0; j < k->ndim; j++) {
        const moments *m = &position[j];
        out->position_mean[j] = m->mean;
        out->position_std[j] = m->count ? sqrt(m->m2 / (double)m->count) : 0;
        out->position_min[j] = m->min;
        out->position_max[j] = m->max;
    }
    out->spread_mean = spread.mean;
    out->spread_min = spread.min;
    out->spread_max = spread.max;
}

dcls_kernel_stats dcls_kernel_statistics(const dcls_kernel *k, double *scratch)
{
    dcls_kernel_stats out = {0};
    count_positions(k, &out);
    double lost = 0, mass = 0;
    for (int64_t row = 0; row < k->rows; row++) {
        for (int64_t e = 0; e < k->count; e++) {
            double w = fabs((double)k->weight[row * k->count + e]);
            if (!isfinite(w) || !element_finite(k, row % k->position_rows, e)) continue;
            mass += w;
            lost += w * (1 - share_inside(k, row % k->position_rows, e, scratch));
        }
    }
    out.mass_lost = mass > 0 ? lost / mass : 0;
    return out;
}
