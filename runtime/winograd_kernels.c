/* winograd_kernels.c: the loops of winograd.h, compiled once for each
 * instruction set (CMakeLists.txt): WINOGRAD_KERNELS names the table.
 *
 *     block of tiles --Bt d B--> v [channels / 16][16 points][tiles][16]
 *     for each point   m [tiles][results] = v u
 *     m --At m A--> 2x2 results a tile
 *
 * A block's v and m stay in the second cache.  Vectors go along channels, which
 * lie next to each other; sums have one order, whatever their length. */
#include "winograd.h"
#include <string.h>

#if defined(__AVX512F__)
enum { LANES = 16, ROWS_1 = 16, ROWS_2 = 8 };
#elif defined(__AVX2__)
enum { LANES = 8, ROWS_1 = 8, ROWS_2 = 4 };
#else
enum { LANES = 4, ROWS_1 = 8, ROWS_2 = 4 };
#endif

enum {
    POINTS = WINOGRAD_POINTS,
    GROUP = WINOGRAD_GROUP,
    BLOCK = WINOGRAD_BLOCK,
    SLAB = WINOGRAD_SLAB
};

typedef float Vec __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

INLINE void load(Vec *v, const float *from)
{
    memcpy(v, from, sizeof *v);
}

INLINE void store(float *to, const Vec *v)
{
    memcpy(to, v, sizeof *v);
}

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

/* One tile's vector of channels, of 4x4 places. */
INLINE void input_tile(const Vec *d, float *v)
{
    Vec half[POINTS], o[POINTS];
    for (int i = 0; i < 4; i++)
        input_1d(half + i, d + i, 4);
    for (int i = 0; i < 4; i++)
        input_1d(o + 4 * i, half + 4 * i, 1);
    for (int p = 0; p < POINTS; p++)
        store(v + p * SLAB, &o[p]);
}

/* Where channel c of a tile's first point lies. */
INLINE int64_t place_of(int64_t c)
{
    return c / GROUP * (POINTS * SLAB) + c % GROUP;
}

static void input_inside(const WinogradShape *s, const float *x, float *v)
{
    int64_t c = s->channels, row = s->in[1] * c;
    for (int64_t at = 0; at < c; at += LANES) {
        Vec d[POINTS];
        for (int i = 0; i < POINTS; i++)
            load(&d[i], x + (i / 4) * row + (i % 4) * c + at);
        input_tile(d, v + place_of(at));
    }
}

/* Some places lie in the padding: they are read from `zero` [channels]. */
static void input_border(const WinogradShape *s, const float *image, int64_t y,
                         int64_t x, const float *zero, float *v)
{
    int64_t c = s->channels;
    const float *from[POINTS];
    for (int i = 0; i < 4; i++) {
        bool in_row = y + i >= 0 && y + i < s->in[0];
        for (int k = 0; k < 4; k++) {
            bool inside = in_row && x + k >= 0 && x + k < s->in[1];
            int64_t place = ((y + i) * s->in[1] + x + k) * c;
            from[4 * i + k] = inside ? image + place : zero;
        }
    }
    for (int64_t at = 0; at < c; at += LANES) {
        Vec d[POINTS];
        for (int i = 0; i < POINTS; i++)
            load(&d[i], from[i] + at);
        input_tile(d, v + place_of(at));
    }
}

