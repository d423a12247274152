/* JSON as it is written. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define EXACT_INTEGERS (INT64_C(1) << 53) /* readers that keep numbers as doubles are exact up to here */

static void new_line(dcls_json_out *j)
{
    if (j->indent == 0) return;
    dcls_string_puts(j->to, "\n");
    for (int i = 0; i < j->indent * j->depth; i++)
        dcls_string_puts(j->to, " ");
}

/* What stands between the previous value or bracket and the next item. */
static void separate(dcls_json_out *j)
{
    if (!j->after_key) {
        if (j->need_comma) dcls_string_puts(j->to, j->indent > 0 || j->compact ? "," : ", ");
        if (j->depth > 0) new_line(j);
    }
    j->after_key = false;
    j->need_comma = true;
}

static void put_escape(dcls_string *to, unsigned code)
{
    static const char *const short_escapes[128] = {
        ['"'] = "\\\"", ['\\'] = "\\\\", ['\b'] = "\\b", ['\f'] = "\\f",
        ['\n'] = "\\n", ['\r'] = "\\r",  ['\t'] = "\\t"};
    if (code < 128 && short_escapes[code] != NULL)
        dcls_string_puts(to, short_escapes[code]);
    else
        dcls_string_printf(to, "\\u%04x", code);
}

/* Besides what JSON demands, DEL and the C1 controls are escaped: output may go to a terminal. */
static void put_quoted(dcls_string *to, const char *text)
{
    dcls_string_puts(to, "\"");
    size_t left = strlen(text), plain = 0; /* plain: bytes before text that may be copied as they are */
    for (size_t step; left > 0; text += step, left -= step) {
        step = dcls_utf8_length(text, left);
        bool invalid = step == 0, control = dcls_is_control(text, step);
        if (invalid) step = 1;
        if (!invalid && !control && *text != '"' && *text != '\\') {
            plain += step;
            continue;
        }
        dcls_string_append(to, text - plain, plain);
        plain = 0;
        if (invalid)
            dcls_string_puts(to, "\xef\xbf\xbd");
        else
            put_escape(to,
                       (unsigned char)text[step - 1]); /* the code of U+0080 to U+009F is its second byte */
    }
    dcls_string_append(to, text - plain, plain);
    dcls_string_puts(to, "\"");
}

static void put_number(dcls_json_out *j, const char *text)
{
    bool word = text[0] == 'N' || text[0] == 'I' || text[1] == 'I'; /* NaN, Infinity, -Infinity */
    const char *quote = word ? "\"" : "";
    separate(j);
    dcls_string_printf(j->to, "%s%s%s", quote, text, quote);
}

void dcls_json_begin(dcls_json_out *j, char bracket)
{
    separate(j);
    dcls_string_append(j->to, &bracket, 1);
    j->depth++;
    j->need_comma = false;
}

void dcls_json_end(dcls_json_out *j, char bracket)
{
    j->depth--;
    if (j->need_comma) new_line(j);
    dcls_string_append(j->to, &bracket, 1);
    j->need_comma = true;
}

void dcls_json_key(dcls_json_out *j, const char *key)
{
    separate(j);
    put_quoted(j->to, key);
    dcls_string_puts(j->to, j->compact ? ":" : ": ");
    j->after_key = true;
}

void dcls_json_string(dcls_json_out *j, const char *value)
{
    separate(j);
    if (value == NULL)
        dcls_string_puts(j->to, "null");
    else
        put_quoted(j->to, value);
}

void dcls_json_int(dcls_json_out *j, int64_t value)
{
    bool exact = value >= -EXACT_INTEGERS && value <= EXACT_INTEGERS;
    const char *quote = exact ? "" : "\"";
    separate(j);
    dcls_string_printf(j->to, "%s%lld%s", quote, (long long)value, quote);
}

void dcls_json_float(dcls_json_out *j, float value)
{
    char text[32];
    dcls_format_float(text, sizeof text, value);
    put_number(j, text);
}

void dcls_json_double(dcls_json_out *j, double value)
{
    char text[32];
    dcls_format_double(text, sizeof text, value);
    put_number(j, text);
}

void dcls_json_bool(dcls_json_out *j, bool value)
{
    dcls_json_raw(j, value ? "true" : "false");
}

void dcls_json_null(dcls_json_out *j)
{
    dcls_json_raw(j, "null");
}

void dcls_json_raw(dcls_json_out *j, const char *json)
{
    separate(j);
    dcls_string_puts(j->to, json);
}
