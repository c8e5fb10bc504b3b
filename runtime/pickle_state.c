/* pickle_state.c: the machine's input, memory, stack and memo; each of them
 * bounded.  See pickle_private.h. */
#include "pickle_private.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16, FIRST_ROOM = 64 };

/* ---- failing ------------------------------------------------------------- */

bool pickle_fail(Pickle *p, const char *format, ...)
{
    char why[500];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    return input_damaged(p->in, p->status, "byte %lld, in its pickle: %s",
                         (long long)pickle_place(p), why);
}

bool pickle_refuse(Pickle *p, const char *format, ...)
{
    char why[600];
    va_list list;
    va_start(list, format);
    vsnprintf(why, sizeof why, format, list);
    va_end(list);
    return status_fail(p->status,
                       "%s %s; nothing in it was run (save the weights alone, "
                       "in Python: torch.save(model.state_dict(), PATH))",
                       p->in->path, why);
}

/* ---- input --------------------------------------------------------------- */

int64_t pickle_place(const Pickle *p)
{
    return p->at - (int64_t)(p->fill - p->used);
}

int64_t pickle_left(const Pickle *p)
{
    return p->end - pickle_place(p);
}

static bool refill(Pickle *p)
{
    int64_t n = p->end - p->at;
    if (n == 0)
        return pickle_fail(p, "it breaks off");
    n = n < PICKLE_BUFFER ? n : PICKLE_BUFFER;
    if (!input_read(p->in, p->at, p->buffer, n, p->status))
        return false;
    p->at += n;
    p->used = 0;
    p->fill = (size_t)n;
    return true;
}

bool pickle_bytes(Pickle *p, void *to, int64_t n)
{
    if (n > pickle_left(p))
        return pickle_fail(p, "it breaks off");
    for (char *at = to; n > 0;) {
        if (p->used == p->fill && !refill(p))
            return false;
        size_t have = p->fill - p->used;
        size_t piece = (int64_t)have < n ? have : (size_t)n;
        memcpy(at, p->buffer + p->used, piece);
        p->used += piece;
        at += piece;
        n -= (int64_t)piece;
    }
    return true;
}

bool pickle_skip(Pickle *p, int64_t n)
{
    int64_t have = (int64_t)(p->fill - p->used);
    if (n > pickle_left(p))
        return pickle_fail(p, "it breaks off");
    if (n <= have) {
        p->used += (size_t)n;
        return true;
    }
    p->at += n - have;
    p->used = p->fill = 0;
    return true;
}

bool pickle_number(Pickle *p, int bytes, uint64_t *to)
{
    unsigned char b[8];
    if (!pickle_bytes(p, b, bytes))
        return false;
    *to = little_number(b, bytes);
    return true;
}

bool pickle_line(Pickle *p, char line[PICKLE_NAME_MOST + 1])
{
    for (int n = 0; n <= PICKLE_NAME_MOST; n++) {
        if (!pickle_bytes(p, &line[n], 1))
            return false;
        if (line[n] == '\n') {
            line[n] = 0;
            return true;
        }
    }
    return pickle_fail(p, "a name without end");
}

/* ---- memory -------------------------------------------------------------- */

static bool chunk_add(Pickle *p, size_t bytes)
{
    size_t room = bytes > CHUNK ? bytes : CHUNK;
    PickleChunk *c = NULL;
    if (room <= PICKLE_MEMORY - p->memory)
        c = malloc(sizeof *c + room);
    if (!c)
        return pickle_refuse(p, "is too large for a list of weights");
    p->memory += room;
    *c = (PickleChunk){.before = p->chunk, .room = room};
    p->chunk = c;
    return true;
}

void *pickle_alloc(Pickle *p, size_t bytes)
{
    size_t align = _Alignof(max_align_t);
    if (bytes <= PICKLE_MEMORY)
        bytes = (bytes + align - 1) / align * align;
    if ((!p->chunk || bytes > p->chunk->room - p->chunk->used) &&
        !chunk_add(p, bytes))
        return NULL;
    void *to = (char *)p->chunk->data + p->chunk->used;
    p->chunk->used += bytes;
    return memset(to, 0, bytes);
}

PickleItems *pickle_items(Pickle *p)
{
    return pickle_alloc(p, sizeof(PickleItems));
}

bool items_add(Pickle *p, PickleItems *items, const PickleValue *v, uint32_t n)
{
    if (n > items->room - items->n) {
        uint32_t room =
            2 * items->room > items->n + n ? 2 * items->room : items->n + n;
        PickleValue *at = pickle_alloc(p, room * sizeof *at);
        if (!at)
            return false;
        if (items->n)
            memcpy(at, items->at, items->n * sizeof *at);
        items->at = at;
        items->room = room;
    }
    if (n)
        memcpy(items->at + items->n, v, n * sizeof *v);
    items->n += n;
    return true;
}

/* Room for `wanted` values in a growing array of at most `most`. */
static bool grow(Pickle *p, PickleValue **array, uint32_t *room,
                 uint64_t wanted, uint32_t most, const char *what)
{
    if (wanted <= *room)
        return true;
    if (wanted > most)
        return pickle_refuse(p,
                             "has a pickle that needs %s of more than %u "
                             "values",
                             what, most);
    uint32_t more = *room ? 2 * *room : FIRST_ROOM;
    more = more > wanted ? more : (uint32_t)wanted;
    PickleValue *larger = realloc(*array, more * sizeof *larger);
    if (!larger)
        return status_fail(p->status, "no memory to read %s", p->in->path);
    *array = larger;
    *room = more;
    return true;
}

/* ---- stack and memo ------------------------------------------------------ */

bool pickle_push(Pickle *p, PickleValue v)
{
    if (!grow(p, &p->stack, &p->stack_room, (uint64_t)p->depth + 1,
              PICKLE_STACK, "a stack"))
        return false;
    p->stack[p->depth++] = v;
    return true;
}

bool pickle_push_kind(Pickle *p, PickleKind kind)
{
    return pickle_push(p, (PickleValue){.kind = kind});
}

bool pickle_top(Pickle *p, PickleValue *v)
{
    if (!p->depth || p->stack[p->depth - 1].kind == PICKLE_MARK)
        return pickle_fail(p, "a value is missing on its stack");
    *v = p->stack[p->depth - 1];
    return true;
}

bool pickle_pop(Pickle *p, PickleValue *v)
{
    if (!pickle_top(p, v))
        return false;
    p->depth--;
    return true;
}

bool pickle_mark(Pickle *p, uint32_t *first)
{
    for (*first = p->depth; *first; --*first)
        if (p->stack[*first - 1].kind == PICKLE_MARK)
            return true;
    return pickle_fail(p, "a mark is missing on its stack");
}

/* What lies between the end and a far place stays PICKLE_MARK: not set. */
bool pickle_put(Pickle *p, uint64_t place)
{
    PickleValue v;
    if (!pickle_top(p, &v) ||
        !grow(p, &p->memo, &p->memo_room, place + 1, PICKLE_MEMO, "a memo"))
        return false;
    while (p->memo_n <= place)
        p->memo[p->memo_n++].kind = PICKLE_MARK;
    p->memo[place] = v;
    return true;
}

bool pickle_get(Pickle *p, uint64_t place)
{
    if (place >= p->memo_n || p->memo[place].kind == PICKLE_MARK)
        return pickle_fail(p, "memo %llu is used before it is set",
                           (unsigned long long)place);
    return pickle_push(p, p->memo[place]);
}
