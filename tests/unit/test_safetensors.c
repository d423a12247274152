/* Safetensors: every way a header can lie, and files that come back as they were. */
#include "format_util.h"

#include "base/tensor.h"
#include "base/text.h"
#include "formats/formats.h"

/* A file of a header, spelt out, and so many bytes of data. */
static dcls_bytes make_file(dcls_context *ctx, const char *header, size_t header_size, size_t data_size)
{
    dcls_bytes bytes = {.data = dcls_alloc_zero(ctx, 8 + header_size + data_size, 1),
                        .size = 8 + header_size + data_size};
    assert_non_null(bytes.data);
    for (int i = 0; i < 8; i++)
        bytes.data[i] = (unsigned char)((uint64_t)header_size >> 8 * i);
    memcpy(bytes.data + 8, header, header_size);
    for (size_t i = 0; i < data_size; i++)
        bytes.data[8 + header_size + i] = (unsigned char)i;
    return bytes;
}

typedef struct header_row {
    const char *header;
    size_t data;
    dcls_status status;
    const char *part;
} header_row;

#define F                        DCLS_ERR_FORMAT
#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const header_row headers[] = {
    /* good ones */
    {"{}", 0, DCLS_OK, NULL},
    {"{}   ", 0, DCLS_OK, NULL},
    {"{\"__metadata__\":{}}", 0, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[2,3]", "[0,24]") "}", 24, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[]", "[0,4]") "}", 4, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[0]", "[0,0]") "}", 0, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[0]", "[0,0]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[0]", "[4,4]") ",\"b\":" T("F32", "[1]", "[0,4]") "}", 4, DCLS_OK, NULL},
    {"{\"a\":" T("U8", "[1]", "[1,2]") ",\"b\":" T("U8", "[1]", "[0,1]") "}", 2, DCLS_OK, NULL},
    {"{\"a\":" T("BF16", "[1,1,1,1,1,1,1,2]", "[0,4]") "}", 4, DCLS_OK, NULL},
    {"{\"a\" : { \"shape\" : [ 1 ] , \"data_offsets\" : [ 0 , 8 ] , \"dtype\" : \"I64\" } }", 8, DCLS_OK,
     NULL},
    {"{\"a\":{\"dtyp\\u0065\":\"U8\",\"sh\\u0061pe\":[1],\"data_offsets\":[0,1]}}", 1, DCLS_OK, NULL},
    {"{\"a\":" T("F32", "[4611686018427387904,2,0]", "[0,0]") "}", 0, F,
     "shape [4611686018427387904, 2, 0] is too large"},
    /* not a header */
    {" {}", 0, F, "header does not begin with '{'"},
    {"[]", 0, F, "header does not begin with '{'"},
    {"", 0, F, "header does not begin with '{'"},
    {"{", 0, F, "header: line 1, column 2"},
    {"{}x", 0, F, "header: line 1, column 3: something follows"},
    {"{\"a\xff\":1}", 0, F, "UTF-8"},
    {"{\"a\":1,}", 0, F, "header: line 1, column 8"},
    /* duplicates */
    {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, F, "key 'a' appears twice"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, F,
     "'dtype' appears twice"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,1]}}", 1, F,
     "'shape' appears twice"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, F, "'k' appears twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, F, "'__metadata__' appears twice"},
    /* holes, overlaps, bytes nobody owns */
    {"{\"a\":" T("U8", "[1]", "[0,1]") "}", 2, F, "1 bytes follow the last tensor"},
    {"{\"a\":" T("U8", "[1]", "[1,2]") "}", 2, F,
     "tensor 'a' begins at byte 1, but the one before it ends at 0"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3, F,
     "tensor 'b' begins at byte 1, inside"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[0,2]") "}", 2, F,
     "inside one that ends at 2"},
    {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"b\":" T("U8", "[1]", "[2,3]") "}", 3, F,
     "tensor 'b' begins at byte 2, but"},
    {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[0]", "[1,1]") "}", 2, F, "inside"},
    {"{}", 1, F, "1 bytes follow"},
    {"{\"a\":" T("U8", "[0]", "[0,0]") "}", 3, F, "3 bytes follow"},
    /* shapes and sizes */
    {"{\"a\":" T("F32", "[2,3]", "[0,20]") "}", 20, F,
     "tensor 'a': shape [2, 3] of F32 does not take the 20 bytes"},
    {"{\"a\":" T("F16", "[2,3]", "[0,24]") "}", 24, F, "does not take the 24 bytes"},
    {"{\"a\":" T("F32", "[0]", "[0,4]") "}", 4, F, "does not take the 4 bytes"},
    {"{\"a\":" T("F32", "[4294967296,4294967296]", "[0,0]") "}", 0, F, "is too large"},
    {"{\"a\":" T("F32", "[9223372036854775807]", "[0,4]") "}", 4, F, "is too large"},
    {"{\"a\":" T("F64", "[2305843009213693952]", "[0,0]") "}", 0, F, "is too large"},
    {"{\"a\":" T("U8", "[9223372036854775808]", "[0,1]") "}", 1, F, "which is not a size"},
    {"{\"a\":" T("U8", "[18446744073709551617]", "[0,1]") "}", 1, F, "which is not a size"},
    {"{\"a\":" T("U8", "[-1]", "[0,1]") "}", 1, F, "'shape' holds -1, which is not a size"},
    {"{\"a\":" T("U8", "[1.0]", "[0,1]") "}", 1, F, "'shape' holds 1.0"},
    {"{\"a\":" T("U8", "[1e0]", "[0,1]") "}", 1, F, "'shape' holds 1e0"},
    {"{\"a\":" T("U8", "[\"1\"]", "[0,1]") "}", 1, F, "'shape' holds 1"},
    {"{\"a\":" T("U8", "[[1]]", "[0,1]") "}", 1, F, "'shape' holds ["},
    {"{\"a\":" T("U8", "[null]", "[0,1]") "}", 1, F, "'shape' holds null"},
    {"{\"a\":" T("U8", "[{}]", "[0,1]") "}", 1, F, "an object in an array of plain values"},
    {"{\"a\":" T("U8", "1", "[0,1]") "}", 1, F, "tensor 'a': 'shape' is a number, not an array"},
    {"{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, DCLS_ERR_UNSUPPORTED,
     "more than 8 numbers in 'shape'"},
    /* offsets */
    {"{\"a\":" T("U8", "[1]", "[1,0]") "}", 1, F, "tensor 'a': ends at byte 0, before it begins at 1"},
    {"{\"a\":" T("U8", "[1]", "[0,2]") "}", 1, F,
     "tensor 'a': ends at byte 2, but there are only 1 (truncated?)"},
    {"{\"a\":" T("U8", "[1]", "[9223372036854775806,9223372036854775807]") "}", 1, F, "truncated"},
    {"{\"a\":" T("U8", "[1]", "[-1,0]") "}", 1, F, "'data_offsets' holds -1"},
    {"{\"a\":" T("U8", "[1]", "[0,1e0]") "}", 1, F, "'data_offsets' holds 1e0"},
    {"{\"a\":" T("U8", "[1]", "[0,\"1\"]") "}", 1, F, "'data_offsets' holds 1"},
    {"{\"a\":" T("U8", "[1]", "[0,18446744073709551615]") "}", 1, F, "which is not a size"},
    {"{\"a\":" T("U8", "[1]", "[0]") "}", 1, F, "'data_offsets' holds 1 numbers, not 2"},
    {"{\"a\":" T("U8", "[1]", "[0,1,2]") "}", 1, DCLS_ERR_UNSUPPORTED,
     "more than 2 numbers in 'data_offsets'"},
    {"{\"a\":" T("U8", "[1]", "\"0,1\"") "}", 1, F, "'data_offsets' is a string, not an array"},
    /* dtypes */
    {"{\"a\":" T("F8_E5M2", "[4]", "[0,4]") "}", 4, DCLS_ERR_UNSUPPORTED,
     "tensor 'a': dtype 'F8_E5M2' is not supported"},
    {"{\"a\":" T("U32", "[4]", "[0,16]") "}", 16, DCLS_ERR_UNSUPPORTED, "dtype 'U32'"},
    {"{\"a\":" T("F4", "[4]", "[0,2]") "}", 2, DCLS_ERR_UNSUPPORTED, "dtype 'F4'"},
    {"{\"a\":" T("f32", "[1]", "[0,4]") "}", 4, DCLS_ERR_UNSUPPORTED, "dtype 'f32'"},
    {"{\"a\":" T("", "[1]", "[0,4]") "}", 4, DCLS_ERR_UNSUPPORTED, "dtype ''"},
    {"{\"a\":" T("\\u001b[2J", "[1]", "[0,4]") "}", 4, DCLS_ERR_UNSUPPORTED, "dtype '\\x1b[2J'"},
    /* .. are checked like any other first */
    {"{\"a\":" T("U32", "[4]", "[0,15]") "}", 15, F, "of U32 does not take the 15 bytes"},
    {"{\"a\":" T("F4", "[3]", "[0,2]") "}", 2, F, "of F4 does not take the 2 bytes"},
    {"{\"a\":" T("F4", "[4611686018427387904]", "[0,0]") "}", 0, F, "is too large"},
    {"{\"a\":" T("XX", "[4]", "[0,9]") "}", 8, F, "truncated"},
    {"{\"a\":" T("XX", "[4]", "[0,8]") "}", 9, F, "1 bytes follow"},
    {"{\"a\":" T("XX", "[4]", "[0,8]") ",\"b\":" T("U8", "[1]", "[4,5]") "}", 8, F,
     "inside one that ends at 8"},
    {"{\"a\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, F, "tensor 'a': 'dtype' is a number"},
    /* entries */
    {"{\"a\":1}", 0, F, "tensor 'a': is a number, not an object"},
    {"{\"a\":[]}", 0, F, "tensor 'a': is an array, not an object"},
    {"{\"a\":{}}", 0, F, "tensor 'a': 'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, F, "tensor 'a': 'shape' is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, F, "tensor 'a': 'data_offsets' is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"strides\":[1]}}", 1, F,
     "unknown key 'strides'"},
    {"{\"a\\u0000b\":" T("U8", "[1]", "[0,1]") "}", 1, F, "\\u0000"},
    {"{\"__metadata__\":1}", 0, F, "'__metadata__' is a number"},
    {"{\"__metadata__\":{\"k\":1}}", 0, F, "metadata 'k' is a number, not a string"},
    {"{\"__metadata__\":{\"shape\":[1]}}", 0, F, "metadata 'shape' is an array, not a string"},
};

