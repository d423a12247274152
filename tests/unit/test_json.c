/* The JSON reader: what the tree says, limits, arrays that stay text. */
#include "format_util.h"

#include <locale.h>
#include <math.h>
#include <time.h>

#include "formats/json.h"

static dcls_json *parse(dcls_context *ctx, const char *text)
{
    dcls_json *root;
    assert_ok(ctx, dcls_json_parse(ctx, text, strlen(text), &root));
    return root;
}

static void test_kinds(void **state)
{
    dcls_json *root = parse(*state, "{\"n\":null,\"b\":true,\"i\":3,\"s\":\"x\",\"a\":[1,2],\"o\":{}}");
    static const dcls_json_kind kinds[] = {DCLS_JSON_NULL,   DCLS_JSON_BOOL,  DCLS_JSON_NUMBER,
                                           DCLS_JSON_STRING, DCLS_JSON_ARRAY, DCLS_JSON_OBJECT};
    static const char *const texts[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
    assert_int_equal(dcls_json_count(root), 6);
    assert_null(dcls_json_name(root));
    for (size_t i = 0; i < 6; i++) {
        const dcls_json *value = dcls_json_at(root, i);
        double d = -1;
        int64_t n = -1;
        bool b = false;
        assert_int_equal(dcls_json_kind_of(value), kinds[i]);
        assert_string_equal(dcls_json_kind_text(value), texts[i]);
        assert_int_equal(dcls_json_as_int(value, &n), kinds[i] == DCLS_JSON_NUMBER);
        assert_int_equal(dcls_json_as_double(value, &d), kinds[i] == DCLS_JSON_NUMBER);
        assert_int_equal(dcls_json_as_bool(value, &b), kinds[i] == DCLS_JSON_BOOL);
        assert_int_equal(dcls_json_as_string(value) != NULL, kinds[i] == DCLS_JSON_STRING);
        assert_int_equal(dcls_json_count(value), kinds[i] == DCLS_JSON_ARRAY ? 2 : 0);
        assert_ptr_equal(dcls_json_find(root, dcls_json_name(value)), value);
    }
    assert_null(dcls_json_at(root, 6));
    assert_null(dcls_json_find(root, "x"));
    assert_null(dcls_json_find(dcls_json_find(root, "a"), "x"));
    assert_null(dcls_json_name(dcls_json_at(dcls_json_find(root, "a"), 0)));
    dcls_json_free(root);
}

static void test_nothing(void **state)
{
    int64_t n = 7;
    (void)state;
    assert_int_equal(dcls_json_kind_of(NULL), DCLS_JSON_NONE);
    assert_string_equal(dcls_json_kind_text(NULL), "nothing");
    assert_false(dcls_json_as_int(NULL, &n));
    assert_int_equal(n, 7);
    assert_null(dcls_json_as_string(NULL));
    assert_int_equal(dcls_json_count(NULL), 0);
    assert_null(dcls_json_at(NULL, 0));
    assert_null(dcls_json_find(NULL, "a"));
    dcls_json_free(NULL);
}

static void test_integers(void **state)
{
    static const struct {
        const char *text;
        bool exact;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"3", true, 3},
        {"3.0", true, 3},
        {"3e2", true, 300},
        {"-12", true, -12},
        {"9007199254740991", true, 9007199254740991},
        {"-9007199254740991", true, -9007199254740991},
        {"9007199254740992", false, 0},
        {"9007199254740993", false, 0},
        {"1e300", false, 0},
        {"-1e300", false, 0},
        {"3.5", false, 0},
        {"1e-1", false, 0},
        {"\"3\"", false, 0},
        {"true", false, 0},
        {"2147483648", true, 2147483648},
        {"-2147483649", true, -2147483649},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 99;
        dcls_json *root = parse(*state, cases[i].text);
        assert_int_equal(dcls_json_as_int(root, &value), cases[i].exact);
        assert_int_equal(value, cases[i].exact ? cases[i].value : 99);
        dcls_json_free(root);
    }
}

