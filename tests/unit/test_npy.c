/* NumPy's .npy: versions, byte and axis orders, and everything that can be wrong with a header. */
#include "format_util.h"

#include "base/tensor.h"
#include "dcls_tools.h"
#include "formats/formats.h"

#define F DCLS_ERR_FORMAT
#define U DCLS_ERR_UNSUPPORTED

/* A file of the given version with this header, padded with `pad` spaces and a newline, and data 0, 1, 2, ..
 */
static dcls_bytes make_file(dcls_context *ctx, int version, const char *header, size_t pad, size_t data_size)
{
    size_t prefix = version == 1 ? 10 : 12, length = strlen(header) + pad + 1;
    dcls_bytes bytes = {.data = dcls_alloc(ctx, prefix + length + data_size, 1),
                        .size = prefix + length + data_size};
    assert_non_null(bytes.data);
    memcpy(bytes.data, "\x93NUMPY", 6);
    bytes.data[6] = (unsigned char)version;
    bytes.data[7] = 0;
    for (size_t i = 8; i < prefix; i++)
        bytes.data[i] = (unsigned char)(length >> 8 * (i - 8));
    memset(bytes.data + prefix, ' ', length);
    memcpy(bytes.data + prefix, header, strlen(header));
    bytes.data[prefix + length - 1] = '\n';
    for (size_t i = 0; i < data_size; i++)
        bytes.data[prefix + length + i] = (unsigned char)i;
    return bytes;
}

#define H(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"

static const struct {
    const char *header;
    size_t data;
    dcls_status status;
    const char *part;
} headers[] = {
    {H("'<f4'", "False", "(2, 3)"), 24, DCLS_OK, NULL},
    {H("'<f4'", "True", "(2, 3)"), 24, DCLS_OK, NULL},
    {H("'<f4'", "False", "()"), 4, DCLS_OK, NULL},
    {H("'<f2'", "False", "(3,)"), 6, DCLS_OK, NULL},
    {H("'<f8'", "False", "(3,)"), 24, DCLS_OK, NULL},
    {H("'<i8'", "False", "(1,)"), 8, DCLS_OK, NULL},
    {H("'<i4'", "False", "(1,)"), 4, DCLS_OK, NULL},
    {H("'<i2'", "False", "(1,)"), 2, DCLS_OK, NULL},
    {H("'|i1'", "False", "(1,)"), 1, DCLS_OK, NULL},
    {H("'|u1'", "False", "(1,)"), 1, DCLS_OK, NULL},
    {H("'|b1'", "False", "(1,)"), 1, DCLS_OK, NULL},
    {H("'=f4'", "False", "(1,)"), 4, DCLS_OK, NULL},
    {H("'f4'", "False", "(1,)"), 4, DCLS_OK, NULL},
    {H("'>f4'", "False", "(1,)"), 4, DCLS_OK, NULL},
    {H("'<f4'", "False", "(0, 3)"), 0, DCLS_OK, NULL},
    {H("'<f4'", "True", "(3, 0, 2)"), 0, DCLS_OK, NULL},
    {H("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 1)"), 4, DCLS_OK, NULL},
    {"{'shape':(2L,3L),'fortran_order':False,'descr':'<f4'}", 24, DCLS_OK, NULL},
    {"{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2,)}", 8, DCLS_OK, NULL},
    /* size */
    {H("'<f4'", "False", "(2, 3)"), 23, F,
     "shape [2, 3] of F32 takes 24 bytes, but there are 23 (truncated?)"},
    {H("'<f4'", "False", "(2, 3)"), 25, F, "takes 24 bytes, but there are 25"},
    {H("'<f4'", "False", "(0,)"), 1, F, "takes 0 bytes, but there are 1"},
    {H("'<f4'", "False", "(4294967296, 4294967296)"), 0, F, "is too large"},
    {H("'<f4'", "False", "(4294967296, 4294967296, 0)"), 0, F, "is too large"},
    {H("'<f8'", "False", "(2305843009213693952,)"), 0, F, "is too large"},
    {H("'<f4'", "False", "(9223372036854775808,)"), 0, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(99999999999999999999999,)"), 0, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 1, 1, 1)"), 4, U, "more than 8 dimensions"},
    /* shape */
    {H("'<f4'", "False", "(2)"), 8, F, "'shape' is no tuple"},
    {H("'<f4'", "False", "2"), 8, F, "'shape' is no tuple"},
    {H("'<f4'", "False", "[2]"), 8, F, "'shape' is no tuple"},
    {H("'<f4'", "False", "(-2,)"), 8, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(2.0,)"), 8, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(2 3)"), 8, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(,)"), 8, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(2,,)"), 8, F, "'shape' is malformed"},
    {H("'<f4'", "False", "(2,"), 8, F, "'shape' is malformed"},
    /* dtype */
    {H("'<u4'", "False", "(1,)"), 4, U, "dtype '<u4' is not supported"},
    {H("'<c8'", "False", "(1,)"), 8, U, "dtype '<c8'"},
    {H("'|O'", "False", "(1,)"), 8, U, "dtype '|O'"},
    {H("'<U5'", "False", "(1,)"), 20, U, "dtype '<U5'"},
    {H("'|f4'", "False", "(1,)"), 4, U, "dtype '|f4'"},
    {H("'<f16'", "False", "(1,)"), 16, U, "dtype '<f16'"},
    {H("''", "False", "(1,)"), 4, U, "dtype ''"},
    {H("'<'", "False", "(1,)"), 4, U, "dtype '<'"},
    {H("'<<f4'", "False", "(1,)"), 4, U, "dtype '<<f4'"},
    {H("[('a', '<f4')]", "False", "(1,)"), 4, U, "arrays of records"},
    {H("'<f4", "False", "(1,)"), 4, U, "dtype '<f4, '"},
    {H("4", "False", "(1,)"), 4, F, "'descr' is malformed"},
    {H("'a name much too long for one'", "False", "(1,)"), 4, F, "'descr' is malformed"},
    {H("'<f\\x34'", "False", "(1,)"), 4, F, "'descr' is malformed"},
    /* order and dictionary */
    {H("'<f4'", "0", "(1,)"), 4, F, "neither True nor False"},
    {H("'<f4'", "'False'", "(1,)"), 4, F, "neither True nor False"},
    {H("'<f4'", "Falsehood", "(1,)"), 4, F, "malformed"},
    {"", 4, F, "is no dictionary"},
    {"()", 4, F, "is no dictionary"},
    {"{", 4, F, "is malformed"},
    {"{}", 4, F, "is missing"},
    {"{'descr': '<f4', 'fortran_order': False}", 4, F, "is missing"},
    {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", 4, F, "'descr' appears twice"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", 4, F, "unknown key 'x'"},
    {"{'descr': '<f4' 'fortran_order': False, 'shape': ()}", 4, F, "is malformed"},
    {"{'descr' '<f4', 'fortran_order': False, 'shape': ()}", 4, F, "is malformed"},
    {H("'<f4'", "False", "()") "x", 4, F, "something follows"},
    {H("'<f4'", "False", "()") "{}", 4, F, "something follows"},
};

