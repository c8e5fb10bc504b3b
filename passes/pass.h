/* pass.h: a pass is a function from module to module.
 *
 * What a pass needs, adds and breaks is data; the runner checks it, verifies
 * the module after every pass (and that its text reads back, in debug builds),
 * times it, prints it where asked, and on a failure leaves an IR file that
 * replays it with `tgc opt FILE --passes=NAME`.
 */
#ifndef TGC_PASS_H
#define TGC_PASS_H

#include "ir.h"
#include "target.h"
#include <stdio.h>

/* Facts about a module. */
typedef enum Fact {
    F_GRAD = 1 << 0,     /* graph "train" holds backward and update */
    F_PLAIN = 1 << 1,    /* every op is one the target can run */
    F_LAID_OUT = 1 << 2, /* layouts are chosen */
    F_FUSED = 1 << 3,    /* groups are formed */
    F_ORDERED = 1 << 4,  /* the order of nodes is the order of execution */
} Fact;

typedef struct PassContext {
    const Target *target;
    Error error; /* set by a pass that returns false: a user's mistake or a
                    limit ("optimizer: ..."); with error_loc */
    Loc error_loc;
} PassContext;

typedef struct Pass {
    const char *name, *doc;
    uint32_t needs, adds, breaks; /* Facts */
    bool (*run)(Module *m, PassContext *c);
} Pass;

extern const Pass *const pass_table[];    /* NULL-ended: all there are */
extern const char *const pass_pipeline[]; /* NULL-ended: names, in order */
const Pass *pass_named(const char *name);
void passes_print_markdown(FILE *out); /* docs/passes.md */

typedef struct PassOptions {
    const char *print_after; /* pass name, "all", "changed" or NULL */
    FILE *print_to;          /* stderr where NULL */
    bool time;               /* --time-passes */
    bool verify_text;        /* print(read(print(m))) == print(m) */
    const char *stop_after;  /* pass name: stop there; or NULL */
    const char *replay_dir;  /* where a failing pass leaves its IR; or NULL */
} PassOptions;

/* Runs the named passes (NULL-ended).  False with c->error on the first that
 * fails, or whose needs are not met. */
bool passes_run(Module *m, PassContext *c, const char *const *names,
                const PassOptions *o);

#endif
