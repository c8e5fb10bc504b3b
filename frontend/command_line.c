/* command_line.c: see command_line.h. */
#include "command_line.h"
#include "nearest.h"
#include <stddef.h>
#include <string.h>

typedef struct VerbSpec {
    Verb verb;
    const char *name, *arguments, *doc;
} VerbSpec;

typedef enum OptionKind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_MAYBE, /* --name or --name=value */
    OPTION_WORDS, /* may be given again */
    OPTION_PASSED /* goes on to the program, as it is */
} OptionKind;

typedef struct OptionSpec {
    const char *name, *value; /* value NULL: takes none */
    int verbs;
    OptionKind kind;
    size_t field; /* in CommandLine */
    const char *doc;
} OptionSpec;

#define FIELD(name) offsetof(CommandLine, name)

/* clang-format off */
static const VerbSpec verb_table[] = {
    {VERB_COMPILE, "compile", "FILE.net -o PROGRAM",
     "compile a model to a program that trains it"},
    {VERB_DUMP, "dump", "FILE.net [--after PASS]",
     "print the graphs as text that reads back"},
    {VERB_MEMORY, "memory", "FILE.net [-o PICTURE.svg]",
     "say what a step keeps in memory, and draw it"},
    {VERB_ESTIMATE, "estimate", "FILE.net... [--epochs N]",
     "say how long training will take, and in how much memory"},
    {VERB_RUN_ALL, "run-all", "MODEL... --save-dir DIR",
     "compile and train one model after the other"},
    {VERB_EXPORT, "export", "FILE.net --weights W -o FILE.onnx",
     "write the net with its weights as ONNX, or the weights alone (.pth, .safetensors)"},
    {VERB_OPT, "opt", "FILE.ir --passes=A,B",
     "run passes on the text of a graph"},
    {VERB_FMT, "fmt", "FILE.net",
     "print a model file in the one layout, comments kept"},
    {VERB_LAYERS, "layers", "[--markdown]",
     "list what a model file can call: layers and functions"},
    {VERB_SETTINGS, "settings", "[--markdown]",
     "list what a train section and --set can set"},
    {VERB_OPS, "ops", "[--markdown]", "list the operators"},
    {VERB_PASSES, "passes", "[--markdown]", "list the passes"},
    {VERB_DOCTOR, "doctor", "[FOLDER...]",
     "say what tgc needs, what of it is here, and how to get the rest"},
};

enum {
    BUILDS = VERB_COMPILE | VERB_DUMP | VERB_MEMORY | VERB_ESTIMATE |
             VERB_RUN_ALL,
    PASSES_SHOWN = (BUILDS & ~VERB_RUN_ALL) | VERB_OPT,
    LISTS = VERB_LAYERS | VERB_SETTINGS | VERB_OPS | VERB_PASSES,
    TIMES = VERB_COMPILE | VERB_MEMORY | VERB_ESTIMATE,
    TAKES_MODEL = BUILDS | VERB_EXPORT,
    ALL = BUILDS | VERB_OPT | VERB_FMT | LISTS | VERB_EXPORT | VERB_DOCTOR
};

