/* options.c: see options.h. */
#include "options.h"
#include "number.h"
#include "suggest.h"
#include <stddef.h>
#include <string.h>

typedef struct VerbSpec {
    Verb verb;
    const char *name, *arguments, *doc;
} VerbSpec;

/* clang-format off */
static const VerbSpec verb_table[] = {
    {VERB_TRAIN, "train", "--data DIR [options]",
     "Train the model, showing progress; checkpoints go to --save-dir."},
    {VERB_EVAL, "eval", "--data DIR --weights FILE [options]",
     "Count what the weights get right on the test images."},
    {VERB_REPORT, "report", "--save-dir DIR [options]",
     "Make the page of a run: curves, time, memory, classes, settings."},
    {VERB_INFO, "info", "[options]",
     "Show parameters, memory by class, kernels, and settings."},
    {VERB_BENCH, "bench", "[options]",
     "Measure milliseconds per training step on synthetic data."},
};

enum {
    ALL = VERB_TRAIN | VERB_EVAL | VERB_INFO | VERB_BENCH,
    DATA = VERB_TRAIN | VERB_EVAL | VERB_REPORT
};

typedef enum OptionKind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_COUNT,   /* whole number, 0 or more */
    OPTION_TIME,    /* 90s, 30m, 1h30m */
    OPTION_SETTING, /* another name for a setting */
    OPTION_ASSIGN   /* --set KEY=VALUE */
} OptionKind;

typedef struct OptionSpec {
    const char *name, *value;
    int verbs;
    OptionKind kind;
    size_t field;        /* in Options */
    const char *setting; /* OPTION_SETTING */
    const char *doc;
} OptionSpec;

#define FIELD(name) offsetof(Options, name)

static const OptionSpec option_table[] = {
    {"--data", "DIR", DATA, OPTION_TEXT, FIELD(data), NULL,
     "folder with the data set's files"},
    {"--weights", "FILE", VERB_EVAL, OPTION_TEXT, FIELD(weights), NULL,
     "weights or a checkpoint: safetensors, PyTorch's, .npz"},
    {"--validation", NULL, VERB_EVAL, OPTION_FLAG, FIELD(validation), NULL,
     "what data.validation holds out, not the test images"},
    {"--epochs", "N", VERB_TRAIN, OPTION_SETTING, 0, "epochs",
     "passes over the training images"},
    {"--steps", "N", VERB_TRAIN | VERB_BENCH, OPTION_COUNT, FIELD(steps), NULL,
     "stop after step N, counted from the start of training, resumed or "
     "not; bench: steps to measure"},
    {"--lr", "X", VERB_TRAIN, OPTION_SETTING, 0, "optimizer.lr",
     "learning rate, before the schedule scales it"},
    {"--seed", "S", VERB_TRAIN, OPTION_SETTING, 0, "seed",
     "seed of initial weights, order and augmentation"},
    {"--init", "FILE", VERB_TRAIN, OPTION_TEXT, FIELD(init), NULL,
     "start from these weights (safetensors, PyTorch's, .npz)"},
    {"--load", "NAMES", VERB_TRAIN, OPTION_TEXT, FIELD(load), NULL,
     "of --init's weights, take those with such names: 'layer1.* bn*'; what "
     "the file has beyond the model's is no trouble then"},
    {"--skip", "NAMES", VERB_TRAIN, OPTION_TEXT, FIELD(skip), NULL,
     "take all but those: 'linear.*' for another number of classes"},
    {"--resume", "CKPT", VERB_TRAIN, OPTION_TEXT, FIELD(resume), NULL,
     "go on from a checkpoint, or from the last one in a run's folder, to the "
     "same bits as if never stopped"},
    {"--save-dir", "DIR", VERB_TRAIN | VERB_REPORT, OPTION_TEXT, FIELD(save_dir), NULL,
     "folder for checkpoints, written after each epoch and when stopped, "
     "logs, settings and report; with --resume: where the checkpoint is; "
     "else nothing is saved"},
    {"--overwrite", NULL, VERB_TRAIN, OPTION_FLAG, FIELD(overwrite), NULL,
     "take the place of the run that the folder holds"},
    {"--save-every", "N", VERB_TRAIN, OPTION_COUNT, FIELD(save_every), NULL,
     "write last.safetensors after every N steps as well"},
    {"--log", "FILE", VERB_TRAIN, OPTION_TEXT, FIELD(log), NULL,
     "one JSON object for each step, or a row where FILE ends in .csv: step "
     "and epoch (from 1), loss, correct, lr, data_ms (waiting for data), "
     "step_ms (computing)"},
    {"--histograms", "N", VERB_TRAIN, OPTION_COUNT, FIELD(histograms), NULL,
     "put the distribution of each weight into TensorBoard's events, every N "
     "epochs"},
    {"--time-limit", "TIME", VERB_TRAIN, OPTION_TIME, FIELD(time_limit), NULL,
     "stop and save after 90s, 30m, 1h30m"},
    {"--patience", "N", VERB_TRAIN, OPTION_SETTING, 0, "patience",
     "stop after N evaluations without a better accuracy"},
    {"--print-config", NULL, VERB_TRAIN, OPTION_FLAG, FIELD(print_config), NULL,
     "print every setting, its value and where that comes from, and end"},
    {"--no-report", NULL, VERB_TRAIN, OPTION_FLAG, FIELD(no_report), NULL,
     "make no page and give no advice at the end"},
    {"--no-augment", NULL, VERB_TRAIN, OPTION_FLAG, FIELD(no_augment), NULL,
     "neither crop nor flip"},
    {"--no-shuffle", NULL, VERB_TRAIN, OPTION_FLAG, FIELD(no_shuffle), NULL,
     "take the data in the order of the files"},
    {"--threads", "N", ALL, OPTION_SETTING, 0, "threads",
     "threads that compute, 0: one a core; results do not depend on it"},
    {"--device", "NAME", VERB_TRAIN | VERB_EVAL | VERB_BENCH, OPTION_TEXT,
     FIELD(device), NULL,
     "cpu, cuda, cuda:1 (the second GPU) or auto: what the program was "
     "compiled for"},
    {"--check", NULL, VERB_TRAIN | VERB_EVAL | VERB_BENCH, OPTION_FLAG,
     FIELD(check), NULL,
     "on a GPU, run kernel by kernel: slow, but a failure names the kernel, "
     "and a bad loss the op"},
    {"--set", "KEY=VALUE", ALL, OPTION_ASSIGN, 0, NULL,
     "change a setting that is not part of the compiled program (info "
     "lists them)"},
    {"--json", NULL, VERB_EVAL | VERB_INFO | VERB_BENCH, OPTION_FLAG,
     FIELD(json), NULL, "print one JSON object"},
    {"--profile", NULL, VERB_BENCH, OPTION_FLAG, FIELD(profile), NULL,
     "show where the time goes, by kernel"},
    {"--time", "STEPS", VERB_BENCH, OPTION_TEXT, FIELD(time), NULL,
     "seconds that single steps of a graph take, by number: --time "
     "train:3,17 (tgc estimate asks so)"},
    {"--tune", "FILE", VERB_BENCH, OPTION_TEXT, FIELD(tune), NULL,
     "on a GPU, of a program that was compiled with --tunable: time each "
     "product's tiles, --steps times, and write the best to FILE, for tgc "
     "compile --tune-file"},
    {"--help", NULL, ALL | VERB_REPORT, OPTION_FLAG, FIELD(help), NULL, "print this"},
};
/* clang-format on */

