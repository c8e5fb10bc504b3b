/* edges.c: see edges.h.
 *
 * Bytes that all tasks so far have used alike are a segment, which knows its
 * last writer and who has read it since.  A task cuts segments where its spans
 * begin and end; what it writes becomes one.  So all that is done is in
 * proportion to the edges found, but for a search in a sorted list. */
#include "edges.h"
#include <stdlib.h>
#include <string.h>

enum { NONE = -1, CHAINS = 64 };

typedef struct Reader {
    int32_t task, next; /* in Finder.reader */
} Reader;

typedef struct Segment {
    int32_t writer, readers;
} Segment;

typedef struct Finder {
    const EdgeTask *task;
    uint32_t n;
    int64_t *place; /* where spans begin and end, sorted, each once */
    size_t n_places;
    /* Segments begin at some of the places: those whose bit is set. */
    uint64_t *begins;
    Segment *segment;
    Reader *reader;
    size_t n_readers, cap_readers;
    int32_t *seen; /* [task]: the last one that an edge to it was noted for */
    uint32_t *start, *to; /* edges as found */
    size_t n_to, cap_to;
    bool full; /* no memory */
} Finder;

static bool grow(void **list, size_t n, size_t *cap, size_t each)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? 2 * *cap : 256;
    void *bigger = realloc(*list, more * each);
    if (!bigger)
        return false;
    *list = bigger;
    *cap = more;
    return true;
}

/* ---- segments ------------------------------------------------------------ */

