/* Numbers and text without the locale. */
#include "base/text.h"

#include <errno.h>
#include <fnmatch.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- numbers to text ---- */

/* 0.digits x 10^(exponent + 1), digits without trailing zeros. */
struct decimal {
    bool negative;
    int count, exponent;
    char digits[24];
};

/* Takes apart what printf("%.*e") made. Its decimal point depends on the locale and may be several bytes, so
 * everything between the first digit and the next one is the point. */
static struct decimal take_apart(const char *text)
{
    struct decimal d = {.negative = text[0] == '-'};
    const char *p = text + d.negative;
    for (; *p != '\0' && *p != 'e'; p++)
        if (is_digit(*p) && d.count < (int)sizeof d.digits) d.digits[d.count++] = *p;
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    d.exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
    return d;
}

static struct decimal rounded(double value, int count)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    return take_apart(text);
}

static bool reads_back(double value, int count, bool as_float)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    return as_float ? (double)strtof(text, NULL) == value : strtod(text, NULL) == value;
}

/* Fewer digits are tried from the top: most weights need nearly all of them, and round numbers show their
 * zeros at once. That is right as long as with n digits too few, n - 1 are too; below powers of two numbers
 * stand closer together than above, which can break the rule, so there digits are tried from one up. */
static struct decimal shortest_decimal(double value, bool as_float)
{
    int exponent, most = as_float ? 9 : 17;
    if (fabs(frexp(value, &exponent)) == 0.5) {
        int count = 1;
        while (count < most && !reads_back(value, count, as_float))
            count++;
        return rounded(value, count);
    }
    struct decimal best = rounded(value, most);
    for (int count = most - 1; count >= 1 && reads_back(value, count, as_float); count--) {
        best = rounded(value, count);
        if (best.count < count) count = best.count;
    }
    return best;
}

/* Plain notation for exponents a person reads easily, else d.ddde-N. */
static void put_decimal(char *out, const struct decimal *d)
{
    int point = d->exponent + 1; /* digits before the decimal point */
    bool plain = point > -5 && point <= 16;
    if (!plain) point = 1;
    if (d->negative) *out++ = '-';
    if (point <= 0) *out++ = '0';
    if (point <= 0) *out++ = '.';
    for (int i = point; i < 0; i++)
        *out++ = '0';
    for (int i = 0; i < d->count || i < point; i++) {
        if (i == point && i > 0) *out++ = '.';
        *out++ = i < d->count ? d->digits[i] : '0';
    }
    if (plain)
        *out = '\0';
    else
        snprintf(out, 8, "e%d", d->exponent);
}

static void format_number(char *buffer, size_t size, double value, bool as_float)
{
    char text[48];
    if (value != value)
        strcpy(text, "NaN");
    else if (value - value != 0)
        strcpy(text, value > 0 ? "Infinity" : "-Infinity");
    else {
        struct decimal d = shortest_decimal(value, as_float);
        put_decimal(text, &d);
    }
    snprintf(buffer, size, "%s", text);
}

void dcls_format_float(char *buffer, size_t size, float value)
{
    format_number(buffer, size, (double)value, true);
}

void dcls_format_double(char *buffer, size_t size, double value)
{
    format_number(buffer, size, value, false);
}

/* ---- text to numbers ---- */

static const char *skip_sign(const char *text)
{
    return text + (*text == '-' || *text == '+');
}

static const char *skip_digits(const char *text)
{
    while (is_digit(*text))
        text++;
    return text;
}

bool dcls_parse_int(const char *text, int64_t *out)
{
    const char *digits = skip_sign(text);
    const char *end = skip_digits(digits);
    if (end == digits || *end != '\0') return false;
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    if (errno == ERANGE) return false;
    *out = value;
    return true;
}

static bool is_real(const char *text)
{
    const char *whole = skip_sign(text);
    const char *p = skip_digits(whole);
    ptrdiff_t digits = p - whole;
    if (*p == '.') {
        const char *fraction = p + 1;
        p = skip_digits(fraction);
        digits += p - fraction;
    }
    if (digits == 0) return false;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = skip_sign(p + 1);
        p = skip_digits(exponent);
        if (p == exponent) return false;
    }
    return *p == '\0';
}

