/* print_row.c: a row of a nest with reductions.
 *
 * Level by level: a pass over the reduced loops for the reductions of that
 * level (and for the stores that need no more), then what is computed once a
 * row.  Two forms of a pass:
 *
 *   kept lanes      sums for each channel: the innermost loop runs over the
 *                   accumulators, a few positions of the reduced loop at once
 *   reduced lanes   a sum along neighbours: a fixed number of accumulators
 *                   take turns, and are added up in a fixed order at the end
 *
 * Long reductions add up in blocks first: it costs nothing and the rounding
 * errors stay small.
 */
#include "op.h"
#include "print.h"
#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum {
    POSITIONS = 4,      /* of the reduced loop for one turn of kept lanes */
    WINDOW_MOST = 9,    /* positions that need no loop at all: 3 x 3 */
    REDUCED_LANES = 32, /* accumulators of a reduction along neighbours */
    BLOCK_TURNS = 64    /* added up before they go to the accumulator */
};

typedef struct Pass {
    uint32_t *reduction, *of; /* of this level; their expressions */
    size_t n_reductions, n_of;
    const Store **store;
    size_t n_stores;
    bool reduced_lanes;
    int positions; /* at once: those of a turn, or all of a small window */
    bool window;
    int64_t lanes; /* accumulators of each reduction; 1: a scalar */
} Pass;

/* Accumulators of a pass: `name`, number of the reduction, subscript.
 *     a  the result   b  of a block    v, w  the same for reduced lanes */
typedef struct Accumulator {
    char name;
    const char *subscript;
} Accumulator;

/* ---- what a level consists of ------------------------------------------- */

/* How the reduced loops run. */
static void choose_form(const Printer *p, Pass *s)
{
    const Arrangement *run = &p->nest->run;
    int64_t all = 1, last = 1;
    for (uint32_t i = 0; i < run->n_reduced; i++)
        all *= last = p->nest->var[run->reduced[i]].extent;
    s->positions = POSITIONS;
    if (run->lane && all > 1 && all <= WINDOW_MOST) {
        s->window = true;
        s->positions = (int)all;
    }
    if (!run->lane && s->n_reductions && last >= REDUCED_LANES) {
        s->reduced_lanes = true;
        s->lanes = REDUCED_LANES;
    }
}

static Pass pass_of_level(Printer *p, uint32_t level, bool row)
{
    Level l = level_of(p, level, row);
    Pass s = {.reduction = l.reduction,
              .of = l.of,
              .store = l.store,
              .n_reductions = l.n_reductions,
              .n_of = l.n_of,
              .n_stores = l.n_stores,
              .lanes = p->nest->run.lane ? p->nest->run.lanes : 1};
    choose_form(p, &s);
    return s;
}

/* ---- lanes -------------------------------------------------------------- */

static bool has_tiles(const Nest *n)
{
    return n->run.lane && n->run.lanes < n->var[n->run.lane].extent;
}

/* Opens the loop over kept lanes, if there is one. */
static bool open_lanes(Printer *p)
{
    const Nest *n = p->nest;
    if (!n->run.lane)
        return false;
    print_simd(p, n->run.lanes);
    if (!has_tiles(n)) {
        print_loop(p, n->run.lane);
        return true;
    }
    if (n->var[n->run.lane].extent % n->run.lanes)
        print_open(p, "for (int64_t l = 0; l < lanes; l++) {");
    else
        print_open(p, "for (int64_t l = 0; l < %" PRId64 "; l++) {",
                   n->run.lanes);
    print_line(p, "const int64_t i%u = base + l;", n->run.lane);
    return true;
}

static const char *lane_subscript(Printer *p)
{
    const Nest *n = p->nest;
    if (!n->run.lane)
        return "";
    return has_tiles(n) ? "[l]" : arena_printf(p->arena, "[i%u]", n->run.lane);
}

/* ---- accumulators ------------------------------------------------------- */

static const char *accumulator(Printer *p, Accumulator a, uint32_t r)
{
    return arena_printf(p->arena, "%c%u%s", a.name, r, a.subscript);
}

const char *reduction_type(const Printer *p, uint32_t r)
{
    return type_in_c(p->nest->reduction[r].node->type[0].dtype);
}

static void declare_accumulators(Printer *p, const Pass *s, char name)
{
    for (size_t i = 0; i < s->n_reductions; i++) {
        uint32_t r = s->reduction[i];
        const char *start = body_start(p, r);
        if (s->lanes == 1) {
            print_line(p, "%s %c%u = %s;", reduction_type(p, r), name, r,
                       start);
            continue;
        }
        print_line(p, "%s %c%u[%" PRId64 "];", reduction_type(p, r), name, r,
                   s->lanes);
        print_open(p, "for (int64_t l = 0; l < %" PRId64 "; l++) {", s->lanes);
        print_line(p, "%c%u[l] = %s;", name, r, start);
        print_close(p);
    }
}

void print_combine(Printer *p, uint32_t r, const char *a, const char *x)
{
    print_line(p, "%s = %s;", a, body_combine(p, r, a, x));
}

