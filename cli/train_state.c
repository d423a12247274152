/* What a run leaves in its folder, whole or not at all, and how it takes itself up again. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

static char *path_in(const train_run *t, const char *name)
{
    const size_t size = strlen(t->folder) + strlen(name) + 2;
    char *path = cli_alloc(size, 1);
    snprintf(path, size, "%s/%s", t->folder, name);
    return path;
}

int train_save(const train_run *t)
{
    dcls_context *ctx = t->run->ctx;
    char note[160], *path = path_in(t, "checkpoint.bin");
    dcls_tensors *set = NULL;
    snprintf(note, sizeof note, "%" PRId64 " %" PRId64 " %.17g", t->epoch, t->batch, t->best);
    dcls_status status = dcls_trainer_store(ctx, t->trainer, note, &set);
    if (status == DCLS_OK) status = dcls_tensors_save(ctx, set, path);
    dcls_tensors_destroy(set);
    const int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, ctx);
    free(path);
    return result;
}

int train_save_model(const train_run *t, const char *name)
{
    char *path = path_in(t, name);
    const dcls_status status = dcls_model_save(t->run->ctx, dcls_trainer_model(t->trainer, true), path);
    const int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, t->run->ctx);
    free(path);
    return result;
}

/* "EPOCH BATCH BEST" */
static bool read_note(train_run *t, const char *note)
{
    char *end;
    if (note == NULL) return false;
    t->epoch = strtoll(note, &end, 10);
    t->batch = strtoll(end, &end, 10);
    t->best = strtod(end, &end);
    return *end == '\0' && t->epoch >= 0 && t->batch >= 0;
}

int train_load(train_run *t, dcls_tensors **state, dcls_model **model)
{
    dcls_context *ctx = t->run->ctx;
    char *path = path_in(t, "checkpoint.bin");
    dcls_status status = dcls_tensors_load_file(ctx, path, state);
    if (status == DCLS_OK) status = dcls_model_load_file(ctx, path, model);
    int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, ctx);
    if (status == DCLS_OK && !read_note(t, dcls_trainer_note(*state))) {
        cli_error(path, "is not a training checkpoint");
        result = CLI_BAD_INPUT;
    }
    free(path);
    return result;
}