static void test_headers(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        for (int version = 1; version <= 3; version++) {
            dcls_bytes bytes = make_file(ctx, version, headers[i].header, 5, headers[i].data);
            dcls_tensors *set = (dcls_tensors *)1;
            dcls_status status = dcls_npy_read(ctx, &bytes, &set);
            check_outcome(ctx, headers[i].header, status, headers[i].status, headers[i].part);
            assert_null(bytes.data);
            if (status != DCLS_OK) assert_null(set);
            dcls_tensors_destroy(set);
        }
    }
}

static void test_prefix(void **state)
{
    dcls_context *ctx = *state;
    static const struct {
        const char *bytes;
        size_t size;
        dcls_status status;
        const char *part;
    } rows[] = {
        {"", 0, F, "no .npy file"},
        {"\x93NUMPY\1", 7, F, "truncated"},
        {"\x93NUMPX\1\0\4\0{  }", 14, F, "no .npy file"},
        {"\x93NUMPY\1\0\xff\xff{}", 12, F, "header of 65535 bytes, but only 2 follow"},
        {"\x93NUMPY\2\0\xff\xff\xff\xff{}", 14, F, "header of 4294967295 bytes, but only 2 follow"},
        {"\x93NUMPY\2\0\2\0", 10, F, "truncated .npy header"},
        {"\x93NUMPY\0\0\2\0{}", 12, U, "version 0"},
        {"\x93NUMPY\4\0\2\0\0\0{}", 14, U, "version 4"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcls_bytes bytes = make_bytes(ctx, rows[i].bytes, rows[i].size);
        dcls_tensors *set;
        check_outcome(ctx, rows[i].part, dcls_npy_read(ctx, &bytes, &set), rows[i].status, rows[i].part);
    }
}

/* Data 0, 1, 2, .. in bytes: what each order makes of it. */
static void test_orders(void **state)
{
    static const struct {
        const char *header;
        size_t size;
        unsigned char bytes[24];
    } rows[] = {
        {H("'|u1'", "False", "(2, 3)"), 6, {0, 1, 2, 3, 4, 5}},
        {H("'|u1'", "True", "(2, 3)"), 6, {0, 2, 4, 1, 3, 5}},
        {H("'|u1'", "True", "(2, 3, 2)"), 12, {0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11}},
        {H("'|u1'", "True", "(6,)"), 6, {0, 1, 2, 3, 4, 5}},
        {H("'<i2'", "True", "(2, 2)"), 8, {0, 1, 4, 5, 2, 3, 6, 7}},
        {H("'>i2'", "False", "(2, 2)"), 8, {1, 0, 3, 2, 5, 4, 7, 6}},
        {H("'>i2'", "True", "(2, 2)"), 8, {1, 0, 5, 4, 3, 2, 7, 6}},
        {H("'>f8'", "False", "()"), 8, {7, 6, 5, 4, 3, 2, 1, 0}},
        {H("'>f4'", "False", "(2,)"), 8, {3, 2, 1, 0, 7, 6, 5, 4}},
        {H("'>i1'", "False", "(3,)"), 3, {0, 1, 2}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t pad = 0; pad < 9; pad++) { /* every alignment of the data */
            dcls_bytes bytes = make_file(*state, 1, rows[i].header, pad, rows[i].size);
            dcls_tensors *set;
            assert_ok(*state, dcls_npy_read(*state, &bytes, &set));
            const dcls_tensor *t = dcls_tensors_at(set, 0);
            assert_string_equal(t->name, "array");
            assert_int_equal(t->nbytes, rows[i].size);
            assert_memory_equal(t->data, rows[i].bytes, t->nbytes);
            assert_int_equal((uintptr_t)t->data % 8, 0);
            dcls_tensors_destroy(set);
        }
    }
}

static dcls_tensors *make_set(dcls_context *ctx, dcls_dtype dtype, int ndim, const int64_t *shape)
{
    dcls_tensors *set;
    void *data;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "array", dtype, ndim, shape, &data));
    for (size_t i = 0; i < set->items[0].nbytes; i++)
        ((unsigned char *)data)[i] = (unsigned char)(i * 37);
    return set;
}

