/* scratch.c: what library calls want in memory for themselves. */
#include "scratch.h"
#include "hash.h"
#include "libcall.h"
#include <string.h>

typedef struct Calls {
    Arena *arena;
    HashTable table;
    LibDesc *desc;
    size_t n, cap;
    const LibDesc *key;
} Calls;

static bool same_call(const void *key, uint32_t id)
{
    const Calls *c = key;
    return !memcmp(&c->desc[id - 1], c->key, sizeof *c->key);
}

/* Is it the first call of its kind?  Making one is dear, nets repeat few. */
static bool is_new(Calls *c, const LibDesc *d)
{
    uint64_t hash = hash_bytes(0, d, sizeof *d);
    c->key = d;
    if (hash_find(&c->table, hash, same_call, c))
        return false;
    ARENA_PUSH(c->arena, c->desc, c->n, c->cap, *d);
    hash_add(&c->table, c->arena, hash, (uint32_t)c->n);
    return true;
}

int64_t cpu_scratch(const Target *t, const Module *m)
{
    (void)t;
    int64_t most = 0;
    char error[MAX_TEXT];
    Calls c = {.arena = arena_new()};
    for (size_t i = 0; i < m->n_graphs; i++)
        for (uint32_t id = 1; id < m->graph[i]->n_nodes; id++) {
            const Node *n = &m->graph[i]->node[id];
            LibDesc d;
            LibInfo info;
            if (!node_has(n, T_LIBRARY))
                continue;
            libcall_desc(m->graph[i], n, &d);
            if (is_new(&c, &d) && lib_query(&d, &info, error, sizeof error) &&
                info.scratch_bytes > most)
                most = info.scratch_bytes;
        }
    arena_free(c.arena);
    return most;
}
