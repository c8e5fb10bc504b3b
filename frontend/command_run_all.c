/* command_run_all.c: tgc run-all: models compiled and trained one after the
 * other; what goes wrong with one does not stop the next.
 *
 *     each: load, estimate      in a process of its own; a table, and the sum
 *     each: compile ──> train   in two; results.jsonl is kept up to date
 *     a table
 */
#include "commands.h"
#include "clock.h"
#include "estimate_table.h"
#include "file.h"
#include "format.h"
#include "hash.h"
#include "op.h"
#include "series.h"
#include "series_child.h"
#include "text.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what is known before ------------------------------------------------ */

enum { WHAT_MOST = 200 };

/* What a process finds out about a model, in memory that it shares. */
typedef struct Probe {
    const SeriesItem *item;
    uint64_t fingerprint;
    bool estimated;
    EstimateRow row; /* but for its texts */
    char what[WHAT_MOST];
} Probe;

/* A setting that has an option of its own, for the estimate. */
static const char *passed(const CommandLine *c, const char *option)
{
    const char *value = NULL;
    for (int i = 0; i + 1 < c->train.n; i++)
        if (!strcmp(c->train.word[i], option))
            value = c->train.word[i + 1];
    return value;
}

/* Two runs of which the second would do the same have the same one. */
static uint64_t fingerprint_of(const SeriesItem *x, const Module *m)
{
    Arena *a = arena_new();
    uint64_t h = hash_text(1, module_to_string(m, a));
    h = hash_text(h, x->c.target);
    for (int i = 0; i < x->c.train.n; i++)
        h = hash_text(h, x->c.train.word[i]);
    arena_free(a);
    return h;
}

static bool is_for_gpu(const SeriesItem *x)
{
    return target_is_cuda(target_named(x->c.target));
}

static int probe(void *data)
{
    Probe *p = data;
    CommandLine c = p->item->c;
    c.epochs = passed(&c, "--epochs");
    Module *m = load_module(&c);
    if (!m)
        return 1;
    p->fingerprint = fingerprint_of(p->item, m);
    module_free(m);
    if (c.no_estimate || is_for_gpu(p->item))
        return 0; /* another machine's times are no help */
    Arena *a = arena_new();
    p->estimated = estimate_one(&c, &p->row, a);
    snprintf(p->what, sizeof p->what, "%s", p->estimated ? p->row.what : "");
    arena_free(a);
    return !p->estimated;
}

/* What a program says begins with its name: the table has that. */
static const char *without_name(const SeriesItem *x, const char *why)
{
    size_t n = strlen(x->name);
    if (!strncmp(why, x->name, n) && !strncmp(why + n, ": ", 2))
        return why + n + 2;
    return strncmp(why, "tgc: ", 5) ? why : why + 5;
}

static void fail_item(SeriesItem *x, const char *why)
{
    x->failed = true;
    x->outcome.state = OUTCOME_FAILED;
    snprintf(x->outcome.why, sizeof x->outcome.why, "%s",
             *why ? without_name(x, why) : "it says no more");
}

static double total_seconds(const EstimateRow *row)
{
    return row->seconds * (double)row->batches * row->epochs;
}

/* Why some are not in the table. */
static void print_not_estimated(const Series *s)
{
    const char *between = "no estimate for ";
    bool any = false;
    for (int i = 0; i < s->n; i++) {
        const SeriesItem *x = &s->item[i];
        if (x->failed || x->c.no_estimate || !is_for_gpu(x))
            continue;
        printf("%s%s", between, x->name);
        between = ", ";
        any = true;
    }
    if (any)
        printf(": kernels for a GPU are timed where they run; tgc estimate "
               "--gpu NAME goes by published rates\n");
}

static void print_estimates(const Series *s, Probe *probes)
{
    EstimateRow *row = arena_array(s->arena, (size_t)s->n, sizeof *row);
    double sum = 0;
    int n = 0, unknown = 0;
    char text[32];
    for (int i = 0; i < s->n; i++) {
        Probe *p = &probes[i];
        if (!p->estimated)
            continue;
        p->row.model = p->item->name;
        p->row.what = p->what;
        row[n++] = p->row;
        sum += p->item->skipped ? 0 : total_seconds(&p->row);
        unknown += !p->row.batches;
    }
    if (!n)
        return;
    estimate_print(row, n, stdout);
    if (unknown < n)
        printf("what is to be done: %s, without evaluation and waiting for "
               "data\n",
               format_duration(sum, text, sizeof text));
    if (unknown)
        printf("(--set data.samples=N, how many training images there are, "
               "tells how long an epoch is)\n");
}

