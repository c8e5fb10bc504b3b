/* winograd_kernels.c: the loops of winograd.h, compiled once for each
 * instruction set and type (CMakeLists.txt): WINOGRAD_KERNELS names the table.
 *
 *     block of tiles --Bt d B--> v [channels / 16][16 points][tiles][16]
 *     for each point   m [tiles][results] = v u
 *     m --At m A--> 2x2 results a tile
 *
 * A block's v and m stay in the second cache.  Vectors go along channels, which
 * lie next to each other; sums have one order, whatever their length.  A word
 * of v is one float, or a pair of bf16: of neighbouring channels for a
 * convolution, of neighbouring tiles for the gradient of weights, which sums
 * over tiles. */
#include "winograd.h"
#include "winograd_vec.h"

enum {
    ROWS_1 = LANES == 16 ? 16 : 8, /* of a product of one vector's width */
    ROWS_2 = ROWS_1 / 2,           /* of two */
    POINTS = WINOGRAD_POINTS,
    GROUP = WINOGRAD_GROUP,
    BLOCK = WINOGRAD_BLOCK,
    SUMS = WINOGRAD_SLAB,                  /* floats of a point of m */
    SLAB = (BLOCK / PER_WORD + 1) * GROUP, /* words of a point */
    ROW = GROUP / PER_WORD                 /* words of a tile's channels */
};

/* ---- transforms of four or three numbers, `s` apart ---------------------- */

/* Bt d */
INLINE void input_1d(Vec *o, const Vec *d, int s)
{
    o[0] = d[0] - d[2 * s];
    o[s] = d[s] + d[2 * s];
    o[2 * s] = d[2 * s] - d[s];
    o[3 * s] = d[s] - d[3 * s];
}

/* At m: 4 to 2, `t` apart */
INLINE void output_1d(Vec *o, int t, const Vec *m, int s)
{
    o[0] = m[0] + m[s] + m[2 * s];
    o[t] = m[s] - m[2 * s] - m[3 * s];
}

/* A dy: 2 to 4 */
INLINE void spread_1d(Vec *o, int t, const Vec *dy, int s)
{
    o[0] = dy[0];
    o[t] = dy[0] + dy[s];
    o[2 * t] = dy[0] - dy[s];
    o[3 * t] = -dy[s];
}

/* G w: 3 to 4 */
INLINE void weight_1d(Vec *o, int t, const Vec *w, int s)
{
    Vec even = 0.5f * (w[0] + w[2 * s]), odd = 0.5f * w[s];
    o[0] = w[0];
    o[t] = even + odd;
    o[2 * t] = even - odd;
    o[3 * t] = w[2 * s];
}

/* Gt u: 4 to 3 */
INLINE void gather_1d(Vec *o, int t, const Vec *u, int s)
{
    Vec sum = 0.5f * (u[s] + u[2 * s]);
    o[0] = u[0] + sum;
    o[t] = 0.5f * (u[s] - u[2 * s]);
    o[2 * t] = sum + u[3 * s];
}

/* ---- tiles --------------------------------------------------------------- */

typedef struct Tile {
    int64_t image, row, column; /* in tiles */
} Tile;

static Tile tile_at(const WinogradShape *s, int64_t t)
{
    int64_t image = t / (s->tiles[0] * s->tiles[1]);
    int64_t rest = t % (s->tiles[0] * s->tiles[1]);
    return (Tile){image, rest / s->tiles[1], rest % s->tiles[1]};
}

static void tile_next(const WinogradShape *s, Tile *t)
{
    if (++t->column < s->tiles[1])
        return;
    t->column = 0;
    if (++t->row < s->tiles[0])
        return;
    t->row = 0;
    t->image++;
}

/* Where channel c of the first tile's first point lies: of neighbouring
 * channels in a word, of one in a word (or float). */
INLINE int64_t row_place(int64_t c)
{
    return c / GROUP * (POINTS * SLAB) + c % GROUP / PER_WORD;
}

INLINE int64_t place(int64_t c, int64_t slab)
{
    return c / GROUP * (POINTS * slab) + c % GROUP;
}

/* The 4x4 places that a tile is computed from. */
typedef struct Source {
    bool inside; /* they lie in the image, from `first` on */
    const Data *first;
    const Data *from[POINTS]; /* else: some lie in the padding */
} Source;

