#include "simd/bf16.h"

#include "simd/tables.h"

const dcls_bf16 *dcls_bf16_get(dcls_cpu_level level, bool native)
{
    switch (level) {
#if defined(__x86_64__)
    case DCLS_CPU_AMX:
    case DCLS_CPU_AVX512: return native ? &dcls_bf16_native : &dcls_bf16_avx512;
    case DCLS_CPU_AVX2: return &dcls_bf16_avx2;
#endif
    default: (void)native; return &dcls_bf16_scalar;
    }
}