static void test_headers(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        const header_row *row = &headers[i];
        dcls_bytes bytes = make_file(ctx, row->header, strlen(row->header), row->data);
        dcls_tensors *set = (dcls_tensors *)1;
        dcls_status status = dcls_safetensors_read(ctx, &bytes, &set);
        check_outcome(ctx, row->header, status, row->status, row->part);
        assert_null(bytes.data);
        if (status != DCLS_OK) assert_null(set);
        dcls_tensors_destroy(set);
    }
}

/* The length before the header is believed only as far as the file goes. */
static void test_header_length(void **state)
{
    static const struct {
        uint64_t length;
        dcls_status status;
        const char *part;
    } lengths[] = {{UINT64_MAX, DCLS_ERR_LIMIT, "header of 18446744073709551615 bytes; at most 100000000"},
                   {UINT64_C(1) << 63, DCLS_ERR_LIMIT, "at most"},
                   {100000001, DCLS_ERR_LIMIT, "header of 100000001 bytes"},
                   {100000000, F, "header of 100000000 bytes, but only 2 bytes follow (truncated?)"},
                   {3, F, "header of 3 bytes, but only 2"},
                   {1, F, "header: line 1, column 2"},
                   {0, F, "header does not begin"}};
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        dcls_bytes bytes = make_file(ctx, "{}", 2, 0);
        dcls_tensors *set;
        for (int b = 0; b < 8; b++)
            bytes.data[b] = (unsigned char)(lengths[i].length >> 8 * b);
        check_outcome(ctx, "length", dcls_safetensors_read(ctx, &bytes, &set), lengths[i].status,
                      lengths[i].part);
    }
    for (size_t size = 0; size < 8; size++) {
        dcls_bytes bytes = make_bytes(ctx, "\2\0\0\0\0\0\0\0", size);
        dcls_tensors *set;
        check_outcome(ctx, "short", dcls_safetensors_read(ctx, &bytes, &set), F, "too few");
    }
}

