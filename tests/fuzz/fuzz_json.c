/* The JSON parser and the reader of JSON models. What is parsed and written again must parse to the same
 * text. */
#include "format_fuzz.h"

#include "formats/json.h"

static void emit(const dcls_json *value, dcls_string *text)
{
    dcls_json_out out = {.to = text};
    dcls_json_emit(&out, value);
    if (text->failed) abort();
}

static void parse_twice(dcls_context *ctx, const char *text, size_t size)
{
    dcls_json *root, *again;
    dcls_string first = {0}, second = {0};
    if (dcls_json_parse(ctx, text, size, &root) != DCLS_OK) return;
    emit(root, &first);
    if (dcls_json_parse(ctx, first.data, first.length, &again) == DCLS_OK) {
        emit(again, &second);
        if (strcmp(first.data, second.data) != 0) abort();
    } else if (first.length <= dcls_context_limit(ctx, DCLS_LIMIT_JSON_BYTES)) {
        abort();
    }
    dcls_json_free(root);
    dcls_json_free(again);
    dcls_string_free(&first);
    dcls_string_free(&second);
}

/* With arrays left as text, nothing is accepted that is not JSON. */
static void parse_raw(dcls_context *ctx, const char *text, size_t size)
{
    static const char *const keys[] = {"data", "shape", NULL};
    dcls_json_raw_spec spec = {.depth = 1, .keys = keys};
    dcls_json *root, *plain;
    if (dcls_json_parse_raw(ctx, text, size, &spec, &root) != DCLS_OK) return;
    if (dcls_json_parse(ctx, text, size, &plain) != DCLS_OK) abort();
    if (dcls_json_count(root) != dcls_json_count(plain)) abort();
    for (size_t i = 0; i < dcls_json_count(root); i++) {
        dcls_json_cursor cursor;
        int depth = 0;
        if (!dcls_json_raw_open(dcls_json_at(root, i), &cursor)) continue;
        for (dcls_json_token t; (t = dcls_json_raw_next(&cursor)).kind != DCLS_JSON_TOKEN_END;)
            depth += (t.kind == DCLS_JSON_TOKEN_OPEN) - (t.kind == DCLS_JSON_TOKEN_CLOSE);
        if (depth != 0) abort();
    }
    dcls_json_free(root);
    dcls_json_free(plain);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dcls_context *ctx = fuzz_context();
    dcls_bytes bytes = fuzz_bytes(ctx, data, size);
    dcls_tensors *set = NULL;
    parse_twice(ctx, (const char *)data, size);
    parse_raw(ctx, (const char *)data, size);
    dcls_status status = dcls_json_read(ctx, &bytes, &set);
    fuzz_outcome(ctx, status, set, dcls_json_write);
    dcls_context_destroy(ctx);
    return 0;
}
