/* Reading safetensors: 8 bytes with the length of the header, the header in JSON, the tensors' bytes. Every
 * byte must belong to exactly one tensor, so that a file cannot be something else as well. */
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "formats/entry.h"
#include "formats/formats.h"
#include "formats/little_endian.h"
#include "formats/safetensors.h"

/* Where a tensor stands in the data. */
typedef struct span {
    int64_t begin, end;
    const dcls_json *entry;
} span;

typedef struct reader {
    dcls_context *ctx;
    const unsigned char *data; /* what follows the header */
    size_t size;
    span *spans; /* one for each tensor */
    size_t count;
    const dcls_json *unsupported; /* first entry with a dtype that cannot be read */
    dcls_tensors *set;
} reader;

/* ---- header ---- */

static dcls_status check_header_size(dcls_context *ctx, const dcls_bytes *bytes, uint64_t *header_size)
{
    if (bytes->size < DCLS_SAFETENSORS_PREFIX)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "%zu bytes are too few for a safetensors file", bytes->size);
    *header_size = dcls_little_endian(bytes->data, DCLS_SAFETENSORS_PREFIX);
    unsigned long long claimed = *header_size;
    if (claimed > DCLS_SAFETENSORS_MAX_HEADER)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "header of %llu bytes; at most %d are allowed", claimed,
                         DCLS_SAFETENSORS_MAX_HEADER);
    if (claimed > bytes->size - DCLS_SAFETENSORS_PREFIX)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "header of %llu bytes, but only %zu bytes follow (truncated?)",
                         claimed, bytes->size - DCLS_SAFETENSORS_PREFIX);
    if (claimed == 0 || bytes->data[DCLS_SAFETENSORS_PREFIX] != '{')
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "header does not begin with '{'");
    return DCLS_OK;
}

/* ---- entries ---- */

/* Bits of one element for dtypes of the format, also for those that are not supported here; 0: unknown. */
static int dtype_bits(const dcls_entry *entry)
{
    static const struct {
        const char *name;
        int bits;
    } others[] = {{"U16", 16},    {"U32", 32}, {"U64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8},
                  {"F8_E8M0", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"C64", 64}};
    if (entry->dtype >= 0) return (int)dcls_dtype_size((dcls_dtype)entry->dtype) * 8;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(entry->dtype_name, others[i].name) == 0) return others[i].bits;
    return 0;
}

static dcls_status check_extent(dcls_context *ctx, const dcls_entry *entry, const span *s)
{
    int bits = dtype_bits(entry);
    int64_t needed_bits, held_bits;
    char text[DCLS_SHAPE_TEXT];
    if (bits == 0) return DCLS_OK;
    dcls_shape_text(text, sizeof text, entry->ndim, entry->shape);
    if (!dcls_mul_i64(entry->count, bits, &needed_bits))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "shape %s is too large", text);
    if (dcls_mul_i64(s->end - s->begin, 8, &held_bits) && held_bits == needed_bits) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "shape %s of %s does not take the %lld bytes its offsets give it",
                     text, entry->dtype_name, (long long)(s->end - s->begin));
}

static dcls_status read_span(dcls_context *ctx, const dcls_entry *entry, size_t size, span *s)
{
    int64_t offsets[2];
    int count;
    DCLS_TRY(dcls_entry_sizes(ctx, entry->data, DCLS_SAFETENSORS_OFFSETS, 2, offsets, &count));
    if (count != 2)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'" DCLS_SAFETENSORS_OFFSETS "' holds %d numbers, not 2",
                         count);
    s->begin = offsets[0];
    s->end = offsets[1];
    if (s->begin > s->end)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "ends at byte %lld, before it begins at %lld",
                         (long long)s->end, (long long)s->begin);
    if ((uint64_t)s->end > size)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "ends at byte %lld, but there are only %zu (truncated?)",
                         (long long)s->end, size);
    return check_extent(ctx, entry, s);
}

/* The tensor is added where it stands, aligned or not. */
static dcls_status read_entry(reader *r, const dcls_json *value)
{
    dcls_entry entry;
    span *s = &r->spans[r->count++];
    s->entry = value;
    DCLS_TRY(dcls_entry_read(r->ctx, value, DCLS_SAFETENSORS_OFFSETS, &entry));
    DCLS_TRY(read_span(r->ctx, &entry, r->size, s));
    if (entry.dtype < 0) {
        if (r->unsupported == NULL) r->unsupported = value;
        return DCLS_OK;
    }
    dcls_tensor tensor = {.name = dcls_json_name(value),
                          .dtype = (dcls_dtype)entry.dtype,
                          .ndim = entry.ndim,
                          .data = r->data + s->begin};
    memcpy(tensor.shape, entry.shape, sizeof tensor.shape);
    return dcls_tensors_add(r->ctx, r->set, &tensor);
}

static dcls_status fail_unsupported(dcls_context *ctx, const dcls_json *value)
{
    dcls_entry entry;
    DCLS_TRY(dcls_entry_read(ctx, value, DCLS_SAFETENSORS_OFFSETS, &entry));
    return dcls_fail_within(ctx, dcls_entry_fail_dtype(ctx, &entry), "tensor '%s': ", dcls_json_name(value));
}

