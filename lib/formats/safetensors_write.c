/* Writing safetensors. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "formats/entry.h"
#include "formats/formats.h"
#include "formats/safetensors.h"

#define DATA_ALIGNMENT 64 /* of the first tensor: whole cache lines, should the file be mapped */

/* ---- order ---- */

typedef struct place {
    size_t tensor; /* index in the set */
    int alignment; /* largest power of two up to 8 that divides its size */
} place;

static int size_alignment(size_t nbytes)
{
    int alignment = DCLS_TENSOR_ALIGNMENT;
    while (nbytes % (size_t)alignment != 0)
        alignment /= 2;
    return alignment;
}

static int compare_places(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->alignment != b->alignment) return b->alignment - a->alignment;
    return a->tensor < b->tensor ? -1 : a->tensor > b->tensor;
}

/* Data is laid out by falling alignment of sizes, else in the order of the set: then every element is
 * naturally aligned, and only tensors of an odd number of small elements keep readers from using the data in
 * place. */
static place *order_data(dcls_context *ctx, const dcls_tensors *set)
{
    place *places = dcls_alloc(ctx, set->count, sizeof *places);
    if (places == NULL) return NULL;
    for (size_t i = 0; i < set->count; i++)
        places[i] = (place){i, size_alignment(set->items[i].nbytes)};
    qsort(places, set->count, sizeof *places, compare_places);
    return places;
}

static uint64_t *lay_out(dcls_context *ctx, const dcls_tensors *set, const place *places)
{
    uint64_t *begin = dcls_alloc(ctx, set->count, sizeof *begin), at = 0;
    if (begin == NULL) return NULL;
    for (size_t i = 0; i < set->count; i++) {
        begin[places[i].tensor] = at;
        at += set->items[places[i].tensor].nbytes;
    }
    return begin;
}

/* ---- header ---- */

static dcls_status put_tensor(dcls_context *ctx, const dcls_tensor *tensor, uint64_t begin, dcls_json_out *j)
{
    if (strcmp(tensor->name, DCLS_SAFETENSORS_METADATA) == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "safetensors cannot hold a tensor named '%s'", tensor->name);
    DCLS_TRY(dcls_entry_begin(ctx, tensor, j));
    dcls_json_key(j, DCLS_SAFETENSORS_OFFSETS);
    dcls_json_begin(j, '[');
    dcls_json_int(j, (int64_t)begin);
    dcls_json_int(j, (int64_t)(begin + tensor->nbytes));
    dcls_json_end(j, ']');
    dcls_json_end(j, '}');
    return DCLS_OK;
}

static dcls_status make_header(dcls_context *ctx, const dcls_tensors *set, const uint64_t *begin,
                               dcls_string *header)
{
    static const char spaces[DATA_ALIGNMENT] =
        "                                                                ";
    dcls_json_out j = {.to = header};
    dcls_json_begin(&j, '{');
    DCLS_TRY(dcls_entry_put_metadata(ctx, set, DCLS_SAFETENSORS_METADATA, NULL, &j));
    for (size_t i = 0; i < set->count; i++)
        DCLS_TRY(put_tensor(ctx, &set->items[i], begin[i], &j));
    dcls_json_end(&j, '}');
    size_t past = (DCLS_SAFETENSORS_PREFIX + header->length) % DATA_ALIGNMENT;
    if (past > 0) dcls_string_append(header, spaces, DATA_ALIGNMENT - past);
    if (header->failed) return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    if (header->length > DCLS_SAFETENSORS_MAX_HEADER)
        return dcls_fail(ctx, DCLS_ERR_LIMIT, "safetensors header of %zu bytes; at most %d are allowed",
                         header->length, DCLS_SAFETENSORS_MAX_HEADER);
    return DCLS_OK;
}

/* ---- file ---- */

static dcls_status write_file(dcls_context *ctx, const dcls_tensors *set, const place *places,
                              const dcls_string *header, const char *path)
{
    dcls_output *output;
    unsigned char prefix[DCLS_SAFETENSORS_PREFIX];
    for (int i = 0; i < DCLS_SAFETENSORS_PREFIX; i++)
        prefix[i] = (unsigned char)((uint64_t)header->length >> 8 * i);
    DCLS_TRY(dcls_output_open(ctx, path, &output));
    dcls_output_write(output, prefix, sizeof prefix);
    dcls_output_write(output, header->data, header->length);
    for (size_t i = 0; i < set->count; i++) {
        const dcls_tensor *tensor = &set->items[places[i].tensor];
        dcls_output_write(output, tensor->data, tensor->nbytes);
    }
    return dcls_output_commit(ctx, output);
}

dcls_status dcls_safetensors_write(dcls_context *ctx, const dcls_tensors *set, const char *path)
{
    dcls_string header = {0};
    dcls_status status = DCLS_ERR_MEMORY;
    place *places = order_data(ctx, set);
    uint64_t *begin = places != NULL ? lay_out(ctx, set, places) : NULL;
    if (begin != NULL) status = make_header(ctx, set, begin, &header);
    if (status == DCLS_OK) status = write_file(ctx, set, places, &header, path);
    dcls_string_free(&header);
    free(begin);
    free(places);
    return status;
}
