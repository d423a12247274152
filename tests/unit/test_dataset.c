/* Data sets: folders of classes, pictures with masks, CIFAR-10. */
#include "tests/unit/data_util.h"

#include <math.h>

static void check_item(dcls_context *ctx, const dcls_dataset *set, int64_t index, const char *name,
                       int64_t label, int red)
{
    dcls_sample sample;
    const char *item = dcls_dataset_item_name(set, index);
    size_t length = strlen(item), part = strlen(name);
    assert_true(length > part);
    assert_string_equal(item + length - part, name);
    assert_ok(ctx, dcls_dataset_load(ctx, set, index, &sample));
    assert_int_equal(sample.label, label);
    assert_null(sample.mask);
    assert_int_equal(dcls_image_pixels(sample.image)[0], red);
    dcls_sample_free(&sample);
}

/* Three pictures of cats, one of them in a folder below, one dog. */
static temp_dir cats_and_dogs(void)
{
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "set/cat/b.ppm", 4, 3, 2, 0);
    write_picture(&dir, "set/cat/a.PNG", 4, 3, 1, 0);
    write_picture(&dir, "set/cat/more/c.jpg", 4, 3, 3, 0);
    write_picture(&dir, "set/dog/a.ppm", 4, 3, 4, 0);
    write_text(&dir, "set/dog/notes.txt", "no picture");
    write_text(&dir, "set/.hidden/x.ppm", "no picture");
    write_text(&dir, "set/README", "no picture");
    return dir;
}

static void folders(void **state)
{
    temp_dir dir = cats_and_dogs();
    dcls_dataset *set = open_set(*state, dir.path, NULL); /* which holds nothing but the set */
    assert_int_equal(dcls_dataset_task(set), DCLS_TASK_CLASSIFICATION);
    assert_int_equal(dcls_dataset_count(set), 4);
    assert_int_equal(dcls_dataset_class_count(set), 2);
    assert_string_equal(dcls_dataset_class_name(set, 0), "cat");
    assert_string_equal(dcls_dataset_class_name(set, 1), "dog");
    assert_null(dcls_dataset_class_name(set, 2));
    check_item(*state, set, 0, "/set/cat/a.PNG", 0, 1);
    check_item(*state, set, 1, "/set/cat/b.ppm", 0, 2);
    check_item(*state, set, 2, "/set/cat/more/c.jpg", 0, 3);
    check_item(*state, set, 3, "/set/dog/a.ppm", 1, 4);
    dcls_sample sample;
    check_outcome(*state, "range", dcls_dataset_load(*state, set, 4, &sample), DCLS_ERR_ARGUMENT, "item 4");
    assert_null(sample.image);
    dcls_dataset_destroy(set);
    dcls_dataset_destroy(NULL);
    remove_dir(&dir);
}

static void classes_of_the_caller(void **state)
{
    temp_dir dir = cats_and_dogs();
    const char *const names[] = {"bird", "dog", "cat"};
    dcls_dataset_options options = dcls_dataset_options_default();
    options.classes = names;
    options.class_count = 3;
    dcls_dataset *set = open_set(*state, temp_file(&dir, "set"), &options);
    assert_int_equal(dcls_dataset_class_count(set), 3);
    assert_string_equal(dcls_dataset_class_name(set, 1), "dog");
    check_item(*state, set, 0, "/cat/a.PNG", 2, 1);
    check_item(*state, set, 3, "/dog/a.ppm", 1, 4);
    dcls_dataset_destroy(set);
    options.class_count = 2;
    refuse_set(*state, temp_file(&dir, "set"), &options, DCLS_ERR_ARGUMENT, "folder 'cat' is none of the 2");
    const char *const twice[] = {"dog", "cat", "dog"};
    options.classes = twice;
    options.class_count = 3;
    refuse_set(*state, temp_file(&dir, "set"), &options, DCLS_ERR_ARGUMENT, "two classes are named dog");
    options.classes = NULL;
    refuse_set(*state, temp_file(&dir, "set"), &options, DCLS_ERR_ARGUMENT, "2 folders of classes, not 3");
    remove_dir(&dir);
}

