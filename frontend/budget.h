/* budget.h: does the plan fit in the memory that the user allows, and what
 * would? */
#ifndef TGC_BUDGET_H
#define TGC_BUDGET_H

#include "target.h"
#include <stdio.h>

typedef struct Budget {
    const Target *target;
    /* The whole pipeline again with other settings ("batch=64", ..,
     * NULL-ended), quietly; NULL where that does not compile. */
    Module *(*again)(const void *user, const char *const *settings);
    const void *user;
} Budget;

/* What the pass checkpoint made a step of training do twice. */
typedef struct Repeats {
    uint32_t steps;          /* kernels that run again */
    double seconds, all;     /* of these, and of all; by Target.seconds */
    double dense, dense_all; /* multiply-adds likewise, in products */
} Repeats;
Repeats budget_repeats(const Target *t, const Module *m);
/* "41 kernels run twice: 12.3 % more multiply-adds, 31 ms more (7 %)". */
void budget_print_repeats(const Repeats *r, FILE *out);

/* Bytes that a run of the planned module takes: arena, scratch for each thread,
 * the program and its tables. */
int64_t budget_need(const Target *t, const Module *m);

/* True where the setting memory is unset, or the planned module fits in it;
 * else a message: need against have, who is alive at the peak, what would do,
 * each with its planned peak. */
bool budget_check(const Budget *b, const Module *m, FILE *messages);

/* The largest batch that fits, and what it needs; 0: not even one image. */
int64_t budget_largest_batch(const Budget *b, const Module *m, int64_t *need);

#endif
