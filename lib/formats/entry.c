#include "formats/entry.h"

#include <string.h>

#include "base/tensor.h"

#define SIZE_DIGITS 20 /* of the largest int64_t, with room for nothing but it */

static bool parse_size(dcls_json_token token, int64_t *out)
{
    char text[SIZE_DIGITS];
    if (token.kind != DCLS_JSON_TOKEN_SCALAR || token.length >= sizeof text) return false;
    memcpy(text, token.text, token.length);
    text[token.length] = '\0';
    return dcls_parse_int(text, out) && *out >= 0;
}

dcls_status dcls_entry_sizes(dcls_context *ctx, const dcls_json *array, const char *what, int max,
                             int64_t *out, int *count)
{
    dcls_json_cursor cursor;
    if (!dcls_json_raw_open(array, &cursor))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' is %s, not an array", what, dcls_json_kind_text(array));
    *count = 0;
    dcls_json_raw_next(&cursor);
    for (;;) {
        dcls_json_token token = dcls_json_raw_next(&cursor);
        if (token.kind == DCLS_JSON_TOKEN_CLOSE) return DCLS_OK;
        if (*count == max)
            return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "more than %d numbers in '%s'", max, what);
        if (!parse_size(token, &out[*count]))
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' holds %.*s, which is not a size", what,
                             token.length < 40 ? (int)token.length : 40, token.text);
        ++*count;
    }
}

static dcls_status check_keys(dcls_context *ctx, const dcls_json *value, const char *data_key)
{
    const char *const keys[] = {DCLS_ENTRY_DTYPE, DCLS_ENTRY_SHAPE, data_key};
    for (size_t i = 0; i < 3; i++)
        if (dcls_json_find(value, keys[i]) == NULL)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' is missing", keys[i]);
    for (size_t i = 0; i < dcls_json_count(value); i++) {
        const char *name = dcls_json_name(dcls_json_at(value, i));
        if (strcmp(name, keys[0]) != 0 && strcmp(name, keys[1]) != 0 && strcmp(name, keys[2]) != 0)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "unknown key '%s'", name);
    }
    return DCLS_OK;
}

dcls_status dcls_entry_read(dcls_context *ctx, const dcls_json *value, const char *data_key, dcls_entry *out)
{
    *out = (dcls_entry){0};
    if (dcls_json_kind_of(value) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "is %s, not an object", dcls_json_kind_text(value));
    DCLS_TRY(check_keys(ctx, value, data_key));
    const dcls_json *dtype = dcls_json_find(value, DCLS_ENTRY_DTYPE);
    out->dtype_name = dcls_json_as_string(dtype);
    if (out->dtype_name == NULL)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'dtype' is %s, not a string", dcls_json_kind_text(dtype));
    out->dtype = dcls_dtype_from_name(out->dtype_name);
    out->data = dcls_json_find(value, data_key);
    DCLS_TRY(dcls_entry_sizes(ctx, dcls_json_find(value, DCLS_ENTRY_SHAPE), DCLS_ENTRY_SHAPE, DCLS_MAX_DIMS,
                              out->shape, &out->ndim));
    if (!dcls_shape_count(out->ndim, out->shape, &out->count)) {
        char text[DCLS_SHAPE_TEXT];
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "shape %s is too large",
                         dcls_shape_text(text, sizeof text, out->ndim, out->shape));
    }
    return DCLS_OK;
}

dcls_status dcls_entry_fail_dtype(dcls_context *ctx, const dcls_entry *entry)
{
    return dcls_fail(ctx, DCLS_ERR_UNSUPPORTED, "dtype '%s' is not supported", entry->dtype_name);
}

dcls_status dcls_entry_read_metadata(dcls_context *ctx, const dcls_json *value, dcls_tensors *set)
{
    if (dcls_json_kind_of(value) != DCLS_JSON_OBJECT)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "'%s' is %s, not an object", dcls_json_name(value),
                         dcls_json_kind_text(value));
    for (size_t i = 0; i < dcls_json_count(value); i++) {
        const dcls_json *item = dcls_json_at(value, i);
        const char *text = dcls_json_as_string(item);
        if (text == NULL)
            return dcls_fail(ctx, DCLS_ERR_FORMAT, "metadata '%s' is %s, not a string", dcls_json_name(item),
                             dcls_json_kind_text(item));
        DCLS_TRY(dcls_tensors_set_meta(ctx, set, dcls_json_name(item), text));
    }
    return DCLS_OK;
}

/* ---- writing ---- */

/* JSON has to be UTF-8, and replacing what is not could make two names equal. */
static dcls_status check_text(dcls_context *ctx, const char *what, const char *text)
{
    if (dcls_utf8_valid(text, strlen(text))) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "%s '%s' is not valid UTF-8", what, text);
}

dcls_status dcls_entry_begin(dcls_context *ctx, const dcls_tensor *tensor, dcls_json_out *j)
{
    DCLS_TRY(check_text(ctx, "tensor name", tensor->name));
    dcls_json_key(j, tensor->name);
    dcls_json_begin(j, '{');
    dcls_json_key(j, DCLS_ENTRY_DTYPE);
    dcls_json_string(j, dcls_dtype_name(tensor->dtype));
    dcls_json_key(j, DCLS_ENTRY_SHAPE);
    dcls_json_begin(j, '[');
    for (int d = 0; d < tensor->ndim; d++)
        dcls_json_int(j, tensor->shape[d]);
    dcls_json_end(j, ']');
    return DCLS_OK;
}

dcls_status dcls_entry_put_metadata(dcls_context *ctx, const dcls_tensors *set, const char *name,
                                    const char *except, dcls_json_out *j)
{
    bool open = false;
    for (size_t i = 0; i < set->meta_count; i++) {
        const char *key = set->meta[2 * i], *value = set->meta[2 * i + 1];
        if (except != NULL && strcmp(key, except) == 0) continue;
        DCLS_TRY(check_text(ctx, "metadata key", key));
        DCLS_TRY(check_text(ctx, "metadata value", value));
        if (!open) {
            dcls_json_key(j, name);
            dcls_json_begin(j, '{');
            open = true;
        }
        dcls_json_key(j, key);
        dcls_json_string(j, value);
    }
    if (open) dcls_json_end(j, '}');
    return DCLS_OK;
}
