/* memory_gaps.c: see memory_gaps.h.
 *
 * So that a thousand layers do not take a million times one layer's time, the
 * steps are cut into blocks, each with a list of the spans in it, sorted by
 * offset; a question within a block is answered by one walk over that list.
 * Spans that live all through a block are in the way of all that asks there, so
 * neighbours among them are one span.
 *
 * A question over several blocks has two that it covers in part, at its ends.
 * Of those between it wants to know only which bytes are taken at any time: a
 * tree over the blocks has that for 1, 2, 4, .. of them, as few spans.  All
 * these lists are merged, and the walk is over what comes out. */
#include "memory_gaps.h"
#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCKS = 64 };

typedef struct Spans {
    Span *span; /* sorted by offset */
    size_t n, cap;
} Spans;

struct Gaps {
    Arena *arena;
    uint32_t steps; /* of a block */
    Spans block[BLOCKS];
    /* What is taken at any of a node's steps; spans lie apart, and their steps
     * are all steps.  Node BLOCKS + b is block b, i has 2 i and 2 i + 1. */
    Spans node[2 * BLOCKS];
    Spans merged[2];
};

Gaps *gaps_new(uint32_t n_steps, Arena *a)
{
    Gaps *g = arena_alloc(a, sizeof *g);
    g->arena = a;
    g->steps = n_steps / BLOCKS + 1;
    return g;
}

void gaps_clear(Gaps *g)
{
    for (int b = 0; b < BLOCKS; b++)
        g->block[b].n = 0;
    for (int i = 0; i < 2 * BLOCKS; i++)
        g->node[i].n = 0;
}

/* ---- taking ------------------------------------------------------------- */

/* The first that begins above offset. */
static size_t above(const Spans *s, int64_t offset)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->span[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert(Spans *s, size_t at, const Span *x, Arena *a)
{
    ARENA_PUSH(a, s->span, s->n, s->cap, *x);
    memmove(&s->span[at + 1], &s->span[at], (s->n - 1 - at) * sizeof *x);
    s->span[at] = *x;
}

static bool covers(const Span *x, uint32_t first, uint32_t last)
{
    return x->first <= first && x->last >= last;
}

/* x becomes part of neighbours that, as it does, cover the steps first ..
 * last. */
static bool join(Spans *s, size_t at, const Span *x, uint32_t first,
                 uint32_t last)
{
    Span *below = at ? &s->span[at - 1] : NULL;
    Span *behind = at < s->n ? &s->span[at] : NULL;
    bool low = below && below->end == x->offset && covers(below, first, last);
    bool high =
        behind && behind->offset == x->end && covers(behind, first, last);
    if (low && high) {
        below->end = behind->end;
        memmove(behind, behind + 1, (--s->n - at) * sizeof *x);
    } else if (low) {
        below->end = x->end;
    } else if (high) {
        behind->offset = x->offset;
    }
    return low || high;
}

/* The first that ends at or behind offset; of a node, whose spans lie apart. */
static size_t reaching(const Spans *s, int64_t offset)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->span[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The spans of a node that x touches become one with it. */
static void cover(Spans *s, const Span *x, Arena *a)
{
    size_t from = reaching(s, x->offset), to = above(s, x->end);
    if (from == to) {
        insert(s, from, &(Span){x->offset, x->end, 0, UINT32_MAX}, a);
        return;
    }
    Span *one = &s->span[from];
    int64_t end = s->span[to - 1].end;
    one->offset = one->offset < x->offset ? one->offset : x->offset;
    one->end = end > x->end ? end : x->end;
    memmove(one + 1, &s->span[to], (s->n - to) * sizeof *one);
    s->n -= to - from - 1;
}

void gaps_take(Gaps *g, const Span *x)
{
    uint32_t begin = x->first / g->steps, end = x->last / g->steps;
    assert(end < BLOCKS && "a step there is");
    for (uint32_t b = begin; b <= end; b++) {
        Spans *s = &g->block[b];
        uint32_t first = b * g->steps, last = first + g->steps - 1;
        size_t at = above(s, x->offset);
        if (!covers(x, first, last) || !join(s, at, x, first, last))
            insert(s, at, x, g->arena);
    }
    for (begin += BLOCKS, end += BLOCKS; begin; begin /= 2, end /= 2)
        for (uint32_t i = begin; i <= end; i++)
            cover(&g->node[i], x, g->arena);
}

/* ---- finding ------------------------------------------------------------ */

static int64_t find(const Spans *s, int64_t room, uint32_t first, uint32_t last)
{
    int64_t end = 0, best = -1, best_size = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const Span *x = &s->span[i];
        if (x->first > last || x->last < first)
            continue;
        int64_t gap = x->offset - end;
        if (gap >= room && gap < best_size) {
            best = end;
            best_size = gap;
        }
        if (x->end > end)
            end = x->end;
    }
    return best >= 0 ? best : end;
}

/* Those of the list at these steps. */
static void merge(Gaps *g, const Spans *list, uint32_t first, uint32_t last)
{
    Spans *now = &g->merged[0], *to = &g->merged[1];
    to->n = 0;
    for (size_t i = 0, k = 0; i < now->n || k < list->n;) {
        bool old = k == list->n ||
                   (i < now->n && now->span[i].offset <= list->span[k].offset);
        const Span *x = old ? &now->span[i++] : &list->span[k++];
        Span *before = to->n ? &to->span[to->n - 1] : NULL;
        if (x->first > last || x->last < first)
            continue;
        if (!before || before->end < x->offset)
            ARENA_PUSH(g->arena, to->span, to->n, to->cap,
                       ((Span){x->offset, x->end, 0, UINT32_MAX}));
        else if (x->end > before->end)
            before->end = x->end;
    }
    Spans swap = *now;
    *now = *to;
    *to = swap;
}

int64_t gaps_find(Gaps *g, int64_t room, uint32_t first, uint32_t last)
{
    uint32_t begin = first / g->steps, end = last / g->steps;
    if (begin == end)
        return find(&g->block[begin], room, first, last);
    g->merged[0].n = 0;
    merge(g, &g->block[begin], first, last);
    merge(g, &g->block[end], first, last);
    for (begin += BLOCKS + 1, end += BLOCKS; begin < end;
         begin /= 2, end /= 2) {
        if (begin % 2)
            merge(g, &g->node[begin++], first, last);
        if (end % 2)
            merge(g, &g->node[--end], first, last);
    }
    return find(&g->merged[0], room, first, last);
}
