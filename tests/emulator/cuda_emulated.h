/* cuda_emulated.h: what a kernel finds in place of the machine.  Included by
 * the prelude of the kernels (codegen/cuda_prelude.cuh) under TGC_EMULATED. */
#ifndef TGC_CUDA_EMULATED_H
#define TGC_CUDA_EMULATED_H

#include <cfloat>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
/* One copy for each host thread, without `static` in a function: the rules of
 * C++ for thread_local are those of shared memory. */
#define __shared__      thread_local
#define __forceinline__ inline
#define __align__(n)    __attribute__((aligned(n)))
#define __launch_bounds__(...)

/* ---- where this thread is ------------------------------------------------ */

struct uint3 {
    unsigned x, y, z;
};

extern "C" {
uint3 emu_thread_index(void);
uint3 emu_block_index(void);
uint3 emu_block_size(void);
uint3 emu_grid_size(void);
void emu_barrier(void);
void emu_warp_barrier(unsigned mask);
unsigned emu_active_mask(void);
unsigned emu_ballot(unsigned mask, int predicate);
uint64_t emu_shuffle(int kind, unsigned mask, uint64_t bits, int by, int width);
void emu_copy_async(void *shared, const void *global, int bytes, int size);
void emu_copy_commit(void);
void emu_copy_wait(int most);
void emu_load_matrix(uint32_t *r, const void *row, int transposed, int tiles);
void emu_matrix(int bf16, float *d, const uint32_t *a, const uint32_t *b);
void emu_access(const void *at, size_t bytes, int write, int atomic);
}

#define threadIdx (emu_thread_index())
#define blockIdx  (emu_block_index())
#define blockDim  (emu_block_size())
#define gridDim   (emu_grid_size())
#define warpSize  32

/* ---- vectors of CUDA ----------------------------------------------------- */

#define EMU_VECTORS(T, name)                                                   \
    struct alignas(2 * sizeof(T)) name##2                                      \
    {                                                                          \
        T x, y;                                                                \
    };                                                                         \
    struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) name##4                 \
    {                                                                          \
        T x, y, z, w;                                                          \
    };                                                                         \
    static inline name##2 make_##name##2(T x, T y)                             \
    {                                                                          \
        return {x, y};                                                         \
    }                                                                          \
    static inline name##4 make_##name##4(T x, T y, T z, T w)                   \
    {                                                                          \
        return {x, y, z, w};                                                   \
    }

EMU_VECTORS(float, float)
EMU_VECTORS(double, double)
EMU_VECTORS(int, int)
EMU_VECTORS(unsigned, uint)
EMU_VECTORS(short, short)
EMU_VECTORS(unsigned short, ushort)
EMU_VECTORS(unsigned char, uchar)
#undef EMU_VECTORS

/* ---- barriers, warps ----------------------------------------------------- */

static inline void __syncthreads()
{
    emu_barrier();
}

static inline void __syncwarp(unsigned mask = 0xffffffffu)
{
    emu_warp_barrier(mask);
}

static inline void __threadfence()
{
}
static inline void __threadfence_block()
{
}

static inline unsigned __activemask()
{
    return emu_active_mask();
}

static inline unsigned __ballot_sync(unsigned mask, int predicate)
{
    return emu_ballot(mask, predicate);
}

static inline int __any_sync(unsigned mask, int predicate)
{
    return emu_ballot(mask, predicate) != 0;
}

static inline int __all_sync(unsigned mask, int predicate)
{
    return emu_ballot(mask, !predicate) == 0;
}

enum { EMU_SHUFFLE, EMU_SHUFFLE_UP, EMU_SHUFFLE_DOWN, EMU_SHUFFLE_XOR };

template <class T>
static inline T emu_shuffled(int kind, unsigned mask, T value, int by,
                             int width)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = emu_shuffle(kind, mask, bits, by, width);
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class T>
static inline T __shfl_sync(unsigned mask, T v, int lane, int width = 32)
{
    return emu_shuffled(EMU_SHUFFLE, mask, v, lane, width);
}

template <class T>
static inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32)
{
    return emu_shuffled(EMU_SHUFFLE_UP, mask, v, (int)by, width);
}

template <class T>
static inline T __shfl_down_sync(unsigned mask, T v, unsigned by,
                                 int width = 32)
{
    return emu_shuffled(EMU_SHUFFLE_DOWN, mask, v, (int)by, width);
}

template <class T>
static inline T __shfl_xor_sync(unsigned mask, T v, int with, int width = 32)
{
    return emu_shuffled(EMU_SHUFFLE_XOR, mask, v, with, width);
}

/* ---- atomics: one thread runs at a time ---------------------------------- */

/* The compiler is to ask nothing about these accesses; they ask themselves. */
#define EMU_UNWATCHED __attribute__((no_sanitize("thread")))

template <class T, class F>
EMU_UNWATCHED static inline T emu_atomic(T *at, F change)
{
    emu_access(at, sizeof *at, 1, 1);
    T old;
    __builtin_memcpy(&old, at, sizeof old);
    *(volatile T *)at = change(old);
    return old;
}

#define EMU_ATOMIC(name, result)                                               \
    template <class T>                                                         \
    static inline T name(T *at, typename std::remove_cv<T>::type value)        \
    {                                                                          \
        return emu_atomic(at, [=](T old) -> T { return result; });             \
    }

