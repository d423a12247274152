/* Data sets: what kind a path is, the life of a set, and its items. */
#include "train/dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/magic.h"

dcls_dataset_options dcls_dataset_options_default(void)
{
    return (dcls_dataset_options){.kind = DCLS_DATASET_AUTO, .ignore_index = -1};
}

/* ---- what a path is ---- */

static dcls_dataset_kind kind_of(const dcls_folder *folder)
{
    bool images = dcls_names_have(&folder->folders, "images");
    if (images && (folder->folders.count == 1 || dcls_names_have(&folder->folders, "masks")))
        return DCLS_DATASET_PAIRS; /* without masks/ it will be said that they are missing */
    for (size_t i = 0; i < folder->others.count; i++)
        if (dcls_is_cifar10_name(folder->others.at[i])) return DCLS_DATASET_CIFAR10;
    return folder->folders.count > 0 ? DCLS_DATASET_FOLDERS : DCLS_DATASET_AUTO;
}

/* An archive often unpacks to one folder that holds the set: it is the set, unless what it holds are
 * pictures. */
static dcls_status step_down(dcls_context *ctx, dcls_arena *arena, const dcls_folder *folder,
                             const dcls_dataset_options *options, const char **path, bool *stepped)
{
    *stepped = false;
    if (folder->folders.count != 1 || folder->pictures.count > 0) return DCLS_OK;
    for (size_t i = 0; options->classes && i < options->class_count; i++)
        if (strcmp(options->classes[i], folder->folders.at[0]) == 0) return DCLS_OK;
    const char *below = dcls_path_join(ctx, arena, *path, folder->folders.at[0]);
    dcls_folder inner;
    if (!below) return DCLS_ERR_MEMORY;
    dcls_status status = dcls_folder_read(ctx, arena, below, &inner);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "%s: ", folder->folders.at[0]);
    *stepped = inner.pictures.count == 0 && kind_of(&inner) != DCLS_DATASET_AUTO;
    if (*stepped) *path = below;
    dcls_folder_free(&inner);
    return DCLS_OK;
}

static dcls_status examine(dcls_context *ctx, dcls_arena *arena, const char **path,
                           const dcls_dataset_options *options, dcls_dataset_kind *kind)
{
    struct stat st;
    if (stat(*path, &st) != 0) return dcls_fail_errno(ctx, "cannot open", errno);
    if (!S_ISDIR(st.st_mode)) {
        *kind = DCLS_DATASET_CIFAR10;
        return DCLS_OK;
    }
    bool stepped = true;
    for (int depth = 0; stepped && depth < 16; depth++) {
        dcls_folder folder;
        DCLS_TRY(dcls_folder_read(ctx, arena, *path, &folder));
        *kind = kind_of(&folder);
        stepped = false;
        dcls_status status = DCLS_OK;
        if (*kind == DCLS_DATASET_FOLDERS) status = step_down(ctx, arena, &folder, options, path, &stepped);
        dcls_folder_free(&folder);
        DCLS_TRY(status);
    }
    if (*kind == DCLS_DATASET_AUTO) *kind = DCLS_DATASET_FOLDERS; /* whose message says what is missing */
    return DCLS_OK;
}

/* ---- opening ---- */

static const dcls_magic *magic_of(const char *path)
{
    unsigned char begin[512];
    FILE *file = fopen(path, "rbe");
    if (file == NULL) return NULL; /* using it will say why */
    const size_t size = fread(begin, 1, sizeof begin, file);
    fclose(file);
    return dcls_magic_find(begin, size);
}

static dcls_status check_options(dcls_context *ctx, const dcls_dataset_options *options)
{
    if (options->limit < 0)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the limit of items is %" PRId64 ", must be 0 or more",
                         options->limit);
    if (options->class_count > INT32_MAX || (options->classes && options->class_count == 0))
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "a data set cannot have %zu classes", options->class_count);
    if (options->ignore_index > 255) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the ignored value of masks is %d, must be at most 255",
                         options->ignore_index);
    }
    return DCLS_OK;
}

