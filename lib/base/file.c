/* Whole files in. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/threads.h"

#define FIRST_READ ((size_t)64 << 10) /* for inputs whose size is not known */
#define LARGE      ((size_t)32 << 20) /* weights rather than pictures, of which several are read at once */
#define PART       ((size_t)4 << 20)  /* of a large file, read by one thread */

dcls_status dcls_fail_errno(dcls_context *ctx, const char *what, int error)
{
    char buffer[256];
    return dcls_fail(ctx, error == ENOMEM ? DCLS_ERR_MEMORY : DCLS_ERR_IO, "%s: %s", what,
                     strerror_r(error, buffer, sizeof buffer));
}

uint64_t dcls_picture_limit(const dcls_context *ctx)
{
    const uint64_t file = dcls_context_limit(ctx, DCLS_LIMIT_FILE_BYTES);
    const uint64_t memory = dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES);
    return file < memory ? file : memory;
}

static dcls_status refuse_kind(dcls_context *ctx, const struct stat *st)
{
    if (S_ISDIR(st->st_mode)) return dcls_fail(ctx, DCLS_ERR_IO, "is a directory");
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) return dcls_fail(ctx, DCLS_ERR_IO, "is a device");
    return DCLS_OK;
}

static dcls_status fail_limit(dcls_context *ctx, uint64_t limit)
{
    return dcls_fail(ctx, DCLS_ERR_LIMIT, "larger than the limit of %" PRIu64 " bytes", limit);
}

static dcls_status enlarge(dcls_context *ctx, dcls_bytes *bytes, size_t *capacity)
{
    size_t doubled;
    if (!dcls_mul_size(*capacity, 2, &doubled)) return fail_limit(ctx, SIZE_MAX);
    unsigned char *data = dcls_alloc_file(ctx, doubled);
    if (data == NULL) return DCLS_ERR_MEMORY;
    memcpy(data, bytes->data, bytes->size);
    free(bytes->data);
    bytes->data = data;
    *capacity = doubled;
    return DCLS_OK;
}

typedef struct parts {
    int fd;
    unsigned char *data;
    size_t size;
    size_t *got; /* of every part */
} parts;

static void read_part(void *arg, int64_t item, int worker)
{
    (void)worker;
    const parts *p = arg;
    const size_t start = (size_t)item * PART, wanted = p->size - start < PART ? p->size - start : PART;
    size_t *got = &p->got[item];
    while (*got < wanted) {
        const ssize_t n = pread(p->fd, p->data + start + *got, wanted - *got, (off_t)(start + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* read_all comes to the same place and finds out */
        *got += (size_t)n;
    }
}

/* The first bytes of a large file, on all threads: most of the time goes into fresh pages. Returns how many
 * there are without a gap; the file's offset is behind them. */
static size_t read_parts(dcls_context *ctx, int fd, size_t size, unsigned char *data)
{
    if (size < LARGE || lseek(fd, 0, SEEK_CUR) != 0) return 0;
    const int threads = dcls_context_threads(ctx);
    if (threads < 2) return 0;
    const size_t count = (size + PART - 1) / PART;
    parts p = {.fd = fd, .data = data, .size = size, .got = calloc(count, sizeof *p.got)};
    if (p.got == NULL) return 0;
    dcls_parallel_for(threads, (int64_t)count, read_part, &p);
    size_t whole = 0;
    for (size_t i = 0; i < count && whole == i * PART; i++)
        whole += p.got[i];
    free(p.got);
    return lseek(fd, (off_t)whole, SEEK_SET) == (off_t)whole ? whole : 0;
}

/* Reads to the end whatever fstat said: files grow and shrink, and those under /proc claim to be empty. */
static dcls_status read_all(dcls_context *ctx, int fd, uint64_t limit, size_t capacity, dcls_bytes *bytes)
{
    bytes->data = dcls_alloc_file(ctx, capacity);
    if (bytes->data == NULL) return DCLS_ERR_MEMORY;
    bytes->size = read_parts(ctx, fd, capacity - 1, bytes->data);
    for (;;) {
        if (bytes->size == capacity) DCLS_TRY(enlarge(ctx, bytes, &capacity));
        ssize_t got = read(fd, bytes->data + bytes->size, capacity - bytes->size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return dcls_fail_errno(ctx, "cannot read", errno);
        if (got == 0) return DCLS_OK;
        bytes->size += (size_t)got;
        if (bytes->size > limit) return fail_limit(ctx, limit);
    }
}

/* What standard input often is where nobody sits. */
static bool is_null_device(const struct stat *st)
{
    struct stat null;
    return S_ISCHR(st->st_mode) && stat("/dev/null", &null) == 0 && null.st_rdev == st->st_rdev;
}

static dcls_status read_fd(dcls_context *ctx, int fd, uint64_t limit, dcls_bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return dcls_fail_errno(ctx, "cannot read", errno);
    if (fd != STDIN_FILENO || !is_null_device(&st)) DCLS_TRY(refuse_kind(ctx, &st));
    size_t capacity = FIRST_READ;
    if (S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uint64_t)st.st_size > limit) return fail_limit(ctx, limit);
        capacity = (size_t)st.st_size + 1; /* so that the end is seen without growing */
    }
    dcls_bytes bytes = {0};
    dcls_status status = read_all(ctx, fd, limit, capacity, &bytes);
    if (status == DCLS_OK)
        *out = bytes;
    else
        free(bytes.data);
    return status;
}

static dcls_status map_fd(dcls_context *ctx, int fd, uint64_t limit, dcls_bytes *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return dcls_fail_errno(ctx, "cannot read", errno);
    if (!S_ISREG(st.st_mode) || st.st_size == 0) return read_fd(ctx, fd, limit, out);
    if ((uint64_t)st.st_size > limit) return fail_limit(ctx, limit);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return read_fd(ctx, fd, limit, out);
    *out = (dcls_bytes){.data = data, .size = (size_t)st.st_size, .mapped = true};
    return DCLS_OK;
}

typedef dcls_status take_fd(dcls_context *ctx, int fd, uint64_t limit, dcls_bytes *out);

static dcls_status open_and(take_fd *take, dcls_context *ctx, const char *path, uint64_t limit,
                            dcls_bytes *out)
{
    *out = (dcls_bytes){0};
    if (strcmp(path, "-") == 0) return read_fd(ctx, STDIN_FILENO, limit, out);
    struct stat st; /* asked before opening: opening a device can have effects */
    if (stat(path, &st) != 0) return dcls_fail_errno(ctx, "cannot open", errno);
    DCLS_TRY(refuse_kind(ctx, &st));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return dcls_fail_errno(ctx, "cannot open", errno);
    dcls_status status = take(ctx, fd, limit, out);
    close(fd);
    return status;
}

dcls_status dcls_file_read(dcls_context *ctx, const char *path, uint64_t limit, dcls_bytes *out)
{
    return open_and(read_fd, ctx, path, limit, out);
}

dcls_status dcls_file_map(dcls_context *ctx, const char *path, uint64_t limit, dcls_bytes *out)
{
    return open_and(map_fd, ctx, path, limit, out);
}

void dcls_bytes_free(dcls_bytes *bytes)
{
    if (bytes->mapped)
        munmap(bytes->data, bytes->size);
    else
        free(bytes->data);
    *bytes = (dcls_bytes){0};
}
