/* commands.h: what the files of the command `tgc` share.  They, and no others
 * of this folder, see all of the compiler.
 *
 *     main.c               load -> module -> optimize -> codegen
 *     command_budget.c     does it fit, and what would?
 *     command_doctor.c     is all there that tgc needs?
 *     command_estimate.c   how long will it take?
 *     command_export.c     to a file for other programs
 *     command_run_all.c    one model after the other
 *     command_schedule.c   the learning rate over the epochs
 *     command_tune.c       tiles for a GPU, measured
 */
#ifndef TGC_COMMANDS_H
#define TGC_COMMANDS_H

#include "budget.h"
#include "command_line.h"
#include "estimate.h"
#include "estimate_table.h"
#include "ir.h"
#include "pass.h"

/* The file as a module, with what the command line says of settings; NULL
 * after a message. */
Module *load_module(const CommandLine *c);
/* Runs the passes; false after a message. */
bool optimize_module(Module *m, const CommandLine *c, const char *const *names);
CodegenOptions codegen_options(const CommandLine *c);
/* The folder with libtgcrt.a; false after a message. */
enum { RUNTIME_PATH = 4096 };
bool find_runtime(char path[RUNTIME_PATH]);
bool search_runtime(char path[RUNTIME_PATH]); /* no message */
int fail(const char *what);                   /* 1, after "tgc: what" */

/* Where text goes: standard output, or -o.  A file is written beside and
 * renamed when all is well, so that `tgc fmt m.net -o m.net` is safe; what is
 * no regular file (/dev/null, a pipe) is written as it is. */
typedef struct Output {
    FILE *file;
    const char *path;          /* NULL: standard output */
    char beside[RUNTIME_PATH]; /* "": written in place */
} Output;
bool output_open(Output *o, const char *path);
/* `ok`: what was written is complete.  The command's exit status; a failed
 * write is a failure. */
int output_close(Output *o, bool ok);

/* The target of the command line, its costs as the calibration says where one
 * was given.  False after a message; else close it. */
typedef struct TargetChoice {
    Target target;
    Calibration *calibration;
} TargetChoice;
bool target_open(TargetChoice *t, const CommandLine *c);
void target_close(TargetChoice *t);

/* main.c: the commands that others run, too. */
int run_compile(const CommandLine *c);

/* command_budget.c */
bool module_fits(const CommandLine *c, const Module *m);
/* For tgc memory: what a budget costs, and how much there would be without. */
void print_without_budget(const CommandLine *c, const Module *m);
int print_max_batch(const CommandLine *c, const Module *m);
/* The same model with other settings, through the whole pipeline, quietly;
 * "batch=64" and the like, NULL-ended.  NULL where that does not compile. */
Module *plan_again(const void *command_line, const char *const *settings);

/* command_schedule.c: a table and a curve of 100 columns, or an SVG.  False
 * after a message. */
bool print_schedule(const Module *m, bool picture, FILE *out);

/* command_estimate.c */
int run_estimate(const CommandLine *c);
/* The row of one model; false after a message. */
bool estimate_one(const CommandLine *c, EstimateRow *row, Arena *a);

/* command_run_all.c: 128 + a signal that ended it. */
int run_all(const CommandLine *c);

/* command_tune.c: tiles for a GPU, measured first where that is wanted; from
 * then on c->convs says what follows for its convolutions.  False after a
 * message. */
typedef struct Tiles {
    TileTable table;
    ConvChoice convs;
} Tiles;
bool tiles_open(Tiles *t, CommandLine *c);
void tiles_close(Tiles *t);
void tiles_options(const Tiles *t, const CommandLine *c, CodegenOptions *o);

/* command_export.c */
int run_export(const CommandLine *c);

/* command_doctor.c: 1 where something is missing that the target needs. */
int run_doctor(const CommandLine *c);

#endif
