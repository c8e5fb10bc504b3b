/* plan.c: the tables of runtime/plan.h as constant C data. */
#include "op.h"
#include "plan.h"
#include "program.h"
#include "settings_groups.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* ---- small things ------------------------------------------------------- */

static void write_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; s && *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\' || c == '?' || !isprint(c))
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void write_bool(FILE *out, bool b)
{
    fputs(b ? "true" : "false", out);
}

static void write_numbers(FILE *out, const int64_t *v, int n)
{
    fputc('{', out);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", v[i]);
    fputs(n ? "}" : "0}", out);
}

static void write_type(FILE *out, const Type *t)
{
    int64_t stride[MAX_RANK];
    type_strides(t, stride);
    fprintf(out, "{%d,%d,", t->dtype, t->rank);
    write_numbers(out, t->dim, t->rank);
    fputc(',', out);
    write_numbers(out, stride, t->rank);
    fputc('}', out);
}

/* Arrays must not be empty in C. */
static void end_array(FILE *out, size_t n)
{
    fputs(n ? "};\n\n" : "{0}};\n\n", out);
}

/* ---- the module's tables ------------------------------------------------ */

/* "resnet.net:23", the default, or told to the compiler. */
static void write_origin(const Module *m, const SettingSpec *spec,
                         const Setting *s, const char *text, FILE *out)
{
    char origin[256];
    const LocInfo *at = s->loc ? &m->loc[s->loc] : NULL;
    if (at) {
        const char *slash = strrchr(at->file, '/');
        snprintf(origin, sizeof origin, "%s:%u", slash ? slash + 1 : at->file,
                 at->line);
        write_string(out, origin);
    } else {
        bool same = spec && spec->value && !strcmp(spec->value, text);
        write_string(out, same ? "default" : "compiled in");
    }
}

static void write_setting(const Module *m, const SettingSpec *spec,
                          const char *key, const Setting *s, const char *text,
                          FILE *out)
{
    fputs("{", out);
    write_string(out, key);
    fputs(",", out);
    if (text)
        write_string(out, text);
    else
        fputs("0", out);
    fputs(",", out);
    write_bool(out, spec && spec->run_time && !setting_group(key, NULL));
    fprintf(out, ",%d,", spec ? spec->type : SET_TEXT);
    if (spec && spec->words)
        write_string(out, spec->words);
    else
        fputs("0", out);
    fprintf(out, ",%.17g,%.17g,", spec ? spec->low : 0, spec ? spec->high : 0);
    if (s)
        write_origin(m, spec, s, text, out);
    else
        fputs("0", out);
    fputs("},\n", out);
}

/* Those that are set, and those that are not but may be when the program
 * runs. */
static size_t write_settings(const Module *m, Arena *a, FILE *out)
{
    size_t n = m->settings.n;
    fputs("static const PlanSetting settings[] = {\n", out);
    for (size_t i = 0; i < m->settings.n; i++) {
        const Setting *s = &m->settings.item[i];
        write_setting(m, setting_spec(s->key), s->key, s,
                      setting_value_text(&s->value, a), out);
    }
    for (const SettingSpec *spec = setting_table; spec->key; spec++) {
        if (!spec->run_time || settings_get(&m->settings, spec->key))
            continue;
        write_setting(m, spec, spec->key, NULL, NULL, out);
        n++;
    }
    end_array(out, n);
    return n;
}

/* By state, so that this is not quadratic. */
static const Buffer **state_buffers(const Module *m, Arena *a)
{
    const Buffer **of = arena_array(a, m->n_states + 1, sizeof *of);
    const MemoryPlan *p = m->graph[0]->memory;
    for (uint32_t i = 0; i < p->n_buffers; i++)
        if (p->buffer[i].kind == BUF_STATE)
            of[p->buffer[i].state] = &p->buffer[i];
    return of;
}

static void write_states(const Module *m, Arena *a, FILE *out)
{
    const Buffer **buffer = state_buffers(m, a);
    fputs("static const PlanState states[] = {\n", out);
    for (size_t i = 0; i < m->n_states; i++) {
        const State *s = &m->state[i];
        fputs("{", out);
        write_string(out, s->name);
        fputs(",", out);
        write_string(out, s->of);
        fputs(",", out);
        write_type(out, &s->type);
        fprintf(out, ",%d,%d,", s->role, s->init);
        write_bool(out, s->frozen);
        fprintf(out, ",%.17g,%.17g,%" PRId64 ",%" PRId64 "},\n", s->init_a,
                s->init_b, buffer[i]->offset, type_bytes(&s->type));
    }
    end_array(out, m->n_states);
}