enum {
    VERBS = sizeof verb_table / sizeof *verb_table,
    OPTIONS = sizeof option_table / sizeof *option_table
};

/* ---- parsing ------------------------------------------------------------- */

static const OptionSpec *option_named(const char *name, size_t length)
{
    for (int i = 0; i < OPTIONS; i++)
        if (strlen(option_table[i].name) == length &&
            !memcmp(option_table[i].name, name, length))
            return &option_table[i];
    return NULL;
}

static const char *verb_name(int verb)
{
    for (int i = 0; i < VERBS; i++)
        if ((int)verb_table[i].verb == verb)
            return verb_table[i].name;
    return "";
}

static bool verb_parse(Options *o, const char *word, Status *s)
{
    Suggestion near = suggest_for(word);
    for (int i = 0; i < VERBS; i++) {
        if (!strcmp(verb_table[i].name, word)) {
            o->verb = verb_table[i].verb;
            return true;
        }
        suggest_offer(&near, verb_table[i].name);
    }
    const char *best = suggest_best(&near);
    return status_fail(s, "there is no command %s (%s%s%s)", word,
                       best ? "did you mean " : "try train, eval, info, bench",
                       best ? best : "", best ? "?" : "");
}

static bool option_unknown(const Options *o, const char *word, Status *s)
{
    Suggestion near = suggest_for(word);
    for (int i = 0; i < OPTIONS; i++)
        if (option_table[i].verbs & (int)o->verb)
            suggest_offer(&near, option_table[i].name);
    const char *best = suggest_best(&near);
    return status_fail(s, "%s does not take %s (%s%s%s)", verb_name(o->verb),
                       word, best ? "did you mean " : "--help lists what it",
                       best ? best : " takes", best ? "?" : "");
}

