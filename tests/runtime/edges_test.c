/* Which tasks of a graph wait for which: all pairs that use the same bytes, one
 * to write, are ordered, and no others; what another edge leads to is left out;
 * over many random lists of tasks, against a walk over all pairs. */
#include "edges.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 300, SPANS = 4 };

static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % below;
}

typedef struct List {
    EdgeTask task[MOST];
    EdgeSpan span[MOST][SPANS];
    uint32_t n;
} List;

typedef struct Before {
    bool is[MOST][MOST]; /* [k][p]: task k comes after p */
} Before;

static bool collide(const EdgeTask *a, const EdgeTask *b)
{
    for (uint32_t i = 0; i < a->n_spans; i++)
        for (uint32_t k = 0; k < b->n_spans; k++) {
            const EdgeSpan *x = &a->span[i], *y = &b->span[k];
            if ((x->written || y->written) && x->bytes && y->bytes &&
                x->offset < y->offset + y->bytes &&
                y->offset < x->offset + x->bytes)
                return true;
        }
    return false;
}

/* Task k comes after p, and after all that p comes after. */
static void put_after(Before *b, uint32_t k, uint32_t p)
{
    b->is[k][p] = true;
    for (uint32_t i = 0; i < p; i++)
        b->is[k][i] |= b->is[p][i];
}

static Before *by_pairs(const List *l)
{
    Before *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (uint32_t k = 0; k < l->n; k++)
        for (uint32_t p = 0; p < k; p++)
            if (collide(&l->task[k], &l->task[p]))
                put_after(b, k, p);
    return b;
}

static Before *by_edges(const Edges *e)
{
    Before *b = calloc(1, sizeof *b);
    assert_non_null(b);
    for (uint32_t k = 0; k < e->n; k++)
        for (uint32_t i = e->start[k]; i < e->start[k + 1]; i++) {
            assert_true(e->to[i] < k);
            put_after(b, k, e->to[i]);
        }
    return b;
}

/* Edges that others make unnecessary. */
static uint32_t count_spare(const Edges *e, const Before *b)
{
    uint32_t spare = 0;
    for (uint32_t k = 0; k < e->n; k++)
        for (uint32_t i = e->start[k]; i < e->start[k + 1]; i++) {
            bool led = false;
            for (uint32_t j = e->start[k]; j < e->start[k + 1]; j++)
                led |= b->is[e->to[j]][e->to[i]];
            spare += led;
        }
    return spare;
}

static uint32_t longest(const Before *b, uint32_t n)
{
    uint32_t depth[MOST] = {0}, most = 0;
    for (uint32_t k = 0; k < n; k++) {
        for (uint32_t p = 0; p < k; p++)
            if (b->is[k][p] && depth[p] > depth[k])
                depth[k] = depth[p];
        depth[k]++;
        most = depth[k] > most ? depth[k] : most;
    }
    return most;
}

/* Spans of up to `wide` bytes among `room`. */
static void draw_list(List *l, uint32_t n, uint32_t room, uint32_t wide,
                      uint64_t *state)
{
    l->n = n;
    for (uint32_t k = 0; k < n; k++) {
        l->task[k] = (EdgeTask){l->span[k], draw(state, SPANS + 1)};
        for (uint32_t i = 0; i < SPANS; i++)
            l->span[k][i] = (EdgeSpan){draw(state, room), draw(state, wide + 1),
                                       !draw(state, 3)};
    }
}

/* Returns the edges that were spared too few. */
static uint32_t check(const List *l)
{
    Edges e;
    Status s = {0};
    assert_true(edges_find(l->task, l->n, &e, &s));
    assert_int_equal(e.n, l->n);
    Before *wanted = by_pairs(l), *found = by_edges(&e);
    assert_memory_equal(wanted, found, sizeof *wanted);
    assert_int_equal(edges_longest(&e), longest(wanted, l->n));
    uint32_t spare = count_spare(&e, found);
    free(wanted);
    free(found);
    edges_free(&e);
    return spare;
}

static void test_random(void **state)
{
    (void)state;
    static const uint32_t rooms[] = {6, 60, 1000, 100000};
    List *l = malloc(sizeof *l);
    assert_non_null(l);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t random = seed;
        uint32_t room = rooms[seed % 4], n = 1 + draw(&random, 60);
        draw_list(l, n, room, 1 + room / (2 + draw(&random, 30)), &random);
        /* Fewer tasks than chains: all that is not needed is found. */
        assert_int_equal(check(l), 0);
        draw_list(l, MOST, room, 1 + room / (2 + draw(&random, 30)), &random);
        check(l);
    }
    free(l);
}

/* Forward and back again: y[k] = f(y[k-1]); then d[k-1] = g(d[k], y[k]) beside
 * w[k] = h(d[k], y[k-1]), then all w at once. */
static uint32_t net_tasks(EdgeTask *task, EdgeSpan *span, uint32_t layers)
{
    uint32_t n = 0;
#define TASK(...)                                                              \
    do {                                                                       \
        const EdgeSpan use[] = {__VA_ARGS__};                                  \
        memcpy(span, use, sizeof use);                                         \
        task[n++] = (EdgeTask){span, sizeof use / sizeof *use};                \
        span += sizeof use / sizeof *use;                                      \
    } while (0)
    int64_t y = 0, d = 64 * (int64_t)(layers + 1), w = 2 * d, all = 3 * d;
    for (int64_t k = 64; k < d; k += 64)
        TASK({y + k, 64, true}, {y + k - 64, 64, false});
    for (int64_t k = d - 64; k > 0; k -= 64) {
        TASK({w + k, 64, true}, {d + k, 64, false}, {y + k - 64, 64, false});
        TASK({d + k - 64, 64, true}, {d + k, 64, false}, {y + k, 64, false});
    }
    TASK({all, 64, true}, {w, d, false});
#undef TASK
    return n;
}

/* Edges of a net grow with its depth, and an activation that waits for the
 * backward pass costs none. */
static void test_net(void **state)
{
    (void)state;
    enum { LAYERS = 4000 };
    EdgeTask *task = calloc(3 * LAYERS + 1, sizeof *task);
    EdgeSpan *span = calloc(9 * LAYERS + 2, sizeof *span);
    assert_true(task && span);
    Edges e;
    Status s = {0};
    uint32_t n = net_tasks(task, span, LAYERS);
    assert_int_equal(n, 3 * LAYERS + 1);
    assert_true(edges_find(task, n, &e, &s));
    /* Forward, back, and the last gradient of weights with the sum. */
    assert_int_equal(edges_longest(&e), 2 * LAYERS + 1);
    /* One for each, and the sum's for each of the weights' gradients. */
    assert_true(e.start[n] <= 4 * LAYERS);
    edges_free(&e);
    free(task);
    free(span);
}

static void test_none(void **state)
{
    (void)state;
    Edges e;
    Status s = {0};
    assert_true(edges_find(NULL, 0, &e, &s));
    assert_int_equal(edges_longest(&e), 0);
    edges_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_net),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
