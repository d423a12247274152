/* The validation set through the network as it is. */
#include <stdlib.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

typedef struct validation {
    const dcls_model *model;
    dcls_plan *plan;
    int64_t shape[4]; /* of the plan */
    float *logits;
    dcls_metrics *metrics;
} validation;

static bool plan_fits(const validation *v, const dcls_batch *batch)
{
    return v->plan != NULL && v->shape[0] == batch->count && v->shape[1] == batch->channels &&
           v->shape[2] == batch->height && v->shape[3] == batch->width;
}

static dcls_status renew_plan(dcls_context *ctx, validation *v, const dcls_batch *batch)
{
    dcls_plan_destroy(v->plan);
    free(v->logits);
    v->plan = NULL;
    v->logits = NULL;
    const int64_t shape[4] = {batch->count, batch->channels, batch->height, batch->width};
    for (int d = 0; d < 4; d++)
        v->shape[d] = shape[d];
    const dcls_status status = dcls_plan_create(ctx, v->model, NULL, 4, shape, &v->plan);
    if (status == DCLS_OK) v->logits = cli_alloc(dcls_plan_output_count(v->plan), sizeof *v->logits);
    return status;
}

static dcls_status add_batch(dcls_context *ctx, validation *v, const dcls_batch *batch)
{
    dcls_status status = plan_fits(v, batch) ? DCLS_OK : renew_plan(ctx, v, batch);
    if (status != DCLS_OK) return status;
    if (v->metrics == NULL) {
        int64_t out[DCLS_MAX_DIMS];
        dcls_plan_output_shape(v->plan, out);
        status = dcls_metrics_create(ctx, out[1], &v->metrics);
        if (status != DCLS_OK) return status;
    }
    status = dcls_plan_run(ctx, v->plan, batch->input, v->logits);
    if (status == DCLS_OK)
        dcls_metrics_add(v->metrics, batch->count, batch->target_pixels, v->logits, batch->target);
    return status;
}

int train_validate(train_run *t, dcls_scores *out)
{
    dcls_context *ctx = t->run->ctx;
    validation v = {.model = dcls_trainer_model(t->trainer, true)};
    const dcls_batch *batch;
    dcls_status status = dcls_loader_seek(ctx, t->val_loader, 0, 0);
    while (status == DCLS_OK && (status = dcls_loader_next(ctx, t->val_loader, &batch)) == DCLS_OK &&
           batch != NULL)
        status = add_batch(ctx, &v, batch);
    if (status == DCLS_OK && v.metrics != NULL) *out = dcls_metrics_scores(v.metrics);
    dcls_metrics_destroy(v.metrics);
    dcls_plan_destroy(v.plan);
    free(v.logits);
    return status == DCLS_OK ? CLI_OK : cli_fail(NULL, status, ctx);
}
