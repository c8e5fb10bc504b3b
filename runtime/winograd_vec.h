/* winograd_vec.h: vectors of each instruction set, and what the kernels of
 * winograd_kernels.c do that differs by type.
 *
 * Data is an activation in memory, Word what a product reads of one operand at
 * a time: one float, or of bf16 (WINOGRAD_BF16) a pair, the second in the upper
 * half.  Vec, in which transforms and sums are done, is float32 always. */
#ifndef TGC_WINOGRAD_VEC_H
#define TGC_WINOGRAD_VEC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

typedef float Vec __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE void load(Vec *v, const float *from)
{
    memcpy(v, from, sizeof *v);
}

INLINE void store(float *to, const Vec *v)
{
    memcpy(to, v, sizeof *v);
}

#ifndef WINOGRAD_BF16

typedef float Data, Word;
typedef Vec Words;
enum { PER_WORD = 1, FAST = true };

INLINE void load_data(Vec *v, const Data *from)
{
    load(v, from);
}

INLINE void store_data(Data *to, const Vec *v)
{
    store(to, v);
}

/* v[0] and v[1] to two places, neighbouring channels in a word. */
INLINE void store_two(Word *to, Word *other, const Vec *v)
{
    store(to, &v[0]);
    store(other, &v[1]);
}

/* A word for each channel: v[0] in its first place, v[1] in its second. */
INLINE void store_words(Word *to, const Vec *v)
{
    store(to, v);
}

INLINE Vec add_product(Vec sum, Word a, Words b)
{
    return sum + a * b;
}

#else

typedef uint16_t Data;
typedef uint32_t Word;
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
enum { PER_WORD = 2 };

#if defined(__AVX512BF16__)

#include <immintrin.h>

enum { FAST = true };

/* Of 32 numbers of 16 bits. */
typedef uint16_t Pairs __attribute__((vector_size(64)));

INLINE void load_data(Vec *v, const Data *from)
{
    const Pairs to_upper = {0, 0,  0, 1,  0, 2,  0, 3,  0, 4, 0,
                            5, 0,  6, 0,  7, 0,  8, 0,  9, 0, 10,
                            0, 11, 0, 12, 0, 13, 0, 14, 0, 15};
    __m256i h;
    memcpy(&h, from, sizeof h);
    *v = (Vec)_mm512_maskz_permutexvar_epi16(0xaaaaaaaa, (__m512i)to_upper,
                                             _mm512_castsi256_si512(h));
}

INLINE void store_data(Data *to, const Vec *v)
{
    __m256bh h = _mm512_cvtneps_pbh((__m512)*v);
    memcpy(to, &h, sizeof h);
}

INLINE void store_two(Word *to, Word *other, const Vec *v)
{
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)v[1], (__m512)v[0]);
    __m256i low = _mm512_castsi512_si256(both);
    __m256i high = _mm512_extracti64x4_epi64(both, 1);
    memcpy(to, &low, sizeof low);
    memcpy(other, &high, sizeof high);
}

INLINE void store_words(Word *to, const Vec *v)
{
    const Pairs in_turn = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                           21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                           11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)v[1], (__m512)v[0]);
    __m512i words = _mm512_permutexvar_epi16((__m512i)in_turn, both);
    memcpy(to, &words, sizeof words);
}

INLINE Vec add_product(Vec sum, Word a, Words b)
{
    Words all = (Words){0} + a;
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)all, (__m512bh)b);
}

#else

enum { FAST = false };

INLINE void load_data(Vec *v, const Data *from)
{
    Halves h;
    memcpy(&h, from, sizeof h);
    *v = (Vec)(__builtin_convertvector(h, Words) << 16);
}

/* The bits of bf16 in the lower halves, rounded to even; what is not a number
 * stays none. */
INLINE Words rounded(Vec v)
{
    Words bits = (Words)v, odd = bits >> 16 & 1;
    Words none = (Words)(v != v);
    return ((bits + 0x7fff + odd) >> 16 & ~none) | (0x7fc0 & none);
}

INLINE void store_data(Data *to, const Vec *v)
{
    Halves h = __builtin_convertvector(rounded(*v), Halves);
    memcpy(to, &h, sizeof h);
}

INLINE void store_two(Word *to, Word *other, const Vec *v)
{
    store_data((Data *)to, &v[0]);
    store_data((Data *)other, &v[1]);
}

INLINE void store_words(Word *to, const Vec *v)
{
    Words pairs = rounded(v[0]) | rounded(v[1]) << 16;
    memcpy(to, &pairs, sizeof pairs);
}

INLINE Vec add_product(Vec sum, Word a, Words b)
{
    float low, high;
    uint32_t bits = a << 16;
    memcpy(&low, &bits, sizeof low);
    bits = a & 0xffff0000u;
    memcpy(&high, &bits, sizeof high);
    return sum + low * (Vec)(b << 16) + high * (Vec)(b & 0xffff0000u);
}

#endif

#endif

#endif
