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

static int64_t parts_of(const Module *m)
{
    return (int64_t)settings_number(&m->settings, "accumulate");
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

static int64_t states_bytes(const Module *m)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->n_states; i++)
        sum += type_bytes(&m->state[i].type);
    return sum;
}

/* The search for the largest batch: of `fits` parts' images it does, of `over`
 * it does not. */
typedef struct Batches {
    const Budget *b;
    int64_t parts;         /* a batch is a multiple of */
    int64_t budget, fixed; /* bytes; those that no batch takes less than */
    int64_t fits, need;
    int64_t over, over_need; /* 0: it does not compile */
    Module *best;            /* of `fits`; NULL: the one that was given */
} Batches;

static Module *module_at(const Budget *b, const char *key, int64_t value)
{
    char set[64];
    snprintf(set, sizeof set, "%s=%lld", key, (long long)value);
    return b->again(b->user, (const char *const[]){set, NULL});
}

static void try_batch(Batches *s, int64_t images)
{
    Module *m = module_at(s->b, "batch", images * s->parts);
    int64_t need = m ? budget_need(s->b->target, m) : 0;
    if (m && need <= s->budget) {
        module_free(s->best);
        s->best = m;
        s->fits = images;
        s->need = need;
    } else {
        module_free(m);
        s->over = images;
        s->over_need = need;
    }
}

/* Where bytes would be the budget if they grew as the images do: close to the
 * answer from above. */
static int64_t on_the_line(const Batches *s)
{
    double share =
        (double)(s->budget - s->fixed) / (double)(s->over_need - s->fixed);
    int64_t images = (int64_t)(share * (double)s->over);
    if (images <= s->fits)
        return s->fits + 1;
    return images < s->over ? images : s->over - 1;
}

/* Larger batches need more, but for a few percent of luck in placement. */
static void find_between(Batches *s)
{
    enum { LINES = 3 }; /* then it is no line */
    for (int lines = 0; s->over - s->fits > 1;) {
        int64_t over = s->over;
        bool line = s->over_need > s->fixed && lines < LINES;
        try_batch(s, line ? on_the_line(s) : s->fits + (over - s->fits) / 2);
        lines = s->over < over ? lines + 1 : LINES;
    }
}

static Batches batches_find(const Budget *b, const Module *m)
{
    int64_t parts = parts_of(m), images = batch_of(m) / parts;
    int64_t need = budget_need(b->target, m);
    Batches s = {.b = b,
                 .parts = parts,
                 .budget = budget_of(m),
                 .fixed = states_bytes(m) + target_program(b->target, m)};
    if (need > s.budget) {
        s.over = images;
        s.over_need = need;
    } else {
        s.fits = images;
        s.need = need;
        while (!s.over && images * parts < BATCH_MOST)
            try_batch(&s, images *= 2);
    }
    if (s.over)
        find_between(&s);
    return s;
}

int64_t budget_largest_batch(const Budget *b, const Module *m, int64_t *need)
{
    Batches s = batches_find(b, m);
    *need = s.fits ? s.need : budget_need(b->target, m);
    module_free(s.best);
    return s.fits * s.parts;
}

/* ---- the refusal --------------------------------------------------------- */

enum { REMEDIES_MOST = 8 };

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

/* The model with a setting, where it fits then. */
static bool try_remedy(Remedies *r, Module *m, const char *what)
{
    bool fits = m && budget_need(r->b->target, m) <= r->budget;
    if (fits)
        add_remedy(r, m, what);
    module_free(m);
    return fits;
}

static void try_half(Remedies *r, const Module *m)
{
    static const char *const half[] = {"bf16", "f16"};
    char set[32], what[64];
    if (strcmp(settings_text(&m->settings, "precision"), "f32"))
        return;
    for (int i = 0; i < 2; i++) {
        snprintf(set, sizeof set, "precision=%s", half[i]);
        snprintf(what, sizeof what, "--set %s: half the bytes", set);
        try_remedy(r, r->b->again(r->b->user, (const char *const[]){set, NULL}),
                   what);
    }
}

/* False: not even one image a part fits; largest: images of a part that do. */
static bool try_smaller(Remedies *r, const Module *m, int64_t *largest)
{
    char what[128];
    Batches s = batches_find(r->b, m);
    *largest = s.fits;
    if (!s.fits)
        return false;
    snprintf(what, sizeof what, "--set batch=%lld: the largest batch that fits",
             (long long)(s.fits * s.parts));
    return try_remedy(r, s.best, what);
}

/* The fewest parts that do, of powers of two: the same step.  A part needs what
 * a batch of its size does, and sums of gradients. */
static void try_parts(Remedies *r, const Module *m, int64_t largest)
{
    char what[128];
    bool done = largest == 0;
    for (int64_t k = 2 * parts_of(m);
         !done && k <= r->batch && r->batch % k == 0; k *= 2) {
        if (r->batch / k > largest)
            continue;
        snprintf(what, sizeof what,
                 "--set accumulate=%lld: the same batch in parts of %lld",
                 (long long)k, (long long)(r->batch / k));
        done = try_remedy(r, module_at(r->b, "accumulate", k), what);
    }
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
    int64_t largest;
    try_half(&r, m);
    bool any = try_smaller(&r, m, &largest);
    try_parts(&r, m, largest);
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
