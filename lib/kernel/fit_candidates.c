/* Where the residual calls for an element: its inner products with elements at every half cell, one axis
 * after the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/fit_state.h"

/* Tents have a kink at whole cells, where least squares sees only one side: their places stand a quarter off.
 */
static double first_place(const fit_state *f, int d)
{
    return d < f->ndim && f->high[d] > f->low[d] && f->version != DCLS_GAUSS ? 0.25 : 0;
}

static int place_count(const fit_state *f, int d)
{
    return d < f->ndim ? (int)(2 * (f->high[d] - f->low[d] - first_place(f, d))) + 1 : 1;
}

#define FAINT 0.02 /* what a rough look may leave out of a unit vector */

/* Unit vectors: the products then are what an element of the best weight takes from the error, as a root. */
static void fill_bank(const fit_state *f, int d, fit_bank *bank)
{
    fit_element e = f->elements[0]; /* borrows its memory */
    for (int i = 0; i < bank->places; i++) {
        double *u = bank->u + (size_t)i * (size_t)f->size[d];
        e.at.c[d] = bank->centre[i] = d < f->ndim ? f->low[d] + first_place(f, d) + 0.5 * i : 0;
        for (int k = 0; k < f->ndim; k++) {
            e.at.s[k] = f->start_s;
            if (k != d) e.at.c[k] = f->low[k];
        }
        dcls_fit_shape(f, &e);
        double norm = 0;
        for (int t = 0; t < e.axis[d].n; t++)
            norm += e.axis[d].u[0][t] * e.axis[d].u[0][t];
        for (int t = 0; t < e.axis[d].n; t++)
            u[e.axis[d].lo + t] = e.axis[d].u[0][t] / sqrt(norm);
        bank->lo[i] = e.axis[d].lo;
        bank->n[i] = e.axis[d].n;
        while (bank->n[i] > 1 && fabs(u[bank->lo[i] + bank->n[i] - 1]) < FAINT)
            bank->n[i]--;
        for (; bank->n[i] > 1 && fabs(u[bank->lo[i]]) < FAINT; bank->n[i]--)
            bank->lo[i]++;
    }
}

static dcls_status create_bank(dcls_context *ctx, fit_state *f, int d, fit_bank *bank)
{
    bank->places = place_count(f, d);
    const size_t places = (size_t)bank->places;
    bank->u = dcls_alloc_zero(ctx, places * (size_t)f->size[d], sizeof *bank->u);
    bank->centre = dcls_alloc(ctx, places, sizeof *bank->centre);
    bank->lo = dcls_alloc(ctx, places, sizeof *bank->lo);
    bank->n = dcls_alloc(ctx, places, sizeof *bank->n);
    if (bank->u == NULL || bank->centre == NULL || bank->lo == NULL || bank->n == NULL)
        return DCLS_ERR_MEMORY;
    fill_bank(f, d, bank);
    return DCLS_OK;
}

dcls_status dcls_fit_banks_create(dcls_context *ctx, fit_state *f)
{
    for (int d = 0; d < 3; d++)
        DCLS_TRY(create_bank(ctx, f, d, &f->bank[d]));
    const size_t n0 = (size_t)f->bank[0].places, n1 = (size_t)f->bank[1].places;
    f->partial[0] = dcls_alloc(ctx, n0 * (size_t)f->size[1], (size_t)f->size[2] * sizeof(double));
    f->partial[1] = dcls_alloc(ctx, n0 * n1, (size_t)f->size[2] * sizeof(double));
    return f->partial[0] != NULL && f->partial[1] != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
}

void dcls_fit_banks_destroy(fit_state *f)
{
    for (int d = 0; d < 3; d++) {
        free(f->bank[d].u);
        free(f->bank[d].centre);
        free(f->bank[d].lo);
        free(f->bank[d].n);
    }
    free(f->partial[0]);
    free(f->partial[1]);
}

/* The same for single numbers. */
static void contract_line(const fit_bank *bank, int size, const double *from, double *to)
{
    for (int p = 0; p < bank->places; p++) {
        const double *u = bank->u + (size_t)p * (size_t)size;
        double sum = 0;
        for (int t = bank->lo[p]; t < bank->lo[p] + bank->n[p]; t++)
            sum += u[t] * from[t];
        to[p] = sum;
    }
}

/* to [places, inner] = bank [places, size] x from [size, inner] */
static void contract(const fit_bank *bank, int size, const double *from, int inner, double *to)
{
    if (inner == 1) {
        contract_line(bank, size, from, to);
        return;
    }
    for (int p = 0; p < bank->places; p++, to += inner) {
        memset(to, 0, (size_t)inner * sizeof *to);
        const double *u = bank->u + (size_t)p * (size_t)size;
        for (int t = bank->lo[p]; t < bank->lo[p] + bank->n[p]; t++)
            for (int i = 0; i < inner; i++)
                to[i] += u[t] * from[t * inner + i];
    }
}

typedef struct choice {
    double score, product;
    int place[3];
} choice;

static void look_at(fit_state *f, choice *best, double noise, double product, int p0, int p1, int p2)
{
    double score = product * product;
    if (score <= best->score / (1 + noise)) return;
    if (noise > 0) score *= 1 + noise * dcls_rng_uniform(&f->rng);
    if (score > best->score) *best = (choice){score, product, {p0, p1, p2}};
}

static void look_through(fit_state *f, double noise, choice *best)
{
    const fit_bank *bank = f->bank;
    const int inner = f->size[1] * f->size[2], n1 = bank[1].places;
    contract(&bank[0], f->size[0], f->residual, inner, f->partial[0]);
    for (int p0 = 0; p0 < bank[0].places; p0++)
        contract(&bank[1], f->size[1], f->partial[0] + (ptrdiff_t)p0 * inner, f->size[2],
                 f->partial[1] + (ptrdiff_t)p0 * n1 * f->size[2]);
    for (int p0 = 0; p0 < bank[0].places; p0++)
        for (int p1 = 0; p1 < n1; p1++) {
            const double *line = f->partial[1] + ((ptrdiff_t)p0 * n1 + p1) * f->size[2];
            for (int p2 = 0; p2 < bank[2].places; p2++) {
                const double *u = bank[2].u + (ptrdiff_t)p2 * f->size[2];
                double product = 0;
                for (int t = bank[2].lo[p2]; t < bank[2].lo[p2] + bank[2].n[p2]; t++)
                    product += u[t] * line[t];
                look_at(f, best, noise, product, p0, p1, p2);
            }
        }
    f->work += (double)f->cells * bank[0].places + (double)bank[0].places * n1 * f->size[2] * 8;
}

/* The length of an element of weight 1 is what unit vectors leave out. */
static double length_of(fit_state *f, const fit_params *p)
{
    fit_element *spare = &f->elements[f->count]; /* the next to be inserted */
    spare->at = *p;
    dcls_fit_shape(f, spare);
    return sqrt(dcls_fit_overlap(f, spare, spare));
}

fit_params dcls_fit_candidate(fit_state *f, double noise)
{
    choice best = {.score = -1};
    look_through(f, noise, &best);
    fit_params p = {.w = 1, .s = {1, 1, 1}};
    for (int d = 0; d < f->ndim; d++) {
        p.c[d] = f->bank[d].centre[best.place[d]];
        p.s[d] = f->start_s;
    }
    p.w = best.product / length_of(f, &p);
    return p;
}
