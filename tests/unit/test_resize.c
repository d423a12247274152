/* Resize, crop and normalisation against Pillow's and torchvision's, in tests/fixtures/images/resize.*. */
#include "tests/unit/image_util.h"

#include <math.h>

#include "image/resize.h"

static dcls_filter filter_named(const char *name)
{
    if (strcmp(name, "nearest") == 0) return DCLS_FILTER_NEAREST;
    return strcmp(name, "bilinear") == 0 ? DCLS_FILTER_BILINEAR : DCLS_FILTER_BICUBIC;
}

static dcls_preprocess plain(void)
{
    return (dcls_preprocess){.filter = DCLS_FILTER_BILINEAR, .channels = 3, .std = {1, 1, 1}};
}

/* The tensor of p for a picture of those pixels, to be freed. */
static float *run(dcls_context *ctx, const dcls_preprocess *p, int width, int height, const uint8_t *rgb,
                  int64_t *out_height, int64_t *out_width)
{
    dcls_image *image;
    assert_ok(ctx, dcls_image_create(ctx, width, height, rgb, &image));
    assert_ok(ctx, dcls_preprocess_size(ctx, p, width, height, out_height, out_width));
    float *tensor = malloc((size_t)(*out_height * *out_width * p->channels) * sizeof *tensor);
    assert_non_null(tensor);
    assert_ok(ctx, dcls_preprocess_run(ctx, p, image, tensor));
    dcls_image_destroy(image);
    return tensor;
}

/* tensor [channels, height, width] against pixels [height, width, channels], bit for bit. */
static void check_tensor(const char *name, const dcls_preprocess *p, int64_t pixels, const float *tensor,
                         const uint8_t *expected)
{
    for (int64_t i = 0; i < pixels; i++) {
        for (int c = 0; c < p->channels; c++) {
            float want = ((float)expected[i * p->channels + c] / 255.0f - p->mean[c]) / p->std[c];
            float got = tensor[c * pixels + i];
            if (got != want) fail_msg("%s: pixel %d channel %d: %g, not %g", name, (int)i, c, got, want);
        }
    }
}

static void check_resize(dcls_context *ctx, const char *line, void *arg)
{
    const dcls_bytes *data = arg;
    enum { WIDTH, HEIGHT, TO_WIDTH, TO_HEIGHT, CHANNELS, FROM, TO, COUNT };
    char filter[16];
    int64_t n[COUNT];
    if (strncmp(line, "crop", 4) == 0) return;
    snprintf(filter, sizeof filter, "%.*s", (int)strcspn(line, " "), line);
    read_numbers(line + strlen(filter), n, COUNT);
    dcls_preprocess p = plain();
    p.resize = DCLS_RESIZE_EXACT;
    p.resize_width = n[TO_WIDTH];
    p.resize_height = n[TO_HEIGHT];
    p.filter = filter_named(filter);
    p.channels = (int)n[CHANNELS];
    int64_t h, w;
    float *tensor = run(ctx, &p, (int)n[WIDTH], (int)n[HEIGHT], data->data + n[FROM], &h, &w);
    assert_int_equal(h, n[TO_HEIGHT]);
    assert_int_equal(w, n[TO_WIDTH]);
    check_tensor(line, &p, h * w, tensor, data->data + n[TO]);
    free(tensor);
}

static void check_crop(dcls_context *ctx, const char *line, void *arg)
{
    const dcls_bytes *data = arg;
    enum { SIZE, CROP_HEIGHT, CROP_WIDTH, WIDTH, HEIGHT, FROM, TO, COUNT };
    int64_t n[COUNT];
    if (strncmp(line, "crop", 4) != 0) return;
    read_numbers(line + 4, n, COUNT);
    dcls_preprocess p = plain();
    p.resize = n[SIZE] ? DCLS_RESIZE_SHORTER : DCLS_RESIZE_NONE;
    p.resize_height = n[SIZE];
    p.crop_height = n[CROP_HEIGHT];
    p.crop_width = n[CROP_WIDTH];
    memcpy(p.mean, (float[]){0.485f, 0.456f, 0.406f}, sizeof p.mean);
    memcpy(p.std, (float[]){0.229f, 0.224f, 0.225f}, sizeof p.std);
    int64_t h, w;
    float *tensor = run(ctx, &p, (int)n[WIDTH], (int)n[HEIGHT], data->data + n[FROM], &h, &w);
    assert_int_equal(h, n[CROP_HEIGHT]);
    assert_int_equal(w, n[CROP_WIDTH]);
    check_tensor(line, &p, h * w, tensor, data->data + n[TO]);
    free(tensor);
}

static void resize_equals_pillow(void **state)
{
    dcls_bytes data = read_fixture(*state, "resize.rgb");
    for_lines("resize.txt", check_resize, *state, &data);
    free(data.data);
}

static void crop_equals_torchvision(void **state)
{
    dcls_bytes data = read_fixture(*state, "resize.rgb");
    for_lines("resize.txt", check_crop, *state, &data);
    free(data.data);
}

/* A window of the result is the same pixels as the whole result has there. */
static void windows_are_parts_of_the_whole(void **state)
{
    enum { W = 23, H = 19, TO_W = 31, TO_H = 11, X = 5, Y = 3, PART_W = 17, PART_H = 6 };
    static uint8_t rgb[W * H * 3], whole[TO_W * TO_H * 3], part[PART_W * PART_H * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * i * 31 + i * 17);
    for (int filter = DCLS_FILTER_NEAREST; filter <= DCLS_FILTER_BICUBIC; filter++) {
        dcls_resize r = {rgb, W, H, 3, TO_W, TO_H, 0, 0, TO_W, TO_H, (dcls_filter)filter};
        assert_ok(*state, dcls_resize_run(*state, &r, whole));
        r = (dcls_resize){rgb, W, H, 3, TO_W, TO_H, X, Y, PART_W, PART_H, (dcls_filter)filter};
        assert_ok(*state, dcls_resize_run(*state, &r, part));
        for (int y = 0; y < PART_H; y++) {
            assert_memory_equal(part + y * PART_W * 3, whole + ((y + Y) * TO_W + X) * 3, PART_W * 3);
        }
    }
}