/* Four of ten: items 0, 2, 5, 7. */
static void limits_are_spread(void **state)
{
    temp_dir dir = make_temp_dir();
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "%c/%d.ppm", 'a' + i / 5, i);
        write_picture(&dir, name, 2, 2, i, 0);
    }
    dcls_dataset_options options = dcls_dataset_options_default();
    options.limit = 4;
    dcls_dataset *set = open_set(*state, dir.path, &options);
    assert_int_equal(dcls_dataset_count(set), 4);
    check_item(*state, set, 0, "/a/0.ppm", 0, 0);
    check_item(*state, set, 1, "/a/2.ppm", 0, 2);
    check_item(*state, set, 2, "/b/5.ppm", 1, 5);
    check_item(*state, set, 3, "/b/7.ppm", 1, 7);
    dcls_dataset_destroy(set);
    options.limit = -1;
    refuse_set(*state, dir.path, &options, DCLS_ERR_ARGUMENT, "limit");
    remove_dir(&dir);
}

static void bad_folders(void **state)
{
    temp_dir dir = make_temp_dir();
    refuse_set(*state, temp_file(&dir, "none"), NULL, DCLS_ERR_IO, "cannot open");
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "neither pictures nor folders");
    write_picture(&dir, "x.ppm", 1, 1, 0, 0);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "neither folders of classes nor images");
    write_picture(&dir, "a/x.ppm", 1, 1, 0, 0);
    write_picture(&dir, "b/x.ppm", 1, 1, 0, 0);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "x.ppm lies beside");
    unlink(temp_file(&dir, "x.ppm"));
    write_text(&dir, "c/notes.txt", "no picture");
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "folder 'c' holds no pictures");
    write_picture(&dir, "single/cat/x.ppm", 1, 1, 0, 0);
    refuse_set(*state, temp_file(&dir, "single"), NULL, DCLS_ERR_ARGUMENT, "holds one folder, cat");
    write_picture(&dir, "data/test/cat/x.ppm", 1, 1, 0, 0);
    write_picture(&dir, "data/train/cat/x.ppm", 1, 1, 0, 0);
    refuse_set(*state, temp_file(&dir, "data"), NULL, DCLS_ERR_ARGUMENT, "several data sets (test, train)");
    write_picture(&dir, "loop/dog/x.ppm", 1, 1, 0, 0);
    assert_int_equal(symlink("..", place(&dir, "loop/cat/up")), 0);
    refuse_set(*state, temp_file(&dir, "loop"), NULL, DCLS_ERR_LIMIT, "deep");
    remove_dir(&dir);
}

static void unreadable_pictures(void **state)
{
    temp_dir dir = make_temp_dir();
    write_text(&dir, "a/x.png", "no picture");
    assert_int_equal(symlink("/nonexistent", place(&dir, "a/y.png")), 0);
    write_picture(&dir, "b/z.gif", 1, 1, 0, 0); /* a PPM: suffixes may lie */
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    assert_int_equal(dcls_dataset_count(set), 3);
    dcls_sample sample;
    check_outcome(*state, "text", dcls_dataset_load(*state, set, 0, &sample), DCLS_ERR_FORMAT,
                  "this is text");
    check_outcome(*state, "link", dcls_dataset_load(*state, set, 1, &sample), DCLS_ERR_IO, "cannot open");
    assert_ok(*state, dcls_dataset_load(*state, set, 2, &sample));
    dcls_sample_free(&sample);
    dcls_dataset_destroy(set);
    write_text(&dir, "b/y.webp", "RIFF....WEBPVP8 ");
    refuse_set(*state, dir.path, NULL, DCLS_ERR_UNSUPPORTED, "b/y.webp: this is a WebP picture");
    remove_dir(&dir);
}

/* ---- masks ---- */

