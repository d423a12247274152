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
/* How many of the wanted threads, the calling one included, can run: at least 1, fewer than wanted where the
 * system refuses to start more. (OpenMP ends the process when it cannot start a thread.) */
int dcls_threads_startable(int wanted);

/* Calls body(arg, item, worker) for item = 0..count-1 on up to `threads` workers; worker is less than both
 * threads and count. Items go to workers in no fixed order, so what an item computes must depend on the item
 * alone. With threads 1 it is a plain loop. Returns when all are done. Calls with the same number of threads
 * run on the same ones, whatever count is: only the first starts any. */
typedef void dcls_task_fn(void *arg, int64_t item, int worker);
void dcls_parallel_for(int threads, int64_t count, dcls_task_fn *body, void *arg);

#endif
