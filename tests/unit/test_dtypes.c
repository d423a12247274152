/* Shapes, element types and their conversion to float. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/tensor.h"

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The value of a half by the book: sign, exponent with bias 15, ten bits of fraction. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static bool is_half_nan(uint16_t half)
{
    return (half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0;
}

static void every_half_converts_and_returns(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t half = (uint16_t)i;
        float value = dcls_half_to_float(half);
        if (is_half_nan(half)) {
            assert_true(isnan(value));
            assert_true(is_half_nan(dcls_float_to_half(value)));
            continue;
        }
        if ((half & 0x7fff) == 0x7c00)
            assert_true(isinf(value) && !signbit(value) == !(half & 0x8000));
        else
            assert_true((double)value == half_value(half) && !signbit(value) == !(half & 0x8000));
        assert_int_equal(dcls_float_to_half(value), half);
    }
}

/* Between neighbouring halfs a and b (a even or odd alike): just below the middle goes to a, just above to b,
 * the middle itself to the even one. */
static void halfs_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint16_t a = 0; a < 0x7bff; a++) {
        uint16_t b = (uint16_t)(a + 1);
        float middle = (float)((half_value(a) + half_value(b)) / 2);
        assert_int_equal(dcls_float_to_half(middle), a & 1 ? b : a);
        assert_int_equal(dcls_float_to_half(nextafterf(middle, 0)), a);
        assert_int_equal(dcls_float_to_half(nextafterf(middle, INFINITY)), b);
        assert_int_equal(dcls_float_to_half(-middle), 0x8000 | (a & 1 ? b : a));
    }
    assert_int_equal(dcls_float_to_half(65519.996f), 0x7bff);
    assert_int_equal(dcls_float_to_half(65520), 0x7c00);
    assert_int_equal(dcls_float_to_half(3e38f), 0x7c00);
    assert_int_equal(dcls_float_to_half(-INFINITY), 0xfc00);
}

static void every_bf16_converts_and_returns(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float value = dcls_bf16_to_float((uint16_t)i);
        assert_int_equal(bits_of(value), i << 16);
        if (isnan(value)) {
            assert_true(isnan(dcls_bf16_to_float(dcls_float_to_bf16(value))));
            continue;
        }
        assert_int_equal(dcls_float_to_bf16(value), i);
        if ((i & 0x7fff) >= 0x7f7f) continue; /* largest finite and infinity: no middle above */
        uint16_t even = (uint16_t)(i & 1 ? i + 1 : i);
        assert_int_equal(dcls_float_to_bf16(float_of(i << 16 | 0x8000)), even);
        assert_int_equal(dcls_float_to_bf16(float_of(i << 16 | 0x7fff)), i);
        assert_int_equal(dcls_float_to_bf16(float_of(i << 16 | 0x8001)), i + 1);
    }
    assert_int_equal(dcls_float_to_bf16(float_of(0x7f7fffff)), 0x7f80);
    assert_true(isnan(dcls_bf16_to_float(dcls_float_to_bf16(float_of(0x7f800001)))));
}

static void all_types_convert_to_float(void **state)
{
    (void)state;
    float out[3];
    unsigned char shifted[32];
#define CHECK(dtype, type, a, b, fa, fb)                                                                     \
    do {                                                                                                     \
        type values[2] = {(type)(a), (type)(b)};                                                             \
        memcpy(shifted + 1, values, sizeof values); /* at an odd address */                                  \
        out[2] = 77;                                                                                         \
        dcls_to_float(dtype, shifted + 1, out, 2);                                                           \
        assert_true(out[0] == (fa) && out[1] == (fb) && out[2] == 77);                                       \
    } while (0)
    CHECK(DCLS_F32, float, 1.5f, -2, 1.5f, -2);
    CHECK(DCLS_F16, uint16_t, 0x3e00, 0xc000, 1.5f, -2);
    CHECK(DCLS_BF16, uint16_t, 0x3fc0, 0xc000, 1.5f, -2);
    CHECK(DCLS_F64, double, 0.1, -1e300, 0.1f, -INFINITY);
    CHECK(DCLS_I64, int64_t, INT64_MIN, 16777217, -0x1p63f, 16777216);
    CHECK(DCLS_I32, int32_t, INT32_MIN, 5, -0x1p31f, 5);
    CHECK(DCLS_I16, int16_t, -32768, 32767, -32768, 32767);
    CHECK(DCLS_I8, int8_t, -128, 127, -128, 127);
    CHECK(DCLS_U8, uint8_t, 0, 255, 0, 255);
    CHECK(DCLS_BOOL, uint8_t, 0, 255, 0, 1);
    dcls_to_float(DCLS_F32, shifted, out, 0);
}