/* ---- sets to write ---- */

static void add(dcls_context *ctx, dcls_tensors *set, const char *name, dcls_dtype dtype, int ndim,
                const int64_t *shape, unsigned seed)
{
    void *data;
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, dtype, ndim, shape, &data));
    size_t nbytes = set->items[set->count - 1].nbytes;
    for (size_t i = 0; i < nbytes; i++)
        ((unsigned char *)data)[i] = (unsigned char)(seed + i * 37);
}

/* All dtypes, odd sizes, empty tensors and scalars, in an order that is no order of alignment. */
static dcls_tensors *make_set(dcls_context *ctx)
{
    dcls_tensors *set;
    char name[32];
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    add(ctx, set, "odd", DCLS_U8, 1, (const int64_t[]){3}, 1);
    for (int d = 0; d < DCLS_DTYPE_COUNT; d++) {
        snprintf(name, sizeof name, "layer.%d.weight", d);
        add(ctx, set, name, (dcls_dtype)d, 2, (const int64_t[]){3, 5}, (unsigned)d);
    }
    add(ctx, set, "scalar", DCLS_F32, 0, NULL, 9);
    add(ctx, set, "empty", DCLS_F64, 3, (const int64_t[]){2, 0, 7}, 0);
    add(ctx, set, "\"\\\n\xC3\xA9 name", DCLS_F32, 1, (const int64_t[]){4}, 11);
    add(ctx, set, "", DCLS_I64, 8, (const int64_t[]){1, 1, 2, 1, 1, 1, 1, 1}, 12);
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, "z", "last letter first"));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL, "{\"task\": \"features\"}"));
    assert_ok(ctx, dcls_tensors_set_meta(ctx, set, "", "\"quoted\"\t\x7f\n"));
    return set;
}

