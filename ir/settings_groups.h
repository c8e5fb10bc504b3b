/* settings_groups.h: settings of the optimizer that hold for some parameters.
 *
 *     optimizer adamw {
 *         weight_decay = 0.05
 *         group "*.bias" "*bn*" { weight_decay = 0 }
 *     }
 *
 * is  optimizer.weight_decay = 0.05,  optimizer.group1.names = "*.bias *bn*",
 * optimizer.group1.weight_decay = 0.  Where several groups hold a parameter,
 * the last that sets a key counts, and what none sets is as outside.  A group
 * with an optimizer of its own (optimizer.group1 = muon) takes nothing from
 * outside of it and from the groups before: it starts from that optimizer's
 * defaults.
 */
#ifndef TGC_SETTINGS_GROUPS_H
#define TGC_SETTINGS_GROUPS_H

#include "settings.h"

enum { GROUPS_MOST = 31, GROUP_KEY = 96 };

/* Bit i: group i holds it, 1 <= i <= GROUPS_MOST. */
typedef uint32_t Groups;

/* The number of the group that a key stands in, and the key without it (room
 * for GROUP_KEY characters, or NULL): 2 and "optimizer.lr" for
 * "optimizer.group2.lr", 2 and "optimizer" for "optimizer.group2".  0: none;
 * plain is left as it is. */
int setting_group(const char *key, char *plain);

/* Does a name match a pattern?  * is any run of characters. */
bool pattern_matches(const char *pattern, const char *name);
/* The same for a list of patterns with blanks between them. */
bool patterns_match(const char *patterns, const char *name);

/* The groups that hold the parameter of this name. */
Groups settings_groups(const Settings *s, const char *name);
/* The value of "optimizer", "optimizer.lr" in these groups. */
double settings_group_number(const Settings *s, Groups in, const char *key);
const char *settings_group_text(const Settings *s, Groups in, const char *key);

/* For settings_finish: NULL where what the groups say fits together, else the
 * key that does not, and a message. */
const char *settings_groups_check(const Settings *s, char *error, size_t size);

/* A setting's text as a number: true is 1; NULL is 0. */
double setting_text_number(const char *text);

#endif
