#include "kernel/profile.h"

#include <math.h>

/* Clamps a real bound to [0, size] before it becomes an integer; NaN cannot come here. */
static int64_t clamp_cell(double t, int64_t size)
{
    if (t <= 0) return 0;
    return t >= (double)size ? size : (int64_t)t;
}

static void fill_everywhere(double value, int64_t size, dcls_profile *p)
{
    p->lo = 0;
    p->hi = size;
    p->sum = value * (double)size;
    for (int64_t t = 0; t < size; t++)
        p->x[t] = value;
}

/* Cells f and f + 1 get 1 - r and r; those outside the window are dropped. */
static void fill_v0(int64_t size, float centre, dcls_profile *p)
{
    float floor_centre = floorf(centre), r = centre - floor_centre;
    p->lo = clamp_cell(floor_centre, size);
    p->hi = clamp_cell((double)floor_centre + 2, size);
    for (int64_t t = p->lo; t < p->hi; t++)
        p->x[t - p->lo] = (double)t == floor_centre ? 1.0 - (double)r : (double)r;
}

/* max(0, height - |t - c|): v1 is the tent of height 1. */
static void fill_tent(int64_t size, double centre, double height, dcls_profile *p)
{
    p->lo = clamp_cell(ceil(centre - height), size);
    p->hi = clamp_cell(floor(centre + height) + 1, size);
    for (int64_t t = p->lo; t < p->hi; t++)
        p->x[t - p->lo] = fmax(0.0, height - fabs((double)t - centre));
}

/* exp(-z^2 / 2) is 0 in double precision beyond this. */
#define GAUSS_REACH 39.0

static void fill_gauss(int64_t size, double centre, double spread, dcls_profile *p)
{
    const double reach = GAUSS_REACH * fabs(spread);
    p->lo = 0;
    p->hi = size;
    if (reach > 0) {
        p->lo = clamp_cell(ceil(centre - reach), size);
        p->hi = clamp_cell(floor(centre + reach) + 1, size);
    }
    for (int64_t t = p->lo; t < p->hi; t++) {
        double z = ((double)t - centre) / spread;
        p->x[t - p->lo] = exp(-0.5 * z * z);
    }
}

void dcls_profile_fill(dcls_kernel_version version, int64_t size, float centre, float spread, dcls_profile *p)
{
    bool has_spread = dcls_kernel_version_has_spread(version);
    if (isnan(centre) || (has_spread && isnan(spread))) {
        fill_everywhere(NAN, size, p);
        return;
    }
    if (has_spread && isinf(spread)) { /* the limit of ever wider kernels: a constant */
        fill_everywhere(1.0, size, p);
        return;
    }
    switch (version) {
    case DCLS_V0: fill_v0(size, centre, p); break;
    case DCLS_V1: fill_tent(size, (double)centre, 1.0, p); break;
    case DCLS_MAX: fill_tent(size, (double)centre, (double)spread, p); break;
    default: fill_gauss(size, (double)centre, (double)spread, p); break;
    }
    p->sum = 0;
    for (int64_t i = 0; i < p->hi - p->lo; i++)
        p->sum += p->x[i];
}

static void tent_slopes(const dcls_profile *p, double centre, double *by_centre, double *by_spread)
{
    for (int64_t i = 0; i < p->hi - p->lo; i++) {
        const double distance = (double)(p->lo + i) - centre;
        const bool inside = p->x[i] > 0;
        by_centre[i] = inside ? (distance > 0) - (distance < 0) : 0;
        if (by_spread) by_spread[i] = inside ? 1 : 0;
    }
}

static void gauss_slopes(const dcls_profile *p, double centre, double spread, double *by_centre,
                         double *by_spread)
{
    for (int64_t i = 0; i < p->hi - p->lo; i++) {
        const double z = ((double)(p->lo + i) - centre) / spread;
        by_centre[i] = p->x[i] * z / spread;
        if (by_spread) by_spread[i] = p->x[i] * z * z / spread;
    }
}

static void constant_slopes(const dcls_profile *p, double slope, double *by_centre, double *by_spread)
{
    for (int64_t i = 0; i < p->hi - p->lo; i++) {
        by_centre[i] = slope;
        if (by_spread) by_spread[i] = slope;
    }
}

void dcls_profile_slopes(dcls_kernel_version version, const dcls_profile *p, float centre, float spread,
                         double *by_centre, double *by_spread)
{
    const bool has_spread = dcls_kernel_version_has_spread(version);
    if (isnan(centre) || (has_spread && isnan(spread))) {
        constant_slopes(p, NAN, by_centre, by_spread);
    } else if (has_spread && isinf(spread)) {
        constant_slopes(p, 0, by_centre, by_spread);
    } else if (version == DCLS_GAUSS) {
        gauss_slopes(p, (double)centre, (double)spread, by_centre, by_spread);
    } else if (version == DCLS_V0) {
        constant_slopes(p, 0, by_centre, by_spread);
        for (int64_t i = 0; i < p->hi - p->lo; i++)
            by_centre[i] = (double)(p->lo + i) == floor((double)centre) ? -1 : 1;
    } else {
        tent_slopes(p, (double)centre, by_centre, by_spread);
    }
}

/* One side of a tent: distances d, d + 1, d + 2, .. below height, as an arithmetic series. */
static double tent_side(double height, double d)
{
    if (height <= d) return 0;
    double n = floor(height - d) + 1;
    return n * (height - d) - n * (n - 1) / 2;
}

double dcls_profile_total(dcls_kernel_version version, float centre, float spread)
{
    if (version == DCLS_V0 || version == DCLS_V1) return 1;
    double up = ceil((double)centre) - (double)centre; /* distance to the next cell at or above */
    double s = (double)spread;
    if (version == DCLS_MAX) return tent_side(s, up) + tent_side(s, 1 - up);
    /* Poisson summation: from S = 1 on the sum equals the integral to 2 exp(-2 pi^2 S^2) < 6e-9. */
    if (s >= 1) return s * sqrt(2 * M_PI);
    double total = 0;
    for (int t = -16; t <= 16; t++) {
        double z = (up + t) / s;
        total += exp(-0.5 * z * z);
    }
    return total;
}