/* Converts to the one of both that is asked for. */
static bool parse_real(const char *text, double *wide, float *narrow)
{
    if (!is_real(text)) return false;
    locale_t c_locale =
        newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant of the C library: no allocation */
    if (c_locale == (locale_t)0) return false;
    if (wide != NULL) *wide = strtod_l(text, NULL, c_locale);
    if (narrow != NULL) *narrow = strtof_l(text, NULL, c_locale);
    freelocale(c_locale);
    return true;
}

bool dcls_parse_double(const char *text, double *out)
{
    double value;
    if (!parse_real(text, &value, NULL) || value - value != 0) return false;
    *out = value;
    return true;
}

bool dcls_parse_float(const char *text, float *out)
{
    float value;
    if (!parse_real(text, NULL, &value) || value - value != 0) return false;
    *out = value;
    return true;
}

/* ---- UTF-8 ---- */

size_t dcls_utf8_length(const char *text, size_t left)
{
    const unsigned char *p = (const unsigned char *)text;
    if (left == 0) return 0;
    if (p[0] < 0x80) return 1;
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || length > left) return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    /* Overlong forms, UTF-16 surrogates and what is beyond U+10FFFF show in the first two bytes. */
    unsigned lead = (unsigned)p[0] << 8 | p[1];
    bool wrong = (lead >= 0xe000 && lead < 0xe0a0) || (lead >= 0xeda0 && lead < 0xee00) ||
                 (lead >= 0xf000 && lead < 0xf090) || lead >= 0xf490;
    return wrong ? 0 : length;
}

bool dcls_any_matches(const char *const *globs, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(globs[i], name, 0) == 0) return true;
    return false;
}

bool dcls_utf8_valid(const char *text, size_t length)
{
    while (length > 0) {
        size_t step = dcls_utf8_length(text, length);
        if (step == 0) return false;
        text += step;
        length -= step;
    }
    return true;
}

bool dcls_is_control(const char *text, size_t length)
{
    const unsigned char *p = (const unsigned char *)text;
    return length == 1 ? p[0] < 0x20 || p[0] == 0x7f : length == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

void dcls_escape_text(char *buffer, size_t size, const char *text)
{
    if (size == 0) return;
    char *out = buffer, *end = buffer + size - 1; /* room for the terminator */
    for (size_t left = strlen(text), step; left > 0; text += step, left -= step) {
        step = dcls_utf8_length(text, left);
        bool escape = step == 0 || dcls_is_control(text, step);
        if (step == 0) step = 1;
        if ((size_t)(end - out) < (escape ? 4 * step : step)) break;
        for (size_t i = 0; i < step; i++) {
            if (escape)
                out += sprintf(out, "\\x%02x", (unsigned char)text[i]);
            else
                *out++ = text[i];
        }
    }
    *out = '\0';
}

/* ---- growing strings ---- */

static bool reserve(dcls_string *s, size_t more)
{
    if (s->failed || more >= PTRDIFF_MAX - s->length) {
        s->failed = true;
        return false;
    }
    size_t needed = s->length + more + 1;
    if (needed <= s->capacity) return true;
    size_t capacity = needed < 64 ? 64 : needed;
    if (capacity < s->capacity * 2) capacity = s->capacity * 2;
    char *data = realloc(s->data, capacity);
    if (data == NULL) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->capacity = capacity;
    return true;
}

void dcls_string_append(dcls_string *s, const char *data, size_t length)
{
    if (!reserve(s, length)) return;
    memcpy(s->data + s->length, data, length);
    s->length += length;
    s->data[s->length] = '\0';
}

void dcls_string_puts(dcls_string *s, const char *text)
{
    dcls_string_append(s, text, strlen(text));
}

void dcls_string_printf(dcls_string *s, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, fmt, args);
    if (length < 0)
        s->failed = true;
    else if (reserve(s, (size_t)length)) {
        vsnprintf(s->data + s->length, (size_t)length + 1, fmt, again);
        s->length += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void dcls_string_free(dcls_string *s)
{
    free(s->data);
    *s = (dcls_string){0};
}
