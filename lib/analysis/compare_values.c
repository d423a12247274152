/* Two tensors of one shape, value by value. Partial results of fixed blocks are joined in order, so that the
 * figures do not depend on the number of threads. */
#include "analysis/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/threads.h"

#define BLOCK 65536 /* values a thread compares at a time */
#define CHUNK 512   /* of them converted at a time */

typedef struct tally {
    int64_t unequal, outside, nan, worst, worst_nan; /* places, -1: none */
    double sum, squares, squares_b, max_abs, max_b, max_relative;
} tally;

typedef struct pair {
    const dcls_tensor *a, *b;
    int64_t count;
    double atol, rtol;
    bool equal_nan, whole; /* whole numbers on both sides */
    tally *blocks;
} pair;

static const tally nothing = {.worst = -1, .worst_nan = -1};

/* The tolerances torch.testing.assert_close takes for a type (PyTorch 2 documentation). */
static void usual_tolerance(dcls_dtype dtype, double *atol, double *rtol)
{
    switch (dtype) {
    case DCLS_F32: *atol = 1e-5, *rtol = 1.3e-6; break;
    case DCLS_F16: *atol = 1e-5, *rtol = 1e-3; break;
    case DCLS_BF16: *atol = 1e-5, *rtol = 1.6e-2; break;
    case DCLS_F64: *atol = 1e-7, *rtol = 1e-7; break;
    default: *atol = *rtol = 0;
    }
}

void dcls_compare_tolerance(const dcls_compare_options *options, dcls_dtype a, dcls_dtype b, double *atol,
                            double *rtol)
{
    double atol_b, rtol_b;
    if (options->atol >= 0 || options->rtol >= 0) {
        *atol = fmax(options->atol, 0);
        *rtol = fmax(options->rtol, 0);
        return;
    }
    usual_tolerance(a, atol, rtol);
    usual_tolerance(b, &atol_b, &rtol_b);
    *atol = fmax(*atol, atol_b);
    *rtol = fmax(*rtol, rtol_b);
}

/* ---- one chunk ---- */

static void load_doubles(const dcls_tensor *tensor, int64_t first, int64_t count, double *to)
{
    float floats[CHUNK];
    const unsigned char *at =
        (const unsigned char *)tensor->data + (size_t)first * dcls_dtype_size(tensor->dtype);
    if (tensor->dtype == DCLS_F64) {
        memcpy(to, at, (size_t)count * sizeof *to);
    } else if (dcls_dtype_is_float(tensor->dtype)) {
        dcls_to_float(tensor->dtype, at, floats, (size_t)count);
        for (int64_t i = 0; i < count; i++)
            to[i] = (double)floats[i];
    } else {
        for (int64_t i = 0; i < count; i++)
            to[i] = dcls_tensor_value(tensor, first + i);
    }
}

/* Large I64 values are told apart exactly, which doubles could not do. */
static double whole_difference(const pair *p, int64_t i)
{
    int64_t a, b;
    if (p->a->dtype != DCLS_I64 || p->b->dtype != DCLS_I64)
        return fabs(dcls_tensor_value(p->a, i) - dcls_tensor_value(p->b, i));
    memcpy(&a, (const unsigned char *)p->a->data + (size_t)i * sizeof a, sizeof a);
    memcpy(&b, (const unsigned char *)p->b->data + (size_t)i * sizeof b, sizeof b);
    return (double)(a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a);
}

static void count_nan(const pair *p, tally *t, int64_t at, double a, double b)
{
    if (isnan(a) && isnan(b) && p->equal_nan) return;
    t->unequal++;
    t->outside++;
    t->nan++;
    if (t->worst_nan < 0) t->worst_nan = at;
}

static void count_value(const pair *p, tally *t, int64_t at, double a, double b)
{
    if (isnan(a) || isnan(b)) {
        count_nan(p, t, at, a, b);
        return;
    }
    const double size = fabs(b);
    const double difference = p->whole ? whole_difference(p, at) : a == b ? 0 : fabs(a - b);
    if (isfinite(b)) {
        t->squares_b += b * b;
        t->max_b = fmax(t->max_b, size);
    }
    if (difference == 0) return;
    t->unequal++;
    t->outside += !(difference <= p->atol + (isinf(b) ? 0 : p->rtol * size));
    t->sum += difference;
    t->squares += difference * difference;
    if (size > 0) t->max_relative = fmax(t->max_relative, isinf(b) ? INFINITY : difference / size);
    if (difference > t->max_abs) {
        t->max_abs = difference;
        t->worst = at;
    }
}

