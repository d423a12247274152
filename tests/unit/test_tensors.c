/* The set of tensors itself, and which reader a file is given to. */
#include "format_util.h"

#include <sys/stat.h>

#include "formats/formats.h"

static dcls_tensors *make_set(dcls_context *ctx)
{
    dcls_tensors *set;
    assert_ok(ctx, dcls_tensors_create(ctx, "", &set));
    return set;
}

static void test_add_and_find(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx);
    char name[32];
    for (int i = 0; i < 1000; i++) {
        void *data;
        snprintf(name, sizeof name, "tensor %d", i);
        assert_ok(ctx, dcls_tensors_add_new(ctx, set, name, DCLS_I32, 1, (const int64_t[]){1}, &data));
        memcpy(data, &i, sizeof i);
    }
    assert_int_equal(dcls_tensors_count(set), 1000);
    assert_string_equal(dcls_tensors_format(set), "");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "tensor %d", i);
        const dcls_tensor *t = dcls_tensors_find(set, name);
        assert_ptr_equal(t, dcls_tensors_at(set, (size_t)i));
        assert_string_equal(t->name, name);
        assert_memory_equal(t->data, &i, sizeof i);
        assert_int_equal(t->nbytes, 4);
    }
    assert_null(dcls_tensors_find(set, "tensor"));
    assert_null(dcls_tensors_find(set, ""));
    dcls_tensors_destroy(set);
    dcls_tensors_destroy(NULL);
}

static void test_add_errors(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx);
    static const struct {
        dcls_tensor tensor;
        dcls_status status;
        const char *part;
    } rows[] = {
        {{.name = "a", .dtype = DCLS_U8, .ndim = 0}, DCLS_OK, NULL},
        {{.name = "a", .dtype = DCLS_U8, .ndim = 0}, DCLS_ERR_FORMAT, "tensor 'a' appears twice"},
        {{.name = "b", .dtype = DCLS_DTYPE_COUNT}, DCLS_ERR_ARGUMENT, "no such dtype"},
        {{.name = "b", .ndim = 9}, DCLS_ERR_UNSUPPORTED, "tensor 'b': 9 dimensions; at most 8"},
        {{.name = "b", .ndim = -1}, DCLS_ERR_UNSUPPORTED, "-1 dimensions"},
        {{.name = "b", .ndim = 2, .shape = {3, -1}}, DCLS_ERR_FORMAT, "impossible shape [3, -1]"},
        {{.name = "b", .ndim = 2, .shape = {1LL << 40, 1LL << 40}}, DCLS_ERR_FORMAT, "impossible shape"},
        {{.name = "b", .dtype = DCLS_F64, .ndim = 1, .shape = {1LL << 61}},
         DCLS_ERR_FORMAT,
         "impossible shape"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        dcls_tensor t = rows[i].tensor;
        void *data = NULL;
        dcls_status status = dcls_tensors_add_new(ctx, set, t.name, t.dtype, t.ndim, t.shape, &data);
        check_outcome(ctx, "add_new", status, rows[i].status, rows[i].part);
        t.data = "x";
        if (status != DCLS_OK)
            check_outcome(ctx, "add", dcls_tensors_add(ctx, set, &t), rows[i].status, rows[i].part);
    }
    assert_int_equal(dcls_tensors_count(set), 1);
    dcls_tensors_destroy(set);
}

/* nbytes is computed, whatever the caller says; an empty tensor has an address. */
static void test_sizes(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx);
    void *data = NULL;
    dcls_tensor t = {.name = "t", .dtype = DCLS_F16, .ndim = 2, .shape = {3, 5}, .data = "..", .nbytes = 1};
    assert_ok(ctx, dcls_tensors_add(ctx, set, &t));
    assert_int_equal(dcls_tensors_at(set, 0)->nbytes, 30);
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "e", DCLS_F64, 2, (const int64_t[]){0, 5}, &data));
    assert_non_null(data);
    assert_int_equal(dcls_tensors_at(set, 1)->nbytes, 0);
    dcls_tensors_destroy(set);
}

static void test_metadata(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = make_set(ctx);
    char key[32], value[32];
    assert_null(dcls_tensors_meta(set, "k"));
    assert_null(dcls_tensors_meta_key(set, 0));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 500; i++) {
            snprintf(key, sizeof key, "k%d", i);
            snprintf(value, sizeof value, "%d of %d", i, round);
            assert_ok(ctx, dcls_tensors_set_meta(ctx, set, key, value));
        }
    }
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "%d of 1", i);
        assert_string_equal(dcls_tensors_meta(set, key), value);
        assert_string_equal(dcls_tensors_meta_key(set, (size_t)i), key);
        assert_string_equal(dcls_tensors_meta_value(set, (size_t)i), value);
    }
    assert_null(dcls_tensors_meta_key(set, 500));
    assert_null(dcls_tensors_meta_value(set, 500));
    dcls_tensors_destroy(set);
}

