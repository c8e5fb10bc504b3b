/* memory_live.c: bytes live at each step, and what they belong to. */
#include "memory_report.h"
#include <string.h>

const char *const memory_class[MEMORY_CLASSES] = {
    [BUF_STATE] = "weights, slots, statistics",
    [BUF_INPUT] = "input batches",
    [BUF_OUTPUT] = "outputs",
    [BUF_ACTIVATION] = "activations kept for backward",
    [BUF_GRADIENT] = "gradients",
    [BUF_WORK] = "workspace",
    [MEMORY_AGAIN] = "made again for backward",
};

const char *bytes_text(int64_t bytes, char text[BYTES_TEXT])
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1000 && u < 4; u++)
        v /= 1024;
    snprintf(text, BYTES_TEXT, "%.*f %s",
             u == 0 || v >= 100 ? 0
             : v >= 10          ? 1
                                : 2,
             v, unit[u]);
    return text;
}

bool buffer_again(const Graph *g, const Buffer *b)
{
    return b->kind != BUF_STATE && b->value.node &&
           graph_node(g, b->value)->again;
}

MemoryLive memory_live(const Graph *g, Arena *a)
{
    const MemoryPlan *p = g->memory;
    MemoryLive l = {.g = g, .n_steps = graph_steps(g, a).n};
    l.n_steps += l.n_steps == 0;
    l.live = arena_array(a, (size_t)l.n_steps + 1, sizeof *l.live);
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const Buffer *b = &p->buffer[i];
        int class = buffer_again(g, b) ? MEMORY_AGAIN : (int)b->kind;
        l.live[b->first][class] += buffer_room(g, b);
        l.live[b->last + 1][class] -= buffer_room(g, b);
    }
    for (uint32_t k = 0; k < l.n_steps; k++) {
        int64_t sum = 0;
        for (int c = 0; c < MEMORY_CLASSES; c++) {
            if (k)
                l.live[k][c] += l.live[k - 1][c];
            sum += l.live[k][c];
        }
        if (sum > l.peak) {
            l.peak = sum;
            l.peak_step = k;
        }
    }
    return l;
}

uint32_t memory_largest(const Graph *g, uint32_t step, const Buffer **largest,
                        uint32_t n)
{
    const MemoryPlan *p = g->memory;
    uint32_t found = 0;
    for (uint32_t i = 0; i < p->n_buffers; i++) {
        const Buffer *b = &p->buffer[i];
        if (b->first > step || b->last < step)
            continue;
        uint32_t at = found;
        while (at && buffer_room(g, largest[at - 1]) < buffer_room(g, b))
            at--;
        if (at == n)
            continue;
        found += found < n;
        memmove(&largest[at + 1], &largest[at],
                (found - at - 1) * sizeof *largest);
        largest[at] = b;
    }
    return found;
}

/* The node that speaks for a buffer; NULL: a state that the graph leaves
 * alone. */
static const Node *node_of(const Graph *g, const Buffer *b)
{
    return b->value.node ? graph_node(g, b->value) : NULL;
}

const char *buffer_line(const Graph *g, const Buffer *b, Arena *a)
{
    const Module *m = g->module;
    const Node *n = node_of(g, b);
    Loc loc = n ? n->loc : b->kind == BUF_STATE ? m->state[b->state].loc : 0;
    return loc ? arena_printf(a, "%s:%d", m->loc[loc].file, m->loc[loc].line)
               : "";
}

const char *buffer_name(const Graph *g, const Buffer *b, Arena *a)
{
    const Node *n = node_of(g, b);
    if (b->kind == BUF_STATE)
        return g->module->state[b->state].name;
    if (node_has(n, T_SOURCE))
        return node_string(n, "name");
    return n->name ? arena_printf(a, "%s of %s", n->op->name, n->name)
                   : n->op->name;
}
