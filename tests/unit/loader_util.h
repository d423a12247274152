/* What the tests of loaders share: a small set and its loader. */
#ifndef TESTS_LOADER_UTIL_H
#define TESTS_LOADER_UTIL_H

#include "tests/unit/data_util.h"

/* `count` pictures of 6 x 5 pixels in two classes; picture i has red i. */
static inline temp_dir small_set(int count)
{
    temp_dir dir = make_temp_dir();
    for (int i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "%c/%02d.ppm", 'a' + i * 2 / count, i);
        write_picture(&dir, name, 6, 5, i, 200);
    }
    return dir;
}

static inline dcls_loader_options small_options(void)
{
    dcls_loader_options o = dcls_loader_options_default();
    o.batch = 4;
    o.height = 5;
    o.width = 6;
    o.seed = 7;
    return o;
}

static inline dcls_loader *open_loader(dcls_context *ctx, const dcls_dataset *set,
                                       const dcls_loader_options *options)
{
    dcls_loader *loader = NULL;
    assert_ok(ctx, dcls_loader_create(ctx, set, options, &loader));
    return loader;
}

static inline const dcls_batch *next(dcls_context *ctx, dcls_loader *loader)
{
    const dcls_batch *batch = NULL;
    assert_ok(ctx, dcls_loader_next(ctx, loader, &batch));
    return batch;
}

#endif
