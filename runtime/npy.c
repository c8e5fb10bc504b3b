/* npy.c: see npy.h.  The header is a Python literal; the part of the syntax
 * that NumPy writes is read, and nothing else. */
#include "npy.h"
#include "weights_input.h"
#include <stdio.h>
#include <string.h>

enum { WORD_MOST = 32, FOUND_ALL = 7 };

typedef struct Header {
    const char *path, *entry;
    const unsigned char *at, *end;
    char descr[WORD_MOST];
    bool fortran;
    int found; /* a bit for each key */
    NpyArray *array;
    Status *status;
} Header;

static bool damaged(const Header *h, const char *why)
{
    return status_fail(h->status,
                       "%s is damaged: %.200s%s%s (get it again, or use "
                       "another one)",
                       h->path, h->entry, *h->entry ? " " : "", why);
}

/* ---- the literal --------------------------------------------------------- */

static void skip_space(Header *h)
{
    while (h->at < h->end && (*h->at == ' ' || *h->at == '\n'))
        h->at++;
}

static bool try_sign(Header *h, char sign)
{
    skip_space(h);
    if (h->at == h->end || *h->at != sign)
        return false;
    h->at++;
    return true;
}

static bool expect(Header *h, char sign)
{
    return try_sign(h, sign) || damaged(h, "has a garbled header");
}

static bool parse_word(Header *h, char word[WORD_MOST])
{
    skip_space(h);
    if (h->at == h->end || (*h->at != '\'' && *h->at != '"'))
        return damaged(h, "has a garbled header");
    unsigned char quote = *h->at++;
    int n = 0;
    while (h->at < h->end && *h->at != quote && n < WORD_MOST - 1)
        word[n++] = (char)*h->at++;
    word[n] = 0;
    return expect(h, (char)quote);
}

static bool parse_bool(Header *h, bool *to)
{
    static const char *const words[] = {"False", "True"};
    skip_space(h);
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(h->end - h->at) >= n && !memcmp(h->at, words[i], n)) {
            h->at += n;
            *to = i;
            return true;
        }
    }
    return damaged(h, "has a garbled header");
}

/* Python 2 wrote "3L". */
static bool parse_dimension(Header *h, int64_t *to)
{
    const unsigned char *first = h->at;
    for (*to = 0; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++)
        if (__builtin_mul_overflow(*to, 10, to) ||
            __builtin_add_overflow(*to, *h->at - '0', to))
            return damaged(h, "has a shape that is too large");
    if (h->at == first)
        return damaged(h, "has a garbled shape");
    try_sign(h, 'L');
    return true;
}

static bool parse_shape(Header *h)
{
    NpyArray *a = h->array;
    if (!expect(h, '('))
        return false;
    while (!try_sign(h, ')')) {
        if (a->rank == PLAN_MAX_RANK)
            return status_fail(h->status,
                               "%.200s in %s has more than %d dimensions",
                               h->entry, h->path, PLAN_MAX_RANK);
        if (!parse_dimension(h, &a->dim[a->rank++]))
            return false;
        if (!try_sign(h, ','))
            return expect(h, ')');
    }
    return true;
}

static bool parse_entry(Header *h)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    char key[WORD_MOST];
    int i = 0;
    if (!parse_word(h, key) || !expect(h, ':'))
        return false;
    while (i < 3 && strcmp(key, keys[i]))
        i++;
    if (i == 3 || h->found & 1 << i)
        return damaged(h, "has a header with an unknown key, or one twice");
    h->found |= 1 << i;
    skip_space(h);
    if (i == 0 && h->at < h->end && *h->at == '[')
        return status_fail(h->status,
                           "%.200s in %s is a structured array, which tgc does "
                           "not read (save an array for each field)",
                           h->entry, h->path);
    return i == 0   ? parse_word(h, h->descr)
           : i == 1 ? parse_bool(h, &h->fortran)
                    : parse_shape(h);
}

static bool parse_literal(Header *h)
{
    if (!expect(h, '{'))
        return false;
    while (!try_sign(h, '}')) {
        if (!parse_entry(h))
            return false;
        if (!try_sign(h, ',') && !expect(h, '}'))
            return false;
        if (h->at[-1] == '}')
            break;
    }
    skip_space(h);
    if (h->at != h->end || h->found != FOUND_ALL)
        return damaged(h, "has a garbled header");
    return true;
}

/* ---- types --------------------------------------------------------------- */

typedef struct NpyType {
    const char *descr;
    uint8_t dtype, element;
} NpyType;

/* clang-format off */
static const NpyType types[] = {
    {"f4", PLAN_F32, 4}, {"f8", PLAN_F64, 8}, {"f2", PLAN_F16, 2},
    {"i8", PLAN_I64, 8}, {"i4", PLAN_I32, 4}, {"u1", PLAN_U8, 1},
    {"b1", PLAN_BOOL, 1},
    {"i1", 0, 1}, {"i2", 0, 2}, {"u2", 0, 2}, {"u4", 0, 4}, {"u8", 0, 8},
    {"f16", 0, 16}, {"c8", 0, 8}, {"c16", 0, 16}, {"c32", 0, 32},
};
/* clang-format on */

static bool refuse_type(const Header *h, const char *why)
{
    return status_fail(h->status, "%.200s in %s %s (dtype %s)", h->entry,
                       h->path, why, h->descr);
}

static bool find_type(const Header *h)
{
    NpyArray *a = h->array;
    const char *kind = h->descr + (*h->descr != 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].descr, kind))
            continue;
        if (*h->descr != '<' && (*h->descr != '|' || types[i].element != 1))
            return refuse_type(h, "is not little-endian, which tgc does not "
                                  "read: save it with .astype('<f4')");
        a->number = true;
        a->dtype = types[i].dtype;
        a->element = types[i].element;
        return true;
    }
    if (*kind == 'S' || *kind == 'U')
        return true;
    if (*kind == 'O')
        return refuse_type(h, "holds Python objects, which are never read: "
                              "save an array of numbers");
    return refuse_type(h, "has elements that are no plain numbers");
}

/* Strides and bytes, without overflow. */
static bool place_elements(const Header *h)
{
    NpyArray *a = h->array;
    int64_t step = 1;
    bool over = false;
    for (int i = 0; i < a->rank; i++) {
        int k = h->fortran ? i : a->rank - 1 - i;
        a->stride[k] = step;
        over |= __builtin_mul_overflow(step, a->dim[k], &step);
    }
    over |= __builtin_mul_overflow(step, a->element, &a->bytes);
    return !over || damaged(h, "has a shape that is too large");
}

/* ---- the whole ----------------------------------------------------------- */

bool npy_parse(NpyArray *a, const unsigned char *head, size_t n,
               const char *path, const char *entry, Status *s)
{
    Header h = {.path = path, .entry = entry, .array = a, .status = s};
    *a = (NpyArray){0};
    if (n < 10 || memcmp(head, "\x93NUMPY", 6))
        return damaged(&h, "is no NumPy array");
    if (head[6] < 1 || head[6] > 3)
        return status_fail(s,
                           "%.200s in %s is a NumPy array of version %d, "
                           "tgc reads 1 to 3",
                           entry, path, head[6]);
    int bytes = head[6] == 1 ? 2 : 4;
    uint64_t length = little_number(head + 8, bytes);
    if (length > n - 8 - (size_t)bytes || n < 12)
        return damaged(&h, "has a header that is too long");
    h.at = head + 8 + bytes;
    h.end = h.at + length;
    a->header = h.end - head;
    return parse_literal(&h) && find_type(&h) && place_elements(&h);
}