static void test_round_trip(void **state)
{
    static const int64_t shape[] = {2, 3, 4, 1, 1, 1, 1, 9};
    dcls_context *ctx = *state;
    for (int dtype = 0; dtype < DCLS_DTYPE_COUNT; dtype++) {
        if (dtype == DCLS_BF16) continue;
        for (int ndim = 0; ndim <= 8; ndim++) {
            dcls_tensors *set = make_set(ctx, (dcls_dtype)dtype, ndim, shape), *again;
            dcls_bytes bytes = written_by(ctx, dcls_npy_write, set);
            assert_int_equal((bytes.size - set->items[0].nbytes) % 64, 0);
            assert_ok(ctx, dcls_npy_read(ctx, &bytes, &again));
            assert_same_tensors(set, again);
            dcls_tensors_destroy(set);
            dcls_tensors_destroy(again);
        }
    }
}

/* NumPy has no BF16; the values go into F32. */
static void test_bf16(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx, DCLS_BF16, 1, (const int64_t[]){100}), *again;
    dcls_bytes bytes = written_by(ctx, dcls_npy_write, set);
    float expected[100];
    assert_ok(ctx, dcls_npy_read(ctx, &bytes, &again));
    const dcls_tensor *t = dcls_tensors_at(again, 0);
    assert_int_equal(t->dtype, DCLS_F32);
    dcls_to_float(DCLS_BF16, set->items[0].data, expected, 100);
    assert_memory_equal(t->data, expected, sizeof expected);
    dcls_tensors_destroy(set);
    dcls_tensors_destroy(again);
}

