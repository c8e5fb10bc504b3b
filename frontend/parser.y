/* parser.y: the grammar.  Actions only build the tree.
 *
 * After an error the parser goes on at the next line that can begin a
 * statement (or an item, outside of bodies), so that one run reports several.
 */
%define api.prefix {net}
%define api.pure full
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parser *p}

%code requires {
#include "parse.h"
}

%code {
#include "scanner.h"
#include <string.h>

/* States on the stack: more are a hostile input. */
#define YYMAXDEPTH 4000

#define YYLLOC_DEFAULT(now, rhs, n)                                            \
    ((now) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))               \
                 : empty_span(YYRHSLOC(rhs, 0)))

#define PUSH(list, x) ARENA_PUSH(p->arena, (list).item, (list).n, (list).cap, x)
#define NAME_OF(text, at) ((Name){text, at})

/* Hostile depth ends the parse. */
#define SHALLOW(node, at)                                                      \
    do {                                                                       \
        if ((node)->depth > AST_DEEPEST) {                                     \
            too_deep(p, at);                                                   \
            YYABORT;                                                           \
        }                                                                      \
    } while (0)

#define CALL(result, at, ...)                                                  \
    do {                                                                       \
        (result) = __VA_ARGS__;                                                \
        SHALLOW(result, at);                                                   \
    } while (0)
