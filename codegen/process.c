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

static int start(const Command *c, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    int error = posix_spawn_file_actions_init(&files);
    if (error)
        return error;
    error = posix_spawn_file_actions_addopen(&files, 1, c->log,
                                             O_WRONLY | O_CREAT | O_APPEND,
                                             0600);
    if (!error)
        error = posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (!error)
        error = posix_spawnp(pid, c->argv[0], &files, NULL, c->argv, environ);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static bool start_failed(const Command *c, int error, Error *e)
{
    if (error == ENOENT)
        return error_set(e,
                         "there is no C compiler '%.100s' on the path: install "
                         "one (apt-get install gcc) or name another with "
                         "--cc=PROGRAM",
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

bool process_run(const Command *command, int n, int jobs, int *failed, Error *e)
{
    pid_t *pid = calloc((size_t)n + 1, sizeof *pid);
    if (!pid)
        return error_set(e, "out of memory");
    bool ok = true;
    int next = 0, running = 0;
    while (running || (ok && next < n)) {
        if (ok && next < n && running < jobs) {
            int error = start(&command[next], &pid[next]);
            if (error) {
                ok = start_failed(&command[next], error, e);
                *failed = next;
                continue;
            }
            running++;
            next++;
            continue;
        }
        int status, i = wait_one(pid, next, &status);
        running--;
        Error why;
        if (i >= 0 && !ended_well(status, &command[i], &why) && ok) {
            ok = false;
            *e = why;
            *failed = i;
        }
    }
    free(pid);
    return ok;
}