/* cJSON would read the first 63 characters only. */
static void test_long_numbers(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"-0.000000000000000000000000000000000000000000000000000000000000000000000000000001", -1e-78},
        {"10000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
         "0",
         1e98},
        {"0.10000000000000000000000000000000000000000000000000000000000000000000000000000001e308", 1e307},
        {"3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986",
         3.141592653589793},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        double value = 0;
        snprintf(text, sizeof text, "[%s,%s, 1]", cases[i].text, cases[i].text);
        dcls_json *root = parse(*state, text);
        assert_int_equal(dcls_json_count(root), 3);
        for (size_t k = 0; k < 2; k++) {
            assert_true(dcls_json_as_double(dcls_json_at(root, k), &value));
            assert_memory_equal(&value, &cases[i].value, sizeof value);
        }
        dcls_json_free(root);
    }
}

static void test_strings(void **state)
{
    dcls_json *root = parse(*state, "[\"\\u00e9\\ud83d\\ude00\\n\\\"\\\\\\/\", \"\xC3\xA9\", \"\"]");
    assert_string_equal(dcls_json_as_string(dcls_json_at(root, 0)), "\xC3\xA9\xF0\x9F\x98\x80\n\"\\/");
    assert_string_equal(dcls_json_as_string(dcls_json_at(root, 1)), "\xC3\xA9");
    assert_string_equal(dcls_json_as_string(dcls_json_at(root, 2)), "");
    dcls_json_free(root);
}

/* The decimal comma of a locale must not leak into numbers. */
static void test_locale(void **state)
{
    char *before = strdup(setlocale(LC_ALL, NULL));
    bool comma = setlocale(LC_ALL, "de_DE.UTF-8") != NULL || setlocale(LC_ALL, "fr_FR.UTF-8") != NULL;
    double value = 0;
    dcls_json *root =
        parse(*state, "[1.5,0.25000000000000000000000000000000000000000000000000000000000000000000000]");
    assert_true(dcls_json_as_double(dcls_json_at(root, 0), &value) && value == 1.5);
    assert_true(dcls_json_as_double(dcls_json_at(root, 1), &value) && value == 0.25);
    dcls_json_free(root);
    setlocale(LC_ALL, before);
    free(before);
    if (!comma) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
}

static void test_emit(void **state)
{
    static const char *const texts[] = {"{\"b\": 1, \"a\": [true, null, \"x\\n\"], \"c\": {}, \"d\": []}",
                                        "[0, -0, 1.5, 1e300, -7, 9007199254740991]", "\"\\u001b\xC3\xA9\"",
                                        "0.1", "{\"k\": {\"k\": {\"k\": [[[1]]]}}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        dcls_json *root = parse(*state, texts[i]);
        dcls_string text = {0};
        dcls_json_out out = {.to = &text};
        dcls_json_emit(&out, root);
        assert_string_equal(text.data, texts[i]);
        dcls_string_free(&text);
        dcls_json_free(root);
    }
}

/* ---- limits ---- */

static char *repeat(const char *piece, size_t times)
{
    size_t length = strlen(piece);
    char *text = malloc(length * times + 1);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, piece, length);
    text[length * times] = '\0';
    return text;
}

static void check_depth(dcls_context *ctx, const char *open, const char *middle, const char *close,
                        size_t levels, const char *part)
{
    char *before = repeat(open, levels), *after = repeat(close, levels);
    size_t size = strlen(before) + strlen(middle) + strlen(after);
    char *text = malloc(size + 1);
    dcls_json *root;
    snprintf(text, size + 1, "%s%s%s", before, middle, after);
    dcls_status status = dcls_json_parse(ctx, text, size, &root);
    check_outcome(ctx, open, status, part == NULL ? DCLS_OK : DCLS_ERR_FORMAT, part);
    dcls_json_free(root);
    free(text);
    free(before);
    free(after);
}

static void test_depth(void **state)
{
    dcls_context *ctx = *state;
    check_depth(ctx, "[", "1", "]", DCLS_JSON_DEPTH, NULL);
    check_depth(ctx, "[", "1", "]", DCLS_JSON_DEPTH + 1, "nested too deeply");
    check_depth(ctx, "{\"a\":", "1", "}", DCLS_JSON_DEPTH, NULL);
    check_depth(ctx, "{\"a\":", "1", "}", DCLS_JSON_DEPTH + 1, "nested too deeply");
    check_depth(ctx, "[", "1", "]", 1000000, "nested too deeply");
    check_depth(ctx, "[", "", "", 1000000, "nested too deeply");
    check_depth(ctx, "[{\"a\":", "", "", 1000000, "nested too deeply");
}