EMU_ATOMIC(atomicAdd, old + value)
EMU_ATOMIC(atomicSub, old - value)
EMU_ATOMIC(atomicExch, (void(old), value))
EMU_ATOMIC(atomicMin, value < old ? value : old)
EMU_ATOMIC(atomicMax, old < value ? value : old)
EMU_ATOMIC(atomicAnd, old &value)
EMU_ATOMIC(atomicOr, old | value)
EMU_ATOMIC(atomicXor, old ^ value)
#undef EMU_ATOMIC

template <class T>
static inline T atomicCAS(T *at, typename std::remove_cv<T>::type compare,
                          typename std::remove_cv<T>::type value)
{
    return emu_atomic(at, [=](T old) { return old == compare ? value : old; });
}

/* ---- numbers ------------------------------------------------------------- */

template <class To, class From> static inline To emu_bits(From from)
{
    static_assert(sizeof(To) == sizeof(From), "as many bits");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline float __int_as_float(int x)
{
    return emu_bits<float>(x);
}
static inline int __float_as_int(float x)
{
    return emu_bits<int>(x);
}
static inline float __uint_as_float(unsigned x)
{
    return emu_bits<float>(x);
}
static inline unsigned __float_as_uint(float x)
{
    return emu_bits<unsigned>(x);
}
static inline double __longlong_as_double(long long x)
{
    return emu_bits<double>(x);
}
static inline long long __double_as_longlong(double x)
{
    return emu_bits<long long>(x);
}
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}
static inline double rsqrt(double x)
{
    return 1 / sqrt(x);
}
#define __expf expf /* the host's library has functions of these names */
#define __logf logf
static inline float __fdividef(float x, float y)
{
    return x / y;
}
static inline float __frcp_rn(float x)
{
    return 1 / x;
}
static inline float __fsqrt_rn(float x)
{
    return sqrtf(x);
}
static inline float __fmaf_rn(float x, float y, float z)
{
    return fmaf(x, y, z);
}
static inline float __fadd_rn(float x, float y)
{
    return x + y;
}
static inline float __fmul_rn(float x, float y)
{
    return x * y;
}
template <class T> static inline T __ldg(const T *at)
{
    return *at;
}

template <class A, class B>
static inline typename std::common_type<A, B>::type min(A a, B b)
{
    typedef typename std::common_type<A, B>::type T;
    return (T)b < (T)a ? (T)b : (T)a;
}

template <class A, class B>
static inline typename std::common_type<A, B>::type max(A a, B b)
{
    typedef typename std::common_type<A, B>::type T;
    return (T)a < (T)b ? (T)b : (T)a;
}

/* ---- half types -----------------------------------------------------------
 */

struct tgc_f16 {
    uint16_t bits;
};
struct tgc_bf16 {
    uint16_t bits;
};

static inline float tgc_from_f16(tgc_f16 x)
{
    return (float)emu_bits<_Float16>(x.bits);
}

static inline tgc_f16 tgc_to_f16(float x)
{
    return {emu_bits<uint16_t>((_Float16)x)};
}

static inline float tgc_from_bf16(tgc_bf16 x)
{
    return emu_bits<float>((uint32_t)x.bits << 16);
}

static inline tgc_bf16 tgc_to_bf16(float x)
{
    uint32_t u = emu_bits<uint32_t>(x);
    if (x != x)
        return {0x7fff};
    return {(uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16)};
}

/* ---- the wrappers of the prelude ------------------------------------------
 */

static inline void tgc_cp_async16(void *shared, const void *global, int bytes)
{
    emu_copy_async(shared, global, bytes, 16);
}

static inline void tgc_cp_async_commit()
{
    emu_copy_commit();
}

template <int N> static inline void tgc_cp_async_wait()
{
    emu_copy_wait(N);
}

static inline void tgc_ldmatrix(uint32_t r[4], const void *row)
{
    emu_load_matrix(r, row, 0, 4);
}

static inline void tgc_ldmatrix_trans(uint32_t r[4], const void *row)
{
    emu_load_matrix(r, row, 1, 4);
}

static inline void tgc_mma(tgc_f16, float d[4], const uint32_t a[4],
                           const uint32_t b[2])
{
    emu_matrix(0, d, a, b);
}

static inline void tgc_mma(tgc_bf16, float d[4], const uint32_t a[4],
                           const uint32_t b[2])
{
    emu_matrix(1, d, a, b);
}

/* ---- finding kernels ------------------------------------------------------
 */

/* emulate.py ends the text with EMU_KERNEL(name, threads) for each kernel. */
typedef void EmuInvoke(void **args);

struct EmuKernel {
    const char *name;
    EmuInvoke *invoke;
    int threads, n_args;
    EmuKernel *next;
};

extern "C" void emu_register(EmuKernel *kernel);

template <class... A, size_t... I>
EMU_UNWATCHED static inline void emu_call(void (*f)(A...), void **args,
                                          std::index_sequence<I...>)
{
    f(*(A *)args[I]...);
}

template <class F, F *f> struct EmuCall;
template <class... A, void (*f)(A...)> struct EmuCall<void(A...), f> {
    enum { N = sizeof...(A) };
    static void invoke(void **args)
    {
        emu_call(f, args, std::index_sequence_for<A...>());
    }
};

struct EmuRegister {
    explicit EmuRegister(EmuKernel *kernel)
    {
        emu_register(kernel);
    }
};

#define EMU_KERNEL(name, threads)                                              \
    static EmuKernel emu_kernel_##name = {                                     \
        #name, EmuCall<decltype(name), name>::invoke, threads,                 \
        EmuCall<decltype(name), name>::N, nullptr};                            \
    static EmuRegister emu_register_##name(&emu_kernel_##name);

#endif
