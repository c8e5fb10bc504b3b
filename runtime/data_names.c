/* data_names.c: what classes are called, for reports: one name a line, as in
 * CIFAR-10's batches.meta.txt.  A file that is missing, or does not fit, is no
 * failure: names decide nothing. */
#include "data.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MOST = 256 };

static void names_free(DataSet *set)
{
    for (int64_t i = 0; set->names && i < set->classes; i++)
        free(set->names[i]);
    free(set->names);
    set->names = NULL;
}

/* The next line with something in it, without control characters. */
static bool next_name(FILE *f, char name[NAME_MOST])
{
    while (fgets(name, NAME_MOST, f)) {
        size_t n = strcspn(name, "\r\n");
        name[n] = 0;
        for (char *c = name; *c; c++)
            if ((unsigned char)*c < ' ')
                *c = ' ';
        if (name[strspn(name, " ")])
            return true;
    }
    return false;
}

static void names_take(DataSet *set, FILE *f)
{
    char name[NAME_MOST];
    int64_t n = 0;
    set->names = calloc((size_t)set->classes, sizeof *set->names);
    while (set->names && n < set->classes && next_name(f, name) &&
           (set->names[n] = strdup(name)))
        n++;
    if (n < set->classes || next_name(f, name))
        names_free(set);
}

void data_names_read(DataSet *set, const char *dir, const char *const *files)
{
    for (; *files && !set->names && set->classes > 0; files++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", dir, *files) >= PATH_MAX)
            continue;
        FILE *f = fopen(path, "re");
        if (!f)
            continue;
        names_take(set, f);
        fclose(f);
    }
}
