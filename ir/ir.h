/* ir.h: graphs and modules.
 *
 * A graph is a list of nodes.  A node's operands are results of nodes before
 * it, so the list is always a valid order of execution and "schedule" means:
 * the order of the list.  Nodes are only ever appended; a pass that removes or
 * reorders builds a new graph (rewrite.h).  Node ids are places in the list;
 * id 0 is never a node.
 *
 *     module ── settings, state table, files and locations
 *       ├─ graph "train"    input -> forward -> loss [-> backward -> update]
 *       └─ graph "eval"
 *
 * Graphs are pure.  What lives longer than a step is state: `state` reads the
 * value that it had when the step began, `update` gives it the value that it
 * will have when the step ends.  Whether that happens in place is the memory
 * planner's business.
 *
 * Ownership: a graph's arena owns every byte of the graph, a module's arena
 * everything else; they refer to each other by index and by name.
 */
#ifndef TGC_IR_H
#define TGC_IR_H

#include "arena.h"
#include "settings.h"
#include "type.h"

enum { MAX_OUT = 7, MAX_TEXT = 512 };

typedef struct Module Module;
typedef struct Graph Graph;
typedef struct OpDesc OpDesc;
typedef struct MemoryPlan MemoryPlan;

/* A sentence for the user: what is wrong, with the shapes in it.  No location:
 * who reports it knows that. */
typedef struct Error {
    char text[MAX_TEXT];
} Error;
bool error_set(Error *e, const char *format, ...) /* returns false */
    __attribute__((format(printf, 2, 3)));

/* ---- source locations ------------------------------------------------- */

/* Index into Module.loc; 0: unknown. */
typedef uint32_t Loc;

typedef struct LocInfo {
    const char *file; /* as the user would type it */
    int line, column; /* from 1 */
    Loc caller;       /* where the block holding this line was called; or 0 */
} LocInfo;

/* ---- attributes ------------------------------------------------------- */

typedef enum AttrKind {
    ATTR_INT,
    ATTR_FLOAT,
    ATTR_BOOL,
    ATTR_STRING, /* never NULL; "" means none */
    ATTR_INTS,   /* at most 2 * MAX_RANK of them */
    ATTR_DTYPE
} AttrKind;

typedef struct Attr {
    const char *name;
    AttrKind kind;
    union {
        int64_t i; /* int, bool, dtype */
        double f;
        const char *s;
        struct {
            const int64_t *v;
            int n;
        } ints;
    };
} Attr;

/* For graph_add and the builders: attr_int("axis", 1). */
Attr attr_int(const char *name, int64_t v);
Attr attr_float(const char *name, double v);
Attr attr_bool(const char *name, bool v);
Attr attr_string(const char *name, const char *v);
Attr attr_ints(const char *name, const int64_t *v, int n);
Attr attr_dtype(const char *name, DType v);
bool attr_equal(const Attr *a, const Attr *b);

/* ---- nodes and values ------------------------------------------------- */

typedef struct Value {
    uint32_t node : 29, out : 3; /* node 0: no value */
} Value;

#define NO_VALUE ((Value){0, 0})

typedef struct Node {
    const OpDesc *op;
    Value *in;
    Attr *attr; /* all that op->attrs names, in that order, defaults filled */
    Type *type; /* one a result */
    const char *name; /* printer's hint, NULL for none */
    uint32_t n_in;
    uint32_t group; /* nodes of one group become one kernel; 0: not fused.
                       A group's nodes stand next to each other. */
    Loc loc;
    uint8_t n_out;
    bool again; /* computes once more what another node has computed */
} Node;

int64_t node_int(const Node *n, const char *attr); /* int, bool, dtype */
double node_float(const Node *n, const char *attr);
const char *node_string(const Node *n, const char *attr);
const int64_t *node_ints(const Node *n, const char *attr, int *count);
const Attr *node_attr(const Node *n, const char *attr); /* asserts it exists */

/* ---- graphs ----------------------------------------------------------- */

struct Graph {
    Module *module;
    Arena *arena;
    const char *name; /* "train", "eval", ... unique in the module */
    Node *node;       /* node[1 .. n_nodes - 1]; moves when it grows: an old
                         pointer may still be read, never written through */
    uint32_t n_nodes; /* one more than there are: node[0] is unused */
    size_t cap_nodes;
    Loc loc;          /* given to nodes added from now on */
    uint32_t group;   /* likewise */
    const char *hint; /* likewise: Node.name; NULL for none; nodes get copies */
    Error error;      /* why graph_add last failed */
    MemoryPlan *memory; /* left by pass `memory` (steps.h); else NULL */
    struct {
        uint32_t steps; /* 0: pass `fuse` has not run */
        double bytes;   /* that they move */
    } unfused;          /* what each node as a kernel of its own would be */
};

