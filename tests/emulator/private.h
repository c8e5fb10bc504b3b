/* private.h: what the files of the emulator share. */
#ifndef TGC_EMULATOR_PRIVATE_H
#define TGC_EMULATOR_PRIVATE_H

#include "emulator.h"
#include <string>
#include <vector>

enum WarpOp { OP_NONE, OP_SYNC, OP_BALLOT, OP_SHUFFLE, OP_LOAD, OP_MATRIX };

/* What a lane brings to an operation of its warp, and what it gets. */
struct Offer {
    WarpOp op;
    unsigned mask;
    int kind, by, width; /* shuffle; kind: transposed, bf16 */
    uint64_t bits;       /* in and out */
    const void *row;     /* load */
    uint32_t *r;
    float *d; /* matrix */
    const uint32_t *a, *b;
};

struct Copy {
    char *to;
    const char *from;
    int bytes, size, group;
};

enum Wait { RUNS, AT_BARRIER, IN_WARP, ENDED };

struct Thread {
    void *sp;
    char *stack;
    unsigned index[3];
    unsigned number, warp, lane;
    Wait wait;
    Offer offer;
    std::vector<Copy> copies;
    int groups; /* of copies, ended */
};

struct Kernel;

/* The device: one launch, one block of it, at a time. */
struct Emulator {
    struct EmuKernel *kernels;
    uint64_t random;
    std::string error;
    const EmuLaunch *launch;
    const struct EmuKernel *kernel;
    unsigned block[3];
    std::vector<Thread> threads;
    unsigned n_threads;
    Thread *now; /* NULL: the scheduler runs */
    void *scheduler;
    bool failed;
};

extern Emulator emu;

/* Ends the launch with this message, after kernel, block and thread.  From a
 * thread it does not return. */
void emu_fail(const void *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

uint32_t emu_random(uint32_t below);
/* Stop this thread until the scheduler runs it again. */
void emu_wait(Wait why);

enum { EMU_STACK = 256 << 10 };

/* ---- warp.cc --------------------------------------------------------------
 */

/* `t` waits in its warp: if all of its mask do, what they wait for is done. */
void warp_try(Thread *t);
/* The copies of all groups but the last `most`. */
void copies_do(Thread *t, int most);

/* ---- memory.cc ------------------------------------------------------------
 */

struct Access {
    const char *at;
    size_t bytes;
    bool write, atomic;
    bool pending; /* write: what stands there is not defined yet */
};

void memory_check(const Access &access, const void *place);
bool memory_launch_begin(const EmuLaunch *launch);
void memory_launch_end(void);
void memory_block_begin(void); /* shared memory is fresh */
void memory_barrier(void);     /* of the whole block */
void memory_warp_barrier(unsigned warp);

#endif
