/* budget.c: see budget.h.  Every number told to the user is the planned peak of
 * a module that went through the whole pipeline, never an estimate. */
#include "budget.h"
#include "memory_report.h"

enum { BATCH_MOST = 1 << 20 };

static const Graph *largest_graph(const Module *m)
{
    const Graph *largest = NULL;
    for (size_t i = 0; i < m->n_graphs; i++)
        if (!largest ||
            m->graph[i]->memory->arena_bytes > largest->memory->arena_bytes)
            largest = m->graph[i];
    return largest;
}

int64_t budget_need(const Target *t, const Module *m)
{
    const Graph *g = largest_graph(m);
    return (g ? g->memory->arena_bytes : 0) + target_scratch_all(t, m);
}

static int64_t budget_of(const Module *m)
{
    return (int64_t)settings_number(&m->settings, "memory");
}

static int64_t batch_of(const Module *m)
{
    return (int64_t)settings_number(&m->settings, "batch");
}

/* ---- other batches ------------------------------------------------------- */

/* What the module needs at this batch; -1: it does not compile. */
static int64_t need_at(const Budget *b, int64_t batch)
{
    char set[40];
    snprintf(set, sizeof set, "batch=%lld", (long long)batch);
    Module *m = b->again(b->user, (const char *const[]){set, NULL});
    if (!m)
        return -1;
    int64_t need = budget_need(b->target, m);
    module_free(m);
    return need;
}

/* Doubles from `fits` up to where it does not, then halves the distance.
 * Larger batches need more, but for a few percent of luck in placement. */
int64_t budget_largest_batch(const Budget *b, const Module *m, int64_t *need)
{
    int64_t budget = budget_of(m), batch = batch_of(m), fits = 0;
    int64_t too_many = batch;
    *need = budget_need(b->target, m);
    if (*need <= budget) {
        fits = batch;
        while (fits == too_many && too_many < BATCH_MOST) {
            int64_t now = need_at(b, too_many *= 2);
            if (now >= 0 && now <= budget) {
                fits = too_many;
                *need = now;
            }
        }
    }
    while (too_many - fits > 1) {
        int64_t middle = fits + (too_many - fits) / 2;
        int64_t now = need_at(b, middle);
        if (now >= 0 && now <= budget) {
            fits = middle;
            *need = now;
        } else {
            too_many = middle;
        }
    }
    return fits;
}

/* ---- the refusal --------------------------------------------------------- */

static int64_t states_bytes(const Module *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n_states; i++)
        sum += type_bytes(&m->state[i].type);
    return sum;
}

static void print_remedies(const Budget *b, const Module *m, int64_t need,
                           FILE *out)
{
    char text[BYTES_TEXT];
    int64_t at_most, batch = budget_largest_batch(b, m, &at_most);
    fprintf(out,
            "what would do\n  %10s  at batch %lld: the smallest budget "
            "(--memory %lldKiB)\n",
            bytes_text(need, text), (long long)batch_of(m),
            (long long)((need + 1023) / 1024));
    if (batch > 0)
        fprintf(out, "  %10s  --set batch=%lld: the largest batch that fits\n",
                bytes_text(at_most, text), (long long)batch);
    else
        fprintf(out, "              no batch fits, not even of one image\n");
}

static void print_classes(const MemoryLive *l, int64_t scratch, FILE *out)
{
    char text[BYTES_TEXT];
    int64_t arena = l->g->memory->arena_bytes;
    memory_print_classes(l, out);
    if (arena > l->peak)
        fprintf(out, "  %10s          lost to placement\n",
                bytes_text(arena - l->peak, text));
    fprintf(out, "  %10s          scratch of library calls, for all threads\n",
            bytes_text(scratch, text));
}

static void refuse(const Budget *b, const Module *m, int64_t need, FILE *out)
{
    char have_text[BYTES_TEXT], need_text[BYTES_TEXT], text[BYTES_TEXT];
    Arena *a = arena_new();
    const Graph *g = largest_graph(m);
    MemoryLive live = memory_live(g, a);
    fprintf(out,
            "tgc: error: %s does not fit: a run needs %s (%lld bytes), the "
            "memory allowed is %s\n",
            m->name, bytes_text(need, need_text), (long long)need,
            bytes_text(budget_of(m), have_text));
    if (states_bytes(m) > budget_of(m))
        fprintf(out, "weights, slots and statistics alone take %s\n",
                bytes_text(states_bytes(m), text));
    fprintf(out, "live at the peak: graph %s, step %u of %u\n", g->name,
            live.peak_step, live.n_steps);
    print_classes(&live, target_scratch_all(b->target, m), out);
    fprintf(out, "the largest\n");
    memory_print_largest(&live, out);
    print_remedies(b, m, need, out);
    arena_free(a);
}

bool budget_check(const Budget *b, const Module *m, FILE *messages)
{
    if (!settings_get(&m->settings, "memory"))
        return true;
    int64_t need = budget_need(b->target, m);
    if (need <= budget_of(m))
        return true;
    refuse(b, m, need, messages);
    return false;
}
