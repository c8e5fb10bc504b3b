/* data_crew.c: the same work for many files, by several threads, while the
 * caller's thread says how far it is and asks whether to stop. */
#include "data_pictures.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { PIECE = 16, THREADS_MOST = 64, WAIT_MS = 100 };

typedef struct Gang {
    const Crew *crew;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int64_t next, finished; /* items */
    int64_t bad;            /* the first that failed */
    int working;            /* threads */
    bool stop;
    Status status;
} Gang;

static bool gang_take(Gang *g, int64_t *begin, int64_t *end)
{
    pthread_mutex_lock(&g->lock);
    *begin = g->next;
    *end = *begin + PIECE < g->crew->n ? *begin + PIECE : g->crew->n;
    bool more = !g->stop && *begin < g->crew->n;
    if (more)
        g->next = *end;
    pthread_mutex_unlock(&g->lock);
    return more;
}

/* All items before a failed one have been taken, so the lowest is found
 * whatever the threads do. */
static void gang_finish(Gang *g, int64_t n, int64_t at, const Status *s)
{
    pthread_mutex_lock(&g->lock);
    g->finished += n;
    if (s->failed && (!g->status.failed || at < g->bad)) {
        g->status = *s;
        g->bad = at;
    }
    g->stop = g->stop || s->failed;
    pthread_mutex_unlock(&g->lock);
}

static void *gang_work(void *context)
{
    Gang *g = context;
    const Crew *c = g->crew;
    Status s = {0};
    void *own = c->open ? c->open(c->shared, &s) : NULL;
    int64_t begin = 0, end;
    if (s.failed)
        gang_finish(g, 0, 0, &s);
    while (!s.failed && gang_take(g, &begin, &end)) {
        int64_t i = begin;
        while (i < end && c->each(c->shared, own, i, &s))
            i++;
        gang_finish(g, i - begin, i, &s);
    }
    if (c->close)
        c->close(own);
    pthread_mutex_lock(&g->lock);
    g->working--;
    pthread_cond_signal(&g->done);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* The lock is held, but for the time of the watch's call. */
static void gang_watch(Gang *g)
{
    const DataWatch *w = g->crew->watch;
    while (g->working > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WAIT_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&g->done, &g->lock, &until);
        if (!w || !g->working || g->stop)
            continue;
        int64_t finished = g->finished;
        pthread_mutex_unlock(&g->lock);
        bool go_on = w->call(w->context, g->crew->what, finished, g->crew->n);
        pthread_mutex_lock(&g->lock);
        if (go_on)
            continue;
        g->stop = true;
        status_fail(&g->status, "stopped while %s (%lld of %lld)",
                    g->crew->what, (long long)finished, (long long)g->crew->n);
    }
}

/* Signals are the main thread's. */
static int gang_start(Gang *g, pthread_t *thread, int n)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = 0;
    for (; started < n; started++) {
        g->working++;
        int code = pthread_create(&thread[started], NULL, gang_work, g);
        if (!code)
            continue;
        g->working--;
        if (started == 0)
            status_errno(&g->status, "start", "a thread", NULL);
        break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool crew_run(const Crew *crew, Status *s)
{
    Gang g = {.crew = crew};
    pthread_t thread[THREADS_MOST];
    int n = crew->threads < 1              ? 1
            : crew->threads > THREADS_MOST ? THREADS_MOST
                                           : crew->threads;
    pthread_mutex_init(&g.lock, NULL);
    pthread_cond_init(&g.done, NULL);
    pthread_mutex_lock(&g.lock);
    n = gang_start(&g, thread, n);
    gang_watch(&g);
    pthread_mutex_unlock(&g.lock);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    pthread_cond_destroy(&g.done);
    pthread_mutex_destroy(&g.lock);
    if (crew->watch)
        crew->watch->call(crew->watch->context, NULL, crew->n, crew->n);
    if (g.status.failed)
        status_fail(s, "%s", g.status.text);
    return !g.status.failed;
}
