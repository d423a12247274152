/* A network being trained: its weights, the program that computes their gradients, the optimiser that steps.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "model/rewrite.h"
#include "train/optimizer.h"
#include "train/positions.h"
#include "train/program.h"

struct dcls_trainer {
    dcls_trainer_options options;
    dcls_model *model, *average; /* average: made when first asked for */
    dcls_parameters parameters;
    dcls_parameters averaged; /* those of average */
    dcls_program *program;
    dcls_optimizer_state *optimizer;
};

dcls_trainer_options dcls_trainer_options_default(void)
{
    return (dcls_trainer_options){.optimizer = DCLS_ADAMW,
                                  .momentum = 0.9,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = 0.05,
                                  .position_rate = 5,
                                  .spread_rate = 1,
                                  .temperature = 1,
                                  .nudge = 0.004};
}

/* Running statistics alone are enough: they become those of the data. */
static dcls_status check_learns(dcls_context *ctx, const dcls_parameters *parameters)
{
    for (size_t i = 0; i < parameters->count; i++)
        if (!parameters->items[i].frozen && parameters->items[i].count > 0) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is nothing to learn: %s",
                     parameters->count > 0 ? "all tensors are frozen" : "the network has no tensors");
}

/* What there is besides the program: tensors and their gradients, twice with an average, and the optimiser's
 * state. */
static uint64_t bytes_of(const dcls_trainer *t)
{
    uint64_t floats = t->parameters.floats;
    for (size_t i = 0; i < t->parameters.count; i++)
        floats += t->parameters.items[i].count;
    return (t->options.average > 0 ? 2 : 1) * floats * sizeof(float) +
           dcls_optimizer_bytes(&t->options, &t->parameters);
}

static dcls_status create(dcls_context *ctx, dcls_trainer *t, const dcls_model *model)
{
    const dcls_trainer_options *o = &t->options;
    if (o->share_positions) {
        dcls_model *shared;
        DCLS_TRY(dcls_positions_share(ctx, model, &shared, NULL));
        const dcls_status status = dcls_model_writable_copy(ctx, shared, &t->model);
        dcls_model_destroy(shared);
        DCLS_TRY(status);
    } else {
        DCLS_TRY(dcls_model_writable_copy(ctx, model, &t->model));
    }
    DCLS_TRY(dcls_parameters_create(ctx, t->model, o->freeze, o->freeze_count, &t->parameters));
    DCLS_TRY(check_learns(ctx, &t->parameters));
    const dcls_program_use use = {.taken = bytes_of(t)};
    DCLS_TRY(dcls_program_create(ctx, t->model, &t->parameters, o, &use, &t->program));
    DCLS_TRY(dcls_program_prepare(ctx, t->program));
    DCLS_TRY(dcls_optimizer_create(ctx, o, &t->parameters, &t->optimizer));
    if (o->average <= 0) return DCLS_OK;
    DCLS_TRY(dcls_model_writable_copy(ctx, t->model, &t->average));
    return dcls_parameters_create(ctx, t->average, NULL, 0, &t->averaged);
}

dcls_status dcls_trainer_create(dcls_context *ctx, const dcls_model *model,
                                const dcls_trainer_options *options, dcls_trainer **out)
{
    *out = NULL;
    if (model->task == DCLS_TASK_FEATURES)
        return dcls_fail(
            ctx, DCLS_ERR_UNSUPPORTED,
            "a network for features has no loss: training takes classification and segmentation");
    dcls_trainer *t = dcls_alloc_zero(ctx, 1, sizeof *t);
    if (t == NULL) return DCLS_ERR_MEMORY;
    t->options = *options;
    const dcls_status status = create(ctx, t, model);
    if (status == DCLS_OK)
        *out = t;
    else
        dcls_trainer_destroy(t);
    return status;
}

void dcls_trainer_destroy(dcls_trainer *trainer)
{
    if (trainer == NULL) return;
    dcls_optimizer_destroy(trainer->optimizer);
    dcls_program_destroy(trainer->program);
    dcls_parameters_free(&trainer->parameters);
    dcls_parameters_free(&trainer->averaged);
    dcls_model_destroy(trainer->model);
    dcls_model_destroy(trainer->average);
    free(trainer);
}

