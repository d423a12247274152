#include "simd/simd.h"

#include "simd/tables.h"

const dcls_simd *dcls_simd_get(dcls_cpu_level level)
{
    switch (level) {
#if defined(__x86_64__)
    case DCLS_CPU_AMX:
    case DCLS_CPU_AVX512: return &dcls_simd_avx512;
    case DCLS_CPU_AVX2: return &dcls_simd_avx2;
#endif
    default: return &dcls_simd_scalar;
    }
}
