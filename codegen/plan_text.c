/* plan_text.c: the plan for people: --emit=plan. */
#include "program.h"
#include <inttypes.h>

static const char *const kind_name[BUF_KINDS] = {
    "state", "input", "output", "activation", "gradient", "work"};

static void print_buffers(const ProgramGraph *pg, FILE *out)
{
    const MemoryPlan *m = pg->g->memory;
    fprintf(out, "  buffers: number, offset, bytes, class, live steps\n");
    for (uint32_t i = 0; i < m->n_buffers; i++) {
        const Buffer *b = &m->buffer[i];
        const char *name = "";
        if (b->kind == BUF_STATE)
            name = pg->g->module->state[b->state].name;
        else if (b->value.node)
            name = graph_node(pg->g, b->value)->op->name;
        fprintf(out,
                "    b%-5u %12" PRId64 " %12" PRId64 "  %-10s %5d..%-5d %s\n",
                i, b->offset, b->bytes, kind_name[b->kind], pg->place[b->first],
                pg->place[b->last], name);
    }
}

static void print_steps(const Program *p, const ProgramGraph *pg, FILE *out)
{
    fprintf(out, "  steps: number, kernel, parts, results <- operands\n");
    for (uint32_t i = 0; i < pg->n_run; i++) {
        const ProgramStep *s = &pg->run[i];
        fprintf(out, "    %-5u %-24s %6" PRId64 " ", i,
                p->kernels->kernel[s->code.kernel].name, s->code.parts);
        for (uint32_t k = 0; k < s->n_args; k++)
            fprintf(out, "%s b%u", k == s->n_out ? " <-" : "", s->arg[k]);
        fprintf(out, "   %s  %s\n", s->what, s->loc);
    }
}

static void print_graph(const Program *p, const ProgramGraph *pg, FILE *out)
{
    const MemoryPlan *m = pg->g->memory;
    fprintf(out,
            "graph %s: %u steps, arena %" PRId64 " bytes, live at most %" PRId64
            " bytes (step %d), loss known after step %d\n",
            pg->g->name, pg->n_run, m->arena_bytes, m->live_bytes,
            pg->place[m->peak_step], pg->loss_step);
    print_buffers(pg, out);
    print_steps(p, pg, out);
}

void plan_print(const Program *p, FILE *out)
{
    fprintf(out, "plan %s: %zu kernels, %zu library calls\n", p->module->name,
            p->kernels->n_kernels, p->kernels->n_libs);
    for (size_t i = 0; i < p->kernels->n_kernels; i++)
        fprintf(out, "  %-28s %6u steps\n", p->kernels->kernel[i].name,
                p->kernels->kernel[i].uses);
    for (size_t i = 0; i < p->n_graphs; i++)
        print_graph(p, &p->graph[i], out);
}
