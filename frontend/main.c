/* main.c: the tgc command: the whole pipeline, one function an arrow.
 *
 *     load ──> module ──> optimize ──> codegen
 */
#include "augment.h"
#include "codegen.h"
#include "commands.h"
#include "frontend.h"
#include "memory_report.h"
#include "nearest.h"
#include "op.h"
#include "opdoc.h"
#include "pass.h"
#include "text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, FILE_MOST = 1 << 30 };

int fail(const char *what)
{
    fprintf(stderr, "tgc: %s\n", what);
    return 1;
}

static int fail_file(const char *call, const char *path)
{
    fprintf(stderr, "tgc: cannot %s %s: %s\n", call, path, strerror(errno));
    return 1;
}

/* ---- files --------------------------------------------------------------- */

static bool has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = strlen(suffix);
    return n >= k && !strcmp(path + n - k, suffix);
}

/* The whole file ("-": standard input), or NULL with errno set. */
static char *read_file(const char *path, Arena *a, size_t *size)
{
    FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    if (!f)
        return NULL;
    size_t cap = 0;
    char *text = NULL;
    *size = 0;
    for (size_t got = 1; got && *size < FILE_MOST; *size += got) {
        text = arena_grow(a, text, *size, &cap, 1);
        got = fread(text + *size, 1, cap - *size, f);
    }
    bool ok = !ferror(f);
    if (f != stdin)
        fclose(f);
    return ok ? text : NULL;
}

bool output_open(Output *o, const char *path)
{
    struct stat info;
    *o = (Output){.file = stdout, .path = path};
    if (!path)
        return true;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode))
        snprintf(o->beside, sizeof o->beside, "%s.tgc-%d", path, getpid());
    o->file = fopen(*o->beside ? o->beside : path, "w");
    if (!o->file)
        fail_file("write", path);
    return o->file != NULL;
}

int output_close(Output *o, bool ok)
{
    bool written = !fflush(o->file) && !ferror(o->file);
    if (o->path && fclose(o->file))
        written = false;
    if (ok && written && *o->beside && rename(o->beside, o->path))
        written = false;
    if (!written)
        fail_file("write", o->path ? o->path : "standard output");
    if (*o->beside && (!ok || !written))
        unlink(o->beside);
    return !ok || !written;
}

/* libtgcrt.a and plan.h: beside the compiler in a build folder, or where
 * `cmake --install` puts them. */
bool search_runtime(char path[PATH_SIZE])
{
    const char *given = getenv("TGC_RUNTIME");
    if (given) {
        snprintf(path, PATH_SIZE, "%s", given);
        return true;
    }
    char exe[PATH_SIZE / 2];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n < 0)
        return false;
    exe[n] = 0;
    *strrchr(exe, '/') = 0;
    const char *const places[] = {"runtime", "../lib/tgc"};
    for (int i = 0; i < 2; i++) {
        char library[PATH_SIZE];
        snprintf(library, sizeof library, "%s/%s/libtgcrt.a", exe, places[i]);
        if (access(library, R_OK) == 0) {
            snprintf(path, PATH_SIZE, "%s/%s", exe, places[i]);
            return true;
        }
    }
    return false;
}

bool find_runtime(char path[PATH_SIZE])
{
    return search_runtime(path) ||
           !fail("the runtime library libtgcrt.a is not where it was built or "
                 "installed; set TGC_RUNTIME to its folder");
}

/* ---- from a file to a module --------------------------------------------- */

static Module *load_ir(const char *path)
{
    Arena *a = arena_new();
    size_t size;
    Error e = {{0}};
    Module *m = NULL;
    char *text = read_file(path, a, &size);
    if (!text)
        fail_file("read", path);
    else if (!(m = module_read(text, size, path, &e)))
        fail(e.text);
    arena_free(a);
    return m;
}

static FrontendOptions frontend_options(const CommandLine *c)
{
    return (FrontendOptions){
        .define = c->define.word,
        .n_define = c->define.n,
        .set = c->set.word,
        .n_set = c->set.n,
        .color = isatty(STDERR_FILENO) && !getenv("NO_COLOR"),
    };
}

/* What has an option of its own goes over what the file says. */
static bool set_over(Module *m, const char *key, const char *text)
{
    char error[MAX_TEXT];
    return !text ||
           settings_set_text(&m->settings, m->arena, key, text, 0, error,
                             sizeof error) ||
           fail(error) == 0;
}

