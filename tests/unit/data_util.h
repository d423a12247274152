/* What the tests of data sets and loaders share: small sets they make themselves. */
#ifndef TESTS_DATA_UTIL_H
#define TESTS_DATA_UTIL_H

#include "tests/unit/image_util.h"

#include <ftw.h>
#include <sys/stat.h>

#include "dcls_train.h"

/* Makes the folders in front of a file's name. */
static inline const char *place(temp_dir *dir, const char *name)
{
    char path[320];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%s/%.*s", dir->path, (int)(slash - name), name);
        mkdir(path, 0777);
    }
    return temp_file(dir, name);
}

/* A binary PPM whose pixel (x, y) is (red + x, y, blue), whatever the suffix of its name. */
static inline void write_picture(temp_dir *dir, const char *name, int width, int height, int red, int blue)
{
    FILE *f = fopen(place(dir, name), "wb");
    assert_non_null(f);
    fprintf(f, "P6 %d %d 255\n", width, height);
    for (int i = 0; i < width * height; i++) {
        const uint8_t rgb[3] = {(uint8_t)(red + i % width), (uint8_t)(i / width), (uint8_t)blue};
        fwrite(rgb, 1, 3, f);
    }
    assert_int_equal(fclose(f), 0);
}

/* A mask whose pixel (x, y) is first + x + 10 * y. */
static inline void write_mask(dcls_context *ctx, temp_dir *dir, const char *name, int width, int height,
                              int first)
{
    uint8_t palette[256 * 3] = {0}, mask[4096];
    assert_true(width * height <= (int)sizeof mask);
    for (int i = 0; i < width * height; i++)
        mask[i] = (uint8_t)(first + i % width + i / width * 10);
    assert_ok(ctx, dcls_mask_save(ctx, place(dir, name), mask, width, height, palette, 256));
}

/* CIFAR-10 records labelled first, first + 1, ..; byte k of record i's planes is i + k / 1024 * 50 + k % 7.
 */
static inline void write_cifar(temp_dir *dir, const char *name, int records, int first)
{
    FILE *f = fopen(place(dir, name), "wb");
    assert_non_null(f);
    for (int i = 0; i < records; i++) {
        fputc((first + i) % 10, f);
        for (int k = 0; k < 3072; k++)
            fputc((i + k / 1024 * 50 + k % 7) % 256, f);
    }
    assert_int_equal(fclose(f), 0);
}

static inline void write_text(temp_dir *dir, const char *name, const char *text)
{
    write_bytes(place(dir, name), text, strlen(text));
}

static inline int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st, (void)kind, (void)where;
    return remove(path);
}

static inline void remove_dir(const temp_dir *dir)
{
    nftw(dir->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline dcls_dataset *open_set(dcls_context *ctx, const char *path, const dcls_dataset_options *options)
{
    dcls_dataset *set = NULL;
    assert_ok(ctx, dcls_dataset_open(ctx, path, options, &set));
    return set;
}

/* Whatever is wrong with a directory is said, and nothing comes out. */
static inline void refuse_set(dcls_context *ctx, const char *path, const dcls_dataset_options *options,
                              dcls_status expected, const char *part)
{
    dcls_dataset *set = (dcls_dataset *)ctx;
    check_outcome(ctx, path, dcls_dataset_open(ctx, path, options, &set), expected, part);
    assert_null(set);
}

#endif
