/* hash.c: open addressing with linear probing. */
#include "hash.h"
#include <assert.h>
#include <string.h>

/* The finaliser of MurmurHash3 (Austin Appleby, public domain). */
uint64_t hash_number(uint64_t seed, uint64_t v)
{
    v ^= seed + UINT64_C(0x9e3779b97f4a7c15);
    v = (v ^ v >> 33) * UINT64_C(0xff51afd7ed558ccd);
    v = (v ^ v >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return v ^ v >> 33;
}

uint64_t hash_bytes(uint64_t seed, const void *p, size_t size)
{
    const char *c = p;
    uint64_t h = hash_number(seed, size), v;
    for (; size >= sizeof v; c += sizeof v, size -= sizeof v) {
        memcpy(&v, c, sizeof v);
        h = hash_number(h, v);
    }
    v = 0;
    if (size)
        memcpy(&v, c, size);
    return hash_number(h, v);
}

uint64_t hash_text(uint64_t seed, const char *s)
{
    return hash_bytes(seed, s, strlen(s));
}

static void insert(HashTable *t, uint64_t hash, uint32_t id)
{
    size_t i = hash & (t->cap - 1);
    while (t->slot[i].id)
        i = (i + 1) & (t->cap - 1);
    t->slot[i] = (HashSlot){hash, id};
}

static void grow(HashTable *t, Arena *a)
{
    HashTable old = *t;
    t->cap = old.cap ? old.cap * 2 : 16;
    t->slot = arena_array(a, t->cap, sizeof *t->slot);
    for (size_t i = 0; i < old.cap; i++)
        if (old.slot[i].id)
            insert(t, old.slot[i].hash, old.slot[i].id);
}

void hash_add(HashTable *t, Arena *a, uint64_t hash, uint32_t id)
{
    assert(id && "ids start at 1");
    if (2 * t->n >= t->cap)
        grow(t, a);
    insert(t, hash, id);
    t->n++;
}

uint32_t hash_find(const HashTable *t, uint64_t hash, HashSame *same,
                   const void *key)
{
    if (!t->cap)
        return 0;
    for (size_t i = hash & (t->cap - 1); t->slot[i].id;
         i = (i + 1) & (t->cap - 1))
        if (t->slot[i].hash == hash && same(key, t->slot[i].id))
            return t->slot[i].id;
    return 0;
}
