/* command_line.h: tgc's command line as a table. */
#ifndef TGC_COMMAND_LINE_H
#define TGC_COMMAND_LINE_H

#include <stdbool.h>
#include <stdio.h>

typedef enum Verb {
    VERB_COMPILE = 1 << 0,
    VERB_DUMP = 1 << 1,
    VERB_OPT = 1 << 2,
    VERB_FMT = 1 << 3,
    VERB_OPS = 1 << 4,
    VERB_PASSES = 1 << 5,
    VERB_LAYERS = 1 << 6,
    VERB_SETTINGS = 1 << 7,
    VERB_MEMORY = 1 << 8,
    VERB_ESTIMATE = 1 << 9,
    VERB_EXPORT = 1 << 10,
    VERB_DOCTOR = 1 << 11,
    VERB_RUN_ALL = 1 << 12
} Verb;

enum { WORDS_MOST = 256 };

/* Values of an option that may be given several times. */
typedef struct Words {
    const char *word[WORDS_MOST];
    int n;
} Words;

typedef struct CommandLine {
    Verb verb;
    const char *input; /* the file; NULL: none given */
    Words inputs;      /* estimate: all files; doctor: folders; run-all:
                          models, each a file and perhaps options */
    bool help, version;
    bool verbose, time_passes, markdown;
    const char *output, *target, *march, *emit, *after, *print_after, *passes;
    const char *memory; /* budget, as setting memory */
    bool max_batch, schedule;
    bool cudnn, no_cudnn; /* as setting cudnn */
    const char *calibration, *gpu, *epochs;
    bool autotune, tunable;
    const char *tune_file;
    const char *weights;    /* export */
    bool average;           /* export */
    const char *save_temps; /* "" where no folder was named; NULL: not asked */
    Words define, set;
    /* run-all */
    const char *save_dir;
    bool resume, overwrite, no_estimate;
    Words train; /* options of a program's command train, with their values */
    /* Not on it: what follows from a file of tiles (command_tune.c). */
    const struct ConvChoice *convs;
} CommandLine;

/* False after a message on `messages`. */
bool command_line_parse(CommandLine *c, int argc, char **argv, FILE *messages);

/* A model of a series, "net.net -D depth=32" cut in words: what all have, and
 * what is its own.  False after a message. */
bool command_line_model(CommandLine *c, const CommandLine *all, int argc,
                        char **argv, FILE *messages);

/* verb 0: all of them, in short. */
void command_line_help(FILE *out, int verb);

#endif
