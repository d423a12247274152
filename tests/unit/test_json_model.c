/* JSON models: what is refused, and that every bit of every dtype comes back. */
#include "format_util.h"

#include <math.h>

#include "base/tensor.h"
#include "formats/element.h"
#include "formats/formats.h"

#define F          DCLS_ERR_FORMAT
#define HEAD       "{\"format\":\"dcls-model\",\"version\":1"
#define TENSORS(t) HEAD ",\"tensors\":{" t "}}"
#define ONE(dtype, shape, data)                                                                              \
    TENSORS("\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data\":" data "}")

static const struct {
    const char *text;
    dcls_status status;
    const char *part;
} rows[] = {
    {HEAD "}", DCLS_OK, NULL},
    {HEAD ",\"tensors\":{}}", DCLS_OK, NULL},
    {HEAD ",\"model\":{\"data\":[1],\"t\":{\"shape\":[1,2]}}}", DCLS_OK, NULL},
    {HEAD ",\"metadata\":{\"a\":\"b\"}}", DCLS_OK, NULL},
    {"{\"tensors\":{\"a\":{\"data\":[1],\"shape\":[1],\"dtype\":\"U8\"}},\"version\":1.0,\"format\":\"dcls-"
     "model\"}",
     DCLS_OK, NULL},
    /* the root */
    {"[]", F, "this JSON is an array, not a model"},
    {"{}", F, "'format' is not \"dcls-model\""},
    {"{\"format\":\"other\",\"version\":1}", F, "'format' is not \"dcls-model\""},
    {"{\"format\":\"dcls-model\"}", F, "'version' is missing"},
    {"{\"format\":\"dcls-model\",\"version\":\"1\"}", F, "'version' is missing or no integer"},
    {"{\"format\":\"dcls-model\",\"version\":2}", DCLS_ERR_UNSUPPORTED, "version 2 of the JSON model format"},
    {HEAD ",\"tensor\":{}}", F, "unknown key 'tensor'"},
    {HEAD ",\"version\":1}", F, "key 'version' appears twice"},
    {HEAD ",\"model\":[]}", F, "'model' is an array, not an object"},
    {HEAD ",\"model\":{\"a\":1,\"a\":1}}", F, "key 'a' appears twice"},
    {HEAD ",\"metadata\":[]}", F, "'metadata' is an array"},
    {HEAD ",\"metadata\":{\"a\":1}}", F, "metadata 'a' is a number, not a string"},
    {HEAD ",\"metadata\":{\"dcls.model\":\"{}\"}}", F, "belongs into 'model'"},
    {HEAD ",\"tensors\":[]}", F, "'tensors' is an array"},
    {HEAD ",\"tensors\":[[[]]]}", F, "'tensors' is an array"},
    {HEAD ",}", F, "line 1, column 36: a key in quotes"},
    {HEAD "}{}", F, "something follows"},
    /* entries */
    {TENSORS("\"a\":1"), F, "tensor 'a': is a number, not an object"},
    {TENSORS("\"a\":{}"), F, "tensor 'a': 'dtype' is missing"},
    {TENSORS("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}"), F, "'data' is missing"},
    {TENSORS("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data\":[1],\"grad\":[1]}"), F, "unknown key 'grad'"},
    {TENSORS("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data\":[1],\"data\":[1]}"), F,
     "key 'data' appears twice"},
    {ONE("F8", "[1]", "[1]"), DCLS_ERR_UNSUPPORTED, "tensor 'a': dtype 'F8' is not supported"},
    {ONE("F32", "[-1]", "[1]"), F, "'shape' holds -1"},
    {ONE("F32", "1", "[1]"), F, "'shape' is a number"},
    {ONE("F32", "[1,1,1,1,1,1,1,1,1]", "[1]"), DCLS_ERR_UNSUPPORTED, "more than 8 numbers in 'shape'"},
    {ONE("F32", "[4294967296,4294967296]", "[1]"), F, "is too large"},
    {ONE("F32", "[1099511627776]", "[1]"), F,
     "'data' holds fewer values than the 1099511627776 the shape says"},
    {ONE("F32", "[1]", "1"), F, "'data' is a number, not an array"},
    {ONE("F32", "[1]", "\"AAAA\""), F, "'data' is a string, not an array"},
    /* flat and nested data */
    {ONE("F32", "[]", "[1]"), DCLS_OK, NULL},
    {ONE("F32", "[0]", "[]"), DCLS_OK, NULL},
    {ONE("F32", "[2,0]", "[]"), DCLS_OK, NULL},
    {ONE("F32", "[2,0]", "[[],[]]"), DCLS_OK, NULL},
    {ONE("F32", "[2,3]", "[1,2,3,4,5,6]"), DCLS_OK, NULL},
    {ONE("F32", "[2,3]", "[[1,2,3],[4,5,6]]"), DCLS_OK, NULL},
    {ONE("F32", "[1,2,3]", "[ [ [1,2,3] , [4,5,6] ] ]"), DCLS_OK, NULL},
    {ONE("F32", "[1,1,1,1,1,1,1,1]", "[[[[[[[[1]]]]]]]]"), DCLS_OK, NULL},
    {ONE("F32", "[2,3]", "[1,2,3,4,5]"), F, "the list of 'data' holds fewer values than the 6"},
    {ONE("F32", "[2,3]", "[1,2,3,4,5,6,7]"), F, "the list of 'data' holds more values than the 6"},
    {ONE("F32", "[2,3]", "[[1,2,3],[4,5]]"), F, "a list of 'data' holds fewer values than the 3"},
    {ONE("F32", "[2,3]", "[[1,2,3],[4,5,6,7]]"), F, "a list of 'data' holds more values than the 3"},
    {ONE("F32", "[2,3]", "[[1,2,3]]         "), F, "a list of 'data' holds fewer values than the 2"},
    {ONE("F32", "[2,3]", "[[1,2,3],[4,5,6],[]]"), F, "a list of 'data' holds more values than the 2"},
    {ONE("F32", "[2,3]", "[[[1,2,3]],[[4,5,6]]]"), F, "nested deeper"},
    {ONE("F32", "[2,3]", "[[1,2,3],4,5,6]"), F, "mixes values and lists"},
    {ONE("F32", "[2,3]", "[1,2,3,[4,5,6]]"), F, "nested deeper"},
    {ONE("F32", "[2,2,1]", "[[[1],2],[3,4]]"), F, "mixes values and lists"},
    {ONE("F32", "[6]", "[[1,2,3,4,5,6]]"), F, "nested deeper"},
    {ONE("F32", "[]", "[[1]]"), F, "nested deeper"},
    {ONE("F32", "[2,0]", "[[],[],[]]"), F, "more values than the 2"},
    {ONE("F32", "[2,0]", "[[]]"), F, "fewer values than the 2"},
    {ONE("F32", "[0]", "[1]"), F, "more values than the 0"},
    {ONE("F32", "[1]", "[{}]"), F, "an object in an array of plain values"},
    /* values */
    {ONE("F32", "[1]", "[\"1\"]"), F, "'data' holds 1, which is no value of F32"},
    {ONE("F32", "[1]", "[true]"), F, "'data' holds true"},
    {ONE("F32", "[1]", "[null]"), F, "'data' holds null"},
    {ONE("F32", "[1]", "[\"inf\"]"), F, "'data' holds inf"},
    {ONE("F32", "[1]", "[\"nan\"]"), F, "'data' holds nan"},
    {ONE("F32", "[1]", "[\"N\\u0061N\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[1e39]"), F, "which is no value of F32"},
    {ONE("F32", "[1]", "[3.4028235e38]"), DCLS_OK, NULL},
    {ONE("F32", "[1]", "[3.4028236e38]"), F, "which is no value of F32"},
    {ONE("F32", "[1]", "[1e-999]"), DCLS_OK, NULL},
    {ONE("F16", "[1]", "[65504]"), DCLS_OK, NULL},
    {ONE("F16", "[1]", "[65520]"), F, "which is no value of F16"},
    {ONE("BF16", "[1]", "[3.4e38]"), F, "which is no value of BF16"},
    {ONE("F64", "[1]", "[1e308]"), DCLS_OK, NULL},
    {ONE("F64", "[1]", "[1e309]"), F, "number too large"},
    {ONE("F32", "[1]", "[\"NaN:7fc00001\"]"), DCLS_OK, NULL},
    {ONE("F32", "[1]", "[\"NaN:7f800000\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:3f800000\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:7fc0001\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN: 7fc0001\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:-fc00001\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:0x7fc001\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:7fc0000g\"]"), F, "which is no value"},
    {ONE("F32", "[1]", "[\"NaN:\"]"), F, "which is no value"},
    {ONE("U8", "[1]", "[255]"), DCLS_OK, NULL},
    {ONE("U8", "[1]", "[256]"), F, "'data' holds 256, which is no value of U8"},
    {ONE("U8", "[1]", "[-1]"), F, "which is no value of U8"},
    {ONE("U8", "[1]", "[1.0]"), F, "'data' holds 1.0"},
    {ONE("U8", "[1]", "[1e1]"), F, "'data' holds 1e1"},
    {ONE("U8", "[1]", "[true]"), F, "'data' holds true"},
    {ONE("I8", "[2]", "[-128,127]"), DCLS_OK, NULL},
    {ONE("I8", "[1]", "[128]"), F, "which is no value of I8"},
    {ONE("I8", "[1]", "[-129]"), F, "which is no value of I8"},
    {ONE("I16", "[1]", "[32768]"), F, "which is no value of I16"},
    {ONE("I32", "[1]", "[2147483648]"), F, "which is no value of I32"},
    {ONE("I64", "[2]", "[9223372036854775807,-9223372036854775808]"), DCLS_OK, NULL},
    {ONE("I64", "[2]", "[\"9223372036854775807\",\"-9223372036854775808\"]"), DCLS_OK, NULL},
    {ONE("I64", "[1]", "[9223372036854775808]"), F, "which is no value of I64"},
    {ONE("I64", "[1]", "[\"NaN\"]"), F, "which is no value of I64"},
    {ONE("I64", "[1]", "[\"\"]"), F, "which is no value of I64"},
    {ONE("BOOL", "[4]", "[true,false,0,255]"), DCLS_OK, NULL},
    {ONE("BOOL", "[1]", "[256]"), F, "which is no value of BOOL"},
    {ONE("BOOL", "[1]", "[\"true\"]"), F, "which is no value of BOOL"},
    {ONE("BOOL", "[1]", "[null]"), F, "which is no value of BOOL"},
};

