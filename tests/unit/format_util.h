/* What the tests of the weights formats share. */
#ifndef TESTS_FORMAT_UTIL_H
#define TESTS_FORMAT_UTIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "dcls.h"

/* A context as state of every test. */
static inline int setup_context(void **state)
{
    dcls_context *ctx = NULL;
    if (dcls_context_create(&ctx) != DCLS_OK) return -1;
    *state = ctx;
    return 0;
}

static inline int teardown_context(void **state)
{
    dcls_context_destroy(*state);
    return 0;
}

#define CONTEXT_TEST(f) cmocka_unit_test_setup_teardown(f, setup_context, teardown_context)

#define assert_ok(ctx, expr)                                                                                 \
    do {                                                                                                     \
        if ((expr) != DCLS_OK) fail_msg("%s: %s", #expr, dcls_context_message(ctx));                         \
    } while (0)

/* Fails the test unless status is the expected one and, on failure, the message contains part. */
static inline void check_outcome(dcls_context *ctx, const char *row, dcls_status status, dcls_status expected,
                                 const char *part)
{
    const char *message = status == DCLS_OK ? "" : dcls_context_message(ctx);
    if (status != expected)
        fail_msg("%s: %s (%s), not %s", row, dcls_status_name(status), message, dcls_status_name(expected));
    if (part != NULL && strstr(message, part) == NULL) fail_msg("%s: '%s' lacks '%s'", row, message, part);
    if (strchr(message, '\n') != NULL) fail_msg("%s: message of several lines", row);
}

/* A copy of data in memory a reader may take. `shift` moves it off its alignment. */
static inline dcls_bytes make_bytes(dcls_context *ctx, const void *data, size_t size)
{
    dcls_bytes bytes = {.data = dcls_alloc(ctx, size, 1), .size = size};
    assert_non_null(bytes.data);
    if (size > 0) memcpy(bytes.data, data, size);
    return bytes;
}

/* A new directory for files of a test, and names in it. */
typedef struct temp_dir {
    char path[256], file[320];
} temp_dir;

static inline temp_dir make_temp_dir(void)
{
    const char *base = getenv("TMPDIR");
    temp_dir t;
    snprintf(t.path, sizeof t.path, "%s/dcls-test-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(t.path));
    return t;
}

static inline const char *temp_file(temp_dir *t, const char *name)
{
    snprintf(t->file, sizeof t->file, "%s/%s", t->path, name);
    return t->file;
}

static inline void write_bytes(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

typedef dcls_status tensors_writer(dcls_context *ctx, const dcls_tensors *set, const char *path);

/* What a writer makes of a set. */
static inline dcls_bytes written_by(dcls_context *ctx, tensors_writer *write, const dcls_tensors *set)
{
    temp_dir t = make_temp_dir();
    dcls_bytes bytes;
    assert_ok(ctx, write(ctx, set, temp_file(&t, "written")));
    assert_ok(ctx, dcls_file_read(ctx, t.file, 1 << 30, &bytes));
    remove(t.file);
    rmdir(t.path);
    return bytes;
}

/* A file of the reference data; false, after saying so, if it is not there. */
static inline int shared_file(char *path, size_t size, const char *name)
{
    const char *root = getenv("DCLS_SHARED");
    snprintf(path, size, "%s/%s", root != NULL ? root : "../shared", name);
    return access(path, R_OK) == 0;
}

/* Names, order, dtypes, shapes, bits and metadata. */
static inline void assert_same_tensors(const dcls_tensors *a, const dcls_tensors *b)
{
    assert_int_equal(dcls_tensors_count(a), dcls_tensors_count(b));
    for (size_t i = 0; i < dcls_tensors_count(a); i++) {
        const dcls_tensor *x = dcls_tensors_at(a, i), *y = dcls_tensors_at(b, i);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(x->ndim, y->ndim);
        for (int d = 0; d < x->ndim; d++)
            assert_int_equal(x->shape[d], y->shape[d]);
        assert_int_equal(x->nbytes, y->nbytes);
        assert_memory_equal(x->data, y->data, x->nbytes);
        assert_int_equal((uintptr_t)x->data % 8, 0);
        assert_int_equal((uintptr_t)y->data % 8, 0);
    }
    for (size_t i = 0; dcls_tensors_meta_key(a, i) != NULL || dcls_tensors_meta_key(b, i) != NULL; i++) {
        assert_string_equal(dcls_tensors_meta_key(a, i), dcls_tensors_meta_key(b, i));
        assert_string_equal(dcls_tensors_meta_value(a, i), dcls_tensors_meta_value(b, i));
    }
}

#endif
