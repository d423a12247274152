/* Folders of classes, and pictures with masks. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/dataset.h"

/* ---- folders of classes ---- */

static bool is_split(const char *name)
{
    static const char *const splits[] = {"train", "val", "valid", "validation", "test", "dev"};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(name, splits[i]) == 0) return true;
    return false;
}

/* A data set taken at one level too high would pass for one of two classes, "test" and "train". */
static dcls_status refuse_splits(dcls_context *ctx, const dcls_folder *top)
{
    if (top->folders.count == 1) return DCLS_OK;
    for (size_t i = 0; i < top->folders.count; i++)
        if (!is_split(top->folders.at[i])) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "holds several data sets (%s, %s); name one of them",
                     top->folders.at[0], top->folders.at[1]);
}

static dcls_status check_top(dcls_context *ctx, const dcls_folder *top, const dcls_dataset_options *options)
{
    size_t found = top->folders.count;
    if (found == 0) {
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "holds %s",
                         top->pictures.count ? "pictures, but neither folders of classes nor images and masks"
                                             : "neither pictures nor folders");
    }
    if (top->pictures.count > 0) {
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s lies beside the folders of classes, not in one",
                         top->pictures.at[0]);
    }
    if (options->classes) return DCLS_OK;
    if (found == 1 && !options->one_class) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "holds one folder, %s, where each class should have its own",
                         top->folders.at[0]);
    }
    DCLS_TRY(refuse_splits(ctx, top));
    if (options->class_count > 0 && found != options->class_count) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "holds %zu folders of classes, not %zu", found,
                         options->class_count);
    }
    return DCLS_OK;
}

static int64_t class_of(const dcls_dataset *set, const char *name)
{
    for (size_t i = 0; i < set->class_count; i++)
        if (strcmp(set->classes[i], name) == 0) return (int64_t)i;
    return -1;
}

static dcls_status add_folder(dcls_context *ctx, dcls_dataset *set, const char *root, const char *folder)
{
    int64_t label = class_of(set, folder);
    if (label < 0) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the folder '%s' is none of the %zu classes", folder,
                         set->class_count);
    }
    dcls_names pictures = {0};
    dcls_status status = dcls_folder_pictures(ctx, &set->arena, root, folder, &pictures);
    if (status == DCLS_OK && pictures.count == 0)
        status = dcls_fail(ctx, DCLS_ERR_FORMAT, "the folder '%s' holds no pictures", folder);
    for (size_t i = 0; status == DCLS_OK && i < pictures.count; i++) {
        const dcls_item item = {.name = dcls_path_join(ctx, &set->arena, root, pictures.at[i]),
                                .label = label};
        status = item.name ? dcls_dataset_add(ctx, set, &item) : DCLS_ERR_MEMORY;
    }
    free(pictures.at);
    return status;
}

/* Classes are the folders where the caller names none. */
static dcls_status adopt_classes(dcls_context *ctx, dcls_dataset *set, const dcls_names *folders)
{
    if (set->classes) return DCLS_OK;
    set->classes = dcls_arena_alloc(ctx, &set->arena, folders->count, sizeof *set->classes);
    if (!set->classes) return DCLS_ERR_MEMORY;
    memcpy(set->classes, folders->at, folders->count * sizeof *set->classes);
    set->class_count = folders->count;
    return DCLS_OK;
}

dcls_status dcls_dataset_list_folders(dcls_context *ctx, dcls_dataset *set, const char *path,
                                      const dcls_dataset_options *options)
{
    dcls_folder top;
    DCLS_TRY(dcls_folder_read(ctx, &set->arena, path, &top));
    dcls_status status = check_top(ctx, &top, options);
    if (status == DCLS_OK) status = adopt_classes(ctx, set, &top.folders);
    for (size_t i = 0; status == DCLS_OK && i < top.folders.count; i++)
        status = add_folder(ctx, set, path, top.folders.at[i]);
    dcls_folder_free(&top);
    return status;
}

/* ---- pictures and masks ---- */

/* "images/a/b.jpg" becomes "masks/a/b.png". */
static const char *mask_name(dcls_context *ctx, dcls_dataset *set, const char *picture)
{
    const char *below = strchr(picture, '/') + 1, *dot = strrchr(below, '.');
    size_t length = (size_t)(dot - below);
    char *name = dcls_arena_alloc(ctx, &set->arena, length + sizeof "masks/.png", 1);
    if (!name) return NULL;
    memcpy(name, "masks/", 6);
    memcpy(name + 6, below, length);
    memcpy(name + 6 + length, ".png", 4);
    return name;
}

static dcls_status add_pair(dcls_context *ctx, dcls_dataset *set, const char *root, const char *picture)
{
    const char *mask = mask_name(ctx, set, picture);
    if (!mask) return DCLS_ERR_MEMORY;
    const dcls_item item = {.name = dcls_path_join(ctx, &set->arena, root, picture),
                            .mask = dcls_path_join(ctx, &set->arena, root, mask),
                            .label = -1};
    if (!item.name || !item.mask) return DCLS_ERR_MEMORY;
    if (access(item.mask, F_OK) != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s, the mask of %s, is missing", mask, picture);
    return dcls_dataset_add(ctx, set, &item);
}

dcls_status dcls_dataset_list_pairs(dcls_context *ctx, dcls_dataset *set, const char *path,
                                    const dcls_dataset_options *options)
{
    dcls_names pictures = {0};
    set->task = DCLS_TASK_SEGMENTATION;
    if (options->class_count > DCLS_IGNORED_PIXEL) {
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "masks have at most %d classes, not %zu", DCLS_IGNORED_PIXEL,
                         options->class_count);
    }
    dcls_status status = dcls_folder_pictures(ctx, &set->arena, path, "images", &pictures);
    for (size_t i = 0; status == DCLS_OK && i < pictures.count; i++)
        status = add_pair(ctx, set, path, pictures.at[i]);
    free(pictures.at);
    return status;
}
