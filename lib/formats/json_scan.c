#include "formats/json_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* cJSON copies a number into a buffer of 64 bytes before it converts it and silently reads less when it is
 * longer. */
#define CJSON_NUMBER_LENGTH 63

/* What may stand at the current place. */
typedef enum state {
    STATE_VALUE,
    STATE_FIRST_ELEMENT, /* a value or ']' */
    STATE_FIRST_KEY,     /* a key or '}' */
    STATE_KEY,
    STATE_AFTER_VALUE, /* a comma or the closing bracket; at level 0 nothing */
    STATE_DONE
} state;

typedef struct scanner {
    dcls_context *ctx;
    const char *start, *at, *end;
    const dcls_json_raw_spec *spec;
    dcls_json_scan *out;
    char closers[DCLS_JSON_DEPTH]; /* the bracket each open level waits for */
    int depth;
    bool within;   /* inside the member of the root that spec names */
    bool raw_next; /* the coming value stays text if it is an array */
    int raw_depth; /* level of the raw array being read; 0 outside of one */
} scanner;

static dcls_status fail_at(const scanner *s, const char *at, const char *what)
{
    size_t line = 1, column = 1;
    for (const char *p = s->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xC0) != 0x80) {
            column++; /* characters, not bytes */
        }
    }
    return dcls_fail(s->ctx, DCLS_ERR_FORMAT, "line %zu, column %zu: %s", line, column, what);
}

static dcls_status fail_expected(const scanner *s, const char *expected)
{
    char what[128];
    if (s->at == s->end)
        snprintf(what, sizeof what, "the text ends where %s is expected", expected);
    else if (*s->at > ' ' && *s->at <= '~')
        snprintf(what, sizeof what, "%s is expected, not '%c'", expected, *s->at);
    else
        snprintf(what, sizeof what, "%s is expected", expected);
    return fail_at(s, s->at, what);
}

/* ---- tokens ---- */

static void skip_space(scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* The four digits after \u; -1 if they are not there. */
static int hex_quad(const char *at, const char *end)
{
    int code = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

static dcls_status scan_unicode_escape(scanner *s)
{
    const char *escape = s->at - 2;
    int code = hex_quad(s->at, s->end);
    if (code < 0) return fail_at(s, escape, "\\u without four hexadecimal digits");
    if (code == 0) return fail_at(s, escape, "\\u0000 is not allowed");
    s->at += 4;
    if (code < 0xD800 || code > 0xDFFF) return DCLS_OK;
    bool pair = code < 0xDC00 && s->end - s->at >= 2 && s->at[0] == '\\' && s->at[1] == 'u';
    int low = pair ? hex_quad(s->at + 2, s->end) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return fail_at(s, escape, "half of a surrogate pair");
    s->at += 6;
    return DCLS_OK;
}

static dcls_status scan_escape(scanner *s)
{
    s->at++;
    char c = s->at < s->end ? *s->at : '\0';
    if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
        return fail_at(s, s->at - 1, "unknown escape in a string");
    s->at++;
    return c == 'u' ? scan_unicode_escape(s) : DCLS_OK;
}

static dcls_status scan_string(scanner *s)
{
    const char *open = s->at++;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) return fail_at(s, s->at, "control character in a string");
        if (*s->at == '\\')
            DCLS_TRY(scan_escape(s));
        else
            s->at++;
    }
    if (s->at == s->end) return fail_at(s, open, "string without an end");
    s->at++;
    if (s->raw_depth == 0) s->out->string_bytes += (size_t)(s->at - open); /* quotes leave room for the NUL */
    return DCLS_OK;
}

static size_t scan_digits(scanner *s)
{
    const char *first = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - first);
}

/* Numbers that may be too large for a double or are too long for cJSON are converted here; the latter are
 * written back in at most 32 characters. */
static dcls_status check_long_number(scanner *s, const char *text, size_t length)
{
    char *copy = s->out->copy + (text - s->start);
    char after = copy[length], shorter[32];
    double value = 0;
    copy[length] = '\0';
    bool ok = dcls_parse_double(copy, &value); /* finite, or it fails */
    copy[length] = after;
    if (!ok) return fail_at(s, text, "number too large");
    if (length <= CJSON_NUMBER_LENGTH) return DCLS_OK;
    dcls_format_double(shorter, sizeof shorter, value);
    memset(copy, ' ', length);
    memcpy(copy, shorter, strlen(shorter));
    return DCLS_OK;
}

static dcls_status scan_number(scanner *s)
{
    const char *text = s->at;
    size_t exponent_digits = 0;
    if (*s->at == '-') s->at++;
    bool zero = s->at < s->end && *s->at == '0';
    size_t digits = scan_digits(s);
    if (digits == 0) return fail_expected(s, "a digit");
    if (zero && digits > 1) return fail_at(s, text, "number with leading zeros");
    if (s->at < s->end && *s->at == '.') {
        s->at++;
        if (scan_digits(s) == 0) return fail_expected(s, "a digit");
    }
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
        s->at++;
        if (s->at < s->end && (*s->at == '+' || *s->at == '-')) s->at++;
        exponent_digits = scan_digits(s);
        if (exponent_digits == 0) return fail_expected(s, "a digit");
    }
    size_t length = (size_t)(s->at - text);
    if (length <= CJSON_NUMBER_LENGTH && exponent_digits < 3) return DCLS_OK; /* below 1e163 */
    return check_long_number(s, text, length);
}

static dcls_status scan_literal(scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(s->end - s->at) < length || memcmp(s->at, words[i], length) != 0) continue;
        s->at += length;
        return DCLS_OK;
    }
    return fail_expected(s, "a value");
}

/* ---- raw arrays ---- */

