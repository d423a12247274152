/* A vector of VEC_WIDTH floats, for vec_template.inc. The including file chooses the instruction set:
 * VEC_AVX512, VEC_AVX2, or neither for four floats that the compiler maps onto what the baseline has (SSE2,
 * NEON, plain scalars). Arithmetic and comparisons are the operators of the compiler's vector extension; a
 * comparison gives a veci of 0 and -1. */
#ifndef DCLS_SIMD_VEC_H
#define DCLS_SIMD_VEC_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(VEC_AVX512) || defined(VEC_AVX2)
#include <immintrin.h>
#endif

#define VEC_INLINE static inline __attribute__((always_inline, unused))

#if defined(__clang__)
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(VEC_AVX512)
#define VEC_WIDTH     16
#define VEC_REGISTERS 32
#define VEC_EVEN      0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31
typedef __m512 vec;
#elif defined(VEC_AVX2)
#define VEC_WIDTH     8
#define VEC_REGISTERS 16
#define VEC_EVEN      0, 2, 4, 6, 9, 11, 13, 15
typedef __m256 vec;
#else
#define VEC_WIDTH     4
#define VEC_REGISTERS 16
#define VEC_EVEN      0, 2, 5, 7
typedef float vec __attribute__((vector_size(16)));
#endif

/* The compiler may not repeat the load that v came from, as gcc likes to do where an instruction takes a
 * memory operand. */
#if (defined(VEC_AVX512) || defined(VEC_AVX2)) && !defined(__clang_analyzer__)
#define VEC_LOADED(v) __asm__("" : "+v"(v))
#else
#define VEC_LOADED(v) ((void)0)
#endif
/* Nor keep what it knows about the value of pointer p, such as sums it could prepare for several branches at
 * once. */
#define VEC_FORGET(p) __asm__("" : "+r"(p))

/* Known at compile time to be a whole vector: spares the mask. */
#define VEC_IS_WHOLE(n) (__builtin_constant_p(n) && (n) == VEC_WIDTH)

typedef int32_t veci __attribute__((vector_size(4 * VEC_WIDTH)));
typedef uint32_t vecu __attribute__((vector_size(4 * VEC_WIDTH)));

/* vec_load_n, vec_store_n: the first n lanes (0 <= n <= VEC_WIDTH), zeros behind; memory behind them is not
 * touched. */

#if defined(VEC_AVX512)

VEC_INLINE vec vec_set1(float x)
{
    return _mm512_set1_ps(x);
}

VEC_INLINE vec vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VEC_INLINE void vec_store(float *p, vec v)
{
    _mm512_storeu_ps(p, v);
}

VEC_INLINE vec vec_load_n(const float *p, int n)
{
    if (VEC_IS_WHOLE(n)) return vec_load(p);
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

VEC_INLINE void vec_store_n(float *p, vec v, int n)
{
    if (VEC_IS_WHOLE(n))
        vec_store(p, v);
    else
        _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), v);
}

VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* a * b - round(a * b) */
VEC_INLINE vec vec_mul_error(vec a, vec b, vec product)
{
    return _mm512_fmsub_ps(a, b, product);
}

/* The larger and the smaller; b where either is NaN. */
VEC_INLINE vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

VEC_INLINE vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

VEC_INLINE vec vec_sqrt(vec v)
{
    return _mm512_sqrt_ps(v);
}

VEC_INLINE vec vec_ldexp(vec v, vec n)
{
    return _mm512_scalef_ps(v, n);
}

#elif defined(VEC_AVX2)

VEC_INLINE vec vec_set1(float x)
{
    return _mm256_set1_ps(x);
}

VEC_INLINE vec vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VEC_INLINE void vec_store(float *p, vec v)
{
    _mm256_storeu_ps(p, v);
}

VEC_INLINE __m256i vec_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VEC_INLINE vec vec_load_n(const float *p, int n)
{
    if (VEC_IS_WHOLE(n)) return vec_load(p);
    return _mm256_maskload_ps(p, vec_lanes(n));
}

/* In parts: a masked store takes 42 operations on AMD processors up to Zen 3 (uops.info), and what it wrote
 * cannot be loaded before it is in the cache. */
VEC_INLINE void vec_store_n(float *p, vec v, int n)
{
    if (VEC_IS_WHOLE(n) || n >= VEC_WIDTH) {
        vec_store(p, v);
        return;
    }
    __m128 part = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, part);
        part = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, part);
        part = _mm_movehl_ps(part, part);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, part);
}

VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VEC_INLINE vec vec_mul_error(vec a, vec b, vec product)
{
    return _mm256_fmsub_ps(a, b, product);
}

VEC_INLINE vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

VEC_INLINE vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

VEC_INLINE vec vec_sqrt(vec v)
{
    return _mm256_sqrt_ps(v);
}

#else

VEC_INLINE vec vec_set1(float x)
{
    return (vec){x, x, x, x};
}

VEC_INLINE vec vec_load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

