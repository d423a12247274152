#include "formats/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/json_scan.h"

/* Objects with more members than this get a map from keys to members. */
#define LINEAR_MEMBERS 8

/* What one value takes, about, while a text is being parsed: cJSON's node and its two strings with malloc's
 * overhead, our node and its share of a map. */
#define BYTES_PER_VALUE 320

#define MAX_EXACT_INT 9007199254740991.0 /* 2^53 - 1 */

struct dcls_json {
    const char *name;
    union {
        double number;
        bool boolean;
        const char *text;       /* of a string; of a raw array, pointing into the parsed text */
        const dcls_json *items; /* elements or members */
    } as;
    size_t count;      /* of items; length of a raw array */
    dcls_map *members; /* key -> item, for objects with many */
    dcls_json_kind kind;
    bool raw;
};

/* A tree: all nodes, then all strings. The root is nodes[0]. */
typedef struct document {
    size_t node_count;
    char *strings;
    dcls_json nodes[];
} document;

/* ---- building ---- */

typedef struct builder {
    dcls_context *ctx;
    const char *text;
    const dcls_json_scan *scan;
    document *doc;
    size_t nodes_used, strings_used;
    size_t value; /* ordinal of the value being built, in text order */
    size_t raw;   /* next entry of scan->raws */
} builder;

static const char *keep_string(builder *b, const char *text)
{
    size_t size = strlen(text) + 1;
    char *kept = b->doc->strings + b->strings_used;
    memcpy(kept, text, size);
    b->strings_used += size;
    return kept;
}

static dcls_status fail_duplicate(dcls_context *ctx, const char *key)
{
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "key '%s' appears twice in one object", key);
}

static dcls_status index_members(dcls_context *ctx, dcls_json *object)
{
    const dcls_json *items = object->as.items;
    bool found = false;
    object->members = dcls_alloc_zero(ctx, 1, sizeof *object->members);
    if (object->members == NULL) return DCLS_ERR_MEMORY;
    for (size_t i = 0; i < object->count; i++) {
        DCLS_TRY(dcls_map_add(ctx, object->members, items[i].name, (int64_t)i, &found, NULL));
        if (found) return fail_duplicate(ctx, items[i].name);
    }
    return DCLS_OK;
}

static dcls_status check_members(dcls_context *ctx, dcls_json *object)
{
    const dcls_json *items = object->as.items;
    if (object->count > LINEAR_MEMBERS) return index_members(ctx, object);
    for (size_t i = 1; i < object->count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(items[i].name, items[k].name) == 0) return fail_duplicate(ctx, items[i].name);
    return DCLS_OK;
}

static dcls_status build_value(builder *b, const cJSON *from, dcls_json *to);

static dcls_status build_items(builder *b, const cJSON *from, dcls_json *to)
{
    size_t count = 0;
    for (const cJSON *item = from->child; item != NULL; item = item->next)
        count++;
    dcls_json *items = b->doc->nodes + b->nodes_used;
    b->nodes_used += count;
    to->as.items = items;
    to->count = count;
    for (const cJSON *item = from->child; item != NULL; item = item->next, items++) {
        if (to->kind == DCLS_JSON_OBJECT) items->name = keep_string(b, item->string);
        DCLS_TRY(build_value(b, item, items));
    }
    return to->kind == DCLS_JSON_OBJECT ? check_members(b->ctx, to) : DCLS_OK;
}

static void build_raw(builder *b, dcls_json *to)
{
    const dcls_json_raw_range *range = &b->scan->raws[b->raw++];
    to->raw = true;
    to->as.text = b->text + range->offset;
    to->count = range->length;
}

/* Recursion is bounded by DCLS_JSON_DEPTH. */
static dcls_status build_value(builder *b, const cJSON *from, dcls_json *to)
{
    size_t value = b->value++;
    if (cJSON_IsNumber(from)) {
        to->kind = DCLS_JSON_NUMBER;
        to->as.number = from->valuedouble;
    } else if (cJSON_IsString(from)) {
        to->kind = DCLS_JSON_STRING;
        to->as.text = keep_string(b, from->valuestring);
    } else if (cJSON_IsBool(from)) {
        to->kind = DCLS_JSON_BOOL;
        to->as.boolean = cJSON_IsTrue(from);
    } else if (cJSON_IsNull(from)) {
        to->kind = DCLS_JSON_NULL;
    } else {
        to->kind = cJSON_IsObject(from) ? DCLS_JSON_OBJECT : DCLS_JSON_ARRAY;
        if (b->raw < b->scan->raw_count && b->scan->raws[b->raw].value == value)
            build_raw(b, to);
        else
            return build_items(b, from, to);
    }
    return DCLS_OK;
}

