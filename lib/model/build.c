/* Models out of state dicts. */
#include <stdlib.h>
#include <string.h>

#include "dcls_tools.h"
#include "model/arch.h"
#include "model/header.h"
#include "model/preset.h"

typedef struct build {
    dcls_context *ctx;
    const dcls_build_options *options;
    const dcls_maker *maker;
    dcls_settings settings;
    dcls_draft *draft;
    bool *expected; /* per tensor: may be left over */
} build;

bool dcls_is_byproduct(const char *name)
{
    static const char COUNTER[] = "num_batches_tracked", AUXILIARY[] = "aux_classifier.";
    const size_t length = strlen(name), tail = sizeof COUNTER - 1;
    return (length >= tail && strcmp(name + length - tail, COUNTER) == 0) ||
           strncmp(name, AUXILIARY, sizeof AUXILIARY - 1) == 0;
}

static void mark_byproducts(const dcls_tensors *tensors, bool *expected)
{
    for (size_t i = 0; i < tensors->count; i++)
        expected[i] = dcls_is_byproduct(tensors->items[i].name);
}

/* Fills the draft from an architecture, a description or what the file itself says. */
static dcls_status describe(build *b)
{
    const dcls_build_options *o = b->options;
    dcls_model *model = b->draft->model;
    const char *own = dcls_tensors_meta(model->tensors, DCLS_META_MODEL);
    if (o->arch != NULL && o->arch_json != NULL)
        return dcls_fail(b->ctx, DCLS_ERR_ARGUMENT,
                         "an architecture and a description of one exclude each other");
    if (o->arch != NULL) return dcls_arch_build(b->ctx, o->arch, b->draft, &b->settings, b->expected);
    if (o->arch_json != NULL || own != NULL)
        return dcls_draft_read(b->ctx, b->draft, o->arch_json != NULL ? o->arch_json : own);
    return dcls_fail(b->ctx, DCLS_ERR_ARGUMENT,
                     "these tensors are a state dict without a network: it needs an architecture");
}

static dcls_status adjust(build *b)
{
    const dcls_build_options *o = b->options;
    dcls_model *model = b->draft->model;
    b->settings.sizes = b->maker != NULL;
    const dcls_status status = dcls_settings_apply(b->ctx, &b->settings, b->draft->nodes, b->draft->count);
    /* What a file itself should have said is its own fault. */
    const bool own = o->arch == NULL && o->arch_json == NULL && b->settings.count == 0;
    if (status != DCLS_OK) return own && status == DCLS_ERR_ARGUMENT ? DCLS_ERR_FORMAT : status;
    model->preprocess.channels = (int)model->input_shape[1];
    const int64_t classes = b->maker != NULL ? b->maker->classes : 0;
    if (classes > 0 && (size_t)classes != model->label_count) model->label_count = 0;
    if (o->preprocess != NULL) DCLS_TRY(dcls_preset_apply(b->ctx, model, o->preprocess));
    if (o->labels != NULL) DCLS_TRY(dcls_model_copy_labels(b->ctx, model, o->labels, o->label_count));
    return DCLS_OK;
}

/* ---- tensors nobody names ------------------------------------------------------------------------- */

static void mark_used(const dcls_model *model, bool *used)
{
    for (size_t i = 0; i < model->node_count; i++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
            const dcls_tensor *tensor = dcls_node_tensor(&model->nodes[i], (dcls_slot)slot);
            if (tensor != NULL) used[tensor - model->tensors->items] = true;
        }
}

static dcls_status check_leftovers(build *b, const dcls_model *model, const bool *used)
{
    const dcls_tensors *tensors = model->tensors;
    const char *first[3] = {"", "", ""};
    size_t count = 0;
    for (size_t i = 0; i < tensors->count; i++) {
        if (used[i] || b->expected[i]) continue;
        if (count < 3) first[count] = tensors->items[i].name;
        count++;
    }
    if (count == 0) return DCLS_OK;
    return dcls_fail(b->ctx, DCLS_ERR_FORMAT, "the network does not use %zu of the tensors: '%s'%s%s%s%s%s%s",
                     count, first[0], count > 1 ? ", '" : "", first[1], count > 1 ? "'" : "",
                     count > 2 ? ", '" : "", first[2],
                     count > 3   ? "', .."
                     : count > 2 ? "'"
                                 : "");
}

