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

const dcls_amx *dcls_amx_emulated(void)
{
    return &dcls_amx_scalar;
}
