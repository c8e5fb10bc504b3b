/* events.h: TensorBoard's event file of a run.
 *
 * A TFRecord file: for each event its length (8 bytes), a masked CRC-32C of
 * these, the event, a masked CRC-32C of that.  An event is a protocol buffer
 * (tensorflow/core/util/event.proto) with a time, a step, and named values.
 * The names of fields and numbers here are those of event.proto,
 * summary.proto, graph.proto and node_def.proto.
 *
 * Writing fails as a log does: one warning, and no more events.
 */
#ifndef TGC_EVENTS_H
#define TGC_EVENTS_H

#include "plan.h"
#include "status.h"
#include <stddef.h>

typedef struct Events {
    int fd; /* -1: none are wanted, or they could not be written */
    char path[4096];
    int64_t size; /* of its whole events */
} Events;

typedef struct EventScalar {
    const char *tag; /* "loss/train" */
    double value;    /* left out where it is not a number */
} EventScalar;

/* A new file, or with after > 0 the one that is there, without the events of
 * later steps and what is damaged behind them. */
bool events_open(Events *e, const char *path, int64_t after, Status *s);
void events_close(Events *e);

void events_scalars(Events *e, int64_t step, const EventScalar *x, int n);
/* How the n elements of `data` are distributed: 40 equal steps from the least
 * to the greatest. */
void events_histogram(Events *e, int64_t step, const char *tag, uint8_t dtype,
                      const void *data, int64_t n);
/* The steps of a graph and which of them make what others read. */
void events_graph(Events *e, const Plan *plan, const char *graph);

/* CRC-32C (Castagnoli) of n bytes, for tests too. */
uint32_t events_crc(const void *data, size_t n);

#endif
