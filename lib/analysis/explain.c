/* What a DCLS layer is and costs, from the arguments of its constructor. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/costs.h"
#include "plan/plan_internal.h"
#include "simd/amx.h"

#include "dcls_analysis.h"

#define LARGEST_SIDE  1048576 /* of a window, as model files have it */
#define MOST_CHANNELS INT32_MAX
#define MAX_NOTES     8
#define NOTE_TEXT     256
#define TAP_BYTES     8 /* a cell's offset and its value */

struct dcls_explanation {
    dcls_layer_facts facts;
    char notes[MAX_NOTES][NOTE_TEXT];
    size_t note_count;
};

typedef struct explainer {
    dcls_context *ctx;
    const dcls_layer_spec *spec;
    dcls_kernel_version version;
    dcls_layer_kind layer;
    int axis;       /* of positions where they have one of several dimensions, else -1 */
    dcls_node node; /* the layer, without tensors */
    int input;      /* the value it takes: the network's input, 0 */
    dcls_shape output;
    dcls_kernel kernel; /* its sizes */
    dcls_explanation *out;
} explainer;

/* What the published package starts spreads with. */
static double first_spread(dcls_kernel_version version)
{
    return version == DCLS_GAUSS ? 0.23 : 0;
}

/* ---- the layer ---- */

static dcls_status check_range(dcls_context *ctx, const char *what, int64_t value, int64_t least,
                               int64_t most)
{
    if (value >= least && value <= most) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "%s must be from %lld to %lld, not %lld", what, (long long)least,
                     (long long)most, (long long)value);
}

static dcls_status check_sides(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    for (int d = 0; d < s->ndim; d++) {
        DCLS_TRY(check_range(e->ctx, "dilated_kernel_size", s->dilated_kernel_size[d], 1, LARGEST_SIDE));
        DCLS_TRY(check_range(e->ctx, "stride", s->stride[d], 1, LARGEST_SIDE));
        DCLS_TRY(check_range(e->ctx, "the input's size", s->input[d], 1, MOST_CHANNELS));
        if (s->padding[d] != DCLS_ANY)
            DCLS_TRY(check_range(e->ctx, "padding", s->padding[d], 0, LARGEST_SIDE));
    }
    return DCLS_OK;
}

/* Along which axis the positions of a layer with positions along one dimension go. */
static dcls_status check_layer(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    const char *name = s->layer != NULL ? s->layer : "dcls";
    e->axis = -1;
    if (strcmp(name, "dcls") == 0) return DCLS_OK;
    e->axis = s->ndim - 1;
    if (strcmp(name, "2_1d") == 0 && s->ndim == 2)
        e->layer = DCLS_LAYER_2_1D;
    else if (strcmp(name, "3_1d") == 0 && s->ndim == 3)
        e->layer = DCLS_LAYER_3_1D;
    else if (strcmp(name, "2dK1d") == 0 && s->ndim == 2)
        e->layer = DCLS_LAYER_2DK1D;
    else
        return dcls_fail(e->ctx, DCLS_ERR_ARGUMENT, "there is no layer '%s' of %d dimensions", name, s->ndim);
    if (e->layer == DCLS_LAYER_2DK1D) {
        e->axis = s->dilated_kernel_size[1] == 1 ? 0 : 1;
        if (s->dilated_kernel_size[1 - e->axis] != 1)
            return dcls_fail(e->ctx, DCLS_ERR_ARGUMENT, "a window of 2dK1d has one side of 1 cell");
    }
    return DCLS_OK;
}

static dcls_status check_spec(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    const int version = s->version != NULL ? dcls_kernel_version_from_name(s->version) : -1;
    if (version < 0)
        return dcls_fail(e->ctx, DCLS_ERR_ARGUMENT, "version '%s' is not one of v0, v1, max, gauss",
                         s->version != NULL ? s->version : "");
    e->version = (dcls_kernel_version)version;
    DCLS_TRY(check_range(e->ctx, "the number of dimensions", s->ndim, 1, DCLS_MAX_SPATIAL));
    DCLS_TRY(check_layer(e));
    DCLS_TRY(check_range(e->ctx, "kernel_count", s->kernel_count, 1, MOST_CHANNELS));
    DCLS_TRY(check_range(e->ctx, "in_channels", s->in_channels, 1, MOST_CHANNELS));
    DCLS_TRY(check_range(e->ctx, "out_channels", s->out_channels, 1, MOST_CHANNELS));
    DCLS_TRY(check_range(e->ctx, "groups", s->groups, 1, MOST_CHANNELS));
    DCLS_TRY(check_sides(e));
    if (s->in_channels % s->groups == 0 && s->out_channels % s->groups == 0) return DCLS_OK;
    return dcls_fail(e->ctx, DCLS_ERR_ARGUMENT,
                     "groups %lld must divide in_channels %lld and out_channels %lld", (long long)s->groups,
                     (long long)s->in_channels, (long long)s->out_channels);
}

