/* variants.c: copies of the training step in which the target takes other
 * choices, so that all ways can be timed by one program.
 *
 * The copies are graphs like all others: the passes that follow fuse, order and
 * place each by itself, so that a copy is what would run if its choice were
 * taken, with everything that comes of it. */
#include "passes.h"
#include "rewrite.h"

static Graph *copy_graph(Graph *g, const char *name)
{
    Rewrite r;
    rewrite_begin(&r, g);
    r.to->name = arena_strdup(r.to->arena, name);
    for (uint32_t id = 1; id < g->n_nodes; id++)
        rewrite_copy(&r, id);
    return rewrite_end(&r);
}

static bool run(Module *m, PassContext *c)
{
    Graph *train = module_graph(m, "train");
    const Target *t = c->target;
    if (!train || !t || !t->variants)
        return true;
    Arena *a = arena_new();
    const char *const *name = t->variants(t, train, a);
    for (; name && *name; name++)
        module_add_graph(m, copy_graph(train, *name));
    arena_free(a);
    return true;
}

const Pass pass_variants = {
    .name = "variants",
    .doc = "copies the training step for each other choice that a program is "
           "to time; nothing in any other program",
    .run = run,
};
