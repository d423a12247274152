#include "analysis/field.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/gradient.h"
#include "base/mem.h"

/* ---- theoretical ---- */

typedef struct reach {
    int64_t low[3], high[3]; /* cells of a value the map's cell depends on; high < low: none */
} reach;

static void widen(reach *r, int d, int64_t low, int64_t high)
{
    if (r->high[d] < r->low[d]) {
        r->low[d] = low;
        r->high[d] = high;
        return;
    }
    r->low[d] = low < r->low[d] ? low : r->low[d];
    r->high[d] = high > r->high[d] ? high : r->high[d];
}

static int64_t floor_div(double a, double b)
{
    return (int64_t)floor(a / b);
}

/* Cells of the input that cells low..high of a resized axis are made of. */
static void resized_reach(const dcls_node *node, int64_t in, int64_t out, int64_t *low, int64_t *high)
{
    double step = node->interpolation == DCLS_INTERP_LINEAR && node->align_corners
                      ? (out > 1 ? (double)(in - 1) / (double)(out - 1) : 0)
                      : (double)in / (double)out;
    double first = (double)*low * step, last = (double)*high * step;
    if (node->interpolation == DCLS_INTERP_LINEAR) {
        double shift = node->align_corners ? 0 : (step - 1) / 2;
        first = floor(first + shift);
        last = ceil(last + shift);
    }
    *low = (int64_t)floor(first);
    *high = (int64_t)floor(last);
}

/* Whether every output cell depends on the whole of the input. */
static bool is_global(dcls_op op)
{
    return op == DCLS_OP_GLOBAL_AVG_POOL || op == DCLS_OP_GLOBAL_MAX_POOL || op == DCLS_OP_LINEAR ||
           op == DCLS_OP_FLATTEN;
}

static void reach_back(const dcls_node *node, const dcls_shape *shapes, int value, reach *all)
{
    const reach *from = &all[value];
    bool windowed = node->op == DCLS_OP_CONV || node->op == DCLS_OP_DCLS || node->op == DCLS_OP_MAX_POOL ||
                    node->op == DCLS_OP_AVG_POOL;
    int inputs = node->op == DCLS_OP_RESIZE ? 1 : node->input_count;
    for (int k = 0; k < inputs; k++) {
        int input = node->inputs[k];
        const dcls_shape *shape = &shapes[input];
        for (int d = 0; d + 2 < shape->ndim && d < 3; d++) {
            int64_t low = from->low[d], high = from->high[d], size = shape->size[2 + d];
            if (is_global(node->op)) {
                low = 0;
                high = size - 1;
            } else if (windowed) {
                const dcls_window *w = &node->window;
                low = low * w->stride[d] - w->pad_before[d];
                high = high * w->stride[d] - w->pad_before[d] + (w->kernel[d] - 1) * w->dilation[d];
            } else if (node->op == DCLS_OP_RESIZE) {
                resized_reach(node, size, shapes[value].size[2 + d], &low, &high);
            } else if (size == 1) { /* repeats over all cells */
                low = high = 0;
            }
            widen(&all[input], d, low, high);
        }
    }
}

static dcls_status find_reach(dcls_context *ctx, const dcls_model *model, const dcls_shape *shapes, int value,
                              dcls_field *field)
{
    reach *all = dcls_alloc(ctx, (size_t)value + 1, sizeof *all);
    if (!all) return DCLS_ERR_MEMORY;
    for (int v = 0; v <= value; v++)
        for (int d = 0; d < 3; d++) {
            all[v].low[d] = v == value ? field->cell[d] : 0;
            all[v].high[d] = v == value ? field->cell[d] : -1;
        }
    for (int v = value; v > 0; v--)
        if (all[v].high[0] >= all[v].low[0]) reach_back(&model->nodes[v - 1], shapes, v, all);
    memcpy(field->low, all[0].low, sizeof field->low);
    memcpy(field->high, all[0].high, sizeof field->high);
    free(all);
    return DCLS_OK;
}