static dcls_tensors *read_copy(dcls_context *ctx, const dcls_bytes *from)
{
    dcls_bytes bytes = make_bytes(ctx, from->data, from->size);
    dcls_tensors *set;
    assert_ok(ctx, dcls_safetensors_read(ctx, &bytes, &set));
    return set;
}

static void test_round_trip(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx);
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set);
    dcls_tensors *again = read_copy(ctx, &bytes);
    assert_same_tensors(set, again);
    assert_string_equal(dcls_tensors_format(again), "safetensors");
    dcls_bytes twice = written_by(ctx, dcls_safetensors_write, again);
    assert_int_equal(twice.size, bytes.size);
    assert_memory_equal(twice.data, bytes.data, bytes.size);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
    free(bytes.data);
    free(twice.data);
}

static void test_empty_set(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set);
    dcls_tensors *again = read_copy(ctx, &bytes);
    assert_same_tensors(set, again);
    assert_int_equal(bytes.size % 64, 0);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
    free(bytes.data);
}

/* In a file this library wrote, tensors whose sizes are multiples of 8 are used where they stand. */
static void test_in_place(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    add(ctx, set, "odd", DCLS_U8, 1, (const int64_t[]){5}, 1);
    add(ctx, set, "half", DCLS_F16, 1, (const int64_t[]){3}, 2);
    add(ctx, set, "single", DCLS_F32, 1, (const int64_t[]){3}, 3);
    add(ctx, set, "bytes", DCLS_U8, 1, (const int64_t[]){16}, 4);
    add(ctx, set, "double", DCLS_F64, 1, (const int64_t[]){3}, 5);
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set),
               kept = make_bytes(ctx, bytes.data, bytes.size);
    const unsigned char *from = kept.data, *to = from + kept.size;
    dcls_tensors *again;
    assert_ok(ctx, dcls_safetensors_read(ctx, &kept, &again));
    assert_same_tensors(set, again);
    static const char *const stay[] = {"bytes", "double", "single"};
    for (size_t i = 0; i < 3; i++) {
        const unsigned char *data = dcls_tensors_find(again, stay[i])->data;
        assert_true(data >= from && data < to);
    }
    assert_int_equal(((const unsigned char *)dcls_tensors_find(again, "bytes")->data - from) % 64, 0);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
    free(bytes.data);
}

/* A header whose length is no multiple of 8 puts all data at odd addresses. */
static void test_unaligned(void **state)
{
    dcls_context *ctx = *state;
    static const char header[] = "{\"a\":" T("F64", "[2]", "[0,16]") ",\"b\":" T("F32", "[0]", "[16,16]") "}";
    for (size_t pad = 0; pad < 8; pad++) {
        char text[256];
        dcls_tensors *set;
        int size = snprintf(text, sizeof text, "%s%*s", header, (int)pad, "");
        dcls_bytes bytes = make_file(ctx, text, (size_t)size, 16);
        assert_ok(ctx, dcls_safetensors_read(ctx, &bytes, &set));
        const dcls_tensor *a = dcls_tensors_at(set, 0), *b = dcls_tensors_at(set, 1);
        assert_int_equal((uintptr_t)a->data % 8, 0);
        assert_int_equal((uintptr_t)b->data % 8, 0);
        for (unsigned char i = 0; i < 16; i++)
            assert_int_equal(((const unsigned char *)a->data)[i], i);
        dcls_tensors_destroy(set);
    }
}