/* Places in the padding are read from `zero` [channels]. */
static void fill_border(const WinogradShape *s, const Tile *t, const Data *x,
                        const Data *zero, Source *e)
{
    int64_t c = s->channels, row = 2 * t->row - s->low[0];
    int64_t column = 2 * t->column - s->low[1];
    const Data *image = x + t->image * s->in[0] * s->in[1] * c;
    for (int i = 0; i < 4; i++) {
        bool in_row = row + i >= 0 && row + i < s->in[0];
        for (int k = 0; k < 4; k++) {
            bool in = in_row && column + k >= 0 && column + k < s->in[1];
            int64_t at = ((row + i) * s->in[1] + column + k) * c;
            e->from[4 * i + k] = in ? image + at : zero;
        }
    }
}

/* Of tile t, or where it is past the last of nothing but padding. */
INLINE void source_of(const WinogradShape *s, const Tile *t, bool past,
                      const Data *x, const Data *zero, Source *e)
{
    int64_t row = 2 * t->row - s->low[0], column = 2 * t->column - s->low[1];
    e->inside = !past && row >= 0 && column >= 0 && row + 4 <= s->in[0] &&
                column + 4 <= s->in[1];
    e->first =
        x + ((t->image * s->in[0] + row) * s->in[1] + column) * s->channels;
    for (int i = 0; i < POINTS && past; i++)
        e->from[i] = zero;
}

/* Bt d B of a vector of channels from `at` on. */
INLINE void input_tile(const WinogradShape *s, const Source *e, bool inside,
                       int64_t at, Vec *o)
{
    int64_t c = s->channels, row = s->in[1] * c;
    Vec d[POINTS], half[POINTS];
    for (int i = 0; i < POINTS; i++)
        load_data(&d[i], inside ? e->first + (i / 4) * row + (i % 4) * c + at
                                : e->from[i] + at);
    for (int i = 0; i < 4; i++)
        input_1d(half + i, d + i, 4);
    for (int i = 0; i < 4; i++)
        input_1d(o + 4 * i, half + 4 * i, 1);
}

/* Points of PER_WORD tiles as words; `next` from one point to the next. */
INLINE void store_points(Word *v, const Vec *o, int64_t next)
{
    for (int p = 0; p < POINTS; p++) {
        Vec of[PER_WORD];
        for (int i = 0; i < PER_WORD; i++)
            of[i] = o[i * POINTS + p];
        store_words(v + p * next, of);
    }
}

/* v of PER_WORD tiles for a gradient of weights, of one tile for a
 * convolution. */
INLINE void input_tiles(const WinogradShape *s, const Source *e, bool inside,
                        bool grad, Word *v)
{
    for (int64_t at = 0; at < s->channels; at += LANES) {
        Vec o[PER_WORD * POINTS];
        for (int i = 0; i < (grad ? PER_WORD : 1); i++)
            input_tile(s, &e[i], inside, at, o + i * POINTS);
        if (grad)
            store_points(v + place(at, SLAB), o, SLAB);
        for (int p = 0; p < POINTS && !grad; p += 2)
            store_two(v + row_place(at) + p * SLAB,
                      v + row_place(at) + (p + 1) * SLAB, &o[p]);
    }
}

INLINE void transform_input(const WinogradShape *s, Tile tile, int64_t n,
                            const Data *x, const Data *zero, bool grad, Word *v)
{
    int per = grad ? PER_WORD : 1;
    for (int64_t t = 0; t < n; t += per, v += grad ? GROUP : ROW) {
        Source e[PER_WORD];
        Tile of[PER_WORD];
        bool inside = true;
        for (int i = 0; i < per; i++, tile_next(s, &tile)) {
            of[i] = tile;
            source_of(s, &tile, t + i >= n, x, zero, &e[i]);
            inside = inside && e[i].inside;
        }
        if (inside) {
            input_tiles(s, e, true, grad, v);
            continue;
        }
        for (int i = 0; i < per && t + i < n; i++)
            fill_border(s, &of[i], x, zero, &e[i]);
        input_tiles(s, e, false, grad, v);
    }
}

/* The 2x2 results of a tile: where the first lies, and which are there; those
 * past an odd border are not. */
