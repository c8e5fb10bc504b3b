/* files_test.c: safetensors written, read back, and refused in every way that
 * a hostile file can be wrong. */
#include "json.h"
#include "safetensors.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

enum { ROOM = 4096 };

/* A file in memory, with a path to open it by. */
typedef struct Scratch {
    int fd;
    char path[64];
} Scratch;

static Scratch scratch_file(const void *data, size_t size)
{
    Scratch f = {.fd = memfd_create("test", 0)};
    assert_true(f.fd >= 0);
    assert_int_equal(write(f.fd, data, size), size);
    snprintf(f.path, sizeof f.path, "/proc/self/fd/%d", f.fd);
    return f;
}

/* A file of this header and so many bytes of data; its message, "" if fine. */
static const char *header_message(const char *header, size_t data, Status *s)
{
    char file[ROOM] = {0};
    size_t n = strlen(header);
    file[0] = (char)(n & 0xff);
    file[1] = (char)(n >> 8);
    memcpy(file + 8, header, n);
    Scratch f = scratch_file(file, 8 + n + data);
    *s = (Status){0};
    TensorFile *t = tensors_open(f.path, s);
    assert_true((t == NULL) == s->failed);
    tensors_close(t);
    close(f.fd);
    return s->text;
}

static void test_write_and_read(void **state)
{
    (void)state;
    const Tensor tensors[] = {
        {"a.weight", PLAN_F32, 2, {2, 3}, 0, 24},
        {"b \"quoted\" \\ \xc3\xa9", PLAN_I64, 0, {0}, 24, 32},
        {"empty", PLAN_F32, 2, {0, 7}, 32, 32},
    };
    const Metadata metadata[] = {{"step", "12"}, {"text", "line\nbreak"}};
    char file[ROOM];
    size_t n = tensors_header(tensors, 3, metadata, 2, file, sizeof file);
    assert_true(n > 8 && n % 8 == 0);
    assert_int_equal(tensors_header(tensors, 3, metadata, 2, file, n / 2), 0);
    for (int i = 0; i < 32; i++)
        file[n + i] = (char)i;
    Scratch f = scratch_file(file, n + 32);
    Status s = {0};
    TensorFile *t = tensors_open(f.path, &s);
    assert_string_equal(s.text, "");
    assert_int_equal(tensors_count(t), 3);
    for (int i = 0; i < 3; i++) {
        const Tensor *got = tensors_find(t, tensors[i].name);
        assert_non_null(got);
        assert_int_equal(got->dtype, tensors[i].dtype);
        assert_int_equal(got->begin, tensors[i].begin);
        assert_memory_equal(got->dim, tensors[i].dim, sizeof got->dim);
    }
    char data[8];
    assert_true(tensors_read(t, tensors_find(t, tensors[1].name), data, &s));
    assert_int_equal(data[0], 24);
    assert_string_equal(tensors_metadata(t, "text"), "line\nbreak");
    assert_null(tensors_metadata(t, "nothing"));
    assert_null(tensors_find(t, "a.weigh"));
    tensors_close(t);
    close(f.fd);
}

typedef struct Bad {
    const char *header;
    size_t data;
    const char *says; /* in the message */
} Bad;

#define T(dtype, shape, begin, end)                                            \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin    \
    "," end "]}"