static bool option_add_setting(Options *o, const char *key, const char *text,
                               Status *s)
{
    if (o->n_settings == OPTIONS_MOST)
        return status_fail(s, "more than %d settings are changed at once",
                           OPTIONS_MOST);
    o->setting[o->n_settings++] = (OptionSetting){key, text};
    return true;
}

static bool option_store(Options *o, const OptionSpec *x, const char *value,
                         Status *s)
{
    void *field = (char *)o + x->field;
    int64_t *count = field;
    switch (x->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_TEXT:
        if (!*value)
            return status_fail(s, "%s is empty", x->name);
        *(const char **)field = value;
        return true;
    case OPTION_COUNT:
        return (number_int(value, count) && *count >= 0) ||
               status_fail(s, "%s wants a whole number, 0 or more, not \"%s\"",
                           x->name, value);
    case OPTION_TIME:
        return number_duration(value, field) ||
               status_fail(s,
                           "%s wants a time like 90s, 30m or 1h30m, not "
                           "\"%s\"",
                           x->name, value);
    case OPTION_SETTING:
        return option_add_setting(o, x->setting, value, s);
    default:
        return option_add_setting(o, NULL, value, s);
    }
}

/* One option; takes the next word too where it is the value. */
static bool option_parse(Options *o, char **argv, int argc, int *at, Status *s)
{
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const OptionSpec *x = option_named(word, length);
    if (!strcmp(word, "-h"))
        x = option_named("--help", 6);
    if (!x || !(x->verbs & (int)o->verb))
        return option_unknown(o, word, s);
    if (!x->value && equals)
        return status_fail(s, "%s takes no value", x->name);
    const char *value = equals ? equals + 1 : NULL;
    if (x->value && !value) {
        if (*at + 1 == argc)
            return status_fail(s, "%s needs a value: %s %s", x->name, x->name,
                               x->value);
        value = argv[++*at];
    }
    return option_store(o, x, value, s);
}

bool options_parse(Options *o, int argc, char **argv, Status *s)
{
    *o = (Options){.steps = -1, .save_every = -1, .argv = argv, .argc = argc};
    if (argc < 2)
        return status_fail(s, "a command is missing: train, eval, report, "
                              "info or bench (--help says more)");
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
        !strcmp(argv[1], "help")) {
        o->help = true;
        return true;
    }
    if (!verb_parse(o, argv[1], s))
        return false;
    for (int i = 2; i < argc; i++)
        if (!option_parse(o, argv, argc, &i, s))
            return false;
    return true;
}

/* ---- help ---------------------------------------------------------------- */

enum { HELP_COLUMN = 24, HELP_WIDTH = 78 };

/* Words of `text` from column HELP_COLUMN on, broken between words. */
static void help_wrap(FILE *out, const char *text)
{
    int column = HELP_COLUMN;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column + n > HELP_WIDTH && column > HELP_COLUMN) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        fprintf(out, "%.*s%s", n, text, text[n] ? " " : "");
        column += n + 1;
        text += n;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void help_option(FILE *out, const OptionSpec *x)
{
    int used = fprintf(out, "  %s%s%s", x->name, x->value ? " " : "",
                       x->value ? x->value : "");
    if (used >= HELP_COLUMN) {
        fputc('\n', out);
        used = 0;
    }
    fprintf(out, "%*s", HELP_COLUMN - used, "");
    help_wrap(out, x->doc);
}

static void help_verb(FILE *out, const char *program, const VerbSpec *v)
{
    fprintf(out, "usage: %s %s %s\n\n%s\n\n", program, v->name, v->arguments,
            v->doc);
    for (int i = 0; i < OPTIONS; i++)
        if (option_table[i].verbs & (int)v->verb)
            help_option(out, &option_table[i]);
    if (v->verb == VERB_TRAIN)
        fprintf(out, "\nSIGINT or SIGTERM finish the step, save, and end with "
                     "status 130 or 143;\na second one ends at once.\n");
}

void options_help(FILE *out, const char *program, int verb, const char *model)
{
    for (int i = 0; i < VERBS; i++)
        if ((int)verb_table[i].verb == verb)
            help_verb(out, program, &verb_table[i]);
    if (verb)
        return;
    fprintf(out, "%s: %s, compiled by tgc\n\n", program, model);
    for (int i = 0; i < VERBS; i++)
        fprintf(out, "  %s %-6s %-38s %s\n", program, verb_table[i].name,
                verb_table[i].arguments, "");
    fputc('\n', out);
    for (int i = 0; i < VERBS; i++)
        fprintf(out, "  %-6s %s\n", verb_table[i].name, verb_table[i].doc);
    fprintf(out, "\nEach takes --help.\n");
}
