/* pickle.c: the opcodes; see pickle.h.  Their meaning is that of Python's
 * Lib/pickletools.py, protocols 2 to 4. */
#include "pickle_private.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { PROTOCOL_MOST = 4 };

/* `arg`: bytes of the number that follows, or how many values are meant. */
typedef bool OpcodeRun(Pickle *p, int arg);

/* ---- plain values -------------------------------------------------------- */

static bool op_protocol(Pickle *p, int arg)
{
    uint64_t v;
    if (!pickle_number(p, arg, &v))
        return false;
    return v <= PROTOCOL_MOST ||
           pickle_refuse(p, "is a pickle of protocol %u, tgc reads 2 to %d",
                         (unsigned)v, PROTOCOL_MOST);
}

static bool op_frame(Pickle *p, int arg)
{
    uint64_t v; /* a hint for readers, nothing depends on it */
    return pickle_number(p, arg, &v);
}

static bool op_kind(Pickle *p, int arg)
{
    return pickle_push_kind(p, (PickleKind)arg);
}

static bool push_int(Pickle *p, int64_t v)
{
    return pickle_push(p, (PickleValue){.kind = PICKLE_INT, .number = v});
}

static bool op_bool(Pickle *p, int arg)
{
    return push_int(p, arg);
}

/* Four bytes have a sign, fewer have none. */
static bool op_int(Pickle *p, int arg)
{
    uint64_t v;
    if (!pickle_number(p, arg, &v))
        return false;
    return push_int(p, arg == 4 ? (int32_t)(uint32_t)v : (int64_t)v);
}

/* Two's complement of so many bytes; past 64 bits it is of no use here. */
static bool op_long(Pickle *p, int arg)
{
    uint64_t n, v;
    if (!pickle_number(p, arg, &n))
        return false;
    if (n > 8)
        return n <= INT_MAX ? pickle_skip(p, (int64_t)n) &&
                                  pickle_push_kind(p, PICKLE_OTHER)
                            : pickle_fail(p, "a number of negative length");
    if (!pickle_number(p, (int)n, &v))
        return false;
    if (n && n < 8 && v >> (8 * n - 1))
        v |= ~UINT64_C(0) << (8 * n);
    return push_int(p, (int64_t)v);
}

static bool op_float(Pickle *p, int arg)
{
    return pickle_skip(p, arg) && pickle_push_kind(p, PICKLE_OTHER);
}

static bool take_length(Pickle *p, int arg, uint64_t *n)
{
    if (!pickle_number(p, arg, n))
        return false;
    return *n <= (uint64_t)pickle_left(p) ||
           pickle_fail(p, "a text that is longer than the file");
}

static bool op_bytes(Pickle *p, int arg)
{
    uint64_t n;
    return take_length(p, arg, &n) && pickle_skip(p, (int64_t)n) &&
           pickle_push_kind(p, PICKLE_OTHER);
}

/* The text is bounded by the file before it gets memory. */
static bool op_text(Pickle *p, int arg)
{
    uint64_t n;
    if (!take_length(p, arg, &n))
        return false;
    char *text = pickle_alloc(p, (size_t)n + 1);
    if (!text || !pickle_bytes(p, text, (int64_t)n))
        return false;
    if (strlen(text) != n)
        return pickle_push_kind(p, PICKLE_OTHER);
    return pickle_push(p, (PickleValue){.kind = PICKLE_TEXT, .text = text});
}

/* ---- containers ---------------------------------------------------------- */

/* A container of the stack's values from `first` on. */
static bool collect(Pickle *p, PickleKind kind, uint32_t first, uint32_t below)
{
    PickleItems *items = pickle_items(p);
    if (!items || !items_add(p, items, p->stack + first, p->depth - first))
        return false;
    p->depth = below;
    return pickle_push(p, (PickleValue){.kind = kind, .items = items});
}

static bool op_empty(Pickle *p, int arg)
{
    PickleItems *items = pickle_items(p);
    return items && pickle_push(p, (PickleValue){.kind = (PickleKind)arg,
                                                 .items = items});
}

