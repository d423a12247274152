/* Figures about one tensor. */
#include <math.h>
#include <string.h>

#include "base/tensor.h"

#include "dcls_analysis.h"

double dcls_tensor_value(const dcls_tensor *tensor, int64_t index)
{
    const unsigned char *at =
        (const unsigned char *)tensor->data + (size_t)index * dcls_dtype_size(tensor->dtype);
    union {
        double f64;
        int64_t i64;
        int32_t i32;
        int16_t i16;
    } v;
    float f;
    memcpy(&v, at, dcls_dtype_size(tensor->dtype));
    switch (tensor->dtype) {
    case DCLS_F64: return v.f64;
    case DCLS_I64: return (double)v.i64;
    case DCLS_I32: return v.i32;
    case DCLS_I16: return v.i16;
    case DCLS_I8: return (double)(int8_t)*at;
    case DCLS_U8:
    case DCLS_BOOL: return *at;
    default: dcls_to_float(tensor->dtype, at, &f, 1); return (double)f;
    }
}

dcls_status dcls_tensor_statistics(dcls_context *ctx, const dcls_tensor *tensor, dcls_tensor_stats *out)
{
    (void)ctx;
    *out = (dcls_tensor_stats){.count = (int64_t)(tensor->nbytes / dcls_dtype_size(tensor->dtype))};
    double mean = 0, m2 = 0;
    int64_t finite = 0;
    for (int64_t i = 0; i < out->count; i++) {
        double x = dcls_tensor_value(tensor, i);
        out->nan += isnan(x);
        out->inf += isinf(x) != 0;
        out->zero += x == 0;
        if (!isfinite(x)) continue;
        if (finite++ == 0) out->min = out->max = x;
        out->min = fmin(out->min, x);
        out->max = fmax(out->max, x);
        double delta = x - mean; /* Welford */
        mean += delta / (double)finite;
        m2 += delta * (x - mean);
    }
    out->mean = mean;
    out->std = finite > 0 ? sqrt(m2 / (double)finite) : 0;
    return DCLS_OK;
}
