/* lib.h: oneDNN, and convolutions of our own (winograd.h), as a set of
 * single-threaded calls on pieces of a batch.
 *
 * A oneDNN primitive made for many threads splits reductions by their number,
 * so its bits depend on it.  tgc makes every primitive for one thread and a
 * fixed piece of the batch, and runs the pieces in parallel itself: the bits
 * depend on the plan alone, the speed is the same (docs/results/), and what is
 * fused before and after a call finds its piece still in the cache.
 *
 * Both the compiler (lib_query: how big is what you want) and the runtime
 * (lib_open, tgc_lib_run) come here, so what was planned is what runs.
 * Activations are channels-last; packed weights are flat bytes in whatever
 * order oneDNN likes for that call.
 */
#ifndef TGC_LIB_H
#define TGC_LIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct LibCall;

typedef enum LibKind {
    LIB_CONV = 1,         /* a = x, b = packed w, result = y */
    LIB_CONV_GRAD_INPUT,  /* a = dy, b = packed w, result = dx */
    LIB_CONV_GRAD_WEIGHT, /* a = x, b = dy, result = packed dw */
    LIB_PACK,             /* a = w [O,I/g,KH,KW] plain, result = packed */
    LIB_UNPACK,           /* a = packed dw, result = dw plain */
    LIB_MATMUL            /* result[m,n] = a[m,k] b[k,n] */
} LibKind;

enum { LIB_MAX_SPATIAL = 3 };

typedef struct LibDesc {
    uint8_t kind;
    uint8_t of;       /* LIB_PACK, LIB_UNPACK: of which conv kind's weights */
    uint8_t dtype;    /* PlanDType of operands; accumulation in f32 */
    uint8_t wide;     /* PlanDType of what may be wider: plain weights, packed
                         gradients of weights, the result of LIB_MATMUL */
    uint8_t spatial;  /* 1..3 spatial dimensions */
    uint8_t winograd; /* 1: as winograd.h does it (lib_winograd_fits) */
    int64_t batch, groups, in_channels, out_channels;
    int64_t in[LIB_MAX_SPATIAL], out[LIB_MAX_SPATIAL];
    int64_t kernel[LIB_MAX_SPATIAL], stride[LIB_MAX_SPATIAL];
    int64_t dilation[LIB_MAX_SPATIAL]; /* 1: dense */
    int64_t pad_low[LIB_MAX_SPATIAL], pad_high[LIB_MAX_SPATIAL];
    /* LIB_MATMUL: sizes, and elements between rows and columns of each */
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col;
} LibDesc;

typedef struct LibInfo {
    int64_t packed_bytes;    /* of the packed operand or result */
    int64_t scratch_bytes;   /* for one thread */
    char implementation[64]; /* "brgconv:avx512_core" */
} LibInfo;

/* Can the call run as winograd.h does it, and has this machine instructions
 * for it?  A program that was compiled where there are some runs without, only
 * slower. */
bool lib_winograd_fits(const LibDesc *d);

/* False, with a sentence in error, where the library cannot do it. */
bool lib_query(const LibDesc *d, LibInfo *info, char *error, size_t size);

/* Makes the calls for `threads` threads; NULL with a message on failure. */
typedef struct Lib Lib;
Lib *lib_open(const LibDesc *desc, uint32_t n, int threads, char *error,
              size_t size);
void lib_close(Lib *lib);
struct LibCall *lib_call(Lib *lib, uint32_t i);
/* NULL while every call so far has worked; else why one did not.  A kernel
 * cannot return a failure, so the executor asks after each step. */
const char *lib_failure(const Lib *lib);
const char *lib_version(void); /* "oneDNN 2.6.3" */
/* "convolution (batch 16, channels 3 to 16, image 32x32)"; returns text. */
const char *lib_describe(const LibDesc *d, char *text, size_t size);

#endif
