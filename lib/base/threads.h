/* How many threads to use, and one way to split work. */
#ifndef DCLS_BASE_THREADS_H
#define DCLS_BASE_THREADS_H

#include "base/context.h"

/* Processors this process may use: affinity mask, cut down to the cgroup CPU quota rounded down; at least 1.
 */
int dcls_threads_available(void);
/* Whole processors the cgroup quota (version 1 or 2) of this process allows, at least 1; INT_MAX without a
 * quota. Files are looked up under root: "" on a running system. */
int dcls_cgroup_cpus(const char *root);

/* Calls body(arg, item, worker) for item = 0..count-1 on up to `threads` workers; worker is less than both
 * threads and count. They are fewer where the system is busy or refuses to start threads. Items go to workers
 * in no fixed order, so what an item computes must depend on the item alone. With threads 1 it is a plain
 * loop. Returns when all are done. May be called from several threads at once, and from a body. Threads are
 * kept for later calls: only the first that needs as many starts any. */
typedef void dcls_task_fn(void *arg, int64_t item, int worker);
void dcls_parallel_for(int threads, int64_t count, dcls_task_fn *body, void *arg);

/* Floats, whole cache lines of them, to leave between what each of several threads works in: processors fetch
 * ahead along the strides they see, beyond the end of one thread's memory, and would take lines away from the
 * next one, over and over. 256 KiB, and less for many threads. */
static inline size_t dcls_floats_apart(int64_t threads)
{
    const size_t most = (size_t)64 << 10, all = (size_t)1 << 20;
    const size_t share = threads > 0 ? all / (size_t)threads / 16 * 16 : most;
    return share < most ? share : most;
}

#endif