static void test_limits(void **state)
{
    dcls_context *ctx = *state;
    dcls_json *root;
    dcls_context_set_limit(ctx, DCLS_LIMIT_JSON_BYTES, 10);
    check_outcome(ctx, "10 bytes", dcls_json_parse(ctx, "[1,2,3,4] ", 10, &root), DCLS_OK, NULL);
    dcls_json_free(root);
    check_outcome(ctx, "11 bytes", dcls_json_parse(ctx, "[1,2,3,4]  ", 11, &root), DCLS_ERR_LIMIT,
                  "at most 10");
    char *text = repeat("1,", 1000);
    text[0] = '[';
    text[1999] = ']';
    dcls_context_set_limit(ctx, DCLS_LIMIT_JSON_BYTES, 2000);
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 100000);
    check_outcome(ctx, "1000 values", dcls_json_parse(ctx, text, 2000, &root), DCLS_ERR_FORMAT, "not ','");
    text[1] = ' ';
    check_outcome(ctx, "1000 values", dcls_json_parse(ctx, text, 2000, &root), DCLS_ERR_LIMIT,
                  "needs more memory");
    free(text);
}

static char *make_object(size_t keys, size_t *size)
{
    char *text = malloc(keys * 24 + 2);
    size_t used = 0;
    for (size_t i = 0; i < keys; i++)
        used += (size_t)sprintf(text + used, "%c\"key%zu\":%zu", i == 0 ? '{' : ',', i, i);
    text[used++] = '}';
    *size = used;
    return text;
}

