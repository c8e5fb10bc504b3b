/* cuda_units.c: see cuda_units.h. */
#include "cuda_units.h"
#include "print_cuda.h"
#include <stdlib.h>
#include <string.h>

typedef struct Text {
    char *bytes;
    size_t size;
    FILE *file;
} Text;

static void text_open(Text *t)
{
    t->file = open_memstream(&t->bytes, &t->size);
}

/* A copy in the arena. */
static const char *text_close(Text *t, Arena *a)
{
    fclose(t->file);
    const char *copy = arena_strndup(a, t->bytes, t->size);
    free(t->bytes);
    return copy;
}

static int count_lines(const char *text)
{
    int n = 0;
    while ((text = strchr(text, '\n'))) {
        text++;
        n++;
    }
    return n;
}

static const char *head_text(Arena *a)
{
    Text t;
    text_open(&t);
    print_cuda_head(t.file);
    return text_close(&t, a);
}

/* Kernels from *at on that are in unit number u; none: the last unit. */
static const char *kernels_text(const Kernels *k, uint32_t u, size_t *at,
                                CacheKey *key, Arena *a)
{
    Text t;
    bool any = false;
    text_open(&t);
    for (; *at < k->n_kernels && k->kernel[*at].unit == u; ++*at) {
        kernel_print(&k->kernel[*at], t.file);
        cache_key_add(key, k->kernel[*at].name);
        cache_key_add(key, k->kernel[*at].text);
        any = true;
    }
    if (!any)
        print_cuda_fetch(t.file);
    const char *text = text_close(&t, a);
    if (!any)
        cache_key_add(key, text);
    return text;
}

CudaUnits cuda_units(const Kernels *k, Arena *a)
{
    size_t n = k->n_kernels;
    CudaUnits units = {.n = (n ? (int)k->kernel[n - 1].unit + 1 : 0) + 1};
    units.unit = arena_array(a, (size_t)units.n, sizeof *units.unit);
    const char *head = head_text(a);
    int line = count_lines(head) + 1;
    size_t at = 0;
    Text all;
    text_open(&all);
    fputs(head, all.file);
    for (int u = 0; u < units.n; u++) {
        CudaUnit *unit = &units.unit[u];
        cache_key_add(&unit->key, head);
        const char *text = kernels_text(k, (uint32_t)u, &at, &unit->key, a);
        unit->source =
            arena_printf(a, "%s#line %d \"kernels.cu\"\n%s", head, line, text);
        line += count_lines(text);
        fputs(text, all.file);
    }
    units.text = text_close(&all, a);
    return units;
}
