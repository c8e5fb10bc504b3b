/* optimum_test.c: what the pass checkpoint chooses, against the true optimum of
 * small random chains and graphs, found by trying everything.
 *
 * The model that both are held to: every step of the backward pass runs once,
 * in the order that pass schedule gives them.  A step of the forward pass may
 * run at any time, any number of times, where its operands are in memory.  A
 * value may be forgotten at any time.  A result may be written over an operand
 * that is forgotten at that step, where the kernel allows it.  At no step may
 * the bytes in memory exceed the budget.  Time is the sum of the steps' times.
 *
 * The optimum is the shortest way through the states (steps of the backward
 * pass done, set of forward values in memory): Dijkstra's algorithm.  It need
 * not place values in an arena; the pass must, so it is held to more. */
#include "build.h"
#include "checkpoint.h"
#include "interp.h"
#include "memory.h"
#include "random_graph.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum {
    NODES_MOST = 12,
    BACKWARD_MOST = 64,
    ROWS = 512,
    GRAPHS = 20,
    BUDGETS = 4
};

/* ---- random nets --------------------------------------------------------- */

static int below(uint64_t *state, int n)
{
    int k = (int)((interp_random(state) + 1) / 2 * n);
    return k < n ? k : n - 1;
}

typedef struct Net {
    Module *m;
    Graph *g;
    uint64_t *seed;
    Value value[NODES_MOST + 1]; /* [ROWS, width] */
    int n;
} Net;

static Value product(Net *x, Value v, int64_t width)
{
    char name[32];
    const Type *t = graph_type(x->g, v);
    snprintf(name, sizeof name, "w%d", (int)x->m->n_states);
    State s = {.name = arena_strdup(x->m->arena, name),
               .of = "",
               .type = type_make(DT_F32, 2, (int64_t[]){t->dim[1], width}),
               .role = STATE_PARAM,
               .init = INIT_UNIFORM,
               .init_a = -1,
               .init_b = 1};
    module_add_state(x->m, &s);
    Value in[] = {v, ir_state(x->g, s.name)};
    return ir_node(x->g, op_named("matmul"), in, 2, NULL, 0);
}

static Value any_unary(Net *x, Value v)
{
    static const char *const op[] = {"tanh", "exp", "sqrt"};
    return ir_unary(x->g, op_named(op[below(x->seed, 3)]), v);
}

/* A chain goes on from the last value; its widths differ. */
static Value next_of_chain(Net *x)
{
    Value v = x->value[x->n - 1];
    return below(x->seed, 2) ? any_unary(x, v)
                             : product(x, v, 16 << below(x->seed, 3));
}

/* A graph takes the last value and maybe another. */
static Value next_of_graph(Net *x)
{
    Value v = x->value[x->n - 1], other = x->value[below(x->seed, x->n)];
    switch (below(x->seed, 4)) {
    case 0:
        return any_unary(x, v);
    case 1:
        return product(x, v, 32);
    case 2:
        return ir_mul(x->g, v, other);
    default:
        return ir_node(x->g, op_named("max"), (Value[]){v, other}, 2, NULL, 0);
    }
}

static Module *random_net(uint64_t seed, bool chain)
{
    Net x = {.m = module_new("random"), .seed = &seed};
    x.g = graph_new(x.m, "train");
    Type t = type_make(DT_F32, 2, (int64_t[]){ROWS, 32});
    x.value[x.n++] = product(&x, ir_input(x.g, "image", &t), 32);
    int nodes = 6 + below(&seed, NODES_MOST - 6);
    while (x.n < nodes) {
        char name[16];
        snprintf(name, sizeof name, "v%d", x.n);
        x.g->hint = name;
        x.value[x.n] = chain ? next_of_chain(&x) : next_of_graph(&x);
        x.n++;
    }
    x.g->hint = NULL;
    Value last = x.value[x.n - 1];
    ir_output(x.g, "loss", ir_sum_all(x.g, ir_mul(x.g, last, last)));
    module_add_graph(x.m, x.g);
    return x.m;
}

/* ---- a machine ----------------------------------------------------------- */

/* Each node has a time of its own, by its name; products take longer. */
static double random_seconds(const Target *t, const Graph *g, const Step *s)
{
    (void)t;
    const Node *n = &g->node[s->first];
    unsigned k = n->name ? (unsigned)n->name[strlen(n->name) - 1] : 0;
    return (double)(1 + k % 4) * (node_is(n, &op_matmul) ? 4 : 1);
}

static Target test_target(void)
{
    Target t = plain_target;
    t.seconds = random_seconds;
    t.scratch = NULL;
    return t;
}

