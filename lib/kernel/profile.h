/* Interpolation of one element along one kernel dimension. Coefficients of a cell are products of these over
 * the dimensions. */
#ifndef DCLS_KERNEL_PROFILE_H
#define DCLS_KERNEL_PROFILE_H

#include "kernel/kernel.h"

/* x[t - lo] for the cells t = lo..hi-1 of [0, size); outside it is zero. */
typedef struct dcls_profile {
    int64_t lo, hi;
    double sum; /* over the window */
    double *x;  /* room for `size` values */
} dcls_profile;

/* centre: in cells, as dcls_profile_centre gives it. spread: S, unused by v0 and v1. A NaN makes every cell
 * NaN. */
void dcls_profile_fill(dcls_kernel_version version, int64_t size, float centre, float spread,
                       dcls_profile *p);

/* c_j = p_j + floor(D_j / 2), rounded in float as the published package does. */
static inline float dcls_profile_centre(float position, int64_t size)
{
    return position + (float)(size / 2);
}

/* Derivatives of a filled profile's cells by the centre and by S, at kinks as the package has them: relu'(0)
 * = 0 and sign(0) = 0; v0's cells are fixed. by_centre, by_spread: room as in p->x; by_spread may be NULL. */
void dcls_profile_slopes(dcls_kernel_version version, const dcls_profile *p, float centre, float spread,
                         double *by_centre, double *by_spread);

/* Sum of the profile over all integers, not only those in the window. */
double dcls_profile_total(dcls_kernel_version version, float centre, float spread);

#endif
