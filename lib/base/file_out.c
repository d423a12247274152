/* Files that appear whole or not at all.
 *
 * The bytes go to a file without a name (O_TMPFILE) where the filesystem has that, so that even a killed
 * process leaves nothing behind, else to a temporary name beside the target. After fsync the file is linked
 * or renamed into place. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define BUFFER_SIZE ((size_t)64 << 10)
#define MAX_LINKS   40 /* symbolic links in a row, as the kernel counts */
#define MAX_TRIES   100

struct dcls_output {
    int fd;
    int error;           /* errno of the first failure, 0 while all is well */
    bool direct;         /* bytes go straight to a pipe or device */
    bool replaces;       /* the target existed */
    char *target;        /* where the file is to appear, symbolic links followed */
    char temp[PATH_MAX]; /* name the bytes have until then; "" while they have none */
    uint64_t written;
    size_t buffered;
    unsigned char buffer[BUFFER_SIZE];
};

/* ---- names ---- */

/* Length of the directory part of path, its slash included; 0 for a bare name. */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* Follows path while it is a symbolic link; the last name need not exist. NULL with errno set on failure. */
static char *follow_links(const char *path)
{
    char *name = strdup(path);
    for (int hops = 0; name != NULL; hops++) {
        char link[PATH_MAX];
        ssize_t length = readlink(name, link, sizeof link - 1);
        if (length < 0) return name;
        link[length] = '\0';
        size_t dir = link[0] == '/' ? 0 : directory_length(name);
        char *next = hops < MAX_LINKS ? malloc(dir + (size_t)length + 1) : NULL;
        if (next != NULL) {
            memcpy(next, name, dir);
            memcpy(next + dir, link, (size_t)length + 1);
        } else if (hops >= MAX_LINKS) {
            errno = ELOOP;
        }
        free(name);
        name = next;
    }
    return NULL;
}

/* "DIR/" + suffix into buffer; false when it is too long. */
static bool beside_target(const dcls_output *output, const char *suffix, char *buffer, size_t size)
{
    int dir = (int)directory_length(output->target);
    int length = snprintf(buffer, size, "%.*s%s", dir, output->target, suffix);
    return length >= 0 && (size_t)length < size;
}

/* A new name for output->temp, unlikely to exist. */
static bool choose_temp(dcls_output *output)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        random = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid();
    }
    char name[40];
    snprintf(name, sizeof name, ".dcls-%016" PRIx64 ".tmp", random);
    if (beside_target(output, name, output->temp, sizeof output->temp)) return true;
    output->temp[0] = '\0';
    errno = ENAMETOOLONG;
    return false;
}

/* ---- opening ---- */

static void fd_path(int fd, char path[40])
{
    snprintf(path, 40, "/proc/self/fd/%d", fd);
}

/* A file without a name; -1 where that cannot be made or could not be linked later. */
static int open_unnamed(const dcls_output *output)
{
    char path[PATH_MAX], self[40];
    if (!beside_target(output, ".", path, sizeof path)) return -1;
    int fd = open(path, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    fd_path(fd, self);
    if (access(self, F_OK) == 0) return fd;
    close(fd);
    return -1;
}

static int open_named(dcls_output *output)
{
    for (int tries = 0; tries < MAX_TRIES && choose_temp(output); tries++) {
        int fd = open(output->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) return fd;
        if (errno != EEXIST) break;
    }
    output->temp[0] = '\0';
    return -1;
}

/* Opens whatever output writes to; 0 or an errno. */
static int open_target(dcls_output *output, const char *path)
{
    struct stat st;
    if (strcmp(path, "-") == 0) {
        output->direct = true;
        output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
        return output->fd < 0 ? errno : 0;
    }
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) return EISDIR;
    output->direct = exists && !S_ISREG(st.st_mode);
    if (output->direct) {
        output->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        return output->fd < 0 ? errno : 0;
    }

    output->target = follow_links(path);
    if (output->target == NULL) return errno;
    if (output->target[directory_length(output->target)] == '\0') return EISDIR;
    output->replaces = exists;
    if (exists && access(path, W_OK) != 0) return errno;
    output->fd = open_unnamed(output);
    if (output->fd < 0) output->fd = open_named(output);
    if (output->fd < 0) return errno;
    if (exists && fchmod(output->fd, st.st_mode & 0777) != 0) return errno;
    return 0;
}