#define BINARY(result, which, x, y)                                            \
    CALL(result, (y)->span, expr_binary(p->arena, OPERATOR_##which, x, y))
#define UNARY(result, which, x, at)                                            \
    CALL(result, at, expr_unary(p->arena, OPERATOR_##which, x, at))

/* What stands at `error` is left out. */
#define RECOVER(at, top)                                                          \
    do {                                                                       \
        if (!recover(p, yychar, yylloc, at, top))                          \
            YYABORT;                                                           \
        yyclearin;                                                             \
        yyerrok;                                                               \
    } while (0)

static int netlex(NETSTYPE *value, Span *at, Parser *p);
static void neterror(const Span *at, Parser *p, const char *message);
static Span empty_span(Span before);
static bool recover(Parser *p, int token, Span at, Span broken, bool top);
static void too_deep(Parser *p, Span at);
static bool label_name(Parser *p, const Label *label, Name *name);
static int deeper(int depth, const Expr *e);
static SettingNode *setting_new(Parser *p, Name key, SettingNode node);
}

%union {
    int64_t integer;
    double number;
    const char *text;
    Name name;
    Label label;
    LabelPart part;
    Expr *expr;
    Exprs exprs;
    Argument argument;
    Arguments arguments;
    Statement *statement;
    Body body;
    AssignTarget target;
    Targets targets;
    Parameter parameter;
    Parameters parameters;
    SettingNode *setting;
    SettingNodes settings;
    Patterns patterns;
    Item *item;
}

%token END 0            "end of file"
%token <text> NAME      "a name"
%token <text> PIECE     "a piece of a label"
%token <integer> INTEGER "a whole number"
%token <number> NUMBER  "a number"
%token <text> STRING    "a string"
%token LABEL_START      "a label"
%token AND "and" BLOCK "block" ELSE "else" FALSE "false" FOR "for" IF "if"
%token IN "in" NET "net" NOT "not" OR "or" PARAM "param" REQUIRE "require"
%token RETURN "return" TRAIN "train" TRUE "true" USE "use"
%token DOTS ".." EQ "==" NE "!=" LE "<=" GE ">="
%token SHIFT_LEFT "<<" SHIFT_RIGHT ">>" FLOOR_DIV "//"
%token COMMENT LINE_END ONE_FILE ONE_EXPR

%type <item> item
%type <parameters> parameters parameter_list inputs input_list bindings
%type <parameters> binding_list
%type <parameter> parameter input binding
%type <settings> settings
%type <setting> setting
%type <patterns> patterns
%type <name> key
%type <body> body statements otherwise
%type <statement> statement requirement choice
%type <targets> targets
%type <target> target
%type <label> label pieces
%type <part> piece
%type <expr> expr primary call list
%type <exprs> exprs expr_list
%type <arguments> arguments argument_list
%type <argument> argument

%right '?' ':'
%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' LE '>' GE
%left SHIFT_LEFT SHIFT_RIGHT
%left '+' '-'
%left '*' '/' FLOOR_DIV '%'
%precedence NEGATIVE

%%

start:
    ONE_FILE items
  | ONE_EXPR expr           { p->expr = $expr; }
  ;

/* ---- items ------------------------------------------------------------- */

items:
    %empty
  | items item {
        if ($item)
            PUSH(*p->file, $item);
    }
  ;

item:
    PARAM NAME {
        $$ = item_new(p->arena, ITEM_PARAM, @$);
        $$->name = NAME_OF($NAME, @NAME);
    }
  | PARAM NAME '=' expr {
        $$ = item_new(p->arena, ITEM_PARAM, @$);
        $$->name = NAME_OF($NAME, @NAME);
        $$->value = $expr;
    }
  | NAME '=' expr {
        $$ = item_new(p->arena, ITEM_CONSTANT, @$);
        $$->name = NAME_OF($NAME, @NAME);
        $$->value = $expr;
    }
  | requirement {
        $$ = item_new(p->arena, ITEM_REQUIRE, @$);
        $$->value = $requirement->require.condition;
        $$->message = $requirement->require.message;
    }
  | BLOCK NAME '(' parameters ')' body {
        $$ = item_new(p->arena, ITEM_BLOCK, @$);
        $$->name = NAME_OF($NAME, @NAME);
        $$->parameters = $parameters;
        $$->body = $body;
    }
  | NET NAME '(' inputs ')' body {
        $$ = item_new(p->arena, ITEM_NET, @$);
        $$->name = NAME_OF($NAME, @NAME);
        $$->parameters = $inputs;
        $$->body = $body;
    }
  | TRAIN '{' settings '}' {
        $$ = item_new(p->arena, ITEM_TRAIN, @TRAIN);
        $$->settings = $settings;
    }
  | USE STRING {
        $$ = item_new(p->arena, ITEM_USE, @$);
        $$->name = NAME_OF($STRING, @STRING);
    }
  | USE STRING '{' bindings '}' {
        $$ = item_new(p->arena, ITEM_USE, @$);
        $$->name = NAME_OF($STRING, @STRING);
        $$->parameters = $bindings;
    }
  | error                   { $$ = NULL; RECOVER(@1, true); }
  ;

parameters:
    %empty                  { $$ = (Parameters){0}; }
  | parameter_list opt_comma { $$ = $1; }
  ;

parameter_list:
    parameter               { $$ = (Parameters){0}; PUSH($$, $1); }
  | parameter_list ',' parameter { $$ = $1; PUSH($$, $3); }
  ;

parameter:
    NAME                    { $$ = (Parameter){NAME_OF($1, @1), NULL}; }
  | NAME '=' expr           { $$ = (Parameter){NAME_OF($1, @1), $3}; }
  ;

inputs:
    %empty                  { $$ = (Parameters){0}; }
  | input_list opt_comma    { $$ = $1; }
  ;

input_list:
    input                   { $$ = (Parameters){0}; PUSH($$, $1); }
  | input_list ',' input    { $$ = $1; PUSH($$, $3); }
  ;

/* image: [3, 32, 32] */
input:
    label expr {
        Name name;
        if (!label_name(p, &$label, &name))
            YYERROR;
        $$ = (Parameter){name, $expr};
    }
  | NAME ':' expr           { $$ = (Parameter){NAME_OF($1, @1), $3}; }
  | NAME                    { $$ = (Parameter){NAME_OF($1, @1), NULL}; }
  ;

bindings:
    %empty                  { $$ = (Parameters){0}; }
  | binding_list opt_comma  { $$ = $1; }
  ;

binding_list:
    binding                 { $$ = (Parameters){0}; PUSH($$, $1); }
  | binding_list opt_comma binding { $$ = $1; PUSH($$, $3); }
  ;

binding:
    NAME '=' expr           { $$ = (Parameter){NAME_OF($1, @1), $3}; }
  ;

/* ---- the train section -------------------------------------------------- */

settings:
    %empty                  { $$ = (SettingNodes){0}; }
  | settings setting opt_comma { $$ = $1; PUSH($$, $2); }
  ;

setting:
    key '=' expr            { $$ = setting_new(p, $1, (SettingNode){.value = $3}); }
  | key NAME {
        $$ = setting_new(p, $1, (SettingNode){.kind = NAME_OF($2, @2)});
    }
  | key NAME '{' settings '}' {
        CALL($$, @1, setting_new(p, $1, (SettingNode){
            .kind = NAME_OF($2, @2), .inner = $settings}));
    }
  | key '{' settings '}' {
        CALL($$, @1, setting_new(p, $1, (SettingNode){.inner = $settings}));
    }
  | key patterns NAME {
        $$ = setting_new(p, $1, (SettingNode){
            .patterns = $2, .kind = NAME_OF($3, @3)});
    }
  | key patterns NAME '{' settings '}' {
        CALL($$, @1, setting_new(p, $1, (SettingNode){
            .patterns = $2, .kind = NAME_OF($3, @3), .inner = $settings}));
    }
  | key patterns '{' settings '}' {
        CALL($$, @1, setting_new(p, $1, (SettingNode){
            .patterns = $2, .inner = $settings}));
    }
  ;

patterns:
    STRING                  { $$ = (Patterns){0}; PUSH($$, NAME_OF($1, @1)); }
  | patterns STRING         { $$ = $1; PUSH($$, NAME_OF($2, @2)); }
  ;

key:
    NAME                    { $$ = NAME_OF($1, @1); }
  | key '.' NAME {
        $$.text = arena_printf(p->arena, "%s.%s", $1.text, $3);
        $$.span = @$;
    }
  ;

/* ---- bodies and statements ---------------------------------------------- */

body:
    '{' statements '}'      { $$ = $2; $$.span = @$; }
  ;

statements:
    %empty                  { $$ = (Body){0}; }
  | statements statement {
        $$ = $1;
        if ($2)
            PUSH($$, $2);
    }
  ;

statement:
    targets '=' expr {
        $$ = statement_new(p->arena, STATEMENT_ASSIGN, @$);
        $$->assign.targets = $targets;
        $$->assign.value = $expr;
    }
  | label targets '=' expr {
        $$ = statement_new(p->arena, STATEMENT_ASSIGN, @$);
        $$->assign.targets = $targets;
        CALL($$->assign.value, @label, expr_label(p->arena, $label, $expr));
    }
  | RETURN expr_list {
        $$ = statement_new(p->arena, STATEMENT_RETURN, @$);
        $$->results = $expr_list;
    }
  | FOR NAME IN expr body {
        $$ = statement_new(p->arena, STATEMENT_FOR, @1);
        $$->loop.name = NAME_OF($NAME, @NAME);
        $$->loop.from = $expr;
        $$->loop.body = $body;
        $$->depth = deeper(body_depth(&$body), $expr) + 1;
        SHALLOW($$, @1);
    }
  | FOR NAME IN expr[from] DOTS expr[to] body {
        $$ = statement_new(p->arena, STATEMENT_FOR, @1);
        $$->loop.name = NAME_OF($NAME, @NAME);
        $$->loop.from = $from;
        $$->loop.to = $to;
        $$->loop.body = $body;
        $$->depth = deeper(deeper(body_depth(&$body), $from), $to) + 1;
        SHALLOW($$, @1);
    }
  | choice
  | requirement
  | error                   { $$ = NULL; RECOVER(@1, false); }
  ;

choice:
    IF expr body otherwise {
        $$ = statement_new(p->arena, STATEMENT_IF, @1);
        $$->choice.condition = $expr;
        $$->choice.yes = $body;
        $$->choice.no = $otherwise;
        int yes = body_depth(&$body), no = body_depth(&$otherwise);
        $$->depth = deeper(yes > no ? yes : no, $expr) + 1;
        SHALLOW($$, @1);
    }
  ;

otherwise:
    %empty                  { $$ = (Body){0}; }
  | ELSE body               { $$ = $2; }
  | ELSE choice             { $$ = (Body){.span = @2}; PUSH($$, $2); }
  ;

requirement:
    REQUIRE expr {
        $$ = statement_new(p->arena, STATEMENT_REQUIRE, @$);
        $$->require.condition = $expr;
    }
  | REQUIRE expr[condition] ',' expr[message] {
        $$ = statement_new(p->arena, STATEMENT_REQUIRE, @$);
        $$->require.condition = $condition;
        $$->require.message = $message;
    }
  ;

targets:
    target                  { $$ = (Targets){0}; PUSH($$, $1); }
  | targets ',' target      { $$ = $1; PUSH($$, $3); }
  ;

/* x, or x: [16, 32, 32] */
target:
    NAME                    { $$ = (AssignTarget){NAME_OF($1, @1), NULL}; }
  | NAME ':' list           { $$ = (AssignTarget){NAME_OF($1, @1), $3}; }
  | label list {
        Name name;
        if (!label_name(p, &$label, &name))
            YYERROR;
        $$ = (AssignTarget){name, $list};
    }
  ;

label:
    LABEL_START pieces ':'  { $$ = $2; $$.span = span_join(@2, @2); }
  ;

pieces:
    piece                   { $$ = (Label){0}; PUSH($$, $1); }
  | pieces piece            { $$ = $1; PUSH($$, $2); }
  ;

piece:
    PIECE                   { $$ = (LabelPart){$1, NULL}; }
  | '.'                     { $$ = (LabelPart){".", NULL}; }
  | '{' expr '}'            { $$ = (LabelPart){NULL, $2}; }
  ;

/* ---- expressions -------------------------------------------------------- */

expr:
    primary
  | label call              { CALL($$, @1, expr_label(p->arena, $1, $2)); }
  | expr '?' expr ':' expr  { CALL($$, @2, expr_choice(p->arena, $1, $3, $5)); }
  | NOT expr                { UNARY($$, NOT, $2, @$); }
  | '-' expr %prec NEGATIVE { UNARY($$, NEGATE, $2, @$); }
  | expr OR expr            { BINARY($$, OR, $1, $3); }
  | expr AND expr           { BINARY($$, AND, $1, $3); }
  | expr EQ expr            { BINARY($$, EQ, $1, $3); }
  | expr NE expr            { BINARY($$, NE, $1, $3); }
  | expr '<' expr           { BINARY($$, LT, $1, $3); }
  | expr LE expr            { BINARY($$, LE, $1, $3); }
  | expr '>' expr           { BINARY($$, GT, $1, $3); }
  | expr GE expr            { BINARY($$, GE, $1, $3); }
  | expr SHIFT_LEFT expr    { BINARY($$, SHIFT_LEFT, $1, $3); }
  | expr SHIFT_RIGHT expr   { BINARY($$, SHIFT_RIGHT, $1, $3); }
  | expr '+' expr           { BINARY($$, ADD, $1, $3); }
  | expr '-' expr           { BINARY($$, SUB, $1, $3); }
  | expr '*' expr           { BINARY($$, MUL, $1, $3); }
  | expr '/' expr           { BINARY($$, DIV, $1, $3); }
  | expr FLOOR_DIV expr     { BINARY($$, FLOOR_DIV, $1, $3); }
  | expr '%' expr           { BINARY($$, MOD, $1, $3); }
  ;

primary:
    INTEGER                 { $$ = expr_new(p->arena, EXPR_INT, @$); $$->integer = $1; }
  | NUMBER                  { $$ = expr_new(p->arena, EXPR_FLOAT, @$); $$->number = $1; }
  | TRUE                    { $$ = expr_new(p->arena, EXPR_BOOL, @$); $$->truth = true; }
  | FALSE                   { $$ = expr_new(p->arena, EXPR_BOOL, @$); }
  | STRING                  { $$ = expr_new(p->arena, EXPR_STRING, @$); $$->text = $1; }
  | NAME                    { $$ = expr_new(p->arena, EXPR_NAME, @$); $$->text = $1; }
  | call
  | list
  | '(' expr ')'            { $$ = $2; $$->span = @$; }
  | primary '[' expr ']'    { CALL($$, @1, expr_index(p->arena, $1, $3, @$)); }
  ;

call:
    NAME '(' arguments ')'  {
        CALL($$, @1, expr_call(p->arena, NAME_OF($1, @1), $3, @$));
    }
  ;

list:
    '[' exprs ']'           { CALL($$, @1, expr_list(p->arena, $2, @$)); }
  ;

exprs:
    %empty                  { $$ = (Exprs){0}; }
  | expr_list opt_comma     { $$ = $1; }
  ;

expr_list:
    expr                    { $$ = (Exprs){0}; PUSH($$, $1); }
  | expr_list ',' expr      { $$ = $1; PUSH($$, $3); }
  ;

arguments:
    %empty                  { $$ = (Arguments){0}; }
  | argument_list opt_comma { $$ = $1; }
  ;

argument_list:
    argument                { $$ = (Arguments){0}; PUSH($$, $1); }
  | argument_list ',' argument { $$ = $1; PUSH($$, $3); }
  ;

argument:
    expr                    { $$ = (Argument){{0}, $1}; }
  | NAME '=' expr           { $$ = (Argument){NAME_OF($1, @1), $3}; }
  ;

opt_comma:
    %empty
  | ','
  ;

%%

static Span empty_span(Span before)
{
    before.line = before.end_line;
    before.column = before.end_column;
    return before;
}

static int deeper(int depth, const Expr *e)
{
    return e->depth > depth ? e->depth : depth;
}

static void too_deep(Parser *p, Span at)
{
    diag_error(p->diag, at, "nested too deeply");
}

/* The name that a label is where no label makes sense. */
static bool label_name(Parser *p, const Label *label, Name *name)
{
    *name = (Name){label->item[0].text, label->span};
    if (label->n == 1 && name->text)
        return true;
    diag_error(p->diag, label->span, "expected a name before this shape");
    return false;
}

static SettingNode *setting_new(Parser *p, Name key, SettingNode node)
{
    node.key = key;
    node.depth = 1;
    for (size_t i = 0; i < node.inner.n; i++)
        if (node.inner.item[i]->depth >= node.depth)
            node.depth = node.inner.item[i]->depth + 1;
    return arena_copy(p->arena, &node, sizeof node);
}

/* ---- tokens ------------------------------------------------------------- */

/* What recovery put back, then what the scanner finds. */
static int netlex(NETSTYPE *value, Span *at, Parser *p)
{
    int token = p->mode;
    *at = p->put_back.at;
    if (token) {
        p->mode = 0;
        *at = (Span){p->source, 1, 1, 1, 1};
    } else if (p->put_back.close) {
        p->put_back.close = false;
        token = '}';
    } else if (p->put_back.token) {
        token = p->put_back.token;
        p->put_back.token = 0;
        value->text = p->put_back.text;
    } else if (!diag_full(p->diag)) {
        token = scanner_next(value, at, p->scanner);
        p->text = token == NAME ? value->text : NULL;
    }
    if (token == END)
        *at = (Span){p->source, p->line, p->column, p->line, p->column};
    if (token == LABEL_START && p->last == '?')
        p->doubt = *at;
    p->last = token;
    return token;
}

static bool first_on_line(Span at)
{
    size_t size;
    const char *line = source_line(at.source, at.line, &size);
    size_t blanks = 0;
    while (blanks < size && (line[blanks] == ' ' || line[blanks] == '\t'))
        blanks++;
    return (size_t)at.column == blanks + 1;
}

static bool starts_item(int token)
{
    return token == PARAM || token == BLOCK || token == NET ||
           token == TRAIN || token == USE;
}

static bool starts_statement(int token, bool top)
{
    if (token == NAME || token == REQUIRE)
        return true;
    return top ? starts_item(token)
               : token == LABEL_START || token == RETURN || token == FOR ||
                     token == IF;
}

/* Skips to where parsing can go on: a line that begins a statement, or the end
 * of the body.  An item within a body means that its } was forgotten.  `token`
 * is the one that did not fit, `broken` where the statement begins.  False at
 * the end of the input. */
static bool recover(Parser *p, int token, Span at, Span broken, bool top)
{
    NETSTYPE value;
    bool fresh = token != NETEMPTY && span_same(at, broken);
    int depth = 0;
    if (token != LABEL_START)
        scanner_leave_label(p);
    if (token == NETEMPTY)
        token = netlex(&value, &at, p);
    for (;; fresh = false, token = netlex(&value, &at, p)) {
        if (token == END || token == NETerror || token == NETUNDEF)
            return false;
        bool first = first_on_line(at);
        if (first && starts_item(token) && !(fresh && top))
            break;
        if (depth == 0 && token == '}' && !top)
            break;
        if (depth == 0 && first && !fresh && starts_statement(token, top))
            break;
        depth += token == '{';
        depth -= token == '}' && depth > 0;
    }
    p->put_back.close = !top && starts_item(token);
    p->put_back.token = token;
    p->put_back.at = at;
    p->put_back.text = p->text;
    return true;
}

/* ---- messages ------------------------------------------------------------ */

static void neterror(const Span *at, Parser *p, const char *message)
{
    if (!strcmp(message, "memory exhausted"))
        too_deep(p, *at);
    else
        diag_error(p->diag, *at, "%s", message);
}

static bool is_operator(yysymbol_kind_t s)
{
    return (s >= YYSYMBOL_EQ && s <= YYSYMBOL_FLOOR_DIV) ||
           s == YYSYMBOL_AND || s == YYSYMBOL_OR ||
           memchr("?<>+-*/%[", *yysymbol_name(s) == '\''
                                   ? yysymbol_name(s)[1] : 'x', 9);
}

/* "x", ")", "end of file": as the user wrote it where that says more. */
static void name_token(Parser *p, yysymbol_kind_t s, char *text, size_t size)
{
    const char *name = yysymbol_name(s);
    bool written = s == YYSYMBOL_NAME || s == YYSYMBOL_INTEGER ||
                   s == YYSYMBOL_NUMBER || s == YYSYMBOL_STRING ||
                   s == YYSYMBOL_PIECE;
    if (p && written && p->token_size <= 40)
        snprintf(text, size, "%.*s", (int)p->token_size,
                 p->source->text + p->offset - p->token_size);
    else if (*name == '\'')
        snprintf(text, size, "%.1s", name + 1);
    else
        snprintf(text, size, "%s", name);
}

/* "an expression", ") or ,": nothing where too much would fit. */
static void name_expected(const yypcontext_t *c, char *text, size_t size)
{
    yysymbol_kind_t expected[YYNTOKENS];
    int n = yypcontext_expected_tokens(c, expected, YYNTOKENS), shown = 0;
    bool expression = false;
    char one[40];
    *text = 0;
    for (int i = 0; i < n; i++)
        expression = expression || expected[i] == YYSYMBOL_INTEGER;
    if (expression) {
        snprintf(text, size, "; expected an expression");
        return;
    }
    for (int i = 0; i < n; i++) {
        if (is_operator(expected[i]))
            continue;
        size_t length = strlen(text);
        name_token(NULL, expected[i], one, sizeof one);
        snprintf(text + length, size - length, "%s%s",
                 shown++ ? " or " : "; expected ", one);
    }
    if (shown > 5)
        *text = 0;
}

/* Is it the first word of an item? */
static bool names_item(yysymbol_kind_t s)
{
    return s == YYSYMBOL_PARAM || s == YYSYMBOL_BLOCK || s == YYSYMBOL_NET ||
           s == YYSYMBOL_TRAIN || s == YYSYMBOL_USE;
}

static int yyreport_syntax_error(const yypcontext_t *c, Parser *p)
{
    char found[64], expected[256];
    name_token(p, yypcontext_token(c), found, sizeof found);
    name_expected(c, expected, sizeof expected);
    Span at = *yypcontext_location(c);
    if (!diag_error(p->diag, at, "unexpected %s%s", found, expected))
        return 0;
    bool doubt = p->doubt.line && at.line - p->doubt.line <= 1;
    p->doubt.line = 0;
    if (doubt)
        diag_hint(p->diag, "a name with a colon right behind it is a label; "
                           "the colon of a ? : has blanks around it");
    else if (names_item(yypcontext_token(c)))
        diag_hint(p->diag, "is a } missing above?");
    else if (!strcmp(found, "="))
        diag_hint(p->diag, "is the expression before it complete? To compare, "
                           "write ==");
    return 0;
}

/* ---- the way in ----------------------------------------------------------- */

static bool run(Parser *p, int mode)
{
    p->mode = mode;
    p->file = arena_alloc(p->arena, sizeof *p->file);
    p->file->source = p->source;
    if (!scanner_open(p)) {
        diag_error(p->diag, (Span){p->source, 0, 0, 0, 0}, "no memory to read it");
        return false;
    }
    bool ok = netparse(p) == 0;
    scanner_close(p);
    return ok;
}

File *parse_file(const Source *source, Arena *arena, Diag *diag)
{
    Parser p = {.source = source, .arena = arena, .diag = diag};
    run(&p, ONE_FILE);
    return p.file;
}

Expr *parse_expr(const Source *source, Arena *arena, Diag *diag)
{
    Parser p = {.source = source, .arena = arena, .diag = diag};
    int before = diag->errors;
    return run(&p, ONE_EXPR) && diag->errors == before ? p.expr : NULL;
}

bool parse_tokens(const Source *source, Arena *arena, Diag *diag,
                  Token **token, size_t *n)
{
    Parser p = {.source = source, .arena = arena, .diag = diag,
                .keep_comments = true};
    int before = diag->errors;
    size_t cap = 0;
    NETSTYPE value;
    *token = NULL;
    *n = 0;
    if (!scanner_open(&p))
        return false;
    Token t;
    while ((t.kind = scanner_next(&value, &t.span, p.scanner)) != END) {
        t.end = p.offset;
        t.begin = t.kind == LABEL_START ? p.offset : p.offset - p.token_size;
        ARENA_PUSH(arena, *token, *n, cap, t);
    }
    scanner_close(&p);
    return diag->errors == before;
}
