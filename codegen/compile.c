/* compile.c: from a program's tables and kernels to an executable.
 *
 *     a folder of our own in $TMPDIR: kernels_0.c .. plan.c, compiled side by
 *     side, linked to a file beside the output, which is then renamed
 *
 * What fails leaves the output that was there as it was.  Where the C compiler
 * refuses a kernel, the folder stays and the message says where it is. */
#include "codegen.h"
#include "process.h"
#include "program.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef TGC_CC
#define TGC_CC "cc"
#endif
#ifndef TGC_OPENMP
#define TGC_OPENMP "-lgomp"
#endif

enum { KERNELS_PER_FILE = 12, MAX_FILES = 64 };

typedef struct Build {
    const CodegenOptions *o;
    const Program *program;
    Arena *arena;
    const char *folder;
    const char *file[MAX_FILES]; /* without .c; the last one is plan */
    int n_files, jobs;
    bool keep, cuda;
    CudaImages images; /* cuda */
    sigset_t signals;
    Error *error;
} Build;

const char *codegen_cc(void)
{
    return TGC_CC;
}

const char *codegen_openmp(void)
{
    return TGC_OPENMP;
}

/* ---- folders and files -------------------------------------------------- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool make_folder(Build *b)
{
    if (b->o->save_temps) {
        b->keep = true;
        b->folder = b->o->save_temps;
        if (mkdir(b->folder, 0777) == 0 || errno == EEXIST)
            return true;
        return error_set(b->error, "cannot make the folder %.200s: %s",
                         b->folder, strerror(errno));
    }
    b->folder = process_folder(b->arena, b->error);
    b->keep = !b->folder; /* there is nothing to remove */
    return b->folder;
}

static const char *path_in(const Build *b, const char *name, const char *end)
{
    return arena_printf(b->arena, "%s/%s%s", b->folder, name, end);
}

static void remove_folder(const Build *b)
{
    static const char *const ends[] = {".c", ".o", ".log"};
    if (b->keep)
        return;
    unlink(path_in(b, "kernels", ".cu"));
    for (int i = 0; i < b->images.n; i++) {
        unlink(b->images.image[i].path);
        unlink(b->images.image[i].log);
    }
    for (int i = 0; i < b->n_files; i++)
        for (int k = 0; k < 3; k++)
            unlink(path_in(b, b->file[i], ends[k]));
    unlink(path_in(b, "link", ".log"));
    rmdir(b->folder);
}

static FILE *open_source(Build *b, const char *name)
{
    const char *path = path_in(b, name, ".c");
    b->file[b->n_files++] = name;
    unlink(path_in(b, name, ".log")); /* of an earlier run, with save_temps */
    FILE *f = fopen(path, "w");
    if (!f)
        error_set(b->error, "cannot write %.200s: %s", path, strerror(errno));
    return f;
}

static bool close_source(Build *b, FILE *f)
{
    bool ok = !ferror(f);
    if (fclose(f) == 0 && ok)
        return true;
    return error_set(b->error, "cannot write to %.200s: %s", b->folder,
                     strerror(errno));
}

static void say_time(const Build *b, const char *what, double since)
{
    if (b->o->verbose)
        fprintf(stderr, "tgc: %s: %.2f s\n", what, seconds() - since);
}

/* ---- sources ------------------------------------------------------------ */

static int file_count(const Build *b)
{
    size_t n = b->program->kernels->n_kernels;
    int files = (int)((n + KERNELS_PER_FILE - 1) / KERNELS_PER_FILE);
    files = (files + b->jobs - 1) / b->jobs * b->jobs; /* all end together */
    files = files > MAX_FILES - 1 ? MAX_FILES - 1 : files;
    return (size_t)files > n ? (int)n : files;
}

/* Files of about equal length. */
static bool write_kernels(Build *b)
{
    const Kernels *k = b->program->kernels;
    size_t total = 0, begin = 0, written = 0;
    for (size_t i = 0; i < k->n_kernels; i++)
        total += strlen(k->kernel[i].text);
    int files = file_count(b);
    for (int i = 0; i < files; i++) {
        size_t end = begin, goal = total / (size_t)files * (size_t)(i + 1);
        while (end < k->n_kernels && (i + 1 == files || written < goal))
            written += strlen(k->kernel[end++].text);
        FILE *f = open_source(b, arena_printf(b->arena, "kernels_%d", i));
        if (!f)
            return false;
        kernels_print(k, begin, end, f);
        if (!close_source(b, f))
            return false;
        begin = end;
    }
    return true;
}