static bool choose_cudnn(Module *m, const CommandLine *c)
{
    if (c->cudnn && c->no_cudnn)
        return fail("--cudnn and --no-cudnn: which of the two?") == 0;
    if (c->cudnn && !strncmp(c->target, "cpu", 3))
        return fail("--cudnn: cuDNN runs on GPUs (--target cuda)") == 0;
    return set_over(m, "cudnn",
                    c->cudnn      ? "true"
                    : c->no_cudnn ? "false"
                                  : NULL);
}

/* The runtime knows what data.augment may say; a mistake is told here, with
 * its line. */
static bool check_augment(const Module *m)
{
    AugmentList list;
    Status s = {0};
    for (size_t i = 0; i < m->settings.n; i++) {
        const Setting *x = &m->settings.item[i];
        if (strcmp(x->key, "data.augment") ||
            augment_parse(&list, x->value.text, &s))
            continue;
        const LocInfo *at = x->loc ? &m->loc[x->loc] : NULL;
        if (at)
            fprintf(stderr, "%s:%d:%d: error: %s\n", at->file, at->line,
                    at->column, s.text);
        else
            fail(s.text);
        return false;
    }
    return true;
}

Module *load_module(const CommandLine *c)
{
    Module *m;
    if (has_suffix(c->input, ".ir") || c->verb == VERB_OPT) {
        m = load_ir(c->input);
    } else {
        FrontendOptions o = frontend_options(c);
        m = frontend_compile(c->input, &o);
    }
    if (m && (!set_over(m, "memory", c->memory) ||
              !set_over(m, "epochs", c->epochs) || !choose_cudnn(m, c) ||
              !check_augment(m))) {
        module_free(m);
        return NULL;
    }
    return m;
}

/* ---- passes ---------------------------------------------------------------
 */

/* Splits "fold,cse" into words; the list ends with NULL. */
static const char **split_words(char *text, Arena *a)
{
    const char **list = NULL;
    size_t n = 0, cap = 0;
    for (char *word = strtok(text, ","); word; word = strtok(NULL, ","))
        ARENA_PUSH(a, list, n, cap, word);
    ARENA_PUSH(a, list, n, cap, (const char *)NULL);
    return list;
}

static bool known_pass(const char *name)
{
    if (pass_named(name))
        return true;
    Nearest near = nearest_of(name);
    for (const Pass *const *p = pass_table; *p; p++)
        nearest_try(&near, (*p)->name);
    const char *best = nearest_name(&near);
    fprintf(stderr, "tgc: there is no pass %s (%s%s%s)\n", name,
            best ? "did you mean " : "`tgc passes` lists them",
            best ? best : "", best ? "?" : "");
    return false;
}

static bool known_passes(const CommandLine *c, const char *const *names)
{
    for (; *names; names++)
        if (!known_pass(*names))
            return false;
    const char *p = c->print_after;
    return (!p || !strcmp(p, "all") || !strcmp(p, "changed") ||
            known_pass(p)) &&
           (!c->after || known_pass(c->after));
}

static bool read_calibration(TargetChoice *t, const char *path)
{
    Error e;
    t->calibration = calibration_new();
    CalibrationFile found = calibration_read(t->calibration, path, &e);
    if (found == CALIBRATION_READ)
        return true;
    fprintf(stderr, "tgc: error: calibration %s cannot be used: %s\n", path,
            found == CALIBRATION_NONE
                ? "there is none (tgc estimate --calibration makes one)"
                : e.text);
    return false;
}

bool target_open(TargetChoice *t, const CommandLine *c)
{
    const Target *plain = target_named(c->target);
    *t = (TargetChoice){0};
    if (!plain) {
        fprintf(stderr, "tgc: there is no target %s (there are: %s)\n",
                c->target, target_names());
        return false;
    }
    t->target = *plain;
    t->target.choice = c->convs;
    if (!c->calibration)
        return true;
    if (!read_calibration(t, c->calibration)) {
        target_close(t);
        return false;
    }
    t->target = target_calibrate(plain, t->calibration, c->march);
    t->target.choice = c->convs;
    return true;
}

void target_close(TargetChoice *t)
{
    target_uncalibrate(&t->target);
    calibration_free(t->calibration);
    t->calibration = NULL;
}