/* What randomness of the next step comes from. */
static uint64_t step_key(const dcls_trainer *t)
{
    dcls_rng rng = dcls_rng_stream(t->options.seed, (uint64_t)dcls_optimizer_steps(t->optimizer));
    return dcls_rng_next(&rng);
}

dcls_status dcls_trainer_gradients(dcls_context *ctx, dcls_trainer *trainer, const dcls_batch *batch,
                                   dcls_step_result *result)
{
    DCLS_TRY(dcls_program_run(ctx, trainer->program, batch, step_key(trainer), result));
    const dcls_trainer_options *o = &trainer->options;
    if (o->repulsion <= 0 || dcls_trainer_steps(trainer) < o->repulsion_after) return DCLS_OK;
    double loss;
    DCLS_TRY(dcls_positions_repel(ctx, &trainer->parameters, o->repulsion, dcls_context_threads(ctx), &loss));
    result->loss += loss;
    result->added += loss;
    return DCLS_OK;
}

dcls_status dcls_trainer_step(dcls_context *ctx, dcls_trainer *trainer, const dcls_batch *batch, double rate,
                              dcls_step_result *result)
{
    DCLS_TRY(dcls_trainer_gradients(ctx, trainer, batch, result));
    const int threads = dcls_context_threads(ctx);
    DCLS_TRY(dcls_optimizer_check(ctx, trainer->optimizer, rate, threads, &result->gradient_norm));
    /* Running statistics before averages are taken of them. */
    dcls_program_commit(trainer->program);
    dcls_optimizer_apply(trainer->optimizer, rate, result->gradient_norm, threads);
    return DCLS_OK;
}

const float *dcls_trainer_gradient(const dcls_trainer *trainer, const char *tensor)
{
    const int64_t at = dcls_map_find(&trainer->parameters.index, tensor);
    return at < 0 ? NULL : trainer->parameters.items[at].gradient;
}

const dcls_model *dcls_trainer_model(dcls_trainer *trainer, bool averaged)
{
    if (!averaged || trainer->average == NULL) return trainer->model;
    for (size_t i = 0; i < trainer->averaged.count; i++) {
        dcls_parameter *to = &trainer->averaged.items[i];
        const dcls_parameter *from = &trainer->parameters.items[i];
        memcpy(to->value, dcls_optimizer_average(trainer->optimizer, from), to->count * sizeof *to->value);
    }
    return trainer->average;
}

int64_t dcls_trainer_steps(const dcls_trainer *trainer)
{
    return dcls_optimizer_steps(trainer->optimizer);
}

#define NOTE "dcls.training" /* key of the metadata that holds it */

static dcls_status store_texts(dcls_context *ctx, const dcls_trainer *trainer, const char *note,
                               dcls_tensors *set)
{
    dcls_string json = {0};
    dcls_status status = dcls_copy_meta(ctx, trainer->model->tensors, NULL, set);
    if (status == DCLS_OK) status = dcls_model_to_json(ctx, trainer->model, 0, &json);
    if (status == DCLS_OK) status = dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL, json.data);
    if (status == DCLS_OK && note != NULL) status = dcls_tensors_set_meta(ctx, set, NOTE, note);
    dcls_string_free(&json);
    return status;
}

const char *dcls_trainer_note(const dcls_tensors *state)
{
    return dcls_tensors_meta(state, NOTE);
}

/* Parameters, and what the network does not use. */
static dcls_status copy_tensors(dcls_context *ctx, const dcls_tensors *from, dcls_tensors *set)
{
    for (size_t i = 0; i < from->count; i++)
        DCLS_TRY(dcls_copy_tensor(ctx, set, &from->items[i]));
    return DCLS_OK;
}

