/* rundir.c: see rundir.h. */
#include "rundir.h"
#include "format.h"
#include "lib.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* ---- names --------------------------------------------------------------- */

const char *rundir_path(const char *folder, const char *name,
                        char path[RUNDIR_PATH])
{
    if (snprintf(path, RUNDIR_PATH, "%s/%s", folder, name) >= RUNDIR_PATH)
        path[RUNDIR_PATH - 1] = 0;
    return path;
}

bool rundir_checkpoint(const char *resume, char path[RUNDIR_PATH], Status *s)
{
    struct stat about;
    if (stat(resume, &about) != 0 || !S_ISDIR(about.st_mode)) {
        snprintf(path, RUNDIR_PATH, "%s", resume);
        return true;
    }
    if (access(rundir_path(resume, RUN_BEST, path), F_OK) == 0 &&
        access(rundir_path(resume, RUN_LAST, path), F_OK) != 0)
        return status_fail(s,
                           "%s holds no " RUN_LAST ", the checkpoint to go on "
                           "from, but that of the best evaluation: --resume "
                           "%s/" RUN_BEST " goes on from there",
                           resume, resume);
    if (access(rundir_path(resume, RUN_LAST, path), F_OK) != 0)
        return status_fail(s,
                           "%s holds no checkpoint (" RUN_LAST "): is it the "
                           "--save-dir of a run that saved one?",
                           resume);
    return true;
}

const char *rundir_of(const char *file, char path[RUNDIR_PATH])
{
    const char *slash = strrchr(file, '/');
    if (!slash)
        snprintf(path, RUNDIR_PATH, ".");
    else
        snprintf(path, RUNDIR_PATH, "%.*s",
                 slash == file ? 1 : (int)(slash - file), file);
    return path;
}

/* ---- whose it is --------------------------------------------------------- */

/* All that a run writes; the first two are what it would be a loss to lose. */
static const char *const run_files[] = {
    RUN_LAST,   RUN_BEST,        RUN_DESCRIPTION, RUN_STEPS, RUN_EPOCHS,
    RUN_EVENTS, RUN_PREDICTIONS, RUN_REPORT,      RUN_RESULT};
enum { RUN_SIGNS = 2, RUN_FILES = sizeof run_files / sizeof *run_files };

static bool holds_run(const char *folder)
{
    char path[RUNDIR_PATH];
    struct stat about;
    for (int i = 0; i < RUN_SIGNS; i++)
        if (stat(rundir_path(folder, run_files[i], path), &about) == 0)
            return true;
    return false;
}

static bool same_folder(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

bool rundir_claim(const char *folder, const char *checkpoint, bool overwrite,
                  Status *s)
{
    char from[RUNDIR_PATH];
    bool own = checkpoint && same_folder(rundir_of(checkpoint, from), folder);
    if (own && overwrite)
        return status_fail(s,
                           "--overwrite would remove %s, which --resume goes "
                           "on from: leave one of them out, or name another "
                           "--save-dir",
                           checkpoint);
    if (own || overwrite || !holds_run(folder))
        return true;
    return status_fail(s,
                       "%s holds another run: go on with it (--resume %s), "
                       "take its place (--overwrite), or name another "
                       "--save-dir",
                       folder, folder);
}

bool rundir_clear(const char *folder, Status *s)
{
    char path[RUNDIR_PATH];
    for (int i = 0; i < RUN_FILES; i++)
        if (unlink(rundir_path(folder, run_files[i], path)) && errno != ENOENT)
            return status_errno(s, "remove", path, NULL);
    return true;
}

/* ---- run.json ------------------------------------------------------------ */

/* "model name : Intel .." of the first processor. */
static void processor_name(char *text, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(text, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(text, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (file)
        fclose(file);
}

static void put_text(FILE *out, const char *key, const char *text, bool last)
{
    char name[256], value[8192];
    fprintf(out, "    \"%s\": \"%s\"%s\n", format_json(key, name, sizeof name),
            format_json(text ? text : "", value, sizeof value),
            last ? "" : ",");
}

static void put_command(FILE *out, const Options *o)
{
    char text[4096];
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < o->argc && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s",
                                 i ? " " : "", o->argv[i]);
    put_text(out, "command", text, false);
}

static void put_run(FILE *out, const Session *x, int64_t step,
                    const char *things)
{
    char text[PATH_MAX];
    time_t now = time(NULL);
    struct tm date;
    put_text(out, "model", x->plan->model, false);
    put_text(out, "compiler", x->plan->compiler, false);
    put_command(out, x->options);
    if (x->options->data && realpath(x->options->data, text))
        put_text(out, "data", text, false);
    put_text(out, "things", things, false);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z",
             localtime_r(&now, &date));
    put_text(out, "started", text, false);
    snprintf(text, sizeof text, "%lld", (long long)step);
    put_text(out, "started_after_step", text, false);
    snprintf(text, sizeof text, "%lld", (long long)x->plan->parameters);
    put_text(out, "parameters", text, true);
}

static void put_machine(FILE *out, const Session *x)
{
    char text[512];
    struct utsname name;
    processor_name(text, sizeof text);
    put_text(out, "processor", text, false);
    snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    put_text(out, "cores", text, false);
    snprintf(text, sizeof text, "%d", session_threads(x));
    put_text(out, "threads", text, false);
    double memory =
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    snprintf(text, sizeof text, "%.0f", memory);
    put_text(out, "memory_bytes", text, false);
    snprintf(text, sizeof text, "%lld",
             (long long)(x->executor ? executor_bytes(x->executor) : 0));
    put_text(out, "planned_bytes", text, false);
    if (uname(&name) == 0) {
        snprintf(text, sizeof text, "%s %s %s", name.sysname, name.release,
                 name.machine);
        put_text(out, "system", text, false);
    }
    put_text(out, "library", x->plan->n_libs ? lib_version() : "none", true);
}

static void put_settings(FILE *out, const Config *c, bool origins)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const ConfigItem *item = &c->item[i];
        put_text(out, item->key,
                 origins      ? config_origin(item)
                 : item->text ? item->text
                              : "",
                 i + 1 == c->n);
    }
}

bool rundir_write(const char *folder, const char *name, RunPut *put, void *user)
{
    char path[RUNDIR_PATH], other[64], beside[RUNDIR_PATH];
    snprintf(other, sizeof other, "%s.tmp", name);
    rundir_path(folder, name, path);
    FILE *out = fopen(rundir_path(folder, other, beside), "w");
    bool done = out != NULL;
    if (out) {
        put(out, user);
        done = fflush(out) == 0 && !ferror(out);
        fclose(out);
    }
    if (done && rename(beside, path) == 0)
        return true;
    fprintf(stderr, "warning: cannot write %s: %s\n", path, strerror(errno));
    unlink(beside);
    return false;
}

typedef struct Description {
    const Session *session;
    int64_t step;
    const char *things;
} Description;

static void put_description(FILE *out, void *user)
{
    const Description *d = user;
    const Config *c = &d->session->config;
    fputs("{\n\"run\": {\n", out);
    put_run(out, d->session, d->step, d->things);
    fputs("},\n\"machine\": {\n", out);
    put_machine(out, d->session);
    fputs("},\n\"settings\": {\n", out);
    put_settings(out, c, false);
    fputs("},\n\"origin\": {\n", out);
    put_settings(out, c, true);
    fputs("}\n}\n", out);
}

void rundir_describe(const char *folder, const Session *x, int64_t step,
                     const char *things)
{
    Description d = {x, step, things};
    rundir_write(folder, RUN_DESCRIPTION, put_description, &d);
}