static void sizes_follow_torchvision(void **state)
{
    static const struct {
        int64_t width, height, size, expect_width, expect_height;
    } rows[] = {{500, 375, 256, 341, 256}, {375, 500, 256, 256, 341},  {256, 256, 256, 256, 256},
                {257, 256, 256, 257, 256}, {640, 427, 232, 347, 232},  {1, 1000, 32, 32, 32000},
                {3, 2, 7, 10, 7},          {1000000, 1, 2, 2000000, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcls_preprocess p = plain();
        int64_t h, w;
        p.resize = DCLS_RESIZE_SHORTER;
        p.resize_height = rows[i].size;
        assert_ok(*state, dcls_preprocess_size(*state, &p, rows[i].width, rows[i].height, &h, &w));
        assert_int_equal(w, rows[i].expect_width);
        assert_int_equal(h, rows[i].expect_height);
    }
}

static void bad_settings_are_refused(void **state)
{
    static const struct {
        dcls_preprocess p;
        dcls_status status;
    } rows[] = {
        {{.resize = (dcls_resize_mode)9, .channels = 3, .std = {1, 1, 1}}, DCLS_ERR_ARGUMENT},
        {{.resize = DCLS_RESIZE_SHORTER, .resize_height = 0, .channels = 3, .std = {1, 1, 1}},
         DCLS_ERR_ARGUMENT},
        {{.resize = DCLS_RESIZE_SHORTER, .resize_height = INT64_MAX, .channels = 3, .std = {1, 1, 1}},
         DCLS_ERR_ARGUMENT},
        {{.resize = DCLS_RESIZE_EXACT,
          .resize_height = 4,
          .resize_width = -1,
          .channels = 3,
          .std = {1, 1, 1}},
         DCLS_ERR_ARGUMENT},
        {{.resize = DCLS_RESIZE_EXACT,
          .resize_height = INT32_MAX,
          .resize_width = INT32_MAX,
          .channels = 3,
          .std = {1, 1, 1}},
         DCLS_ERR_LIMIT},
        {{.resize = DCLS_RESIZE_SHORTER, .resize_height = INT32_MAX, .channels = 1, .std = {1}},
         DCLS_ERR_LIMIT},
        {{.crop_height = 3, .channels = 3, .std = {1, 1, 1}}, DCLS_ERR_ARGUMENT},
        {{.crop_height = -3, .crop_width = -3, .channels = 3, .std = {1, 1, 1}}, DCLS_ERR_ARGUMENT},
        {{.filter = (dcls_filter)7, .channels = 3, .std = {1, 1, 1}}, DCLS_ERR_ARGUMENT},
        {{.channels = 2, .std = {1, 1, 1}}, DCLS_ERR_ARGUMENT},
        {{.channels = 3, .std = {1, 0, 1}}, DCLS_ERR_ARGUMENT},
        {{.channels = 1, .mean = {(float)INFINITY}, .std = {1}}, DCLS_ERR_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[16];
        int64_t h, w;
        snprintf(name, sizeof name, "row %zu", i);
        check_outcome(*state, name, dcls_preprocess_size(*state, &rows[i].p, 20, 10, &h, &w), rows[i].status,
                      NULL);
    }
}

/* A thin strip blown up far beyond memory, of which a crop keeps little, costs little. */
static void only_the_crop_is_computed(void **state)
{
    enum { LENGTH = 100000 };
    uint8_t *rgb = calloc(LENGTH, 3);
    assert_non_null(rgb);
    memset(rgb, 200, LENGTH * 3);
    dcls_preprocess p = plain();
    p.resize = DCLS_RESIZE_SHORTER;
    p.resize_height = 1000;
    p.crop_height = p.crop_width = 8;
    dcls_context_set_limit(*state, DCLS_LIMIT_MEMORY_BYTES, 1 << 20);
    int64_t h, w;
    float *tensor = run(*state, &p, LENGTH, 1, rgb, &h, &w);
    for (int i = 0; i < 8 * 8 * 3; i++)
        assert_true(tensor[i] == 200.0f / 255.0f);
    free(tensor);
    free(rgb);
}

static void resizing_respects_the_memory_limit(void **state)
{
    static uint8_t rgb[64 * 64 * 3];
    dcls_preprocess p = plain();
    p.resize = DCLS_RESIZE_EXACT;
    p.resize_height = p.resize_width = 300;
    dcls_image *image;
    float *tensor = malloc(300 * 300 * 3 * sizeof *tensor);
    assert_ok(*state, dcls_image_create(*state, 64, 64, rgb, &image));
    dcls_context_set_limit(*state, DCLS_LIMIT_MEMORY_BYTES, 20000);
    check_outcome(*state, "resize", dcls_preprocess_run(*state, &p, image, tensor), DCLS_ERR_LIMIT, "memory");
    dcls_image_destroy(image);
    free(tensor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(resize_equals_pillow),
        CONTEXT_TEST(crop_equals_torchvision),
        CONTEXT_TEST(windows_are_parts_of_the_whole),
        CONTEXT_TEST(sizes_follow_torchvision),
        CONTEXT_TEST(bad_settings_are_refused),
        CONTEXT_TEST(only_the_crop_is_computed),
        CONTEXT_TEST(resizing_respects_the_memory_limit),
    };
    return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}
