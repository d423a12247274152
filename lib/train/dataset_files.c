/* Names of folders and pictures, in an order that does not depend on the file system. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "train/dataset.h"

enum { MAX_DEPTH = 16 };

/* Pictures this library cannot read are listed too: using one says so, where passing over them would train on
 * a part of the set without a word. */
static bool is_picture(const char *name)
{
    static const char *const suffixes[] = {".png",  ".jpg",  ".jpeg", ".ppm", ".pgm", ".pbm",
                                           ".pnm",  ".webp", ".gif",  ".bmp", ".tif", ".tiff",
                                           ".avif", ".heic", ".jp2",  ".jxl"};
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(suffix, suffixes[i]) == 0) return true;
    return false;
}

static dcls_status names_add(dcls_context *ctx, dcls_names *names, const char *name)
{
    if (!name) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_grow(ctx, &names->at, &names->capacity, names->count + 1, sizeof *names->at));
    names->at[names->count++] = name;
    return DCLS_OK;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void names_sort(dcls_names *names)
{
    if (names->count > 1) qsort(names->at, names->count, sizeof *names->at, by_bytes);
}

bool dcls_names_have(const dcls_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0) return true;
    return false;
}

const char *dcls_path_join(dcls_context *ctx, dcls_arena *arena, const char *directory, const char *name)
{
    size_t first = strlen(directory), second = strlen(name);
    while (first > 1 && directory[first - 1] == '/')
        first--;
    bool slash = first > 0 && directory[first - 1] != '/';
    char *path = dcls_arena_alloc(ctx, arena, first + slash + second + 1, 1);
    if (!path) return NULL;
    memcpy(path, directory, first);
    if (slash) path[first] = '/';
    memcpy(path + first + slash, name, second);
    return path;
}

/* Links and file systems that do not say what an entry is cost a look at the entry itself. A link that leads
 * nowhere counts as a file, so that a picture is missed aloud. */
static bool is_directory(DIR *directory, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) return entry->d_type == DT_DIR;
    return fstatat(dirfd(directory), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

/* Pipes and devices, and links that lead to one. */
static bool would_wait(DIR *directory, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type == DT_REG || entry->d_type == DT_DIR) return false;
    return fstatat(dirfd(directory), entry->d_name, &st, 0) == 0 && !S_ISREG(st.st_mode) &&
           !S_ISDIR(st.st_mode);
}

static dcls_status folder_add(dcls_context *ctx, dcls_arena *arena, DIR *directory,
                              const struct dirent *entry, dcls_folder *out)
{
    const char *name = entry->d_name;
    if (name[0] == '.' || would_wait(directory, entry)) return DCLS_OK;
    dcls_names *names = is_directory(directory, entry) ? &out->folders
                        : is_picture(name)             ? &out->pictures
                                                       : &out->others;
    return names_add(ctx, names, dcls_arena_strdup(ctx, arena, name));
}

dcls_status dcls_folder_read(dcls_context *ctx, dcls_arena *arena, const char *path, dcls_folder *out)
{
    *out = (dcls_folder){0};
    DIR *directory = opendir(path);
    if (!directory) return dcls_fail_errno(ctx, "cannot open", errno);
    dcls_status status = DCLS_OK;
    while (status == DCLS_OK) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (!entry) {
            if (errno) status = dcls_fail_errno(ctx, "cannot read", errno);
            break;
        }
        status = folder_add(ctx, arena, directory, entry, out);
    }
    closedir(directory);
    if (status != DCLS_OK) {
        dcls_folder_free(out);
        return status;
    }
    names_sort(&out->folders);
    names_sort(&out->pictures);
    names_sort(&out->others);
    return DCLS_OK;
}

void dcls_folder_free(dcls_folder *folder)
{
    free(folder->folders.at);
    free(folder->pictures.at);
    free(folder->others.at);
    *folder = (dcls_folder){0};
}

static dcls_status collect(dcls_context *ctx, dcls_arena *arena, const char *root, const char *path,
                           int depth, dcls_names *out)
{
    if (depth == MAX_DEPTH) {
        return dcls_fail(ctx, DCLS_ERR_LIMIT,
                         "%s: folders more than %d deep; does a link lead back to one above?", path,
                         MAX_DEPTH);
    }
    const char *whole = dcls_path_join(ctx, arena, root, path);
    if (!whole) return DCLS_ERR_MEMORY;
    dcls_folder folder;
    dcls_status status = dcls_folder_read(ctx, arena, whole, &folder);
    if (status != DCLS_OK) return dcls_fail_within(ctx, status, "%s: ", path);
    for (size_t i = 0; status == DCLS_OK && i < folder.pictures.count; i++)
        status = names_add(ctx, out, dcls_path_join(ctx, arena, path, folder.pictures.at[i]));
    for (size_t i = 0; status == DCLS_OK && i < folder.folders.count; i++) {
        const char *below = dcls_path_join(ctx, arena, path, folder.folders.at[i]);
        status = below ? collect(ctx, arena, root, below, depth + 1, out) : DCLS_ERR_MEMORY;
    }
    dcls_folder_free(&folder);
    return status;
}

dcls_status dcls_folder_pictures(dcls_context *ctx, dcls_arena *arena, const char *root, const char *path,
                                 dcls_names *out)
{
    return collect(ctx, arena, root, path, 0, out);
}
