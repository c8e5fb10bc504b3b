/* memory_class.h: what the memory of a plan is for. */
#ifndef TGC_MEMORY_CLASS_H
#define TGC_MEMORY_CLASS_H

#include "plan.h"

extern const char *const memory_class_name[PLAN_BUFFER_KINDS];
extern const char *const memory_class_doc[PLAN_BUFFER_KINDS];

/* The graph that needs most; NULL: there is none. */
const PlanGraph *memory_main_graph(const Plan *plan);
/* Bytes alive at the graph's peak, by class. */
void memory_by_class(const PlanGraph *g, int64_t bytes[PLAN_BUFFER_KINDS]);

#endif
