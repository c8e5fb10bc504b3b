/* plan_file.c: the C file that holds a packed plan, and main. */
#include "plan_pack.h"
#include "program.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { BYTES_PER_LINE = 40 };

/* A string literal: what C compilers read fastest.  Octal digits end where the
 * next byte is no digit. */
static void write_bytes(const unsigned char *p, size_t n, FILE *out)
{
    fputc('"', out);
    for (size_t i = 0; i < n; i++) {
        bool digit = i + 1 < n && isdigit(p[i + 1]);
        if (p[i] == '"' || p[i] == '\\' || p[i] == '?' || !isprint(p[i]))
            fprintf(out, digit ? "\\%03o" : "\\%o", p[i]);
        else
            fputc(p[i], out);
        if (i % BYTES_PER_LINE == BYTES_PER_LINE - 1)
            fputs("\"\n\"", out);
    }
    fputc('"', out);
}

static void write_text(const char *s, FILE *out)
{
    write_bytes((const unsigned char *)s, strlen(s), out);
}

static void write_pack(const PackedPlan *p, int images, const char *march,
                       FILE *out)
{
    fputs("static const PlanPack pack = {(const unsigned char *)\n", out);
    write_bytes(p->data, (size_t)p->packed, out);
    fprintf(out, ",\n%" PRId64 ", %" PRId64 ", run, images, %d,\n", p->packed,
            p->bytes, images);
    fputs("\"tgc 0.1, cc \" __VERSION__ \", -march=\" ", out);
    write_text(march, out);
    fputs(",\n", out);
    write_text(march, out);
    fputs(" PLAN_CPU_FEATURES};\n\n", out);
}

void plan_write(const Program *p, const CodegenOptions *o,
                const CudaImages *images, FILE *out)
{
    Arena *a = arena_new();
    PackedPlan packed = plan_pack(plan_new(p, a), a);
    fputs("#include \"plan.h\"\n\n", out);
    plan_write_kernels(p->kernels, out);
    plan_write_images(images, out);
    write_pack(&packed, images ? images->n : 0, o->march ? o->march : "native",
               out);
    fputs("int main(int argc, char **argv)\n{\n"
          "    return tgc_main_packed(&pack, argc, argv);\n}\n",
          out);
    arena_free(a);
}
