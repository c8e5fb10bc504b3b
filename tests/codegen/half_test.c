/* half_test.c: the conversions of half types that generated kernels use, for
 * every half value and for many floats, against arithmetic on doubles.  And
 * loops over them become vectors. */
#include "print_c.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* A value from its fields; to half: the neighbour that is nearest, the even one
 * where both are, found by looking at all. */
static const char program[] =
    "#include <math.h>\n"
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "static double value(uint32_t h, int digits, int bias)\n"
    "{\n"
    "    uint32_t top = (1u << (15 - digits)) - 1;\n"
    "    uint32_t e = h >> digits & top, m = h & ((1u << digits) - 1);\n"
    "    double v = e == top ? (m ? NAN : INFINITY)\n"
    "             : e ? ldexp(m | 1u << digits, (int)e - bias - digits)\n"
    "                 : ldexp(m, 1 - bias - digits);\n"
    "    return h & 0x8000 ? -v : v;\n"
    "}\n"
    "static uint32_t nearest(float x, int digits, int bias)\n"
    "{\n"
    "    uint32_t sign = signbit(x) ? 0x8000 : 0, low = 0, high;\n"
    "    uint32_t top = ((1u << (15 - digits)) - 1) << digits;\n"
    "    double a = fabs((double)x);\n"
    "    for (high = top; high - low > 1;) {\n"
    "        uint32_t middle = (low + high) / 2;\n"
    "        if (value(middle, digits, bias) <= a) low = middle;\n"
    "        else high = middle;\n"
    "    }\n"
    "    double l = value(low, digits, bias);\n"
    "    double h = high == top ? 2 * l - value(low - 1, digits, bias)\n"
    "                           : value(high, digits, bias);\n"
    "    uint32_t y = a - l < h - a || (a - l == h - a && low % 2 == 0)\n"
    "               ? low : high;\n"
    "    return sign | (isinf(x) ? top : y);\n"
    "}\n"
    "static int bad(float x, uint32_t got, int digits, int bias)\n"
    "{\n"
    "    if (x != x)\n"
    "        return value(got, digits, bias) == value(got, digits, bias);\n"
    "    return got != nearest(x, digits, bias);\n"
    "}\n"
    "static int differ(double a, double b)\n"
    "{\n"
    "    return a == a ? a != b || signbit(a) != signbit(b) : b == b;\n"
    "}\n"
    "void loop(tgc_f16 *restrict y, const tgc_bf16 *restrict x, int n)\n"
    "{\n"
    "#pragma omp simd\n"
    "    for (int i = 0; i < n; i++)\n"
    "        y[i] = tgc_to_f16(tgc_from_bf16(x[i]) + 1);\n"
    "}\n"
    "void back(tgc_bf16 *restrict y, const tgc_f16 *restrict x, int n)\n"
    "{\n"
    "#pragma omp simd\n"
    "    for (int i = 0; i < n; i++)\n"
    "        y[i] = tgc_to_bf16(tgc_from_f16(x[i]) + 1);\n"
    "}\n"
    "int main(void)\n"
    "{\n"
    "    for (uint32_t h = 0; h < 65536; h++) {\n"
    "        double f = value(h, 10, 15), b = value(h, 7, 127);\n"
    "        if (differ(f, tgc_from_f16(h)) || differ(b, tgc_from_bf16(h)))\n"
    "            return printf(\"from %x\\n\", h), 1;\n"
    "    }\n"
    "    for (uint64_t i = 0; i < 1ull << 32; i += 4093) {\n"
    "        union tgc_bits u = {.i = (uint32_t)i};\n"
    "        for (int k = 0; k < 3; k++) {\n"
    "            if (bad(u.f, tgc_to_f16(u.f), 10, 15) ||\n"
    "                bad(u.f, tgc_to_bf16(u.f), 7, 127))\n"
    "                return printf(\"to %x %g\\n\", u.i, u.f), 1;\n"
    "            /* Halves of the last digits: ties and their neighbours. */\n"
    "            u.i = k ? (u.i & ~0xffffu) | 0x8000 : u.i & ~0xfffu;\n"
    "        }\n"
    "    }\n"
    "    for (uint32_t h = 0; h < 0x7bff; h++) {\n"
    "        float x = (float)(value(h, 10, 15) + value(h + 1, 10, 15)) / 2;\n"
    "        float near[] = {x, nextafterf(x, 0), nextafterf(x, 1e9f)};\n"
    "        for (int k = 0; k < 3; k++)\n"
    "            if (bad(near[k], tgc_to_f16(near[k]), 10, 15))\n"
    "                return printf(\"to %g\\n\", near[k]), 1;\n"
    "    }\n"
    "    return 0;\n"
    "}\n";

static void write_program(const char *folder)
{
    char path[256];
    snprintf(path, sizeof path, "%s/half.c", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    print_c_head(f);
    fputs(program, f);
    assert_int_equal(fclose(f), 0);
}

static void run(const char *folder, const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd %s && %s", folder, command);
    if (system(line) != 0)
        fail_msg("%s", line);
}

static void test_conversions(void **state)
{
    (void)state;
    char folder[] = "/tmp/tgc-half-XXXXXX";
    assert_non_null(mkdtemp(folder));
    write_program(folder);
    run(folder, "cc -O2 -fopenmp-simd -I" TGC_RUNTIME_FOLDER
                " half.c -o half -lm && ./half");
    run(folder, "if cc --version | grep -qi clang; then exit 0; fi; "
                "cc -O2 -fopenmp-simd -fno-trapping-math -march=x86-64-v3 "
                "-fopt-info-vec-optimized -I" TGC_RUNTIME_FOLDER
                " -c half.c -o half.o 2>&1 | grep -c 'half.c.*vectorized' | "
                "grep -qx '[2-9]'");
    char clean[300];
    snprintf(clean, sizeof clean, "rm -r %s", folder);
    assert_int_equal(system(clean), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conversions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