/* ---- recognition ---- */

#define TORCH_NUMBER "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
#define SNIFF(bytes, format, phrase)                                                                         \
    {                                                                                                        \
        bytes, sizeof(bytes) - 1, DCLS_FORMAT_##format, phrase                                               \
    }

static const struct {
    const char *bytes;
    size_t size;
    dcls_format format;
    const char *phrase;
} files[] = {
    SNIFF("\2\0\0\0\0\0\0\0{}", SAFETENSORS, NULL),
    SNIFF("\3\0\0\0\0\0\0\0 {}", SAFETENSORS, NULL),
    SNIFF("\xff\xff\xff\xff\xff\xff\xff\xff{}", SAFETENSORS, NULL),
    SNIFF("\0\0\0\0\0\0\0\x80{", SAFETENSORS, NULL),
    /* lengths that look like other magic numbers */
    SNIFF("P5\n\0\0\0\0\0{", SAFETENSORS, NULL),
    SNIFF("BZh\0\0\0\0\0{", SAFETENSORS, NULL),
    SNIFF("\xff\xd8\xff\0\0\0\0\0{", SAFETENSORS, NULL),
    SNIFF("\x80\2\0\0\0\0\0\0{", SAFETENSORS, NULL),
    SNIFF("{\0\0\0\0\0\0\0{", SAFETENSORS, NULL),
    SNIFF("{", JSON, NULL),
    SNIFF(" \n\t[1]", JSON, NULL),
    SNIFF("\xEF\xBB\xBF{}", JSON, NULL),
    SNIFF("{\"a\":  {}}", JSON, NULL),
    SNIFF("{\"ab\": 1{", JSON, NULL),
    SNIFF("\x93NUMPY\1\0", NPY, NULL),
    SNIFF("\x93NUMPY\1\0{\0", NPY, NULL),
    SNIFF("\x80\2" TORCH_NUMBER ".", PYTORCH_LEGACY, NULL),
    SNIFF("\x80\4\x95\0\0\0\0\0\0\0\0" TORCH_NUMBER ".", PYTORCH_LEGACY, NULL),
    SNIFF("PK\3\4\24\0\0\0archive/data.pkl", PYTORCH_ZIP, NULL),
    SNIFF("", UNKNOWN, "an empty file"),
    SNIFF("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", UNKNOWN, "Git LFS pointer"),
    SNIFF("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", UNKNOWN, "a PNG picture"),
    SNIFF("\xff\xd8\xff\xe0\0\x10JFIF", UNKNOWN, "a JPEG picture"),
    SNIFF("GIF89a..", UNKNOWN, "a GIF picture"),
    SNIFF("RIFF\0\0\0\0WEBPVP8 ", UNKNOWN, "a WebP picture"),
    SNIFF("II*\0\x08\0\0\0", UNKNOWN, "a TIFF picture"),
    SNIFF("P6\n1 1\n255\n...", UNKNOWN, "a PPM picture"),
    SNIFF("P5\n1 1\n255\n.", UNKNOWN, "a PGM picture"),
    SNIFF("<!DOCTYPE html><html>", UNKNOWN, "an HTML page"),
    SNIFF("\n  <HTML lang=en>", UNKNOWN, "an HTML page"),
    SNIFF("<?xml version=\"1.0\"?>", UNKNOWN, "an XML document"),
    SNIFF("\xEF\xBB\xBF<?xml version=\"1.0\"?>", UNKNOWN, "an XML document"),
    SNIFF("<svg xmlns=", UNKNOWN, "an XML document"),
    SNIFF("\x1f\x8b\x08\0\0\0\0\0\0\3", UNKNOWN, "a gzip archive"),
    SNIFF("BZh91AY&SY", UNKNOWN, "a bzip2 archive"),
    SNIFF("\x28\xb5\x2f\xfd\4\0", UNKNOWN, "a Zstandard archive"),
    SNIFF("PK\3\4\24\0\0\0word/document.xml", UNKNOWN, "a ZIP archive without a PyTorch checkpoint"),
    SNIFF("PK\3\4\24\0\0\0arr_0.npy", UNKNOWN, "an .npz archive"),
    SNIFF("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", UNKNOWN, "an empty ZIP archive"),
    SNIFF("\x89HDF\r\n\x1a\n\0", UNKNOWN, "an HDF5 file"),
    SNIFF("GGUF\3\0\0\0", UNKNOWN, "a GGUF model"),
    SNIFF("\x1c\0\0\0TFL3", UNKNOWN, "a TensorFlow Lite model"),
    SNIFF("\x7f"
          "ELF\2\1\1\0\0\0",
          UNKNOWN, "an ELF program"),
    SNIFF("%PDF-1.5\n", UNKNOWN, "a PDF document"),
    SNIFF("\x08\x07\x12\x07pytorch\x1a\x03", UNKNOWN, "an ONNX model"),
    SNIFF("\x08\x08:\xd0\x0f", UNKNOWN, "an ONNX model"),
    SNIFF("\x80\4\x95\x10\0\0\0\0\0\0\0}\x94(", UNKNOWN, "a Python pickle"),
    SNIFF("\x80\2}q\0.", UNKNOWN, "a Python pickle"),
    SNIFF("hello world", UNKNOWN, NULL),
    SNIFF("\0\0\0\0\0\0\0\0\0\0\0\0", UNKNOWN, NULL),
    SNIFF("x", UNKNOWN, NULL),
    SNIFF("\xEF\xBB\xBF", UNKNOWN, NULL),
};

