/* emulate.c: see emulate.h. */
#include "emulate.h"
#include "emulator.h"
#include "process.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { ARGS_MOST = 512 };

const char *test_target(void)
{
    const char *name = getenv("TGC_TEST_TARGET");
    return name ? name : "cpu";
}

static bool emulate_compile(const char *cu, const char *so, const char *log,
                            Error *e)
{
    const char *argv[] = {TGC_PYTHON, TGC_EMULATE, so, cu, NULL};
    Command command = {.argv = (char *const *)argv, .log = log};
    int failed;
    sigset_t none;
    sigemptyset(&none);
    return process_run(&command, 1, 1, &none, &failed, e);
}

/* Functions of the emulator; with a driver, that instead. */
struct Emulated {
    void *library;
    Driver *driver;
    int (*launch)(const EmuLaunch *);
    const char *(*error)(void);
    void (*seed)(uint64_t);
    void *(*alloc)(size_t);
    void (*release)(void *);
    void (*define)(const void *, size_t);
};

static bool find(Emulated *emu, Error *e)
{
    const struct {
        const char *name;
        void *at;
    } function[] = {
        {"emu_launch", &emu->launch}, {"emu_error", &emu->error},
        {"emu_seed", &emu->seed},     {"emu_alloc", &emu->alloc},
        {"emu_free", &emu->release},  {"emu_define", &emu->define},
    };
    for (size_t i = 0; i < sizeof function / sizeof *function; i++) {
        void *f = dlsym(emu->library, function[i].name);
        if (!f)
            return error_set(e, "no %s in the emulator", function[i].name);
        memcpy(function[i].at, &f, sizeof f);
    }
    return true;
}

/* The argument's bytes on the device; one that lies where an earlier one lies
 * does so there, too. */
static char *to_device(const Emulated *emu, const EmulatedArg *arg,
                       char *const *device, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (arg[k].at == arg[i].at) {
            emu->define(device[k], arg[i].bytes);
            return device[k];
        }
    char *at = emu->alloc(arg[i].bytes);
    memcpy(at, arg[i].at, arg[i].bytes);
    if (!arg[i].fresh)
        emu->define(at, arg[i].bytes);
    return at;
}

static void from_device(const Emulated *emu, const EmulatedArg *arg,
                        char *const *device, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (arg[i].written)
            memcpy(arg[i].at, device[i], arg[i].bytes);
    for (uint32_t i = 0; i < n; i++) {
        bool first = true;
        for (uint32_t k = 0; k < i; k++)
            first &= device[k] != device[i];
        if (first)
            emu->release(device[i]);
    }
}

static bool launch(Emulated *m, const EmulatedLaunch *call, Error *e)
{
    char *device[ARGS_MOST];
    void *pointer[ARGS_MOST];
    EmuSpan span[ARGS_MOST];
    const EmulatedArg *arg = call->arg;
    uint32_t n = call->n_args;
    if (n > ARGS_MOST)
        return error_set(e, "%u arguments are too many", n);
    for (uint32_t i = 0; i < n; i++) {
        device[i] = to_device(m, arg, device, i);
        pointer[i] = &device[i];
        span[i] =
            (EmuSpan){device[i], arg[i].bytes, arg[i].written, arg[i].fresh};
    }
    EmuLaunch l = {.kernel = call->kernel,
                   .grid = {(unsigned)call->parts, 1, 1},
                   .block = {call->threads, 1, 1},
                   .shared = call->shared,
                   .args = pointer,
                   .span = span,
                   .n_spans = n};
    m->seed(call->seed);
    bool ok = m->launch(&l) == 0 || error_set(e, "%.400s", m->error());
    from_device(m, arg, device, n);
    return ok;
}

bool emulated_launch(Emulated *m, const EmulatedLaunch *l, Error *e)
{
    return m->driver ? driver_launch(m->driver, l, e) : launch(m, l, e);
}

static bool open_emulator(Emulated *m, const char *cu, const char *so,
                          const char *log, Error *e)
{
    if (!emulate_compile(cu, so, log, e))
        return false;
    m->library = dlopen(so, RTLD_NOW);
    return m->library ? find(m, e) : error_set(e, "%s", dlerror());
}

Emulated *emulated_open(const char *cu, const char *so, const char *log,
                        Error *e)
{
    const char *driver = getenv("TGC_TEST_DRIVER");
    bool system = driver && !strcmp(driver, "system");
    Emulated *m = calloc(1, sizeof *m);
    bool done = m && (system || open_emulator(m, cu, so, log, e));
    if (done && driver) {
        m->driver = driver_open(cu, system ? NULL : so, e);
        done = m->driver != NULL;
    }
    if (done)
        return m;
    emulated_close(m);
    return NULL;
}

void emulated_close(Emulated *m)
{
    if (!m)
        return;
    driver_close(m->driver);
    if (m->library)
        dlclose(m->library);
    free(m);
}
