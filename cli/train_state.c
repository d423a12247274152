/* What a run leaves in its folder, whole or not at all, and how it takes itself up again. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

/* ---- checkpoints ------------------------------------------------------------------------------------ */

static void put_sums(FILE *to, const train_sums *sums)
{
    fprintf(to, " %.17g %" PRId64 " %" PRId64 " %" PRId64, sums->loss, sums->correct, sums->targets,
            sums->batches);
}

/* "EPOCH BATCH BEST", and of later versions all the rest. */
static char *make_note(const train_point *at)
{
    char *note = NULL;
    size_t size = 0;
    FILE *to = cli_checked(open_memstream(&note, &size));
    fprintf(to, "%" PRId64 " %" PRId64 " %.17g", at->epoch, at->batch, at->best);
    fprintf(to, " %" PRId64 " %.17g %" PRId64 " %" PRId64, at->best_epoch, at->seconds, at->log_bytes,
            at->frames);
    put_sums(to, &at->window);
    put_sums(to, &at->epoch_sums);
    fprintf(to, " %" PRId64 " %" PRId64 " %.17g %.17g %" PRId64 " %" PRId64, at->pictures, at->names,
            at->window.added, at->epoch_sums.added, at->validated, at->teachers);
    if (fclose(to) != 0) cli_checked(NULL);
    return note;
}

typedef struct note_reader {
    const char *rest;
    bool good;
} note_reader;

/* Sums go on from what is read: there must be room above it. */
static const double most_real = 1e300;
static const int64_t most_int = INT64_C(1) << 53;

static double read_real(note_reader *r)
{
    char *end;
    const double value = strtod(r->rest, &end);
    r->good = r->good && end != r->rest && fabs(value) <= most_real;
    r->rest = end;
    return value;
}

static int64_t read_int(note_reader *r)
{
    char *end;
    const int64_t value = strtoll(r->rest, &end, 10);
    r->good = r->good && end != r->rest && value >= 0 && value <= most_int;
    r->rest = end;
    return value;
}

static train_sums read_sums(note_reader *r)
{
    train_sums sums = {.loss = read_real(r)};
    sums.correct = read_int(r);
    sums.targets = read_int(r);
    sums.batches = read_int(r);
    return sums;
}

static bool read_note(const char *note, train_point *at)
{
    note_reader r = {note, note != NULL};
    if (!r.good) return false;
    *at = (train_point){.log_bytes = -1};
    at->epoch = read_int(&r);
    at->batch = read_int(&r);
    at->best = read_real(&r);
    if (!r.good || *r.rest == '\0') return r.good;
    at->best_epoch = read_int(&r);
    at->seconds = read_real(&r);
    r.good = r.good && at->seconds >= 0 && at->seconds <= (double)most_int;
    at->log_bytes = read_int(&r);
    at->frames = read_int(&r);
    at->window = read_sums(&r);
    at->epoch_sums = read_sums(&r);
    if (r.good && *r.rest != '\0') at->pictures = read_int(&r);
    if (r.good && *r.rest != '\0') at->names = read_int(&r);
    if (r.good && *r.rest != '\0') at->window.added = read_real(&r);
    if (r.good && *r.rest != '\0') at->epoch_sums.added = read_real(&r);
    if (r.good && *r.rest != '\0') at->validated = read_int(&r);
    if (r.good && *r.rest != '\0') at->teachers = read_int(&r);
    return r.good && *r.rest == '\0';
}

/* The log must be at least as far as the checkpoint that counts its bytes. */
static int sync_log(train_run *t)
{
    struct stat st;
    if (fflush(t->log) != 0 || fdatasync(fileno(t->log)) != 0 || fstat(fileno(t->log), &st) != 0) {
        cli_error(t->folder, "cannot write log.ndjson: %s", strerror(errno));
        return CLI_IO;
    }
    t->at.log_bytes = st.st_size;
    if (t->recording == NULL) return CLI_OK;
    const dcls_status status = dcls_recording_sync(t->run->ctx, t->recording);
    t->at.frames = dcls_recording_frames(t->recording);
    return status == DCLS_OK ? CLI_OK : cli_fail(t->folder, status, t->run->ctx);
}

