/* Random changes of pictures: where pixels go, that masks go with them, colours. */
#include "tests/unit/data_util.h"

#include <math.h>

#include "base/rng.h"
#include "train/augment.h"

enum { W = 60, H = 40 };

/* Red is x, green y, blue 250; the mask is x or y too. */
static uint8_t ramp[H][W][3], mask_x[H][W], mask_y[H][W];

static void draw_ramp(void)
{
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            memcpy(ramp[y][x], ((const uint8_t[]){(uint8_t)x, (uint8_t)y, 250}), 3);
            mask_x[y][x] = (uint8_t)x;
            mask_y[y][x] = (uint8_t)y;
        }
    }
}

/* Tensors that hold the bytes themselves, the mean being that of `mean`. */
static dcls_preprocess bytes_minus(float mean)
{
    const float std = 1 / 255.0f, m = mean / 255.0f;
    return (dcls_preprocess){
        .filter = DCLS_FILTER_BILINEAR, .channels = 3, .mean = {m, m, m}, .std = {std, std, std}};
}

struct run {
    int64_t height, width;
    float *tensor;
    int32_t *target;
    dcls_scratch scratch;
};

static struct run new_run(int64_t height, int64_t width)
{
    struct run run = {.height = height, .width = width};
    run.tensor = calloc((size_t)(3 * height * width), sizeof *run.tensor);
    run.target = calloc((size_t)(height * width), sizeof *run.target);
    assert_non_null(run.tensor);
    assert_non_null(run.target);
    return run;
}

static void free_run(struct run *run)
{
    free(run->tensor);
    free(run->target);
    dcls_scratch_free(&run->scratch);
}

static float at(const struct run *run, int c, int64_t y, int64_t x)
{
    return run->tensor[(c * run->height + y) * run->width + x];
}

static int32_t target_at(const struct run *run, int64_t y, int64_t x)
{
    return run->target[y * run->width + x];
}

static void change(dcls_context *ctx, struct run *run, const dcls_augment *augment,
                   const dcls_preprocess *preprocess, const void *mask, uint64_t seed)
{
    dcls_pipeline pipeline;
    const dcls_view view = {W, H, &ramp[0][0][0], mask};
    dcls_rng rng = dcls_rng_stream(seed, 0);
    draw_ramp();
    assert_ok(ctx, dcls_pipeline_init(ctx, augment, preprocess, run->height, run->width, &pipeline));
    assert_ok(ctx, dcls_pipeline_run(ctx, &pipeline, &view, &rng, &run->scratch, run->tensor, run->target));
}

/* ---- crops and flips ---- */

/* Every pixel is where the offset puts it or black; all offsets and both directions come about equally often.
 */
static void padded_crops(void **state)
{
    enum { PAD = 2, SIDES = 2 * PAD + 1, RUNS = 5000 };
    const dcls_augment augment = {.crop_padding = PAD, .flip = true};
    const dcls_preprocess preprocess = bytes_minus(0);
    struct run run = new_run(H, W);
    int seen[2][SIDES][SIDES] = {{{0}}};
    for (int i = 0; i < RUNS; i++) {
        change(*state, &run, &augment, &preprocess, mask_x, (uint64_t)i);
        /* The middle tells the offset, its neighbour the direction. */
        int64_t top = lrintf(at(&run, 1, H / 2, W / 2)) - H / 2;
        bool flip = at(&run, 0, H / 2, W / 2 + 1) < at(&run, 0, H / 2, W / 2);
        int64_t left = lrintf(at(&run, 0, H / 2, flip ? W - 1 - W / 2 : W / 2)) - W / 2;
        assert_true(top >= -PAD && top <= PAD && left >= -PAD && left <= PAD);
        seen[flip][top + PAD][left + PAD]++;
        for (int64_t y = 0; y < H && i < 200; y++) {
            for (int64_t x = 0; x < W; x++) {
                int64_t from_x = (flip ? W - 1 - x : x) + left, from_y = y + top;
                bool inside = from_x >= 0 && from_x < W && from_y >= 0 && from_y < H;
                assert_true(fabs((double)at(&run, 0, y, x) - (inside ? (double)from_x : 0)) < 1e-3);
                assert_true(fabs((double)at(&run, 2, y, x) - (inside ? 250 : 0)) < 1e-3);
                assert_int_equal(target_at(&run, y, x), inside ? from_x : DCLS_IGNORE);
            }
        }
    }
    for (int f = 0; f < 2; f++) {
        for (int i = 0; i < SIDES * SIDES; i++) /* 100 expected, 5 standard deviations */
            assert_in_range(seen[f][i / SIDES][i % SIDES], 50, 150);
    }
    free_run(&run);
}

