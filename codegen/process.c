/* process.c: child processes by posix_spawn. */
#include "process.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int process_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 64 ? 64 : (int)n;
}

const char *process_folder(Arena *a, Error *e)
{
    const char *tmp = getenv("TMPDIR");
    char *folder = arena_printf(a, "%s/tgc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (mkdtemp(folder))
        return folder;
    error_set(e, "cannot make a folder like %.200s: %s", folder,
              strerror(errno));
    return NULL;
}

void process_block_signals(sigset_t *before)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, before);
}

bool process_interrupted(void)
{
    sigset_t now;
    sigpending(&now);
    return sigismember(&now, SIGINT) == 1 || sigismember(&now, SIGTERM) == 1 ||
           sigismember(&now, SIGHUP) == 1;
}

void process_restore_signals(const sigset_t *before)
{
    sigprocmask(SIG_SETMASK, before, NULL);
}

static int start_with(const Command *c, const posix_spawn_file_actions_t *files,
                      const sigset_t *mask, pid_t *pid)
{
    posix_spawnattr_t attr;
    int error = posix_spawnattr_init(&attr);
    if (error)
        return error;
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, mask);
    error = posix_spawnp(pid, c->argv[0], files, &attr, c->argv, environ);
    posix_spawnattr_destroy(&attr);
    return error;
}

/* A child of our own, which ends without anything that is to be done when this
 * program does. */
static int start_call(const Command *c, const sigset_t *mask, pid_t *pid)
{
    *pid = fork();
    if (*pid < 0)
        return errno;
    if (*pid)
        return 0;
    int log = open(c->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(127);
    sigprocmask(SIG_SETMASK, mask, NULL);
    _exit(c->call(c->data));
}

static int start(const Command *c, const sigset_t *mask, pid_t *pid)
{
    if (c->call)
        return start_call(c, mask, pid);
    posix_spawn_file_actions_t files;
    int error = posix_spawn_file_actions_init(&files);
    if (error)
        return error;
    error = posix_spawn_file_actions_addopen(
        &files, 1, c->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (!error)
        error = start_with(c, &files, mask, pid);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static bool start_failed(const Command *c, int error, Error *e)
{
    if (error == ENOENT)
        return error_set(e,
                         "there is no C compiler '%.100s' on the path: install "
                         "one (apt-get install gcc), or set CC to the one to "
                         "use",
                         c->argv[0]);
    return error_set(e, "cannot run %.100s: %s", c->argv[0], strerror(error));
}

static bool ended_well(int status, const Command *c, Error *e)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        return error_set(e, "%.100s was killed by signal %d%s", c->argv[0],
                         WTERMSIG(status),
                         WTERMSIG(status) == 9 ? " (out of memory?)" : "");
    return error_set(e, "%.100s failed with status %d", c->argv[0],
                     WEXITSTATUS(status));
}

/* Waits for one of the children that are ours; its number, or -1. */
static int wait_one(const pid_t *pid, int n, int *status)
{
    for (;;) {
        pid_t done = waitpid(-1, status, 0);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        for (int i = 0; i < n; i++)
            if (pid[i] == done)
                return i;
    }
}

typedef struct Batch {
    const Command *command;
    pid_t *pid;
    int n, next, running;
    bool ok;
    int *failed;
    Error *error;
} Batch;

static void batch_fail(Batch *b, int i, const Error *why)
{
    if (b->ok) {
        *b->error = *why;
        *b->failed = i;
    }
    b->ok = false;
}

static void batch_start(Batch *b, const sigset_t *mask)
{
    Error why;
    int i = b->next++;
    int error = start(&b->command[i], mask, &b->pid[i]);
    if (!error) {
        b->running++;
        return;
    }
    start_failed(&b->command[i], error, &why);
    batch_fail(b, i, &why);
}

static void batch_wait(Batch *b)
{
    Error why;
    int status, i = wait_one(b->pid, b->next, &status);
    b->running--;
    if (i >= 0 && !ended_well(status, &b->command[i], &why))
        batch_fail(b, i, &why);
}

bool process_run(const Command *command, int n, int jobs, const sigset_t *mask,
                 int *failed, Error *e)
{
    pid_t *pid = calloc((size_t)n + 1, sizeof *pid);
    if (!pid)
        return error_set(e, "out of memory");
    Batch b = {command, pid, n, 0, 0, true, failed, e};
    while (b.running || (b.ok && b.next < n)) {
        if (process_interrupted())
            batch_fail(&b, b.next, &(Error){"interrupted"});
        if (b.ok && b.next < n && b.running < jobs)
            batch_start(&b, mask);
        else if (b.running)
            batch_wait(&b);
    }
    free(pid);
    return b.ok;
}
