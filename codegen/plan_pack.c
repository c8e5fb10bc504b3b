/* plan_pack.c: a plan as compressed bytes (runtime/plan.h).
 *
 *     PlanHead | Plan | what the Plan points to | what that points to ...
 *
 * Tables stand where they are met first, equal texts stand once. */
#include "plan_pack.h"
#include "hash.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ALIGN = 16 };

typedef struct Packer {
    char *bytes;
    size_t n, cap;
    uint64_t *text; /* places of texts, by id */
    size_t n_texts, cap_texts;
    HashTable by_text;
    Arena *arena;
} Packer;

/* Room for n bytes that are zero; its place. */
static uint64_t take(Packer *p, size_t n, size_t align)
{
    size_t at = (p->n + align - 1) / align * align;
    if (at + n > p->cap) {
        size_t cap = 2 * (at + n);
        char *bytes = arena_array(p->arena, cap, 1);
        if (p->n)
            memcpy(bytes, p->bytes, p->n);
        p->bytes = bytes;
        p->cap = cap;
    }
    p->n = at + n;
    return at;
}

typedef struct TextKey {
    const Packer *packer;
    const char *text;
} TextKey;

static bool same_text(const void *key, uint32_t id)
{
    const TextKey *k = key;
    return !strcmp(k->packer->bytes + k->packer->text[id - 1], k->text);
}

static uint64_t pack_text(Packer *p, const char *s)
{
    uint64_t hash = hash_text(0, s);
    uint32_t id = hash_find(&p->by_text, hash, same_text, &(TextKey){p, s});
    if (id)
        return p->text[id - 1];
    size_t n = strlen(s) + 1;
    uint64_t at = take(p, n, 1);
    memcpy(p->bytes + at, s, n);
    ARENA_PUSH(p->arena, p->text, p->n_texts, p->cap_texts, at);
    hash_add(&p->by_text, p->arena, hash, (uint32_t)p->n_texts);
    return at;
}

static uint64_t pack_table(Packer *p, const PlanShape *shape, const void *from,
                           uint64_t n)
{
    uint64_t at = take(p, shape->size * n, ALIGN);
    if (n)
        memcpy(p->bytes + at, from, shape->size * n);
    for (uint64_t i = 0; shape->n_links && i < n; i++) {
        const char *element = (const char *)from + i * shape->size;
        for (size_t k = 0; k < shape->n_links; k++) {
            const PlanLink *link = &shape->link[k];
            const void *to;
            memcpy(&to, element + link->at, sizeof to);
            uint64_t place = 0;
            if (to && link->to)
                place =
                    pack_table(p, link->to, to, plan_link_count(link, element));
            else if (to)
                place = pack_text(p, to);
            static_assert(sizeof place == sizeof to, "a place fits");
            memcpy(p->bytes + at + i * shape->size + link->at, &place,
                   sizeof place);
        }
    }
    return at;
}

PackedPlan plan_pack(const Plan *plan, Arena *a)
{
    Packer p = {.arena = a};
    PlanHead head = {PLAN_VERSION, plan_layout()};
    uint64_t at = take(&p, sizeof head, ALIGN);
    memcpy(p.bytes + at, &head, sizeof head);
    pack_table(&p, &plan_shape, plan, 1);
    uLongf packed = compressBound(p.n);
    PackedPlan r = {arena_array(a, packed, 1), 0, (int64_t)p.n};
    int code = compress2(r.data, &packed, (const Bytef *)p.bytes, p.n, 6);
    assert(code == Z_OK && "there is room for it");
    (void)code;
    r.packed = (int64_t)packed;
    return r;
}
