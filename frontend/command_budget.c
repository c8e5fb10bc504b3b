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

bool module_fits(const CommandLine *c, const Module *m)
{
    Budget b = budget_for(c);
    return budget_check(&b, m, stderr);
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
