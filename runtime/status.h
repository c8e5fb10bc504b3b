/* status.h: how the runtime says that something failed.
 *
 * A Status starts as {0}: all is well.  The first failure writes one sentence
 * for the user: what failed, on which object, why, and what to do.  Functions
 * that can fail take a Status and return false (or NULL) after filling it, so
 * callers read
 *
 *     if (!checkpoint_save(run, path, status))
 *         return false;
 */
#ifndef TGC_STATUS_H
#define TGC_STATUS_H

#include <stdbool.h>

typedef struct Status {
    bool failed;
    char text[2048];
} Status;

/* Keeps the first failure; returns false. */
bool status_fail(Status *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a failed system call, from errno:
 * "cannot open /data/train.bin: No such file or directory (hint)".
 * `call` is a verb, `hint` may be NULL. */
bool status_errno(Status *s, const char *call, const char *object,
                  const char *hint);

#endif