/* A network of this layer alone tells its output's shape as any network does. */
static dcls_status infer_output(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_node *node = &e->node;
    int64_t shape[DCLS_MAX_DIMS] = {1, s->in_channels};
    dcls_shape shapes[2];
    *node = (dcls_node){.op = DCLS_OP_DCLS, .name = "layer", .input_count = 1, .inputs = &e->input};
    node->in_channels = s->in_channels;
    node->out_channels = s->out_channels;
    node->groups = s->groups;
    node->version = e->version;
    node->layer = e->layer;
    node->flat_dim = e->axis > 0 ? e->axis : 0;
    node->kernel_count = s->kernel_count;
    node->shared_positions = s->shared_positions;
    node->window.ndim = s->ndim;
    for (int d = 0; d < s->ndim; d++) {
        const int64_t D = s->dilated_kernel_size[d],
                      padding = s->padding[d] == DCLS_ANY ? D / 2 : s->padding[d];
        node->window.kernel[d] = D;
        node->window.stride[d] = s->stride[d];
        node->window.dilation[d] = 1;
        node->window.pad_before[d] = node->window.pad_after[d] = padding;
        e->out->facts.padding[d] = padding;
        shape[2 + d] = s->input[d];
    }
    dcls_model model = {.input_ndim = s->ndim + 2, .nodes = node, .node_count = 1, .output = 1};
    memcpy(model.input_shape, shape, sizeof shape);
    DCLS_TRY(dcls_model_infer(e->ctx, &model, s->ndim + 2, shape, shapes));
    e->output = shapes[1];
    memcpy(e->out->facts.output, shapes[1].size + 2, (size_t)s->ndim * sizeof *shape);
    return DCLS_OK;
}

/* ---- numbers ---- */

static int64_t times(int64_t a, int64_t b)
{
    return dcls_cost_times(a, b);
}

static int64_t plus(int64_t a, int64_t b)
{
    int64_t sum;
    return dcls_add_i64(a, b, &sum) ? sum : INT64_MAX;
}

static int64_t rounded(double value)
{
    return value < 9e18 ? (int64_t)ceil(value) : INT64_MAX;
}

/* Shapes of the tensors: dense sides, where a layer has them, stand before K. */
static void shape_tensors(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    const bool dense = e->layer == DCLS_LAYER_2_1D || e->layer == DCLS_LAYER_3_1D;
    int n = 0, m = 0;
    f->weight_shape[n++] = s->out_channels;
    f->position_shape[m++] = e->axis < 0 ? s->ndim : 1;
    if (!s->shared_positions) f->position_shape[m++] = s->out_channels;
    f->weight_shape[n++] = f->position_shape[m++] = s->in_channels / s->groups;
    for (int d = 0; dense && d < s->ndim - 1; d++)
        f->weight_shape[n++] = f->position_shape[m++] = s->dilated_kernel_size[d];
    f->weight_shape[n++] = f->position_shape[m++] = s->kernel_count;
    f->weight_ndim = n;
    f->position_ndim = m;
    f->position_axis = e->axis;
}

static int64_t product(int ndim, const int64_t *sizes)
{
    int64_t all = 1;
    for (int i = 0; i < ndim; i++)
        all = times(all, sizes[i]);
    return all;
}