static const OptionSpec option_table[] = {
    {"-o", "FILE", PASSES_SHOWN | VERB_FMT | VERB_EXPORT, OPTION_TEXT, FIELD(output),
     "write to this file (compile: the program; memory: the picture)"},
    {"-D", "NAME=VALUE", TAKES_MODEL, OPTION_WORDS, FIELD(define),
     "give a parameter of the model a value: -D depth=56"},
    {"--set", "KEY=VALUE", TAKES_MODEL, OPTION_WORDS, FIELD(set),
     "change a setting: --set batch=64, --set optimizer.lr=0.05"},
    {"--weights", "FILE", VERB_EXPORT, OPTION_TEXT, FIELD(weights),
     "weights or a checkpoint: safetensors, PyTorch's, .npz"},
    {"--average", NULL, VERB_EXPORT, OPTION_FLAG, FIELD(average),
     "export the checkpoint's average of the weights (setting average)"},
    {"--memory", "BYTES", BUILDS, OPTION_TEXT, FIELD(memory),
     "what a run may take in all: --memory 10GiB, as setting memory"},
    {"--max-batch", NULL, VERB_COMPILE, OPTION_FLAG, FIELD(max_batch),
     "say how large a batch fits in the memory, and make nothing"},
    {"--epochs", "N", VERB_ESTIMATE, OPTION_TEXT, FIELD(epochs),
     "passes over the data, as setting epochs"},
    {"--gpu", "NAME", VERB_ESTIMATE, OPTION_TEXT, FIELD(gpu),
     "estimate for a graphics processor, by its published rates: h100"},
    {"--calibration", "FILE", TIMES, OPTION_TEXT, FIELD(calibration),
     "what kernels take on this machine; estimate: kept here, not in the "
     "cache; else: chosen by it what to compute again (default: a model)"},
    {"--target", "NAME", BUILDS | VERB_OPT | VERB_DOCTOR, OPTION_TEXT, FIELD(target),
     "what to compile for: cpu (the default), cuda, cuda:sm_90"},
    {"--cudnn", NULL, BUILDS, OPTION_FLAG, FIELD(cudnn),
     "target cuda: convolutions by NVIDIA's cuDNN, as setting cudnn"},
    {"--no-cudnn", NULL, BUILDS, OPTION_FLAG, FIELD(no_cudnn),
     "all kernels tgc's own, whatever the model says: needs the driver alone"},
    {"--autotune", NULL, VERB_COMPILE, OPTION_FLAG, FIELD(autotune),
     "time tiles of each convolution and product on this machine's GPU first "
     "(with --cudnn: and cuDNN), and keep what is best for this and later "
     "compiles"},
    {"--tune-file", "FILE", VERB_COMPILE, OPTION_TEXT, FIELD(tune_file),
     "take tiles as measured (with --autotune: keep them there; default: a "
     "file for each kind of GPU in the cache)"},
    {"--tunable", NULL, VERB_COMPILE, OPTION_FLAG, FIELD(tunable),
     "put several tiles in (with --cudnn: and both ways of convolutions), to be "
     "timed on another machine: PROGRAM bench --tune FILE"},
    {"--march", "CPU", BUILDS, OPTION_TEXT, FIELD(march),
     "instruction set, as the C compiler's -march; default: this machine's"},
    {"--emit", "KIND", VERB_COMPILE, OPTION_TEXT, FIELD(emit),
     "print ast, ir, c (cuda: cu, ptx) or plan instead of making a program"},
    {"--after", "PASS", VERB_DUMP, OPTION_TEXT, FIELD(after),
     "print the graphs as this pass leaves them (default: as they are built)"},
    {"--schedule", NULL, VERB_DUMP, OPTION_FLAG, FIELD(schedule),
     "print the learning rate over the epochs and draw it; with -o: as SVG"},
    {"--passes", "A,B", VERB_OPT, OPTION_TEXT, FIELD(passes),
     "passes to run, in this order; `tgc passes` lists them"},
    {"--print-after", "PASS", PASSES_SHOWN, OPTION_TEXT, FIELD(print_after),
     "print the graphs after this pass, after all, or after each that changed "
     "them (all, changed), to standard error"},
    {"--time-passes", NULL, PASSES_SHOWN, OPTION_FLAG, FIELD(time_passes),
     "say how long each pass took"},
    {"--save-temps", "DIR", VERB_COMPILE, OPTION_MAYBE, FIELD(save_temps),
     "keep the generated sources (--save-temps=DIR; default: PROGRAM.temps)"},
    {"-v", NULL, PASSES_SHOWN, OPTION_FLAG, FIELD(verbose),
     "say what is run and how long it takes"},
    {"--data", "DIR", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "folder with the data set's files"},
    {"--save-dir", "DIR", VERB_RUN_ALL, OPTION_TEXT, FIELD(save_dir),
     "where each run gets a folder, with its program, and results.jsonl is"},
    {"--resume", NULL, VERB_RUN_ALL, OPTION_FLAG, FIELD(resume),
     "leave out what is done, go on with what was begun"},
    {"--overwrite", NULL, VERB_RUN_ALL, OPTION_FLAG, FIELD(overwrite),
     "take the place of the runs that the folder holds"},
    {"--no-estimate", NULL, VERB_RUN_ALL, OPTION_FLAG, FIELD(no_estimate),
     "do not say first how long all will take"},
    {"--epochs", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "passes over the training images"},
    {"--lr", "X", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "learning rate, before the schedule scales it"},
    {"--seed", "S", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "seed of initial weights, order and augmentation"},
    {"--steps", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "stop each after step N"},
    {"--patience", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "stop each after N evaluations without a better accuracy"},
    {"--time-limit", "TIME", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "stop and save each after 90s, 30m, 1h30m"},
    {"--init", "FILE", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "start from these weights"},
    {"--load", "NAMES", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "of --init's weights, take those with such names"},
    {"--skip", "NAMES", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "take all but those"},
    {"--save-every", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "write last.safetensors after every N steps as well"},
    {"--histograms", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "distributions of weights for TensorBoard, every N epochs"},
    {"--no-report", NULL, VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "make no pages and give no advice"},
    {"--threads", "N", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "threads that compute, 0: one a core"},
    {"--device", "NAME", VERB_RUN_ALL, OPTION_PASSED, FIELD(train),
     "cpu, cuda, cuda:1 or auto"},
    {"--markdown", NULL, LISTS, OPTION_FLAG, FIELD(markdown),
     "print the page of the manual"},
    {"--help", NULL, ALL, OPTION_FLAG, FIELD(help), "print this"},
};
/* clang-format on */

