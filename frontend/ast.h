/* ast.h: a model file as a tree.  Built by the parser, never changed after.
 *
 * Everything lives in one arena.  Lists are arrays in the order written.
 */
#ifndef TGC_AST_H
#define TGC_AST_H

#include "source.h"
#include <stdio.h>

/* A tree is never deeper than this, so that walking it needs little stack. */
enum { AST_DEEPEST = 256 };

typedef struct Expr Expr;
typedef struct Statement Statement;

typedef struct Exprs {
    Expr **item;
    size_t n, cap;
} Exprs;

typedef struct Body {
    Statement **item;
    size_t n, cap;
    Span span;
} Body;

typedef struct Name {
    const char *text;
    Span span;
} Name;

/* ---- labels: layer{s}.{i} ---------------------------------------------- */

typedef struct LabelPart {
    const char *text; /* "layer", "." */
    Expr *value;      /* or what stands in { } */
} LabelPart;

typedef struct Label {
    LabelPart *item;
    size_t n, cap;
    Span span;
} Label;

/* ---- expressions ------------------------------------------------------- */

typedef enum ExprKind {
    EXPR_ERROR, /* already reported */
    EXPR_INT,
    EXPR_FLOAT,
    EXPR_BOOL,
    EXPR_STRING,
    EXPR_NAME,
    EXPR_LIST,
    EXPR_UNARY,  /* operand[0] */
    EXPR_BINARY, /* operand[0], operand[1] */
    EXPR_CHOICE, /* operand[0] ? operand[1] : operand[2] */
    EXPR_INDEX,  /* operand[0][operand[1]] */
    EXPR_CALL,
    EXPR_LABEL /* label: operand[0] */
} ExprKind;

typedef enum Operator {
    OPERATOR_NEGATE,
    OPERATOR_NOT,
    OPERATOR_ADD,
    OPERATOR_SUB,
    OPERATOR_MUL,
    OPERATOR_DIV,
    OPERATOR_FLOOR_DIV,
    OPERATOR_MOD,
    OPERATOR_SHIFT_LEFT,
    OPERATOR_SHIFT_RIGHT,
    OPERATOR_EQ,
    OPERATOR_NE,
    OPERATOR_LT,
    OPERATOR_LE,
    OPERATOR_GT,
    OPERATOR_GE,
    OPERATOR_AND,
    OPERATOR_OR
} Operator;
const char *operator_text(Operator op); /* "<<" */

typedef struct Argument {
    Name name; /* text NULL: by position */
    Expr *value;
} Argument;

typedef struct Arguments {
    Argument *item;
    size_t n, cap;
} Arguments;

struct Expr {
    ExprKind kind;
    Operator op;
    int depth;
    Span span;
    union {
        int64_t integer;
        double number;
        bool truth;
        const char *text; /* string, name */
        Expr *operand[3];
        Exprs list;
        struct {
            Name name;
            Arguments arguments;
        } call;
        struct {
            Label label;
            Expr *of;
        } labelled;
    };
};

/* ---- statements -------------------------------------------------------- */

typedef enum StatementKind {
    STATEMENT_ASSIGN,
    STATEMENT_RETURN,
    STATEMENT_FOR,
    STATEMENT_IF,
    STATEMENT_REQUIRE
} StatementKind;

typedef struct AssignTarget {
    Name name;
    Expr *shape; /* x: [16, 32, 32] = ...; or NULL */
} AssignTarget;

typedef struct Targets {
    AssignTarget *item;
    size_t n, cap;
} Targets;

struct Statement {
    StatementKind kind;
    int depth;
    Span span;
    union {
        struct {
            Targets targets;
            Expr *value; /* EXPR_LABEL where the statement has a label */
        } assign;
        Exprs results;
        struct {
            Name name;
            Expr *from, *to; /* to NULL: from is a list */
            Body body;
        } loop;
        struct {
            Expr *condition;
            Body yes, no; /* `else if`: a body with one `if` in it */
        } choice;
        struct {
            Expr *condition, *message; /* message may be NULL */
        } require;
    };
};

/* ---- items of a file --------------------------------------------------- */

typedef enum ItemKind {
    ITEM_PARAM,
    ITEM_CONSTANT,
    ITEM_REQUIRE,
    ITEM_BLOCK,
    ITEM_NET,
    ITEM_TRAIN,
    ITEM_USE
} ItemKind;

typedef struct Parameter {
    Name name;
    Expr *value; /* default of a param; shape of a net's input; or NULL */
} Parameter;

typedef struct Parameters {
    Parameter *item;
    size_t n, cap;
} Parameters;

typedef struct SettingNode SettingNode;
typedef struct SettingNodes {
    SettingNode **item;
    size_t n, cap;
} SettingNodes;

typedef struct Patterns {
    Name *item;
    size_t n, cap;
} Patterns;

/* key = value, or  key patterns kind { ... }  with any of the three left out.
 */
struct SettingNode {
    Name key;          /* dotted */
    Name kind;         /* text NULL: none */
    Patterns patterns; /* group "*.bias" "*bn*" { ... } */
    Expr *value;
    SettingNodes inner;
    int depth;
};

typedef struct Item {
    ItemKind kind;
    Span span;
    Name name;             /* param, constant, block, net; path of use */
    Expr *value;           /* param (or NULL), constant, condition */
    Expr *message;         /* require */
    Parameters parameters; /* block, net; use: what it binds */
    Body body;             /* block, net */
    SettingNodes settings; /* train */
} Item;

typedef struct File {
    const Source *source;
    Item **item;
    size_t n, cap;
} File;

/* ---- making them ------------------------------------------------------- */

Expr *expr_new(Arena *a, ExprKind kind, Span span);
Expr *expr_unary(Arena *a, Operator op, Expr *x, Span span);
Expr *expr_binary(Arena *a, Operator op, Expr *x, Expr *y);
Expr *expr_choice(Arena *a, Expr *condition, Expr *yes, Expr *no);
Expr *expr_index(Arena *a, Expr *of, Expr *index, Span span);
Expr *expr_list(Arena *a, Exprs items, Span span);
Expr *expr_call(Arena *a, Name name, Arguments arguments, Span span);
Expr *expr_label(Arena *a, Label label, Expr *of);
Statement *statement_new(Arena *a, StatementKind kind, Span span);
Item *item_new(Arena *a, ItemKind kind, Span span);
int body_depth(const Body *b);

/* --emit=ast: indented, one node a line, with line and column. */
void file_print(const File *f, FILE *out);

#endif
