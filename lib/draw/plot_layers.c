/* The DCLS layers a plot shows: found, chosen, their numbers made floats. */
#include <math.h>
#include <string.h>

#include "base/tensor.h"
#include "base/text.h"
#include "draw/plot.h"
#include "kernel/profile.h"
#include "model/layers.h"

/* ---- choosing ---- */

static bool is_chosen(const dcls_plot_options *o, const char *name)
{
    return o->layer_count == 0 || dcls_any_matches(o->layers, o->layer_count, name);
}

static bool has_channel(const dcls_plot_options *o, int64_t channel)
{
    for (size_t i = 0; i < o->channel_count; i++)
        if (channel >= o->channels[i][0] && channel <= o->channels[i][1]) return true;
    return false;
}

/* False when memory is short. */
static bool choose_channels(dcls_plot *plot, dcls_plot_layer *layer)
{
    layer->channel_count = layer->outputs;
    if (plot->options->channel_count == 0) return true;
    int64_t *channels = dcls_plot_alloc(plot, (size_t)layer->outputs + 1, sizeof *channels), count = 0;
    if (!channels) return false;
    for (int64_t c = 0; c < layer->outputs; c++)
        if (has_channel(plot->options, c)) channels[count++] = c;
    layer->channels = channels;
    layer->channel_count = count;
    return true;
}

int64_t dcls_plot_row(const dcls_plot_layer *layer, int64_t i)
{
    int64_t channel = i / layer->per_output;
    if (layer->channels) channel = layer->channels[channel];
    return channel * layer->per_output + i % layer->per_output;
}

int64_t dcls_plot_row_count(const dcls_plot_layer *layer)
{
    return layer->channel_count * layer->per_output;
}

static bool shares_positions(const dcls_plot_layer *layer)
{
    return layer->k.position_rows < layer->k.rows;
}

int64_t dcls_plot_position_row(const dcls_plot_layer *layer, int64_t i)
{
    return shares_positions(layer) ? i : dcls_plot_row(layer, i);
}

int64_t dcls_plot_position_row_count(const dcls_plot_layer *layer)
{
    return shares_positions(layer) ? layer->k.position_rows : dcls_plot_row_count(layer);
}

/* ---- numbers ---- */

/* NULL with *ok unchanged for a tensor that is absent. */
static const float *floats_of(dcls_plot *plot, const dcls_tensor *tensor, bool *ok)
{
    if (!tensor) return NULL;
    if (tensor->dtype == DCLS_F32) return tensor->data;
    size_t count = tensor->nbytes / dcls_dtype_size(tensor->dtype);
    float *floats = dcls_plot_alloc(plot, count + 1, sizeof *floats);
    if (floats)
        dcls_to_float(tensor->dtype, tensor->data, floats, count);
    else
        *ok = false;
    return floats;
}

static const char *form_of(const dcls_node *node)
{
    switch (node->layer) {
    case DCLS_LAYER_2_1D: return "2_1d";
    case DCLS_LAYER_3_1D: return "3_1d";
    case DCLS_LAYER_2DK1D: return "2dK1d";
    default: return "";
    }
}

static dcls_status add_layer(dcls_plot *plot, const dcls_node *node)
{
    dcls_plot_layer *layer = &plot->layers[plot->layer_count];
    bool ok = true;
    *layer = (dcls_plot_layer){.name = dcls_arena_strdup(plot->ctx, &plot->arena, node->name),
                               .form = form_of(node)};
    dcls_node_kernel(node, &layer->k);
    layer->k.weight = floats_of(plot, node->weight, &ok);
    layer->k.P = floats_of(plot, node->P, &ok);
    layer->k.SIG = floats_of(plot, node->SIG, &ok);
    layer->P = node->P;
    for (size_t i = plot->layer_count; i-- > 0;)
        if (plot->layers[i].P == node->P) layer->shared_with = plot->layers[i].name;
    layer->outputs = node->weight->shape[0];
    layer->per_output = layer->outputs > 0 ? layer->k.rows / layer->outputs : 1;
    if (!layer->name || !ok || !choose_channels(plot, layer)) return DCLS_ERR_MEMORY;
    if (dcls_plot_row_count(layer) > 0 && layer->k.count > 0) plot->layer_count++;
    return DCLS_OK;
}

/* `layer.0` is often meant to be all that begins so. */
static dcls_status complain_of_name(const dcls_plot *plot, const char *glob)
{
    const size_t length = strlen(glob);
    const char *name = plot->first_layer;
    if (plot->first_like) name = plot->first_like;
    if (plot->first_like)
        return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT,
                         "no DCLS layer is named '%s'; '%.*s*' would match '%s'", glob, (int)length, glob,
                         name);
    if (name)
        return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT, "no DCLS layer is named '%s'; the first one is '%s'",
                         glob, name);
    return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT, "no DCLS layer is named '%s'", glob);
}

static dcls_status complain(const dcls_plot *plot, size_t named)
{
    const dcls_plot_options *o = plot->options;
    if (named == 0 && o->layer_count > 0) return complain_of_name(plot, o->layers[0]);
    if (named > 0)
        return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT, "none of these layers has an output channel %lld",
                         (long long)(o->channel_count ? o->channels[0][0] : 0));
    return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT, "there is no DCLS layer to plot");
}

