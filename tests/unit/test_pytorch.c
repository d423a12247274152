/* PyTorch checkpoints: what torch.save wrote is read as PyTorch reads it; what was tampered with in the
 * legacy form is refused. */
#include "torch_util.h"

#define FIXTURES "tests/fixtures/pytorch/"

/* ---- reading ---- */

static dcls_status read_path(dcls_context *ctx, const char *path, const char *key, dcls_tensors **out)
{
    dcls_bytes bytes;
    assert_ok(ctx, dcls_file_read(ctx, path, UINT64_C(1) << 30, &bytes));
    dcls_status status =
        key ? dcls_pytorch_read_key(ctx, &bytes, key, out) : dcls_tensors_read(ctx, &bytes, out);
    assert_null(bytes.data);
    return status;
}

static dcls_status read_fixture(dcls_context *ctx, const char *name, const char *suffix, const char *key,
                                dcls_tensors **out)
{
    char path[256];
    snprintf(path, sizeof path, FIXTURES "%s.%s", name, suffix);
    return read_path(ctx, path, key, out);
}

/* ---- what torch.save wrote ---- */

static const struct {
    const char *file, *key, *expected;
} readable[] = {
    {"mixed_zip_p2", NULL, "mixed"},
    {"mixed_zip_p3", NULL, "mixed"},
    {"mixed_zip_p4", NULL, "mixed"},
    {"mixed_zip_p5", NULL, "mixed"},
    {"mixed_legacy_p2", NULL, "mixed"},
    {"mixed_legacy_p3", NULL, "mixed"},
    {"mixed_legacy_p4", NULL, "mixed"},
    {"mixed_legacy_p5", NULL, "mixed"},
    {"wrapped_zip", NULL, "network"},
    {"wrapped_legacy", NULL, "network"},
    {"wrapped_zip", "model", "network"},
    {"wrapped_zip", "model_ema", "average"},
    {"wrapped_legacy", "model_ema", "average"},
    {"averaged", NULL, "averaged"},
    {"compiled", NULL, "network"},
    {"module_zip", NULL, "network"},
    {"module_legacy", NULL, "network"},
    {"unknown_key", NULL, "network"},
    {"two_unknown_keys", "critic", "average"},
    {"tuple", NULL, "network"},
    {"bare_zip", NULL, "bare"},
    {"bare_legacy", NULL, "bare"},
    {"list", NULL, "list"},
    {"nested", NULL, "nested"},
    {"inner_model", NULL, "inner_model"},
    {"parts", NULL, "parts"},
    {"version3", NULL, "version3"},
};

static void test_readable(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++) {
        dcls_tensors *got = NULL, *expected = NULL;
        dcls_status status = read_fixture(ctx, readable[i].file, "pth", readable[i].key, &got);
        check_outcome(ctx, readable[i].file, status, DCLS_OK, NULL);
        assert_ok(ctx, read_fixture(ctx, readable[i].expected, "safetensors", NULL, &expected));
        bool legacy = strstr(readable[i].file, "legacy") || strcmp(readable[i].file, "parts") == 0;
        assert_string_equal(dcls_tensors_format(got), legacy ? "pytorch legacy" : "pytorch zip");
        assert_same_tensors(got, expected);
        dcls_tensors_destroy(got);
        dcls_tensors_destroy(expected);
    }
}

static const struct {
    const char *file, *key;
    dcls_status status;
    const char *part;
} unreadable[] = {
    {"sparse", NULL, DCLS_ERR_UNSUPPORTED, "tensor 'weight': "},
    {"sparse", NULL, DCLS_ERR_UNSUPPORTED, "torch._utils._rebuild_sparse_tensor"},
    {"quantized", NULL, DCLS_ERR_UNSUPPORTED, "torch._utils._rebuild_qtensor"},
    {"complex", NULL, DCLS_ERR_UNSUPPORTED, "ComplexFloatStorage"},
    {"nine_dimensions", NULL, DCLS_ERR_UNSUPPORTED, "9 dimensions"},
    {"torchscript", NULL, DCLS_ERR_UNSUPPORTED, "TorchScript"},
    {"number", NULL, DCLS_ERR_FORMAT, "no state dict found; the checkpoint holds an integer"},
    {"facts", NULL, DCLS_ERR_FORMAT, "'epoch' (an integer), 'args' (an object of argparse.Namespace)"},
    {"optimizer_only", NULL, DCLS_ERR_FORMAT, "no state dict found"},
    {"two_unknown_keys", NULL, DCLS_ERR_FORMAT, "'generator' (a dict of 8), 'critic' (a dict of 8)"},
    {"wrapped_zip", "ema", DCLS_ERR_ARGUMENT,
     "no entry 'ema'; the checkpoint holds a dict of 14 with 'epoch'"},
    {"wrapped_zip", "epoch", DCLS_ERR_FORMAT, "no state dict found"},
    {"bare_zip", "model", DCLS_ERR_ARGUMENT, "no entry 'model'"},
};

