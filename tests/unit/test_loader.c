/* Loaders: batches, their order, what stands in them, errors. */
#include "tests/unit/loader_util.h"

#include <math.h>

static void in_order(void **state)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    const dcls_loader_options options = small_options();
    dcls_loader *loader = open_loader(*state, set, &options);
    assert_int_equal(dcls_loader_batches(loader), 3);
    for (int epoch = 0; epoch < 3; epoch++) {
        for (int item = 0; item < 10;) {
            const dcls_batch *batch = next(*state, loader);
            assert_non_null(batch);
            assert_int_equal(batch->count, item < 8 ? 4 : 2);
            assert_int_equal(batch->target_pixels, 1);
            assert_null(batch->mixed);
            assert_null(batch->share);
            for (int i = 0; i < batch->count; i++, item++) {
                const float *planes = batch->input + i * 3 * 30;
                assert_int_equal(batch->index[i], item);
                assert_int_equal(batch->target[i], item >= 5);
                assert_true(planes[0] == (float)item / 255.0f);
                assert_true(planes[29] == (float)(item + 5) / 255.0f);
                assert_true(planes[30 + 29] == 4 / 255.0f);
                assert_true(planes[60 + 13] == 200 / 255.0f);
            }
        }
        assert_null(next(*state, loader));
    }
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* Every epoch has every item once, in an order of its own. */
static void shuffled(void **state)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    dcls_loader_options options = small_options();
    options.shuffle = true;
    dcls_loader *loader = open_loader(*state, set, &options);
    int64_t first[10], item;
    for (int epoch = 0; epoch < 2; epoch++) {
        int seen[10] = {0}, at = 0, same = 0;
        for (const dcls_batch *batch; (batch = next(*state, loader));) {
            for (int i = 0; i < batch->count; i++, at++) {
                item = batch->index[i];
                seen[item]++;
                assert_true(batch->input[i * 90] == (float)item / 255.0f);
                same += epoch == 1 && first[at] == item;
                if (epoch == 0) first[at] = item;
            }
        }
        for (int i = 0; i < 10; i++)
            assert_int_equal(seen[i], 1);
        assert_true(same < 8);
    }
    dcls_loader_destroy(loader);
    options.drop_last = true;
    loader = open_loader(*state, set, &options);
    assert_int_equal(dcls_loader_batches(loader), 2);
    assert_int_equal(next(*state, loader)->index[3], first[3]);
    assert_int_equal(next(*state, loader)->count, 4);
    assert_null(next(*state, loader));
    dcls_loader_destroy(loader);
    options.batch = 11;
    check_outcome(*state, "few", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_ARGUMENT,
                  "10 pictures do not fill a batch of 11");
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- the same bits ---- */

static dcls_loader_options everything_on(void)
{
    dcls_loader_options o = small_options();
    o.shuffle = true;
    o.augment = (dcls_augment){.scale_min = 0.5,
                               .scale_max = 2,
                               .crop_padding = 1,
                               .flip = true,
                               .rand_ops = 3,
                               .rand_magnitude = 12,
                               .brightness = 0.4,
                               .contrast = 0.4,
                               .saturation = 0.4,
                               .hue = 0.1,
                               .cutout = 2,
                               .mixup = 0.3};
    return o;
}

enum { FLOATS = 4 * 90 };

struct record {
    float input[FLOATS], share[4];
    int32_t target[4], mixed[4];
};

static void take(struct record *to, const dcls_batch *batch)
{
    memset(to, 0, sizeof *to);
    memcpy(to->input, batch->input, (size_t)batch->count * 90 * sizeof(float));
    memcpy(to->share, batch->share, (size_t)batch->count * sizeof(float));
    memcpy(to->target, batch->target, (size_t)batch->count * sizeof(int32_t));
    memcpy(to->mixed, batch->mixed, (size_t)batch->count * sizeof(int32_t));
}

