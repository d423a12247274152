/* The strict JSON reader: what it takes, what it refuses and with which words, what the tree says. */
#include "format_util.h"

#include <locale.h>
#include <math.h>
#include <time.h>

#include "formats/json.h"

typedef struct text_row {
    const char *text;
    size_t size;      /* texts hold NUL bytes */
    const char *part; /* of the message; NULL: accepted */
} text_row;

#define TAKE(text)                                                                                           \
    {                                                                                                        \
        text, sizeof(text) - 1, NULL                                                                         \
    }
#define REFUSE(text, part)                                                                                   \
    {                                                                                                        \
        text, sizeof(text) - 1, part                                                                         \
    }

static const text_row rows[] = {
    /* scalars and white space */
    TAKE("0"),
    TAKE("-0"),
    TAKE("42"),
    TAKE(" \t\r\n1 \t\r\n"),
    TAKE("true"),
    TAKE("false"),
    TAKE("null"),
    TAKE("\"\""),
    TAKE("\"a\""),
    TAKE("[]"),
    TAKE("{}"),
    TAKE("[ ]"),
    TAKE("{ }"),
    TAKE("\n[\n]\n"),
    REFUSE("", "ends where a value"),
    REFUSE("   ", "ends where a value"),
    REFUSE("\f1", "a value is expected"),
    REFUSE("\v1", "a value is expected"),
    REFUSE("\xC2\xA0"
           "1",
           "a value is expected"),
    REFUSE("\xEF\xBB\xBF{}", "byte order mark"),
    REFUSE("\xEF\xBB", "UTF-8"),
    REFUSE("\0", "a value is expected"),
    REFUSE("1\0", "follows the end"),
    REFUSE("TRUE", "not 'T'"),
    REFUSE("tru", "not 't'"),
    REFUSE("truth", "not 't'"),
    REFUSE("nul", "not 'n'"),
    REFUSE("truee", "follows the end"),
    REFUSE("NaN", "not 'N'"),
    REFUSE("Infinity", "not 'I'"),
    REFUSE("-Infinity", "a digit is expected"),
    REFUSE("nan", "not 'n'"),
    REFUSE("undefined", "not 'u'"),
    REFUSE("a", "not 'a'"),
    REFUSE("'a'", "not '''"),
    REFUSE("*", "not '*'"),
    REFUSE("\\", "not '\\'"),
    REFUSE("\x7f", "a value is expected"),
    REFUSE("\xC3\xA9", "a value is expected"),
    /* numbers */
    TAKE("1.5"),
    TAKE("-1.5e10"),
    TAKE("1E+2"),
    TAKE("1e-2"),
    TAKE("0.0"),
    TAKE("0e0"),
    TAKE("0E+1"),
    TAKE("123e65"),
    TAKE("-0.000000000000000000000000000000000000000000000000000000000000000000000000000001"),
    TAKE("1e-999"),
    TAKE("1.7976931348623157e308"),
    TAKE("100000000000000000000"),
    TAKE("1e00000000000000000001"),
    REFUSE("1e999", "too large"),
    REFUSE("-1e999", "too large"),
    REFUSE("[1, 2e400]", "column 5: number too large"),
    REFUSE("01", "leading zeros"),
    REFUSE("-01", "leading zeros"),
    REFUSE("00", "leading zeros"),
    REFUSE("0x1", "follows the end"),
    REFUSE("1.", "ends where a digit"),
    REFUSE("[1.]", "a digit"),
    REFUSE(".5", "not '.'"),
    REFUSE("-.5", "a digit"),
    REFUSE("-", "a digit"),
    REFUSE("+1", "not '+'"),
    REFUSE("1e", "a digit"),
    REFUSE("1e+", "a digit"),
    REFUSE("1E-", "a digit"),
    REFUSE("1ee2", "a digit"),
    REFUSE("1.e1", "a digit"),
    REFUSE("1.2.3", "follows the end"),
    REFUSE("1-2", "follows the end"),
    REFUSE("--1", "a digit"),
    REFUSE("-a", "a digit"),
    REFUSE("1a", "follows the end"),
    REFUSE("0e", "a digit"),
    REFUSE("1 000", "follows the end"),
    REFUSE("1,5", "follows the end"),
    REFUSE("[- 1]", "a digit"),
    REFUSE("\xEF\xBC\x91", "a value is expected"),
    /* strings */
    TAKE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TAKE("\"\\u00e9\""),
    TAKE("\"\\uD83D\\uDE00\""),
    TAKE("\"\x7f\""),
    TAKE("\"\xF0\x9F\x98\x80\""),
    TAKE("\"\xE2\x80\xA8\""),
    TAKE("\"\\uFFFE\""),
    TAKE("\"\xF4\x8F\xBF\xBF\""),
    TAKE("\"\\uDBFF\\uDFFF\""),
    TAKE("\"\\u0012\""),
    TAKE("\"\\u005C\""),
    TAKE("\"/*\""),
    REFUSE("\"", "string without an end"),
    REFUSE("\"a", "string without an end"),
    REFUSE("\"\\\"", "without an end"),
    REFUSE("\"\\", "unknown escape"),
    REFUSE("\"\\x41\"", "unknown escape"),
    REFUSE("\"\\a\"", "unknown escape"),
    REFUSE("\"\\'\"", "unknown escape"),
    REFUSE("\"\\\0\"", "unknown escape"),
    REFUSE("\"\\U0041\"", "unknown escape"),
    REFUSE("\"\\u\"", "four hexadecimal"),
    REFUSE("\"\\u12\"", "four hexadecimal"),
    REFUSE("\"\\u123", "four hexa"),
    REFUSE("\"\\u123g\"", "four hexadecimal"),
    REFUSE("\"\\u+123\"", "four hexadecimal"),
    REFUSE("\"\\u0000\"", "\\u0000"),
    REFUSE("{\"a\\u0000b\": 1}", "\\u0000"),
    REFUSE("\"\\uD800\"", "surrogate"),
    REFUSE("\"\\uDC00\"", "surrogate"),
    REFUSE("\"\\uD800\\n\"", "surrogate"),
    REFUSE("\"\\uD800\\uD800\"", "surrogate"),
    REFUSE("\"\\uD800\\u\"", "surrogate"),
    REFUSE("\"\\uDE00\\uD83D\"", "surr"),
    REFUSE("\"\\uD800", "surrogate"),
    REFUSE("\"\\uD800\\uDE0\"", "surrogate"),
    REFUSE("\"\n\"", "control character"),
    REFUSE("\"\t\"", "control character"),
    REFUSE("\"\0\"", "control character"),
    REFUSE("\"\x1f\"", "control character"),
    REFUSE("\"\xff\"", "UTF-8"),
    REFUSE("\"\xC0\xAF\"", "UTF-8"),
    REFUSE("\"\xED\xA0\x80\"", "UTF-8"),
    REFUSE("\"\xE2\x82\"", "UTF-8"),
    REFUSE("\"\xF4\x90\x80\x80\"", "UTF-8"),
    REFUSE("\"\x80\"", "UTF-8"),
    REFUSE("\"\xF8\x88\x80\x80\x80\"", "UTF-8"),
    REFUSE("\"a\"\"b\"", "follows the end"),
    /* arrays */
    TAKE("[1]"),
    TAKE("[1,2]"),
    TAKE("[[]]"),
    TAKE("[[],[]]"),
    TAKE("[null, 1, \"1\", {}]"),
    TAKE("[1\n]"),
    REFUSE("[", "ends where a value"),
    REFUSE("[1", "ends where a comma or ']'"),
    REFUSE("[1,", "ends where a value"),
    REFUSE("[1,]", "not ']'"),
    REFUSE("[,1]", "not ','"),
    REFUSE("[1,,2]", "not ','"),
    REFUSE("[1 2]", "not '2'"),
    REFUSE("[1}", "a comma or ']' is expected, not '}'"),
    REFUSE("]", "not ']'"),
    REFUSE("[1]]", "follows the end"),
    REFUSE("[1][2]", "follows the end"),
    REFUSE("[:1]", "not ':'"),
    REFUSE("[\"a\":1]", "not ':'"),
    REFUSE("[,]", "not ','"),
    REFUSE("[1,\n2,\n,3]", "line 3, column 1: a value is expected"),
    REFUSE("[1 true]", "not 't'"),
    REFUSE("[1] // no", "follows the end"),
    REFUSE("[1 /* no */]", "not '/'"),
    REFUSE("[1]#", "follows the end"),
    REFUSE("[\"\xC3\xA9\", ?]", "column 7"),
    /* objects */
    TAKE("{\"a\":1}"),
    TAKE("{\"\":0}"),
    TAKE("{\"a\":{\"a\":{}}}"),
    TAKE("{\"a\" : 1 , \"b\" : [ ] }"),
    TAKE("{\"A\":1,\"a\":2}"),
    TAKE("{\"a\":{\"x\":1},\"b\":{\"x\":1}}"),
    REFUSE("{", "ends where a key"),
    REFUSE("{\"a\"", "ends where a colon"),
    REFUSE("{\"a\":", "ends where a value"),
    REFUSE("{\"a\":1", "ends where a comma or '}'"),
    REFUSE("{\"a\":1,", "ends where a key"),
    REFUSE("{\"a\":1,}", "not '}'"),
    REFUSE("{,}", "not ','"),
    REFUSE("{1:1}", "a key in quotes is expected, not '1'"),
    REFUSE("{a:1}", "not 'a'"),
    REFUSE("{'a':1}", "a key in quotes"),
    REFUSE("{\"a\" 1}", "a colon"),
    REFUSE("{\"a\",1}", "a colon"),
    REFUSE("{\"a\"::1}", "not ':'"),
    REFUSE("{\"a\":1 \"b\":2}", "a comma or '}'"),
    REFUSE("{\"a\":1]", "not ']'"),
    REFUSE("{\"a\":}", "not '}'"),
    REFUSE("{\"a\":1}}", "follows the end"),
    REFUSE("{[1]:2}", "a key in quotes"),
    REFUSE("{null:1}", "a key in quotes"),
    REFUSE("}", "not '}'"),
    REFUSE("{\"a\":1,,\"b\":2}", "not ','"),
    REFUSE("{\"a\":1,\"a\":2}", "key 'a' appears twice"),
    REFUSE("{\"a\":1,\"\\u0061\":2}", "key 'a' appears twice"),
    REFUSE("{\"\":1,\"\":2}", "key '' appears twice"),
    REFUSE("[{\"x\":{\"k\":1,\"b\":2,\"k\":1}}]", "key 'k' appears twice"),
    REFUSE(
        "{\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"e\":0}",
        "key 'e' appears"),
    REFUSE("{\"a\\u001b[2J\":1,\"a\\u001b[2J\":1}", "key 'a\\x1b[2J' appears twice"),
};

