/* Logits to classes, classes to palette PNG, and the overlay. */
#include "tests/unit/image_util.h"

#include <math.h>

#include "base/palette.h"
#include "draw/canvas.h"

/* ---- argmax ---- */

static void ties_and_nan(void **state)
{
    /* [4 classes, 1, 8 pixels] */
    const float logits[4 * 8] = {
        1, 2, NAN, NAN, 0, -INFINITY, NAN,       5,   /* 0 */
        1, 1, 3,   NAN, 0, -INFINITY, -INFINITY, 6,   /* 1 */
        0, 2, 2,   NAN, 7, -INFINITY, NAN,       NAN, /* 2 */
        1, 2, 3,   NAN, 7, 0,         -INFINITY, 6,   /* 3 */
    };
    const uint8_t expected[8] = {0, 0, 1, 0, 2, 3, 1, 1};
    uint8_t mask[8];
    assert_ok(*state, dcls_mask_from_logits(*state, logits, 4, 1, 8, 1, 8, mask));
    assert_memory_equal(mask, expected, sizeof mask);
}

static void class_255_exists(void **state)
{
    float logits[256] = {0};
    uint8_t mask;
    logits[255] = 1;
    assert_ok(*state, dcls_mask_from_logits(*state, logits, 256, 1, 1, 1, 1, &mask));
    assert_int_equal(mask, 255);
    assert_int_equal(dcls_mask_from_logits(*state, logits, 257, 1, 1, 1, 1, &mask), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_mask_from_logits(*state, logits, 1, 0, 1, 1, 1, &mask), DCLS_ERR_ARGUMENT);
}

static float cell(const float *plane, int height, int width, double y, double x)
{
    double cy = fmin(fmax(y, 0), height - 1), cx = fmin(fmax(x, 0), width - 1);
    int y0 = (int)cy, x0 = (int)cx, y1 = y0 + (y0 < height - 1), x1 = x0 + (x0 < width - 1);
    double fy = cy - y0, fx = cx - x0;
    return (float)((1 - fy) * ((1 - fx) * plane[y0 * width + x0] + fx * plane[y0 * width + x1]) +
                   fy * ((1 - fx) * plane[y1 * width + x0] + fx * plane[y1 * width + x1]));
}

/* Against bilinear interpolation in double precision, for any number of threads; pixels where two classes
 * come within rounding of each other are let off. */
static void logits_are_resized_first(void **state)
{
    enum { CLASSES = 5, H = 7, W = 9 };
    static const int sizes[][2] = {{20, 31}, {3, 4}, {7, 18}, {14, 9}, {1, 1}, {7, 9}};
    float logits[CLASSES * H * W];
    for (int i = 0; i < CLASSES * H * W; i++)
        logits[i] = sinf((float)(i * i % 1009));
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int out_h = sizes[s][0], out_w = sizes[s][1], threads = 1 + (int)s % 3;
        uint8_t mask[20 * 31];
        assert_ok(*state, dcls_context_set_threads(*state, threads));
        assert_ok(*state, dcls_mask_from_logits(*state, logits, CLASSES, H, W, out_h, out_w, mask));
        for (int y = 0; y < out_h; y++) {
            for (int x = 0; x < out_w; x++) {
                float value[CLASSES], best = -INFINITY;
                for (int c = 0; c < CLASSES; c++) {
                    value[c] = cell(logits + c * H * W, H, W, (y + 0.5) * H / out_h - 0.5,
                                    (x + 0.5) * W / out_w - 0.5);
                    best = fmaxf(best, value[c]);
                }
                assert_true(value[mask[y * out_w + x]] > best - 1e-5f);
            }
        }
    }
}

/* ---- palette and PNG ---- */

static void voc_colours(void **state)
{
    (void)state;
    static const uint8_t expected[][4] = {{0, 0, 0, 0},        {1, 128, 0, 0},     {2, 0, 128, 0},
                                          {4, 0, 0, 128},      {7, 128, 128, 128}, {8, 64, 0, 0},
                                          {15, 192, 128, 128}, {20, 0, 64, 128},   {255, 224, 224, 192}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint8_t rgb[3];
        dcls_voc_color(expected[i][0], rgb);
        assert_memory_equal(rgb, expected[i] + 1, 3);
    }
}

