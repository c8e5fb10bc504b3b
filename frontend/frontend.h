/* frontend.h: from a .net file to a module with graphs "train", "eval" (and
 * "train_tail" where the last partial batch of an epoch is kept).
 *
 *     lexer.l, parser.y ──> ast.h ── elaborate.c ──> module
 */
#ifndef TGC_FRONTEND_H
#define TGC_FRONTEND_H

#include "ir.h"
#include <stdio.h>

typedef struct FrontendOptions {
    const char *const *define; /* "depth=56": -D, in order */
    int n_define;
    const char *const *set; /* "optimizer.lr=0.05": --set, in order */
    int n_set;
    FILE *messages; /* diagnostics go here; stderr where NULL */
    bool color;
} FrontendOptions;

/* NULL after one or more errors, all of them reported (at most 20). */
Module *frontend_compile(const char *path, const FrontendOptions *o);
/* The same from memory; `path` is what messages call it and what `use` is
 * relative to.  For tests and the fuzzer. */
Module *frontend_compile_text(const char *text, size_t size, const char *path,
                              const FrontendOptions *o);
/* --emit=ast */
bool frontend_print_ast(const char *path, const FrontendOptions *o, FILE *out);
/* `tgc fmt`: the file in the one layout, comments kept. */
bool frontend_format(const char *path, const FrontendOptions *o, FILE *out);
/* What a model file can call, and what it can set: lists, or docs/layers.md and
 * docs/settings.md. */
void frontend_print_layers(bool markdown, FILE *out);
void frontend_print_settings(bool markdown, FILE *out);

#endif