Graph *graph_new(Module *m, const char *name);
/* Is it part of a step of training: "train", "train_part", "train_tail", or one
 * of another way to do it, "train.NAME" (Target.variants)? */
bool graph_trains(const Graph *g);
void graph_free(Graph *g);

/* Append a node.  Attributes may come in any order; those left out get the
 * descriptor's default.  Types are inferred.  Everything passed is copied.
 * Returns the new node's id, or 0 with g->error set where operands or
 * attributes do not fit the op: nothing is appended then. */
uint32_t graph_add(Graph *g, const OpDesc *op, const Value *in, int n_in,
                   const Attr *attr, int n_attr);

/* Append a copy of a node of another (or this) graph with new operands, the
 * types of its results as they are: no inference, so layouts stay.  Location,
 * group and name are the node's too, not the graph's. */
uint32_t graph_add_copy(Graph *g, const Node *n, const Value *in);

static inline Node *graph_node(const Graph *g, Value v)
{
    return &g->node[v.node];
}
static inline const Type *graph_type(const Graph *g, Value v)
{
    return &g->node[v.node].type[v.out];
}
static inline Value node_value(uint32_t id, unsigned out)
{
    return (Value){id, out};
}
static inline bool value_equal(Value a, Value b)
{
    return a.node == b.node && a.out == b.out;
}

/* Users of each node, as one flat table: users of node i are
 * user[start[i] .. start[i+1]-1], in id order, each once. */
typedef struct Uses {
    uint32_t *start, *user;
} Uses;
Uses graph_uses(const Graph *g, Arena *scratch);

/* ---- state ------------------------------------------------------------ */

typedef enum StateRole {
    STATE_PARAM,  /* trained: has a gradient */
    STATE_BUFFER, /* written by the forward pass: running statistics */
    STATE_SLOT,   /* optimizer's: momentum of `of`, or of all */
    STATE_RUN,    /* of the training run: the loss scale; named tgc.* */
    STATE_ROLES
} StateRole;

typedef enum InitKind {
    INIT_CONST,   /* a */
    INIT_NORMAL,  /* mean a, standard deviation b */
    INIT_UNIFORM, /* a <= x < b */
    INIT_PATCHES, /* whitens patches of the training images, a: added to their
                     variances; without images normal, deviation b */
    INIT_KINDS
} InitKind;

typedef struct State {
    const char *name; /* dotted path: "layer1.0.conv1.weight" */
    const char *of;   /* a slot's parameter, if it belongs to one; else "" */
    Type type;
    StateRole role;
    bool frozen; /* a parameter that is not trained */
    InitKind init;
    double init_a, init_b;
    Loc loc;
} State;

/* ---- modules ---------------------------------------------------------- */

struct Module {
    Arena *arena;
    const char *name; /* "resnet20" */
    Graph **graph;
    size_t n_graphs, cap_graphs;
    State *state;
    size_t n_states, cap_states;
    LocInfo *loc; /* loc[0] is unused */
    size_t n_locs, cap_locs;
    Settings settings;
    struct ModuleIndex *index; /* what is where, by hash; private */
};

Module *module_new(const char *name);
void module_free(Module *m);
Graph *module_graph(const Module *m, const char *name); /* NULL: none */
void module_add_graph(Module *m, Graph *g); /* replaces one of that name */

/* Returns the index of the new state, -1 where the name is taken. */
int module_add_state(Module *m, const State *s);
int module_state(const Module *m, const char *name); /* -1: none */
Loc module_loc(Module *m, const char *file, int line, int column, Loc caller);

/* "resnet.net:14:27, called from resnet.net:32:33"; "" for 0. */
const char *module_loc_text(const Module *m, Loc loc, Arena *a);

/* Everything that the graph promises: operands come before, types are what
 * inference gives (layouts aside), groups are contiguous, names of inputs,
 * outputs and graphs are unique, state names and types match the table, no
 * state is updated twice.  On failure the message names the node. */
bool graph_verify(const Graph *g, Error *e);
bool module_verify(const Module *m, Error *e);
/* What a state is given lies as the state: whoever copies it, or computes it
 * right into the state's bytes, goes by the layout of one of the two.  Holds
 * once pass `layout` has run. */
bool module_verify_layouts(const Module *m, Error *e);

#endif