typedef struct Results {
    int64_t first, row, column; /* floats from one to the next */
    bool below, right;
} Results;

INLINE Results results_of(const WinogradShape *s, const Tile *t)
{
    int64_t r = 2 * t->row, q = 2 * t->column, k = s->results;
    return (Results){
        .first = ((t->image * s->out[0] + r) * s->out[1] + q) * k,
        .row = s->out[1] * k,
        .column = k,
        .below = r + 1 < s->out[0],
        .right = q + 1 < s->out[1],
    };
}

static void transform_output(const WinogradShape *s, Tile tile, int64_t n,
                             const float *m, Data *y)
{
    int64_t k = s->results;
    for (int64_t t = 0; t < n; t++, tile_next(s, &tile), m += GROUP) {
        Results e = results_of(s, &tile);
        for (int64_t at = 0; at < k; at += LANES) {
            Data *to = y + e.first + at;
            Vec d[POINTS], half[8], o[4];
            for (int p = 0; p < POINTS; p++)
                load(&d[p], m + place(at, SUMS) + p * SUMS);
            for (int i = 0; i < 4; i++)
                output_1d(half + i, 4, d + i, 4);
            for (int i = 0; i < 2; i++)
                output_1d(o + 2 * i, 1, half + 4 * i, 1);
            store_data(to, &o[0]);
            if (e.right)
                store_data(to + e.column, &o[1]);
            if (e.below)
                store_data(to + e.row, &o[2]);
            if (e.below && e.right)
                store_data(to + e.row + e.column, &o[3]);
        }
    }
}

/* A dy At of a vector of results from `at` on. */
INLINE void gradient_tile(const Results *e, const Data *dy, int64_t at, Vec *o)
{
    const Data *from = dy + e->first + at;
    Vec d[4] = {{0}}, half[8];
    load_data(&d[0], from);
    if (e->right)
        load_data(&d[1], from + e->column);
    if (e->below)
        load_data(&d[2], from + e->row);
    if (e->below && e->right)
        load_data(&d[3], from + e->row + e->column);
    for (int i = 0; i < 2; i++)
        spread_1d(half + i, 2, d + i, 2);
    for (int i = 0; i < 4; i++)
        spread_1d(o + 4 * i, 1, half + 2 * i, 1);
}

static void transform_gradient(const WinogradShape *s, Tile tile, int64_t n,
                               const Data *dy, Word *m)
{
    for (int64_t t = 0; t < n; t += PER_WORD, m += GROUP) {
        Results e[PER_WORD];
        for (int i = 0; i < PER_WORD; i++, tile_next(s, &tile))
            e[i] = t + i < n ? results_of(s, &tile) : (Results){0};
        for (int64_t at = 0; at < s->results; at += LANES) {
            Vec o[PER_WORD * POINTS] = {{0}};
            for (int i = 0; i < PER_WORD; i++)
                if (t + i < n)
                    gradient_tile(&e[i], dy, at, o + i * POINTS);
            store_points(m + place(at, SLAB), o, SLAB);
        }
    }
}

/* ---- products of matrices ------------------------------------------------ */

/* sum [rows, vecs LANES] += a b over `depth` words: rows and steps of a lie
 * a_row and a_step apart, vectors and steps of b b_vec and b_step. */
INLINE void add_products(Vec *sum, const Word *a, int a_row, int a_step,
                         const Word *b, int b_vec, int64_t b_step,
                         int64_t depth, int rows, int vecs)
{
    for (int64_t d = 0; d < depth; d++) {
        Words term[2];
        for (int v = 0; v < vecs; v++)
            memcpy(&term[v], b + v * b_vec, sizeof term[v]);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vecs; v++)
                sum[r * vecs + v] =
                    add_product(sum[r * vecs + v], a[r * a_row], term[v]);
        a += a_step;
        b += b_step;
    }
}

/* From one vector of a tile's channels to the next. */
INLINE int next_vec(int slab)
{
    return (int)LANES < (int)GROUP ? (int)LANES : (int)POINTS * slab;
}