/* What a line through the reds (or greens) of the middle of the tensor says: cells of the picture per cell of
 * the tensor. Only where the picture fills the tensor that far. */
static double slope(const struct run *run, bool rows, int reach)
{
    int64_t y = run->height / 2, x = run->width / 2;
    if (rows) return ((double)at(run, 1, y + reach, x) - (double)at(run, 1, y - reach, x)) / (2 * reach);
    return ((double)at(run, 0, y, x + reach) - (double)at(run, 0, y, x - reach)) / (2 * reach);
}

/* Nearest cell and weighted mean of the same place of a ramp differ by half a cell of the coarser grid,
 * rounding and what the picture's edge cuts off. Outside there is the mean, which is 100. */
static void check_agreement(const struct run *run, int channel, double coarse)
{
    int inside = 0;
    for (int64_t y = 0; y < run->height; y++) {
        for (int64_t x = 0; x < run->width; x++) {
            int32_t target = target_at(run, y, x);
            double value = (double)at(run, channel, y, x);
            inside += target != DCLS_IGNORE;
            if (target == DCLS_IGNORE) {
                assert_true(value == 0);
            } else if (fabs(value + 100 - target) > 1.1 * coarse + 0.6) {
                fail_msg("%g where the mask says %d", value + 100, (int)target);
            }
        }
    }
    assert_true(inside > 0);
}

static void masks_follow_scaling(void **state)
{
    const dcls_augment augment = {.scale_min = 0.5, .scale_max = 2, .flip = true};
    const dcls_preprocess preprocess = bytes_minus(100);
    double low = 10, high = 0, sum = 0;
    int measured = 0;
    struct run run = new_run(44, 50);
    for (int i = 0; i < 600; i++) {
        change(*state, &run, &augment, &preprocess, i % 2 ? mask_x : mask_y, (uint64_t)i);
        check_agreement(&run, i % 2 ? 0 : 1, 2);
        double cells = slope(&run, true, 4);
        if (target_at(&run, 18, 25) == DCLS_IGNORE || target_at(&run, 26, 25) == DCLS_IGNORE) continue;
        assert_true(fabs(fabs(slope(&run, false, 4)) - cells) < 0.3);
        low = fmin(low, cells);
        high = fmax(high, cells);
        sum += log(cells);
        measured++;
    }
    assert_true(low > 0.4 && low < 0.6 && high > 1.7 && high < 2.2);
    assert_true(fabs(sum / measured) < 0.12); /* the logarithm is uniform */
    free_run(&run);
}

/* A picture smaller than the batch lies in it whole, anywhere. */
static void small_pictures_float(void **state)
{
    const dcls_augment augment = {.scale_min = 1, .scale_max = 1};
    const dcls_preprocess preprocess = bytes_minus(100);
    struct run run = new_run(H + 3, W + 4);
    int seen[4][5] = {{0}};
    for (int i = 0; i < 400; i++) {
        int64_t top = 0, left = 0;
        change(*state, &run, &augment, &preprocess, mask_x, (uint64_t)i);
        while (target_at(&run, top, W / 2) == DCLS_IGNORE)
            top++;
        while (target_at(&run, H / 2, left) == DCLS_IGNORE)
            left++;
        assert_true(top <= 3 && left <= 4);
        seen[top][left]++;
        for (int64_t x = 0; x < W + 4; x++) {
            bool inside = x >= left && x < left + W;
            assert_int_equal(target_at(&run, top + H - 1, x), inside ? x - left : DCLS_IGNORE);
        }
    }
    for (int i = 0; i < 20; i++)
        assert_in_range(seen[i / 5][i % 5], 4, 45); /* 20 expected */
    free_run(&run);
}

