#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "convert.h"
#include "output.h"
#include "progress.h"

/* ---- progress ---- */

/* A line on the terminal that is written over. */
struct progress {
    const cli *run;
    cli_progress line;
    char *layer; /* whose kernels are fitted */
    double layer_start, layer_last;
};

/* With -v, how long each layer took, as soon as the next one begins. */
static void note_layer(struct progress *progress, const char *layer, double time)
{
    const bool same = layer != NULL && progress->layer != NULL && strcmp(layer, progress->layer) == 0;
    if (!progress->run->common.verbose) return;
    if (!same && progress->layer != NULL) {
        cli_progress_end(&progress->line);
        cli_verbose(progress->run, "%s: fitted in %.2f s", progress->layer,
                    progress->layer_last - progress->layer_start);
        progress->layer_start = progress->layer_last;
    }
    progress->layer_last = time;
    if (same) return;
    free(progress->layer);
    progress->layer = layer != NULL ? cli_copy(layer) : NULL;
}

static void show_progress(void *arg, const char *layer, double done)
{
    struct progress *progress = arg;
    const double spent = cli_progress_seconds(&progress->line);
    note_layer(progress, layer, spent);
    if (!cli_progress_due(&progress->line)) return;
    const double left = done > 0 ? spent * (1 - done) / done : 0;
    char *line = cli_format("fitting %.40s: %.0f%%, %.0f s left", layer, 100 * done, ceil(left));
    cli_progress_show(&progress->line, line);
    free(line);
}

static void end_progress(struct progress *progress)
{
    cli_progress_end(&progress->line);
    note_layer(progress, NULL, cli_progress_seconds(&progress->line));
    free(progress->layer);
}

/* ---- elements ---- */

bool convert_changes_elements(const convert_options *o)
{
    return o->to == TO_SPARSE || o->merge >= 0 || o->prune >= 0 || o->round_positions || o->fix_unequal;
}

static dcls_sparse_options sparse_options(const struct convert *convert, struct progress *progress)
{
    const convert_options *o = convert->options;
    dcls_sparse_options sparse = dcls_sparse_options_default();
    *progress = (struct progress){.run = convert->run};
    cli_progress_begin(&progress->line, convert->run);
    sparse.layers = o->layers;
    sparse.fit = o->to == TO_SPARSE;
    sparse.kernel_count = o->kernel_count;
    sparse.error = o->error;
    if (!convert->settings_used) {
        sparse.settings = o->settings.items;
        sparse.setting_count = o->settings.count;
    }
    sparse.seed = (uint64_t)(o->seed > 0 ? o->seed : 0);
    if (o->effort >= 0) sparse.effort = o->effort;
    sparse.merge = o->merge;
    sparse.prune = o->prune;
    sparse.round_positions = o->round_positions;
    sparse.fix_unequal = o->fix_unequal;
    sparse.progress = show_progress;
    sparse.progress_arg = progress;
    return sparse;
}

static dcls_status change_model(struct convert *convert, const dcls_model *model, dcls_model **out)
{
    struct progress progress;
    const dcls_sparse_options sparse = sparse_options(convert, &progress);
    const dcls_status status =
        dcls_model_to_sparse(convert->run->ctx, model, &sparse, out, &convert->elements);
    end_progress(&progress);
    return status;
}

static dcls_status change_tensors(struct convert *convert, const dcls_tensors *tensors, dcls_tensors **out)
{
    struct progress progress;
    const dcls_sparse_options sparse = sparse_options(convert, &progress);
    const dcls_status status =
        dcls_tensors_to_sparse(convert->run->ctx, tensors, &sparse, out, &convert->elements);
    end_progress(&progress);
    return status;
}

/* ---- whole networks and state dicts ---- */

dcls_status convert_model_kernels(struct convert *convert, const dcls_model *model, dcls_model **out)
{
    dcls_model *changed = NULL;
    dcls_status status = DCLS_OK;
    *out = NULL;
    if (convert_changes_elements(convert->options)) status = change_model(convert, model, &changed);
    if (status == DCLS_OK && convert->options->to == TO_DENSE) {
        status = dcls_model_to_dense(convert->run->ctx, changed != NULL ? changed : model, out);
        dcls_model_destroy(changed);
    } else {
        *out = changed;
    }
    return status;
}

dcls_status convert_tensor_kernels(struct convert *convert, const dcls_tensors *tensors, dcls_tensors **out)
{
    const cli_list *settings = &convert->options->settings;
    dcls_tensors *changed = NULL;
    dcls_status status = DCLS_OK;
    *out = NULL;
    if (convert_changes_elements(convert->options)) status = change_tensors(convert, tensors, &changed);
    if (status == DCLS_OK && convert->options->to == TO_DENSE) {
        status = dcls_tensors_to_dense(convert->run->ctx, changed != NULL ? changed : tensors,
                                       settings->items, settings->count, out);
        dcls_tensors_destroy(changed);
    } else {
        *out = changed;
    }
    return status;
}

dcls_status convert_to_taps(struct convert *convert, const dcls_model *model, const dcls_tensors *tensors,
                            dcls_tensors **out)
{
    const convert_options *o = convert->options;
    const dcls_taps_options taps = {.layers = o->layers,
                                    .threshold = o->threshold > 0 ? o->threshold : 0,
                                    .settings = o->settings.items,
                                    .setting_count = o->settings.count};
    return dcls_to_taps(convert->run->ctx, model, tensors, &taps, out, &convert->taps);
}
