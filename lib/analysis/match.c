/* Matching the elements of two kernels: the assignment problem, by shortest augmenting paths with dual
 * variables (Kuhn, "The Hungarian method for the assignment problem", 1955; Jonker and Volgenant, "A shortest
 * augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987). */
#include "analysis/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Distances in squared cells. A pair beyond tolerance weighs more than any sum of honest distances; an index
 * that changed less than anything but a tie. */
#define BEYOND    1e6
#define FARTHEST  1e3
#define NEW_INDEX 1e-7

/* Where many elements lie on one line, greedy search must end some day. */
#define MOST_STEPS 2048

typedef struct matcher {
    const dcls_match_set *a, *b;
    const dcls_match_options *options;
} matcher;

/* Squared distance of two numbers in units of `scale`; *beyond is raised where they differ too much. */
static double apart(const dcls_match_options *o, float x, float y, double scale, bool *beyond)
{
    double a = (double)x, b = (double)y, difference = a == b ? 0 : fabs(a - b);
    if (isnan(a) || isnan(b)) {
        const bool both = isnan(a) && isnan(b);
        *beyond |= !both || !o->equal_nan;
        return both ? 0 : FARTHEST;
    }
    *beyond |= difference > o->atol + (isinf(b) ? 0 : o->rtol * fabs(b));
    difference /= scale;
    return fmin(difference * difference, FARTHEST);
}

static double pair_cost(const matcher *m, int64_t i, int64_t j)
{
    const dcls_match_options *o = m->options;
    double cost = 0, weights = 0;
    bool beyond = false;
    for (int d = 0; d < o->at_count; d++)
        cost += apart(o, m->a->at[d][i], m->b->at[d][j], 1, &beyond);
    for (int64_t k = 0; k < m->a->weight_count; k++)
        weights += apart(o, m->a->weight[k * m->a->weight_stride + i],
                         m->b->weight[k * m->b->weight_stride + j], o->weight_scale, &beyond);
    cost += weights / (double)(m->a->weight_count > 0 ? m->a->weight_count : 1);
    return fmin(cost, FARTHEST) + (beyond ? BEYOND : 0) + (i != j ? NEW_INDEX : 0);
}

/* ---- optimal ---- */

/* Arrays are one longer than they look: entry 0 stands for "none". */
typedef struct assignment {
    int64_t rows, columns; /* rows <= columns */
    const double *cost;    /* [rows, columns] */
    double *row_dual, *column_dual, *slack;
    int64_t *row_of, *via; /* per column */
    bool *done;
} assignment;

/* Adds row `row` by the shortest augmenting path from it. */
static void add_row(assignment *s, int64_t row)
{
    int64_t column = 0;
    s->row_of[0] = row;
    for (int64_t j = 0; j <= s->columns; j++) {
        s->slack[j] = INFINITY;
        s->done[j] = false;
    }
    do {
        const int64_t i = s->row_of[column];
        const double *cost = s->cost + (i - 1) * s->columns - 1;
        double least = INFINITY;
        int64_t next = 0;
        s->done[column] = true;
        for (int64_t j = 1; j <= s->columns; j++) {
            if (s->done[j]) continue;
            const double reduced = cost[j] - s->row_dual[i] - s->column_dual[j];
            if (reduced < s->slack[j]) {
                s->slack[j] = reduced;
                s->via[j] = column;
            }
            if (s->slack[j] < least) {
                least = s->slack[j];
                next = j;
            }
        }
        for (int64_t j = 0; j <= s->columns; j++) {
            if (s->done[j]) {
                s->row_dual[s->row_of[j]] += least;
                s->column_dual[j] -= least;
            } else {
                s->slack[j] -= least;
            }
        }
        column = next;
    } while (s->row_of[column] != 0);
    for (; column != 0; column = s->via[column])
        s->row_of[column] = s->row_of[s->via[column]];
}

