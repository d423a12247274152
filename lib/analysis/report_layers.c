/* What DCLS layers learned, and what is suspicious about it. A window's size stands in no checkpoint: whoever
 * loads one says it, and only the positions tell whether that was right. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/report.h"
#include "base/text.h"
#include "model/layers.h"
#include "model/rewrite.h"

/* Elements near the border always lose a little; a layer that loses more learned something its window cannot
 * hold. */
#define MASS_LOST_WORTH_A_WARNING 0.05
/* Training holds positions back at the border; where it did so for many, they had further to go. */
#define CLAMPED_WORTH_A_WARNING 0.25
/* A window nobody trained: positions that reach further are damaged. */
#define LARGEST_SENSIBLE 1e5
/* Positions that end at one number are taken for clamped ones when so many of a layer do. */
#define ENDS_WORTH_A_WARNING 3

/* ---- what a layer learned ---- */

static const char *layer_name(dcls_layer_kind kind)
{
    switch (kind) {
    case DCLS_LAYER_2_1D: return "2_1d";
    case DCLS_LAYER_3_1D: return "3_1d";
    case DCLS_LAYER_2DK1D: return "2dK1d";
    default: return "dcls";
    }
}

/* Clamping leaves several coordinates at one whole number and the others anywhere below. */
static int64_t implied_size(const dcls_kernel *k, const dcls_kernel_stats *stats, int j)
{
    const double end = stats->position_extent[j];
    const int64_t finite = k->position_rows * k->count - stats->not_finite;
    if (stats->at_extent[j] < ENDS_WORTH_A_WARNING || 2 * stats->whole[j] > finite) return 0;
    if (end < 1 || end != floor(end) || end >= (double)(k->size[j] / 2)) return 0;
    return 2 * (int64_t)end + 1;
}

static void copy_statistics(const dcls_kernel *k, const dcls_kernel_stats *stats, dcls_layer_report *out)
{
    memcpy(out->position_mean, stats->position_mean, sizeof stats->position_mean);
    memcpy(out->position_std, stats->position_std, sizeof stats->position_std);
    memcpy(out->position_min, stats->position_min, sizeof stats->position_min);
    memcpy(out->position_max, stats->position_max, sizeof stats->position_max);
    out->spread_mean = stats->spread_mean;
    out->spread_min = stats->spread_min;
    out->spread_max = stats->spread_max;
    const int64_t sharing = k->position_rows > 0 ? k->rows / k->position_rows : 1;
    out->clamped = stats->clamped * sharing;
    out->not_finite = stats->not_finite * sharing;
    out->mass_lost = stats->mass_lost;
    for (int j = 0; j < k->ndim; j++)
        out->implied_size[j] = implied_size(k, stats, j);
}

static dcls_status measure_kernel(dcls_context *ctx, const dcls_kernel *k, bool count, dcls_layer_report *out)
{
    int64_t longest = 1;
    for (int d = 0; d < k->ndim; d++)
        if (k->size[d] > longest) longest = k->size[d];
    double *scratch = dcls_alloc(ctx, (size_t)longest, sizeof *scratch);
    if (!scratch) return DCLS_ERR_MEMORY;
    const dcls_kernel_stats stats = dcls_kernel_statistics(k, scratch);
    free(scratch);
    copy_statistics(k, &stats, out);
    if (!count) return DCLS_OK;
    dcls_taps taps;
    const double cutoff = k->version == DCLS_GAUSS ? DCLS_TAP_CUTOFF : 0;
    DCLS_TRY(dcls_taps_from_kernel(ctx, k, cutoff, dcls_context_threads(ctx), &taps));
    out->taps = taps.start[taps.rows];
    dcls_taps_free(&taps);
    return DCLS_OK;
}

