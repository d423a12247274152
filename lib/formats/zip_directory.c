/* The central directory of a zip archive and its check against everything else in the archive
 * (APPNOTE.TXT 4.3). libzip reads it too, but accepts flags that differ, bytes before and between entries,
 * and entries that overlap. */
#include <stdlib.h>
#include <string.h>

#include "formats/little_endian.h"
#include "formats/zip.h"

#define LOCAL_SIGNATURE      0x04034b50u
#define CENTRAL_SIGNATURE    0x02014b50u
#define DESCRIPTOR_SIGNATURE 0x08074b50u
#define END_SIGNATURE        0x06054b50u
#define END64_SIGNATURE      0x06064b50u
#define LOCATOR64_SIGNATURE  0x07064b50u

#define LOCAL_SIZE     30
#define CENTRAL_SIZE   46
#define END_SIZE       22
#define END64_SIZE     56
#define LOCATOR64_SIZE 20

#define FLAG_ENCRYPTED  (1u << 0 | 1u << 6 | 1u << 13)
#define FLAG_DESCRIPTOR (1u << 3)

#define IN_EXTRA32 UINT32_MAX /* "see the zip64 extra field" */
#define IN_EXTRA16 UINT16_MAX

typedef struct reader {
    dcls_context *ctx;
    const unsigned char *data;
    uint64_t size;
    uint64_t begin, end, count; /* of the central directory */
    dcls_zip_directory *out;
} reader;

static uint64_t field(const reader *r, uint64_t at, int bytes)
{
    return dcls_little_endian(r->data + at, bytes);
}

static bool signature_at(const reader *r, uint64_t at, uint64_t room, uint32_t signature)
{
    return at <= r->size && r->size - at >= room && field(r, at, 4) == signature;
}

static dcls_status damaged(const reader *r, const char *what)
{
    return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "zip archive: %s", what);
}

/* ---- the end records ---------------------------------------------------------------------------------- */

/* The end record is the last one whose comment reaches exactly to the end of the archive. */
static bool find_end(const reader *r, uint64_t *out)
{
    for (uint64_t comment = 0; comment <= UINT16_MAX && END_SIZE + comment <= r->size; comment++) {
        uint64_t at = r->size - END_SIZE - comment;
        if (field(r, at, 4) == END_SIGNATURE && field(r, at + 20, 2) == comment) {
            *out = at;
            return true;
        }
    }
    return false;
}

/* A value of the old end record either says the same as the zip64 one or refers to it. */
static bool same_or_wide(uint64_t narrow, uint64_t wide, uint64_t refers)
{
    return narrow == wide || narrow == refers;
}

static dcls_status read_end64(reader *r, uint64_t end, uint64_t locator)
{
    uint64_t at = field(r, locator + 8, 8);
    bool ok = at < locator && locator - at >= END64_SIZE && field(r, at, 4) == END64_SIGNATURE &&
              field(r, at + 4, 8) == locator - at - 12;
    if (!ok) return damaged(r, "the zip64 end record is not where it is said to be");
    r->count = field(r, at + 32, 8);
    r->begin = field(r, at + 48, 8);
    r->end = at;
    uint64_t size = field(r, at + 40, 8);
    ok = r->count == field(r, at + 24, 8) && field(r, at + 16, 8) == 0 &&
         same_or_wide(field(r, end + 10, 2), r->count, IN_EXTRA16) &&
         same_or_wide(field(r, end + 12, 4), size, IN_EXTRA32) &&
         same_or_wide(field(r, end + 16, 4), r->begin, IN_EXTRA32);
    if (!ok) return damaged(r, "its two end records disagree");
    if (r->begin > at || at - r->begin != size) return damaged(r, "the central directory has a wrong size");
    return DCLS_OK;
}

static dcls_status read_end(reader *r)
{
    uint64_t end = 0;
    if (!find_end(r, &end)) return damaged(r, "it is cut off or damaged: no end record");
    if (field(r, end + 4, 4) != 0 || field(r, end + 8, 2) != field(r, end + 10, 2))
        return damaged(r, "it is a part of an archive on several disks");
    if (end >= LOCATOR64_SIZE && signature_at(r, end - LOCATOR64_SIZE, LOCATOR64_SIZE, LOCATOR64_SIGNATURE))
        return read_end64(r, end, end - LOCATOR64_SIZE);
    r->count = field(r, end + 10, 2);
    r->begin = field(r, end + 16, 4);
    r->end = end;
    if (r->begin > end || end - r->begin != field(r, end + 12, 4))
        return damaged(r, "the central directory has a wrong size");
    return DCLS_OK;
}

