/* series_child.c: see series_child.h.
 *
 *     fork ──> child: standard error into a pipe ──> exec, or a call
 *         └──> here: poll {signals, pipe} until SIGCHLD
 */
#include "series_child.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- signals ------------------------------------------------------------- */

bool children_open(Children *c)
{
    sigset_t set;
    *c = (Children){.signals = -1};
    signal(SIGCHLD, SIG_DFL); /* ignored, there would be no status */
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &c->before);
    c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return c->signals >= 0;
}

void children_close(Children *c)
{
    if (c->signals >= 0)
        close(c->signals);
    c->signals = -1;
    /* The process is on its way out; one more signal must not change the
     * status that it leaves with. */
    if (!c->stop)
        sigprocmask(SIG_SETMASK, &c->before, NULL);
}

/* What came since the last time.  The terminal sends ^C to the child as well;
 * a signal that somebody sent to this process alone is passed on. */
static void take_signals(Children *c, pid_t child)
{
    struct signalfd_siginfo info;
    while (read(c->signals, &info, sizeof info) == sizeof info) {
        int number = (int)info.ssi_signo;
        if (number == SIGCHLD)
            continue;
        if (!c->stop)
            c->stop = number;
        if (child > 0 && info.ssi_code != SI_KERNEL)
            kill(child, number);
    }
}

bool children_stopped(Children *c)
{
    take_signals(c, 0);
    return c->stop != 0;
}

/* ---- what it says -------------------------------------------------------- */

/* Lines of standard error as they come, and which of them is the reason. */
typedef struct Words {
    char line[CHILD_WHY];
    size_t n;
    bool error; /* `why` is a line with an error in it */
    char *why;
} Words;

static void words_line(Words *w)
{
    w->line[w->n] = 0;
    bool error = strstr(w->line, "error: ") != NULL;
    bool says = w->line[strspn(w->line, " \t|^~")] != 0;
    if (says && !w->error)
        memcpy(w->why, w->line, w->n + 1);
    w->error = w->error || error;
    w->n = 0;
}

/* Copies to our standard error what is there; false at its end. */
static bool words_copy(Words *w, int from)
{
    char text[4096];
    ssize_t n = read(from, text, sizeof text);
    if (n <= 0)
        return n < 0 && (errno == EINTR || errno == EAGAIN);
    for (ssize_t done = 0, k; done < n; done += k)
        if ((k = write(STDERR_FILENO, text + done, (size_t)(n - done))) <= 0)
            break;
    for (ssize_t i = 0; i < n; i++)
        if (text[i] == '\n')
            words_line(w);
        else if (w->n < sizeof w->line - 1)
            w->line[w->n++] = text[i];
    return true;
}

/* ---- a child ------------------------------------------------------------- */

/* Never returns. */
static void child_begin(const Children *c, const ChildWork *work, int err,
                        pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it is gone already */
        _exit(1);
    dup2(err, STDERR_FILENO);
    close(err);
    sigprocmask(SIG_SETMASK, &c->before, NULL);
    if (work->call) {
        int status = work->call(work->data);
        fflush(stdout);
        _exit(status);
    }
    execv(work->argv[0], work->argv);
    fprintf(stderr, "cannot run %s: %s\n", work->argv[0], strerror(errno));
    _exit(127);
}

/* Until the child has ended and its words are read.  Whoever it leaves behind
 * may keep the pipe open: what is there then is read, no more is waited for. */
static int child_wait(Children *c, pid_t pid, int err, Words *w)
{
    struct pollfd ready[2] = {{.fd = c->signals, .events = POLLIN},
                              {.fd = err, .events = POLLIN}};
    int status = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (poll(ready, 2, -1) < 0)
            continue; /* interrupted */
        if (ready[0].revents)
            take_signals(c, pid);
        if (ready[1].revents && !words_copy(w, err))
            ready[1].fd = -1;
    }
    ready[1].fd = err;
    while (poll(&ready[1], 1, 0) == 1 && words_copy(w, err)) {
    }
    words_line(w);
    return status;
}

static bool cannot(ChildEnd *end, const char *what)
{
    snprintf(end->why, sizeof end->why, "cannot %s: %s", what, strerror(errno));
    return false;
}

bool children_run(Children *c, const ChildWork *work, ChildEnd *end)
{
    int pipes[2];
    *end = (ChildEnd){.status = 1};
    Words w = {.why = end->why};
    fflush(stdout);
    if (pipe(pipes))
        return cannot(end, "make a pipe");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(pipes[0]);
        child_begin(c, work, pipes[1], parent);
    }
    close(pipes[1]);
    if (pid < 0) {
        close(pipes[0]);
        return cannot(end, "start a process");
    }
    int status = child_wait(c, pid, pipes[0], &w);
    close(pipes[0]);
    end->killed = WIFSIGNALED(status);
    end->status = end->killed ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (end->killed)
        snprintf(end->why, sizeof end->why, "killed by signal %d (%s)%s",
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WTERMSIG(status) == SIGKILL ? ": out of memory?" : "");
    return true;
}
