/* How long things take. */
#ifndef DCLS_BASE_CLOCK_H
#define DCLS_BASE_CLOCK_H

#include <time.h>

/* Seconds since some moment, which never go back. */
static inline double dcls_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#endif