enum {
    VERBS = sizeof verb_table / sizeof *verb_table,
    OPTIONS = sizeof option_table / sizeof *option_table
};

/* ---- parsing ------------------------------------------------------------ */

static const VerbSpec *verb_spec(int verb)
{
    for (int i = 0; i < VERBS; i++)
        if ((int)verb_table[i].verb == verb)
            return &verb_table[i];
    return NULL;
}

static bool verb_parse(CommandLine *c, const char *word, FILE *messages)
{
    Nearest near = nearest_of(word);
    for (int i = 0; i < VERBS; i++) {
        if (!strcmp(verb_table[i].name, word)) {
            c->verb = verb_table[i].verb;
            return true;
        }
        nearest_try(&near, verb_table[i].name);
    }
    const char *best = nearest_name(&near);
    fprintf(messages, "tgc: there is no command %s (%s%s%s)\n", word,
            best ? "did you mean " : "tgc --help lists them", best ? best : "",
            best ? "?" : "");
    return false;
}

/* "--set=x" and "--set x", "-Dx=1" and "-D x=1": finds the option and where
 * its value begins, NULL where that is the next word. */
static const OptionSpec *option_match(const CommandLine *c, const char *word,
                                      const char **value)
{
    *value = NULL;
    for (int i = 0; i < OPTIONS; i++) {
        const OptionSpec *o = &option_table[i];
        size_t n = strlen(o->name);
        if (!(o->verbs & (int)c->verb) || strncmp(word, o->name, n))
            continue;
        if (!word[n])
            return o;
        bool is_long = o->name[1] == '-';
        if (!is_long && !o->value)
            continue;
        if (is_long && word[n] != '=')
            continue;
        *value = word + n + is_long;
        return o;
    }
    return NULL;
}

static bool option_unknown(const CommandLine *c, const char *word,
                           FILE *messages)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    Nearest near = nearest_of(name);
    for (int i = 0; i < OPTIONS; i++)
        if (option_table[i].verbs & (int)c->verb)
            nearest_try(&near, option_table[i].name);
    const char *best = nearest_name(&near), *verb = verb_spec(c->verb)->name;
    fprintf(messages, "tgc: %s does not take %s (", verb, word);
    if (best)
        fprintf(messages, "did you mean %s?)\n", best);
    else
        fprintf(messages, "tgc %s --help lists what it takes)\n", verb);
    return false;
}

static bool words_add(Words *words, const char *word, const char *what,
                      FILE *messages)
{
    if (words->n == WORDS_MOST) {
        fprintf(messages, "tgc: more than %d times %s\n", WORDS_MOST, what);
        return false;
    }
    words->word[words->n++] = word;
    return true;
}

static bool option_store(CommandLine *c, const OptionSpec *o, const char *value,
                         FILE *messages)
{
    void *field = (char *)c + o->field;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return true;
    case OPTION_WORDS:
        return words_add(field, value, o->name, messages);
    case OPTION_PASSED:
        return words_add(field, o->name, o->name, messages) &&
               (!o->value || words_add(field, value, o->name, messages));
    default:
        *(const char **)field = value;
        return true;
    }
}

static bool option_parse(CommandLine *c, int argc, char **argv, int *at,
                         FILE *messages)
{
    const char *word = argv[*at], *value;
    if (!strcmp(word, "-h"))
        word = "--help";
    const OptionSpec *o = option_match(c, word, &value);
    if (!o)
        return option_unknown(c, word, messages);
    if (!o->value && value) {
        fprintf(messages, "tgc: %s takes no value\n", o->name);
        return false;
    }
    if (o->kind == OPTION_MAYBE && !value)
        value = "";
    if (o->value && !value) {
        if (*at + 1 == argc) {
            fprintf(messages, "tgc: %s needs a value: %s %s\n", o->name,
                    o->name, o->value);
            return false;
        }
        value = argv[++*at];
    }
    return option_store(c, o, value, messages);
}

