/* Shapes, element types and their conversion. */
#include "base/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensor data is little-endian and read in place");

static const struct {
    const char *name;
    size_t size;
} dtypes[DCLS_DTYPE_COUNT] = {
    [DCLS_F32] = {"F32", 4}, [DCLS_F16] = {"F16", 2},   [DCLS_BF16] = {"BF16", 2}, [DCLS_F64] = {"F64", 8},
    [DCLS_I64] = {"I64", 8}, [DCLS_I32] = {"I32", 4},   [DCLS_I16] = {"I16", 2},   [DCLS_I8] = {"I8", 1},
    [DCLS_U8] = {"U8", 1},   [DCLS_BOOL] = {"BOOL", 1},
};

const char *dcls_dtype_name(dcls_dtype dtype)
{
    return (unsigned)dtype < DCLS_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

size_t dcls_dtype_size(dcls_dtype dtype)
{
    return (unsigned)dtype < DCLS_DTYPE_COUNT ? dtypes[dtype].size : 0;
}

int dcls_dtype_from_name(const char *name)
{
    for (int i = 0; i < DCLS_DTYPE_COUNT; i++)
        if (strcmp(name, dtypes[i].name) == 0) return i;
    return -1;
}

bool dcls_dtype_is_float(dcls_dtype dtype)
{
    return dtype == DCLS_F32 || dtype == DCLS_F16 || dtype == DCLS_BF16 || dtype == DCLS_F64;
}

/* ---- shapes ---- */

bool dcls_shape_count(int ndim, const int64_t *shape, int64_t *out)
{
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return false;
        if (shape[i] == 0)
            empty = true;
        else if (!dcls_mul_i64(product, shape[i], &product))
            return false;
    }
    *out = empty ? 0 : product;
    return true;
}

bool dcls_shape_bytes(dcls_dtype dtype, int ndim, const int64_t *shape, size_t *out)
{
    int64_t count;
    if (!dcls_shape_count(ndim, shape, &count) || (uint64_t)count > SIZE_MAX) return false;
    return dcls_mul_size((size_t)count, dcls_dtype_size(dtype), out);
}

bool dcls_shape_equal(int ndim_a, const int64_t *a, int ndim_b, const int64_t *b)
{
    if (ndim_a != ndim_b) return false;
    for (int i = 0; i < ndim_a; i++)
        if (a[i] != b[i]) return false;
    return true;
}

const char *dcls_shape_text(char *buffer, size_t size, int ndim, const int64_t *shape)
{
    size_t used = 0;
    if (size == 0) return buffer;
    buffer[0] = '\0';
    for (int i = 0; i <= ndim && used < size; i++) {
        char item[32];
        const char *before = i == 0 ? "[" : ", ";
        if (i == ndim)
            snprintf(item, sizeof item, "%s", ndim == 0 ? "[]" : "]");
        else
            snprintf(item, sizeof item, "%s%lld", before, (long long)shape[i]);
        used += (size_t)snprintf(buffer + used, size - used, "%s", item);
    }
    return buffer;
}

/* ---- 16-bit floats ---- */

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float dcls_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = half >> 10 & 0x1fu, mantissa = half & 0x3ffu;
    if (exponent == 0x1f) return float_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0) return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
}

float dcls_bf16_to_float(uint16_t bits)
{
    return float_from_bits((uint32_t)bits << 16);
}

uint16_t dcls_float_to_half(float value)
{
    uint32_t bits = bits_from_float(value);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more round to infinity */
    if (magnitude < 0x38800000u) {
        /* Below 2^-14 halfs are multiples of 2^-24, the spacing of floats just above 0.5: adding rounds to
         * them. */
        uint32_t sum = bits_from_float(float_from_bits(magnitude) + 0.5f);
        return (uint16_t)(sign | (sum - 0x3f000000u));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - (112u << 23)) >> 13);
}

uint16_t dcls_float_to_bf16(float value)
{
    uint32_t bits = bits_from_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* ---- to float ---- */

/* One loop per element type; elements are copied out because a file's data may stand at any address. */
#define CONVERT(type, expression)                                                                            \
    for (size_t i = 0; i < count; i++) {                                                                     \
        type v;                                                                                              \
        memcpy(&v, (const unsigned char *)from + i * sizeof v, sizeof v);                                    \
        to[i] = (expression);                                                                                \
    }                                                                                                        \
    break

void dcls_to_float(dcls_dtype dtype, const void *from, float *to, size_t count)
{
    switch (dtype) {
    case DCLS_F32:
        if (count > 0) memcpy(to, from, count * sizeof *to);
        break;
    case DCLS_F16: CONVERT(uint16_t, dcls_half_to_float(v));
    case DCLS_BF16: CONVERT(uint16_t, dcls_bf16_to_float(v));
    case DCLS_F64: CONVERT(double, (float)v);
    case DCLS_I64: CONVERT(int64_t, (float)v);
    case DCLS_I32: CONVERT(int32_t, (float)v);
    case DCLS_I16: CONVERT(int16_t, (float)v);
    case DCLS_I8: CONVERT(int8_t, (float)v);
    case DCLS_U8: CONVERT(uint8_t, (float)v);
    case DCLS_BOOL: CONVERT(uint8_t, v != 0 ? 1.0f : 0.0f);
    case DCLS_DTYPE_COUNT: break;
    }
}
