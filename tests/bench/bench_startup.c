/* Wall time and peak memory of whole processes, several commands in turn: bench_startup RUNS COMMAND.. where
 * each COMMAND is one string, split at spaces. Prints the median and the smallest time and the largest memory
 * of each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_RUNS 1000

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* One run; false if it did not exit with 0. */
static int run_once(const char *command, double *ms, long *kib)
{
    char words[4096], *argv[64];
    int argc = 0, status;
    struct rusage usage;
    snprintf(words, sizeof words, "%s", command);
    for (char *word = strtok(words, " "); word && argc < 63; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    double start = now_ms();
    pid_t child = vfork(); /* so that the time does not depend on this process's size */
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    wait4(child, &status, 0, &usage);
    *ms = now_ms() - start;
    *kib = usage.ru_maxrss;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static double times[16][MOST_RUNS];
    long most[16] = {0};
    int runs = argc > 2 ? atoi(argv[1]) : 0, commands = argc - 2;
    if (runs < 1 || runs > MOST_RUNS || commands > 16)
        return fprintf(stderr, "usage: bench_startup RUNS COMMAND..\n"), 2;
    for (int r = -1; r < runs; r++) { /* -1: warm-up */
        for (int c = 0; c < commands; c++) {
            double ms;
            long kib;
            if (!run_once(argv[c + 2], &ms, &kib)) return fprintf(stderr, "%s: failed\n", argv[c + 2]), 1;
            if (r >= 0) times[c][r] = ms;
            if (kib > most[c]) most[c] = kib;
        }
    }
    printf("%9s %9s %10s  command\n", "median ms", "least ms", "peak MiB");
    for (int c = 0; c < commands; c++) {
        qsort(times[c], (size_t)runs, sizeof times[c][0], by_value);
        printf("%9.2f %9.2f %10.1f  %s\n", times[c][runs / 2], times[c][0], (double)most[c] / 1024,
               argv[c + 2]);
    }
    return 0;
}
