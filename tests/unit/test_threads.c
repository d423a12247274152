/* The number of threads, quotas of control groups, and the parallel loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/threads.h"
#include "simd/amx.h"

static char root[256];

static int make_root(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(root, sizeof root, "%s/dcls-test-XXXXXX", base != NULL ? base : "/tmp");
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

/* A file under root, its directories made on the way. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void no_group_no_quota(void **state)
{
    (void)state;
    assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
    put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
}

static void version_2_quota(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "350000 100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 3);
    put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n"); /* a parent that is stricter */
    assert_int_equal(dcls_cgroup_cpus(root), 2);
    put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 3);
    put("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n"); /* half a processor */
    assert_int_equal(dcls_cgroup_cpus(root), 1);
}

static void group_not_visible_in_a_container(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/../outer/group\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 4);
}

static void version_1_quota(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "7:memory:/m\n4:cpu,cpuacct:/docker/x\n2:cpuset:/c\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 2);
    put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "600000\n"); /* mounted as "cpu", the group itself hidden */
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 6);
    put("/sys/fs/cgroup/cpuset/c/cpu.cfs_quota_us", "100000\n"); /* another controller */
    put("/sys/fs/cgroup/cpuset/c/cpu.cfs_period_us", "100000\n");
    assert_int_equal(dcls_cgroup_cpus(root), 6);
}

static void odd_contents_are_no_quota(void **state)
{
    (void)state;
    static const char *const rows[] = {"",
                                       "\n",
                                       "max",
                                       "1",
                                       "x y\n",
                                       "-5 100000\n",
                                       "100000 0\n",
                                       "0 100000\n",
                                       "99999999999999999999 1\n",
                                       "9223372036854775807 1\n"};
    put("/proc/self/cgroup", "\nnonsense\n1:\n0::/\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put("/sys/fs/cgroup/cpu.max", rows[i]);
        assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
    }
    char *line = malloc(10001);
    assert_non_null(line);
    memset(line, 'g', 10000);
    memcpy(line, "0::/", 4);
    line[10000] = '\0';
    put("/proc/self/cgroup", line);
    free(line);
    assert_int_equal(dcls_cgroup_cpus(root), INT_MAX);
}

static void affinity_counts(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_in_range(dcls_threads_available(), 1, CPU_COUNT(&before));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int available = dcls_threads_available();
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(available, 1);
}

struct seen {
    int workers;
    int count[1000];
    bool wrong_worker;
};

static void see(void *arg, int64_t item, int worker)
{
    struct seen *seen = arg;
    __atomic_fetch_add(&seen->count[item], 1, __ATOMIC_RELAXED);
    if (worker < 0 || worker >= seen->workers) __atomic_store_n(&seen->wrong_worker, true, __ATOMIC_RELAXED);
}

static void every_item_runs_once(void **state)
{
    (void)state;
    for (int threads = 0; threads <= 9; threads++)
        for (int64_t count = 0; count <= 1000; count += count < 4 ? 1 : 332) {
            struct seen seen = {.workers = threads > 0 ? threads : 1};
            if (count < seen.workers) seen.workers = (int)count;
            dcls_parallel_for(threads, count, see, &seen);
            assert_false(seen.wrong_worker);
            for (int64_t i = 0; i < 1000; i++)
                assert_int_equal(seen.count[i], i < count);
        }
}

/* Numbers of this process's threads; returns how many there are. */
static size_t list_threads(long *ids, size_t room)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        if (entry->d_name[0] != '.' && count < room) ids[count++] = strtol(entry->d_name, NULL, 10);
    closedir(tasks);
    return count;
}

/* Plans alternate between steps with many and with few items; starting a thread allocates and can fail. */
static void few_items_end_no_thread(void **state)
{
    (void)state;
    long before[64], after[64];
    struct seen seen = {.workers = 5};
    dcls_parallel_for(5, 100, see, &seen);
    size_t count = list_threads(before, 64);
    dcls_parallel_for(5, 2, see, &seen);
    dcls_parallel_for(5, 1, see, &seen);
    dcls_parallel_for(5, 100, see, &seen);
    assert_int_equal(list_threads(after, 64), count);
    assert_memory_equal(before, after, count * sizeof *before);
}

/* In a child of its own: a user who may have no second thread. */
static int work_without_threads(void)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return 77;
    if (setrlimit(RLIMIT_NPROC, &(struct rlimit){1, 1}) != 0) return 77;
    struct seen seen = {.workers = 1}; /* none but the caller may turn up */
    dcls_parallel_for(8, 1000, see, &seen);
    for (int i = 0; i < 1000; i++)
        if (seen.count[i] != 1) return 1;
    return seen.wrong_worker ? 2 : 0;
}