/* m [tiles, results] = v u, of one point: some rows and columns. */
INLINE void conv_tile(const WinogradShape *s, const Word *v, const Word *u,
                      float *m, int rows, int vecs)
{
    int64_t k = s->results;
    Vec sum[ROWS_1 * 2];
    for (int i = 0; i < rows * vecs; i++)
        sum[i] = (Vec){0};
    for (int64_t c = 0; c < s->channels; c += GROUP)
        add_products(sum, v + row_place(c), ROW, 1, u + c / PER_WORD * k, LANES,
                     k, ROW, rows, vecs);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            store(m + r * GROUP + i * next_vec(SUMS), &sum[r * vecs + i]);
}

static void conv_point(const WinogradShape *s, int64_t tiles, const Word *v,
                       const Word *u, float *m)
{
    int64_t k = s->results, at = 0;
    for (; at + 2 * LANES <= k; at += 2 * LANES)
        for (int64_t t = 0; t < tiles; t += ROWS_2)
            conv_tile(s, v + t * ROW, u + at, m + t * GROUP + place(at, SUMS),
                      ROWS_2, 2);
    for (; at < k; at += LANES)
        for (int64_t t = 0; t < tiles; t += ROWS_1)
            conv_tile(s, v + t * ROW, u + at, m + t * GROUP + place(at, SUMS),
                      ROWS_1, 1);
}

/* u [channels, results] += vt m over the tiles, of one point. */
INLINE void grad_tile(const WinogradShape *s, int64_t tiles, const Word *v,
                      const Word *m, float *u, int rows, int vecs)
{
    int64_t k = s->results;
    Vec sum[ROWS_1 * 2];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            load(&sum[r * vecs + i], u + r * k + i * LANES);
    add_products(sum, v, 1, GROUP, m, next_vec(SLAB), GROUP,
                 (tiles + PER_WORD - 1) / PER_WORD, rows, vecs);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            store(u + r * k + i * LANES, &sum[r * vecs + i]);
}

static void grad_point(const WinogradShape *s, int64_t tiles, const Word *v,
                       const Word *m, float *u)
{
    int64_t k = s->results, at = 0;
    for (; at + 2 * LANES <= k; at += 2 * LANES)
        for (int64_t c = 0; c < s->channels; c += ROWS_2)
            grad_tile(s, tiles, v + place(c, SLAB), m + place(at, SLAB),
                      u + c * k + at, ROWS_2, 2);
    for (; at < k; at += LANES)
        for (int64_t c = 0; c < s->channels; c += ROWS_1)
            grad_tile(s, tiles, v + place(c, SLAB), m + place(at, SLAB),
                      u + c * k + at, ROWS_1, 1);
}

/* ---- calls --------------------------------------------------------------- */

/* A call's scratch. */
typedef struct Room {
    Data *zero;
    Word *v;
    void *m; /* sums of a convolution, or a transformed gradient */
    int64_t tiles;
} Room;

