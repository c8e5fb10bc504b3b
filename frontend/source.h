/* source.h: the text of a model file, and places in it.
 *
 * Columns count characters (code points) from 1, so that a caret printed under
 * a line of UTF-8 stands where it should.
 */
#ifndef TGC_SOURCE_H
#define TGC_SOURCE_H

#include "ir.h"

typedef struct Source {
    const char *path; /* as the user would type it */
    const char *text;
    size_t size;
    const size_t *line; /* line[i]: offset of line i + 1 */
    int n_lines;
} Source;

/* Where something stands; a NULL source: on the command line, or nowhere. */
typedef struct Span {
    const Source *source;
    int line, column;         /* first character */
    int end_line, end_column; /* just past the last one */
} Span;

enum { SOURCE_LARGEST = 4 << 20 };

/* Text that stays where it is, or a file read into the arena.  NULL with a
 * message where it cannot be read, is no regular file, or is too large. */
const Source *source_text(Arena *a, const char *path, const char *text,
                          size_t size, Error *e);
const Source *source_read(Arena *a, const char *path, Error *e);

/* Line `number`, without its end; its length in *size. */
const char *source_line(const Source *s, int number, size_t *size);

/* Length of the well-formed UTF-8 sequence at text; 0: it is none. */
size_t source_utf8_length(const char *text, size_t left);

/* From the beginning of one to the end of the other. */
Span span_join(Span first, Span last);
bool span_same(Span a, Span b); /* same beginning */

#endif
