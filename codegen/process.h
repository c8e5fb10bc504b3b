/* process.h: running compilers. */
#ifndef TGC_PROCESS_H
#define TGC_PROCESS_H

#include "ir.h"
#include <signal.h>

typedef struct Command {
    char *const *argv; /* NULL-ended; with `call`, a name for messages alone */
    const char *log;   /* file for what it writes to stdout and stderr */
    int (*call)(void *data); /* instead of a program: run in a child of this
                                one, whose status is what it returns */
    void *data;
} Command;

/* Runs all, at most `jobs` side by side; no shell is involved.  False with a
 * message where one could not be started or failed; *failed is its number.
 * The children get the signal mask *mask. */
bool process_run(const Command *command, int n, int jobs, const sigset_t *mask,
                 int *failed, Error *e);
int process_cores(void);
/* A new folder in $TMPDIR (else /tmp), for what commands read and write; NULL
 * with a message. */
const char *process_folder(Arena *a, Error *e);

/* Blocks SIGINT, SIGTERM and SIGHUP, so that what was begun can be cleaned up
 * before they take effect, and says what was blocked before.  Children are not
 * blocked: those that a terminal's ^C reaches end at once. */
void process_block_signals(sigset_t *before);
/* Has one come since then? */
bool process_interrupted(void);
void process_restore_signals(const sigset_t *before);

#endif