static void test_truncation(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx), *again;
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set);
    for (size_t size = 0; size < bytes.size; size++) {
        dcls_bytes cut = make_bytes(ctx, bytes.data, size);
        check_outcome(ctx, "cut", dcls_safetensors_read(ctx, &cut, &again), F, NULL);
        check_outcome(ctx, "cut", dcls_tensors_load_memory(ctx, bytes.data, size, &again), F, NULL);
    }
    bytes.data = realloc(bytes.data, bytes.size + 1);
    assert_non_null(bytes.data);
    bytes.data[bytes.size++] = 0;
    check_outcome(ctx, "extended", dcls_tensors_load_memory(ctx, bytes.data, bytes.size, &again), F,
                  "1 bytes follow the last tensor");
    dcls_tensors_destroy(set);
    free(bytes.data);
}

/* Another kind of file hidden behind the tensors. */
static void test_polyglot(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx), *again;
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set);
    static const char *const tails[] = {"\x89PNG\r\n\x1a\n", "PK\x03\x04", "{}"};
    for (size_t i = 0; i < 3; i++) {
        size_t size = bytes.size + strlen(tails[i]);
        unsigned char *both = malloc(size);
        memcpy(both, bytes.data, bytes.size);
        memcpy(both + bytes.size, tails[i], size - bytes.size);
        check_outcome(ctx, tails[i], dcls_tensors_load_memory(ctx, both, size, &again), F,
                      "follow the last tensor");
        free(both);
    }
    dcls_tensors_destroy(set);
    free(bytes.data);
}

static void test_write_errors(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    temp_dir t = make_temp_dir();
    static const struct {
        const char *name, *key, *value, *part;
    } bad[] = {{"__metadata__", "k", "v", "cannot hold a tensor named"},
               {"a\xff", "k", "v", "tensor name 'a\\xff' is not valid UTF-8"},
               {"a", "k\xff", "v", "metadata key"},
               {"a", "k", "v\xff", "metadata value"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
        add(ctx, set, bad[i].name, DCLS_U8, 0, NULL, 1);
        assert_ok(ctx, dcls_tensors_set_meta(ctx, set, bad[i].key, bad[i].value));
        check_outcome(ctx, bad[i].part, dcls_safetensors_write(ctx, set, temp_file(&t, "x.bin")), F,
                      bad[i].part);
        assert_int_equal(access(t.file, F_OK), -1);
        dcls_tensors_destroy(set);
    }
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    assert_int_equal(dcls_safetensors_write(ctx, set, temp_file(&t, "none/x.bin")), DCLS_ERR_IO);
    dcls_tensors_destroy(set);
    rmdir(t.path);
}

/* The published package's own results, a file other software wrote. */
static void test_golden(void **state)
{
    dcls_context *ctx = *state;
    char path[512];
    dcls_tensors *set;
    if (!shared_file(path, sizeof path, "golden/dcls.safetensors")) {
        print_message("%s is not there\n", path);
        skip();
    }
    assert_ok(ctx, dcls_tensors_load_file(ctx, path, &set));
    assert_true(dcls_tensors_count(set) > 52 * 4);
    dcls_bytes bytes = written_by(ctx, dcls_safetensors_write, set);
    dcls_tensors *again = read_copy(ctx, &bytes);
    assert_same_tensors(set, again);
    dcls_tensors_destroy(again);
    dcls_tensors_destroy(set);
    free(bytes.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_headers),    CONTEXT_TEST(test_header_length), CONTEXT_TEST(test_round_trip),
        CONTEXT_TEST(test_empty_set),  CONTEXT_TEST(test_in_place),      CONTEXT_TEST(test_unaligned),
        CONTEXT_TEST(test_truncation), CONTEXT_TEST(test_polyglot),      CONTEXT_TEST(test_write_errors),
        CONTEXT_TEST(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
