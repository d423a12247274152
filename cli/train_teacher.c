/* Teachers: models whose answers the network learns along with the data. */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "class_names.h"
#include "models.h"
#include "output.h"
#include "train.h"

/* Classes are compared by place: names tell where the order is another. */
static int check_labels(const char *path, const dcls_model *teacher, const dcls_model *student)
{
    const cli_names a = cli_model_names(teacher), b = cli_model_names(student);
    int status = CLI_OK;
    for (size_t i = 0; i < a.count && i < b.count && status == CLI_OK; i++) {
        if (strcmp(a.items[i], b.items[i]) == 0) continue;
        cli_error(path, "its class %zu is '%s', that of the network to train '%s'", i, a.items[i],
                  b.items[i]);
        status = CLI_BAD_INPUT;
    }
    free(a.items);
    free(b.items);
    return status;
}

int train_open_teachers(train_run *t, const dcls_model *student)
{
    const dcls_recipe *recipe = t->recipe;
    const size_t count = recipe->teacher_count;
    if (count == 0 || recipe->distill_share == 0) return CLI_OK;
    t->teacher_models = cli_alloc(count, sizeof *t->teacher_models);
    for (size_t i = 0; i < count; i++) {
        const char *path = recipe->teachers[i];
        int status = cli_model_load(t->run, path, &t->teacher_models[i]);
        if (status == CLI_OK) status = check_labels(path, t->teacher_models[i], student);
        if (status != CLI_OK) return status;
    }
    size_t failed;
    const dcls_status status = dcls_teacher_create(t->run->ctx, (const dcls_model *const *)t->teacher_models,
                                                   count, student, &recipe->trainer, &t->teacher, &failed);
    if (status == DCLS_OK) return CLI_OK;
    return cli_fail(failed < count ? recipe->teachers[failed] : "train", status, t->run->ctx);
}

void train_close_teachers(train_run *t)
{
    dcls_teacher_destroy(t->teacher);
    for (size_t i = 0; t->teacher_models != NULL && i < t->recipe->teacher_count; i++)
        dcls_model_destroy(t->teacher_models[i]);
    free(t->teacher_models);
}

dcls_status train_step(train_run *t, const dcls_batch *batch, double rate, dcls_step_result *result)
{
    dcls_context *ctx = t->run->ctx;
    dcls_batch taught = *batch;
    if (t->teacher != NULL) {
        const dcls_status status = dcls_teacher_run(ctx, t->teacher, batch, &taught.soft);
        if (status != DCLS_OK) return status;
    }
    return dcls_trainer_step(ctx, t->trainer, &taught, rate, result);
}