static dcls_status read_header(reader *r, const dcls_json *header)
{
    size_t count = dcls_json_count(header);
    r->spans = dcls_alloc(r->ctx, count, sizeof *r->spans);
    if (r->spans == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const dcls_json *value = dcls_json_at(header, i);
        const char *name = dcls_json_name(value);
        if (strcmp(name, DCLS_SAFETENSORS_METADATA) == 0) {
            DCLS_TRY(dcls_entry_read_metadata(r->ctx, value, r->set));
            continue;
        }
        dcls_status status = read_entry(r, value);
        if (status != DCLS_OK) return dcls_fail_within(r->ctx, status, "tensor '%s': ", name);
    }
    return DCLS_OK;
}

/* ---- data ---- */

static int compare_spans(const void *left, const void *right)
{
    const span *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return 0;
}

/* Each tensor must begin where the one before ends, and the last end with the file. */
static dcls_status check_spans(reader *r)
{
    int64_t end = 0;
    qsort(r->spans, r->count, sizeof *r->spans, compare_spans);
    for (size_t i = 0; i < r->count; i++) {
        const span *s = &r->spans[i];
        if (s->begin != end)
            return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "tensor '%s' begins at byte %lld, %s %lld",
                             dcls_json_name(s->entry), (long long)s->begin,
                             s->begin > end ? "but the one before it ends at" : "inside one that ends at",
                             (long long)end);
        end = s->end;
    }
    if ((uint64_t)end != r->size)
        return dcls_fail(r->ctx, DCLS_ERR_FORMAT, "%zu bytes follow the last tensor", r->size - (size_t)end);
    return DCLS_OK;
}

static bool is_aligned(const dcls_tensor *tensor)
{
    return (uintptr_t)tensor->data % DCLS_TENSOR_ALIGNMENT == 0;
}

static size_t padded(size_t nbytes)
{
    return (nbytes + DCLS_TENSOR_ALIGNMENT - 1) / DCLS_TENSOR_ALIGNMENT * DCLS_TENSOR_ALIGNMENT;
}

/* Tensors that do not stand at an aligned address move into one block of their own. The spans were checked,
 * so the sizes add up to little more than the file's. *in_place tells whether any tensor stays. */
static dcls_status align_tensors(reader *r, bool *in_place)
{
    size_t moved = 0, total = 0;
    for (size_t i = 0; i < r->set->count; i++) {
        const dcls_tensor *tensor = &r->set->items[i];
        moved += !is_aligned(tensor);
        if (!is_aligned(tensor)) total += padded(tensor->nbytes);
    }
    *in_place = moved < r->set->count;
    if (moved == 0) return DCLS_OK;
    unsigned char *block = dcls_alloc_file(r->ctx, total);
    if (block == NULL) return DCLS_ERR_MEMORY;
    DCLS_TRY(dcls_tensors_own(r->ctx, r->set, block));
    for (size_t i = 0; i < r->set->count; i++) {
        dcls_tensor *tensor = &r->set->items[i];
        if (is_aligned(tensor)) continue;
        memcpy(block, tensor->data, tensor->nbytes);
        tensor->data = block;
        block += padded(tensor->nbytes);
    }
    return DCLS_OK;
}

/* ---- the whole ---- */

static dcls_status parse_header(dcls_context *ctx, const dcls_bytes *bytes, size_t size, dcls_json **out)
{
    static const char *const raw_keys[] = {DCLS_ENTRY_SHAPE, DCLS_SAFETENSORS_OFFSETS, NULL};
    static const dcls_json_raw_spec spec = {.depth = 2, .keys = raw_keys};
    const char *text = (const char *)bytes->data + DCLS_SAFETENSORS_PREFIX;
    dcls_status status = dcls_json_parse_raw(ctx, text, size, &spec, out);
    return status == DCLS_OK ? DCLS_OK : dcls_fail_within(ctx, status, "header: ");
}

static dcls_status read_all(reader *r, const dcls_json *header, bool *in_place)
{
    DCLS_TRY(dcls_tensors_create(r->ctx, "safetensors", &r->set));
    DCLS_TRY(read_header(r, header));
    DCLS_TRY(check_spans(r));
    if (r->unsupported != NULL) return fail_unsupported(r->ctx, r->unsupported);
    return align_tensors(r, in_place);
}

static dcls_status read_bytes(dcls_context *ctx, const dcls_bytes *bytes, dcls_tensors **out, bool *in_place)
{
    uint64_t header_size = 0;
    dcls_json *header;
    DCLS_TRY(check_header_size(ctx, bytes, &header_size));
    DCLS_TRY(parse_header(ctx, bytes, (size_t)header_size, &header));
    size_t before = DCLS_SAFETENSORS_PREFIX + (size_t)header_size;
    reader r = {.ctx = ctx, .data = bytes->data + before, .size = bytes->size - before};
    dcls_status status = read_all(&r, header, in_place);
    free(r.spans);
    dcls_json_free(header);
    if (status == DCLS_OK)
        *out = r.set;
    else
        dcls_tensors_destroy(r.set);
    return status;
}

dcls_status dcls_safetensors_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    bool in_place = false;
    *out = NULL;
    dcls_status status = read_bytes(ctx, bytes, out, &in_place);
    if (status == DCLS_OK && in_place) status = dcls_tensors_own_bytes(ctx, *out, bytes);
    dcls_bytes_free(bytes);
    if (status != DCLS_OK) {
        dcls_tensors_destroy(*out);
        *out = NULL;
    }
    return status;
}