/* Whether the key between quotes, which may be spelt with escapes, is the ASCII word. */
static bool key_is(const char *key, size_t length, const char *word)
{
    const char *end = key + length;
    for (; key < end && *word != '\0'; word++) {
        int c = (unsigned char)*key;
        bool escape = c == '\\' && key[1] == 'u';
        if (escape) c = hex_quad(key + 2, end);
        if (c != (unsigned char)*word) return false;
        key += escape ? 6 : 1;
    }
    return key == end && *word == '\0';
}

static void note_key(scanner *s, const char *key, size_t length)
{
    const dcls_json_raw_spec *spec = s->spec;
    if (spec == NULL) return;
    if (s->depth == 1) s->within = spec->within == NULL || key_is(key, length, spec->within);
    s->raw_next = false;
    if (!s->within || s->depth != spec->depth) return;
    for (const char *const *word = spec->keys; *word != NULL && !s->raw_next; word++)
        s->raw_next = key_is(key, length, *word);
}

static dcls_status open_raw(scanner *s)
{
    dcls_json_scan *out = s->out;
    DCLS_TRY(dcls_grow(s->ctx, &out->raws, &out->raw_capacity, out->raw_count + 1, sizeof *out->raws));
    out->raws[out->raw_count++] =
        (dcls_json_raw_range){.value = out->values - 1, .offset = (size_t)(s->at - s->start)};
    s->raw_depth = s->depth;
    return DCLS_OK;
}

static void close_raw(scanner *s)
{
    dcls_json_raw_range *range = &s->out->raws[s->out->raw_count - 1];
    range->length = (size_t)(s->at - s->start) + 1 - range->offset;
    memset(s->out->copy + range->offset + 1, ' ', range->length - 2);
    s->raw_depth = 0;
}

/* ---- structure ---- */

static dcls_status open_bracket(scanner *s, state *next)
{
    bool object = *s->at == '{';
    if (object && s->raw_depth > 0) return fail_at(s, s->at, "an object in an array of plain values");
    if (s->depth == DCLS_JSON_DEPTH) return fail_at(s, s->at, "brackets nested too deeply");
    s->closers[s->depth++] = object ? '}' : ']';
    if (!object && s->raw_next) DCLS_TRY(open_raw(s));
    s->raw_next = false;
    s->at++;
    *next = object ? STATE_FIRST_KEY : STATE_FIRST_ELEMENT;
    return DCLS_OK;
}

static void close_bracket(scanner *s, state *next)
{
    if (s->raw_depth == s->depth) close_raw(s);
    s->depth--;
    s->at++;
    *next = s->depth == 0 ? STATE_DONE : STATE_AFTER_VALUE;
}

static dcls_status scan_value(scanner *s, state *next)
{
    char c = s->at < s->end ? *s->at : '\0';
    if (s->raw_depth == 0) s->out->values++;
    if (c == '{' || c == '[') return open_bracket(s, next);
    s->raw_next = false;
    *next = s->depth == 0 ? STATE_DONE : STATE_AFTER_VALUE;
    if (c == '"') return scan_string(s);
    if (c == '-' || (c >= '0' && c <= '9')) return scan_number(s);
    return scan_literal(s);
}

static dcls_status scan_key(scanner *s, state *next)
{
    if (s->at == s->end || *s->at != '"') return fail_expected(s, "a key in quotes");
    const char *key = s->at + 1;
    DCLS_TRY(scan_string(s));
    note_key(s, key, (size_t)(s->at - 1 - key));
    skip_space(s);
    if (s->at == s->end || *s->at != ':') return fail_expected(s, "a colon");
    s->at++;
    *next = STATE_VALUE;
    return DCLS_OK;
}

static dcls_status scan_after_value(scanner *s, state *next)
{
    char closer = s->closers[s->depth - 1];
    if (s->at == s->end || (*s->at != ',' && *s->at != closer))
        return fail_expected(s, closer == '}' ? "a comma or '}'" : "a comma or ']'");
    if (*s->at == closer) {
        close_bracket(s, next);
    } else {
        s->at++;
        *next = closer == '}' ? STATE_KEY : STATE_VALUE;
    }
    return DCLS_OK;
}

static dcls_status scan_step(scanner *s, state *st)
{
    bool closes = s->at < s->end && s->depth > 0 && *s->at == s->closers[s->depth - 1];
    switch (*st) {
    case STATE_FIRST_ELEMENT:
    case STATE_FIRST_KEY:
        if (closes) {
            close_bracket(s, st);
            return DCLS_OK;
        }
        return *st == STATE_FIRST_KEY ? scan_key(s, st) : scan_value(s, st);
    case STATE_KEY: return scan_key(s, st);
    case STATE_AFTER_VALUE: return scan_after_value(s, st);
    default: return scan_value(s, st);
    }
}

static dcls_status scan_all(scanner *s)
{
    state st = STATE_VALUE;
    while (st != STATE_DONE) {
        skip_space(s);
        DCLS_TRY(scan_step(s, &st));
    }
    skip_space(s);
    return s->at == s->end ? DCLS_OK : fail_at(s, s->at, "something follows the end of the JSON value");
}

dcls_status dcls_json_scan_text(dcls_context *ctx, const char *text, size_t size,
                                const dcls_json_raw_spec *spec, dcls_json_scan *scan)
{
    scanner s = {.ctx = ctx, .start = text, .at = text, .end = text + size, .spec = spec, .out = scan};
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "JSON must not begin with a byte order mark");
    if (!dcls_utf8_valid(text, size)) return dcls_fail(ctx, DCLS_ERR_FORMAT, "JSON text is not valid UTF-8");
    return scan_all(&s);
}

void dcls_json_scan_free(dcls_json_scan *scan)
{
    free(scan->raws);
    *scan = (dcls_json_scan){0};
}
