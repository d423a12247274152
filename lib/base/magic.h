/* Files people hand over by mistake, told by fixed bytes at their start. */
#ifndef DCLS_BASE_MAGIC_H
#define DCLS_BASE_MAGIC_H

#include <stdbool.h>
#include <stddef.h>

typedef struct dcls_magic {
    size_t offset, length;
    const char *bytes;
    const char *phrase; /* "a GIF picture": completes "this is .." */
    bool picture;
} dcls_magic;

/* An entry of a table of them; bytes is a string literal and may hold NUL. */
#define DCLS_MAGIC(offset, bytes, phrase, picture)                                                           \
    {                                                                                                        \
        offset, sizeof(bytes) - 1, bytes, phrase, picture                                                    \
    }

/* The first entry whose bytes are in data; NULL if there is none. */
const dcls_magic *dcls_magic_find_in(const dcls_magic *table, size_t count, const void *data, size_t size);

/* Looks in a table of kinds that are neither weights nor (save PNG, JPEG, PGM and PPM) pictures read here. */
const dcls_magic *dcls_magic_find(const void *data, size_t size);

#endif
