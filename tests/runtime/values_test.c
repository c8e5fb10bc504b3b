/* values_test.c: random numbers, schedules, settings, and numbers as people
 * write them. */
#include "config.h"
#include "cpu.h"
#include "format.h"
#include "number.h"
#include "rng.h"
#include "schedule.h"
#include "suggest.h"
#include "types.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* kat_vectors of Random123, philox4x32 with 10 rounds. */
static void test_philox(void **state)
{
    (void)state;
    const uint32_t key[3][2] = {{0, 0}, {~0u, ~0u}, {0xa4093822, 0x299f31d0}};
    const uint32_t counter[3][4] = {
        {0, 0, 0, 0},
        {~0u, ~0u, ~0u, ~0u},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}};
    const uint32_t want[3][4] = {
        {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}};
    for (int i = 0; i < 3; i++) {
        uint32_t got[4];
        rng_philox(key[i], counter[i], got);
        assert_memory_equal(got, want[i], sizeof got);
    }
    for (uint64_t e = 0; e < 4; e++)
        assert_int_equal(rng_u32(0, 0, 0, e), want[0][e]);
    assert_true(rng_below(~0u, 10) == 9 && rng_below(0, 10) == 0);
    assert_true(rng_unit(~0u) < 1 && rng_unit(0) == 0);
}

static const PlanSetting settings[] = {
    {"epochs", "10", true, PLAN_SET_INT, NULL, NULL, 0, 1e9, NULL},
    {"optimizer.lr", "0.5", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e6, NULL},
    {"schedule", "constant", true, PLAN_SET_WORD, "constant multistep cosine",
     NULL, 0, 0, NULL},
    {"schedule.at", NULL, true, PLAN_SET_NUMBERS, NULL, NULL, 0, 1e9, NULL},
    {"schedule.gamma", "0.1", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e6, NULL},
    {"schedule.min_lr", "0.1", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e6, NULL},
    {"schedule.warmup_epochs", "0", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e9,
     NULL},
    {"schedule.warmup_factor", "0.25", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1,
     NULL},
    {"batch", "128", false, PLAN_SET_INT, NULL, NULL, 1, 1e6, NULL},
};
static const Plan plan = {.settings = settings,
                          .n_settings = sizeof settings / sizeof *settings};

static Config config_of(const char *const *assign)
{
    Config c;
    Status s = {0};
    assert_true(config_open(&c, &plan, &s));
    for (; *assign; assign++)
        if (!config_assign(&c, *assign, &s))
            fail_msg("%s", s.text);
    return c;
}

static double rate(const char *const *assign, int64_t epoch, double position)
{
    Config c = config_of(assign);
    Status s = {0};
    Schedule x;
    if (!schedule_open(&x, &c, &s))
        fail_msg("%s", s.text);
    config_close(&c);
    return schedule_lr(&x, epoch, position);
}

static void assert_near(double got, double want)
{
    if (fabs(got - want) > 1e-12)
        fail_msg("got %.15g, wanted %.15g", got, want);
}

static void test_schedule(void **state)
{
    (void)state;
    const char *const constant[] = {NULL};
    const char *const steps[] = {"schedule=multistep", "schedule.at=[2, 5]",
                                 NULL};
    const char *const cosine[] = {"schedule=cosine", NULL};
    const char *const warm[] = {"schedule.warmup_epochs=1.5", NULL};
    assert_near(rate(constant, 7, 0.5), 0.5);
    assert_near(rate(steps, 1, 0.99), 0.5);
    assert_near(rate(steps, 2, 0), 0.05);
    assert_near(rate(steps, 4, 0), 0.05);
    assert_near(rate(steps, 5, 0), 0.005);
    assert_near(rate(cosine, 0, 0), 0.5);
    assert_near(rate(cosine, 5, 0), 0.3); /* half way */
    assert_near(rate(cosine, 2, 0.5), 0.1 + 0.4 * (1 + sqrt(0.5)) / 2);
    assert_near(rate(cosine, 10, 0), 0.1);
    assert_near(rate(warm, 1, 0.25), 0.125);
    assert_near(rate(warm, 1, 0.5), 0.5);
}

