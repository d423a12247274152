/* The folder of a run. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "output.h"
#include "train.h"

/* All that a run writes, what it can do without first. */
static const char *const names[] = {"model.bin",      "best.bin",    "positions.npy",
                                    "checkpoint.bin", "recipe.json", "log.ndjson"};

#define NAMES (sizeof names / sizeof *names)

char *train_path(const train_run *t, const char *name)
{
    return cli_format("%s/%s", t->folder, name);
}

/* A file with something in it. */
char *train_last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return cli_copy(slash != NULL && slash[1] != '\0' ? slash + 1 : path);
}

bool train_has(const train_run *t, const char *name)
{
    struct stat st;
    char *path = train_path(t, name);
    const bool there = stat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_size > 0);
    free(path);
    return there;
}

int train_folder_check(const train_run *t)
{
    /* A recipe without a log may be one that somebody wrote. */
    const bool held = train_has(t, "model.bin") || train_has(t, "best.bin") ||
                      train_has(t, "checkpoint.bin") ||
                      (train_has(t, "recipe.json") && !train_has(t, "log.ndjson"));
    if (!held || t->options->force) return CLI_OK;
    if (train_has(t, "model.bin"))
        cli_error(t->folder, "holds a finished run: --force trains anew in its place");
    else
        cli_error(t->folder, "holds a run: 'dcls train --resume %s' goes on with it, --force begins anew",
                  t->folder);
    return CLI_USAGE;
}

/* The log is cut, so that a link in a folder from elsewhere must not lead to another file. */
static FILE *open_own(const char *path)
{
    struct stat st;
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    const bool regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    FILE *log = regular ? fdopen(fd, "a") : NULL;
    if (log != NULL) return log;
    if (errno == ELOOP || errno == ENXIO || (fd >= 0 && !regular))
        cli_error(path, "cannot write: it is no regular file");
    else
        cli_error(path, "cannot write: %s", strerror(errno));
    if (fd >= 0) close(fd);
    return NULL;
}

/* The lock goes with the process, however it ends. */
static int open_log(train_run *t)
{
    char *path = train_path(t, "log.ndjson");
    int status = CLI_OK;
    t->log = open_own(path);
    if (t->log == NULL) {
        status = CLI_IO;
    } else if (flock(fileno(t->log), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        cli_error(t->folder, "another process is training here");
        status = CLI_USAGE;
    }
    free(path);
    return status;
}

/* What --force replaces, or a run left that failed before its first checkpoint. */
static int remove_old(train_run *t)
{
    for (size_t i = 0; i + 1 < NAMES; i++) {
        char *path = train_path(t, names[i]);
        const bool gone = unlink(path) == 0 || errno == ENOENT;
        if (!gone) cli_error(path, "cannot remove: %s", strerror(errno));
        free(path);
        if (!gone) return CLI_IO;
    }
    if (ftruncate(fileno(t->log), 0) == 0) return CLI_OK;
    cli_error(t->folder, "cannot empty log.ndjson: %s", strerror(errno));
    return CLI_IO;
}

int train_folder_open(train_run *t, bool resumed)
{
    if (resumed && !train_has(t, "recipe.json")) {
        cli_error(t->folder, "holds no run to go on with: there is no recipe.json");
        return CLI_IO;
    }
    int status = resumed ? CLI_OK : cli_make_directory(t->folder);
    if (status == CLI_OK) status = open_log(t);
    if (status != CLI_OK || resumed) return status;
    status = train_folder_check(t); /* again: now nobody else writes here */
    return status == CLI_OK ? remove_old(t) : status;
}

int train_folder_write_recipe(const train_run *t)
{
    char *text, *path = train_path(t, "recipe.json");
    int result = train_recipe_text(t, &text);
    if (result == CLI_OK) {
        const dcls_status status = dcls_file_save(t->run->ctx, path, text, strlen(text));
        if (status != DCLS_OK) result = cli_fail(path, status, t->run->ctx);
        free(text);
    }
    free(path);
    return result;
}
