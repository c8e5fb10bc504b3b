/* module.c: a module's graphs, its state table and its source locations. */
#include "hash.h"
#include "op.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ModuleIndex {
    HashTable state; /* by name: index + 1 */
    HashTable loc;   /* by content */
    HashTable file;  /* by name: index of a loc with that file */
};

Module *module_new(const char *name)
{
    Arena *a = arena_new();
    Module *m = arena_alloc(a, sizeof *m);
    m->arena = a;
    m->name = arena_strdup(a, name);
    m->index = arena_alloc(a, sizeof *m->index);
    ARENA_PUSH(a, m->loc, m->n_locs, m->cap_locs, (LocInfo){0});
    return m;
}

void module_free(Module *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_graphs; i++)
        graph_free(m->graph[i]);
    arena_free(m->arena);
}

/* ---- graphs ------------------------------------------------------------- */

Graph *module_graph(const Module *m, const char *name)
{
    for (size_t i = 0; i < m->n_graphs; i++)
        if (!strcmp(m->graph[i]->name, name))
            return m->graph[i];
    return NULL;
}

void module_add_graph(Module *m, Graph *g)
{
    g->module = m;
    for (size_t i = 0; i < m->n_graphs; i++)
        if (!strcmp(m->graph[i]->name, g->name)) {
            if (m->graph[i] != g)
                graph_free(m->graph[i]);
            m->graph[i] = g;
            return;
        }
    ARENA_PUSH(m->arena, m->graph, m->n_graphs, m->cap_graphs, g);
}

/* ---- state -------------------------------------------------------------- */

typedef struct Key {
    const Module *m;
    const char *name;
    const LocInfo *loc;
} Key;

static bool same_state(const void *key, uint32_t id)
{
    const Key *k = key;
    return !strcmp(k->m->state[id - 1].name, k->name);
}

int module_state(const Module *m, const char *name)
{
    return (int)hash_find(&m->index->state, hash_text(0, name), same_state,
                          &(Key){.m = m, .name = name}) -
           1;
}

int module_add_state(Module *m, const State *s)
{
    assert(s->name && type_fits(&s->type));
    if (module_state(m, s->name) >= 0)
        return -1;
    State copy = *s;
    copy.name = arena_strdup(m->arena, s->name);
    copy.of = arena_strdup(m->arena, s->of ? s->of : "");
    ARENA_PUSH(m->arena, m->state, m->n_states, m->cap_states, copy);
    hash_add(&m->index->state, m->arena, hash_text(0, s->name),
             (uint32_t)m->n_states);
    return (int)m->n_states - 1;
}

/* ---- locations ---------------------------------------------------------- */

static bool same_loc(const void *key, uint32_t id)
{
    const Key *k = key;
    const LocInfo *a = &k->m->loc[id], *b = k->loc;
    return a->line == b->line && a->column == b->column &&
           a->caller == b->caller && !strcmp(a->file, b->file);
}

static bool same_file(const void *key, uint32_t id)
{
    const Key *k = key;
    return !strcmp(k->m->loc[id].file, k->name);
}

Loc module_loc(Module *m, const char *file, int line, int column, Loc caller)
{
    assert(caller < m->n_locs);
    LocInfo l = {file, line, column, caller};
    uint64_t file_hash = hash_text(0, file);
    uint64_t hash = hash_number(
        hash_number(file_hash, (uint64_t)line << 32 | (uint32_t)column),
        caller);
    Key key = {m, file, &l};
    Loc known = hash_find(&m->index->loc, hash, same_loc, &key);
    if (known)
        return known;
    Loc of_file = hash_find(&m->index->file, file_hash, same_file, &key);
    l.file = of_file ? m->loc[of_file].file : arena_strdup(m->arena, file);
    ARENA_PUSH(m->arena, m->loc, m->n_locs, m->cap_locs, l);
    known = (Loc)(m->n_locs - 1);
    hash_add(&m->index->loc, m->arena, hash, known);
    if (!of_file)
        hash_add(&m->index->file, m->arena, file_hash, known);
    return known;
}

const char *module_loc_text(const Module *m, Loc loc, Arena *a)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return "";
    for (Loc l = loc; l; l = m->loc[l].caller)
        fprintf(f, "%s%s:%d:%d", l == loc ? "" : ", called from ",
                m->loc[l].file, m->loc[l].line, m->loc[l].column);
    fclose(f);
    char *copy = arena_strndup(a, text, size);
    free(text);
    return copy;
}
