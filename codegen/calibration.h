/* calibration.h: seconds that steps took on this machine, kept in a file.
 *
 *     tgc-calibration 1
 *     tgc 0.1.0
 *     machine AMD EPYC, 2 cores, avx avx2 fma
 *     step 00c5..9e 0.001234          by what it runs, see step_key
 *     end 1 6f..01                    how many, and a sum over all before
 *
 * So a file that was cut short, changed, or made on another machine or by
 * another tgc is told from one that may be used. */
#ifndef TGC_CALIBRATION_H
#define TGC_CALIBRATION_H

#include "kernels.h"

/* What a step runs: its kernel's text, its library call, the number of parts
 * and of threads, and the instruction set (NULL: this machine's). */
typedef struct StepKey {
    uint64_t a, b;
} StepKey;
StepKey step_key(const Kernels *k, const StepCode *code, const char *march,
                 int threads);

typedef struct Calibration Calibration;

Calibration *calibration_new(void);
void calibration_free(Calibration *c); /* NULL is fine */

typedef enum CalibrationFile {
    CALIBRATION_READ,
    CALIBRATION_NONE, /* there is no such file */
    CALIBRATION_BAD   /* damaged, of another machine or another tgc */
} CalibrationFile;

/* Adds what the file holds; nothing unless all of it is well, else e says what
 * is wrong. */
CalibrationFile calibration_read(Calibration *c, const char *path, Error *e);
/* Writes all, beside and renamed. */
bool calibration_write(const Calibration *c, const char *path, Error *e);

/* Where it is kept where nothing else is said: a file in $XDG_CACHE_HOME/tgc
 * (~/.cache/tgc) named by machine and tgc.  False: neither is known. */
bool calibration_place(char *path, size_t size);

bool calibration_find(const Calibration *c, StepKey key, double *seconds);
void calibration_add(Calibration *c, StepKey key, double seconds);

#endif