static dcls_status read_text(dcls_context *ctx, const char *text, dcls_tensors **set)
{
    dcls_bytes bytes = make_bytes(ctx, text, strlen(text));
    dcls_status status = dcls_json_read(ctx, &bytes, set);
    assert_null(bytes.data);
    return status;
}

static void test_rows(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcls_tensors *set = (dcls_tensors *)1;
        dcls_status status = read_text(ctx, rows[i].text, &set);
        check_outcome(ctx, rows[i].text, status, rows[i].status, rows[i].part);
        if (status != DCLS_OK) assert_null(set);
        dcls_tensors_destroy(set);
    }
}

static void test_values(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    assert_ok(
        ctx,
        read_text(
            ctx,
            TENSORS("\"f\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data\":[[1,-0,0.1],[1e-45,\"Infinity\","
                    "\"-Infinity\"]]},\"b\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data\":[true,false,0,7]},"
                    "\"i\":{\"dtype\":\"I16\",\"shape\":[2],\"data\":[-2,\"300\"]}"),
            &set));
    const float expected[] = {1, -0.0f, 0.1f, 1e-45f, INFINITY, -INFINITY};
    assert_memory_equal(dcls_tensors_find(set, "f")->data, expected, sizeof expected);
    assert_memory_equal(dcls_tensors_find(set, "b")->data, "\1\0\0\7", 4);
    assert_memory_equal(dcls_tensors_find(set, "i")->data, "\xfe\xff\x2c\x01", 4);
    dcls_tensors_destroy(set);
}

