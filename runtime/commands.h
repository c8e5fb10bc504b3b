/* commands.h: what the training binary can do.  Each returns the process's
 * status; where that is 1, `s` says why. */
#ifndef TGC_COMMANDS_H
#define TGC_COMMANDS_H

#include "options.h"

int command_train(const Plan *plan, const Options *o, Status *s);
int command_eval(const Plan *plan, const Options *o, Status *s);
int command_info(const Plan *plan, const Options *o, Status *s);
int command_report(const Plan *plan, const Options *o, Status *s);
int command_bench(const Plan *plan, const Options *o, Status *s);
/* bench --time */
int command_time(const Plan *plan, const Options *o, Status *s);

#endif
