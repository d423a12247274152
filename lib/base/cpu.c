/* What this processor can do. */
#include "base/cpu.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the system does not say how large caches are. */
#define USUAL_CACHE ((size_t)512 << 10)

static const char *const level_names[] = {"scalar", "avx2", "avx512", "amx"};

const char *dcls_cpu_name(dcls_cpu_level level)
{
    return (unsigned)level <= DCLS_CPU_AMX ? level_names[level] : "unknown";
}

#ifdef __x86_64__

#include <cpuid.h>
#include <sys/syscall.h>

/* Bits of CPUID leaves 1 and 7 and of XCR0, named as in the processor manuals. */
#define LEAF1_ECX_AVX2   (bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C)
#define LEAF7_EBX_AVX512 (bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL)
#define LEAF7_EDX_AMX    (1u << 22 | 1u << 24) /* AMX-BF16, AMX-TILE */
#define XCR0_AVX         0x06u                 /* SSE and AVX registers */
#define XCR0_AMX         0x60000u              /* tiles and their configuration */
#define XCR0_AVX512      0xe6u /* these, mask registers and both halves of the ZMM registers */

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has_all(uint64_t bits, uint64_t wanted)
{
    return (bits & wanted) == wanted;
}

/* Linux gives the tile registers, which are large, to processes that ask. */
static bool may_use_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    const long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

/* The operating system must save the registers too (XCR0), not only the processor have the instructions. */
static dcls_cpu_level hardware_level(dcls_cpu_level most)
{
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, LEAF1_ECX_AVX2)) return DCLS_CPU_SCALAR;
    uint64_t xcr0 = read_xcr0();
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return DCLS_CPU_SCALAR;
    if (!has_all(ebx, bit_AVX2) || !has_all(xcr0, XCR0_AVX)) return DCLS_CPU_SCALAR;
    if (!has_all(ebx, LEAF7_EBX_AVX512) || !has_all(xcr0, XCR0_AVX512)) return DCLS_CPU_AVX2;
    return most == DCLS_CPU_AMX && has_all(edx, LEAF7_EDX_AMX) && has_all(xcr0, XCR0_AMX) &&
                   dcls_cpu_has_bf16(DCLS_CPU_AVX512) && may_use_tiles()
               ? DCLS_CPU_AMX
               : DCLS_CPU_AVX512;
}

bool dcls_cpu_has_bf16(dcls_cpu_level level)
{
    unsigned eax, ebx, ecx, edx;
    return level >= DCLS_CPU_AVX512 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) &&
           has_all(eax, 1u << 5); /* AVX512_BF16 */
}

/* Zen 4 and 5 start as many as float multiply-adds, or nearly; Granite Rapids starts a quarter as many. */
bool dcls_cpu_has_fast_bf16(dcls_cpu_level level)
{
    unsigned eax, ebx, ecx, edx;
    if (!dcls_cpu_has_bf16(level) || !__get_cpuid(0, &eax, &ebx, &ecx, &edx)) return false;
    return ebx == signature_AMD_ebx && ecx == signature_AMD_ecx && edx == signature_AMD_edx;
}

#else

static dcls_cpu_level hardware_level(dcls_cpu_level most)
{
    (void)most;
    return DCLS_CPU_SCALAR;
}

bool dcls_cpu_has_bf16(dcls_cpu_level level)
{
    (void)level;
    return false;
}

bool dcls_cpu_has_fast_bf16(dcls_cpu_level level)
{
    (void)level;
    return false;
}

#endif

size_t dcls_cpu_cache_bytes(void)
{
    long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes > 0 ? (size_t)bytes : USUAL_CACHE;
}

dcls_cpu_level dcls_cpu_detect(void)
{
    const char *wanted = getenv("DCLS_CPU");
    int most = DCLS_CPU_AMX;
    for (int i = 0; wanted != NULL && i < DCLS_CPU_AMX; i++)
        if (strcmp(wanted, level_names[i]) == 0) most = i;
    const dcls_cpu_level level = hardware_level((dcls_cpu_level)most);
    return (int)level < most ? level : (dcls_cpu_level)most;
}