/* The file holds the classes themselves: 8-bit indices, in the order given, with the palette. */
static void masks_are_palette_pngs(void **state)
{
    enum { W = 5, H = 3 };
    const uint8_t mask[W * H] = {0, 1, 2, 3, 3, 3, 2, 1, 0, 0, 1, 1, 2, 2, 3};
    const uint8_t palette[4 * 3] = {0, 0, 0, 10, 20, 30, 255, 0, 0, 1, 2, 3};
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "mask.png");
    assert_ok(*state, dcls_mask_save(*state, path, mask, W, H, palette, 4));
    dcls_bytes bytes;
    assert_ok(*state, dcls_file_read(*state, path, 1 << 20, &bytes));
    assert_int_equal(bytes.data[24], 8); /* bit depth */
    assert_int_equal(bytes.data[25], 3); /* colour type: palette */
    assert_non_null(memmem(bytes.data, bytes.size, palette, sizeof palette));
    free(bytes.data);
    dcls_image *image = load_picture(*state, path);
    assert_int_equal(dcls_image_width(image), W);
    assert_int_equal(dcls_image_height(image), H);
    for (int i = 0; i < W * H; i++)
        assert_memory_equal(dcls_image_pixels(image) + i * 3, palette + mask[i] * 3, 3);
    dcls_image_destroy(image);
    unlink(path);
    rmdir(dir.path);
}

static void bad_masks_leave_no_file(void **state)
{
    const uint8_t mask[2] = {0, 3}, palette[9] = {0};
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "mask.png");
    check_outcome(*state, "class", dcls_mask_save(*state, path, mask, 2, 1, palette, 3), DCLS_ERR_ARGUMENT,
                  "class 3");
    check_outcome(*state, "colours", dcls_mask_save(*state, path, mask, 1, 1, palette, 257),
                  DCLS_ERR_ARGUMENT, "256");
    check_outcome(*state, "size", dcls_mask_save(*state, path, mask, 0, 1, palette, 3), DCLS_ERR_ARGUMENT,
                  "pixel");
    check_outcome(*state, "path", dcls_mask_save(*state, "/nonexistent/mask.png", mask, 1, 1, palette, 3),
                  DCLS_ERR_IO, NULL);
    assert_int_equal(rmdir(dir.path), 0); /* empty */
}

/* ---- masks from files ---- */

static uint8_t *load_mask(dcls_context *ctx, const char *path, int64_t *width, int64_t *height)
{
    uint8_t *mask = NULL;
    assert_ok(ctx, dcls_mask_load(ctx, path, &mask, width, height));
    assert_non_null(mask);
    return mask;
}

static void masks_come_back(void **state)
{
    const uint8_t mask[6] = {0, 255, 2, 3, 254, 1}, palette[256 * 3] = {0};
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "mask.png");
    assert_ok(*state, dcls_mask_save(*state, path, mask, 3, 2, palette, 256));
    int64_t width = 0, height = 0;
    uint8_t *read = load_mask(*state, path, &width, &height);
    assert_int_equal(width, 3);
    assert_int_equal(height, 2);
    assert_memory_equal(read, mask, sizeof mask);
    free(read);
    unlink(path);
    rmdir(dir.path);
}

/* Samples as they are stored are what makes the picture: gray levels in steps of 255 / (2^depth - 1), colours
 * out of the palette. */
