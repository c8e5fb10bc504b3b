/* emulate.h: generated CUDA kernels, run one by one.
 *
 * On the host, by tests/emulator; or by a driver, through NVRTC and the
 * runtime's cuda_api.h, where $TGC_TEST_DRIVER is set:
 *
 *     system      the machine's own, so on its GPU
 *     emulator    the emulator's, so that this way is tested without a GPU
 */
#ifndef TGC_TESTS_CODEGEN_EMULATE_H
#define TGC_TESTS_CODEGEN_EMULATE_H

#include "ir.h"
#include <stddef.h>

/* The target that the tests compile for: $TGC_TEST_TARGET, else "cpu". */
const char *test_target(void);

typedef struct EmulatedArg {
    char *at;
    size_t bytes;
    bool written, fresh; /* a result; one of which nothing is defined before */
} EmulatedArg;

typedef struct EmulatedLaunch {
    const char *kernel;
    int64_t parts;
    uint32_t threads, shared;
    const EmulatedArg *arg; /* results first; their bytes are replaced */
    uint32_t n_args;
    uint64_t seed; /* emulator: order of blocks, warps and threads */
} EmulatedLaunch;

typedef struct Emulated Emulated;

/* The kernels of a file of CUDA; `so` and `log` are files that it may make.
 * NULL with a message. */
Emulated *emulated_open(const char *cu, const char *so, const char *log,
                        Error *e);
void emulated_close(Emulated *m); /* NULL is fine */
bool emulated_launch(Emulated *m, const EmulatedLaunch *l, Error *e);

/* driver.c */
typedef struct Driver Driver;
/* `library` NULL: the system's driver. */
Driver *driver_open(const char *cu, const char *library, Error *e);
void driver_close(Driver *d); /* NULL is fine */
bool driver_launch(Driver *d, const EmulatedLaunch *l, Error *e);

#endif
