/* Data sets: lists of items whose pictures are read when they are used. */
#ifndef DCLS_TRAIN_DATASET_H
#define DCLS_TRAIN_DATASET_H

#include "base/mem.h"

#include "dcls_train.h"

#define DCLS_IGNORED_PIXEL 255 /* of a mask */

typedef struct dcls_item {
    const char *name;      /* path of the picture, or "FILE[INDEX]" */
    const char *mask;      /* path; NULL for classification */
    const uint8_t *pixels; /* [height, width, 3] where the set has them in memory, else NULL */
    int64_t label;         /* -1 for segmentation */
} dcls_item;

struct dcls_dataset {
    dcls_task task;
    dcls_arena arena; /* names */
    dcls_item *items;
    size_t count, capacity;
    const char **classes; /* [class_count], NULL where they have no names */
    size_t class_count;
    int ignore_index;
    int64_t pixels_width, pixels_height; /* of items in memory */
    unsigned char **records;             /* [record_count] files in memory */
    size_t record_count;
};

dcls_status dcls_dataset_add(dcls_context *ctx, dcls_dataset *set, const dcls_item *item);

/* ---- names in directories ---- */

typedef struct dcls_names {
    const char **at;
    size_t count, capacity;
} dcls_names;

/* What a directory holds, each kind in order of bytes: hidden names are passed over, links followed. */
typedef struct dcls_folder {
    dcls_names folders, pictures, others;
} dcls_folder;

dcls_status dcls_folder_read(dcls_context *ctx, dcls_arena *arena, const char *path, dcls_folder *out);
void dcls_folder_free(dcls_folder *folder);
bool dcls_names_have(const dcls_names *names, const char *name);
/* "directory/name" in arena; NULL with the failure recorded. */
const char *dcls_path_join(dcls_context *ctx, dcls_arena *arena, const char *directory, const char *name);
/* Paths below root of all pictures in root/path and its folders: "path/picture". */
dcls_status dcls_folder_pictures(dcls_context *ctx, dcls_arena *arena, const char *root, const char *path,
                                 dcls_names *out);

/* ---- kinds: each fills items and classes of a set that is otherwise empty ---- */

dcls_status dcls_dataset_list_folders(dcls_context *ctx, dcls_dataset *set, const char *path,
                                      const dcls_dataset_options *options);
dcls_status dcls_dataset_list_pairs(dcls_context *ctx, dcls_dataset *set, const char *path,
                                    const dcls_dataset_options *options);
/* path is a file or the directory of data_batch_N.bin, else of test_batch.bin. */
dcls_status dcls_dataset_list_cifar10(dcls_context *ctx, dcls_dataset *set, const char *path,
                                      const dcls_dataset_options *options);
bool dcls_is_cifar10_name(const char *name);

#endif
