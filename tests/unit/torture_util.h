/* Programs in which memory runs out: every single allocation fails once. Each time the answer must be
 * DCLS_ERR_MEMORY, and everything that was taken must have been given back. One file of a program includes
 * this: it defines malloc. */
#ifndef TESTS_TORTURE_UTIL_H
#define TESTS_TORTURE_UTIL_H

#include "data_util.h"

#include <errno.h>
#include <limits.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_SANITIZER 1
#endif
#endif

/* Which allocation fails, how many there were, how many are not freed. The compiler thinks it knows what
 * malloc looks at, hence volatile. */
static volatile long fail_at = -1, seen, live;

#ifndef HAVE_SANITIZER
/* The program's own definitions take the place of the C library's, also for the libraries it uses. */
#define VISIBLE __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nmemb, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);

static int fails(void)
{
    if (fail_at < 0 || seen++ != fail_at) return 0;
    errno = ENOMEM;
    return 1;
}

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

VISIBLE void *malloc(size_t size)
{
    return fails() ? NULL : counted(__libc_malloc(size));
}

VISIBLE void *calloc(size_t nmemb, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(nmemb, size));
}

VISIBLE void *realloc(void *ptr, size_t size)
{
    if (fails()) return NULL;
    void *memory = __libc_realloc(ptr, size);
    live += ptr == NULL && memory != NULL;
    return memory;
}

VISIBLE void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__libc_memalign(alignment, size));
}

VISIBLE void free(void *ptr)
{
    live -= ptr != NULL;
    __libc_free(ptr);
}
#endif

/* Sanitizers keep the allocator for themselves, valgrind parts of it. */
static inline void require_interposition(void)
{
    seen = 0;
    fail_at = LONG_MAX;
    void *volatile blocks[] = {malloc(8), calloc(1, 8), realloc(NULL, 8), aligned_alloc(8, 8)};
    fail_at = -1;
    for (size_t i = 0; i < 4; i++)
        free(blocks[i]);
    if (seen == 4) return;
    print_message("the allocator cannot be replaced here\n");
    skip();
}

typedef dcls_status attempt_fn(dcls_context *ctx, void *arg);

static inline void torture(dcls_context *ctx, const char *what, attempt_fn *attempt, void *arg)
{
    dcls_status status = DCLS_ERR_MEMORY;
    long k = 0;
    for (; status != DCLS_OK && k < 10000; k++) {
        seen = live = 0;
        fail_at = k;
        status = attempt(ctx, arg);
        fail_at = -1;
        if (live != 0) fail_msg("%s: %ld blocks lost when allocation %ld failed", what, live, k);
        if (status != DCLS_OK) check_outcome(ctx, what, status, DCLS_ERR_MEMORY, "memory");
    }
    assert_int_equal(status, DCLS_OK);
    if (k < 4) fail_msg("%s: only %ld allocations were seen", what, k);
}

#define TENSOR(name, shape, data) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data\":" data "}"
#define NETWORK(task, nodes, tensor)                                                                         \
    "{\"format\":\"dcls-model\",\"version\":1,\"model\":{\"task\":\"" task                                   \
    "\",\"input\":{\"channels\":3,\"height\":\"any\",\"width\":\"any\"},\"nodes\":[" nodes "]},"             \
    "\"tensors\":{" tensor "}}"

#endif
