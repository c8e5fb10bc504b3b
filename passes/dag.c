/* dag.c: merging nodes of an acyclic graph; see dag.h. */
#include "dag.h"
#include <assert.h>
#include <stdlib.h>

enum { MOST_VISITS = 1000 }; /* nodes looked at in one direction */

void dag_init(Dag *d, Arena *a, uint32_t n)
{
    *d = (Dag){.arena = a, .n = n};
    d->parent = arena_array(a, n, sizeof *d->parent);
    d->rank = arena_array(a, n, sizeof *d->rank);
    d->mark = arena_array(a, n, sizeof *d->mark);
    d->to = arena_array(a, n, sizeof *d->to);
    d->from = arena_array(a, n, sizeof *d->from);
    d->key = arena_array(a, 2 * MOST_VISITS, sizeof *d->key);
    for (uint32_t i = 0; i < n; i++)
        d->parent[i] = d->rank[i] = i;
}

static void push(Dag *d, DagList *l, uint32_t item)
{
    ARENA_PUSH(d->arena, l->item, l->n, l->cap, item);
}

void dag_add_edge(Dag *d, uint32_t from, uint32_t to)
{
    assert(from < to && "edges go up");
    push(d, &d->to[from], to);
    push(d, &d->from[to], from);
}

uint32_t dag_find(Dag *d, uint32_t node)
{
    while (d->parent[node] != node) {
        d->parent[node] = d->parent[d->parent[node]];
        node = d->parent[node];
    }
    return node;
}

/* Collects all that can be reached from `start` along `edges` without going to
 * `end` or past its rank.  False where `end` is reached in two steps or more,
 * or where it takes too long. */
static bool collect(Dag *d, DagList *edges, uint32_t start, uint32_t end,
                    DagList *found)
{
    bool up = d->rank[start] < d->rank[end];
    found->n = 0;
    d->stamp++;
    push(d, found, start);
    for (size_t i = 0; i < found->n; i++) {
        const DagList *next = &edges[found->item[i]];
        for (size_t k = 0; k < next->n; k++) {
            uint32_t v = dag_find(d, next->item[k]);
            if (v == end && i > 0)
                return false;
            if (v == end || v == start || d->mark[v] == d->stamp ||
                (d->rank[v] < d->rank[end]) != up)
                continue;
            if (found->n == MOST_VISITS)
                return false;
            d->mark[v] = d->stamp;
            push(d, found, v);
        }
    }
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The nodes item[1..] of a list, by rank, in the low half of each key. */
static uint64_t *sort_found(const Dag *d, const DagList *l, uint64_t *key)
{
    for (size_t i = 1; i < l->n; i++)
        key[i - 1] = (uint64_t)d->rank[l->item[i]] << 32 | l->item[i];
    qsort(key, l->n - 1, sizeof *key, compare_keys);
    return key;
}

static int compare_numbers(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The ranks of low, high and all that lies between them in either sense are
 * given out anew: first to what leads to high, then to the merged node, then
 * to what low leads to. */
static void give_ranks(Dag *d, uint32_t low, uint32_t high)
{
    const uint64_t *ahead = sort_found(d, &d->ahead, d->key);
    const uint64_t *behind = sort_found(d, &d->behind, d->key + MOST_VISITS);
    size_t n_ahead = d->ahead.n - 1, n_behind = d->behind.n - 1;
    DagList *ranks = &d->ranks;
    ranks->n = 0;
    for (size_t i = 0; i < n_behind; i++)
        push(d, ranks, (uint32_t)(behind[i] >> 32));
    for (size_t i = 0; i < n_ahead; i++)
        push(d, ranks, (uint32_t)(ahead[i] >> 32));
    push(d, ranks, d->rank[low]);
    push(d, ranks, d->rank[high]);
    qsort(ranks->item, ranks->n, sizeof *ranks->item, compare_numbers);
    for (size_t i = 0; i < n_behind; i++)
        d->rank[(uint32_t)behind[i]] = ranks->item[i];
    d->rank[low] = ranks->item[n_behind];
    for (size_t i = 0; i < n_ahead; i++)
        d->rank[(uint32_t)ahead[i]] = ranks->item[n_behind + 2 + i];
}

static void join_lists(Dag *d, DagList *to, const DagList *from, uint32_t self)
{
    size_t n = 0;
    d->stamp++;
    for (size_t pass = 0; pass < 2; pass++) {
        const DagList *l = pass ? from : to;
        size_t count = l->n;
        for (size_t i = 0; i < count; i++) {
            uint32_t v = dag_find(d, l->item[i]);
            if (v == self || d->mark[v] == d->stamp)
                continue;
            d->mark[v] = d->stamp;
            if (pass == 0)
                to->item[n++] = v;
            else
                push(d, to, v);
        }
        if (pass == 0)
            to->n = n;
    }
}

bool dag_merge(Dag *d, uint32_t a, uint32_t b)
{
    uint32_t low = dag_find(d, a), high = dag_find(d, b);
    if (low == high)
        return true;
    if (d->rank[low] > d->rank[high]) {
        uint32_t t = low;
        low = high;
        high = t;
    }
    if (!collect(d, d->to, low, high, &d->ahead) ||
        !collect(d, d->from, high, low, &d->behind))
        return false;
    give_ranks(d, low, high);
    d->parent[high] = low;
    join_lists(d, &d->to[low], &d->to[high], low);
    join_lists(d, &d->from[low], &d->from[high], low);
    return true;
}
