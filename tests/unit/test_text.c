/* Numbers, UTF-8, escaping, growing strings and the JSON writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* A full-period sequence: every sample differs. */
static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

static void assert_float_round_trip(float value)
{
    char text[32];
    double back;
    dcls_format_float(text, sizeof text, value);
    assert_true(dcls_parse_double(text, &back));
    assert_memory_equal(&(float){(float)back}, &value, sizeof value);
}

static void floats_round_trip(void **state)
{
    (void)state;
    for (uint32_t exponent = 0; exponent < 255; exponent++) {
        static const uint32_t mantissas[] = {0, 1, 2, 0x3fffff, 0x400000, 0x7ffffe, 0x7fffff};
        for (size_t i = 0; i < sizeof mantissas / sizeof *mantissas; i++) {
            assert_float_round_trip(float_of(exponent << 23 | mantissas[i]));
            assert_float_round_trip(float_of(0x80000000u | exponent << 23 | mantissas[i]));
        }
    }
    uint64_t random = 1;
    for (int i = 0; i < 100000; i++) {
        float value = float_of((uint32_t)(next_random(&random) >> 16));
        if (isfinite(value)) assert_float_round_trip(value);
    }
}

/* Digits needed, found the slow way: by trying from one digit up. */
static int fewest_digits(double value, bool as_float)
{
    for (int digits = 1;; digits++) {
        char text[64];
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (as_float ? (double)strtof(text, NULL) == value : strtod(text, NULL) == value) return digits;
    }
}

static int count_digits(const char *text)
{
    int digits = 0, zeros = 0;
    bool leading = true;
    for (const char *p = text; *p != '\0' && *p != 'e'; p++) {
        if (*p < '0' || *p > '9') continue;
        leading = leading && *p == '0';
        if (leading) continue;
        digits++;
        zeros = *p == '0' ? zeros + 1 : 0;
    }
    return digits - zeros;
}

static void text_is_shortest(void **state)
{
    (void)state;
    char text[32];
    uint64_t random = 7;
    for (int i = 0; i < 20000; i++) {
        float value = i < 254 ? ldexpf(1, i - 126) : float_of((uint32_t)(next_random(&random) >> 16));
        if (!isfinite(value) || value == 0) continue;
        dcls_format_float(text, sizeof text, value);
        assert_int_equal(count_digits(text), fewest_digits((double)value, true));
    }
    for (int i = 0; i < 10000; i++) {
        double value = i < 2046 ? ldexp(1, i - 1022) : double_of(next_random(&random) << 1);
        if (!isfinite(value) || value == 0) continue;
        dcls_format_double(text, sizeof text, value);
        assert_int_equal(count_digits(text), fewest_digits(value, false));
        assert_true(strtod(text, NULL) == value);
    }
}