/* Compiles them, too. */
static bool write_cuda_kernels(Build *b)
{
    bool refused;
    double start = seconds();
    CudaBuild cuda = {.kernels = b->program->kernels,
                      .arch = b->o->arch,
                      .folder = b->folder,
                      .arena = b->arena,
                      .jobs = b->jobs,
                      .verbose = b->o->verbose,
                      .signals = &b->signals};
    bool ok = cuda_images_build(&cuda, &b->images, &refused, b->error);
    b->keep |= refused;
    say_time(b, "NVRTC", start);
    return ok;
}

static bool write_sources(Build *b)
{
    if (b->cuda ? !write_cuda_kernels(b) : !write_kernels(b))
        return false;
    FILE *f = open_source(b, "plan");
    if (!f)
        return false;
    plan_write(b->program, b->o, b->cuda ? &b->images : NULL, f);
    return close_source(b, f);
}

/* ---- commands ----------------------------------------------------------- */

typedef struct Line {
    Arena *arena;
    char **word;
    size_t n, cap;
} Line;

static void line_add(Line *l, const char *word)
{
    ARENA_PUSH(l->arena, l->word, l->n, l->cap, arena_strdup(l->arena, word));
}

static void line_add_all(Line *l, const char *const *word)
{
    for (; *word; word++)
        line_add(l, *word);
}

