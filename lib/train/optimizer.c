#include "train/optimizer_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/threads.h"
#include "train/positions.h"

#define LANES 8 /* independent sums of the norm: what vectors can add side by side */

static bool is_averaged(const dcls_optimizer_state *state, const dcls_parameter *p)
{
    return state->averages != NULL && !p->frozen;
}

/* ---- the norm of the gradients ------------------------------------------------------------------------ */

static double sum_squares(const float *x, size_t n)
{
    double lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)x[i + (size_t)l] * (double)x[i + (size_t)l];
    for (; i < n; i++)
        lane[i % LANES] += (double)x[i] * (double)x[i];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

static void square_piece(void *arg, int64_t item, int worker)
{
    const dcls_optimizer_state *state = arg;
    const dcls_optimizer_piece *part = &state->pieces[item];
    (void)worker;
    state->squares[item] =
        dcls_parameter_learns(part->of) ? sum_squares(part->of->gradient + part->first, part->count) : 0;
}

/* Squares of floats do not overflow a double: the sum is finite if all gradients are. */
static dcls_status measure(dcls_context *ctx, dcls_optimizer_state *state, int threads, double *norm)
{
    double sum = 0;
    dcls_parallel_for(threads, (int64_t)state->piece_count, square_piece, state);
    for (size_t i = 0; i < state->piece_count; i++) {
        if (!isfinite(state->squares[i]))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "the gradient of '%s' is not finite",
                             state->pieces[i].of->name);
        sum += state->squares[i];
    }
    *norm = sqrt(sum);
    return DCLS_OK;
}

/* ---- the step ----------------------------------------------------------------------------------------- */

/* What the loops over floats need; scalars are computed in double and rounded once, as PyTorch does. */
typedef struct factors {
    float scale; /* of gradients */
    float rate, decay;
    float momentum;                        /* SGD */
    float beta1, beta2, rest1, rest2, eps; /* AdamW */
    float correction;                      /* 1 / sqrt(1 - beta2^t) */
    float keep, take;                      /* of averages */
} factors;

typedef struct step {
    const dcls_optimizer_state *state;
    double rate, scale;
} step;

/* The parameter's own rate and decay. A factor of the rate leaves what decays in a step as it is. */
static factors factors_of(const step *s, const dcls_parameter *p)
{
    const dcls_optimizer_state *o = s->state;
    const double before = (double)o->steps, t = before + 1;
    const double factor = o->rates[p - o->parameters->items], rate = s->rate * factor;
    const double decay = p->role == DCLS_ROLE_WEIGHT ? o->weight_decay : 0;
    const double keep = fmin(o->average, (1 + before) / (10 + before));
    factors f = {.scale = (float)s->scale, .keep = (float)keep, .take = (float)(1 - keep)};
    if (o->method == DCLS_SGD) {
        f.rate = (float)rate;
        f.decay = decay > 0 ? (float)(decay / factor) : 0;
        f.momentum = (float)o->momentum;
        return f;
    }
    f.rate = (float)(rate / (1 - pow(o->beta1, t)));
    f.decay = (float)(1 - s->rate * decay);
    f.beta1 = (float)o->beta1;
    f.beta2 = (float)o->beta2;
    f.rest1 = (float)(1 - o->beta1);
    f.rest2 = (float)(1 - o->beta2);
    f.eps = (float)o->eps;
    f.correction = (float)(1 / sqrt(1 - pow(o->beta2, t)));
    return f;
}

static void sgd_plain(float *restrict w, const float *restrict g, size_t n, factors f)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= f.rate * (f.scale * g[i] + f.decay * w[i]);
}

static void sgd_momentum(float *restrict w, const float *restrict g, float *restrict m, size_t n, factors f)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = f.momentum * m[i] + (f.scale * g[i] + f.decay * w[i]);
        w[i] -= f.rate * m[i];
    }
}

static void sgd_nesterov(float *restrict w, const float *restrict g, float *restrict m, size_t n, factors f)
{
    for (size_t i = 0; i < n; i++) {
        const float slope = f.scale * g[i] + f.decay * w[i];
        m[i] = f.momentum * m[i] + slope;
        w[i] -= f.rate * (slope + f.momentum * m[i]);
    }
}

