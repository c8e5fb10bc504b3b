/* checkpoint.c: writing checkpoints; see checkpoint.h. */
#include "checkpoint.h"
#include "checkpoint_keys.h"
#include "file.h"
#include "types.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_ROOM = 24, PATH_ROOM = 4096 };

struct CheckpointWriter {
    const Executor *executor;
    char *folder, path[PATH_ROOM], temporary[PATH_ROOM];
    int directory;
    Tensor *tensor;  /* by name, as the file has them */
    uint32_t *state; /* of each tensor */
    uint32_t n;
    Metadata *metadata; /* PROGRESS_KEYS first, then the settings */
    uint32_t n_metadata;
    char number[PROGRESS_KEYS][NUMBER_ROOM];
    char *header;
    size_t header_room;
    char *plain; /* for states that do not lie row-major */
};

/* ---- what goes into the file --------------------------------------------- */

typedef struct NamedState {
    const char *name;
    uint32_t state;
} NamedState;

static int by_state_name(const void *a, const void *b)
{
    const NamedState *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Sorted, so that the bytes do not depend on the order of the state table. */
static bool writer_tensors(CheckpointWriter *w, const Plan *plan)
{
    NamedState *order = calloc(plan->n_states + 1, sizeof *order);
    w->tensor = calloc(plan->n_states + 1, sizeof *w->tensor);
    w->state = calloc(plan->n_states + 1, sizeof *w->state);
    if (!order || !w->tensor || !w->state) {
        free(order);
        return false;
    }
    for (uint32_t i = 0; i < plan->n_states; i++)
        order[i] = (NamedState){plan->states[i].name, i};
    qsort(order, plan->n_states, sizeof *order, by_state_name);
    int64_t at = 0;
    for (uint32_t i = 0; i < plan->n_states; i++) {
        const PlanType *type = &plan->states[order[i].state].type;
        Tensor *t = &w->tensor[i];
        w->state[i] = order[i].state;
        t->name = order[i].name;
        t->dtype = type->dtype;
        t->rank = type->rank;
        memcpy(t->dim, type->dim, sizeof t->dim);
        t->begin = at;
        t->end = at += type_bytes(type);
    }
    w->n = plan->n_states;
    free(order);
    return true;
}

static bool writer_plain(CheckpointWriter *w, const Plan *plan)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < plan->n_states; i++) {
        const PlanType *type = &plan->states[i].type;
        if (!type_plain(type) && type_bytes(type) > most)
            most = type_bytes(type);
    }
    w->plain = malloc((size_t)most + 1);
    return w->plain != NULL;
}

/* The number of threads changes no bit of the results, so it is no part of
 * them. */
static bool setting_matters(const ConfigItem *item)
{
    return item->text && strcmp(item->key, "threads");
}

/* Keys of settings get their prefix here, once. */
static bool writer_metadata(CheckpointWriter *w, const Plan *plan,
                            const Config *c)
{
    w->metadata = calloc(PROGRESS_KEYS + 2 + c->n, sizeof *w->metadata);
    if (!w->metadata)
        return false;
    for (int i = 0; i < PROGRESS_KEYS; i++)
        w->metadata[i] = (Metadata){progress_keys[i].key, w->number[i]};
    w->n_metadata = PROGRESS_KEYS;
    w->metadata[w->n_metadata++] = (Metadata){KEY_FORMAT, FORMAT_TEXT};
    w->metadata[w->n_metadata++] = (Metadata){KEY_MODEL, plan->model};
    for (uint32_t i = 0; i < c->n; i++) {
        char *key;
        if (!setting_matters(&c->item[i]))
            continue;
        if (asprintf(&key, KEY_SETTING "%s", c->item[i].key) < 0)
            return false;
        w->metadata[w->n_metadata++] = (Metadata){key, c->item[i].text};
    }
    return true;
}

static bool writer_header(CheckpointWriter *w)
{
    w->header_room = 4096;
    for (uint32_t i = 0; i < w->n; i++)
        w->header_room += 6 * strlen(w->tensor[i].name) + 384;
    for (uint32_t i = 0; i < w->n_metadata; i++)
        w->header_room += 6 * (strlen(w->metadata[i].key) + NUMBER_ROOM +
                               strlen(w->metadata[i].text));
    w->header = malloc(w->header_room);
    return w->header != NULL;
}

/* ---- the folder ---------------------------------------------------------- */

