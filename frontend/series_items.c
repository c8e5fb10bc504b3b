/* series_items.c: the models of a series; see series.h. */
#include "series.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { ITEM_WORDS = 128, NAME_MOST = 64 };

/* ---- words --------------------------------------------------------------- */

/* Cuts "net.net --set 'data.augment=flip, cutout(8)'" at blanks that are not
 * in quotes; the number of words, -1 where a quote does not end or there are
 * too many. */
static int split(const char *text, char **word, Arena *a)
{
    char *to = arena_alloc(a, strlen(text) + 1), quote = 0;
    int n = 0;
    bool in = false;
    for (const char *p = text; *p; p++) {
        if (!quote && strchr(" \t\n", *p)) {
            if (in)
                *to++ = 0;
            in = false;
            continue;
        }
        if (!in && n == ITEM_WORDS)
            return -1;
        if (!in)
            word[n++] = to;
        in = true;
        if (*p == quote)
            quote = 0;
        else if (!quote && (*p == '\'' || *p == '"'))
            quote = *p;
        else
            *to++ = *p;
    }
    return quote ? -1 : n;
}

static bool parse(SeriesItem *x, const Series *s)
{
    char *word[ITEM_WORDS];
    int n = 1;
    if (access(x->words, F_OK) == 0) /* a file's name may have blanks */
        word[0] = arena_strdup(s->arena, x->words);
    else
        n = split(x->words, word, s->arena);
    if (n < 0) {
        fprintf(stderr,
                "tgc: in \"%s\": a quote that does not end, or more "
                "than %d words\n",
                x->words, ITEM_WORDS);
        return false;
    }
    if (command_line_model(&x->c, s->c, n, word, stderr))
        return true;
    fprintf(stderr, "tgc: in \"%s\"\n", x->words);
    return false;
}

/* ---- folders ------------------------------------------------------------- */

static void name_add(char name[NAME_MOST], const char *text)
{
    size_t n = strlen(name);
    for (; *text && n + 1 < NAME_MOST; text++)
        name[n++] = isalnum((unsigned char)*text) || strchr("._=+-", *text)
                        ? *text
                        : '_';
    name[n] = 0;
}

/* "augment=flip" of "data.augment=flip": the section says little. */
static const char *without_section(const char *word)
{
    size_t n = strcspn(word, "=");
    while (n && word[n - 1] != '.')
        n--;
    return word + n;
}

/* What the item has beyond what all have: "-depth=32", "-lr=0.05". */
static void name_own(char name[NAME_MOST], const Words *own, const Words *all,
                     bool pairs)
{
    for (int i = all->n; i < own->n; i++) {
        const char *word = pairs ? own->word[i] : without_section(own->word[i]);
        bool option = pairs && !strncmp(word, "--", 2);
        bool value =
            option && i + 1 < own->n && strncmp(own->word[i + 1], "--", 2) != 0;
        name_add(name, "-");
        name_add(name, option ? word + 2 : word);
        if (!value)
            continue;
        name_add(name, "=");
        name_add(name, own->word[++i]);
    }
}

static bool name_taken(const Series *s, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(s->item[i].name, name))
            return true;
    return false;
}

/* "resnet-depth=32" of "models/resnet.net -D depth=32"; with a number where
 * one before has that name. */
static void name_item(Series *s, int at)
{
    SeriesItem *x = &s->item[at];
    const char *slash = strrchr(x->c.input, '/');
    const char *file = slash ? slash + 1 : x->c.input;
    size_t n = strlen(file);
    char name[NAME_MOST] = "";
    bool net = n > 4 && !strcmp(file + n - 4, ".net");
    name_add(name, arena_strndup(s->arena, file, net ? n - 4 : n));
    name_own(name, &x->c.define, &s->c->define, false);
    name_own(name, &x->c.set, &s->c->set, false);
    name_own(name, &x->c.train, &s->c->train, true);
    if (name[0] == '.')
        name[0] = '_';
    x->name = arena_strdup(s->arena, name);
    for (int k = 2; name_taken(s, at, x->name); k++)
        x->name = arena_printf(s->arena, "%s-%d", name, k);
    x->folder = series_path(s, x->name);
    x->program = arena_printf(s->arena, "%s/%s", x->folder, x->name);
}

const char *series_path(const Series *s, const char *name)
{
    return arena_printf(s->arena, "%s/%s", s->c->save_dir, name);
}

/* ---- all of them --------------------------------------------------------- */

static bool has_data(const CommandLine *c)
{
    for (int i = 0; i < c->train.n; i++)
        if (!strcmp(c->train.word[i], "--data"))
            return true;
    fprintf(stderr,
            "tgc: run-all needs --data DIR, the folder with the data "
            "set's files%s%s\n",
            c->input ? ", for " : "", c->input ? c->input : "");
    return false;
}

static bool is_new(const Series *s, int at)
{
    for (int i = 0; i < at; i++)
        if (!strcmp(s->item[i].words, s->item[at].words)) {
            fprintf(stderr,
                    "tgc: %s is there twice: the second run would be the first "
                    "again (give it something of its own: \"%s --seed 1\")\n",
                    s->item[at].words, s->item[at].words);
            return false;
        }
    return true;
}

bool series_items(Series *s)
{
    s->n = s->c->inputs.n;
    s->item = arena_array(s->arena, (size_t)s->n, sizeof *s->item);
    for (int i = 0; i < s->n; i++) {
        SeriesItem *x = &s->item[i];
        x->words = s->c->inputs.word[i];
        x->outcome.best_accuracy = NAN;
        if (!is_new(s, i) || !parse(x, s) || !has_data(&x->c))
            return false;
        name_item(s, i);
    }
    return true;
}
