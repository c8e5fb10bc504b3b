/* read.c: text to module, by recursive descent without recursion.
 *
 * The text may be anyone's: every count is checked, every error has a line,
 * and the time is proportional to the text.  The rule of the grammar
 * (docs/ir.md) stands above the function that reads it. */
#include "hash.h"
#include "op.h"
#include "scan.h"
#include "text.h"
#include <limits.h>
#include <string.h>

enum {
    MAX_GRAPHS = 256,
    MAX_ATTRS = 64,
    WORD = 64,
    MAX_VALUES = 1 << 28 /* below the number of ids that a Value can hold */
};

typedef struct Symbol {
    const char *name; /* of %name, in the text */
    size_t length;
    uint32_t node;
} Symbol;

typedef struct Reader {
    Scan s;
    Module *m;
    Arena *scratch;
    Graph *g; /* being read */
    HashTable index;
    Symbol *symbol; /* symbol[0] is unused */
    size_t n_symbols, cap_symbols;
    uint32_t group; /* the last one given */
} Reader;

static bool pass_on(Reader *r, const Error *e)
{
    return scan_fail(&r->s, "%s", e->text);
}

/* ---- locations ---------------------------------------------------------- */

static bool read_count(Reader *r, int *v)
{
    int64_t x;
    if (!scan_int(&r->s, &x))
        return false;
    if (x < 0 || x > INT_MAX)
        return scan_fail(&r->s, "a line or column out of range");
    *v = (int)x;
    return true;
}

/* place = [file ":"] line ":" column      the file of the place before */
static bool read_place(Reader *r, const char *file, LocInfo *place)
{
    int c = scan_peek(&r->s);
    place->file = file;
    if (c < '0' || c > '9') {
        if (!scan_name(&r->s, r->scratch, &place->file) ||
            !scan_expect(&r->s, ':'))
            return false;
    } else if (!file) {
        return scan_fail(&r->s, "a location without a file");
    }
    return read_count(r, &place->line) && scan_expect(&r->s, ':') &&
           read_count(r, &place->column);
}

/* loc = ["@" place {"<" place}]           innermost first */
static bool read_loc(Reader *r, Loc *loc)
{
    LocInfo *place = NULL;
    size_t n = 0, cap = 0;
    *loc = 0;
    if (!scan_take(&r->s, '@'))
        return true;
    do {
        LocInfo p = {0};
        if (!read_place(r, n ? place[n - 1].file : NULL, &p))
            return false;
        ARENA_PUSH(r->scratch, place, n, cap, p);
    } while (scan_take(&r->s, '<'));
    while (n-- > 0)
        *loc = module_loc(r->m, place[n].file, place[n].line, place[n].column,
                          *loc);
    return true;
}

/* ---- values ------------------------------------------------------------- */

typedef struct SymbolKey {
    const Reader *r;
    const char *name;
    size_t length;
} SymbolKey;

static bool same_symbol(const void *key, uint32_t id)
{
    const SymbolKey *k = key;
    const Symbol *s = &k->r->symbol[id];
    return s->length == k->length && !memcmp(s->name, k->name, k->length);
}

static uint32_t find_symbol(Reader *r, const char *name, size_t length)
{
    return hash_find(&r->index, hash_bytes(0, name, length), same_symbol,
                     &(SymbolKey){r, name, length});
}

static bool is_value_letter(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
}

/* value = "%" name [":" out]              no space inside */
static bool read_value(Reader *r, Symbol *name, int64_t *out)
{
    Scan *s = &r->s;
    *out = 0;
    if (!scan_expect(s, '%'))
        return false;
    name->name = s->at;
    while (s->at < s->end && is_value_letter(*s->at))
        s->at++;
    name->length = (size_t)(s->at - name->name);
    if (!name->length)
        return scan_fail(s, "expected a value's name after %%");
    if (s->end - s->at < 2 || s->at[0] != ':' || s->at[1] < '0' ||
        s->at[1] > '9')
        return true;
    s->at++;
    return scan_int(s, out);
}