static bool op_tuple(Pickle *p, int arg)
{
    PickleValue v;
    for (int i = 0; i < arg; i++) /* no mark among them */
        if (!pickle_pop(p, &v))
            return false;
    p->depth += (uint32_t)arg;
    return collect(p, PICKLE_TUPLE, p->depth - (uint32_t)arg,
                   p->depth - (uint32_t)arg);
}

static bool op_since_mark(Pickle *p, int arg)
{
    uint32_t first;
    if (!pickle_mark(p, &first))
        return false;
    if (arg == PICKLE_DICT && (p->depth - first) % 2)
        return pickle_fail(p, "a key without a value");
    return collect(p, (PickleKind)arg, first, first - 1);
}

/* What of no use here is extended stays of no use. */
static bool extend(Pickle *p, PickleKind kind, uint32_t first, uint32_t below)
{
    if (!below || p->stack[below - 1].kind == PICKLE_MARK)
        return pickle_fail(p, "a value is missing on its stack");
    PickleValue *to = &p->stack[below - 1];
    if (to->kind != kind && to->kind != PICKLE_OTHER)
        return pickle_fail(p, "items are added to what cannot have them");
    if (kind == PICKLE_DICT && (p->depth - first) % 2)
        return pickle_fail(p, "a key without a value");
    if (to->kind == kind &&
        !items_add(p, to->items, p->stack + first, p->depth - first))
        return false;
    p->depth = below;
    return true;
}

static bool op_add(Pickle *p, int arg)
{
    PickleValue v;
    uint32_t n = arg == PICKLE_DICT ? 2 : 1;
    for (uint32_t i = 0; i < n; i++)
        if (!pickle_pop(p, &v))
            return false;
    p->depth += n;
    return extend(p, (PickleKind)arg, p->depth - n, p->depth - n);
}

static bool op_add_since_mark(Pickle *p, int arg)
{
    uint32_t first;
    return pickle_mark(p, &first) &&
           extend(p, (PickleKind)arg, first, first - 1);
}

/* Sets are of no use here: their items go. */
static bool op_drop_since_mark(Pickle *p, int arg)
{
    uint32_t first;
    if (!pickle_mark(p, &first))
        return false;
    p->depth = first - 1;
    return !arg || pickle_push_kind(p, PICKLE_OTHER);
}

/* ---- stack and memo ------------------------------------------------------ */

static bool op_pop(Pickle *p, int arg)
{
    PickleValue v;
    (void)arg;
    return pickle_pop(p, &v);
}

static bool op_dup(Pickle *p, int arg)
{
    PickleValue v;
    (void)arg;
    return pickle_top(p, &v) && pickle_push(p, v);
}

static bool op_put(Pickle *p, int arg)
{
    uint64_t place = p->memo_n;
    if (arg && !pickle_number(p, arg, &place))
        return false;
    return pickle_put(p, place);
}

static bool op_get(Pickle *p, int arg)
{
    uint64_t place;
    return pickle_number(p, arg, &place) && pickle_get(p, place);
}

/* ---- names and objects --------------------------------------------------- */

static bool push_name(Pickle *p, const char *module, const char *name)
{
    const PickleName *known = pickle_name(module, name);
    if (!known)
        return pickle_refuse(p,
                             "asks for %.200s.%.200s, which no list of "
                             "weights needs",
                             module, name);
    return pickle_push(p, (PickleValue){.kind = PICKLE_NAME, .name = known});
}

static bool op_global(Pickle *p, int arg)
{
    char module[PICKLE_NAME_MOST + 1], name[PICKLE_NAME_MOST + 1];
    (void)arg;
    return pickle_line(p, module) && pickle_line(p, name) &&
           push_name(p, module, name);
}

static bool op_stack_global(Pickle *p, int arg)
{
    PickleValue module, name;
    (void)arg;
    if (!pickle_pop(p, &name) || !pickle_pop(p, &module))
        return false;
    if (name.kind != PICKLE_TEXT || module.kind != PICKLE_TEXT)
        return pickle_fail(p, "a name that is no text");
    return push_name(p, module.text, name.text);
}

