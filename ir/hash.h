/* hash.h: find things by content.
 *
 * A table holds ids (indices from 1 into whatever the caller keeps) by the
 * hash of what they stand for; the caller compares.  There is no iteration:
 * nothing may depend on the order of hashes.
 */
#ifndef TGC_HASH_H
#define TGC_HASH_H

#include "arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef struct HashSlot {
    uint64_t hash;
    uint32_t id; /* 0: free */
} HashSlot;

/* All zero: empty.  Lives in the arena that hash_add is given. */
typedef struct HashTable {
    HashSlot *slot;
    size_t n, cap; /* cap: a power of two */
} HashTable;

/* Continues from seed, so that several pieces hash as one. */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t size);
uint64_t hash_text(uint64_t seed, const char *s);
uint64_t hash_number(uint64_t seed, uint64_t v);

/* The id with this hash for which same(key, id) holds; 0: none. */
typedef bool HashSame(const void *key, uint32_t id);
uint32_t hash_find(const HashTable *t, uint64_t hash, HashSame *same,
                   const void *key);
void hash_add(HashTable *t, Arena *a, uint64_t hash, uint32_t id);

#endif
