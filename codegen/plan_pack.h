/* plan_pack.h: a plan as compressed bytes, see runtime/plan.h. */
#ifndef TGC_PLAN_PACK_H
#define TGC_PLAN_PACK_H

#include "arena.h"
#include "plan.h"

typedef struct PackedPlan {
    unsigned char *data;
    int64_t packed, bytes; /* of data; of what it unpacks to */
} PackedPlan;

/* In the arena.  The same plan gives the same bytes, if what lies between the
 * fields of its structs is zero: fill them in memory that was zero. */
PackedPlan plan_pack(const Plan *plan, Arena *a);

#endif