static document *create_document(dcls_context *ctx, const dcls_json_scan *scan)
{
    size_t nodes, size;
    if (!dcls_mul_size(scan->values, sizeof(dcls_json), &nodes) ||
        !dcls_add_size(nodes, scan->string_bytes, &size) || !dcls_add_size(size, sizeof(document), &size)) {
        dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
        return NULL;
    }
    document *doc = dcls_alloc_zero(ctx, size, 1);
    if (doc == NULL) return NULL;
    doc->node_count = scan->values;
    doc->strings = (char *)doc + sizeof(document) + nodes;
    return doc;
}

static dcls_status build_tree(dcls_context *ctx, const char *text, const dcls_json_scan *scan,
                              const cJSON *from, dcls_json **out)
{
    document *doc = create_document(ctx, scan);
    if (doc == NULL) return DCLS_ERR_MEMORY;
    builder b = {.ctx = ctx, .text = text, .scan = scan, .doc = doc, .nodes_used = 1};
    dcls_status status = build_value(&b, from, doc->nodes);
    if (status == DCLS_OK)
        *out = doc->nodes;
    else
        dcls_json_free(doc->nodes);
    return status;
}

static dcls_status check_limits(dcls_context *ctx, size_t size)
{
    unsigned long long limit = dcls_context_limit(ctx, DCLS_LIMIT_JSON_BYTES);
    if (size <= limit) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "JSON of %zu bytes; at most %llu are allowed", size, limit);
}

static dcls_status check_memory(dcls_context *ctx, const dcls_json_scan *scan)
{
    unsigned long long limit = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    if (scan->values <= limit / BYTES_PER_VALUE) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "JSON of %zu values needs more memory than the %llu bytes allowed",
                     scan->values, limit);
}

/* The rest, once a copy of the text is there. (cJSON notes the place of an error in a global variable that
 * nothing here reads; texts that get this far have no errors.) */
static dcls_status parse_copy(dcls_context *ctx, const char *text, size_t size,
                              const dcls_json_raw_spec *spec, dcls_json_scan *scan, dcls_json **out)
{
    DCLS_TRY(dcls_json_scan_text(ctx, text, size, spec, scan));
    DCLS_TRY(check_memory(ctx, scan));
    cJSON *tree = cJSON_ParseWithLength(scan->copy, size + 1);
    if (tree == NULL) return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
    dcls_status status = build_tree(ctx, text, scan, tree, out);
    cJSON_Delete(tree);
    return status;
}

dcls_status dcls_json_parse_raw(dcls_context *ctx, const char *text, size_t size,
                                const dcls_json_raw_spec *spec, dcls_json **out)
{
    *out = NULL;
    DCLS_TRY(check_limits(ctx, size));
    char *copy = dcls_alloc(ctx, size + 1, 1);
    if (copy == NULL) return DCLS_ERR_MEMORY;
    if (size > 0) memcpy(copy, text, size);
    copy[size] = '\0';
    dcls_json_scan scan = {.copy = copy};
    dcls_status status = parse_copy(ctx, text, size, spec, &scan, out);
    dcls_json_scan_free(&scan);
    free(copy);
    return status;
}

dcls_status dcls_json_parse(dcls_context *ctx, const char *text, size_t size, dcls_json **out)
{
    return dcls_json_parse_raw(ctx, text, size, NULL, out);
}

void dcls_json_free(dcls_json *root)
{
    if (root == NULL) return;
    document *doc = (document *)((char *)root - offsetof(document, nodes));
    for (size_t i = 0; i < doc->node_count; i++) {
        if (doc->nodes[i].members == NULL) continue;
        dcls_map_free(doc->nodes[i].members);
        free(doc->nodes[i].members);
    }
    free(doc);
}

/* ---- asking ---- */

dcls_json_kind dcls_json_kind_of(const dcls_json *value)
{
    return value != NULL ? value->kind : DCLS_JSON_NONE;
}

const char *dcls_json_kind_text(const dcls_json *value)
{
    static const char *const texts[] = {"nothing",  "null",     "a boolean", "a number",
                                        "a string", "an array", "an object"};
    return texts[dcls_json_kind_of(value)];
}

bool dcls_json_as_int(const dcls_json *value, int64_t *out)
{
    double number;
    if (!dcls_json_as_double(value, &number)) return false;
    if (number != floor(number) || fabs(number) > MAX_EXACT_INT) return false;
    *out = (int64_t)number;
    return true;
}