static void transform_input(const WinogradShape *s, Tile tile, int64_t n,
                            const float *x, const float *zero, float *v)
{
    int64_t c = s->channels;
    for (int64_t t = 0; t < n; t++, tile_next(s, &tile), v += GROUP) {
        const float *image = x + tile.image * s->in[0] * s->in[1] * c;
        int64_t row = 2 * tile.row - s->low[0];
        int64_t column = 2 * tile.column - s->low[1];
        if (row >= 0 && column >= 0 && row + 4 <= s->in[0] &&
            column + 4 <= s->in[1])
            input_inside(s, image + (row * s->in[1] + column) * c, v);
        else
            input_border(s, image, row, column, zero, v);
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
                             const float *m, float *y)
{
    int64_t k = s->results;
    for (int64_t t = 0; t < n; t++, tile_next(s, &tile), m += GROUP) {
        Results e = results_of(s, &tile);
        for (int64_t at = 0; at < k; at += LANES) {
            float *to = y + e.first + at;
            Vec d[POINTS], half[8], o[4];
            for (int p = 0; p < POINTS; p++)
                load(&d[p], m + place_of(at) + p * SLAB);
            for (int i = 0; i < 4; i++)
                output_1d(half + i, 4, d + i, 4);
            for (int i = 0; i < 2; i++)
                output_1d(o + 2 * i, 1, half + 4 * i, 1);
            store(to, &o[0]);
            if (e.right)
                store(to + e.column, &o[1]);
            if (e.below)
                store(to + e.row, &o[2]);
            if (e.below && e.right)
                store(to + e.row + e.column, &o[3]);
        }
    }
}

static void transform_gradient(const WinogradShape *s, Tile tile, int64_t n,
                               const float *dy, float *m)
{
    int64_t k = s->results;
    for (int64_t t = 0; t < n; t++, tile_next(s, &tile), m += GROUP) {
        Results e = results_of(s, &tile);
        for (int64_t at = 0; at < k; at += LANES) {
            const float *from = dy + e.first + at;
            Vec d[4] = {{0}}, half[8], o[POINTS];
            load(&d[0], from);
            if (e.right)
                load(&d[1], from + e.column);
            if (e.below)
                load(&d[2], from + e.row);
            if (e.below && e.right)
                load(&d[3], from + e.row + e.column);
            for (int i = 0; i < 2; i++)
                spread_1d(half + i, 2, d + i, 2);
            for (int i = 0; i < 4; i++)
                spread_1d(o + 4 * i, 1, half + 2 * i, 1);
            for (int p = 0; p < POINTS; p++)
                store(m + place_of(at) + p * SLAB, &o[p]);
        }
    }
}

/* ---- products of matrices ------------------------------------------------ */

/* sum [rows, vecs LANES] += a b over `depth` steps: rows and steps of a lie
 * a_row and a_step apart, vectors and steps of b b_vec and b_step. */
INLINE void add_products(Vec *sum, const float *a, int a_row, int a_step,
                         const float *b, int b_vec, int64_t b_step,
                         int64_t depth, int rows, int vecs)
{
    for (int64_t d = 0; d < depth; d++) {
        Vec term[2];
        for (int v = 0; v < vecs; v++)
            load(&term[v], b + v * b_vec);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vecs; v++)
                sum[r * vecs + v] += a[r * a_row] * term[v];
        a += a_step;
        b += b_step;
    }
}

/* From one vector of a tile's channels to the next. */
enum { NEXT_VEC = (int)LANES < (int)GROUP ? (int)LANES : POINTS * SLAB };

/* m [tiles, results] = v u, of one point: some rows and columns. */
INLINE void conv_tile(const WinogradShape *s, const float *v, const float *u,
                      float *m, int rows, int vecs)
{
    int64_t k = s->results;
    Vec sum[ROWS_1 * 2];
    for (int i = 0; i < rows * vecs; i++)
        sum[i] = (Vec){0};
    for (int64_t c = 0; c < s->channels; c += GROUP)
        add_products(sum, v + place_of(c), GROUP, 1, u + c * k, LANES, k, GROUP,
                     rows, vecs);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            store(m + r * GROUP + i * NEXT_VEC, &sum[r * vecs + i]);
}

static void conv_point(const WinogradShape *s, int64_t tiles, const float *v,
                       const float *u, float *m)
{
    int64_t k = s->results, at = 0;
    for (; at + 2 * LANES <= k; at += 2 * LANES)
        for (int64_t t = 0; t < tiles; t += ROWS_2)
            conv_tile(s, v + t * GROUP, u + at, m + t * GROUP + place_of(at),
                      ROWS_2, 2);
    for (; at < k; at += LANES)
        for (int64_t t = 0; t < tiles; t += ROWS_1)
            conv_tile(s, v + t * GROUP, u + at, m + t * GROUP + place_of(at),
                      ROWS_1, 1);
}

/* u [channels, results] += vt m over the tiles, of one point. */
INLINE void grad_tile(const WinogradShape *s, int64_t tiles, const float *v,
                      const float *m, float *u, int rows, int vecs)
{
    int64_t k = s->results;
    Vec sum[ROWS_1 * 2];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            load(&sum[r * vecs + i], u + r * k + i * LANES);
    add_products(sum, v, 1, GROUP, m, NEXT_VEC, GROUP, tiles, rows, vecs);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < vecs; i++)
            store(u + r * k + i * LANES, &sum[r * vecs + i]);
}

