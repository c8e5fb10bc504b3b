/* stop.c: see stop.h. */
#include "stop.h"
#include "clock.h"
#include "format.h"
#include <stdio.h>

void stop_open(Stop *x, const Signals *signals, const Config *c,
               const Options *o)
{
    char limit[32];
    *x = (Stop){.signals = signals,
                .patience = config_int(c, "patience", 0),
                .min_delta = config_number(c, "min_delta", 0)};
    if (o->time_limit <= 0)
        return;
    x->deadline = clock_now() + o->time_limit;
    snprintf(x->why, sizeof x->why, "the time limit of %s is reached",
             format_duration(o->time_limit, limit, sizeof limit));
}

bool stop_asked(Stop *x)
{
    x->signal = signals_pending(x->signals);
    x->now = x->signal || (x->deadline > 0 && clock_now() >= x->deadline);
    return x->now;
}

void stop_count(const Stop *x, Progress *p, int64_t correct, int64_t total)
{
    double least = (double)p->stall_correct + x->min_delta * (double)total;
    p->stall++;
    if (p->stall_correct >= 0 &&
        (correct <= p->stall_correct || (double)correct < least))
        return;
    p->stall_correct = correct;
    p->stall = 0;
}

bool stop_stalled(Stop *x, const Progress *p)
{
    if (x->patience < 1 || p->stall < x->patience)
        return false;
    snprintf(x->why, sizeof x->why,
             "no better accuracy in %lld evaluation%s (patience)",
             (long long)p->stall, p->stall == 1 ? "" : "s");
    return true;
}
