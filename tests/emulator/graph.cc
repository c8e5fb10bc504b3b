/* graph.cc: see graph.h. */
#include "graph.h"
#include <algorithm>

/* ---- who waits for whom ---------------------------------------------------
 */

CuGraphExec graph_made(CuGraph graph, size_t cut)
{
    size_t n = graph->ops.size();
    CuGraphExec g = new CuGraphExecRec();
    g->ops = graph->ops;
    g->after.resize(n);
    g->waits.resize(n);
    for (size_t i = 0; i < n; i++)
        for (CuGraphNode p : graph->waits[i])
            if (i + 1 != cut) {
                g->after[node_number(p)].push_back(i);
                g->waits[i]++;
            }
    return g;
}

struct Used {
    char *begin, *end;
    size_t node;
    bool written;
};

static void add_used(std::vector<Used> *used, const Op &op, size_t node)
{
    for (const EmuSpan &s : op.spans)
        used->push_back({s.at, s.at + s.bytes, node, s.written != 0});
    if (op.kind == OP_COPY || op.kind == OP_SET)
        used->push_back({op.to, op.to + op.bytes, node, true});
    if (op.kind == OP_COPY)
        used->push_back(
            {(char *)op.from, (char *)op.from + op.bytes, node, false});
}

/* before[i][j]: node i waits for node j, or for one that does. */
static std::vector<std::vector<bool>> all_before(const CuGraphExecRec *g)
{
    size_t n = g->ops.size();
    std::vector<std::vector<bool>> before(n, std::vector<bool>(n, false));
    for (size_t j = 0; j < n; j++)
        for (size_t i : g->after[j]) {
            before[i][j] = true;
            for (size_t k = 0; k < j; k++)
                if (before[j][k])
                    before[i][k] = true;
        }
    return before;
}

static std::string name_of(const CuGraphExecRec *g, size_t node)
{
    const Op &op = g->ops[node];
    return op.kind == OP_LAUNCH ? op.function->name
           : op.kind == OP_HOST ? "a call of a library"
                                : "a copy";
}

std::string graph_race(const CuGraphExecRec *g)
{
    std::vector<Used> used;
    for (size_t i = 0; i < g->ops.size(); i++)
        add_used(&used, g->ops[i], i);
    std::sort(used.begin(), used.end(),
              [](const Used &a, const Used &b) { return a.begin < b.begin; });
    std::vector<std::vector<bool>> before = all_before(g);
    for (size_t i = 0; i < used.size(); i++)
        for (size_t k = i + 1; k < used.size() && used[k].begin < used[i].end;
             k++) {
            size_t a = std::min(used[i].node, used[k].node);
            size_t b = std::max(used[i].node, used[k].node);
            if (a != b && (used[i].written || used[k].written) && !before[b][a])
                return "nodes " + std::to_string(a + 1) + " (" + name_of(g, a) +
                       ") and " + std::to_string(b + 1) + " (" + name_of(g, b) +
                       ") use the same bytes in no order";
        }
    return "";
}

/* ---- in any order ---------------------------------------------------------
 */

void run_begin(const CuGraphExecRec *g, Run *run, Chance *chance)
{
    run->waits = g->waits;
    run->left = g->ops.size();
    run->way = (int)chance(WAYS);
    run->late = chance(run->left + 1);
    for (size_t i = 0; i < g->ops.size(); i++)
        if (!g->waits[i])
            run->ready.push_back(i);
}

/* Where in `ready` the next is. */
static size_t turn(const Run *run, Chance *chance)
{
    const std::vector<size_t> &r = run->ready;
    if (run->way == WAY_ANY)
        return chance(r.size());
    if (run->way == WAY_LAST_FIRST)
        return (size_t)(std::max_element(r.begin(), r.end()) - r.begin());
    size_t best = 0;
    for (size_t i = 1; i < r.size(); i++)
        if (r[best] == run->late || (r[i] != run->late && r[i] < r[best]))
            best = i;
    return best;
}

size_t run_next(const CuGraphExecRec *g, Run *run, Chance *chance)
{
    size_t at = turn(run, chance), node = run->ready[at];
    run->ready.erase(run->ready.begin() + (long)at);
    for (size_t after : g->after[node])
        if (!--run->waits[after])
            run->ready.push_back(after);
    run->left--;
    return node;
}
