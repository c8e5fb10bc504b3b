/* arena.h: memory that is given back all at once.
 *
 * Every graph, module and syntax tree owns one arena; whatever it points to
 * lives there.  Allocations are zeroed, never fail (the process stops with a
 * message when the machine is out of memory) and are never freed one by one.
 */
#ifndef TGC_ARENA_H
#define TGC_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *a); /* NULL is fine */

void *arena_alloc(Arena *a, size_t size); /* 16-byte aligned, zeroed */
void *arena_array(Arena *a, size_t count, size_t size); /* checks count*size */
void *arena_copy(Arena *a, const void *from, size_t size);
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *a, const char *format, va_list args);
size_t arena_bytes(const Arena *a); /* handed out so far */

/* A growing array in an arena:
 *     Value *v = NULL; size_t n = 0, cap = 0;
 *     ARENA_PUSH(a, v, n, cap, value);
 * Old copies stay behind in the arena: at most as much again. */
#define ARENA_PUSH(a, array, n, cap, item)                                     \
    do {                                                                       \
        (array) = arena_grow((a), (array), (n), &(cap), sizeof *(array));      \
        (array)[(n)++] = (item);                                               \
    } while (0)
void *arena_grow(Arena *a, void *array, size_t n, size_t *cap, size_t size);

#endif
