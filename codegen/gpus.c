/* gpus.c: graphics processors by what NVIDIA's data sheets say (dense rates,
 * half of those "with sparsity"; SXM modules where there are several forms):
 * "NVIDIA H200 Tensor Core GPU", "NVIDIA H100 Tensor Core GPU", "NVIDIA A100
 * Tensor Core GPU", "NVIDIA V100 Tensor Core GPU", "NVIDIA T4", "NVIDIA L4
 * Tensor Core GPU", "NVIDIA A10", and "NVIDIA Ada GPU Architecture" for the
 * GeForce RTX 4090.  They are what cannot be exceeded, not what is reached. */
#include "estimate.h"
#include "nearest.h"
#include <stdio.h>
#include <string.h>

#define T 1e12
#define G 1e9

/* clang-format off */
static const Gpu gpu_table[] = {
    /* name      words                     half      single  other    bytes/s    memory */
    {"t4",      "T4 16 GB",                65 * T,   8.1*T,  8.1*T,   320 * G,   16 * G, false},
    {"v100",    "V100 SXM2 16 GB",         125 * T,  15.7*T, 15.7*T,  900 * G,   16 * G, false},
    {"a10",     "A10 24 GB",               125 * T,  31.2*T, 31.2*T,  600 * G,   24 * G, true},
    {"l4",      "L4 24 GB",                121 * T,  30.3*T, 30.3*T,  300 * G,   24 * G, true},
    {"rtx4090", "GeForce RTX 4090 24 GB",  165.2*T,  82.6*T, 82.6*T,  1008 * G,  24 * G, true},
    {"a100",    "A100 SXM 80 GB",          312 * T,  19.5*T, 19.5*T,  2039 * G,  80 * G, true},
    {"h100",    "H100 SXM 80 GB",          989 * T,  67 * T, 67 * T,  3350 * G,  80 * G, true},
    {"h200",    "H200 SXM 141 GB",         989 * T,  67 * T, 67 * T,  4800 * G,  141 * G, true},
};
/* clang-format on */

enum { GPUS = sizeof gpu_table / sizeof *gpu_table };

/* What a kernel takes to begin where a whole step is one graph of them. */
static const double START = 2e-6;

const Gpu *gpu_named(const char *name)
{
    for (int i = 0; i < GPUS; i++)
        if (!strcmp(gpu_table[i].name, name))
            return &gpu_table[i];
    return NULL;
}

const char *gpu_nearest(const char *name)
{
    Nearest near = nearest_of(name);
    for (int i = 0; i < GPUS; i++)
        nearest_try(&near, gpu_table[i].name);
    return nearest_name(&near);
}

const char *gpu_names(char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < GPUS && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i ? ", " : "", gpu_table[i].name);
    return text;
}

/* Products of float32 are reckoned without the shortened mantissa of TF32. */
Rates gpu_rates(const Gpu *g, bool half)
{
    return (Rates){half ? g->half : g->single, g->flops, g->bytes, START};
}