/* REDUCE and NEWOBJ: "call" a name with a tuple. */
static bool op_call(Pickle *p, int arg)
{
    PickleValue args, name, made;
    (void)arg;
    if (!pickle_pop(p, &args) || !pickle_pop(p, &name))
        return false;
    if (name.kind != PICKLE_NAME || args.kind != PICKLE_TUPLE)
        return pickle_fail(p, "it calls what is no name");
    return pickle_call(p, name.name, args.items, &made) && pickle_push(p, made);
}

/* Attributes: none is of use here. */
static bool op_build(Pickle *p, int arg)
{
    PickleValue attributes, object;
    (void)arg;
    return pickle_pop(p, &attributes) && pickle_top(p, &object);
}

static bool op_persistent(Pickle *p, int arg)
{
    PickleValue id, made;
    (void)arg;
    return pickle_pop(p, &id) && pickle_persistent(p, &id, &made) &&
           pickle_push(p, made);
}

/* ---- the table ----------------------------------------------------------- */

typedef struct Opcode {
    const char *name;
    OpcodeRun *run; /* NULL: refused */
    int arg;
} Opcode;

enum { OPCODE_STOP = '.' };

/* clang-format off */
static const Opcode opcode_table[256] = {
    [OPCODE_STOP] = {"STOP", NULL, 0},
    [0x80] = {"PROTO",             op_protocol, 1},
    [0x95] = {"FRAME",             op_frame, 8},

    ['N']  = {"NONE",              op_kind, PICKLE_NONE},
    ['(']  = {"MARK",              op_kind, PICKLE_MARK},
    [0x88] = {"NEWTRUE",           op_bool, 1},
    [0x89] = {"NEWFALSE",          op_bool, 0},
    ['K']  = {"BININT1",           op_int, 1},
    ['M']  = {"BININT2",           op_int, 2},
    ['J']  = {"BININT",            op_int, 4},
    [0x8a] = {"LONG1",             op_long, 1},
    [0x8b] = {"LONG4",             op_long, 4},
    ['G']  = {"BINFLOAT",          op_float, 8},

    ['U']  = {"SHORT_BINSTRING",   op_text, 1},
    ['T']  = {"BINSTRING",         op_text, 4},
    [0x8c] = {"SHORT_BINUNICODE",  op_text, 1},
    ['X']  = {"BINUNICODE",        op_text, 4},
    [0x8d] = {"BINUNICODE8",       op_text, 8},
    ['C']  = {"SHORT_BINBYTES",    op_bytes, 1},
    ['B']  = {"BINBYTES",          op_bytes, 4},
    [0x8e] = {"BINBYTES8",         op_bytes, 8},

    [']']  = {"EMPTY_LIST",        op_empty, PICKLE_LIST},
    ['}']  = {"EMPTY_DICT",        op_empty, PICKLE_DICT},
    [')']  = {"EMPTY_TUPLE",       op_empty, PICKLE_TUPLE},
    [0x8f] = {"EMPTY_SET",         op_kind, PICKLE_OTHER},
    [0x85] = {"TUPLE1",            op_tuple, 1},
    [0x86] = {"TUPLE2",            op_tuple, 2},
    [0x87] = {"TUPLE3",            op_tuple, 3},
    ['t']  = {"TUPLE",             op_since_mark, PICKLE_TUPLE},
    ['l']  = {"LIST",              op_since_mark, PICKLE_LIST},
    ['d']  = {"DICT",              op_since_mark, PICKLE_DICT},
    ['a']  = {"APPEND",            op_add, PICKLE_LIST},
    ['s']  = {"SETITEM",           op_add, PICKLE_DICT},
    ['e']  = {"APPENDS",           op_add_since_mark, PICKLE_LIST},
    ['u']  = {"SETITEMS",          op_add_since_mark, PICKLE_DICT},
    [0x90] = {"ADDITEMS",          op_drop_since_mark, 0},
    [0x91] = {"FROZENSET",         op_drop_since_mark, 1},

    ['0']  = {"POP",               op_pop, 0},
    ['1']  = {"POP_MARK",          op_drop_since_mark, 0},
    ['2']  = {"DUP",               op_dup, 0},
    ['q']  = {"BINPUT",            op_put, 1},
    ['r']  = {"LONG_BINPUT",       op_put, 4},
    [0x94] = {"MEMOIZE",           op_put, 0},
    ['h']  = {"BINGET",            op_get, 1},
    ['j']  = {"LONG_BINGET",       op_get, 4},

    ['c']  = {"GLOBAL",            op_global, 0},
    [0x93] = {"STACK_GLOBAL",      op_stack_global, 0},
    ['R']  = {"REDUCE",            op_call, 0},
    [0x81] = {"NEWOBJ",            op_call, 0},
    ['b']  = {"BUILD",             op_build, 0},
    ['Q']  = {"BINPERSID",         op_persistent, 0},

    /* Of other protocols, or of objects that no list of weights has. */
    ['i']  = {"INST", NULL, 0},        ['o']  = {"OBJ", NULL, 0},
    [0x92] = {"NEWOBJ_EX", NULL, 0},   [0x82] = {"EXT1", NULL, 0},
    [0x83] = {"EXT2", NULL, 0},        [0x84] = {"EXT4", NULL, 0},
    ['P']  = {"PERSID", NULL, 0},      ['I']  = {"INT", NULL, 0},
    ['L']  = {"LONG", NULL, 0},        ['F']  = {"FLOAT", NULL, 0},
    ['S']  = {"STRING", NULL, 0},      ['V']  = {"UNICODE", NULL, 0},
    ['g']  = {"GET", NULL, 0},         ['p']  = {"PUT", NULL, 0},
    [0x96] = {"BYTEARRAY8", NULL, 0},  [0x97] = {"NEXT_BUFFER", NULL, 0},
    [0x98] = {"READONLY_BUFFER", NULL, 0},
};
/* clang-format on */

