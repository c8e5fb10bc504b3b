/* keep.c: see keep.h. */
#include "keep.h"

static bool read_image(void *context, int64_t i, uint8_t *to, Status *s)
{
    return loader_pixels(context, i, to, s);
}

bool keep_images(const Session *x, Loader *l, bool *kept, Status *s)
{
    const float *value = loader_values(l);
    int graph = executor_graph(x->executor, "train");
    *kept = false;
    if (!value || executor_port(x->executor, graph, "other_label"))
        return true;
    const PlanType *t = &executor_port(x->executor, graph, "image")->type;
    const ExecutorImages images = {.n = loader_samples(l),
                                   .c = t->dim[1],
                                   .h = t->dim[2],
                                   .w = t->dim[3],
                                   .type = t,
                                   .value = value,
                                   .read = read_image,
                                   .context = l};
    return executor_keep(x->executor, &images, kept, s);
}

bool keep_slots(const Session *x, int graph, LoaderSlots *slots, Status *s)
{
    for (int i = 0; i < slots->n; i++) {
        slots->row[i] = executor_rows(x->executor, graph, (uint32_t)i, s);
        if (!slots->row[i])
            return false;
    }
    return true;
}
