/*
 * The parallel loop, on threads that are kept for the next one.
 *
 * A loop hands the job to as many helpers as it wants and works on it as well. When no items are left it
 * takes the job back from helpers that have not begun, and waits for the others: a loop on a busy machine
 * never waits for a thread that the system has not found time for. (OpenMP's does: a network of many short
 * loops ran 29 times slower beside other work than with these.) Helpers look out for the next job for a
 * moment, then sleep.
 *
 * Every worker has a share of the items, neighbours, and takes from the other shares when its own is done.
 * The next loop over the same items then finds most of what the last one wrote in the cache of the same
 * processor.
 *
 * Idle helpers are kept in one list for the whole process, as OpenMP keeps its own. They are never ended; a
 * child after fork() has none and starts new ones. Where no thread can be started the caller does all the
 * work.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/threads.h"

/* How long a helper looks out for work, and a loop for the end of its helpers, before they sleep: the time
 * between two loops of one network. */
#define SPINS 1000

/* Workers beyond this number begin with the share of another. */
#define MAX_SHARES 64

typedef struct share {
    _Alignas(64) atomic_llong next; /* alone on its cache line */
    int64_t end;
} share;

typedef struct loop {
    dcls_task_fn *body;
    void *arg;
    int shares;
    share share[MAX_SHARES];
} loop;

typedef struct helper {
    _Atomic(loop *) job; /* what to do next; whoever exchanges it for NULL owns it */
    int worker;          /* its number in the present job */
    atomic_bool done;    /* with the job it took */
    atomic_bool asleep, awaited;
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    struct helper *next;
} helper;

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    helper *first;
} idle_threads = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void set_shares(loop *job, int64_t count, int threads)
{
    job->shares = threads < MAX_SHARES ? threads : MAX_SHARES;
    int64_t each = count / job->shares, longer = count % job->shares, next = 0;
    for (int i = 0; i < job->shares; i++) {
        atomic_init(&job->share[i].next, next);
        next += each + (i < longer);
        job->share[i].end = next;
    }
}

static void work_on(loop *job, int worker)
{
    for (int i = 0; i < job->shares; i++) {
        share *s = &job->share[(worker + i) % job->shares];
        for (int64_t item; (item = atomic_fetch_add(&s->next, 1)) < s->end;)
            job->body(job->arg, item, worker);
    }
}

/* ---- the helper's side ---- */

static loop *take_job(helper *self)
{
    return atomic_load(&self->job) != NULL ? atomic_exchange(&self->job, NULL) : NULL;
}

static loop *wait_for_job(helper *self)
{
    loop *found;
    for (int spin = 0; spin < SPINS; spin++) {
        if ((found = take_job(self)) != NULL) return found;
        pause_briefly();
    }
    pthread_mutex_lock(&self->lock);
    atomic_store(&self->asleep, true);
    while ((found = take_job(self)) == NULL)
        pthread_cond_wait(&self->wake, &self->lock);
    atomic_store(&self->asleep, false);
    pthread_mutex_unlock(&self->lock);
    return found;
}

static void *help(void *arg)
{
    helper *self = arg;
    for (;;) {
        loop *job = wait_for_job(self);
        work_on(job, self->worker);
        /* The job may be gone from here on. */
        atomic_store(&self->done, true);
        if (!atomic_load(&self->awaited)) continue;
        pthread_mutex_lock(&self->lock);
        pthread_cond_signal(&self->finished);
        pthread_mutex_unlock(&self->lock);
    }
    return NULL;
}

/* ---- the loop's side ---- */

static void forget_helpers(void)
{
    pthread_mutex_init(&idle_threads.lock, NULL);
    for (helper *next; idle_threads.first != NULL; idle_threads.first = next) {
        next = idle_threads.first->next;
        free(idle_threads.first);
    }
}

static void prepare_for_fork(void)
{
    pthread_atfork(NULL, NULL, forget_helpers);
}

/* The program's handlers are for its own threads, but for faults, whose thread they concern, and profilers.
 */
static void keep_off_signals(sigset_t *old)
{
    static const int of_threads[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof of_threads / sizeof *of_threads; i++)
        sigdelset(&blocked, of_threads[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, old);
}

static helper *start_helper(void)
{
    helper *made = calloc(1, sizeof *made);
    pthread_t thread;
    pthread_attr_t attributes;
    if (made == NULL) return NULL;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->wake, NULL);
    pthread_cond_init(&made->finished, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t old;
    keep_off_signals(&old);
    int error = pthread_create(&thread, &attributes, help, made);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0) return made;
    free(made);
    return NULL;
}

/* Up to `wanted` helpers out of the list, in its order, for each to have the same share as last time; then
 * new ones. */
static helper *gather(int wanted)
{
    helper *crew, **end = &crew;
    pthread_once(&idle_threads.once, prepare_for_fork);
    pthread_mutex_lock(&idle_threads.lock);
    crew = idle_threads.first;
    for (; wanted > 0 && *end != NULL; wanted--)
        end = &(*end)->next;
    idle_threads.first = *end;
    pthread_mutex_unlock(&idle_threads.lock);
    for (; wanted > 0 && (*end = start_helper()) != NULL; wanted--)
        end = &(*end)->next;
    *end = NULL;
    return crew;
}

static void hand_out(helper *to, loop *job, int worker)
{
    to->worker = worker;
    atomic_store(&to->done, false);
    atomic_store(&to->job, job);
    if (!atomic_load(&to->asleep)) return;
    pthread_mutex_lock(&to->lock);
    pthread_cond_signal(&to->wake);
    pthread_mutex_unlock(&to->lock);
}

/* Returns once the helper neither works on the job nor will. */
static void call_back(helper *from)
{
    if (atomic_exchange(&from->job, NULL) != NULL) return; /* had not begun */
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load(&from->done)) return;
        pause_briefly();
    }
    pthread_mutex_lock(&from->lock);
    atomic_store(&from->awaited, true);
    while (!atomic_load(&from->done))
        pthread_cond_wait(&from->finished, &from->lock);
    atomic_store(&from->awaited, false);
    pthread_mutex_unlock(&from->lock);
}

static void dismiss(helper *crew)
{
    helper *last = NULL;
    for (helper *one = crew; one != NULL; one = one->next) {
        call_back(one);
        last = one;
    }
    if (last == NULL) return;
    pthread_mutex_lock(&idle_threads.lock);
    last->next = idle_threads.first;
    idle_threads.first = crew;
    pthread_mutex_unlock(&idle_threads.lock);
}

void dcls_parallel_for(int threads, int64_t count, dcls_task_fn *body, void *arg)
{
    if (threads > count) threads = (int)count;
    if (threads <= 1) {
        for (int64_t item = 0; item < count; item++)
            body(arg, item, 0);
        return;
    }
    loop job;
    job.body = body;
    job.arg = arg;
    set_shares(&job, count, threads);
    helper *crew = gather(threads - 1);
    int worker = 0;
    for (helper *one = crew; one != NULL; one = one->next)
        hand_out(one, &job, ++worker);
    work_on(&job, 0);
    dismiss(crew);
}