/* Most values of most files are equal: those cost a glance. */
static void compare_block(void *arg, int64_t item, int worker)
{
    const pair *p = arg;
    tally *t = &p->blocks[item];
    double a[CHUNK], b[CHUNK];
    const int64_t end = (item + 1) * BLOCK < p->count ? (item + 1) * BLOCK : p->count;
    (void)worker;
    *t = nothing;
    for (int64_t first = item * BLOCK; first < end; first += CHUNK) {
        const int64_t count = end - first < CHUNK ? end - first : CHUNK;
        load_doubles(p->a, first, count, a);
        load_doubles(p->b, first, count, b);
        for (int64_t i = 0; i < count; i++)
            count_value(p, t, first + i, a[i], b[i]);
    }
}

/* ---- all of it ---- */

static void join(tally *to, const tally *t)
{
    to->unequal += t->unequal;
    to->outside += t->outside;
    to->nan += t->nan;
    to->sum += t->sum;
    to->squares += t->squares;
    to->squares_b += t->squares_b;
    to->max_b = fmax(to->max_b, t->max_b);
    to->max_relative = fmax(to->max_relative, t->max_relative);
    if (to->worst_nan < 0) to->worst_nan = t->worst_nan;
    if (t->max_abs > to->max_abs) {
        to->max_abs = t->max_abs;
        to->worst = t->worst;
    }
}

/* Ratio of the norms; of the largest values where squares leave the range of doubles. */
static double relative_of(const tally *t)
{
    if (t->max_abs == 0) return 0;
    if (t->squares > 0 && isfinite(t->squares) && isfinite(t->squares_b) && t->squares_b > 0)
        return sqrt(t->squares / t->squares_b);
    return t->max_b > 0 ? t->max_abs / t->max_b : INFINITY;
}

static void fill_row(const pair *p, const tally *t, dcls_compare_row *row)
{
    row->count = p->count;
    row->outside = t->outside;
    row->nan = t->nan;
    row->max_abs = t->max_abs;
    row->mean_abs = p->count > t->nan ? t->sum / (double)(p->count - t->nan) : 0;
    row->max_relative = t->max_relative;
    row->relative = relative_of(t);
    row->result = t->outside > 0   ? DCLS_COMPARE_DIFFERENT
                  : t->unequal > 0 ? DCLS_COMPARE_CLOSE
                                   : DCLS_COMPARE_IDENTICAL;
    int64_t at = t->worst_nan >= 0 ? t->worst_nan : t->worst;
    if (at < 0) return;
    row->worst_a = dcls_tensor_value(p->a, at);
    row->worst_b = dcls_tensor_value(p->b, at);
    for (int d = p->b->ndim - 1; d >= 0; d--) {
        row->worst[d] = at % p->b->shape[d];
        at /= p->b->shape[d];
    }
}

dcls_status dcls_compare_values(dcls_context *ctx, const dcls_compare_options *options, const dcls_tensor *a,
                                const dcls_tensor *b, dcls_compare_row *row)
{
    pair p = {.a = a, .b = b, .equal_nan = options->equal_nan};
    p.count = (int64_t)(a->nbytes / dcls_dtype_size(a->dtype));
    p.whole = !dcls_dtype_is_float(a->dtype) && !dcls_dtype_is_float(b->dtype);
    dcls_compare_tolerance(options, a->dtype, b->dtype, &p.atol, &p.rtol);
    row->atol = p.atol;
    row->rtol = p.rtol;
    const int64_t blocks = (p.count + BLOCK - 1) / BLOCK;
    p.blocks = dcls_alloc(ctx, (size_t)blocks, sizeof *p.blocks);
    if (p.blocks == NULL) return DCLS_ERR_MEMORY;
    dcls_parallel_for(blocks > 1 ? dcls_context_threads(ctx) : 1, blocks, compare_block, &p);
    tally all = nothing;
    for (int64_t i = 0; i < blocks; i++)
        join(&all, &p.blocks[i]);
    free(p.blocks);
    fill_row(&p, &all, row);
    return DCLS_OK;
}