static double all_seconds(const Graph *g, const Target *t)
{
    double sum = 0;
    Arena *a = arena_new();
    Steps s = graph_steps(g, a);
    for (uint32_t k = 0; k < s.n; k++)
        sum += t->seconds(t, g, &s.step[k]);
    arena_free(a);
    return sum;
}

static void run_pass(const Pass *p, Module *m, PassContext *c)
{
    if (!p->run(m, c))
        fail_msg("%s: %s", p->name, c->error.text);
}

/* ---- the optimum --------------------------------------------------------- */

typedef struct Op {
    double seconds;
    uint32_t reads; /* set of forward values */
    int64_t writes; /* bytes of its result that is a forward value */
    uint32_t over;  /* forward values that its result may be written over */
} Op;

typedef struct Problem {
    Op forward[NODES_MOST + 1], backward[BACKWARD_MOST];
    int64_t bytes[NODES_MOST + 1];
    int64_t before[BACKWARD_MOST + 1]; /* gradients live before step b */
    int64_t during[BACKWARD_MOST];     /* with its results, none over forward */
    int64_t saved[BACKWARD_MOST]; /* less where one is over a forward one */
    int n, n_backward;
    int64_t budget;
} Problem;

static int64_t set_bytes(const Problem *p, uint32_t set)
{
    int64_t sum = 0;
    for (int i = 0; i < p->n; i++)
        sum += set >> i & 1 ? p->bytes[i] : 0;
    return sum;
}

/* Which forward value v is; -1: none that counts. */
static int number_of(const Chain *c, const int *number, Value v)
{
    uint32_t k = c->steps.of[v.node];
    return k == NO_STEP ? -1 : number[k];
}

static uint32_t reads_of(const Chain *c, const int *number, const Step *s)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < s->n_in; i++) {
        int v = number_of(c, number, s->in[i]);
        set |= v >= 0 ? 1u << v : 0;
    }
    return set;
}

static uint32_t over_of(const Chain *c, const int *number, const Step *s)
{
    uint32_t set = 0;
    for (uint32_t i = 0; s->n_out == 1 && i < s->n_in; i++) {
        int v = number_of(c, number, s->in[i]);
        if (v >= 0 &&
            type_bytes(graph_type(c->g, s->in[i])) ==
                type_bytes(graph_type(c->g, s->out[0])) &&
            step_may_overwrite(c->g, s, s->out[0], s->in[i]))
            set |= 1u << v;
    }
    return set;
}

/* The last step that reads v; an output does so to the end. */
static uint32_t last_reader(const Chain *c, Value v, uint32_t from)
{
    uint32_t last = from;
    for (uint32_t k = from; k < c->steps.n; k++)
        for (uint32_t i = 0; i < c->steps.step[k].n_in; i++)
            if (value_equal(c->steps.step[k].in[i], v))
                last = k;
    for (uint32_t id = 1; id < c->g->n_nodes; id++)
        if (node_has(&c->g->node[id], T_ROOT) && c->steps.of[id] == NO_STEP &&
            value_equal(c->g->node[id].in[0], v))
            last = c->steps.n - 1;
    return last;
}

/* Is some result of step k that is not a forward value written over v, which
 * is not read after it?  Operands before v in the list are taken first. */
static bool is_overwritten(const Chain *c, const int *number, Value v,
                           uint32_t k)
{
    const Step *s = &c->steps.step[k];
    for (uint32_t o = 0; number[k] < 0 && o < s->n_out; o++)
        if (type_bytes(graph_type(c->g, s->out[o])) ==
                type_bytes(graph_type(c->g, v)) &&
            c->g->memory
                    ->buffer[c->g->memory
                                 ->of[s->out[o].node * MAX_OUT + s->out[o].out]]
                    .kind != BUF_STATE &&
            step_may_overwrite(c->g, s, s->out[o], v))
            return true;
    return false;
}

/* Bytes of results that are not forward values, by step of the backward pass:
 * as many as may be are written over others. */
static void find_gradients(Problem *p, const Chain *c, const int *number,
                           const uint32_t *place)
{
    for (uint32_t from = 0; from < c->steps.n; from++)
        for (uint32_t i = 0; i < c->steps.step[from].n_out; i++) {
            Value v = c->steps.step[from].out[i];
            const MemoryPlan *m = c->g->memory;
            const Buffer *b = &m->buffer[m->of[v.node * MAX_OUT + v.out]];
            uint32_t last = last_reader(c, v, from);
            bool over = last > from && is_overwritten(c, number, v, last);
            int64_t room = memory_align(type_bytes(graph_type(c->g, v)));
            if (number[from] >= 0 || b->kind == BUF_STATE)
                continue;
            for (int k = 0; k < p->n_backward; k++) {
                bool inside = from < place[k] && place[k] <= last;
                p->before[k] += inside ? room : 0;
                if (from == place[k] || (inside && !(over && place[k] == last)))
                    p->during[k] += room;
            }
        }
}

