/* checkpoint.h: everything that a run needs to go on as if it had never
 * stopped, as a safetensors file.
 *
 *     tensors       every state: weights, running statistics, slots
 *     __metadata__  tgc.step, tgc.epoch, .. (Progress), the settings in force
 *
 * Random numbers are functions of (seed, place), so seed and position are all
 * there is to keep of the generator.  Nothing in the file depends on time, on
 * threads or on where it was made: equal runs give equal bytes.
 */
#ifndef TGC_CHECKPOINT_H
#define TGC_CHECKPOINT_H

#include "config.h"
#include "executor.h"
#include "safetensors.h"
#include "weights.h"

/* Where a training run is. */
typedef struct Progress {
    int64_t seed;
    int64_t step;          /* steps done since the start of training */
    int64_t epoch;         /* epochs done, evaluated and all */
    int64_t batch;         /* batches of the next epoch that are done */
    int64_t samples;       /* training images in an epoch */
    int64_t best_correct;  /* of the best evaluation so far; -1: none yet */
    int64_t best_epoch;    /* the epoch, from 0, after which that was */
    int64_t stall;         /* evaluations since one was better by min_delta */
    int64_t stall_correct; /* of that one; -1: none yet */
} Progress;

/* ---- saving ---------------------------------------------------------------
 */

typedef struct CheckpointWriter CheckpointWriter;

/* Makes the folder where it is missing, and finds out now rather than after
 * an epoch whether it can be written. */
CheckpointWriter *checkpoint_writer_open(const Executor *e, const Config *c,
                                         const char *folder, Status *s);
void checkpoint_writer_close(CheckpointWriter *w); /* NULL is fine */
const char *checkpoint_folder(const CheckpointWriter *w);

/* Writes FOLDER/name beside what is there, and puts it in its place once it is
 * safely on disk.  On failure the old file is as it was.  Refuses weights that
 * are not finite.  Allocates nothing. */
bool checkpoint_save(CheckpointWriter *w, const Progress *p, const char *name,
                     Status *s);

/* ---- loading ---------------------------------------------------------------
 */

/* Settings as the checkpoint's run had them, but for those given in this one;
 * compiled-in ones must agree.  Text is kept by reference to `f`. */
bool checkpoint_settings(const WeightFile *f, Config *c, Status *s);
/* Only those that say which images are held out and how pictures are read, for
 * evaluation; what is not as it should be counts for nothing. */
void checkpoint_data_settings(const WeightFile *f, Config *c);
bool checkpoint_progress(const WeightFile *f, const Plan *plan, Progress *p,
                         Status *s);

typedef enum CheckpointUse {
    CHECKPOINT_RESUME, /* every state */
    CHECKPOINT_WEIGHTS /* parameters and buffers, and their average where the
                          file has it; optimizer slots are left */
} CheckpointUse;

/* Does the file hold an average of weights ("fc.weight.average") that the
 * program has a place for? */
bool checkpoint_averaged(const WeightFile *f, const Plan *plan);

/* All or nothing: names, shapes and types are checked first, and what does not
 * fit is listed. */
bool checkpoint_load(const WeightFile *f, CheckpointUse use, Executor *e,
                     Status *s);

/* A part of the weights: patterns of names (pattern.h); NULL: all, none. */
typedef struct WeightsPart {
    const char *load, *skip;
} WeightsPart;

/* Parameters and buffers of that part; the others keep what they have.  What
 * the part names must be there and fit; what the file has beyond is no
 * trouble.  text: what was loaded and what not, in one line. */
bool checkpoint_load_part(const WeightFile *f, const WeightsPart *part,
                          Executor *e, char *text, size_t size, Status *s);

#endif
