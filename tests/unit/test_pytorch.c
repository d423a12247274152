/* PyTorch checkpoints: what torch.save wrote is read as PyTorch reads it; what was tampered with is refused.
 */
#include "torch_util.h"

#include <dlfcn.h>

#include "formats/formats.h"
#include "formats/pytorch.h"

#define FIXTURES "tests/fixtures/pytorch/"

/* ---- reading ---------------------------------------------------------------------------------------------
 */

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

static dcls_status read_memory(dcls_context *ctx, const void *data, size_t size, dcls_tensors **out)
{
    dcls_bytes bytes = make_bytes(ctx, data, size);
    dcls_status status = dcls_pytorch_read_key(ctx, &bytes, NULL, out);
    assert_null(bytes.data);
    if (status != DCLS_OK) assert_null(*out);
    return status;
}

/* ---- what torch.save wrote --------------------------------------------------------------------------------
 */

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

static float element(const dcls_tensors *set, const char *name, size_t index)
{
    const dcls_tensor *t = dcls_tensors_find(set, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, DCLS_F32);
    assert_true(index < t->nbytes / sizeof(float));
    return ((const float *)t->data)[index];
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
    assert_true(element(set, "0.weight", 0) == -0x1.0ee8ep-3f);
    assert_true(element(set, "0.weight", 767) == -0x1.02b2f4p-7f);
    assert_true(element(set, "3.0.fn.0.P", 576) == -0x1.209238p+1f);
    assert_true(element(set, "10.weight", 639) == 0x1.90cb56p-4f);
    dcls_tensors_destroy(set);

    if (!shared_file(path, sizeof path, "models/dclsseg-camvid/checkpoint.pth")) skip();
    assert_ok(ctx, read_path(ctx, path, NULL, &set));
    assert_int_equal(dcls_tensors_count(set), 92);
    assert_true(element(set, "stem.0.weight", 863) == 0x1.51006ap-5f);
    assert_true(element(set, "blocks.5.dwconv.SIG", 640) == 0x1.b9121ep-5f);
    assert_true(element(set, "head.bias", 10) == -0x1.e27aa2p-6f);
    dcls_tensors_destroy(set);
}

/* ---- archives ---------------------------------------------------------------------------------------------
 */

static const float numbers[] = {1, 2, 3, 4};
#define SCALARS                                                                                              \
    {                                                                                                        \
        .ndim = 1, .shape = {4}, .stride = { 1 }                                                             \
    }

/* An archive of data.pkl and storage 0 with one change each, and what becomes of it. */
typedef struct archive_row {
    const char *row;
    zip_item pickle, storage,
        extra; /* name, data and size are filled in where they are 0; extra is left out then */
    zip_frame frame;
    dcls_status status;
    const char *part;
} archive_row;