dcls_status dcls_report_layer(dcls_context *ctx, const dcls_node *node, bool taps, dcls_layer_report *out)
{
    float *weight = NULL, *P = NULL, *SIG = NULL;
    dcls_kernel k;
    dcls_node_kernel(node, &k);
    *out = (dcls_layer_report){.layer = layer_name(node->layer),
                               .version = dcls_kernel_version_name(node->version),
                               .ndim = k.ndim,
                               .window_ndim = node->window.ndim,
                               .kernel_count = k.count,
                               .elements = k.rows * k.count,
                               .shared_positions = node->shared_positions};
    for (int d = 0; d < k.ndim; d++) {
        out->dilated_kernel_size[d] = k.size[d];
        out->even_window |= k.size[d] % 2 == 0;
    }
    memcpy(out->window, node->window.kernel, sizeof out->window);
    dcls_status status = dcls_load_floats(ctx, node->weight, &weight);
    if (!status) status = dcls_load_floats(ctx, node->P, &P);
    if (!status) status = dcls_load_floats(ctx, node->SIG, &SIG);
    k.weight = weight;
    k.P = P;
    k.SIG = SIG;
    if (!status) status = measure_kernel(ctx, &k, taps, out);
    free(weight);
    free(P);
    free(SIG);
    return status;
}

/* ---- what is suspicious about it ---- */

#define SIZES_TEXT 80

/* "17", or "5,9" where sides differ. */
static const char *sizes_text(char text[SIZES_TEXT], int ndim, const int64_t *sizes)
{
    bool equal = true;
    for (int d = 1; d < ndim; d++)
        equal = equal && sizes[d] == sizes[0];
    size_t used = 0;
    for (int d = 0; d < (equal ? 1 : ndim) && used < SIZES_TEXT; d++)
        used +=
            (size_t)snprintf(text + used, SIZES_TEXT - used, "%s%lld", d > 0 ? "," : "", (long long)sizes[d]);
    return text;
}

static double farthest(const dcls_layer_report *layer)
{
    double end = 0;
    for (int j = 0; j < layer->ndim; j++)
        end = fmax(end, fmax(-layer->position_min[j], layer->position_max[j]));
    return end;
}

/* Recentring windows of unequal sides moves positions beyond their own side's limit, not beyond the longest
 * one's. */
static int64_t longest_limit(const dcls_layer_report *layer)
{
    int64_t limit = 0;
    for (int j = 0; j < layer->ndim; j++)
        if (layer->dilated_kernel_size[j] / 2 > limit) limit = layer->dilated_kernel_size[j] / 2;
    return limit;
}

/* Positions that no training with this window leaves. */
static dcls_status warn_of_small_window(dcls_context *ctx, dcls_report *report, const char *name,
                                        const dcls_layer_report *layer)
{
    char size[SIZES_TEXT], would[SIZES_TEXT] = "";
    const double end = farthest(layer), needed = 2 * ceil(end) + 1;
    sizes_text(size, layer->ndim, layer->dilated_kernel_size);
    if (needed < LARGEST_SENSIBLE) snprintf(would, sizeof would, " (%.0f would)", needed);
    return dcls_report_warn(ctx, report,
                            "layer '%s': %.1f %% of the kernel mass lies outside the window: positions reach "
                            "%.4g, which dilated_kernel_size %s does not%s",
                            name, 100 * layer->mass_lost, end, size, would);
}

/* Positions that training with a smaller window leaves. */
static dcls_status warn_of_large_window(dcls_context *ctx, dcls_report *report, const char *name,
                                        const dcls_layer_report *layer)
{
    char size[SIZES_TEXT], implied[SIZES_TEXT];
    int64_t sizes[3], end = 0;
    for (int j = 0; j < layer->ndim; j++) {
        sizes[j] = layer->implied_size[j] > 0 ? layer->implied_size[j] : layer->dilated_kernel_size[j];
        if (layer->implied_size[j] > 2 * end) end = layer->implied_size[j] / 2;
    }
    return dcls_report_warn(ctx, report,
                            "layer '%s': positions end at %lld.0 as if dilated_kernel_size were %s, not %s",
                            name, (long long)end, sizes_text(implied, layer->ndim, sizes),
                            sizes_text(size, layer->ndim, layer->dilated_kernel_size));
}