/* to = to combined with from, for each lane. */
static void merge_accumulators(Printer *p, const Pass *s, char to, char from)
{
    const char *l = s->lanes > 1 ? "[l]" : "";
    if (s->lanes > 1)
        print_open(p, "for (int64_t l = 0; l < %" PRId64 "; l++) {", s->lanes);
    for (size_t i = 0; i < s->n_reductions; i++) {
        uint32_t r = s->reduction[i];
        print_combine(p, r, accumulator(p, (Accumulator){to, l}, r),
                      accumulator(p, (Accumulator){from, l}, r));
    }
    if (s->lanes > 1)
        print_close(p);
}

/* Reduced lanes: v[0 .. 31] into the scalar a, always in the same order. */
static void fold_lanes(Printer *p, const Pass *s)
{
    for (size_t i = 0; i < s->n_reductions; i++) {
        uint32_t r = s->reduction[i];
        print_open(p, "for (int64_t s = %d; s; s /= 2) {", REDUCED_LANES / 2);
        print_open(p, "for (int64_t l = 0; l < s; l++) {");
        print_combine(p, r, accumulator(p, (Accumulator){'v', "[l]"}, r),
                      accumulator(p, (Accumulator){'v', "[l + s]"}, r));
        print_close(p);
        print_close(p);
        print_line(p, "const %s a%u = v%u[0];", reduction_type(p, r), r, r);
    }
}

/* ---- one turn of the innermost reduced loop ----------------------------- */

static void print_stores(Printer *p, const Pass *s)
{
    for (size_t i = 0; i < s->n_stores; i++)
        body_store(p, s->store[i]);
}

/* One position: its elements go to the accumulators. */
static void print_position(Printer *p, const Pass *s, Accumulator to)
{
    body_print(p, s->of, s->n_reductions, s->store, s->n_stores);
    for (size_t i = 0; i < s->n_reductions; i++)
        print_combine(p, s->reduction[i], accumulator(p, to, s->reduction[i]),
                      body_name(p, s->of[i]));
    print_stores(p, s);
}

static void declare_elements(Printer *p, const Pass *s)
{
    for (size_t i = 0; i < s->n_reductions; i++) {
        uint32_t r = s->reduction[i];
        char *names = arena_printf(p->arena, "e%u_0", r);
        for (int u = 1; u < s->positions; u++)
            names = arena_printf(p->arena, "%s, e%u_%d", names, r, u);
        print_line(p, "%s %s;", reduction_type(p, r), names);
    }
}

/* Elements of several positions, as a tree, then into the accumulator. */
static void combine_elements(Printer *p, const Pass *s, uint32_t r,
                             Accumulator to)
{
    for (int step = 1; step < s->positions; step *= 2)
        for (int u = 0; u + step < s->positions; u += 2 * step)
            print_combine(p, r, arena_printf(p->arena, "e%u_%d", r, u),
                          arena_printf(p->arena, "e%u_%d", r, u + step));
    print_combine(p, r, accumulator(p, to, r),
                  arena_printf(p->arena, "e%u_0", r));
}

/* The reduced loops' variables at position u. */
static void print_place(Printer *p, const Pass *s, int u)
{
    const Arrangement *run = &p->nest->run;
    uint32_t i = run->n_reduced;
    if (!s->window) {
        print_line(p,
                   u ? "const int64_t i%u = j + %d;" : "const int64_t i%u = j;",
                   run->reduced[i - 1], u);
        return;
    }
    while (i-- > 0) {
        int extent = (int)p->nest->var[run->reduced[i]].extent;
        print_line(p, "const int64_t i%u = %d;", run->reduced[i], u % extent);
        u /= extent;
    }
}

static void print_positions(Printer *p, const Pass *s, Accumulator to)
{
    declare_elements(p, s);
    for (int u = 0; u < s->positions; u++) {
        print_open(p, "{");
        print_place(p, s, u);
        body_print(p, s->of, s->n_reductions, s->store, s->n_stores);
        for (size_t i = 0; i < s->n_reductions; i++)
            print_line(p, "e%u_%d = %s;", s->reduction[i], u,
                       body_name(p, s->of[i]));
        print_stores(p, s);
        print_close(p);
    }
    for (size_t i = 0; i < s->n_reductions; i++)
        combine_elements(p, s, s->reduction[i], to);
}

static void print_turn(Printer *p, const Pass *s, uint32_t var, char to)
{
    if (s->reduced_lanes) {
        print_simd(p, REDUCED_LANES);
        print_open(p, "for (int64_t l = 0; l < %d; l++) {", REDUCED_LANES);
        print_line(p, "const int64_t i%u = j + l;", var);
        print_position(p, s, (Accumulator){to, "[l]"});
        print_close(p);
        return;
    }
    bool lanes = open_lanes(p);
    print_positions(p, s, (Accumulator){to, p->lane});
    if (lanes)
        print_close(p);
}

/* What is left when all whole turns are done. */
static void print_rest(Printer *p, const Pass *s, uint32_t var, int64_t from,
                       char to)
{
    print_open(p, "for (int64_t i%u = %" PRId64 "; i%u < %" PRId64 "; i%u++) {",
               var, from, var, p->nest->var[var].extent, var);
    if (s->reduced_lanes) {
        print_position(p, s, (Accumulator){to, "[0]"});
    } else {
        bool lanes = open_lanes(p);
        print_position(p, s, (Accumulator){to, p->lane});
        if (lanes)
            print_close(p);
    }
    print_close(p);
}