static void check_samples(dcls_context *ctx, const char *path, int depth, const uint8_t *palette)
{
    int64_t width = 0, height = 0;
    uint8_t *mask = load_mask(ctx, path, &width, &height);
    dcls_image *image = load_picture(ctx, path);
    assert_int_equal(width, dcls_image_width(image));
    assert_int_equal(height, dcls_image_height(image));
    for (int64_t i = 0; i < width * height; i++) {
        const uint8_t *rgb = dcls_image_pixels(image) + i * 3;
        assert_true(mask[i] < 1 << depth);
        if (palette) {
            assert_memory_equal(rgb, palette + mask[i] * 3, 3);
        } else {
            assert_int_equal(rgb[0], mask[i] * 255 / ((1 << depth) - 1));
        }
    }
    dcls_image_destroy(image);
    free(mask);
}

static void masks_of_every_depth(void **state)
{
    for (int i = 0; i < 8; i++) {
        char path[128], name[32];
        int depth = 1 << i / 2;
        snprintf(path, sizeof path, IMAGES "good/c0d%d%s.png", depth, i % 2 ? "i" : "");
        check_samples(*state, path, depth, NULL);
        snprintf(name, sizeof name, "good/c3d%d%s.png", depth, i % 2 ? "i" : "");
        snprintf(path, sizeof path, IMAGES "%s", name);
        dcls_bytes bytes = read_fixture(*state, name);
        const uint8_t *palette = memmem(bytes.data, bytes.size, "PLTE", 4);
        assert_non_null(palette);
        check_samples(*state, path, depth, palette + 4);
        free(bytes.data);
    }
}

static void refuse_mask(dcls_context *ctx, const char *path, dcls_status expected, const char *part)
{
    int64_t width, height;
    uint8_t *mask = (uint8_t *)ctx;
    check_outcome(ctx, path, dcls_mask_load(ctx, path, &mask, &width, &height), expected, part);
    assert_null(mask);
}

static void other_masks_are_refused(void **state)
{
    refuse_mask(*state, IMAGES "good/c0d16.png", DCLS_ERR_UNSUPPORTED, "not 16");
    refuse_mask(*state, IMAGES "good/c2d8.png", DCLS_ERR_UNSUPPORTED, "colours");
    refuse_mask(*state, IMAGES "good/c4d8.png", DCLS_ERR_UNSUPPORTED, "alpha");
    refuse_mask(*state, IMAGES "good/c6d8.png", DCLS_ERR_UNSUPPORTED, "colours");
    refuse_mask(*state, IMAGES "good/rgb.jpg", DCLS_ERR_FORMAT, "must be a PNG");
    refuse_mask(*state, "/nonexistent.png", DCLS_ERR_IO, "cannot open");
    dcls_bytes bytes = read_fixture(*state, "good/c3d8.png");
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "mask.png");
    write_bytes(path, bytes.data, bytes.size / 2);
    refuse_mask(*state, path, DCLS_ERR_FORMAT, "truncated PNG");
    free(bytes.data);
    unlink(path);
    rmdir(dir.path);
}

/* ---- overlay ---- */

/* False, after saying so, where nothing can be drawn. */
static bool can_draw(dcls_context *ctx)
{
    dcls_canvas *canvas;
    dcls_status status = dcls_canvas_create(ctx, 1, 1, (dcls_color){1, 1, 1, 1}, &canvas);
    dcls_canvas_destroy(canvas);
    if (status == DCLS_OK) return true;
    check_outcome(ctx, "canvas", status, DCLS_ERR_UNSUPPORTED, "libcairo");
    return false;
}

enum { SIDE = 200 };

/* A gray picture, left half class 0 and right half class 1. */
static dcls_image *halves(dcls_context *ctx, uint8_t mask[SIDE * SIDE])
{
    static uint8_t rgb[SIDE * SIDE * 3];
    memset(rgb, 100, sizeof rgb);
    for (int i = 0; i < SIDE * SIDE; i++)
        mask[i] = i % SIDE >= SIDE / 2;
    dcls_image *image;
    assert_ok(ctx, dcls_image_create(ctx, SIDE, SIDE, rgb, &image));
    return image;
}

static const uint8_t red_blue[6] = {200, 0, 0, 0, 0, 200};

