/* bench.c: the command `bench`: training steps on one synthetic batch. */
#include "bench_tune.h"
#include "clock.h"
#include "commands.h"
#include "format.h"
#include "init.h"
#include "rng.h"
#include "session.h"
#include "types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEPS = 20,
    STEPS_MOST = 1000000,
    WARM_UP = 3,
    TURN_STEPS = 10 /* of a copy of the step, in a turn */
};

static const double LEARNING_RATE = 1e-3; /* small: the loss must stay tame */

typedef struct Bench {
    Session session;
    int graph, steps;
    int part;            /* graph train_part */
    int64_t parts;       /* of a step's batch */
    int slots;           /* of inputs; steps take them in turn */
    int ahead;           /* steps under way beside the one that is waited for */
    int warm_up;         /* steps that are not counted */
    double *seconds;     /* of each counted step: from end to end */
    double began, first; /* start of the process, end of the first step */
} Bench;

/* Pixels like normalised ones, in -2 .. 2, or numbers of rows; and every class
 * in turn. */
static void bench_fill(const Bench *b, uint32_t slot)
{
    const Session *x = &b->session;
    const PlanPort *image = executor_port(x->executor, b->graph, "image");
    const PlanPort *label = executor_port(x->executor, b->graph, "label");
    int64_t classes = config_int(&x->config, "data.classes", 1);
    int64_t rows = config_int(&x->config, "data.rows", 0);
    int64_t pixels = type_elements(&image->type);
    float *to = executor_input(x->executor, b->graph, image, slot);
    int32_t *labels = executor_input(x->executor, b->graph, label, slot);
    for (int64_t i = 0; i < pixels; i += 4) {
        const uint32_t key[2] = {0, 0};
        const uint32_t at[4] = {(uint32_t)i, 0, 0, RNG_SYNTHETIC};
        uint32_t word[4];
        rng_philox(key, at, word);
        for (int64_t k = i; k < i + 4 && k < pixels; k++)
            to[k] = rows ? (float)rng_below(word[k - i], (uint32_t)rows)
                         : 4 * rng_unit(word[k - i]) - 2;
    }
    for (int64_t i = 0; i < label->type.dim[0]; i++)
        labels[i] = (int32_t)(classes > 0 ? i % classes : 0);
}

static uint32_t bench_slot(const Bench *b, int step)
{
    return (uint32_t)(step % b->slots);
}

static void bench_set(const Bench *b, int graph, int step)
{
    Executor *e = b->session.executor;
    executor_set(e, graph, "lr", LEARNING_RATE);
    executor_set(e, graph, "step", step);
    executor_set(e, graph, "seed", 0);
    executor_set(e, graph, "share", 1.0 / (double)b->parts);
}

static bool bench_submit(const Bench *b, int graph, int step, Status *s)
{
    bench_set(b, graph, step);
    return executor_submit(b->session.executor, graph, bench_slot(b, step), s);
}

static bool bench_wait(const Bench *b, int graph, int step, Status *s)
{
    Executor *e = b->session.executor;
    RunResult result;
    if (!executor_wait(e, &result, s))
        return false;
    if (result.finite)
        return true;
    char why[1024];
    executor_blame(e, graph, bench_slot(b, step), why, sizeof why);
    return status_fail(s, "step %d: the loss is not finite: %s", step + 1, why);
}