static void print_turns(Printer *p, const Pass *s, uint32_t var, int64_t whole,
                        int64_t turn)
{
    char to = s->reduced_lanes ? 'v' : 'a', part = s->reduced_lanes ? 'w' : 'b';
    int64_t block = turn * BLOCK_TURNS;
    if (whole < 2 * block) {
        print_open(p,
                   "for (int64_t j = 0; j < %" PRId64 "; j += %" PRId64 ") {",
                   whole, turn);
        print_turn(p, s, var, to);
        print_close(p);
        return;
    }
    print_open(p, "for (int64_t b = 0; b < %" PRId64 "; b += %" PRId64 ") {",
               whole, block);
    declare_accumulators(p, s, part);
    print_line(p,
               "const int64_t end = b + %" PRId64 " < %" PRId64
               " ? b + %" PRId64 " : %" PRId64 ";",
               block, whole, block, whole);
    print_open(p, "for (int64_t j = b; j < end; j += %" PRId64 ") {", turn);
    print_turn(p, s, var, part);
    print_close(p);
    merge_accumulators(p, s, to, part);
    print_close(p);
}

/* ---- passes ------------------------------------------------------------- */

static void print_innermost(Printer *p, const Pass *s)
{
    const Arrangement *run = &p->nest->run;
    char to = s->reduced_lanes ? 'v' : 'a';
    if (!run->n_reduced) { /* a reduction over dimensions of one element */
        bool lanes = open_lanes(p);
        if (!lanes)
            print_open(p, "{");
        print_position(p, s, (Accumulator){to, p->lane});
        print_close(p);
        return;
    }
    uint32_t var = run->reduced[run->n_reduced - 1];
    int64_t extent = p->nest->var[var].extent;
    int64_t turn = s->reduced_lanes ? REDUCED_LANES : POSITIONS;
    int64_t whole = extent - extent % turn;
    if (whole)
        print_turns(p, s, var, whole, turn);
    if (whole < extent)
        print_rest(p, s, var, whole, to);
}

static void print_window(Printer *p, const Pass *s)
{
    open_lanes(p);
    print_positions(p, s, (Accumulator){'a', p->lane});
    print_close(p);
}

static void print_reducing_pass(Printer *p, const Pass *s)
{
    const Arrangement *run = &p->nest->run;
    declare_accumulators(p, s, s->reduced_lanes ? 'v' : 'a');
    if (s->window) {
        print_window(p, s);
        return;
    }
    for (uint32_t i = 0; i + 1 < run->n_reduced; i++)
        print_loop(p, run->reduced[i]);
    print_innermost(p, s);
    for (uint32_t i = 0; i + 1 < run->n_reduced; i++)
        print_close(p);
    if (s->reduced_lanes)
        fold_lanes(p, s);
}

static void print_storing_pass(Printer *p, const Pass *s)
{
    const Arrangement *run = &p->nest->run;
    print_open(p, "{");
    for (uint32_t i = 0; i < run->n_reduced; i++) {
        if (i + 1 == run->n_reduced && !run->lane)
            print_simd(p, p->nest->var[run->reduced[i]].extent);
        print_loop(p, run->reduced[i]);
    }
    bool lanes = open_lanes(p);
    body_print(p, NULL, 0, s->store, s->n_stores);
    print_stores(p, s);
    for (uint32_t i = 0; i < run->n_reduced + lanes; i++)
        print_close(p);
    print_close(p);
}

/* ---- what is computed once a row ---------------------------------------- */

static void print_row_values(Printer *p, uint32_t level)
{
    const Nest *n = p->nest;
    Pass s = pass_of_level(p, level, true);
    if (!s.n_of && !s.n_stores)
        return;
    for (size_t i = 0; i < s.n_of; i++) {
        const char *type = type_in_c(n->expr[s.of[i]].dtype);
        if (n->run.lane)
            print_line(p, "%s r%u[%" PRId64 "];", type, s.of[i], s.lanes);
        else
            print_line(p, "%s r%u;", type, s.of[i]);
    }
    if (!open_lanes(p))
        print_open(p, "{");
    body_print(p, s.of, s.n_of, s.store, s.n_stores);
    for (size_t i = 0; i < s.n_of; i++)
        print_line(p, "r%u%s = t%u;", s.of[i], p->lane, s.of[i]);
    print_stores(p, &s);
    print_close(p);
}

void row_print(Printer *p)
{
    p->lane = lane_subscript(p);
    level_find_saved(p);
    uint32_t last = level_last(p->nest);
    for (uint32_t level = 0; level <= last; level++) {
        p->done = level;
        print_row_values(p, level);
        p->done = level + 1;
        Pass s = pass_of_level(p, level, false);
        if (s.n_reductions)
            print_reducing_pass(p, &s);
        else if (s.n_stores)
            print_storing_pass(p, &s);
    }
}
