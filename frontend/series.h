/* series.h: the models of `tgc run-all`, and what became of each.
 *
 *     series_items.c     "net.net -D depth=32" ──> options, a folder
 *     series_results.c   results.jsonl, and the table at the end
 *     series_child.c     one step in a process of its own
 */
#ifndef TGC_SERIES_H
#define TGC_SERIES_H

#include "arena.h"
#include "command_line.h"
#include "outcome.h"

#define SERIES_RESULTS "results.jsonl"

typedef struct SeriesItem {
    CommandLine c;        /* what all have, and its own; input: the file */
    const char *words;    /* as it was given */
    const char *name;     /* of its folder, "resnet-depth=32" */
    const char *folder;   /* SAVE_DIR/name */
    const char *program;  /* SAVE_DIR/name/name */
    uint64_t fingerprint; /* of the model and all that changes its training */
    double estimate;      /* seconds in all; 0: not known */
    Outcome outcome;      /* seconds: of all processes so far */
    bool failed;          /* in this series: not to be begun */
    bool skipped;         /* it was done before */
} SeriesItem;

typedef struct Series {
    Arena *arena;
    const CommandLine *c; /* what all have */
    SeriesItem *item;
    int n;
    /* Rows of results.jsonl about other models than these. */
    const char **other;
    size_t n_other, room_other;
} Series;

/* One for each model of the command line; no two alike.  False after a
 * message. */
bool series_items(Series *s);

const char *series_path(const Series *s, const char *name);
/* Is there a series in the folder? */
bool series_exists(const Series *s);
/* Takes what results.jsonl says about the items: their outcomes, and the
 * fingerprints that they had, item by item [n].  What cannot be read is left
 * out, with a warning. */
void series_read(Series *s, uint64_t *fingerprint);
/* Writes results.jsonl beside the old one, and then in its place; a warning
 * where that fails. */
void series_write(const Series *s);
/* What became of all. */
void series_print(const Series *s, FILE *out);

#endif