static Room room_of(const WinogradShape *s, float *scratch)
{
    float *v = scratch + s->channels;
    Room r = {.zero = (Data *)scratch,
              .v = (Word *)v,
              .m = v + winograd_floats(s->channels),
              .tiles = s->images * s->tiles[0] * s->tiles[1]};
    memset(r.zero, 0, (size_t)s->channels * sizeof *r.zero);
    return r;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* While point p is computed, a sixteenth of what the tiles from t on lie on
 * comes near: about 2x2 places for each.  What will be read is read, as the
 * processor follows reads in a row and goes on by itself, which it does not
 * after a hint: from memory, a weight gradient of 16 channels takes 4.0 ms a
 * batch of 128 instead of 4.8. */
static void fetch(const WinogradShape *s, int64_t t, int p, const Data *data,
                  const int64_t *size, int64_t channels, bool write)
{
    enum { LINE = 64 / sizeof(Data) };
    Tile tile = tile_at(s, t);
    if (tile.image >= s->images)
        return;
    int64_t at_tile = (tile.image * size[0] + 2 * tile.row) * size[1];
    int64_t part = 4 * BLOCK * channels / POINTS;
    int64_t first = at_tile * channels + p * part;
    int64_t all = s->images * size[0] * size[1] * channels;
    int64_t end = least(first + part, all);
    for (int64_t at = first; at < end; at += LINE)
        if (write)
            __builtin_prefetch(data + at, 1);
        else
            (void)*(const volatile Data *)(data + at);
}

/* Rows past the last tile are computed, from whatever is there, and not
 * read. */
static void conv(const WinogradShape *s, const void *x, const void *packed,
                 void *y, void *scratch)
{
    Room r = room_of(s, scratch);
    int64_t size = s->channels / PER_WORD * s->results;
    for (int64_t t = 0; t < r.tiles; t += BLOCK) {
        int64_t n = least(r.tiles - t, BLOCK);
        transform_input(s, tile_at(s, t), n, x, r.zero, false, r.v);
        for (int p = 0; p < POINTS; p++) {
            fetch(s, t + n, p, x, s->in, s->channels, false);
            fetch(s, t, p, y, s->out, s->results, true);
            conv_point(s, n, r.v + p * SLAB, (const Word *)packed + p * size,
                       (float *)r.m + p * SUMS);
        }
        transform_output(s, tile_at(s, t), n, r.m, y);
    }
}

static void grad_weight(const WinogradShape *s, const void *x, const void *dy,
                        float *packed, void *scratch)
{
    Room r = room_of(s, scratch);
    int64_t size = s->channels * s->results;
    memset(packed, 0, (size_t)(POINTS * size) * sizeof *packed);
    for (int64_t t = 0; t < r.tiles; t += BLOCK) {
        int64_t n = least(r.tiles - t, BLOCK);
        transform_input(s, tile_at(s, t), n, x, r.zero, true, r.v);
        transform_gradient(s, tile_at(s, t), n, dy, r.m);
        for (int p = 0; p < POINTS; p++) {
            fetch(s, t + n, p, x, s->in, s->channels, false);
            fetch(s, t + n, p, dy, s->out, s->results, false);
            grad_point(s, n, r.v + p * SLAB, (const Word *)r.m + p * SLAB,
                       packed + p * size);
        }
    }
}

/* ---- weights ------------------------------------------------------------- */

/* G w Gt of LANES weights, `step` apart. */
INLINE void weight_tile(const float *w, int64_t step, bool turned, Vec *o)
{
    Vec tap[9], half[12];
    for (int i = 0; i < 9; i++)
        for (int l = 0; l < LANES; l++)
            tap[i][l] = w[l * step + (turned ? 8 - i : i)];
    for (int i = 0; i < 3; i++)
        weight_1d(half + i, 3, tap + i, 3);
    for (int i = 0; i < 4; i++)
        weight_1d(o + 4 * i, 1, half + 3 * i, 1);
}

static void pack(int64_t in, int64_t out, bool turned, const float *w,
                 void *packed)
{
    int64_t rows = turned ? out : in, columns = turned ? in : out;
    int64_t row_step = turned ? 9 * in : 9, column_step = turned ? 9 : 9 * in;
    for (int64_t r = 0; r < rows; r += PER_WORD)
        for (int64_t at = 0; at < columns; at += LANES) {
            Word *u = (Word *)packed + r / PER_WORD * columns + at;
            Vec o[PER_WORD * POINTS];
            for (int i = 0; i < PER_WORD; i++)
                weight_tile(w + (r + i) * row_step + at * column_step,
                            column_step, turned, o + i * POINTS);
            store_points(u, o, rows / PER_WORD * columns);
        }
}

static void unpack(int64_t in, int64_t out, const float *packed, float *dw)
{
    for (int64_t c = 0; c < in; c++)
        for (int64_t at = 0; at < out; at += LANES) {
            Vec u[POINTS], half[12], tap[9];
            for (int p = 0; p < POINTS; p++)
                load(&u[p], packed + (p * in + c) * out + at);
            for (int i = 0; i < 4; i++)
                gather_1d(half + i, 4, u + i, 4);
            for (int i = 0; i < 3; i++)
                gather_1d(tap + 3 * i, 1, half + 4 * i, 1);
            for (int i = 0; i < 9; i++)
                for (int l = 0; l < LANES; l++)
                    dw[((at + l) * in + c) * 9 + i] = tap[i][l];
        }
}

extern const WinogradKernels WINOGRAD_KERNELS; /* of winograd.c */

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

const WinogradKernels WINOGRAD_KERNELS = {
    .name = TEXT(WINOGRAD_KERNELS),
    .fast = FAST,
    .conv = conv,
    .grad_weight = grad_weight,
    .pack = pack,
    .unpack = unpack,
};