static bool has_implied_size(const dcls_layer_report *layer)
{
    return layer->implied_size[0] > 0 || layer->implied_size[1] > 0 || layer->implied_size[2] > 0;
}

dcls_status dcls_report_warn_of_layer(dcls_context *ctx, dcls_report *report, const char *name,
                                      const dcls_layer_report *layer, bool thorough)
{
    const double clamped = layer->elements > 0 ? (double)layer->clamped / (double)layer->elements : 0;
    if (layer->not_finite > 0)
        DCLS_TRY(dcls_report_warn(ctx, report,
                                  "layer '%s': %lld element%s a position or spread that is not finite", name,
                                  (long long)layer->not_finite, layer->not_finite == 1 ? " has" : "s have"));
    if (farthest(layer) > (double)longest_limit(layer)) return warn_of_small_window(ctx, report, name, layer);
    if (layer->mass_lost > MASS_LOST_WORTH_A_WARNING)
        DCLS_TRY(dcls_report_warn(ctx, report,
                                  "layer '%s': %.1f %% of the kernel mass lies outside the window", name,
                                  100 * layer->mass_lost));
    if (thorough && clamped > CLAMPED_WORTH_A_WARNING)
        DCLS_TRY(dcls_report_warn(ctx, report,
                                  "layer '%s': %.1f %% of the elements sit at the clamp limit: a larger "
                                  "window may suit it",
                                  name, 100 * clamped));
    return has_implied_size(layer) ? warn_of_large_window(ctx, report, name, layer) : DCLS_OK;
}

/* ---- layers without an input ---- */

static dcls_status add_layer(dcls_context *ctx, dcls_report *report, const dcls_node *node, bool thorough)
{
    dcls_node_report *out = &report->nodes[report->count];
    out->op = dcls_op_name(node->op);
    out->name = dcls_arena_strdup(ctx, &report->arena, node->name);
    out->algorithm = "";
    if (!out->name) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_report_layer(ctx, node, thorough, &out->layer));
    out->has_layer = true;
    report->count++;
    return dcls_report_warn_of_layer(ctx, report, out->name, &out->layer, thorough);
}

static dcls_status make_room(dcls_context *ctx, dcls_report *report, size_t count)
{
    report->nodes = dcls_arena_alloc(ctx, &report->arena, count + 1, sizeof *report->nodes);
    return report->nodes ? DCLS_OK : DCLS_ERR_MEMORY;
}

/* Layers that are asked for, of a model or of a state dict's `found`. */
static dcls_status add_layers(dcls_context *ctx, dcls_report *report, const dcls_model *model,
                              const dcls_layers *found, const char *const *layers, size_t layer_count,
                              bool thorough)
{
    const size_t count = model ? model->node_count : found->count;
    DCLS_TRY(make_room(ctx, report, count));
    for (size_t i = 0; i < count; i++) {
        const dcls_node *node = model ? &model->nodes[i] : &found->items[i].node;
        if (model && node->op != DCLS_OP_DCLS) continue;
        if (layer_count > 0 && !dcls_any_matches(layers, layer_count, node->name)) continue;
        DCLS_TRY(add_layer(ctx, report, node, thorough));
    }
    return DCLS_OK;
}

dcls_status dcls_report_create_layers(dcls_context *ctx, const dcls_layer_source *source,
                                      const char *const *layers, size_t layer_count, bool thorough,
                                      dcls_report **out)
{
    *out = NULL;
    dcls_layers found = {0};
    if (!source->model)
        DCLS_TRY(dcls_layers_find(ctx, source->tensors, source->settings, source->setting_count, &found));
    dcls_report *report = dcls_alloc_zero(ctx, 1, sizeof *report);
    dcls_status status = report ? DCLS_OK : DCLS_ERR_MEMORY;
    if (!status) status = add_layers(ctx, report, source->model, &found, layers, layer_count, thorough);
    dcls_layers_free(&found);
    if (status)
        dcls_report_destroy(report);
    else
        *out = report;
    return status;
}
