/* Decoding: the pictures of tests/fixtures/images/good give Pillow's pixels, those of bad their messages. */
#include "tests/unit/image_util.h"

/* ---- good pictures ---- */

struct good {
    char name[64];
    int64_t width, height;
    size_t offset;
};

static struct good parse_good(const char *line)
{
    int64_t numbers[3];
    int length = (int)strcspn(line, " ");
    read_numbers(line + length, numbers, 3);
    struct good good = {.width = numbers[0], .height = numbers[1], .offset = (size_t)numbers[2]};
    snprintf(good.name, sizeof good.name, "%.*s", length, line);
    return good;
}

static void check_good(dcls_context *ctx, const char *line, void *arg)
{
    const dcls_bytes *pixels = arg;
    struct good good = parse_good(line);
    char path[128];
    snprintf(path, sizeof path, IMAGES "good/%s", good.name);
    dcls_image *image;
    if (dcls_image_load_file(ctx, path, 0, &image) != DCLS_OK) {
        fail_msg("%s: %s", good.name, dcls_context_message(ctx));
    }
    assert_int_equal(dcls_image_width(image), good.width);
    assert_int_equal(dcls_image_height(image), good.height);
    size_t size = (size_t)good.width * (size_t)good.height * 3;
    assert_true(good.offset + size <= pixels->size);
    if (memcmp(dcls_image_pixels(image), pixels->data + good.offset, size) != 0)
        fail_msg("%s: other pixels", good.name);
    dcls_image_destroy(image);
}

static void good_pictures_equal_pillow(void **state)
{
    dcls_bytes pixels = read_fixture(*state, "good.rgb");
    for_lines("good.txt", check_good, *state, &pixels);
    free(pixels.data);
}

/* A picture cut anywhere is refused, and reading stays inside the bytes there are (each copy ends at its own
 * allocation). Plain netpbm is left out: cut within its last number it is another whole picture. */
static void check_truncated(dcls_context *ctx, const char *line, void *arg)
{
    (void)arg;
    struct good good = parse_good(line);
    if (strstr(good.name, "garbage") || strstr(good.name, "more") ||
        (good.name[0] == 'p' && good.name[1] <= '3'))
        return;
    char name[128];
    snprintf(name, sizeof name, "good/%s", good.name);
    dcls_bytes whole = read_fixture(ctx, name);
    size_t step = whole.size > 400 ? 7 : 1;
    for (size_t size = 0; size < whole.size; size += step) {
        unsigned char *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, whole.data, size);
        dcls_image *image = (dcls_image *)copy;
        if (dcls_image_load_memory(ctx, copy, size, 0, &image) == DCLS_OK) {
            fail_msg("%s cut to %zu bytes passes for a picture", good.name, size);
        }
        assert_null(image);
        free(copy);
    }
    free(whole.data);
}

static void truncated_pictures_are_refused(void **state)
{
    for_lines("good.txt", check_truncated, *state, NULL);
}

/* Any byte changed: no crash, no read outside, and a result of the stated size or a message. */
static void check_flipped(dcls_context *ctx, const char *line, void *arg)
{
    (void)arg;
    char name[128];
    snprintf(name, sizeof name, "good/%s", parse_good(line).name);
    dcls_bytes bytes = read_fixture(ctx, name);
    for (size_t i = 0; i < bytes.size; i += 3) {
        bytes.data[i] ^= (unsigned char)(1u << i % 8);
        dcls_image *image;
        if (dcls_image_load_memory(ctx, bytes.data, bytes.size, 0, &image) == DCLS_OK) {
            assert_true(dcls_image_width(image) > 0 && dcls_image_height(image) > 0);
        } else {
            assert_true(strlen(dcls_context_message(ctx)) > 0);
        }
        dcls_image_destroy(image);
        bytes.data[i] ^= (unsigned char)(1u << i % 8);
    }
    free(bytes.data);
}

static void flipped_bits_do_no_harm(void **state)
{
    dcls_context_set_limit(*state, DCLS_LIMIT_PIXELS, 1 << 20);
    for_lines("good.txt", check_flipped, *state, NULL);
}

/* ---- bad pictures ---- */

