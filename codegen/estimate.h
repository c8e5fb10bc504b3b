/* estimate.h: how long a step of training will take, before there is one.
 *
 * On this machine every different kernel of the model is timed once, by
 * itself, and kept in a calibration; a step of training is their sum.  For
 * another machine there are its published rates. */
#ifndef TGC_ESTIMATE_H
#define TGC_ESTIMATE_H

#include "calibration.h"
#include "codegen.h"
#include "cost.h"

typedef struct Estimate {
    double seconds;    /* of one step of training */
    uint32_t steps;    /* of the plan */
    uint32_t measured; /* of these, how many are known from a measurement; the
                          others are modelled to the same scale */
} Estimate;

/* Times what the calibration does not know yet, for a minute at most, saying
 * so on standard error; `path`: where the calibration is kept, NULL: nowhere.
 * False with a message where the program cannot be compiled or run. */
bool codegen_estimate(const Module *m, const CodegenOptions *o, Calibration *c,
                      const char *path, Estimate *out, Error *e);

extern const Rates cpu_rates; /* of a cpu that nothing is known about */

/* By Target.seconds; by rates alone. */
Estimate estimate_by_target(const Module *m, const Target *t);
Estimate estimate_by_rates(const Module *m, Rates *r);

/* A target whose Target.seconds are those of the calibration where it knows
 * the step.  Free with target_uncalibrate. */
Target target_calibrate(const Target *t, const Calibration *c,
                        const char *march);
void target_uncalibrate(Target *t);

/* A graphics processor by what its maker publishes. */
typedef struct Gpu {
    const char *name, *words; /* "h100", "H100 SXM 80 GB" */
    double half, single;      /* flops a second in matrix products, dense */
    double flops;             /* float32, in everything else */
    double bytes;             /* a second */
    double memory;
    bool bf16;
} Gpu;
const Gpu *gpu_named(const char *name); /* NULL: unknown */
const char *gpu_nearest(const char *name);
const char *gpu_names(char *text, size_t size); /* "a100, h100, ..." */
Rates gpu_rates(const Gpu *g, bool half);

#endif