static void adamw(float *restrict w, const float *restrict g, float *restrict m, float *restrict v, size_t n,
                  factors f)
{
    for (size_t i = 0; i < n; i++) {
        const float slope = f.scale * g[i];
        m[i] = f.beta1 * m[i] + f.rest1 * slope;
        v[i] = f.beta2 * v[i] + f.rest2 * (slope * slope);
        w[i] = f.decay * w[i] - f.rate * (m[i] / (f.correction * sqrtf(v[i]) + f.eps));
    }
}

static void move(const dcls_optimizer_state *o, const dcls_optimizer_piece *part, factors f)
{
    float *w = part->of->value + part->first;
    const float *g = part->of->gradient + part->first;
    if (o->method == DCLS_ADAMW)
        adamw(w, g, o->first + part->at, o->second + part->at, part->count, f);
    else if (o->first == NULL)
        sgd_plain(w, g, part->count, f);
    else if (o->nesterov)
        sgd_nesterov(w, g, o->first + part->at, part->count, f);
    else
        sgd_momentum(w, g, o->first + part->at, part->count, f);
}

static void average(float *restrict a, const float *restrict w, size_t n, factors f)
{
    for (size_t i = 0; i < n; i++)
        a[i] = f.keep * a[i] + f.take * w[i];
}

static void step_piece(void *arg, int64_t item, int worker)
{
    const step *s = arg;
    const dcls_optimizer_state *o = s->state;
    const dcls_optimizer_piece *part = &o->pieces[item];
    const factors f = factors_of(s, part->of);
    (void)worker;
    if (dcls_parameter_learns(part->of)) move(o, part, f);
    if (dcls_parameter_learns(part->of) && part->of->role == DCLS_ROLE_POSITION)
        dcls_positions_clamp(part->of, part->first, part->count, f.rate > 0 ? o->nudge : 0);
    if (o->averages != NULL) average(o->averages + part->at, part->of->value + part->first, part->count, f);
}

dcls_status dcls_optimizer_check(dcls_context *ctx, dcls_optimizer_state *state, double rate, int threads,
                                 double *norm)
{
    if (!(rate >= 0) || !isfinite(rate))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a learning rate of %g: it must be at least 0", rate);
    return measure(ctx, state, threads, norm);
}

void dcls_optimizer_apply(dcls_optimizer_state *state, double rate, double norm, int threads)
{
    step s = {state, rate, state->clip_norm > 0 ? fmin(1, state->clip_norm / (norm + 1e-6)) : 1};
    dcls_parallel_for(threads, (int64_t)state->piece_count, step_piece, &s);
    state->steps++;
}

dcls_status dcls_optimizer_step(dcls_context *ctx, dcls_optimizer_state *state, double rate, int threads,
                                double *norm)
{
    double measured = 0;
    DCLS_TRY(dcls_optimizer_check(ctx, state, rate, threads, &measured));
    dcls_optimizer_apply(state, rate, measured, threads);
    if (norm != NULL) *norm = measured;
    return DCLS_OK;
}

int64_t dcls_optimizer_steps(const dcls_optimizer_state *state)
{
    return state->steps;
}

const float *dcls_optimizer_average(const dcls_optimizer_state *state, const dcls_parameter *parameter)
{
    return is_averaged(state, parameter)
               ? state->averages + state->offset[parameter - state->parameters->items]
               : parameter->value;
}

/* ---- checkpoints -------------------------------------------------------------------------------------- */

#define STEPS "optimizer.steps"

/* The arrays of a state under the names they are stored with. */
typedef struct array {
    const char *prefix;
    float *data; /* NULL: there is none */
    bool buffers;
} array;

#define ARRAYS 3

static void list_arrays(const dcls_optimizer_state *state, array arrays[ARRAYS])
{
    const bool adamw_moments = state->method == DCLS_ADAMW;
    arrays[0] = (array){adamw_moments ? "optimizer.first." : "optimizer.momentum.", state->first, false};
    arrays[1] = (array){"optimizer.second.", state->second, false};
    arrays[2] = (array){"average.", state->averages, true};
}

/* A set that is written, or one that is read. */
typedef struct sets {
    dcls_tensors *to;
    const dcls_tensors *from;
} sets;