static void pairs(void **state)
{
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "images/b.jpg", 3, 2, 7, 0);
    write_picture(&dir, "images/a/a.ppm", 3, 2, 8, 0);
    write_mask(*state, &dir, "masks/b.png", 3, 2, 1);
    write_mask(*state, &dir, "masks/a/a.png", 3, 2, 0);
    dcls_dataset_options options = dcls_dataset_options_default();
    options.class_count = 12;
    options.ignore_index = 10;
    dcls_dataset *set = open_set(*state, dir.path, &options);
    assert_int_equal(dcls_dataset_task(set), DCLS_TASK_SEGMENTATION);
    assert_int_equal(dcls_dataset_count(set), 2);
    assert_int_equal(dcls_dataset_class_count(set), 12);
    assert_null(dcls_dataset_class_name(set, 0));
    dcls_sample sample;
    assert_ok(*state, dcls_dataset_load(*state, set, 0, &sample));
    assert_int_equal(sample.label, -1);
    assert_int_equal(dcls_image_pixels(sample.image)[0], 7);
    assert_memory_equal(sample.mask, ((const uint8_t[]){1, 2, 3, 11, 255, 255}), 6); /* 11, 12, 13 */
    dcls_sample_free(&sample);
    assert_ok(*state, dcls_dataset_load(*state, set, 1, &sample));
    assert_memory_equal(sample.mask, ((const uint8_t[]){0, 1, 2, 255, 11, 255}), 6); /* 10, 11, 12 */
    dcls_sample_free(&sample);
    dcls_dataset_destroy(set);
    set = open_set(*state, dir.path, NULL); /* all values are classes */
    assert_int_equal(dcls_dataset_class_count(set), 0);
    assert_ok(*state, dcls_dataset_load(*state, set, 1, &sample));
    assert_memory_equal(sample.mask, ((const uint8_t[]){0, 1, 2, 10, 11, 12}), 6);
    dcls_sample_free(&sample);
    dcls_dataset_destroy(set);
    options.class_count = 256;
    refuse_set(*state, dir.path, &options, DCLS_ERR_ARGUMENT, "at most 255");
    remove_dir(&dir);
}

static void bad_masks(void **state)
{
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "images/a.jpg", 3, 2, 7, 0);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "masks/a.png, the mask of images/a.jpg, is missing");
    write_mask(*state, &dir, "masks/b.png", 3, 2, 1);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "masks/a.png, the mask of images/a.jpg, is missing");
    write_mask(*state, &dir, "masks/a.png", 2, 3, 1);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    dcls_sample sample;
    check_outcome(*state, "size", dcls_dataset_load(*state, set, 0, &sample), DCLS_ERR_FORMAT,
                  "masks/a.png is 2 x 3 pixels, its picture 3 x 2");
    assert_null(sample.image);
    assert_null(sample.mask);
    write_picture(&dir, "masks/a.png", 3, 2, 0, 0);
    check_outcome(*state, "kind", dcls_dataset_load(*state, set, 0, &sample), DCLS_ERR_FORMAT,
                  "must be a PNG");
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* ---- CIFAR-10 ---- */

static void check_record(dcls_context *ctx, const dcls_dataset *set, int64_t index, int number, int64_t label)
{
    dcls_sample sample;
    assert_ok(ctx, dcls_dataset_load(ctx, set, index, &sample));
    assert_int_equal(sample.label, label);
    assert_int_equal(dcls_image_width(sample.image), 32);
    const uint8_t *pixels = dcls_image_pixels(sample.image);
    for (int i = 0; i < 1024; i++) {
        for (int c = 0; c < 3; c++)
            assert_int_equal(pixels[i * 3 + c], (number + c * 50 + (c * 1024 + i) % 7) % 256);
    }
    dcls_sample_free(&sample);
}

