/* pattern.h: names of tensors by pattern, as in the compiler's settings. */
#ifndef TGC_PATTERN_H
#define TGC_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

/* Does a pattern of n characters match a name?  * is any run of characters. */
bool pattern_matches_name(const char *pattern, size_t n, const char *name);
/* The same for a list of patterns with blanks between them. */
bool patterns_match_name(const char *patterns, const char *name);

#endif