static dcls_status assign(dcls_context *ctx, const double *cost, int64_t rows, int64_t columns,
                          int64_t *row_of /* [columns + 1] */)
{
    const size_t n = (size_t)columns + 1;
    assignment s = {.rows = rows, .columns = columns, .cost = cost, .row_of = row_of};
    double *numbers = dcls_alloc_zero(ctx, 3 * n, sizeof *numbers);
    s.via = dcls_alloc_zero(ctx, n, sizeof *s.via);
    s.done = dcls_alloc_zero(ctx, n, sizeof *s.done);
    const bool ok = numbers != NULL && s.via != NULL && s.done != NULL;
    if (ok) {
        s.row_dual = numbers; /* rows <= columns */
        s.column_dual = numbers + n;
        s.slack = numbers + 2 * n;
        memset(row_of, 0, n * sizeof *row_of);
        for (int64_t i = 1; i <= rows; i++)
            add_row(&s, i);
    }
    free(numbers);
    free(s.via);
    free(s.done);
    return ok ? DCLS_OK : DCLS_ERR_MEMORY;
}

static dcls_status match_optimally(dcls_context *ctx, const matcher *m, int64_t *match)
{
    const bool turned = m->a->count > m->b->count;
    const int64_t rows = turned ? m->b->count : m->a->count, columns = turned ? m->a->count : m->b->count;
    double *cost = dcls_alloc(ctx, (size_t)(rows * columns), sizeof *cost);
    int64_t *row_of = dcls_alloc(ctx, (size_t)columns + 1, sizeof *row_of);
    dcls_status status = cost != NULL && row_of != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                cost[i * columns + j] = turned ? pair_cost(m, j, i) : pair_cost(m, i, j);
        status = assign(ctx, cost, rows, columns, row_of);
    }
    for (int64_t i = 0; status == DCLS_OK && i < m->a->count; i++)
        match[i] = -1;
    for (int64_t j = 1; status == DCLS_OK && j <= columns; j++) {
        if (row_of[j] == 0) continue;
        if (turned)
            match[j - 1] = row_of[j] - 1;
        else
            match[row_of[j] - 1] = j - 1;
    }
    free(cost);
    free(row_of);
    return status;
}

/* ---- greedy ---- */

typedef struct ranked {
    double key;
    int64_t element;
} ranked;

static int by_key(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return a->element < b->element ? -1 : a->element > b->element;
}

/* The free elements of b in the order of their first coordinate, linked so that used ones are skipped. */
typedef struct line {
    ranked *order;            /* [count] */
    int64_t *next, *previous; /* places in order, shifted by one: 0 and count + 1 are the ends */
    int64_t count;
} line;

static double first_coordinate(const matcher *m, const dcls_match_set *set, int64_t element)
{
    const float x = m->options->at_count > 0 ? set->at[0][element] : 0;
    return isfinite(x) ? (double)x : 0;
}

/* What a pair costs at least for its first coordinates. */
static double least_cost(const matcher *m, double x, double y)
{
    const dcls_match_options *o = m->options;
    const double away = fabs(x - y);
    return fmin(away * away, FARTHEST) + (away > o->atol + o->rtol * fabs(y) ? BEYOND : 0);
}

/* Walks away from place `at` in one direction as long as the first coordinate alone allows a nearer element.
 */
static void search(const matcher *m, const line *l, int64_t i, double x, int64_t at, const int64_t *links,
                   double *best, int64_t *place)
{
    for (int steps = 0; at >= 1 && at <= l->count && steps < MOST_STEPS; at = links[at], steps++) {
        if (least_cost(m, x, l->order[at - 1].key) > *best) return;
        const double cost = pair_cost(m, i, l->order[at - 1].element);
        if (cost >= *best) continue;
        *best = cost;
        *place = at;
    }
}

static void take(line *l, int64_t place)
{
    l->next[l->previous[place]] = l->next[place];
    l->previous[l->next[place]] = l->previous[place];
    l->order[place - 1].element = -1;
}

/* The free place at or behind `place`. The link of a used place is shortened on the way. */
static int64_t first_free(line *l, int64_t place)
{
    int64_t found = place;
    while (found <= l->count && l->order[found - 1].element < 0)
        found = l->next[found];
    if (found != place) l->next[place] = found;
    return found;
}