static dcls_status copy_classes(dcls_context *ctx, dcls_dataset *set, const dcls_dataset_options *options)
{
    set->class_count = options->class_count;
    if (!options->classes) return DCLS_OK;
    set->classes = dcls_arena_alloc(ctx, &set->arena, set->class_count, sizeof *set->classes);
    if (!set->classes) return DCLS_ERR_MEMORY;
    dcls_map seen = {0};
    dcls_status status = DCLS_OK;
    for (size_t i = 0; status == DCLS_OK && i < set->class_count; i++) {
        bool twice = false;
        set->classes[i] = dcls_arena_strdup(ctx, &set->arena, options->classes[i]);
        status = set->classes[i] ? dcls_map_add(ctx, &seen, set->classes[i], (int64_t)i, &twice, NULL)
                                 : DCLS_ERR_MEMORY;
        if (status == DCLS_OK && twice)
            status = dcls_fail(ctx, DCLS_ERR_ARGUMENT, "two classes are named %s", set->classes[i]);
    }
    dcls_map_free(&seen);
    return status;
}

dcls_status dcls_dataset_add(dcls_context *ctx, dcls_dataset *set, const dcls_item *item)
{
    DCLS_TRY(dcls_grow(ctx, &set->items, &set->capacity, set->count + 1, sizeof *set->items));
    set->items[set->count++] = *item;
    return DCLS_OK;
}

static dcls_status list_items(dcls_context *ctx, dcls_dataset *set, const char *path,
                              const dcls_dataset_options *options)
{
    dcls_dataset_kind kind = DCLS_DATASET_AUTO;
    DCLS_TRY(examine(ctx, &set->arena, &path, options, &kind));
    if (options->kind == DCLS_DATASET_PAIRS && kind == DCLS_DATASET_FOLDERS)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "there is no folder images beside one of masks");
    switch (options->kind == DCLS_DATASET_AUTO ? kind : options->kind) {
    case DCLS_DATASET_PAIRS: return dcls_dataset_list_pairs(ctx, set, path, options);
    case DCLS_DATASET_CIFAR10: return dcls_dataset_list_cifar10(ctx, set, path, options);
    case DCLS_DATASET_FOLDERS: return dcls_dataset_list_folders(ctx, set, path, options);
    default: return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "unknown kind of data set");
    }
}

/* Pictures of a kind that is not read are told of before anything is done with the others. A suffix may lie,
 * so files decide; only those with a suspicious one are opened. */
static dcls_status check_readable(dcls_context *ctx, const dcls_dataset *set)
{
    static const char *const readable[] = {".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pnm"};
    static const char *const kinds[] = {"a PNG picture", "a JPEG picture", "a PGM picture", "a PPM picture"};
    for (size_t i = 0; i < set->count; i++) {
        const char *name = set->items[i].name, *suffix = strrchr(name, '.');
        bool fine = set->items[i].pixels != NULL || suffix == NULL;
        for (size_t k = 0; !fine && k < sizeof readable / sizeof *readable; k++)
            fine = strcasecmp(suffix, readable[k]) == 0;
        const dcls_magic *magic = fine ? NULL : magic_of(name);
        for (size_t k = 0; magic != NULL && k < sizeof kinds / sizeof *kinds; k++)
            if (strcmp(magic->phrase, kinds[k]) == 0) magic = NULL;
        if (magic != NULL && magic->picture)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "%s: this is %s; read are PNG, JPEG, PPM and PGM",
                             name, magic->phrase);
    }
    return DCLS_OK;
}

/* Item i of the shorter list is item floor(i * count / limit) of the whole one. */
static void apply_limit(dcls_dataset *set, int64_t limit)
{
    if (limit == 0 || (uint64_t)limit >= set->count) return;
    double step = (double)set->count / (double)limit;
    for (int64_t i = 0; i < limit; i++)
        set->items[i] = set->items[(size_t)((double)i * step)];
    set->count = (size_t)limit;
}