/* For a message, should nothing be chosen in the end. */
static dcls_status remember_name(dcls_plot *plot, const char *name)
{
    const char *glob = plot->options->layers[0];
    const bool like = !plot->first_like && strncmp(name, glob, strlen(glob)) == 0;
    if (plot->first_layer && !like) return DCLS_OK;
    char *copy = dcls_arena_strdup(plot->ctx, &plot->arena, name);
    if (!copy) return DCLS_ERR_MEMORY;
    if (!plot->first_layer) plot->first_layer = copy;
    if (like) plot->first_like = copy;
    return DCLS_OK;
}

static dcls_status add_chosen(dcls_plot *plot, const dcls_node *node, size_t *named)
{
    if (node->op != DCLS_OP_DCLS) return DCLS_OK;
    if (!is_chosen(plot->options, node->name)) return remember_name(plot, node->name);
    ++*named;
    return add_layer(plot, node);
}

static bool make_room(dcls_plot *plot, size_t count)
{
    plot->layers = dcls_plot_alloc(plot, count + 1, sizeof *plot->layers);
    return plot->layers != NULL;
}

static dcls_status add_of_model(dcls_plot *plot, size_t *named)
{
    const dcls_model *model = plot->source->model;
    if (!make_room(plot, model->node_count)) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < model->node_count; i++)
        DCLS_TRY(add_chosen(plot, &model->nodes[i], named));
    return DCLS_OK;
}

static dcls_status add_of_tensors(dcls_plot *plot, size_t *named)
{
    const dcls_layer_source *source = plot->source;
    dcls_layers found;
    DCLS_TRY(dcls_layers_find(plot->ctx, source->tensors, source->settings, source->setting_count, &found));
    dcls_status status = make_room(plot, found.count) ? DCLS_OK : DCLS_ERR_MEMORY;
    for (size_t i = 0; i < found.count && status == DCLS_OK; i++)
        status = add_chosen(plot, &found.items[i].node, named);
    dcls_layers_free(&found);
    return status;
}

/* Every range must end within the outputs of a layer that is shown. */
static dcls_status check_channels(const dcls_plot *plot)
{
    const dcls_plot_options *o = plot->options;
    int64_t most = 0;
    for (size_t i = 0; i < plot->layer_count; i++)
        if (plot->layers[i].outputs > most) most = plot->layers[i].outputs;
    for (size_t i = 0; i < o->channel_count; i++)
        if (o->channels[i][1] >= most)
            return dcls_fail(plot->ctx, DCLS_ERR_ARGUMENT,
                             "there is no output channel %lld: these layers have at most %lld, from 0",
                             (long long)o->channels[i][1], (long long)most);
    return DCLS_OK;
}

dcls_status dcls_plot_find_layers(dcls_plot *plot)
{
    size_t named = 0;
    DCLS_TRY(plot->source->model ? add_of_model(plot, &named) : add_of_tensors(plot, &named));
    return plot->layer_count > 0 ? check_channels(plot) : complain(plot, named);
}

/* ---- elements ---- */

dcls_plot_element dcls_plot_element_at(const dcls_kernel *k, int64_t position_row, int64_t element)
{
    dcls_plot_element out = {.finite = true, .inside = true};
    for (int j = 0; j < k->ndim; j++) {
        int axis = dcls_kernel_axis(k->version, k->ndim, j);
        int64_t at = (j * k->position_rows + position_row) * k->count + element;
        double centre = (double)dcls_profile_centre(k->P[at], k->size[j]);
        float limit = (float)(k->size[j] / 2);
        out.offset[axis] = (double)k->P[at];
        out.centre[axis] = centre;
        out.spread[axis] = k->SIG ? (double)(fabsf(k->SIG[at]) + k->spread_offset) : 0;
        out.finite &= isfinite(centre) && isfinite(out.spread[axis]);
        out.inside &= centre >= -0.5 && centre <= (double)k->size[axis] - 0.5;
        out.clamped |= limit > 0 && fabsf(k->P[at]) >= limit;
    }
    return out;
}

/* The shares of one element go to up to two cells per axis. */
static void spread_element(const dcls_kernel *k, const dcls_plot_element *e, double *density)
{
    for (int corner = 0; corner < 1 << k->ndim; corner++) {
        double share = 1;
        int64_t cell = 0;
        bool inside = true;
        for (int a = 0; a < k->ndim; a++) {
            double low = floor(e->centre[a]), rest = e->centre[a] - low;
            bool upper = corner >> a & 1;
            double t = low + upper;
            share *= upper ? rest : 1 - rest;
            inside &= t >= 0 && t < (double)k->size[a];
            cell = cell * k->size[a] + (inside ? (int64_t)t : 0);
        }
        if (inside) density[cell] += share;
    }
}

void dcls_plot_density_of(const dcls_plot_layer *layer, double *density, int64_t *elements)
{
    const dcls_kernel *k = &layer->k;
    memset(density, 0, (size_t)dcls_kernel_cells(k) * sizeof *density);
    *elements = 0;
    for (int64_t i = 0; i < dcls_plot_position_row_count(layer); i++) {
        for (int64_t n = 0; n < k->count; n++) {
            dcls_plot_element e = dcls_plot_element_at(k, dcls_plot_position_row(layer, i), n);
            ++*elements;
            if (e.finite) spread_element(k, &e, density);
        }
    }
}