static int64_t trained_scalars(const Module *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_states; i++)
        if (m->state[i].role == STATE_PARAM && !m->state[i].frozen)
            n += type_elements(&m->state[i].type);
    return n;
}

static void write_lib(const Kernels *k, FILE *out)
{
    fputs("static const LibDesc lib[] = {\n", out);
    for (size_t i = 0; i < k->n_libs; i++) {
        const LibDesc *d = &k->lib[i];
        fprintf(out,
                "{%d,%d,%d,%d,%d,%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                ",\n ",
                d->kind, d->of, d->dtype, d->wide, d->spatial, d->batch,
                d->groups, d->in_channels, d->out_channels);
        const int64_t *const v[] = {d->in,      d->out,      d->kernel,
                                    d->stride,  d->dilation, d->pad_low,
                                    d->pad_high};
        for (int j = 0; j < 7; j++) {
            write_numbers(out, v[j], LIB_MAX_SPATIAL);
            fputc(',', out);
        }
        fprintf(out,
                "\n %" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                ",%" PRId64 ",%" PRId64 "},\n",
                d->m, d->n, d->k, d->a_row, d->a_col, d->b_row, d->b_col);
    }
    end_array(out, k->n_libs);
}

/* ---- a graph's tables --------------------------------------------------- */

static const char *buffer_name(const Graph *g, const Buffer *b)
{
    if (b->kind == BUF_STATE)
        return g->module->state[b->state].name;
    if (!b->value.node)
        return "";
    const Node *n = graph_node(g, b->value);
    if (node_is(n, &op_input))
        return node_string(n, "name");
    return n->name ? n->name : n->op->name;
}

static void write_buffers(const ProgramGraph *pg, size_t number, Arena *a,
                          FILE *out)
{
    const Graph *g = pg->g;
    fprintf(out, "static const PlanBuffer buffers%zu[] = {\n", number);
    for (uint32_t i = 0; i < g->memory->n_buffers; i++) {
        const Buffer *b = &g->memory->buffer[i];
        DType dtype = b->kind == BUF_STATE
                          ? g->module->state[b->state].type.dtype
                          : graph_type(g, b->value)->dtype;
        Loc loc = b->value.node ? graph_node(g, b->value)->loc : 0;
        fprintf(out, "{%" PRId64 ",%" PRId64 ",%d,%d,%d,%d,", b->offset,
                b->bytes, b->kind, dtype, pg->place[b->first],
                pg->place[b->last]);
        write_string(out, buffer_name(g, b));
        fputs(",", out);
        write_string(out, place_name(g->module, loc, a));
        fputs("},\n", out);
    }
    end_array(out, g->memory->n_buffers);
}

static uint32_t value_buffer(const Graph *g, Value v)
{
    return g->memory->of[(size_t)v.node * MAX_OUT + v.out];
}

/* Inputs, or outputs. */
static size_t write_ports(const Graph *g, const OpDesc *op, const char *name,
                          size_t number, FILE *out)
{
    size_t n = 0;
    fprintf(out, "static const PlanPort %s%zu[] = {\n", name, number);
    for (uint32_t id = 1; id < g->n_nodes; id++) {
        const Node *node = &g->node[id];
        if (!node_is(node, op))
            continue;
        Value v = op == &op_output ? node->in[0] : node_value(id, 0);
        const Type *t = graph_type(g, v);
        fputs("{", out);
        write_string(out, node_string(node, "name"));
        fputs(",", out);
        write_type(out, t);
        int slots = op == &op_input && t->rank ? INPUT_SLOTS : 1;
        fprintf(out, ",%u,%d},\n", value_buffer(g, v), slots);
        n++;
    }
    end_array(out, n);
    return n;
}

static void write_args(const ProgramGraph *pg, size_t number, FILE *out)
{
    fprintf(out, "static const uint32_t args%zu[] = {\n", number);
    for (uint32_t i = 0; i < pg->n_run; i++) {
        for (uint32_t k = 0; k < pg->run[i].n_args; k++)
            fprintf(out, "%u,", pg->run[i].arg[k]);
        fputc('\n', out);
    }
    fputs("0};\n\n", out);
    fprintf(out, "static const uint32_t libs%zu[] = {\n", number);
    for (uint32_t i = 0; i < pg->n_run; i++)
        if (pg->run[i].code.lib != UINT32_MAX)
            fprintf(out, "%u,\n", pg->run[i].code.lib);
    fputs("0};\n\n", out);
}

