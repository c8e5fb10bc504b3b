/* json.c: see json.h; the grammar is RFC 8259. */
#include "json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool json_fail(Json *j, const char *why)
{
    if (!j->error)
        j->error = why;
    return false;
}

static void json_skip(Json *j)
{
    while (j->at < j->size && strchr(" \t\r\n", j->text[j->at]) &&
           j->text[j->at])
        j->at++;
}

bool json_try(Json *j, char c)
{
    json_skip(j);
    if (j->error || j->at == j->size || j->text[j->at] != c)
        return false;
    j->at++;
    return true;
}

bool json_expect(Json *j, char c)
{
    return json_try(j, c) || json_fail(j, "it is not well-formed JSON");
}

bool json_end(Json *j)
{
    json_skip(j);
    return (!j->error && j->at == j->size) ||
           json_fail(j, "something follows after its end");
}

bool json_count(Json *j, int64_t *value)
{
    json_skip(j);
    size_t start = j->at;
    int64_t v = 0;
    while (!j->error && j->at < j->size && j->text[j->at] >= '0' &&
           j->text[j->at] <= '9') {
        v = v * 10 + (j->text[j->at++] - '0');
        if (v > INT64_C(1) << 53)
            return json_fail(j, "a number is too large");
    }
    if (j->error || j->at == start)
        return json_fail(j, "a whole number is missing");
    if (j->text[start] == '0' && j->at > start + 1)
        return json_fail(j, "a number begins with 0");
    *value = v;
    return true;
}

/* Digits at `at`, one at least; where they end, or NULL. */
static const char *digits(const char *at, const char *end)
{
    const char *p = at;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > at ? p : NULL;
}

/* Where the number that begins at `at` ends; NULL: it is none. */
static const char *number_end(const char *at, const char *end)
{
    const char *p = at + (at < end && *at == '-');
    bool zero = p < end && *p == '0';
    p = zero ? p + 1 : digits(p, end);
    if (p && p < end && *p == '.')
        p = digits(p + 1, end);
    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p = digits(p + (p < end && (*p == '+' || *p == '-')), end);
    }
    return p;
}

bool json_number(Json *j, double *value)
{
    char text[64];
    json_skip(j);
    const char *at = j->text + j->at, *end = j->text + j->size;
    if (!j->error && end - at >= 4 && !memcmp(at, "null", 4)) {
        *value = NAN;
        j->at += 4;
        return true;
    }
    const char *stop = j->error ? NULL : number_end(at, end);
    if (!stop || stop - at >= (ptrdiff_t)sizeof text)
        return json_fail(j, "a number is missing");
    memcpy(text, at, (size_t)(stop - at));
    text[stop - at] = 0;
    *value = strtod(text, NULL);
    j->at += (size_t)(stop - at);
    return true;
}

/* ---- strings ------------------------------------------------------------- */

static bool hex_digits(Json *j, uint32_t *value)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        if (j->at == j->size)
            return json_fail(j, "a string does not end");
        char c = j->text[j->at++];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return json_fail(j, "a string has a bad escape");
        v = v << 4 | (uint32_t)digit;
    }
    *value = v;
    return true;
}

/* What follows \u: one code point, of one or two escapes. */
static bool unicode_escape(Json *j, uint32_t *code)
{
    uint32_t low;
    if (!hex_digits(j, code))
        return false;
    if (*code < 0xd800 || *code > 0xdfff)
        return *code != 0 || json_fail(j, "a string holds a zero");
    if (*code > 0xdbff || j->size - j->at < 6 || j->text[j->at] != '\\' ||
        j->text[j->at + 1] != 'u')
        return json_fail(j, "a string has half a surrogate pair");
    j->at += 2;
    if (!hex_digits(j, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return json_fail(j, "a string has half a surrogate pair");
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static int utf8_put(uint32_t code, char *to)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (char)(lead[extra] | code >> (6 * extra));
    for (int i = 1; i <= extra; i++)
        to[i] = (char)(0x80 | (code >> (6 * (extra - i)) & 0x3f));
    return extra + 1;
}

/* Length of the well-formed UTF-8 sequence at p, 0 where it is none. */
static int utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    int extra = p[0] >= 0xc2 && p[0] <= 0xdf   ? 1
                : p[0] >= 0xe0 && p[0] <= 0xef ? 2
                : p[0] >= 0xf0 && p[0] <= 0xf4 ? 3
                                               : 0;
    if (!extra || left < (size_t)extra + 1)
        return 0;
    for (int i = 1; i <= extra; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong =
        (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside =
        (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : extra + 1;
}

/* One character of a string, at most 4 bytes; *length 0: the closing quote. */
static bool string_character(Json *j, char *to, int *length)
{
    static const char from[] = "\"\\/bfnrt", what[] = "\"\\/\b\f\n\r\t";
    if (j->at == j->size)
        return json_fail(j, "a string does not end");
    unsigned char c = (unsigned char)j->text[j->at];
    if (c == '"') {
        j->at++;
        *length = 0;
        return true;
    }
    if (c < 0x20)
        return json_fail(j, "a string holds a control character");
    if (c != '\\') {
        *length = utf8_length((const unsigned char *)j->text + j->at,
                              j->size - j->at);
        if (!*length)
            return json_fail(j, "a string is not UTF-8");
        memcpy(to, j->text + j->at, (size_t)*length);
        j->at += (size_t)*length;
        return true;
    }
    if (++j->at == j->size)
        return json_fail(j, "a string does not end");
    char escape = j->text[j->at++];
    uint32_t code;
    if (escape == 'u') {
        if (!unicode_escape(j, &code))
            return false;
        *length = utf8_put(code, to);
        return true;
    }
    const char *known = escape ? strchr(from, escape) : NULL;
    if (!known)
        return json_fail(j, "a string has a bad escape");
    to[0] = what[known - from];
    *length = 1;
    return true;
}

bool json_string(Json *j, char *to, size_t room, size_t *length)
{
    size_t n = 0;
    if (!json_expect(j, '"'))
        return false;
    for (;;) {
        char character[4];
        int size;
        if (!string_character(j, character, &size))
            return false;
        if (n + (size_t)size >= room)
            return json_fail(j, "a string is too long");
        if (!size)
            break;
        memcpy(to + n, character, (size_t)size);
        n += (size_t)size;
    }
    to[n] = 0;
    if (length)
        *length = n;
    return true;
}
