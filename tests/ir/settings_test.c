/* settings_test.c: values against the table, and the messages people see. */
#include "settings_groups.h"
#include <fnmatch.h>
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
        const char *key = s->key;
        if (s->group == GROUP_ONLY)
            key = arena_printf(f->a, "optimizer.group3%s", strrchr(key, '.'));
        assert_true(setting_spec(key) == s);
        assert_true(!s->value || set(f, key, s->value));
        assert_true(!s->value || s->group != GROUP_ONLY ||
                    !set(f, s->key, s->value));
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
        {"schedule", "step",
         "schedule: unknown word step (one of: constant multistep cosine "
         "cosine_restarts linear one_cycle)"},
        {"schedule", "",
         "schedule: unknown word  (one of: constant multistep cosine "
         "cosine_restarts linear one_cycle)"},
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
    assert_true(set(f, "schedule.at", "[0.5, 100]"));
    assert_false(finish(f));
    assert_true(set(f, "schedule.at", "[0.5, 0.75]") && finish(f));
    assert_true(set(f, "schedule.at", "[100, 150]") && finish(f));
    assert_true(set(f, "optimizer.nesterov", "true"));
    assert_false(finish(f));
    assert_true(set(f, "optimizer.momentum", "0.9") && finish(f));
    assert_true(set(f, "data.mean", "[1, 2, 3]") && finish(f));
    assert_true(set(f, "data.std", "[1]"));
    assert_false(finish(f));
}

/* The defaults that differ by kind pass the checks, and are of known kinds. */
static void test_defaults(void **state)
{
    Fixture *f = *state;
    char words[64], *rest = words;
    strcpy(words, setting_spec("optimizer")->words);
    for (char *kind; (kind = strtok_r(rest, " ", &rest));)
        for (const SettingSpec *s = setting_table; s->key; s++) {
            const char *value = setting_default(s, kind, f->a);
            if (s->by_kind && value)
                assert_true(set(f, s->key, value));
        }
    const SettingSpec *lr = setting_spec("optimizer.lr");
    assert_string_equal(setting_default(lr, "sgd", f->a), "0.1");
    assert_string_equal(setting_default(lr, "adamw", f->a), "0.001");
    assert_true(set(f, "optimizer", "muon") && finish(f));
    assert_true(settings_number(&f->s, "optimizer.momentum") == 0.95);
}

/* The last group that sets a key counts; one with an optimizer of its own
 * starts from that optimizer's defaults. */
static void test_groups(void **state)
{
    Fixture *f = *state;
    const char *const list[][2] = {
        {"optimizer.lr", "0.5"},
        {"optimizer.momentum", "0.9"},
        {"optimizer.group1.names", "*.bias bn*"},
        {"optimizer.group1.lr", "0.25"},
        {"optimizer.group2", "adam"},
        {"optimizer.group2.names", "conv*"},
        {"optimizer.group3.names", "conv1.*"},
        {"optimizer.group3.eps", "0.125"},
        {"optimizer.group31.names", "bn1.bias"},
        {"optimizer.group31.momentum", "0"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_true(set(f, list[i][0], list[i][1]));
    const struct {
        const char *name, *kind;
        double lr, momentum, eps;
    } wanted[] = {
        {"fc.weight", "sgd", 0.5, 0.9, 1e-8},
        {"fc.bias", "sgd", 0.25, 0.9, 1e-8},
        {"bn1.bias", "sgd", 0.25, 0, 1e-8},
        {"conv2.bias", "adam", 0.001, 0, 1e-8},
        {"conv1.bias", "adam", 0.001, 0, 0.125},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        Groups in = settings_groups(&f->s, wanted[i].name);
        assert_string_equal(settings_group_text(&f->s, in, "optimizer"),
                            wanted[i].kind);
        assert_true(settings_group_number(&f->s, in, "optimizer.lr") ==
                    wanted[i].lr);
        assert_true(settings_group_number(&f->s, in, "optimizer.momentum") ==
                    wanted[i].momentum);
        assert_true(settings_group_number(&f->s, in, "optimizer.eps") ==
                    wanted[i].eps);
    }
}

static void test_group_keys(void **state)
{
    Fixture *f = *state;
    char plain[GROUP_KEY] = "as before";
    assert_int_equal(setting_group("optimizer.group0.lr", plain), 0);
    assert_int_equal(setting_group("optimizer.group32.lr", plain), 0);
    assert_int_equal(setting_group("optimizer.group2x", plain), 0);
    assert_int_equal(setting_group("optimizer.group", plain), 0);
    assert_int_equal(setting_group("schedule.group1.lr", plain), 0);
    assert_string_equal(plain, "as before");
    assert_int_equal(setting_group("optimizer.group31", plain), 31);
    assert_string_equal(plain, "optimizer");
    assert_false(set(f, "optimizer.group1.clip_norm", "1"));
    assert_false(set(f, "optimizer.group1.qwertyuiop", "1"));
    assert_int_equal(f->s.n, 0);
}

/* Patterns against fnmatch of the C library, which knows more than *. */
static void test_patterns(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (int i = 0; i < 20000; i++) {
        char text[2][12] = {{0}};
        for (int k = 0; k < 2; k++)
            for (int n = 0; n < 10; n++) {
                random = random * 1664525 + 1013904223;
                unsigned letter = random >> 29;
                if (letter == 7)
                    break;
                text[k][n] = k || letter & 2 ? "ab."[letter % 3] : '*';
            }
        assert_true(pattern_matches(text[0], text[1]) ==
                    (fnmatch(text[0], text[1], 0) == 0));
    }
    assert_true(patterns_match("a b*", "bc") && !patterns_match("a b", "a b"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(test_table),          TEST(test_text_reads_back),
        TEST(test_replaces),       TEST(test_messages),
        TEST(test_finish),         TEST(test_wrong_kind),
        TEST(test_contradictions), TEST(test_defaults),
        TEST(test_groups),         TEST(test_group_keys),
        TEST(test_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
