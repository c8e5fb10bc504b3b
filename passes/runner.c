/* runner.c: runs passes one after the other and does for each what the pass
 * need not know about: checks what it needs, verifies what it left, times and
 * prints it, and keeps what replays a failure. */
#include "passes.h"
#include "text.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what passes use ---------------------------------------------------- */

bool pass_fail(PassContext *c, Loc loc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->error.text, sizeof c->error.text, format, args);
    va_end(args);
    c->error_loc = loc;
    return false;
}

bool passes_each_graph(Module *m, PassContext *c, GraphRewrite *rewrite)
{
    for (size_t i = 0; i < m->n_graphs; i++) {
        Graph *now = rewrite(m->graph[i], c);
        if (!now)
            return false;
        module_add_graph(m, now); /* it has the old one's name and place */
    }
    return true;
}

/* ---- facts -------------------------------------------------------------- */

static bool trains(const Module *m)
{
    const Graph *g = module_graph(m, "train");
    for (uint32_t id = 1; g && id < g->n_nodes; id++) {
        if (strcmp(g->node[id].op->name, "update"))
            continue;
        int s = module_state(m, node_string(&g->node[id], "name"));
        if (s >= 0 && m->state[s].role == STATE_PARAM)
            return true;
    }
    return false;
}

static bool every_node(const Module *m, bool (*holds)(const Node *n))
{
    for (size_t i = 0; i < m->n_graphs; i++)
        for (uint32_t id = 1; id < m->graph[i]->n_nodes; id++)
            if (!holds(&m->graph[i]->node[id]))
                return false;
    return true;
}

static bool is_plain(const Node *n)
{
    return node_is_generic(n) || node_has(n, T_LIBRARY) ||
           node_has(n, T_SOURCE) || node_has(n, T_ROOT);
}

static bool is_alone(const Node *n)
{
    return n->group == 0;
}

/* What holds of a module that may come from text.  Most layouts and the order
 * cannot be seen; whoever starts in the middle of the pipeline is believed. */
static uint32_t find_facts(const Module *m)
{
    Error e;
    uint32_t facts = F_ORDERED;
    if (module_verify_layouts(m, &e))
        facts |= F_LAID_OUT;
    if (trains(m))
        facts |= F_GRAD;
    if (every_node(m, is_plain))
        facts |= F_PLAIN;
    if (!every_node(m, is_alone))
        facts |= F_FUSED;
    return facts;
}

static bool check_needs(const Pass *p, uint32_t facts, PassContext *c)
{
    uint32_t missing = p->needs & ~facts;
    if (!missing)
        return true;
    char what[128] = "";
    FILE *f = fmemopen(what, sizeof what, "w");
    if (f) {
        facts_print(missing, f);
        fclose(f);
    }
    return pass_fail(c, 0,
                     "pass %s needs a module that is %s; docs/passes.md says "
                     "which pass does that",
                     p->name, what);
}

/* ---- one pass ----------------------------------------------------------- */

typedef struct Timing {
    const Pass *pass;
    double ms;
    size_t nodes; /* after it, in all graphs */
} Timing;

typedef struct Runner {
    Module *m;
    PassContext *c;
    const PassOptions *o;
    FILE *print_to;
    Arena *arena; /* texts of the module; given back after each pass */
    char *before; /* its text before the pass; or NULL */
    uint32_t facts;
    Timing *timing;
    size_t n_timings, cap_timings;
    Arena *timings;
} Runner;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static bool prints_after(const Runner *r, const char *what)
{
    return r->o->print_after && !strcmp(r->o->print_after, what);
}

static size_t count_nodes(const Module *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_graphs; i++)
        n += m->graph[i]->n_nodes - 1;
    return n;
}

/* print(read(print(m))) == print(m) */
static bool check_text(Runner *r, Error *e)
{
    char *text = module_to_string(r->m, r->arena);
    Module *again = module_read(text, strlen(text), r->m->name, e);
    if (!again)
        return false;
    char *text_again = module_to_string(again, r->arena);
    module_free(again);
    size_t i = 0;
    while (text[i] && text[i] == text_again[i])
        i++;
    if (text[i] == text_again[i])
        return true;
    while (i && text[i - 1] != '\n')
        i--;
    return error_set(e, "text does not read back as it was: %.*s",
                     (int)strcspn(text + i, "\n"), text + i);
}

