/* Whole files in, whole files out. */
#ifndef DCLS_BASE_FILE_H
#define DCLS_BASE_FILE_H

#include <stdio.h>

#include "base/context.h"

typedef struct dcls_bytes {
    unsigned char *data; /* 64-byte aligned, owned: free(), where it may be mapped dcls_bytes_free */
    size_t size;
    bool mapped; /* to be read alone */
} dcls_bytes;

void dcls_bytes_free(dcls_bytes *bytes);

/* The limit of a file that is unpacked into memory: a picture's. */
uint64_t dcls_picture_limit(const dcls_context *ctx);

/* Reads a regular file, pipe or FIFO; "-" is standard input. Directories and devices are refused. More than
 * `limit` bytes is DCLS_ERR_LIMIT. */
dcls_status dcls_file_read(dcls_context *ctx, const char *path, uint64_t limit, dcls_bytes *out);

/* The same, but a regular file is mapped where the system can do so. Whoever cuts it short meanwhile ends the
 * process with SIGBUS. */
dcls_status dcls_file_map(dcls_context *ctx, const char *path, uint64_t limit, dcls_bytes *out);

/* "what: " and the system's words for an errno; DCLS_ERR_IO, or DCLS_ERR_MEMORY for ENOMEM. */
dcls_status dcls_fail_errno(dcls_context *ctx, const char *what, int error);

/* A file that appears under its name whole or not at all: written to an unnamed or temporary file in the same
 * directory, synced and renamed on commit. A new file gets the mode the umask leaves; one that is replaced
 * hands on its mode. What a symbolic link points to is replaced, not the link. Where the path names a pipe or
 * device (/dev/stdout, a FIFO), bytes go straight into it; "-" is standard output. */
typedef struct dcls_output dcls_output;

dcls_status dcls_output_open(dcls_context *ctx, const char *path, dcls_output **out);
/* Buffered writing; errors are remembered and reported by commit. */
void dcls_output_write(dcls_output *output, const void *data, size_t size);
/* printf for plain text; numbers must go through base/text.h where the locale matters. */
void dcls_output_printf(dcls_output *output, const char *fmt, ...) DCLS_PRINTF(2, 3);
/* Bytes written so far. */
uint64_t dcls_output_tell(const dcls_output *output);
/* Makes the file visible and frees output. On failure nothing is left behind; output is freed then too. */
dcls_status dcls_output_commit(dcls_context *ctx, dcls_output *output);
/* Discards the file and frees output. NULL is allowed. */
void dcls_output_abort(dcls_output *output);

#endif