/* ---- entries ---- */

/* Where the parts of a central or local header stand that are the same but for their place. */
typedef struct header {
    uint64_t name, extra; /* offsets in the archive */
    uint64_t name_length, extra_length;
    uint64_t packed_size, size, offset;
} header;

/* Replaces each value that refers to the zip64 extra field by the value there, which come in this order. */
static dcls_status widen(const reader *r, header *h)
{
    uint64_t *values[] = {&h->size, &h->packed_size, &h->offset};
    uint64_t at = h->extra, end = h->extra + h->extra_length;
    bool refers = h->size == IN_EXTRA32 || h->packed_size == IN_EXTRA32 || h->offset == IN_EXTRA32;
    while (refers && end - at >= 4) {
        uint64_t tag = field(r, at, 2), length = field(r, at + 2, 2);
        at += 4;
        if (length > end - at) break;
        for (int i = 0; tag == 1 && i < 3; i++) {
            if (*values[i] != IN_EXTRA32) continue;
            if (length < 8) return damaged(r, "a zip64 extra field is too short");
            *values[i] = field(r, at, 8);
            at += 8;
            length -= 8;
        }
        if (tag == 1) return DCLS_OK;
        at += length;
    }
    return refers ? damaged(r, "a zip64 extra field is missing") : DCLS_OK;
}

static dcls_status read_central(reader *r, uint64_t *at, dcls_zip_entry *entry)
{
    uint64_t left = r->end - *at;
    if (left < CENTRAL_SIZE || field(r, *at, 4) != CENTRAL_SIGNATURE)
        return damaged(r, "the central directory is damaged");
    header h = {.name = *at + CENTRAL_SIZE,
                .name_length = field(r, *at + 28, 2),
                .extra_length = field(r, *at + 30, 2),
                .packed_size = field(r, *at + 20, 4),
                .size = field(r, *at + 24, 4),
                .offset = field(r, *at + 42, 4)};
    h.extra = h.name + h.name_length;
    uint64_t length = CENTRAL_SIZE + h.name_length + h.extra_length + field(r, *at + 32, 2);
    if (length > left) return damaged(r, "the central directory is damaged");
    if (memchr(r->data + h.name, 0, h.name_length)) return damaged(r, "a name holds a NUL");
    DCLS_TRY(widen(r, &h));

    entry->name = dcls_arena_strndup(r->ctx, &r->out->names, (const char *)r->data + h.name, h.name_length);
    if (!entry->name) return DCLS_ERR_MEMORY;
    entry->flags = (uint16_t)field(r, *at + 8, 2);
    entry->method = (uint16_t)field(r, *at + 10, 2);
    entry->crc = (uint32_t)field(r, *at + 16, 4);
    entry->packed_size = h.packed_size;
    entry->size = h.size;
    entry->begin = h.offset;
    *at += length;
    return DCLS_OK;
}

static dcls_status entry_fail(const reader *r, const dcls_zip_entry *entry, dcls_status status,
                              const char *what)
{
    return dcls_fail(r->ctx, status, "zip archive: entry '%s' %s", entry->name, what);
}

/* With a data descriptor the sizes and CRC of a local header may be left 0. */
static bool agrees(const dcls_zip_entry *entry, uint64_t local, uint64_t central)
{
    return local == central || (local == 0 && entry->flags & FLAG_DESCRIPTOR);
}

/* The local header must tell the same as the central directory, or else another reader would see another
 * file. */
static dcls_status check_local(const reader *r, dcls_zip_entry *entry)
{
    uint64_t at = entry->begin;
    if (at >= r->begin || r->begin - at < LOCAL_SIZE || !signature_at(r, at, LOCAL_SIZE, LOCAL_SIGNATURE))
        return entry_fail(r, entry, DCLS_ERR_FORMAT, "has no local header");
    header h = {.name = at + LOCAL_SIZE,
                .name_length = field(r, at + 26, 2),
                .extra_length = field(r, at + 28, 2),
                .packed_size = field(r, at + 18, 4),
                .size = field(r, at + 22, 4)};
    h.extra = h.name + h.name_length;
    entry->data = h.extra + h.extra_length;
    if (entry->data > r->begin || entry->packed_size > r->begin - entry->data)
        return entry_fail(r, entry, DCLS_ERR_FORMAT, "is longer than the archive");
    DCLS_TRY(widen(r, &h));
    bool same = h.name_length == strlen(entry->name) &&
                memcmp(r->data + h.name, entry->name, h.name_length) == 0 &&
                field(r, at + 6, 2) == entry->flags && field(r, at + 8, 2) == entry->method &&
                agrees(entry, field(r, at + 14, 4), entry->crc) &&
                agrees(entry, h.packed_size, entry->packed_size) && agrees(entry, h.size, entry->size);
    if (!same)
        return entry_fail(r, entry, DCLS_ERR_FORMAT, "differs between local header and central directory");
    if (entry->flags & FLAG_ENCRYPTED) return entry_fail(r, entry, DCLS_ERR_UNSUPPORTED, "is encrypted");
    if (entry->method == 0 && entry->size != entry->packed_size)
        return entry_fail(r, entry, DCLS_ERR_FORMAT, "is stored in a size that is not its own");
    return DCLS_OK;
}

