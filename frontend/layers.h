/* layers.h: the layers that the language knows: one table entry each.
 *
 * A layer is a signature, a line of documentation (docs/layers.md is made from
 * the table) and a function that appends its nodes.  Functions on compile-time
 * values, such as len(), are entries too.
 */
#ifndef TGC_LAYERS_H
#define TGC_LAYERS_H

#include "elaborate.h"

typedef enum ParamKind {
    PARAM_ANY, /* whatever it is */
    PARAM_TENSOR,
    PARAM_INT,
    PARAM_NUMBER,
    PARAM_BOOL,
    PARAM_PAIR, /* a whole number for both, or [height, width] */
    PARAM_ENDS, /* likewise [before, behind] */
    PARAM_WORD, /* one of .words */
    PARAM_AXES  /* [height, width]: some of channels, height, width */
} ParamKind;

typedef struct LayerParam {
    const char *name; /* NULL ends the list */
    ParamKind kind;
    /* Default as text; NULL: must be given; "": the layer finds one. */
    const char *value;
    double low, high;  /* of numbers, where high > low */
    const char *words; /* "he xavier" */
    const char *doc;
} LayerParam;

enum { LAYER_PARAMS = 12 };

/* One call, its arguments checked. */
typedef struct LayerCall {
    Elab *el;
    const struct Layer *layer;
    Span span;
    const char *path; /* "layer1.0.conv1": prefix of its states' names */
    Datum arg[LAYER_PARAMS];
    Span at[LAYER_PARAMS];
    bool given[LAYER_PARAMS]; /* else a default */
} LayerCall;

typedef struct Layer {
    const char *name;
    const char *doc;
    const LayerParam *params;
    bool owns;        /* has weights: must have a name of its own */
    const OpDesc *op; /* for those that are one op of one tensor */
    Datum (*build)(LayerCall *c);
} Layer;

extern const Layer *const layer_table[]; /* NULL-ended, in the manual's order */
const Layer *layer_named(const char *name); /* NULL: none */

/* "conv(x, channels, kernel, stride = 1)" */
const char *layer_signature(const Layer *layer, Arena *a);
/* A parameter's default as a value. */
Datum layer_default(const LayerParam *p, Arena *a);

/* ---- for the layers ---------------------------------------------------------
 */

int layer_index(const LayerCall *c, const char *name);
Value layer_tensor(const LayerCall *c, const char *name);
int64_t layer_int(const LayerCall *c, const char *name);
double layer_number(const LayerCall *c, const char *name);
bool layer_bool(const LayerCall *c, const char *name);
const char *layer_word(const LayerCall *c, const char *name);
void layer_pair(const LayerCall *c, const char *name, int64_t v[2]);
bool layer_given(const LayerCall *c, const char *name);
const Type *layer_type(const LayerCall *c, Value v);

/* A message at one argument, or (name NULL) at the call. */
Datum layer_fail(const LayerCall *c, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Nodes; once one fails the rest are NO_VALUE without more messages. */
Value layer_node(LayerCall *c, const OpDesc *op, const Value *in, int n_in,
                 const Attr *attr, int n_attr);
Value layer_unary(LayerCall *c, const OpDesc *op, Value x);
Value layer_binary(LayerCall *c, const OpDesc *op, Value x, Value y);
Value layer_const(LayerCall *c, const Type *type, double value);
/* v repeated along the dimensions that `like` has besides dims. */
Value layer_broadcast(LayerCall *c, Value v, const Type *like,
                      const int64_t *dims, int n);
Datum layer_result(Value v); /* DATUM_ERROR for NO_VALUE */

/* A state named path.name; NO_VALUE after a message. */
typedef struct Start {
    InitKind kind;
    double a, b;
} Start;
Value layer_state(LayerCall *c, const char *name, const Type *type,
                  StateRole role, Start start);
void layer_update(LayerCall *c, const char *name, Value v);

/* The operators that build nodes: + - * / on tensors (layers_math.c). */
Datum tensor_binary(Elab *el, Span at, Operator op, Datum x, Datum y);
Datum tensor_negate(Elab *el, Span at, Datum x);

#endif