static void test_config(void **state)
{
    (void)state;
    const char *const none[] = {NULL};
    Config c = config_of(none);
    const struct {
        const char *assign, *says;
    } bad[] = {
        {"optimizer.rl=1", "did you mean optimizer.lr?"},
        {"nothing=1", "there is no setting nothing"},
        {"batch=64", "--set batch=64"},
        {"epochs=1.5", "not a whole number"},
        {"epochs=many", "not a number"},
        {"epochs=", "not a number"},
        {"optimizer.lr=-1", "out of range"},
        {"optimizer.lr=nan", "not a number"},
        {"optimizer.lr=1e400", "not a number"},
        {"schedule=linear", "none of: constant multistep cosine"},
        {"schedule=multi", "none of"},
        {"schedule.at=[1, 2", "not a list"},
        {"epochs", "KEY=VALUE"},
        {"=3", "KEY=VALUE"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Status s = {0};
        assert_false(config_assign(&c, bad[i].assign, &s));
        if (!strstr(s.text, bad[i].says))
            fail_msg("%s gives \"%s\"", bad[i].assign, s.text);
    }
    Status s = {0};
    double at[4];
    assert_true(config_assign(&c, "schedule.at=[1, 2.5]", &s));
    assert_int_equal(config_list(&c, "schedule.at", at, 4), 2);
    assert_near(at[1], 2.5);
    assert_true(config_given(&c, "schedule.at"));
    assert_false(config_given(&c, "epochs"));
    assert_int_equal(config_int(&c, "batch", 0), 128);
    assert_int_equal(config_int(&c, "absent", 7), 7);
    config_close(&c);
}

static void test_text(void **state)
{
    (void)state;
    char t[64];
    double v[3];
    assert_string_equal(format_bytes(1536, t, sizeof t), "1.50 KiB");
    assert_string_equal(format_bytes(5, t, sizeof t), "5 bytes");
    assert_string_equal(format_duration(7500, t, sizeof t), "2h05m");
    assert_string_equal(format_duration(NAN, t, sizeof t), "?");
    assert_string_equal(format_count(1234567, t, sizeof t), "1,234,567");
    assert_string_equal(format_count(-999, t, sizeof t), "-999");
    assert_string_equal(format_json("a\"b\\\x01", t, sizeof t),
                        "a\\\"b\\\\\\u0001");
    assert_int_equal(number_list("[]", v, 3), 0);
    assert_int_equal(number_list("0.5", v, 3), 1);
    assert_int_equal(number_list("[1, 2, 3, 4]", v, 3), -1);
    assert_int_equal(number_list("[1,]", v, 3), -1);
    Suggestion s = suggest_for("optimizer.momentun");
    suggest_offer(&s, "optimizer.lr");
    suggest_offer(&s, "optimizer.momentum");
    assert_string_equal(suggest_best(&s), "optimizer.momentum");
    s = suggest_for("zebra");
    suggest_offer(&s, "batch");
    assert_null(suggest_best(&s));
}

static void test_types(void **state)
{
    (void)state;
    /* [2,3] kept column by column. */
    const PlanType t = {PLAN_F32, 2, {2, 3}, {1, 2}};
    const float columns[6] = {1, 4, 2, 5, 3, 6};
    float rows[6], back[6];
    assert_false(type_plain(&t));
    type_gather(&t, columns, rows);
    for (int i = 0; i < 6; i++)
        assert_true(rows[i] == (float)(i + 1));
    type_scatter(&t, rows, back);
    assert_memory_equal(back, columns, sizeof back);
    const float bad[3] = {1, INFINITY, 2};
    assert_int_equal(dtype_first_not_finite(PLAN_F32, bad, 3), 1);
    const uint16_t half[2] = {0x7bff, 0x7c00}, brain[2] = {0x7f7f, 0xffff};
    assert_int_equal(dtype_first_not_finite(PLAN_F16, half, 2), 1);
    assert_int_equal(dtype_first_not_finite(PLAN_BF16, brain, 2), 1);
}

static void test_cpu(void **state)
{
    (void)state;
    Status s = {0};
    assert_true(cpu_check("native" PLAN_CPU_FEATURES, &s));
    assert_true(cpu_check(NULL, &s));
    assert_true(cpu_check("x86-64-v9 something", &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox), cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_config), cmocka_unit_test(test_text),
        cmocka_unit_test(test_types),  cmocka_unit_test(test_cpu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
