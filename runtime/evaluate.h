/* evaluate.h: loss and accuracy over the whole test set, each image once. */
#ifndef TGC_EVALUATE_H
#define TGC_EVALUATE_H

#include "session.h"
#include "signals.h"

typedef struct Evaluation {
    int64_t correct, total;
    double loss;  /* mean over the images */
    bool stopped; /* by a signal, before the end */
} Evaluation;

/* `signals` may be NULL.  predicted [test images], NULL: not wanted: the class
 * that each was taken for, -1 where the program does not say.  False where
 * loading fails or a loss is not finite. */
bool evaluate(const Session *x, Loader *test, int graph, const Signals *signals,
              int32_t *predicted, Evaluation *result, Status *s);

#endif
