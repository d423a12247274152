/* Pictures of results: the colours that stand for shares and for right and wrong pixels. */
#include <math.h>

#include "tests/unit/data_util.h"

#include "dcls_plot.h"
#include "draw/colormap.h"

static int64_t count_color(const dcls_image *image, const uint8_t rgb[3])
{
    const uint8_t *pixels = dcls_image_pixels(image);
    int64_t found = 0;
    for (int64_t i = 0; i < dcls_image_width(image) * dcls_image_height(image); i++)
        found += memcmp(pixels + 3 * i, rgb, 3) == 0;
    return found;
}

static dcls_image *load(dcls_context *ctx, const char *path)
{
    dcls_image *image;
    assert_ok(ctx, dcls_image_load_file(ctx, path, 0, &image));
    return image;
}

/* Three classes: shares 1, 1/4 and 3/4, and a class that is never a target. */
static void confusion(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    static const int64_t counts[9] = {5, 0, 0, 1, 3, 0, 0, 0, 0};
    static const double shares[] = {1, 0.25, 0.75};
    const char *path = temp_file(&dir, "c.png");
    dcls_plot_options options = dcls_plot_options_default();
    dcls_colormap map;
    dcls_colormap_sequential(&map);
    assert_ok(ctx, dcls_confusion_save(ctx, 3, counts, NULL, &options, path));
    dcls_image *image = load(ctx, path);
    /* cells are 44 wide; their numbers and the lines between them cover less than a third */
    for (int i = 0; i < 3; i++) {
        const int64_t found = count_color(image, dcls_colormap_at(&map, sqrt(shares[i])));
        assert_in_range(found, 44 * 44 * 2 / 3, 44 * 44 + 100);
    }
    static const uint8_t none[3] = {235, 235, 235};
    assert_in_range(count_color(image, none), 3 * 44 * 44 * 8 / 10, 3 * 44 * 44);
    dcls_image_destroy(image);
    options.format = DCLS_PLOT_HTML;
    check_outcome(ctx, "html", dcls_confusion_save(ctx, 3, counts, NULL, &options, path), DCLS_ERR_ARGUMENT,
                  ".png");
    check_outcome(ctx, "none", dcls_confusion_save(ctx, 0, counts, NULL, &options, path), DCLS_ERR_ARGUMENT,
                  "no classes");
    remove_dir(&dir);
}

/* So many classes that labels and numbers do not fit. */
static void many_classes(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    static const int64_t sizes[] = {1, 2, 30, 100, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t n = sizes[s];
        int64_t *counts = calloc((size_t)(n * n), sizeof *counts);
        char name[32];
        dcls_plot_options options = dcls_plot_options_default();
        assert_non_null(counts);
        for (int64_t i = 0; i < n; i++) {
            counts[i * n + i] = 1234567;
            counts[i * n + (i * 7 + 3) % n] += 100000;
        }
        snprintf(name, sizeof name, "c%d.png", (int)n);
        const char *path = temp_file(&dir, name);
        options.title =
            "A title that is much longer than the picture is wide, so that it must be cut somewhere near "
            "its end, as names of files sometimes are";
        assert_ok(ctx, dcls_confusion_save(ctx, n, counts, NULL, &options, path));
        dcls_image *image = load(ctx, path);
        assert_in_range(dcls_image_width(image), 420, 1200);
        dcls_image_destroy(image);
        free(counts);
    }
    remove_dir(&dir);
}

/* A gray picture of 4 x 2 pixels: half of it right, a quarter wrong, a quarter ignored. */
static void segmented_case(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "case.png");
    uint8_t gray[24], palette[256 * 3] = {0};
    static const uint8_t mask[8] = {0, 0, 0, 0, 1, 1, 255, 255}, answers[8] = {0, 0, 0, 0, 0, 0, 1, 1};
    dcls_image *image;
    memset(gray, 100, sizeof gray);
    palette[1] = 200; /* class 0 is green, class 1 blue */
    palette[5] = 200;
    assert_ok(ctx, dcls_image_create(ctx, 4, 2, gray, &image));
    const dcls_case item = {.name = "case",
                            .image = image,
                            .score = {.loss = 1, .correct = 4, .targets = 6},
                            .target = -1,
                            .answer = -1,
                            .mask = mask,
                            .answers = answers};
    assert_ok(ctx, dcls_case_save(ctx, &item, 2, palette, NULL, path));
    dcls_image *drawn = load(ctx, path);
    /* a pixel of the picture is 60 x 60 of the drawing */
    static const struct {
        uint8_t rgb[3];
        int pixels;
    } expected[] = {
        {{100, 100, 100}, 8},   /* the picture */
        {{35, 165, 35}, 4 + 6}, /* green over it: targets, answers */
        {{35, 35, 165}, 2 + 2}, /* blue */
        {{209, 209, 209}, 2},   /* an ignored target */
        {{193, 193, 193}, 6},   /* where nothing is wrong */
        {{169, 55, 57}, 2},     /* where it is */
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const int64_t found = count_color(drawn, expected[i].rgb) - expected[i].pixels * 3600;
        if (found < -50 || found > 50) fail_msg("colour %zu: %d pixels too many", i, (int)found);
    }
    dcls_image_destroy(drawn);
    dcls_image_destroy(image);
    remove_dir(&dir);
}

/* Pictures of any form have a page. */
static void forms(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    static const int64_t sizes[][2] = {{1, 1}, {1, 900}, {2000, 3}, {640, 480}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t pixels = sizes[s][0] * sizes[s][1];
        uint8_t *rgb = calloc((size_t)pixels, 3), palette[256 * 3] = {0};
        dcls_image *image;
        assert_ok(ctx, dcls_image_create(ctx, sizes[s][0], sizes[s][1], rgb, &image));
        dcls_case item = {.name = "a", .image = image, .target = 1, .answer = 0, .confidence = 0.5};
        assert_ok(ctx, dcls_case_save(ctx, &item, 2, palette, NULL, temp_file(&dir, "a.png")));
        const dcls_case twelve[12] = {item, item, item, item, item, item, item, item, item, item, item, item};
        dcls_plot_options options = dcls_plot_options_default();
        assert_ok(ctx,
                  dcls_cases_save(ctx, twelve, s < 2 ? 12 : 1, 2, NULL, &options, temp_file(&dir, "c.png")));
        dcls_image *drawn = load(ctx, temp_file(&dir, "c.png"));
        assert_int_equal(dcls_image_width(drawn), s < 2 ? 2 * 20 + 6 * 142 - 14 : 420);
        dcls_image_destroy(drawn);
        item.mask = item.answers = rgb;
        assert_ok(ctx, dcls_case_save(ctx, &item, 2, palette, NULL, temp_file(&dir, "b.png")));
        dcls_image_destroy(image);
        free(rgb);
    }
    remove_dir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(confusion),
        CONTEXT_TEST(many_classes),
        CONTEXT_TEST(segmented_case),
        CONTEXT_TEST(forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
