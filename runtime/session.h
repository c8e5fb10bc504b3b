/* session.h: what every command opens: settings, executor, loaders. */
#ifndef TGC_SESSION_H
#define TGC_SESSION_H

#include "config.h"
#include "executor.h"
#include "loader.h"
#include "options.h"
#include "signals.h"
#include <limits.h>

typedef struct Session {
    const Plan *plan;
    const Options *options;
    Config config;
    Executor *executor;     /* NULL until session_executor */
    const Signals *signals; /* that end a long opening; NULL: none do */
} Session;

/* Settings, with what the command line changes. */
bool session_open(Session *x, const Plan *plan, const Options *o, Status *s);
bool session_executor(Session *x, Status *s);
/* Another, whose memory is taken as it is used. */
bool session_executor_sparse(Session *x, Status *s);
void session_close(Session *x);

/* How many threads compute. */
int session_threads(const Session *x);

/* The graph's number; it must exist and have inputs image and label. */
bool session_graph(const Session *x, const char *name, int *graph, Status *s);
/* Which images of the data set. */
typedef enum SessionImages {
    SESSION_TRAIN,
    SESSION_VALIDATION, /* training images that are held out */
    SESSION_TEST
} SessionImages;

/* What a training run is evaluated on: the validation images where some are
 * held out, else the test images; and their name in sentences ("test",
 * "validation"). */
SessionImages session_eval_images(const Session *x);
const char *session_eval_name(const Session *x);
const char *session_images_name(SessionImages images);
/* Where decoded pictures are kept: $XDG_CACHE_HOME/tgc; NULL: in memory. */
const char *session_cache(const Config *c, char path[PATH_MAX]);
/* A loader of these images for batches of this graph. */
Loader *session_loader(const Session *x, int graph, SessionImages images,
                       int64_t seed, Status *s);
/* The input slots of a graph. */
LoaderSlots session_slots(const Session *x, int graph);

#endif