/* ---- effective ---- */

/* splitmix64: every sample has its own stream. */
static uint64_t next_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Box and Muller. */
static double next_normal(uint64_t *state)
{
    double u = ((double)(next_bits(state) >> 11) + 0.5) * 0x1p-53,
           v = (double)(next_bits(state) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

struct sampler {
    dcls_gradient *gradient;
    int64_t channels, pixels;         /* of the input */
    int64_t map_channels, map_pixels; /* of the value */
    int64_t at;                       /* the map's cell */
    float *x, *dy, *dx;
};

static dcls_status add_sample(dcls_context *ctx, struct sampler *s, uint64_t seed, double *sum)
{
    uint64_t state = seed;
    for (int64_t i = 0; i < s->channels * s->pixels; i++)
        s->x[i] = (float)next_normal(&state);
    memset(s->dy, 0, (size_t)(s->map_channels * s->map_pixels) * sizeof *s->dy);
    for (int64_t c = 0; c < s->map_channels; c++)
        s->dy[c * s->map_pixels + s->at] = next_bits(&state) >> 63 ? 1 : -1;
    DCLS_TRY(dcls_gradient_run(ctx, s->gradient, s->x, s->dy, s->dx));
    for (int64_t c = 0; c < s->channels; c++)
        for (int64_t i = 0; i < s->pixels; i++) {
            double d = (double)s->dx[c * s->pixels + i];
            sum[i] += d * d;
        }
    return DCLS_OK;
}

/* As many as some seconds of one processor allow. */
static int usual_samples(double macs)
{
    double affordable = 1e10 / fmax(macs, 1);
    return affordable < 8 ? 8 : affordable > 32 ? 32 : (int)affordable;
}

static dcls_status sample(dcls_context *ctx, struct sampler *s, uint64_t seed, dcls_field *field)
{
    size_t in = (size_t)(s->channels * s->pixels), map = (size_t)(s->map_channels * s->map_pixels);
    s->x = dcls_alloc(ctx, in + 1, sizeof *s->x);
    s->dx = dcls_alloc(ctx, in + 1, sizeof *s->dx);
    s->dy = dcls_alloc(ctx, map + 1, sizeof *s->dy);
    field->rms = dcls_alloc_zero(ctx, (size_t)s->pixels + 1, sizeof *field->rms);
    if (!s->x || !s->dx || !s->dy || !field->rms) return DCLS_ERR_MEMORY;
    for (int n = 0; n < field->samples; n++) {
        uint64_t stream = seed + (uint64_t)n * 0xd1342543de82ef95u;
        DCLS_TRY(add_sample(ctx, s, next_bits(&stream), field->rms));
    }
    for (int64_t i = 0; i < s->pixels; i++)
        field->rms[i] = sqrt(field->rms[i] / ((double)field->samples * (double)s->channels));
    return DCLS_OK;
}

/* ---- the field ---- */

static bool is_map(const dcls_shape *shape, int ndim)
{
    int64_t cells = 1;
    for (int d = 2; d < shape->ndim; d++)
        cells *= shape->size[d];
    return shape->ndim == ndim && cells > 1;
}

dcls_status dcls_field_default_value(dcls_context *ctx, const dcls_model *model, int ndim,
                                     const int64_t *shape, int *value)
{
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (!shapes) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_model_infer(ctx, model, ndim, shape, shapes);
    *value = model->output;
    while (status == DCLS_OK && *value > 0 && !is_map(&shapes[*value], ndim))
        *value = model->nodes[*value - 1].inputs[0];
    free(shapes);
    return status;
}

static dcls_status describe(dcls_context *ctx, const dcls_model *model, int value, int ndim,
                            const int64_t *shape, dcls_field *field)
{
    dcls_shape *shapes = dcls_alloc(ctx, model->node_count + 1, sizeof *shapes);
    if (!shapes) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_model_infer(ctx, model, ndim, shape, shapes);
    if (status == DCLS_OK && (value < 1 || !is_map(&shapes[value], ndim)))
        status =
            dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%s%s%s is no map of cells: it has no receptive field to draw",
                      value < 1 ? "the network's input" : "node '",
                      value < 1 ? "" : model->nodes[value - 1].name, value < 1 ? "" : "'");
    for (int d = 0; d < 3 && status == DCLS_OK; d++) {
        field->size[d] = d < field->ndim ? shape[2 + d] : 1;
        field->map[d] = d < field->ndim ? shapes[value].size[2 + d] : 1;
        field->cell[d] = field->map[d] / 2;
    }
    if (status == DCLS_OK) status = find_reach(ctx, model, shapes, value, field);
    free(shapes);
    return status;
}

dcls_status dcls_field_measure(dcls_context *ctx, const dcls_model *model, int value, int ndim,
                               const int64_t *shape, int samples, uint64_t seed, dcls_field *out)
{
    int64_t one[DCLS_MAX_DIMS] = {1};
    *out = (dcls_field){.ndim = ndim - 2, .node = value > 0 ? model->nodes[value - 1].name : "input"};
    memcpy(one + 1, shape + 1, (size_t)(ndim - 1) * sizeof *one);
    DCLS_TRY(describe(ctx, model, value, ndim, one, out));
    struct sampler s = {.channels = shape[1],
                        .pixels = out->size[0] * out->size[1] * out->size[2],
                        .map_pixels = out->map[0] * out->map[1] * out->map[2],
                        .at = (out->cell[0] * out->map[1] + out->cell[1]) * out->map[2] + out->cell[2]};
    dcls_status status = dcls_gradient_create(ctx, model, value, ndim, one, &s.gradient);
    if (status == DCLS_OK) {
        s.map_channels = dcls_gradient_shape(s.gradient, value)->size[1];
        out->samples = samples > 0 ? samples : usual_samples(2 * dcls_gradient_macs(s.gradient));
        status = sample(ctx, &s, seed, out);
    }
    dcls_gradient_destroy(s.gradient);
    free(s.x);
    free(s.dx);
    free(s.dy);
    if (status != DCLS_OK) dcls_field_free(out);
    return status;
}

void dcls_field_free(dcls_field *field)
{
    free(field->rms);
    field->rms = NULL;
}

/* Distances are counted from the middle of the theoretical field, which lies between two cells where its side
 * is even: then the cell above the middle has distance 0. */
dcls_status dcls_field_shares(dcls_context *ctx, const dcls_field *field, double **share, int64_t *count)
{
    int64_t most = 0, middle[3];
    for (int d = 0; d < 3; d++) {
        middle[d] = d < field->ndim ? floor_div((double)(field->low[d] + field->high[d] + 1), 2) : 0;
        int64_t reach_low = llabs((long long)middle[d]),
                reach_high = llabs((long long)(field->size[d] - 1 - middle[d]));
        most = reach_low > most ? reach_low : most;
        most = reach_high > most ? reach_high : most;
    }
    *count = most + 1;
    *share = dcls_alloc_zero(ctx, (size_t)*count, sizeof **share);
    if (!*share) return DCLS_ERR_MEMORY;
    double total = 0;
    for (int64_t i = 0; i < field->size[0] * field->size[1] * field->size[2]; i++) {
        int64_t at[3] = {i / (field->size[1] * field->size[2]), i / field->size[2] % field->size[1],
                         i % field->size[2]};
        int64_t distance = 0;
        for (int d = 0; d < field->ndim && d < 3; d++) {
            int64_t away = llabs((long long)(at[d] - middle[d]));
            distance = away > distance ? away : distance;
        }
        if (!isfinite(field->rms[i])) continue;
        (*share)[distance] += field->rms[i];
        total += field->rms[i];
    }
    for (int64_t r = 0; r < *count && total > 0; r++)
        (*share)[r] = (*share)[r] / total + (r > 0 ? (*share)[r - 1] : 0);
    return DCLS_OK;
}
