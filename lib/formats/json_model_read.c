/* Reading JSON models:
 * {"format": "dcls-model", "version": 1, "model": {..}, "metadata": {..}, "tensors": {name: {dtype, shape,
 * data}}} */
#include <stdlib.h>
#include <string.h>

#include "base/tensor.h"
#include "formats/element.h"
#include "formats/entry.h"
#include "formats/formats.h"
#include "formats/json_model.h"

/* ---- data: a flat list of elements, or lists nested as the shape says ---- */

typedef struct nest {
    int levels;
    int64_t sizes[DCLS_MAX_DIMS]; /* what a list at each level must hold */
    int64_t held[DCLS_MAX_DIMS];  /* what the open list at each level holds so far */
} nest;

static dcls_status choose_nest(dcls_context *ctx, const dcls_entry *entry, dcls_json_cursor cursor, nest *n)
{
    *n = (nest){.levels = 1, .sizes = {entry->count}};
    dcls_json_raw_next(&cursor);
    if (dcls_json_raw_next(&cursor).kind != DCLS_JSON_TOKEN_OPEN) return DCLS_OK;
    if (entry->ndim < 2) return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' is nested deeper than the shape");
    n->levels = entry->ndim;
    memcpy(n->sizes, entry->shape, sizeof n->sizes);
    return DCLS_OK;
}

static dcls_status fail_count(dcls_context *ctx, const nest *n, int level)
{
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s of 'data' holds %s values than the %lld the shape says",
                     n->levels == 1 ? "the list" : "a list",
                     n->held[level] > n->sizes[level] ? "more" : "fewer", (long long)n->sizes[level]);
}

/* Counts one more list or element in the list that is open at level. */
static dcls_status count_item(dcls_context *ctx, nest *n, int level)
{
    return ++n->held[level] > n->sizes[level] ? fail_count(ctx, n, level) : DCLS_OK;
}

static dcls_status read_element(dcls_context *ctx, const dcls_entry *entry, dcls_json_token token, void *to)
{
    if (dcls_element_parse((dcls_dtype)entry->dtype, token, to)) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' holds %.*s, which is no value of %s",
                     token.length < 40 ? (int)token.length : 40, token.text, entry->dtype_name);
}

static dcls_status read_data(dcls_context *ctx, const dcls_entry *entry, dcls_json_cursor cursor,
                             unsigned char *to)
{
    size_t size = dcls_dtype_size((dcls_dtype)entry->dtype);
    int level = -1; /* of the list that is open */
    nest n;
    DCLS_TRY(choose_nest(ctx, entry, cursor, &n));
    for (;;) {
        dcls_json_token token = dcls_json_raw_next(&cursor);
        switch (token.kind) {
        case DCLS_JSON_TOKEN_END: return DCLS_OK;
        case DCLS_JSON_TOKEN_OPEN:
            if (level >= 0) DCLS_TRY(count_item(ctx, &n, level));
            if (++level == n.levels)
                return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' is nested deeper than the shape");
            n.held[level] = 0;
            break;
        case DCLS_JSON_TOKEN_CLOSE:
            if (n.held[level] != n.sizes[level]) return fail_count(ctx, &n, level);
            level--;
            break;
        default:
            if (level != n.levels - 1)
                return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' mixes values and lists");
            DCLS_TRY(count_item(ctx, &n, level));
            DCLS_TRY(read_element(ctx, entry, token, to));
            to += size;
        }
    }
}

static dcls_status read_tensor(dcls_context *ctx, const dcls_json *value, dcls_tensors *set)
{
    dcls_entry entry;
    dcls_json_cursor cursor;
    void *data;
    DCLS_TRY(dcls_entry_read(ctx, value, DCLS_JSON_MODEL_DATA, &entry));
    if (entry.dtype < 0) return dcls_entry_fail_dtype(ctx, &entry);
    if (!dcls_json_raw_open(entry.data, &cursor))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' is %s, not an array", dcls_json_kind_text(entry.data));
    if (entry.count > cursor.end - cursor.at) /* before memory is asked for */
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'data' holds fewer values than the %lld the shape says",
                         (long long)entry.count);
    DCLS_TRY(dcls_tensors_add_new(ctx, set, dcls_json_name(value), (dcls_dtype)entry.dtype, entry.ndim,
                                  entry.shape, &data));
    return read_data(ctx, &entry, cursor, data);
}

/* ---- the members of the root ---- */

