/* options.h: the binary's command line as a table. */
#ifndef TGC_OPTIONS_H
#define TGC_OPTIONS_H

#include "config.h"
#include <stdio.h>

typedef enum Verb {
    VERB_TRAIN = 1,
    VERB_EVAL = 2,
    VERB_INFO = 4,
    VERB_BENCH = 8,
    VERB_REPORT = 16
} Verb;

enum { OPTIONS_MOST = 64 };

/* A setting changed on the command line; key NULL: text is "key=value". */
typedef struct OptionSetting {
    const char *key, *text;
} OptionSetting;

typedef struct Options {
    Verb verb;
    bool help, json, no_augment, no_shuffle, profile;
    bool overwrite, print_config, no_report, check, validation;
    const char *data, *init, *resume, *weights, *save_dir, *log, *time, *tune;
    const char *device;
    const char *load, *skip;   /* parts of --init's weights; NULL: all, none */
    int64_t steps, save_every; /* -1: not given */
    int64_t histograms;        /* every so many epochs; 0: none */
    double time_limit;         /* seconds; 0: none */
    OptionSetting setting[OPTIONS_MOST];
    int n_settings;
    char **argv; /* as it was given, argc words */
    int argc;
} Options;

/* argv[1] is the verb.  Refuses what it does not know with a suggestion. */
bool options_parse(Options *o, int argc, char **argv, Status *s);

/* verb 0: all of them, in short. */
void options_help(FILE *out, const char *program, int verb, const char *model);

#endif
