/* device.h: what a kind of machine does for an executor.
 *
 * Everything above (training, evaluation, checkpoints, blame) asks executor.h,
 * which asks this.  Errors as a Status, as everywhere.
 */
#ifndef TGC_DEVICE_H
#define TGC_DEVICE_H

#include "executor.h"

typedef struct DeviceKind {
    const char *name; /* "cpu" */
    /* Takes the memory and makes e->arena what the host sees of it: at least
     * all states and inputs, at the plan's offsets.  On failure `close` tidies
     * up. */
    bool (*open)(Executor *e, const ExecutorOptions *o, Status *s);
    void (*close)(Executor *e);
    int (*depth)(const Executor *e); /* runs under way at once */
    bool (*push)(const Executor *e, Status *s);
    bool (*pull)(const Executor *e, Status *s);
    /* Images on the device, see executor_keep; NULL: never. */
    bool (*keep)(Executor *e, const ExecutorImages *images, bool *kept,
                 Status *s);
    PlanRow *(*rows)(Executor *e, int graph, uint32_t slot, Status *s);
    bool (*submit)(Executor *e, int graph, uint32_t slot, Status *s);
    bool (*wait)(Executor *e, RunResult *result, Status *s);
    /* One step, waited for; adds its seconds. */
    bool (*step)(Executor *e, int graph, uint32_t slot, uint32_t step,
                 double *seconds, Status *s);
    /* Argument `arg` of the graph (a number in PlanGraph.args) as it is now;
     * valid until the next call. */
    const void *(*read)(Executor *e, int graph, uint32_t slot, uint32_t arg,
                        Status *s);
} DeviceKind;

extern const DeviceKind device_cpu, device_cuda;

/* "cuda:1" and the like against what the plan is made for. */
const DeviceKind *device_kind(const Plan *plan, const char *name, Status *s);

#endif
