/* table.c: all passes, the order in which they run, and their page in the
 * manual. */
#include "passes.h"
#include <string.h>

const Pass *const pass_table[] = {
    &pass_fold,       &pass_half,     &pass_autodiff, &pass_absorb, &pass_cse,
    &pass_dce,        &pass_layout,   &pass_variants, &pass_expand, &pass_fuse,
    &pass_checkpoint, &pass_schedule, &pass_memory,   NULL,
};

/* What the front end writes needs folding before it is differentiated, so that
 * constants do not get gradients; precision is decided on it, so that gradients
 * have their values' precision; layouts are chosen while a convolution is
 * still one node, and it is one where variants are copied; expansion is what
 * makes new chances for cse and dce. */
const char *const pass_pipeline[] = {
    "fold", "half",   "autodiff",   "absorb",   "fold",   "cse",
    "dce",  "layout", "variants",   "expand",   "fold",   "cse",
    "dce",  "fuse",   "checkpoint", "schedule", "memory", NULL,
};

const Pass *pass_named(const char *name)
{
    for (const Pass *const *p = pass_table; *p; p++)
        if (!strcmp((*p)->name, name))
            return *p;
    return NULL;
}

/* ---- docs/passes.md ----------------------------------------------------- */

static const struct {
    Fact fact;
    const char *name, *doc;
} fact_table[] = {
    {F_GRAD, "grad", "graph `train` holds the backward pass and the updates"},
    {F_PLAIN, "plain", "the target can run every op"},
    {F_LAID_OUT, "laid out", "layouts are chosen"},
    {F_FUSED, "fused", "groups are formed"},
    {F_ORDERED, "ordered", "the order of nodes is the order of execution"},
};
enum { N_FACTS = sizeof fact_table / sizeof *fact_table };

void facts_print(uint32_t facts, FILE *out)
{
    const char *before = "";
    for (int i = 0; i < N_FACTS; i++)
        if (facts & fact_table[i].fact) {
            fprintf(out, "%s%s", before, fact_table[i].name);
            before = ", ";
        }
}

static void print_pass(const Pass *p, FILE *out)
{
    fprintf(out, "| `%s` | %s | ", p->name, p->doc);
    facts_print(p->needs, out);
    fprintf(out, " | ");
    facts_print(p->adds, out);
    fprintf(out, " | ");
    facts_print(p->breaks, out);
    fprintf(out, " |\n");
}

void passes_print_markdown(FILE *out)
{
    fprintf(out, "# The passes\n\n"
                 "Made from `passes/table.c`; do not edit.\n\n"
                 "A compile runs them in this order:\n\n```\n");
    for (const char *const *p = pass_pipeline; *p; p++)
        fprintf(out, "%s%s", *p, p[1] ? " " : "\n");
    fprintf(out, "```\n\n| pass | what it does | needs | adds | breaks |\n"
                 "| --- | --- | --- | --- | --- |\n");
    for (const Pass *const *p = pass_table; *p; p++)
        print_pass(*p, out);
    fprintf(out, "\nFacts about a module, which the runner checks:\n\n");
    for (int i = 0; i < N_FACTS; i++)
        fprintf(out, "* **%s**: %s.\n", fact_table[i].name, fact_table[i].doc);
    fprintf(out,
            "\n`tgc dump FILE.net --after PASS` prints the module after a "
            "pass,\n`tgc opt FILE.ir --passes=A,B` runs passes on IR text. "
            "After every pass the\nmodule is verified; where that fails, the "
            "text from before the pass is kept\nin a file that replays it.\n");
}
