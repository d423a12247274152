/* Writers of checkpoints for tests, which can be told to lie: pickles, zip archives, the legacy form; and
 * what reads them. */
#ifndef TESTS_TORCH_UTIL_H
#define TESTS_TORCH_UTIL_H

#include "format_util.h"

#include <dlfcn.h>

#include "base/text.h"
#include "formats/formats.h"
#include "formats/pytorch.h"

/* ---- pickles ------------------------------------------------------------------------------------------- */

static inline void put(dcls_string *to, const void *data, size_t size)
{
    dcls_string_append(to, data, size);
    assert_false(to->failed);
}

#define PUT(to, text) put(to, text, sizeof(text) - 1)

static inline void put_number(dcls_string *to, uint64_t value, int bytes)
{
    unsigned char raw[8];
    for (int i = 0; i < bytes; i++)
        raw[i] = (unsigned char)(value >> 8 * i);
    put(to, raw, (size_t)bytes);
}

static inline void put_text(dcls_string *to, const char *text, size_t length)
{
    PUT(to, "X");
    put_number(to, length, 4);
    put(to, text, length);
}

static inline void put_key(dcls_string *to, const char *text)
{
    put_text(to, text, strlen(text));
}

static inline void put_int(dcls_string *to, int64_t value)
{
    PUT(to, "\x8a\x08");
    put_number(to, (uint64_t)value, 8);
}

static inline void put_ints(dcls_string *to, int count, const int64_t *values)
{
    PUT(to, "(");
    for (int i = 0; i < count; i++)
        put_int(to, values[i]);
    PUT(to, "t");
}

/* A call of _rebuild_tensor_v2. Zero means: a FloatStorage "0" of 4 elements, no offset, a scalar. */
typedef struct tensor_call {
    const char *storage_class, *key;
    int64_t numel, offset;
    int ndim, stride_count; /* 0: as many strides as sizes */
    int64_t shape[10], stride[10];
    const char *part;     /* opcodes of a sixth element of the persistent id */
    const char *metadata; /* opcodes of a seventh argument */
} tensor_call;

static inline void put_tensor(dcls_string *to, tensor_call t)
{
    PUT(to, "ctorch._utils\n_rebuild_tensor_v2\n((");
    put_key(to, "storage");
    dcls_string_printf(to, "ctorch\n%s\n", t.storage_class ? t.storage_class : "FloatStorage");
    put_key(to, t.key ? t.key : "0");
    put_key(to, "cpu");
    put_int(to, t.numel ? t.numel : 4);
    dcls_string_puts(to, t.part ? t.part : "");
    PUT(to, "tQ");
    put_int(to, t.offset);
    put_ints(to, t.ndim, t.shape);
    put_ints(to, t.stride_count ? t.stride_count : t.ndim, t.stride);
    PUT(to, "\x89"
            "ccollections\nOrderedDict\n)R");
    dcls_string_puts(to, t.metadata ? t.metadata : "");
    PUT(to, "tR");
}

/* The storage "0" of every checkpoint made here, and the tensor of all of it. */
static const float numbers[] __attribute__((unused)) = {1, 2, 3, 4};
#define SCALARS                                                                                              \
    {                                                                                                        \
        .ndim = 1, .shape = {4}, .stride = { 1 }                                                             \
    }

#define HUGE_NUMEL INT64_C(0x4000000000000001) /* times 4 it is 4 */

/* {"w": tensor}, whole. */
static inline dcls_string one_tensor(tensor_call t)
{
    dcls_string pickle = {0};
    PUT(&pickle, "\x80\2}(");
    put_key(&pickle, "w");
    put_tensor(&pickle, t);
    PUT(&pickle, "u.");
    return pickle;
}

/* ---- zip archives -------------------------------------------------------------------------------------- */

/* What one header says beside the truth. */
typedef struct zip_lies {
    const char *name; /* NULL: the entry's */
    int64_t size;     /* added to both sizes */
    uint32_t crc;     /* xor */
    uint16_t flags, method;
} zip_lies;

typedef struct zip_item {
    const char *name;
    size_t name_length; /* 0: strlen(name) */
    const void *data;
    size_t size;
    bool descriptor, zip64;
    zip_lies local, central, both;
    int overlaps;    /* 1 + index of the entry it lies in, with no header of its own; 0: none */
    size_t inside;   /* how far behind that header its own stands */
    const char *gap; /* bytes before the local header */
} zip_item;

typedef struct zip_frame {
    const char *before, *after, *comment;
    uint64_t count_lie; /* added to the number of entries */
    bool zip64;         /* a zip64 end record and locator */
    int64_t offset_lie; /* added to the offset of the central directory in the end record */
} zip_frame;

