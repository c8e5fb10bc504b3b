/* kernels.h: the kernels of a module: every different one once.
 *
 * Two steps have the same kernel when its C is the same, so a network of a
 * thousand equal blocks has as many kernels as one of ten. */
#ifndef TGC_KERNELS_H
#define TGC_KERNELS_H

#include "hash.h"
#include "kernel.h"
#include "lib.h"
#include <stdio.h>

typedef struct KernelText {
    const char *name;
    const char *about; /* comment: where it comes from, what it computes */
    const char *text;  /* C functions */
    uint32_t uses;     /* steps that run it */
} KernelText;

/* What a step runs. */
typedef struct StepCode {
    uint32_t kernel;
    uint32_t lib; /* UINT32_MAX: no library call */
    int64_t parts;
} StepCode;

typedef struct Kernels {
    Arena *arena;
    KernelText *kernel;
    size_t n_kernels, cap_kernels;
    LibDesc *lib;
    size_t n_libs, cap_libs;
    int64_t scratch_bytes; /* most that a library call wants */
    HashTable by_text, by_lib;
} Kernels;

Kernels *kernels_new(void);
void kernels_free(Kernels *k); /* NULL is fine */

/* False with a message where the step cannot be compiled. */
bool kernels_add(Kernels *k, const Graph *g, const Step *s, StepCode *code,
                 Error *e);

/* A C file with kernels begin .. end-1; declarations of all of them. */
void kernels_print(const Kernels *k, size_t begin, size_t end, FILE *out);
void kernels_print_declarations(const Kernels *k, FILE *out);

/* For people: "mul add relu layer1.0.bn1". */
const char *step_name(const Graph *g, const Step *s, Arena *a);
/* "resnet.net:14:27, called from resnet.net:32:33": names of files alone, so
 * that what is compiled does not depend on where they lie. */
const char *place_name(const Module *m, Loc loc, Arena *a);

#endif
