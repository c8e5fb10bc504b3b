/* sealed.h: files of lines that must not be half written or changed, as those
 * that keep what was measured: the last line counts the rows and has a sum of
 * all lines before. */
#ifndef TGC_SEALED_H
#define TGC_SEALED_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { SEALED_LINE = 512 }; /* with its end */

typedef struct SealedWriter {
    FILE *f;
    uint64_t sum;
    char path[PATH_MAX], beside[PATH_MAX + 32];
} SealedWriter;

/* Written beside and renamed: false, with errno set, leaves what was there. */
bool sealed_create(SealedWriter *w, const char *path);
void sealed_line(SealedWriter *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sealed_finish(SealedWriter *w, size_t rows);

typedef struct SealedReader {
    FILE *f; /* the caller's */
    char line[SEALED_LINE];
    uint64_t sum; /* of the lines before this one */
    int number;
} SealedReader;

/* The next line, without its end; false: there is none, or it is too long. */
bool sealed_next(SealedReader *r);
/* Is this line the last one of a whole file with so many rows? */
bool sealed_ends(SealedReader *r, size_t rows);

#endif