static void overlay_blends_and_explains(void **state)
{
    if (!can_draw(*state)) skip();
    static uint8_t mask[SIDE * SIDE];
    const char *const labels[2] = {"left", "right \xff\n"};
    dcls_image *image = halves(*state, mask);
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "overlay.png");
    const dcls_overlay_options options = {0.5, red_blue, 2, labels};
    assert_ok(*state, dcls_overlay_save(*state, path, image, mask, &options));
    dcls_image *overlay = load_picture(*state, path);
    assert_int_equal(dcls_image_width(overlay), SIDE);
    assert_true(dcls_image_height(overlay) > SIDE + 20);
    const uint8_t *pixels = dcls_image_pixels(overlay);
    assert_memory_equal(pixels + 10 * 3, ((const uint8_t[]){150, 50, 50}), 3);
    assert_memory_equal(pixels + (SIDE * (SIDE - 1) + SIDE - 10) * 3, ((const uint8_t[]){50, 50, 150}), 3);
    assert_true(pixels[(SIDE / 2 - 1) * 3 + 1] > 100); /* the line between them is light */
    bool swatch[2] = {false, false}, ink = false;
    for (int64_t i = SIDE * SIDE; i < SIDE * dcls_image_height(overlay); i++) {
        for (int c = 0; c < 2; c++)
            swatch[c] |= memcmp(pixels + i * 3, red_blue + c * 3, 3) == 0;
        ink |= pixels[i * 3] < 80 && pixels[i * 3 + 1] < 80 && pixels[i * 3 + 2] < 80;
    }
    assert_true(swatch[0] && swatch[1] && ink);
    dcls_image_destroy(overlay);
    dcls_image_destroy(image);
    unlink(path);
    rmdir(dir.path);
}

/* Opacity 0 leaves the picture as it is; a picture narrower than its legend keeps its pixels at the left. */
static void overlay_keeps_pixels(void **state)
{
    if (!can_draw(*state)) skip();
    const uint8_t rgb[4 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, mask[4] = {0, 1, 1, 0};
    dcls_image *image;
    assert_ok(*state, dcls_image_create(*state, 2, 2, rgb, &image));
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "overlay.png");
    const dcls_overlay_options options = {0, red_blue, 2, NULL};
    assert_ok(*state, dcls_overlay_save(*state, path, image, mask, &options));
    dcls_image *overlay = load_picture(*state, path);
    int64_t width = dcls_image_width(overlay);
    assert_true(width > 20);
    assert_memory_equal(dcls_image_pixels(overlay), rgb, 6);
    assert_memory_equal(dcls_image_pixels(overlay) + width * 3, rgb + 6, 6);
    dcls_image_destroy(overlay);
    dcls_image_destroy(image);
    unlink(path);
    rmdir(dir.path);
}

static void bad_overlays_are_refused(void **state)
{
    static uint8_t mask[SIDE * SIDE];
    dcls_image *image = halves(*state, mask);
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "overlay.png");
    dcls_overlay_options options = {(double)NAN, red_blue, 2, NULL};
    check_outcome(*state, "nan", dcls_overlay_save(*state, path, image, mask, &options), DCLS_ERR_ARGUMENT,
                  "opacity");
    options = (dcls_overlay_options){0.5, red_blue, 1, NULL};
    check_outcome(*state, "class", dcls_overlay_save(*state, path, image, mask, &options), DCLS_ERR_ARGUMENT,
                  "class 1");
    dcls_image_destroy(image);
    assert_int_equal(rmdir(dir.path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(ties_and_nan),
        CONTEXT_TEST(class_255_exists),
        CONTEXT_TEST(logits_are_resized_first),
        CONTEXT_TEST(voc_colours),
        CONTEXT_TEST(masks_are_palette_pngs),
        CONTEXT_TEST(bad_masks_leave_no_file),
        CONTEXT_TEST(masks_come_back),
        CONTEXT_TEST(masks_of_every_depth),
        CONTEXT_TEST(other_masks_are_refused),
        CONTEXT_TEST(overlay_blends_and_explains),
        CONTEXT_TEST(overlay_keeps_pixels),
        CONTEXT_TEST(bad_overlays_are_refused),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
