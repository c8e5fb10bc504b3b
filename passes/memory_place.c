/* memory_place.c: where each buffer lies, so that the arena is small.
 *
 * Buffers are put one after the other into the smallest gap that they fit in,
 * between those placed before that are live at the same time.  The order
 * decides how good that is: large ones first is best for some nets, long-lived
 * ones first for others (J. Lee et al., "On-device neural net inference with
 * mobile GPUs", 2019, compares such orders).  All are tried until one reaches
 * the bytes live at once, below which nothing can go. */
#include "memory.h"
#include "memory_gaps.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int64_t memory_align(int64_t bytes)
{
    return (bytes + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
}

int64_t memory_room(const Graph *g, const Buffer *b)
{
    return buffer_room(g, b);
}

/* ---- orders ------------------------------------------------------------- */

typedef struct Item {
    uint32_t buffer, first, last;
    int64_t room, offset;
} Item;

typedef int ItemOrder(const void *a, const void *b);

static int by_number(double x, double y)
{
    return x > y ? -1 : x < y; /* the largest first */
}

static double life(const Item *i)
{
    return (double)i->last - (double)i->first + 1;
}

static int by_place(const Item *x, const Item *y)
{
    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static int by_size(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    int c = by_number((double)x->room, (double)y->room);
    c = c ? c : by_number(life(x), life(y));
    return c ? c : by_place(x, y);
}

static int by_life(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    int c = by_number(life(x), life(y));
    c = c ? c : by_number((double)x->room, (double)y->room);
    return c ? c : by_place(x, y);
}

static int by_area(const void *a, const void *b)
{
    const Item *x = a, *y = b;
    int c = by_number((double)x->room * life(x), (double)y->room * life(y));
    return c ? c : by_place(x, y);
}

static int by_start(const void *a, const void *b)
{
    return by_place(a, b);
}

static ItemOrder *const orders[] = {by_life, by_size, by_area, by_start};
enum {
    N_ORDERS = sizeof orders / sizeof *orders,
    FEW = 96,     /* items, for which more orders are tried: */
    ADVANCES = 16 /* after each of those above */
};

/* ---- one order ---------------------------------------------------------- */

/* Sets the items' offsets; returns the end of the last one, or no less than
 * `most` as soon as it is that. */
static int64_t place_in_order(Item *item, uint32_t n, Gaps *gaps, int64_t most)
{
    int64_t end = 0;
    gaps_clear(gaps);
    for (uint32_t i = 0; i < n && end < most; i++) {
        Item *x = &item[i];
        x->offset = gaps_find(gaps, x->room, x->first, x->last);
        Span span = {x->offset, x->offset + x->room, x->first, x->last};
        gaps_take(gaps, &span);
        if (span.end > end)
            end = span.end;
    }
    return end;
}

/* ---- all of them -------------------------------------------------------- */

/* The most bytes that items hold at one step, and which step that is. */
static int64_t most_live(const Item *item, uint32_t n, uint32_t n_steps,
                         uint32_t *at)
{
    int64_t *change = calloc((size_t)n_steps + 1, sizeof *change);
    assert(change && "memory for a number a step");
    for (uint32_t i = 0; i < n; i++) {
        change[item[i].first] += item[i].room;
        change[item[i].last + 1] -= item[i].room;
    }
    int64_t live = 0, most = 0;
    *at = 0;
    for (uint32_t k = 0; k < n_steps; k++) {
        live += change[k];
        if (live > most) {
            most = live;
            *at = k;
        }
    }
    free(change);
    return most;
}

typedef struct Placing {
    Item *item;
    uint32_t n;
    Gaps *gaps;
    MemoryPlan *plan;
    int64_t base, best; /* where they begin; end of the best order so far */
} Placing;

/* Takes the order where it is better; returns its end, or that of the item at
 * which it was no better any more. */
static int64_t try_order(Placing *x)
{
    int64_t end = place_in_order(x->item, x->n, x->gaps, x->best);
    if (end >= x->best)
        return end;
    x->best = end;
    for (uint32_t i = 0; i < x->n; i++)
        x->plan->buffer[x->item[i].buffer].offset = x->base + x->item[i].offset;
    return end;
}

/* The item that reaches furthest comes first the next time. */
static void advance_furthest(Placing *x, int64_t end)
{
    uint32_t i = 0;
    while (i < x->n - 1 && x->item[i].offset + x->item[i].room != end)
        i++;
    Item furthest = x->item[i];
    memmove(&x->item[1], &x->item[0], i * sizeof *x->item);
    x->item[0] = furthest;
}

static int64_t place_items(Item *item, uint32_t n, uint32_t n_steps,
                           int64_t bound, MemoryPlan *p, int64_t base)
{
    Arena *a = arena_new();
    Placing x = {item, n, gaps_new(n_steps, a), p, base, INT64_MAX};
    for (int o = 0; o < N_ORDERS && n && x.best > bound; o++) {
        qsort(item, n, sizeof *item, orders[o]);
        try_order(&x);
    }
    for (int o = 0; o < N_ORDERS && n && n <= FEW && x.best > bound; o++) {
        qsort(item, n, sizeof *item, orders[o]);
        for (int i = 0; i < ADVANCES && x.best > bound; i++)
            advance_furthest(&x, try_order(&x));
    }
    arena_free(a);
    return n ? x.best : 0;
}

void memory_place(const Graph *g, MemoryPlan *p, uint32_t first, int64_t base,
                  uint32_t n_steps)
{
    uint32_t n = p->n_buffers - first;
    Item *item = calloc((size_t)n + 1, sizeof *item);
    assert(item && "memory for a list of buffers");
    for (uint32_t i = 0; i < n; i++) {
        const Buffer *b = &p->buffer[first + i];
        item[i] = (Item){.buffer = first + i,
                         .first = b->first,
                         .last = b->last,
                         .room = memory_room(g, b)};
    }
    n_steps = n_steps ? n_steps : 1;
    int64_t bound = most_live(item, n, n_steps, &p->peak_step);
    p->arena_bytes = base + place_items(item, n, n_steps, bound, p, base);
    p->live_bytes = base + bound;
    free(item);
}

/* ---- checking ----------------------------------------------------------- */

typedef struct Check {
    const Graph *g;
    const MemoryPlan *p;
    Error *e;
    uint32_t step;
} Check;

static const Buffer *buffer_of(const Check *c, Value v)
{
    uint32_t i = c->p->of[(size_t)v.node * MAX_OUT + v.out];
    return i < c->p->n_buffers ? &c->p->buffer[i] : NULL;
}

static bool check_value(const Check *c, Value v)
{
    const Buffer *b = buffer_of(c, v);
    if (!b)
        return error_set(c->e, "%%%u has no buffer", v.node);
    if (b->bytes != type_bytes(graph_type(c->g, v)))
        return error_set(c->e, "%%%u is not of its buffer's size", v.node);
    if (c->step < b->first || c->step > b->last)
        return error_set(c->e,
                         "%%%u is used at step %u, its buffer is live "
                         "from %u to %u",
                         v.node, c->step, b->first, b->last);
    return true;
}

static bool check_values(Check *c, const Steps *s)
{
    for (c->step = 0; c->step < s->n; c->step++) {
        const Step *step = &s->step[c->step];
        for (uint32_t i = 0; i < step->n_in; i++)
            if (!check_value(c, step->in[i]))
                return false;
        for (uint32_t i = 0; i < step->n_out; i++)
            if (!check_value(c, step->out[i]))
                return false;
    }
    return true;
}

/* No buffer that starts at this step runs into one that is live: live[] is
 * sorted by offset. */
typedef struct Live {
    const Buffer **buffer;
    size_t n;
} Live;

static int by_number_of(const Buffer *x, const Buffer *y, uint32_t a,
                        uint32_t b)
{
    if (a != b)
        return a < b ? -1 : 1;
    return x < y ? -1 : x > y; /* all are of one array */
}

static int compare_first(const void *a, const void *b)
{
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    return by_number_of(x, y, x->first, y->first);
}

static int compare_last(const void *a, const void *b)
{
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    return by_number_of(x, y, x->last, y->last);
}

/* The first that does not begin below offset. */
static size_t live_at(const Live *l, int64_t offset)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->buffer[middle]->offset < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_live(Live *l, const Buffer *b)
{
    size_t at = live_at(l, b->offset);
    assert(at < l->n && l->buffer[at] == b && "it was added");
    l->n--;
    memmove(&l->buffer[at], &l->buffer[at + 1],
            (l->n - at) * sizeof *l->buffer);
}

static bool add_live(const Check *c, Live *l, const Buffer *b)
{
    int64_t end = b->offset + memory_room(c->g, b);
    size_t at = live_at(l, b->offset);
    const Buffer *before = at ? l->buffer[at - 1] : NULL;
    const Buffer *behind = at < l->n ? l->buffer[at] : NULL;
    if ((before && before->offset + memory_room(c->g, before) > b->offset) ||
        (behind && behind->offset < end))
        return error_set(
            c->e, "buffers of %%%u and %%%u overlap at step %u", b->value.node,
            (behind && behind->offset < end ? behind : before)->value.node,
            b->first);
    if (b->offset % MEMORY_ALIGN || b->offset < 0 || end > c->p->arena_bytes)
        return error_set(c->e, "the buffer of %%%u is not within the arena",
                         b->value.node);
    memmove(&l->buffer[at + 1], &l->buffer[at],
            (l->n - at) * sizeof *l->buffer);
    l->buffer[at] = b;
    l->n++;
    return true;
}

static bool check_overlaps(const Check *c, Arena *a)
{
    const MemoryPlan *p = c->p;
    uint32_t n = p->n_buffers, ended = 0;
    const Buffer **start = arena_array(a, n, sizeof *start);
    const Buffer **end = arena_array(a, n, sizeof *end);
    Live live = {arena_array(a, (size_t)n + 1, sizeof *live.buffer), 0};
    for (uint32_t i = 0; i < n; i++)
        start[i] = end[i] = &p->buffer[i];
    if (n) {
        qsort(start, n, sizeof *start, compare_first);
        qsort(end, n, sizeof *end, compare_last);
    }
    for (uint32_t i = 0; i < n; i++) {
        while (end[ended]->last < start[i]->first)
            drop_live(&live, end[ended++]);
        if (!add_live(c, &live, start[i]))
            return false;
    }
    return true;
}

static bool check_states(const Check *c, const MemoryPlan *first)
{
    for (size_t i = 0; i < c->g->module->n_states; i++)
        if (c->p->buffer[i].kind != BUF_STATE ||
            c->p->buffer[i].offset != first->buffer[i].offset)
            return error_set(c->e,
                             "state %.100s lies elsewhere than in "
                             "another graph",
                             c->g->module->state[i].name);
    return true;
}

bool memory_verify(const Graph *g, const MemoryPlan *first, Error *e)
{
    Arena *a = arena_new();
    Steps s = graph_steps(g, a);
    Check c = {.g = g, .p = g->memory, .e = e};
    bool ok = check_values(&c, &s) && check_overlaps(&c, a) &&
              check_states(&c, first);
    arena_free(a);
    return ok;
}
