/* doctor_build.c: the C compiler, and what programs are linked with: tried, as
 * `tgc compile` uses them. See doctor.h. */
#include "codegen.h"
#include "doctor.h"
#include "process.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { WORDS = 64, LOG = 2000 };

/* ---- programs ----------------------------------------------------------- */

static const char *in_folder(const Doctor *d, const char *name)
{
    return arena_printf(d->arena, "%s/%s", d->folder, name);
}

static void read_log(const Doctor *d, char log[LOG])
{
    FILE *f = fopen(in_folder(d, "log"), "r");
    size_t n = f ? fread(log, 1, LOG - 1, f) : 0;
    if (f)
        fclose(f);
    log[n] = 0;
}

/* Runs it; what it wrote is in `log`. */
static bool run(const Doctor *d, char *const *argv, char log[LOG], Error *e)
{
    Command command = {.argv = argv, .log = in_folder(d, "log")};
    sigset_t mask;
    int failed;
    unlink(command.log);
    process_block_signals(&mask);
    bool ok = process_run(&command, 1, 1, &mask, &failed, e);
    process_restore_signals(&mask);
    read_log(d, log);
    return ok;
}

/* The words of the compiler's command, and then these. */
static void cc_line(const Doctor *d, char *argv[WORDS],
                    const char *const *words)
{
    int n = 0;
    char *save,
        *cc = arena_strdup(d->arena, d->cc && *d->cc ? d->cc : codegen_cc());
    for (char *w = strtok_r(cc, " ", &save); w && n < WORDS / 2;
         w = strtok_r(NULL, " ", &save))
        argv[n++] = w;
    for (; *words && n < WORDS - 1; words++)
        argv[n++] = arena_strdup(d->arena, *words);
    argv[n] = NULL;
}

/* The first line that says what is wrong, else the first. */
static const char *complaint(const Doctor *d, const char *log)
{
    const char *at = strstr(log, "cannot find");
    at = at ? at : strstr(log, "error");
    at = at ? at : log;
    while (at > log && at[-1] != '\n')
        at--;
    return arena_printf(d->arena, "%.*s", (int)strcspn(at, "\n"), at);
}

/* Compiles main with these lines before it and in it, linked with `link`, and
 * runs it; what it prints is found. */
static bool try_program(Doctor *d, const DoctorRow *row, char *found)
{
    const char *source = in_folder(d, "probe.c"),
               *program = in_folder(d, "probe");
    FILE *f = fopen(source, "w");
    if (!f) {
        snprintf(found, FOUND_SIZE, "cannot write %s: %s", source,
                 strerror(errno));
        return false;
    }
    fprintf(f,
            "#include <math.h>\n#include <stdio.h>\n%s\n"
            "int main(void)\n{\n    return printf(%s) < 0;\n}\n",
            row->declare, row->call);
    fclose(f);
    char *argv[WORDS], log[LOG];
    Error e = {{0}};
    cc_line(d, argv,
            (const char *const[]){"-std=gnu11", "-march=native", "-O2",
                                  "-fopenmp-simd", "-o", program, source,
                                  "-no-pie",
                                  row->link ? row->link : codegen_openmp(),
                                  "-lm", "-lpthread", NULL});
    if (!run(d, argv, log, &e)) {
        const char *why = complaint(d, log);
        snprintf(found, FOUND_SIZE, "%.900s", *why ? why : e.text);
        return false;
    }
    bool ok = run(d, (char *[]){(char *)program, NULL}, log, &e);
    log[strcspn(log, "\n")] = 0;
    snprintf(found, FOUND_SIZE, "%.900s", ok || *log ? log : e.text);
    return ok;
}

/* ---- rows --------------------------------------------------------------- */

bool look_compiler(Doctor *d, const DoctorRow *row, char *found)
{
    char *argv[WORDS], log[LOG], works[FOUND_SIZE];
    Error e = {{0}};
    if (!d->folder) {
        snprintf(found, FOUND_SIZE, "not tried: no folder for it");
        return false;
    }
    cc_line(d, argv, (const char *const[]){"--version", NULL});
    if (!run(d, argv, log, &e)) {
        snprintf(found, FOUND_SIZE, "%s", e.text);
        return false;
    }
    log[strcspn(log, "\n")] = 0;
    d->compiler = try_program(d, row, works);
    snprintf(found, FOUND_SIZE, "%.300s%s%.600s", log,
             d->compiler ? "" : "; a program of two lines failed: ",
             d->compiler ? "" : works);
    return d->compiler;
}

bool look_library(Doctor *d, const DoctorRow *row, char *found)
{
    if (d->compiler)
        return try_program(d, row, found);
    snprintf(found, FOUND_SIZE, "not tried: that takes a C compiler");
    return false;
}

bool look_opened(Doctor *d, const DoctorRow *row, char *found)
{
    char *save, *names = arena_strdup(d->arena, row->link);
    for (char *name = strtok_r(names, " ", &save); name;
         name = strtok_r(NULL, " ", &save)) {
        void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            continue;
        dlclose(library);
        snprintf(found, FOUND_SIZE, "%s", name);
        return true;
    }
    snprintf(found, FOUND_SIZE, "none of %.900s", row->link);
    return false;
}

bool look_runtime(Doctor *d, const DoctorRow *row, char *found)
{
    (void)row;
    char path[FOUND_SIZE];
    if (!d->runtime) {
        snprintf(found, FOUND_SIZE, "neither beside tgc nor in ../lib/tgc");
        return false;
    }
    snprintf(path, sizeof path, "%.900s/libtgcrt.a", d->runtime);
    bool ok = access(path, R_OK) == 0;
    snprintf(found, FOUND_SIZE, "%.900s%s%s", path, ok ? "" : ": ",
             ok ? "" : strerror(errno));
    return ok;
}

bool look_temporary(Doctor *d, const DoctorRow *row, char *found)
{
    (void)row;
    const char *tmp = getenv("TMPDIR");
    struct statvfs s;
    tmp = tmp && *tmp ? tmp : "/tmp";
    if (!d->folder || statvfs(d->folder, &s)) {
        snprintf(found, FOUND_SIZE, "no folder can be made in %.500s", tmp);
        return false;
    }
    double free = (double)s.f_bavail * (double)s.f_frsize;
    snprintf(found, FOUND_SIZE, "%.500s: %.1f GB free", tmp, free / 1e9);
    return free > 1e8;
}
