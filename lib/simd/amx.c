#include "simd/amx.h"

#include "base/cpu.h"
#include "simd/tables.h"

const dcls_amx *dcls_amx_get(void)
{
#if defined(__x86_64__)
    if (dcls_cpu_detect() >= DCLS_CPU_AMX) return &dcls_amx_native;
#endif
    return NULL;
}

const dcls_amx *dcls_amx_get_bf16(void)
{
#if defined(__x86_64__)
    const dcls_cpu_level level = dcls_cpu_detect();
    if (level < DCLS_CPU_AMX && dcls_cpu_has_fast_bf16(level)) return &dcls_amx_vectors;
#endif
    return dcls_amx_get();
}

const dcls_amx *dcls_amx_emulated(void)
{
    return &dcls_amx_scalar;
}
