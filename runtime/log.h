/* log.h: one JSON object a line for each training step. */
#ifndef TGC_LOG_H
#define TGC_LOG_H

#include "status.h"
#include <stdint.h>

typedef struct LogRow {
    int64_t step, epoch; /* from 1 */
    double loss;
    int64_t correct;
    double lr, data_ms, step_ms;
} LogRow;

typedef struct Log {
    int fd; /* -1: no log is wanted */
    const char *path;
} Log;

/* A run that goes on after step `after` keeps the rows up to it, so that the
 * log reads as if it had never stopped; a new run (0) begins a new log.  path
 * NULL: log_row does nothing. */
bool log_open(Log *log, const char *path, int64_t after, Status *s);
bool log_row(const Log *log, const LogRow *row, Status *s);
bool log_close(Log *log, Status *s);

#endif