#define QUOTED_NAME(s) (int)((s).length < 60 ? (s).length : 60), (s).name

static bool read_operand(Reader *r, Value *v)
{
    Symbol name;
    int64_t out;
    if (!read_value(r, &name, &out))
        return false;
    uint32_t id = find_symbol(r, name.name, name.length);
    if (!id)
        return scan_fail(&r->s, "%%%.*s is not defined before this line",
                         QUOTED_NAME(name));
    uint32_t node = r->symbol[id].node;
    if (out >= r->g->node[node].n_out)
        return scan_fail(&r->s, "%%%.*s has no result %d", QUOTED_NAME(name),
                         (int)(out < INT_MAX ? out : INT_MAX));
    *v = node_value(node, (unsigned)out);
    return true;
}

/* ---- nodes -------------------------------------------------------------- */

/* One line of text, before it is a node. */
typedef struct Line {
    Symbol name; /* of the results; name.name NULL: none */
    int n_results, n_types, n_attr;
    const OpDesc *op;
    Value *in;
    size_t n_in, cap_in;
    Attr attr[MAX_ATTRS];
    Type type[MAX_OUT];
    const char *hint;
    Loc loc;
    bool again;
} Line;

/* results = [value {"," value} "="]       all of one name: %5, %5:1 = */
static bool read_results(Reader *r, Line *l)
{
    if (scan_peek(&r->s) != '%')
        return true;
    do {
        Symbol name;
        int64_t out;
        if (!read_value(r, &name, &out))
            return false;
        if (!l->n_results)
            l->name = name;
        if (name.length != l->name.length ||
            memcmp(name.name, l->name.name, name.length) ||
            out != l->n_results++)
            return scan_fail(&r->s, "the results of one node are written "
                                    "%%x, %%x:1, %%x:2");
    } while (scan_take(&r->s, ','));
    if (find_symbol(r, l->name.name, l->name.length))
        return scan_fail(&r->s, "%%%.*s is defined twice",
                         QUOTED_NAME(l->name));
    return scan_expect(&r->s, '=');
}

static bool read_operands(Reader *r, Line *l)
{
    if (scan_peek(&r->s) != '%')
        return true;
    do {
        Value v;
        if (!read_operand(r, &v))
            return false;
        ARENA_PUSH(r->scratch, l->in, l->n_in, l->cap_in, v);
    } while (scan_take(&r->s, ','));
    return true;
}

/* attrs = ["{" [name "=" value {"," name "=" value}] "}"] */
static bool read_attrs(Reader *r, Line *l)
{
    char name[WORD];
    if (!scan_take(&r->s, '{') || scan_take(&r->s, '}'))
        return true;
    do {
        Error e = {{0}};
        if (!scan_word(&r->s, "", name, sizeof name))
            return false;
        const AttrSpec *spec = attr_spec(l->op, name, &e);
        if (!spec)
            return pass_on(r, &e);
        if (l->n_attr == MAX_ATTRS)
            return scan_fail(&r->s, "more than %d attributes", MAX_ATTRS);
        Attr *a = &l->attr[l->n_attr++];
        a->name = spec->name;
        a->kind = spec->kind;
        if (!scan_expect(&r->s, '=') || !scan_attr_value(&r->s, r->scratch, a))
            return false;
    } while (scan_take(&r->s, ','));
    return scan_expect(&r->s, '}');
}

/* types = [":" type {"," type}]           one a result */
static bool read_types(Reader *r, Line *l)
{
    if (!scan_take(&r->s, ':'))
        return true;
    do {
        if (l->n_types == MAX_OUT)
            return scan_fail(&r->s, "more than %d types", MAX_OUT);
        if (!scan_type(&r->s, &l->type[l->n_types++]))
            return false;
    } while (scan_take(&r->s, ','));
    return true;
}

