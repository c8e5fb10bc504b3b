/* suggest.c: see suggest.h. */
#include "suggest.h"
#include <string.h>

enum { LONGEST = 128 };

/* Edits (insert, delete, replace) from a to b; big for long names. */
static int edit_distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    int row[LONGEST + 1];
    if (n > LONGEST || strlen(a) > LONGEST)
        return 2 * LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 0; a[i]; i++) {
        int corner = row[0];
        row[0] = (int)i + 1;
        for (size_t j = 0; j < n; j++) {
            int best = corner + (a[i] != b[j]);
            corner = row[j + 1];
            if (corner + 1 < best)
                best = corner + 1;
            if (row[j] + 1 < best)
                best = row[j] + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

Suggestion suggest_for(const char *wanted)
{
    return (Suggestion){wanted, NULL, 2 * LONGEST};
}

void suggest_offer(Suggestion *s, const char *name)
{
    int distance = edit_distance(s->wanted, name);
    if (distance < s->distance) {
        s->distance = distance;
        s->best = name;
    }
}

const char *suggest_best(const Suggestion *s)
{
    /* A third of the letters wrong is another word. */
    int allowed = 1 + (int)strlen(s->wanted) / 4;
    return s->distance <= allowed ? s->best : NULL;
}
