/* plan_kernels.c: what the linker puts into a plan: functions for the cpu; for
 * cuda the images, taken in by the assembler as they are. */
#include "program.h"
#include "targets.h"
#include <inttypes.h>

void plan_write_kernels(const Kernels *k, FILE *out)
{
    if (target_is_cuda(k->target)) {
        fputs("static Kernel *const *const run = 0;\n\n", out);
        return;
    }
    kernels_print_declarations(k, out);
    fputs("\nstatic Kernel *const run[] = {\n", out);
    for (size_t i = 0; i < k->n_kernels; i++)
        fprintf(out, "%s,\n", k->kernel[i].name);
    fputs("0};\n\n", out);
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
    if (!images) {
        fputs("static const PlanImage *const images = 0;\n\n", out);
        return;
    }
    for (int i = 0; i < images->n; i++)
        write_image(&images->image[i], i, out);
    fputs("\nstatic const PlanImage images[] = {\n", out);
    for (int i = 0; i < images->n; i++)
        fprintf(out, "{\"%s\",tgc_image%d,%" PRId64 ",%d,%d},\n",
                images->image[i].arch, i, images->image[i].bytes,
                images->version, images->image[i].unit);
    fputs("};\n\n", out);
}
