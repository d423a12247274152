#include "model/elements.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/rewrite.h"

static void connect(dcls_elements *elements)
{
    elements->k.weight = elements->weight;
    elements->k.P = elements->P;
    elements->k.SIG = elements->SIG;
}

dcls_status dcls_elements_load(dcls_context *ctx, const dcls_node *node, dcls_elements *out)
{
    *out = (dcls_elements){0};
    dcls_node_kernel(node, &out->k);
    dcls_status status = dcls_load_floats(ctx, node->weight, &out->weight);
    if (status == DCLS_OK) status = dcls_load_floats(ctx, node->P, &out->P);
    if (status == DCLS_OK) status = dcls_load_floats(ctx, node->SIG, &out->SIG);
    connect(out);
    if (status != DCLS_OK) dcls_elements_free(out);
    return status;
}

dcls_status dcls_elements_create(dcls_context *ctx, const dcls_kernel *k, dcls_elements *out)
{
    *out = (dcls_elements){.k = *k};
    const size_t positions = (size_t)k->position_rows * (size_t)k->ndim, count = (size_t)k->count;
    out->weight = dcls_alloc_zero(ctx, (size_t)k->rows, count * sizeof(float));
    out->P = dcls_alloc_zero(ctx, positions, count * sizeof(float));
    if (dcls_kernel_version_has_spread(k->version))
        out->SIG = dcls_alloc_zero(ctx, positions, count * sizeof(float));
    connect(out);
    const bool all = out->weight && out->P && (out->SIG || !dcls_kernel_version_has_spread(k->version));
    if (!all) dcls_elements_free(out);
    return all ? DCLS_OK : DCLS_ERR_MEMORY;
}

void dcls_elements_free(dcls_elements *elements)
{
    free(elements->weight);
    free(elements->P);
    free(elements->SIG);
    *elements = (dcls_elements){0};
}

static int64_t position_of(const dcls_kernel *k, int j, int64_t position_row, int64_t e)
{
    return (j * k->position_rows + position_row) * k->count + e;
}

void dcls_elements_recentre(dcls_elements *elements)
{
    const dcls_kernel *k = &elements->k;
    const int64_t per_axis = k->position_rows * k->count;
    for (int j = 0; j < k->ndim; j++) {
        const int64_t shift = k->size[dcls_kernel_axis(k->version, k->ndim, j)] / 2 - k->size[j] / 2;
        for (int64_t i = 0; i < per_axis && shift != 0; i++)
            elements->P[j * per_axis + i] += (float)shift;
    }
}

void dcls_elements_round(dcls_elements *elements)
{
    const dcls_kernel *k = &elements->k;
    for (int64_t i = 0; i < k->ndim * k->position_rows * k->count; i++)
        elements->P[i] = rintf(elements->P[i]);
}

/* ---- merging -------------------------------------------------------------------------------------- */

/* Sum of |weight| over the rows that share a position. */
static double mass_of(const dcls_elements *elements, int64_t position_row, int64_t e)
{
    const dcls_kernel *k = &elements->k;
    double mass = 0;
    for (int64_t row = position_row; row < k->rows; row += k->position_rows)
        mass += fabs((double)elements->weight[row * k->count + e]);
    return mass;
}

static double distance_of(const dcls_elements *elements, int64_t position_row, int64_t a, int64_t b)
{
    const dcls_kernel *k = &elements->k;
    double sum = 0;
    for (int j = 0; j < k->ndim; j++) {
        const double d = (double)elements->P[position_of(k, j, position_row, a)] -
                         (double)elements->P[position_of(k, j, position_row, b)];
        sum += d * d;
    }
    return sqrt(sum);
}

static float mean_of(float a, float b, double mass_a, double mass_b)
{
    return (float)(((double)a * mass_a + (double)b * mass_b) / (mass_a + mass_b));
}

