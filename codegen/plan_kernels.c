/* plan_kernels.c: the plan's kernels: functions for the cpu; for cuda names,
 * and the images that hold them, taken in by the assembler as they are. */
#include "program.h"
#include "targets.h"
#include <inttypes.h>

void plan_write_kernels(const Kernels *k, FILE *out)
{
    bool cuda = k->target == &target_cuda;
    if (!cuda)
        kernels_print_declarations(k, out);
    fputs("\nstatic const PlanKernel kernels[] = {\n", out);
    for (size_t i = 0; i < k->n_kernels; i++)
        fprintf(out, "{\"%s\",%s,%u,%u},\n", k->kernel[i].name,
                cuda ? "0" : k->kernel[i].name, k->kernel[i].threads,
                k->kernel[i].shared);
    fputs(k->n_kernels ? "};\n\n" : "{0}};\n\n", out);
}

/* A path within a string of the assembler, within a string of C. */
static void write_path(const char *path, FILE *out)
{
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            fputs("\\\\\\", out);
        fputc(*path, out);
    }
}

static void write_image(const CudaImage *i, int number, FILE *out)
{
    fprintf(out,
            "__asm__(\".section .rodata\\n\"\n"
            "        \".balign 64\\n\"\n"
            "        \"tgc_image%d:\\n\"\n"
            "        \".incbin \\\"",
            number);
    write_path(i->path, out);
    fprintf(out,
            "\\\"\\n\"\n"
            "        \".byte 0\\n\"\n"
            "        \".previous\\n\");\n"
            "extern const char tgc_image%d[];\n",
            number);
}

void plan_write_images(const CudaImages *images, FILE *out)
{
    if (!images)
        return;
    for (int i = 0; i < images->n; i++)
        write_image(&images->image[i], i, out);
    fputs("\nstatic const PlanImage images[] = {\n", out);
    for (int i = 0; i < images->n; i++)
        fprintf(out, "{\"%s\",tgc_image%d,%" PRId64 ",%d},\n",
                images->image[i].arch, i, images->image[i].bytes,
                images->version);
    fputs("};\n\n", out);
}