static void test_unreadable(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        dcls_tensors *got = NULL;
        dcls_status status = read_fixture(ctx, unreadable[i].file, "pth", unreadable[i].key, &got);
        check_outcome(ctx, unreadable[i].file, status, unreadable[i].status, unreadable[i].part);
        assert_null(got);
    }
}

/* Values as PyTorch prints them. */
static void test_real_checkpoints(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = NULL;
    char path[512];
    if (!shared_file(path, sizeof path, "models/convmixer-dcls-cifar10/checkpoint.pth")) skip();
    assert_ok(ctx, read_path(ctx, path, NULL, &set));
    assert_int_equal(dcls_tensors_count(set), 84);
    assert_string_equal(dcls_tensors_at(set, 0)->name, "0.weight");
    assert_string_equal(dcls_tensors_at(set, 83)->name, "10.bias");
    assert_true(element_of(set, "0.weight", 0) == -0x1.0ee8ep-3f);
    assert_true(element_of(set, "0.weight", 767) == -0x1.02b2f4p-7f);
    assert_true(element_of(set, "3.0.fn.0.P", 576) == -0x1.209238p+1f);
    assert_true(element_of(set, "10.weight", 639) == 0x1.90cb56p-4f);
    dcls_tensors_destroy(set);

    if (!shared_file(path, sizeof path, "models/dclsseg-camvid/checkpoint.pth")) skip();
    assert_ok(ctx, read_path(ctx, path, NULL, &set));
    assert_int_equal(dcls_tensors_count(set), 92);
    assert_true(element_of(set, "stem.0.weight", 863) == 0x1.51006ap-5f);
    assert_true(element_of(set, "blocks.5.dwconv.SIG", 640) == 0x1.b9121ep-5f);
    assert_true(element_of(set, "head.bias", 10) == -0x1.e27aa2p-6f);
    dcls_tensors_destroy(set);
}

/* ---- libzip is opened when it is needed ---- */

static bool hide_libraries;

/* Takes the place of the C library's for the whole program. */
void *dlopen(const char *path, int mode) /* NOLINT: glibc names its parameters otherwise */
{
    void *(*real)(const char *, int);
    void *symbol = dlsym(RTLD_NEXT, "dlopen");
    memcpy(&real, &symbol, sizeof real);
    return hide_libraries ? NULL : real(path, mode);
}

static void test_without_libzip(void **state)
{
    dcls_tensors *set = NULL;
    hide_libraries = true;
    dcls_status zip = read_fixture(*state, "bare_zip", "pth", NULL, &set);
    check_outcome(*state, "zip", zip, DCLS_ERR_UNSUPPORTED, "needs libzip (libzip.so.4)");
    dcls_status legacy = read_fixture(*state, "bare_legacy", "pth", NULL, &set);
    hide_libraries = false;
    check_outcome(*state, "legacy", legacy, DCLS_OK, NULL);
    dcls_tensors_destroy(set);
}

/* ---- the legacy form ---- */

#define FOUR_NUMBERS                                                                                         \
    "\4\0\0\0\0\0\0\0"                                                                                       \
    "0123456789abcdef"