/* CC may hold several words: "ccache gcc". */
static Line line_new(const Build *b)
{
    Line l = {.arena = b->arena};
    const char *cc = b->o->cc && *b->o->cc ? b->o->cc : TGC_CC;
    char *save, *words = arena_strdup(b->arena, cc);
    for (char *w = strtok_r(words, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        line_add(&l, w);
    return l;
}

static Command line_end(Line *l, const char *log)
{
    ARENA_PUSH(l->arena, l->word, l->n, l->cap, NULL);
    return (Command){.argv = l->word, .log = log};
}

/* Not-a-number must survive, so no -ffast-math.  No contraction: whether a
 * product and a sum are rounded once or twice would hang on who else reads the
 * product, and a kernel that is made again under a budget, or fused in another
 * way, has to give the same bits. */
static const char *const kernel_flags[] = {"-O2",
                                           "-fno-math-errno",
                                           "-fno-trapping-math",
                                           "-ffp-contract=off",
                                           "-fopenmp-simd",
#ifdef __x86_64__
                                           "-mprefer-vector-width=512",
#endif
                                           NULL};

static Command compile_command(const Build *b, const char *name, bool plan)
{
    Line l = line_new(b);
    line_add_all(&l, (const char *const[]){"-std=gnu11", "-w", "-fno-pie", "-c",
                                           "-I", b->o->runtime, NULL});
    const char *march = b->o->march ? b->o->march : "native";
    line_add(&l, arena_printf(b->arena, "-march=%s", march));
    if (plan)
        line_add(&l, "-O0");
    else
        line_add_all(&l, kernel_flags);
    line_add_all(&l, (const char *const[]){"-o", path_in(b, name, ".o"),
                                           path_in(b, name, ".c"), NULL});
    return line_end(&l, path_in(b, name, ".log"));
}

/* A zlib that need not be there where the program runs, if there is one. */
static const char *zlib(void)
{
#ifdef TGC_STATIC_ZLIB
    if (access(TGC_STATIC_ZLIB, R_OK) == 0)
        return TGC_STATIC_ZLIB;
#endif
    return "-lz";
}

static Command link_command(const Build *b, const char *output)
{
    Line l = line_new(b);
    line_add_all(&l,
                 (const char *const[]){"-no-pie", "-s", "-o", output, NULL});
#ifdef TGC_SANITIZE
    line_add(&l, "-fsanitize=" TGC_SANITIZE);
#endif
    for (int i = 0; i < b->n_files; i++)
        line_add(&l, path_in(b, b->file[i], ".o"));
    line_add(&l, arena_printf(b->arena, "%s/libtgcrt.a", b->o->runtime));
    line_add_all(&l, (const char *const[]){"-ldnnl", zlib(), TGC_OPENMP, "-lm",
                                           "-lpthread", NULL});
    return line_end(&l, path_in(b, "link", ".log"));
}

/* ---- running them ------------------------------------------------------- */

static void say(const Build *b, const Command *c)
{
    if (!b->o->verbose)
        return;
    for (char *const *word = c->argv; *word; word++)
        fprintf(stderr, "%s%s", word == c->argv ? "" : " ", *word);
    fputc('\n', stderr);
}

/* The compiler's first words: they name the kernel.  Where it complains about
 * a source, that stays to be looked at. */
static void add_log(Build *b, const Command *c)
{
    char text[600] = "";
    FILE *f = fopen(c->log, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = 0;
    Error why = *b->error;
    if (n)
        error_set(b->error, "%.120s\n%.300s", why.text, text);
    if (!strstr(text, ".c:") || b->keep)
        return;
    b->keep = true;
    error_set(b->error, "%.120s; the sources are in %.100s\n%.250s", why.text,
              b->folder, text);
}

static bool run(Build *b, const Command *command, int n)
{
    int failed = 0;
    for (int i = 0; i < n; i++)
        say(b, &command[i]);
    if (process_run(command, n, b->jobs, &b->signals, &failed, b->error))
        return true;
    if (!process_interrupted())
        add_log(b, &command[failed]);
    return false;
}

static bool compile_sources(Build *b)
{
    Command command[MAX_FILES];
    double start = seconds();
    /* The plan first: it is one long file. */
    for (int i = 0; i < b->n_files; i++) {
        int k = b->n_files - 1 - i;
        command[i] = compile_command(b, b->file[k], i == 0);
    }
    bool ok = run(b, command, b->n_files);
    say_time(b, "C compiler", start);
    return ok;
}

static bool link_program(Build *b, const char *output)
{
    const char *beside =
        arena_printf(b->arena, "%s.tgc-%ld", output, (long)getpid());
    double start = seconds();
    Command command = link_command(b, beside);
    unlink(command.log);
    bool ok = run(b, &command, 1);
    say_time(b, "link", start);
    if (ok && rename(beside, output) == 0)
        return true;
    if (ok)
        error_set(b->error, "cannot write %.200s: %s", output, strerror(errno));
    unlink(beside);
    return false;
}

/* Before minutes of work end in it. */
static bool check_output(const char *output, Error *e)
{
    const char *slash = strrchr(output, '/');
    char folder[4096] = ".";
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - output) + 1,
                 output);
    if (access(folder, W_OK) == 0)
        return true;
    return error_set(e, "cannot write %.200s: %s: %s", output, folder,
                     strerror(errno));
}

static Program *lower_module(const Module *m, const CodegenOptions *o, Error *e)
{
    double start = seconds();
    Program *p = program_new(m, o, e);
    if (p && o->verbose)
        fprintf(stderr, "tgc: lowered to %zu kernels: %.2f s\n",
                p->kernels->n_kernels, seconds() - start);
    return p;
}

bool codegen_compile(const Module *m, const CodegenOptions *o,
                     const char *output, Error *e)
{
    if (!check_output(output, e))
        return false;
    Program *p = lower_module(m, o, e);
    if (!p)
        return false;
    Build b = {.o = o, .program = p, .arena = p->arena, .error = e};
    b.cuda = target_is_cuda(o->target);
    b.jobs = o->jobs > 0 ? o->jobs : process_cores();
    process_block_signals(&b.signals);
    bool ok = make_folder(&b) && write_sources(&b) && compile_sources(&b) &&
              link_program(&b, output);
    remove_folder(&b);
    process_restore_signals(&b.signals);
    program_free(p);
    return ok;
}

bool codegen_print_c(const Module *m, const CodegenOptions *o, FILE *out,
                     Error *e)
{
    Program *p = lower_module(m, o, e);
    if (p)
        kernels_print(p->kernels, 0, p->kernels->n_kernels, out);
    program_free(p);
    return p != NULL;
}

bool codegen_print_ptx(const Module *m, const CodegenOptions *o, FILE *out,
                       Error *e)
{
    if (!target_is_cuda(o->target))
        return error_set(e, "--emit=ptx is for --target cuda");
    Program *p = lower_module(m, o, e);
    if (!p)
        return false;
    CudaBuild b = {.kernels = p->kernels, .arch = o->arch, .arena = p->arena};
    bool ok = cuda_images_print_ptx(&b, out, e);
    program_free(p);
    return ok;
}

bool codegen_print_plan(const Module *m, const CodegenOptions *o, FILE *out,
                        Error *e)
{
    Program *p = lower_module(m, o, e);
    if (p)
        plan_print(p, out);
    program_free(p);
    return p != NULL;
}
