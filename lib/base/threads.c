/* How many processors there are to use. */
#include "base/threads.h"

#include <sched.h>
#include <stddef.h>

#define MAX_CPUS (1 << 20)

/* Processors in the affinity mask. The kernel refuses masks shorter than its own, whose length it does not
 * tell. */
static int affinity_cpus(void)
{
    int count = 0;
    for (int cpus = 1024; count == 0 && cpus <= MAX_CPUS; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)cpus);
        if (set == NULL) break;
        size_t size = CPU_ALLOC_SIZE((size_t)cpus);
        if (sched_getaffinity(0, size, set) == 0) count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
    }
    return count > 0 ? count : 1;
}

int dcls_threads_available(void)
{
    int cpus = affinity_cpus();
    int quota = dcls_cgroup_cpus("");
    return cpus < quota ? cpus : quota;
}