static void merge_pair(dcls_elements *elements, int64_t position_row, int64_t a, int64_t b)
{
    const dcls_kernel *k = &elements->k;
    const double mass_a = mass_of(elements, position_row, a), mass_b = mass_of(elements, position_row, b);
    for (int j = 0; j < k->ndim; j++) {
        const int64_t at = position_of(k, j, position_row, a), from = position_of(k, j, position_row, b);
        elements->P[at] = mean_of(elements->P[at], elements->P[from], mass_a, mass_b);
        if (elements->SIG != NULL) /* only its size counts */
            elements->SIG[at] = mean_of(fabsf(elements->SIG[at]), fabsf(elements->SIG[from]), mass_a, mass_b);
    }
    for (int64_t row = position_row; row < k->rows; row += k->position_rows) {
        elements->weight[row * k->count + a] += elements->weight[row * k->count + b];
        elements->weight[row * k->count + b] = 0;
    }
}

/* Merges the closest pair; false if none is close enough. Elements of weight 0 are not there. */
static bool merge_closest(dcls_elements *elements, int64_t position_row, double distance)
{
    const int64_t count = elements->k.count;
    double least = INFINITY;
    int64_t first = -1, second = -1;
    for (int64_t a = 0; a < count; a++) {
        if (!(mass_of(elements, position_row, a) > 0)) continue;
        for (int64_t b = a + 1; b < count; b++) {
            const double d = distance_of(elements, position_row, a, b);
            if (!(d <= distance && d < least) || !(mass_of(elements, position_row, b) > 0)) continue;
            least = d;
            first = a;
            second = b;
        }
    }
    if (first < 0) return false;
    merge_pair(elements, position_row, first, second);
    return true;
}

void dcls_elements_merge(dcls_elements *elements, double distance)
{
    for (int64_t row = 0; row < elements->k.position_rows; row++)
        while (merge_closest(elements, row, distance))
            continue;
}

/* ---- pruning -------------------------------------------------------------------------------------- */

void dcls_elements_prune(dcls_elements *elements, double share)
{
    const int64_t count = elements->k.rows * elements->k.count;
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)elements->weight[i]));
    for (int64_t i = 0; i < count; i++)
        if (fabs((double)elements->weight[i]) < share * largest) elements->weight[i] = 0;
}

int64_t dcls_elements_used(const dcls_elements *elements)
{
    int64_t used = 0;
    for (int64_t i = 0; i < elements->k.rows * elements->k.count; i++)
        used += elements->weight[i] != 0;
    return used;
}

/* A weight that is not a number is still there. */
static bool is_used(const dcls_elements *elements, int64_t position_row, int64_t e)
{
    const double mass = mass_of(elements, position_row, e);
    return mass > 0 || isnan(mass);
}

static int64_t most_used(const dcls_elements *elements)
{
    int64_t most = 1;
    for (int64_t row = 0; row < elements->k.position_rows; row++) {
        int64_t used = 0;
        for (int64_t e = 0; e < elements->k.count; e++)
            used += is_used(elements, row, e);
        most = used > most ? used : most;
    }
    return most;
}

static void move_element(const dcls_elements *from, dcls_elements *to, int64_t position_row, int64_t e,
                         int64_t at)
{
    for (int j = 0; j < from->k.ndim; j++) {
        const int64_t source = position_of(&from->k, j, position_row, e);
        const int64_t target = position_of(&to->k, j, position_row, at);
        to->P[target] = from->P[source];
        if (from->SIG != NULL) to->SIG[target] = from->SIG[source];
    }
    for (int64_t row = position_row; row < from->k.rows; row += from->k.position_rows)
        to->weight[row * to->k.count + at] = from->weight[row * from->k.count + e];
}

dcls_status dcls_elements_pack(dcls_context *ctx, dcls_elements *elements)
{
    dcls_kernel k = elements->k;
    dcls_elements packed;
    k.count = most_used(elements);
    if (k.count >= elements->k.count) return DCLS_OK;
    DCLS_TRY(dcls_elements_create(ctx, &k, &packed));
    for (int64_t row = 0; row < k.position_rows; row++) {
        int64_t at = 0;
        for (int pass = 0; pass < 2; pass++) /* those in use, then others to fill up */
            for (int64_t e = 0; e < elements->k.count && at < k.count; e++)
                if (is_used(elements, row, e) == (pass == 0)) move_element(elements, &packed, row, e, at++);
    }
    dcls_elements_free(elements);
    *elements = packed;
    return DCLS_OK;
}
