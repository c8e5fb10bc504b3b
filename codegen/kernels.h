/* kernels.h: the kernels of a module: every different one once.
 *
 * Two steps have the same kernel when its C is the same, so a network of a
 * thousand equal blocks has as many kernels as one of ten. */
#ifndef TGC_KERNELS_H
#define TGC_KERNELS_H

#include "hash.h"
#include "kernel.h"
#include "lib.h"
#include "plan.h"
#include "target.h"
#include "tiles.h"
#include <stdio.h>

typedef struct KernelText {
    const char *name;
    const char *about; /* comment: where it comes from, what it computes */
    const char *what;  /* "conv layer1.0.conv1, resnet.net:14:27" */
    const char *text;  /* functions, in C or in CUDA */
    uint32_t uses;     /* steps that run it */
    uint32_t threads, shared, conv, unit; /* cuda: as in PlanKernel */
    const char *why;
} KernelText;

/* What a step runs. */
typedef struct StepCode {
    uint32_t kernel;
    uint32_t lib; /* UINT32_MAX: no library call */
    int64_t parts;
} StepCode;

/* cuda: a kernel in another tile than the model of costs takes (plan.h). */
typedef struct KernelCandidate {
    uint32_t instead, kernel;
    int64_t parts;
    const char *tile;
} KernelCandidate;

typedef struct Kernels {
    Arena *arena;
    const Target *target;   /* its kernels, in its language */
    const TileTable *tiles; /* cuda: what was measured; NULL: nothing */
    int tiles_each;         /* cuda: candidates of a product; 0: none */
    KernelCandidate *candidate;
    size_t n_candidates, cap_candidates;
    KernelText *kernel;
    size_t n_kernels, cap_kernels;
    PlanConv *conv; /* Plan.convs */
    size_t n_convs, cap_convs;
    LibDesc *lib;
    size_t n_libs, cap_libs;
    int64_t *lib_scratch; /* bytes that each of them wants */
    size_t n_scratch, cap_scratch;
    int64_t scratch_bytes; /* most that a step wants */
    HashTable by_text, by_lib;
    uint32_t unit, in_unit; /* cuda: that the next kernel is in; of how many */
    uint64_t head;          /* cuda: hash of what all kernels begin with */
} Kernels;

Kernels *kernels_new(const Target *t);
void kernels_free(Kernels *k); /* NULL is fine */

/* False with a message where the step cannot be compiled. */
bool kernels_add(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                 Error *e);

/* For the files that make kernels: the number of the one with this text, in
 * which its name is @; a new one where there is none yet. */
uint32_t kernels_add_text(Kernels *k, const Graph *g, const Step *s,
                          const char *text);
/* What kernels_add_text would call it on a GPU. */
const char *kernels_text_name(Kernels *k, const Graph *g, const Step *s,
                              const char *text);
/* kernels_add, for CUDA. */
bool kernels_add_cuda(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                      Error *e);

/* One kernel, under its comment. */
void kernel_print(const KernelText *k, FILE *out);
/* A file with kernels begin .. end-1, in C or CUDA; declarations of all. */
void kernels_print(const Kernels *k, size_t begin, size_t end, FILE *out);
void kernels_print_declarations(const Kernels *k, FILE *out);

/* For people: "mul add relu layer1.0.bn1". */
const char *step_name(const Graph *g, const Step *s, Arena *a);
/* "resnet.net:14:27, called from resnet.net:32:33": names of files alone, so
 * that what is compiled does not depend on where they lie. */
const char *place_name(const Module *m, Loc loc, Arena *a);

#endif