static bool check_result(Runner *r, const Pass *p)
{
    Error e = {{0}};
    uint32_t facts = (r->facts & ~p->breaks) | p->adds;
    if (!module_verify(r->m, &e) ||
        ((facts & F_LAID_OUT) && !module_verify_layouts(r->m, &e)))
        return pass_fail(r->c, 0, "bug: pass %s left a wrong module: %s",
                         p->name, e.text);
    if (r->o->verify_text && !check_text(r, &e))
        return pass_fail(r->c, 0, "bug: after pass %s: %s", p->name, e.text);
    return true;
}

/* Leaves the text from before the pass where the caller wants it. */
static void keep_replay(Runner *r, const Pass *p)
{
    if (!r->o->replay_dir || !r->before)
        return;
    char *path = arena_printf(r->arena, "%s/%s.before-%s.ir", r->o->replay_dir,
                              r->m->name, p->name);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(r->before, f) >= 0;
    if (f && fclose(f))
        ok = false;
    if (ok)
        fprintf(r->print_to, "replay: tgc opt %s --passes=%s\n", path, p->name);
    else
        fprintf(r->print_to, "cannot write %s: %s\n", path, strerror(errno));
}

static void print_result(Runner *r, const Pass *p)
{
    bool print = prints_after(r, p->name) || prints_after(r, "all");
    if (prints_after(r, "changed"))
        print = strcmp(r->before, module_to_string(r->m, r->arena)) != 0;
    if (!print)
        return;
    fprintf(r->print_to, "# after %s\n", p->name);
    module_print(r->m, r->print_to);
}

static bool run_pass(Runner *r, const Pass *p)
{
    if (!check_needs(p, r->facts, r->c))
        return false;
    if (r->o->replay_dir || prints_after(r, "changed"))
        r->before = module_to_string(r->m, r->arena);
    double start = now_ms();
    bool ok = p->run(r->m, r->c);
    Timing t = {p, now_ms() - start, count_nodes(r->m)};
    ARENA_PUSH(r->timings, r->timing, r->n_timings, r->cap_timings, t);
    ok = ok && check_result(r, p);
    if (!ok) {
        keep_replay(r, p);
        return false;
    }
    r->facts = (r->facts & ~p->breaks) | p->adds;
    print_result(r, p);
    return true;
}

/* ---- all of them -------------------------------------------------------- */

static void print_timings(const Runner *r)
{
    double sum = 0;
    for (size_t i = 0; i < r->n_timings; i++)
        sum += r->timing[i].ms;
    fprintf(r->print_to, "      ms      %%    nodes  pass\n");
    for (size_t i = 0; i < r->n_timings; i++) {
        const Timing *t = &r->timing[i];
        fprintf(r->print_to, "%8.2f %6.1f %8zu  %s\n", t->ms,
                sum > 0 ? 100 * t->ms / sum : 0, t->nodes, t->pass->name);
    }
    fprintf(r->print_to, "%8.2f  100.0           all\n", sum);
}

static bool run_named(Runner *r, const char *name)
{
    const Pass *p = pass_named(name);
    if (!p)
        return pass_fail(r->c, 0, "there is no pass \"%.60s\"", name);
    r->arena = arena_new();
    r->before = NULL;
    bool ok = run_pass(r, p);
    arena_free(r->arena);
    return ok;
}

bool passes_run(Module *m, PassContext *c, const char *const *names,
                const PassOptions *o)
{
    static const PassOptions none = {0};
    Runner r = {.m = m, .c = c, .o = o ? o : &none, .timings = arena_new()};
    r.print_to = r.o->print_to ? r.o->print_to : stderr;
    r.facts = find_facts(m);
    bool ok = true;
    for (; ok && *names; names++) {
        ok = run_named(&r, *names);
        if (ok && r.o->stop_after && !strcmp(r.o->stop_after, *names))
            break;
    }
    if (r.o->time)
        print_timings(&r);
    arena_free(r.timings);
    return ok;
}
