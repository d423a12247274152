/* Contexts, status names and error messages. */
#include "base/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "base/threads.h"

#define MAX_THREADS 1024

const char *dcls_version(void)
{
    return DCLS_VERSION_STRING;
}

const char *dcls_status_name(dcls_status status)
{
    switch (status) {
    case DCLS_OK: return "ok";
    case DCLS_ERR_ARGUMENT: return "bad argument";
    case DCLS_ERR_FORMAT: return "bad format";
    case DCLS_ERR_UNSUPPORTED: return "not supported";
    case DCLS_ERR_IO: return "input/output error";
    case DCLS_ERR_LIMIT: return "limit exceeded";
    case DCLS_ERR_MEMORY: return "out of memory";
    }
    return "unknown status";
}

static int default_threads(void)
{
    const int available = dcls_threads_available();
    return available < MAX_THREADS ? available : MAX_THREADS;
}

dcls_status dcls_context_create(dcls_context **out)
{
    dcls_context *ctx = calloc(1, sizeof *ctx);
    *out = ctx;
    if (ctx == NULL) return DCLS_ERR_MEMORY;
    ctx->threads = default_threads();
    ctx->limit[DCLS_LIMIT_FILE_BYTES] = UINT64_C(64) << 30;
    ctx->limit[DCLS_LIMIT_JSON_BYTES] = UINT64_C(256) << 20;
    ctx->limit[DCLS_LIMIT_PIXELS] = 178956970;
    ctx->limit[DCLS_LIMIT_MEMORY_BYTES] = UINT64_C(8) << 30;
    return DCLS_OK;
}

void dcls_context_destroy(dcls_context *ctx)
{
    free(ctx);
}

dcls_status dcls_contexts_create(dcls_context *ctx, int count, dcls_context ***out)
{
    dcls_context **contexts = *out = calloc((size_t)count, sizeof(dcls_context *));
    for (int i = 0; contexts != NULL && i < count; i++) {
        contexts[i] = calloc(1, sizeof **contexts);
        if (contexts[i] == NULL) {
            dcls_contexts_destroy(contexts, count);
            contexts = *out = NULL;
        } else {
            memcpy(contexts[i]->limit, ctx->limit, sizeof ctx->limit);
            contexts[i]->threads = 1;
        }
    }
    return contexts != NULL ? DCLS_OK : dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory");
}

void dcls_contexts_destroy(dcls_context **contexts, int count)
{
    for (int i = 0; contexts != NULL && i < count; i++)
        dcls_context_destroy(contexts[i]);
    free(contexts);
}

const char *dcls_context_message(const dcls_context *ctx)
{
    return ctx->message;
}

dcls_status dcls_context_set_threads(dcls_context *ctx, int threads)
{
    if (threads < 0 || threads > MAX_THREADS)
        return dcls_fail(ctx, DCLS_ERR_ARGUMENT, "number of threads is %d, must be 0 to %d", threads,
                         MAX_THREADS);
    ctx->threads = threads > 0 ? threads : default_threads();
    return DCLS_OK;
}

int dcls_context_threads(const dcls_context *ctx)
{
    return ctx->threads;
}

static bool is_limit(dcls_limit limit)
{
    return (unsigned)limit < DCLS_LIMIT_COUNT;
}

void dcls_context_set_limit(dcls_context *ctx, dcls_limit limit, uint64_t value)
{
    if (is_limit(limit)) ctx->limit[limit] = value;
}

uint64_t dcls_context_limit(const dcls_context *ctx, dcls_limit limit)
{
    return is_limit(limit) ? ctx->limit[limit] : 0;
}

dcls_status(dcls_fail)(dcls_context *ctx, dcls_status status, const char *fmt, ...)
{
    char text[sizeof ctx->message]; /* the arguments may point into the old message */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    dcls_escape_text(ctx->message, sizeof ctx->message, text);
    return status;
}

dcls_status(dcls_fail_within)(dcls_context *ctx, dcls_status status, const char *fmt, ...)
{
    char text[2 * sizeof ctx->message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof ctx->message, fmt, args);
    va_end(args);
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "%s", ctx->message);
    dcls_escape_text(ctx->message, sizeof ctx->message, text);
    return status;
}
