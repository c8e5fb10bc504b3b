/* scan.h: reading small things out of text that may be hostile.
 *
 * Shared by the IR reader, attribute defaults, op samples and settings.  Every
 * function that returns bool leaves a message in s->error when false; the
 * first one stays.  The text need not end with a NUL.
 */
#ifndef TGC_SCAN_H
#define TGC_SCAN_H

#include "op.h"

typedef struct Scan {
    const char *at, *end;
    int line;         /* of `at`, from 1 */
    const char *file; /* NULL: messages without a place */
    Error *error;
} Scan;

Scan scan_text(const char *text, Error *e); /* a string of our own */

/* "m.ir: line 3: ..."; returns false. */
bool scan_fail(Scan *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void scan_space(Scan *s); /* blanks, line ends, comments */
/* Optional things are looked for without moving, so that an error after one
 * that is missing still has the line of what was read last. */
int scan_peek(const Scan *s);    /* next character after space; -1: end */
bool scan_take(Scan *s, char c); /* takes c if it is next; no message */
bool scan_expect(Scan *s, char c);

/* A word: letters, digits, _ and what is in `also`; at most size-1 long. */
bool scan_word(Scan *s, const char *also, char *buf, size_t size);
bool scan_quoted(Scan *s, Arena *a, const char **text); /* "..." with escapes */
/* A name: a bare word, or quoted.  name_is_bare: can be written without. */
bool scan_name(Scan *s, Arena *a, const char **text);
bool name_is_bare(const char *name);
bool scan_int(Scan *s, int64_t *v);
bool scan_number(Scan *s, double *v); /* also inf, nan */
/* The other direction: as short as reads back to the same bits. */
enum { NUMBER_TEXT = 32 };
void number_print(double v, char buf[NUMBER_TEXT]);
/* "[1, 2]": returns the count or -1. */
int scan_ints(Scan *s, int64_t *v, int most);

/* "f32[2,3]{1,0}": any rank and size that type_fits accepts. */
bool scan_type(Scan *s, Type *t);
/* A value of a->kind into a; name and kind are set already. */
bool scan_attr_value(Scan *s, Arena *arena, Attr *a);

/* ---- attributes in text: what printer and reader agree on (attr.c) ------ */

/* The op's attribute of that name; NULL with a message that suggests one. */
const AttrSpec *attr_spec(const OpDesc *op, const char *name, Error *e);
/* Has it the descriptor's default?  Then it is not printed. */
bool attr_is_default(const AttrSpec *spec, const Attr *a);
/* Attributes `dtype` and `shape` say what result 0 is.  Where they do, the
 * printer leaves them to the printed type, and the reader takes them from there
 * (before any default).  False: this is another attribute. */
bool attr_from_type(const AttrSpec *spec, const Type *result, Attr *a);

#endif