bool optimize_module(Module *m, const CommandLine *c, const char *const *names)
{
    TargetChoice t;
    if (!known_passes(c, names) || !target_open(&t, c))
        return false;
    PassContext context = {.target = &t.target};
    PassOptions o = {
        .print_after = c->print_after,
        .time = c->time_passes,
#ifdef TGC_VERIFY_TEXT
        .verify_text = true,
#endif
        .stop_after = c->after,
        .replay_dir = getenv("TGC_REPLAY_DIR"),
    };
    bool ok = passes_run(m, &context, names, &o);
    target_close(&t);
    if (ok)
        return true;
    const char *at = module_loc_text(m, context.error_loc, m->arena);
    fprintf(stderr, "%s%serror: %s\n", at,
            *at ? ": " : "tgc: ", context.error.text);
    return false;
}

/* ---- commands -------------------------------------------------------------
 */

static int print_module(const CommandLine *c, const Module *m)
{
    Output o;
    if (!output_open(&o, c->output))
        return 1;
    module_print(m, o.file);
    return output_close(&o, true);
}

static int run_opt(const CommandLine *c)
{
    Module *m = load_module(c);
    if (!m)
        return 1;
    char *text = arena_strdup(m->arena, c->passes ? c->passes : "");
    const char **names = split_words(text, m->arena);
    int code = optimize_module(m, c, names) ? print_module(c, m) : 1;
    module_free(m);
    return code;
}

static int dump_schedule(const CommandLine *c, const Module *m)
{
    Output out;
    if (!output_open(&out, c->output))
        return 1;
    return output_close(&out, print_schedule(m, c->output != NULL, out.file));
}

static int dump_module(const CommandLine *c)
{
    Module *m = load_module(c);
    if (!m)
        return 1;
    bool ok = !c->after || optimize_module(m, c, pass_pipeline);
    int code = !ok ? 1 : c->schedule ? dump_schedule(c, m) : print_module(c, m);
    module_free(m);
    return code;
}

static int emit_ast(const CommandLine *c)
{
    FrontendOptions o = frontend_options(c);
    Output out;
    if (!output_open(&out, c->output))
        return 1;
    return output_close(&out, frontend_print_ast(c->input, &o, out.file));
}

static int emit_text(const CommandLine *c, const Module *m,
                     const CodegenOptions *o)
{
    Error e = {{0}};
    Output out;
    if (!strcmp(c->emit, "cu") && !target_is_cuda(o->target))
        return fail("--emit=cu is for --target cuda");
    if (!strcmp(c->emit, "c") && target_is_cuda(o->target))
        return fail("target cuda has CUDA for kernels: --emit=cu");
    if (!output_open(&out, c->output))
        return 1;
    bool ok = !strcmp(c->emit, "plan")  ? codegen_print_plan(m, o, out.file, &e)
              : !strcmp(c->emit, "ptx") ? codegen_print_ptx(m, o, out.file, &e)
                                        : codegen_print_c(m, o, out.file, &e);
    if (!ok)
        fail(e.text);
    return output_close(&out, ok);
}

static bool known_emit(const char *kind)
{
    const char *const kinds[] = {"ast", "ir", "c", "cu", "ptx", "plan", NULL};
    for (int i = 0; kinds[i]; i++)
        if (!strcmp(kind, kinds[i]))
            return true;
    fprintf(stderr, "tgc: --emit=%s: there are ast, ir, c, cu, ptx and plan\n",
            kind);
    return false;
}

static int compile_program(const CommandLine *c, const Module *m,
                           CodegenOptions *o)
{
    char temps[PATH_SIZE];
    if (c->save_temps && !*c->save_temps) {
        snprintf(temps, sizeof temps, "%s.temps", c->output);
        o->save_temps = temps;
    }
    Error e = {{0}};
    return codegen_compile(m, o, c->output, &e) ? 0 : fail(e.text);
}

CodegenOptions codegen_options(const CommandLine *c)
{
    return (CodegenOptions){
        .target = target_named(c->target),
        .arch = target_arch(c->target),
        .march = c->march,
        .cc = getenv("CC"),
        .save_temps = c->save_temps,
        .verbose = c->verbose,
    };
}

static int compile_module(const CommandLine *c, const Tiles *tiles, Module *m)
{
    if (!optimize_module(m, c, pass_pipeline))
        return 1;
    if (c->max_batch)
        return print_max_batch(c, m);
    if (!module_fits(c, m))
        return 1;
    CodegenOptions o = codegen_options(c);
    if (c->emit && !strcmp(c->emit, "ir"))
        return print_module(c, m);
    char runtime[PATH_SIZE] = "";
    if (!c->emit && !find_runtime(runtime))
        return 1;
    o.runtime = runtime;
    tiles_options(tiles, c, &o);
    return c->emit ? emit_text(c, m, &o) : compile_program(c, m, &o);
}

