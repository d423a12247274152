/* Hash map from strings to integers: open addressing, linear probing, at most half full.
 *
 * Keys come from files, so the hash is keyed with random bits (SipHash-1-3, Aumasson and Bernstein 2012): a
 * file cannot be made so that its names collide, and building a map stays linear in the number of keys. */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct dcls_map_slot {
    const char *key; /* NULL: free */
    uint64_t hash;
    int64_t value;
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t hash_text(const uint64_t seed[2], const char *text)
{
    uint64_t v[4] = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d),
                     seed[0] ^ UINT64_C(0x6c7967656e657261), seed[1] ^ UINT64_C(0x7465646279746573)};
    size_t length = strlen(text);
    for (size_t done = 0;; done += 8) {
        size_t left = length - done;
        uint64_t word = left < 8 ? (uint64_t)length << 56 : 0;
        memcpy(&word, text + done, left < 8 ? left : 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
        if (left < 8) break;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds key, or the free slot where it belongs. capacity is a power of two. */
static struct dcls_map_slot *find_slot(const dcls_map *map, const char *key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    size_t i = (size_t)hash & mask;
    while (map->slots[i].key != NULL && (map->slots[i].hash != hash || strcmp(map->slots[i].key, key) != 0))
        i = (i + 1) & mask;
    return &map->slots[i];
}

static void choose_seed(dcls_map *map)
{
    /* Without random numbers (early boot) the map still works; only the protection is weaker. */
    if (getrandom(map->seed, sizeof map->seed, GRND_NONBLOCK) != (ssize_t)sizeof map->seed)
        map->seed[0] = (uint64_t)(uintptr_t)map->slots;
}

static dcls_status grow_map(dcls_context *ctx, dcls_map *map)
{
    dcls_map bigger = *map;
    size_t bytes;
    bigger.capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    bigger.slots = dcls_mul_size(bigger.capacity, sizeof *bigger.slots, &bytes) ? calloc(1, bytes) : NULL;
    if (bigger.slots == NULL)
        return dcls_fail(ctx, DCLS_ERR_MEMORY, "out of memory: a map of %zu names", map->count);
    if (map->capacity == 0) choose_seed(&bigger);
    for (size_t i = 0; i < map->capacity; i++) {
        const struct dcls_map_slot *slot = &map->slots[i];
        if (slot->key != NULL) *find_slot(&bigger, slot->key, slot->hash) = *slot;
    }
    free(map->slots);
    *map = bigger;
    return DCLS_OK;
}

dcls_status dcls_map_add(dcls_context *ctx, dcls_map *map, const char *key, int64_t value, bool *found,
                         int64_t *stored)
{
    if (map->count + 1 > map->capacity / 2) DCLS_TRY(grow_map(ctx, map));
    uint64_t hash = hash_text(map->seed, key);
    struct dcls_map_slot *slot = find_slot(map, key, hash);
    bool present = slot->key != NULL;
    if (!present) {
        *slot = (struct dcls_map_slot){key, hash, value};
        map->count++;
    }
    if (found != NULL) *found = present;
    if (stored != NULL) *stored = slot->value;
    return DCLS_OK;
}

int64_t dcls_map_find(const dcls_map *map, const char *key)
{
    if (map->count == 0) return -1;
    const struct dcls_map_slot *slot = find_slot(map, key, hash_text(map->seed, key));
    return slot->key != NULL ? slot->value : -1;
}

void dcls_map_free(dcls_map *map)
{
    free(map->slots);
    *map = (dcls_map){0};
}