static const archive_row archives[] = {
    {.row = "unchanged"},
    {.row = "data descriptors", .pickle = {.descriptor = true}, .storage = {.descriptor = true}},
    {.row = "zip64", .pickle = {.zip64 = true}, .storage = {.zip64 = true}, .frame = {.zip64 = true}},
    {.row = "comment", .frame = {.comment = "a comment"}},
    {.row = "other entries", .extra = {.name = "x/../../etc/passwd", .data = "root", .size = 4}},
    {.row = "compressed entry nobody asks for",
     .extra = {.name = "x/readme", .data = "\3\0", .size = 2, .both = {.method = 8}}},
    {.row = "little-endian", .extra = {.name = "x/byteorder", .data = "little", .size = 6}},

    {.row = "local name differs",
     .storage = {.local = {.name = "x/data/1"}},
     .status = DCLS_ERR_FORMAT,
     .part = "entry 'x/data/0' differs between local header and central directory"},
    {.row = "local size differs",
     .storage = {.local = {.size = -4}},
     .status = DCLS_ERR_FORMAT,
     .part = "differs"},
    {.row = "local CRC differs",
     .storage = {.local = {.crc = 1}},
     .status = DCLS_ERR_FORMAT,
     .part = "differs"},
    {.row = "local flags differ",
     .storage = {.local = {.flags = 1}},
     .status = DCLS_ERR_FORMAT,
     .part = "differs"},
    {.row = "local method differs",
     .storage = {.local = {.method = 8}},
     .status = DCLS_ERR_FORMAT,
     .part = "differs"},
    {.row = "encrypted",
     .storage = {.both = {.flags = 1}},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "is encrypted"},
    {.row = "strongly encrypted",
     .storage = {.both = {.flags = 0x41}},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "is encrypted"},
    {.row = "compressed storage",
     .storage = {.both = {.method = 8}},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "entry 'x/data/0' is compressed"},
    {.row = "compressed pickle",
     .pickle = {.both = {.method = 8}},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "entry 'x/data.pkl' is compressed"},
    {.row = "wrong CRC",
     .storage = {.both = {.crc = 0x100}},
     .status = DCLS_ERR_FORMAT,
     .part = "zip archive: x/data/0 cannot be read: CRC error"},
    {.row = "wrong CRC in descriptor",
     .storage = {.descriptor = true, .central = {.crc = 1}},
     .status = DCLS_ERR_FORMAT,
     .part = "does not end where"},
    {.row = "2.2 GB declared",
     .storage = {.both = {.size = INT64_C(2200000000)}},
     .status = DCLS_ERR_FORMAT,
     .part = "entry 'x/data/0' is longer than the archive"},
    {.row = "one byte more declared",
     .storage = {.both = {.size = 1}},
     .status = DCLS_ERR_FORMAT,
     .part = "longer than the archive"},
    {.row = "one byte less declared",
     .pickle = {.both = {.size = -1}},
     .status = DCLS_ERR_FORMAT,
     .part = "does not end where the next one begins"},
    {.row = "zip64 size wraps",
     .storage = {.zip64 = true, .both = {.size = -32}},
     .status = DCLS_ERR_FORMAT,
     .part = "longer than the archive"},
    {.row = "overlap",
     .extra = {.name = "x/data/0", .data = "", .overlaps = 2},
     .status = DCLS_ERR_FORMAT,
     .part = "differs"},
    {.row = "gap",
     .storage = {.gap = "\x7f"
                        "ELF"},
     .status = DCLS_ERR_FORMAT,
     .part = "entry 'x/data.pkl' does not end"},
    {.row = "junk before",
     .frame = {.before = "PK or not\n"},
     .status = DCLS_ERR_FORMAT,
     .part = "does not start with an entry"},
    {.row = "junk after", .frame = {.after = "junk"}, .status = DCLS_ERR_FORMAT, .part = "no end record"},
    {.row = "entry twice",
     .extra = {.name = "x/data/0", .data = numbers, .size = 16},
     .status = DCLS_ERR_FORMAT,
     .part = "entry 'x/data/0' occurs twice"},
    {.row = "NUL in a name",
     .extra = {.name = "x/data/0\0.txt", .name_length = 13, .data = "", .size = 0},
     .status = DCLS_ERR_FORMAT,
     .part = "a name holds a NUL"},
    {.row = "more entries said",
     .frame = {.count_lie = 1},
     .status = DCLS_ERR_FORMAT,
     .part = "more than it does"},
    {.row = "fewer entries said",
     .frame = {.count_lie = (uint64_t)-1},
     .status = DCLS_ERR_FORMAT,
     .part = "wrong size"},
    {.row = "60000 entries said",
     .frame = {.count_lie = 60000},
     .status = DCLS_ERR_FORMAT,
     .part = "more than it does"},
    {.row = "2^60 entries said",
     .frame = {.count_lie = UINT64_C(1) << 60, .zip64 = true},
     .status = DCLS_ERR_FORMAT,
     .part = "more than it does"},
    {.row = "directory elsewhere",
     .frame = {.offset_lie = -1},
     .status = DCLS_ERR_FORMAT,
     .part = "wrong size"},
    {.row = "directory elsewhere, zip64",
     .frame = {.offset_lie = 1, .zip64 = true},
     .status = DCLS_ERR_FORMAT,
     .part = "wrong size"},

    {.row = "no data.pkl",
     .pickle = {.name = "x/model.pkl"},
     .status = DCLS_ERR_FORMAT,
     .part = "it has no data.pkl, but 'x/model.pkl' and 1 more"},
    {.row = "data.pkl too deep",
     .pickle = {.name = "x/y/data.pkl"},
     .status = DCLS_ERR_FORMAT,
     .part = "no data.pkl"},
    {.row = "two data.pkl",
     .extra = {.name = "data.pkl", .data = "N.", .size = 2},
     .status = DCLS_ERR_FORMAT,
     .part = "2 entries are named data.pkl"},
    {.row = "TorchScript",
     .extra = {.name = "x/constants.pkl", .data = "N.", .size = 2},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "TorchScript"},
    {.row = "big-endian",
     .extra = {.name = "x/byteorder", .data = "big", .size = 3},
     .status = DCLS_ERR_UNSUPPORTED,
     .part = "big-endian"},
    {.row = "odd byteorder",
     .extra = {.name = "x/byteorder", .data = "middle", .size = 6},
     .status = DCLS_ERR_FORMAT,
     .part = "byteorder"},
    {.row = "storage missing",
     .storage = {.name = "x/data/1"},
     .status = DCLS_ERR_FORMAT,
     .part = "tensor 'w': storage '0' is missing"},
    {.row = "storage elsewhere",
     .storage = {.name = "y/data/0"},
     .status = DCLS_ERR_FORMAT,
     .part = "is missing"},
    {.row = "storage short",
     .storage = {.data = numbers, .size = 15},
     .status = DCLS_ERR_FORMAT,
     .part = "tensor 'w': storage '0' has 15 bytes where 16 are needed"},
    {.row = "storage long",
     .storage = {.data = "12345678901234567", .size = 17},
     .status = DCLS_ERR_FORMAT,
     .part = "has 17 bytes where 16 are needed"},
    {.row = "a second pickle",
     .pickle = {.data = "N.N.", .size = 4},
     .status = DCLS_ERR_FORMAT,
     .part = "2 bytes follow the pickle"},
    {.row = "empty data.pkl",
     .pickle = {.data = "", .size = 0},
     .status = DCLS_ERR_FORMAT,
     .part = "without STOP"},
};

