/* Memory of values and gradients. What begins and ends within one phase lives in a worker's own memory, small
 * enough for its cache. Other values are kept from forward to backward, or until the phase that reads them
 * last; other gradients share memory where their phases do not meet. */
#include <stdlib.h>
#include <string.h>

#include "train/program.h"

#define ALIGNMENT ((int64_t)16) /* floats */

/* The phases in which something is touched, and the layers. */
typedef struct span {
    int first, last; /* last < first: never */
    const dcls_layer *lowest, *highest;
} span;

typedef struct store {
    dcls_program *program;
    span *value, *gradient; /* per root */
    bool *kept;             /* per root: backward needs the value .. */
    bool *repeats;          /* .. or can have it made again */
    int64_t *local;         /* per phase: floats so far, per image */
} store;

/* Layers come in their order. */
static void touch(span *s, const dcls_layer *layer)
{
    if (s->last < s->first) *s = (span){.first = layer->phase, .lowest = layer};
    s->last = layer->phase;
    s->highest = layer;
}

/* What is read for it. */
static int residual_of(const dcls_layer *layer)
{
    return layer->residual_norm != NULL ? layer->residual_norm->inputs[0] : layer->residual;
}

static void find_spans(store *s)
{
    dcls_program *p = s->program;
    for (int v = 0; v < p->value_count; v++)
        s->value[v] = s->gradient[v] = (span){.last = -1};
    for (int l = 0; l < p->layer_count; l++) {
        const dcls_layer *layer = &p->layers[l];
        bool backward = layer->trains;
        if (layer->absorbed) continue;
        if (residual_of(layer) >= 0) touch(&s->value[residual_of(layer)], layer);
        for (int k = 0; k < layer->input_count; k++) {
            const int in = layer->inputs[k];
            backward = backward || p->values[in].wants_gradient;
            touch(&s->value[in], layer);
            if ((layer->wanted[k] && layer->activation == NULL) || layer->node == NULL) /* a loss always */
                touch(&s->gradient[p->values[in].gradient_root], layer);
        }
        for (int k = 0; k < layer->input_count && backward; k++)
            if (layer->kind->keeps_input) s->kept[layer->inputs[k]] = true;
        if (layer->output >= 0) touch(&s->value[layer->output], layer);
        if (layer->output >= 0 && backward && layer->kind->keeps_output) s->kept[layer->output] = true;
        if (layer->gradient >= 0 && p->values[layer->gradient].wants_gradient && layer->statistics == NULL)
            touch(&s->gradient[p->values[layer->gradient].gradient_root], layer);
    }
}

/* ---- results of cheap layers are made again for the way back ---- */

/* Kept, or can be made again where `layer` runs. */
static bool at_hand(const store *s, const dcls_layer *layer, int value)
{
    const dcls_layer *maker = dcls_program_maker(s->program, value);
    return maker == NULL || s->kept[value] || (s->repeats[value] && maker->phase == layer->phase);
}

static bool can_repeat(const store *s, const dcls_layer *layer)
{
    const span *use = &s->value[layer->output];
    bool can = layer->kind->cheap && use->first == layer->phase && use->last == layer->phase;
    for (int k = 0; k < layer->input_count && can; k++)
        can = at_hand(s, layer, layer->inputs[k]);
    return can && (residual_of(layer) < 0 || at_hand(s, layer, residual_of(layer)));
}

static void repeat(store *s, dcls_layer *layer)
{
    layer->again = true;
    s->kept[layer->output] = false;
    for (int k = 0; k <= layer->input_count; k++) {
        const int in = k < layer->input_count ? layer->inputs[k] : residual_of(layer);
        dcls_layer *maker = in >= 0 && !s->kept[in] ? dcls_program_maker(s->program, in) : NULL;
        if (maker != NULL && !maker->again) repeat(s, maker);
    }
}

static void repeat_cheap(store *s)
{
    for (int l = 0; l < s->program->layer_count; l++) {
        dcls_layer *layer = &s->program->layers[l];
        if (layer->output < 0 || layer->absorbed) continue;
        s->repeats[layer->output] = can_repeat(s, layer);
        if (s->repeats[layer->output] && s->kept[layer->output]) repeat(s, layer);
    }
}

/* ---- memory ---- */

