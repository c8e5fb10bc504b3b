/* checkpoint_keys.h: the names in a checkpoint's metadata, for its writer and
 * its reader. */
#ifndef TGC_CHECKPOINT_KEYS_H
#define TGC_CHECKPOINT_KEYS_H

#include "checkpoint.h"
#include <stddef.h>

#define KEY_FORMAT  "tgc.checkpoint"
#define FORMAT_TEXT "1"
#define KEY_MODEL   "tgc.model"
#define KEY_SETTING "tgc.set."

typedef struct ProgressKey {
    const char *key;
    size_t field;
    int64_t low;
    bool newer; /* earlier versions do not write it: it stays as it is */
} ProgressKey;

enum { PROGRESS_KEYS = 9 };

/* clang-format off */
static const ProgressKey progress_keys[PROGRESS_KEYS] = {
    {"tgc.seed",          offsetof(Progress, seed),          0,  false},
    {"tgc.step",          offsetof(Progress, step),          0,  false},
    {"tgc.epoch",         offsetof(Progress, epoch),         0,  false},
    {"tgc.batch",         offsetof(Progress, batch),         0,  false},
    {"tgc.samples",       offsetof(Progress, samples),       0,  false},
    {"tgc.best_correct",  offsetof(Progress, best_correct),  -1, false},
    {"tgc.best_epoch",    offsetof(Progress, best_epoch),    -1, false},
    {"tgc.stall",         offsetof(Progress, stall),         0,  true},
    {"tgc.stall_correct", offsetof(Progress, stall_correct), -1, true},
};
/* clang-format on */

static inline int64_t *progress_field(const Progress *p, int i)
{
    return (int64_t *)((char *)p + progress_keys[i].field);
}

#endif
