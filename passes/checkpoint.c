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
    Trial trial;
    Chain chain;
    Arena *arena;
    int64_t low, high; /* bytes of the lowest and the highest rung */
} Search;

/* ---- what it comes to ---------------------------------------------------- */

/* Bytes above the budget, summed over the steps. */
static double find_excess(const Graph *g, uint32_t n_steps, int64_t budget,
                          Arena *a)
{
    const MemoryPlan *p = g->memory;
    int64_t *change = arena_array(a, (size_t)n_steps + 2, sizeof *change);
    double excess = 0;
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const Buffer *b = &p->buffer[i];
        change[b->first] += buffer_room(g, b);
        change[b->last + 1] -= buffer_room(g, b);
    }
    for (uint32_t k = 0; k < n_steps; k++) {
        change[k + 1] += change[k];
        if (change[k] > budget)
            excess += (double)(change[k] - budget);
    }
    return excess;
}

static double seconds_again(const Graph *g, const Steps *s, const Target *t)
{
    double seconds = 0;
    for (uint32_t k = 0; k < s->n; k++)
        if (g->node[s->step[k].first].again)
            seconds += t->seconds(t, g, &s->step[k]);
    return seconds;
}

Outcome trial_measure(const Trial *t, Graph *g)
{
    Outcome out = {.bytes = -1};
    Graph *ordered = schedule_graph(g, t->c);
    if (ordered) {
        Arena *a = arena_new();
        Steps s = graph_steps(ordered, a);
        int64_t tables = t->c->target->step_bytes * s.n;
        out.bytes = memory_measure(ordered, t->c, &s, t->base);
        if (out.bytes >= 0)
            out.bytes += tables;
        out.seconds = seconds_again(ordered, &s, t->c->target);
        if (out.bytes > t->budget)
            out.excess = find_excess(ordered, s.n, t->budget - tables, a) +
                         (double)(out.bytes - t->budget);
        arena_free(a);
    }
    graph_free(ordered);
    return out;
}

Outcome trial_run(const Trial *t, const Again *again)
{
    Graph *g = chain_rewrite(t->chain, t->g, again);
    Outcome out = trial_measure(t, g);
    graph_free(g);
    return out;
}

/* ---- rungs --------------------------------------------------------------- */

/* Rung 0 asks for least. */
static int64_t rung_bytes(const Search *s, int rung)
{
    double ratio = (double)s->high / (double)s->low;
    return (int64_t)((double)s->low * pow(ratio, (double)rung / (RUNGS - 1)));
}

/* What the rung says; NULL: it cannot be done. */
static Again *try_rung(const Search *s, int rung, Outcome *out)
{
    Choice choice;
    if (!chain_choose(&s->chain, rung_bytes(s, rung), &choice))
        return NULL;
    Again *again = chain_again(&s->chain, &choice, s->arena);
    *out = trial_run(&s->trial, again);
    return out->bytes >= 0 ? again : NULL;
}

/* The highest rung that fits; else what takes least of those tried.  NULL:
 * nothing can be done. */
static Again *search_rungs(const Search *s)
{
    int low = 0, high = RUNGS;
    Again *best = NULL;
    int64_t best_bytes = INT64_MAX;
    while (low < high) {
        int middle = low + (high - low) / 2;
        Outcome out = {.bytes = INT64_MAX};
        Again *again = try_rung(s, middle, &out);
        bool fits = again && out.bytes <= s->trial.budget;
        if (fits)
            low = middle + 1;
        else
            high = middle;
        if (again && (fits || out.bytes < best_bytes)) {
            best = again;
            best_bytes = out.bytes;
        }
    }
    return best;
}

/* ---- a graph ------------------------------------------------------------- */

static Graph *drop_some(Graph *g, PassContext *c, int64_t base, int64_t budget)
{
    Search s = {.arena = arena_new()};
    bool *joined;
    g = split_prologues(g, s.arena, &joined);
    s.chain = chain_find(g, c->target, s.arena);
    s.chain.joined = joined;
    s.trial = (Trial){&s.chain, g, c, base, budget};
    s.low = chain_least(&s.chain);
    s.high = chain_most(&s.chain);
    Again *again = NULL;
    if (s.chain.n_cuts > 1 && s.high > s.low && s.low > 0)
        again = search_rungs(&s);
    if (!again)
        again = arena_array(s.arena, s.chain.steps.n, sizeof *again);
    Outcome best, exact;
    bool sure;
    Graph *other = search_exact(&s.trial, &exact, &sure);
    if (!other || !sure)
        search_near(&s.trial, again);
    Graph *now = chain_rewrite(&s.chain, g, again);
    if (other) {
        best = trial_measure(&s.trial, now);
        bool wins = outcome_is_better(&exact, &best);
        graph_free(wins ? now : other);
        now = wins ? other : now;
    }
    arena_free(s.arena);
    graph_free(g);
    return now;
}

static Graph *checkpoint_graph(Graph *g, PassContext *c, int64_t base,
                               int64_t budget)
{
    Trial as_it_is = {.g = g, .c = c, .base = base, .budget = budget};
    return trial_measure(&as_it_is, g).bytes > budget
               ? drop_some(g, c, base, budget)
               : g;
}

/* Bytes for the arena of graph i and its tables.  Of the graphs that are not
 * done yet, tables may become twice as long. */
static int64_t room_for(const Module *m, size_t i, const Target *t,
                        int64_t budget)
{
    if (t->scratch)
        budget -= target_scratch_all(t, m);
    budget -= target_program(t, m) - target_tables(t, m->graph[i]);
    for (size_t k = i + 1; k < m->n_graphs; k++)
        if (graph_trains(m->graph[k]))
            budget -= target_tables(t, m->graph[k]);
    return budget;
}

static bool run(Module *m, PassContext *c)
{
    double memory = settings_number(&m->settings, "memory");
    if (memory <= 0)
        return true;
    if (!memory_sizes_fit(m, c))
        return false;
    int64_t base = memory_base(m, c);
    for (size_t i = 0; i < m->n_graphs; i++) {
        if (!graph_trains(m->graph[i]))
            continue;
        int64_t room = room_for(m, i, c->target, (int64_t)memory);
        Graph *now = checkpoint_graph(m->graph[i], c, base, room);
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