static void test_sniff(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        unsigned char *data = malloc(files[i].size + (files[i].size == 0)); /* just the bytes, for ASan */
        const char *phrase = "untouched", *wanted = files[i].phrase;
        dcls_tensors *set;
        memcpy(data, files[i].bytes, files[i].size);
        dcls_format format = dcls_format_sniff(data, files[i].size, &phrase);
        if (format != files[i].format || (wanted == NULL) != (phrase == NULL) ||
            (wanted != NULL && strstr(phrase, wanted) == NULL))
            fail_msg("row %zu: format %d, %s", i, format, phrase != NULL ? phrase : "NULL");
        dcls_status status = dcls_tensors_load_memory(ctx, data, files[i].size, &set);
        if (format == DCLS_FORMAT_UNKNOWN)
            check_outcome(ctx, files[i].bytes, status, DCLS_ERR_FORMAT,
                          wanted != NULL ? wanted : "not a weights file of a known kind");
        if (status == DCLS_OK) dcls_tensors_destroy(set);
        free(data);
    }
}

/* A zip whose central directory, not its beginning, names the pickle. */
static void test_large_zip(void **state)
{
    size_t size = 3 << 20;
    unsigned char *data = calloc(1, size);
    const char *phrase;
    (void)state;
    memcpy(data, "PK\3\4", 4);
    memcpy(data + size - 100, "model/data.pkl", 14);
    assert_int_equal(dcls_format_sniff(data, size, &phrase), DCLS_FORMAT_PYTORCH_ZIP);
    memcpy(data + size - 100, "model/data.npy", 14);
    assert_int_equal(dcls_format_sniff(data, size, &phrase), DCLS_FORMAT_UNKNOWN);
    free(data);
}

/* ---- files ---- */

static void test_load_errors(void **state)
{
    dcls_context *ctx = *state;
    temp_dir t = make_temp_dir();
    dcls_tensors *set = (dcls_tensors *)1;
    check_outcome(ctx, "directory", dcls_tensors_load_file(ctx, t.path, &set), DCLS_ERR_IO, "is a directory");
    assert_null(set);
    check_outcome(ctx, "missing", dcls_tensors_load_file(ctx, temp_file(&t, "no.bin"), &set), DCLS_ERR_IO,
                  "No such file");
    write_bytes(temp_file(&t, "empty.bin"), "", 0);
    check_outcome(ctx, "empty", dcls_tensors_load_file(ctx, t.file, &set), DCLS_ERR_FORMAT, "an empty file");
    write_bytes(t.file, "\2\0\0\0\0\0\0\0{}", 10);
    assert_ok(ctx, dcls_tensors_load_file(ctx, t.file, &set));
    dcls_tensors_destroy(set);
    dcls_context_set_limit(ctx, DCLS_LIMIT_FILE_BYTES, 9);
    check_outcome(ctx, "limit", dcls_tensors_load_file(ctx, t.file, &set), DCLS_ERR_LIMIT,
                  "limit of 9 bytes");
    /* what a file holds has that limit alone */
    static char large[(4 << 20) + 10] = "\2\0\0\0\0\0\0\0{}";
    write_bytes(t.file, large, sizeof large);
    dcls_context_set_limit(ctx, DCLS_LIMIT_FILE_BYTES, sizeof large);
    dcls_context_set_limit(ctx, DCLS_LIMIT_MEMORY_BYTES, 3 << 20);
    check_outcome(ctx, "large", dcls_tensors_load_file(ctx, t.file, &set), DCLS_ERR_FORMAT, NULL);
    remove(t.file);
    rmdir(t.path);
}