static bool word_parse(CommandLine *c, const char *word, FILE *messages)
{
    if (c->verb & LISTS) {
        fprintf(messages, "tgc: %s takes no file\n", verb_spec(c->verb)->name);
        return false;
    }
    if (c->verb & (VERB_ESTIMATE | VERB_DOCTOR | VERB_RUN_ALL)) {
        c->input = word;
        return words_add(&c->inputs, word, "a file", messages);
    }
    if (c->input) {
        fprintf(messages, "tgc: one file at a time: %s or %s?\n", c->input,
                word);
        return false;
    }
    c->input = word;
    return true;
}

static bool words_parse(CommandLine *c, int argc, char **argv, int from,
                        FILE *messages)
{
    for (int i = from; i < argc; i++)
        if (argv[i][0] == '-' && argv[i][1]
                ? !option_parse(c, argc, argv, &i, messages)
                : !word_parse(c, argv[i], messages))
            return false;
    return true;
}

static bool is_one_of(const char *word, const char *a, const char *b,
                      const char *c)
{
    return !strcmp(word, a) || !strcmp(word, b) || !strcmp(word, c);
}

bool command_line_parse(CommandLine *c, int argc, char **argv, FILE *messages)
{
    *c = (CommandLine){.target = "cpu"};
    if (argc < 2) {
        fprintf(messages, "tgc: a command is missing (tgc --help lists "
                          "them)\n");
        return false;
    }
    if (is_one_of(argv[1], "--version", "-V", "version")) {
        c->version = true;
        return true;
    }
    if (is_one_of(argv[1], "--help", "-h", "help")) {
        c->help = true;
        return true;
    }
    if (!verb_parse(c, argv[1], messages) ||
        !words_parse(c, argc, argv, 2, messages))
        return false;
    if (c->help || c->input || c->verb & (LISTS | VERB_DOCTOR))
        return true;
    const VerbSpec *v = verb_spec(c->verb);
    fprintf(messages, "tgc: which file? tgc %s %s\n", v->name, v->arguments);
    return false;
}

bool command_line_model(CommandLine *c, const CommandLine *all, int argc,
                        char **argv, FILE *messages)
{
    *c = *all;
    c->input = NULL;
    c->inputs.n = 0;
    c->save_dir = NULL;
    c->resume = c->overwrite = c->no_estimate = c->help = false;
    if (!words_parse(c, argc, argv, 0, messages))
        return false;
    if (c->inputs.n != 1) {
        fprintf(messages, "tgc: a model of a series is one file and its own "
                          "options: \"net.net -D depth=32\"\n");
        return false;
    }
    if (c->save_dir || c->resume || c->overwrite || c->no_estimate || c->help) {
        fprintf(messages, "tgc: --save-dir, --resume, --overwrite, "
                          "--no-estimate and --help are for the whole "
                          "series\n");
        return false;
    }
    return true;
}

/* ---- help --------------------------------------------------------------- */

enum { HELP_COLUMN = 24 };

static void help_option(FILE *out, const OptionSpec *o)
{
    int used = fprintf(out, "  %s%s%s", o->name, o->value ? " " : "",
                       o->value ? o->value : "");
    fprintf(out, "%*s%s\n", used < HELP_COLUMN ? HELP_COLUMN - used : 1, "",
            o->doc);
}

void command_line_help(FILE *out, int verb)
{
    const VerbSpec *v = verb_spec(verb);
    if (v) {
        fprintf(out, "usage: tgc %s %s\n\n%s\n\n", v->name, v->arguments,
                v->doc);
        for (int i = 0; i < OPTIONS; i++)
            if (option_table[i].verbs & verb)
                help_option(out, &option_table[i]);
        if (verb == VERB_RUN_ALL)
            fputs("\nOptions are for all models; those of one alone stand "
                  "with it in quotes:\n    tgc run-all --data DIR --save-dir "
                  "runs a.net \"b.net -D depth=32 --lr 0.05\"\n"
                  "SIGINT or SIGTERM end the run under way, saved, and the "
                  "series with it.\n",
                  out);
        return;
    }
    fprintf(out, "tgc compiles a neural network's model file into a program "
                 "that trains it.\n\n");
    for (int i = 0; i < VERBS; i++)
        fprintf(out, "  tgc %-8s %-24s %s\n", verb_table[i].name,
                verb_table[i].arguments, verb_table[i].doc);
    fprintf(out, "  tgc --version\n\nEach takes --help.\n");
}
