/* Eight floats whatever VEC_WIDTH is: rows of small planes fill them better than longer vectors. Included
 * after vec.h, whose conventions hold. */
#ifndef DCLS_SIMD_VEC_OCT_H
#define DCLS_SIMD_VEC_OCT_H

#include "simd/vec.h"

#define OCT_WIDTH 8

#if defined(VEC_AVX512) || defined(VEC_AVX2)

typedef __m256 oct;

VEC_INLINE oct oct_set1(float x)
{
    return _mm256_set1_ps(x);
}

VEC_INLINE oct oct_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VEC_INLINE void oct_store(float *p, oct v)
{
    _mm256_storeu_ps(p, v);
}

VEC_INLINE oct oct_fma(oct a, oct b, oct c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VEC_INLINE oct oct_add(oct a, oct b)
{
    return _mm256_add_ps(a, b);
}

/* For the templates of vec.h's vectors: where VEC_WIDTH is longer. */
#if defined(VEC_AVX512)
VEC_INLINE oct oct_load_n(const float *p, int n)
{
    return _mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1), p);
}
#endif

VEC_INLINE void oct_store_n(float *p, oct v, int n)
{
#if defined(VEC_AVX512)
    _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1), v);
#else
    vec_store_n(p, v, n);
#endif
}

#else

typedef struct oct {
    vec low, high;
} oct;

VEC_INLINE oct oct_set1(float x)
{
    return (oct){vec_set1(x), vec_set1(x)};
}

VEC_INLINE oct oct_load(const float *p)
{
    return (oct){vec_load(p), vec_load(p + VEC_WIDTH)};
}

VEC_INLINE void oct_store(float *p, oct v)
{
    vec_store(p, v.low);
    vec_store(p + VEC_WIDTH, v.high);
}

VEC_INLINE oct oct_fma(oct a, oct b, oct c)
{
    return (oct){vec_fma(a.low, b.low, c.low), vec_fma(a.high, b.high, c.high)};
}

VEC_INLINE oct oct_add(oct a, oct b)
{
    return (oct){a.low + b.low, a.high + b.high};
}

VEC_INLINE void oct_store_n(float *p, oct v, int n)
{
    vec_store_n(p, v.low, n < VEC_WIDTH ? n : VEC_WIDTH);
    if (n > VEC_WIDTH) vec_store_n(p + VEC_WIDTH, v.high, n - VEC_WIDTH);
}

#endif

#endif