static dcls_status status_named(const char *name)
{
    if (strcmp(name, "limit") == 0) return DCLS_ERR_LIMIT;
    return strcmp(name, "unsupported") == 0 ? DCLS_ERR_UNSUPPORTED : DCLS_ERR_FORMAT;
}

static void check_bad(dcls_context *ctx, const char *line, void *arg)
{
    (void)arg;
    char name[64], status[16], path[128];
    int message;
    assert_int_equal(sscanf(line, "%63s %15s %n", name, status, &message), 2);
    snprintf(path, sizeof path, IMAGES "bad/%s", name);
    dcls_image *image = NULL;
    check_outcome(ctx, name, dcls_image_load_file(ctx, path, 0, &image), status_named(status),
                  line + message);
    assert_null(image);
}

static void bad_pictures_are_explained(void **state)
{
    for_lines("bad.txt", check_bad, *state, NULL);
}

/* ---- limits and the rest ---- */

static void limits_hold_before_memory_is_taken(void **state)
{
    static const char *const names[] = {"good/c2d8.png", "good/baseline.jpg", "good/progressive.jpg",
                                        "good/p6-255.ppm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dcls_context *ctx = *state;
        dcls_bytes bytes = read_fixture(ctx, names[i]);
        dcls_image *image;
        dcls_context_set_limit(ctx, DCLS_LIMIT_PIXELS, 14);
        check_outcome(ctx, names[i], dcls_image_load_memory(ctx, bytes.data, bytes.size, 0, &image),
                      DCLS_ERR_LIMIT, "over the limit of 14 pixels");
        dcls_context_set_limit(ctx, DCLS_LIMIT_PIXELS, UINT64_MAX);
        dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 44);
        check_outcome(ctx, names[i], dcls_image_load_memory(ctx, bytes.data, bytes.size, 0, &image),
                      DCLS_ERR_LIMIT, "limit of 44 bytes");
        dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 1 << 20);
        assert_ok(ctx, dcls_image_load_memory(ctx, bytes.data, bytes.size, 0, &image));
        dcls_image_destroy(image);
        free(bytes.data);
    }
}

/* What the pixel limit does not catch, the memory limit does. */
static void bombs_hit_the_memory_limit(void **state)
{
    static const char *const names[] = {"bad/bomb.png", "bad/huge-sides.png", "bad/big.jpg", "bad/huge.pnm"};
    dcls_context_set_limit(*state, DCLS_LIMIT_PIXELS, UINT64_MAX);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dcls_bytes bytes = read_fixture(*state, names[i]);
        dcls_image *image;
        check_outcome(*state, names[i], dcls_image_load_memory(*state, bytes.data, bytes.size, 0, &image),
                      DCLS_ERR_LIMIT, "bytes of memory");
        free(bytes.data);
    }
}

static void orientation_can_be_left_alone(void **state)
{
    dcls_bytes bytes = read_fixture(*state, "good/exif6.jpg");
    dcls_image *stored, *upright;
    assert_ok(*state,
              dcls_image_load_memory(*state, bytes.data, bytes.size, DCLS_IMAGE_IGNORE_ORIENTATION, &stored));
    assert_ok(*state, dcls_image_load_memory(*state, bytes.data, bytes.size, 0, &upright));
    int64_t width = dcls_image_width(stored), height = dcls_image_height(stored);
    assert_int_equal(dcls_image_width(upright), height);
    assert_int_equal(dcls_image_height(upright), width);
    const uint8_t *a = dcls_image_pixels(stored), *b = dcls_image_pixels(upright);
    for (int64_t y = 0; y < height;
         y++) { /* turned clockwise: a row becomes a column, the first one the last */
        for (int64_t x = 0; x < width; x++) {
            assert_memory_equal(a + (y * width + x) * 3, b + (x * height + height - 1 - y) * 3, 3);
        }
    }
    dcls_image_destroy(stored);
    dcls_image_destroy(upright);
    free(bytes.data);
}

