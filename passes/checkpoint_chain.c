/* checkpoint_chain.c: a train graph seen as a chain of blocks, and the cheapest
 * way to stay below a number of bytes.
 *
 * Blocks end where little leads from what is before to what comes behind: the
 * local minima of the bytes that cross.  Going along the chain, each segment of
 * blocks adds to what stays until the backward pass comes back to it, and when
 * it does, what was dropped of it is there again for a while:
 *
 *     kept before + kept of the segment + made again in it  <=  bytes
 *
 * So the state between two segments is (bytes kept, seconds spent), and all
 * states that are not worse in both than another are carried on, but only the
 * cheapest of each 512th of the bytes: exact where sums of blocks coincide, as
 * in chains of equal blocks that are short against that. */
#include "checkpoint.h"
#include "cost.h"
#include <string.h>

enum {
    SMALL_PART = 256,     /* of the largest value: what is smaller stays */
    LONGEST_SEGMENT = 96, /* blocks */
    MOST_CUTS = 4096,
    MOST_STATES = 512
};
static int64_t value_bytes(const Graph *g, Value v)
{
    return type_bytes(graph_type(g, v));
}

/* ---- steps --------------------------------------------------------------- */

bool *chain_forward(const Graph *g, Arena *a)
{
    bool *forward = arena_array(a, g->n_nodes, sizeof *forward);
    for (uint32_t id = g->n_nodes - 1; id > 0; id--) {
        const Node *n = &g->node[id];
        forward[id] |= !strcmp(n->op->name, "output") &&
                       !strcmp(node_string(n, "name"), "loss");
        for (uint32_t i = 0; forward[id] && i < n->n_in; i++)
            forward[n->in[i].node] = true;
    }
    return forward;
}

static bool is_lasting(const Graph *g, Value v)
{
    return !strcmp(graph_node(g, v)->op->name, "state");
}

static void describe_step(Chain *c, uint32_t k, const bool *forward)
{
    const Graph *g = c->g;
    const Step *s = &c->steps.step[k];
    Forward *f = &c->step[k];
    f->free = true;
    for (uint32_t id = s->first; id <= s->last; id++)
        f->forward |= forward[id];
    f->dear = step_cost(g, s).dense > 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        uint32_t from = c->steps.of[s->in[i].node];
        f->free &=
            from == NO_STEP ? is_lasting(g, s->in[i]) : c->step[from].free;
    }
    f->free &= s->n_in > 0;
    f->cost = c->target->seconds(c->target, g, s);
    for (uint32_t i = 0; i < s->n_out && !f->free; i++)
        if (value_bytes(g, s->out[i]) >= c->small)
            f->big += value_bytes(g, s->out[i]);
}

static void find_small(Chain *c)
{
    int64_t largest = 0;
    for (uint32_t k = 0; k < c->steps.n; k++)
        for (uint32_t i = 0; i < c->steps.step[k].n_out; i++) {
            int64_t bytes = value_bytes(c->g, c->steps.step[k].out[i]);
            largest = bytes > largest ? bytes : largest;
        }
    c->small = largest / SMALL_PART + 1;
}

/* The last step of the forward pass that reads a result of step k; k where
 * none does. And what the backward pass reads. */
static uint32_t *find_uses(Chain *c)
{
    const Steps *s = &c->steps;
    uint32_t *last = arena_array(c->arena, s->n, sizeof *last);
    bool *counted =
        arena_array(c->arena, (size_t)c->g->n_nodes * MAX_OUT, sizeof *counted);
    for (uint32_t k = 0; k < s->n; k++) {
        last[k] = k;
        for (uint32_t i = 0; i < s->step[k].n_in; i++) {
            Value v = s->step[k].in[i];
            uint32_t from = s->of[v.node];
            if (from == NO_STEP || !c->step[from].forward)
                continue;
            if (c->step[k].forward)
                last[from] = k;
            else if (!counted[(size_t)v.node * MAX_OUT + v.out] &&
                     value_bytes(c->g, v) >= c->small && !c->step[from].free) {
                counted[(size_t)v.node * MAX_OUT + v.out] = true;
                c->step[from].saved += value_bytes(c->g, v);
            }
        }
    }
    return last;
}

