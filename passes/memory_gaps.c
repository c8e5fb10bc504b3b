/* memory_gaps.c: see memory_gaps.h.
 *
 * A list of all spans, sorted by offset, answers any question by one walk over
 * it.  So that a thousand layers do not take a million times one layer's time,
 * the steps are cut into blocks, each with a list of its own, and a question
 * within a block walks that: the spans of the block's own values, and those of
 * the values that live from far before to far behind it.  The latter are in the
 * way of all that asks, so neighbours among them are one span. */
#include "memory_gaps.h"
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 64 };

typedef struct Spans {
    Span *span; /* sorted by offset */
    size_t n, cap;
    size_t sorted; /* the list of all: how many are; the rest wait behind */
} Spans;

struct Gaps {
    Arena *arena;
    uint32_t steps; /* of a block */
    Spans all, block[BLOCKS];
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
    g->all.n = g->all.sorted = 0;
    for (int b = 0; b < BLOCKS; b++)
        g->block[b].n = 0;
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

void gaps_take(Gaps *g, const Span *x)
{
    assert(x->last / g->steps < BLOCKS && "a step there is");
    for (uint32_t b = x->first / g->steps; b <= x->last / g->steps; b++) {
        Spans *s = &g->block[b];
        uint32_t first = b * g->steps, last = first + g->steps - 1;
        size_t at = above(s, x->offset);
        if (!covers(x, first, last) || !join(s, at, x, first, last))
            insert(s, at, x, g->arena);
    }
    ARENA_PUSH(g->arena, g->all.span, g->all.n, g->all.cap, *x);
}

/* ---- finding ------------------------------------------------------------ */

static int by_offset(const void *a, const void *b)
{
    const Span *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Those that wait behind the list of all are sorted and merged into it: no more
 * work than the walk that comes next. */
static void settle(Spans *s, Arena *a)
{
    size_t wait = s->n - s->sorted, i = s->sorted, k = s->n;
    if (!wait)
        return;
    Span *late = arena_copy(a, s->span + s->sorted, wait * sizeof *late);
    qsort(late, wait, sizeof *late, by_offset);
    while (wait) {
        bool is_late = !i || s->span[i - 1].offset <= late[wait - 1].offset;
        s->span[--k] = is_late ? late[--wait] : s->span[--i];
    }
    s->sorted = s->n;
}

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

int64_t gaps_find(Gaps *g, int64_t room, uint32_t first, uint32_t last)
{
    if (first / g->steps == last / g->steps)
        return find(&g->block[first / g->steps], room, first, last);
    settle(&g->all, g->arena);
    return find(&g->all, room, first, last);
}
