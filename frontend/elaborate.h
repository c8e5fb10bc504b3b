/* elaborate.h: from trees to graphs: what the parts of the elaborator share.
 *
 *     files.c     files that use files: params, constants, blocks, the net
 *     settings    train.c: the train sections and --set
 *     eval.c      expressions        arithmetic.c   on compile-time values
 *     exec.c      statements         call.c         blocks and layers
 *     layers*.c   what the language knows by itself
 *     module.c    graphs "train", "train_tail" and "eval"
 *
 * A net is elaborated once for each graph.  A mistake gives a message and
 * DATUM_ERROR, which nobody complains about again.
 */
#ifndef TGC_ELABORATE_H
#define TGC_ELABORATE_H

#include "datum.h"
#include "diag.h"
#include "frontend.h"
#include "op.h"

/* Bounds for hostile input; no real net comes near. */
enum {
    MOST_STEPS = 300000, /* statements, iterations and calls */
    MOST_NODES = 200000, /* in one graph, before autodiff */
    DEEPEST = 1000,      /* nested evaluations */
    MOST_FILES = 64,
    LONGEST_PATH = 200
};

/* One loaded file with what was bound in it. */
typedef struct Unit {
    const File *file;
    const char *path, *real;    /* as the user would type it; to compare */
    Scope scope;                /* params and constants */
    const Parameters *bindings; /* by `use`; NULL for the main file */
    Scope given;                /* their values */
    struct Unit *user;          /* the file that uses this one */
} Unit;

typedef struct Block {
    const Item *item;
    Unit *unit;
} Block;

/* -D depth=56 */
typedef struct Define {
    Name name;
    Expr *value;
    bool used;
} Define;

typedef struct TrainSection {
    Unit *unit;
    const Item *item;
} TrainSection;

/* One block being expanded; the net itself is one too. */
typedef struct Call {
    const Block *block;
    Scope scope;
    const char *path; /* "layer1.0"; "" at the top */
    Frame frame;
    Loc loc; /* of the call; 0 at the top */
    Datum results;
    bool returned;
    struct Call *up;
} Call;

typedef struct Elab {
    const FrontendOptions *options;
    Arena *arena;
    Diag *diag;
    Module *module;

    /* From the files. */
    Unit **unit;
    size_t n_units, cap_units;
    Define *define;
    int n_defines;
    Scope blocks;
    const Block *net;
    TrainSection *train; /* used files first: later ones override */
    size_t n_train, cap_train;

    /* The graph under way. */
    Graph *graph;
    bool training;
    int64_t batch;
    int64_t parts;    /* that a step's batch is computed in */
    Value seed, step; /* inputs, made when first needed */
    int64_t streams;  /* random ops so far */
    Scope paths;      /* names of states */
    Scope patterns;   /* of groups of parameters, as written */

    /* Where we are. */
    Unit *in;
    Call *call; /* NULL outside of blocks */
    int depth;
    int64_t steps;
} Elab;

/* ---- files.c ----------------------------------------------------------------
 */

/* Loads the main file and all that it uses, evaluates params and constants,
 * finds the net.  Errors are in el->diag. */
void elab_load(Elab *el, const Source *source);

/* ---- train.c ----------------------------------------------------------------
 */

/* Fills module->settings from the train sections and --set. */
void elab_settings(Elab *el);
/* Where a key was set; none: on the command line, or by default. */
Span elab_setting_span(const Elab *el, const char *key);

/* ---- groups.c ---------------------------------------------------------------
 */

/* The patterns of `group "*.bias" "*bn*" { }` with blanks between them. */
const char *elab_group_names(Elab *el, const SettingNode *node);
/* The section that stands for it: "optimizer.group1"; NULL after a message. */
const char *elab_group(Elab *el, const char *key, const SettingNode *node);
/* When all parameters are known: a pattern that matches none is an error. */
void elab_check_groups(Elab *el);
/* The parameters that the setting `frozen` names are not trained. */
void elab_freeze(Elab *el);

/* ---- eval.c -----------------------------------------------------------------
 */

Datum elab_eval(Elab *el, const Expr *e); /* never DATUM_RESULTS */
Datum elab_eval_results(Elab *el, const Expr *e);
/* An expression that must be of a kind; false after a message. */
bool elab_int(Elab *el, const Expr *e, int64_t *v);
bool elab_condition(Elab *el, const Expr *e, bool *v);
/* The value of a name where the elaborator is, or DATUM_ERROR silently. */
Datum elab_lookup(Elab *el, const char *name);
/* Suggests names that are visible here. */
void elab_suggest(Elab *el, const char *name, bool callable);
/* "layer{s}.{i}" with the values in; NULL after a message. */
const char *elab_label(Elab *el, const Label *label);

/* ---- arithmetic.c -----------------------------------------------------------
 */

/* On numbers, strings, lists; messages are left to the caller. */
Datum arithmetic_unary(Operator op, Datum x, Error *e);
Datum arithmetic_binary(Operator op, Datum x, Datum y, Error *e);

/* ---- exec.c -----------------------------------------------------------------
 */

void elab_body(Elab *el, const Body *body);
/* `require`, in blocks and in files. */
void elab_require(Elab *el, const Expr *condition, const Expr *message);
/* Does a tensor have the shape that was written down? */
void elab_check_shape(Elab *el, const Expr *shape, Datum value);
/* A list of positive whole numbers as dims 1..; false after a message. */
bool elab_shape(Elab *el, const Expr *e, Type *t);

/* ---- call.c -----------------------------------------------------------------
 */

/* `label` may be NULL. */
Datum elab_call(Elab *el, const Expr *e, const Label *label);
/* The net's body with its input; el->call is as before afterwards. */
Datum elab_run_net(Elab *el, Value image);

/* ---- nodes ------------------------------------------------------------------
 */

/* Append a node for the text at `at`; NO_VALUE after a message. */
Value elab_node(Elab *el, Span at, const OpDesc *op, const Value *in, int n_in,
                const Attr *attr, int n_attr);
Loc elab_loc(Elab *el, Span at);
/* Counts a step of work, and says so once where it is too much. */
bool elab_step(Elab *el, Span at);
/* One level deeper; false, after a message, where that is too deep. */
bool elab_enter(Elab *el, Span at);
void elab_leave(Elab *el);

#endif
