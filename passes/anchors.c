/* anchors.c: which clusters join a node that the target runs whole.
 *
 *     x scale + shift, relu ──> conv ──> sums of each channel
 *     prologue                  anchor   epilogue
 *
 * A cluster that reads an anchor's result finds it in the cache, and one that
 * computes an operand leaves it there.  Both save a pass over memory, and where
 * nobody else reads the value, its bytes.  Joining is legal where all members
 * run in the anchor's pieces of the batch (ir/pieces.h): so a normalisation,
 * which needs sums over all of the batch, is never in the kernel that makes
 * those sums, but in the kernels that read its result.
 *
 * Epilogues first: they have one anchor to join, prologues often have two, the
 * convolutions that read them. */
#include "fuse.h"
#include "pieces.h"

typedef struct Anchors {
    Clusters *c;
    const Target *target;
    Uses uses;
    uint32_t *anchor; /* nodes, in order */
    Anchor *about;    /* by place in `anchor` */
    size_t n, cap, n_about, cap_about;
} Anchors;

/* ---- is it legal? ------------------------------------------------------- */

typedef struct Join {
    Anchors *all;
    const Anchor *about;
    uint32_t anchor;
    uint32_t cluster; /* a node of the cluster that would join */
} Join;

/* Would it be computed in the group? */
static bool is_inside(const Join *j, uint32_t id)
{
    Clusters *c = j->all->c;
    if (!cluster_holds(c, id))
        return false;
    uint32_t of = dag_find(&c->dag, id);
    return of == dag_find(&c->dag, j->cluster) ||
           of == dag_find(&c->dag, j->anchor);
}

/* May a member read v, piece by piece (or all of it), through views? */
static bool reads_well(const Join *j, Value v, bool piece)
{
    const Clusters *c = j->all->c;
    const Graph *g = c->g;
    int64_t pieces = j->about->pieces;
    while (v.out == 0 && c->free[v.node]) {
        const Node *n = graph_node(g, v);
        if (piece && !piece_runs(n, pieces))
            return false;
        if (n->n_in == 0)
            return true;
        PieceUse use = piece ? piece_use(g, n, 0, pieces) : PIECE_ALL;
        if (use == PIECE_NONE)
            return false;
        piece = use == PIECE_SAME;
        v = n->in[0];
    }
    return piece || !is_inside(j, v.node);
}

static bool member_fits(const Join *j, uint32_t id, int operand)
{
    const Anchors *all = j->all;
    const Graph *g = all->c->g;
    const Node *n = &g->node[id];
    int64_t pieces = j->about->pieces;
    const Target *t = all->target;
    if (!piece_runs(n, pieces) || !piece_fits(&n->type[0], pieces))
        return false;
    if (t->joins && !t->joins(t, g, &g->node[j->anchor], operand, n))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++) {
        PieceUse use = piece_use(g, n, i, pieces);
        if (use == PIECE_NONE || !reads_well(j, n->in[i], use == PIECE_SAME))
            return false;
    }
    return true;
}

/* Pieces of an operand are made right before the piece of the anchor, so
 * another operand that is the same value must not be read whole. */
static bool operands_fit(const Join *j)
{
    const Clusters *c = j->all->c;
    const Node *n = &c->g->node[j->anchor];
    for (uint32_t i = 0; i < n->n_in; i++)
        if (is_inside(j, cluster_operand(c, n->in[i]).base.node) &&
            !reads_well(j, n->in[i], j->about->before >> i & 1))
            return false;
    return true;
}

/* Does nobody but the group read it?  Through views: they are not looked
 * through. */
static bool is_private(const Join *j, uint32_t id)
{
    const Uses *u = &j->all->uses;
    for (uint32_t i = u->start[id]; i < u->start[id + 1]; i++)
        if (!is_inside(j, u->user[i]))
            return false;
    return true;
}

/* operand: of the anchor, that the cluster computes; -1: it reads the result */
static void try_join(const Join *j, int operand)
{
    Clusters *c = j->all->c;
    const Cluster *k = cluster_of(c, j->cluster);
    if (k->anchor || k->updates || !operands_fit(j))
        return;
    bool keeps = operand < 0 || j->about->keeps;
    for (uint32_t id = k->first; id; id = c->next[id])
        if (!member_fits(j, id, operand) || !(keeps || is_private(j, id)))
            return;
    cluster_merge(c, j->anchor, j->cluster);
}

/* ---- which to try ------------------------------------------------------- */

/* Its place in the list, one more; 0: it is none. */
static size_t find_anchor(const Anchors *a, uint32_t id)
{
    size_t low = 0, high = a->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->anchor[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < a->n && a->anchor[low] == id ? low + 1 : 0;
}

static void list_anchors(Anchors *a, const uint8_t *around)
{
    Clusters *c = a->c;
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        const Node *n = &c->g->node[id];
        if (!node_is_whole(n))
            continue;
        Anchor about = a->target->anchor(a->target, c->g, n);
        if (around[id] != AROUND_ALL)
            about.before = 0;
        if (around[id] == AROUND_NOTHING)
            about.after = 0;
        if (!about.before && !about.after)
            continue;
        ARENA_PUSH(c->arena, a->anchor, a->n, a->cap, id);
        ARENA_PUSH(c->arena, a->about, a->n_about, a->cap_about, about);
        cluster_of(c, id)->anchor = id;
    }
}

static void try_epilogues(Anchors *a)
{
    Clusters *c = a->c;
    for (uint32_t id = 1; id < c->g->n_nodes; id++) {
        const Node *n = &c->g->node[id];
        for (uint32_t i = 0; cluster_computes(c, id) && i < n->n_in; i++) {
            Value base = cluster_operand(c, n->in[i]).base;
            size_t at = find_anchor(a, base.node);
            if (at && a->about[at - 1].after >> base.out & 1)
                try_join(&(Join){a, &a->about[at - 1], base.node, id}, -1);
        }
    }
}

static void try_prologues(Anchors *a)
{
    Clusters *c = a->c;
    for (size_t at = 0; at < a->n; at++) {
        const Node *n = &c->g->node[a->anchor[at]];
        for (uint32_t i = 0; i < n->n_in; i++)
            if (a->about[at].before >> i & 1 &&
                cluster_computes(c, n->in[i].node))
                try_join(
                    &(Join){a, &a->about[at], a->anchor[at], n->in[i].node},
                    (int)i);
    }
}

void anchors_find(Clusters *c, const Target *t, const uint8_t *around)
{
    if (!t || !t->anchor)
        return;
    Anchors a = {.c = c, .target = t, .uses = graph_uses(c->g, c->arena)};
    list_anchors(&a, around);
    try_epilogues(&a);
    try_prologues(&a);
}
