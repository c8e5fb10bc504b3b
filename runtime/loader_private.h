/* loader_private.h: for tests: a loader over a data set made in memory. */
#ifndef TGC_LOADER_PRIVATE_H
#define TGC_LOADER_PRIVATE_H

#include "data.h"
#include "loader.h"

/* Takes over what `set` holds, also on failure. */
Loader *loader_open_set(const LoaderOptions *o, DataSet *set, Status *s);

#endif
