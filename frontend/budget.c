/* budget.c: see budget.h.  Every number told to the user is the planned peak of
 * a module that went through the whole pipeline, never an estimate. */
#include "budget.h"
#include "cost.h"
#include "memory_report.h"
#include <stdlib.h>
#include <string.h>

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
    return (g ? g->memory->arena_bytes : 0) + target_scratch_all(t, m) +
           target_program(t, m);
}

static int64_t budget_of(const Module *m)
{
    return (int64_t)settings_number(&m->settings, "memory");
}

static int64_t batch_of(const Module *m)
{
    return (int64_t)settings_number(&m->settings, "batch");
}

/* ---- what runs twice ------------------------------------------------------
 */

static void add_repeats(Repeats *r, const Target *t, const Graph *g,
                        double times)
{
    Arena *a = arena_new();
    Steps s = graph_steps(g, a);
    for (uint32_t k = 0; k < s.n; k++) {
        double seconds = times * t->seconds(t, g, &s.step[k]);
        double dense = times * step_cost(g, &s.step[k]).dense / 2;
        bool again = g->node[s.step[k].last].again;
        r->steps += again;
        r->seconds += again ? seconds : 0;
        r->dense += again ? dense : 0;
        r->all += seconds;
        r->dense_all += dense;
    }
    arena_free(a);
}

Repeats budget_repeats(const Target *t, const Module *m)
{
    Repeats r = {0};
    const Graph *train = module_graph(m, "train");
    const Graph *part = module_graph(m, "train_part");
    if (train)
        add_repeats(&r, t, train, 1);
    if (part)
        add_repeats(&r, t, part,
                    settings_number(&m->settings, "accumulate") - 1);
    return r;
}

void budget_print_repeats(const Repeats *r, FILE *out)
{
    if (!r->steps) {
        fprintf(out, "everything is kept for the backward pass\n");
        return;
    }
    double once = r->all - r->seconds, dense_once = r->dense_all - r->dense;
    fprintf(out,
            "%u kernels run twice: %.1f %% more multiply-adds, about %.3g ms "
            "more (%.1f %%)\n",
            r->steps, dense_once > 0 ? 100 * r->dense / dense_once : 0,
            1e3 * r->seconds, once > 0 ? 100 * r->seconds / once : 0);
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

enum { REMEDIES_MOST = 8, SET_SIZE = 64 };

typedef struct Remedy {
    char what[128];
    int64_t need;
    double seconds; /* for as many images as the batch has now */
} Remedy;

typedef struct Remedies {
    const Budget *b;
    int64_t budget, batch;
    Remedy item[REMEDIES_MOST];
    int n;
} Remedies;

static void add_remedy(Remedies *r, const Module *m, const char *what)
{
    if (r->n == REMEDIES_MOST)
        return;
    Remedy *x = &r->item[r->n++];
    Repeats all = budget_repeats(r->b->target, m);
    snprintf(x->what, sizeof x->what, "%s", what);
    x->need = budget_need(r->b->target, m);
    x->seconds = all.all * (double)r->batch / (double)batch_of(m);
}

/* The model with these settings, where it fits then. */
static bool try_remedy(Remedies *r, const char *set, const char *what)
{
    Module *m = r->b->again(r->b->user, (const char *const[]){set, NULL});
    bool fits = m && budget_need(r->b->target, m) <= r->budget;
    if (fits)
        add_remedy(r, m, what);
    module_free(m);
    return fits;
}

static void try_half(Remedies *r, const Module *m)
{
    if (strcmp(settings_text(&m->settings, "precision"), "f32"))
        return;
    try_remedy(r, "precision=bf16", "--set precision=bf16: half the bytes");
    try_remedy(r, "precision=f16", "--set precision=f16: half the bytes");
}

/* The fewest parts that do, of powers of two: the same step. */
static void try_parts(Remedies *r, const Module *m)
{
    char set[SET_SIZE], what[128];
    int64_t now = (int64_t)settings_number(&m->settings, "accumulate");
    bool done = false;
    for (int64_t k = 2 * now; !done && k <= r->batch && r->batch % k == 0;
         k *= 2) {
        snprintf(set, sizeof set, "accumulate=%lld", (long long)k);
        snprintf(what, sizeof what,
                 "--set accumulate=%lld: the same batch in parts of %lld",
                 (long long)k, (long long)(r->batch / k));
        done = try_remedy(r, set, what);
    }
}

static bool try_smaller(Remedies *r, const Module *m)
{
    char set[SET_SIZE], what[128];
    int64_t need, batch = budget_largest_batch(r->b, m, &need);
    snprintf(set, sizeof set, "batch=%lld", (long long)batch);
    snprintf(what, sizeof what, "--set batch=%lld: the largest batch that fits",
             (long long)batch);
    return batch > 0 && try_remedy(r, set, what);
}

static int by_seconds(const void *a, const void *b)
{
    const Remedy *x = a, *y = b;
    return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static void print_remedies(const Budget *b, const Module *m, int64_t need,
                           FILE *out)
{
    char text[BYTES_TEXT], what[128];
    Remedies r = {.b = b, .budget = budget_of(m), .batch = batch_of(m)};
    snprintf(what, sizeof what,
             "--memory %lldKiB: the smallest budget, all else as it is",
             (long long)((need + 1023) / 1024));
    add_remedy(&r, m, what);
    try_half(&r, m);
    try_parts(&r, m);
    bool any = try_smaller(&r, m);
    qsort(r.item, (size_t)r.n, sizeof *r.item, by_seconds);
    fprintf(out,
            "what would do, the fastest first (planned peak; time of %lld "
            "images, modelled)\n",
            (long long)r.batch);
    for (int i = 0; i < r.n; i++)
        fprintf(out, "  %10s %8.4g ms  %s\n", bytes_text(r.item[i].need, text),
                1e3 * r.item[i].seconds, r.item[i].what);
    if (!any)
        fprintf(out, "  no batch fits, not even of one image\n");
}

static void print_classes(const MemoryLive *l, const Target *t, FILE *out)
{
    char text[BYTES_TEXT];
    const Module *m = l->g->module;
    int64_t arena = l->g->memory->arena_bytes;
    memory_print_classes(l, out);
    if (arena > l->peak)
        fprintf(out, "  %10s          lost to placement\n",
                bytes_text(arena - l->peak, text));
    fprintf(out, "  %10s          scratch of library calls, for all threads\n",
            bytes_text(target_scratch_all(t, m), text));
    if (target_program(t, m))
        fprintf(out, "  %10s          the program and its tables\n",
                bytes_text(target_program(t, m), text));
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
    print_classes(&live, b->target, out);
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