static void types_have_names_and_sizes(void **state)
{
    (void)state;
    static const char *const names[] = {"F32", "F16", "BF16", "F64", "I64", "I32", "I16", "I8", "U8", "BOOL"};
    static const size_t sizes[] = {4, 2, 2, 8, 8, 4, 2, 1, 1, 1};
    for (int i = 0; i < DCLS_DTYPE_COUNT; i++) {
        assert_string_equal(dcls_dtype_name((dcls_dtype)i), names[i]);
        assert_int_equal(dcls_dtype_size((dcls_dtype)i), sizes[i]);
        assert_int_equal(dcls_dtype_from_name(names[i]), i);
        assert_int_equal(dcls_dtype_is_float((dcls_dtype)i), i < DCLS_I64);
    }
    assert_int_equal(dcls_dtype_from_name("f32"), -1);
    assert_int_equal(dcls_dtype_from_name(""), -1);
    assert_string_equal(dcls_dtype_name(DCLS_DTYPE_COUNT), "unknown");
    assert_int_equal(dcls_dtype_size(DCLS_DTYPE_COUNT), 0);
}

static void shapes_are_checked(void **state)
{
    (void)state;
    int64_t count;
    size_t bytes;
    assert_true(dcls_shape_count(0, NULL, &count) && count == 1);
    assert_true(dcls_shape_count(3, (const int64_t[]){2, 3, 4}, &count) && count == 24);
    assert_true(dcls_shape_count(2, (const int64_t[]){5, 0}, &count) && count == 0);
    assert_false(dcls_shape_count(1, (const int64_t[]){-1}, &count));
    assert_false(dcls_shape_count(2, (const int64_t[]){0, -1}, &count));
    assert_false(dcls_shape_count(2, (const int64_t[]){INT64_C(1) << 32, INT64_C(1) << 31}, &count));
    assert_false(dcls_shape_count(3, (const int64_t[]){INT64_C(1) << 62, 2, 0}, &count));
    assert_false(dcls_shape_count(3, (const int64_t[]){0, INT64_C(1) << 62, 2}, &count));
    assert_true(dcls_shape_bytes(DCLS_F64, 1, (const int64_t[]){INT64_C(1) << 60}, &bytes) &&
                bytes == (size_t)1 << 63);
    assert_false(dcls_shape_bytes(DCLS_F64, 1, (const int64_t[]){INT64_C(1) << 61}, &bytes));
    assert_true(dcls_shape_equal(2, (const int64_t[]){1, 2}, 2, (const int64_t[]){1, 2}));
    assert_false(dcls_shape_equal(2, (const int64_t[]){1, 2}, 2, (const int64_t[]){1, 3}));
    assert_false(dcls_shape_equal(1, (const int64_t[]){1}, 2, (const int64_t[]){1, 1}));
}

static void shapes_print(void **state)
{
    (void)state;
    char text[DCLS_SHAPE_TEXT];
    assert_string_equal(dcls_shape_text(text, sizeof text, 4, (const int64_t[]){64, 3, -1, 2}),
                        "[64, 3, -1, 2]");
    assert_string_equal(dcls_shape_text(text, sizeof text, 0, NULL), "[]");
    assert_string_equal(dcls_shape_text(text, 7, 2, (const int64_t[]){123, 456}), "[123, ");
    assert_string_equal(dcls_shape_text(text, 1, 2, (const int64_t[]){123, 456}), "");
    int64_t longest[DCLS_MAX_DIMS];
    for (int i = 0; i < DCLS_MAX_DIMS; i++)
        longest[i] = INT64_MIN;
    dcls_shape_text(text, sizeof text, DCLS_MAX_DIMS, longest);
    assert_int_equal(text[strlen(text) - 1], ']');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_converts_and_returns),
        cmocka_unit_test(halfs_round_to_nearest_even),
        cmocka_unit_test(every_bf16_converts_and_returns),
        cmocka_unit_test(all_types_convert_to_float),
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(shapes_are_checked),
        cmocka_unit_test(shapes_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
