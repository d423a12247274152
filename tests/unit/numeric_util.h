/* What the tests of vector kernels and operations share: random numbers, arrays that end where they say,
 * errors in ulp. */
#ifndef TESTS_NUMERIC_UTIL_H
#define TESTS_NUMERIC_UTIL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "simd/simd.h"

#define UTIL static inline __attribute__((unused))

static uint64_t random_state = 1;

UTIL uint32_t random_bits(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

UTIL int64_t random_int(int64_t low, int64_t high)
{
    return low + (int64_t)(random_bits() % (uint64_t)(high - low + 1));
}

/* In [-1, 1). */
UTIL float random_float(void)
{
    return (float)(random_bits() >> 8) / 8388608.0f - 1.0f;
}

/* Exactly n floats, so that a sanitizer sees any step beyond them. */
UTIL float *new_floats(int64_t n)
{
    float *x = malloc(n > 0 ? (size_t)n * sizeof *x : 1);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = random_float();
    return x;
}

UTIL float *copy_floats(const float *from, int64_t n)
{
    float *x = new_floats(n);
    if (n > 0) memcpy(x, from, (size_t)n * sizeof *x);
    return x;
}

/* |got - expected| in units of the last place of a float near expected; infinite when only one is NaN. */
UTIL double ulp_error(float got, long double expected)
{
    if (isnan(got) || isnan(expected)) return isnan(got) && isnan(expected) ? 0 : INFINITY;
    if (isinf(got)) return fabsl(expected) >= 0x1.ffffffp127L && (got > 0) == (expected > 0) ? 0 : INFINITY;
    int exponent;
    frexpl(expected, &exponent);
    long double ulp = ldexpl(1, exponent - 24 < -149 ? -149 : exponent - 24);
    return (double)(fabsl((long double)got - expected) / ulp);
}

/* got within a bound relative to `magnitude`, the size of the terms the result was summed from. */
UTIL void assert_near(double got, double expected, double magnitude, const char *what, int64_t at)
{
    if (isnan(got) && isnan(expected)) return;
    if (fabs(got - expected) <= 3e-6 * magnitude + 1e-30) return;
    fail_msg("%s: at %lld got %.9g, expected %.9g", what, (long long)at, got, expected);
}

UTIL void assert_same_bits(const float *a, const float *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0)
            fail_msg("%s: element %lld: %.9g and %.9g", what, (long long)i, (double)a[i], (double)b[i]);
}

UTIL long double reference_activation(dcls_activation activation, long double x)
{
    switch (activation) {
    case DCLS_ACT_RELU: return x < 0 ? 0 : x;
    case DCLS_ACT_GELU: return x / 2 * erfcl(-x / sqrtl(2));
    case DCLS_ACT_GELU_TANH: return x / (1 + expl(-2 * sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)));
    case DCLS_ACT_SIGMOID: return 1 / (1 + expl(-x));
    default: return x;
    }
}

/* Tests take the instruction set's table as their state. */
UTIL const dcls_simd *simd_of(void **state)
{
    return dcls_simd_get((dcls_cpu_level)(intptr_t)*state);
}

/* The highest level that has vectors of its own. */
UTIL dcls_cpu_level highest_level(void)
{
    const dcls_cpu_level level = dcls_cpu_detect();
    return level < DCLS_CPU_AVX512 ? level : DCLS_CPU_AVX512;
}

/* Runs a group of tests once per instruction set of this machine. */
UTIL int run_at_every_level(const char *name, const struct CMUnitTest *tests, size_t count)
{
    int failed = 0;
    for (int level = DCLS_CPU_SCALAR; level <= (int)highest_level(); level++) {
        struct CMUnitTest *group = calloc(count, sizeof *group);
        char(*names)[96] = calloc(count, sizeof *names);
        if (!group || !names) return 1;
        for (size_t i = 0; i < count; i++) {
            snprintf(names[i], sizeof names[i], "%s/%s", tests[i].name, dcls_cpu_name((dcls_cpu_level)level));
            group[i] = tests[i];
            group[i].name = names[i];
            group[i].initial_state = (void *)(intptr_t)level;
        }
        failed += _cmocka_run_group_tests(name, group, count, NULL, NULL);
        free(names);
        free(group);
    }
    return failed;
}

/* What an earlier step may have left: no numbers, but zeros, which could count something, where lines begin.
 */
UTIL void soil(void *workspace, size_t bytes)
{
    memset(workspace, 0xff, bytes);
    for (size_t i = 0; i + 64 <= bytes; i += 64)
        memset((char *)workspace + i, 0, 8);
}

#endif
