/* RandAugment: operations beside torchvision's, where moved pixels come from, that masks go along. */
#include "tests/unit/data_util.h"

#include <math.h>

#include "train/augment.h"
#include "train/dataset.h"

enum { SIDE = 40, BYTES = SIDE * SIDE * 3, KINDS = 14 };

/* In the order of augment_rand.c. */
enum {
    SHEAR_X = 1,
    TRANSLATE_X = 3,
    TRANSLATE_Y,
    ROTATE,
    SHARPNESS = 9,
    POSTERIZE,
    SOLARIZE,
    AUTO_CONTRAST,
    EQUALIZE
};

static uint8_t picture[BYTES], mask[SIDE * SIDE], spare[BYTES];

static dcls_pixels whole_picture(void)
{
    return (dcls_pixels){SIDE, SIDE, 3, false, {7, 8, 9}, picture};
}

static void draw_noise(void)
{
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < 3; c++)
            picture[i * 3 + c] = (uint8_t)((i * i * 7 + i * 13) % 251 / (1 + c) + 20 * c);
}

/* Red is 3 x, green 3 y; the mask is x. */
static void draw_ramp(void)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        memcpy(picture + 3 * i, ((const uint8_t[]){(uint8_t)(i % SIDE * 3), (uint8_t)(i / SIDE * 3), 200}),
               3);
        mask[i] = (uint8_t)(i % SIDE);
    }
}

static uint64_t hash(void)
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < BYTES; i++)
        h = (h ^ picture[i]) * 1099511628211u;
    return h;
}

/* Hashes of what torchvision 0.14 makes of the same bytes. */
static void equals_torchvision(void **state)
{
    (void)state;
    static const struct {
        dcls_rand_op op;
        uint64_t expected;
    } rows[] = {
        {{SHARPNESS, 0.6}, 0xd5dadfa8a8966a25u}, {{SHARPNESS, -0.6}, 0x8cf1d59578a47d9fu},
        {{POSTERIZE, 2}, 0x2492b0b40ccf9e87u},   {{POSTERIZE, 4}, 0x4f573aa9bc57eb83u},
        {{SOLARIZE, 102}, 0x693c33fb86e01d3eu},  {{AUTO_CONTRAST, 0}, 0x004a620faa2e3f8du},
        {{EQUALIZE, 0}, 0x440460268c527dd3u},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const dcls_pixels pixels = whole_picture();
        draw_noise();
        dcls_rand_run(&rows[i].op, 1, &pixels, spare);
        if (hash() != rows[i].expected)
            fail_msg("operation %d, amount %g", rows[i].op.kind, rows[i].op.amount);
    }
}

/* A picture of one value has no contrast to stretch. */
static void flat_pictures_stay(void **state)
{
    (void)state;
    for (int kind = SHARPNESS; kind <= EQUALIZE; kind++) {
        const dcls_pixels pixels = whole_picture();
        memset(picture, 77, sizeof picture);
        dcls_rand_run(&(dcls_rand_op){kind, 0}, 1, &pixels, spare);
        for (int i = 0; i < BYTES; i++)
            assert_int_equal(picture[i], 77);
    }
}

/* The place in the picture that a pixel must show. */
static void source_of(const dcls_rand_op *op, double x, double y, double *from_x, double *from_y)
{
    const double middle = (SIDE - 1) / 2.0, u = x - middle, v = y - middle;
    const double turn = op->kind == ROTATE ? op->amount * M_PI / 180 : 0;
    *from_x = x, *from_y = y;
    if (op->kind == SHEAR_X) *from_x = x + op->amount * v;
    if (op->kind == SHEAR_X + 1) *from_y = y + op->amount * u;
    if (op->kind == TRANSLATE_X) *from_x = x + trunc(op->amount * SIDE);
    if (op->kind == TRANSLATE_Y) *from_y = y + trunc(op->amount * SIDE);
    if (op->kind == ROTATE) {
        *from_x = middle + cos(turn) * u + sin(turn) * v;
        *from_y = middle + cos(turn) * v - sin(turn) * u;
    }
}

static void check_pixel(const dcls_rand_op *op, int x, int y)
{
    double from_x, from_y;
    const uint8_t *p = picture + (y * SIDE + x) * 3;
    source_of(op, x, y, &from_x, &from_y);
    const double most = SIDE - 1;
    if (from_x >= 0 && from_y >= 0 && from_x <= most && from_y <= most) {
        assert_true(fabs(p[0] - 3 * from_x) < 0.51 && fabs(p[1] - 3 * from_y) < 0.51);
        assert_int_equal(p[2], 200);
        assert_true(fabs(mask[y * SIDE + x] - from_x) < 0.51);
    } else if (from_x <= -1 || from_y <= -1 || from_x >= SIDE || from_y >= SIDE) {
        assert_memory_equal(p, ((const uint8_t[]){7, 8, 9}), 3);
        assert_int_equal(mask[y * SIDE + x], DCLS_IGNORED_PIXEL);
    }
}