static void number_texts(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {100, "100"},
        {123.456, "123.456"},
        {0.1, "0.1"},
        {0.00012, "0.00012"},
        {1e-5, "0.00001"},
        {1e-6, "1e-6"},
        {1e15, "1000000000000000"},
        {1e16, "1e16"},
        {1e300, "1e300"},
        {-2.5e-300, "-2.5e-300"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {NAN, "NaN"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {9007199254740993.0, "9007199254740992"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[32];
        dcls_format_double(text, sizeof text, rows[i].value);
        assert_string_equal(text, rows[i].text);
    }
    char text[32];
    dcls_format_float(text, sizeof text, 0.1f);
    assert_string_equal(text, "0.1");
    dcls_format_float(text, sizeof text, 16777216);
    assert_string_equal(text, "16777216");
    dcls_format_float(text, sizeof text, 3.4028235e38f);
    assert_string_equal(text, "3.4028235e38");
}

static void locale_does_not_matter(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    const char *found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof names / sizeof *names; i++)
        found = setlocale(LC_NUMERIC, names[i]);
    if (found == NULL) skip();
    char text[32];
    double value = 0;
    dcls_format_double(text, sizeof text, -1234.5);
    bool parsed = dcls_parse_double("-1234.5", &value);
    bool comma = dcls_parse_double("1,5", &value);
    setlocale(LC_NUMERIC, "C");
    assert_string_equal(text, "-1234.5");
    assert_true(parsed && value == -1234.5);
    assert_false(comma);
}

static void integers_are_parsed_whole(void **state)
{
    (void)state;
    int64_t value = 42;
    assert_true(dcls_parse_int("9223372036854775807", &value) && value == INT64_MAX);
    assert_true(dcls_parse_int("-9223372036854775808", &value) && value == INT64_MIN);
    assert_true(dcls_parse_int("+007", &value) && value == 7);
    static const char *const bad[] = {
        "", " 1", "1 ", "1.0", "0x10", "1e3", "-", "--1", "9223372036854775808", "4x", "\n1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dcls_parse_int(bad[i], &value));
    assert_int_equal(value, 7);
}

static void reals_are_parsed_whole(void **state)
{
    (void)state;
    double value = 42;
    assert_true(dcls_parse_double("-1.5e+3", &value) && value == -1500);
    assert_true(dcls_parse_double(".5", &value) && value == 0.5);
    assert_true(dcls_parse_double("5.", &value) && value == 5);
    assert_true(dcls_parse_double("1e-999", &value) && value == 0);
    value = 42;
    static const char *const bad[] = {"",      ".",  "e5", "1e", "1e+",  "nan", "NaN",   "inf",    "Infinity",
                                      "0x1p3", " 1", "1 ", "1f", "1..2", "1,5", "1e999", "-1e999", "+-1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dcls_parse_double(bad[i], &value));
    assert_true(value == 42);
}

/* ---- UTF-8 ---- */

static int encode(uint32_t code, char out[4])
{
    if (code < 0x80) return out[0] = (char)code, 1;
    if (code < 0x800) return out[0] = (char)(0xc0 | code >> 6), out[1] = (char)(0x80 | (code & 63)), 2;
    if (code < 0x10000)
        return out[0] = (char)(0xe0 | code >> 12), out[1] = (char)(0x80 | (code >> 6 & 63)),
               out[2] = (char)(0x80 | (code & 63)), 3;
    return out[0] = (char)(0xf0 | code >> 18), out[1] = (char)(0x80 | (code >> 12 & 63)),
           out[2] = (char)(0x80 | (code >> 6 & 63)), out[3] = (char)(0x80 | (code & 63)), 4;
}

static void utf8_every_character(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        char text[4];
        size_t length = (size_t)encode(code, text);
        bool valid = code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000);
        assert_int_equal(dcls_utf8_length(text, length), valid ? length : 0);
        assert_int_equal(dcls_utf8_length(text, length - 1), 0);
        assert_int_equal(dcls_is_control(text, length), code < 0x20 || (code >= 0x7f && code < 0xa0));
    }
}

/* Each two- and three-byte text counted as valid is the encoding of some character: 128^2 + 1920 and so on.
 */
static void utf8_counts(void **state)
{
    (void)state;
    size_t pairs = 0, triples = 0;
    for (unsigned bits = 0; bits < 1u << 24; bits++) {
        char text[3] = {(char)(bits & 255), (char)(bits >> 8 & 255), (char)(bits >> 16)};
        if (bits < 1u << 16) pairs += dcls_utf8_valid(text, 2);
        triples += dcls_utf8_length(text, 3) == 3;
    }
    assert_int_equal(pairs, 128 * 128 + 1920);
    assert_int_equal(triples, 65536 - 2048 - 2048);
    assert_true(dcls_utf8_valid("", 0));
    assert_false(dcls_utf8_valid("\xc0\x80", 2)); /* overlong */
    assert_false(dcls_utf8_valid("\xf0\x8f\xbf\xbf", 4));
    assert_false(dcls_utf8_valid("\xf4\x90\x80\x80", 4));
}

static void text_is_escaped_for_people(void **state)
{
    (void)state;
    char out[64];
    dcls_escape_text(out, sizeof out,
                     "a\x1b[2J\n\x7f\xc2\x9b"
                     "b\xff\xc3\xa4\xe2\x82");
    assert_string_equal(out, "a\\x1b[2J\\x0a\\x7f\\xc2\\x9bb\\xff\xc3\xa4\\xe2\\x82");
    char again[64];
    dcls_escape_text(again, sizeof again, out);
    assert_string_equal(again, out);
    for (size_t size = 1; size < 16; size++) { /* cut between characters, never inside */
        char small[16];
        memset(small, 'x', sizeof small);
        dcls_escape_text(small, size, "\xc3\xa4\nz\xe2\x82\xac");
        size_t length = strlen(small);
        assert_true(length < size && dcls_utf8_valid(small, length));
        assert_true(length == 0 || length == 2 || length == 6 || length == 7 || length == 10);
    }
}

/* ---- strings and JSON ---- */

static void strings_grow(void **state)
{
    (void)state;
    dcls_string s = {0};
    for (int i = 0; i < 10000; i++) {
        dcls_string_puts(&s, "ab");
        dcls_string_printf(&s, "%d,", i % 10);
        dcls_string_append(&s, "\0z", 2);
    }
    assert_false(s.failed);
    assert_int_equal(s.length, 60000);
    assert_memory_equal(s.data + 6 * 9999, "ab9,\0z", 7);
    dcls_string_append(&s, "", SIZE_MAX - 10); /* more than there can be */
    assert_true(s.failed);
    dcls_string_puts(&s, "more");
    assert_int_equal(s.length, 60000);
    dcls_string_free(&s);
    assert_null(s.data);
}

static void write_sample(dcls_json_out *j)
{
    dcls_json_begin(j, '{');
    dcls_json_key(j, "list");
    dcls_json_begin(j, '[');
    dcls_json_int(j, INT64_C(9007199254740992));
    dcls_json_int(j, INT64_C(-9007199254740993));
    dcls_json_float(j, 0.1f);
    dcls_json_float(j, NAN);
    dcls_json_double(j, -INFINITY);
    dcls_json_double(j, INFINITY);
    dcls_json_end(j, ']');
    dcls_json_key(j, "empty");
    dcls_json_begin(j, '{');
    dcls_json_end(j, '}');
    dcls_json_key(j, "deep");
    dcls_json_begin(j, '[');
    dcls_json_begin(j, '[');
    dcls_json_end(j, ']');
    dcls_json_bool(j, true);
    dcls_json_null(j);
    dcls_json_string(j, NULL);
    dcls_json_raw(j, "{\"x\":1}");
    dcls_json_end(j, ']');
    dcls_json_end(j, '}');
}

static void json_in_one_line_and_indented(void **state)
{
    (void)state;
    dcls_string s = {0};
    write_sample(&(dcls_json_out){.to = &s});
    assert_string_equal(s.data,
                        "{\"list\": [9007199254740992, \"-9007199254740993\", 0.1, \"NaN\", \"-Infinity\", "
                        "\"Infinity\"], \"empty\": {}, \"deep\": [[], true, null, null, {\"x\":1}]}");
    dcls_string_free(&s);
    write_sample(&(dcls_json_out){.to = &s, .indent = 1});
    assert_string_equal(
        s.data, "{\n \"list\": [\n  9007199254740992,\n  \"-9007199254740993\",\n  0.1,\n  \"NaN\",\n"
                "  \"-Infinity\",\n  \"Infinity\"\n ],\n \"empty\": {},\n \"deep\": [\n  [],\n  true,\n"
                "  null,\n  null,\n  {\"x\":1}\n ]\n}");
    dcls_string_free(&s);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    dcls_string s = {0};
    dcls_json_out j = {.to = &s};
    dcls_json_string(&j,
                     "q\" b\\ \b\f\n\r\t \x01\x1f\x7f \xc2\x85 \xc3\xa9 \xf0\x9f\x98\x80 bad\xff\xe2\x82!");
    assert_string_equal(
        s.data, "\"q\\\" b\\\\ \\b\\f\\n\\r\\t \\u0001\\u001f\\u007f \\u0085 \xc3\xa9 \xf0\x9f\x98\x80 "
                "bad\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!\"");
    dcls_string_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_round_trip),
        cmocka_unit_test(text_is_shortest),
        cmocka_unit_test(number_texts),
        cmocka_unit_test(locale_does_not_matter),
        cmocka_unit_test(integers_are_parsed_whole),
        cmocka_unit_test(reals_are_parsed_whole),
        cmocka_unit_test(utf8_every_character),
        cmocka_unit_test(utf8_counts),
        cmocka_unit_test(text_is_escaped_for_people),
        cmocka_unit_test(strings_grow),
        cmocka_unit_test(json_in_one_line_and_indented),
        cmocka_unit_test(json_strings_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
