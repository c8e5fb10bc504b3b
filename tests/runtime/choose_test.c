/* Which convolutions are to be cuDNN's, from times that are written down here:
 * a plan of copies of the training step, and a step that takes as long as its
 * table says. */
#include "bench_tune.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

enum { COPIES = 5, TURNS = 4 };

typedef struct Case {
    const char *graph[COPIES]; /* NULL-ended unless full */
    double ms[COPIES][TURNS];
    int turn[COPIES];
    bool prepared[COPIES];
} Case;

static bool prepare(void *context, int graph, Status *s)
{
    (void)s;
    return ((Case *)context)->prepared[graph] = true;
}

static bool steps(void *context, int graph, double *seconds, Status *s)
{
    Case *c = context;
    (void)s;
    assert_true(c->prepared[graph]);
    *seconds = 1e-3 * c->ms[graph][c->turn[graph]++];
    return true;
}

static void choose(Case *c, TileTable *t)
{
    PlanGraph graph[COPIES] = {{0}};
    Plan plan = {.graphs = graph};
    Status s = {0};
    for (; plan.n_graphs < COPIES && c->graph[plan.n_graphs]; plan.n_graphs++)
        graph[plan.n_graphs].name = c->graph[plan.n_graphs];
    const TuneOptions o = {
        .turns = TURNS, .prepare = prepare, .steps = steps, .context = c};
    assert_true(choose_run(&plan, &o, t, &s));
}

static void is_row(const TileTable *t, const char *name, const char *who,
                   const char *how, double best, double other)
{
    const TileRow *row = tiles_find(t, name);
    assert_non_null(row);
    assert_string_equal(row->who, who);
    assert_string_equal(row->tile, how);
    assert_true(row->best > 0.999e3 * best && row->best < 1.001e3 * best);
    assert_true(row->model > 0.999e3 * other && row->model < 1.001e3 * other);
}

/* Each by itself, where the other way is clearly faster. */
static void test_single(void **state)
{
    (void)state;
    TileTable t = {0};
    Case c = {{"train.base", "train.cudnn.a", "train.cudnn.b", "train.cudnn.c",
               "train.cudnn.all"},
              {{10, 10, 10, 10},
               {9, 9, 9, 9},
               {11, 11, 11, 11},
               {8, 9, 11, 12}, /* perhaps; more than its turns differ? no */
               {9.5, 9.5, 9.5, 9.5}},
              {0},
              {0}};
    choose(&c, &t);
    assert_int_equal(t.n, 3);
    is_row(&t, "a", "cudnn", "-", 9, 10);
    is_row(&t, "b", "tgc", "-", 10, 11);
    is_row(&t, "c", "tgc", "-", 10, 11);
    tiles_free(&t);
}

/* What is lost once for both is no loss where both are so. */
static void test_all(void **state)
{
    (void)state;
    TileTable t = {0};
    Case c = {{"train", "train.base", "train.cudnn.a", "train.cudnn.b",
               "train.cudnn.all"},
              {{0},
               {10, 11, 10, 10},
               {10.5, 10.5, 10.5, 10.5},
               {9.5, 9.5, 9.5, 9.5},
               {8, 8, 8, 8}},
              {0},
              {0}};
    choose(&c, &t);
    is_row(&t, "a", "cudnn", "all", 8, 10);
    is_row(&t, "b", "cudnn", "all", 8, 10);
    tiles_free(&t);
}

/* A mixture that came from single times and does not hold: back to ours. */
static void test_mixture(void **state)
{
    (void)state;
    TileTable t = {0};
    Case c = {{"train.base", "train.tgc.a", "train.cudnn.b", "train.tgc.all",
               "train.cudnn.all"},
              {{10, 10, 10, 10},
               {10, 10, 10, 10},
               {12, 12, 12, 12},
               {9, 9, 9, 9},
               {9.5, 9.5, 9.5, 9.5}},
              {0},
              {0}};
    choose(&c, &t);
    is_row(&t, "a", "tgc", "all", 9, 10);
    is_row(&t, "b", "tgc", "all", 9, 10);
    tiles_free(&t);
}

/* One of a mixture goes back, the other stays whose it was. */
static void test_back(void **state)
{
    (void)state;
    TileTable t = {0};
    Case c = {{"train.base", "train.tgc.a", "train.tgc.b", "train.cudnn.c"},
              {{10, 10, 10, 10},
               {9, 9, 9, 9},
               {10.5, 10.5, 10.5, 10.5},
               {10, 10, 10, 10}},
              {0},
              {0}};
    choose(&c, &t);
    is_row(&t, "a", "tgc", "-", 9, 10);
    is_row(&t, "b", "cudnn", "-", 10, 10.5);
    is_row(&t, "c", "tgc", "-", 10, 10);
    tiles_free(&t);
}

static void test_nothing(void **state)
{
    (void)state;
    TileTable t = {0};
    Case c = {{"train", "eval", "train_part"}, {{0}}, {0}, {0}};
    choose(&c, &t);
    assert_int_equal(t.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single), cmocka_unit_test(test_all),
        cmocka_unit_test(test_mixture), cmocka_unit_test(test_back),
        cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
