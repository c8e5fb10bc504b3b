/* cuda_prelude.cuh: what stands before the generated CUDA kernels.
 *
 * Kernels use nothing of the machine but CUDA's language (threadIdx,
 * __syncthreads, __shfl_*_sync, ..) and the wrappers of this file: they have no
 * assembly of their own.  So a host that has the wrappers can run the very
 * text: under TGC_EMULATED it brings its own types and wrappers, by the same
 * names, and the part that is the same for both follows.
 *
 *     tgc_f16, tgc_bf16        a number in memory; float <-> with tgc_from_x,
 *                              tgc_to_x, which round to nearest, to even
 *     tgc_cp_async16           16 bytes from global to shared memory, later
 *     tgc_ldmatrix             8x8 tiles of 16-bit numbers into registers
 *     tgc_mma                  16x8 += 16x16 times 16x8 on the matrix unit
 */
#ifdef TGC_EMULATED
#include "cuda_emulated.h"
#else

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define INT32_MIN (-2147483647 - 1)
#define INT32_MAX 2147483647
#define INT64_MIN (-9223372036854775807LL - 1)
#define INT64_MAX 9223372036854775807LL
#define INT64_C(x) x##LL
#define UINT32_C(x) x##U
#define UINT64_C(x) x##ULL
#define __builtin_inff() __int_as_float(0x7f800000)
#define __builtin_inf() __longlong_as_double(0x7ff0000000000000LL)
#define __builtin_nanf(text) __int_as_float(0x7fc00000)
#define __builtin_nan(text) __longlong_as_double(0x7ff8000000000000LL)

struct tgc_f16 {
    uint16_t bits;
};
struct tgc_bf16 {
    uint16_t bits;
};

__device__ inline float tgc_from_f16(tgc_f16 x)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.bits));
    return f;
}

__device__ inline tgc_f16 tgc_to_f16(float x)
{
    tgc_f16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
    return h;
}

__device__ inline float tgc_from_bf16(tgc_bf16 x)
{
    return __uint_as_float((uint32_t)x.bits << 16);
}

__device__ inline tgc_bf16 tgc_to_bf16(float x)
{
    tgc_bf16 h;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.bits) : "f"(x));
    return h;
}

/* ---- copies that go on while the thread does ---------------------------- */

/* 16 bytes, both ends aligned to 16; the last 16 - bytes become 0, and with 0
 * bytes nothing is read.  `bytes` is 0 or 16. */
__device__ inline void tgc_cp_async16(void *shared, const void *global,
                                      int bytes)
{
    uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
                 "l"(global), "r"(bytes)
                 : "memory");
}

/* Ends a group of copies. */
__device__ inline void tgc_cp_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Waits until at most N of this thread's groups are under way. */
template <int N> __device__ inline void tgc_cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* ---- the matrix unit ---------------------------------------------------- */

/* Four 8x8 tiles of 16-bit numbers.  Lane l gives the address of row l % 8 of
 * tile l / 8 (16 bytes, aligned); of tile t it gets r[t]: columns 2 (l % 4) and
 * the next of row l / 4. */
__device__ inline void tgc_ldmatrix(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, "
                 "[%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* The same of the transposed tiles: rows 2 (l % 4) and the next of column
 * l / 4. */
__device__ inline void tgc_ldmatrix_trans(uint32_t r[4], const void *row)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, "
                 "%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at)
                 : "memory");
}

/* d[16,8] += a[16,16] b[16,8] in float.  With q = lane / 4, p = lane % 4:
 *     d[0], d[1]  row q, columns 2p, 2p+1     d[2], d[3]  row q + 8
 *     a[0]  row q, columns 2p, 2p+1           a[1]  row q + 8
 *     a[2]  row q, columns 2p+8, 2p+9         a[3]  row q + 8
 *     b[0]  rows 2p, 2p+1 of column q         b[1]  rows 2p+8, 2p+9
 * The type of the first argument says whether they are f16 or bf16. */
__device__ inline void tgc_mma(tgc_f16, float d[4], const uint32_t a[4],
                               const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]),
                   "r"(b[1]));
}

__device__ inline void tgc_mma(tgc_bf16, float d[4], const uint32_t a[4],
                               const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]),
                   "r"(b[1]));
}

#endif

/* ---- the same everywhere ------------------------------------------------ */

/* Neighbours that go to and from memory at once.  16 bytes is what a thread can
 * read at once; longer ones take several reads. */
template <class T, int N> struct tgc_vec {
    static constexpr int bytes = sizeof(T) * N;
    static constexpr int align = bytes % 16 == 0  ? 16
                                 : bytes % 8 == 0 ? 8
                                 : bytes % 4 == 0 ? 4
                                                  : sizeof(T);
    alignas(align) T v[N];
};

template <int BYTES> struct tgc_word;
template <> struct tgc_word<1> {
    typedef uint8_t type;
};
template <> struct tgc_word<2> {
    typedef uint16_t type;
};
template <> struct tgc_word<4> {
    typedef uint32_t type;
};
template <> struct tgc_word<8> {
    typedef uint2 type;
};
template <> struct tgc_word<16> {
    typedef uint4 type;
};

/* From and to an address that is aligned as the vector is. */
template <int N, class T>
__device__ inline tgc_vec<T, N> tgc_load(const T *from)
{
    typedef typename tgc_word<tgc_vec<T, N>::align>::type Word;
    tgc_vec<T, N> r;
#pragma unroll
    for (int i = 0; i < (int)(sizeof r / sizeof(Word)); i++)
        ((Word *)r.v)[i] = ((const Word *)from)[i];
    return r;
}

template <int N, class T>
__device__ inline void tgc_store(T *to, const tgc_vec<T, N> &r)
{
    typedef typename tgc_word<tgc_vec<T, N>::align>::type Word;
#pragma unroll
    for (int i = 0; i < (int)(sizeof r / sizeof(Word)); i++)
        ((Word *)to)[i] = ((const Word *)r.v)[i];
}

/* The generator of runtime/rng.h, for random ops. */
__device__ inline float tgc_uniform(int64_t seed, int64_t step, int64_t stream,
                                    int64_t element)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)(element / 4);
    uint32_t c1 = (uint32_t)(element / 4 >> 32);
    uint32_t c2 = (uint32_t)step, c3 = (uint32_t)stream;
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    const uint32_t which = (uint32_t)(element % 4);
    const uint32_t word = which == 0   ? c0
                          : which == 1 ? c1
                          : which == 2 ? c2
                                       : c3;
    return (float)(word >> 8) * 0x1p-24f;
}

