/* info.c: the command `info`: what the plan holds, without running it. */
#include "commands.h"
#include "cudnn.h"
#include "edges.h"
#include "format.h"
#include "lib.h"
#include "memory_class.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many steps of all graphs make library call i. */
static uint32_t lib_uses(const Plan *plan, uint32_t call)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        const PlanGraph *g = &plan->graphs[i];
        for (uint32_t k = 0; k < g->n_steps; k++)
            for (uint32_t l = 0; l < g->steps[k].n_libs; l++)
                uses += g->libs[g->steps[k].lib + l] == call;
    }
    return uses;
}

static uint32_t kernel_uses(const Plan *plan, uint32_t kernel)
{
    uint32_t uses = 0;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        for (uint32_t k = 0; k < plan->graphs[i].n_steps; k++)
            uses += plan->graphs[i].steps[k].kernel == kernel;
    return uses;
}

/* A convolution on a GPU: who computes it, and which, or why. */
static bool conv_words(const Plan *plan, uint32_t kernel, char *text,
                       size_t size)
{
    const PlanKernel *k = &plan->kernels[kernel];
    char what[256], room[32];
    if (!k->conv && !k->why)
        return false;
    if (!k->conv) {
        snprintf(text, size, "%s", k->why);
        return true;
    }
    const PlanConv *p = &plan->convs[k->conv - 1];
    snprintf(text, size, "%s, in at most %s%s%s",
             cudnn_describe(p, what, sizeof what),
             format_bytes((double)p->workspace, room, sizeof room),
             k->why ? "; " : "", k->why ? k->why : "");
    return true;
}

/* ---- for people ---------------------------------------------------------- */

static void print_memory(const Plan *plan, int threads)
{
    const PlanGraph *g = memory_main_graph(plan);
    int64_t bytes[PLAN_BUFFER_KINDS];
    char a[32], b[32], c[32], d[32];
    printf("memory      %s: an arena of %s, %d x %s of scratch, %s for the "
           "program\n",
           format_bytes((double)plan->arena_bytes +
                            (double)threads * (double)plan->scratch_bytes +
                            (double)plan->program_bytes,
                        a, sizeof a),
           format_bytes((double)plan->arena_bytes, b, sizeof b), threads,
           format_bytes((double)plan->scratch_bytes, c, sizeof c),
           format_bytes((double)plan->program_bytes, d, sizeof d));
    if (!g || !g->n_steps)
        return;
    memory_by_class(g, bytes);
    const PlanStep *peak =
        &g->steps[g->peak_step >= 0 && (uint32_t)g->peak_step < g->n_steps
                      ? g->peak_step
                      : 0];
    printf("            alive at its peak, in graph %s, %s %s:\n", g->name,
           peak->what, peak->loc);
    for (int i = 0; i < PLAN_BUFFER_KINDS; i++)
        printf("            %-11s %10s   %s\n", memory_class_name[i],
               format_bytes((double)bytes[i], a, sizeof a),
               memory_class_doc[i]);
}

static void print_graphs(const Plan *plan)
{
    printf("kernels     %u\n", plan->n_kernels);
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        const PlanGraph *g = &plan->graphs[i];
        double flops = 0, moved = 0;
        char a[32], b[32], c[32];
        for (uint32_t k = 0; k < g->n_steps; k++) {
            flops += g->steps[k].flops;
            moved += g->steps[k].bytes;
        }
        printf("graph       %-11s %u steps, %.3g GFLOP, %s moved, arena %s\n",
               g->name, g->n_steps, 1e-9 * flops,
               format_bytes(moved, a, sizeof a),
               format_bytes((double)g->arena_bytes, b, sizeof b));
        if (plan->device == PLAN_CUDA)
            printf("            %-11s %u of the steps, each after the one "
                   "before; the others beside them\n",
                   "in a row", edges_of_graph(plan, g, true));
        if (g->unfused_steps)
            printf("            %-11s %u steps, %s moved\n", "unfused",
                   g->unfused_steps,
                   format_bytes(g->unfused_bytes, c, sizeof c));
    }
}

static void print_libs(const Plan *plan)
{
    if (plan->n_libs)
        printf("library     %s\n", lib_version());
    for (uint32_t i = 0; i < plan->n_libs; i++) {
        char what[320], error[512];
        LibInfo info;
        if (plan->lib[i].kind == LIB_PACK || plan->lib[i].kind == LIB_UNPACK)
            continue; /* what is small is in --json */
        bool known = lib_query(&plan->lib[i], &info, error, sizeof error);
        printf("  %4u x  %-22s %s\n", lib_uses(plan, i),
               known ? info.implementation : "not available here",
               lib_describe(&plan->lib[i], what, sizeof what));
    }
}

static void print_convs(const Plan *plan)
{
    bool some = false;
    for (uint32_t i = 0; i < plan->n_kernels; i++) {
        char what[512];
        if (!conv_words(plan, i, what, sizeof what))
            continue;
        if (!some)
            printf("convolutions, by whom\n");
        some = true;
        printf("  %4u x  %-5s %-24s %s\n", kernel_uses(plan, i),
               plan->kernels[i].conv ? "cuDNN" : "tgc", plan->kernels[i].name,
               what);
    }
}

