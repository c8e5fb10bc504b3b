/* pickle_private.h: the machine's state, for the files that make it up:
 *
 *     pickle.c         opcodes
 *     pickle_state.c   input, memory, stack and memo
 *     pickle_build.c   what names make when they are "called"
 *     pickle_names.c   the names that are allowed
 */
#ifndef TGC_PICKLE_PRIVATE_H
#define TGC_PICKLE_PRIVATE_H

#include "pickle.h"
#include <stddef.h>

enum {
    PICKLE_MEMORY = 1 << 28, /* bytes for all values of a file */
    PICKLE_STACK = 1 << 20,  /* values */
    PICKLE_MEMO = 1 << 22,
    PICKLE_NAME_MOST = 200, /* bytes of a module or name */
    PICKLE_BUFFER = 1 << 14
};

typedef enum NameUse {
    NAME_INERT, /* makes PICKLE_OTHER */
    NAME_DICT,
    NAME_STORAGE, /* a type; storages come from persistent ids */
    NAME_TENSOR,
    NAME_PARAMETER,
    NAME_SIZE
} NameUse;

struct PickleName {
    const char *module, *name;
    NameUse use;
    uint8_t dtype, element; /* of a storage */
};

typedef struct PickleChunk {
    struct PickleChunk *before;
    size_t used, room;
    max_align_t data[];
} PickleChunk;

struct Pickle {
    const Input *in;
    int64_t at, end; /* of the file: what the buffer does not have yet */
    unsigned char *buffer;
    size_t used, fill;
    PickleChunk *chunk;
    size_t memory;
    PickleValue *stack, *memo;
    uint32_t depth, stack_room, memo_n, memo_room;
    PickleStorage *storages;
    uint32_t n_storages;
    Status *status;
};

/* ---- pickle_state.c ------------------------------------------------------ */

/* "PATH is damaged: byte N of its pickle: .."; false */
bool pickle_fail(Pickle *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for what is well-formed but not read. */
bool pickle_refuse(Pickle *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

int64_t pickle_left(const Pickle *p);
bool pickle_bytes(Pickle *p, void *to, int64_t n);
bool pickle_skip(Pickle *p, int64_t n);
bool pickle_number(Pickle *p, int bytes, uint64_t *to); /* little-endian */
bool pickle_line(Pickle *p, char line[PICKLE_NAME_MOST + 1]);

void *pickle_alloc(Pickle *p, size_t bytes); /* NULL: failed, zeroed else */

bool pickle_push(Pickle *p, PickleValue v);
bool pickle_push_kind(Pickle *p, PickleKind kind);
bool pickle_pop(Pickle *p, PickleValue *v); /* no mark */
bool pickle_top(Pickle *p, PickleValue *v); /* leaves it there */
/* The place above the last mark. */
bool pickle_mark(Pickle *p, uint32_t *first);
bool pickle_put(Pickle *p, uint64_t place);
bool pickle_get(Pickle *p, uint64_t place);

PickleItems *pickle_items(Pickle *p); /* NULL: failed */
bool items_add(Pickle *p, PickleItems *items, const PickleValue *v, uint32_t n);

/* ---- the others ---------------------------------------------------------- */

const PickleName *pickle_name(const char *module, const char *name);
bool pickle_call(Pickle *p, const PickleName *name, const PickleItems *args,
                 PickleValue *made);
bool pickle_persistent(Pickle *p, const PickleValue *id, PickleValue *made);

#endif
