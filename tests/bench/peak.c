/* peak.c: what one core of this machine does at most, as one line of JSON:
 * bytes a second copied between large arrays, and flops a second of the
 * library's product of large matrices in float32 and bf16 (0: it has none). */
#include "clock.h"
#include "lib.h"
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 256 << 20, TURNS = 5, SIZE = 1024 };

/* Read once and written once; a write of part of a line reads it, too, but it
 * is the useful bytes that steps are counted by. */
static double bandwidth(void)
{
    char *a = malloc(BYTES), *b = malloc(BYTES);
    double best = 0;
    if (!a || !b)
        return 0;
    memset(a, 1, BYTES);
    memset(b, 2, BYTES);
    for (int i = 0; i < TURNS; i++) {
        double began = clock_now();
        for (int64_t k = 0; k < BYTES; k += 1 << 16) /* as kernels go */
            memcpy(b + k, a + k, 1 << 16);
        double rate = 2.0 * BYTES / (clock_now() - began);
        best = rate > best ? rate : best;
    }
    best = b[BYTES - 1] == 1 ? best : 0;
    free(a);
    free(b);
    return best;
}

static double product_rate(const LibDesc *d, const LibInfo *info)
{
    char error[256];
    size_t bytes = (size_t)SIZE * SIZE * 4;
    char *room = calloc(3, bytes);
    char *scratch = calloc(1, (size_t)info->scratch_bytes + 64);
    Lib *lib = lib_open(d, 1, 1, error, sizeof error);
    double best = 0;
    if (room && scratch && lib) {
        struct LibCall *calls[] = {lib_call(lib, 0)};
        KernelCall call = {.lib = calls, .scratch = scratch};
        for (int i = 0; i < TURNS; i++) {
            double began = clock_now();
            tgc_lib_run(&call, 0, room, room + bytes, room + 2 * bytes);
            double rate = 2.0 * SIZE * SIZE * SIZE / (clock_now() - began);
            best = rate > best ? rate : best;
        }
    }
    lib_close(lib);
    free(scratch);
    free(room);
    return best;
}

static double product(uint8_t dtype)
{
    LibDesc d = {.kind = LIB_MATMUL,
                 .dtype = dtype,
                 .wide = PLAN_F32,
                 .m = SIZE,
                 .n = SIZE,
                 .k = SIZE,
                 .a_row = SIZE,
                 .a_col = 1,
                 .b_row = SIZE,
                 .b_col = 1};
    LibInfo info;
    char error[256];
    if (!lib_query(&d, &info, error, sizeof error))
        return 0;
    return product_rate(&d, &info);
}

int main(void)
{
    printf("{\"bandwidth\": %.4g, \"f32\": %.4g, \"bf16\": %.4g}\n",
           bandwidth(), product(PLAN_F32), product(PLAN_BF16));
    return 0;
}