static void print_settings(const Config *c)
{
    printf("settings    (* may be changed when running)\n");
    for (uint32_t i = 0; i < c->n; i++)
        printf("          %c %-24s %s\n", c->item[i].plan->run_time ? '*' : ' ',
               c->item[i].key, c->item[i].text ? c->item[i].text : "-");
}

static void info_print(const Session *x)
{
    const Plan *plan = x->plan;
    char count[32];
    printf("model       %s\n", plan->model);
    printf("compiler    %s\n", plan->compiler);
    printf("processor   %s\n", plan->march ? plan->march : "any");
    printf("parameters  %s in %u states\n",
           format_count(plan->parameters, count, sizeof count), plan->n_states);
    print_memory(plan, session_threads(x));
    print_graphs(plan);
    print_libs(plan);
    print_convs(plan);
    print_settings(&x->config);
}

/* ---- for programs -------------------------------------------------------- */

static void json_text(const char *key, const char *text, const char *after)
{
    char escaped[2048];
    printf("\"%s\": \"%s\"%s", key,
           format_json(text ? text : "", escaped, sizeof escaped), after);
}

static void json_graph(const Plan *plan, const PlanGraph *g)
{
    int64_t bytes[PLAN_BUFFER_KINDS];
    double flops = 0, moved = 0;
    memory_by_class(g, bytes);
    for (uint32_t k = 0; k < g->n_steps; k++) {
        flops += g->steps[k].flops;
        moved += g->steps[k].bytes;
    }
    printf("{");
    json_text("name", g->name, ", ");
    printf("\"steps\": %u, \"arena_bytes\": %lld, \"live_bytes\": %lld, "
           "\"flops\": %.6g, \"bytes_moved\": %.6g, \"unfused_steps\": %u, "
           "\"unfused_bytes\": %.6g, \"longest_chain\": %u, "
           "\"longest_chain_of_values\": %u, \"peak\": {",
           g->n_steps, (long long)g->arena_bytes, (long long)g->live_bytes,
           flops, moved, g->unfused_steps, g->unfused_bytes,
           edges_of_graph(plan, g, true), edges_of_graph(plan, g, false));
    for (int i = 0; i < PLAN_BUFFER_KINDS; i++)
        printf("%s\"%s\": %lld", i ? ", " : "", memory_class_name[i],
               (long long)bytes[i]);
    printf("}}");
}

static void json_libs(const Plan *plan)
{
    printf("\"library\": [");
    for (uint32_t i = 0; i < plan->n_libs; i++) {
        char what[320], error[512];
        LibInfo info;
        bool known = lib_query(&plan->lib[i], &info, error, sizeof error);
        printf(i ? ", {" : "{");
        json_text("call", lib_describe(&plan->lib[i], what, sizeof what), ", ");
        json_text("implementation", known ? info.implementation : "", ", ");
        printf("\"uses\": %u}", lib_uses(plan, i));
    }
    printf("], ");
}

static void json_convs(const Plan *plan)
{
    const char *between = "";
    printf("\"convolutions\": [");
    for (uint32_t i = 0; i < plan->n_kernels; i++) {
        const PlanKernel *k = &plan->kernels[i];
        char what[256];
        if (!k->conv && !k->why)
            continue;
        printf("%s{", between);
        between = ", ";
        json_text("kernel", k->name, ", ");
        json_text("by", k->conv ? "cuDNN" : "tgc", ", ");
        json_text("why", k->why, ", ");
        if (k->conv) {
            const PlanConv *p = &plan->convs[k->conv - 1];
            json_text("call", cudnn_describe(p, what, sizeof what), ", ");
            printf("\"workspace\": %lld, ", (long long)p->workspace);
        }
        printf("\"uses\": %u}", kernel_uses(plan, i));
    }
    printf("], ");
}

static void info_json(const Session *x)
{
    const Plan *plan = x->plan;
    printf("{");
    json_text("model", plan->model, ", ");
    json_text("compiler", plan->compiler, ", ");
    json_text("march", plan->march, ", ");
    printf("\"parameters\": %lld, \"arena_bytes\": %lld, "
           "\"scratch_bytes\": %lld, \"program_bytes\": %lld, "
           "\"threads\": %d, \"kernels\": %u, ",
           (long long)plan->parameters, (long long)plan->arena_bytes,
           (long long)plan->scratch_bytes, (long long)plan->program_bytes,
           session_threads(x), plan->n_kernels);
    printf("\"graphs\": [");
    for (uint32_t i = 0; i < plan->n_graphs; i++) {
        printf(i ? ", " : "");
        json_graph(plan, &plan->graphs[i]);
    }
    printf("], ");
    json_libs(plan);
    json_convs(plan);
    printf("\"settings\": {");
    for (uint32_t i = 0; i < x->config.n; i++)
        json_text(x->config.item[i].key, x->config.item[i].text,
                  i + 1 < x->config.n ? ", " : "");
    printf("}}\n");
}

int command_info(const Plan *plan, const Options *o, Status *s)
{
    Session x;
    bool done = session_open(&x, plan, o, s);
    if (done && o->json)
        info_json(&x);
    else if (done)
        info_print(&x);
    session_close(&x);
    return done ? 0 : 1;
}