static inline uint32_t crc_of(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* A local or central header; offset is where the local one stands. */
static inline void put_header(dcls_string *to, const zip_item *item, bool local, uint64_t offset)
{
    const zip_lies *lies = local ? &item->local : &item->central;
    const char *name = lies->name ? lies->name : item->name;
    size_t length = item->name_length ? item->name_length : strlen(name);
    uint64_t size = item->size + (uint64_t)(lies->size + item->both.size);
    uint32_t crc = crc_of(item->data, item->size) ^ lies->crc ^ item->both.crc;
    bool later = local && item->descriptor; /* sizes and CRC follow the content */
    if (local)
        PUT(to, "PK\3\4");
    else
        PUT(to, "PK\1\2\0\0");
    put_number(to, 20, 2);
    put_number(to, (item->descriptor ? 8u : 0u) | lies->flags | item->both.flags, 2);
    put_number(to, lies->method | item->both.method, 2);
    put_number(to, 0x00210000, 4); /* 1980-01-01 */
    put_number(to, later ? 0 : crc, 4);
    put_number(to, later ? 0 : item->zip64 ? UINT32_MAX : size, 4);
    put_number(to, later ? 0 : item->zip64 ? UINT32_MAX : size, 4);
    put_number(to, length, 2);
    put_number(to, !item->zip64 ? 0 : local ? 20 : 28, 2);
    if (!local) PUT(to, "\0\0\0\0\0\0\0\0\0\0");
    if (!local) put_number(to, item->zip64 ? UINT32_MAX : offset, 4);
    put(to, name, length);
    if (!item->zip64) return;
    put_number(to, 1, 2);
    put_number(to, local ? 16 : 24, 2);
    put_number(to, size, 8);
    put_number(to, size, 8);
    if (!local) put_number(to, offset, 8);
}

static inline void put_descriptor(dcls_string *to, const zip_item *item)
{
    PUT(to, "PK\7\x08");
    put_number(to, crc_of(item->data, item->size) ^ item->both.crc, 4);
    put_number(to, item->size, 4);
    put_number(to, item->size, 4);
}

static inline void put_end(dcls_string *to, const zip_frame *frame, size_t count, uint64_t begin)
{
    uint64_t end = to->length, size = end - begin;
    begin += (uint64_t)frame->offset_lie;
    if (frame->zip64) {
        PUT(to, "PK\6\6\x2c\0\0\0\0\0\0\0\x1e\3\x2d\0\0\0\0\0\0\0\0\0");
        put_number(to, count, 8);
        put_number(to, count, 8);
        put_number(to, size, 8);
        put_number(to, begin, 8);
        PUT(to, "PK\6\7\0\0\0\0");
        put_number(to, end, 8);
        PUT(to, "\1\0\0\0");
    }
    PUT(to, "PK\5\6\0\0\0\0");
    put_number(to, frame->zip64 ? UINT16_MAX : count, 2);
    put_number(to, frame->zip64 ? UINT16_MAX : count, 2);
    put_number(to, frame->zip64 ? UINT32_MAX : size, 4);
    put_number(to, frame->zip64 ? UINT32_MAX : begin, 4);
    put_number(to, frame->comment ? strlen(frame->comment) : 0, 2);
    dcls_string_puts(to, frame->comment ? frame->comment : "");
}

static inline dcls_string make_zip(const zip_item *items, size_t count, zip_frame frame)
{
    dcls_string zip = {0};
    uint64_t offsets[16];
    assert_true(count <= 16);
    dcls_string_puts(&zip, frame.before ? frame.before : "");
    for (size_t i = 0; i < count; i++) {
        dcls_string_puts(&zip, items[i].gap ? items[i].gap : "");
        offsets[i] = items[i].overlaps ? offsets[items[i].overlaps - 1] + items[i].inside : zip.length;
        if (items[i].overlaps) continue;
        put_header(&zip, &items[i], true, 0);
        put(&zip, items[i].data, items[i].size);
        if (items[i].descriptor) put_descriptor(&zip, &items[i]);
    }
    uint64_t begin = zip.length;
    for (size_t i = 0; i < count; i++)
        put_header(&zip, &items[i], false, offsets[i]);
    put_end(&zip, &frame, count + frame.count_lie, begin);
    dcls_string_puts(&zip, frame.after ? frame.after : "");
    assert_false(zip.failed);
    return zip;
}

/* ---- the legacy form ---- */

#define LEGACY_MAGIC                                                                                         \
    "\x80\2\x8a\x0al\xfc\x9c"                                                                                \
    "F\xf9 j\xa8P\x19."
#define LEGACY_PROTOCOL "\x80\2M\xe9\3."
#define LEGACY_LITTLE   "\x80\2}X\x0d\0\0\0little_endian\x88s."
#define LEGACY_BIG      "\x80\2}X\x0d\0\0\0little_endian\x89s."
#define LEGACY_KEYS                                                                                          \
    "\x80\2]X\1\0\0\0"                                                                                       \
    "0a."

/* ---- reading ------------------------------------------------------------------------------------------- */

static inline dcls_status read_memory(dcls_context *ctx, const void *data, size_t size, dcls_tensors **out)
{
    dcls_bytes bytes = make_bytes(ctx, data, size);
    dcls_status status = dcls_pytorch_read_key(ctx, &bytes, NULL, out);
    assert_null(bytes.data);
    if (status != DCLS_OK) assert_null(*out);
    return status;
}

/* A pickle in an archive beside storage "0". */
static inline dcls_status read_pickle(dcls_context *ctx, const dcls_string *pickle, dcls_tensors **out)
{
    zip_item items[] = {{.name = "x/data.pkl", .data = pickle->data, .size = pickle->length},
                        {.name = "x/data/0", .data = numbers, .size = sizeof numbers}};
    dcls_string zip = make_zip(items, 2, (zip_frame){0});
    dcls_status status = read_memory(ctx, zip.data, zip.length, out);
    dcls_string_free(&zip);
    return status;
}

static inline float element_of(const dcls_tensors *set, const char *name, size_t index)
{
    const dcls_tensor *t = dcls_tensors_find(set, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, DCLS_F32);
    assert_true(index < t->nbytes / sizeof(float));
    return ((const float *)t->data)[index];
}

/* Around a group of tests: libzip stays open, or else each of the many archives would load it anew. */
static inline int open_libzip(void **state)
{
    *state = dlopen("libzip.so.4", RTLD_NOW);
    return 0;
}

static inline int close_libzip(void **state)
{
    if (*state != NULL) dlclose(*state);
    return 0;
}

#endif