/* Attributes that the type says, where the line leaves them out. */
static void take_attrs_from_type(Line *l)
{
    for (const AttrSpec *s = l->op->attrs; s && s->name; s++) {
        bool given = false;
        for (int i = 0; i < l->n_attr; i++)
            given |= !strcmp(l->attr[i].name, s->name);
        if (!given && l->n_types && l->n_attr < MAX_ATTRS &&
            attr_from_type(s, &l->type[0], &l->attr[l->n_attr]))
            l->n_attr++;
    }
}

static bool check_types(Reader *r, const Line *l, Node *n)
{
    for (int i = 0; i < l->n_types; i++) {
        char now[256], said[256];
        Type plain = l->type[i];
        plain.layout = n->type[i].layout;
        if (!type_equal(&plain, &n->type[i])) {
            type_print(&n->type[i], now, sizeof now);
            type_print(&l->type[i], said, sizeof said);
            return scan_fail(&r->s, "%s: result %d is %s, not %s", l->op->name,
                             i, now, said);
        }
        n->type[i].layout = l->type[i].layout;
    }
    return true;
}

static bool add_node(Reader *r, Line *l)
{
    Graph *g = r->g;
    if (l->n_results != l->op->n_out)
        return scan_fail(&r->s, "%s has %d results, not %d", l->op->name,
                         l->op->n_out, l->n_results);
    if (l->n_types && l->n_types != l->n_results)
        return scan_fail(&r->s, "%s: %d types for %d results", l->op->name,
                         l->n_types, l->n_results);
    if (g->n_nodes >= MAX_VALUES || l->n_in >= MAX_VALUES)
        return scan_fail(&r->s, "a graph with too many nodes");
    take_attrs_from_type(l);
    g->loc = l->loc;
    g->hint = l->hint;
    uint32_t id = graph_add(g, l->op, l->in, (int)l->n_in, l->attr, l->n_attr);
    if (!id)
        return pass_on(r, &g->error);
    g->node[id].again = l->again;
    if (l->n_results) {
        l->name.node = id;
        hash_add(&r->index, r->scratch,
                 hash_bytes(0, l->name.name, l->name.length),
                 (uint32_t)r->n_symbols);
        ARENA_PUSH(r->scratch, r->symbol, r->n_symbols, r->cap_symbols,
                   l->name);
    }
    return check_types(r, l, &g->node[id]);
}

static bool find_op(Reader *r, const char *name, const OpDesc **op)
{
    *op = op_named(name);
    if (*op)
        return true;
    const OpDesc *near = op_nearest(name);
    if (near)
        return scan_fail(&r->s, "unknown op %s (did you mean %s?)", name,
                         near->name);
    return scan_fail(&r->s, "unknown op %s", name);
}

/* node = results ["again"] op [value {"," value}] attrs types [hint] loc */
static bool read_node(Reader *r, Line *l, char op[WORD])
{
    l->again = !strcmp(op, "again");
    if (l->again && !scan_word(&r->s, "", op, WORD))
        return false;
    if (!find_op(r, op, &l->op) || !read_operands(r, l) || !read_attrs(r, l) ||
        !read_types(r, l))
        return false;
    if (scan_peek(&r->s) == '"' && !scan_quoted(&r->s, r->scratch, &l->hint))
        return false;
    return read_loc(r, &l->loc) && add_node(r, l);
}

/* ---- graphs ------------------------------------------------------------- */

/* body = {node | "fuse" "{" {node} "}"} */
static bool read_body(Reader *r)
{
    Graph *g = r->g;
    for (;;) {
        Line l = {0};
        char word[WORD];
        if (scan_take(&r->s, '}')) {
            if (!g->group)
                return true;
            g->group = 0;
            continue;
        }
        if (!read_results(r, &l) || !scan_word(&r->s, "", word, sizeof word))
            return false;
        if (strcmp(word, "fuse")) {
            if (!read_node(r, &l, word))
                return false;
            continue;
        }
        if (g->group || l.n_results)
            return scan_fail(&r->s, "fuse cannot stand here");
        g->group = ++r->group;
        if (!scan_expect(&r->s, '{'))
            return false;
    }
}