static double time_object(dcls_context *ctx, size_t keys)
{
    struct timespec from, to;
    size_t size;
    char *text = make_object(keys, &size), key[32];
    dcls_json *root;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_ok(ctx, dcls_json_parse(ctx, text, size, &root));
    for (size_t i = 0; i < keys; i++) {
        int64_t value = -1;
        snprintf(key, sizeof key, "key%zu", i);
        assert_true(dcls_json_as_int(dcls_json_find(root, key), &value) && value == (int64_t)i);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    dcls_json_free(root);
    free(text);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Sixteen times the keys take some twenty times as long; a quadratic step anywhere would make that 256. On a
 * busy machine single measurements are far off, so the most favourable of several counts. */
static void test_linear_time(void **state)
{
    dcls_context *ctx = *state;
    double few = time_object(ctx, 10000), many = time_object(ctx, 160000);
    for (int i = 0; i < 4 && many > 64 * few; i++) {
        few = fmax(few, time_object(ctx, 10000));
        many = fmin(many, time_object(ctx, 160000));
    }
    if (many > 64 * few) fail_msg("10,000 keys: %.4f s, 160,000 keys: %.4f s", few, many);
}

/* ---- raw arrays ---- */

static const char *const raw_keys[] = {"data", "shape", NULL};

static void test_raw_tokens(void **state)
{
    static const char text[] =
        "{\"t\": {\"data\": [1, [-2.5e3,\"NaN\"] ,true, null,[] , \"a\\\"]\"], \"other\": [1, 2]}}";
    static const struct {
        dcls_json_token_kind kind;
        const char *text;
    } expected[] = {
        {DCLS_JSON_TOKEN_OPEN, "["},        {DCLS_JSON_TOKEN_SCALAR, "1"},      {DCLS_JSON_TOKEN_OPEN, "["},
        {DCLS_JSON_TOKEN_SCALAR, "-2.5e3"}, {DCLS_JSON_TOKEN_STRING, "NaN"},    {DCLS_JSON_TOKEN_CLOSE, "]"},
        {DCLS_JSON_TOKEN_SCALAR, "true"},   {DCLS_JSON_TOKEN_SCALAR, "null"},   {DCLS_JSON_TOKEN_OPEN, "["},
        {DCLS_JSON_TOKEN_CLOSE, "]"},       {DCLS_JSON_TOKEN_STRING, "a\\\"]"}, {DCLS_JSON_TOKEN_CLOSE, "]"},
        {DCLS_JSON_TOKEN_END, ""}};
    dcls_context *ctx = *state;
    dcls_json_raw_spec spec = {.depth = 2, .keys = raw_keys};
    dcls_json *root;
    dcls_json_cursor cursor;
    assert_ok(ctx, dcls_json_parse_raw(ctx, text, sizeof text - 1, &spec, &root));
    const dcls_json *t = dcls_json_find(root, "t"), *data = dcls_json_find(t, "data");
    assert_int_equal(dcls_json_kind_of(data), DCLS_JSON_ARRAY);
    assert_int_equal(dcls_json_count(data), 0);
    assert_int_equal(dcls_json_count(dcls_json_find(t, "other")), 2);
    assert_false(dcls_json_raw_open(dcls_json_find(t, "other"), &cursor));
    assert_false(dcls_json_raw_open(NULL, &cursor));
    assert_true(dcls_json_raw_open(data, &cursor));
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        dcls_json_token token = dcls_json_raw_next(&cursor);
        assert_int_equal(token.kind, expected[i].kind);
        assert_int_equal(token.length, strlen(expected[i].text));
        assert_memory_equal(token.text, expected[i].text, token.length);
    }
    dcls_json_free(root);
}

/* Which arrays stay text: only those at the depth, under the member, with the key however it is spelt. */
static void test_raw_places(void **state)
{
    static const char text[] =
        "{\"m\": {\"t\": {\"data\": [1]}}, \"tensors\": {\"t\": {\"d\\u0061ta\": [1], \"shape\": 3},"
        " \"data\": [2], \"u\": {\"x\": {\"data\": [3]}, \"shape\": [], \"datum\": [4]}}}";
    dcls_context *ctx = *state;
    dcls_json_raw_spec spec = {.within = "tensors", .depth = 3, .keys = raw_keys};
    dcls_json *root;
    dcls_json_cursor cursor;
    assert_ok(ctx, dcls_json_parse_raw(ctx, text, sizeof text - 1, &spec, &root));
    const dcls_json *m = dcls_json_find(root, "m"), *tensors = dcls_json_find(root, "tensors");
    const dcls_json *t = dcls_json_find(tensors, "t"), *u = dcls_json_find(tensors, "u");
    assert_int_equal(dcls_json_count(dcls_json_find(dcls_json_find(m, "t"), "data")), 1);
    assert_true(dcls_json_raw_open(dcls_json_find(t, "data"), &cursor));
    assert_false(dcls_json_raw_open(dcls_json_find(t, "shape"), &cursor));
    assert_int_equal(dcls_json_count(dcls_json_find(tensors, "data")), 1);
    assert_int_equal(dcls_json_count(dcls_json_find(dcls_json_find(u, "x"), "data")), 1);
    assert_true(dcls_json_raw_open(dcls_json_find(u, "shape"), &cursor));
    assert_int_equal(dcls_json_count(dcls_json_find(u, "datum")), 1);
    dcls_json_free(root);
}

static void test_raw_errors(void **state)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"{\"t\":{\"data\":[{}]}}", "an object in an array of plain values"},
        {"{\"t\":{\"data\":[1,]}}", "not ']'"},
        {"{\"t\":{\"data\":[01]}}", "leading zeros"},
        {"{\"t\":{\"data\":[1e999]}}", "too large"},
        {"{\"t\":{\"data\":[[\"\\x\"]]}}", "unknown escape"},
        {"{\"t\":{\"data\":[1}}", "not '}'"},
        {"{\"t\":{\"data\":[", "ends where"},
        {"{\"t\":{\"data\":[1],\"data\":[1]}}", "appears twice"},
        {"{\"t\":{\"data\":[nope]}}", "not 'n'"},
    };
    dcls_context *ctx = *state;
    dcls_json_raw_spec spec = {.depth = 2, .keys = raw_keys};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dcls_json *root;
        dcls_status status = dcls_json_parse_raw(ctx, bad[i].text, strlen(bad[i].text), &spec, &root);
        check_outcome(ctx, bad[i].text, status, DCLS_ERR_FORMAT, bad[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_kinds),        CONTEXT_TEST(test_nothing),    CONTEXT_TEST(test_integers),
        CONTEXT_TEST(test_long_numbers), CONTEXT_TEST(test_strings),    CONTEXT_TEST(test_locale),
        CONTEXT_TEST(test_emit),         CONTEXT_TEST(test_depth),      CONTEXT_TEST(test_limits),
        CONTEXT_TEST(test_linear_time),  CONTEXT_TEST(test_raw_tokens), CONTEXT_TEST(test_raw_places),
        CONTEXT_TEST(test_raw_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
