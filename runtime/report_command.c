/* report_command.c: the command `report`: the page of a run that is over, or
 * still going on. */
#include "commands.h"
#include "report.h"
#include "rundir.h"
#include "session.h"
#include <stdlib.h>
#include <string.h>

typedef struct Command {
    Session session;
    History history; /* what the run says of itself */
} Command;

/* A setting of the run; those that it did not record, of the program. */
static double number_of(const Command *c, const char *key)
{
    const char *text = history_fact(&c->history, "settings", key);
    double value =
        *text ? strtod(text, NULL) : config_number(&c->session.config, key, 0);
    return value > 0 ? value : 0;
}

/* The images that the net was evaluated on. */
static bool read_test(const Command *c, const char *dir, DataSet *set,
                      Status *s)
{
    const Session *x = &c->session;
    const Plan *plan = x->plan;
    const char *kind = config_text(&x->config, "data");
    const PlanPort *image = NULL;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        for (uint32_t k = 0; k < plan->graphs[i].n_inputs; k++)
            if (!strcmp(plan->graphs[i].inputs[k].name, "image"))
                image = &plan->graphs[i].inputs[k];
    if (!kind || !image || image->type.rank != 4)
        return status_fail(s, "%s was compiled without a data set",
                           plan->model);
    double validation = number_of(c, "data.validation");
    const char *damaged = history_fact(&c->history, "settings", "data.damaged");
    char cache[PATH_MAX];
    const DataRequest request = {
        .dir = dir,
        .train = validation > 0,
        .held = validation > 0,
        .validation = validation,
        .fraction = 1,
        .split_seed = (uint64_t)number_of(c, "data.split_seed"),
        .c = image->type.dim[1],
        .h = image->type.dim[2],
        .w = image->type.dim[3],
        .classes = config_int(&x->config, "data.classes", 0),
        .rows = config_int(&x->config, "data.rows", 0),
        .resize = (int64_t)number_of(c, "data.resize"),
        .cache = session_cache(&x->config, cache),
        .skip_damaged = !strcmp(damaged, "skip"),
        .threads = session_threads(x)};
    return data_read(set, kind, &request, s);
}

/* The data set that --data names, or where the run had it; without one the
 * page has no pictures. */
static bool open_test(const Command *c, DataSet *set, Status *s)
{
    Status gone = {0};
    const char *recorded = history_fact(&c->history, "run", "data");
    const char *data = c->session.options->data;
    *set = (DataSet){0};
    if (data)
        return read_test(c, data, set, s);
    if (*recorded && !read_test(c, recorded, set, &gone))
        printf("note: no pictures: %s (--data DIR names another folder)\n",
               gone.text);
    return true;
}

static bool report_run(Command *c, Status *s)
{
    char path[RUNDIR_PATH];
    DataSet test;
    Advice advice;
    ReportInput in = {.plan = c->session.plan,
                      .folder = c->session.options->save_dir};
    if (!in.folder)
        return status_fail(s, "report needs --save-dir DIR, the folder of a "
                              "run");
    if (!history_read(&c->history, in.folder, s) || !open_test(c, &test, s))
        return false;
    in.test = test.n ? &test : NULL;
    bool done = report_write(&in, &advice, s);
    if (done)
        printf("%s\n", rundir_path(in.folder, RUN_REPORT, path));
    data_free(&test);
    return done;
}

int command_report(const Plan *plan, const Options *o, Status *s)
{
    Command c = {0};
    bool done = session_open(&c.session, plan, o, s) && report_run(&c, s);
    history_free(&c.history);
    session_close(&c.session);
    return done ? 0 : 1;
}
