/* A plan survives packing and unpacking, and damage to it is told. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>
#include "lib.h"
#include "plan_pack.h"
#include <zlib.h>

static void run_it(const KernelCall *call, int64_t begin, int64_t end)
{
    (void)call, (void)begin, (void)end;
}

/* Every pointer of every struct. */
static const PlanSetting settings[] = {
    {.key = "batch", .text = "128", .origin = "a.net:3", .high = 1e9},
    {.key = "seed", .words = "one two", .only = "a b", .run_time = true},
};
static const PlanState states[] = {
    {.name = "fc.weight",
     .of = "",
     .type = {PLAN_F32, 2, {10, 1 << 20}, {1 << 20, 1}},
     .init_b = 0.25,
     .offset = INT64_C(1) << 40},
    {.name = "fc.weight.momentum", .of = "fc.weight", .role = PLAN_SLOT},
};
static const PlanPort inputs[] = {{.name = "image", .buffer = 1, .slots = 3}};
static const PlanBuffer buffers[] = {
    {.offset = 64, .bytes = 128, .last = 7, .name = "w"}, {.kind = PLAN_INPUT}};
static const PlanStep steps[] = {
    {.kernel = 1, .parts = 5, .what = "conv", .loc = "a.net:3"},
    {.n_args = 2, .flops = 1e12, .what = "", .loc = "a.net:3"},
};
static const uint32_t args[] = {0, 1, 4000000000u};
static const LibDesc lib[] = {{.kind = LIB_MATMUL, .m = 3, .b_col = 9}};
static const PlanConv convs[] = {
    {.kind = PLAN_CONV, .y_arg = 3, .x = {PLAN_F16, 4, {128, 3}, {96, 1}}},
    {.workspace = INT64_C(1) << 33}};
static const PlanKernel kernels[] = {
    {.name = "k0", .threads = 256, .why = "cudnn = false"},
    {.name = "k1", .shared = 4096, .conv = 2, .unit = 7}};
static const PlanGraph graphs[] = {
    {.name = "train",
     .inputs = inputs,
     .n_inputs = 1,
     .buffers = buffers,
     .n_buffers = 2,
     .steps = steps,
     .n_steps = 2,
     .args = args,
     .n_args = 3,
     .loss_step = -1},
    {.name = "eval"},
};
static const PlanImage images[] = {{"sm_90", "\1\0\2\0\377", 5, 13000, 0}};
static const Plan full = {
    .version = PLAN_VERSION,
    .model = "a",
    .parameters = INT64_C(1) << 50,
    .settings = settings,
    .n_settings = 2,
    .states = states,
    .n_states = 2,
    .lib = lib,
    .n_libs = 1,
    .convs = convs,
    .n_convs = 2,
    .kernels = kernels,
    .n_kernels = 2,
    .graphs = graphs,
    .n_graphs = 2,
    .device = PLAN_CUDA,
};
static Kernel *const functions[] = {NULL, run_it};

static PlanPack pack_of(const PackedPlan *p)
{
    return (PlanPack){p->data, p->packed, p->bytes,       functions,
                      images,  1,         "the compiler", "native avx2"};
}

static void same_text(const char *a, const char *b)
{
    if (!a || !b)
        assert_ptr_equal(a, b);
    else
        assert_string_equal(a, b);
}

static void same_settings(const Plan *p)
{
    assert_int_equal(p->n_settings, 2);
    for (int i = 0; i < 2; i++) {
        same_text(p->settings[i].key, settings[i].key);
        same_text(p->settings[i].text, settings[i].text);
        same_text(p->settings[i].words, settings[i].words);
        same_text(p->settings[i].only, settings[i].only);
        same_text(p->settings[i].origin, settings[i].origin);
        assert_int_equal(p->settings[i].run_time, settings[i].run_time);
        assert_true(p->settings[i].high == settings[i].high);
    }
}

static void same_states(const Plan *p)
{
    assert_int_equal(p->n_states, 2);
    for (int i = 0; i < 2; i++) {
        same_text(p->states[i].name, states[i].name);
        same_text(p->states[i].of, states[i].of);
        assert_memory_equal(&p->states[i].type, &states[i].type,
                            sizeof(PlanType));
        assert_true(p->states[i].offset == states[i].offset);
        assert_true(p->states[i].init_b == states[i].init_b);
        assert_int_equal(p->states[i].role, states[i].role);
    }
}

