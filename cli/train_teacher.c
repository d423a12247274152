/* Teachers: models whose answers the network learns along with the data. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc.h"
#include "class_names.h"
#include "models.h"
#include "output.h"
#include "train.h"

/* ---- whether they fit ------------------------------------------------------------------------------- */

/* What a run writes would be its own teacher, sooner or later. */
static bool is_of_run(const train_run *t, const char *path)
{
    struct stat folder, of;
    char *file = cli_model_path(path), *slash = strrchr(file, '/');
    const char *beside = slash == NULL ? "." : file;
    if (slash != NULL) slash[slash == file ? 1 : 0] = '\0';
    const bool same = t->folder != NULL && cli_builtin_name(path) == NULL && stat(t->folder, &folder) == 0 &&
                      stat(beside, &of) == 0 && folder.st_dev == of.st_dev && folder.st_ino == of.st_ino;
    free(file);
    return same;
}

/* Classes are compared by place: names tell where the order is another. A network without names has those of
 * the folders it learns. */
static int check_labels(const train_run *t, const char *path, const dcls_model *teacher,
                        const dcls_model *student)
{
    const cli_names a = cli_model_names(teacher), labels = cli_model_names(student);
    const cli_names data = cli_data_names(t->train), b = labels.count > 0 ? labels : data;
    int status = CLI_OK;
    for (size_t i = 0; i < a.count && i < b.count && status == CLI_OK; i++) {
        if (strcmp(a.items[i], b.items[i]) == 0) continue;
        cli_error(path,
                  "the teacher's class %zu is '%s', that of the network to train '%s'; --labels says its "
                  "classes in order",
                  i, a.items[i], b.items[i]);
        status = CLI_USAGE;
    }
    free(a.items);
    free(labels.items);
    free(data.items);
    return status;
}

/* ---- whether they are the same still ---------------------------------------------------------------- */

/* FNV-1a, a word at a time; a word's high bits would otherwise never reach the low ones, and two signs that
 * change would cancel. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static uint64_t mix_bytes(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t word;
    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = mix(hash, word);
    }
    for (; size > 0; size--)
        hash = mix(hash, *bytes++);
    return hash;
}

/* Tells weights apart; as many bits as a double holds, and never 0. */
static int64_t fingerprint(const train_run *t)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < t->recipe->teacher_count; i++) {
        const dcls_tensors *tensors = dcls_model_tensors(t->teacher_models[i]);
        for (size_t k = 0; k < dcls_tensors_count(tensors); k++) {
            const dcls_tensor *tensor = dcls_tensors_at(tensors, k);
            hash = mix_bytes(hash, tensor->name, strlen(tensor->name));
            hash = mix_bytes(hash, tensor->data, tensor->nbytes);
        }
    }
    return (int64_t)(hash >> 12 | 1);
}

static void note_teachers(train_run *t)
{
    const int64_t now = fingerprint(t), then = t->at.teachers;
    if (then != 0 && then != now)
        cli_warn(t->run, t->recipe->teachers[0],
                 "teachers are other ones than when the run began: it goes on to other weights than it would "
                 "have");
    t->at.teachers = now;
}

/* ---- their answers ---------------------------------------------------------------------------------- */

int train_open_teachers(train_run *t, const dcls_model *student)
{
    const dcls_recipe *recipe = t->recipe;
    const size_t count = recipe->teacher_count;
    if (count == 0 || recipe->distill_share == 0) return CLI_OK;
    t->teacher_models = cli_alloc(count, sizeof *t->teacher_models);
    for (size_t i = 0; i < count; i++) {
        const char *path = recipe->teachers[i];
        if (strcmp(path, "-") == 0) {
            cli_error("train", "--teacher -: a run that goes on could not read it again");
            return CLI_USAGE;
        }
        if (is_of_run(t, path)) {
            cli_error(path, "a run cannot be its own teacher: copy the model out of %s", t->folder);
            return CLI_USAGE;
        }
        const int status = cli_model_load(t->run, path, &t->teacher_models[i]);
        if (status != CLI_OK) return status;
    }
    size_t failed;
    const dcls_status status = dcls_teacher_create(t->run->ctx, (const dcls_model *const *)t->teacher_models,
                                                   count, student, &recipe->trainer, &t->teacher, &failed);
    if (status != DCLS_OK)
        return cli_fail(failed < count ? recipe->teachers[failed] : "train", status, t->run->ctx);
    for (size_t i = 0; i < count; i++) {
        const int result = check_labels(t, recipe->teachers[i], t->teacher_models[i], student);
        if (result != CLI_OK) return result;
    }
    note_teachers(t);
    return CLI_OK;
}

void train_close_teachers(train_run *t)
{
    dcls_teacher_destroy(t->teacher);
    for (size_t i = 0; t->teacher_models != NULL && i < t->recipe->teacher_count; i++)
        dcls_model_destroy(t->teacher_models[i]);
    free(t->teacher_models);
}

int train_ask_teachers(train_run *t, dcls_batch *batch)
{
    if (t->teacher == NULL) return CLI_OK;
    const dcls_status status = dcls_teacher_run(t->run->ctx, t->teacher, batch, &batch->soft);
    return status == DCLS_OK ? CLI_OK : cli_fail("train", status, t->run->ctx);
}

char *train_teacher_names(const train_run *t)
{
    char *names = NULL;
    for (size_t i = 0; t->teacher != NULL && i < t->recipe->teacher_count; i++) {
        char *name = train_last_part(t->recipe->teachers[i]), *before = names;
        names = before == NULL ? cli_copy(name) : cli_format("%s, %s", before, name);
        free(before);
        free(name);
    }
    return names;
}