static void write_steps(const ProgramGraph *pg, size_t number, FILE *out)
{
    uint32_t arg = 0, lib = 0;
    fprintf(out, "static const PlanStep steps%zu[] = {\n", number);
    for (uint32_t i = 0; i < pg->n_run; i++) {
        const ProgramStep *s = &pg->run[i];
        bool has_lib = s->code.lib != UINT32_MAX;
        fprintf(out, "{%u,%u,%u,%u,%u,%d,%" PRId64 ",%.6g,%.6g,",
                s->code.kernel, arg, s->n_args, s->n_out, lib, has_lib,
                s->code.parts, s->flops, s->bytes);
        write_string(out, s->what);
        fputs(",", out);
        write_string(out, s->loc);
        fputs("},\n", out);
        arg += s->n_args;
        lib += has_lib;
    }
    end_array(out, pg->n_run);
}

typedef struct Ports {
    size_t inputs, outputs;
} Ports;

static Ports write_graph_tables(const ProgramGraph *pg, size_t number, Arena *a,
                                FILE *out)
{
    Ports n;
    fprintf(out, "/* ---- graph %s ---- */\n\n", pg->g->name);
    write_buffers(pg, number, a, out);
    n.inputs = write_ports(pg->g, &op_input, "inputs", number, out);
    n.outputs = write_ports(pg->g, &op_output, "outputs", number, out);
    write_args(pg, number, out);
    write_steps(pg, number, out);
    return n;
}

static void write_graph(const ProgramGraph *pg, size_t i, Ports n, FILE *out)
{
    const MemoryPlan *m = pg->g->memory;
    fputs("{", out);
    write_string(out, pg->g->name);
    fprintf(out,
            ",inputs%zu,outputs%zu,%zu,%zu,\n buffers%zu,%u,steps%zu,%u,"
            "args%zu,libs%zu,\n %d,%" PRId64 ",%" PRId64 ",%d},\n",
            i, i, n.inputs, n.outputs, i, m->n_buffers, i, pg->n_run, i, i,
            pg->loss_step, m->arena_bytes, m->live_bytes,
            pg->place[m->peak_step]);
}

static int64_t largest_arena(const Program *p)
{
    int64_t most = 0;
    for (size_t i = 0; i < p->n_graphs; i++)
        if (most < p->graph[i].g->memory->arena_bytes)
            most = p->graph[i].g->memory->arena_bytes;
    return most;
}

/* ---- the whole ---------------------------------------------------------- */

static void write_plan(const Program *p, const CodegenOptions *o,
                       size_t n_settings, const CudaImages *images, FILE *out)
{
    const char *march = o->march ? o->march : "native";
    fputs("static const Plan plan = {\n PLAN_VERSION,", out);
    write_string(out, p->module->name);
    fputs(",\n \"tgc 0.1, cc \" __VERSION__ \", -march=\" ", out);
    write_string(out, march);
    fputs(",\n ", out);
    write_string(out, march);
    fputs(" PLAN_CPU_FEATURES,\n", out);
    fprintf(out,
            " %" PRId64 ",%" PRId64 ",%" PRId64 ",\n settings,%zu,states,%zu,"
            "lib,%zu,kernels,%zu,graphs,%zu,%s,%d};\n\n",
            trained_scalars(p->module), largest_arena(p),
            p->kernels->scratch_bytes, n_settings, p->module->n_states,
            p->kernels->n_libs, p->kernels->n_kernels, p->n_graphs,
            images ? "PLAN_CUDA,images" : "PLAN_CPU,0", images ? images->n : 0);
}

void plan_write(const Program *p, const CodegenOptions *o,
                const CudaImages *images, FILE *out)
{
    Arena *a = arena_new();
    fputs("#include \"lib.h\"\n#include \"plan.h\"\n\n", out);
    size_t n_settings = write_settings(p->module, a, out);
    write_states(p->module, a, out);
    write_lib(p->kernels, out);
    plan_write_kernels(p->kernels, out);
    plan_write_images(images, out);
    Ports *n = arena_array(a, p->n_graphs, sizeof *n);
    for (size_t i = 0; i < p->n_graphs; i++)
        n[i] = write_graph_tables(&p->graph[i], i, a, out);
    fputs("static const PlanGraph graphs[] = {\n", out);
    for (size_t i = 0; i < p->n_graphs; i++)
        write_graph(&p->graph[i], i, n[i], out);
    end_array(out, p->n_graphs);
    write_plan(p, o, n_settings, images, out);
    fputs("int main(int argc, char **argv)\n{\n"
          "    return tgc_main(&plan, argc, argv);\n}\n",
          out);
    arena_free(a);
}
