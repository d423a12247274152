/* CIFAR-10's binary files: records of a label and three planes of 32 x 32 bytes. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "train/dataset.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, CLASSES = 10 };

static const char *const CLASS_NAMES[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                 "dog",      "frog",       "horse", "ship", "truck"};

static bool is_training_name(const char *name)
{
    return fnmatch("data_batch_*.bin", name, 0) == 0;
}

bool dcls_is_cifar10_name(const char *name)
{
    return is_training_name(name) || strcmp(name, "test_batch.bin") == 0;
}

/* ---- classes ---- */

/* The names in batches.meta.txt, a line each. */
static dcls_status parse_names(dcls_context *ctx, dcls_dataset *set, const dcls_bytes *text,
                               const char *names[CLASSES])
{
    size_t count = 0;
    const char *at = (const char *)text->data, *end = at + text->size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end;
        size_t length = (size_t)(stop - at);
        if (length > 0 && at[length - 1] == '\r') length--;
        if (length > 0) {
            if (count == CLASSES || !dcls_utf8_valid(at, length) || memchr(at, 0, length)) break;
            names[count] = dcls_arena_strndup(ctx, &set->arena, at, length);
            if (!names[count++]) return DCLS_ERR_MEMORY;
        }
        at = newline ? newline + 1 : end;
    }
    if (count == CLASSES && at == end) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "batches.meta.txt: these are not %d names, a line each", CLASSES);
}

/* The file is optional: the names are known. */
static dcls_status read_names(dcls_context *ctx, dcls_dataset *set, const char *directory,
                              const char *names[CLASSES])
{
    struct stat st;
    memcpy(names, CLASS_NAMES, sizeof CLASS_NAMES);
    const char *path = dcls_path_join(ctx, &set->arena, directory, "batches.meta.txt");
    if (!path) return DCLS_ERR_MEMORY;
    if (stat(path, &st) != 0) return DCLS_OK;
    dcls_bytes text;
    dcls_status status = dcls_file_read(ctx, path, 1 << 16, &text);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "batches.meta.txt: ");
    status = parse_names(ctx, set, &text, names);
    free(text.data);
    return status;
}

/* label[i] is the caller's index of the files' class i. */
static dcls_status map_classes(dcls_context *ctx, dcls_dataset *set, const char *const names[CLASSES],
                               int64_t label[CLASSES])
{
    for (int i = 0; i < CLASSES; i++) {
        label[i] = -1;
        for (size_t k = 0; k < set->class_count; k++)
            if (strcmp(set->classes[k], names[i]) == 0) label[i] = (int64_t)k;
        if (label[i] < 0) {
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "CIFAR-10's class %s is none of the %zu classes",
                             names[i], set->class_count);
        }
    }
    return DCLS_OK;
}

static dcls_status set_classes(dcls_context *ctx, dcls_dataset *set, const char *directory,
                               const dcls_dataset_options *options, int64_t label[CLASSES])
{
    const char *names[CLASSES];
    DCLS_TRY(read_names(ctx, set, directory, names));
    if (!set->classes) {
        if (options->class_count != 0 && options->class_count != CLASSES) {
            return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "CIFAR-10 has %d classes, not %zu", CLASSES,
                             options->class_count);
        }
        set->classes = dcls_arena_alloc(ctx, &set->arena, CLASSES, sizeof *set->classes);
        if (!set->classes) return DCLS_ERR_MEMORY;
        memcpy(set->classes, names, sizeof names);
        set->class_count = CLASSES;
    }
    return map_classes(ctx, set, names, label);
}

/* ---- records ---- */

/* Planes to pixels, in place. */
static void interleave(uint8_t *planes)
{
    uint8_t pixels[3 * PLANE];
    for (int i = 0; i < PLANE; i++) {
        for (int c = 0; c < 3; c++)
            pixels[i * 3 + c] = planes[c * PLANE + i];
    }
    memcpy(planes, pixels, sizeof pixels);
}

