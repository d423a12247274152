/* Reading JSON. A text is parsed whole into an immutable tree of values; this is the only way JSON from a
 * file enters the library. (Writing is dcls_json_out in base/text.h.)
 *
 * The parser is RFC 8259 to the letter: no comments, no trailing commas, no leading zeros, no NaN, nothing
 * after the value, valid UTF-8 without a byte order mark, no lone surrogates. Beyond the RFC it refuses
 * duplicate keys, \u0000 in strings (they are C strings here), numbers too large for a double and more than
 * DCLS_JSON_DEPTH levels of brackets. Time is linear in the size of the text.
 *
 * All functions that take a value accept NULL and treat it as a value of kind DCLS_JSON_NONE, so that
 * `dcls_json_as_int(dcls_json_find(node, "stride"), &stride)` is safe when there is no such member. Strings
 * and values belong to the root. A tree may be read by several threads. */
#ifndef DCLS_FORMATS_JSON_H
#define DCLS_FORMATS_JSON_H

#include "base/context.h"
#include "base/text.h"

#define DCLS_JSON_DEPTH 64 /* levels of nested arrays and objects */

typedef struct dcls_json dcls_json;

typedef enum dcls_json_kind {
    DCLS_JSON_NONE, /* no value: NULL was asked */
    DCLS_JSON_NULL,
    DCLS_JSON_BOOL,
    DCLS_JSON_NUMBER,
    DCLS_JSON_STRING,
    DCLS_JSON_ARRAY,
    DCLS_JSON_OBJECT
} dcls_json_kind;

/* Parses size bytes of text (no terminator needed, text is not kept). More than DCLS_LIMIT_JSON_BYTES, or
 * values that would take more than DCLS_LIMIT_MEMORY_BYTES, is DCLS_ERR_LIMIT; anything malformed
 * DCLS_ERR_FORMAT with line and column. */
dcls_status dcls_json_parse(dcls_context *ctx, const char *text, size_t size, dcls_json **out);
/* Frees a tree by its root. NULL is allowed. */
void dcls_json_free(dcls_json *root);

dcls_json_kind dcls_json_kind_of(const dcls_json *value);
/* "nothing", "null", "a boolean", "a number", "a string", "an array", "an object": for messages. */
const char *dcls_json_kind_text(const dcls_json *value);

/* An integer written as one (3) or a number that is integral (3.0, 3e2), between -(2^53 - 1) and 2^53 - 1,
 * where doubles are exact. False, leaving *out alone, for anything else. */
bool dcls_json_as_int(const dcls_json *value, int64_t *out);
/* Any number; always finite. False, leaving *out alone, for anything else. */
bool dcls_json_as_double(const dcls_json *value, double *out);
bool dcls_json_as_bool(const dcls_json *value, bool *out);
/* UTF-8, NUL-terminated. NULL for anything that is not a string. */
const char *dcls_json_as_string(const dcls_json *value);

/* Number of elements of an array or members of an object; 0 for anything else. */
size_t dcls_json_count(const dcls_json *value);
/* Element or member in file order, constant time. NULL past the end. */
const dcls_json *dcls_json_at(const dcls_json *value, size_t index);
/* The key under which a member stands in its object; NULL for a root and for elements of arrays. */
const char *dcls_json_name(const dcls_json *member);
/* The member of an object with this key, constant time on average. NULL if there is none or value is not an
 * object. */
const dcls_json *dcls_json_find(const dcls_json *object, const char *key);

/* Writes a value as JSON again: same order, same values, strings and numbers spelt canonically. Not for
 * values with raw arrays (below). */
void dcls_json_emit(dcls_json_out *out, const dcls_json *value);

/* ---- arrays kept as text -------------------------------------------------------------------------------
 * A tree node costs some 200 bytes while parsing. Weights files hold large arrays of plain numbers; these can
 * be left as the text they are, checked like everything else, and be read token by token straight into their
 * destination. */

typedef struct dcls_json_raw_spec {
    const char *within;      /* only inside this member of the root; NULL: anywhere */
    int depth;               /* levels of brackets around the member: 2 for {"t": {"shape": [..]}} */
    const char *const *keys; /* NULL-terminated names of members that stay text if they are arrays */
} dcls_json_raw_spec;

/* dcls_json_parse with raw arrays: they have kind DCLS_JSON_ARRAY and count 0, and point into text, which
 * must outlive the tree. An element of a raw array may be a scalar or an array, not an object. */
dcls_status dcls_json_parse_raw(dcls_context *ctx, const char *text, size_t size,
                                const dcls_json_raw_spec *spec, dcls_json **out);

typedef enum dcls_json_token_kind {
    DCLS_JSON_TOKEN_END,
    DCLS_JSON_TOKEN_OPEN,   /* '[' */
    DCLS_JSON_TOKEN_CLOSE,  /* ']' */
    DCLS_JSON_TOKEN_SCALAR, /* number, true, false or null */
    DCLS_JSON_TOKEN_STRING  /* what stands between the quotes, escapes untouched */
} dcls_json_token_kind;

typedef struct dcls_json_token {
    dcls_json_token_kind kind;
    const char *text;
    size_t length;
} dcls_json_token;

typedef struct dcls_json_cursor {
    const char *at, *end;
} dcls_json_cursor;

/* A cursor before the opening bracket of a raw array; false if value is not one. */
bool dcls_json_raw_open(const dcls_json *value, dcls_json_cursor *out);
/* The next token; DCLS_JSON_TOKEN_END after the closing bracket of the whole. */
dcls_json_token dcls_json_raw_next(dcls_json_cursor *cursor);

#endif
