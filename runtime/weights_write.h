/* weights_write.h: named float32 tensors in files for other programs: what
 * torch.load opens, and safetensors without what only training needs. */
#ifndef TGC_WEIGHTS_WRITE_H
#define TGC_WEIGHTS_WRITE_H

#include "plan.h"
#include "status.h"
#include <stdio.h>

typedef struct WeightItem {
    const char *name;
    uint8_t rank;
    int64_t dim[PLAN_MAX_RANK];
} WeightItem;

typedef struct WeightList {
    const WeightItem *item; /* in the order of the file */
    uint32_t n;
    /* The elements of item i, row-major; false with a message. */
    bool (*values)(void *context, uint32_t i, float *to, Status *s);
    void *context;
} WeightList;

/* PyTorch's zip of a dict of tensors, as torch.save writes a state dict: any
 * torch.load opens it, also with weights_only.  At most 4 GB. */
bool weights_write_torch(FILE *to, const WeightList *l, Status *s);
bool weights_write_safetensors(FILE *to, const WeightList *l, Status *s);

#endif
