/* rundir.h: the folder of a run, and what lies in it.
 *
 *     run.json            what runs: model, settings with their origin, machine
 *     last.safetensors    the checkpoint to go on from
 *     best.safetensors    the one with the highest accuracy
 *     steps.jsonl         a row for each step
 *     epochs.csv          a row for each epoch
 *     predictions.csv     what the best weights take each test image for
 *     result.json         how it stands, or ended, for programs
 *     report.html         all of it on one page
 *     events.out.tfevents.0.tgc   the same for TensorBoard
 */
#ifndef TGC_RUNDIR_H
#define TGC_RUNDIR_H

#include "session.h"
#include <stdio.h>

#define RUN_DESCRIPTION "run.json"
#define RUN_LAST        "last.safetensors"
#define RUN_BEST        "best.safetensors"
#define RUN_STEPS       "steps.jsonl"
#define RUN_EPOCHS      "epochs.csv"
#define RUN_PREDICTIONS "predictions.csv"
#define RUN_REPORT      "report.html"
#define RUN_RESULT      "result.json"
#define RUN_EVENTS      "events.out.tfevents.0.tgc"

enum { RUNDIR_PATH = 4096 };

/* FOLDER/name into path; returns path, cut where it is too long. */
const char *rundir_path(const char *folder, const char *name,
                        char path[RUNDIR_PATH]);

/* The checkpoint that --resume names: a file, or last.safetensors of the
 * folder, into path.  False where a folder has none. */
bool rundir_checkpoint(const char *resume, char path[RUNDIR_PATH], Status *s);
/* The folder that a file is in. */
const char *rundir_of(const char *file, char path[RUNDIR_PATH]);

/* May this run write into the folder?  Not where it holds another one, unless
 * `checkpoint` (NULL: none), which the run goes on from, lies there, or the
 * run was told to take its place. */
bool rundir_claim(const char *folder, const char *checkpoint, bool overwrite,
                  Status *s);
/* Removes what an earlier run left; nothing else. */
bool rundir_clear(const char *folder, Status *s);

/* Writes run.json, beside the old one and then in its place; a warning where
 * that fails.  step: where the run goes on; things: what the data consist of
 * (data_things). */
void rundir_describe(const char *folder, const Session *x, int64_t step,
                     const char *things);

/* Writes FOLDER/name beside the old one, and then in its place, by what `put`
 * prints; false after a warning where that fails. */
typedef void RunPut(FILE *out, void *user);
bool rundir_write(const char *folder, const char *name, RunPut *put,
                  void *user);

#endif
