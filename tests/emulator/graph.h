/* graph.h: what the driver's streams and graphs hold, and in which order a
 * graph's nodes run. */
#ifndef TGC_EMULATOR_GRAPH_H
#define TGC_EMULATOR_GRAPH_H

#include "cuda_api.h"
#include "emulator.h"
#include <string>
#include <vector>

enum OpKind {
    OP_COPY,
    OP_SET,
    OP_LAUNCH,
    OP_RECORD,
    OP_WAIT,
    OP_GRAPH,
    OP_HOST
};

struct CuFunctionRec {
    std::string name;
    int dynamic_shared;
};

struct CuEventRec {
    uint64_t asked, done; /* tickets of records */
    double seconds;
    bool timed;
};

struct Op {
    OpKind kind;
    char *to;
    const char *from;
    size_t bytes;
    int value; /* of a set; copies: 1 to the device, 2 from it */
    CuFunction function;
    unsigned grid[3], block[3];
    size_t shared;
    std::vector<void *> args;
    std::vector<EmuSpan> spans;
    CuEvent event;
    uint64_t ticket;
    CuGraphExec graph;
    const char *(*host)(void *data); /* of emu_enqueue */
    void *data;
};

/* A node is its number + 1; what it waits for was captured before it. */
typedef std::vector<CuGraphNode> Nodes;

static inline size_t node_number(CuGraphNode node)
{
    return (size_t)(uintptr_t)node - 1;
}

struct CuGraphRec {
    std::vector<Op> ops;
    std::vector<Nodes> waits;
};

struct CuGraphExecRec {
    std::vector<Op> ops;
    std::vector<std::vector<size_t>> after; /* who waits for each */
    std::vector<size_t> waits;              /* for how many */
};

/* How nodes take turns: by chance; the last captured first; as captured, but
 * one as late as can be. */
enum Way { WAY_ANY, WAY_LAST_FIRST, WAY_ONE_LATE, WAYS };

/* A graph that is under way. */
struct Run {
    std::vector<size_t> waits, ready;
    size_t left, late;
    int way;
};

typedef uint64_t Chance(uint64_t below);

/* Of what was captured; node number `cut`, counted from 1, waits for none. */
CuGraphExec graph_made(CuGraph graph, size_t cut);

/* Two nodes that use the same bytes, one to write, in no order; "": there are
 * none. */
std::string graph_race(const CuGraphExecRec *g);

/* A graph under way, and the number of the node that is done next: any that has
 * what it waits for.  Nothing is under way once `left` is 0. */
void run_begin(const CuGraphExecRec *g, Run *run, Chance *chance);
size_t run_next(const CuGraphExecRec *g, Run *run, Chance *chance);

#endif
