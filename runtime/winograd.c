/* winograd.c: which calls winograd.h runs, and with what. */
#include "winograd.h"
#include "plan.h"
#include <stdio.h>
#include <string.h>

/* The convolution whose weights a packing is for; else the call itself. */
static int conv_kind(const LibDesc *d)
{
    return d->kind == LIB_PACK || d->kind == LIB_UNPACK ? d->of : d->kind;
}

bool winograd_fits(const LibDesc *d)
{
    int kind = conv_kind(d);
    if (kind < LIB_CONV || kind > LIB_CONV_GRAD_WEIGHT ||
        (d->dtype != PLAN_F32 && d->dtype != PLAN_BF16) ||
        d->wide != PLAN_F32 || d->spatial != 2 || d->groups != 1 ||
        d->in_channels % WINOGRAD_GROUP || d->out_channels % WINOGRAD_GROUP)
        return false;
    for (int i = 0; i < 2; i++)
        if (d->kernel[i] != 3 || d->stride[i] != 1 || d->dilation[i] != 1)
            return false;
    return true;
}

/* The gradient of the input is a convolution of the other's gradient. */
static WinogradShape shape_of(const LibDesc *d)
{
    bool back = conv_kind(d) == LIB_CONV_GRAD_INPUT;
    WinogradShape s = {
        .images = d->batch,
        .channels = back ? d->out_channels : d->in_channels,
        .results = back ? d->in_channels : d->out_channels,
    };
    for (int i = 0; i < 2; i++) {
        s.in[i] = back ? d->out[i] : d->in[i];
        s.out[i] = back ? d->in[i] : d->out[i];
        s.low[i] = back ? 2 - d->pad_low[i] : d->pad_low[i];
        s.tiles[i] = (s.out[i] + 1) / 2;
    }
    return s;
}

bool winograd_is_fast(const LibDesc *d)
{
    return winograd_kernels(d->dtype, 0)->fast;
}

extern const WinogradKernels winograd_plain, winograd_plain_bf16;
#ifdef TGC_X86
extern const WinogradKernels winograd_avx2, winograd_avx512;
extern const WinogradKernels winograd_avx2_bf16, winograd_avx512_bf16;
#endif

const WinogradKernels *winograd_kernels(int dtype, int i)
{
    bool bf16 = dtype == PLAN_BF16;
#ifdef TGC_X86
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f");
    if (bf16)
        avx512 = avx512 && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512bf16");
    if (avx512 && i-- == 0)
        return bf16 ? &winograd_avx512_bf16 : &winograd_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        i-- == 0)
        return bf16 ? &winograd_avx2_bf16 : &winograd_avx2;
#endif
    if (i != 0)
        return NULL;
    return bf16 ? &winograd_plain_bf16 : &winograd_plain;
}

void winograd_info(const LibDesc *d, LibInfo *info)
{
    WinogradShape s = shape_of(d);
    int64_t floats =
        s.channels + winograd_floats(s.channels) + winograd_floats(s.results);
    bool packing = d->kind == LIB_PACK || d->kind == LIB_UNPACK;
    memset(info, 0, sizeof *info);
    bool half = d->dtype == PLAN_BF16 && conv_kind(d) != LIB_CONV_GRAD_WEIGHT;
    info->packed_bytes =
        WINOGRAD_POINTS * s.channels * s.results * (half ? 2 : 4);
    info->scratch_bytes = packing ? 0 : floats * 4;
    snprintf(info->implementation, sizeof info->implementation, "%s",
             winograd_kernels(d->dtype, 0)->name);
}

void winograd_run(const LibDesc *d, const void *a, const void *b, void *result,
                  void *scratch)
{
    const WinogradKernels *k = winograd_kernels(d->dtype, 0);
    WinogradShape s = shape_of(d);
    switch (d->kind) {
    case LIB_CONV:
    case LIB_CONV_GRAD_INPUT:
        k->conv(&s, a, b, result, scratch);
        return;
    case LIB_CONV_GRAD_WEIGHT:
        k->grad_weight(&s, a, b, result, scratch);
        return;
    case LIB_PACK:
        k->pack(d->in_channels, d->out_channels, d->of == LIB_CONV_GRAD_INPUT,
                a, result);
        return;
    default:
        k->unpack(d->in_channels, d->out_channels, a, result);
    }
}
