/* dump.c: a line for each tensor of a file of weights:
 *
 *     NAME DTYPE SHAPE CRC-32
 *
 * of its elements in row-major order; floating types as float32, the others
 * as they are.  For the scripts beside it. */
#include "types.h"
#include "weights.h"
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

static bool dump(const WeightFile *f, const Weight *w, Status *s)
{
    PlanType type = {.dtype = w->dtype, .rank = w->rank};
    char shape[128];
    for (int i = 0; i < w->rank; i++)
        type.dim[i] = w->dim[i];
    printf("%s %s %s ", w->name, dtype_name(w->dtype),
           type_shape_text(&type, shape, sizeof shape));
    if (!w->dtype) {
        puts("-");
        return true;
    }
    if (weights_converts(w->dtype, PLAN_F32))
        type.dtype = PLAN_F32;
    size_t bytes = (size_t)type_bytes(&type);
    unsigned char *data = malloc(bytes + 1);
    bool done = data && weights_read(f, w, type.dtype, data, s);
    if (done)
        printf("%08lx\n", crc32(0, data, (uInt)bytes));
    free(data);
    return done;
}

int main(int argc, char **argv)
{
    Status s = {0};
    WeightFile *f = argc == 2 ? weights_open(argv[1], &s) : NULL;
    if (f)
        printf("%s\n", weights_kind(f));
    for (uint32_t i = 0; f && i < weights_count(f); i++)
        if (!dump(f, weights_at(f, i), &s))
            break;
    weights_close(f);
    if (s.failed)
        fprintf(stderr, "%s\n", s.text);
    return s.failed || argc != 2;
}
