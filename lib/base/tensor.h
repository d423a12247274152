/* Shapes, element types and their conversion. */
#ifndef DCLS_BASE_TENSOR_H
#define DCLS_BASE_TENSOR_H

#include "base/context.h"

/* Product of shape[0..ndim), 1 for ndim 0. False when a size is negative or the product (of the non-zero
 * sizes, so that a later 0 hides nothing) overflows int64_t. */
bool dcls_shape_count(int ndim, const int64_t *shape, int64_t *out);
/* Bytes of a tensor; false on overflow. */
bool dcls_shape_bytes(dcls_dtype dtype, int ndim, const int64_t *shape, size_t *out);
bool dcls_shape_equal(int ndim_a, const int64_t *a, int ndim_b, const int64_t *b);
/* "[64, 3, 2, 2]" into buffer; always terminates. Returns buffer. */
const char *dcls_shape_text(char *buffer, size_t size, int ndim, const int64_t *shape);
#define DCLS_SHAPE_TEXT 192

/* -1 if name is not one. */
int dcls_dtype_from_name(const char *name);
/* True for F32, F16, BF16, F64. */
bool dcls_dtype_is_float(dcls_dtype dtype);

/* count elements of any dtype to float (round to nearest even; integers beyond 2^24 round). */
void dcls_to_float(dcls_dtype dtype, const void *from, float *to, size_t count);
float dcls_half_to_float(uint16_t half);
float dcls_bf16_to_float(uint16_t bits);
/* Round to nearest even; NaN stays NaN. */
uint16_t dcls_float_to_half(float value);
uint16_t dcls_float_to_bf16(float value);

#endif
