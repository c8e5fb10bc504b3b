/* estimate_table.h: what `tgc estimate` says about models: one row each. */
#ifndef TGC_ESTIMATE_TABLE_H
#define TGC_ESTIMATE_TABLE_H

#include "ir.h"
#include <stdio.h>

typedef struct EstimateRow {
    const char *model;      /* NULL: it does not compile */
    const char *what;       /* to do where it does not fit; or why it does not
                               compile */
    int64_t batch, batches; /* of an epoch; 0: the data's size is unknown */
    double epochs;
    double seconds; /* of one step */
    int64_t need;   /* bytes of a run */
    bool fits;
} EstimateRow;

/* Steps in an epoch of the module's data; 0: unknown. */
int64_t estimate_batches(const Module *m);
void estimate_print(const EstimateRow *row, int n, FILE *out);

#endif
