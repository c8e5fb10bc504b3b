/* source.c: reading model files, and finding lines in them. */
#include "source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

const Source *source_text(Arena *a, const char *path, const char *text,
                          size_t size, Error *e)
{
    if (size > SOURCE_LARGEST) {
        error_set(e, "%zu bytes; a model file has at most %d (is this one?)",
                  size, SOURCE_LARGEST);
        return NULL;
    }
    size_t *line = NULL, n = 0, cap = 0;
    ARENA_PUSH(a, line, n, cap, (size_t)0);
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\n')
            ARENA_PUSH(a, line, n, cap, i + 1);
    Source s = {arena_strdup(a, path), text, size, line, (int)n};
    return arena_copy(a, &s, sizeof s);
}

static char *read_all(Arena *a, FILE *file, size_t *size, Error *e)
{
    struct stat info;
    if (fstat(fileno(file), &info) == 0 && !S_ISREG(info.st_mode)) {
        error_set(e, "cannot read it: not a regular file");
        return NULL;
    }
    if (info.st_size > SOURCE_LARGEST) {
        error_set(e, "%lld bytes; a model file has at most %d (is this one?)",
                  (long long)info.st_size, SOURCE_LARGEST);
        return NULL;
    }
    char *text = arena_alloc(a, (size_t)info.st_size + 1);
    *size = fread(text, 1, (size_t)info.st_size, file);
    if (ferror(file)) {
        error_set(e, "cannot read it: %s", strerror(errno));
        return NULL;
    }
    return text;
}

const Source *source_read(Arena *a, const char *path, Error *e)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        error_set(e, "cannot read it: %s", strerror(errno));
        return NULL;
    }
    size_t size = 0;
    char *text = read_all(a, file, &size, e);
    fclose(file);
    return text ? source_text(a, path, text, size, e) : NULL;
}

const char *source_line(const Source *s, int number, size_t *size)
{
    if (number < 1 || number > s->n_lines) {
        *size = 0;
        return "";
    }
    size_t begin = s->line[number - 1];
    size_t end = number < s->n_lines ? s->line[number] - 1 : s->size;
    if (end > begin && s->text[end - 1] == '\r')
        end--;
    *size = end - begin;
    return s->text + begin;
}

size_t source_utf8_length(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t n = *s < 0x80 ? 1 : *s >= 0xF0 ? 4 : *s >= 0xE0 ? 3 : 2;
    if ((*s >= 0x80 && (*s < 0xC2 || *s > 0xF4)) || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool bad =
        n > 1 && ((*s == 0xE0 && s[1] < 0xA0) || /* overlong */
                  (*s == 0xED && s[1] > 0x9F) || /* surrogate */
                  (*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] > 0x8F));
    return bad ? 0 : n;
}

Span span_join(Span first, Span last)
{
    first.end_line = last.end_line;
    first.end_column = last.end_column;
    return first;
}

bool span_same(Span a, Span b)
{
    return a.source == b.source && a.line == b.line && a.column == b.column;
}