static void areas(void **state)
{
    enum { RUNS = 1000 };
    const dcls_augment augment = {.area_min = 0.2, .area_max = 0.9, .flip = true};
    const dcls_preprocess preprocess = bytes_minus(100);
    struct run run = new_run(40, 40);
    double low = 1, high = 0, mean = 0;
    for (int i = 0; i < RUNS; i++) {
        change(*state, &run, &augment, &preprocess, i % 2 ? mask_x : mask_y, (uint64_t)i);
        double width = fabs(slope(&run, false, 16)) * 40, height = slope(&run, true, 16) * 40;
        double share = width * height / (W * H), aspect = width / height;
        check_agreement(&run, i % 2 ? 0 : 1, 1.5);
        assert_true(aspect > 0.75 - 0.15 && aspect < 1.333 + 0.25);
        assert_true(width < W + 5 && height < H + 5);
        low = fmin(low, share);
        high = fmax(high, share);
        mean += share / RUNS;
    }
    /* Boxes of more than 40 x 53 of the 60 x 40 pixels do not fit: 0.88 of the area. */
    assert_true(low > 0.15 && low < 0.25 && high > 0.8 && high < 0.97);
    assert_true(mean > 0.45 && mean < 0.6);
    free_run(&run);
}

/* The resize of preprocess comes before scale and padded crop, one resampling does both. */
static void resize_then_crop(void **state)
{
    const dcls_augment augment = {.crop_padding = 1};
    dcls_preprocess preprocess = bytes_minus(0);
    preprocess.resize = DCLS_RESIZE_EXACT;
    preprocess.resize_height = 20;
    preprocess.resize_width = 30;
    dcls_image *image;
    float *whole = calloc(3 * 20 * 30, sizeof *whole);
    struct run run = new_run(20, 30);
    draw_ramp();
    assert_ok(*state, dcls_image_create(*state, W, H, &ramp[0][0][0], &image));
    assert_ok(*state, dcls_preprocess_run(*state, &preprocess, image, whole));
    for (uint64_t seed = 0; seed < 50; seed++) {
        change(*state, &run, &augment, &preprocess, NULL, seed);
        bool found = false;
        for (int k = 0; k < 9 && !found; k++) {
            int top = k / 3 - 1, left = k % 3 - 1;
            found = true;
            for (int i = 0; i < 3 * 20 * 30 && found; i++) {
                int c = i / 600, y = i / 30 % 20 + top, x = i % 30 + left;
                float wanted = y < 0 || y > 19 || x < 0 || x > 29 ? 0 : whole[(c * 20 + y) * 30 + x];
                found = run.tensor[i] == wanted;
            }
        }
        assert_true(found);
    }
    dcls_image_destroy(image);
    free(whole);
    free_run(&run);
}

/* ---- cutout ---- */

static void cutout(void **state)
{
    enum { SIDE = 8, RUNS = 3000 };
    const dcls_augment augment = {.cutout = SIDE};
    const dcls_preprocess preprocess = bytes_minus(200); /* a value no red or green has */
    struct run run = new_run(H, W);
    int whole = 0, corner = 0;
    for (int i = 0; i < RUNS; i++) {
        int64_t top = H, bottom = -1, left = W, right = -1, count = 0;
        change(*state, &run, &augment, &preprocess, mask_x, (uint64_t)i);
        for (int64_t y = 0; y < H; y++) {
            for (int64_t x = 0; x < W; x++) {
                assert_int_equal(target_at(&run, y, x), x);
                if (at(&run, 0, y, x) != 0) continue;
                assert_true(at(&run, 1, y, x) == 0 && at(&run, 2, y, x) == 0);
                count++;
                top = y < top ? y : top;
                bottom = y > bottom ? y : bottom;
                left = x < left ? x : left;
                right = x > right ? x : right;
            }
        }
        assert_int_equal(count, (bottom - top + 1) * (right - left + 1));
        assert_true(bottom - top < SIDE && right - left < SIDE);
        whole += count == SIDE * SIDE;
        corner += top == 0 && left == 0;
    }
    /* Whole where the centre is not near an edge: (W - 7) (H - 7) of the places; at the corner for 5 x 5. */
    double places = (double)W * H;
    assert_true(fabs(whole / (double)RUNS - (W - 7) * (H - 7) / places) < 0.04);
    assert_true(fabs(corner / (double)RUNS - 25 / places) < 0.01);
    free_run(&run);
}

/* ---- colours ---- */

enum { PIXELS = 22 };

/* By torchvision 0.14's adjust_brightness, adjust_contrast, adjust_saturation and adjust_hue of uint8
 * tensors. */
