/* dag_test.c: merging nodes of random acyclic graphs, against a plain search
 * for cycles; and that a long chain takes time in proportion. */
#include "dag.h"
#include "interp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { N = 24, GRAPHS = 300, MERGES = 40 };

typedef struct Plain {
    bool edge[N][N]; /* of the nodes as they were */
    int of[N];       /* which merged node each is part of */
} Plain;

static int below(uint64_t *state, int n)
{
    int k = (int)((interp_random(state) + 1) / 2 * n);
    return k < n ? k : n - 1;
}

/* Is there a way from a to b through at least `steps` edges between merged
 * nodes? */
static bool leads(const Plain *p, int a, int b, int steps)
{
    bool seen[N] = {false};
    int queue[N], depth[N] = {0}, n = 0;
    queue[n++] = a;
    for (int i = 0; i < n; i++)
        for (int x = 0; x < N; x++)
            for (int y = 0; y < N; y++) {
                int to = p->of[y];
                if (!p->edge[x][y] || p->of[x] != queue[i] || to == queue[i])
                    continue;
                if (to == b && depth[i] + 1 >= steps)
                    return true;
                if (to != b && to != a && !seen[to]) {
                    seen[to] = true;
                    depth[n] = depth[i] + 1;
                    queue[n++] = to;
                }
            }
    return false;
}

static void check_ranks(const Plain *p, Dag *d)
{
    for (uint32_t x = 0; x < N; x++)
        for (uint32_t y = 0; y < N; y++) {
            uint32_t a = dag_find(d, x), b = dag_find(d, y);
            assert_int_equal(p->of[x] == p->of[y], a == b);
            if (p->edge[x][y] && a != b)
                assert_true(d->rank[a] < d->rank[b]);
            if (a != b)
                assert_true(d->rank[a] != d->rank[b]);
        }
}

static void check_graph(uint64_t seed)
{
    Arena *a = arena_new();
    Plain p = {0};
    Dag d;
    dag_init(&d, a, N);
    for (int x = 0; x < N; x++) {
        p.of[x] = x;
        for (int y = x + 1; y < N; y++)
            if (below(&seed, 10) == 0) {
                p.edge[x][y] = true;
                dag_add_edge(&d, (uint32_t)x, (uint32_t)y);
            }
    }
    for (int i = 0; i < MERGES; i++) {
        int x = below(&seed, N), y = below(&seed, N);
        int a_part = p.of[x], b_part = p.of[y];
        bool may = a_part == b_part || (!leads(&p, a_part, b_part, 2) &&
                                        !leads(&p, b_part, a_part, 2));
        assert_int_equal(dag_merge(&d, (uint32_t)x, (uint32_t)y), may);
        for (int k = 0; may && k < N; k++)
            if (p.of[k] == b_part)
                p.of[k] = a_part;
        check_ranks(&p, &d);
    }
    arena_free(a);
}

static void test_random(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++)
        check_graph(seed);
}

/* Pairs along a chain, and pairs whose ends are far apart. */
static void test_long_chain(void **state)
{
    (void)state;
    enum { LONG = 200000 };
    Arena *a = arena_new();
    Dag d;
    dag_init(&d, a, LONG);
    for (uint32_t i = 0; i + 1 < LONG; i++) {
        dag_add_edge(&d, i, i + 1);
        if (i < LONG / 2)
            dag_add_edge(&d, i, LONG - 1 - i);
    }
    for (uint32_t i = 0; i + 2 < LONG / 2; i += 2) {
        assert_false(dag_merge(&d, i, LONG - 1 - i));
        assert_true(dag_merge(&d, i, i + 1));
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_long_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
