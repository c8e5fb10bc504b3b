/* diag.h: telling the user what is wrong, where, and what to do.
 *
 *     resnet.net:14:48: error: conv has no argument named chanels
 *        14 |     y = relu(bn1: batch_norm(conv1: conv(x, chanels = 3)))
 *           |                                             ^~~~~~~
 *       in basic, called from resnet.net:32:33
 *       did you mean channels?
 *
 * An error does not stop anything: the caller goes on with what it can still
 * check, up to 20 errors; from then on diag_full holds and nothing prints.
 */
#ifndef TGC_DIAG_H
#define TGC_DIAG_H

#include "nearest.h"
#include "source.h"
#include <stdio.h>

enum { DIAG_MOST = 20 };

/* One block call that led to where the elaborator is. */
typedef struct Frame {
    const char *block;
    Span call;
    const struct Frame *up; /* the call around it; NULL: the net itself */
} Frame;

typedef struct Diag {
    FILE *out;
    bool color;
    Arena *arena;
    int errors;
    const Frame *frame; /* where the elaborator is; NULL outside of blocks */
    Span *seen;         /* places already reported: once is enough */
    size_t n_seen, cap_seen;
} Diag;

/* False where this place was reported before, or too many were: then a hint
 * about it is not wanted either.  Formats end without a full stop. */
bool diag_error(Diag *d, Span at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line below the last error. */
void diag_hint(Diag *d, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "did you mean X?", where something is near enough. */
void diag_did_you_mean(Diag *d, const Nearest *n);
/* A second place that belongs to the error: "first defined here". */
void diag_also(Diag *d, Span at, const char *text);

bool diag_full(const Diag *d);

#endif
