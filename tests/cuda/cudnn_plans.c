/* cudnn_plans.c: what the real cuDNN makes of a model's convolutions, for a GPU
 * that is described and need not be there.
 *
 *     cudnn_plans DEVICE.json PRECISION FILE.net
 *
 * A line for each convolution: its engine's number, the bytes it works in, the
 * bytes planned for it, and what it is. */
#include "codegen.h"
#include "cudnn.h"
#include "frontend.h"
#include "pass.h"
#include "program.h"
#include <stdio.h>
#include <stdlib.h>

static char *read_text(const char *path)
{
    static char text[8192];
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    return text;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "cudnn_plans: %s: %s\n", what, why);
    return 1;
}

static int show(const Plan *plan, const char *json)
{
    Status s = {0};
    Cudnn *c = cudnn_open(plan, NULL, json, &s);
    if (!c)
        return fail(plan->model, s.text);
    for (uint32_t i = 0; i < plan->n_convs; i++) {
        char what[256];
        CudnnChoice choice = cudnn_choice(c, i);
        printf("%lld %lld %lld %s\n", (long long)choice.engine,
               (long long)choice.workspace, (long long)plan->convs[i].workspace,
               cudnn_describe(&plan->convs[i], what, sizeof what));
    }
    cudnn_close(c);
    return 0;
}

int main(int argc, char **argv)
{
    char precision[64];
    const char *set[] = {"cudnn=true", precision};
    char *json = argc == 4 ? read_text(argv[1]) : NULL;
    if (!json)
        return fail("DEVICE.json PRECISION FILE.net", "arguments");
    snprintf(precision, sizeof precision, "precision=%s", argv[2]);
    Module *m =
        frontend_compile(argv[3], &(FrontendOptions){.set = set, .n_set = 2});
    PassContext c = {.target = target_named("cuda")};
    if (!m || !passes_run(m, &c, pass_pipeline, &(PassOptions){0}))
        return fail(argv[3], c.error.text);
    Error e = {{0}};
    Program *p = program_new(m, &(CodegenOptions){.target = c.target}, &e);
    int code = p ? show(plan_new(p, p->arena), json) : fail(argv[3], e.text);
    program_free(p);
    module_free(m);
    return code;
}