static void count_learned(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    shape_tensors(e);
    f->has_spread = dcls_kernel_version_has_spread(e->version);
    f->weights = product(f->weight_ndim, f->weight_shape);
    f->biases = s->bias ? s->out_channels : 0;
    f->positions = product(f->position_ndim, f->position_shape);
    f->spreads = f->has_spread ? f->positions : 0;
    f->dense_weights =
        times(times(s->out_channels, s->in_channels / s->groups), product(s->ndim, s->dilated_kernel_size));
    e->kernel = (dcls_kernel){.version = e->version,
                              .ndim = e->axis < 0 ? s->ndim : 1,
                              .size = {1, 1, 1},
                              .rows = product(f->weight_ndim - 1, f->weight_shape),
                              .count = s->kernel_count,
                              .position_rows = product(f->position_ndim - 2, f->position_shape + 1),
                              .spread_offset = dcls_spread_offset(e->version, e->layer == DCLS_LAYER_2_1D)};
    for (int d = 0; d < e->kernel.ndim; d++)
        e->kernel.size[d] = s->dilated_kernel_size[e->axis < 0 ? d : e->axis];
}

static const char *algorithm_name(dcls_algo algo)
{
    return algo == DCLS_ALGO_SPARSE ? "sparse" : algo == DCLS_ALGO_IM2COL ? "im2col" : "construct";
}

static void count_costs(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    const double spread = s->spread >= 0 ? s->spread : first_spread(e->version);
    f->support = dcls_element_support(&e->kernel, spread);
    const double cells = (double)dcls_kernel_cells(&e->kernel);
    f->taps = rounded((double)e->kernel.rows * fmin(cells, (double)s->kernel_count * f->support));
    if (s->taps > 0) f->taps = s->taps;
    f->macs_dense = dcls_cost_dense(&e->node, &e->output);
    f->macs_sparse = dcls_cost_taps(&e->output, f->taps);
    /* One interpolated column per (input channel, element), then the product with the weights. */
    const int64_t columns = times(s->in_channels, s->kernel_count);
    f->macs_im2col = -1;
    if (dcls_can_interpolate(&e->node))
        f->macs_im2col = dcls_cost_taps(&e->output, plus(rounded((double)columns * f->support), f->weights));
    f->algorithm = algorithm_name(dcls_choose_algorithm(&e->node, &e->kernel, f->support,
                                                        dcls_expected_taps(&e->node, &e->kernel, f->support),
                                                        dcls_amx_get() != NULL));
    f->dense_bytes = times(f->dense_weights, 4);
    f->columns_bytes = times(dcls_cost_taps(&e->output, columns), 4);
    f->taps_bytes = times(f->taps, TAP_BYTES);
    f->learned_bytes = times(plus(plus(f->weights, f->biases), plus(f->positions, f->spreads)), 4);
    f->output_bytes = times(dcls_cost_taps(&e->output, s->out_channels), 4);
}

/* ---- classic kernels of the same reach ---- */

/* dilation (side - 1) + 1 = D in every dimension; a dimension of one cell stays one. */
static bool reach_of(const dcls_layer_spec *s, int64_t side, dcls_reach *out)
{
    for (int d = 0; d < s->ndim; d++) {
        const int64_t way = s->dilated_kernel_size[d] - 1;
        if (way % (side - 1) != 0) return false;
        out->side[d] = way == 0 ? 1 : side;
        out->dilation[d] = way == 0 ? 1 : way / (side - 1);
    }
    return true;
}

static double cells_of(const dcls_layer_spec *s, const dcls_reach *reach)
{
    double cells = 1;
    for (int d = 0; d < s->ndim; d++)
        cells *= (double)reach->side[d];
    return cells;
}

/* The smallest kernels, the dense one apart. */
static void find_reaches(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    int64_t longest = 1;
    for (int d = 0; d < s->ndim; d++)
        if (s->dilated_kernel_size[d] > longest) longest = s->dilated_kernel_size[d];
    f->classic = -1;
    for (int64_t side = 2; side < longest && f->reach_count < DCLS_MAX_REACHES; side++) {
        dcls_reach *reach = &f->reach[f->reach_count];
        *reach = (dcls_reach){{1, 1, 1}, {1, 1, 1}};
        if (!reach_of(s, side, reach)) continue;
        if (f->classic < 0 || cells_of(s, reach) <= (double)s->kernel_count) f->classic = f->reach_count;
        f->reach_count++;
    }
}

static void count_classic(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    if (f->classic < 0) return;
    dcls_node node = e->node;
    node.op = DCLS_OP_CONV;
    f->classic_weights = times(s->out_channels, s->in_channels / s->groups);
    for (int d = 0; d < s->ndim; d++) {
        node.window.kernel[d] = f->reach[f->classic].side[d];
        f->classic_weights = times(f->classic_weights, node.window.kernel[d]);
    }
    f->classic_macs = dcls_cost_dense(&node, &e->output);
    f->classic_bytes = times(f->classic_weights, 4);
}

