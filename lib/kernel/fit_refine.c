/* Levenberg-Marquardt over some of the elements. The products of separable elements factor over the axes, so
 * that the normal equations cost no more than a few short dot products a pair; solving them is most of the
 * work. */
#include <math.h>
#include <string.h>

#include "kernel/fit_state.h"

/* x = (U^T U)^-1 x */
static void solve(const double *u, int n, double *x)
{
    for (int k = 0; k < n; k++) {
        const double *row = u + (size_t)k * (size_t)n;
        x[k] /= row[k];
        for (int j = k + 1; j < n; j++)
            x[j] -= x[k] * row[j];
    }
    for (int k = n - 1; k >= 0; k--) {
        const double *row = u + (size_t)k * (size_t)n;
        double sum = x[k];
        for (int j = k + 1; j < n; j++)
            sum -= row[j] * x[j];
        x[k] = sum / row[k];
    }
}

/* ---- normal equations ----------------------------------------------------------------------------- */

static double *term_of(fit_params *p, int term, int ndim)
{
    if (term == 0) return &p->w;
    return term <= ndim ? &p->c[term - 1] : &p->s[term - 1 - ndim];
}

/* A number at its limit that wants to go beyond stays where it is. */
static bool is_held(const fit_state *f, const fit_params *p, int term, double gradient)
{
    if (term == 0) return false;
    if (term <= f->ndim) {
        const double c = p->c[term - 1];
        return (c <= f->low[term - 1] && gradient < 0) || (c >= f->high[term - 1] && gradient > 0);
    }
    const double s = p->s[term - 1 - f->ndim];
    return (s <= f->least_s && gradient < 0) || (s >= f->most_s && gradient > 0);
}

static void put_block(const fit_state *f, const double *block, int a, int b, int n)
{
    const int terms = f->terms;
    for (int s = 0; s < terms; s++)
        memcpy(f->normal + (size_t)(a * terms + s) * (size_t)n + b * terms, block + s * terms,
               (size_t)terms * sizeof *block);
}

static void hold(double *normal, int n, int i)
{
    for (int j = 0; j < i; j++)
        normal[(size_t)j * (size_t)n + i] = 0;
    for (int j = i; j < n; j++)
        normal[(size_t)i * (size_t)n + j] = 0;
    normal[(size_t)i * (size_t)n + i] = 1;
}

/* Steps are measured in cells where the numbers themselves would allow leaps: an element on a whole cell with
 * little spread hardly changes when it moves a little. */
#define PLACE_SCALE  0.5
#define LEAST_SQUARE 0.01 /* weights squared, of a target of norm 1: weak elements would leap too */
#define WEIGHT_SCALE 0.01 /* weights are linear: they may go all the way */

static void build(fit_state *f, const int *set, int count)
{
    const int terms = f->terms, n = count * terms;
    double block[FIT_MAX_TERMS * FIT_MAX_TERMS];
    for (int a = 0; a < count; a++) {
        dcls_fit_project(f, &f->elements[set[a]], f->gradient + a * terms);
        for (int b = a; b < count; b++) {
            dcls_fit_block(f, &f->elements[set[a]], &f->elements[set[b]], block);
            put_block(f, block, a, b, n);
        }
    }
    for (int i = 0; i < n; i++) {
        if (!is_held(f, &f->elements[set[i / terms]].at, i % terms, f->gradient[i])) continue;
        hold(f->normal, n, i);
        f->gradient[i] = 0;
    }
    for (int i = 0; i < n; i++) {
        const double w = f->elements[set[i / terms]].at.w;
        f->scale[i] = f->normal[(size_t)i * (size_t)n + i];
        f->scale[i] = i % terms == 0 ? WEIGHT_SCALE * f->scale[i]
                                     : fmax(f->scale[i], PLACE_SCALE * fmax(w * w, LEAST_SQUARE));
    }
    f->work += (double)count * count * (terms * terms + 20) + count * f->element_work;
}

/* Terms without influence, such as positions of elements of weight 0, get a floor. */
static bool find_step(fit_state *f, int n, double damping)
{
    memcpy(f->factor, f->normal, (size_t)n * (size_t)n * sizeof *f->factor);
    memcpy(f->step, f->gradient, (size_t)n * sizeof *f->step);
    double largest = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, f->normal[(size_t)i * (size_t)n + i]);
    for (int i = 0; i < n; i++) {
        double *diagonal = &f->factor[(size_t)i * (size_t)n + i];
        *diagonal += damping * f->scale[i] + 1e-9 * largest + 1e-30;
    }
    f->work += (double)n * n * n / 6;
    if (!f->simd->cholesky(f->factor, n)) return false;
    solve(f->factor, n, f->step);
    return true;
}

#define LONGEST_MOVE 1.0 /* cells: the linear picture of an element holds no further */

