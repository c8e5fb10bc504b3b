/* scratch.c: what library calls want in memory for themselves. */
#include "scratch.h"
#include "anchor.h"
#include "hash.h"
#include "libcall.h"
#include <string.h>

typedef struct Calls {
    Arena *arena;
    HashTable table;
    LibDesc *desc;
    int64_t *bytes; /* that each of them wants */
    size_t n, cap, n_bytes, cap_bytes;
    const LibDesc *key;
} Calls;

static bool same_call(const void *key, uint32_t id)
{
    const Calls *c = key;
    return !memcmp(&c->desc[id - 1], c->key, sizeof *c->key);
}

/* Making a call is dear, and nets repeat few. */
static int64_t call_bytes(Calls *c, const LibDesc *d)
{
    uint64_t hash = hash_bytes(0, d, sizeof *d);
    c->key = d;
    uint32_t id = hash_find(&c->table, hash, same_call, c);
    if (!id) {
        LibInfo info;
        char error[MAX_TEXT];
        if (!lib_query(d, &info, error, sizeof error))
            info.scratch_bytes = 0;
        ARENA_PUSH(c->arena, c->desc, c->n, c->cap, *d);
        ARENA_PUSH(c->arena, c->bytes, c->n_bytes, c->cap_bytes,
                   info.scratch_bytes);
        id = (uint32_t)c->n;
        hash_add(&c->table, c->arena, hash, id);
    }
    return c->bytes[id - 1];
}

static int64_t graph_scratch(Calls *c, const Graph *g)
{
    int64_t most = 0;
    Steps steps = graph_steps(g, c->arena);
    for (uint32_t i = 0; i < steps.n; i++) {
        const Step *s = &steps.step[i];
        uint32_t anchor = step_anchor(g, s);
        if (!anchor || !node_has(&g->node[anchor], T_LIBRARY))
            continue;
        LibDesc d;
        libcall_desc(g, &g->node[anchor], &d);
        int64_t bytes = call_bytes(c, &d);
        if (s->first != s->last)
            bytes = anchor_scratch(g, s, bytes);
        most = bytes > most ? bytes : most;
    }
    return most;
}

int64_t cpu_scratch(const Target *t, const Module *m)
{
    (void)t;
    int64_t most = 0;
    Calls c = {.arena = arena_new()};
    for (size_t i = 0; i < m->n_graphs; i++) {
        int64_t bytes = graph_scratch(&c, m->graph[i]);
        most = bytes > most ? bytes : most;
    }
    arena_free(c.arena);
    return most;
}