/* Any number of threads, any cache, any number of batches ahead. */
static void same_bits(void **state)
{
    static const struct {
        int threads, ahead;
        int64_t cache;
    } ways[] = {{1, 2, 1 << 30}, {2, 0, 0}, {3, 1, 900}, {8, 5, 1 << 20}};
    static struct record expected[9], got;
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        dcls_loader_options options = everything_on();
        options.ahead = ways[w].ahead;
        options.cache_bytes = ways[w].cache;
        assert_ok(*state, dcls_context_set_threads(*state, ways[w].threads));
        dcls_loader *loader = open_loader(*state, set, &options);
        for (int i = 0, batches = 0; batches < 9; i++) {
            const dcls_batch *batch = next(*state, loader);
            if (!batch) continue;
            take(w == 0 ? &expected[batches] : &got, batch);
            if (w > 0) assert_memory_equal(&got, &expected[batches], sizeof got);
            batches++;
        }
        dcls_loader_destroy(loader);
    }
    assert_memory_not_equal(&expected[0], &expected[3], sizeof got);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void seeking(void **state)
{
    static struct record expected[4][3], got;
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    const dcls_loader_options options = everything_on();
    dcls_loader *loader = open_loader(*state, set, &options);
    for (int epoch = 0; epoch < 4; epoch++) {
        for (int b = 0; b < 3; b++)
            take(&expected[epoch][b], next(*state, loader));
        assert_null(next(*state, loader));
    }
    static const int to[][2] = {{0, 0}, {3, 2}, {1, 1}, {1, 1}, {2, 0}, {0, 2}, {1, 0}, {2, 3}, {3, 0}};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        int epoch = to[i][0], first = to[i][1];
        assert_ok(*state, dcls_loader_seek(*state, loader, epoch, first));
        if (first == 3) {
            assert_null(next(*state, loader));
            epoch++;
            first = 0;
        }
        take(&got, next(*state, loader));
        assert_memory_equal(&got, &expected[epoch][first], sizeof got);
    }
    /* On from there, over the end of the epoch. */
    assert_ok(*state, dcls_loader_seek(*state, loader, 2, 2));
    take(&got, next(*state, loader));
    assert_memory_equal(&got, &expected[2][2], sizeof got);
    assert_null(next(*state, loader));
    assert_ok(*state, dcls_loader_seek(*state, loader, 3, 0));
    take(&got, next(*state, loader));
    assert_memory_equal(&got, &expected[3][0], sizeof got);
    check_outcome(*state, "range", dcls_loader_seek(*state, loader, 0, 4), DCLS_ERR_ARGUMENT, "no batch 4");
    check_outcome(*state, "range", dcls_loader_seek(*state, loader, -1, 0), DCLS_ERR_ARGUMENT, "epoch -1");
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- mixing ---- */

/* ---- evaluation ---- */

