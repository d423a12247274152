/* The context every fallible function takes first: last error, limits, thread count. */
#ifndef DCLS_BASE_CONTEXT_H
#define DCLS_BASE_CONTEXT_H

#include "dcls.h"

struct dcls_context {
    char message[1024];
    int threads;
    uint64_t limit[DCLS_LIMIT_COUNT];
};

#define DCLS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Records "what is wrong" as one line (control characters are escaped, so names from files are safe to print)
 * and returns status, so that callers write `return dcls_fail(..)`. */
dcls_status dcls_fail(dcls_context *ctx, dcls_status status, const char *fmt, ...) DCLS_PRINTF(3, 4);

/* Puts a prefix such as "node 'stem.0': " before the message of a failure that is on its way up. Returns
 * status. */
dcls_status dcls_fail_within(dcls_context *ctx, dcls_status status, const char *fmt, ...) DCLS_PRINTF(3, 4);

/* [count] contexts with the limits of ctx, for one of several threads each, which starts no more; to be freed
 * by dcls_contexts_destroy. *out is NULL when memory is short. */
dcls_status dcls_contexts_create(dcls_context *ctx, int count, dcls_context ***out);
void dcls_contexts_destroy(dcls_context **contexts, int count);

/* clang's analyzer sees one file at a time and cannot know what these return. */
#ifdef __clang_analyzer__
#define dcls_fail(ctx, status, ...)        (dcls_fail(ctx, status, __VA_ARGS__), status)
#define dcls_fail_within(ctx, status, ...) (dcls_fail_within(ctx, status, __VA_ARGS__), status)
#endif

/* Returns from the calling function when expr is not DCLS_OK. */
#define DCLS_TRY(expr)                                                                                       \
    do {                                                                                                     \
        dcls_status try_status_ = (expr);                                                                    \
        if (try_status_ != DCLS_OK) return try_status_;                                                      \
    } while (0)

#endif
