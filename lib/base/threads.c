/* Threads through OpenMP: this is the one file that knows about it. */
#include "base/threads.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#ifdef _OPENMP
#include <omp.h>
#endif

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

#ifdef _OPENMP

/* Starting threads for a try: each waits until all are there. */
struct probe {
    pthread_mutex_t lock;
};

static void *wait_for_probe(void *arg)
{
    struct probe *probe = arg;
    pthread_mutex_lock(&probe->lock);
    pthread_mutex_unlock(&probe->lock);
    return NULL;
}

int dcls_threads_startable(int wanted)
{
    if (wanted <= 1) return 1;
    struct probe probe = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t *threads = malloc((size_t)wanted * sizeof *threads);
    if (threads == NULL) return 1;

    int started = 0;
    pthread_mutex_lock(&probe.lock);
    while (started < wanted - 1 && pthread_create(&threads[started], NULL, wait_for_probe, &probe) == 0)
        started++;
    pthread_mutex_unlock(&probe.lock);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    return started + 1;
}

/* libgomp ends the threads a smaller team has no use for and starts new ones for the next larger team. So the
 * team always has all threads; those beyond the number of items find nothing to do. */
void dcls_parallel_for(int threads, int64_t count, dcls_task_fn *body, void *arg)
{
    if (threads <= 1 || count <= 1) {
        for (int64_t item = 0; item < count; item++)
            body(arg, item, 0);
        return;
    }
    int64_t next = 0;
#pragma omp parallel num_threads(threads)
    {
        int worker = omp_get_thread_num();
        int64_t item = worker < count ? __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) : count;
        for (; item < count; item = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED))
            body(arg, item, worker);
    }
}

#else

int dcls_threads_startable(int wanted)
{
    (void)wanted;
    return 1;
}

void dcls_parallel_for(int threads, int64_t count, dcls_task_fn *body, void *arg)
{
    (void)threads;
    for (int64_t item = 0; item < count; item++)
        body(arg, item, 0);
}

#endif