int train_save(train_run *t)
{
    dcls_context *ctx = t->run->ctx;
    const int synced = sync_log(t);
    if (synced != CLI_OK) return synced;
    t->at.pictures = dcls_dataset_count(t->train);
    t->at.names = t->names;
    t->at.seconds = t->before + cli_now() - t->begun;
    char *note = make_note(&t->at), *path = train_path(t, "checkpoint.bin");
    dcls_tensors *set = NULL;
    dcls_status status = dcls_trainer_store(ctx, t->trainer, note, &set);
    if (status == DCLS_OK) status = dcls_tensors_save(ctx, set, path);
    dcls_tensors_destroy(set);
    const int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, ctx);
    if (result == CLI_OK && !t->progress.shown)
        cli_verbose(t->run, "%s: step %" PRId64, path, dcls_trainer_steps(t->trainer));
    free(note);
    free(path);
    return result;
}

int train_load(train_run *t, dcls_tensors **state, dcls_model **model)
{
    dcls_context *ctx = t->run->ctx;
    char *path = train_path(t, "checkpoint.bin");
    dcls_status status = dcls_tensors_load_file(ctx, path, state);
    if (status == DCLS_OK) status = dcls_trainer_stored_model(ctx, *state, model);
    int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, ctx);
    if (status == DCLS_OK && !read_note(dcls_trainer_note(*state), &t->at)) {
        cli_error(path, "is not a checkpoint of dcls train");
        result = CLI_BAD_INPUT;
    }
    free(path);
    return result;
}

/* ---- models ----------------------------------------------------------------------------------------- */

/* "train, validated on test" */
static char *describe_data(const train_run *t)
{
    char *data = train_last_part(t->recipe->train);
    if (t->val == NULL) return data;
    char *val = train_last_part(t->recipe->val), *both = cli_format("%s, validated on %s", data, val);
    free(val);
    free(data);
    return both;
}

static char *describe_score(const train_run *t)
{
    if (t->at.best < 0) return cli_copy("not validated");
    return cli_format("%s %.2f%% after epoch %" PRId64, train_score_name(t), 100 * t->at.best,
                      t->at.best_epoch);
}

static char *describe_epochs(const train_run *t, int64_t done)
{
    return cli_format("%" PRId64 " of %" PRId64, done, t->recipe->epochs);
}

bool train_has_model_of(const train_run *t, int64_t epochs)
{
    char *path = train_path(t, "model.bin"), *wanted = describe_epochs(t, epochs);
    dcls_tensors *set = NULL;
    const bool loaded = dcls_tensors_load_file(t->run->ctx, path, &set) == DCLS_OK;
    bool same = false;
    for (size_t i = 0; loaded && !same && dcls_tensors_meta_key(set, i) != NULL; i++)
        same = strcmp(dcls_tensors_meta_key(set, i), "dcls.epochs") == 0 &&
               strcmp(dcls_tensors_meta_value(set, i), wanted) == 0;
    dcls_tensors_destroy(set);
    free(wanted);
    free(path);
    return same;
}

/* Where a model comes from, without what differs from machine to machine. */
int train_save_model(train_run *t, const char *name)
{
    char *path = train_path(t, name), *data = describe_data(t), *score = describe_score(t),
         *epochs = describe_epochs(t, t->at.epoch), *teachers = train_teacher_names(t),
         *start = t->recipe->model_file != NULL ? train_last_part(t->recipe->model_file) : NULL;
    dcls_text texts[7] = {{"dcls.version", dcls_version()},
                          {"dcls.data", data},
                          {"dcls.epochs", epochs},
                          {"dcls.score", score},
                          {"dcls.recipe", t->recipe_text}};
    size_t count = 5;
    if (start != NULL) texts[count++] = (dcls_text){"dcls.start", start};
    if (teachers != NULL) texts[count++] = (dcls_text){"dcls.teachers", teachers};
    const dcls_status status = dcls_trainer_save_model(t->run->ctx, t->trainer, true, texts, count, path);
    const int result = status == DCLS_OK ? CLI_OK : cli_fail(path, status, t->run->ctx);
    free(start);
    free(teachers);
    free(epochs);
    free(score);
    free(data);
    free(path);
    return result;
}
