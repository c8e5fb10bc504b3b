/* command_estimate.c: tgc estimate: time and memory of training runs, before
 * there are any.
 *
 *     module ──> planned ──> kernels known?  ──> their sum
 *                            no: timed once, kept in a calibration
 *     --gpu ─────────────────────────────────> published rates
 */
#include "commands.h"
#include "memory_report.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLACE_SIZE = 4096 };

typedef struct Estimating {
    const CommandLine *c;
    const Gpu *gpu; /* NULL: this machine */
    Calibration *calibration;
    char place[PLACE_SIZE]; /* of the calibration; "": it is not kept */
    char runtime[RUNTIME_PATH];
    uint32_t steps, measured;
} Estimating;

/* ---- what is known of this machine --------------------------------------- */

/* The cache may be replaced; a file that was named may not. */
static bool open_calibration(Estimating *x)
{
    const char *given = x->c->calibration;
    Error e;
    x->calibration = calibration_new();
    if (given)
        snprintf(x->place, sizeof x->place, "%s", given);
    else if (!calibration_place(x->place, sizeof x->place))
        x->place[0] = 0;
    if (!x->place[0] ||
        calibration_read(x->calibration, x->place, &e) != CALIBRATION_BAD)
        return true;
    fprintf(stderr, "tgc: %scalibration %s cannot be used: %s%s\n",
            given ? "error: " : "", x->place, e.text,
            given ? "" : "; everything is timed anew");
    return !given;
}

static double memory_here(void)
{
    return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

/* What a run may take. */
static double memory_allowed(const Estimating *x, const Module *m)
{
    double budget = settings_number(&m->settings, "memory");
    if (budget > 0)
        return budget;
    return x->gpu ? x->gpu->memory : memory_here();
}

/* ---- a row --------------------------------------------------------------- */

static bool is_half(const Module *m)
{
    const char *precision = settings_text(&m->settings, "precision");
    return !strcmp(precision, "bf16") || !strcmp(precision, "f16");
}

static bool estimate_module(Estimating *x, const Module *m, Estimate *out)
{
    Error e = {{0}};
    if (x->gpu) {
        Rates r = gpu_rates(x->gpu, is_half(m));
        *out = estimate_by_rates(m, &r);
        return true;
    }
    CodegenOptions o = codegen_options(x->c);
    o.runtime = x->runtime;
    if (!codegen_estimate(m, &o, x->calibration, x->place[0] ? x->place : NULL,
                          out, &e)) {
        fail(e.text);
        return false;
    }
    x->steps += out->steps;
    x->measured += out->measured;
    return true;
}

/* The model at hand again, and what that would do to time and memory. */
static const char *advise(Estimating *x, const CommandLine *c, double allowed,
                          Arena *a)
{
    char set[64], text[BYTES_TEXT];
    Estimate e;
    int64_t mib = (int64_t)(allowed / (1 << 20));
    snprintf(set, sizeof set, "memory=%lldMiB", (long long)mib);
    Module *m = plan_again(c, (const char *const[]){set, NULL});
    if (!m)
        return "";
    const Target *t = target_named(c->target);
    int64_t need = budget_need(t, m), at_most;
    const char *what = "";
    if ((double)need <= allowed && estimate_module(x, m, &e)) {
        what = arena_printf(a, "--memory %lldMiB: %s, %.0f ms/batch",
                            (long long)mib, bytes_text(need, text),
                            1e3 * e.seconds);
    } else {
        Budget b = {t, plan_again, c};
        int64_t batch = budget_largest_batch(&b, m, &at_most);
        what = batch ? arena_printf(a, "--set batch=%lld --memory %lldMiB: %s",
                                    (long long)batch, (long long)mib,
                                    bytes_text(at_most, text))
                     : "nothing: not even one image fits";
    }
    module_free(m);
    return what;
}

static bool fill_row(Estimating *x, const CommandLine *c, const Module *m,
                     EstimateRow *row, Arena *a)
{
    Estimate e;
    double allowed = memory_allowed(x, m);
    if (!estimate_module(x, m, &e))
        return false;
    *row = (EstimateRow){
        .model = arena_strdup(a, m->name),
        .what = "",
        .batch = (int64_t)settings_number(&m->settings, "batch"),
        .batches = estimate_batches(m),
        .epochs = settings_number(&m->settings, "epochs"),
        .seconds = e.seconds,
        .need = budget_need(target_named(c->target), m),
    };
    row->fits = (double)row->need <= allowed;
    if (!row->fits)
        row->what = advise(x, c, allowed, a);
    return true;
}

static bool estimate_file(Estimating *x, const char *path, EstimateRow *row,
                          Arena *a)
{
    CommandLine c = *x->c;
    c.input = path;
    c.calibration = NULL; /* decides nothing here */
    Module *m = load_module(&c);
    bool ok = m && optimize_module(m, &c, pass_pipeline) &&
              fill_row(x, &c, m, row, a);
    module_free(m);
    return ok;
}

/* ---- the command --------------------------------------------------------- */

static void print_basis(const Estimating *x)
{
    if (x->gpu) {
        printf("\n%s, by its published rates: no kernel can be faster than its "
               "bytes and\nmultiply-adds allow. Not measured: a run takes "
               "longer.\n",
               x->gpu->words);
    } else if (x->steps) {
        printf("\nThe sum of kernels timed on this machine");
        if (x->measured < x->steps)
            printf(" (%u of %u steps; the others are modelled)", x->measured,
                   x->steps);
        if (x->place[0])
            printf(", kept in\n%s", x->place);
        printf(".\n");
    }
    printf("Training alone: evaluation and waiting for data are not in it.\n");
}

static bool open_gpu(Estimating *x)
{
    const char *name = x->c->gpu;
    char names[256];
    if (!name)
        return true;
    x->gpu = gpu_named(name);
    if (x->gpu)
        return true;
    const char *near = gpu_nearest(name);
    fprintf(stderr, "tgc: --gpu %.40s: its rates are not known", name);
    if (near)
        fprintf(stderr, " (did you mean %s?)\n", near);
    else
        fprintf(stderr, " (there are %s)\n", gpu_names(names, sizeof names));
    return false;
}

static bool open_machine(Estimating *x)
{
    return find_runtime(x->runtime) && open_calibration(x);
}

bool estimate_one(const CommandLine *c, EstimateRow *row, Arena *a)
{
    Estimating x = {.c = c};
    bool ok = open_machine(&x) && estimate_file(&x, c->input, row, a);
    calibration_free(x.calibration);
    return ok;
}

static int estimate_all(Estimating *x)
{
    int code = 0, n = x->c->inputs.n;
    Arena *a = arena_new();
    EstimateRow *row = arena_array(a, (size_t)n, sizeof *row);
    for (int i = 0; i < n; i++)
        if (!estimate_file(x, x->c->inputs.word[i], &row[i], a))
            code = 1;
    bool any = false;
    for (int i = 0; i < n; i++)
        any |= row[i].model != NULL;
    if (any) {
        estimate_print(row, n, stdout);
        print_basis(x);
    }
    arena_free(a);
    return code;
}

int run_estimate(const CommandLine *c)
{
    Estimating x = {.c = c};
    if (!open_gpu(&x))
        return 1;
    if (x.gpu)
        return estimate_all(&x);
    int code = open_machine(&x) ? estimate_all(&x) : 1;
    calibration_free(x.calibration);
    return code;
}