/* What dcls infer would feed the network. */
static void equal_preprocess(void **state)
{
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "a/0.ppm", 17, 9, 3, 9);
    write_picture(&dir, "a/1.ppm", 9, 31, 40, 90);
    write_picture(&dir, "b/2.ppm", 5, 5, 0, 200);
    const dcls_preprocess ways[] = {
        {DCLS_RESIZE_SHORTER, 10, 0, DCLS_FILTER_BILINEAR, 8, 8, 3, {0.5f, 0.4f, 0.3f}, {0.2f, 0.3f, 0.4f}},
        {DCLS_RESIZE_SHORTER, 7, 0, DCLS_FILTER_BICUBIC, 8, 8, 1, {0.5f}, {0.2f}},
        {DCLS_RESIZE_EXACT, 8, 8, DCLS_FILTER_BILINEAR, 0, 0, 3, {0}, {1, 1, 1}},
        {DCLS_RESIZE_NONE, 0, 0, DCLS_FILTER_BILINEAR, 8, 8, 3, {0.1f, 0, 0}, {1, 2, 1}},
    };
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        for (int open = 0; open < 2; open++) {
            dcls_loader_options options = small_options();
            options.height = options.width = open ? 0 : 8;
            options.preprocess = ways[w];
            dcls_loader *loader = open_loader(*state, set, &options);
            const dcls_batch *batch = next(*state, loader);
            assert_int_equal(batch->count, 3);
            assert_int_equal(batch->channels, ways[w].channels);
            assert_int_equal(batch->height, 8);
            assert_int_equal(batch->width, 8);
            for (int i = 0; i < 3; i++) {
                float expected[3 * 64];
                size_t floats = (size_t)ways[w].channels * 64;
                dcls_sample sample;
                assert_ok(*state, dcls_dataset_load(*state, set, i, &sample));
                assert_ok(*state, dcls_preprocess_run(*state, &ways[w], sample.image, expected));
                assert_memory_equal(batch->input + (size_t)i * floats, expected, floats * sizeof(float));
                dcls_sample_free(&sample);
            }
            dcls_loader_destroy(loader);
        }
    }
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void sizes_that_differ(void **state)
{
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "images/0.ppm", 6, 5, 3, 9);
    write_picture(&dir, "images/1.ppm", 4, 5, 40, 90);
    write_mask(*state, &dir, "masks/0.png", 6, 5, 0);
    write_mask(*state, &dir, "masks/1.png", 4, 5, 100);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    dcls_loader_options options = small_options();
    const dcls_batch *batch;
    dcls_loader *loader = open_loader(*state, set, &options);
    check_outcome(*state, "fixed", dcls_loader_next(*state, loader, &batch), DCLS_ERR_ARGUMENT,
                  "/images/1.ppm: the picture comes out as 5x4 (rows first), the batch is 5x6");
    dcls_loader_destroy(loader);
    options.height = options.width = 0;
    loader = open_loader(*state, set, &options);
    check_outcome(*state, "open", dcls_loader_next(*state, loader, &batch), DCLS_ERR_ARGUMENT,
                  "/images/1.ppm: 4 x 5 pixels, but the batch's first picture has 6 x 5");
    dcls_loader_destroy(loader);
    options.batch = 1;
    loader = open_loader(*state, set, &options);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) {
            batch = next(*state, loader);
            assert_int_equal(batch->width, i ? 4 : 6);
            assert_int_equal(batch->target_pixels, i ? 20 : 30);
            for (int k = 0; k < batch->target_pixels; k++)
                assert_int_equal(batch->target[k], i * 100 + k % batch->width + k / batch->width * 10);
        }
        assert_null(next(*state, loader));
    }
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- cache ---- */

/* Once the files are gone, what still comes out was kept. */
static int kept(dcls_context *ctx, int64_t cache_bytes)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    dcls_loader_options options = small_options();
    options.batch = 1;
    options.ahead = 0; /* or a picture of the next epoch would be read before */
    options.cache_bytes = cache_bytes;
    dcls_loader *loader = open_loader(ctx, set, &options);
    for (int i = 0; i < 10; i++)
        next(ctx, loader);
    remove_dir(&dir);
    assert_null(next(ctx, loader));
    int count = 0;
    for (int i = 0; i < 10; i++) {
        const dcls_batch *batch;
        dcls_status status = dcls_loader_next(ctx, loader, &batch);
        count += status == DCLS_OK;
        if (status != DCLS_OK) check_outcome(ctx, "gone", status, DCLS_ERR_IO, "cannot open");
    }
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    return count;
}

/* Pictures of 90 bytes with some hundred around them. */
static void caches_have_their_size(void **state)
{
    assert_ok(*state, dcls_context_set_threads(*state, 1));
    assert_int_equal(kept(*state, 0), 0);
    assert_int_equal(kept(*state, 3 * (90 + 256) + 20), 3);
    assert_int_equal(kept(*state, 1 << 20), 10);
}

/* ---- errors ---- */