/* graph = "graph" name "{" body "}" */
static bool read_graph(Reader *r)
{
    const char *name;
    if (!scan_name(&r->s, r->scratch, &name) || !scan_expect(&r->s, '{'))
        return false;
    if (module_graph(r->m, name))
        return scan_fail(&r->s, "two graphs are called %.100s", name);
    if (r->m->n_graphs == MAX_GRAPHS)
        return scan_fail(&r->s, "more than %d graphs", MAX_GRAPHS);
    r->g = graph_new(r->m, name);
    module_add_graph(r->m, r->g);
    r->index = (HashTable){0};
    r->symbol = NULL;
    r->n_symbols = r->cap_symbols = 0;
    ARENA_PUSH(r->scratch, r->symbol, r->n_symbols, r->cap_symbols,
               (Symbol){0});
    bool ok = read_body(r);
    r->g->loc = 0;
    r->g->hint = NULL;
    return ok;
}

/* ---- settings and state ------------------------------------------------- */

/* "[" .. "]" as it stands, or a name */
static bool read_setting_text(Reader *r, const char **text)
{
    if (scan_peek(&r->s) != '[')
        return scan_name(&r->s, r->scratch, text);
    scan_space(&r->s);
    const char *start = r->s.at;
    const char *close = memchr(start, ']', (size_t)(r->s.end - start));
    if (!close || memchr(start, '\n', (size_t)(close - start)))
        return scan_fail(&r->s, "a list that does not end on its line");
    *text = arena_strndup(r->scratch, start, (size_t)(close + 1 - start));
    r->s.at = close + 1;
    return true;
}

/* set = "set" key "=" value loc */
static bool read_setting(Reader *r)
{
    char key[WORD], error[MAX_TEXT];
    const char *text;
    Loc loc;
    if (!scan_word(&r->s, ".", key, sizeof key) || !scan_expect(&r->s, '=') ||
        !read_setting_text(r, &text) || !read_loc(r, &loc))
        return false;
    if (settings_get(&r->m->settings, key))
        return scan_fail(&r->s, "%s is set twice", key);
    return settings_set_text(&r->m->settings, r->m->arena, key, text, loc,
                             error, sizeof error) ||
           scan_fail(&r->s, "%s", error);
}

/* The index of the next word in a list; -1 with a message. */
static int read_choice(Reader *r, const char *const *list, int n)
{
    char word[WORD];
    if (!scan_word(&r->s, "", word, sizeof word))
        return -1;
    for (int i = 0; i < n; i++)
        if (!strcmp(word, list[i]))
            return i;
    scan_fail(&r->s, "%s cannot stand here", word);
    return -1;
}

/* init = ("const" "(" a | ("normal" | "uniform" | "patches") "(" a "," b) ")"
 */
static bool read_init(Reader *r, State *s)
{
    /* "frozen" may come first */
    const char *const list[] = {"const", "normal", "uniform", "patches",
                                "frozen"};
    int k = read_choice(r, list, INIT_KINDS + !s->frozen);
    if (k < 0)
        return false;
    if (k == INIT_KINDS) {
        s->frozen = true;
        k = read_choice(r, list, INIT_KINDS);
        if (k < 0)
            return false;
    }
    s->init = (InitKind)k;
    if (!scan_expect(&r->s, '(') || !scan_number(&r->s, &s->init_a))
        return false;
    if (s->init != INIT_CONST &&
        (!scan_expect(&r->s, ',') || !scan_number(&r->s, &s->init_b)))
        return false;
    return scan_expect(&r->s, ')');
}