/* Decimal texts that would come out one bit off if they went through double on the way to float. */
static void test_rounded_once(void **state)
{
    static const struct {
        const char *text;
        float value;
    } cases[] = {{"1.0000000596046447753906250000001", 0x1.000002p0f},
                 {"1.0000000596046447753906249999999", 1.0f},
                 {"1.000000059604644775390625", 1.0f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float value;
        dcls_json_token token = {DCLS_JSON_TOKEN_SCALAR, cases[i].text, strlen(cases[i].text)};
        (void)state;
        assert_true(dcls_element_parse(DCLS_F32, token, &value));
        assert_memory_equal(&value, &cases[i].value, sizeof value);
    }
}

/* The model travels as text in the metadata, whole and in order, "shape" and "data" in it included. */
static void test_model_text(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    assert_ok(
        ctx,
        read_text(ctx,
                  HEAD
                  ",\"metadata\":{\"k\":\"v\"},\"model\":{\"z\":{\"shape\":[1,2.5]},\n\"a\":[true,null]}}",
                  &set));
    assert_string_equal(dcls_tensors_meta(set, DCLS_META_MODEL),
                        "{\"z\": {\"shape\": [1, 2.5]}, \"a\": [true, null]}");
    assert_string_equal(dcls_tensors_meta(set, "k"), "v");
    assert_int_equal(dcls_tensors_count(set), 0);
    assert_string_equal(dcls_tensors_format(set), "json");
    dcls_tensors_destroy(set);
}

/* ---- writing ---- */

static dcls_tensors *rewrite(dcls_context *ctx, const dcls_tensors *set)
{
    temp_dir t = make_temp_dir();
    dcls_tensors *again;
    assert_ok(ctx, dcls_json_write(ctx, set, temp_file(&t, "a.json")));
    assert_ok(ctx, dcls_tensors_load_file(ctx, t.file, &again));
    remove(t.file);
    rmdir(t.path);
    return again;
}

static void *add(dcls_context *ctx, dcls_tensors *set, const char *name, dcls_dtype dtype, int64_t count)
{
    void *data;
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, dtype, 1, &count, &data));
    return data;
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