/* Takes unused tensors out of the set; nodes point into its items, so they follow. */
static dcls_status drop_unused(dcls_context *ctx, dcls_model *model, const bool *used)
{
    dcls_tensors *tensors = model->tensors;
    size_t *place = dcls_alloc(ctx, tensors->count, sizeof *place);
    if (place == NULL) return DCLS_ERR_MEMORY;
    size_t kept = 0;
    for (size_t i = 0; i < tensors->count; i++) {
        place[i] = kept;
        if (used[i]) kept++;
    }
    for (size_t i = 0; i < model->node_count; i++)
        for (int slot = 0; slot < DCLS_SLOT_COUNT; slot++) {
            const dcls_tensor *tensor = dcls_node_tensor(&model->nodes[i], (dcls_slot)slot);
            if (tensor != NULL)
                dcls_node_set_tensor(&model->nodes[i], (dcls_slot)slot,
                                     &tensors->items[place[tensor - tensors->items]]);
        }
    dcls_map_free(&tensors->index);
    tensors->index = (dcls_map){0};
    dcls_status status = DCLS_OK;
    const size_t count = tensors->count;
    tensors->count = kept;
    for (size_t i = 0; i < count && status == DCLS_OK; i++) {
        if (!used[i]) continue;
        tensors->items[place[i]] = tensors->items[i];
        status = dcls_map_add(ctx, &tensors->index, tensors->items[i].name, (int64_t)place[i], NULL, NULL);
    }
    free(place);
    return status;
}

/* A file that already holds a network may carry more than it needs; a state dict must be used up. */
static dcls_status tidy(build *b, dcls_model *model)
{
    if (b->options->arch == NULL && b->options->arch_json == NULL) return DCLS_OK;
    if (b->maker != NULL) return DCLS_OK;
    bool *used = dcls_alloc_zero(b->ctx, model->tensors->count, sizeof *used);
    if (used == NULL) return DCLS_ERR_MEMORY;
    mark_used(model, used);
    dcls_status status = check_leftovers(b, model, used);
    if (status == DCLS_OK) status = drop_unused(b->ctx, model, used);
    free(used);
    return status;
}

static dcls_status run(build *b, dcls_model **out)
{
    dcls_model *model = NULL;
    dcls_status status = describe(b);
    if (status == DCLS_OK) status = adjust(b);
    if (status == DCLS_OK) {
        b->draft->maker = b->maker;
        status = dcls_draft_finish(b->ctx, b->draft, &model);
        b->draft = NULL;
    }
    if (status == DCLS_OK) status = tidy(b, model);
    if (status == DCLS_OK) status = dcls_model_describe(b->ctx, model);
    if (status != DCLS_OK) {
        dcls_model_destroy(model);
        return status;
    }
    *out = model;
    return DCLS_OK;
}

dcls_status dcls_model_build(dcls_context *ctx, dcls_tensors *tensors, const dcls_build_options *options,
                             dcls_model **out)
{
    return dcls_build_making(ctx, tensors, options, NULL, out);
}

dcls_status dcls_build_making(dcls_context *ctx, dcls_tensors *tensors, const dcls_build_options *options,
                              const dcls_maker *maker, dcls_model **out)
{
    *out = NULL;
    build b = {.ctx = ctx, .options = options, .maker = maker};
    dcls_status status = dcls_settings_parse(ctx, options->settings, options->setting_count, &b.settings);
    if (status == DCLS_OK) {
        b.expected = dcls_alloc_zero(ctx, tensors->count, sizeof *b.expected);
        if (b.expected == NULL) status = DCLS_ERR_MEMORY;
    }
    if (status == DCLS_OK) mark_byproducts(tensors, b.expected);
    if (status == DCLS_OK)
        status = dcls_draft_create(ctx, tensors, &b.draft);
    else
        dcls_tensors_destroy(tensors);
    if (status == DCLS_OK) status = run(&b, out);
    dcls_draft_destroy(b.draft);
    dcls_settings_free(&b.settings);
    free(b.expected);
    return status;
}

dcls_status dcls_model_set_labels(dcls_context *ctx, dcls_model *model, const char *const *labels,
                                  size_t count)
{
    char **const before = model->labels;
    const size_t count_before = model->label_count;
    dcls_status status = dcls_model_copy_labels(ctx, model, labels, count);
    if (status == DCLS_OK) status = dcls_check_values(ctx, model);
    if (status == DCLS_OK) return dcls_model_describe(ctx, model);
    model->labels = before;
    model->label_count = count_before;
    return status;
}
