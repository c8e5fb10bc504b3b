/* plan_unpack.c: a program's tables from their packed form (plan.h). */
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

typedef struct Unpacker {
    char *bytes;
    uint64_t size; /* a zero follows, so every text has an end */
} Unpacker;

/* Places become addresses in n elements at `at`, and in what they point to. */
static bool link_table(const Unpacker *u, const PlanShape *shape, uint64_t at,
                       uint64_t n)
{
    if (at > u->size || n > (u->size - at) / shape->size)
        return false;
    for (uint64_t i = 0; i < n; i++) {
        char *element = u->bytes + at + i * shape->size;
        for (size_t k = 0; k < shape->n_links; k++) {
            const PlanLink *link = &shape->link[k];
            uint64_t place;
            memcpy(&place, element + link->at, sizeof place);
            if (!place)
                continue;
            if (place > u->size ||
                (link->to && !link_table(u, link->to, place,
                                         plan_link_count(link, element))))
                return false;
            const void *address = u->bytes + place;
            memcpy(element + link->at, &address, sizeof address);
        }
    }
    return true;
}

static bool head_fits(const Unpacker *u)
{
    PlanHead head;
    if (u->size < sizeof head + sizeof(Plan))
        return false;
    memcpy(&head, u->bytes, sizeof head);
    return head.version == PLAN_VERSION && head.layout == plan_layout();
}

/* NULL, or what is wrong. */
static const char *inflate_all(const PlanPack *pack, const Unpacker *u)
{
    uLongf size = u->size;
    if (uncompress((Bytef *)u->bytes, &size, pack->data, (uLong)pack->packed) !=
            Z_OK ||
        size != u->size)
        return "this program is damaged (compile the model again)";
    if (!head_fits(u))
        return "this program was compiled for another runtime (compile the "
               "model again)";
    if (!link_table(u, &plan_shape, sizeof(PlanHead), 1))
        return "this program is damaged: its tables do not fit (compile the "
               "model again)";
    return NULL;
}

Plan *plan_unpack(const PlanPack *pack, char *error, size_t size)
{
    Unpacker u = {calloc((size_t)pack->bytes + 1, 1), (uint64_t)pack->bytes};
    const char *wrong =
        u.bytes ? inflate_all(pack, &u) : "no memory for this program's tables";
    if (wrong) {
        snprintf(error, size, "%s", wrong);
        free(u.bytes);
        return NULL;
    }
    Plan *plan = (Plan *)(void *)(u.bytes + sizeof(PlanHead));
    plan->compiler = pack->compiler;
    plan->march = pack->march;
    plan->images = pack->images;
    plan->n_images = pack->n_images;
    PlanKernel *kernel = (PlanKernel *)plan->kernels;
    for (uint32_t i = 0; pack->run && i < plan->n_kernels; i++)
        kernel[i].run = pack->run[i];
    return plan;
}

void plan_free(Plan *plan)
{
    if (plan)
        free((char *)plan - sizeof(PlanHead));
}
