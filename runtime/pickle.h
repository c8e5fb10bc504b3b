/* pickle.h: the part of Python's pickle format that files of weights need,
 * read without running anything.
 *
 * A pickle is a program for a stack machine, and in Python its REDUCE opcode
 * calls any function that the file names.  Here names are rows of a table
 * (pickle_names.c) and "calling" one makes a value of this header or nothing
 * at all.  Opcodes and names that are not in the tables are refused by name.
 *
 * Every opcode consumes input and none jumps, so time is linear; memory is
 * bounded by PICKLE_MEMORY; nothing here recurses, so a list that contains
 * itself is harmless.
 */
#ifndef TGC_PICKLE_H
#define TGC_PICKLE_H

#include "plan.h"
#include "weights_input.h"

typedef enum PickleKind {
    PICKLE_OTHER, /* floats, bytes, numpy scalars: of no use here */
    PICKLE_NONE,
    PICKLE_INT, /* booleans as well */
    PICKLE_TEXT,
    PICKLE_LIST,
    PICKLE_TUPLE,
    PICKLE_DICT, /* items are key, value, key, value, .. */
    PICKLE_NAME,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_MARK /* on the stack only */
} PickleKind;

typedef struct PickleItems PickleItems;
typedef struct PickleName PickleName;
typedef struct PickleStorage PickleStorage;
typedef struct PickleTensor PickleTensor;

typedef struct PickleValue {
    PickleKind kind;
    union {
        int64_t number;
        const char *text; /* no NUL inside: such text becomes PICKLE_OTHER */
        PickleItems *items;
        const PickleName *name;
        PickleStorage *storage;
        PickleTensor *tensor;
    };
} PickleValue;

struct PickleItems {
    PickleValue *at;
    uint32_t n, room;
};

/* One mention of a storage; the same key may be mentioned often. */
struct PickleStorage {
    const char *key;
    uint8_t dtype, element; /* PlanDType or 0; bytes of an element */
    int64_t count;          /* elements */
    int64_t first;          /* of the part that is meant, in elements */
    int64_t part;           /* its length */
    PickleStorage *before;  /* the mention before */
    uint32_t index;         /* for the one who resolves keys */
};

/* Lies inside its storage's part; dimensions and strides are not negative. */
struct PickleTensor {
    const PickleStorage *storage;
    int64_t offset; /* in elements */
    uint8_t rank;
    int64_t dim[PLAN_MAX_RANK], stride[PLAN_MAX_RANK];
};

typedef struct Pickle Pickle;

/* Reads the bytes begin .. end-1 of `in`, which must stay open. */
Pickle *pickle_open(const Input *in, int64_t begin, int64_t end, Status *s);
void pickle_close(Pickle *p); /* NULL is fine; values go with it */

/* Runs one pickle; values of all of them live until pickle_close. */
bool pickle_next(Pickle *p, PickleValue *value, Status *s);
/* Where in the file the last pickle ended. */
int64_t pickle_place(const Pickle *p);
/* The last storage that was mentioned, and how many there are. */
PickleStorage *pickle_storages(const Pickle *p, uint32_t *n);

/* The value under a text key; NULL: none. */
const PickleValue *pickle_find(const PickleValue *dict, const char *key);

#endif
