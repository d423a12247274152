#include "simd/simd.h"

#include "simd/tables.h"

const dcls_simd *dcls_simd_get(dcls_cpu_level level)
{
    if (level >= DCLS_CPU_AVX512 && dcls_simd_avx512) return dcls_simd_avx512;
    if (level >= DCLS_CPU_AVX2 && dcls_simd_avx2) return dcls_simd_avx2;
    return dcls_simd_scalar;
}