static void cifar10(void **state)
{
    temp_dir dir = make_temp_dir();
    write_cifar(&dir, "data_batch_2.bin", 2, 8);
    write_cifar(&dir, "data_batch_1.bin", 3, 0);
    write_cifar(&dir, "test_batch.bin", 1, 5);
    dcls_dataset *set = open_set(*state, dir.path, NULL);
    assert_int_equal(dcls_dataset_task(set), DCLS_TASK_CLASSIFICATION);
    assert_int_equal(dcls_dataset_count(set), 5);
    assert_int_equal(dcls_dataset_class_count(set), 10);
    assert_string_equal(dcls_dataset_class_name(set, 1), "automobile");
    assert_non_null(strstr(dcls_dataset_item_name(set, 2), "/data_batch_1.bin[2]"));
    check_record(*state, set, 2, 2, 2);
    check_record(*state, set, 4, 1, 9);
    dcls_dataset_destroy(set);

    write_text(&dir, "batches.meta.txt", "a\nb\nc\nd\ne\nf\r\ng\nh\ni\nj\n\n");
    set = open_set(*state, temp_file(&dir, "test_batch.bin"), NULL);
    assert_int_equal(dcls_dataset_count(set), 1);
    assert_string_equal(dcls_dataset_class_name(set, 5), "f");
    check_record(*state, set, 0, 0, 5);
    dcls_dataset_destroy(set);

    const char *const backwards[] = {"j", "i", "h", "g", "f", "e", "d", "c", "b", "a"};
    dcls_dataset_options options = dcls_dataset_options_default();
    options.classes = backwards;
    options.class_count = 10;
    set = open_set(*state, dir.path, &options);
    check_record(*state, set, 2, 2, 7);
    dcls_dataset_destroy(set);
    options.class_count = 9;
    refuse_set(*state, dir.path, &options, DCLS_ERR_ARGUMENT, "class a is none of the 9");
    remove_dir(&dir);
}

static void bad_cifar10(void **state)
{
    temp_dir dir = make_temp_dir();
    write_cifar(&dir, "data_batch_1.bin", 2, 0);
    assert_int_equal(truncate(temp_file(&dir, "data_batch_1.bin"), 3074), 0);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "data_batch_1.bin: 3074 bytes are no whole number");
    assert_int_equal(truncate(temp_file(&dir, "data_batch_1.bin"), 0), 0);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "data_batch_1.bin: 0 bytes");
    write_cifar(&dir, "data_batch_1.bin", 2, 0);
    FILE *f = fopen(temp_file(&dir, "data_batch_1.bin"), "r+b");
    assert_non_null(f);
    fseek(f, 3073, SEEK_SET);
    fputc(10, f);
    fclose(f);
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "data_batch_1.bin: record 1 has label 10");
    write_text(&dir, "batches.meta.txt", "a\nb\n");
    refuse_set(*state, dir.path, NULL, DCLS_ERR_FORMAT, "batches.meta.txt: these are not 10 names");
    dcls_dataset_options options = dcls_dataset_options_default();
    options.class_count = 2;
    unlink(temp_file(&dir, "batches.meta.txt"));
    refuse_set(*state, dir.path, &options, DCLS_ERR_ARGUMENT, "10 classes, not 2");
    remove_dir(&dir);
}

/* ---- frequencies of classes ---- */

static void write_stripes(dcls_context *ctx, temp_dir *dir, const char *name, const uint8_t *mask)
{
    const uint8_t palette[256 * 3] = {0};
    assert_ok(ctx, dcls_mask_save(ctx, place(dir, name), mask, 4, 2, palette, 256));
}

