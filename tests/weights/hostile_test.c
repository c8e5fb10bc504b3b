/* hostile_test.c: files of weights that lie, break off, or want something run:
 * each refused with its message; and every golden file cut at every byte and
 * changed at every byte. */
#include "craft.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Fails the test where the message does not have `part` in it. */
static void expect_part(const char *text, const char *part, const char *what)
{
    if (*part ? strstr(text, part) != NULL : !*text)
        return;
    fail_msg("%s: \"%s\" where \"%s\" was wanted", what, text, part);
}

static void expect_message(const Bytes *b, const char *part, const char *what)
{
    Status s;
    expect_part(craft_message(b, &s, NULL), part, what);
}

/* ---- golden files, damaged ----------------------------------------------- */

static const char *const golden[] = {
    "zip.pt",           "old.pt",     "resnet.th",  "protocol4.pt",
    "old_protocol4.pt", "stored.npz", "packed.npz", "versions.npz",
};
enum { GOLDEN = sizeof golden / sizeof *golden };

static Bytes read_golden(const char *name)
{
    char path[1024];
    Bytes b = bytes_new();
    snprintf(path, sizeof path, GOLDEN_FOLDER "/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    b.n = fread(b.at, 1, CRAFT_ROOM, file);
    assert_true(b.n > 0);
    fclose(file);
    return b;
}

static void test_cut(void **state)
{
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        Bytes b = read_golden(golden[i]);
        expect_message(&b, "", golden[i]);
        while (b.n-- > 0) {
            Status s;
            craft_message(&b, &s, NULL);
            if (!s.failed)
                fail_msg("%s cut to %zu bytes is accepted", golden[i], b.n);
        }
        bytes_free(&b);
    }
}

/* What has checksums gives the right numbers or none. */
static void test_changed(void **state)
{
    static const unsigned char change[] = {0x01, 0x80, 0xff};
    (void)state;
    for (int i = 0; i < GOLDEN; i++) {
        Bytes b = read_golden(golden[i]);
        unsigned long right, sum;
        Status s;
        bool zip = b.at[0] == 'P';
        craft_message(&b, &s, &right);
        for (size_t k = 0; k < 3 * b.n; k++) {
            b.at[k / 3] ^= change[k % 3];
            craft_message(&b, &s, &sum);
            if (zip && !s.failed && sum != right)
                fail_msg("%s changed at byte %zu by %#x gives other numbers",
                         golden[i], k / 3, change[k % 3]);
            b.at[k / 3] ^= change[k % 3];
        }
        bytes_free(&b);
    }
}

/* ---- zip ----------------------------------------------------------------- */

static const char npy[] = "\x93NUMPY\1\0\x37\0"
                          "{'descr': '<f4', 'fortran_order': False, "
                          "'shape': (2,)}"
                          "\0\0\x80\x3f\0\0\0\x40";
enum { NPY = sizeof npy - 1 };

static void zip_case(const char *part, const char *what, const Entry *entry,
                     int n)
{
    Bytes b = bytes_new();
    craft_zip(&b, entry, n);
    expect_message(&b, part, what);
    bytes_free(&b);
}

#define ARRAY(n) .name = n ".npy", .data = npy, .size = NPY

