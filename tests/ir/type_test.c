/* type_test.c: arenas, element types, layouts, near names, hashing. */
#include "arena.h"
#include "hash.h"
#include "nearest.h"
#include "type.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Memory is zeroed and aligned, and growing keeps what was there, across many
 * chunks. */
static void test_arena(void **state)
{
    (void)state;
    Arena *a = arena_new();
    int *v = NULL;
    size_t n = 0, cap = 0;
    for (int i = 0; i < 100000; i++) {
        char *p = arena_alloc(a, (size_t)(i % 40));
        assert_int_equal((uintptr_t)p % 16, 0);
        for (int k = 0; k < i % 40; k++)
            assert_int_equal(p[k], 0);
        memset(p, 1, (size_t)(i % 40));
        ARENA_PUSH(a, v, n, cap, i);
    }
    for (int i = 0; i < 100000; i++)
        assert_int_equal(v[i], i);
    assert_string_equal(arena_printf(a, "%d-%s", 7, "x"), "7-x");
    assert_string_equal(arena_strndup(a, "abc", 2), "ab");
    arena_free(a);
    arena_free(NULL);
}

static void test_dtype_names(void **state)
{
    (void)state;
    for (int t = DT_NONE + 1; t < DT_COUNT; t++)
        assert_int_equal(dtype_named(dtype_name(t)), t);
    assert_int_equal(dtype_named("none"), DT_NONE);
    assert_int_equal(dtype_named("f33"), DT_NONE);
    assert_true(dtype_is_float(DT_BF16) && !dtype_is_float(DT_I64));
    assert_true(dtype_is_int(DT_U8) && !dtype_is_int(DT_BOOL));
}

/* Channels-last strides of [2,3,4,5], worked out by hand: N outermost, then H,
 * W, C. */
static void test_layout(void **state)
{
    (void)state;
    char text[128];
    int64_t stride[MAX_RANK];
    Type t = type_make(DT_F32, 4, (const int64_t[]){2, 3, 4, 5});
    type_strides(&t, stride);
    assert_memory_equal(stride, ((int64_t[]){60, 20, 5, 1}), 32);
    t.layout = layout_channels_last(4);
    type_strides(&t, stride);
    assert_memory_equal(stride, ((int64_t[]){60, 1, 15, 3}), 32);
    type_print(&t, text, sizeof text);
    assert_string_equal(text, "f32[2,3,4,5]{0,2,3,1}");
    assert_int_equal(type_print(&t, text, 4), 21);
    assert_string_equal(text, "f32");
    assert_int_equal(layout_make(3, (const int[]){0, 1, 2}), 0);
    assert_int_equal(layout_channels_last(2), 0);
}

static void test_layout_valid(void **state)
{
    (void)state;
    assert_true(layout_valid(0, 0) && layout_valid(0, 8));
    assert_true(layout_valid(layout_channels_last(8), 8));
    assert_false(layout_valid(layout_channels_last(4), 3)); /* too long */
    assert_false(layout_valid(0x10, 2)); /* row-major is stored as 0 */
    assert_true(layout_valid(0x01, 2));
    assert_false(layout_valid(0x11, 2)); /* dimension 1 twice */
    assert_false(layout_valid(0x21, 2)); /* no dimension 2 */
}

static void test_type_fits(void **state)
{
    (void)state;
    const int64_t big = INT64_C(1) << 31;
    Type t = type_make(DT_U8, 2, (const int64_t[]){big, big / 2});
    assert_true(type_fits(&t));
    assert_true(type_bytes(&t) == INT64_C(1) << 61);
    t.dim[1] = big;
    assert_false(type_fits(&t)); /* 2^62 */
    t = type_make(DT_F64, 3, (const int64_t[]){big, big, big});
    assert_false(type_fits(&t)); /* overflows */
    t = type_make(DT_F32, 1, (const int64_t[]){0});
    assert_false(type_fits(&t));
    t = type_scalar(DT_F32);
    assert_true(type_fits(&t) && type_bytes(&t) == 4);
    t.dtype = DT_NONE;
    assert_false(type_fits(&t));
}

static const char *nearest(const char *wrong)
{
    Nearest n = nearest_of(wrong);
    nearest_try(&n, "momentum");
    nearest_try(&n, "lr");
    nearest_try(&n, "weight_decay");
    return nearest_name(&n);
}

static void test_nearest(void **state)
{
    (void)state;
    assert_string_equal(nearest("momentun"), "momentum");
    assert_string_equal(nearest("mometnum"), "momentum");
    assert_string_equal(nearest("rl"), "lr");
    assert_string_equal(nearest("weight-decay"), "weight_decay");
    assert_null(nearest("batch"));
    assert_null(nearest(""));
}

static bool same_number(const void *key, uint32_t id)
{
    return *(const uint32_t *)key == id;
}

/* All of many entries are found, though all of them share few hashes. */
static void test_hash_table(void **state)
{
    (void)state;
    Arena *a = arena_new();
    HashTable t = {0};
    for (uint32_t id = 1; id <= 500; id++)
        hash_add(&t, a, id % 7, id);
    for (uint32_t id = 1; id <= 500; id++)
        assert_int_equal(hash_find(&t, id % 7, same_number, &id), id);
    uint32_t absent = 501;
    assert_int_equal(hash_find(&t, 501 % 7, same_number, &absent), 0);
    assert_true(hash_text(0, "ab") != hash_text(0, "ba"));
    assert_true(hash_text(0, "") != hash_text(1, ""));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),      cmocka_unit_test(test_dtype_names),
        cmocka_unit_test(test_layout),     cmocka_unit_test(test_layout_valid),
        cmocka_unit_test(test_type_fits),  cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_hash_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
