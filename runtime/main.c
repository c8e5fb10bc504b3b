/* main.c: the training binary's entry, called by generated code. */
#include "commands.h"
#include <string.h>

static const char *program_name(int argc, char **argv)
{
    if (argc < 1 || !argv[0] || !argv[0][0])
        return "tgc-model";
    const char *slash = strrchr(argv[0], '/');
    return slash && slash[1] ? slash + 1 : argv[0];
}

static int dispatch(const Plan *plan, const Options *o, Status *s)
{
    switch (o->verb) {
    case VERB_TRAIN:
        return command_train(plan, o, s);
    case VERB_EVAL:
        return command_eval(plan, o, s);
    case VERB_INFO:
        return command_info(plan, o, s);
    case VERB_REPORT:
        return command_report(plan, o, s);
    default:
        return command_bench(plan, o, s);
    }
}

/* Output that never arrived is a failure too: a full disk behind a pipe. */
static bool output_done(Status *s)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return true;
    return status_errno(s, "write", "standard output", NULL);
}

int tgc_main(const Plan *plan, int argc, char **argv)
{
    const char *program = program_name(argc, argv);
    Status s = {0};
    Options o;
    int code = 1;
    if (options_parse(&o, argc, argv, &s)) {
        code = 0;
        if (o.help)
            options_help(stdout, program, (int)o.verb, plan->model);
        else
            code = dispatch(plan, &o, &s);
    }
    if (!output_done(&s) && code == 0)
        code = 1;
    if (s.failed)
        fprintf(stderr, "%s: %s\n", program, s.text);
    return code;
}

int tgc_main_packed(const PlanPack *pack, int argc, char **argv)
{
    char error[256];
    Plan *plan = plan_unpack(pack, error, sizeof error);
    if (!plan) {
        fprintf(stderr, "%s: %s\n", program_name(argc, argv), error);
        return 1;
    }
    int code = tgc_main(plan, argc, argv);
    plan_free(plan);
    return code;
}