static bool run_opcode(Pickle *p, unsigned char code)
{
    const Opcode *o = &opcode_table[code];
    if (o->run)
        return o->run(p, o->arg);
    if (!o->name)
        return pickle_fail(p, "0x%02x is no opcode", code);
    return pickle_refuse(p,
                         "uses the pickle opcode %s, which no list of "
                         "weights needs",
                         o->name);
}

static bool run_all(Pickle *p, PickleValue *value)
{
    unsigned char code;
    do {
        if (!pickle_bytes(p, &code, 1) ||
            (code != OPCODE_STOP && !run_opcode(p, code)))
            return false;
    } while (code != OPCODE_STOP);
    return pickle_pop(p, value) &&
           (p->depth == 0 || pickle_fail(p, "values are left over"));
}

/* ---- the whole ----------------------------------------------------------- */

Pickle *pickle_open(const Input *in, int64_t begin, int64_t end, Status *s)
{
    Pickle *p = calloc(1, sizeof *p);
    if (p)
        p->buffer = malloc(PICKLE_BUFFER);
    if (!p || !p->buffer) {
        pickle_close(p);
        status_fail(s, "no memory to read %s", in->path);
        return NULL;
    }
    p->in = in;
    p->at = begin;
    p->end = end;
    return p;
}

void pickle_close(Pickle *p)
{
    if (!p)
        return;
    while (p->chunk) {
        PickleChunk *before = p->chunk->before;
        free(p->chunk);
        p->chunk = before;
    }
    free(p->buffer);
    free(p->stack);
    free(p->memo);
    free(p);
}

bool pickle_next(Pickle *p, PickleValue *value, Status *s)
{
    p->status = s;
    p->depth = p->memo_n = 0;
    return run_all(p, value);
}

PickleStorage *pickle_storages(const Pickle *p, uint32_t *n)
{
    *n = p->n_storages;
    return p->storages;
}

const PickleValue *pickle_find(const PickleValue *dict, const char *key)
{
    const PickleItems *items = dict->items;
    for (uint32_t i = 0; dict->kind == PICKLE_DICT && i < items->n; i += 2)
        if (items->at[i].kind == PICKLE_TEXT && !strcmp(items->at[i].text, key))
            return &items->at[i + 1];
    return NULL;
}
