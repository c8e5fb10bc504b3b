/* emulate.h: generated CUDA kernels on the host, through tests/emulator. */
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

/* From a file of CUDA to a shared object. */
bool emulate_compile(const char *cu, const char *so, const char *log, Error *e);
/* Runs a kernel of the opened object; blocks, warps and threads in an order
 * that the seed decides. */
bool emulate_launch(void *library, const char *kernel, int64_t parts,
                    uint32_t threads, uint32_t shared, const EmulatedArg *arg,
                    uint32_t n, uint64_t seed, Error *e);

#endif