/* What to do with one parameter's part of an array and the tensor of that name. */
typedef dcls_status visit_fn(dcls_context *ctx, sets s, const char *name, const dcls_tensor *like,
                             float *data);

static dcls_status visit(dcls_context *ctx, const dcls_optimizer_state *state, sets s, visit_fn *each)
{
    array arrays[ARRAYS];
    dcls_string name = {0};
    dcls_status status = DCLS_OK;
    list_arrays(state, arrays);
    for (int a = 0; a < ARRAYS; a++)
        for (size_t i = 0; i < state->parameters->count && status == DCLS_OK; i++) {
            const dcls_parameter *p = &state->parameters->items[i];
            if (arrays[a].data == NULL || p->frozen || (p->role == DCLS_ROLE_BUFFER && !arrays[a].buffers))
                continue;
            name.length = 0;
            dcls_string_printf(&name, "%s%s", arrays[a].prefix, p->name);
            status = name.failed ? dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory")
                                 : each(ctx, s, name.data, p->tensor, arrays[a].data + state->offset[i]);
        }
    dcls_string_free(&name);
    return status;
}

static dcls_status store_array(dcls_context *ctx, sets s, const char *name, const dcls_tensor *like,
                               float *data)
{
    void *copy;
    int64_t count = 0;
    dcls_shape_count(like->ndim, like->shape, &count);
    DCLS_TRY(dcls_tensors_add_new(ctx, s.to, name, DCLS_F32, like->ndim, like->shape, &copy));
    if (count > 0) memcpy(copy, data, (size_t)count * sizeof *data);
    return DCLS_OK;
}

dcls_status dcls_optimizer_store(dcls_context *ctx, const dcls_optimizer_state *state, dcls_tensors *set)
{
    void *steps;
    DCLS_TRY(dcls_tensors_add_new(ctx, set, STEPS, DCLS_I64, 0, NULL, &steps));
    memcpy(steps, &state->steps, sizeof state->steps);
    return visit(ctx, state, (sets){.to = set}, store_array);
}

static dcls_status check_array(dcls_context *ctx, sets s, const char *name, const dcls_tensor *like,
                               float *data)
{
    char found[DCLS_SHAPE_TEXT], wanted[DCLS_SHAPE_TEXT];
    const dcls_tensor *tensor = dcls_tensors_find(s.from, name);
    (void)data;
    if (tensor == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "the state of the optimiser lacks the tensor '%s'", name);
    if (tensor->dtype == DCLS_F32 && dcls_shape_equal(tensor->ndim, tensor->shape, like->ndim, like->shape))
        return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is %s %s, not F32 %s", name,
                     dcls_dtype_name(tensor->dtype),
                     dcls_shape_text(found, sizeof found, tensor->ndim, tensor->shape),
                     dcls_shape_text(wanted, sizeof wanted, like->ndim, like->shape));
}

static dcls_status restore_array(dcls_context *ctx, sets s, const char *name, const dcls_tensor *like,
                                 float *data)
{
    const dcls_tensor *tensor = dcls_tensors_find(s.from, name);
    (void)ctx;
    (void)like;
    if (tensor->nbytes > 0) memcpy(data, tensor->data, tensor->nbytes);
    return DCLS_OK;
}

dcls_status dcls_optimizer_restore(dcls_context *ctx, dcls_optimizer_state *state, const dcls_tensors *set)
{
    const dcls_tensor *counter = dcls_tensors_find(set, STEPS);
    int64_t steps;
    if (counter == NULL || counter->dtype != DCLS_I64 || counter->ndim != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "the state of the optimiser lacks its number of steps, '%s'",
                         STEPS);
    memcpy(&steps, counter->data, sizeof steps);
    if (steps < 0 || steps > INT64_MAX / 2)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' is %lld: it must be from 0 to %lld", STEPS,
                         (long long)steps, (long long)(INT64_MAX / 2));
    DCLS_TRY(visit(ctx, state, (sets){.from = set}, check_array));
    DCLS_TRY(visit(ctx, state, (sets){.from = set}, restore_array));
    state->steps = steps;
    return DCLS_OK;
}