static Problem problem_of(const Chain *c, const Target *t, Arena *a)
{
    Problem p = {0};
    int *number = arena_array(a, c->steps.n + 1, sizeof *number);
    uint32_t place[BACKWARD_MOST];
    for (uint32_t k = 0; k < c->steps.n; k++)
        number[k] = c->step[k].forward && c->step[k].big ? p.n++ : -1;
    for (uint32_t k = 0; k < c->steps.n; k++) {
        const Step *s = &c->steps.step[k];
        Op op = {.seconds = t->seconds(t, c->g, s),
                 .reads = reads_of(c, number, s),
                 .over = over_of(c, number, s)};
        if (number[k] >= 0) {
            p.bytes[number[k]] = c->step[k].big;
            op.writes = c->step[k].big;
            p.forward[number[k]] = op;
        } else if (!c->step[k].forward || op.reads) {
            assert_true(p.n_backward < BACKWARD_MOST);
            if (s->n_out == 1)
                p.saved[p.n_backward] =
                    memory_align(type_bytes(graph_type(c->g, s->out[0])));
            place[p.n_backward] = k;
            p.backward[p.n_backward++] = op;
        }
    }
    find_gradients(&p, c, number, place);
    return p;
}

typedef struct Queue {
    struct {
        double seconds;
        uint32_t state;
    } * item;
    size_t n;
} Queue;

static void push(Queue *q, double seconds, uint32_t state)
{
    size_t i = q->n++;
    for (; i && q->item[(i - 1) / 2].seconds > seconds; i = (i - 1) / 2)
        q->item[i] = q->item[(i - 1) / 2];
    q->item[i].seconds = seconds;
    q->item[i].state = state;
}

static uint32_t pop(Queue *q, double *seconds)
{
    uint32_t top = q->item[0].state;
    *seconds = q->item[0].seconds;
    q->n--;
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < q->n &&
            q->item[child + 1].seconds < q->item[child].seconds)
            child++;
        if (child >= q->n || q->item[child].seconds >= q->item[q->n].seconds)
            break;
        q->item[i] = q->item[child];
        i = child;
    }
    q->item[i] = q->item[q->n];
    return top;
}

typedef struct Way {
    Queue queue;
    double *best;
} Way;

static void arrive(Way *w, uint32_t state, double seconds)
{
    if (seconds >= w->best[state])
        return;
    w->best[state] = seconds;
    push(&w->queue, seconds, state);
}

static void leave(const Problem *p, Way *w, uint32_t state, double seconds)
{
    uint32_t done = state >> p->n, set = state & ((1u << p->n) - 1);
    int64_t live = set_bytes(p, set);
    const Op *next = &p->backward[done];
    if ((next->reads & set) == next->reads) {
        if (live + p->during[done] <= p->budget)
            arrive(w, (done + 1) << p->n | set, seconds);
        for (int v = 0; v < p->n; v++)
            if (next->over & set & 1u << v &&
                live + p->during[done] - p->saved[done] <= p->budget)
                arrive(w, (done + 1) << p->n | (set & ~(1u << v)), seconds);
    }
    for (int v = 0; v < p->n; v++) {
        const Op *op = &p->forward[v];
        if (set >> v & 1) {
            arrive(w, done << p->n | (set & ~(1u << v)), seconds);
            continue;
        }
        if ((op->reads & set) != op->reads)
            continue;
        if (live + op->writes + p->before[done] <= p->budget)
            arrive(w, done << p->n | set | 1u << v, seconds + op->seconds);
        for (int u = 0; u < p->n; u++)
            if (op->over & set & 1u << u && live + p->before[done] <= p->budget)
                arrive(w, done << p->n | (set & ~(1u << u)) | 1u << v,
                       seconds + op->seconds);
    }
}