static void check_tensor_w(const dcls_tensors *set)
{
    assert_int_equal(dcls_tensors_count(set), 1);
    assert_string_equal(dcls_tensors_at(set, 0)->name, "w");
    for (size_t i = 0; i < 4; i++)
        assert_true(element(set, "w", i) == numbers[i]);
}

static dcls_string build_archive(const archive_row *row)
{
    zip_item items[3] = {row->pickle, row->storage, row->extra};
    dcls_string pickle = one_tensor((tensor_call)SCALARS);
    if (!items[0].name) items[0].name = "x/data.pkl";
    if (!items[1].name) items[1].name = "x/data/0";
    if (!items[0].data) items[0].data = pickle.data, items[0].size = pickle.length;
    if (!items[1].data) items[1].data = numbers, items[1].size = sizeof numbers;
    dcls_string zip = make_zip(items, items[2].name ? 3 : 2, row->frame);
    dcls_string_free(&pickle);
    return zip;
}

static void test_archives(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
        dcls_tensors *set = NULL;
        dcls_string zip = build_archive(&archives[i]);
        dcls_status status = read_memory(ctx, zip.data, zip.length, &set);
        check_outcome(ctx, archives[i].row, status, archives[i].status, archives[i].part);
        if (set) check_tensor_w(set);
        dcls_tensors_destroy(set);
        dcls_string_free(&zip);
    }
}

/* An entry within the content of another: nested often enough, a small archive unpacks to any size. */
static void test_overlap(void **state)
{
    dcls_tensors *set = NULL;
    dcls_string pickle = one_tensor((tensor_call)SCALARS), inner = {0};
    zip_item items[] = {
        {.name = "x/data.pkl", .data = pickle.data, .size = pickle.length},
        {.name = "x/outer"},
        {.name = "x/data/0", .data = numbers, .size = sizeof numbers, .overlaps = 2, .inside = 37}};
    put_header(&inner, &items[2], true, 0);
    put(&inner, numbers, sizeof numbers);
    items[1].data = inner.data;
    items[1].size = inner.length;
    dcls_string zip = make_zip(items, 3, (zip_frame){0});
    dcls_status status = read_memory(*state, zip.data, zip.length, &set);
    check_outcome(*state, "overlap", status, DCLS_ERR_FORMAT,
                  "entry 'x/outer' does not end where the next one begins");
    dcls_string_free(&pickle);
    dcls_string_free(&inner);
    dcls_string_free(&zip);
}

/* Cut anywhere an archive is refused; with any bit turned it is refused or means the same: what carries no
 * meaning is its date, version, comment fields and the like, never the tensor. */
