/* The tables of products of tiles that this machine can run. */
#ifndef AMX_UTIL_H
#define AMX_UTIL_H

#include "simd/amx.h"

#define AMX_TABLES 3

/* How many, the emulated one first; those of AVX512-BF16 multiply numbers of one part alone. */
static inline int amx_tables(int parts, const dcls_amx *tables[AMX_TABLES])
{
    int count = 0;
    tables[count++] = dcls_amx_emulated();
    if (dcls_amx_get() != NULL) tables[count++] = dcls_amx_get();
    if (parts == 1 && dcls_amx_get_bf16() != dcls_amx_get()) tables[count++] = dcls_amx_get_bf16();
    return count;
}

/* Whether it computes the same bits as the emulated one. */
static inline bool amx_is_exact(const dcls_amx *amx)
{
    return amx == dcls_amx_emulated() || amx == dcls_amx_get();
}

#endif