static const char *record_name(dcls_context *ctx, dcls_dataset *set, const char *path, size_t index)
{
    size_t size = strlen(path) + 24;
    char *name = dcls_arena_alloc(ctx, &set->arena, size, 1);
    if (name) snprintf(name, size, "%s[%zu]", path, index);
    return name;
}

static dcls_status add_records(dcls_context *ctx, dcls_dataset *set, const char *path, dcls_bytes bytes,
                               const int64_t label[CLASSES])
{
    if (bytes.size == 0 || bytes.size % RECORD != 0) {
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%zu bytes are no whole number of CIFAR-10's records of %d",
                         bytes.size, RECORD);
    }
    for (size_t i = 0; i < bytes.size / RECORD; i++) {
        uint8_t *record = bytes.data + i * RECORD;
        if (record[0] >= CLASSES) {
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "record %zu has label %d, CIFAR-10's are 0 to %d", i,
                             record[0], CLASSES - 1);
        }
        interleave(record + 1);
        const dcls_item item = {
            .name = record_name(ctx, set, path, i), .pixels = record + 1, .label = label[record[0]]};
        DCLS_TRY(item.name ? dcls_dataset_add(ctx, set, &item) : DCLS_ERR_MEMORY);
    }
    return DCLS_OK;
}

static dcls_status add_file(dcls_context *ctx, dcls_dataset *set, const char *path,
                            const int64_t label[CLASSES])
{
    dcls_bytes bytes;
    size_t capacity = set->record_count;
    DCLS_TRY(dcls_file_read(ctx, path, dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES), &bytes));
    dcls_status status =
        dcls_grow(ctx, &set->records, &capacity, set->record_count + 1, sizeof *set->records);
    if (status != DCLS_OK) {
        free(bytes.data);
        return status;
    }
    set->records[set->record_count++] = bytes.data;
    return add_records(ctx, set, path, bytes, label);
}

static dcls_status add_named(dcls_context *ctx, dcls_dataset *set, const char *directory, const char *name,
                             const int64_t label[CLASSES])
{
    const char *path = dcls_path_join(ctx, &set->arena, directory, name);
    if (!path) return DCLS_ERR_MEMORY;
    dcls_status status = add_file(ctx, set, path, label);
    return status == DCLS_OK ? status : dcls_fail_within(ctx, status, "%s: ", name);
}

static dcls_status add_directory(dcls_context *ctx, dcls_dataset *set, const char *path,
                                 const int64_t label[CLASSES])
{
    dcls_folder folder;
    DCLS_TRY(dcls_folder_read(ctx, &set->arena, path, &folder));
    dcls_status status = DCLS_OK;
    for (size_t i = 0; status == DCLS_OK && i < folder.others.count; i++) {
        if (is_training_name(folder.others.at[i]))
            status = add_named(ctx, set, path, folder.others.at[i], label);
    }
    if (status == DCLS_OK && set->count == 0) status = add_named(ctx, set, path, "test_batch.bin", label);
    dcls_folder_free(&folder);
    return status;
}

static const char *directory_of(dcls_context *ctx, dcls_dataset *set, const char *file)
{
    const char *slash = strrchr(file, '/');
    if (!slash) return ".";
    return dcls_arena_strndup(ctx, &set->arena, file, slash > file ? (size_t)(slash - file) : 1);
}

dcls_status dcls_dataset_list_cifar10(dcls_context *ctx, dcls_dataset *set, const char *path,
                                      const dcls_dataset_options *options)
{
    struct stat st;
    bool directory = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    const char *home = directory ? path : directory_of(ctx, set, path);
    if (!home) return DCLS_ERR_MEMORY;
    int64_t label[CLASSES];
    DCLS_TRY(set_classes(ctx, set, home, options, label));
    set->pixels_width = set->pixels_height = SIDE;
    return directory ? add_directory(ctx, set, path, label) : add_file(ctx, set, path, label);
}
