/* arena.c: a list of chunks; allocating moves a mark, freeing frees chunks.
 *
 * Under AddressSanitizer a few poisoned bytes follow every allocation, so that
 * running over its end is caught although the chunk goes on. */
#include "arena.h"
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

#ifdef TGC_HOSTILE /* so that everything moves as often as it can */
enum { FIRST_CHUNK = 16, FIRST_COUNT = 1 };
#else
enum { FIRST_CHUNK = 4096, FIRST_COUNT = 8 };
#endif
enum { ALIGN = 16, LAST_CHUNK = 1 << 20 };

typedef struct Chunk {
    _Alignas(ALIGN) struct Chunk *next;
    size_t used, size;
    _Alignas(ALIGN) char data[];
} Chunk;

struct Arena {
    Chunk *chunk; /* the one being filled, then full ones */
    size_t next_size, bytes;
};

static void *need(void *p)
{
    if (!p) {
        fputs("tgc: this machine is out of memory\n", stderr);
        exit(1);
    }
    return p;
}

Arena *arena_new(void)
{
    Arena *a = need(calloc(1, sizeof *a));
    a->next_size = FIRST_CHUNK;
    return a;
}

void arena_free(Arena *a)
{
    if (!a)
        return;
    for (Chunk *c = a->chunk, *next; c; c = next) {
        next = c->next;
        ASAN_UNPOISON_MEMORY_REGION(c->data, c->size);
        free(c);
    }
    free(a);
}

/* A chunk with room for size bytes becomes the current one. */
static void add_chunk(Arena *a, size_t size)
{
    size_t room = size > a->next_size ? size : a->next_size;
    Chunk *c = need(calloc(1, sizeof *c + room));
    c->size = room;
    c->next = a->chunk;
    a->chunk = c;
    ASAN_POISON_MEMORY_REGION(c->data, c->size);
    if (a->next_size < LAST_CHUNK)
        a->next_size *= 2;
}

void *arena_alloc(Arena *a, size_t size)
{
    if (size > SIZE_MAX / 4)
        need(NULL);
    size_t rounded = (size + GAP + ALIGN - 1) / ALIGN * ALIGN;
    if (!a->chunk || a->chunk->size - a->chunk->used < rounded)
        add_chunk(a, rounded);
    char *p = a->chunk->data + a->chunk->used;
    a->chunk->used += rounded;
    a->bytes += rounded;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

void *arena_array(Arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        need(NULL);
    return arena_alloc(a, count * size);
}

void *arena_copy(Arena *a, const void *from, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size)
        memcpy(p, from, size);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s) + 1);
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n)
        memcpy(p, s, n);
    return p;
}

char *arena_vprintf(Arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    assert(n >= 0 && "a format that printf knows");
    char *p = arena_alloc(a, (size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}

char *arena_printf(Arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *p = arena_vprintf(a, format, args);
    va_end(args);
    return p;
}

size_t arena_bytes(const Arena *a)
{
    return a->bytes;
}

void *arena_grow(Arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? *cap * 2 : FIRST_COUNT;
    void *p = arena_array(a, more, size);
    if (n)
        memcpy(p, array, n * size);
    *cap = more;
    return p;
}
