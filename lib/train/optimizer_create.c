/* Optimisers from their options: what is checked, rates by name, memory of moments and averages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "base/text.h"
#include "train/optimizer_internal.h"

#define PIECE      16384 /* floats a thread changes at a time */
#define LEAST_RATE 1e-6  /* factor of a parameter's rate; the inverse is the largest */

static dcls_status check_share(dcls_context *ctx, const char *name, double value)
{
    if (value >= 0 && value < 1) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%s is %g: it must be at least 0 and less than 1", name, value);
}

static dcls_status check_size(dcls_context *ctx, const char *name, double value)
{
    if (value >= 0 && isfinite(value)) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%s is %g: it must be at least 0", name, value);
}

static dcls_status check_options(dcls_context *ctx, const dcls_trainer_options *o)
{
    DCLS_TRY(check_size(ctx, "the weight decay", o->weight_decay));
    DCLS_TRY(check_size(ctx, "the norm gradients are clipped to", o->clip_norm));
    DCLS_TRY(check_size(ctx, "the rate factor of positions", o->position_rate));
    DCLS_TRY(check_size(ctx, "the nudge of positions", o->nudge));
    DCLS_TRY(check_size(ctx, "the rate factor of spreads", o->spread_rate));
    DCLS_TRY(check_share(ctx, "the decay of averaged weights", o->average));
    if (o->optimizer == DCLS_ADAMW) {
        DCLS_TRY(check_share(ctx, "beta1", o->beta1));
        DCLS_TRY(check_share(ctx, "beta2", o->beta2));
        if ((float)o->eps > 0 && isfinite(o->eps)) return DCLS_OK; /* slopes may be 0 for ever */
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "eps is %g: it must be above 0", o->eps);
    }
    DCLS_TRY(check_share(ctx, "the momentum", o->momentum));
    if (o->nesterov && o->momentum == 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "Nesterov's step needs a momentum above 0");
    return DCLS_OK;
}

static const char *first_learning(const dcls_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++)
        if (dcls_parameter_learns(&parameters->items[i])) return parameters->items[i].name;
    return "";
}

/* entry: "GLOB=FACTOR". A glob may hold a '=' itself. */
static dcls_status apply_rate(dcls_context *ctx, const char *entry, dcls_optimizer_state *state)
{
    const char *sign = strrchr(entry, '=');
    double factor = 0;
    if (sign == NULL || sign == entry || !dcls_parse_double(sign + 1, &factor) ||
        !(factor >= LEAST_RATE && factor <= 1 / LEAST_RATE))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT,
                         "'%s' is not GLOB=FACTOR, with a factor of the learning rate from 1e-6 to 1e6",
                         entry);
    char *glob = dcls_alloc(ctx, (size_t)(sign - entry) + 1, 1);
    if (glob == NULL) return DCLS_ERR_MEMORY;
    memcpy(glob, entry, (size_t)(sign - entry));
    glob[sign - entry] = '\0';
    bool found = false;
    for (size_t i = 0; i < state->parameters->count; i++) {
        const dcls_parameter *p = &state->parameters->items[i];
        if (!dcls_parameter_learns(p) || !dcls_any_matches((const char *const *)&glob, 1, p->name)) continue;
        state->rates[i] = factor;
        found = true;
    }
    free(glob);
    if (found) return DCLS_OK;
    return dcls_fail(
        ctx, DCLS_ERR_ARGUMENT,
        "the learning rate of '%s': no tensor that learns has such a name; the first one is '%s'", entry,
        first_learning(state->parameters));
}

static dcls_status set_rates(dcls_context *ctx, const dcls_trainer_options *o, dcls_optimizer_state *state)
{
    state->rates = dcls_alloc(ctx, state->parameters->count, sizeof *state->rates);
    if (state->rates == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < state->parameters->count; i++)
        state->rates[i] = state->parameters->items[i].role == DCLS_ROLE_POSITION ? o->position_rate
                          : state->parameters->items[i].role == DCLS_ROLE_SPREAD ? o->spread_rate
                                                                                 : 1;
    for (size_t i = 0; i < o->rate_count; i++)
        DCLS_TRY(apply_rate(ctx, o->rates[i], state));
    return DCLS_OK;
}