/* ---- notes ---- */

static void note(explainer *e, const char *fmt, ...) DCLS_PRINTF(2, 3);

static void note(explainer *e, const char *fmt, ...)
{
    va_list args;
    if (e->out->note_count == MAX_NOTES) return;
    va_start(args, fmt);
    vsnprintf(e->out->notes[e->out->note_count++], NOTE_TEXT, fmt, args);
    va_end(args);
}

static void note_even_sides(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    dcls_layer_facts *f = &e->out->facts;
    bool even = false;
    for (int d = 0; d < s->ndim; d++) {
        const int64_t D = s->dilated_kernel_size[d];
        f->same_padding[d] = D % 2 == 1 ? D / 2 : DCLS_ANY;
        if (D % 2 == 1 || even) continue;
        note(e,
             "D = %lld is even: no padding keeps the size (%lld makes one more), and an element at the limit "
             "%lld leaves the window. Take an odd D.",
             (long long)D, (long long)D / 2, (long long)D / 2);
        even = true;
    }
}

static void note_window(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    const double cells = (double)dcls_kernel_cells(&e->kernel);
    if (cells == 1)
        note(e,
             "The window has one cell, on which all elements lie: D is the window's side, not a dilation.");
    else if ((double)s->kernel_count >= cells && e->axis < 0)
        note(e, "%lld elements in %.0f cells: a plain convolution of that size learns more with less.",
             (long long)s->kernel_count, cells);
}

static void note_axes(explainer *e)
{
    const dcls_layer_spec *s = e->spec;
    static const char *const of_two[] = {"P[0] is the row and P[1] the column",
                                         "P[0] is the column and P[1] the row"};
    static const char *const of_three[] = {"P[0], P[1], P[2] are depth, column, row",
                                           "P[0], P[1], P[2] are column, row, depth"};
    const bool reversed = e->version != DCLS_V0;
    bool unequal = false;
    for (int d = 1; d < s->ndim; d++)
        unequal |= s->dilated_kernel_size[d] != s->dilated_kernel_size[0];
    if (e->axis >= 0)
        note(e, "P moves elements along axis %d of the window alone%s.", e->axis,
             e->layer == DCLS_LAYER_2DK1D ? "" : "; each cell of the other sides has elements of its own");
    else if (s->ndim > 1)
        note(e, "%s in %s, in cells from the centre.", s->ndim == 2 ? of_two[reversed] : of_three[reversed],
             s->version);
    if (unequal && reversed && e->axis < 0)
        note(e,
             "Sides differ: %s takes the centre and the limit of P[j] from side j but moves along another "
             "axis, so that P = 0 is off-centre or outside; not so v0.",
             s->version);
}

static void add_notes(explainer *e)
{
    note_even_sides(e);
    note_window(e);
    note_axes(e);
    note(e, "A checkpoint stores neither version nor D: keep them with it.");
}

/* ---- the explanation ---- */

static dcls_status explain(explainer *e)
{
    DCLS_TRY(check_spec(e));
    DCLS_TRY(infer_output(e));
    count_learned(e);
    count_costs(e);
    find_reaches(e);
    count_classic(e);
    add_notes(e);
    return DCLS_OK;
}

dcls_status dcls_explain(dcls_context *ctx, const dcls_layer_spec *spec, dcls_explanation **out)
{
    explainer e = {.ctx = ctx, .spec = spec};
    *out = NULL;
    e.out = dcls_alloc_zero(ctx, 1, sizeof *e.out);
    if (e.out == NULL) return DCLS_ERR_MEMORY;
    const dcls_status status = explain(&e);
    if (status == DCLS_OK)
        *out = e.out;
    else
        free(e.out);
    return status;
}

void dcls_explanation_destroy(dcls_explanation *explanation)
{
    free(explanation);
}

const dcls_layer_facts *dcls_explanation_facts(const dcls_explanation *explanation)
{
    return &explanation->facts;
}

const char *dcls_explanation_note(const dcls_explanation *explanation, size_t index)
{
    return index < explanation->note_count ? explanation->notes[index] : NULL;
}