static int64_t nearest_free(const matcher *m, line *l, int64_t i)
{
    const double x = first_coordinate(m, m->a, i);
    int64_t low = 0, high = l->count, place = 0;
    double best = INFINITY;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (l->order[middle].key < x)
            low = middle + 1;
        else
            high = middle;
    }
    const int64_t start = first_free(l, low + 1);
    search(m, l, i, x, start, l->next, &best, &place);
    search(m, l, i, x, l->previous[start], l->previous, &best, &place);
    return place;
}

/* Elements that stayed where they were, index included. */
static void match_unmoved(const matcher *m, int64_t *match)
{
    for (int64_t i = 0; i < m->a->count; i++)
        match[i] = i < m->b->count && pair_cost(m, i, i) == 0 ? i : -1;
}

static void match_rest(const matcher *m, ranked *heaviest, line *l, int64_t *match)
{
    int64_t left = 0;
    for (int64_t j = 0; j < l->count; j++)
        l->order[j] = (ranked){first_coordinate(m, m->b, j), j};
    qsort(l->order, (size_t)l->count, sizeof *l->order, by_key);
    for (int64_t p = 0; p <= l->count + 1; p++) {
        l->next[p] = p + 1;
        l->previous[p] = p - 1;
    }
    for (int64_t p = 1; p <= l->count; p++) {
        const int64_t j = l->order[p - 1].element;
        if (j < m->a->count && match[j] == j) take(l, p);
    }
    for (int64_t i = 0; i < m->a->count; i++) {
        double mass = 0;
        for (int64_t k = 0; k < m->a->weight_count; k++)
            mass += fabs((double)m->a->weight[k * m->a->weight_stride + i]);
        if (match[i] < 0) heaviest[left++] = (ranked){isfinite(mass) ? -mass : 0, i};
    }
    qsort(heaviest, (size_t)left, sizeof *heaviest, by_key);
    for (int64_t k = 0; k < left; k++) {
        const int64_t place = nearest_free(m, l, heaviest[k].element);
        if (place == 0) break; /* b has no more */
        match[heaviest[k].element] = l->order[place - 1].element;
        take(l, place);
    }
}

static dcls_status match_greedily(dcls_context *ctx, const matcher *m, int64_t *match)
{
    const size_t ends = (size_t)m->b->count + 2;
    ranked *heaviest = dcls_alloc(ctx, (size_t)m->a->count, sizeof *heaviest);
    line l = {.count = m->b->count};
    l.order = dcls_alloc(ctx, ends, sizeof *l.order);
    l.next = dcls_alloc(ctx, ends, sizeof *l.next);
    l.previous = dcls_alloc(ctx, ends, sizeof *l.previous);
    const bool ok = heaviest != NULL && l.order != NULL && l.next != NULL && l.previous != NULL;
    if (ok) {
        match_unmoved(m, match);
        match_rest(m, heaviest, &l, match);
    }
    free(heaviest);
    free(l.order);
    free(l.next);
    free(l.previous);
    return ok ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* From the side that has fewer: then none of its elements goes without. */
static dcls_status match_turned(dcls_context *ctx, const matcher *m, int64_t *match)
{
    const matcher turned = {m->b, m->a, m->options};
    int64_t *back = dcls_alloc(ctx, (size_t)m->b->count, sizeof *back);
    if (back == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = match_greedily(ctx, &turned, back);
    for (int64_t i = 0; status == DCLS_OK && i < m->a->count; i++)
        match[i] = -1;
    for (int64_t j = 0; status == DCLS_OK && j < m->b->count; j++)
        match[back[j]] = j;
    free(back);
    return status;
}

dcls_status dcls_match_elements(dcls_context *ctx, const dcls_match_set *a, const dcls_match_set *b,
                                const dcls_match_options *options, int64_t *match)
{
    const matcher m = {a, b, options};
    if (a->count <= DCLS_MATCH_OPTIMAL && b->count <= DCLS_MATCH_OPTIMAL)
        return match_optimally(ctx, &m, match);
    return a->count > b->count ? match_turned(ctx, &m, match) : match_greedily(ctx, &m, match);
}