/* Fills offset; returns the length of the state's arrays. */
static size_t lay_out(dcls_optimizer_state *state)
{
    size_t floats = 0;
    for (size_t i = 0; i < state->parameters->count; i++) {
        const dcls_parameter *p = &state->parameters->items[i];
        state->offset[i] = floats;
        if (p->frozen) continue;
        floats += p->count;
        state->piece_count += (p->count + PIECE - 1) / PIECE;
    }
    return floats;
}

static void cut(dcls_optimizer_state *state)
{
    dcls_optimizer_piece *next = state->pieces;
    for (size_t i = 0; i < state->parameters->count; i++) {
        const dcls_parameter *p = &state->parameters->items[i];
        for (size_t first = 0; first < p->count && !p->frozen; first += PIECE) {
            const size_t left = p->count - first;
            *next++ = (dcls_optimizer_piece){p, first, left < PIECE ? left : PIECE, state->offset[i] + first};
        }
    }
}

static dcls_status make_arrays(dcls_context *ctx, dcls_optimizer_state *state, bool moment, bool average)
{
    state->offset = dcls_alloc(ctx, state->parameters->count, sizeof *state->offset);
    if (state->offset == NULL) return DCLS_ERR_MEMORY;
    const size_t floats = lay_out(state);
    state->pieces = dcls_alloc(ctx, state->piece_count, sizeof *state->pieces);
    state->squares = dcls_alloc(ctx, state->piece_count, sizeof *state->squares);
    if (state->pieces == NULL || state->squares == NULL) return DCLS_ERR_MEMORY;
    cut(state);
    if (moment && (state->first = dcls_alloc_zero(ctx, floats, sizeof(float))) == NULL)
        return DCLS_ERR_MEMORY;
    if (state->method == DCLS_ADAMW && (state->second = dcls_alloc_zero(ctx, floats, sizeof(float))) == NULL)
        return DCLS_ERR_MEMORY;
    if (!average) return DCLS_OK;
    if ((state->averages = dcls_alloc(ctx, floats, sizeof(float))) == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < state->piece_count; i++) {
        const dcls_optimizer_piece *part = &state->pieces[i];
        memcpy(state->averages + part->at, part->of->value + part->first, part->count * sizeof(float));
    }
    return DCLS_OK;
}

static bool has_moment(const dcls_trainer_options *options)
{
    return options->optimizer == DCLS_ADAMW || options->momentum > 0;
}

uint64_t dcls_optimizer_bytes(const dcls_trainer_options *options, const dcls_parameters *parameters)
{
    const uint64_t arrays =
        (uint64_t)has_moment(options) + (options->optimizer == DCLS_ADAMW) + (options->average > 0);
    uint64_t floats = 0;
    for (size_t i = 0; i < parameters->count; i++)
        if (!parameters->items[i].frozen) floats += parameters->items[i].count;
    return arrays * floats * sizeof(float);
}

dcls_status dcls_optimizer_create(dcls_context *ctx, const dcls_trainer_options *options,
                                  const dcls_parameters *parameters, dcls_optimizer_state **out)
{
    *out = NULL;
    DCLS_TRY(check_options(ctx, options));
    dcls_optimizer_state *state = dcls_alloc_zero(ctx, 1, sizeof *state);
    if (state == NULL) return DCLS_ERR_MEMORY;
    *state = (dcls_optimizer_state){.parameters = parameters,
                                    .method = options->optimizer,
                                    .momentum = options->momentum,
                                    .beta1 = options->beta1,
                                    .beta2 = options->beta2,
                                    .eps = options->eps,
                                    .weight_decay = options->weight_decay,
                                    .clip_norm = options->clip_norm,
                                    .average = options->average,
                                    .nudge = options->nudge,
                                    .nesterov = options->nesterov};
    dcls_status status = set_rates(ctx, options, state);
    if (!status) status = make_arrays(ctx, state, has_moment(options), options->average > 0);
    if (status == DCLS_OK)
        *out = state;
    else
        dcls_optimizer_destroy(state);
    return status;
}

void dcls_optimizer_destroy(dcls_optimizer_state *state)
{
    if (state == NULL) return;
    free(state->rates);
    free(state->offset);
    free(state->pieces);
    free(state->squares);
    free(state->first);
    free(state->second);
    free(state->averages);
    free(state);
}
