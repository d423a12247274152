#include "formats/element.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/tensor.h"

#define MAX_NUMBER 1024 /* more characters than any double needs exactly */

/* ---- floats as bits ---- */

typedef struct float_layout {
    int bits, mantissa;
} float_layout;

static float_layout layout_of(dcls_dtype dtype)
{
    switch (dtype) {
    case DCLS_F16: return (float_layout){16, 10};
    case DCLS_BF16: return (float_layout){16, 7};
    case DCLS_F64: return (float_layout){64, 52};
    default: return (float_layout){32, 23};
    }
}

static uint64_t sign_bit(float_layout l)
{
    return UINT64_C(1) << (l.bits - 1);
}

static uint64_t infinity_bits(float_layout l)
{
    return sign_bit(l) - (UINT64_C(1) << l.mantissa);
}

static uint64_t plain_nan_bits(float_layout l)
{
    return infinity_bits(l) | UINT64_C(1) << (l.mantissa - 1);
}

static bool is_nan(float_layout l, uint64_t bits)
{
    return (bits & (sign_bit(l) - 1)) > infinity_bits(l);
}

/* ---- reading ---- */

static bool parse_nan(float_layout l, const char *text, uint64_t *bits)
{
    static const char digits[] = "0123456789abcdef";
    *bits = 0;
    if (strlen(text) != (size_t)l.bits / 4) return false;
    for (; *text != '\0'; text++) {
        const char *digit = strchr(digits, *text);
        if (digit == NULL) return false;
        *bits = *bits << 4 | (uint64_t)(digit - digits);
    }
    return is_nan(l, *bits);
}

static bool parse_word(float_layout l, const char *text, uint64_t *bits)
{
    if (strcmp(text, "NaN") == 0)
        *bits = plain_nan_bits(l);
    else if (strcmp(text, "Infinity") == 0)
        *bits = infinity_bits(l);
    else if (strcmp(text, "-Infinity") == 0)
        *bits = infinity_bits(l) | sign_bit(l);
    else
        return strncmp(text, "NaN:", 4) == 0 && parse_nan(l, text + 4, bits);
    return true;
}

static bool parse_number(dcls_dtype dtype, const char *text, void *to)
{
    double wide;
    float value;
    if (dtype == DCLS_F64) {
        if (!dcls_parse_double(text, &wide)) return false;
        memcpy(to, &wide, sizeof wide);
        return true;
    }
    if (!dcls_parse_float(text, &value)) return false;
    if (dtype == DCLS_F32) {
        memcpy(to, &value, sizeof value);
        return true;
    }
    uint16_t half = dtype == DCLS_F16 ? dcls_float_to_half(value) : dcls_float_to_bf16(value);
    memcpy(to, &half, sizeof half);
    return isfinite(dtype == DCLS_F16 ? dcls_half_to_float(half) : dcls_bf16_to_float(half));
}

static bool parse_integer(dcls_dtype dtype, const char *text, void *to)
{
    int64_t value;
    int bits = (int)dcls_dtype_size(dtype) * 8;
    bool is_signed = dtype != DCLS_U8 && dtype != DCLS_BOOL;
    if (!dcls_parse_int(text, &value)) return false;
    int64_t max = (int64_t)(UINT64_MAX >> (64 - bits + is_signed)), min = is_signed ? -max - 1 : 0;
    if (value < min || value > max) return false;
    memcpy(to, &value, dcls_dtype_size(dtype)); /* the low bytes: data is little-endian */
    return true;
}

bool dcls_element_parse(dcls_dtype dtype, dcls_json_token token, void *to)
{
    char text[MAX_NUMBER];
    bool quoted = token.kind == DCLS_JSON_TOKEN_STRING;
    if (token.length >= sizeof text) return false;
    memcpy(text, token.text, token.length);
    text[token.length] = '\0';
    if (dcls_dtype_is_float(dtype) && quoted) {
        uint64_t bits;
        if (!parse_word(layout_of(dtype), text, &bits)) return false;
        memcpy(to, &bits, dcls_dtype_size(dtype));
        return true;
    }
    if (dcls_dtype_is_float(dtype)) return parse_number(dtype, text, to);
    if (dtype == DCLS_BOOL && !quoted && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        *(unsigned char *)to = text[0] == 't';
        return true;
    }
    return parse_integer(dtype, text, to);
}

/* ---- writing ---- */

static void put_float(dcls_json_out *j, dcls_dtype dtype, const void *from)
{
    float_layout l = layout_of(dtype);
    uint64_t bits = 0;
    memcpy(&bits, from, dcls_dtype_size(dtype));
    if (is_nan(l, bits) && bits != plain_nan_bits(l)) {
        char text[32];
        snprintf(text, sizeof text, "NaN:%0*" PRIx64, l.bits / 4, bits);
        dcls_json_string(j, text);
    } else if (dtype == DCLS_F64) {
        double value;
        memcpy(&value, from, sizeof value);
        dcls_json_double(j, value);
    } else {
        float value;
        dcls_to_float(dtype, from, &value, 1);
        dcls_json_float(j, value);
    }
}

static int64_t load_integer(dcls_dtype dtype, const void *from)
{
    int64_t wide;
    int32_t word;
    int16_t half;
    switch (dtype) {
    case DCLS_I64: memcpy(&wide, from, sizeof wide); return wide;
    case DCLS_I32: memcpy(&word, from, sizeof word); return word;
    case DCLS_I16: memcpy(&half, from, sizeof half); return half;
    case DCLS_I8: return *(const signed char *)from;
    default: return *(const unsigned char *)from;
    }
}

void dcls_element_put(dcls_json_out *j, dcls_dtype dtype, const void *from)
{
    if (dcls_dtype_is_float(dtype)) {
        put_float(j, dtype, from);
        return;
    }
    int64_t value = load_integer(dtype, from);
    if (dtype == DCLS_BOOL && (value == 0 || value == 1))
        dcls_json_bool(j, value == 1);
    else
        dcls_json_int(j, value);
}
