/* Numbers and text without the locale, and JSON as it is written. */
#ifndef DCLS_BASE_TEXT_H
#define DCLS_BASE_TEXT_H

#include "base/context.h"

/* Shortest decimal text that reads back as the same float (or double); "NaN", "Infinity", "-Infinity". size
 * >= 32. */
void dcls_format_float(char *buffer, size_t size, float value);
void dcls_format_double(char *buffer, size_t size, double value);
/* A whole decimal integer or real number with nothing before or after it, whatever the locale: an optional
 * sign, digits, for reals also a point and an exponent. False, with *out as it was, if it is not one or is
 * too large; reals too small for a double become 0. */
bool dcls_parse_int(const char *text, int64_t *out);
bool dcls_parse_double(const char *text, double *out);
/* The nearest float, rounded once: going through double can round twice. */
bool dcls_parse_float(const char *text, float *out);

/* Whether name matches one of the shell patterns globs [count]. */
bool dcls_any_matches(const char *const *globs, size_t count, const char *name);

bool dcls_utf8_valid(const char *text, size_t length);
/* Bytes of the well-formed UTF-8 character at text, of which `left` bytes remain; 0 if there is none. */
size_t dcls_utf8_length(const char *text, size_t left);
/* Whether the character of `length` bytes at text is a control: C0, DEL or C1. */
bool dcls_is_control(const char *text, size_t length);
/* Copies text for showing it to a person: control characters (C0, DEL, C1) and invalid UTF-8 become \xNN.
 * Always terminates. */
void dcls_escape_text(char *buffer, size_t size, const char *text);

/* A growing string. Memory failures are sticky and show in `failed`. */
typedef struct dcls_string {
    char *data; /* NUL-terminated once anything was added; free with dcls_string_free */
    size_t length, capacity;
    bool failed;
} dcls_string;

void dcls_string_append(dcls_string *s, const char *data, size_t length);
void dcls_string_puts(dcls_string *s, const char *text);
void dcls_string_printf(dcls_string *s, const char *fmt, ...) DCLS_PRINTF(2, 3);
void dcls_string_free(dcls_string *s);

/* Writes JSON into a string, commas and quoting taken care of. indent 0: one line. Invalid UTF-8 in strings
 * becomes U+FFFD. NaN and infinities are written as strings ("NaN", "Infinity", "-Infinity"), integers beyond
 * 2^53 too. */
typedef struct dcls_json_out {
    dcls_string *to;
    int indent, depth;
    bool need_comma, after_key;
    bool compact; /* with indent 0: no spaces after commas and colons */
} dcls_json_out;

void dcls_json_begin(dcls_json_out *j, char bracket /* '{' or '[' */);
void dcls_json_end(dcls_json_out *j, char bracket /* '}' or ']' */);
void dcls_json_key(dcls_json_out *j, const char *key);
void dcls_json_string(dcls_json_out *j, const char *value); /* NULL writes null */
void dcls_json_int(dcls_json_out *j, int64_t value);
void dcls_json_float(dcls_json_out *j, float value);
void dcls_json_double(dcls_json_out *j, double value);
void dcls_json_bool(dcls_json_out *j, bool value);
void dcls_json_null(dcls_json_out *j);
/* A value already in JSON. */
void dcls_json_raw(dcls_json_out *j, const char *json);

#endif
