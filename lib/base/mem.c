/* Checked allocation and arenas. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGNMENT  ((size_t)64)
#define LARGE_PAGE ((size_t)2 << 20) /* of x86-64 and others */

static void *out_of_memory(dcls_context *ctx, size_t count, size_t size)
{
    dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory: cannot get %zu x %zu bytes", count, size);
    return NULL;
}

/* False when the product, rounded up to whole units of `unit` bytes, is more than an object may have. */
static bool padded_size(size_t count, size_t size, size_t unit, size_t *out)
{
    size_t bytes;
    if (!dcls_mul_size(count, size, &bytes) || bytes > PTRDIFF_MAX - unit) return false;
    *out = (bytes + unit - 1) / unit * unit;
    return true;
}

/* No single piece is larger than all may be, whatever was counted before it. */
static bool is_over_limit(dcls_context *ctx, size_t bytes)
{
    const uint64_t limit = ctx != NULL ? dcls_context_limit(ctx, DCLS_LIMIT_MEMORY_BYTES) : UINT64_MAX;
    if (bytes <= limit || bytes <= LARGE_PAGE) return false;
    dcls_fail(ctx, DCLS_ERR_MEMORY, "%.1f MB in one piece are over the memory limit of %.1f MB",
              (double)bytes / 1e6, (double)limit / 1e6);
    return true;
}

/* Small pages are got from the system one by one, which takes longer than to fill them, several times as long
 * in a virtual machine. A last page less than half full is left to small ones. Where malloc takes such blocks
 * from its heap, alignment leaves gaps: a few per cent of memory for plans that come and go. */
static void *in_large_pages(size_t bytes)
{
    const size_t tail = bytes % LARGE_PAGE, whole = bytes - tail;
    if (bytes > PTRDIFF_MAX - LARGE_PAGE) return NULL;
    void *memory = aligned_alloc(LARGE_PAGE, tail > 0 ? whole + LARGE_PAGE : whole);
#if defined(MADV_HUGEPAGE)
    if (memory != NULL) madvise(memory, tail > LARGE_PAGE / 2 ? whole + LARGE_PAGE : whole, MADV_HUGEPAGE);
#endif
    return memory;
}

static void *get(dcls_context *ctx, size_t count, size_t size, bool limited)
{
    size_t bytes;
    if (!padded_size(count, size, ALIGNMENT, &bytes)) return out_of_memory(ctx, count, size);
    if (limited && is_over_limit(ctx, bytes)) return NULL;
    void *memory =
        bytes >= LARGE_PAGE ? in_large_pages(bytes) : aligned_alloc(ALIGNMENT, bytes > 0 ? bytes : ALIGNMENT);
    if (memory == NULL) out_of_memory(ctx, count, size);
    return memory;
}

void *dcls_alloc(dcls_context *ctx, size_t count, size_t size)
{
    return get(ctx, count, size, true);
}

void *dcls_alloc_file(dcls_context *ctx, size_t bytes)
{
    return get(ctx, bytes, 1, false);
}

void *dcls_alloc_zero(dcls_context *ctx, size_t count, size_t size)
{
    void *memory = dcls_alloc(ctx, count, size);
    if (memory != NULL) memset(memory, 0, count * size);
    return memory;
}

dcls_status dcls_grow(dcls_context *ctx, void *array, size_t *capacity, size_t needed, size_t size)
{
    if (needed <= *capacity) return DCLS_OK;
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < needed && grown <= SIZE_MAX / 2)
        grown *= 2;
    if (grown < needed) grown = needed;

    void *old, *new = NULL;
    size_t bytes;
    memcpy(&old, array, sizeof old); /* array points to a T *, which a void ** may not alias */
    const bool sized = padded_size(grown, size, 1, &bytes);
    if (sized && is_over_limit(ctx, bytes)) return DCLS_ERR_MEMORY;
    if (sized) new = realloc(old, bytes > 0 ? bytes : 1);
    if (new == NULL) {
        out_of_memory(ctx, grown, size);
        return DCLS_ERR_MEMORY;
    }
    memcpy(array, &new, sizeof new);
    *capacity = grown;
    return DCLS_OK;
}

/* ---- arena ---- */

#define ARENA_UNIT      ((size_t)16)
#define ARENA_BLOCK_MIN ((size_t)4096)
#define ARENA_BLOCK_MAX ((size_t)1 << 20)

struct dcls_arena_block {
    struct dcls_arena_block *next;
    size_t used, size; /* bytes of data */
    _Alignas(16) unsigned char data[];
};

/* Blocks double in size, so that a large set of small objects costs few calls; an object larger than a block
 * gets a block of its own. */
static struct dcls_arena_block *add_block(dcls_arena *arena, size_t bytes)
{
    size_t size = arena->head == NULL ? ARENA_BLOCK_MIN : arena->head->size * 2;
    if (size > ARENA_BLOCK_MAX) size = ARENA_BLOCK_MAX;
    if (size < bytes) size = bytes;
    struct dcls_arena_block *block = calloc(1, sizeof *block + size);
    if (block == NULL) return NULL;
    block->size = size;
    block->next = arena->head;
    arena->head = block;
    return block;
}

void *dcls_arena_alloc(dcls_context *ctx, dcls_arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (!padded_size(count, size, ARENA_UNIT, &bytes) || bytes > PTRDIFF_MAX - sizeof *arena->head)
        return out_of_memory(ctx, count, size);
    if (bytes == 0) bytes = ARENA_UNIT;

    struct dcls_arena_block *block = arena->head;
    if (block == NULL || block->size - block->used < bytes) block = add_block(arena, bytes);
    if (block == NULL) return out_of_memory(ctx, count, size);
    void *memory = block->data + block->used;
    block->used += bytes;
    return memory;
}

char *dcls_arena_strdup(dcls_context *ctx, dcls_arena *arena, const char *text)
{
    return dcls_arena_strndup(ctx, arena, text, strlen(text));
}

char *dcls_arena_strndup(dcls_context *ctx, dcls_arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX) return out_of_memory(ctx, length, 1);
    char *copy = dcls_arena_alloc(ctx, arena, length + 1, 1);
    if (copy != NULL) memcpy(copy, text, length);
    return copy;
}

void dcls_arena_free(dcls_arena *arena)
{
    while (arena->head != NULL) {
        struct dcls_arena_block *next = arena->head->next;
        free(arena->head);
        arena->head = next;
    }
}