/* Loads each model; those that are not sound end here. */
static bool look_ahead(Series *s, Children *children)
{
    size_t size = (size_t)s->n * sizeof(Probe);
    Probe *probes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t *before = arena_array(s->arena, (size_t)s->n, sizeof *before);
    if (probes == MAP_FAILED)
        return fail("no memory") == 0;
    if (s->c->resume)
        series_read(s, before);
    for (int i = 0; i < s->n && !children_stopped(children); i++) {
        SeriesItem *x = &s->item[i];
        ChildEnd end;
        probes[i].item = x;
        if (!children_run(children,
                          &(ChildWork){.call = probe, .data = &probes[i]},
                          &end) ||
            end.status) {
            if (children_stopped(children))
                break;
            fail_item(x, end.why);
        }
        x->fingerprint = probes[i].fingerprint;
        x->skipped = !x->failed && x->outcome.state == OUTCOME_DONE &&
                     x->fingerprint == before[i];
        x->estimate = probes[i].estimated ? total_seconds(&probes[i].row) : 0;
    }
    print_estimates(s, probes);
    print_not_estimated(s);
    fflush(stdout);
    munmap(probes, size);
    return true;
}

/* ---- one of them --------------------------------------------------------- */

static int compile(void *data)
{
    const SeriesItem *x = data;
    CommandLine c = x->c;
    c.verb = VERB_COMPILE;
    c.output = x->program;
    return run_compile(&c);
}

static bool has_checkpoint(const Series *s, const SeriesItem *x)
{
    return access(arena_printf(s->arena, "%s/last.safetensors", x->folder),
                  F_OK) == 0;
}

/* PROGRAM train .. : what is passed on, settings that a program can change,
 * and where to. */
static char **train_words(const Series *s, const SeriesItem *x)
{
    const CommandLine *c = &x->c;
    size_t n = 0, room = (size_t)(c->train.n + 2 * c->set.n) + 8;
    const char **word = arena_array(s->arena, room, sizeof *word);
    word[n++] = x->program;
    word[n++] = "train";
    for (int i = 0; i < c->set.n; i++) {
        const char *set = c->set.word[i];
        const SettingSpec *spec =
            setting_spec(arena_strndup(s->arena, set, strcspn(set, "=")));
        if (!spec || !spec->run_time)
            continue;
        word[n++] = "--set";
        word[n++] = set;
    }
    for (int i = 0; i < c->train.n; i++)
        word[n++] = c->train.word[i];
    bool on = s->c->resume && has_checkpoint(s, x);
    word[n++] = on ? "--resume" : "--save-dir";
    word[n++] = x->folder;
    if (s->c->overwrite && !on)
        word[n++] = "--overwrite";
    return (char **)word;
}

static const char *result_of(const Series *s, const SeriesItem *x)
{
    return arena_printf(s->arena, "%s/result.json", x->folder);
}

/* What the program says of itself, or what is known of it from outside. */
static void take_outcome(const Series *s, SeriesItem *x, const ChildEnd *end)
{
    Outcome told, *o = &x->outcome;
    bool tells = outcome_read(result_of(s, x), &told);
    if (tells)
        *o = told;
    if (end->status > 128 && !end->killed) { /* it was asked to */
        o->state = OUTCOME_STOPPED;
        if (!tells || !*o->why)
            snprintf(o->why, sizeof o->why, "signal %d", end->status - 128);
    } else if (end->status && (!tells || told.state < OUTCOME_DIVERGED)) {
        fail_item(x, end->why);
    } else if (!tells) { /* it could not write it */
        o->state = OUTCOME_DONE;
        o->why[0] = 0;
    }
    x->failed = o->state >= OUTCOME_DIVERGED;
}

static bool run_step(Children *children, SeriesItem *x, const ChildWork *work,
                     ChildEnd *end)
{
    if (!children_run(children, work, end))
        fail_item(x, end->why);
    return !x->failed;
}

