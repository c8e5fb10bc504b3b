/* emulator.h: CUDA kernels on the host, one block after the other, every thread
 * of a block a fiber.
 *
 *     kernels.cu ── g++ -DTGC_EMULATED -fsanitize=thread ──> kernels.o
 *     emulator.cc memory.cc warp.cc driver.cc ─────────────> kernels.so
 *
 * The kernels are the very text that NVRTC compiles; cuda_emulated.h stands in
 * for the machine.  -fsanitize=thread makes the compiler call a function before
 * each access to memory; that function is memory.cc's, no sanitizer is linked.
 *
 * What is caught, with the kernel, block, thread, and line:
 *
 *   - an access outside of the launch's arguments, shared memory and the
 *     thread's own stack; a write to a const argument
 *   - a read of bytes that nobody wrote: in shared memory since the block
 *     began, in device memory since it was taken or became a result
 *   - two threads of a block at the same shared memory, one writing, with no
 *     barrier between (__syncwarp counts within a warp), whatever the order in
 *     which they happened to run
 *   - two blocks of a launch that write the same device memory, or one that
 *     reads what another one wrote
 *   - a barrier that some threads do not reach, a warp operation that some
 *     lanes of its mask do not reach; launch bounds; shared memory of more
 *     than the device has
 *
 * Not caught: a read between two arrays of static shared memory (all of it is
 * one range); two threads of one block at the same device memory, but for what
 * the shuffled order of threads shows; uninitialised local variables.
 *
 * Threads, warps and blocks run in an order that the seed decides. */
#ifndef TGC_EMULATOR_H
#define TGC_EMULATOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory that an argument of a launch may touch. */
typedef struct EmuSpan {
    char *at;
    size_t bytes;
    int written; /* a result; else an operand */
    int fresh;   /* a result of which nothing is defined before */
} EmuSpan;

typedef struct EmuLaunch {
    const char *kernel;
    unsigned grid[3], block[3];
    size_t shared; /* dynamic, bytes */
    void **args;   /* addresses of the arguments */
    /* What they may touch; none: any memory of emu_alloc. */
    const EmuSpan *span;
    unsigned n_spans;
} EmuLaunch;

/* 0, or -1 and the reason in emu_error(). */
int emu_launch(const EmuLaunch *launch);
const char *emu_error(void);
int emu_kernel_exists(const char *name);
/* Most threads of a block, by __launch_bounds__; 0: there is no such kernel */
int emu_kernel_threads(const char *name);
int emu_kernel_args(const char *name);
void emu_seed(uint64_t seed);

/* Device memory: filled with NaN, not defined until it is written. */
void *emu_alloc(size_t bytes);
void emu_free(void *at);
void emu_define(const void *at, size_t bytes); /* the host has written it */
/* The part that is device memory was never written, as far as anyone knows. */
void emu_undefine(const void *at, size_t bytes);

/* Is all of it device memory; has all of it been written? */
int emu_is_device(const void *at, size_t bytes);
int emu_is_defined(const void *at, size_t bytes);

/* For a library that puts work of its own into a stream of the driver: when
 * the stream gets there, each time, run(data) is called; what it returns, where
 * that is not NULL, breaks the device.  0, or the driver's error. */
int emu_enqueue(void *stream, const char *(*run)(void *data), void *data);

enum { EMU_SHARED_MOST = 227 << 10, EMU_THREADS_MOST = 1024, EMU_WARP = 32 };

#ifdef __cplusplus
}
#endif
#endif
