/* log.h: a file of rows, one for each step or each epoch: JSON lines, or CSV
 * where its name ends in .csv.
 *
 *     {"step": 1, "epoch": 1, "loss": 2.31}         step,epoch,loss
 *                                                   1,1,2.31
 *
 * The first field is the row's number; rows come in its order.
 */
#ifndef TGC_LOG_H
#define TGC_LOG_H

#include "status.h"
#include <stdint.h>

typedef enum LogKind {
    LOG_COUNT, /* a whole number */
    LOG_REAL,  /* 9 digits; what is not finite is null, or empty */
    LOG_TIME,  /* 3 places after the point */
    LOG_FLAG   /* true or false, 1 or 0 */
} LogKind;

typedef struct LogField {
    const char *name;
    LogKind kind;
    double value;
} LogField;

typedef struct Log {
    int fd; /* -1: no log is wanted, or it could not be written */
    bool csv;
    char path[4096];
    int64_t size; /* of its whole rows; -1: a pipe or a terminal */
} Log;

/* A run that goes on after row `after` keeps the rows up to it, so that the
 * log reads as if it had never stopped; a new run (0) begins a new log.  path
 * NULL: log_row does nothing. */
bool log_open(Log *log, const char *path, int64_t after, Status *s);
/* Where the row cannot be written, on a full disk, there is one warning on
 * standard error and the log ends with the row before. */
void log_row(Log *log, const LogField *field, int n);
void log_close(Log *log);

/* The number after "key": in a line of JSON; NAN where there is none. */
double log_number(const char *line, const char *key);

#endif