VEC_INLINE void vec_store(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

VEC_INLINE vec vec_load_n(const float *p, int n)
{
    if (n == VEC_WIDTH) return vec_load(p);
    return (vec){n > 0 ? p[0] : 0.0f, n > 1 ? p[1] : 0.0f, n > 2 ? p[2] : 0.0f, 0.0f};
}

VEC_INLINE void vec_store_n(float *p, vec v, int n)
{
    if (n == VEC_WIDTH) {
        vec_store(p, v);
        return;
    }
    if (n > 0) p[0] = v[0];
    if (n > 1) p[1] = v[1];
    if (n > 2) p[2] = v[2];
}

VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
    return a * b + c;
}

/* Dekker's product: halves of 12 bits multiply exactly. Assumes |a|, |b| far from overflow. */
VEC_INLINE vec vec_mul_error(vec a, vec b, vec product)
{
    const veci upper = (veci)(vecu){0xfffff000u, 0xfffff000u, 0xfffff000u, 0xfffff000u};
    vec a1 = (vec)((veci)a & upper), a2 = a - a1;
    vec b1 = (vec)((veci)b & upper), b2 = b - b1;
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
}

VEC_INLINE vec vec_max(vec a, vec b)
{
    veci larger = a > b;
    return (vec)(((veci)a & larger) | ((veci)b & ~larger));
}

VEC_INLINE vec vec_min(vec a, vec b)
{
    veci smaller = a < b;
    return (vec)(((veci)a & smaller) | ((veci)b & ~smaller));
}

VEC_INLINE vec vec_sqrt(vec v)
{
    for (int i = 0; i < VEC_WIDTH; i++)
        v[i] = sqrtf(v[i]);
    return v;
}

#endif

#if !defined(VEC_AVX512)
/* v 2^n, rounded once; n whole, |n| <= 252. Two factors reach beyond the normal range. */
VEC_INLINE vec vec_ldexp(vec v, vec n)
{
    vecu power =
        (vecu)(n + vec_set1(0x1.8p23f)); /* n in the low bits; what stands above leaves by the shifts */
    vecu half = (vecu)((veci)power >> 1);
    vecu one = (vecu)vec_set1(1.0f);
    return v * (vec)((half << 23) + one) * (vec)(((power - half) << 23) + one);
}
#endif

/* The same where v and the result are normal numbers. */
VEC_INLINE vec vec_ldexp_normal(vec v, vec n)
{
#if defined(VEC_AVX512)
    return vec_ldexp(v, n);
#else
    return (vec)((vecu)v + ((vecu)(n + vec_set1(0x1.8p23f)) << 23)); /* n in the low bits */
#endif
}

VEC_INLINE vec vec_select(veci mask, vec yes, vec no)
{
#if defined(VEC_AVX2)
    return _mm256_blendv_ps(no, yes, (vec)mask);
#else
    return (vec)(((veci)yes & mask) | ((veci)no & ~mask));
#endif
}

VEC_INLINE vec vec_abs(vec v)
{
    return (vec)((vecu)v & ~(vecu)vec_set1(-0.0f));
}

/* The first min(n, VEC_WIDTH) lanes, for loops that end with a part of a vector. */
VEC_INLINE vec vec_load_upto(const float *p, int64_t n)
{
    return n >= VEC_WIDTH ? vec_load(p) : vec_load_n(p, (int)n);
}

VEC_INLINE void vec_store_upto(float *p, vec v, int64_t n)
{
    if (n >= VEC_WIDTH)
        vec_store(p, v);
    else
        vec_store_n(p, v, (int)n);
}

/* p[0], p[2], .. for the first n >= 1 lanes; nothing behind p[2 * (n - 1)] is touched. The second load
 * overlaps the first by one float so that 2 * VEC_WIDTH - 1 of them suffice for a whole vector. */
VEC_INLINE vec vec_load_even(const float *p, int n)
{
    int count = 2 * n - 1;
    vec low = vec_load_n(p, count < VEC_WIDTH ? count : VEC_WIDTH);
    vec high = vec_load_n(p + VEC_WIDTH - 1, count < VEC_WIDTH ? 0 : count - (VEC_WIDTH - 1));
    return __builtin_shufflevector(low, high, VEC_EVEN);
}

/* p[0], p[step], .. for the first n lanes. */
static __attribute__((noinline, unused)) vec vec_load_step(const float *p, int64_t step, int n)
{
    float lane[VEC_WIDTH] = {0};
    for (int i = 0; i < n; i++)
        lane[i] = p[i * step];
    return vec_load(lane);
}

/* Lanes in a fixed tree: halves are added until one is left. */
VEC_INLINE float vec_reduce_add(vec v)
{
#if defined(VEC_AVX512) || defined(VEC_AVX2)
#if defined(VEC_AVX512)
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
#else
    __m256 eight = v;
#endif
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
#else
    return (v[0] + v[2]) + (v[1] + v[3]);
#endif
}

#endif