/* ---- blocks -------------------------------------------------------------- */

static int64_t *find_crossing(const Chain *c, const uint32_t *last,
                              bool only_dear)
{
    int64_t *cross = arena_array(c->arena, c->steps.n + 1, sizeof *cross);
    for (uint32_t k = 0; k < c->steps.n; k++)
        if (c->step[k].forward && last[k] > k &&
            (c->step[k].dear || !only_dear)) {
            cross[k] += c->step[k].big;
            cross[last[k]] -= c->step[k].big;
        }
    for (uint32_t k = 1; k < c->steps.n; k++)
        cross[k] += cross[k - 1];
    return cross;
}

/* Cuts lie behind forward steps with a large result, where the bytes that cross
 * are fewest among such steps nearby. */
static void find_cuts(Chain *c, const int64_t *cross)
{
    uint32_t *big = arena_array(c->arena, c->steps.n + 1, sizeof *big), n = 0;
    for (uint32_t k = 0; k < c->steps.n; k++)
        if (c->step[k].forward && c->step[k].big)
            big[n++] = k;
    c->cut = arena_array(c->arena, n + 2, sizeof *c->cut);
    c->n_cuts = 1;
    for (uint32_t i = 0; i + 1 < n && c->n_cuts < MOST_CUTS; i++) {
        int64_t here = cross[big[i]];
        if (here > 0 && !(i && cross[big[i - 1]] < here) &&
            cross[big[i + 1]] >= here)
            c->cut[c->n_cuts++] = big[i];
    }
    if (n)
        c->cut[c->n_cuts++] = big[n - 1];
}

static void describe_blocks(Chain *c, const uint32_t *last,
                            const int64_t *cross)
{
    const int64_t *cross_dear = find_crossing(c, last, true);
    uint32_t n = c->n_cuts;
    c->defines_cut = arena_array(c->arena, c->steps.n, sizeof *c->defines_cut);
    c->entry = arena_array(c->arena, n, sizeof *c->entry);
    c->entry_dear = arena_array(c->arena, n, sizeof *c->entry_dear);
    c->all = arena_array(c->arena, n, sizeof *c->all);
    c->dear = arena_array(c->arena, n, sizeof *c->dear);
    c->cheap = arena_array(c->arena, n, sizeof *c->cheap);
    c->cost = arena_array(c->arena, n, sizeof *c->cost);
    c->cheap_cost = arena_array(c->arena, n, sizeof *c->cheap_cost);
    for (uint32_t b = 1, k = 0; b < n; b++) {
        c->entry[b] = b > 1 ? cross[c->cut[b - 1]] : 0;
        c->entry_dear[b] = b > 1 ? cross_dear[c->cut[b - 1]] : 0;
        for (; k <= c->cut[b]; k++) {
            const Forward *f = &c->step[k];
            if (!f->forward)
                continue;
            c->defines_cut[k] = b + 1 < n && last[k] > c->cut[b];
            c->cost[b] += f->cost;
            c->cheap_cost[b] += f->dear || !f->big ? 0 : f->cost;
            if (c->defines_cut[k])
                continue;
            c->all[b] += f->saved;
            c->dear[b] += f->dear ? f->big : 0;
            c->cheap[b] += f->dear ? 0 : f->big;
        }
    }
}

Chain chain_find(const Graph *g, const Target *t, Arena *a)
{
    Chain c = {.g = g, .target = t, .arena = a};
    c.steps = graph_steps(g, a);
    c.step = arena_array(a, c.steps.n, sizeof *c.step);
    const bool *forward = chain_forward(g, a);
    find_small(&c);
    for (uint32_t k = 0; k < c.steps.n; k++)
        describe_step(&c, k, forward);
    const uint32_t *last = find_uses(&c);
    const int64_t *cross = find_crossing(&c, last, false);
    find_cuts(&c, cross);
    describe_blocks(&c, last, cross);
    return c;
}

