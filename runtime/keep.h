/* keep.h: training images that stay on the device, so that a batch's way there
 * is a list of windows. */
#ifndef TGC_KEEP_H
#define TGC_KEEP_H

#include "session.h"

/* Puts the loader's images there, where the device has room and batches are
 * such windows; else they come from the host, which is no error. */
bool keep_images(const Session *x, Loader *l, bool *kept, Status *s);
/* The slots of a graph that takes them from there. */
bool keep_slots(const Session *x, int graph, LoaderSlots *slots, Status *s);

#endif