dcls_status dcls_trainer_store(dcls_context *ctx, const dcls_trainer *trainer, const char *note,
                               dcls_tensors **out)
{
    dcls_tensors *set;
    *out = NULL;
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    dcls_status status = store_texts(ctx, trainer, note, set);
    if (status == DCLS_OK) status = copy_tensors(ctx, trainer->model->tensors, set);
    if (status == DCLS_OK) status = dcls_optimizer_store(ctx, trainer->optimizer, set);
    if (status == DCLS_OK)
        *out = set;
    else
        dcls_tensors_destroy(set);
    return status;
}

dcls_status dcls_trainer_restore(dcls_context *ctx, dcls_trainer *trainer, const dcls_tensors *state)
{
    const dcls_parameters *parameters = &trainer->parameters;
    for (size_t i = 0; i < parameters->count; i++) {
        const dcls_tensor *want = parameters->items[i].tensor;
        const dcls_tensor *got = dcls_tensors_find(state, want->name);
        if (got == NULL) return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' is missing", want->name);
        if (got->dtype != DCLS_F32 || !dcls_shape_equal(got->ndim, got->shape, want->ndim, want->shape))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "tensor '%s' has another type or shape than the network's",
                             want->name);
    }
    DCLS_TRY(dcls_optimizer_restore(ctx, trainer->optimizer, state));
    for (size_t i = 0; i < parameters->count; i++)
        memcpy(parameters->items[i].value, dcls_tensors_find(state, parameters->items[i].name)->data,
               parameters->items[i].count * sizeof(float));
    return DCLS_OK;
}

/* ---- models out of it -------------------------------------------------------------------------------- */

/* What dcls_optimizer_store adds to the model's own tensors: networks may have an "average.weight" too. */
static bool belongs_to_optimizer(const dcls_tensors *state, const char *name)
{
    static const char *const prefixes[] = {"optimizer.momentum.", "optimizer.first.", "optimizer.second.",
                                           "average."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0 && dcls_tensors_find(state, name + length) != NULL)
            return true;
    }
    return strcmp(name, "optimizer.steps") == 0;
}

static dcls_status copy_model_parts(dcls_context *ctx, const dcls_tensors *state, dcls_tensors *set)
{
    DCLS_TRY(dcls_copy_meta(ctx, state, NOTE, set));
    for (size_t i = 0; i < state->count; i++)
        if (!belongs_to_optimizer(state, state->items[i].name))
            DCLS_TRY(dcls_copy_tensor(ctx, set, &state->items[i]));
    return DCLS_OK;
}

dcls_status dcls_trainer_stored_model(dcls_context *ctx, const dcls_tensors *state, dcls_model **out)
{
    const char *json = dcls_tensors_meta(state, DCLS_META_MODEL);
    dcls_tensors *set;
    *out = NULL;
    if (json == NULL) return dcls_fail(ctx, DCLS_ERR_FORMAT, "holds no network");
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    const dcls_status status = copy_model_parts(ctx, state, set);
    if (status == DCLS_OK) return dcls_model_from_json(ctx, set, json, out); /* takes the set */
    dcls_tensors_destroy(set);
    return status;
}

dcls_status dcls_trainer_save_model(dcls_context *ctx, dcls_trainer *trainer, bool averaged,
                                    const dcls_text *texts, size_t count, const char *path)
{
    const dcls_model *model = dcls_trainer_model(trainer, averaged);
    dcls_tensors *set; /* texts are about this file: checkpoints have the trainer's own */
    DCLS_TRY(dcls_output_path_check(ctx, path, true));
    DCLS_TRY(dcls_tensors_create(ctx, "", &set));
    dcls_status status = dcls_copy_meta(ctx, model->tensors, NULL, set);
    for (size_t i = 0; i < count && status == DCLS_OK; i++)
        status = dcls_tensors_set_meta(ctx, set, texts[i].key, texts[i].value);
    if (status == DCLS_OK) status = copy_tensors(ctx, model->tensors, set);
    if (status == DCLS_OK) status = dcls_tensors_save(ctx, set, path);
    dcls_tensors_destroy(set);
    return status;
}
