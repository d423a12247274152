#include "kernel/fit_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this many S a Gaussian adds nothing a float would keep. */
#define GAUSS_REACH 6.0

/* ---- profiles ------------------------------------------------------------------------------------- */

static double tent(double distance, double height)
{
    const double x = height - fabs(distance);
    return x > 0 ? x : 0;
}

/* The slope by the centre is a difference over `soft` cells to both sides: at a whole cell a tent has two
 * slopes, each blind for what lies on the other side. */
static void raw_tent(double centre, double height, double soft, fit_profile *p, bool fixed)
{
    for (int i = 0; i < p->n; i++) {
        const double distance = p->lo + i - centre, x = tent(distance, height);
        p->u[0][i] = x;
        p->u[1][i] = (tent(distance - soft, height) - tent(distance + soft, height)) / (2 * soft);
        p->u[2][i] = fixed || x <= 0 ? 0 : 1;
    }
}

static void raw_gauss(double centre, double spread, fit_profile *p)
{
    for (int i = 0; i < p->n; i++) {
        const double z = (p->lo + i - centre) / spread;
        const double x = exp(-0.5 * z * z);
        p->u[0][i] = x;
        p->u[1][i] = x * z / spread;
        p->u[2][i] = x * z * z / spread;
    }
}

static void normalise(fit_profile *p)
{
    double sum[3] = {0};
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < p->n; i++)
            sum[k] += p->u[k][i];
    const double scale = 1 / (sum[0] + 1e-30);
    for (int i = 0; i < p->n; i++) {
        const double u = p->u[0][i] * scale;
        p->u[0][i] = u;
        p->u[1][i] = (p->u[1][i] - u * sum[1]) * scale;
        p->u[2][i] = (p->u[2][i] - u * sum[2]) * scale;
    }
}

static void fill_profile(const fit_state *f, int d, double centre, double spread, fit_profile *p)
{
    const double height = f->version == DCLS_MAX ? spread : 1;
    const double reach = f->version == DCLS_GAUSS ? GAUSS_REACH * spread : height + f->soft;
    const double last = f->size[d] - 1;
    const int lo = (int)fmin(fmax(ceil(centre - reach), 0), last);
    const int hi = (int)fmax(fmin(floor(centre + reach), last), 0);
    p->lo = lo;
    p->n = hi - lo + 1;
    if (f->version == DCLS_GAUSS)
        raw_gauss(centre, spread, p);
    else
        raw_tent(centre, height, f->soft, p, f->version != DCLS_MAX);
    if (f->version != DCLS_V0) normalise(p);
}

void dcls_fit_clamp(const fit_state *f, fit_params *p)
{
    for (int d = 0; d < f->ndim; d++) {
        p->c[d] = fmin(fmax(p->c[d], f->low[d]), f->high[d]);
        p->s[d] = fmin(fmax(p->s[d], f->least_s), f->most_s);
    }
}

void dcls_fit_shape(const fit_state *f, fit_element *e)
{
    for (int d = 0; d < f->ndim; d++)
        fill_profile(f, d, e->at.c[d], e->at.s[d], &e->axis[d]);
}

/* ---- residual ------------------------------------------------------------------------------------- */

void dcls_fit_add(fit_state *f, const fit_element *e, double scale)
{
    const fit_profile *p0 = &e->axis[0], *p1 = &e->axis[1], *p2 = &e->axis[2];
    for (int i = 0; i < p0->n; i++)
        for (int j = 0; j < p1->n; j++) {
            double *cells = f->residual + ((p0->lo + i) * f->size[1] + p1->lo + j) * f->size[2] + p2->lo;
            const double x = scale * e->at.w * p0->u[0][i] * p1->u[0][j];
            for (int k = 0; k < p2->n; k++)
                cells[k] += x * p2->u[0][k];
        }
}