static void grad_point(const WinogradShape *s, int64_t tiles, const float *v,
                       const float *m, float *u)
{
    int64_t k = s->results, at = 0;
    for (; at + 2 * LANES <= k; at += 2 * LANES)
        for (int64_t c = 0; c < s->channels; c += ROWS_2)
            grad_tile(s, tiles, v + place_of(c), m + place_of(at),
                      u + c * k + at, ROWS_2, 2);
    for (; at < k; at += LANES)
        for (int64_t c = 0; c < s->channels; c += ROWS_1)
            grad_tile(s, tiles, v + place_of(c), m + place_of(at),
                      u + c * k + at, ROWS_1, 1);
}

/* ---- calls --------------------------------------------------------------- */

/* A call's scratch. */
typedef struct Room {
    float *zero, *v, *m;
    int64_t tiles;
} Room;

static Room room_of(const WinogradShape *s, float *scratch)
{
    Room r = {.zero = scratch,
              .v = scratch + s->channels,
              .tiles = s->images * s->tiles[0] * s->tiles[1]};
    r.m = r.v + winograd_floats(s->channels);
    memset(r.zero, 0, (size_t)s->channels * sizeof *r.zero);
    return r;
}

/* While point p is computed, a sixteenth of what the tiles from t on lie on
 * comes near: about 2x2 places for each. */
static void fetch(const WinogradShape *s, int64_t t, int p, const float *data,
                  const int64_t *size, int64_t channels, bool write)
{
    Tile tile = tile_at(s, t);
    if (tile.image >= s->images)
        return;
    int64_t place = (tile.image * size[0] + 2 * tile.row) * size[1];
    int64_t first = place * channels;
    int64_t part = 4 * BLOCK * channels / POINTS;
    int64_t all = s->images * size[0] * size[1] * channels;
    for (int64_t at = first + p * part; at < first + (p + 1) * part;
         at += GROUP)
        if (at < all && write)
            __builtin_prefetch(data + at, 1);
        else if (at < all)
            __builtin_prefetch(data + at, 0);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Rows past the last tile are computed, from whatever is there, and not
 * read. */
static void conv(const WinogradShape *s, const float *x, const float *packed,
                 float *y, float *scratch)
{
    Room r = room_of(s, scratch);
    for (int64_t t = 0; t < r.tiles; t += BLOCK) {
        int64_t n = least(r.tiles - t, BLOCK);
        transform_input(s, tile_at(s, t), n, x, r.zero, r.v);
        for (int p = 0; p < POINTS; p++) {
            fetch(s, t + n, p, x, s->in, s->channels, false);
            fetch(s, t, p, y, s->out, s->results, true);
            conv_point(s, n, r.v + p * SLAB,
                       packed + p * s->channels * s->results, r.m + p * SLAB);
        }
        transform_output(s, tile_at(s, t), n, r.m, y);
    }
}

static void grad_weight(const WinogradShape *s, const float *x, const float *dy,
                        float *packed, float *scratch)
{
    Room r = room_of(s, scratch);
    int64_t size = s->channels * s->results;
    memset(packed, 0, (size_t)(POINTS * size) * sizeof *packed);
    for (int64_t t = 0; t < r.tiles; t += BLOCK) {
        int64_t n = least(r.tiles - t, BLOCK);
        transform_input(s, tile_at(s, t), n, x, r.zero, r.v);
        transform_gradient(s, tile_at(s, t), n, dy, r.m);
        for (int p = 0; p < POINTS; p++) {
            fetch(s, t + n, p, x, s->in, s->channels, false);
            fetch(s, t + n, p, dy, s->out, s->results, false);
            grad_point(s, n, r.v + p * SLAB, r.m + p * SLAB, packed + p * size);
        }
    }
}

/* ---- weights ------------------------------------------------------------- */

static void pack(int64_t in, int64_t out, bool turned, const float *w,
                 float *packed)
{
    int64_t rows = turned ? out : in, columns = turned ? in : out;
    int64_t row_step = turned ? 9 * in : 9, column_step = turned ? 9 : 9 * in;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t at = 0; at < columns; at += LANES) {
            const float *from = w + r * row_step + at * column_step;
            Vec tap[9], half[12], o[POINTS];
            for (int i = 0; i < 9; i++)
                for (int l = 0; l < LANES; l++)
                    tap[i][l] = from[l * column_step + (turned ? 8 - i : i)];
            for (int i = 0; i < 3; i++)
                weight_1d(half + i, 3, tap + i, 3);
            for (int i = 0; i < 4; i++)
                weight_1d(o + 4 * i, 1, half + 3 * i, 1);
            for (int p = 0; p < POINTS; p++)
                store(packed + (p * rows + r) * columns + at, &o[p]);
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
    .conv = conv,
    .grad_weight = grad_weight,
    .pack = pack,
    .unpack = unpack,
};