static void test_zip_entries(void **state)
{
    (void)state;
    const struct {
        const char *part, *what;
        Entry entry;
    } cases[] = {
        {"", "stored", {ARRAY("a")}},
        {"", "deflated", {ARRAY("a"), .deflate = true}},
        {"", "zip64", {ARRAY("a"), .zip64 = true}},
        {"", "zip64, deflated", {ARRAY("a"), .zip64 = true, .deflate = true}},
        {"wrong checksum", "sum", {ARRAY("a"), .crc_lie = 1}},
        {"two sizes", "stored size", {ARRAY("a"), .size_lie = NPY + 1}},
        {"size that cannot be",
         "a thousand times its data",
         {ARRAY("a"), .deflate = true, .size_lie = 1u << 30}},
        {"size that cannot be",
         "larger than the file",
         {ARRAY("a"), .zip64 = true, .size_lie = INT64_MAX,
          .packed_lie = INT64_MAX}},
        {"zip64 field does not fit",
         "negative",
         {ARRAY("a"), .zip64 = true, .size_lie = UINT64_MAX}},
        {"runs into the directory",
         "past its end",
         {ARRAY("a"), .size_lie = NPY + 40, .packed_lie = NPY + 40}},
        {"shorter than its declared",
         "less than it says",
         {ARRAY("a"), .deflate = true, .size_lie = NPY + 400}},
        {"longer than its declared",
         "more than it says",
         {ARRAY("a"), .deflate = true, .size_lie = NPY - 1}},
        {"method 12", "packed by bzip2", {ARRAY("a"), .method = 12}},
        {"cannot be unpacked",
         "not deflated at all",
         {.name = "a.npy", .data = "\xff\xff\xff", .size = 3, .method = 8}},
        {"encrypted", "password", {ARRAY("a"), .flags = 1}},
        {"another name inside",
         "two names",
         {ARRAY("a"), .local_name = "b.npy"}},
        {"not where its directory",
         "a name of another length",
         {ARRAY("a"), .local_name = "aa.npy"}},
        {"not where its directory", "somewhere", {ARRAY("a"), .header_lie = 3}},
        {"ends too early", "outside", {ARRAY("a"), .header_lie = 1 << 20}},
        {"neither PyTorch's",
         "no weights",
         {.name = "a.txt", .data = npy, .size = NPY}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        zip_case(cases[i].part, cases[i].what, &cases[i].entry, 1);
}

static void test_zip_overlap(void **state)
{
    (void)state;
    const Entry twice[] = {{ARRAY("a")}, {ARRAY("a")}};
    zip_case("a.npy comes twice", "one name", twice, 2);
    /* A local header inside another entry's data, which is how a zip of some
     * kilobytes unpacks to terabytes. */
    static const char inner[] = "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                "\0\0\5\0\0\0b.npy";
    char data[sizeof inner + NPY];
    memcpy(data, inner, sizeof inner - 1);
    memcpy(data + sizeof inner - 1, npy, NPY);
    const Entry nested[] = {
        {.name = "a.npy", .data = data, .size = sizeof data},
        {ARRAY("b"), .header_lie = 30 + 5 + 4},
    };
    zip_case("overlaps another entry", "nested", nested, 2);
}

static void test_zip_end(void **state)
{
    (void)state;
    const Entry entry = {ARRAY("a")};
    Bytes b = bytes_new();
    craft_zip(&b, &entry, 1);
    size_t end = b.n - 22;
    b.at[end + 10] = 9; /* entries */
    expect_message(&b, "directory lies outside", "more entries than bytes");
    b.at[end + 10] = 1;
    b.at[end + 16]++; /* the directory's place */
    expect_message(&b, "directory lies outside", "past the end");
    b.at[end + 16]--;
    b.at[end + 12]--; /* its bytes */
    expect_message(&b, "directory", "too short");
    b.at[end + 12]++;
    b.at[end + 4] = 1;
    expect_message(&b, "split zip", "a volume");
    b.at[end + 4] = 0;
    bytes_text(&b, "more");
    expect_message(&b, "cut short", "more bytes");
    b.at[end + 20] = 4;
    expect_message(&b, "", "a comment");
    bytes_free(&b);
}

static void test_zip_64(void **state)
{
    (void)state;
    const Entry entry = {ARRAY("a"), .zip64 = true};
    Bytes b = bytes_new();
    craft_zip(&b, &entry, 1);
    size_t end = b.n - 22, bytes = b.at[end + 12], at = b.at[end + 16];
    b.n = end;
    bytes_literal(&b, "PK\6\6\54\0\0\0\0\0\0\0\55\0\55\0");
    bytes_number(&b, 0, 8);
    bytes_number(&b, 1, 8);
    bytes_number(&b, 1, 8);
    bytes_number(&b, bytes, 8);
    bytes_number(&b, at, 8);
    bytes_literal(&b, "PK\6\7\0\0\0\0");
    bytes_number(&b, end, 8);
    bytes_number(&b, 1, 4);
    bytes_literal(&b, "PK\5\6\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"
                      "\xff\xff\xff\xff\0\0");
    expect_message(&b, "", "zip64");
    b.at[end + 48] = 0xff;
    expect_message(&b, "directory", "a place that is not one");
    b.at[end + 55] = 0xff;
    expect_message(&b, "directory lies outside", "a negative place");
    b.at[end + 1] = 'x';
    expect_message(&b, "zip64 record is not there", "no record");
    bytes_free(&b);
}

/* ---- arrays -------------------------------------------------------------- */

#define DESCR(d) "{'descr': '" d "', 'fortran_order': False, 'shape': (2,)}"
#define SHAPE(s) "{'descr': '<f4', 'fortran_order': True, 'shape': " s ", }"

/* clang-format off */
static const struct { const char *part, *header; int bytes; } arrays[] = {
    {"", DESCR("<f4"), 8},              {"", SHAPE("()"), 4},
    {"", SHAPE("(2,)"), 8},             {"", SHAPE("(2L, 3L)"), 24},
    {"", SHAPE("(0, 3)"), 0},           {"", SHAPE("(1,1,1,1,1,1,1,1)"), 4},
    {"", DESCR("|b1"), 2},              {"", DESCR("<f8"), 16},
    {"", DESCR("<U7"), 56},             {"", DESCR("|S3"), 6},
    {"not little-endian", DESCR(">f4"), 8},
    {"not little-endian", DESCR("|f4"), 8},
    {"never read", DESCR("|O"), 16},    {"plain numbers", DESCR("<q9"), 8},
    {"plain numbers", DESCR("<"), 8},   {"plain numbers", DESCR(""), 8},
    {"structured", "{'descr': [('a', '<f4')], 'fortran_order': False, "
                   "'shape': (2,)}", 8},
    {"have the bytes", DESCR("<f4"), 7}, {"have the bytes", DESCR("<f4"), 9},
    {"have the bytes", SHAPE("(2, 3, 4)"), 4},
    {"more than 8 dim", SHAPE("(1,1,1,1,1,1,1,1,1)"), 4},
    {"shape that is too large", SHAPE("(99999999999999999999,)"), 4},
    {"shape that is too large", SHAPE("(4294967296, 4294967296)"), 4},
    {"shape that is too large", SHAPE("(2305843009213693952, 2)"), 4},
    {"garbled shape", SHAPE("(-1,)"), 4},   {"garbled shape", SHAPE("(,)"), 4},
    {"garbled header", SHAPE("[2]"), 4},    {"garbled shape", SHAPE("(2"), 4},
    {"garbled header", "{'descr': '<f4'}", 4}, {"garbled header", "{}", 4},
    {"garbled header", "", 4},              {"garbled header", "{'descr", 4},
    {"garbled header", SHAPE("(1,)") "{}", 4},
    {"unknown key", "{'evil': __import__('os')}", 4},
    {"or one twice", "{'descr': '<f4', 'descr': '<f4'}", 4},
    {"garbled header", "{'fortran_order': Maybe}", 4},
    {"garbled header", "{'descr': '<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4<f4'}", 4},
};
/* clang-format on */

static void test_arrays(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        Bytes b = bytes_new(), array = bytes_new();
        bytes_literal(&array, "\x93NUMPY\1\0");
        bytes_number(&array, strlen(arrays[i].header), 2);
        bytes_text(&array, arrays[i].header);
        bytes_number(&array, 0, 7);
        for (int k = 0; k < arrays[i].bytes; k++)
            bytes_literal(&array, "\0");
        array.n -= 7;
        Entry entry = {.name = "a.npy", .data = array.at, .size = array.n};
        craft_zip(&b, &entry, 1);
        expect_message(&b, arrays[i].part, arrays[i].header);
        bytes_free(&array);
        bytes_free(&b);
    }
}

static void test_array_headers(void **state)
{
    (void)state;
    char data[NPY];
    Entry entry = {.name = "a.npy", .data = data, .size = NPY};
    memcpy(data, npy, NPY);
    data[6] = 4;
    zip_case("version 4", "version", &entry, 1);
    data[6] = 2; /* the length gets two bytes more */
    zip_case("header that is too long", "length", &entry, 1);
    data[6] = 1;
    data[9] = 1;
    zip_case("header that is too long", "length", &entry, 1);
    data[0] = 0;
    zip_case("no NumPy array", "magic", &entry, 1);
    entry.size = 9;
    zip_case("no NumPy array", "short", &entry, 1);
    entry.size = 0;
    zip_case("no NumPy array", "empty", &entry, 1);
}

/* ---- tensors ------------------------------------------------------------- */

static void test_tensors(void **state)
{
    static const int64_t huge = INT64_MAX;
    (void)state;
    const struct {
        const char *part;
        TensorCraft t;
    } cases[] = {
        {"", {.count = 8, .rank = 2, .dim = {2, 3}, .stride = {3, 1}}},
        {"", {.count = 8, .rank = 2, .dim = {2, 3}, .stride = {1, 2}}},
        {"", {.count = 8, .offset = 2, .rank = 1, .dim = {6}, .stride = {1}}},
        {"", {.count = 8, .rank = 1, .dim = {huge / 16}, .stride = {0}}},
        {"", {.count = 8, .offset = 7}},
        {"", {.count = 8, .offset = 8, .rank = 1, .dim = {0}, .stride = {1}}},
        {"outside of its storage", {.count = 8, .offset = 8}},
        {"outside of its storage",
         {.count = 8, .offset = 3, .rank = 1, .dim = {6}, .stride = {1}}},
        {"outside of its storage",
         {.count = 8, .rank = 1, .dim = {2}, .stride = {8}}},
        {"outside of its storage",
         {.count = 8, .offset = huge, .rank = 1, .dim = {0}, .stride = {0}}},
        {"too large", {.count = 8, .rank = 1, .dim = {huge}, .stride = {0}}},
        {"too large", {.count = 8, .rank = 1, .dim = {3}, .stride = {huge}}},
        {"too large",
         {.count = 8, .offset = huge, .rank = 1, .dim = {2}, .stride = {1}}},
        {"too large", {.count = 8, .rank = 2, .dim = {1ll << 32, 1ll << 32}}},
        {"negative", {.count = 8, .rank = 1, .dim = {-1}, .stride = {1}}},
        {"negative", {.count = 8, .rank = 1, .dim = {2}, .stride = {-1}}},
        {"without a storage", {.count = 8, .offset = -1}},
        {"1 dimensions and 2 strides",
         {.count = 8, .rank = 1, .strides = 2, .dim = {1}}},
        {"more than 8 dimensions", {.count = 8, .rank = 9}},
        {"impossible size", {.count = -1}},
        {"impossible size", {.count = huge}},
        {"32 bytes and should have 36", {.count = 9}},
        {"32 bytes and should have 64", {.count = 8, .type = "DoubleStorage"}},
        {"storage 1 is missing", {.count = 8, .key = "1"}},
        {"is missing", {.count = 8, .key = "../../x/data/0"}},
        {"asks for torch.EvilStorage", {.count = 8, .type = "EvilStorage"}},
        {"a storage that is garbled", {.count = 8, .type = "Size"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Bytes b = bytes_new(), pickle = bytes_new();
        char what[32];
        snprintf(what, sizeof what, "tensor %zu", i);
        craft_dict(&pickle, &cases[i].t, 1);
        craft_torch(&b, &pickle, 32);
        expect_message(&b, cases[i].part, what);
        bytes_free(&pickle);
        bytes_free(&b);
    }
}

static void test_two_types(void **state)
{
    (void)state;
    const TensorCraft t[] = {{.count = 8},
                             {.name = "b", .count = 8, .type = "IntStorage"}};
    const TensorCraft twice[] = {{.count = 8}, {.count = 8}};
    Bytes b = bytes_new(), pickle = bytes_new();
    craft_dict(&pickle, t, 2);
    craft_torch(&b, &pickle, 32);
    expect_message(&b, "storage 0 has two types", "types");
    pickle.n = b.n = 0;
    craft_dict(&pickle, twice, 2);
    craft_torch(&b, &pickle, 32);
    expect_message(&b, "a tensor comes twice: a", "names");
    bytes_free(&pickle);
    bytes_free(&b);
}

/* ---- pickles ------------------------------------------------------------- */

/* The opcodes as the value of "x", beside a tensor "a". */
static const char *pickle_message(const void *code, size_t n, Status *s)
{
    const TensorCraft t = {.count = 8};
    Bytes b = bytes_new(), pickle = bytes_new();
    bytes_text(&pickle, "\x80\x02}(");
    craft_text(&pickle, "a");
    craft_tensor(&pickle, &t);
    craft_text(&pickle, "x");
    bytes_add(&pickle, code, n);
    bytes_text(&pickle, "u.");
    craft_torch(&b, &pickle, 32);
    craft_message(&b, s, NULL);
    bytes_free(&pickle);
    bytes_free(&b);
    return s->text;
}

static void test_pickles(void **state)
{
    (void)state;
#define CODE(text) text, sizeof(text) - 1
    const struct {
        const char *part, *code;
        size_t n;
    } cases[] = {
        {"", CODE("K\5")},
        {"", CODE("\x8a\x09\1\2\3\4\5\6\7\x08\x09")},
        {"", CODE("(K\1K\2d")},
        {"", CODE("ccollections\nOrderedDict\n]](U\1aK\1ea\x85R")},
        {"", CODE("]q\0h\0a")},     /* contains itself */
        {"", CODE("}q\0U\1ah\0s")}, /* so does this */
        {"", CODE("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R")},
        {"", CODE("c_codecs\nencode\nX\2\0\0\0\0\1U\6latin1\x86R")},
        {"", CODE("c__builtin__\nset\n](K\1K\2e\x85R")},
        {"", CODE("\x8f(K\1\x90")},
        {"", CODE("\x95\xff\xff\xff\xff\xff\xff\xff\xffN")},
        {"asks for posix.system", CODE("cposix\nsystem\nU\2ls\x85R")},
        {"asks for os.system", CODE("\x8c\2os\x8c\6system\x93N\x85R")},
        {"asks for builtins.eval", CODE("cbuiltins\neval\nU\1x\x85R")},
        {"asks for __builtin__.getattr", CODE("c__builtin__\ngetattr\n")},
        {"asks for torch._utils.OrderedDict",
         CODE("ctorch._utils\nOrderedDict\n")},
        {"asks for torch.hub.load", CODE("ctorch\nhub.load\n")},
        {"asks for ??[31mred.x", CODE("c\x1b\x1b[31mred\nx\n")},
        {"opcode INST", CODE("(iposix\nsystem\n")},
        {"opcode OBJ", CODE("(NNo")},
        {"opcode EXT1", CODE("\x82\1")},
        {"opcode EXT4", CODE("\x84\1\0\0\0")},
        {"opcode NEWOBJ_EX", CODE("ccollections\nOrderedDict\n)}\x92")},
        {"opcode PERSID", CODE("Pstorage\n")},
        {"opcode INT", CODE("I1\n")},
        {"opcode BYTEARRAY8", CODE("\x96\0\0\0\0\0\0\0\0")},
        {"0xff is no opcode", CODE("\xff")},
        {"0x00 is no opcode", CODE("\0")},
        {"protocol 5", CODE("\x80\5N")},
        {"persistent id of the kind \"module\"", CODE("(U\6moduleNNNtQ")},
        {"persistent id that is garbled", CODE("U\7storageQ")},
        {"storage that is garbled", CODE("(U\7storageNNNK\1tQ")},
        {"calls torch.FloatStorage", CODE("ctorch\nFloatStorage\nK\1\x85R")},
        {"calls what is no name", CODE("U\1xK\1\x85R")},
        {"calls what is no name", CODE("ccollections\nOrderedDict\nNR")},
        {"tensor without a storage",
         CODE("ctorch._utils\n_rebuild_tensor_v2\n)R")},
        {"parameter without a tensor",
         CODE("ctorch._utils\n_rebuild_parameter\nN\x85R")},
        {"size that is no tuple", CODE("ctorch\nSize\nN\x85R")},
        {"dict of what are no pairs",
         CODE("ccollections\nOrderedDict\n]K\1a\x85R")},
        {"memo 7 is used before", CODE("h\7")},
        {"memo 7 is used before", CODE("Nq\x08h\7")},
        {"needs a memo of more", CODE("Nr\xff\xff\xff\xff")},
        {"mark is missing", CODE("11")},
        {"value is missing", CODE("(\x85")},
        {"value is missing", CODE("(0")},
        {"value is missing", CODE("(a")},
        {"value is missing", CODE("((u")},
        {"key without a value", CODE("}(K\1u")},
        {"key without a value", CODE("(K\1d")},
        {"added to what cannot", CODE("NNa")},
        {"added to what cannot", CODE("]NNs")},
        {"name that is no text", CODE("NN\x93")},
        {"longer than the file", CODE("X\xff\xff\xff\x7f")},
        {"longer than the file", CODE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff")},
        {"longer than the file", CODE("B\xff\xff\xff\xff")},
        {"negative length", CODE("\x8b\xff\xff\xff\xff")},
        {"breaks off", CODE("\x8b\xff\xff\xff\x7f")},
        {"breaks off", CODE("cposix")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Status s;
        char what[32];
        snprintf(what, sizeof what, "pickle %zu", i);
        expect_part(pickle_message(cases[i].code, cases[i].n, &s),
                    cases[i].part, what);
    }
}

/* Every opcode on an empty stack, on one value, on a mark. */
static void test_opcodes(void **state)
{
    (void)state;
    for (int code = 0; code < 256; code++) {
        char plain[] = {(char)code, 'N'}, one[] = {'N', (char)code, 'N'};
        char mark[] = {'(', (char)code, 'N', 't'};
        Status s;
        pickle_message(plain, sizeof plain, &s);
        pickle_message(one, sizeof one, &s);
        pickle_message(mark, sizeof mark, &s);
    }
}

/* `code` so many times, with something before and after. */
static void repeat_case(const char *part, const char *before, const char *code,
                        int times, const char *after)
{
    Bytes b = bytes_new();
    Status s;
    bytes_text(&b, before);
    for (int i = 0; i < times; i++)
        bytes_text(&b, code);
    bytes_text(&b, after);
    expect_part(pickle_message(b.at, b.n, &s), part, code);
    bytes_free(&b);
}

static void test_sizes(void **state)
{
    (void)state;
    repeat_case("", "](", "]", 100000, "e");   /* wide */
    repeat_case("", "N", "\x85", 1000000, ""); /* deep: tuples of tuples */
    repeat_case("needs a stack of more", "", "(", 1100000, "");
    repeat_case("needs a stack of more", "(", "N2", 1100000, "t");
    /* A dict that grows, copied again and again. */
    Bytes b = bytes_new();
    Status s;
    bytes_text(&b, "](");
    for (int i = 0; i < 100000; i++)
        bytes_text(&b, "NN\x86");
    bytes_literal(&b, "eq\1");
    for (int i = 0; i < 200000; i++)
        bytes_literal(&b, "ccollections\nOrderedDict\nh\1\x85R"
                          "0");
    expect_part(pickle_message(b.at, b.n, &s), "too large for a list",
                "copies");
    bytes_free(&b);
}

static void test_no_dict(void **state)
{
    (void)state;
    static const char *const pickles[] = {"\x80\2N.", "\x80\2}.", "\x80\2].",
                                          "\x80\2}U\1aNs."};
    for (int i = 0; i < 4; i++) {
        Bytes b = bytes_new(), pickle = bytes_new();
        bytes_text(&pickle, pickles[i]);
        craft_torch(&b, &pickle, 4);
        expect_message(&b, i == 3 ? "weights; it has a" : "holds no state dict",
                       "no dict");
        bytes_free(&pickle);
        bytes_free(&b);
    }
    zip_case(
        "is packed", "a deflated pickle",
        &(Entry){
            .name = "x/data.pkl", .data = "N.", .size = 2, .deflate = true},
        1);
    const Entry big[] = {{.name = "x/data.pkl", .data = "\x80\2}.", .size = 4},
                         {.name = "x/byteorder", .data = "big", .size = 3}};
    zip_case("holds no state dict", "no dict comes first", big, 2);
}

/* ---- PyTorch's old format ------------------------------------------------ */

typedef struct LegacyCase {
    const char *part;
    TensorCraft t[2];
    const char *keys;  /* one byte each */
    uint64_t count[2]; /* as the file says them */
    int bytes;         /* of storages in the file */
} LegacyCase;

static void legacy_bytes(Bytes *b, const LegacyCase *c)
{
    craft_legacy(b);
    craft_dict(b, c->t, c->t[1].name ? 2 : 1);
    bytes_text(b, "\x80\2](");
    for (const char *key = c->keys; *key; key++)
        craft_text(b, (char[]){*key, 0});
    bytes_text(b, "e.");
    for (int i = 0; c->keys[i] && i < 2; i++) {
        bytes_number(b, c->count[i], 8);
        for (int k = 0; k < c->bytes; k += 4) {
            float v = (float)(100 * i + k / 4);
            bytes_add(b, &v, sizeof v);
        }
    }
}

static void test_legacy(void **state)
{
    (void)state;
#define LINE(n) .count = n, .rank = 1, .dim = {n}, .stride = { 1 }
    const LegacyCase cases[] = {
        {"", {{LINE(4)}}, "0", {4}, 16},
        {"", {{LINE(4)}, {.name = "b", .key = "1", LINE(4)}}, "10", {4, 4}, 16},
        {"storage 0 has two sizes", {{LINE(4)}}, "0", {5}, 16},
        {"storage 0 has two sizes", {{LINE(4)}}, "0", {1ull << 63}, 16},
        {"ends before storage 0", {{LINE(4)}}, "0", {4}, 12},
        {"storage 0 is missing", {{LINE(4)}}, "", {0}, 0},
        {"storage 0 comes twice", {{LINE(4)}}, "00", {4, 4}, 16},
        {"no tensor refers to", {{LINE(4)}}, "01", {4, 4}, 16},
        {"view lies outside", {{LINE(4), .view = "(NK\2K\3t"}}, "0", {4}, 16},
        {"view lies outside",
         {{LINE(4), .view = "(NJ\xff\xff\xff\xffK\3t"}},
         "0",
         {4},
         16},
        {"view of a storage that is garbled",
         {{LINE(4), .view = "K\1"}},
         "0",
         {4},
         16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Bytes b = bytes_new();
        char what[32];
        snprintf(what, sizeof what, "old file %zu", i);
        legacy_bytes(&b, &cases[i]);
        expect_message(&b, cases[i].part, what);
        bytes_free(&b);
    }
}

/* PyTorch of long ago and Python 2: views of storages, texts as bytes, an
 * OrderedDict from a list of pairs. */
static void test_legacy_views(void **state)
{
    (void)state;
    const LegacyCase c = {.t = {{.name = "module.a",
                                 .count = 6,
                                 .offset = 1,
                                 .rank = 2,
                                 .dim = {2, 2},
                                 .stride = {1, 2},
                                 .view = "(U\1vK\1K\5t"}},
                          .keys = "0",
                          .count = {6},
                          .bytes = 24};
    Bytes b = bytes_new();
    float got[4];
    Status s = {0};
    legacy_bytes(&b, &c);
    WeightFile *f = craft_open(&b);
    assert_int_equal(weights_count(f), 1);
    assert_null(weights_find(f, "module.a"));
    assert_null(weights_metadata(f, "tgc.step"));
    assert_true(weights_read(f, weights_find(f, "a"), PLAN_F32, got, &s));
    const float wanted[] = {2, 4, 3, 5};
    assert_memory_equal(got, wanted, sizeof got);
    double wide[4];
    assert_true(weights_read(f, weights_at(f, 0), PLAN_F64, wide, &s));
    assert_true(wide[1] == 4 && wide[3] == 5);
    assert_false(weights_read(f, weights_at(f, 0), PLAN_I64, wide, &s));
    expect_part(s.text, "is F32 and cannot be read as I64", "type");
    weights_close(f);
    bytes_free(&b);
}

static void test_legacy_start(void **state)
{
    (void)state;
    Bytes b = bytes_new();
    craft_legacy(&b);
    size_t end = b.n;
    b.at[18] = 0; /* 1001 becomes 1000-odd */
    bytes_text(&b, "\x80\2}.");
    expect_message(&b, "version of PyTorch's format", "version");
    b.at[18] = 0xe9;
    b.at[end - 3] = 0x89;
    expect_message(&b, "big-endian", "order");
    bytes_free(&b);
}

/* ---- other kinds --------------------------------------------------------- */

static void test_kinds(void **state)
{
    (void)state;
    const struct {
        const char *part, *data;
        size_t n;
    } cases[] = {
        {"no file of weights that tgc knows", CODE("")},
        {"no file of weights that tgc knows", CODE("x")},
        {"no file of weights that tgc knows",
         CODE("something else altogether")},
        {"one NumPy array without a name", CODE("\x93NUMPY\1\0")},
        {"is an HDF5 file", CODE("\x89HDF\r\n\x1a\n")},
        {"Python pickle, but not PyTorch's", CODE("\x80\3}q\0.")},
        {"cut short", CODE("PK\3\4")},
        {"neither PyTorch's", CODE("PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                                   "\0\0")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Bytes b = bytes_new();
        bytes_add(&b, cases[i].data, cases[i].n);
        expect_message(&b, cases[i].part, cases[i].part);
        bytes_free(&b);
    }
    Bytes b = bytes_new();
    for (int i = 0; i < 257; i++)
        bytes_literal(&b, "a");
    bytes_text(&b, "ustar");
    expect_message(&b, "is a tar file", "tar");
    bytes_free(&b);
    Status s = {0};
    assert_null(weights_open("/", &s));
    expect_part(s.text, "not a regular file", "folder");
    s = (Status){0};
    assert_null(weights_open("/nowhere/w.pt", &s));
    expect_part(s.text, "cannot open /nowhere/w.pt", "missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_zip_entries),
        cmocka_unit_test(test_zip_overlap),
        cmocka_unit_test(test_zip_end),
        cmocka_unit_test(test_zip_64),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_array_headers),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_two_types),
        cmocka_unit_test(test_pickles),
        cmocka_unit_test(test_opcodes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_no_dict),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_legacy_views),
        cmocka_unit_test(test_legacy_start),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
