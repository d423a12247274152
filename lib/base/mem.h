/* Checked memory: sizes are multiplied with overflow checks, failures are reported in the context. */
#ifndef DCLS_BASE_MEM_H
#define DCLS_BASE_MEM_H

#include "base/context.h"

/* count * size bytes, uninitialised, 64-byte aligned (whole cache lines and vectors). On failure NULL, with
 * the reason recorded in ctx, for DCLS_ERR_MEMORY: the system has no more, or more in one piece than
 * DCLS_LIMIT_MEMORY_BYTES (and than 2 MiB) was asked for. From 2 MiB on it is in large pages where the system
 * has them. A count or size of 0 gives a pointer that may be freed. Free with free(). */
void *dcls_alloc(dcls_context *ctx, size_t count, size_t size);
/* The same for what a file holds, which has a limit of its own. */
void *dcls_alloc_file(dcls_context *ctx, size_t bytes);
/* The same, zeroed. */
void *dcls_alloc_zero(dcls_context *ctx, size_t count, size_t size);
/* Grows an array of *capacity elements of `size` bytes to hold at least `needed`, doubling. array is the
 * address of the pointer (T **), which may be NULL. On failure, as of
 * dcls_alloc, array and capacity are unchanged. Aligned as by malloc; free with free(). */
dcls_status dcls_grow(dcls_context *ctx, void *array, size_t *capacity, size_t needed, size_t size);

/* Overflow-checked arithmetic on sizes; true means it fits and *out is set. */
static inline bool dcls_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool dcls_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
static inline bool dcls_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool dcls_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Many small objects with one lifetime: strings, nodes, attributes. Freed together. An all-zero arena is
 * empty. */
typedef struct dcls_arena {
    struct dcls_arena_block *head;
} dcls_arena;

/* 16-byte aligned, zeroed. NULL with the failure recorded. */
void *dcls_arena_alloc(dcls_context *ctx, dcls_arena *arena, size_t count, size_t size);
char *dcls_arena_strdup(dcls_context *ctx, dcls_arena *arena, const char *text);
char *dcls_arena_strndup(dcls_context *ctx, dcls_arena *arena, const char *text, size_t length);
void dcls_arena_free(dcls_arena *arena);

/* Map from strings to non-negative integers (names to indices), linear time in the number of keys whatever
 * the keys are. Keys are not copied. An all-zero map is empty. */
typedef struct dcls_map {
    struct dcls_map_slot *slots;
    size_t capacity, count;
    uint64_t seed[2];
} dcls_map;

/* Adds key unless it is there; *found (may be NULL) tells which, *stored (may be NULL) gets the value now
 * stored. */
dcls_status dcls_map_add(dcls_context *ctx, dcls_map *map, const char *key, int64_t value, bool *found,
                         int64_t *stored);
/* -1 if absent. */
int64_t dcls_map_find(const dcls_map *map, const char *key);
void dcls_map_free(dcls_map *map);

#endif