static int by_place(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static size_t place_of(const Finder *f, int64_t at)
{
    size_t low = 0, high = f->n_places;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->place[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool find_places(Finder *f)
{
    size_t n = 0, left = 0;
    for (uint32_t k = 0; k < f->n; k++)
        n += 2 * (size_t)f->task[k].n_spans;
    f->place = calloc(n + 1, sizeof *f->place);
    f->segment = calloc(n + 1, sizeof *f->segment);
    f->begins = calloc(n / 64 + 1, sizeof *f->begins);
    if (!f->place || !f->segment || !f->begins)
        return false;
    for (uint32_t k = 0; k < f->n; k++)
        for (uint32_t i = 0; i < f->task[k].n_spans; i++) {
            const EdgeSpan *s = &f->task[k].span[i];
            f->place[f->n_places++] = s->offset;
            f->place[f->n_places++] = s->offset + s->bytes;
        }
    qsort(f->place, n, sizeof *f->place, by_place);
    for (size_t i = 0; i < n; i++)
        if (!left || f->place[left - 1] != f->place[i])
            f->place[left++] = f->place[i];
    f->n_places = left;
    f->begins[0] = 1;
    f->segment[0] = (Segment){NONE, NONE};
    return true;
}

static bool is_begin(const Finder *f, size_t at)
{
    return f->begins[at / 64] >> at % 64 & 1;
}

/* The first segment that begins at `at` or behind it; n_places: none. */
static size_t begin_from(const Finder *f, size_t at)
{
    if (at >= f->n_places)
        return f->n_places;
    uint64_t word = f->begins[at / 64] & ~UINT64_C(0) << at % 64;
    for (size_t i = at / 64;; word = f->begins[i]) {
        if (word)
            return i * 64 + (size_t)__builtin_ctzll(word);
        if (++i * 64 >= f->n_places)
            return f->n_places;
    }
}

/* The segment that `at` is in: there is one, place 0 always begins one. */
static size_t begin_before(const Finder *f, size_t at)
{
    uint64_t word = f->begins[at / 64] & ~UINT64_C(0) >> (63 - at % 64);
    size_t i = at / 64;
    while (!word)
        word = f->begins[--i];
    return i * 64 + 63 - (size_t)__builtin_clzll(word);
}

static void cut(Finder *f, size_t at)
{
    if (at >= f->n_places || is_begin(f, at))
        return;
    f->segment[at] = f->segment[begin_before(f, at)];
    f->begins[at / 64] |= UINT64_C(1) << at % 64;
}

/* ---- edges, as found ------------------------------------------------------
 */

static void note(Finder *f, uint32_t task, int32_t before)
{
    if (before == NONE || (uint32_t)before == task ||
        f->seen[before] == (int32_t)task)
        return;
    f->seen[before] = (int32_t)task;
    void *list = f->to;
    f->full |= !grow(&list, f->n_to, &f->cap_to, sizeof *f->to);
    f->to = list;
    if (!f->full)
        f->to[f->n_to++] = (uint32_t)before;
}

static void note_span(Finder *f, uint32_t task, const EdgeSpan *s)
{
    size_t end = place_of(f, s->offset + s->bytes);
    size_t at = place_of(f, s->offset);
    cut(f, at);
    cut(f, end);
    for (; at < end; at = begin_from(f, at + 1)) {
        const Segment *x = &f->segment[at];
        /* Readers have waited for the writer. */
        if (!s->written || x->readers == NONE)
            note(f, task, x->writer);
        for (int32_t r = x->readers; s->written && r != NONE;
             r = f->reader[r].next)
            note(f, task, f->reader[r].task);
    }
}

static void mark_read(Finder *f, uint32_t task, Segment *x)
{
    if (x->readers != NONE && f->reader[x->readers].task == (int32_t)task)
        return;
    void *list = f->reader;
    f->full |= !grow(&list, f->n_readers, &f->cap_readers, sizeof *f->reader);
    f->reader = list;
    if (f->full)
        return;
    f->reader[f->n_readers] = (Reader){(int32_t)task, x->readers};
    x->readers = (int32_t)f->n_readers++;
}

static void mark_span(Finder *f, uint32_t task, const EdgeSpan *s)
{
    size_t begin = place_of(f, s->offset);
    size_t end = place_of(f, s->offset + s->bytes);
    for (size_t at = begin; at < end; at = begin_from(f, at + 1)) {
        if (!s->written)
            mark_read(f, task, &f->segment[at]);
        else if (at != begin)
            f->begins[at / 64] &= ~(UINT64_C(1) << at % 64);
    }
    if (s->written && begin < end) {
        f->segment[begin] = (Segment){(int32_t)task, NONE};
        f->begins[begin / 64] |= UINT64_C(1) << begin % 64;
    }
}

static void find_task(Finder *f, uint32_t k)
{
    const EdgeTask *t = &f->task[k];
    for (uint32_t i = 0; i < t->n_spans; i++)
        note_span(f, k, &t->span[i]);
    for (int written = 0; written < 2; written++)
        for (uint32_t i = 0; i < t->n_spans; i++)
            if (t->span[i].written == (bool)written)
                mark_span(f, k, &t->span[i]);
}

static bool find_all(Finder *f)
{
    f->start = calloc((size_t)f->n + 1, sizeof *f->start);
    f->seen = malloc(((size_t)f->n + 1) * sizeof *f->seen);
    if (!f->start || !f->seen || !find_places(f))
        return false;
    memset(f->seen, 0xff, ((size_t)f->n + 1) * sizeof *f->seen);
    for (uint32_t k = 0; k < f->n && !f->full; k++) {
        f->start[k] = (uint32_t)f->n_to;
        find_task(f, k);
    }
    f->start[f->n] = (uint32_t)f->n_to;
    return !f->full;
}

static void finder_free(Finder *f)
{
    free(f->place);
    free(f->begins);
    free(f->segment);
    free(f->reader);
    free(f->seen);
    free(f->start);
    free(f->to);
}

/* ---- edges that others make unnecessary -----------------------------------
 *
 * Tasks are chains, each of whose members waits for the one before; a task goes
 * on in the chain of one that it waits for, and the most urgent one does.  For
 * each of some chains a task knows how far along it all comes before itself: so
 * an edge to what another edge leads to is found without a search.  Of more
 * chains the one that has had no member for the longest time is forgotten. */

typedef struct Chains {
    const Finder *f;
    uint32_t *height; /* [task]: tasks on the longest chain from here on */
    int32_t *heir;    /* [task]: the most urgent that waits for it */
    int32_t *born;    /* [task]: the first of its chain */
    uint8_t *chain;   /* [task] */
    int32_t *known;   /* [task][CHAINS]: the last that comes before, or is it */
    int32_t end[CHAINS]; /* the last member of each, so far */
} Chains;

static bool chains_open(Chains *c, const Finder *f)
{
    size_t n = (size_t)f->n + 1;
    c->f = f;
    c->height = calloc(n, sizeof *c->height);
    c->heir = malloc(n * sizeof *c->heir);
    c->born = calloc(n, sizeof *c->born);
    c->chain = calloc(n, sizeof *c->chain);
    c->known = malloc(n * CHAINS * sizeof *c->known);
    memset(c->end, 0xff, sizeof c->end);
    if (!c->height || !c->heir || !c->born || !c->chain || !c->known)
        return false;
    memset(c->heir, 0xff, n * sizeof *c->heir);
    memset(c->known, 0xff, n * CHAINS * sizeof *c->known);
    return true;
}

static void chains_close(Chains *c)
{
    free(c->height);
    free(c->heir);
    free(c->born);
    free(c->chain);
    free(c->known);
}

static void find_heirs(Chains *c)
{
    const Finder *f = c->f;
    for (uint32_t k = f->n; k-- > 0;) {
        c->height[k]++;
        for (uint32_t i = f->start[k]; i < f->start[k + 1]; i++) {
            uint32_t p = f->to[i];
            if (c->height[p] > c->height[k])
                continue;
            c->height[p] = c->height[k];
            c->heir[p] = (int32_t)k;
        }
    }
}

/* Does it come before k, by what k knows already? */
static bool is_known(const Chains *c, uint32_t k, uint32_t p)
{
    int32_t last = c->known[(size_t)k * CHAINS + c->chain[p]];
    return last >= (int32_t)p && c->born[last] == c->born[p];
}

static void learn(Chains *c, uint32_t k, uint32_t p)
{
    int32_t *to = &c->known[(size_t)k * CHAINS];
    const int32_t *from = &c->known[(size_t)p * CHAINS];
    for (int i = 0; i < CHAINS; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

static void join_chain(Chains *c, uint32_t k, const uint32_t *to, uint32_t n)
{
    int32_t best = NONE;
    int oldest = 0;
    for (uint32_t i = 0; i < n; i++)
        if (c->heir[to[i]] == (int32_t)k &&
            (best == NONE || c->born[to[i]] < c->born[best]))
            best = (int32_t)to[i];
    for (int i = 0; i < CHAINS; i++)
        oldest = c->end[i] < c->end[oldest] ? i : oldest;
    /* What it went on from may be forgotten by now. */
    bool goes_on = best != NONE && c->end[c->chain[best]] == best;
    c->chain[k] = goes_on ? c->chain[best] : (uint8_t)oldest;
    c->born[k] = goes_on ? c->born[best] : (int32_t)k;
    c->end[c->chain[k]] = (int32_t)k;
    c->known[(size_t)k * CHAINS + c->chain[k]] = (int32_t)k;
}

static int latest_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* Keeps those of the task's edges that are needed, at to[0] .. */
static uint32_t reduce_task(Chains *c, uint32_t k, uint32_t *to)
{
    const Finder *f = c->f;
    uint32_t n = f->start[k + 1] - f->start[k], left = 0;
    if (n) /* there may be no edges at all */
        memcpy(to, f->to + f->start[k], n * sizeof *to);
    qsort(to, n, sizeof *to, latest_first);
    for (uint32_t i = 0; i < n; i++)
        if (!is_known(c, k, to[i])) {
            to[left++] = to[i];
            learn(c, k, to[i]);
        }
    join_chain(c, k, to, left);
    return left;
}

static bool reduce(const Finder *f, Edges *e)
{
    Chains c = {0};
    e->n = f->n;
    e->start = calloc((size_t)f->n + 1, sizeof *e->start);
    e->to = calloc(f->n_to + 1, sizeof *e->to);
    bool room = e->start && e->to && chains_open(&c, f);
    if (room) {
        find_heirs(&c);
        for (uint32_t k = 0; k < f->n; k++)
            e->start[k + 1] =
                e->start[k] + reduce_task(&c, k, e->to + e->start[k]);
    }
    chains_close(&c);
    return room;
}

/* ---- for others -----------------------------------------------------------
 */

bool edges_find(const EdgeTask *task, uint32_t n, Edges *e, Status *s)
{
    Finder f = {.task = task, .n = n};
    *e = (Edges){0};
    bool done = n < INT32_MAX && find_all(&f) && reduce(&f, e);
    finder_free(&f);
    return done || status_fail(s, "no memory for the order of %u kernels", n);
}

void edges_free(Edges *e)
{
    free(e->start);
    free(e->to);
    *e = (Edges){0};
}

uint32_t edges_longest(const Edges *e)
{
    uint32_t longest = 0, *depth = calloc((size_t)e->n + 1, sizeof *depth);
    for (uint32_t k = 0; depth && k < e->n; k++) {
        for (uint32_t i = e->start[k]; i < e->start[k + 1]; i++)
            if (depth[e->to[i]] > depth[k])
                depth[k] = depth[e->to[i]];
        if (++depth[k] > longest)
            longest = depth[k];
    }
    free(depth);
    return longest;
}

/* Where nothing is shared, the number of a buffer stands for its bytes. */
static EdgeSpan span_of(const PlanGraph *g, const PlanStep *s, uint32_t k,
                        bool shared)
{
    uint32_t number = g->args[s->arg + k];
    const PlanBuffer *b = &g->buffers[number];
    return (EdgeSpan){.offset = shared ? b->offset : number,
                      .bytes = shared ? b->bytes : 1,
                      .written = k < s->n_out};
}

/* Behind all offsets, and all numbers of buffers. */
EdgeSpan edges_cudnn(const Plan *plan)
{
    return (EdgeSpan){plan->arena_bytes + (int64_t)UINT32_MAX, 1, true};
}

uint32_t edges_of_graph(const Plan *plan, const PlanGraph *g, bool shared)
{
    EdgeTask *task = calloc((size_t)g->n_steps + 1, sizeof *task);
    EdgeSpan *all = calloc((size_t)g->n_args + g->n_steps + 1, sizeof *all);
    EdgeSpan *span = all;
    Edges e = {0};
    Status s = {0};
    uint32_t longest = 0;
    for (uint32_t i = 0; task && all && i < g->n_steps; i++) {
        const PlanStep *step = &g->steps[i];
        task[i].span = span;
        for (uint32_t k = 0; k < step->n_args; k++)
            *span++ = span_of(g, step, k, shared);
        if (plan->kernels[step->kernel].conv)
            *span++ = edges_cudnn(plan);
        task[i].n_spans = (uint32_t)(span - task[i].span);
    }
    if (task && all && edges_find(task, g->n_steps, &e, &s))
        longest = edges_longest(&e);
    edges_free(&e);
    free(task);
    free(all);
    return longest;
}
