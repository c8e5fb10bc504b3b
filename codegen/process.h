/* process.h: running the C compiler. */
#ifndef TGC_PROCESS_H
#define TGC_PROCESS_H

#include "ir.h"

/* Commands that run side by side, at most `jobs` at once. */
typedef struct Command {
    char *const *argv;   /* NULL-ended */
    const char *log;     /* file for what it writes to stderr and stdout */
} Command;

/* Runs all; false with a message where one could not be started or failed;
 * *failed is its number.  No shell is involved. */
bool process_run(const Command *command, int n, int jobs, int *failed,
                 Error *e);
int process_cores(void);

#endif
