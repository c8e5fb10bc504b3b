/* datum.h: what an expression in a model file can be: a number, a list, a
 * tensor of the graph under construction, a block that can be called. */
#ifndef TGC_DATUM_H
#define TGC_DATUM_H

#include "ast.h"
#include "hash.h"

struct Block;
struct Layer;

typedef enum DatumKind {
    DATUM_ERROR, /* something was reported: whoever sees this keeps quiet */
    DATUM_INT,
    DATUM_FLOAT,
    DATUM_BOOL,
    DATUM_STRING, /* also a word: height, horizontal */
    DATUM_LIST,
    DATUM_TENSOR,
    DATUM_BLOCK,
    DATUM_LAYER,
    DATUM_RESULTS /* of a block that returns several */
} DatumKind;

typedef struct Datum {
    DatumKind kind;
    union {
        int64_t i;
        double f;
        bool b;
        const char *s;
        struct {
            const struct Datum *item;
            size_t n;
        } list; /* also results */
        Value tensor;
        const struct Block *block;
        const struct Layer *layer;
    };
} Datum;

Datum datum_error(void);
Datum datum_int(int64_t i);
Datum datum_float(double f);
Datum datum_bool(bool b);
Datum datum_string(const char *s);
Datum datum_tensor(Value v);
Datum datum_list(Arena *a, const Datum *item, size_t n);

static inline bool datum_is_number(Datum d)
{
    return d.kind == DATUM_INT || d.kind == DATUM_FLOAT;
}
double datum_number(Datum d); /* of an int or a float */
/* Compile-time values only; false for anything else. */
bool datum_equal(Datum a, Datum b);

/* "a whole number", for messages. */
const char *datum_kind(Datum d);
/* "21", "[3, 32, 32]", "block basic"; the graph gives a tensor's shape. */
const char *datum_text(Datum d, const Graph *g, Arena *a);
/* A tensor's shape without the batch: "[16, 32, 32]". */
const char *shape_text(const Type *t, Arena *a);

/* ---- names ----------------------------------------------------------------
 */

typedef struct Binding {
    const char *name;
    Datum value;
    Span span; /* where it was defined */
    bool hidden;
} Binding;

/* All zero: empty. */
typedef struct Scope {
    Binding *item;
    size_t n, cap;
    HashTable table;
} Scope;

Binding *scope_find(const Scope *s, const char *name); /* NULL: none */
/* Defines the name or gives it a new value. */
Binding *scope_set(Scope *s, Arena *a, Name name, Datum value);

#endif
