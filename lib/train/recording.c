/* Positions over the steps of a run, in a .npy file that grows. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "train/recording.h"

struct dcls_recording {
    int fd;
    int64_t frames, columns;
    float *row; /* [columns] */
};

/* ---- what a row is ---------------------------------------------------------------------------------- */

static bool is_first(const dcls_model *model, size_t node)
{
    for (size_t i = 0; i < node; i++)
        if (model->nodes[i].P == model->nodes[node].P) return false;
    return true;
}

const dcls_tensor *dcls_recording_next(const dcls_model *model, size_t *node)
{
    while (*node < model->node_count) {
        const size_t i = (*node)++;
        if (model->nodes[i].op == DCLS_OP_DCLS && is_first(model, i)) return model->nodes[i].P;
    }
    return NULL;
}

int64_t dcls_recording_positions(const dcls_tensor *P)
{
    return (int64_t)(P->nbytes / dcls_dtype_size(P->dtype));
}

int64_t dcls_recording_columns(const dcls_model *model)
{
    const dcls_tensor *P;
    int64_t columns = 1;
    size_t node = 0;
    while ((P = dcls_recording_next(model, &node)) != NULL)
        columns += dcls_recording_positions(P);
    return columns;
}

/* ---- the file --------------------------------------------------------------------------------------- */

static dcls_status write_at(dcls_context *ctx, const dcls_recording *r, const void *data, size_t size,
                            int64_t offset)
{
    const char *from = data;
    while (size > 0) {
        const ssize_t wrote = pwrite(r->fd, from, size, offset);
        if (wrote < 0 && errno != EINTR) return dcls_fail_errno(ctx, "cannot write positions", errno);
        if (wrote <= 0) continue;
        from += wrote;
        size -= (size_t)wrote;
        offset += wrote;
    }
    return DCLS_OK;
}

static void make_header(char header[DCLS_RECORDING_HEADER + 1], int64_t frames, int64_t columns)
{
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    char text[DCLS_RECORDING_HEADER - 10];
    snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
             (long long)frames, (long long)columns);
    snprintf(header + 10, DCLS_RECORDING_HEADER - 9, "%-117s\n", text);
}

static dcls_status write_header(dcls_context *ctx, const dcls_recording *r)
{
    char header[DCLS_RECORDING_HEADER + 1];
    make_header(header, r->frames, r->columns);
    return write_at(ctx, r, header, DCLS_RECORDING_HEADER, 0);
}

/* "'shape': (FRAMES, COLUMNS)" */
static bool read_shape(const char *header, int64_t *frames, int64_t *columns)
{
    char *end;
    const char *shape = strstr(header, "'shape': (");
    if (shape == NULL) return false;
    *frames = strtoll(shape + 10, &end, 10);
    if (end == shape + 10 || *end != ',') return false;
    *columns = strtoll(end + 1, &end, 10);
    return *frames >= 0 && *columns > 0 && *end == ')';
}

/* A file that is there must be one of ours; *columns is what it has. */
static dcls_status read_header(dcls_context *ctx, const dcls_recording *r, int64_t *columns)
{
    char found[DCLS_RECORDING_HEADER + 1] = {0}, wanted[DCLS_RECORDING_HEADER + 1];
    int64_t frames;
    const ssize_t size = pread(r->fd, found, DCLS_RECORDING_HEADER, 0);
    if (size < 0) return dcls_fail_errno(ctx, "cannot read positions", errno);
    if (size != DCLS_RECORDING_HEADER || !read_shape(found + 10, &frames, columns))
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "is not a recording of positions");
    make_header(wanted, frames, *columns);
    if (memcmp(wanted, found, DCLS_RECORDING_HEADER) != 0)
        return dcls_fail(ctx, DCLS_ERR_FORMAT, "is not a recording of positions");
    return DCLS_OK;
}

static dcls_status check_header(dcls_context *ctx, const dcls_recording *r)
{
    int64_t columns = 0;
    DCLS_TRY(read_header(ctx, r, &columns));
    if (columns == r->columns) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_FORMAT, "records %lld positions, the network has %lld",
                     (long long)columns - 1, (long long)r->columns - 1);
}

static dcls_status open_file(dcls_context *ctx, dcls_recording *r, const char *path, int64_t frames)
{
    struct stat st;
    /* It is cut: a link in a folder from elsewhere must not lead to another file. */
    r->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) return dcls_fail_errno(ctx, "cannot write positions", errno);
    if (!S_ISREG(st.st_mode))
        return dcls_fail(ctx, DCLS_ERR_IO, "cannot write positions: it is no regular file");
    const int64_t row = r->columns * (int64_t)sizeof(float);
    int64_t columns;
    if (st.st_size > 0 && frames == 0) DCLS_TRY(read_header(ctx, r, &columns)); /* of any model */
    if (st.st_size > 0 && frames > 0) {
        DCLS_TRY(check_header(ctx, r));
        const int64_t there = (st.st_size - DCLS_RECORDING_HEADER) / row;
        r->frames = there < frames ? there : frames;
    }
    DCLS_TRY(write_header(ctx, r));
    if (ftruncate(r->fd, DCLS_RECORDING_HEADER + r->frames * row) != 0)
        return dcls_fail_errno(ctx, "cannot cut positions", errno);
    return DCLS_OK;
}

