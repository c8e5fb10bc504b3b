/* planted.cu: kernels with one fault each, and the same without it.  FAULT is
 * an argument, so that the compiler cannot see which it is. */

extern "C" __global__ void __launch_bounds__(96)
reverse(float *y0, const float *x0, const int *fault)
{
    __shared__ float tile[96];
    int t = threadIdx.x, at = blockIdx.x * 96 + t;
    if (*fault != 1 || t != 5) /* 1: a thread that writes nothing */
        tile[t] = x0[*fault == 2 ? at + 1 : at]; /* 2: past the operand */
    if (*fault != 3) /* 3: no barrier */
        __syncthreads();
    y0[*fault == 4 ? at + 1 : at] = tile[95 - t]; /* 4: past the result */
    if (*fault == 5 && t == 7) /* 5: writes to an operand */
        ((float *)x0)[at] = 1;
    if (*fault == 6 && t < 50) /* 6: a barrier that some do not reach */
        __syncthreads();
    if (*fault == 7) /* 7: all blocks write the same place */
        y0[t] = tile[95 - t];
}

/* Neighbours swap within a warp. */
extern "C" __global__ void __launch_bounds__(64)
swap(float *y0, const float *x0, const int *fault)
{
    __shared__ float tile[64];
    int t = threadIdx.x;
    tile[t] = x0[t];
    if (*fault != 1)
        __syncwarp();
    float other = tile[t ^ 1];
    if (*fault != 2) /* 2: written again before the neighbour has read */
        __syncwarp();
    tile[t] = 0;
    y0[t] = other;
    if (*fault == 3 && t < 40) /* 3: not all of warp 1 come to it */
        y0[t] += __shfl_sync(0xffffffffu, 1.0f, 0);
    else if (*fault == 3)
        __syncwarp();
}

/* Half of the result is never written; `sum` reads it all. */
extern "C" __global__ void __launch_bounds__(32)
half_written(float *y0, const int *fault)
{
    int t = threadIdx.x;
    y0[2 * t] = 1;
    if (*fault != 1)
        y0[2 * t + 1] = 2;
}

extern "C" __global__ void __launch_bounds__(32)
sum(float *y0, const float *x0)
{
    float s = 0;
    if (threadIdx.x == 0) {
        for (int i = 0; i < 64; i++)
            s += x0[i];
        *y0 = s;
    }
}

/* 16 bytes a thread come in the background. */
extern "C" __global__ void __launch_bounds__(32)
copied(float *y0, const float *x0, const int *fault)
{
    extern __shared__ char shared[];
    float *tile = (float *)shared;
    int t = threadIdx.x;
    tgc_cp_async16(tile + 4 * t, x0 + 4 * t, t < 30 ? 16 : 0);
    tgc_cp_async_commit();
    if (*fault != 1) /* 1: nobody waits */
        tgc_cp_async_wait<0>();
    if (*fault != 2) /* 2: each waits for its own, not for the others' */
        __syncthreads();
    for (int i = 0; i < 4; i++)
        y0[4 * t + i] = tile[127 - 4 * t - i];
    if (*fault == 3) /* 3: past the shared memory that was asked for */
        y0[t] = tile[128 + t];
    if (*fault == 4) /* 4: filled again while others may still read */
        tgc_cp_async16(tile + 4 * t, x0, 16);
}

extern "C" __global__ void __launch_bounds__(64)
warp_words(int *y0, const int *x0)
{
    int t = threadIdx.x, v = x0[t];
    y0[t] = __shfl_sync(0xffffffffu, v, t + 3, 8);
    y0[64 + t] = __shfl_up_sync(0xffffffffu, v, 5);
    y0[128 + t] = __shfl_down_sync(0xffffffffu, v, 7, 16);
    y0[192 + t] = __shfl_xor_sync(0xffffffffu, v, 9);
    y0[256 + t] = (int)__ballot_sync(0xffffffffu, v % 3 == 0);
    y0[320 + t] = __any_sync(0xffffffffu, v == 40) +
                  2 * __all_sync(0xffffffffu, v < 32);
    if (t % 32 < 8) /* some lanes of a warp */
        y0[384 + t] = __shfl_sync(0xffu, v, 2);
    else
        y0[384 + t] = __shfl_sync(0xffffff00u, v, 12);
}

extern "C" __global__ void __launch_bounds__(64)
counted(int *y0, float *y1, const int *x0)
{
    __shared__ int bins[8];
    int t = threadIdx.x;
    if (t < 8)
        bins[t] = 0;
    __syncthreads();
    atomicAdd(&bins[x0[blockIdx.x * 64 + t]], 1);
    atomicMax(y0 + 8, blockIdx.x * 64 + t);
    atomicAdd(y1, 0.5f);
    __syncthreads();
    if (t < 8)
        atomicAdd(y0 + t, bins[t]);
}

/* c[16,8] = a[16,16] b[16,8] by ldmatrix and mma; b comes transposed. */
template <class T>
__device__ inline void product(float *y0, const T *x0, const T *x1)
{
    __shared__ __align__(16) T a[16 * 16], b[16 * 16];
    int lane = threadIdx.x;
    for (int i = lane; i < 256; i += 32) {
        a[i] = x0[i];
        b[i] = x1[i / 16 * 8 + i % 8]; /* [16][8] twice, side by side */
    }
    __syncwarp();
    uint32_t ra[4], rb[4];
    float d[4] = {0, 0, 0, 0};
    tgc_ldmatrix(ra, a + lane % 16 * 16 + lane / 16 * 8);
    tgc_ldmatrix_trans(rb, b + lane % 16 * 16 + lane / 16 * 8);
    tgc_mma(T(), d, ra, rb);
    for (int i = 0; i < 4; i++)
        y0[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

extern "C" __global__ void __launch_bounds__(32)
product_f16(float *y0, const tgc_f16 *x0, const tgc_f16 *x1)
{
    product(y0, x0, x1);
}

extern "C" __global__ void __launch_bounds__(32)
product_bf16(float *y0, const tgc_bf16 *x0, const tgc_bf16 *x1)
{
    product(y0, x0, x1);
}

/* Vectors of the prelude, and the generator against the host's. */
extern "C" __global__ void __launch_bounds__(32)
vectors(float *y0, float *y1, const float *x0)
{
    int t = threadIdx.x;
    tgc_vec<float, 8> v = tgc_load<8>(x0 + 8 * t);
    for (int i = 0; i < 8; i++)
        v.v[i] += 1;
    tgc_store(y0 + 8 * t, v);
    y1[t] = tgc_uniform(12345678901LL, 7, 3, t);
}