static void balance_of_masks(void **state)
{
    static const uint8_t A[] = {0, 0, 0, 0, 0, 0, 1, 1}, B[] = {0, 0, 2, 2, 2, 9, 255, 9};
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    write_picture(&dir, "images/a.ppm", 4, 2, 1, 0);
    write_picture(&dir, "images/b.ppm", 4, 2, 1, 0);
    write_stripes(ctx, &dir, "masks/a.png", A);
    write_stripes(ctx, &dir, "masks/b.png", B);
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    float weights[4];
    assert_ok(ctx, dcls_dataset_balance(ctx, set, 4, weights));
    /* 8 of 13 targets are class 0, 2 of 8 class 1, 3 of 5 class 2, none class 3; the median is 3/5 */
    assert_true(fabsf(weights[0] - 0.6f / (8 / 13.0f)) < 1e-6f);
    assert_true(fabsf(weights[1] - 0.6f / 0.25f) < 1e-6f);
    assert_true(fabsf(weights[2] - 1) < 1e-6f && weights[3] == 1);
    assert_int_equal(dcls_dataset_balance(ctx, set, 0, weights), DCLS_ERR_ARGUMENT);
    /* of as many classes as a mask has values, those of 255 are still ignored */
    float all[256];
    assert_ok(ctx, dcls_dataset_balance(ctx, set, 256, all));
    assert_true(all[255] == 1 && all[3] == 1);
    int64_t values[DCLS_MASK_VALUES];
    assert_int_equal(dcls_dataset_values(ctx, set, -1, values), DCLS_ERR_ARGUMENT);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

/* More masks than are read at a time, on any number of threads; and one that cannot be read is named. */
static void balance_of_many_masks(void **state)
{
    enum { ITEMS = 300 };
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    double of[3] = {0}, within[3] = {0};
    for (int i = 0; i < ITEMS; i++) {
        uint8_t mask[8] = {0};
        char name[64];
        snprintf(name, sizeof name, "images/%03d.ppm", i);
        write_picture(&dir, name, 4, 2, 1, 0);
        for (int k = 0; k < i % 9 && k < 8; k++)
            mask[k] = (uint8_t)(1 + (i % 7 == k));
        snprintf(name, sizeof name, "masks/%03d.png", i);
        write_stripes(ctx, &dir, name, mask);
        for (int c = 0; c < 3; c++) {
            int count = 0;
            for (int k = 0; k < 8; k++)
                count += mask[k] == c;
            of[c] += count;
            within[c] += count > 0 ? 8 : 0;
        }
    }
    /* by class: the most, the fewest, the one between */
    const double shares[] = {of[0] / within[0], of[1] / within[1], of[2] / within[2]};
    const double middle = fmax(fmin(shares[0], shares[1]), fmin(fmax(shares[0], shares[1]), shares[2]));
    dcls_dataset *set = open_set(ctx, dir.path, NULL);
    float first[3], weights[3];
    for (int threads = 1; threads <= 7; threads += 3) {
        assert_ok(ctx, dcls_context_set_threads(ctx, threads));
        assert_ok(ctx, dcls_dataset_balance(ctx, set, 3, weights));
        for (int c = 0; c < 3; c++)
            assert_true(fabs((double)weights[c] - middle / shares[c]) < 1e-6);
        if (threads == 1) memcpy(first, weights, sizeof first);
        assert_memory_equal(first, weights, sizeof first);
    }
    write_text(&dir, "masks/123.png", "no picture");
    write_text(&dir, "masks/290.png", "no picture");
    check_outcome(ctx, "damaged", dcls_dataset_balance(ctx, set, 3, weights), DCLS_ERR_FORMAT, "123.png");
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

static void balance_of_labels(void **state)
{
    temp_dir dir = cats_and_dogs();
    dcls_dataset *set = open_set(*state, temp_file(&dir, "set"), NULL);
    float weights[2];
    assert_ok(*state, dcls_dataset_balance(*state, set, 2, weights));
    /* 3 and 1 of 4: the median is 1/2 */
    assert_true(fabsf(weights[0] - 2 / 3.0f) < 1e-6f && weights[1] == 2);
    dcls_dataset_destroy(set);
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(balance_of_masks),
        CONTEXT_TEST(balance_of_many_masks),
        CONTEXT_TEST(balance_of_labels),
        CONTEXT_TEST(folders),
        CONTEXT_TEST(classes_of_the_caller),
        CONTEXT_TEST(limits_are_spread),
        CONTEXT_TEST(bad_folders),
        CONTEXT_TEST(unreadable_pictures),
        CONTEXT_TEST(pairs),
        CONTEXT_TEST(bad_masks),
        CONTEXT_TEST(cifar10),
        CONTEXT_TEST(bad_cifar10),
    };
    return cmocka_run_group_tests_name("dataset", tests, NULL, NULL);
}
