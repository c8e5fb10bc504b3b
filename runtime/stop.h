/* stop.h: what ends a run before its last epoch: a signal, the time limit, an
 * accuracy that gets no better. */
#ifndef TGC_STOP_H
#define TGC_STOP_H

#include "checkpoint.h"
#include "options.h"
#include "signals.h"

typedef struct Stop {
    const Signals *signals;
    double deadline; /* on clock_now; 0: none */
    int64_t patience;
    double min_delta;
    int signal;    /* the one that came; 0: none */
    bool now;      /* end after this step */
    char why[128]; /* "the time limit of 1h30m is reached" */
} Stop;

void stop_open(Stop *x, const Signals *signals, const Config *c,
               const Options *o);
/* After each step; true: end here. */
bool stop_asked(Stop *x);
/* After an evaluation: counts in `p` how long there was none that was better
 * by min_delta. */
void stop_count(const Stop *x, Progress *p, int64_t correct, int64_t total);
/* Is patience at its end?  Before an epoch begins. */
bool stop_stalled(Stop *x, const Progress *p);

#endif