bool chain_is_value(const Chain *c, uint32_t step)
{
    const Forward *f = &c->step[step];
    return f->forward && !f->free && f->big;
}

uint32_t chain_values(const Chain *c)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < c->steps.n; k++)
        n += chain_is_value(c, k);
    return n;
}

/* ---- states -------------------------------------------------------------- */

/* Blocks before and at `block` are decided: how the last segment of them is,
 * and the state before it. */
typedef struct Partial {
    int64_t kept;
    double cost;
    uint32_t from;   /* cut at which the last segment begins */
    uint32_t before; /* state at that cut */
    Mode mode;
} Partial;

/* All that is carried on at one cut, by bytes kept, rising; cost falls. */
typedef struct Partials {
    Partial *item;
    size_t n;
} Partials;

/* Those for the cut under way: the cheapest of each slice of the bytes, and the
 * one that keeps least. */
typedef struct Slices {
    Partial slice[MOST_STATES], least;
    bool used[MOST_STATES], any;
    int64_t width;
} Slices;

static bool is_better(const Partial *a, const Partial *b)
{
    return a->cost < b->cost || (a->cost == b->cost && a->kept < b->kept);
}

static void offer(Slices *s, Partial p)
{
    int64_t i = p.kept / s->width;
    if (!s->any || p.kept < s->least.kept ||
        (p.kept == s->least.kept && p.cost < s->least.cost))
        s->least = p;
    s->any = true;
    if (!s->used[i] || is_better(&p, &s->slice[i]))
        s->slice[i] = p;
    s->used[i] = true;
}

/* Leaves those that no other beats in both. */
static Partials carry_on(const Slices *s, Arena *a)
{
    Partials p = {arena_array(a, MOST_STATES + 1, sizeof *p.item), 0};
    if (s->any)
        p.item[p.n++] = s->least;
    for (int i = 0; i < MOST_STATES; i++)
        if (s->used[i] && s->slice[i].cost < p.item[p.n - 1].cost)
            p.item[p.n++] = s->slice[i];
    return p;
}

typedef struct Segment {
    int64_t kept, again;
    double cost;
} Segment;

static void try_segment(Slices *to, const Partials *before, uint32_t from,
                        Mode mode, Segment s, int64_t bytes)
{
    for (size_t i = 0; i < before->n; i++) {
        const Partial *b = &before->item[i];
        if (b->kept + s.kept + s.again > bytes)
            break; /* sorted */
        offer(to, (Partial){b->kept + s.kept, b->cost + s.cost, from,
                            (uint32_t)i, mode});
    }
}

/* All segments that end with block `end`. */
static void try_segments(const Chain *c, Arena *a, Partials *at, uint32_t end,
                         int64_t bytes)
{
    int64_t dear = 0, inner = 0, inner_dear = 0, cheap = 0;
    double cost = 0, cheap_cost = 0;
    Slices *to = arena_alloc(a, sizeof *to);
    memset(to, 0, sizeof *to);
    to->width = bytes / MOST_STATES + 1;
    Segment all = {c->entry[end] + c->all[end], 0, 0};
    try_segment(to, &at[end - 1], end - 1, KEEP_ALL, all, bytes);
    for (uint32_t b = end; b > 0 && end - b < LONGEST_SEGMENT; b--) {
        dear += c->dear[b];
        inner += b < end ? c->entry[b + 1] : 0;
        inner_dear += b < end ? c->entry_dear[b + 1] : 0;
        cheap = c->cheap[b] > cheap ? c->cheap[b] : cheap;
        cost += c->cost[b];
        cheap_cost += c->cheap_cost[b];
        Segment some = {c->entry[b] + dear + inner_dear,
                        inner - inner_dear + cheap, cheap_cost};
        Segment none = {c->entry[b], dear + inner + cheap, cost + cheap_cost};
        try_segment(to, &at[b - 1], b - 1, KEEP_DEAR, some, bytes);
        try_segment(to, &at[b - 1], b - 1, KEEP_ENTRY, none, bytes);
    }
    at[end] = carry_on(to, a);
}

