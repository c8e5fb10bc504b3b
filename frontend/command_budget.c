/* command_budget.c: what a module that went through the pipeline has to do with
 * the memory it may take. */
#include "commands.h"
#include "memory_report.h"
#include <string.h>

Module *plan_again(const void *command_line, const char *const *settings)
{
    CommandLine c = *(const CommandLine *)command_line;
    size_t n = strlen(c.input);
    if (n > 3 && !strcmp(c.input + n - 3, ".ir"))
        return NULL;
    for (; *settings; settings++) {
        if (c.set.n == WORDS_MOST)
            return NULL;
        if (!strncmp(*settings, "memory=", 7))
            c.memory = *settings + 7;
        else
            c.set.word[c.set.n++] = *settings;
    }
    c.print_after = c.after = NULL;
    c.time_passes = false;
    Module *m = load_module(&c);
    if (m && optimize_module(m, &c, pass_pipeline))
        return m;
    module_free(m);
    return NULL;
}

static Budget budget_for(const CommandLine *c)
{
    return (Budget){target_named(c->target), plan_again, c};
}

/* What the budget costs. */
static void print_fit(const Target *t, const Module *m)
{
    char need[BYTES_TEXT], budget[BYTES_TEXT];
    Repeats r = budget_repeats(t, m);
    fprintf(
        stderr, "tgc: %s: %s of %s; ", m->name,
        bytes_text(budget_need(t, m), need),
        bytes_text((int64_t)settings_number(&m->settings, "memory"), budget));
    budget_print_repeats(&r, stderr);
}

bool module_fits(const CommandLine *c, const Module *m)
{
    TargetChoice t;
    if (!target_open(&t, c))
        return false;
    Budget b = budget_for(c);
    b.target = &t.target;
    bool fits = budget_check(&b, m, stderr);
    if (fits && settings_get(&m->settings, "memory"))
        print_fit(&t.target, m);
    target_close(&t);
    return fits;
}

void print_without_budget(const CommandLine *c, const Module *m)
{
    char text[BYTES_TEXT];
    TargetChoice t;
    if (!settings_get(&m->settings, "memory") || !target_open(&t, c))
        return;
    Module *all = plan_again(c, (const char *const[]){"memory=4096TiB", NULL});
    Repeats r = budget_repeats(&t.target, m);
    if (all)
        printf("\nwithout the budget: %s; ",
               bytes_text(budget_need(&t.target, all), text));
    budget_print_repeats(&r, stdout);
    module_free(all);
    target_close(&t);
}

int print_max_batch(const CommandLine *c, const Module *m)
{
    Budget b = budget_for(c);
    char text[BYTES_TEXT];
    int64_t need, batch;
    if (!settings_get(&m->settings, "memory"))
        return fail("--max-batch: in how much memory? --memory 10GiB");
    batch = budget_largest_batch(&b, m, &need);
    if (!batch)
        return fail("--max-batch: not even one image fits");
    printf("batch %lld (%s)\n", (long long)batch, bytes_text(need, text));
    return 0;
}