bool dcls_json_as_double(const dcls_json *value, double *out)
{
    if (dcls_json_kind_of(value) != DCLS_JSON_NUMBER) return false;
    *out = value->as.number;
    return true;
}

bool dcls_json_as_bool(const dcls_json *value, bool *out)
{
    if (dcls_json_kind_of(value) != DCLS_JSON_BOOL) return false;
    *out = value->as.boolean;
    return true;
}

const char *dcls_json_as_string(const dcls_json *value)
{
    return dcls_json_kind_of(value) == DCLS_JSON_STRING ? value->as.text : NULL;
}

size_t dcls_json_count(const dcls_json *value)
{
    return value != NULL && value->kind >= DCLS_JSON_ARRAY && !value->raw ? value->count : 0;
}

const dcls_json *dcls_json_at(const dcls_json *value, size_t index)
{
    return index < dcls_json_count(value) ? &value->as.items[index] : NULL;
}

const char *dcls_json_name(const dcls_json *member)
{
    return member != NULL ? member->name : NULL;
}

const dcls_json *dcls_json_find(const dcls_json *object, const char *key)
{
    if (dcls_json_kind_of(object) != DCLS_JSON_OBJECT) return NULL;
    if (object->members != NULL) {
        int64_t index = dcls_map_find(object->members, key);
        return index >= 0 ? &object->as.items[index] : NULL;
    }
    for (size_t i = 0; i < object->count; i++)
        if (strcmp(object->as.items[i].name, key) == 0) return &object->as.items[i];
    return NULL;
}

static void emit_items(dcls_json_out *out, const dcls_json *value)
{
    bool object = value->kind == DCLS_JSON_OBJECT;
    dcls_json_begin(out, object ? '{' : '[');
    for (size_t i = 0; i < dcls_json_count(value); i++) {
        if (object) dcls_json_key(out, value->as.items[i].name);
        dcls_json_emit(out, &value->as.items[i]);
    }
    dcls_json_end(out, object ? '}' : ']');
}

static void emit_number(dcls_json_out *out, const dcls_json *value)
{
    int64_t integer;
    bool negative_zero = value->as.number == 0 && signbit(value->as.number);
    if (!negative_zero && dcls_json_as_int(value, &integer))
        dcls_json_int(out, integer);
    else
        dcls_json_double(out, value->as.number);
}

void dcls_json_emit(dcls_json_out *out, const dcls_json *value)
{
    switch (dcls_json_kind_of(value)) {
    case DCLS_JSON_BOOL: dcls_json_bool(out, value->as.boolean); break;
    case DCLS_JSON_NUMBER: emit_number(out, value); break;
    case DCLS_JSON_STRING: dcls_json_string(out, value->as.text); break;
    case DCLS_JSON_ARRAY:
    case DCLS_JSON_OBJECT: emit_items(out, value); break;
    default: dcls_json_null(out); break;
    }
}

/* ---- raw arrays: the text was checked, so tokens only need telling apart ---- */

bool dcls_json_raw_open(const dcls_json *value, dcls_json_cursor *out)
{
    if (value == NULL || !value->raw) return false;
    *out = (dcls_json_cursor){.at = value->as.text, .end = value->as.text + value->count};
    return true;
}

static bool is_separator(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',';
}

static dcls_json_token string_token(dcls_json_cursor *cursor)
{
    const char *text = cursor->at + 1, *p = text;
    while (*p != '"')
        p += *p == '\\' ? 2 : 1;
    cursor->at = p + 1;
    return (dcls_json_token){DCLS_JSON_TOKEN_STRING, text, (size_t)(p - text)};
}

dcls_json_token dcls_json_raw_next(dcls_json_cursor *cursor)
{
    while (cursor->at < cursor->end && is_separator(*cursor->at))
        cursor->at++;
    const char *text = cursor->at;
    if (text == cursor->end) return (dcls_json_token){DCLS_JSON_TOKEN_END, text, 0};
    if (*text == '"') return string_token(cursor);
    cursor->at++;
    if (*text == '[') return (dcls_json_token){DCLS_JSON_TOKEN_OPEN, text, 1};
    if (*text == ']') return (dcls_json_token){DCLS_JSON_TOKEN_CLOSE, text, 1};
    while (!is_separator(*cursor->at) && *cursor->at != ']')
        cursor->at++;
    return (dcls_json_token){DCLS_JSON_TOKEN_SCALAR, text, (size_t)(cursor->at - text)};
}