/* In the memory of the worker that all phases use. */
static int64_t take_local(store *s, int phase, int64_t floats)
{
    const int64_t at = s->local[phase];
    s->local[phase] += (floats + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

dcls_status dcls_program_claim(dcls_context *ctx, dcls_program *program, uint64_t bytes)
{
    const uint64_t limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (program->bytes > limit || bytes > limit - program->bytes)
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "a batch of %lld takes more memory than the limit of %.3g GiB: make it smaller "
                         "(--batch, --size), or raise the limit (--max-memory)",
                         (long long)program->batch, (double)limit / 1073741824.0);
    program->bytes += bytes;
    return DCLS_OK;
}

/* Memory for the whole batch, owned by the program. */
static dcls_status take_block(dcls_context *ctx, store *s, int64_t floats, float **out)
{
    dcls_program *p = s->program;
    size_t count, bytes;
    if (!dcls_mul_size((size_t)floats, (size_t)p->batch, &count) ||
        !dcls_mul_size(count, sizeof(float), &bytes))
        bytes = SIZE_MAX;
    DCLS_TRY(dcls_program_claim(ctx, p, bytes));
    DCLS_TRY(dcls_grow(ctx, &p->blocks, &p->block_capacity, p->block_count + 1, sizeof *p->blocks));
    *out = dcls_alloc(ctx, count, sizeof **out);
    if (*out == NULL) return DCLS_ERR_MEMORY;
    p->blocks[p->block_count++] = *out;
    return DCLS_OK;
}

static dcls_status store_values(dcls_context *ctx, store *s)
{
    dcls_program *p = s->program;
    for (int v = 1; v < p->value_count; v++) {
        dcls_train_value *value = &p->values[v];
        if (value->root != v || s->value[v].last < s->value[v].first) continue;
        value->local = !s->kept[v] && s->value[v].first == s->value[v].last;
        if (value->local)
            value->offset = take_local(s, s->value[v].first, value->floats);
        else
            DCLS_TRY(take_block(ctx, s, value->floats, &value->memory));
    }
    for (int l = 0; l < p->layer_count; l++) {
        dcls_layer *layer = &p->layers[l];
        if (layer->saved_floats > 0)
            DCLS_TRY(take_block(ctx, s, (int64_t)layer->saved_floats, &layer->saved));
    }
    return DCLS_OK;
}

/* Memory whose gradient is done with. */
typedef struct spare {
    float *memory;
    int64_t floats;
    const dcls_layer *until; /* it is used down to */
} spare;

/* Backward, layers fall: a piece is free again below the lowest layer that touches its gradient. Within that
 * phase image by image only, which must have the same place then. */
static bool is_free(const store *s, const spare *x, int v)
{
    const int64_t floats = s->program->values[v].floats;
    const span *use = &s->gradient[v];
    return x->until > use->highest && x->floats >= floats && x->floats <= 2 * floats &&
           (x->until->phase > use->last || x->floats == floats);
}

static dcls_status store_gradient(dcls_context *ctx, store *s, int v, spare *spares, int *spare_count)
{
    dcls_train_value *value = &s->program->values[v];
    spare *best = NULL;
    for (int i = 0; i < *spare_count; i++) {
        spare *x = &spares[i];
        if (is_free(s, x, v) && (best == NULL || x->floats < best->floats)) best = x;
    }
    if (best == NULL) {
        best = &spares[(*spare_count)++];
        best->floats = value->floats;
        DCLS_TRY(take_block(ctx, s, value->floats, &best->memory));
    }
    best->until = s->gradient[v].lowest;
    value->gradient = best->memory;
    return DCLS_OK;
}

static dcls_status store_gradients(dcls_context *ctx, store *s)
{
    dcls_program *p = s->program;
    int spare_count = 0;
    spare *spares = dcls_alloc(ctx, (size_t)p->value_count, sizeof *spares);
    if (spares == NULL) return DCLS_ERR_MEMORY;
    dcls_status status = DCLS_OK;
    for (int phase = p->phase_count - 1; phase >= 0; phase--)
        for (int v = 0; v < p->value_count && status == DCLS_OK; v++) {
            dcls_train_value *value = &p->values[v];
            if (s->gradient[v].last != phase) continue;
            value->gradient_local = v > 0 && s->gradient[v].first == phase;
            if (value->gradient_local)
                value->gradient_offset = take_local(s, phase, value->floats);
            else
                status = store_gradient(ctx, s, v, spares, &spare_count);
        }
    free(spares);
    return status;
}

dcls_status dcls_program_store(dcls_context *ctx, dcls_program *program)
{
    const size_t count = (size_t)program->value_count;
    store s = {.program = program};
    s.value = dcls_alloc(ctx, count, sizeof *s.value);
    s.gradient = dcls_alloc(ctx, count, sizeof *s.gradient);
    s.kept = dcls_alloc_zero(ctx, count, sizeof *s.kept);
    s.repeats = dcls_alloc_zero(ctx, count, sizeof *s.repeats);
    s.local = dcls_alloc_zero(ctx, (size_t)program->phase_count, sizeof *s.local);
    dcls_status status = s.value && s.gradient && s.kept && s.repeats && s.local ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) {
        find_spans(&s);
        repeat_cheap(&s);
        status = store_values(ctx, &s);
    }
    if (status == DCLS_OK) status = store_gradients(ctx, &s);
    for (int phase = 0; phase < program->phase_count && status == DCLS_OK; phase++)
        if ((size_t)(s.local[phase] * program->chunks[phase]) > program->local_floats)
            program->local_floats = (size_t)(s.local[phase] * program->chunks[phase]);
    free(s.value);
    free(s.gradient);
    free(s.kept);
    free(s.repeats);
    free(s.local);
    return status;
}

float *dcls_visit_value(const dcls_visit *visit, int value)
{
    const dcls_program *p = visit->program;
    const dcls_train_value *v = &p->values[p->values[value].root];
    if (value == 0 || p->values[value].root == 0) return visit->input + visit->first * v->floats;
    return v->local ? visit->local + v->offset * visit->chunk : v->memory + visit->first * v->floats;
}

const float *dcls_visit_next(const dcls_visit *visit, int value)
{
    const dcls_program *p = visit->program;
    if (value < 0 || visit->next < 0 || visit->next + visit->count > p->batch) return NULL;
    const dcls_train_value *v = &p->values[p->values[value].root];
    return v->memory != NULL ? v->memory + visit->next * v->floats : NULL;
}

float *dcls_visit_gradient(const dcls_visit *visit, int value)
{
    const dcls_program *p = visit->program;
    const dcls_train_value *v = &p->values[p->values[p->values[value].root].gradient_root];
    return v->gradient_local ? visit->local + v->gradient_offset * visit->chunk
                             : v->gradient + visit->first * v->floats;
}
