/* cuda_cache.h: images of earlier compiles, in $XDG_CACHE_HOME/tgc or
 * ~/.cache/tgc.
 *
 * An entry is a file of its own, named by the hash of all that the image
 * depends on, and says its length and a sum over its bytes.  What is cut short
 * or changed is no entry: it is made anew.  A cache that cannot be written is
 * no mistake, only slower. */
#ifndef TGC_CUDA_CACHE_H
#define TGC_CUDA_CACHE_H

#include "ir.h"
#include <stddef.h>

typedef struct CacheKey {
    uint64_t half[2];
} CacheKey;

typedef struct CacheEntry {
    const char *image, *log; /* of the arena; image: `bytes`, log: a text */
    size_t bytes;
} CacheEntry;

void cache_key_add(CacheKey *k, const char *text);
bool cache_get(const CacheKey *k, Arena *a, CacheEntry *entry);
void cache_put(const CacheKey *k, const CacheEntry *entry);
/* Keeps the folder from growing without end: removes the oldest. */
void cache_trim(void);

#endif
