/* signals.c: see signals.h. */
#include "signals.h"
#include "clock.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double SAME_SECONDS = 0.25;

struct Signals {
    pthread_t thread;
    sigset_t set, before;
    atomic_int pending, closing;
};

static void *signals_wait(void *argument)
{
    Signals *x = argument;
    double first = 0;
    for (;;) {
        int number;
        if (sigwait(&x->set, &number) || atomic_load(&x->closing))
            return NULL;
        if (number == SIGUSR1) /* only signals_close sends it */
            continue;
        double now = clock_now();
        if (!atomic_load(&x->pending)) {
            first = now;
            atomic_store(&x->pending, number);
        } else if (now - first > SAME_SECONDS) {
            _exit(128 + number);
        }
    }
}

Signals *signals_open(Status *s)
{
    struct sigaction hangup;
    Signals *x = calloc(1, sizeof *x);
    if (!x) {
        status_fail(s, "no memory");
        return NULL;
    }
    sigemptyset(&x->set);
    sigaddset(&x->set, SIGINT);
    sigaddset(&x->set, SIGTERM);
    sigaddset(&x->set, SIGUSR1);
    if (sigaction(SIGHUP, NULL, &hangup) || hangup.sa_handler != SIG_IGN)
        sigaddset(&x->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &x->set, &x->before);
    int code = pthread_create(&x->thread, NULL, signals_wait, x);
    if (code) {
        errno = code;
        status_errno(s, "start", "a thread that waits for signals", NULL);
        free(x);
        return NULL;
    }
    return x;
}

int signals_pending(const Signals *x)
{
    return atomic_load(&((Signals *)x)->pending);
}

void signals_close(Signals *x)
{
    if (!x)
        return;
    atomic_store(&x->closing, 1);
    pthread_kill(x->thread, SIGUSR1);
    pthread_join(x->thread, NULL);
    /* After a signal the process is on its way out: one more must not change
     * the status that it leaves with. */
    if (!atomic_load(&x->pending))
        pthread_sigmask(SIG_SETMASK, &x->before, NULL);
    free(x);
}