dcls_status dcls_output_open(dcls_context *ctx, const char *path, dcls_output **out)
{
    *out = NULL;
    dcls_output *output = malloc(sizeof *output);
    if (output == NULL) return dcls_fail_errno(ctx, "cannot write", ENOMEM);
    memset(output, 0, offsetof(dcls_output, buffer));
    output->fd = -1;
    int error = path[0] == '\0' ? ENOENT : open_target(output, path);
    if (error != 0) {
        dcls_output_abort(output);
        return dcls_fail_errno(ctx, "cannot write", error);
    }
    *out = output;
    return DCLS_OK;
}

/* ---- writing ---- */

static void write_through(dcls_output *output, const unsigned char *data, size_t size)
{
    while (size > 0 && output->error == 0) {
        ssize_t wrote = write(output->fd, data, size);
        if (wrote >= 0) {
            data += wrote;
            size -= (size_t)wrote;
        } else if (errno != EINTR) {
            output->error = errno;
        }
    }
}

static void flush_buffer(dcls_output *output)
{
    write_through(output, output->buffer, output->buffered);
    output->buffered = 0;
}

void dcls_output_write(dcls_output *output, const void *data, size_t size)
{
    output->written += size;
    if (size > BUFFER_SIZE - output->buffered) flush_buffer(output);
    if (size >= BUFFER_SIZE) {
        write_through(output, data, size);
    } else if (size > 0) {
        memcpy(output->buffer + output->buffered, data, size);
        output->buffered += size;
    }
}

void dcls_output_printf(dcls_output *output, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int length = vasprintf(&text, fmt, args);
    va_end(args);
    if (length < 0) {
        if (output->error == 0) output->error = ENOMEM;
        return;
    }
    dcls_output_write(output, text, (size_t)length);
    free(text);
}

uint64_t dcls_output_tell(const dcls_output *output)
{
    return output->written;
}

/* ---- the end ---- */

/* Gives the unnamed file a name: the target's own if nothing stands there, else a temporary one (a link
 * cannot replace, a rename can). *in_place tells that the target's was free. */
static int link_unnamed(dcls_output *output, bool *in_place)
{
    char self[40];
    fd_path(output->fd, self);
    if (!output->replaces) {
        if (linkat(AT_FDCWD, self, AT_FDCWD, output->target, AT_SYMLINK_FOLLOW) == 0) {
            *in_place = true;
            return 0;
        }
        if (errno != EEXIST) return errno;
    }
    for (int tries = 0; tries < MAX_TRIES && choose_temp(output); tries++) {
        if (linkat(AT_FDCWD, self, AT_FDCWD, output->temp, AT_SYMLINK_FOLLOW) == 0) return 0;
        if (errno != EEXIST) break;
    }
    output->temp[0] = '\0';
    return errno;
}

/* Makes the new directory entry durable; filesystems that cannot do so are not an error. */
static void sync_directory(const dcls_output *output)
{
    char path[PATH_MAX];
    if (!beside_target(output, ".", path, sizeof path)) return;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

static int put_in_place(dcls_output *output)
{
    int synced;
    do
        synced = fsync(output->fd);
    while (synced != 0 && errno == EINTR);
    if (synced != 0) return errno;
    bool in_place = false;
    int error = output->temp[0] == '\0' ? link_unnamed(output, &in_place) : 0;
    if (error != 0) return error;
    if (!in_place && rename(output->temp, output->target) != 0) return errno;
    output->temp[0] = '\0';
    sync_directory(output);
    return 0;
}

dcls_status dcls_output_commit(dcls_context *ctx, dcls_output *output)
{
    flush_buffer(output);
    if (output->error == 0 && !output->direct) output->error = put_in_place(output);
    int error = output->error;
    if (close(output->fd) != 0 && error == 0) error = errno;
    output->fd = -1;
    dcls_output_abort(output);
    return error == 0 ? DCLS_OK : dcls_fail_errno(ctx, "cannot write", error);
}

void dcls_output_abort(dcls_output *output)
{
    if (output == NULL) return;
    if (output->fd >= 0) close(output->fd);
    if (output->temp[0] != '\0') unlink(output->temp);
    free(output->target);
    free(output);
}