static const Bad bad[] = {
    {"", 0, "JSON"},
    {"[]", 0, "JSON"},
    {"{\"a\":" T("F32", "[1]", "0", "4"), 4, "JSON"},
    {"{\"a\":" T("F32", "[1]", "0", "4") "} x", 4, "after its end"},
    {"{\"a\":" T("F33", "[1]", "0", "4") "}", 4, "a, byte"},
    {"{\"a\":" T("F32", "[2]", "0", "4") "}", 4, "do not agree"},
    {"{\"a\":" T("F32", "[1]", "4", "0") "}", 4, "before it begins"},
    {"{\"a\":" T("F32", "[1]", "0", "8") "}", 4, "beyond the end"},
    {"{\"a\":" T("F32", "[1]", "-4", "0") "}", 4, "whole number"},
    {"{\"a\":" T("F32", "[1.0]", "0", "4") "}", 4, "JSON"},
    {"{\"a\":" T("F32", "[01]", "0", "4") "}", 4, "begins with 0"},
    {"{\"a\":" T("F32", "[99999999999999999999]", "0", "4") "}", 4, "large"},
    {"{\"a\":" T("F32", "[4503599627370496,4503599627370496]", "0", "4") "}", 4,
     "too large"},
    {"{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "8 dimensions"},
    {"{\"a\":" T("F32", "[1]", "4", "8") "}", 8, "hole"},
    {"{\"a\":" T("F32", "[1]", "0", "4") "}", 8, "no tensor owns"},
    {"{\"a\":" T("F32", "[1]", "0", "4") ",\"b\":" T("F32", "[1]", "0",
                                                     "4") "}",
     4, "overlap"},
    {"{\"a\":" T("F32", "[1]", "0", "4") ",\"a\":" T("F32", "[1]", "4",
                                                     "8") "}",
     8, "twice"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "lacks"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, "twice"},
    {"{\"a\":{\"type\":\"F32\"}}", 4, "unknown key"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "JSON"},
    {"{\"\\ud800\":1}", 0, "surrogate"},
    {"{\"\\u0000\":1}", 0, "zero"},
    {"{\"\xff\":1}", 0, "UTF-8"},
    {"{\"a\x01\":1}", 0, "control"},
    {"{\"a", 0, "does not end"},
};

static void test_refused(void **state)
{
    (void)state;
    Status s;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!strstr(header_message(bad[i].header, bad[i].data, &s),
                    bad[i].says))
            fail_msg("%s gives \"%s\", without \"%s\"", bad[i].header, s.text,
                     bad[i].says);
    /* And none of them for being well-formed. */
    assert_string_equal(header_message("{}", 0, &s), "");
    assert_string_equal(
        header_message("{ \"a\" : " T("BF16", "[ 2 , 2 ]", "0", "8") " } ", 8,
                       &s),
        "");
}

static void test_prefix(void **state)
{
    (void)state;
    const unsigned char lies[][9] = {
        {3, 0, 0},
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{'},
        {0, 0, 0, 0, 0, 0, 0, 0x80, '{'},
    };
    const size_t size[] = {3, 9, 9};
    for (int i = 0; i < 3; i++) {
        Scratch f = scratch_file(lies[i], size[i]);
        Status s = {0};
        assert_null(tensors_open(f.path, &s));
        assert_non_null(strstr(s.text, "damaged"));
        close(f.fd);
    }
}

/* Any byte changed: refused with a sentence or read, never a crash. */
static void test_mutated(void **state)
{
    (void)state;
    const char header[] = "{\"__metadata__\":{\"k\":\"v\"},\"a\":" T(
        "F32", "[2,3]", "0", "24") ",\"b\":" T("I64", "[]", "24", "32") "}";
    char good[ROOM] = {0};
    size_t n = sizeof header - 1, all = 8 + n + 32;
    good[0] = (char)n;
    memcpy(good + 8, header, n);
    unsigned seed = 1;
    for (int i = 0; i < 3000; i++) {
        char file[ROOM];
        memcpy(file, good, all);
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            file[(seed >> 8) % (8 + n)] = (char)(seed >> 24);
        }
        Scratch f = scratch_file(file, all - (i % 5 == 0));
        Status s = {0};
        TensorFile *t = tensors_open(f.path, &s);
        assert_true((t == NULL) == s.failed);
        tensors_close(t);
        close(f.fd);
    }
}

/* Numbers of JSON, and what C takes for numbers and JSON does not. */
static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},         {"-0.5", -0.5}, {"1e3", 1000},
                {"2.50E-1", .25}, {"17 ", 17},    {" 1", 1}};
    static const char *const bad[] = {"",    "-",    "01",  ".5",   "1.",
                                      "1e",  "0x10", "inf", "nan",  "+1",
                                      "1e+", "--1",  "1 2", "nulls"};
    double v;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        Json j = {.text = good[i].text, .size = strlen(good[i].text)};
        assert_true(json_number(&j, &v) && json_end(&j));
        assert_true(v == good[i].value);
    }
    Json null = {.text = "null", .size = 4};
    assert_true(json_number(&null, &v) && json_end(&null) && v != v);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Json j = {.text = bad[i], .size = strlen(bad[i])};
        assert_false(json_number(&j, &v) && json_end(&j));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_prefix),         cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
