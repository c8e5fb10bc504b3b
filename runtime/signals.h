/* signals.h: SIGINT, SIGTERM and SIGHUP (the terminal is gone; but not under
 * nohup) as a wish, the second one as an order.
 *
 * A thread waits for them, so nothing runs in a signal handler and no state is
 * global.  Opened before any other thread is made: they inherit the mask that
 * leaves signals to this one.
 */
#ifndef TGC_SIGNALS_H
#define TGC_SIGNALS_H

#include "status.h"

typedef struct Signals Signals;

Signals *signals_open(Status *s);
/* The signal that asked to stop, 0: none yet.  After a second one the process
 * ends at once, with status 128 + its number.  What comes within a moment is
 * still the first: who stops a whole group of processes (timeout, tgc run-all)
 * may reach one of them twice. */
int signals_pending(const Signals *x);
void signals_close(Signals *x); /* NULL is fine */

#endif
