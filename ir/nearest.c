/* nearest.c: edit distance with swapped neighbours counted as one edit
 * ("optimal string alignment"). */
#include "nearest.h"
#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { LONGEST = 63 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int edit_distance(const char *a, int n, const char *b, int m)
{
    int row[3][LONGEST + 1]; /* rows i-2, i-1, i of the usual table, rolling */
    for (int j = 0; j <= m; j++)
        row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = row[i % 3], *up = row[(i + 2) % 3], *up2 = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            now[j] = least(up[j], now[j - 1]) + 1;
            now[j] = least(now[j], up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], up2[j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

Nearest nearest_of(const char *wrong)
{
    return (Nearest){wrong, NULL, INT_MAX};
}

void nearest_try(Nearest *n, const char *known)
{
    size_t a = strlen(n->wrong), b = strlen(known);
    if (a > LONGEST || b > LONGEST)
        return;
    int d = edit_distance(n->wrong, (int)a, known, (int)b);
    if (d < n->distance) {
        n->distance = d;
        n->best = known;
    }
}

const char *nearest_name(const Nearest *n)
{
    /* One edit is always a typo; else a third of the letters may differ. */
    if (!n->best || strlen(n->best) < 2)
        return NULL;
    int allowed = (int)strlen(n->wrong) / 3;
    return n->distance <= (allowed > 1 ? allowed : 1) ? n->best : NULL;
}
