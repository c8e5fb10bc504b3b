/* text.c: see text.h. */
#include "text.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *text_bytes(double bytes, char *text, size_t size)
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int i = 0;
    while (bytes >= 1024 && i < 4) {
        bytes /= 1024;
        i++;
    }
    int digits = i == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
    snprintf(text, size, "%.*f %s", digits, bytes, unit[i]);
    return text;
}

const char *text_duration(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(text, size, "?");
        return text;
    }
    long long t = llround(seconds);
    if (t >= 3600)
        snprintf(text, size, "%lldh%02lldm", t / 3600, t / 60 % 60);
    else if (t >= 60)
        snprintf(text, size, "%lldm%02llds", t / 60, t % 60);
    else
        snprintf(text, size, "%llds", t);
    return text;
}

const char *text_count(int64_t n, char *text, size_t size)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

bool text_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text))
        return false;
    *value = v;
    return true;
}

bool text_number(const char *text, double *value)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || isspace((unsigned char)*text))
        return false;
    *value = v;
    return true;
}

int text_numbers(const char *text, double *value, int room)
{
    bool list = *text == '[';
    int n = 0;
    text += list;
    for (;;) {
        char *end;
        text += strspn(text, " ");
        if (list && n == 0 && *text == ']')
            return text[1] ? -1 : 0;
        double v = strtod(text, &end);
        if (end == text || !isfinite(v) || n == room)
            return -1;
        value[n++] = v;
        text = end + strspn(end, " ");
        if (!list)
            return *text ? -1 : n;
        if (*text == ']')
            return text[1] ? -1 : n;
        if (*text++ != ',')
            return -1;
    }
}

const char *text_json(const char *plain, char *text, size_t size)
{
    size_t used = 0;
    for (; *plain && used + 7 < size; plain++) {
        unsigned char c = (unsigned char)*plain;
        if (c == '"' || c == '\\') {
            text[used++] = '\\';
            text[used++] = (char)c;
        } else if (c < 0x20) {
            used += (size_t)snprintf(text + used, size - used, "\\u%04x", c);
        } else {
            text[used++] = (char)c;
        }
    }
    text[used] = 0;
    return text;
}

/* ---- suggestions ------------------------------------------------------------
 */

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

Suggestion suggestion_for(const char *wanted)
{
    return (Suggestion){wanted, NULL, 2 * LONGEST};
}

void suggestion_offer(Suggestion *s, const char *name)
{
    int distance = edit_distance(s->wanted, name);
    if (distance < s->distance) {
        s->distance = distance;
        s->best = name;
    }
}

const char *suggestion_best(const Suggestion *s)
{
    /* A third of the letters wrong is another word. */
    int allowed = 1 + (int)strlen(s->wanted) / 4;
    return s->distance <= allowed ? s->best : NULL;
}