static void train(Series *s, Children *children, SeriesItem *x)
{
    ChildEnd end;
    ChildWork work = {.argv = train_words(s, x)};
    unlink(result_of(s, x)); /* what it said is in x->outcome */
    x->outcome.state = OUTCOME_RUNNING;
    x->outcome.why[0] = 0;
    series_write(s);
    if (run_step(children, x, &work, &end))
        take_outcome(s, x, &end);
}

static void run_item(Series *s, Children *children, SeriesItem *x)
{
    ChildEnd end;
    double began = clock_now(), before = x->outcome.seconds;
    ChildWork work = {.call = compile, .data = x};
    if (!file_make_folder(x->folder)) {
        snprintf(end.why, sizeof end.why, "cannot make the folder %s: %s",
                 x->folder, strerror(errno));
        fprintf(stderr, "tgc: %s\n", end.why);
        fail_item(x, end.why);
    } else if (run_step(children, x, &work, &end)) {
        if (children->stop)
            return; /* it was not begun */
        if (end.status)
            fail_item(x, end.why);
        else
            train(s, children, x);
    }
    x->outcome.seconds = before + clock_now() - began;
}

/* ---- all of them --------------------------------------------------------- */

static void print_begin(const Series *s, int i)
{
    const SeriesItem *x = &s->item[i];
    const Outcome *o = &x->outcome;
    char text[64];
    printf("\n[%d/%d] %s", i + 1, s->n, x->name);
    if (strcmp(x->words, x->name))
        printf(" (%s)", x->words);
    if (x->failed)
        printf(": left out, %s", o->why);
    else if (x->skipped && isfinite(o->best_accuracy))
        printf(": done before, %.2f %%", 100 * o->best_accuracy);
    else if (x->skipped)
        printf(": done before");
    else if (x->estimate >= 1)
        printf(": about %s", format_duration(x->estimate, text, sizeof text));
    putchar('\n');
    fflush(stdout);
}

/* What the table says after a signal, and what to type. */
static void print_end(const Series *s, const Children *children)
{
    int open = 0;
    putchar('\n');
    series_print(s, stdout);
    printf("in %s; the same for programs in %s\n", s->c->save_dir,
           series_path(s, SERIES_RESULTS));
    for (int i = 0; i < s->n; i++)
        open += s->item[i].outcome.state != OUTCOME_DONE;
    if (children->stop || open)
        printf("the same command with --resume goes on with what is not "
               "done\n");
}

static int run_series(Series *s, Children *children)
{
    int code = 0;
    if (!look_ahead(s, children))
        return 1;
    for (int i = 0; i < s->n && !children_stopped(children); i++) {
        SeriesItem *x = &s->item[i];
        print_begin(s, i);
        if (!x->failed && !x->skipped)
            run_item(s, children, x);
        series_write(s);
    }
    series_write(s);
    for (int i = 0; i < s->n; i++)
        if (s->item[i].failed)
            code = 1;
    print_end(s, children);
    return children->stop ? 128 + children->stop : code;
}

static bool may_begin(const Series *s)
{
    const char *folder = s->c->save_dir;
    if (s->c->resume && s->c->overwrite)
        return fail("--resume goes on with what --overwrite would remove: "
                    "leave one of them out") == 0;
    if (!series_exists(s) || s->c->resume || s->c->overwrite)
        return true;
    fprintf(stderr,
            "tgc: %s holds another series: go on with it (--resume), take its "
            "place (--overwrite), or name another --save-dir\n",
            folder);
    return false;
}

int run_all(const CommandLine *c)
{
    Series s = {.c = c, .arena = arena_new()};
    Children children;
    int code = 1;
    if (!c->save_dir || !*c->save_dir)
        fail("where to? run-all needs --save-dir DIR");
    else if (!series_items(&s) || !may_begin(&s))
        code = 1;
    else if (!file_make_folder(c->save_dir))
        fprintf(stderr, "tgc: cannot make the folder %s: %s\n", c->save_dir,
                strerror(errno));
    else if (!children_open(&children))
        fail("cannot wait for signals");
    else {
        code = run_series(&s, &children);
        children_close(&children);
    }
    if (fflush(stdout) || ferror(stdout))
        code = code ? code : fail("cannot write to standard output");
    arena_free(s.arena);
    return code;
}
