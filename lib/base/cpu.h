/* What this processor can do. */
#ifndef DCLS_BASE_CPU_H
#define DCLS_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Instruction-set levels the vector kernels are compiled for, in rising order. */
typedef enum dcls_cpu_level { DCLS_CPU_SCALAR, DCLS_CPU_AVX2, DCLS_CPU_AVX512, DCLS_CPU_AMX } dcls_cpu_level;

/* The highest level both the processor and the operating system support, cut down to the environment variable
 * DCLS_CPU (scalar, avx2, avx512, amx) if it is set to one of these. avx2 includes FMA and F16C; avx512
 * includes F, BW, DQ, VL; amx is avx512 with AVX512_BF16, AMX-TILE and AMX-BF16, which on Linux the
 * process asks for here: alternate signal stacks must be larger from then on (MINSIGSTKSZ no longer does). */
dcls_cpu_level dcls_cpu_detect(void);
/* Whether VDPBF16PS can be used at that level. */
bool dcls_cpu_has_bf16(dcls_cpu_level level);
/* And whether it multiplies more numbers a second than float instructions do. */
bool dcls_cpu_has_fast_bf16(dcls_cpu_level level);
/* Bytes of a processor's second-level cache. */
size_t dcls_cpu_cache_bytes(void);
const char *dcls_cpu_name(dcls_cpu_level level);

#endif
