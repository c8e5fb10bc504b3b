/* advice_test.c: each rule of the advice, at figures where it speaks and at
 * others where it must not. */
#include "advice.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* A run that nothing can be said about. */
static AdviceFacts good(void)
{
    return (AdviceFacts){.epochs = 50,
                         .data_share = 0.01,
                         .eval_share = 0.1,
                         .first_loss = 2.3,
                         .loss = 0.4,
                         .best_loss = 0.4,
                         .accuracy = 0.9,
                         .test_accuracy = 0.89,
                         .best_accuracy = 0.89,
                         .since_best = 3,
                         .flat = 0.01,
                         .skipped = 0,
                         .seconds = 5000,
                         .images = "test",
                         .things = "images",
                         .classes = 10,
                         .threads = 8,
                         .cores = 8,
                         .planned = 1e9,
                         .memory = 16e9,
                         .batch = 128,
                         .augmented = true};
}

static void says(const AdviceFacts *f, const char *words)
{
    Advice a;
    advice_give(f, &a);
    assert_int_equal(a.n, 1);
    assert_non_null(strstr(a.text[0], words));
}

static void test_rules(void **state)
{
    (void)state;
    AdviceFacts f = good();
    Advice a;
    advice_give(&f, &a);
    assert_int_equal(a.n, 0);
    f.data_share = 0.34;
    says(&f, "34 % of the training time was spent waiting for data");
    f = good();
    f.threads = 2;
    says(&f, "2 of the machine's 8 cores");
    f = good();
    f.diverged = true;
    f.steps = 14;
    f.lr = 0.3;
    f.loss = 1.9; /* the rule about a rising loss is silent then */
    says(&f, "After 14 steps, at a learning rate of 0.3, numbers were no "
             "longer finite. Start again with a third of the rate (--lr 0.1)");
    f.f16 = true;
    says(&f, "precision = bf16");
    f = good();
    f.loss = 1.9;
    says(&f, "rose from 0.4 to 1.9");
    f = good();
    f.loss = f.best_loss = 2.31;
    f.accuracy = f.test_accuracy = f.best_accuracy = 0.1;
    says(&f, "guessing among 10 classes (2.3)");
    f = good();
    f.accuracy = 0.995;
    f.test_accuracy = 0.8;
    says(&f, "by heart. Add augmentation");
    f.augmented = false;
    says(&f, "by heart. Augment the images");
    f.images = "validation";
    says(&f, "80.0 % of the validation images");
    f = good();
    f.flat = 0.001;
    f.since_best = 14;
    says(&f, "stayed at 89.00 % for 14 epochs");
    f = good();
    f.since_best = 0;
    f.flat = 0.05;
    says(&f, "still rising when training ended (by 5.0 points");
    f = good();
    f.skipped = 0.25;
    says(&f, "25 % of the steps were skipped");
    f = good();
    f.eval_share = 0.4;
    says(&f, "eval_every=5");
    f = good();
    f.batch = 16;
    says(&f, "--set batch=64");
}

/* What is not known says nothing. */
static void test_unknown(void **state)
{
    (void)state;
    AdviceFacts f = good();
    Advice a;
    f.data_share = f.eval_share = f.first_loss = f.loss = f.best_loss = NAN;
    f.accuracy = f.test_accuracy = f.best_accuracy = f.flat = NAN;
    f.skipped = f.planned = f.memory = f.batch = NAN;
    f.threads = f.cores = f.classes = 0;
    advice_give(&f, &a);
    assert_int_equal(a.n, 0);
    History h = {0};
    f = advice_facts(&h);
    advice_give(&f, &a);
    assert_int_equal(a.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