static void test_grammar(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* Just as many bytes as there are, so that reading on shows. */
        char *text = malloc(rows[i].size > 0 ? rows[i].size : 1);
        dcls_json *root = (dcls_json *)1;
        memcpy(text, rows[i].text, rows[i].size);
        dcls_status status = dcls_json_parse(ctx, text, rows[i].size, &root);
        check_outcome(ctx, rows[i].text, status, rows[i].part == NULL ? DCLS_OK : DCLS_ERR_FORMAT,
                      rows[i].part);
        if (status != DCLS_OK) assert_null(root);
        dcls_json_free(root);
        free(text);
    }
}

/* Every accepted text cut short anywhere must fail, unless what remains is a value of its own. */
static void test_truncation(void **state)
{
    static const char text[] = "{\"a\": [1.5e3, true, {\"b\": \"x\\u00e9\\ud83d\\ude00\"}], \"c\": null}";
    dcls_context *ctx = *state;
    for (size_t size = 0; size < sizeof text - 1; size++) {
        char *cut = malloc(size + 1);
        dcls_json *root;
        memcpy(cut, text, size);
        assert_int_equal(dcls_json_parse(ctx, cut, size, &root), DCLS_ERR_FORMAT);
        free(cut);
    }
}

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
    static const text_row bad[] = {
        REFUSE("{\"t\":{\"data\":[{}]}}", "an object in an array of plain values"),
        REFUSE("{\"t\":{\"data\":[1,]}}", "not ']'"),
        REFUSE("{\"t\":{\"data\":[01]}}", "leading zeros"),
        REFUSE("{\"t\":{\"data\":[1e999]}}", "too large"),
        REFUSE("{\"t\":{\"data\":[[\"\\x\"]]}}", "unknown escape"),
        REFUSE("{\"t\":{\"data\":[1}}", "not '}'"),
        REFUSE("{\"t\":{\"data\":[", "ends where"),
        REFUSE("{\"t\":{\"data\":[1],\"data\":[1]}}", "appears twice"),
        REFUSE("{\"t\":{\"data\":[nope]}}", "not 'n'"),
    };
    dcls_context *ctx = *state;
    dcls_json_raw_spec spec = {.depth = 2, .keys = raw_keys};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dcls_json *root;
        dcls_status status = dcls_json_parse_raw(ctx, bad[i].text, bad[i].size, &spec, &root);
        check_outcome(ctx, bad[i].text, status, DCLS_ERR_FORMAT, bad[i].part);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_grammar),    CONTEXT_TEST(test_truncation), CONTEXT_TEST(test_kinds),
        CONTEXT_TEST(test_nothing),    CONTEXT_TEST(test_integers),   CONTEXT_TEST(test_long_numbers),
        CONTEXT_TEST(test_strings),    CONTEXT_TEST(test_locale),     CONTEXT_TEST(test_emit),
        CONTEXT_TEST(test_depth),      CONTEXT_TEST(test_limits),     CONTEXT_TEST(test_linear_time),
        CONTEXT_TEST(test_raw_tokens), CONTEXT_TEST(test_raw_places), CONTEXT_TEST(test_raw_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