/* The first bad picture of a batch is named, whoever comes to it first; batches after it are whole. */
static void bad_pictures(void **state)
{
    temp_dir dir = small_set(10);
    write_text(&dir, "a/01.ppm", "P6 6 5 255\nshort");
    write_text(&dir, "a/02.ppm", "junk");
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    const dcls_loader_options options = small_options();
    dcls_loader *loader = open_loader(*state, set, &options);
    for (int round = 0; round < 20; round++) {
        const dcls_batch *batch;
        check_outcome(*state, "bad", dcls_loader_next(*state, loader, &batch), DCLS_ERR_FORMAT,
                      "/a/01.ppm: truncated PNM");
        assert_null(batch);
        assert_int_equal(next(*state, loader)->index[0], 4);
        assert_int_equal(next(*state, loader)->index[0], 8);
        assert_null(next(*state, loader));
    }
    dcls_loader_destroy(loader);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void bad_options(void **state)
{
    temp_dir dir = small_set(4);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    static const struct {
        const char *part;
        dcls_augment augment;
    } rows[] = {
        {"scale", {.scale_min = 2, .scale_max = 1}},
        {"scale", {.scale_max = 1}},
        {"area", {.area_min = 0.1, .area_max = 1.5}},
        {"neither", {.area_min = 0.1, .area_max = 1, .crop_padding = 4}},
        {"crop padding", {.crop_padding = -1}},
        {"hue", {.hue = 0.6}},
        {"brightness", {.contrast = -1}},
        {"rand_ops", {.rand_ops = DCLS_MAX_RAND_OPS + 1}},
        {"rand_magnitude", {.rand_ops = 1, .rand_magnitude = (double)NAN}},
        {"cutout", {.cutout = -1}},
        {"mixup", {.mixup = (double)NAN}},
        {"cutmix", {.cutmix = -1}},
    };
    dcls_loader *loader = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcls_loader_options options = small_options();
        options.augment = rows[i].augment;
        check_outcome(*state, rows[i].part, dcls_loader_create(*state, set, &options, &loader),
                      DCLS_ERR_ARGUMENT, rows[i].part);
    }
    dcls_loader_options options = small_options();
    options.batch = 0;
    check_outcome(*state, "batch", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_ARGUMENT,
                  "batch");
    options = small_options();
    options.height = 0;
    check_outcome(*state, "height", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_ARGUMENT,
                  "6 x 0");
    options.width = 0;
    options.augment.crop_padding = 2;
    check_outcome(*state, "open", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_ARGUMENT,
                  "size");
    options = small_options();
    options.preprocess.std[1] = 0;
    check_outcome(*state, "std", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_ARGUMENT,
                  "std");
    options = small_options();
    options.height = options.width = 1 << 20;
    check_outcome(*state, "memory", dcls_loader_create(*state, set, &options, &loader), DCLS_ERR_LIMIT,
                  "memory");
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* At every moment of an epoch: sanitizers and valgrind see what stays behind. */
static void destroyed_anywhere(void **state)
{
    temp_dir dir = small_set(10);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    for (int round = 0; round < 60; round++) {
        dcls_loader_options options = everything_on();
        options.ahead = round % 4;
        assert_ok(*state, dcls_context_set_threads(*state, 1 + round % 3));
        dcls_loader *loader = open_loader(*state, set, &options);
        for (int i = 0; i < round % 5; i++)
            next(*state, loader);
        if (round % 7 == 0) assert_ok(*state, dcls_loader_seek(*state, loader, round, 1));
        dcls_loader_destroy(loader);
    }
    dcls_loader_destroy(NULL);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(in_order),           CONTEXT_TEST(shuffled),
        CONTEXT_TEST(same_bits),          CONTEXT_TEST(seeking),
        CONTEXT_TEST(equal_preprocess),   CONTEXT_TEST(sizes_that_differ),
        CONTEXT_TEST(bad_pictures),       CONTEXT_TEST(bad_options),
        CONTEXT_TEST(destroyed_anywhere), CONTEXT_TEST(caches_have_their_size),
    };
    return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
