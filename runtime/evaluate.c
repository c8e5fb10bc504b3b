/* evaluate.c: see evaluate.h, and the command `eval`. */
#include "evaluate.h"
#include "checkpoint.h"
#include "commands.h"
#include "data.h"
#include <stdio.h>

static bool evaluate_batch(const Session *x, int graph,
                           const LoaderBatch *batch, Evaluation *sum, Status *s)
{
    RunResult result;
    executor_set(x->executor, graph, "count", (double)batch->count);
    if (!executor_run(x->executor, graph, (uint32_t)batch->slot, &result, s))
        return false;
    if (!result.finite) {
        char why[1024];
        executor_blame(x->executor, graph, (uint32_t)batch->slot, why,
                       sizeof why);
        return status_fail(
            s, "the loss of evaluation is not finite (batch %lld): %s",
            (long long)batch->batch + 1, why);
    }
    sum->loss += result.loss;
    sum->correct += result.correct;
    sum->total += batch->count;
    return true;
}

static void keep_predicted(const Session *x, int graph,
                           const LoaderBatch *batch, int64_t rows,
                           int32_t *predicted)
{
    const int32_t *class = executor_predicted(x->executor, graph);
    for (int64_t i = 0; i < batch->count; i++)
        predicted[batch->batch * rows + i] = class ? class[i] : -1;
}

bool evaluate(const Session *x, Loader *test, int graph, const Signals *signals,
              int32_t *predicted, Evaluation *result, Status *s)
{
    LoaderSlots slots = session_slots(x, graph);
    LoaderBatch batch;
    *result = (Evaluation){0};
    if (!loader_start(test, &slots, 0, 0, loader_batches(test), s))
        return false;
    while (!result->stopped && loader_next(test, &batch, s)) {
        bool done = evaluate_batch(x, graph, &batch, result, s);
        if (done && predicted)
            keep_predicted(x, graph, &batch, slots.rows, predicted);
        loader_release(test, batch.slot);
        if (!done)
            break;
        result->stopped = signals && signals_pending(signals);
    }
    loader_stop(test);
    if (result->total)
        result->loss /= (double)result->total;
    return !s->failed;
}

/* ---- the command --------------------------------------------------------- */

/* Settings are kept by reference to the file. */
static bool eval_load(Session *x, WeightFile **file, bool *averaged, Status *s)
{
    WeightFile *f = *file = weights_open(x->options->weights, s);
    *averaged = f && checkpoint_averaged(f, x->plan);
    if (f)
        checkpoint_data_settings(f, &x->config);
    return f && checkpoint_load(f, CHECKPOINT_WEIGHTS, x->executor, s);
}

static void eval_print_json(const Evaluation *r, const Evaluation *average,
                            const char *which)
{
    printf("{\"images\": \"%s\", \"correct\": %lld, \"total\": %lld, "
           "\"loss\": %.6g",
           which, (long long)r->correct, (long long)r->total, r->loss);
    if (average)
        printf(", \"average_correct\": %lld, \"average_loss\": %.6g",
               (long long)average->correct, average->loss);
    printf("}\n");
}

/* which: "test", "validation"; things: "images", "samples". */
static void eval_print(const Evaluation *r, const Evaluation *average,
                       const char *which, const char *things)
{
    const char *of[] = {"", "average of the weights: "};
    for (int i = 0; r && i < 2; r = average, i++)
        printf("%s%lld of %lld %s %s correct (%.2f %%), loss %.4f\n", of[i],
               (long long)r->correct, (long long)r->total, which, things,
               r->total ? 100.0 * (double)r->correct / (double)r->total : 0,
               r->loss);
}

static bool eval_run(Session *x, WeightFile **file, Status *s)
{
    SessionImages images =
        x->options->validation ? SESSION_VALIDATION : SESSION_TEST;
    Evaluation result, average;
    bool averaged;
    int graph, other;
    if (!x->options->data)
        return status_fail(s, "eval needs --data DIR, the folder with the "
                              "data set's files");
    if (!x->options->weights)
        return status_fail(s, "eval needs --weights FILE, a safetensors file");
    if (!session_executor(x, s) || !session_graph(x, "eval", &graph, s) ||
        !eval_load(x, file, &averaged, s) ||
        (averaged && !session_graph(x, "eval_average", &other, s)))
        return false;
    Loader *test = session_loader(x, graph, images, 0, s);
    bool done =
        test && evaluate(x, test, graph, NULL, NULL, &result, s) &&
        (!averaged || evaluate(x, test, other, NULL, NULL, &average, s));
    const char *which = session_images_name(images);
    const Evaluation *second = averaged ? &average : NULL;
    if (done && x->options->json)
        eval_print_json(&result, second, which);
    else if (done)
        eval_print(&result, second, which, data_things(loader_set(test)));
    loader_close(test);
    return done;
}

int command_eval(const Plan *plan, const Options *o, Status *s)
{
    Session x;
    WeightFile *file = NULL;
    bool done = session_open(&x, plan, o, s) && eval_run(&x, &file, s);
    session_close(&x);
    weights_close(file);
    return done ? 0 : 1;
}