static const struct {
    const char *row;
    const char *head, *tail; /* before and after the pickle of {"w": tensor} */
    size_t head_size, tail_size;
    dcls_status status;
    const char *part;
} legacy[] = {
#define HEAD LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_LITTLE
#define LEGACY(row, head, tail, status, part)                                                                \
    {                                                                                                        \
        row, head, tail, sizeof(head) - 1, sizeof(tail) - 1, status, part                                    \
    }
    LEGACY("unchanged", HEAD, LEGACY_KEYS FOUR_NUMBERS, DCLS_OK, NULL),
    LEGACY("no magic", "\x80\2K\1.", "", DCLS_ERR_FORMAT, "without PyTorch's magic number"),
    LEGACY("wrong magic",
           "\x80\2\x8a\x0al\xfc\x9c"
           "F\xf9 j\xa8P\x18.",
           "", DCLS_ERR_FORMAT, "magic number"),
    LEGACY("protocol 1002", LEGACY_MAGIC "\x80\2M\xea\3.", "", DCLS_ERR_UNSUPPORTED, "unknown protocol"),
    LEGACY("big-endian", LEGACY_MAGIC LEGACY_PROTOCOL LEGACY_BIG, "", DCLS_ERR_UNSUPPORTED, "little-endian"),
    LEGACY("machine unknown", LEGACY_MAGIC LEGACY_PROTOCOL "}.", "", DCLS_ERR_UNSUPPORTED, "little-endian"),
    LEGACY("no keys", HEAD, "", DCLS_ERR_FORMAT, "storage keys: the pickle ends"),
    LEGACY("keys are no list", HEAD, "N.", DCLS_ERR_FORMAT, "keys are no list"),
    LEGACY("key is no text", HEAD, "]K\0a.", DCLS_ERR_FORMAT, "no plain string"),
    LEGACY("key with NUL", HEAD,
           "]U\2"
           "0\0a.",
           DCLS_ERR_FORMAT, "no plain string"),
    LEGACY("key unknown", HEAD,
           "]U\1"
           "1a.",
           DCLS_ERR_FORMAT, "storage '1' is used by no tensor"),
    LEGACY("key twice", HEAD,
           "](U\1"
           "0U\1"
           "0e." FOUR_NUMBERS FOUR_NUMBERS,
           DCLS_ERR_FORMAT, "in the file twice"),
    LEGACY("key missing", HEAD, "].", DCLS_ERR_FORMAT, "tensor 'w': storage '0' is missing"),
    LEGACY("count too small", HEAD,
           LEGACY_KEYS "\3\0\0\0\0\0\0\0"
                       "0123456789ab",
           DCLS_ERR_FORMAT, "storage '0' has 3 elements where 4 are needed"),
    LEGACY("count huge", HEAD,
           LEGACY_KEYS "\4\0\0\0\0\0\0\x40"
                       "0123456789abcdef",
           DCLS_ERR_FORMAT, "where 4 are"),
    LEGACY("count negative", HEAD, LEGACY_KEYS "\xff\xff\xff\xff\xff\xff\xff\xff", DCLS_ERR_FORMAT,
           "where 4 are"),
    LEGACY("no count", HEAD, LEGACY_KEYS "\4\0\0", DCLS_ERR_FORMAT, "ends before storage '0'"),
    LEGACY("content cut", HEAD,
           LEGACY_KEYS "\4\0\0\0\0\0\0\0"
                       "0123456789abcde",
           DCLS_ERR_FORMAT, "ends inside storage '0'"),
    LEGACY("more behind", HEAD, LEGACY_KEYS FOUR_NUMBERS "N.", DCLS_ERR_FORMAT,
           "2 bytes follow the last storage"),
};

static dcls_string build_legacy(size_t row, tensor_call tensor)
{
    dcls_string file = {0}, pickle = one_tensor(tensor);
    put(&file, legacy[row].head, legacy[row].head_size);
    put(&file, pickle.data, pickle.length);
    put(&file, legacy[row].tail, legacy[row].tail_size);
    dcls_string_free(&pickle);
    return file;
}

static void test_legacy(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof legacy / sizeof *legacy; i++) {
        dcls_tensors *set = NULL;
        dcls_string file = build_legacy(i, (tensor_call)SCALARS);
        check_outcome(ctx, legacy[i].row, read_memory(ctx, file.data, file.length, &set), legacy[i].status,
                      legacy[i].part);
        if (set) assert_memory_equal(dcls_tensors_find(set, "w")->data, "0123456789abcdef", 16);
        dcls_tensors_destroy(set);
        dcls_string_free(&file);
    }
    dcls_tensors *set = NULL;
    dcls_string wraps =
        build_legacy(0, (tensor_call){.numel = HUGE_NUMEL, .ndim = 1, .shape = {4}, .stride = {1}});
    check_outcome(ctx, "numel wraps", read_memory(ctx, wraps.data, wraps.length, &set), DCLS_ERR_FORMAT,
                  "elements");
    dcls_string_free(&wraps);
}

static void test_legacy_damage(void **state)
{
    dcls_context *ctx = *state;
    dcls_tensors *set = NULL;
    dcls_string file = build_legacy(0, (tensor_call)SCALARS);
    for (size_t size = 0; size < file.length; size++)
        if (read_memory(ctx, file.data, size, &set) == DCLS_OK) fail_msg("cut to %zu bytes it is read", size);
    for (size_t bit = 0; bit < 8 * file.length; bit++) {
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
        if (read_memory(ctx, file.data, file.length, &set) == DCLS_OK) dcls_tensors_destroy(set);
        file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
    }
    dcls_string_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_readable),       CONTEXT_TEST(test_unreadable), CONTEXT_TEST(test_real_checkpoints),
        CONTEXT_TEST(test_without_libzip), CONTEXT_TEST(test_legacy),     CONTEXT_TEST(test_legacy_damage),
    };
    return cmocka_run_group_tests(tests, open_libzip, close_libzip);
}
