/* device.c: which kind of device a plan runs on. */
#include "device.h"
#include <string.h>

static bool starts(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

static const DeviceKind *for_gpu(const Plan *plan, const char *name, Status *s)
{
    if (plan->device == PLAN_CUDA)
        return &device_cuda;
    status_fail(s,
                "--device %s: %s was compiled for the cpu (compile it again "
                "with --target cuda)",
                name, plan->model);
    return NULL;
}

const DeviceKind *device_kind(const Plan *plan, const char *name, Status *s)
{
    bool gpu = plan->device == PLAN_CUDA;
    if (!name || !strcmp(name, "auto"))
        return gpu ? &device_cuda : &device_cpu;
    if (!strcmp(name, "cuda") || starts(name, "cuda:") || starts(name, "emu:"))
        return for_gpu(plan, name, s);
    if (strcmp(name, "cpu") != 0)
        status_fail(s,
                    "--device: there is no device \"%s\" (cpu, cuda, cuda:1 "
                    "for the second GPU, or auto)",
                    name);
    else if (gpu)
        status_fail(s,
                    "--device cpu: %s was compiled for GPUs (compile it again "
                    "with --target cpu)",
                    plan->model);
    else
        return &device_cpu;
    return NULL;
}
