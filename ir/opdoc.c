/* opdoc.c: docs/ops.md out of the table of operators. */
#include "opdoc.h"
#include "ops/common.h"
#include "text.h"
#include <assert.h>
#include <string.h>

static const char *const kind_word[] = {
    [ATTR_INT] = "integer", [ATTR_FLOAT] = "number",  [ATTR_BOOL] = "bool",
    [ATTR_STRING] = "text", [ATTR_INTS] = "integers", [ATTR_DTYPE] = "type"};

static const char *computed_by(const OpDesc *op)
{
    if (op->traits & T_ELEMENTWISE)
        return "elementwise";
    if (op->traits & T_VIEW)
        return "view";
    if (op->traits & T_REDUCE)
        return "reduction";
    if (op->traits & T_RESHAPE)
        return "reshape";
    if (op->traits & T_SOURCE)
        return "source";
    if (op->traits & T_ROOT)
        return "root";
    return op->traits & T_LIBRARY ? "library call" : "expansion";
}

/* Text inside a table: a bar would end the cell. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text; text++)
        fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void print_operands(const OpDesc *op, FILE *out)
{
    if (op->max_in == 255)
        fprintf(out, "%d or more", op->min_in);
    else if (op->min_in == op->max_in)
        fprintf(out, "%d", op->min_in);
    else
        fprintf(out, "%d to %d", op->min_in, op->max_in);
}

static const char *const half_word[] = {[HALF_UNSAID] = "?",
                                        [HALF_NO] = "no",
                                        [HALF_YES] = "follows",
                                        [HALF_WANT] = "wanted"};

static void print_summary(FILE *out)
{
    fprintf(out,
            "| op | operands | results | computed by | gradient | half | what "
            "it is |\n| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < op_count; i++) {
        const OpDesc *op = op_table[i];
        fprintf(out, "| [%s](#%s) | ", op->name, op->name);
        print_operands(op, out);
        fprintf(out, " | %d | %s | %s | %s | ", op->n_out, computed_by(op),
                op->grad == grad_none ? "zero"
                : op->grad            ? "yes"
                                      : "",
                half_word[op->half]);
        print_cell(op->doc, out);
        fprintf(out, " |\n");
    }
}

static void print_attrs(const OpDesc *op, FILE *out)
{
    if (!op->attrs || !op->attrs[0].name)
        return;
    fprintf(out, "\n| attribute | | default | |\n| --- | --- | --- | --- |\n");
    for (const AttrSpec *a = op->attrs; a->name; a++) {
        fprintf(out, "| %s | %s | %s | ", a->name, kind_word[a->kind],
                a->value ? a->value : "");
        print_cell(a->doc, out);
        fprintf(out, " |\n");
    }
}

/* "conv (f32[2,3,8], f32[4,3,3]) {..} : f32[2,4,6]" */
static void print_sample(const OpDesc *op, const char *sample, FILE *out)
{
    Module *m = module_new("manual");
    Graph *g = graph_new(m, "train");
    Error e;
    uint32_t id = sample_add(g, op, sample, &e);
    assert(id && "the samples in the table are valid");
    fprintf(out, "    %s %s", op->name, sample);
    for (int i = 0; i < g->node[id].n_out; i++) {
        char text[256];
        type_print(&g->node[id].type[i], text, sizeof text);
        fprintf(out, "%s%s", i ? ", " : " : ", text);
    }
    fprintf(out, "\n");
    graph_free(g);
    module_free(m);
}

static void print_op(const OpDesc *op, FILE *out)
{
    fprintf(out, "\n## %s\n\n%s.\n", op->name, op->doc);
    if (op->traits & T_ELEMENTWISE)
        fprintf(out, "\nOne element: `%s`\n", op->expr);
    if (op->traits & T_REDUCE)
        fprintf(out, "\nFrom `%s`, each step: `%s`\n", op->start, op->combine);
    print_attrs(op, out);
    if (op->samples && op->samples[0])
        fprintf(out, "\n");
    for (const char *const *s = op->samples; s && *s; s++)
        print_sample(op, *s, out);
}

void ops_print_markdown(FILE *out)
{
    fprintf(
        out,
        "# Operators\n\n"
        "Written by `tgc ops --markdown` from the table in `ir/ops/`; a test\n"
        "keeps it fresh. How to add one: [adding-an-op.md]"
        "(adding-an-op.md).\n\n"
        "*Computed by*: elementwise ops, views and reductions are fused into\n"
        "generated kernels; an expansion is rewritten into simpler ops unless "
        "the\ntarget has a way of its own. In C for one element, `x0`, `x1` "
        "are the\noperands, `T` is the result's type, `@name` an attribute or "
        "a function of\n`<math.h>` for that type, `@i` the element's index, "
        "`@at` that along the\nattribute `axis`.\n\n"
        "*Gradient*: zero where results do not change with operands, or only "
        "in steps;\nempty where autodiff would stop.\n\n"
        "*Half*, where the setting `precision` is f16 or bf16: wanted, the "
        "operands are\nmade half for it; follows, half where an operand is; "
        "no, it computes in float32.\n\n");
    print_summary(out);
    for (size_t i = 0; i < op_count; i++)
        print_op(op_table[i], out);
}
