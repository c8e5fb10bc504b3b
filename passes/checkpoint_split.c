/* checkpoint_split.c: what a kernel computes before its anchor becomes a step
 * that can be made again by itself.
 *
 *     fuse { relu; lib_conv; sums }   ->   fuse { relu }  fuse { lib_conv; sums
 * }
 *
 * Where others need the relu too it is in memory; to make it again takes no
 * convolution.  While the pass chooses, the two are steps of their own.  In the
 * graph that comes out the forward pass has them as one kernel again
 * (chain_rewrite), and only a copy of the first part stands alone.
 *
 * So no member but those of the part may read one of its values, unless that
 * is in memory in either case. */
#include "checkpoint.h"
#include "rewrite.h"
#include <string.h>

enum { LARGE_PART = 16 }; /* of what the anchor writes: smaller is kept */

typedef struct Splitter {
    const Graph *g;
    Arena *arena;
    Steps steps;
    const bool *forward;
    bool *part;    /* by node: it goes into the first step */
    bool *written; /* by node: a result of its step */
    bool *late;    /* by node: computed from the anchor's result */
} Splitter;

static bool is_inside(const Step *s, Value v)
{
    return v.node >= s->first && v.node <= s->last;
}

/* Members of the step that v is computed from, and itself. */
static void take_part(Splitter *x, const Step *s, uint32_t id)
{
    x->part[id] = true;
    for (; id >= s->first; id--)
        for (uint32_t i = 0; x->part[id] && i < x->g->node[id].n_in; i++)
            if (is_inside(s, x->g->node[id].in[i]))
                x->part[x->g->node[id].in[i].node] = true;
}

static void find_late(Splitter *x, const Step *s, uint32_t anchor)
{
    x->late[anchor] = true;
    for (uint32_t id = anchor + 1; id <= s->last; id++)
        for (uint32_t i = 0; i < x->g->node[id].n_in; i++)
            x->late[id] |= is_inside(s, x->g->node[id].in[i]) &&
                           x->late[x->g->node[id].in[i].node];
}

static bool others_may_read(const Splitter *x, const Step *s)
{
    for (uint32_t id = s->first; id <= s->last; id++)
        for (uint32_t i = 0; !x->part[id] && i < x->g->node[id].n_in; i++) {
            uint32_t from = x->g->node[id].in[i].node;
            if (from >= s->first && x->part[from] && !x->written[from])
                return false;
        }
    return true;
}

/* Marks the members that become a step of their own; false: none do. */
static bool split_step(Splitter *x, const Step *s)
{
    const Graph *g = x->g;
    uint32_t anchor = step_anchor(g, s);
    bool any = false;
    if (!anchor || s->first == s->last || !x->forward[anchor])
        return false;
    int64_t large = type_bytes(&g->node[anchor].type[0]) / LARGE_PART;
    find_late(x, s, anchor);
    for (uint32_t i = 0; i < s->n_out; i++)
        x->written[s->out[i].node] = true;
    for (uint32_t i = 0; i < s->n_out; i++) {
        uint32_t id = s->out[i].node;
        if (!is_inside(s, s->out[i]) || x->late[id] || !x->forward[id] ||
            type_bytes(&g->node[id].type[0]) < large)
            continue;
        take_part(x, s, id);
        any = true;
    }
    if (any && others_may_read(x, s))
        return true;
    memset(&x->part[s->first], 0, s->last - s->first + 1);
    return false;
}

static void write_step(const Splitter *x, Rewrite *r, const Step *s, bool part)
{
    for (uint32_t id = s->first; id <= s->last; id++)
        if (x->part[id] == part)
            rewrite_copy(r, id);
}

/* Groups get new numbers: those of a split one are neighbours. */
static void number_group(Graph *g, uint32_t from, uint32_t number)
{
    for (uint32_t id = from; id < g->n_nodes; id++)
        g->node[id].group = g->node[id].group ? number : 0;
}

Graph *split_prologues(Graph *g, Arena *a, bool **joined)
{
    Splitter x = {.g = g,
                  .arena = a,
                  .steps = graph_steps(g, a),
                  .forward = chain_forward(g, a),
                  .part = arena_array(a, g->n_nodes, sizeof(bool)),
                  .written = arena_array(a, g->n_nodes, sizeof(bool)),
                  .late = arena_array(a, g->n_nodes, sizeof(bool))};
    Rewrite r;
    rewrite_begin(&r, g);
    uint32_t number = 0;
    *joined = arena_array(a, 2 * (size_t)x.steps.n + 2, sizeof **joined);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        uint32_t k = x.steps.of[id], from = r.to->n_nodes;
        if (k == NO_STEP) {
            rewrite_copy(&r, id);
            continue;
        }
        const Step *s = &x.steps.step[k];
        if (split_step(&x, s)) {
            write_step(&x, &r, s, true);
            number_group(r.to, from, ++number);
            (*joined)[number + 1] = true;
            from = r.to->n_nodes;
        }
        write_step(&x, &r, s, false);
        number_group(r.to, from, ++number);
        id = s->last;
    }
    return rewrite_end(&r);
}
