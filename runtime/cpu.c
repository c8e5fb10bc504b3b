/* cpu.c: see cpu.h. */
#include "cpu.h"
#include <stddef.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
/* __builtin_cpu_supports wants a literal, hence a line for each. */
static bool cpu_lacks(const char *word, size_t n)
{
#define FEATURE(name)                                                          \
    if (n == strlen(name) && !memcmp(word, name, n))                           \
        return !__builtin_cpu_supports(name);
    FEATURE("sse4.2")
    FEATURE("avx")
    FEATURE("avx2")
    FEATURE("fma")
    FEATURE("bmi2")
    FEATURE("avx512f")
    FEATURE("avx512bw")
    FEATURE("avx512cd")
    FEATURE("avx512dq")
    FEATURE("avx512vl")
    FEATURE("avx512vnni")
    FEATURE("avx512vbmi")
    FEATURE("avx512bf16")
#undef FEATURE
    return false;
}
#else
static bool cpu_lacks(const char *word, size_t n)
{
    (void)word;
    (void)n;
    return false;
}
#endif

bool cpu_check(const char *march, Status *s)
{
    for (const char *word = march ? march : ""; *word;) {
        size_t n = strcspn(word, " ,");
        if (n && cpu_lacks(word, n))
            return status_fail(s,
                               "this program was compiled for a processor "
                               "with %.*s, which this one lacks (compile it "
                               "here, or with --march=x86-64)",
                               (int)n, word);
        word += n;
        word += strspn(word, " ,");
    }
    return true;
}
