/* pattern.c: see pattern.h. */
#include "pattern.h"
#include <string.h>

/* After a mismatch the last * takes one character more: no recursion, and no
 * more steps than the product of both lengths. */
bool pattern_matches_name(const char *pattern, size_t n, const char *name)
{
    size_t i = 0, star = n;
    const char *again = name;
    while (*name) {
        if (i < n && pattern[i] == '*') {
            star = i++;
            again = name;
        } else if (i < n && pattern[i] == *name) {
            i++;
            name++;
        } else if (star < n) {
            i = star + 1;
            name = ++again;
        } else {
            return false;
        }
    }
    while (i < n && pattern[i] == '*')
        i++;
    return i == n;
}

bool patterns_match_name(const char *patterns, const char *name)
{
    for (const char *p = patterns; *p;) {
        size_t n = strcspn(p, " ");
        if (n && pattern_matches_name(p, n, name))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}
