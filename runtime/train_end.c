/* train_end.c: what a training run says and leaves behind when it ends. */
#include "clock.h"
#include "file.h"
#include "report.h"
#include "train_private.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

void train_farewell(Train *t)
{
    const Progress *p = &t->progress;
    const char *where = t->writer ? checkpoint_folder(t->writer) : NULL;
    progress_clear(&t->bar);
    if (t->stop.why[0] && !t->stop.signal && (t->stop.now || t->stalled))
        printf("%s\n", t->stop.why);
    if (t->stop.now && where)
        printf("stopped after step %lld; go on with --resume %s\n",
               (long long)p->step, where);
    else if (t->stop.now)
        printf("stopped after step %lld; nothing was saved (--save-dir)\n",
               (long long)p->step);
    else if (p->best_correct >= 0)
        printf(
            "done after step %lld; best accuracy on the %s %s%s %.2f "
            "%% after epoch %lld%s%s\n",
            (long long)p->step, session_eval_name(&t->session), train_things(t),
            t->average.graph >= 0 ? " (average of the weights)" : "",
            100.0 * (double)p->best_correct / (double)loader_samples(t->test),
            (long long)p->best_epoch + 1, where ? ", saved in " : "",
            where ? where : "");
    else
        printf("done after step %lld%s%s\n", (long long)p->step,
               where ? ", saved in " : "", where ? where : "");
    if (!t->stop.now && where && p->best_correct >= 0 && train_validates(t))
        printf("note: the test %s were not used; eval --data DIR --weights "
               "%s/" RUN_BEST " counts them\n",
               train_things(t), where);
}

/* ---- for programs ---------------------------------------------------------
 */

static void put_outcome(FILE *out, void *user)
{
    outcome_put(out, user);
}

void train_outcome(Train *t, OutcomeState state, const char *why)
{
    const Progress *p = &t->progress;
    Outcome x = {.state = state,
                 .step = p->step,
                 .epoch = p->epoch,
                 .epochs = config_int(&t->session.config, "epochs", 1),
                 .best_accuracy = NAN,
                 .seconds = clock_now() - t->began};
    if (!t->folder[0])
        return;
    if (p->best_correct >= 0) {
        x.best_accuracy =
            (double)p->best_correct / (double)loader_samples(t->test);
        x.best_epoch = p->best_epoch + 1;
    }
    snprintf(x.why, sizeof x.why, "%s", why ? why : "");
    snprintf(x.images, sizeof x.images, "%s", session_eval_name(&t->session));
    rundir_write(t->folder, RUN_RESULT, put_outcome, &x);
}

void train_end(Train *t, const Status *s)
{
    char why[64];
    if (s->failed) {
        train_outcome(t, t->diverged ? OUTCOME_DIVERGED : OUTCOME_FAILED,
                      s->text);
    } else if (t->stop.now && t->stop.signal) {
        snprintf(why, sizeof why, "signal %d (%s)", t->stop.signal,
                 strsignal(t->stop.signal));
        train_outcome(t, OUTCOME_STOPPED, why);
    } else {
        bool early = t->stop.now || t->stalled;
        train_outcome(t, t->stop.now ? OUTCOME_STOPPED : OUTCOME_DONE,
                      early ? t->stop.why : NULL);
    }
}

static bool put_predictions(int fd, const Train *t)
{
    enum { LINE = 64 };
    char text[4096];
    const DataSet *test = loader_set(t->test);
    size_t n = (size_t)snprintf(text, sizeof text, "image,label,predicted\n");
    for (int64_t i = 0; i < test->n; i++) {
        if (n + LINE > sizeof text) {
            if (!file_write(fd, text, n))
                return false;
            n = 0;
        }
        n += (size_t)snprintf(text + n, LINE, "%lld,%d,%d\n", (long long)i,
                              (int)test->labels[i], (int)t->predicted[i]);
    }
    return file_write(fd, text, n);
}

/* Beside the old one and then in its place, without allocating. */
void train_predictions(Train *t)
{
    char path[RUNDIR_PATH], beside[RUNDIR_PATH];
    rundir_path(t->folder, RUN_PREDICTIONS, path);
    rundir_path(t->folder, RUN_PREDICTIONS ".tmp", beside);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done = fd >= 0 && put_predictions(fd, t);
    if (fd >= 0)
        done = !close(fd) && done;
    if (done && rename(beside, path) == 0)
        return;
    fprintf(stderr, "warning: cannot write %s: %s\n", path, strerror(errno));
    unlink(beside);
}

/* ---- the page -------------------------------------------------------------
 */

void train_report(Train *t)
{
    Status s = {0};
    Advice advice = {0};
    const ReportInput in = {t->session.plan, t->folder, loader_set(t->test)};
    char path[RUNDIR_PATH];
    if (!t->folder[0])
        return;
    record_close(&t->record);
    if (t->session.options->no_report || !report_write(&in, &advice, &s))
        return;
    for (int i = 0; i < advice.n; i++)
        printf("%s %s\n", i ? "        " : "advice: ", advice.text[i]);
    printf("report: %s\n", rundir_path(t->folder, RUN_REPORT, path));
}