dcls_status dcls_dataset_open(dcls_context *ctx, const char *path, const dcls_dataset_options *options,
                              dcls_dataset **out)
{
    const dcls_dataset_options defaults = dcls_dataset_options_default();
    *out = NULL;
    if (!options) options = &defaults;
    DCLS_TRY(check_options(ctx, options));
    dcls_dataset *set = dcls_alloc_zero(ctx, 1, sizeof *set);
    if (!set) return DCLS_ERR_MEMORY;
    set->ignore_index = options->ignore_index;
    dcls_status status = copy_classes(ctx, set, options);
    if (status == DCLS_OK) status = list_items(ctx, set, path, options);
    if (status == DCLS_OK && set->count == 0) status = dcls_fail(ctx, DCLS_ERR_FORMAT, "holds no pictures");
    if (status == DCLS_OK) {
        apply_limit(set, options->limit);
        status = check_readable(ctx, set);
    }
    if (status != DCLS_OK) {
        dcls_dataset_destroy(set);
        return status;
    }
    *out = set;
    return DCLS_OK;
}

void dcls_dataset_destroy(dcls_dataset *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->record_count; i++)
        free(set->records[i]);
    free(set->records);
    free(set->items);
    dcls_arena_free(&set->arena);
    free(set);
}

dcls_task dcls_dataset_task(const dcls_dataset *set)
{
    return set->task;
}

int64_t dcls_dataset_count(const dcls_dataset *set)
{
    return (int64_t)set->count;
}

size_t dcls_dataset_class_count(const dcls_dataset *set)
{
    return set->class_count;
}

const char *dcls_dataset_class_name(const dcls_dataset *set, size_t index)
{
    return set->classes && index < set->class_count ? set->classes[index] : NULL;
}

const char *dcls_dataset_item_name(const dcls_dataset *set, int64_t index)
{
    return set->items[index].name;
}

/* ---- items ---- */

static dcls_status load_mask(dcls_context *ctx, const dcls_dataset *set, const dcls_item *item,
                             dcls_sample *sample)
{
    int64_t width = 0, height = 0;
    dcls_status status = dcls_mask_load(ctx, item->mask, &sample->mask, &width, &height);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "mask %s: ", item->mask);
    int64_t wanted_width = dcls_image_width(sample->image), wanted_height = dcls_image_height(sample->image);
    if (width != wanted_width || height != wanted_height) {
        return dcls_fail(ctx, DCLS_ERR_FORMAT,
                         "mask %s is %" PRId64 " x %" PRId64 " pixels, its picture %" PRId64 " x %" PRId64,
                         item->mask, width, height, wanted_width, wanted_height);
    }
    uint8_t value[256];
    for (int i = 0; i < 256; i++) {
        bool ignored = i == set->ignore_index || (set->class_count > 0 && (size_t)i >= set->class_count);
        value[i] = (uint8_t)(ignored ? DCLS_IGNORED_PIXEL : i);
    }
    for (int64_t i = 0; i < width * height; i++)
        sample->mask[i] = value[sample->mask[i]];
    return DCLS_OK;
}

dcls_status dcls_dataset_load(dcls_context *ctx, const dcls_dataset *set, int64_t index, dcls_sample *out)
{
    *out = (dcls_sample){0};
    if (index < 0 || (uint64_t)index >= set->count)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "there is no item %" PRId64 " in a data set of %zu", index,
                         set->count);
    const dcls_item *item = &set->items[index];
    out->label = item->label;
    if (item->pixels) {
        return dcls_image_create(ctx, set->pixels_width, set->pixels_height, item->pixels, &out->image);
    }
    dcls_status status = dcls_image_load_file(ctx, item->name, DCLS_IMAGE_DEFAULT, &out->image);
    if (status == DCLS_OK && item->mask) status = load_mask(ctx, set, item, out);
    if (status != DCLS_OK) dcls_sample_free(out);
    return status;
}

void dcls_sample_free(dcls_sample *sample)
{
    dcls_image_destroy(sample->image);
    free(sample->mask);
    *sample = (dcls_sample){0};
}
