/* config.h: the settings that the binary was compiled with, and those of them
 * that this run changed. */
#ifndef TGC_CONFIG_H
#define TGC_CONFIG_H

#include "plan.h"
#include "status.h"
#include <stddef.h>

typedef struct ConfigItem {
    const char *key, *text; /* text NULL: unset */
    const PlanSetting *plan;
    bool given;      /* on the command line of this run */
    const char *was; /* in the checkpoint, where this run changes it */
    bool resumed;    /* as the checkpoint says */
} ConfigItem;

typedef struct Config {
    ConfigItem *item; /* in the plan's order */
    uint32_t n;
} Config;

bool config_open(Config *c, const Plan *plan, Status *s);
void config_close(Config *c);

/* Change a setting; `text` is kept by reference.  Refuses unknown keys with a
 * suggestion, keys that are part of the compiled graph, and values that the
 * plan does not allow. */
bool config_set(Config *c, const char *key, const char *text, Status *s);
/* After all are set: do those of this run's command line go together?  A
 * setting of a kind that is not chosen is refused. */
bool config_check(const Config *c, Status *s);
/* The next setting from item *at on that somebody gave and that changes
 * nothing: "min_delta = 0.01 has no effect without patience"; NULL: there is
 * none.  *at is past it then. */
const char *config_idle(const Config *c, uint32_t *at, char *text, size_t size);
/* Is word one of the words with blanks between them? */
bool config_word_in(const char *word, const char *words);
/* From "key=value", which is kept by reference. */
bool config_assign(Config *c, const char *assignment, Status *s);
bool config_given(const Config *c, const char *key);
/* Where its value comes from: "command line", "checkpoint", "tiny.net:3",
 * "default". */
const char *config_origin(const ConfigItem *item);

/* NULL where unset. */
const char *config_text(const Config *c, const char *key);
double config_number(const Config *c, const char *key, double fallback);
int64_t config_int(const Config *c, const char *key, int64_t fallback);
bool config_is(const Config *c, const char *key, const char *word);
/* How many, at most `room`; 0 where unset. */
int config_list(const Config *c, const char *key, double *value, int room);

#endif