/* For commands that show what a compile would make: with its tiles. */
static int with_tiles(const CommandLine *c, int (*run)(const CommandLine *c))
{
    CommandLine with = *c;
    Tiles tiles;
    int code = tiles_open(&tiles, &with) ? run(&with) : 1;
    tiles_close(&tiles);
    return code;
}

int run_compile(const CommandLine *c)
{
    if (c->emit && !known_emit(c->emit))
        return 1;
    if (!c->emit && !c->output && !c->max_batch)
        return fail("where to? tgc compile FILE.net -o PROGRAM");
    if (c->emit && !strcmp(c->emit, "ast"))
        return emit_ast(c);
    CommandLine with = *c; /* tiles */
    Tiles tiles;
    Module *m = tiles_open(&tiles, &with) ? load_module(&with) : NULL;
    int code = m ? compile_module(&with, &tiles, m) : 1;
    module_free(m);
    tiles_close(&tiles);
    return code;
}

static int report_memory(const CommandLine *c, const Module *m)
{
    Arena *a = arena_new();
    const Graph *train = module_graph(m, "train");
    MemoryLive live = memory_live(train ? train : m->graph[0], a);
    const Target *t = target_named(c->target);
    int code = 0;
    memory_print_table(&live, t, stdout);
    print_without_budget(c, m);
    Output picture;
    if (c->output && (code = !output_open(&picture, c->output)) == 0) {
        memory_print_picture(&live, picture.file);
        code = output_close(&picture, true);
    }
    arena_free(a);
    return code;
}

static int memory_module(const CommandLine *c)
{
    Module *m = load_module(c);
    if (!m)
        return 1;
    int code = optimize_module(m, c, pass_pipeline) ? report_memory(c, m) : 1;
    module_free(m);
    return code;
}

static int run_fmt(const CommandLine *c)
{
    FrontendOptions o = frontend_options(c);
    Output out;
    if (!output_open(&out, c->output))
        return 1;
    return output_close(&out, frontend_format(c->input, &o, out.file));
}

static int run_ops(const CommandLine *c)
{
    Output out;
    output_open(&out, NULL);
    if (c->markdown)
        ops_print_markdown(stdout);
    else
        for (size_t i = 0; i < op_count; i++)
            printf("%-28s %s\n", op_table[i]->name, op_table[i]->doc);
    return output_close(&out, true);
}

static int run_passes(const CommandLine *c)
{
    Output out;
    output_open(&out, NULL);
    if (c->markdown)
        passes_print_markdown(stdout);
    else
        for (const Pass *const *p = pass_table; *p; p++)
            printf("%-12s %s\n", (*p)->name, (*p)->doc);
    return output_close(&out, true);
}

static int run_layers(const CommandLine *c)
{
    Output out;
    output_open(&out, NULL);
    if (c->verb == VERB_LAYERS)
        frontend_print_layers(c->markdown, out.file);
    else
        frontend_print_settings(c->markdown, out.file);
    return output_close(&out, true);
}

static int dispatch(const CommandLine *c)
{
    switch (c->verb) {
    case VERB_COMPILE:
        return run_compile(c);
    case VERB_DUMP:
        return with_tiles(c, dump_module);
    case VERB_MEMORY:
        return with_tiles(c, memory_module);
    case VERB_ESTIMATE:
        return run_estimate(c);
    case VERB_RUN_ALL:
        return run_all(c);
    case VERB_EXPORT:
        return run_export(c);
    case VERB_DOCTOR:
        return run_doctor(c);
    case VERB_OPT:
        return run_opt(c);
    case VERB_FMT:
        return run_fmt(c);
    case VERB_LAYERS:
    case VERB_SETTINGS:
        return run_layers(c);
    case VERB_OPS:
        return run_ops(c);
    default:
        return run_passes(c);
    }
}

int main(int argc, char **argv)
{
    CommandLine c;
    if (!command_line_parse(&c, argc, argv, stderr))
        return 1;
    if (c.version) {
        printf("tgc %s\n", TGC_VERSION);
        return 0;
    }
    if (c.help) {
        command_line_help(stdout, c.verb);
        return 0;
    }
    return dispatch(&c);
}