/* The caller's memory may go away after the call. */
static void test_load_memory(void **state)
{
    dcls_context *ctx = *state;
    static const char file[] = "\x3a\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":["
                               "0,8]}}    \1\2\3\4\5\6\7\x08";
    char *data = malloc(sizeof file - 1);
    dcls_tensors *set;
    memcpy(data, file, sizeof file - 1);
    assert_ok(ctx, dcls_tensors_load_memory(ctx, data, sizeof file - 1, &set));
    memset(data, 0xaa, sizeof file - 1);
    free(data);
    assert_memory_equal(dcls_tensors_find(set, "a")->data, "\1\2\3\4\5\6\7\x08", 8);
    dcls_tensors_destroy(set);
}

static void test_suffixes(void **state)
{
    static const struct {
        const char *path;
        dcls_format format; /* UNKNOWN: refused */
    } paths[] = {{"a.bin", DCLS_FORMAT_SAFETENSORS}, {"dir.json/a.safetensors", DCLS_FORMAT_SAFETENSORS},
                 {"a.b.json", DCLS_FORMAT_JSON},     {"/x/a.npy", DCLS_FORMAT_NPY},
                 {"a.onnx", DCLS_FORMAT_ONNX},       {"a.pth", DCLS_FORMAT_UNKNOWN},
                 {"a", DCLS_FORMAT_UNKNOWN},         {"", DCLS_FORMAT_UNKNOWN},
                 {"json", DCLS_FORMAT_UNKNOWN},      {"a.json/b", DCLS_FORMAT_UNKNOWN},
                 {"a.JSON", DCLS_FORMAT_JSON},       {"a.bin ", DCLS_FORMAT_UNKNOWN}};
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        dcls_format format = DCLS_FORMAT_UNKNOWN;
        dcls_status status = dcls_format_for_path(ctx, paths[i].path, &format);
        bool known = paths[i].format != DCLS_FORMAT_UNKNOWN;
        check_outcome(ctx, paths[i].path, status, known ? DCLS_OK : DCLS_ERR_ARGUMENT,
                      known ? NULL : ".bin, .safetensors, .json, .npy and .onnx");
        assert_int_equal(format, paths[i].format);
    }
}

/* The same tensor through every format there is. */
static void test_write_by_suffix(void **state)
{
    dcls_context *ctx = *state;
    static const char *const names[] = {"a.bin", "a.safetensors", "a.json", "a.npy"};
    static const char *const formats[] = {"safetensors", "safetensors", "json", "npy"};
    temp_dir t = make_temp_dir();
    dcls_tensors *set = make_set(ctx), *again;
    void *data;
    assert_ok(ctx, dcls_tensors_add_new(ctx, set, "array", DCLS_F32, 2, (const int64_t[]){2, 3}, &data));
    memcpy(data, (const float[]){0.1f, -0.0f, 1e-45f, 3.4028235e38f, 16777216.0f, -1.5f}, 24);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(ctx, dcls_tensors_write(ctx, set, temp_file(&t, names[i])));
        assert_ok(ctx, dcls_tensors_load_file(ctx, t.file, &again));
        assert_string_equal(dcls_tensors_format(again), formats[i]);
        assert_same_tensors(set, again);
        dcls_tensors_destroy(again);
        remove(t.file);
    }
    assert_int_equal(dcls_tensors_write(ctx, set, temp_file(&t, "a.pth")), DCLS_ERR_ARGUMENT);
    rmdir(t.path);
    dcls_tensors_destroy(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_add_and_find),    CONTEXT_TEST(test_add_errors),  CONTEXT_TEST(test_sizes),
        CONTEXT_TEST(test_metadata),        CONTEXT_TEST(test_sniff),       CONTEXT_TEST(test_large_zip),
        CONTEXT_TEST(test_load_errors),     CONTEXT_TEST(test_load_memory), CONTEXT_TEST(test_suffixes),
        CONTEXT_TEST(test_write_by_suffix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