/* Can a file be made there?  Leaves nothing behind. */
static bool folder_try(const CheckpointWriter *w, Status *s)
{
    const char *name = ".tgc-write-test";
    int fd = openat(w->directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return status_errno(s, "write into", w->folder, NULL);
    close(fd);
    unlinkat(w->directory, name, 0);
    return true;
}

static bool writer_folder(CheckpointWriter *w, const char *folder, Status *s)
{
    w->folder = strdup(folder);
    if (!w->folder)
        return status_fail(s, "no memory");
    if (!file_make_folder(folder))
        return status_errno(s, "make the folder", folder, NULL);
    w->directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->directory < 0)
        return status_errno(s, "open the folder", folder, NULL);
    return folder_try(w, s);
}

CheckpointWriter *checkpoint_writer_open(const Executor *e, const Config *c,
                                         const char *folder, Status *s)
{
    const Plan *plan = executor_plan(e);
    CheckpointWriter *w = calloc(1, sizeof *w);
    if (!w) {
        status_fail(s, "no memory");
        return NULL;
    }
    w->executor = e;
    w->directory = -1;
    if (!writer_folder(w, folder, s)) {
        checkpoint_writer_close(w);
        return NULL;
    }
    if (!writer_tensors(w, plan) || !writer_plain(w, plan) ||
        !writer_metadata(w, plan, c) || !writer_header(w)) {
        status_fail(s, "no memory for the tables of a checkpoint");
        checkpoint_writer_close(w);
        return NULL;
    }
    return w;
}

void checkpoint_writer_close(CheckpointWriter *w)
{
    if (!w)
        return;
    if (w->directory >= 0)
        close(w->directory);
    for (uint32_t i = PROGRESS_KEYS + 2; i < w->n_metadata; i++)
        free((char *)w->metadata[i].key);
    free(w->folder);
    free(w->tensor);
    free(w->state);
    free(w->metadata);
    free(w->header);
    free(w->plain);
    free(w);
}

const char *checkpoint_folder(const CheckpointWriter *w)
{
    return w->folder;
}

/* ---- saving -------------------------------------------------------------- */

static bool states_finite(const CheckpointWriter *w, const Progress *p,
                          Status *s)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const PlanState *t = &executor_plan(w->executor)->states[w->state[i]];
        const void *data = executor_state(w->executor, w->state[i]);
        if (dtype_first_not_finite(t->type.dtype, data,
                                   t->bytes / dtype_bytes(t->type.dtype)) < 0)
            continue;
        return status_fail(s,
                           "%s is not finite after step %lld, so %s is not "
                           "written; the last good checkpoint is kept (try a "
                           "smaller learning rate or a warm-up)",
                           t->name, (long long)p->step, w->path);
    }
    return true;
}

static bool write_states(const CheckpointWriter *w, int fd)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const PlanState *t = &executor_plan(w->executor)->states[w->state[i]];
        const char *data = executor_state(w->executor, w->state[i]);
        if (!type_plain(&t->type)) {
            type_gather(&t->type, data, w->plain);
            data = w->plain;
        }
        if (!file_write(fd, data, (size_t)type_bytes(&t->type)))
            return false;
    }
    return true;
}

static bool write_temporary(CheckpointWriter *w, size_t header, Status *s)
{
    int fd = openat(w->directory, w->temporary,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return status_errno(s, "write", w->path, NULL);
    bool done = file_write(fd, w->header, header) && write_states(w, fd) &&
                fsync(fd) == 0;
    if (!done)
        status_errno(s, "write", w->path, NULL);
    if (close(fd) && done)
        done = status_errno(s, "write", w->path, NULL);
    return done;
}

bool checkpoint_save(CheckpointWriter *w, const Progress *p, const char *name,
                     Status *s)
{
    snprintf(w->path, sizeof w->path, "%s/%s", w->folder, name);
    snprintf(w->temporary, sizeof w->temporary, "%s.tmp", name);
    if (!executor_pull(w->executor, s) || !states_finite(w, p, s))
        return false;
    for (int i = 0; i < PROGRESS_KEYS; i++)
        snprintf(w->number[i], NUMBER_ROOM, "%lld",
                 (long long)*progress_field(p, i));
    size_t header = tensors_header(w->tensor, w->n, w->metadata, w->n_metadata,
                                   w->header, w->header_room);
    if (!header)
        return status_fail(s, "cannot write %s: its header is too large",
                           w->path);
    bool done = write_temporary(w, header, s);
    if (done && renameat(w->directory, w->temporary, w->directory, name))
        done = status_errno(s, "put in its place", w->path, NULL);
    if (!done) {
        unlinkat(w->directory, w->temporary, 0);
        return false;
    }
    /* The new name itself is on disk only after this. */
    if (fsync(w->directory))
        return status_errno(s, "finish writing", w->path, NULL);
    return true;
}