static int in_a_child(int work(void))
{
    pid_t child = fork();
    if (child == 0) _exit(work());
    int status = 1;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void one_thread_where_the_system_refuses_more(void **state)
{
    (void)state;
    int status = in_a_child(work_without_threads);
    if (status == 77) skip();
    assert_int_equal(status, 0);
}

static int work_as_usual(void)
{
    struct seen seen = {.workers = 3};
    dcls_parallel_for(3, 1000, see, &seen);
    for (int i = 0; i < 1000; i++)
        if (seen.count[i] != 1) return 1;
    return seen.wrong_worker ? 2 : 0;
}

static void a_forked_child_can_work(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(work_as_usual(), 0);
        assert_int_equal(in_a_child(work_as_usual), 0);
    }
}

/* In a child, whose threads end with it. */
static int work_with_many(void)
{
    for (int64_t count = 99; count <= 1000; count += 901) {
        struct seen seen = {.workers = 99};
        dcls_parallel_for(99, count, see, &seen);
        for (int64_t i = 0; i < 1000; i++)
            if (seen.count[i] != (i < count)) return 1;
        if (seen.wrong_worker) return 2;
    }
    return 0;
}

static void more_workers_than_shares(void **state)
{
    (void)state;
    assert_int_equal(in_a_child(work_with_many), 0);
}

typedef struct signals {
    atomic_int helpers, wrong;
} signals;

static void look_at_signals(void *arg, int64_t item, int worker)
{
    (void)item;
    signals *seen = arg;
    sigset_t mask;
    const struct timespec moment = {.tv_nsec = 1000000};
    nanosleep(&moment, NULL);
    if (worker == 0) return;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    atomic_fetch_add(&seen->helpers, 1);
    if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGINT) || sigismember(&mask, SIGSEGV) ||
        sigismember(&mask, SIGPROF))
        atomic_fetch_add(&seen->wrong, 1);
}

/* Handlers of the program run on its own threads, those of faults on the thread that has one. */
static void helpers_keep_off_signals(void **state)
{
    (void)state;
    signals seen = {0};
    for (int i = 0; i < 100 && atomic_load(&seen.helpers) == 0; i++)
        dcls_parallel_for(4, 16, look_at_signals, &seen);
    assert_true(atomic_load(&seen.helpers) > 0);
    assert_int_equal(atomic_load(&seen.wrong), 0);
}

static void loop_in_a_loop(void *arg, int64_t item, int worker)
{
    (void)item, (void)worker;
    if (work_as_usual() != 0) __atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
}

static void *many_loops(void *arg)
{
    bool failed = false;
    for (int i = 0; i < 200; i++) {
        dcls_parallel_for(3, 5, loop_in_a_loop, &failed);
        if (i % 50 == 0) usleep(2000); /* helpers go to sleep */
    }
    if (failed) __atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
    return NULL;
}

static void loops_in_loops_and_side_by_side(void **state)
{
    (void)state;
    pthread_t threads[4];
    bool failed = false;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_loops, &failed), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_false(failed);
}

static void cpu_level_can_be_lowered(void **state)
{
    (void)state;
    unsetenv("DCLS_CPU");
    dcls_cpu_level best = dcls_cpu_detect();
    for (int level = DCLS_CPU_SCALAR; level <= DCLS_CPU_AMX; level++) {
        setenv("DCLS_CPU", dcls_cpu_name((dcls_cpu_level)level), 1);
        assert_int_equal(dcls_cpu_detect(), level < (int)best ? level : (int)best);
    }
    setenv("DCLS_CPU", "avx2", 1);
    assert_null(dcls_amx_get_bf16());
    setenv("DCLS_CPU", "avx512", 1);
    assert_null(dcls_amx_get());
    assert_true((dcls_amx_get_bf16() != NULL) == dcls_cpu_has_fast_bf16(dcls_cpu_detect()));
    setenv("DCLS_CPU", "mmx", 1);
    assert_int_equal(dcls_cpu_detect(), best);
    unsetenv("DCLS_CPU");
    assert_string_equal(dcls_cpu_name((dcls_cpu_level)9), "unknown");
}

int main(void)
{
#define ROOTED(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        ROOTED(no_group_no_quota),
        ROOTED(version_2_quota),
        ROOTED(group_not_visible_in_a_container),
        ROOTED(version_1_quota),
        ROOTED(odd_contents_are_no_quota),
        cmocka_unit_test(affinity_counts),
        cmocka_unit_test(every_item_runs_once),
        cmocka_unit_test(few_items_end_no_thread),
        cmocka_unit_test(one_thread_where_the_system_refuses_more),
        cmocka_unit_test(a_forked_child_can_work),
        cmocka_unit_test(more_workers_than_shares),
        cmocka_unit_test(helpers_keep_off_signals),
        cmocka_unit_test(loops_in_loops_and_side_by_side),
        cmocka_unit_test(cpu_level_can_be_lowered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