static const struct {
    dcls_jitter jitter;
    uint8_t expected[PIXELS * 3];
} TORCHVISION[] = {
    {{0.6, 1.0, 1.0, 0.0}, {6,   3,   46, 28, 63, 78,  51,  124, 109, 73,  31,  141, 95,  91,  19,  117, 152,
                            51,  139, 59, 83, 8,  120, 115, 30,  27,  147, 52,  87,  25,  75,  148, 57,  97,
                            55,  88,  0,  0,  0,  153, 153, 153, 153, 0,   0,   0,   153, 0,   0,   0,   153,
                            153, 153, 0,  76, 76, 76,  0,   0,   152, 120, 120, 6,   6,   120, 120}},
    {{1.4, 1.0, 1.0, 0.0},
     {15,  7,   107, 67,  148, 182, 119, 255, 255, 170, 72,  255, 222, 214, 46,  255, 255,
      120, 255, 138, 194, 19,  255, 255, 71,  63,  255, 123, 204, 58,  175, 255, 133, 226,
      128, 207, 0,   0,   0,   255, 255, 255, 255, 0,   0,   0,   255, 0,   0,   0,   255,
      255, 255, 0,   179, 179, 179, 1,   0,   255, 255, 255, 14,  14,  255, 255}},
    {{1.0, 0.5, 1.0, 0.0},
     {67,  64,  100, 85,  114, 126, 104, 165, 153, 122, 87,  179, 141, 138, 78,  159, 188,
      104, 178, 111, 131, 68,  161, 157, 87,  84,  184, 105, 134, 82,  124, 185, 109, 142,
      107, 135, 61,  61,  61,  189, 189, 189, 189, 61,  61,  61,  189, 61,  61,  61,  189,
      189, 189, 61,  125, 125, 125, 62,  61,  188, 161, 161, 66,  66,  161, 161}},
    {{1.0, 1.7, 1.0, 0.0},
     {0,   0,   44, 0,   93,  134, 58,  255, 224, 120, 1,   255, 183, 173, 0,   246, 255,
      59,  255, 81, 149, 0,   253, 239, 0,   0,   255, 63,  161, 0,   126, 255, 75,  188,
      69,  165, 0,  0,   0,   255, 255, 255, 255, 0,   0,   0,   255, 0,   0,   0,   255,
      255, 255, 0,  131, 131, 131, 0,   0,   255, 253, 253, 0,   0,   253, 253}},
    {{1.0, 1.0, 0.0, 0.0},
     {15,  15,  15,  91,  91,  91,  167, 167, 167, 93,  93,  93,  141, 141, 141, 217, 217,
      217, 143, 143, 143, 143, 143, 143, 69,  69,  69,  116, 116, 116, 193, 193, 193, 119,
      119, 119, 0,   0,   0,   254, 254, 254, 76,  76,  76,  149, 149, 149, 29,  29,  29,
      225, 225, 225, 127, 127, 127, 29,  29,  29,  178, 178, 178, 143, 143, 143}},
    {{1.0, 1.0, 2.0, 0.0},
     {7,   0,   139, 5,   121, 169, 3,   247, 199, 151, 11,  255, 177, 165, 0,   175, 255,
      0,   255, 55,  135, 0,   255, 241, 33,  21,  255, 60,  176, 0,   57,  255, 0,   205,
      65,  177, 0,   0,   0,   255, 255, 255, 255, 0,   0,   0,   255, 0,   0,   0,   255,
      255, 255, 0,   129, 129, 129, 0,   0,   255, 222, 222, 0,   0,   255, 255}},
    {{1.0, 1.0, 1.0, 0.1},
     {54,  5,   77,  48,  57,  130, 85,  158, 207, 233, 52,  236, 89,  159, 33,  95,  254,
      86,  233, 139, 99,  14,  96,  200, 171, 45,  245, 42,  146, 58,  95,  247, 156, 162,
      92,  106, 0,   0,   0,   255, 255, 255, 255, 153, 0,   0,   255, 153, 153, 0,   255,
      102, 255, 0,   128, 128, 128, 154, 0,   254, 86,  200, 10,  10,  86,  200}},
    {{1.0, 1.0, 1.0, -0.37},
     {14,  77,  5,   124, 130, 48,  207, 156, 85,  52,  236, 81,  125, 33,  159, 254, 86,
      233, 99,  169, 233, 200, 151, 14,  83,  245, 45,  146, 42,  111, 247, 95,  159, 92,
      162, 161, 0,   0,   0,   255, 255, 255, 0,   56,  255, 255, 0,   56,  56,  255, 0,
      199, 0,   255, 128, 128, 128, 55,  254, 0,   158, 10,  200, 200, 158, 10}},
    {{1.0, 1.0, 1.0, 0.5},
     {71,  77,  5,   130, 72,  48,  207, 85,  109, 166, 236, 52,  33,  39,  159, 144, 86,
      254, 99,  233, 193, 200, 14,  22,  239, 245, 45,  100, 42,  146, 217, 95,  247, 92,
      162, 106, 0,   0,   0,   255, 255, 255, 0,   255, 255, 255, 0,   255, 255, 255, 0,
      0,   0,   255, 128, 128, 128, 253, 254, 0,   10,  10,  200, 200, 10,  10}},
    {{1.2, 0.8, 1.3, -0.05},
     {29,  49,  118, 60,  163, 162, 85,  236, 161, 96,  65,  255, 184, 129, 27,  236, 210,
      78,  252, 109, 203, 2,   235, 155, 64,  114, 255, 141, 175, 45,  177, 242, 95,  185,
      107, 194, 27,  27,  27,  231, 231, 231, 255, 8,   82,  76,  255, 0,   20,  90,  255,
      238, 167, 0,   149, 149, 149, 20,  89,  255, 225, 158, 0,   0,   235, 165}},
};

