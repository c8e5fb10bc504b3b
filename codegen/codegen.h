/* codegen.h: from a module whose graphs are fused, ordered and placed to C
 * source and a training binary.
 *
 *     groups ── lower.c ──> kernel IR ── print_c.c ──> kernels_0.c ..
 *     module ── plan.c  ──────────────────────────────> plan.c
 *     cc kernels_*.c plan.c libtgcrt.a -ldnnl -fopenmp ──> ./resnet20
 */
#ifndef TGC_CODEGEN_H
#define TGC_CODEGEN_H

#include "ir.h"
#include "target.h"
#include "tiles.h"
#include <stdio.h>

/* Who computes each convolution on a GPU, where the setting cudnn lets cuDNN:
 * Target.choice of a cuda target.  NULL: cuDNN. */
typedef struct ConvChoice {
    const TileTable *tiles; /* as measured; where it was not, cuDNN */
    bool vary; /* where it was not, tgc, and a copy of graph train for every
                  other choice, to be timed (bench --tune) */
} ConvChoice;

typedef struct CodegenOptions {
    const Target *target;
    const char *arch;       /* cuda: "sm_90"; NULL: all that are known */
    const char *march;      /* "native" where NULL */
    const char *cc;         /* "cc" where NULL */
    const char *save_temps; /* keep the sources in this folder; or NULL */
    const char *runtime;    /* folder with libtgcrt.a and plan.h */
    bool verbose;           /* say what is run, and how long it took */
    int jobs;               /* cc processes at once; 0: as many as cores */
    const TileTable *tiles; /* cuda: measured tiles of products; or NULL */
    int tiles_each;         /* cuda: put so many tiles of each product in, to be
                               measured (bench --tune); 0: one */
} CodegenOptions;

/* "cpu", "cuda", "cuda:sm_90"; NULL for another name.  Owned by the library. */
const Target *target_named(const char *name);
bool target_is_cuda(const Target *t);
/* For a name that has no target: what there is instead. */
const char *target_names(void);
/* What follows "cuda:"; NULL: nothing does. */
const char *target_arch(const char *name);

/* Compile to an executable at `output`, written beside and renamed: on
 * failure whatever was there stays. */
bool codegen_compile(const Module *m, const CodegenOptions *o,
                     const char *output, Error *e);

/* Compiles it with so many tiles of each product, runs that on this machine's
 * GPU, and adds what is best to the file of tiles. */
enum { CODEGEN_TILES = 5 };
bool codegen_tune(const Module *m, const CodegenOptions *o, const char *path,
                  Error *e);

/* What is taken where CC says nothing, and what links OpenMP. */
const char *codegen_cc(void);
const char *codegen_openmp(void);
/* --emit=c or, for target cuda, --emit=cu; --emit=plan */
bool codegen_print_c(const Module *m, const CodegenOptions *o, FILE *out,
                     Error *e);
/* --emit=ptx, target cuda alone */
bool codegen_print_ptx(const Module *m, const CodegenOptions *o, FILE *out,
                       Error *e);
bool codegen_print_plan(const Module *m, const CodegenOptions *o, FILE *out,
                        Error *e);

#endif