static void test_largest_header(void **state)
{
    static const int64_t shape[] = {0, INT64_MAX, 1, 1, 1, 1, 1, 1};
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx, DCLS_U8, 8, shape), *again;
    dcls_bytes bytes = written_by(ctx, dcls_npy_write, set);
    assert_ok(ctx, dcls_npy_read(ctx, &bytes, &again));
    assert_same_tensors(set, again);
    dcls_tensors_destroy(set);
    dcls_tensors_destroy(again);
}

static void test_one_tensor_only(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set;
    void *data;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    check_outcome(ctx, "none", dcls_npy_write(ctx, set, "/nonexistent/a.npy"), DCLS_ERR_ARGUMENT,
                  "there are 0");
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "a", DCLS_U8, 0, NULL, &data));
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "b", DCLS_U8, 0, NULL, &data));
    check_outcome(ctx, "two", dcls_npy_write(ctx, set, "/nonexistent/a.npy"), DCLS_ERR_ARGUMENT,
                  "there are 2");
    dcls_tensors_destroy(set);
}

static void test_truncation(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx, DCLS_F32, 2, (const int64_t[]){10, 3}), *again;
    dcls_bytes bytes = written_by(ctx, dcls_npy_write, set);
    for (size_t size = 0; size < bytes.size; size++) {
        dcls_bytes cut = make_bytes(ctx, bytes.data, size);
        check_outcome(ctx, "cut", dcls_npy_read(ctx, &cut, &again), F, NULL);
        check_outcome(ctx, "cut", dcls_tensors_load_memory(ctx, bytes.data, size, &again), F, NULL);
    }
    dcls_tensors_destroy(set);
    free(bytes.data);
}

/* Files NumPy wrote. */
static void test_reference(void **state)
{
    dcls_context *ctx = *state;
    static const struct {
        const char *name;
        int64_t shape[4];
        int ndim;
    } files[] = {{"models/convmixer-dcls-cifar10/x.npy", {64, 3, 32, 32}, 4},
                 {"models/convmixer-dcls-cifar10/logits.npy", {64, 10}, 2}};
    for (size_t i = 0; i < 2; i++) {
        char path[512];
        dcls_tensors *set;
        dcls_bytes original;
        if (!shared_file(path, sizeof path, files[i].name)) {
            print_message("%s is not there\n", path);
            skip();
        }
        assert_ok(ctx, dcls_tensors_load_file(ctx, path, &set));
        const dcls_tensor *t = dcls_tensors_at(set, 0);
        assert_true(dcls_shape_equal(t->ndim, t->shape, files[i].ndim, files[i].shape));
        assert_int_equal(t->dtype, DCLS_F32);
        dcls_bytes bytes = written_by(ctx, dcls_npy_write, set);
        assert_ok(ctx, dcls_file_read(ctx, path, 1 << 30, &original));
        assert_int_equal(bytes.size, original.size);
        assert_memory_equal(bytes.data, original.data, bytes.size);
        free(original.data);
        free(bytes.data);
        dcls_tensors_destroy(set);
    }
}

static void test_array(void **state)
{
    dcls_context *ctx = *state;
    temp_dir dir = make_temp_dir();
    const char *path = temp_file(&dir, "array.npy");
    const float numbers[] = {1, -2, 0.5f, 3, 4, 5};
    assert_ok(ctx, dcls_npy_save(ctx, path, 2, (const int64_t[]){2, 3}, numbers));
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_load_file(ctx, path, &set));
    assert_memory_equal(dcls_tensors_at(set, 0)->data, numbers, sizeof numbers);
    assert_ok(ctx, dcls_tensors_save(ctx, set, path));
    dcls_tensors_destroy(set);
    unlink(path);
    rmdir(dir.path);
    assert_int_equal(dcls_npy_save(ctx, path, 9, (const int64_t[]){1}, numbers), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_npy_save(ctx, path, 2, (const int64_t[]){2, -3}, numbers), DCLS_ERR_ARGUMENT);
    assert_int_equal(dcls_npy_save(ctx, path, 2, (const int64_t[]){INT64_MAX, 3}, numbers),
                     DCLS_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_headers),         CONTEXT_TEST(test_prefix),     CONTEXT_TEST(test_orders),
        CONTEXT_TEST(test_round_trip),      CONTEXT_TEST(test_bf16),       CONTEXT_TEST(test_largest_header),
        CONTEXT_TEST(test_one_tensor_only), CONTEXT_TEST(test_truncation), CONTEXT_TEST(test_reference),
        CONTEXT_TEST(test_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