/* Seconds of the forward steps; -1: there is no way. */
static double optimum(const Problem *p)
{
    size_t n = (size_t)(p->n_backward + 1) << p->n;
    Way w = {.best = malloc(n * sizeof *w.best)};
    w.queue.item = malloc(n * (size_t)(p->n + 4) * sizeof *w.queue.item);
    assert_true(w.best && w.queue.item);
    for (size_t i = 0; i < n; i++)
        w.best[i] = 1e300;
    double found = -1, seconds;
    arrive(&w, 0, 0);
    while (w.queue.n && found < 0) {
        uint32_t state = pop(&w.queue, &seconds);
        if (seconds > w.best[state])
            continue;
        if (state >> p->n == (uint32_t)p->n_backward)
            found = seconds;
        else
            leave(p, &w, state, seconds);
    }
    free(w.best);
    free(w.queue.item);
    return found;
}

/* ---- one against the other ----------------------------------------------- */

static Module *net_with_gradients(uint64_t seed, bool chain, PassContext *c)
{
    Module *m = random_net(seed, chain);
    char error[MAX_TEXT];
    uint32_t loc;
    assert_true(
        settings_finish(&m->settings, m->arena, error, sizeof error, &loc));
    run_pass(&pass_autodiff, m, c);
    run_pass(&pass_fold, m, c);
    run_pass(&pass_cse, m, c);
    run_pass(&pass_dce, m, c);
    return m;
}

/* Arena and seconds of what the pass makes of it; the graph is ordered. */
static int64_t with_budget(uint64_t seed, bool chain, int64_t budget,
                           double *seconds)
{
    Target t = test_target();
    PassContext c = {.target = &t};
    Module *m = net_with_gradients(seed, chain, &c);
    SettingValue v = {.type = SET_INT, .number = (double)budget};
    char error[MAX_TEXT];
    assert_true(settings_set(&m->settings, m->arena, "memory", v, 0, error,
                             sizeof error));
    run_pass(&pass_checkpoint, m, &c);
    run_pass(&pass_schedule, m, &c);
    run_pass(&pass_memory, m, &c);
    int64_t bytes = m->graph[0]->memory->arena_bytes;
    *seconds = all_seconds(m->graph[0], &t);
    module_free(m);
    return bytes;
}

typedef struct Tally {
    int n, exact;
    double worst, sum;
    double worst_least; /* bytes, where least is asked for */
} Tally;

static void compare(Tally *tally, uint64_t seed, bool chain)
{
    Target t = test_target();
    PassContext c = {.target = &t};
    Arena *a = arena_new();
    double seconds;
    Module *m = net_with_gradients(seed, chain, &c);
    int64_t base = memory_base(m, &c);
    run_pass(&pass_schedule, m, &c);
    Chain chain_of = chain_find(m->graph[0], &t, a);
    int64_t most = memory_measure(m->graph[0], &c, &chain_of.steps, base);
    Problem p = problem_of(&chain_of, &t, a);
    double all = all_seconds(m->graph[0], &t), forward = 0;
    for (int i = 0; i < p.n; i++)
        forward += p.forward[i].seconds;
    int64_t least = with_budget(seed, chain, 1, &seconds);
    for (int i = 0; i < BUDGETS && least < most; i++) {
        int64_t budget = least + (most - least) * i / BUDGETS;
        int64_t bytes = with_budget(seed, chain, budget, &seconds);
        assert_true(bytes <= budget);
        p.budget = budget - base;
        double best = optimum(&p) + all - forward;
        double ratio = seconds / best;
        assert_true(best > all - forward && ratio > 1 - 1e-9);
        tally->n++;
        tally->exact += ratio < 1 + 1e-9;
        tally->sum += ratio;
        tally->worst = ratio > tally->worst ? ratio : tally->worst;
    }
    for (p.budget = least - base; optimum(&p) >= 0; p.budget -= p.budget / 50)
        continue;
    double over = (double)(least - base) / ((double)p.budget * 50 / 49);
    tally->worst_least = over > tally->worst_least ? over : tally->worst_least;
    module_free(m);
    arena_free(a);
}

static void check(bool chain, double limit)
{
    Tally t = {0};
    for (uint64_t seed = 1; seed <= GRAPHS; seed++)
        compare(&t, seed * 7919 + chain, chain);
    print_message("%s: %d budgets, %d optimal, mean %.4f, worst %.4f; smallest "
                  "budget at worst %.2f times the optimum's\n",
                  chain ? "chains" : "graphs", t.n, t.exact, t.sum / t.n,
                  t.worst, t.worst_least);
    assert_true(t.n > GRAPHS);
    assert_true(t.worst <= limit);
}

static void chains_are_near_the_optimum(void **state)
{
    (void)state;
    check(true, 1.05);
}

static void graphs_are_near_the_optimum(void **state)
{
    (void)state;
    check(false, 1.15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_near_the_optimum),
        cmocka_unit_test(graphs_are_near_the_optimum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