static void jitter_equals_torchvision(void **state)
{
    (void)state;
    static const uint8_t last[10][3] = {{0, 0, 0},      {255, 255, 255}, {255, 0, 0},     {0, 255, 0},
                                        {0, 0, 255},    {255, 255, 0},   {128, 128, 128}, {1, 0, 254},
                                        {200, 200, 10}, {10, 200, 200}};
    for (size_t r = 0; r < sizeof TORCHVISION / sizeof *TORCHVISION; r++) {
        uint8_t pixels[PIXELS][3];
        for (int i = 0; i < 12; i++) {
            pixels[i][0] = (uint8_t)(i * 37 + 11);
            pixels[i][1] = (uint8_t)(i * 101 + 5);
            pixels[i][2] = (uint8_t)(i * 53 + 77);
        }
        memcpy(pixels[12], last, sizeof last);
        dcls_jitter_run(&TORCHVISION[r].jitter, 3, PIXELS, &pixels[0][0]);
        assert_memory_equal(pixels, TORCHVISION[r].expected, sizeof pixels);
    }
}

static void gray_pixels_have_no_hue(void **state)
{
    (void)state;
    const dcls_jitter jitter = {1.5, 0.5, 3, 0.4};
    uint8_t pixels[4] = {0, 40, 100, 200};
    dcls_jitter_run(&jitter, 1, 4, pixels); /* 0, 60, 150, 255: mean 116.25 */
    assert_memory_equal(pixels, ((const uint8_t[]){58, 88, 133, 185}), 4);
}

static void factors_fill_their_range(void **state)
{
    (void)state;
    const dcls_augment augment = {.brightness = 0.4, .contrast = 2, .hue = 0.25};
    dcls_jitter low = {9, 9, 9, 9}, high = {0};
    dcls_rng rng = dcls_rng_stream(3, 0);
    for (int i = 0; i < 2000; i++) {
        const dcls_jitter j = dcls_jitter_draw(&augment, &rng);
        low.brightness = fmin(low.brightness, j.brightness);
        high.brightness = fmax(high.brightness, j.brightness);
        low.contrast = fmin(low.contrast, j.contrast);
        high.contrast = fmax(high.contrast, j.contrast);
        low.hue = fmin(low.hue, j.hue);
        high.hue = fmax(high.hue, j.hue);
        assert_true(j.saturation == 1);
    }
    assert_true(low.brightness >= 0.6 && low.brightness < 0.61 && high.brightness <= 1.4 &&
                high.brightness > 1.39);
    assert_true(low.contrast >= 0 && low.contrast < 0.01 && high.contrast <= 3 && high.contrast > 2.98);
    assert_true(low.hue >= -0.25 && low.hue < -0.245 && high.hue <= 0.25 && high.hue > 0.245);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(padded_crops),
        CONTEXT_TEST(masks_follow_scaling),
        CONTEXT_TEST(small_pictures_float),
        CONTEXT_TEST(areas),
        CONTEXT_TEST(resize_then_crop),
        CONTEXT_TEST(cutout),
        CONTEXT_TEST(jitter_equals_torchvision),
        CONTEXT_TEST(gray_pixels_have_no_hue),
        CONTEXT_TEST(factors_fill_their_range),
    };
    return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