static dcls_status read_tensors(dcls_context *ctx, const dcls_json *value, dcls_tensors *set)
{
    if (dcls_json_kind_of(value) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'tensors' is %s, not an object", dcls_json_kind_text(value));
    for (size_t i = 0; i < dcls_json_count(value); i++) {
        const dcls_json *item = dcls_json_at(value, i);
        dcls_status status = read_tensor(ctx, item, set);
        if (status != DCLS_OK) return dcls_fail_within(ctx, status, "tensor '%s': ", dcls_json_name(item));
    }
    return DCLS_OK;
}

static dcls_status read_model(dcls_context *ctx, const dcls_json *value, dcls_tensors *set)
{
    dcls_string text = {0};
    dcls_json_out j = {.to = &text};
    if (dcls_json_kind_of(value) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'model' is %s, not an object", dcls_json_kind_text(value));
    dcls_json_emit(&j, value);
    dcls_status status = text.failed ? dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory")
                                     : dcls_tensors_set_meta(ctx, set, DCLS_META_MODEL, text.data);
    dcls_string_free(&text);
    return status;
}

static dcls_status read_metadata(dcls_context *ctx, const dcls_json *value, dcls_tensors *set)
{
    if (dcls_json_find(value, DCLS_META_MODEL) != NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "metadata '" DCLS_META_MODEL "' belongs into 'model'");
    return dcls_entry_read_metadata(ctx, value, set);
}

static dcls_status check_format(dcls_context *ctx, const dcls_json *root)
{
    const char *format = dcls_json_as_string(dcls_json_find(root, "format"));
    int64_t version;
    if (dcls_json_kind_of(root) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "this JSON is %s, not a model", dcls_json_kind_text(root));
    if (format == NULL && dcls_json_find(root, "nodes") != NULL)
        return dcls_fail(
            ctx, DCLS_ERR_FORMAT,
            "is a description without weights: 'dcls inspect FILE' shows it, 'dcls train --graph' "
            "trains it, 'dcls convert "
            "--arch' fits it to a state dict");
    if (format == NULL || strcmp(format, DCLS_JSON_MODEL_FORMAT) != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "this JSON is not a model: 'format' is not \"%s\"",
                         DCLS_JSON_MODEL_FORMAT);
    if (!dcls_json_as_int(dcls_json_find(root, "version"), &version))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'version' is missing or no integer");
    if (version != DCLS_JSON_MODEL_VERSION)
        return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED,
                         "version %lld of the JSON model format; this program knows %d", (long long)version,
                         DCLS_JSON_MODEL_VERSION);
    return DCLS_OK;
}

static dcls_status read_root(dcls_context *ctx, const dcls_json *root, dcls_tensors *set)
{
    static const struct {
        const char *name;
        dcls_status (*read)(dcls_context *ctx, const dcls_json *value, dcls_tensors *set);
    } members[] = {{"format", NULL}, /* checked before */
                   {"version", NULL},
                   {"model", read_model},
                   {"metadata", read_metadata},
                   {"tensors", read_tensors}};
    const size_t known = sizeof members / sizeof *members;
    DCLS_TRY(check_format(ctx, root));
    for (size_t i = 0; i < dcls_json_count(root); i++) {
        const dcls_json *value = dcls_json_at(root, i);
        size_t m = 0;
        while (m < known && strcmp(dcls_json_name(value), members[m].name) != 0)
            m++;
        if (m == known) return dcls_fail(ctx, DCLS_ERR_FORMAT, "unknown key '%s'", dcls_json_name(value));
        if (members[m].read != NULL) DCLS_TRY(members[m].read(ctx, value, set));
    }
    return DCLS_OK;
}

static dcls_status read_text(dcls_context *ctx, const char *text, size_t size, dcls_tensors **out)
{
    static const char *const raw_keys[] = {DCLS_ENTRY_SHAPE, DCLS_JSON_MODEL_DATA, NULL};
    static const dcls_json_raw_spec spec = {.within = "tensors", .depth = 3, .keys = raw_keys};
    dcls_json *root;
    dcls_tensors *set = NULL;
    DCLS_TRY(dcls_json_parse_raw(ctx, text, size, &spec, &root));
    dcls_status status = dcls_tensors_create(ctx, "json", &set);
    if (status == DCLS_OK) status = read_root(ctx, root, set);
    dcls_json_free(root);
    if (status == DCLS_OK)
        *out = set;
    else
        dcls_tensors_destroy(set);
    return status;
}

dcls_status dcls_json_read(dcls_context *ctx, dcls_bytes *bytes, dcls_tensors **out)
{
    *out = NULL;
    dcls_status status = read_text(ctx, (const char *)bytes->data, bytes->size, out);
    free(bytes->data);
    *bytes = (dcls_bytes){0};
    return status;
}
