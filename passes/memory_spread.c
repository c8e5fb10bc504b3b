/* memory_spread.c: buffers that do not lie where somebody has just been.
 *
 * On a machine that runs steps side by side, who writes where another has just
 * read waits for it, though it needs nothing of it.  So, in the bytes that the
 * arena has anyway, each buffer moves to where nobody is for the most steps
 * before and behind its life:
 *
 *     bytes                                bytes
 *       |  ####   = = =                      |  ####
 *       |  ##########  = = =      becomes    |  ##########  = = =
 *       |      ####                          |      ####   - - -
 *       +------------------> steps           +------------------> steps
 */
#include "memory.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    MANY = 4096, /* buffers, among which looking around takes too long */
    SWEEPS = 2,
    CLOSER = 2 /* if not so many steps, then so many times fewer */
};

typedef struct Item {
    uint32_t buffer, first, last;
    int64_t offset, room;
} Item;

typedef struct Spread {
    Item *item; /* by offset */
    uint32_t n, n_steps;
    int64_t base, end; /* of what they may take */
} Spread;

/* Is it in the way of who wants its bytes at these steps? */
static bool in_the_way(const Item *x, uint32_t first, uint32_t last)
{
    return x->first <= last && x->last >= first;
}

/* The smallest gap of the item's size, and in it the item; where it lies
 * already if that will do; -1: there is none. */
static int64_t find_gap(const Spread *s, const Item *item, uint32_t first,
                        uint32_t last)
{
    int64_t end = s->base, best = -1, best_size = INT64_MAX;
    for (uint32_t i = 0; i <= s->n; i++) {
        const Item *x = i < s->n ? &s->item[i] : NULL;
        if (x && (x == item || !in_the_way(x, first, last)))
            continue;
        int64_t from = x ? x->offset : s->end, gap = from - end;
        if (end <= item->offset && item->offset + item->room <= from)
            return item->offset;
        if (gap >= item->room && gap < best_size) {
            best = end;
            best_size = gap;
        }
        if (x && x->offset + x->room > end)
            end = x->offset + x->room;
    }
    return best;
}

static int64_t find_far(const Spread *s, const Item *item)
{
    for (uint32_t wide = s->n_steps; wide; wide /= CLOSER) {
        uint32_t first = item->first > wide ? item->first - wide : 0;
        int64_t at = find_gap(s, item, first, item->last + wide);
        if (at >= 0)
            return at;
    }
    return item->offset;
}

static void move(Spread *s, uint32_t at, int64_t offset)
{
    Item item = s->item[at];
    item.offset = offset;
    memmove(&s->item[at], &s->item[at + 1], (s->n - 1 - at) * sizeof *s->item);
    for (at = 0; at < s->n - 1 && s->item[at].offset < offset; at++)
        ;
    memmove(&s->item[at + 1], &s->item[at], (s->n - 1 - at) * sizeof *s->item);
    s->item[at] = item;
}

static int by_offset(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->buffer < y->buffer ? -1 : 1;
}

/* In the order of the buffers' numbers, which is that of their first steps. */
static void sweep(Spread *s, uint32_t first)
{
    for (uint32_t b = first; b < first + s->n; b++) {
        uint32_t at = 0;
        while (s->item[at].buffer != b)
            at++;
        int64_t offset = find_far(s, &s->item[at]);
        if (offset != s->item[at].offset)
            move(s, at, offset);
    }
}

void memory_spread(const Graph *g, MemoryPlan *p, uint32_t first, int64_t base)
{
    Spread s = {.n = p->n_buffers - first, .base = base, .end = p->arena_bytes};
    if (s.n > MANY)
        return;
    s.item = calloc((size_t)s.n + 1, sizeof *s.item);
    assert(s.item && "memory for a list of buffers");
    for (uint32_t i = 0; i < s.n; i++) {
        const Buffer *b = &p->buffer[first + i];
        s.item[i] = (Item){.buffer = first + i,
                           .first = b->first,
                           .last = b->last,
                           .offset = b->offset,
                           .room = memory_room(g, b)};
        if (b->last >= s.n_steps)
            s.n_steps = b->last + 1;
    }
    qsort(s.item, s.n, sizeof *s.item, by_offset);
    for (int i = 0; i < SWEEPS; i++)
        sweep(&s, first);
    for (uint32_t i = 0; i < s.n; i++)
        p->buffer[s.item[i].buffer].offset = s.item[i].offset;
    free(s.item);
}
