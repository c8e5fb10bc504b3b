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

bool emulate_compile(const char *cu, const char *so, const char *log, Error *e)
{
    const char *argv[] = {TGC_PYTHON, TGC_EMULATE, so, cu, NULL};
    Command command = {.argv = (char *const *)argv, .log = log};
    int failed;
    sigset_t none;
    sigemptyset(&none);
    return process_run(&command, 1, 1, &none, &failed, e);
}

typedef struct Emulator {
    int (*launch)(const EmuLaunch *);
    const char *(*error)(void);
    void (*seed)(uint64_t);
    void *(*alloc)(size_t);
    void (*release)(void *);
    void (*define)(const void *, size_t);
} Emulator;

static bool find(void *library, Emulator *emu, Error *e)
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
        void *f = dlsym(library, function[i].name);
        if (!f)
            return error_set(e, "no %s in the emulator", function[i].name);
        memcpy(function[i].at, &f, sizeof f);
    }
    return true;
}

/* The argument's bytes on the device; one that lies where an earlier one lies
 * does so there, too. */
static char *to_device(const Emulator *emu, const EmulatedArg *arg,
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

static void from_device(const Emulator *emu, const EmulatedArg *arg,
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

bool emulate_launch(void *library, const char *kernel, int64_t parts,
                    uint32_t threads, uint32_t shared, const EmulatedArg *arg,
                    uint32_t n, uint64_t seed, Error *e)
{
    Emulator emu;
    char *device[ARGS_MOST];
    void *pointer[ARGS_MOST];
    EmuSpan span[ARGS_MOST];
    if (n > ARGS_MOST)
        return error_set(e, "%u arguments are too many", n);
    if (!find(library, &emu, e))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        device[i] = to_device(&emu, arg, device, i);
        pointer[i] = &device[i];
        span[i] =
            (EmuSpan){device[i], arg[i].bytes, arg[i].written, arg[i].fresh};
    }
    EmuLaunch l = {.kernel = kernel,
                   .grid = {(unsigned)parts, 1, 1},
                   .block = {threads, 1, 1},
                   .shared = shared,
                   .args = pointer,
                   .span = span,
                   .n_spans = n};
    emu.seed(seed);
    bool ok = emu.launch(&l) == 0 || error_set(e, "%.400s", emu.error());
    from_device(&emu, arg, device, n);
    return ok;
}