static void test_archive_damage(void **state)
{
    dcls_context *ctx = *state;
    dcls_string zip = build_archive(&archives[1]);
    dcls_tensors *set = NULL;
    for (size_t size = 0; size < zip.length; size++) {
        if (read_memory(ctx, zip.data, size, &set) == DCLS_OK) fail_msg("cut to %zu bytes it is read", size);
    }
    size_t accepted = 0;
    for (size_t bit = 0; bit < 8 * zip.length; bit++) {
        zip.data[bit / 8] = (char)(zip.data[bit / 8] ^ 1 << bit % 8);
        if (read_memory(ctx, zip.data, zip.length, &set) == DCLS_OK) {
            accepted++;
            check_tensor_w(set);
            dcls_tensors_destroy(set);
        }
        zip.data[bit / 8] = (char)(zip.data[bit / 8] ^ 1 << bit % 8);
    }
    assert_in_range(accepted, 1, 8 * zip.length / 4);
    dcls_string_free(&zip);
}

/* ---- libzip is opened when it is needed
 * --------------------------------------------------------------------- */

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

/* ---- tensors
 * ------------------------------------------------------------------------------------------------ */

#define HUGE_NUMEL INT64_C(0x4000000000000001) /* times 4 it is 4 */

static const struct {
    const char *row;
    tensor_call tensor;
    dcls_status status;
    const char *part;
} tensors[] = {
    {"unchanged", SCALARS, DCLS_OK, NULL},
    {"matrix", {.ndim = 2, .shape = {2, 2}, .stride = {2, 1}}, DCLS_OK, NULL},
    {"last element", {.ndim = 2, .shape = {2, 2}, .stride = {1, 1}, .offset = 1}, DCLS_OK, NULL},
    {"stride of one element", {.ndim = 2, .shape = {1, 4}, .stride = {INT64_MAX, 1}}, DCLS_OK, NULL},
    {"empty anywhere",
     {.ndim = 2, .shape = {0, INT64_C(1) << 40}, .stride = {1, 1}, .offset = 99},
     DCLS_OK,
     NULL},
    {"negative size", {.ndim = 1, .shape = {-4}, .stride = {1}}, DCLS_ERR_FORMAT, "whole number"},
    {"negative stride",
     {.ndim = 1, .shape = {4}, .stride = {-1}, .offset = 3},
     DCLS_ERR_FORMAT,
     "whole number"},
    {"negative offset", {.ndim = 1, .shape = {4}, .stride = {1}, .offset = -1}, DCLS_ERR_FORMAT, "arguments"},
    {"negative numel", {.numel = -4}, DCLS_ERR_FORMAT, "does not describe a storage"},
    {"one too many",
     {.ndim = 1, .shape = {5}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "tensor 'w': it reaches beyond its storage of 4 elements"},
    {"offset past the end",
     {.ndim = 1, .shape = {1}, .stride = {1}, .offset = 4},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"scalar past the end", {.offset = 4}, DCLS_ERR_FORMAT, "reaches beyond"},
    {"offset and extent",
     {.ndim = 1, .shape = {3}, .stride = {1}, .offset = 2},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"stride past the end",
     {.ndim = 2, .shape = {2, 2}, .stride = {3, 1}},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"extent wraps",
     {.ndim = 1, .shape = {INT64_C(1) << 62}, .stride = {8}},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"sum of extents wraps",
     {.ndim = 3, .shape = {2, 2, 2}, .stride = {INT64_MAX, INT64_MAX, 2}, .offset = 0},
     DCLS_ERR_FORMAT,
     "reaches beyond"},
    {"numel wraps",
     {.numel = HUGE_NUMEL, .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"numel and shape wrap",
     {.numel = HUGE_NUMEL, .ndim = 1, .shape = {HUGE_NUMEL}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"numel of another size",
     {.numel = 5, .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "has 16 bytes where 20 are needed"},
    {"wider class",
     {.storage_class = "DoubleStorage", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "has 16 bytes where 32 are needed"},
    {"class of nothing",
     {.storage_class = "system", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_UNSUPPORTED,
     "unknown class: the global torch.system"},
    {"expanded to a terabyte",
     {.ndim = 1, .shape = {INT64_C(1) << 38}, .stride = {0}},
     DCLS_ERR_LIMIT,
     "far more memory than the file"},
    {"expanded beyond all",
     {.ndim = 2, .shape = {INT64_C(1) << 32, INT64_C(1) << 32}, .stride = {0, 0}},
     DCLS_ERR_FORMAT,
     "impossible size"},
    {"nine dimensions",
     {.ndim = 9, .shape = {1, 1, 1, 1, 1, 1, 1, 1, 4}, .stride = {1, 1, 1, 1, 1, 1, 1, 1, 1}},
     DCLS_ERR_UNSUPPORTED,
     "9 dimensions"},
    {"too few strides",
     {.ndim = 2, .shape = {2, 2}, .stride = {1}, .stride_count = 1},
     DCLS_ERR_FORMAT,
     "2 sizes but 1 strides"},
    {"no part", {.part = "N", .ndim = 1, .shape = {4}, .stride = {1}}, DCLS_OK, NULL},
    {"odd part",
     {.part = "K\1", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "part of the storage"},
    {"part too long",
     {.part = "U\1vK\2K\3\x87", .ndim = 1, .shape = {1}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "part of the storage"},
    {"beyond the part",
     {.part = "U\1vK\1K\2\x87", .ndim = 1, .shape = {3}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "reaches beyond its storage"},
    {"no metadata", {.metadata = "}", .ndim = 1, .shape = {4}, .stride = {1}}, DCLS_OK, NULL},
    {"negated",
     {.metadata = "}U\3neg\x88s", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_UNSUPPORTED,
     "negated"},
    {"too many arguments",
     {.metadata = "NN", .ndim = 1, .shape = {4}, .stride = {1}},
     DCLS_ERR_FORMAT,
     "arguments"},
};

static dcls_status read_pickle(dcls_context *ctx, const dcls_string *pickle, dcls_tensors **out)
{
    zip_item items[] = {{.name = "x/data.pkl", .data = pickle->data, .size = pickle->length},
                        {.name = "x/data/0", .data = numbers, .size = sizeof numbers}};
    dcls_string zip = make_zip(items, 2, (zip_frame){0});
    dcls_status status = read_memory(ctx, zip.data, zip.length, out);
    dcls_string_free(&zip);
    return status;
}

static void test_tensors(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        dcls_tensors *set = NULL;
        dcls_string pickle = one_tensor(tensors[i].tensor);
        check_outcome(ctx, tensors[i].row, read_pickle(ctx, &pickle, &set), tensors[i].status,
                      tensors[i].part);
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
    }
}

/* ---- state dicts
 * -------------------------------------------------------------------------------------------- */

/* Opcodes around the one tensor "@", and what is found. */
static const struct {
    const char *row, *before, *after;
    size_t before_size, after_size;
    dcls_status status;
    const char *part; /* of the message, or the name of the tensor */
} dicts[] = {
#define DICT(row, before, after, status, part)                                                               \
    {                                                                                                        \
        row, before, after, sizeof(before) - 1, sizeof(after) - 1, status, part                              \
    }
    DICT("alone", "", ".", DCLS_OK, "tensor"),
    DICT("text key", "}U\1a", "s.", DCLS_OK, "a"),
    DICT("integer key", "}K\7", "s.", DCLS_OK, "7"),
    DICT("tuple key", "}K\1K\2\x86", "s.", DCLS_ERR_FORMAT, "a key in the state dict is a tuple of 2"),
    DICT("key with NUL", "}U\3a\0b", "s.", DCLS_ERR_FORMAT, "UTF-8 text without NUL"),
    DICT("key not UTF-8", "}U\2\xc3(", "s.", DCLS_ERR_FORMAT, "UTF-8 text without NUL"),
    DICT("module prefix", "}U\x08module.a", "s.", DCLS_OK, "a"),
    DICT("prefixes of two kinds", "}U\x1fmodule._orig_mod.module.weightx", "s.", DCLS_OK, "weightx"),
    DICT("prefix alone", "}U\7module.", "s.", DCLS_OK, ""),
    DICT("wrapped", "}U\5model}U\1a", "ssU\5epochK\1s.", DCLS_OK, "a"),
    DICT("wrapped twice", "}U\5model}U\nstate_dict}U\1a", "sss.", DCLS_OK, "a"),
    DICT("wrapped in an object", "}U\5modelca\nDict\n)RU\1a", "ss.", DCLS_OK, "a"),
    DICT("state is no dict", "}U\5modelca\nNet\n)\x81}U\1a", "sbs.", DCLS_ERR_FORMAT, "no state dict found"),
    DICT("wrapper without tensors", "}U\5model}U\1aK\1ssU\3net}U\1b", "ss.", DCLS_OK, "b"),
    DICT("key twice", "}U\1a", "q\1sU\1ah\1s.", DCLS_ERR_FORMAT, "'a'"),
    DICT("only optimizer state", "}U\toptimizer}U\1a", "ss.", DCLS_ERR_FORMAT, "no state dict found"),
    DICT("contains itself", "}q\1U\1a", "sU\4selfh\1s.", DCLS_ERR_LIMIT, "contains itself"),
    DICT("wraps itself", "}q\1U\5modelh\1sU\1a}U\1b", "ss.", DCLS_ERR_FORMAT, "wrapped more than 8 times"),
    DICT("list contains itself, aside", "}U\1a", "sU\1l]q\1h\1as.", DCLS_ERR_LIMIT, "contains itself"),
    DICT("nothing", "", "0}.", DCLS_ERR_FORMAT, "no state dict found; the checkpoint holds a dict of 0"),
    DICT("parameter", "}U\1actorch._utils\n_rebuild_parameter\n(",
         "\x88Nt"
         "Rs.",
         DCLS_OK, "a"),
    DICT("parameter of nothing", "}U\1a", "0ctorch._utils\n_rebuild_parameter\n(NNNtRs.",
         DCLS_ERR_UNSUPPORTED, "kind that is not supported"),
    DICT("unknown rebuild", "}U\1a", "0ctorch._utils\n_rebuild_new_thing\n)Rs.", DCLS_ERR_UNSUPPORTED,
         "torch._utils._rebuild_new_thing"),
    DICT("tensor without arguments", "}U\1a", "0ctorch._utils\n_rebuild_tensor_v2\n)Rs.", DCLS_ERR_FORMAT,
         "arguments"),
    DICT("odd persistent id", "}U\1a", "0ctorch._utils\n_rebuild_tensor\n(K\1QK\0))tRs.", DCLS_ERR_FORMAT,
         "does not describe a storage"),
    DICT("no facts", "", "0](K\1Ne.", DCLS_ERR_FORMAT, "a list of 2 with 0 (an integer), 1 (None)"),
    DICT("facts", "", "0}(K\7NNNu.", DCLS_ERR_FORMAT, "a dict of 2 with 7 (None), ? (None)"),
    DICT("storage key with NUL", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\2"
         "0\0U\3cpuK\4tQK\0K\1\x85K\1\x85tRs.",
         DCLS_ERR_FORMAT, "a storage key holds a NUL"),
    DICT("sizes are no tuple", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\1"
         "0U\3cpuK\4tQK\0K\4K\1tRs.",
         DCLS_ERR_FORMAT, "tensor 'a': its sizes or strides are no tuple"),
    DICT("element type unknown", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor_v3\n((U\7storagectorch.storage\nUntypedStorage\nU\1"
         "0U\3cpuK\x10tQK\0K\4\x85K\1\x85\x89Nctorch\nfloat8_e5m2\ntRs.",
         DCLS_ERR_UNSUPPORTED,
         "tensor 'a': its element type, the global torch.float8_e5m2, is not supported"),
    DICT("storage of impossible size", "}U\1a",
         "0ctorch._utils\n_rebuild_tensor\n((U\7storagectorch\nFloatStorage\nU\1"
         "0U\3cpu\x8a\x08\0\0\0\0\0\0\0\x7ftQK\0K\0\x85K\1\x85tRs.",
         DCLS_ERR_FORMAT, "impossible size"),
    DICT("evil beside it", "}U\1a", "sU\1bcposix\nsystem\nU\x0ctouch canary\x85Rs.", DCLS_OK, "a"),
    DICT("evil in it", "}U\1a", "0cposix\nsystem\nU\x0ctouch canary\x85Rs.", DCLS_ERR_FORMAT,
         "an object of posix.system"),
};

static void test_state_dicts(void **state)
{
    dcls_context *ctx = *state;
    for (size_t i = 0; i < sizeof dicts / sizeof *dicts; i++) {
        dcls_tensors *set = NULL;
        dcls_string pickle = {0};
        put(&pickle, dicts[i].before, dicts[i].before_size);
        put_tensor(&pickle, (tensor_call)SCALARS);
        put(&pickle, dicts[i].after, dicts[i].after_size);
        dcls_status status = read_pickle(ctx, &pickle, &set);
        check_outcome(ctx, dicts[i].row, status, dicts[i].status, status == DCLS_OK ? NULL : dicts[i].part);
        if (set) assert_string_equal(dcls_tensors_at(set, 0)->name, dicts[i].part);
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
        assert_int_equal(access("canary", F_OK), -1);
    }
}

static void test_long_names(void **state)
{
    dcls_tensors *set = NULL;
    for (size_t length = 1020; length < 1030; length++) {
        char key[1030];
        dcls_string pickle = {0};
        memset(key, 'k', sizeof key);
        PUT(&pickle, "}");
        put_text(&pickle, key, length);
        PUT(&pickle, "}X\0\0\0\0");
        put_tensor(&pickle, (tensor_call)SCALARS);
        PUT(&pickle, "ssU\1t"); /* a tensor of its own makes the outer dict the state dict */
        put_tensor(&pickle, (tensor_call)SCALARS);
        PUT(&pickle, "s.");
        /* the name is "kk..k." */
        bool fits = length < 1024;
        dcls_status status = read_pickle(*state, &pickle, &set);
        check_outcome(*state, "long name", status, fits ? DCLS_OK : DCLS_ERR_LIMIT,
                      fits ? NULL : "longer than 1024");
        dcls_tensors_destroy(set);
        dcls_string_free(&pickle);
    }
}

/* Dicts and tuples that hold one another doubly, 40 deep: 2^40 ways to the same tensor, or to none. */
static void test_doubling(void **state)
{
    dcls_tensors *set = NULL;
    dcls_string pickle = {0};
    put_tensor(&pickle, (tensor_call)SCALARS);
    for (int i = 0; i < 40; i++)
        PUT(&pickle, "q\1}U\1ah\1sU\1bh\1s");
    PUT(&pickle, ".");
    check_outcome(*state, "tensors", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT, "tensors");
    dcls_string_free(&pickle);

    PUT(&pickle, "}U\1t");
    put_tensor(&pickle, (tensor_call)SCALARS);
    PUT(&pickle, "sU\1lN");
    for (int i = 0; i < 40; i++)
        PUT(&pickle, "2\x86");
    PUT(&pickle, "s.");
    check_outcome(*state, "lists", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT, "the same too often");
    dcls_string_free(&pickle);
}

/* Two names for one storage must agree on it; 1000 transposed views of it are too much. */
static void test_shared_storages(void **state)
{
    dcls_tensors *set = NULL;
    dcls_string pickle = {0};
    PUT(&pickle, "(");
    put_tensor(&pickle, (tensor_call)SCALARS);
    put_tensor(&pickle, (tensor_call){.storage_class = "IntStorage", .ndim = 1, .shape = {4}, .stride = {1}});
    PUT(&pickle, "t.");
    check_outcome(*state, "two types", read_pickle(*state, &pickle, &set), DCLS_ERR_FORMAT,
                  "storage '0' is given two types or sizes");
    dcls_string_free(&pickle);

    PUT(&pickle, "(");
    for (int i = 0; i < 80; i++)
        put_tensor(&pickle, (tensor_call){.ndim = 2, .shape = {4, 1 << 16}, .stride = {1, 0}});
    PUT(&pickle, "t.");
    check_outcome(*state, "80 x 1 MiB of 16 bytes", read_pickle(*state, &pickle, &set), DCLS_ERR_LIMIT,
                  "tensor '64': its views");
    dcls_string_free(&pickle);
}

/* ---- the legacy form
 * ------------------------------------------------------------------------------------------ */

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
        CONTEXT_TEST(test_readable),         CONTEXT_TEST(test_unreadable),
        CONTEXT_TEST(test_real_checkpoints), CONTEXT_TEST(test_archives),
        CONTEXT_TEST(test_overlap),          CONTEXT_TEST(test_archive_damage),
        CONTEXT_TEST(test_without_libzip),   CONTEXT_TEST(test_tensors),
        CONTEXT_TEST(test_state_dicts),      CONTEXT_TEST(test_long_names),
        CONTEXT_TEST(test_doubling),         CONTEXT_TEST(test_shared_storages),
        CONTEXT_TEST(test_legacy),           CONTEXT_TEST(test_legacy_damage),
    };
    void *zip =
        dlopen("libzip.so.4", RTLD_NOW); /* kept, or else each of the many archives would load it anew */
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    if (zip) dlclose(zip);
    return failures;
}