static dcls_status check_positions(dcls_context *ctx, const dcls_recording *r)
{
    if (r->columns > 1) return DCLS_OK;
    return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "the network has no positions to record");
}

dcls_status dcls_recording_open(dcls_context *ctx, const char *path, const dcls_model *model, int64_t frames,
                                dcls_recording **out)
{
    *out = NULL;
    dcls_recording *r = dcls_alloc_zero(ctx, 1, sizeof *r);
    if (r == NULL) return DCLS_ERR_MEMORY;
    r->fd = -1;
    r->columns = dcls_recording_columns(model);
    r->row = dcls_alloc(ctx, (size_t)r->columns, sizeof *r->row);
    dcls_status status = r->row != NULL ? DCLS_OK : DCLS_ERR_MEMORY;
    if (status == DCLS_OK) status = check_positions(ctx, r);
    if (status == DCLS_OK) status = open_file(ctx, r, path, frames);
    if (status == DCLS_OK)
        *out = r;
    else
        dcls_recording_close(r);
    return status;
}

void dcls_recording_close(dcls_recording *recording)
{
    if (recording == NULL) return;
    if (recording->fd >= 0) close(recording->fd);
    free(recording->row);
    free(recording);
}

int64_t dcls_recording_frames(const dcls_recording *recording)
{
    return recording->frames;
}

dcls_status dcls_recording_add(dcls_context *ctx, dcls_recording *recording, const dcls_model *model,
                               int64_t step)
{
    const size_t size = (size_t)recording->columns * sizeof *recording->row;
    const dcls_tensor *P;
    float *to = recording->row;
    size_t node = 0;
    *to++ = (float)step;
    while ((P = dcls_recording_next(model, &node)) != NULL) {
        const int64_t count = dcls_recording_positions(P);
        dcls_to_float(P->dtype, P->data, to, (size_t)count);
        to += count;
    }
    DCLS_TRY(write_at(ctx, recording, recording->row, size,
                      DCLS_RECORDING_HEADER + recording->frames * (int64_t)size));
    recording->frames++;
    return write_header(ctx, recording);
}

dcls_status dcls_recording_sync(dcls_context *ctx, dcls_recording *recording)
{
    if (fdatasync(recording->fd) == 0) return DCLS_OK;
    return dcls_fail_errno(ctx, "cannot write positions", errno);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

static dcls_status read_row(dcls_context *ctx, const dcls_recording *r, int64_t index, float *row)
{
    const size_t size = (size_t)r->columns * sizeof *row;
    const ssize_t got = pread(r->fd, row, size, DCLS_RECORDING_HEADER + index * (int64_t)size);
    if (got < 0) return dcls_fail_errno(ctx, "cannot read positions", errno);
    return (size_t)got == size ? DCLS_OK : dcls_fail(ctx, DCLS_ERR_FORMAT, "is cut short");
}

static dcls_status read_rows(dcls_context *ctx, dcls_recording *r, const char *path, int64_t most,
                             float **rows, int64_t *count)
{
    struct stat st;
    DCLS_TRY(check_positions(ctx, r));
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) return dcls_fail_errno(ctx, "cannot read", errno);
    DCLS_TRY(check_header(ctx, r));
    const int64_t all = (st.st_size - DCLS_RECORDING_HEADER) / (r->columns * (int64_t)sizeof(float));
    *count = all < most ? all : most;
    if (*count == 0) return dcls_fail(ctx, DCLS_ERR_FORMAT, "there is no row in it yet");
    *rows = dcls_alloc(ctx, (size_t)(*count * r->columns), sizeof **rows);
    if (*rows == NULL) return DCLS_ERR_MEMORY;
    for (int64_t i = 0; i < *count; i++)
        DCLS_TRY(read_row(ctx, r, *count > 1 ? i * (all - 1) / (*count - 1) : 0, *rows + i * r->columns));
    return DCLS_OK;
}

dcls_status dcls_recording_read(dcls_context *ctx, const char *path, const dcls_model *model, int64_t most,
                                float **rows, int64_t *count)
{
    dcls_recording r = {.fd = -1, .columns = dcls_recording_columns(model)};
    *rows = NULL;
    const dcls_status status = read_rows(ctx, &r, path, most, rows, count);
    if (r.fd >= 0) close(r.fd);
    if (status == DCLS_OK) return DCLS_OK;
    free(*rows);
    *rows = NULL;
    return status;
}