static void pixels_and_masks_move(void **state)
{
    (void)state;
    for (int kind = SHEAR_X; kind <= ROTATE; kind++) {
        for (int k = -3; k <= 3; k++) {
            const dcls_rand_op op = {kind, kind == ROTATE ? 11.0 * k : 0.11 * k};
            const dcls_pixels pixels = whole_picture();
            const dcls_pixels cells = {SIDE, SIDE, 1, true, {DCLS_IGNORED_PIXEL}, mask};
            draw_ramp();
            dcls_rand_run(&op, 1, &pixels, spare);
            dcls_rand_run(&op, 1, &cells, spare);
            for (int y = 0; y < SIDE; y++)
                for (int x = 0; x < SIDE; x++)
                    check_pixel(&op, x, y);
        }
    }
}

static void masks_keep_their_classes(void **state)
{
    (void)state;
    const dcls_pixels cells = {SIDE, SIDE, 1, true, {DCLS_IGNORED_PIXEL}, mask};
    draw_ramp();
    for (int kind = ROTATE + 1; kind < KINDS; kind++)
        dcls_rand_run(&(dcls_rand_op){kind, 1}, 1, &cells, spare);
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_int_equal(mask[i], i % SIDE);
}

/* All operations come about equally often, either way, of the magnitude asked for. */
static void draws_are_even(void **state)
{
    (void)state;
    enum { RUNS = 14000 };
    const dcls_augment augment = {.rand_ops = 2, .rand_magnitude = 15};
    int seen[KINDS] = {0}, left = 0, turned = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        dcls_rng rng = dcls_rng_stream(3, i);
        dcls_rand_op ops[2];
        dcls_rand_draw(&augment, &rng, ops);
        for (int k = 0; k < 2; k++) {
            assert_in_range(ops[k].kind, 0, KINDS - 1);
            seen[ops[k].kind]++;
            if (ops[k].kind != ROTATE) continue;
            assert_true(fabs(ops[k].amount) == 15);
            left += ops[k].amount < 0;
            turned++;
        }
    }
    for (int kind = 0; kind < KINDS; kind++) /* 2000 expected, 5 standard deviations */
        assert_in_range(seen[kind], 1785, 2215);
    assert_in_range(left, turned / 2 - 120, turned / 2 + 120);
}

/* Through the whole of it: what lies outside is black, or the mean around scaled pictures, and ignored. */
static void outside_is_as_elsewhere(void **state)
{
    static const dcls_augment rows[] = {
        {.rand_ops = DCLS_MAX_RAND_OPS, .rand_magnitude = 30},
        {.rand_ops = DCLS_MAX_RAND_OPS, .rand_magnitude = 30, .scale_min = 1, .scale_max = 1}};
    const dcls_preprocess preprocess = {
        .filter = DCLS_FILTER_BILINEAR, .channels = 3, .mean = {0.4f, 0.4f, 0.4f}, .std = {1, 1, 1}};
    static float tensor[BYTES];
    static int32_t target[SIDE * SIDE];
    int outside = 0, plain = 0;
    for (int row = 0; row < 2; row++) {
        for (uint64_t seed = 0; seed < 40; seed++) {
            dcls_pipeline pipeline;
            dcls_scratch scratch = {0};
            dcls_rng rng = dcls_rng_stream(seed, 1);
            draw_ramp();
            const dcls_view view = {SIDE, SIDE, picture, mask};
            assert_ok(*state, dcls_pipeline_init(*state, &rows[row], &preprocess, SIDE, SIDE, &pipeline));
            assert_ok(*state, dcls_pipeline_run(*state, &pipeline, &view, &rng, &scratch, tensor, target));
            for (int i = 0; i < SIDE * SIDE; i++) {
                assert_true(target[i] == DCLS_IGNORE || (target[i] >= 0 && target[i] < SIDE));
                outside += target[i] == DCLS_IGNORE;
            }
            for (int i = 0; i < BYTES; i++) {
                assert_true(tensor[i] >= -0.4001f && tensor[i] <= 0.6001f);
                plain += tensor[i] == (row == 0 ? pipeline.value[0][0] : pipeline.value[0][102]);
            }
            dcls_scratch_free(&scratch);
        }
    }
    assert_true(outside > 10 * SIDE * SIDE && plain > 10 * SIDE * SIDE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(equals_torchvision),    CONTEXT_TEST(flat_pictures_stay),
        CONTEXT_TEST(pixels_and_masks_move), CONTEXT_TEST(masks_keep_their_classes),
        CONTEXT_TEST(draws_are_even),        CONTEXT_TEST(outside_is_as_elsewhere),
    };
    return cmocka_run_group_tests_name("rand_augment", tests, NULL, NULL);
}