void dcls_fit_measure(fit_state *f)
{
    double sum[4] = {0};
    int i = 0;
    for (; i + 4 <= f->cells; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += f->residual[i + k] * f->residual[i + k];
    for (; i < f->cells; i++)
        sum[0] += f->residual[i] * f->residual[i];
    f->error = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void dcls_fit_project(const fit_state *f, const fit_element *e, double *out)
{
    const fit_profile *p0 = &e->axis[0], *p1 = &e->axis[1], *p2 = &e->axis[2];
    double value = 0, centre[3] = {0}, spread[3] = {0};
    for (int i = 0; i < p0->n; i++)
        for (int j = 0; j < p1->n; j++) {
            const double *r = f->residual + ((p0->lo + i) * f->size[1] + p1->lo + j) * f->size[2] + p2->lo;
            double line[3] = {0};
            for (int k = 0; k < p2->n; k++)
                for (int t = 0; t < 3; t++)
                    line[t] += r[k] * p2->u[t][k];
            value += p0->u[0][i] * p1->u[0][j] * line[0];
            centre[0] += p0->u[1][i] * p1->u[0][j] * line[0];
            centre[1] += p0->u[0][i] * p1->u[1][j] * line[0];
            centre[2] += p0->u[0][i] * p1->u[0][j] * line[1];
            spread[0] += p0->u[2][i] * p1->u[0][j] * line[0];
            spread[1] += p0->u[0][i] * p1->u[2][j] * line[0];
            spread[2] += p0->u[0][i] * p1->u[0][j] * line[2];
        }
    out[0] = value;
    for (int d = 0; d < f->ndim; d++) {
        out[1 + d] = e->at.w * centre[d];
        if (f->terms > 1 + f->ndim) out[1 + f->ndim + d] = e->at.w * spread[d];
    }
}

/* ---- inner products ------------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Cells both profiles have; offsets into each. */
static int common(const fit_profile *a, const fit_profile *b, int *at_a, int *at_b)
{
    const int lo = a->lo > b->lo ? a->lo : b->lo;
    const int end_a = a->lo + a->n, end_b = b->lo + b->n;
    *at_a = lo - a->lo;
    *at_b = lo - b->lo;
    return (end_a < end_b ? end_a : end_b) - lo;
}

double dcls_fit_overlap(const fit_state *f, const fit_element *a, const fit_element *b)
{
    double product = 1;
    for (int d = 0; d < f->ndim; d++) {
        int at_a, at_b;
        const int n = common(&a->axis[d], &b->axis[d], &at_a, &at_b);
        if (n <= 0) return 0;
        product *= dot(a->axis[d].u[0] + at_a, b->axis[d].u[0] + at_b, n);
    }
    return product;
}

void dcls_fit_block(const fit_state *f, const fit_element *a, const fit_element *b, double *block)
{
    const int terms = f->terms, ndim = f->ndim, kinds = terms > 1 + ndim ? 3 : 2;
    double dots[3][3][3];
    for (int d = 0; d < ndim; d++) {
        int at_a, at_b;
        const int n = common(&a->axis[d], &b->axis[d], &at_a, &at_b);
        if (n <= 0) {
            memset(block, 0, (size_t)(terms * terms) * sizeof *block);
            return;
        }
        for (int s = 0; s < kinds; s++)
            for (int t = 0; t < kinds; t++)
                dots[d][s][t] = dot(a->axis[d].u[s] + at_a, b->axis[d].u[t] + at_b, n);
    }
    for (int s = 0; s < terms; s++)
        for (int t = 0; t < terms; t++) {
            double product = (s > 0 ? a->at.w : 1) * (t > 0 ? b->at.w : 1);
            for (int d = 0; d < ndim; d++) {
                const int kind_a = s == 1 + d ? 1 : s == 1 + ndim + d ? 2 : 0;
                const int kind_b = t == 1 + d ? 1 : t == 1 + ndim + d ? 2 : 0;
                product *= dots[d][kind_a][kind_b];
            }
            block[s * terms + t] = product;
        }
}

/* ---- elements ------------------------------------------------------------------------------------- */

void dcls_fit_insert(fit_state *f, const fit_params *p)
{
    fit_element *e = &f->elements[f->count++];
    e->at = *p;
    dcls_fit_clamp(f, &e->at);
    dcls_fit_shape(f, e);
    dcls_fit_add(f, e, -1);
    dcls_fit_measure(f);
}

void dcls_fit_remove(fit_state *f, int i)
{
    fit_element *last = &f->elements[--f->count];
    dcls_fit_add(f, &f->elements[i], 1);
    f->elements[i].at = last->at;
    if (i < f->count) dcls_fit_shape(f, &f->elements[i]);
    dcls_fit_measure(f);
}

void dcls_fit_save(fit_state *f)
{
    for (int i = 0; i < f->count; i++)
        f->best[i] = f->elements[i].at;
}

void dcls_fit_restore(fit_state *f, int count)
{
    f->count = count;
    memcpy(f->residual, f->target, (size_t)f->cells * sizeof *f->residual);
    for (int i = 0; i < count; i++) {
        f->elements[i].at = f->best[i];
        dcls_fit_shape(f, &f->elements[i]);
        dcls_fit_add(f, &f->elements[i], -1);
    }
    dcls_fit_measure(f);
}

void dcls_fit_begin(fit_state *f, const float *window, double scale)
{
    f->count = 0;
    f->work = 0;
    f->soft = FIT_SOFT;
    for (int i = 0; i < f->cells; i++)
        f->residual[i] = f->target[i] = (double)window[i] * scale;
    dcls_fit_measure(f);
}

/* ---- memory --------------------------------------------------------------------------------------- */

#define START_SPREAD 1.85 /* times the least S: where the published package starts gauss, 0.27 + 0.23 */
#define MOST_TERMS   300  /* solved at once: time grows with the cube */

static void set_limits(fit_state *f, const dcls_kernel *shape)
{
    for (int d = 0; d < 3; d++)
        f->size[d] = d < shape->ndim ? (int)shape->size[d] : 1;
    f->cells = f->size[0] * f->size[1] * f->size[2];
    for (int j = 0; j < shape->ndim; j++) {
        const int d = dcls_kernel_axis(shape->version, shape->ndim, j);
        f->low[d] = 0;
        /* Half a cell beyond the last one an element has lost too much of itself to be of use. */
        f->high[d] = fmin(2 * (double)(shape->size[j] / 2), f->size[d] - 0.5);
    }
    const bool spreads = dcls_kernel_version_has_spread(shape->version);
    int longest = 1;
    for (int d = 0; d < 3; d++)
        longest = f->size[d] > longest ? f->size[d] : longest;
    f->soft = FIT_SOFT;
    f->least_s = spreads ? (double)shape->spread_offset : 1;
    f->most_s = spreads ? fmax(longest, 2 * f->least_s) : 1;
    f->terms = 1 + f->ndim * (spreads ? 2 : 1);
    f->element_work = f->version == DCLS_GAUSS ? 1000 : 200;
    f->start_s = spreads ? START_SPREAD * f->least_s : 1;
}

static dcls_status create_elements(dcls_context *ctx, fit_state *f)
{
    const int lengths = f->size[0] + f->size[1] + f->size[2];
    f->elements = dcls_alloc_zero(ctx, (size_t)f->capacity, sizeof *f->elements);
    if (f->elements == NULL) return DCLS_ERR_MEMORY;
    double *block = dcls_alloc_zero(ctx, (size_t)f->capacity * 3, (size_t)lengths * sizeof *block);
    if (block == NULL) return DCLS_ERR_MEMORY;
    f->elements[0].axis[0].u[0] = block; /* who frees finds it there */
    for (int i = 0; i < f->capacity; i++)
        for (int d = 0; d < 3; d++) {
            fit_profile *p = &f->elements[i].axis[d];
            p->n = 1;
            for (int t = 0; t < 3; t++, block += f->size[d])
                p->u[t] = block;
            p->u[0][0] = 1; /* missing dimensions stay so */
        }
    return DCLS_OK;
}

static dcls_status create_arrays(dcls_context *ctx, fit_state *f)
{
    const size_t cells = (size_t)f->cells, capacity = (size_t)f->capacity;
    const size_t terms = (size_t)f->set_capacity * (size_t)f->terms;
    f->target = dcls_alloc(ctx, cells, sizeof *f->target);
    f->residual = dcls_alloc(ctx, cells, sizeof *f->residual);
    f->saved_residual = dcls_alloc(ctx, cells, sizeof *f->saved_residual);
    f->normal = dcls_alloc(ctx, terms * terms, sizeof *f->normal);
    f->factor = dcls_alloc(ctx, terms * terms, sizeof *f->factor);
    f->gradient = dcls_alloc(ctx, terms, sizeof *f->gradient);
    f->step = dcls_alloc(ctx, terms, sizeof *f->step);
    f->scale = dcls_alloc(ctx, terms, sizeof *f->scale);
    f->saved = dcls_alloc(ctx, (size_t)f->set_capacity, sizeof *f->saved);
    f->best = dcls_alloc(ctx, capacity, sizeof *f->best);
    f->set = dcls_alloc(ctx, capacity, sizeof *f->set);
    f->costs = dcls_alloc(ctx, capacity, sizeof *f->costs);
    f->order = dcls_alloc(ctx, capacity, sizeof *f->order);
    const bool all = f->target && f->residual && f->saved_residual && f->normal && f->factor && f->gradient &&
                     f->step && f->scale && f->saved && f->best && f->set && f->costs && f->order;
    return all ? DCLS_OK : DCLS_ERR_MEMORY;
}

dcls_status dcls_fit_state_create(dcls_context *ctx, const dcls_kernel *shape, fit_state **out)
{
    fit_state *f = dcls_alloc_zero(ctx, 1, sizeof *f);
    if (f == NULL) return DCLS_ERR_MEMORY;
    f->simd = dcls_simd_get(dcls_cpu_detect());
    f->version = shape->version;
    f->ndim = shape->ndim;
    f->wanted = (int)shape->count;
    f->capacity = f->wanted + FIT_SPARE;
    set_limits(f, shape);
    f->set_capacity = MOST_TERMS / f->terms < f->capacity ? MOST_TERMS / f->terms : f->capacity;
    dcls_status status = create_elements(ctx, f);
    if (status == DCLS_OK) status = create_arrays(ctx, f);
    if (status == DCLS_OK) status = dcls_fit_banks_create(ctx, f);
    if (status == DCLS_OK)
        *out = f;
    else
        dcls_fit_state_destroy(f);
    return status;
}

void dcls_fit_state_destroy(fit_state *f)
{
    if (f == NULL) return;
    if (f->elements != NULL) free(f->elements[0].axis[0].u[0]);
    free(f->elements);
    free(f->target);
    free(f->residual);
    free(f->saved_residual);
    free(f->normal);
    free(f->factor);
    free(f->gradient);
    free(f->step);
    free(f->scale);
    free(f->saved);
    free(f->best);
    free(f->set);
    free(f->costs);
    free(f->order);
    dcls_fit_banks_destroy(f);
    free(f);
}
