/* The greedy start, and moves that search its wrong turns away. */
#include <math.h>
#include <string.h>

#include "kernel/fit_state.h"

#define FEW            16 /* elements: all of them are refined together as often as one likes */
#define SPLIT_CHANCE   0.7
#define SPLIT_DISTANCE 0.8 /* cells */
#define SPLIT_SHARE    0.3
#define NEIGHBOURS     12 /* refined together around a place */

/* How far the influence of an element goes, in cells. */
static double reach_of(const fit_state *f, const fit_params *p)
{
    double reach = 0;
    for (int d = 0; d < f->ndim; d++)
        reach = fmax(reach, f->version == DCLS_GAUSS ? 2.5 * p->s[d] : f->version == DCLS_MAX ? p->s[d] : 1);
    return reach;
}

static double distance_of(const fit_state *f, const fit_params *a, const fit_params *b)
{
    double distance = 0;
    for (int d = 0; d < f->ndim; d++)
        distance = fmax(distance, fabs(a->c[d] - b->c[d]));
    return distance;
}

/* Adds to set the elements that touch p, the nearest first, NEIGHBOURS at most in all; returns how many it
 * has. */
static int gather(const fit_state *f, const fit_params *p, int *set, int have)
{
    const int most = NEIGHBOURS < f->set_capacity ? NEIGHBOURS : f->set_capacity;
    double far[2 * NEIGHBOURS];
    const int start = have;
    for (int i = 0; i < f->count; i++) {
        const fit_params *q = &f->elements[i].at;
        const double distance = distance_of(f, p, q);
        bool known = distance >= reach_of(f, p) + reach_of(f, q);
        for (int k = 0; k < start && !known; k++)
            known = set[k] == i;
        if (known) continue;
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): most is at least 1 */
        if (have == start + most && distance >= far[have - start - 1]) continue;
        int at = have < start + most ? have++ : have - 1;
        for (; at > start && far[at - start - 1] > distance; at--) {
            set[at] = set[at - 1];
            far[at - start] = far[at - start - 1];
        }
        set[at] = i;
        far[at - start] = distance;
    }
    return have;
}

static void refine_around(fit_state *f, const fit_params *p, int iterations)
{
    int set[2 * NEIGHBOURS];
    const int n = gather(f, p, set, 0);
    if (n > 0) dcls_fit_refine(f, set, n, iterations, 1e-2);
}

static void add_where_needed(fit_state *f, double noise, int iterations)
{
    const fit_params p = dcls_fit_candidate(f, noise);
    dcls_fit_insert(f, &p);
    refine_around(f, &p, iterations);
}

static void grow(fit_state *f, int count, double noise)
{
    while (f->count < count && f->error > f->enough)
        add_where_needed(f, noise, 4);
}

/* How much of the error each element holds back: w^2 / (G^-1)_ii with G the Gram matrix, other weights
 * adapting. */
static bool find_costs(fit_state *f, double *costs)
{
    const int n = f->count;
    double *gram = f->factor;
    for (int i = 0; i < n; i++)
        for (int j = i; j < n; j++)
            gram[i * n + j] = dcls_fit_overlap(f, &f->elements[i], &f->elements[j]) * (i == j ? 1 + 1e-9 : 1);
    f->work += (double)n * n * (20 + n / 2);
    if (!f->simd->cholesky(gram, n)) return false;
    for (int i = 0; i < n; i++) { /* |U^-T e_i|^2 = (G^-1)_ii */
        double norm = 0;
        double *x = f->step;
        for (int k = i; k < n; k++) {
            double sum = k == i ? 1 : 0;
            for (int j = i; j < k; j++)
                sum -= gram[j * n + k] * x[j];
            x[k] = sum / gram[k * n + k];
            norm += x[k] * x[k];
        }
        costs[i] = f->elements[i].at.w * f->elements[i].at.w / norm;
    }
    return true;
}

static void find_plain_costs(fit_state *f, double *costs)
{
    for (int i = 0; i < f->count; i++) {
        const fit_element *e = &f->elements[i];
        costs[i] = e->at.w * e->at.w * dcls_fit_overlap(f, e, e);
    }
}

/* One of the elements that are missed least; the further down the list, the rarer. */
static int choose_victim(fit_state *f, double chance)
{
    double *costs = f->costs;
    if (f->count > f->set_capacity * f->terms || !find_costs(f, costs)) find_plain_costs(f, costs);
    int victim = 0;
    for (bool next = true; next;) {
        victim = 0;
        for (int i = 1; i < f->count; i++)
            if (costs[i] < costs[victim]) victim = i;
        costs[victim] = INFINITY;
        next = chance > 0 && dcls_rng_uniform(&f->rng) < chance;
    }
    return victim;
}

static void drop_one(fit_state *f, double chance, int iterations)
{
    const int victim = choose_victim(f, chance);
    const fit_params gone = f->elements[victim].at;
    dcls_fit_remove(f, victim);
    refine_around(f, &gone, iterations);
}

/* A weak element beside a strong one hides in it: the strong one bends to serve for both, and no residual
 * tells. So some element gives a part of itself to a new one nearby. */
static void split_one(fit_state *f)
{
    fit_element *e = &f->elements[(int)(f->count * dcls_rng_uniform(&f->rng))];
    fit_params p = e->at;
    dcls_fit_add(f, e, 1);
    for (int d = 0; d < f->ndim; d++) {
        p.c[d] += SPLIT_DISTANCE * dcls_rng_normal(&f->rng);
        p.s[d] = e->at.s[d] = f->start_s;
    }
    p.w *= SPLIT_SHARE;
    e->at.w -= p.w;
    dcls_fit_shape(f, e);
    dcls_fit_add(f, e, -1);
    dcls_fit_insert(f, &p);
    refine_around(f, &p, 10);
}

/* An element too many, then back to as many as there were. */
static bool move(fit_state *f)
{
    const double before = f->error;
    const int count = f->count;
    dcls_fit_save(f);
    if (dcls_rng_uniform(&f->rng) < SPLIT_CHANCE)
        split_one(f);
    else
        add_where_needed(f, 0.5, 6);
    drop_one(f, 0.3, 6);
    if (f->count <= FEW && f->error < 4 * before) dcls_fit_refine_all(f, 20, 1e-2);
    if (f->error < before * (1 - 1e-4)) return true;
    dcls_fit_restore(f, count);
    return false;
}

void dcls_fit_search(fit_state *f)
{
    grow(f, f->wanted + FIT_SPARE, 0);
    while (f->count > f->wanted)
        drop_one(f, 0, 6);
    dcls_fit_refine_all(f, f->count <= FEW ? 100 : 25, 1e-2);
    while (f->error > f->enough && f->work < f->budget && f->count > 0) {
        if (!move(f)) continue;
        dcls_fit_refine_all(f, f->count <= FEW ? 20 : 6, 1e-3);
    }
    dcls_fit_refine_all(f, 20, 1e-3);
}