/* All 65536 patterns of the 16-bit floats; random ones and the special ones of the others. */
static void test_every_bit(void **state)
{
    static const uint32_t special[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff,
                                       0x00800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
                                       0xffc00000, 0x7f800001, 0x7fffffff, 0x3f800000};
    dcls_context *ctx = *state;
    dcls_tensors *set;
    uint64_t seed = 1;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    uint16_t *half = add(ctx, set, "half", DCLS_F16, 65536), *bf16 = add(ctx, set, "bf16", DCLS_BF16, 65536);
    for (int i = 0; i < 65536; i++)
        half[i] = bf16[i] = (uint16_t)i;
    uint32_t *single = add(ctx, set, "single", DCLS_F32, 20000);
    uint64_t *wide = add(ctx, set, "double", DCLS_F64, 20000),
             *whole = add(ctx, set, "whole", DCLS_I64, 20000);
    unsigned char *bytes[] = {add(ctx, set, "u8", DCLS_U8, 256), add(ctx, set, "i8", DCLS_I8, 256),
                              add(ctx, set, "bool", DCLS_BOOL, 256)};
    for (size_t i = 0; i < 20000; i++) {
        single[i] = i < sizeof special / sizeof *special ? special[i] : (uint32_t)next_random(&seed);
        wide[i] = next_random(&seed);
        whole[i] = next_random(&seed) >> i % 64;
        if (i < sizeof special / sizeof *special) wide[i] = (uint64_t)special[i] << 32 | (i & 1);
    }
    for (size_t i = 0; i < 256; i++)
        bytes[0][i] = bytes[1][i] = bytes[2][i] = (unsigned char)i;
    dcls_tensors *again = rewrite(ctx, set);
    assert_same_tensors(set, again);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
}

static void test_round_trip(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    void *data;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL,
                                         "{\"nodes\": [{\"eps\": 0.00001}], \"task\": \"features\"}"));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, "", "text\nwith \"quotes\" \xC3\xA9\x7f"));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, "b", ""));
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "z \"\\\n", DCLS_I32, 0, NULL, &data));
    memcpy(data, (const int32_t[]){INT32_MIN}, 4);
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "", DCLS_F64, 3, (const int64_t[]){4, 0, 2}, &data));
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "a", DCLS_I16, 8, (const int64_t[]){1, 2, 1, 1, 1, 1, 1, 1},
                                        &data));
    memcpy(data, (const int16_t[]){INT16_MIN, INT16_MAX}, 4);
    dcls_tensors *again = rewrite(ctx, set);
    assert_same_tensors(set, again);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
}

static void test_empty(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    dcls_tensors *again = rewrite(ctx, set);
    assert_same_tensors(set, again);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
}

static void test_write_errors(void **state)
{
    static const struct {
        const char *name, *key, *value, *part;
        dcls_status status;
    } bad[] = {{"a\xff", "k", "v", "tensor name", F},
               {"a", "k\xff", "v", "metadata key", F},
               {"a", DCLS_META_MODEL, "{", "metadata 'dcls.model': line 1", F},
               {"a", DCLS_META_MODEL, "[]", "metadata 'dcls.model' is an array", F},
               {"a", "k", "v", "more than the 100 bytes allowed", DCLS_ERR_LIMIT}};
    dcls_context *ctx = *state;
    temp_dir t = make_temp_dir();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dcls_tensors *set;
        assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
        memset(add(ctx, set, bad[i].name, DCLS_U8, 100), 0, 100);
        assert_ok(ctx, dcls_tensors_set_meta(ctx, set, bad[i].key, bad[i].value));
        if (bad[i].status == DCLS_ERR_LIMIT) dcls_context_set_limit(ctx, DCLS_LIMIT_JSON_BYTES, 100);
        check_outcome(ctx, bad[i].part, dcls_json_write(ctx, set, temp_file(&t, "x.json")), bad[i].status,
                      bad[i].part);
        assert_int_equal(access(t.file, F_OK), -1);
        dcls_tensors_destroy(set);
    }
    rmdir(t.path);
}

static void test_truncation(void **state)
{
    static const char text[] =
        HEAD ",\"model\":{\"a\":1},\"tensors\":{\"t\":{\"dtype\":\"F32\",\"shape\":[2],\"data\":[1,2.5]}}}";
    dcls_context *ctx = *state;
    for (size_t size = 0; size < sizeof text - 1; size++) {
        dcls_tensors *set;
        check_outcome(ctx, "cut", dcls_tensors_load_memory(ctx, text, size, &set), F, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_rows),       CONTEXT_TEST(test_values),       CONTEXT_TEST(test_rounded_once),
        CONTEXT_TEST(test_model_text), CONTEXT_TEST(test_every_bit),    CONTEXT_TEST(test_round_trip),
        CONTEXT_TEST(test_empty),      CONTEXT_TEST(test_write_errors), CONTEXT_TEST(test_truncation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
