/* The archives of PyTorch checkpoints: whatever their headers lie about is refused, and damage never changes
 * a tensor. */
#include "torch_util.h"

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
        assert_true(element_of(set, "w", i) == numbers[i]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXT_TEST(test_archives),
        CONTEXT_TEST(test_overlap),
        CONTEXT_TEST(test_archive_damage),
    };
    return cmocka_run_group_tests(tests, open_libzip, close_libzip);
}
