/* What the strict JSON reader takes, what it refuses and with which words. */
#include "format_util.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_grammar),
        CONTEXT_TEST(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
