/* parse.h: what the scanner and the grammar share. */
#ifndef TGC_PARSE_H
#define TGC_PARSE_H

#include "ast.h"
#include "diag.h"

/* The state of one parse: everything that flex and bison get. */
typedef struct Parser {
    const Source *source;
    Arena *arena;
    Diag *diag;
    void *scanner; /* flex's */

    size_t offset;     /* where the last token ends */
    size_t token_size; /* its bytes */
    const char *text;  /* of the last name */
    int line, column;
    int last;   /* token handed out before */
    Span doubt; /* of a label right behind a ? */
    int mode;   /* token to hand out first: a file, or one expression */
    bool in_label, keep_comments;
    struct {        /* by recovery after an error */
        bool close; /* a } that was forgotten, before: */
        int token;  /* 0: none */
        const char *text;
        Span at;
    } put_back;

    File *file; /* result */
    Expr *expr; /* result of parse_expr */
} Parser;

/* A whole file; NULL never, but what could not be read is missing from it and
 * diag has the errors. */
File *parse_file(const Source *source, Arena *arena, Diag *diag);

/* One expression, as in -D depth=56; NULL where it is none. */
Expr *parse_expr(const Source *source, Arena *arena, Diag *diag);

/* One token after the other, comments and line ends included: `tgc fmt`. */
typedef struct Token {
    int kind;
    Span span;
    size_t begin, end; /* bytes */
} Token;
bool parse_tokens(const Source *source, Arena *arena, Diag *diag, Token **token,
                  size_t *n);

#endif
