/* conv.c: one convolution of 3x3 windows, stride 1, as many channels from as
 * to, by the library or by winograd.h, on operands in files:
 *
 *     bench_conv 1|2|3 f32|bf16 direct|winograd IMAGES CHANNELS SIZE A B RESULT
 *
 * The first is a LibKind; A and B are its operands as lib.h has them, but plain
 * weights in float32.  RESULT gets y or dx, or dw in float32.  Prints the
 * milliseconds of one core.  For winograd.py. */
#include "clock.h"
#include "lib.h"
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALL = 8, TURNS = 20 }; /* images to a call, as of a batch of 128 */

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "bench_conv: %s: %s\n", what, why);
    exit(1);
}

/* 64-byte aligned, as a plan has it. */
static char *room(int64_t bytes)
{
    char *p = aligned_alloc(64, ((size_t)bytes + 127) / 64 * 64);
    if (!p)
        fail("memory", "there is too little");
    return memset(p, 0, (size_t)bytes);
}

static char *file_read(const char *path, int64_t bytes)
{
    char *data = room(bytes);
    FILE *f = fopen(path, "rb");
    if (!f || fread(data, 1, (size_t)bytes, f) != (size_t)bytes)
        fail(path, "cannot be read, or is too short");
    fclose(f);
    return data;
}

static LibDesc describe(char **argument)
{
    LibDesc d = {.kind = (uint8_t)atoi(argument[1]),
                 .dtype = strcmp(argument[2], "f32") ? PLAN_BF16 : PLAN_F32,
                 .wide = PLAN_F32,
                 .spatial = 2,
                 .winograd = !strcmp(argument[3], "winograd"),
                 .batch = CALL,
                 .groups = 1,
                 .in_channels = atoi(argument[5]),
                 .out_channels = atoi(argument[5])};
    for (int i = 0; i < 2; i++) {
        d.in[i] = d.out[i] = atoi(argument[6]);
        d.kernel[i] = 3;
        d.stride[i] = d.dilation[i] = d.pad_low[i] = d.pad_high[i] = 1;
    }
    return d;
}

/* One call on pieces, `step` bytes of a, b and result apart. */
static double run(const LibDesc *d, int64_t pieces, const char *a,
                  const char *b, char *result, const int64_t *step)
{
    LibInfo info;
    char error[256];
    if (!lib_query(d, &info, error, sizeof error))
        fail("library", error);
    Lib *lib = lib_open(d, 1, 1, error, sizeof error);
    if (!lib)
        fail("library", error);
    struct LibCall *calls[] = {lib_call(lib, 0)};
    KernelCall call = {.lib = calls, .scratch = room(info.scratch_bytes)};
    double began = clock_now();
    for (int64_t i = 0; i < pieces; i++)
        tgc_lib_run(&call, 0, a + i * step[0], b ? b + i * step[1] : NULL,
                    result + i * step[2]);
    double ms = 1e3 * (clock_now() - began);
    free(call.scratch);
    lib_close(lib);
    return ms;
}

static int64_t packed_bytes(const LibDesc *d)
{
    LibInfo info;
    char error[256];
    if (!lib_query(d, &info, error, sizeof error))
        fail("library", error);
    return info.packed_bytes;
}

/* w -> packed for d, or a packed gradient -> dw. */
static void reorder(const LibDesc *d, int kind, const char *from, char *to)
{
    LibDesc r = *d;
    r.kind = (uint8_t)kind;
    r.of = d->kind;
    run(&r, 1, from, NULL, to, (const int64_t[]){0, 0, 0});
}

int main(int argc, char **argv)
{
    if (argc != 10)
        fail("usage", "see the head of conv.c");
    LibDesc d = describe(argv);
    bool grad = d.kind == LIB_CONV_GRAD_WEIGHT;
    int64_t pieces = atoi(argv[4]) / CALL, packed_size = packed_bytes(&d);
    int64_t piece = CALL * d.in_channels * d.in[0] * d.in[1] *
                    (d.dtype == PLAN_F32 ? 4 : 2);
    int64_t weights = d.in_channels * d.out_channels * 9 * 4;
    char *a = file_read(argv[7], pieces * piece);
    char *b = file_read(argv[8], grad ? pieces * piece : weights);
    char *packed = room(packed_size), *result = room(pieces * piece);
    char *sums = room(grad ? pieces * packed_size : 0), *dw = room(weights);
    double best = 1e9;
    if (!grad)
        reorder(&d, LIB_PACK, b, packed);
    for (int i = 0; i < TURNS; i++) {
        const int64_t step[] = {piece, grad ? piece : 0,
                                grad ? packed_size : piece};
        double ms =
            run(&d, pieces, a, grad ? b : packed, grad ? sums : result, step);
        best = ms < best ? ms : best;
    }
    for (int64_t i = 0; grad && i < pieces; i++)
        for (int64_t k = 0; k < packed_size / 4; k++)
            ((float *)packed)[k] += ((float *)sums)[i * (packed_size / 4) + k];
    if (grad)
        reorder(&d, LIB_UNPACK, packed, dw);
    FILE *f = fopen(argv[9], "wb");
    if (!f ||
        fwrite(grad ? dw : result, 1, (size_t)(grad ? weights : pieces * piece),
               f) == 0 ||
        fclose(f))
        fail(argv[9], "cannot be written");
    printf("%.3f\n", best);
    return 0;
}
