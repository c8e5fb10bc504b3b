/* manual.c: the pages of the manual that are made from tables: docs/layers.md
 * and docs/settings.md. */
#include "layers.h"
#include <float.h>
#include <string.h>

/* ---- layers ------------------------------------------------------------- */

static const char layers_head[] =
    "# Layers and functions\n\n"
    "Made by `tgc layers --markdown` out of the table in "
    "`frontend/layers*.c`.\n"
    "Arguments with `=` may be left out; `..` says that the layer finds a\n"
    "value itself. `x` is a tensor, [channels, height, width] or [features];\n"
    "the batch is implied everywhere.\n\n";

static void print_layer(const Layer *l, Arena *a, FILE *out)
{
    fprintf(out, "### `%s`\n\n%s.\n\n", layer_signature(l, a), l->doc);
    bool any = false;
    for (const LayerParam *p = l->params; p->name; p++)
        if (p->doc) {
            fprintf(out, "* `%s`: %s\n", p->name, p->doc);
            any = true;
        }
    fputs(any ? "\n" : "", out);
}

void frontend_print_layers(bool markdown, FILE *out)
{
    Arena *a = arena_new();
    if (markdown)
        fputs(layers_head, out);
    for (const Layer *const *l = layer_table; *l; l++)
        if (markdown)
            print_layer(*l, a, out);
        else
            fprintf(out, "%s\n    %s\n", layer_signature(*l, a), (*l)->doc);
    arena_free(a);
}

/* ---- settings ----------------------------------------------------------- */

static const char settings_head[] =
    "# Settings\n\n"
    "Made by `tgc settings --markdown` out of the table in `ir/settings.c`.\n\n"
    "A setting is given in the train section of a model file, or with\n"
    "`--set KEY=VALUE` when it is compiled; those marked * also when the\n"
    "program runs.\n\n"
    "| key | value | default | |\n| --- | --- | --- | --- |\n";

/* "crop | noncrop" would end a cell of the table: words with commas. */
static void print_words(const char *words, FILE *out)
{
    for (; *words; words++)
        fputs(*words == ' ' ? ", " : (char[]){*words, 0}, out);
}

static void print_range(const SettingSpec *s, const char *what, FILE *out)
{
    if (s->low > -DBL_MAX && s->high < 1e9)
        fprintf(out, "%s, %.7g to %.7g", what, s->low, s->high);
    else if (s->low > -DBL_MAX)
        fprintf(out, "%s, at least %.7g", what, s->low);
    else
        fputs(what, out);
}

static void print_value(const SettingSpec *s, FILE *out)
{
    switch (s->type) {
    case SET_INT:
        print_range(s, "whole number", out);
        break;
    case SET_FLOAT:
        print_range(s, "number", out);
        break;
    case SET_NUMBERS:
        print_range(s, "list of numbers", out);
        break;
    case SET_BOOL:
        fputs("true, false", out);
        break;
    case SET_WORD:
        print_words(s->words, out);
        break;
    case SET_TEXT:
        fputs("text", out);
        break;
    }
}

static void print_setting(const SettingSpec *s, FILE *out)
{
    fprintf(out, "| `%s`%s | ", s->key, s->run_time ? " *" : "");
    print_value(s, out);
    fprintf(out, " | %s | %s", s->value ? s->value : "", s->doc);
    if (s->only) {
        fputs(" Only of ", out);
        print_words(s->only, out);
        fputc('.', out);
    }
    fputs(" |\n", out);
}

void frontend_print_settings(bool markdown, FILE *out)
{
    if (markdown)
        fputs(settings_head, out);
    for (const SettingSpec *s = setting_table; s->key; s++)
        if (markdown)
            print_setting(s, out);
        else
            fprintf(out, "%-26s %s\n", s->key, s->doc);
}
