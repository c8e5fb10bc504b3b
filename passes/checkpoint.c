/* checkpoint.c: computes again in the backward pass what there is no room to
 * keep, where the setting `memory` asks for it.
 *
 * Between `fuse` and `schedule`: kernels are formed, so what is kept or made
 * again is what really lies in memory, and copies of kernels cannot be fused
 * back into the forward pass; and the list is the order, so a copy runs where
 * it stands.
 *
 * The chain model (checkpoint_chain.c) offers choices for a ladder of bytes,
 * always the same ones for a graph.  What a choice really takes is measured by
 * scheduling and placing the graph; the cheapest choice that fits is taken by
 * bisection.  So more memory never costs more time.  Where none fits, the one
 * that takes least stays, and whoever checks the plan refuses it. */
#include "checkpoint.h"
#include "memory.h"
#include "passes.h"
#include <math.h>
#include <string.h>

enum { RUNGS = 64 };

typedef struct Search {
    Chain chain;
    Graph *g;
    PassContext *c;
    int64_t base;   /* where the arena's activations begin */
    int64_t budget; /* for the arena */
    int64_t low, high;
} Search;

/* Arena of the graph as it will be planned; -1: it cannot be. */
static int64_t measure(const Search *s, Graph *g)
{
    Graph *ordered = schedule_graph(g, s->c);
    int64_t bytes = ordered ? memory_measure(ordered, s->c, s->base) : -1;
    graph_free(ordered);
    return bytes;
}

/* Rung 0 asks for least. */
static int64_t rung_bytes(const Search *s, int rung)
{
    double ratio = (double)s->high / (double)s->low;
    return (int64_t)((double)s->low * pow(ratio, (double)rung / (RUNGS - 1)));
}

/* The graph of a rung, or NULL; what it takes. */
static Graph *try_rung(const Search *s, int rung, int64_t *bytes)
{
    Choice choice;
    if (!chain_choose(&s->chain, rung_bytes(s, rung), &choice))
        return NULL;
    Graph *g = chain_rewrite(&s->chain, s->g, &choice);
    *bytes = measure(s, g);
    if (*bytes >= 0)
        return g;
    graph_free(g);
    return NULL;
}

/* The highest rung that fits; else the graph that takes least of those tried.
 * NULL: nothing can be done. */
static Graph *search_rungs(const Search *s)
{
    int low = 0, high = RUNGS;
    Graph *best = NULL;
    int64_t best_bytes = INT64_MAX;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int64_t bytes = INT64_MAX;
        Graph *g = try_rung(s, middle, &bytes);
        bool fits = g && bytes <= s->budget;
        if (fits)
            low = middle + 1;
        else
            high = middle;
        if (g && (fits || bytes < best_bytes)) {
            graph_free(best);
            best = g;
            best_bytes = bytes;
        } else {
            graph_free(g);
        }
    }
    return best;
}

static Graph *checkpoint_graph(Graph *g, PassContext *c, int64_t base,
                               int64_t budget)
{
    Arena *a = arena_new();
    Search s = {.g = g, .c = c, .base = base, .budget = budget};
    Graph *now = g;
    int64_t bytes = measure(&s, g);
    if (bytes > budget) {
        s.chain = chain_find(g, a);
        s.low = chain_least(&s.chain);
        s.high = chain_most(&s.chain);
        if (s.chain.n_cuts > 1 && s.high > s.low && s.low > 0) {
            Graph *less = search_rungs(&s);
            now = less ? less : g;
        }
    }
    arena_free(a);
    return now;
}

static bool run(Module *m, PassContext *c)
{
    double memory = settings_number(&m->settings, "memory");
    if (memory <= 0)
        return true;
    if (!memory_sizes_fit(m, c))
        return false;
    int64_t budget = (int64_t)memory;
    if (c->target && c->target->scratch)
        budget -= target_scratch_all(c->target, m);
    int64_t base = memory_base(m, c);
    for (size_t i = 0; i < m->n_graphs; i++) {
        if (!graph_trains(m->graph[i]))
            continue;
        Graph *now = checkpoint_graph(m->graph[i], c, base, budget);
        if (now != m->graph[i])
            module_add_graph(m, now);
    }
    return true;
}

const Pass pass_checkpoint = {
    .name = "checkpoint",
    .doc = "where the setting `memory` leaves no room, drops what the forward "
           "pass made and computes it again in the backward pass: as little "
           "as the planned peak allows",
    .needs = F_PLAIN,
    .breaks = F_ORDERED,
    .run = run,
};
