/* settings_test.c: values against the table, and the messages people see. */
#include "settings.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

typedef struct Fixture {
    Arena *a;
    Settings s;
    char error[256];
    uint32_t loc;
} Fixture;

static int begin(void **state)
{
    Arena *a = arena_new();
    Fixture *f = arena_alloc(a, sizeof *f);
    f->a = a;
    *state = f;
    return 0;
}

static int end(void **state)
{
    arena_free(((Fixture *)*state)->a);
    return 0;
}

static bool set(Fixture *f, const char *key, const char *text)
{
    f->error[0] = 0;
    return settings_set_text(&f->s, f->a, key, text, 7, f->error,
                             sizeof f->error);
}

static bool finish(Fixture *f)
{
    return settings_finish(&f->s, f->a, f->error, sizeof f->error, &f->loc);
}

/* Every default passes its own checks, every key of a section has the section
 * in the table, and every entry is explained. */
static void test_table(void **state)
{
    Fixture *f = *state;
    for (const SettingSpec *s = setting_table; s->key; s++) {
        const char *dot = strchr(s->key, '.');
        assert_true(setting_spec(s->key) == s);
        assert_non_null(s->doc);
        assert_true(!s->value || set(f, s->key, s->value));
        assert_true((s->type == SET_WORD) == (s->words != NULL));
        if (dot) {
            char section[64] = {0};
            memcpy(section, s->key, (size_t)(dot - s->key));
            assert_non_null(setting_spec(section));
        }
    }
}

static void test_text_reads_back(void **state)
{
    Fixture *f = *state;
    const char *const list[][2] = {
        {"batch", "64"},
        {"optimizer.lr", "0.1"},
        {"optimizer.weight_decay", "0.10000000000000002"},
        {"optimizer.nesterov", "true"},
        {"schedule", "cosine"},
        {"schedule.at", "[100, 150.5]"},
        {"data.mean", "[]"},
        {"seed", "9007199254740992"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        assert_true(set(f, list[i][0], list[i][1]));
        const SettingValue *v = settings_get(&f->s, list[i][0]);
        assert_string_equal(setting_value_text(v, f->a), list[i][1]);
    }
    assert_true(settings_number(&f->s, "seed") == 9007199254740992.0);
    for (size_t i = 1; i < f->s.n; i++)
        assert_true(strcmp(f->s.item[i - 1].key, f->s.item[i].key) < 0);
}

static void test_replaces(void **state)
{
    Fixture *f = *state;
    assert_true(set(f, "batch", "64") && set(f, "batch", "32"));
    assert_int_equal(f->s.n, 1);
    assert_true(settings_number(&f->s, "batch") == 32);
    assert_true(settings_number(&f->s, "epochs") == 200); /* the default */
    assert_null(settings_get(&f->s, "epochs"));
    assert_string_equal(settings_text(&f->s, "data"), "");
}

static void test_messages(void **state)
{
    Fixture *f = *state;
    const char *const list[][3] = {
        {"optimizer.momentun", "0.9",
         "unknown setting optimizer.momentun (did you mean "
         "optimizer.momentum?)"},
        {"momentum", "0.9",
         "unknown setting momentum (did you mean optimizer.momentum?)"},
        {"qwertyuiop", "1", "unknown setting qwertyuiop"},
        {"batch", "1.5", "batch: 1.5 is not a whole number"},
        {"batch", "0", "batch: 0 is out of range (1 to 16777216)"},
        {"batch", "many", "batch must be a whole number, not many"},
        {"batch", "64 64", "batch must be a whole number, not 64 64"},
        {"optimizer.lr", "nan",
         "optimizer.lr: nan is out of range (0 to 1e+30)"},
        {"optimizer.nesterov", "yes",
         "optimizer.nesterov must be true or false, not yes"},
        {"schedule", "linear",
         "schedule: unknown word linear (one of: constant multistep cosine)"},
        {"schedule", "",
         "schedule: unknown word  (one of: constant multistep cosine)"},
        {"tail", "drop keep",
         "tail: unknown word drop keep (one of: drop "
         "keep)"},
        {"data.std", "[0.5, 0]",
         "data.std: 0 is out of range (at least "
         "1e-12)"},
        {"data.mean", "[0.5", "data.mean must be a list of numbers, not [0.5"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        assert_false(set(f, list[i][0], list[i][1]));
        assert_string_equal(f->error, list[i][2]);
    }
    assert_int_equal(f->s.n, 0);
}

static void test_finish(void **state)
{
    Fixture *f = *state;
    assert_true(set(f, "schedule", "multistep"));
    assert_true(finish(f));
    assert_true(settings_get(&f->s, "schedule.gamma")->number == 0.1);
    assert_null(settings_get(&f->s, "schedule.min_lr")); /* cosine's */
    assert_null(settings_get(&f->s, "schedule.at"));     /* no default */
}

static void test_wrong_kind(void **state)
{
    Fixture *f = *state;
    assert_true(set(f, "schedule.gamma", "0.5"));
    assert_false(finish(f));
    assert_string_equal(f->error, "schedule.gamma: not a setting of constant "
                                  "(only of: multistep)");
    assert_int_equal(f->loc, 7);
}

static void test_contradictions(void **state)
{
    Fixture *f = *state;
    assert_true(set(f, "schedule", "multistep"));
    assert_true(set(f, "schedule.at", "[150, 100]"));
    assert_false(finish(f));
    assert_string_equal(f->error,
                        "schedule.at: 100 after 150 (epochs must rise)");
    assert_true(set(f, "schedule.at", "[100, 150]") && finish(f));
    assert_true(set(f, "optimizer.nesterov", "true"));
    assert_false(finish(f));
    assert_true(set(f, "optimizer.momentum", "0.9") && finish(f));
    assert_true(set(f, "data.mean", "[1, 2, 3]") && finish(f));
    assert_true(set(f, "data.std", "[1]"));
    assert_false(finish(f));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_table),          TEST(test_text_reads_back),
        TEST(test_replaces),       TEST(test_messages),
        TEST(test_finish),         TEST(test_wrong_kind),
        TEST(test_contradictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
