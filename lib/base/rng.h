/* Random numbers that are the same everywhere for the same seed: splitmix64 (Steele, Lea, Flood, "Fast
 * splittable pseudorandom number generators", OOPSLA 2014). */
#ifndef DCLS_BASE_RNG_H
#define DCLS_BASE_RNG_H

#include <math.h>
#include <stdint.h>

typedef struct dcls_rng {
    uint64_t state;
} dcls_rng;

static inline uint64_t dcls_rng_next(dcls_rng *rng)
{
    uint64_t z = (rng->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A generator of its own for each index under one seed, so that work can be split in any way. */
static inline dcls_rng dcls_rng_stream(uint64_t seed, uint64_t index)
{
    dcls_rng mixed = {seed};
    return (dcls_rng){dcls_rng_next(&mixed) ^ (index * 0xd1342543de82ef95u)};
}

/* In [0, 1), 53 bits. */
static inline double dcls_rng_uniform(dcls_rng *rng)
{
    return (double)(dcls_rng_next(rng) >> 11) * 0x1p-53;
}

/* Mean 0, standard deviation 1 (Box-Muller; the second number is not kept). */
static inline double dcls_rng_normal(dcls_rng *rng)
{
    const double radius = sqrt(-2 * log(1 - dcls_rng_uniform(rng)));
    return radius * cos(2 * M_PI * dcls_rng_uniform(rng));
}

#endif
