/* series_child.h: the steps of a series, each in a process of its own, so that
 * none of them can take the others along: a crash, a kill, a full memory.
 *
 * Signals that end things (SIGINT, SIGTERM, SIGHUP) are a wish to end the
 * series: the child gets them too, and they are remembered here.
 */
#ifndef TGC_SERIES_CHILD_H
#define TGC_SERIES_CHILD_H

#include <signal.h>
#include <stdbool.h>

enum { CHILD_WHY = 1024 };

typedef struct Children {
    int signals;     /* a signalfd */
    sigset_t before; /* mask of this process, and of its children */
    int stop;        /* the signal that asked to end; 0: none yet */
} Children;

/* What is to be run: a program, or a function in a copy of this process, whose
 * status is what it returns. */
typedef struct ChildWork {
    char *const *argv; /* NULL-ended; argv[0] is the program's path */
    int (*call)(void *data);
    void *data;
} ChildWork;

typedef struct ChildEnd {
    int status;  /* as the process left; 128 + a signal that killed it */
    bool killed; /* by that signal */
    char why[CHILD_WHY]; /* its first error on standard error, else the last
                            line there; "": it said nothing */
} ChildEnd;

/* Blocks the signals.  False with errno set. */
bool children_open(Children *c);
void children_close(Children *c);
/* Has a signal asked to end?  Looks without waiting. */
bool children_stopped(Children *c);
/* Runs it to its end; what it says on standard error appears on ours.  False
 * where it cannot be started, end->why says why. */
bool children_run(Children *c, const ChildWork *work, ChildEnd *end);

#endif