/* Larger than a tile, so that tiles meet. */
static void large_pictures_turn_too(void **state)
{
    enum { W = 75, H = 41 };
    static uint8_t rgb[W * H * 3];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7 + i / 251);
    for (int orientation = 5; orientation <= 8; orientation++) {
        dcls_image *image;
        assert_ok(*state, dcls_image_create(*state, W, H, rgb, &image));
        assert_ok(*state, dcls_image_orient(*state, &image, orientation));
        assert_int_equal(image->width, H);
        for (int x = 0; x < H; x++) {
            for (int y = 0; y < W; y++) {
                int from_x = orientation <= 6 ? y : W - 1 - y;
                int from_y = orientation == 5 || orientation == 8 ? x : H - 1 - x;
                assert_memory_equal(image->pixels + (y * H + x) * 3, rgb + (from_y * W + from_x) * 3, 3);
            }
        }
        dcls_image_destroy(image);
    }
}

static void made_pictures_are_copies(void **state)
{
    uint8_t rgb[6] = {1, 2, 3, 4, 5, 6};
    dcls_image *image;
    assert_ok(*state, dcls_image_create(*state, 2, 1, rgb, &image));
    rgb[0] = 9;
    assert_int_equal(dcls_image_pixels(image)[0], 1);
    dcls_image_destroy(image);
    assert_int_equal(dcls_image_create(*state, 0, 1, rgb, &image), DCLS_ERR_ARGUMENT);
    assert_null(image);
    assert_int_equal(dcls_image_create(*state, INT64_MAX, INT64_MAX, rgb, &image), DCLS_ERR_LIMIT);
    dcls_image_destroy(NULL);
}

static void missing_files_are_io_errors(void **state)
{
    dcls_image *image;
    assert_int_equal(dcls_image_load_file(*state, IMAGES "good/none.png", 0, &image), DCLS_ERR_IO);
    assert_null(image);
}

/* ---- one behind the other ---- */

/* Every good picture ends where it does, whatever follows; a plain PNM, in which anything may follow, does
 * not. */
static void check_extent(dcls_context *ctx, const char *line, void *arg)
{
    static const char after[] = "P6 1 1 255\nabc";
    struct good good = parse_good(line);
    char path[128];
    dcls_bytes bytes;
    snprintf(path, sizeof path, IMAGES "good/%s", good.name);
    assert_ok(ctx, dcls_file_read(ctx, path, UINT64_MAX, &bytes));
    const size_t both = bytes.size + sizeof after - 1;
    unsigned char *data = malloc(both);
    memcpy(data, bytes.data, bytes.size);
    memcpy(data + bytes.size, after, sizeof after - 1);
    const bool plain = data[0] == 'P' && data[1] <= '3';
    const size_t extent = dcls_image_extent(data, both);
    const bool more = strstr(good.name, "after-end") != NULL || strstr(good.name, "-more") != NULL;
    if (more ? extent >= bytes.size : extent != (plain ? both : bytes.size))
        fail_msg("%s: %zu of %zu bytes", good.name, extent, bytes.size);
    assert_true(dcls_image_is_picture(data, both));
    for (size_t size = 1; size <= bytes.size; size += size < 100 ? 1 : 97) { /* cut short */
        unsigned char *cut = malloc(size);
        memcpy(cut, data, size);
        assert_true(dcls_image_extent(cut, size) <= size);
        free(cut);
    }
    *(int *)arg += !plain;
    free(data);
    free(bytes.data);
}

static void pictures_end(void **state)
{
    int found = 0;
    for_lines("good.txt", check_extent, *state, &found);
    assert_true(found > 20);
    assert_int_equal(dcls_image_extent("not a picture", 13), 13);
    assert_false(dcls_image_is_picture("not a picture", 13));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(good_pictures_equal_pillow),
        CONTEXT_TEST(truncated_pictures_are_refused),
        CONTEXT_TEST(flipped_bits_do_no_harm),
        CONTEXT_TEST(bad_pictures_are_explained),
        CONTEXT_TEST(limits_hold_before_memory_is_taken),
        CONTEXT_TEST(bombs_hit_the_memory_limit),
        CONTEXT_TEST(orientation_can_be_left_alone),
        CONTEXT_TEST(large_pictures_turn_too),
        CONTEXT_TEST(made_pictures_are_copies),
        CONTEXT_TEST(missing_files_are_io_errors),
        CONTEXT_TEST(pictures_end),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