/* ---- the archive as a whole ---- */

static int by_begin(const void *a, const void *b)
{
    uint64_t x = (*(const dcls_zip_entry *const *)a)->begin, y = (*(const dcls_zip_entry *const *)b)->begin;
    return (x > y) - (x < y);
}

/* The descriptor behind an entry's content: CRC and sizes again, these in 4 or 8 bytes. */
static bool descriptor_fits(const reader *r, const dcls_zip_entry *entry, uint64_t length)
{
    uint64_t at = entry->data + entry->packed_size;
    int wide = length == 24 ? 8 : 4;
    return (length == 16 || length == 24) && field(r, at, 4) == DESCRIPTOR_SIGNATURE &&
           field(r, at + 4, 4) == entry->crc && field(r, at + 8, wide) == entry->packed_size &&
           field(r, at + 8 + (uint64_t)wide, wide) == entry->size;
}

/* Each entry must end where the next one begins: no overlap (many large entries made of the same bytes), no
 * gap (something else hidden in the file). */
static dcls_status check_tiling(const reader *r)
{
    size_t count = r->out->count;
    const dcls_zip_entry **order = dcls_alloc(r->ctx, count, sizeof *order);
    if (!order) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++)
        order[i] = &r->out->entries[i];
    if (count) qsort(order, count, sizeof *order, by_begin);

    dcls_status status = DCLS_OK;
    if ((count ? order[0]->begin : r->begin) != 0) status = damaged(r, "it does not start with an entry");
    for (size_t i = 0; i < count && status == DCLS_OK; i++) {
        const dcls_zip_entry *entry = order[i];
        uint64_t next = i + 1 < count ? order[i + 1]->begin : r->begin;
        uint64_t end = entry->data + entry->packed_size;
        bool fits = end <= next &&
                    (entry->flags & FLAG_DESCRIPTOR ? descriptor_fits(r, entry, next - end) : end == next);
        if (!fits) status = entry_fail(r, entry, DCLS_ERR_FORMAT, "does not end where the next one begins");
    }
    free(order);
    return status;
}

static dcls_status read_entries(reader *r)
{
    dcls_zip_directory *out = r->out;
    uint64_t at = r->begin;
    if (r->count > (r->end - r->begin) / CENTRAL_SIZE) return damaged(r, "it says to hold more than it does");
    out->entries = dcls_alloc_zero(r->ctx, (size_t)r->count, sizeof *out->entries);
    if (!out->entries) return DCLS_ERR_MEMORY;
    for (; out->count < r->count; out->count++) {
        dcls_zip_entry *entry = &out->entries[out->count];
        bool found = false;
        DCLS_TRY(read_central(r, &at, entry));
        DCLS_TRY(check_local(r, entry));
        DCLS_TRY(dcls_map_add(r->ctx, &out->index, entry->name, (int64_t)out->count, &found, NULL));
        if (found) return entry_fail(r, entry, DCLS_ERR_FORMAT, "occurs twice");
    }
    if (at != r->end) return damaged(r, "the central directory has a wrong size");
    return check_tiling(r);
}

dcls_status dcls_zip_directory_read(dcls_context *ctx, const unsigned char *data, size_t size,
                                    dcls_zip_directory *out)
{
    *out = (dcls_zip_directory){0};
    reader r = {.ctx = ctx, .data = data, .size = size, .out = out};
    DCLS_TRY(read_end(&r));
    return read_entries(&r);
}

void dcls_zip_directory_free(dcls_zip_directory *directory)
{
    free(directory->entries);
    dcls_map_free(&directory->index);
    dcls_arena_free(&directory->names);
    *directory = (dcls_zip_directory){0};
}