static bool take_word(Reader *r, const char *word)
{
    size_t n = strlen(word);
    Scan before = r->s;
    scan_space(&r->s);
    if ((size_t)(r->s.end - r->s.at) <= n || memcmp(r->s.at, word, n) ||
        is_value_letter(r->s.at[n])) {
        r->s = before;
        return false;
    }
    r->s.at += n;
    return true;
}

/* state = "state" name ":" type role ["of" name] ["frozen"] init loc */
static bool read_state(Reader *r)
{
    State s = {.of = ""};
    const char *const role[] = {"param", "buffer", "slot", "run"};
    if (!scan_name(&r->s, r->scratch, &s.name) || !scan_expect(&r->s, ':') ||
        !scan_type(&r->s, &s.type))
        return false;
    int k = read_choice(r, role, STATE_ROLES);
    if (k < 0)
        return false;
    s.role = (StateRole)k;
    if (take_word(r, "of") && !scan_name(&r->s, r->scratch, &s.of))
        return false;
    if (!read_init(r, &s) || !read_loc(r, &s.loc))
        return false;
    return module_add_state(r->m, &s) >= 0 ||
           scan_fail(&r->s, "two states are called %.100s", s.name);
}

/* ---- modules ------------------------------------------------------------ */

static bool read_item(Reader *r)
{
    char word[WORD];
    if (!scan_word(&r->s, "", word, sizeof word))
        return false;
    if (!strcmp(word, "set"))
        return read_setting(r);
    if (!strcmp(word, "state"))
        return read_state(r);
    if (!strcmp(word, "graph"))
        return read_graph(r);
    return scan_fail(&r->s, "expected set, state or graph, found %s", word);
}

/* module = "module" name {set | state | graph} */
static bool read_module(Reader *r)
{
    const char *name;
    if (!take_word(r, "module"))
        return scan_fail(&r->s, "expected the word module");
    if (!scan_name(&r->s, r->scratch, &name))
        return false;
    r->m->name = arena_strdup(r->m->arena, name);
    while (scan_peek(&r->s) >= 0)
        if (!read_item(r))
            return false;
    return true;
}

Module *module_read(const char *text, size_t size, const char *file, Error *e)
{
    e->text[0] = 0;
    Reader r = {.s = {text, text + size, 1, file, e},
                .m = module_new(""),
                .scratch = arena_new()};
    bool ok = read_module(&r);
    arena_free(r.scratch);
    if (ok && module_verify(r.m, e))
        return r.m;
    module_free(r.m);
    return NULL;
}

/* ---- samples ------------------------------------------------------------ */

static bool read_sample(Reader *r, Line *l)
{
    if (!scan_expect(&r->s, '('))
        return false;
    while (!scan_take(&r->s, ')')) {
        Type t;
        char name[32];
        if ((l->n_in && !scan_expect(&r->s, ',')) || !scan_type(&r->s, &t))
            return false;
        snprintf(name, sizeof name, "x%zu", l->n_in);
        Attr attr[] = {attr_string("name", name), attr_dtype("dtype", t.dtype),
                       attr_ints("shape", t.dim, t.rank)};
        uint32_t id = graph_add(r->g, &op_input, NULL, 0, attr, 3);
        if (!id)
            return pass_on(r, &r->g->error);
        r->g->node[id].type[0].layout = t.layout;
        ARENA_PUSH(r->scratch, l->in, l->n_in, l->cap_in, node_value(id, 0));
    }
    return read_attrs(r, l);
}

uint32_t sample_add(Graph *g, const OpDesc *op, const char *sample, Error *e)
{
    e->text[0] = 0;
    Reader r = {.s = scan_text(sample, e), .g = g, .scratch = arena_new()};
    Line l = {.op = op};
    uint32_t id = 0;
    if (read_sample(&r, &l)) {
        id = graph_add(g, op, l.in, (int)l.n_in, l.attr, l.n_attr);
        if (!id)
            *e = g->error;
    }
    arena_free(r.scratch);
    return id;
}