static void same_graphs(const Plan *p)
{
    assert_int_equal(p->n_graphs, 2);
    const PlanGraph *g = &p->graphs[0];
    same_text(g->name, "train");
    same_text(g->inputs[0].name, "image");
    assert_int_equal(g->inputs[0].slots, 3);
    assert_null(g->outputs);
    assert_int_equal(g->loss_step, -1);
    for (int i = 0; i < 2; i++) {
        same_text(g->buffers[i].name, buffers[i].name);
        assert_true(g->buffers[i].offset == buffers[i].offset);
        assert_int_equal(g->buffers[i].kind, buffers[i].kind);
        assert_int_equal(g->buffers[i].last, buffers[i].last);
    }
    assert_memory_equal(g->args, args, sizeof args);
    for (int i = 0; i < 2; i++) {
        same_text(g->steps[i].what, steps[i].what);
        same_text(g->steps[i].loc, steps[i].loc);
        assert_true(g->steps[i].parts == steps[i].parts);
        assert_true(g->steps[i].flops == steps[i].flops);
    }
    /* Equal texts are one. */
    assert_ptr_equal(g->steps[0].loc, g->steps[1].loc);
    assert_ptr_equal(g->steps[0].loc, p->settings[0].origin);
    same_text(p->graphs[1].name, "eval");
    assert_null(p->graphs[1].steps);
}

static void test_same_after(void **state)
{
    (void)state;
    char error[256];
    Arena *a = arena_new();
    PackedPlan packed = plan_pack(&full, a);
    PlanPack pack = pack_of(&packed);
    Plan *p = plan_unpack(&pack, error, sizeof error);
    assert_non_null(p);
    same_text(p->model, "a");
    same_text(p->compiler, "the compiler");
    same_text(p->march, "native avx2");
    assert_true(p->parameters == full.parameters);
    assert_int_equal(p->device, PLAN_CUDA);
    same_settings(p);
    same_states(p);
    same_graphs(p);
    assert_memory_equal(p->lib, lib, sizeof lib);
    assert_memory_equal(p->convs, convs, sizeof convs);
    same_text(p->kernels[0].why, "cudnn = false");
    assert_int_equal(p->kernels[1].conv, 2);
    assert_int_equal(p->kernels[0].threads, 256);
    assert_null(p->kernels[0].run);
    same_text(p->kernels[1].name, "k1");
    assert_int_equal(p->kernels[1].unit, 7);
    assert_true(p->kernels[1].run == run_it);
    assert_int_equal(p->n_images, 1);
    assert_ptr_equal(p->images, images);
    plan_free(p);
    arena_free(a);
}

static void refused(const PackedPlan *packed, const char *why)
{
    char error[256] = "";
    PlanPack pack = pack_of(packed);
    assert_null(plan_unpack(&pack, error, sizeof error));
    if (!strstr(error, why))
        fail_msg("\"%s\" does not say \"%s\"", error, why);
}

static void test_damage(void **state)
{
    (void)state;
    Arena *a = arena_new();
    PackedPlan packed = plan_pack(&full, a);
    PackedPlan cut = packed, longer = packed;
    cut.packed--;
    refused(&cut, "damaged");
    longer.bytes++;
    refused(&longer, "damaged");
    packed.data[packed.packed / 2] ^= 4;
    refused(&packed, "damaged");
    arena_free(a);
}

/* Packs again what was changed at `at`. */
static PackedPlan changed(const PackedPlan *packed, size_t at, uint64_t value,
                          Arena *a)
{
    uLongf bytes = (uLongf)packed->bytes, size = compressBound(bytes);
    unsigned char *plain = arena_array(a, bytes, 1);
    PackedPlan r = {arena_array(a, size, 1), 0, packed->bytes};
    assert_int_equal(
        uncompress(plain, &bytes, packed->data, (uLong)packed->packed), Z_OK);
    memcpy(plain + at, &value, sizeof value);
    assert_int_equal(compress(r.data, &size, plain, bytes), Z_OK);
    r.packed = (int64_t)size;
    return r;
}

static void test_another_runtime(void **state)
{
    (void)state;
    Arena *a = arena_new();
    PackedPlan packed = plan_pack(&full, a);
    PackedPlan version =
        changed(&packed, offsetof(PlanHead, version), PLAN_VERSION + 1, a);
    PackedPlan layout =
        changed(&packed, offsetof(PlanHead, layout), plan_layout() + 1, a);
    refused(&version, "another runtime");
    refused(&layout, "another runtime");
    arena_free(a);
}

/* Neither a table nor a text may lie outside. */
static void test_places_outside(void **state)
{
    (void)state;
    Arena *a = arena_new();
    PackedPlan packed = plan_pack(&full, a);
    size_t plan = sizeof(PlanHead);
    uint64_t end = (uint64_t)packed.bytes;
    PackedPlan table =
        changed(&packed, plan + offsetof(Plan, graphs), end - 8, a);
    PackedPlan text =
        changed(&packed, plan + offsetof(Plan, model), end + 1, a);
    PackedPlan far =
        changed(&packed, plan + offsetof(Plan, states), UINT64_MAX, a);
    refused(&table, "do not fit");
    refused(&text, "do not fit");
    refused(&far, "do not fit");
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_after),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_another_runtime),
        cmocka_unit_test(test_places_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
