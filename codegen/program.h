/* program.h: a module with all that is known about how it runs: what plan.c
 * prints and compile.c compiles. */
#ifndef TGC_PROGRAM_H
#define TGC_PROGRAM_H

#include "codegen.h"
#include "cuda_images.h"
#include "kernels.h"
#include "plan.h"
#include "steps.h"

/* A step that runs, with its buffers (numbers in Graph.memory). */
typedef struct ProgramStep {
    const Step *step;
    StepCode code;
    uint32_t *arg; /* results first, then operands */
    uint16_t n_args, n_out;
    double flops, bytes;
    const char *what, *loc;
} ProgramStep;

typedef struct ProgramGraph {
    const Graph *g;
    Steps steps;
    ProgramStep *run;
    uint32_t n_run;
    int32_t *place; /* of step i of `steps`, among those that run: how many
                       run before it */
    int32_t loss_step;
} ProgramGraph;

typedef struct Program {
    Arena *arena;
    const Module *module;
    Kernels *kernels;
    ProgramGraph *graph;
    size_t n_graphs;
} Program;

/* NULL with a message; free with program_free. */
Program *program_new(const Module *m, const CodegenOptions *o, Error *e);
void program_free(Program *p); /* NULL is fine */

/* plan.c: the tables, in the arena, which may hold what the program does. */
const Plan *plan_new(const Program *p, Arena *a);
/* plan_file.c: the tables as C, with main; images: NULL for the cpu.
 * plan_text.c: as text for people. */
void plan_write(const Program *p, const CodegenOptions *o,
                const CudaImages *images, FILE *out);
void plan_print(const Program *p, FILE *out);
/* plan_kernels.c: tables `run`, of the kernels' functions, and `images`. */
void plan_write_kernels(const Kernels *k, FILE *out);
void plan_write_images(const CudaImages *images, FILE *out);

#endif
