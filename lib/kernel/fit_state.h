/* The parts of a fit: fit_state.c elements and residual, fit_refine.c least squares, fit_candidates.c where
 * the residual calls for an element, fit_search.c greedy start and moves, fit.c windows and threads. */
#ifndef DCLS_KERNEL_FIT_STATE_H
#define DCLS_KERNEL_FIT_STATE_H

#include "base/rng.h"
#include "kernel/fit.h"
#include "simd/simd.h"

#define FIT_MAX_TERMS 7 /* of one element: weight, three coordinates, three spreads */

/* Normalised interpolation along one axis and its derivatives by centre and spread, for cells lo..lo+n-1. */
typedef struct fit_profile {
    int lo, n;
    double *u[3];
} fit_profile;

typedef struct fit_params {
    double w, c[3], s[3]; /* per kernel axis: centre in cells; S */
} fit_params;

typedef struct fit_element {
    fit_params at;
    fit_profile axis[3];
} fit_element;

/* Interpolations of candidates along one axis, dense: [places, size]. */
typedef struct fit_bank {
    int places;
    double *u, *centre;
    int *lo, *n;
} fit_bank;

/* fit_state.soft: wide enough to see past the kink of a tent at a whole cell, and, for the last iterations,
 * narrow enough for the slope itself. */
#define FIT_SOFT  0.25
#define FIT_SHARP 1e-6
#define FIT_SPARE 1 /* elements more than wanted, of which the least useful is then dropped */

/* One thread's window being fitted. */
typedef struct fit_state {
    const dcls_simd *simd;
    dcls_kernel_version version;
    int ndim, terms;             /* terms: numbers per element */
    int size[3], cells;          /* missing dimensions have size 1 */
    double low[3], high[3];      /* of centres */
    double least_s, most_s;      /* of S */
    double start_s;              /* S of a newcomer */
    int count, wanted, capacity; /* elements there are; K */
    fit_element *elements;
    double *target, *residual; /* [cells]; the target has norm 1 */
    double error;              /* |residual|^2 */
    double soft;               /* cells to both sides over which slopes of tents are taken */
    double enough;             /* error that is small enough */
    fit_bank bank[3];
    double *partial[2];      /* contractions of the residual with a bank */
    int set_capacity;        /* elements refined together */
    double *normal, *factor; /* [terms of a set squared] */
    double *gradient, *step, *scale;
    fit_params *saved; /* of a set, while a step is tried */
    double *saved_residual;
    fit_params *best; /* [capacity]: what a failed move goes back to */
    double *costs;
    int *set, *order;
    double work, budget, element_work; /* roughly multiplications; element_work: to shape and add one */
    dcls_rng rng;
} fit_state;

/* ---- fit_state.c ---- */

dcls_status dcls_fit_state_create(dcls_context *ctx, const dcls_kernel *shape, fit_state **out);
void dcls_fit_state_destroy(fit_state *f);
/* Starts over with a window of norm 1. */
void dcls_fit_begin(fit_state *f, const float *window, double scale);
/* Keeps centres and spreads where they may be. */
void dcls_fit_clamp(const fit_state *f, fit_params *p);
/* Computes the profiles of an element whose numbers were set. */
void dcls_fit_shape(const fit_state *f, fit_element *e);
/* residual += scale * element. */
void dcls_fit_add(fit_state *f, const fit_element *e, double scale);
/* error from the residual. */
void dcls_fit_measure(fit_state *f);
/* Derivatives of the element's <residual, X>, each term as in fit_params: 1 + ndim (+ ndim) numbers. */
void dcls_fit_project(const fit_state *f, const fit_element *e, double *out);
/* Appends an element; takes it from the residual. */
void dcls_fit_insert(fit_state *f, const fit_params *p);
/* Removes element i; gives it back to the residual. The last one takes its place. */
void dcls_fit_remove(fit_state *f, int i);
/* All elements as they are, and back. */
void dcls_fit_save(fit_state *f);
void dcls_fit_restore(fit_state *f, int count);
/* Inner products of terms of two elements: block [terms, terms], rows a; weights multiplied in. */
void dcls_fit_block(const fit_state *f, const fit_element *a, const fit_element *b, double *block);
/* <a, b> of the elements at weight 1. */
double dcls_fit_overlap(const fit_state *f, const fit_element *a, const fit_element *b);

/* ---- fit_refine.c ---- */

/* Levenberg-Marquardt over the elements of set, until an iteration gains less than `gain` of the error or
 * iterations are used up. */
void dcls_fit_refine(fit_state *f, const int *set, int n, int iterations, double gain);
/* The same for all elements, in blocks where they are many. */
void dcls_fit_refine_all(fit_state *f, int iterations, double gain);

/* ---- fit_candidates.c ---- */

dcls_status dcls_fit_banks_create(dcls_context *ctx, fit_state *f);
void dcls_fit_banks_destroy(fit_state *f);
/* The place where an element lowers the error most; noise > 0 shuffles places of similar gain. */
fit_params dcls_fit_candidate(fit_state *f, double noise);

/* ---- fit_search.c ---- */

/* Fits the window begun. */
void dcls_fit_search(fit_state *f);

#endif
