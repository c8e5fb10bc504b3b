/* number.c: see number.h. */
#include "number.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool number_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text))
        return false;
    *value = v;
    return true;
}

bool number_float(const char *text, double *value)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || isspace((unsigned char)*text))
        return false;
    *value = v;
    return true;
}

int number_list(const char *text, double *value, int room)
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

bool number_duration(const char *text, double *seconds)
{
    static const char units[] = "dhms";
    static const double unit_seconds[] = {86400, 3600, 60, 1};
    const char *least = units; /* units come in falling order, each once */
    double sum = 0;
    if (!*text)
        return false;
    while (*text) {
        char *end;
        const char *unit;
        if (*text < '0' || *text > '9')
            return false;
        double n = strtod(text, &end);
        if (!*end || !(unit = strchr(least, *end)))
            return false;
        sum += n * unit_seconds[unit - units];
        least = unit + 1;
        text = end + 1;
    }
    *seconds = sum;
    return sum > 0 && sum < 1e12;
}