/* All parts of a step see the same images. */
static bool bench_begin(const Bench *b, int step, Status *s)
{
    for (int64_t i = 1; i < b->parts; i++)
        if (!bench_submit(b, b->part, step, s) ||
            !bench_wait(b, b->part, step, s))
            return false;
    return bench_submit(b, b->graph, step, s);
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* As `train` does it: a GPU has its next steps while the host waits for one. */
static bool bench_measure(Bench *b, Status *s)
{
    int all = b->warm_up + b->steps;
    double before = clock_now();
    for (int i = 0; i < all + b->ahead; i++) {
        int done = i - b->ahead;
        if (i < all && !bench_begin(b, i, s))
            return false;
        if (done < 0)
            continue;
        if (!bench_wait(b, b->graph, done, s))
            return false;
        double now = clock_now();
        if (done == 0)
            b->first = now;
        if (done >= b->warm_up)
            b->seconds[done - b->warm_up] = now - before;
        before = now;
    }
    qsort(b->seconds, (size_t)b->steps, sizeof *b->seconds, by_value);
    return true;
}

/* A GPU makes its graph when a slot is used for the first time. */
static void bench_slots(Bench *b)
{
    const Executor *e = b->session.executor;
    int depth = executor_depth(e);
    b->slots =
        b->parts > 1 || depth == 1 ? 1 : session_slots(&b->session, b->graph).n;
    b->ahead = (depth < b->slots ? depth : b->slots) - 1;
    b->warm_up = WARM_UP > b->slots ? WARM_UP : b->slots;
    for (int i = 0; i < b->slots; i++)
        bench_fill(b, (uint32_t)i);
}

static void bench_print(const Bench *b)
{
    const Session *x = &b->session;
    int n = b->steps;
    double median = (b->seconds[(n - 1) / 2] + b->seconds[n / 2]) / 2;
    int64_t batch =
        executor_port(x->executor, b->graph, "image")->type.dim[0] * b->parts;
    double images = median > 0 ? (double)batch / median : 0;
    double first = 1e3 * (b->first - b->began);
    char device[512];
    if (x->options->json)
        printf("{\"model\": \"%s\", \"batch\": %lld, \"threads\": %d, "
               "\"device\": \"%s\", "
               "\"steps\": %d, \"median_ms\": %.4f, \"min_ms\": %.4f, "
               "\"images_per_second\": %.1f, \"first_step_ms\": %.1f, "
               "\"memory_bytes\": %lld}\n",
               x->plan->model, (long long)batch, executor_threads(x->executor),
               format_json(executor_about(x->executor), device, sizeof device),
               n, 1e3 * median, 1e3 * b->seconds[0], images, first,
               (long long)executor_bytes(x->executor));
    else
        printf("%s, batch %lld, %s: %.2f ms a step (median of %d; "
               "least %.2f), %.0f images a second; first step %.0f ms after "
               "start\n",
               x->plan->model, (long long)batch, executor_about(x->executor),
               1e3 * median, n, 1e3 * b->seconds[0], images, first);
}

/* ---- by kernel ----------------------------------------------------------- */

typedef struct KernelTime {
    const char *name;
    const PlanStep *first; /* for what it is made of, and from where */
    double seconds, flops, bytes;
    int steps;
} KernelTime;

static int by_seconds(const void *a, const void *b)
{
    const KernelTime *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void profile_print(const Bench *b, const double *seconds,
                          KernelTime *kernel)
{
    const Plan *plan = b->session.plan;
    const PlanGraph *g = &plan->graphs[b->graph];
    double all = 0;
    for (uint32_t i = 0; i < g->n_steps; i++) {
        KernelTime *k = &kernel[g->steps[i].kernel];
        k->name = plan->kernels[g->steps[i].kernel].name;
        if (!k->first)
            k->first = &g->steps[i];
        k->seconds += seconds[i] / b->steps;
        k->flops += g->steps[i].flops;
        k->bytes += g->steps[i].bytes;
        k->steps++;
        all += seconds[i] / b->steps;
    }
    qsort(kernel, plan->n_kernels, sizeof *kernel, by_seconds);
    printf("%8s %6s %6s %9s %8s  %-24s %s\n", "ms", "%", "steps", "GFLOP/s",
           "GB/s", "kernel", "first");
    for (uint32_t i = 0; i < plan->n_kernels && kernel[i].steps; i++) {
        const KernelTime *k = &kernel[i];
        double t = k->seconds > 0 ? k->seconds : 1e-12;
        printf("%8.3f %6.2f %6d %9.1f %8.1f  %-24s %s %s\n", 1e3 * k->seconds,
               100 * k->seconds / all, k->steps, 1e-9 * k->flops / t,
               1e-9 * k->bytes / t, k->name, k->first->what, k->first->loc);
    }
    printf("%8.3f in all, of one thread\n", 1e3 * all);
}

static bool bench_profile(const Bench *b, Status *s)
{
    const Plan *plan = b->session.plan;
    uint32_t n = plan->graphs[b->graph].n_steps;
    double *seconds = calloc(n + 1, sizeof *seconds);
    KernelTime *kernel = calloc(plan->n_kernels + 1, sizeof *kernel);
    bool done = seconds && kernel;
    if (!done)
        status_fail(s, "no memory to profile %u steps", n);
    for (int i = 0; done && i < b->steps; i++)
        done = executor_profile(b->session.executor, b->graph, 0, seconds, s);
    if (done)
        profile_print(b, seconds, kernel);
    free(seconds);
    free(kernel);
    return done;
}

/* ---- the command --------------------------------------------------------- */

static bool bench_init(const Bench *b, Status *s)
{
    return init_states(b->session.executor,
                       (uint64_t)config_int(&b->session.config, "seed", 0), s);
}

/* A copy of the training step has its inputs in places of its own. */
static bool bench_prepare(void *context, int graph, Status *s)
{
    Bench copy = *(const Bench *)context;
    copy.graph = graph;
    for (int i = 0; i < copy.slots; i++)
        bench_fill(&copy, (uint32_t)i);
    bench_set(&copy, graph, 0);
    return bench_init(&copy, s);
}

static bool bench_turn(void *context, int graph, double *seconds, Status *s)
{
    const Bench *b = context;
    double time[TURN_STEPS];
    Bench turn = *b;
    turn.graph = graph;
    turn.seconds = time;
    turn.steps = b->steps < TURN_STEPS ? b->steps : TURN_STEPS;
    if (!bench_measure(&turn, s))
        return false;
    *seconds = time[turn.steps / 2];
    return true;
}

static bool bench_tune(Bench *b, Status *s)
{
    const TuneOptions o = {.graph = b->graph,
                           .turns = b->steps,
                           .path = b->session.options->tune,
                           .prepare = bench_prepare,
                           .steps = bench_turn,
                           .context = b};
    return tune_run(b->session.executor, &o, s);
}

static bool bench_run(Bench *b, Status *s)
{
    int64_t steps = b->session.options->steps;
    if (steps == 0 || steps > STEPS_MOST)
        return status_fail(s, "--steps: 1 to %d steps can be measured",
                           STEPS_MOST);
    b->steps = steps < 0 ? STEPS : (int)steps;
    b->seconds = calloc((size_t)b->steps, sizeof *b->seconds);
    if (!b->seconds)
        return status_fail(s, "no memory for %d times", b->steps);
    if (!session_executor(&b->session, s) ||
        !session_graph(&b->session, "train", &b->graph, s))
        return false;
    b->parts = config_int(&b->session.config, "accumulate", 1);
    if (b->parts > 1 && !session_graph(&b->session, "train_part", &b->part, s))
        return false;
    if (!bench_init(b, s))
        return false;
    bench_slots(b);
    if (!bench_measure(b, s))
        return false;
    bench_print(b);
    if (b->session.options->profile && !bench_profile(b, s))
        return false;
    return !b->session.options->tune || bench_tune(b, s);
}

static bool can_tune(const Plan *plan, Status *s)
{
    if (plan->device != PLAN_CUDA)
        return status_fail(s, "--tune measures programs for a GPU (tgc compile "
                              "--target cuda --tunable)");
    return plan->n_candidates ||
           status_fail(s, "--tune: this program has one tile for each product "
                          "(tgc compile --tunable puts others in)");
}

int command_bench(const Plan *plan, const Options *o, Status *s)
{
    if (o->time && plan->device != PLAN_CPU) {
        status_fail(s, "--time measures steps of programs for the cpu");
        return 1;
    }
    if (o->time)
        return command_time(plan, o, s);
    Bench b = {.began = clock_now()};
    Plan *copy = NULL;
    if (o->tune && (!can_tune(plan, s) || !(copy = tune_plan(plan, s))))
        return 1;
    bool done =
        session_open(&b.session, copy ? copy : plan, o, s) && bench_run(&b, s);
    session_close(&b.session);
    free(copy);
    free(b.seconds);
    return done ? 0 : 1;
}
