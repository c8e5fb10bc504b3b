/* plan_shape.c: where the structs of a plan point to: all that packing and
 * unpacking know about them. */
#include "lib.h"
#include "plan.h"
#include <string.h>

/* clang-format off */
#define TEXT(type, field) {offsetof(type, field), 0, NULL}
#define TABLE(type, field, n, shape) \
    {offsetof(type, field), offsetof(type, n), shape}
#define SHAPE(type, link) {sizeof(type), link, sizeof link / sizeof *link}
#define PLAIN(type) {sizeof(type), NULL, 0}

static const PlanShape number_shape = PLAIN(uint32_t);
static const PlanShape lib_shape = PLAIN(LibDesc);
static const PlanShape conv_shape = PLAIN(PlanConv);

static const PlanLink buffer_link[] = {TEXT(PlanBuffer, name)};
static const PlanShape buffer_shape = SHAPE(PlanBuffer, buffer_link);

static const PlanLink setting_link[] = {
    TEXT(PlanSetting, key),
    TEXT(PlanSetting, text),
    TEXT(PlanSetting, words),
    TEXT(PlanSetting, only),
    TEXT(PlanSetting, origin),
};
static const PlanShape setting_shape = SHAPE(PlanSetting, setting_link);

static const PlanLink state_link[] = {
    TEXT(PlanState, name),
    TEXT(PlanState, of),
};
static const PlanShape state_shape = SHAPE(PlanState, state_link);

static const PlanLink port_link[] = {TEXT(PlanPort, name)};
static const PlanShape port_shape = SHAPE(PlanPort, port_link);

static const PlanLink step_link[] = {
    TEXT(PlanStep, what),
    TEXT(PlanStep, loc),
};
static const PlanShape step_shape = SHAPE(PlanStep, step_link);

static const PlanLink graph_link[] = {
    TEXT(PlanGraph, name),
    TABLE(PlanGraph, inputs, n_inputs, &port_shape),
    TABLE(PlanGraph, outputs, n_outputs, &port_shape),
    TABLE(PlanGraph, buffers, n_buffers, &buffer_shape),
    TABLE(PlanGraph, steps, n_steps, &step_shape),
    TABLE(PlanGraph, args, n_args, &number_shape),
    TABLE(PlanGraph, libs, n_libs, &number_shape),
};
static const PlanShape graph_shape = SHAPE(PlanGraph, graph_link);

/* Not PlanKernel.run, nor Plan.images: the linker puts them in. */
static const PlanLink kernel_link[] = {
    TEXT(PlanKernel, name),
    TEXT(PlanKernel, why),
};
static const PlanShape kernel_shape = SHAPE(PlanKernel, kernel_link);

static const PlanLink candidate_link[] = {TEXT(PlanCandidate, tile)};
static const PlanShape candidate_shape = SHAPE(PlanCandidate, candidate_link);

static const PlanLink plan_link[] = {
    TEXT(Plan, model),
    TEXT(Plan, compiler),
    TEXT(Plan, march),
    TABLE(Plan, settings, n_settings, &setting_shape),
    TABLE(Plan, states, n_states, &state_shape),
    TABLE(Plan, lib, n_libs, &lib_shape),
    TABLE(Plan, convs, n_convs, &conv_shape),
    TABLE(Plan, kernels, n_kernels, &kernel_shape),
    TABLE(Plan, candidates, n_candidates, &candidate_shape),
    TABLE(Plan, graphs, n_graphs, &graph_shape),
};
const PlanShape plan_shape = SHAPE(Plan, plan_link);
/* clang-format on */

uint32_t plan_link_count(const PlanLink *link, const void *element)
{
    uint32_t n;
    memcpy(&n, (const char *)element + link->count, sizeof n);
    return n;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * 0x100000001b3u; /* FNV-1a */
}

static uint64_t shape_layout(const PlanShape *s, uint64_t h)
{
    h = mix(h, s->size);
    for (size_t i = 0; i < s->n_links; i++) {
        h = mix(mix(h, s->link[i].at), s->link[i].count);
        if (s->link[i].to)
            h = shape_layout(s->link[i].to, h);
    }
    return h;
}

uint64_t plan_layout(void)
{
    return shape_layout(&plan_shape, 0xcbf29ce484222325u);
}
