/* train_end.c: what a training run says and leaves behind when it ends. */
#include "report.h"
#include "train_private.h"

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
        printf("done after step %lld; best accuracy on the %s images %.2f %% "
               "after epoch %lld%s%s\n",
               (long long)p->step, session_eval_name(&t->session),
               100.0 * (double)p->best_correct /
                   (double)loader_samples(t->test),
               (long long)p->best_epoch + 1, where ? ", saved in " : "",
               where ? where : "");
    else
        printf("done after step %lld%s%s\n", (long long)p->step,
               where ? ", saved in " : "", where ? where : "");
}

static void put_predictions(FILE *out, void *user)
{
    const Train *t = user;
    const DataSet *test = loader_set(t->test);
    fputs("image,label,predicted\n", out);
    for (int64_t i = 0; i < test->n; i++)
        fprintf(out, "%lld,%d,%d\n", (long long)i, (int)test->labels[i],
                (int)t->best[i]);
}

void train_report(Train *t)
{
    Status s = {0};
    Advice advice = {0};
    const ReportInput in = {t->session.plan, t->folder, loader_set(t->test)};
    char path[RUNDIR_PATH];
    if (!t->folder[0])
        return;
    record_close(&t->record);
    if (t->best_is_new)
        rundir_write(t->folder, RUN_PREDICTIONS, put_predictions, t);
    if (t->session.options->no_report || !report_write(&in, &advice, &s))
        return;
    for (int i = 0; i < advice.n; i++)
        printf("%s %s\n", i ? "        " : "advice: ", advice.text[i]);
    printf("report: %s\n", rundir_path(t->folder, RUN_REPORT, path));
}