/* What the linear model says the step gains: step . (gradient + damping * diagonal * step) */
static double expected_gain(const fit_state *f, int n, double damping)
{
    double gain = 0;
    for (int i = 0; i < n; i++)
        gain += f->step[i] * (f->gradient[i] + damping * f->scale[i] * f->step[i]);
    return gain;
}

static void take_step(fit_state *f, const int *set, int count)
{
    for (int a = 0; a < count; a++) {
        fit_element *e = &f->elements[set[a]];
        f->saved[a] = e->at;
        dcls_fit_add(f, e, 1);
        for (int t = 0; t < f->terms; t++) {
            double step = f->step[a * f->terms + t];
            if (t > 0) step = fmin(fmax(step, -LONGEST_MOVE), LONGEST_MOVE);
            *term_of(&e->at, t, f->ndim) += step;
        }
        dcls_fit_clamp(f, &e->at);
        dcls_fit_shape(f, e);
        dcls_fit_add(f, e, -1);
    }
    f->work += count * f->element_work + 3.0 * f->cells;
    dcls_fit_measure(f);
}

static void undo_step(fit_state *f, const int *set, int count, double error)
{
    for (int a = 0; a < count; a++) {
        f->elements[set[a]].at = f->saved[a];
        dcls_fit_shape(f, &f->elements[set[a]]);
    }
    memcpy(f->residual, f->saved_residual, (size_t)f->cells * sizeof *f->residual);
    f->error = error;
}

#define MOST_TRIES   8
#define MOST_STALLED 3

/* One iteration; false when no step helps. Damping follows Nielsen's rule. */
static bool iterate(fit_state *f, const int *set, int count, double *damping)
{
    const int n = count * f->terms;
    const double error = f->error;
    double grow = 2;
    build(f, set, count);
    memcpy(f->saved_residual, f->residual, (size_t)f->cells * sizeof *f->residual);
    for (int tries = 0; tries < MOST_TRIES; tries++) {
        if (find_step(f, n, *damping)) {
            const double expected = expected_gain(f, n, *damping);
            take_step(f, set, count);
            if (f->error < error) {
                const double ratio = (error - f->error) / fmax(expected, 1e-300), r = 2 * ratio - 1;
                *damping = fmax(*damping * fmax(1.0 / 5, 1 - r * r * r), 1e-10);
                return true;
            }
            undo_step(f, set, count, error);
        }
        *damping *= grow;
        grow *= 2;
    }
    return false;
}

static void soften(fit_state *f, const int *set, int n, double soft)
{
    f->soft = soft;
    for (int i = 0; i < n; i++)
        dcls_fit_shape(f, &f->elements[set[i]]);
}

static void iterate_until(fit_state *f, const int *set, int n, int iterations, double gain)
{
    double damping = 1e-3;
    int stalled = 0; /* a small gain may be a step that had to be cut short; the next ones tell */
    for (int i = 0; i < iterations && stalled < MOST_STALLED && f->error > f->enough; i++) {
        const double before = f->error;
        if (!iterate(f, set, n, &damping)) return;
        stalled = f->error > (1 - gain) * before ? stalled + 1 : 0;
    }
}

void dcls_fit_refine(fit_state *f, const int *set, int n, int iterations, double gain)
{
    iterate_until(f, set, n, iterations, gain);
    if (f->version == DCLS_GAUSS) return;
    soften(f, set, n, FIT_SHARP);
    iterate_until(f, set, n, iterations, gain);
    soften(f, set, n, FIT_SOFT);
}

/* ---- all elements --------------------------------------------------------------------------------- */

/* By the first coordinate: neighbours stand together, which keeps the factor narrow and makes blocks local.
 */
static void sort_elements(fit_state *f)
{
    for (int i = 0; i < f->count; i++) {
        int at = i;
        const double c = f->elements[i].at.c[0];
        for (; at > 0 && f->elements[f->order[at - 1]].at.c[0] > c; at--)
            f->order[at] = f->order[at - 1];
        f->order[at] = i;
    }
}

void dcls_fit_refine_all(fit_state *f, int iterations, double gain)
{
    if (f->count == 0) return;
    sort_elements(f);
    if (f->count <= f->set_capacity) {
        dcls_fit_refine(f, f->order, f->count, iterations, gain);
        return;
    }
    const int step = f->set_capacity / 2 > 0 ? f->set_capacity / 2 : 1;
    for (int sweep = 0; sweep < (iterations + 3) / 4 && f->error > f->enough; sweep++) {
        const double before = f->error;
        for (int first = 0; first < f->count; first += step) {
            const int left = f->count - first;
            dcls_fit_refine(f, f->order + first, left < f->set_capacity ? left : f->set_capacity, 4, gain);
        }
        if (f->error > (1 - gain) * before) return;
    }
}