static void note_choice(const Chain *c, const Partials *at, Choice *choice)
{
    uint32_t end = c->n_cuts - 1;
    size_t i = at[end].n - 1; /* keeps most, costs least */
    choice->cost = at[end].item[i].cost;
    while (end > 0) {
        const Partial *p = &at[end].item[i];
        for (uint32_t b = p->from + 1; b <= end; b++)
            choice->mode[b] = p->mode;
        choice->starts[p->from + 1] = true;
        end = p->from;
        i = p->before;
    }
}

bool chain_choose(const Chain *c, int64_t bytes, Choice *choice)
{
    Arena *a = arena_new();
    Partials *at = arena_array(a, c->n_cuts, sizeof *at);
    Partial start = {0};
    at[0] = (Partials){&start, 1};
    for (uint32_t end = 1; end < c->n_cuts; end++)
        try_segments(c, a, at, end, bytes);
    bool ok = at[c->n_cuts - 1].n > 0;
    choice->mode = arena_array(c->arena, c->n_cuts + 1, sizeof *choice->mode);
    choice->starts =
        arena_array(c->arena, c->n_cuts + 1, sizeof *choice->starts);
    if (ok)
        note_choice(c, at, choice);
    arena_free(a);
    return ok;
}

/* ---- what that means for each step ----------------------------------------
 */

static Again again_for(const Chain *c, const Choice *choice, uint32_t k,
                       uint32_t block)
{
    const Forward *f = &c->step[k];
    if (!f->forward || f->free || !f->big || block >= c->n_cuts)
        return f->forward && f->free ? AGAIN_EACH : KEPT;
    Mode mode = choice->mode[block];
    bool kept;
    if (c->defines_cut[k] &&
        (choice->mode[block + 1] == KEEP_ALL || choice->starts[block + 1]))
        kept = true; /* the next block begins a segment */
    else
        kept = mode == KEEP_ALL || (mode == KEEP_DEAR && f->dear);
    return kept ? KEPT : f->dear || c->defines_cut[k] ? AGAIN_ONCE : AGAIN_EACH;
}

Again *chain_again(const Chain *c, const Choice *choice, Arena *a)
{
    Again *again = arena_array(a, c->steps.n, sizeof *again);
    for (uint32_t k = 0, block = 1; k < c->steps.n; k++) {
        while (block < c->n_cuts && k > c->cut[block])
            block++;
        again[k] = again_for(c, choice, k, block);
    }
    return again;
}

/* ---- bounds -------------------------------------------------------------- */

int64_t chain_most(const Chain *c)
{
    int64_t sum = 0;
    for (uint32_t b = 1; b < c->n_cuts; b++)
        sum += c->entry[b] + c->all[b];
    return sum;
}

static int64_t less(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Is there a choice?  What keeps least is best for what follows. */
static bool is_possible(const Chain *c, int64_t bytes, int64_t *kept)
{
    for (uint32_t end = 1; end < c->n_cuts; end++) {
        int64_t dear = 0, inner = 0, cheap = 0, best = INT64_MAX;
        if (kept[end - 1] + c->entry[end] + c->all[end] <= bytes)
            best = kept[end - 1] + c->entry[end] + c->all[end];
        for (uint32_t b = end; b > 0 && end - b < LONGEST_SEGMENT; b--) {
            dear += c->dear[b];
            inner += b < end ? c->entry[b + 1] : 0;
            cheap = c->cheap[b] > cheap ? c->cheap[b] : cheap;
            int64_t entry = kept[b - 1] + c->entry[b];
            if (entry + dear + inner + cheap <= bytes)
                best = less(best, entry);
        }
        if (best == INT64_MAX)
            return false;
        kept[end] = best;
    }
    return true;
}

int64_t chain_least(const Chain *c)
{
    int64_t *kept = arena_array(c->arena, c->n_cuts, sizeof *kept);
    int64_t no = 0, yes = chain_most(c) + 1;
    while (yes - no > 1 + yes / 1000) {
        int64_t middle = no + (yes - no) / 2;
        if (is_possible(c, middle, kept))
            yes = middle;
        else
            no = middle;
    }
    return yes;
}
