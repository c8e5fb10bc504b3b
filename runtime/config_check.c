/* config_check.c: settings that do not go together, and those that change
 * nothing; see config.h. */
#include "config.h"
#include <stdio.h>
#include <string.h>

/* ---- what is refused ----------------------------------------------------- */

/* The kind of the section that the key is in: "cosine" for schedule.gamma. */
static const char *kind_of(const Config *c, const char *key)
{
    char section[64];
    const char *dot = strrchr(key, '.');
    if (!dot || (size_t)(dot - key) >= sizeof section)
        return NULL;
    snprintf(section, sizeof section, "%.*s", (int)(dot - key), key);
    return config_text(c, section);
}

bool config_check(const Config *c, Status *s)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const ConfigItem *item = &c->item[i];
        const char *kind = kind_of(c, item->key);
        if (item->given && item->plan->only && kind &&
            !config_word_in(kind, item->plan->only))
            return status_fail(s, "%s: not a setting of %s (only of: %s)",
                               item->key, kind, item->plan->only);
    }
    return true;
}

/* ---- what has no effect -------------------------------------------------- */

static bool is_off(const Config *c, const char *key)
{
    return config_number(c, key, 0) == 0 && !config_is(c, key, "true");
}

static bool no_patience(const Config *c)
{
    return is_off(c, "patience");
}

static bool no_split(const Config *c)
{
    return is_off(c, "data.validation") &&
           config_number(c, "data.fraction", 1) >= 1;
}

static bool no_mixup(const Config *c)
{
    return is_off(c, "data.mixup");
}

static bool no_cutmix(const Config *c)
{
    return is_off(c, "data.cutmix");
}

static bool no_warmup(const Config *c)
{
    return is_off(c, "schedule.warmup_epochs");
}

static bool no_cycle(const Config *c)
{
    return is_off(c, "schedule.cycle_momentum");
}

static bool no_f16(const Config *c)
{
    return !config_is(c, "precision", "f16");
}

static bool augments(const Config *c)
{
    return config_text(c, "data.augment") != NULL;
}

/* By key: when it changes nothing. */
static const struct {
    const char *key;
    bool (*idle)(const Config *c);
    const char *why;
} idle_table[] = {
    {"min_delta", no_patience, "without patience"},
    {"data.split_seed", no_split, "without data.fraction or data.validation"},
    {"data.mixup_share", no_mixup, "without data.mixup"},
    {"data.cutmix_share", no_cutmix, "without data.cutmix"},
    {"data.crop", augments, "beside data.augment, which says all"},
    {"data.flip", augments, "beside data.augment, which says all"},
    {"schedule.warmup", no_warmup, "without schedule.warmup_epochs"},
    {"schedule.warmup_factor", no_warmup, "without schedule.warmup_epochs"},
    {"schedule.low_momentum", no_cycle, "without schedule.cycle_momentum"},
    {"schedule.high_momentum", no_cycle, "without schedule.cycle_momentum"},
    {"loss_scale.start", no_f16, "without precision = f16"},
    {"loss_scale.growth", no_f16, "without precision = f16"},
    {"loss_scale.interval", no_f16, "without precision = f16"},
    {"loss_scale.backoff", no_f16, "without precision = f16"},
    {"loss_scale.floor", no_f16, "without precision = f16"},
    {"loss_scale.most_skips", no_f16, "without precision = f16"},
};

/* By a model file or a command line, tgc's or this one. */
static bool somebody_gave(const ConfigItem *item)
{
    const char *origin = item->plan->origin;
    return item->given ||
           (item->text && origin && strcmp(origin, "default") != 0);
}

const char *config_idle(const Config *c, uint32_t *at, char *text, size_t size)
{
    while (*at < c->n) {
        const ConfigItem *item = &c->item[(*at)++];
        if (!somebody_gave(item))
            continue;
        for (size_t k = 0; k < sizeof idle_table / sizeof *idle_table; k++)
            if (!strcmp(idle_table[k].key, item->key) &&
                idle_table[k].idle(c)) {
                snprintf(text, size, "%s = %s has no effect %s", item->key,
                         item->text, idle_table[k].why);
                return text;
            }
    }
    return NULL;
}
