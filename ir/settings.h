/* settings.h: what the train section says, and what is known about each key.
 *
 * A setting is a dotted key with a value: batch = 128, data.crop = 4,
 * optimizer = sgd, optimizer.lr = 0.1.  A section's kind is the value of the
 * key with the section's name.  The table of known keys is the one place that
 * knows them all: type, default, range, which kinds they belong to, whether
 * they can still change when the binary runs.  Adding a setting is one line.
 */
#ifndef TGC_SETTINGS_H
#define TGC_SETTINGS_H

#include "arena.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum SettingType {
    SET_INT,
    SET_FLOAT,
    SET_BOOL,
    SET_WORD,   /* one of a list, or a kind */
    SET_TEXT,   /* any string: a path */
    SET_NUMBERS /* list of numbers */
} SettingType;

typedef struct SettingValue {
    SettingType type;
    double number;      /* int (exact to 2^53), float, bool */
    const char *text;   /* word, text */
    const double *list; /* numbers */
    int count;
} SettingValue;

/* Whether a key may stand in a group of parameters (settings_groups.h). */
typedef enum SettingGroup { GROUP_NO, GROUP_MAY, GROUP_ONLY } SettingGroup;

typedef struct SettingSpec {
    const char *key; /* "optimizer.momentum"; "optimizer" for a kind */
    SettingType type;
    const char *value;   /* default as text, NULL: none, unset */
    const char *by_kind; /* other defaults for some kinds: "adam=0.001" */
    const char *only;    /* kinds it belongs to: "sgd adam"; NULL: all */
    const char *words;   /* for SET_WORD: "f32 f16 bf16" */
    double low, high;    /* allowed numbers, inclusive */
    bool bytes;          /* text may end with a unit: "10 GiB" */
    bool run_time;       /* may also be changed by the training binary */
    SettingGroup group;
    const char *doc;
} SettingSpec;

extern const SettingSpec setting_table[]; /* ends with key NULL */

typedef struct Setting {
    const char *key;
    SettingValue value;
    uint32_t loc; /* 0: default or command line */
} Setting;

typedef struct Settings {
    Setting *item; /* sorted by key */
    size_t n, cap;
} Settings;

/* Bytes in a unit of memory: KiB MiB GiB TiB, KB MB GB TB, B; 0: there is no
 * such unit. */
double bytes_in_unit(const char *unit);

const SettingSpec *setting_spec(const char *key); /* NULL: unknown */
/* The default for a kind of its section, as text; NULL: none. */
const char *setting_default(const SettingSpec *s, const char *kind, Arena *a);
const char *setting_nearest(const char *key); /* for "did you mean" */

/* Checks key, kind-free type and range; on failure returns false with a
 * message in error[0..size-1]. Replaces an earlier value. */
bool settings_set(Settings *s, Arena *a, const char *key, SettingValue v,
                  uint32_t loc, char *error, size_t size);
/* The same from "0.1", "[100, 150]", "cosine": --set, IR text. */
bool settings_set_text(Settings *s, Arena *a, const char *key, const char *text,
                       uint32_t loc, char *error, size_t size);
/* After all are set: fills defaults; refuses keys that do not belong to the
 * chosen kind ("optimizer.beta2: not a setting of sgd").  *loc is where. */
bool settings_finish(Settings *s, Arena *a, char *error, size_t size,
                     uint32_t *loc);

/* NULL where unset. */
const SettingValue *settings_get(const Settings *s, const char *key);
/* With the table's default where unset; the key must be in the table. */
double settings_number(const Settings *s, const char *key);
const char *settings_text(const Settings *s, const char *key);
/* Training images of the data set that is set; 0: nobody said. */
int64_t settings_samples(const Settings *s);
/* "128", "[0.485, 0.456]", "cosine": reads back to the same value. */
char *setting_value_text(const SettingValue *v, Arena *a);

#endif
