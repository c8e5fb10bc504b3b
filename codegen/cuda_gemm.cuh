/* cuda_gemm.cuh: products of matrices whose elements are gathered: matrix
 * products, convolutions and their gradients, all in one way.
 *
 *     y[m, n] = sum over k of a[m, k] b[n, k]
 *
 * A block computes a tile of BM x BN results, BK of k at a time: threads bring
 * the next tiles of a and b to shared memory while they multiply these.
 * What a row, a column and a k mean is the business of three classes, and what
 * an element of a or b is that of two more:
 *
 *     A, B   ROWS, VECTOR, along_k; State start(row, batch); Index at(..):
 *            which elements VECTOR neighbours are, along k or along the rows,
 *            counted as they lie; negative: zeros
 *     FA, FB an element: one in memory, or what is fused before the product
 *            computes of others at the same place.  COMPUTED; Raw: what it
 *            reads; load(raw, at), compute(raw, at, v)
 *     Y      place(m, n, batch, part): where a result goes
 *
 * P has the sizes.  Of a tile's BM rows, STEP count: fewer where what is fused
 * after wants whole images or lines, and no power of 2 is any number of those.
 * All of them are constants, so the compiler sees through
 * divisions and conditions.  Sums are done in the order of k: the same bits
 * every time. */

template <class T> struct tgc_math { /* what T is computed in */
    typedef float type;
};
template <> struct tgc_math<double> {
    typedef double type;
};

__device__ inline float tgc_widen(float x)
{
    return x;
}
__device__ inline double tgc_widen(double x)
{
    return x;
}
__device__ inline float tgc_widen(tgc_f16 x)
{
    return tgc_from_f16(x);
}
__device__ inline float tgc_widen(tgc_bf16 x)
{
    return tgc_from_bf16(x);
}

__device__ inline void tgc_narrow(float x, float *to)
{
    *to = x;
}
__device__ inline void tgc_narrow(double x, double *to)
{
    *to = x;
}
__device__ inline void tgc_narrow(float x, tgc_f16 *to)
{
    *to = tgc_to_f16(x);
}
__device__ inline void tgc_narrow(float x, tgc_bf16 *to)
{
    *to = tgc_to_bf16(x);
}

/* ---- what is gathered --------------------------------------------------- */

/* A matrix: element (row, k) at row * ROW + k * COLUMN. */
template <class P, int ROWS_, int64_t ROW, int64_t COLUMN, int64_t BATCH,
          int VECTOR_>
struct tgc_matrix {
    typedef typename P::T T;
    typedef int64_t State;
    static constexpr int ROWS = ROWS_;
    static constexpr bool along_k = COLUMN == 1;
    static constexpr int VECTOR = VECTOR_;
    __device__ static State start(int row, int batch)
    {
        return row * ROW + batch * BATCH;
    }
    __device__ static int64_t at(const State &s, int k)
    {
        return s + k * COLUMN;
    }
};

/* A place in space: of a result's pixel, of a tap of the kernel. */
struct tgc_place {
    int n, d, h, w;
};

__device__ inline tgc_place tgc_place_of(int i, int d, int h, int w)
{
    return {i / (d * h * w), i / (h * w) % d, i / w % h, i % w};
}

/* An element of x; -1 where the place is outside, in the padding. */
template <class P>
__device__ inline typename P::Index tgc_in_x(const tgc_place &x, int channel)
{
    bool inside = (unsigned)x.d < (unsigned)P::XD &&
                  (unsigned)x.h < (unsigned)P::XH &&
                  (unsigned)x.w < (unsigned)P::XW;
    return inside ? (typename P::Index)x.n * P::x_n + channel * P::x_c +
                        x.d * P::x_d + x.h * P::x_h + x.w * P::x_w
                  : -1;
}

/* The same of y. */
template <class P>
__device__ inline typename P::Index tgc_in_y(const tgc_place &y, int channel)
{
    bool inside = (unsigned)y.d < (unsigned)P::YD &&
                  (unsigned)y.h < (unsigned)P::YH &&
                  (unsigned)y.w < (unsigned)P::YW;
    return inside ? (typename P::Index)y.n * P::y_n + channel * P::y_c +
                        y.d * P::y_d + y.h * P::y_h + y.w * P::y_w
                  : -1;
}

/* x of a convolution where a pixel of y and a tap meet. */
template <class P>
__device__ inline typename P::Index
tgc_x_at(const tgc_place &y, const tgc_place &tap, int channel)
{
    return tgc_in_x<P>({y.n, y.d * P::SD - P::PD + tap.d * P::DD,
                        y.h * P::SH - P::PH + tap.h * P::DH,
                        y.w * P::SW - P::PW + tap.w * P::DW},
                       channel);
}

/* y where a pixel of x and a tap meet; -1 where there is none. */
template <class P>
__device__ inline typename P::Index
tgc_y_at(const tgc_place &x, const tgc_place &tap, int channel)
{
    int d = x.d + P::PD - tap.d * P::DD;
    int h = x.h + P::PH - tap.h * P::DH;
    int w = x.w + P::PW - tap.w * P::DW;
    bool meet = d % P::SD == 0 && h % P::SH == 0 && w % P::SW == 0;
    return meet ? tgc_in_y<P>({x.n, d / P::SD, h / P::SH, w / P::SW}, channel)
                : -1;
}

/* k counts taps, and within them the channels of a group. */
template <class P> __device__ inline tgc_place tgc_tap_of(int k, int channels)
{
    return tgc_place_of(k / channels, P::KD, P::KH, P::KW);
}

/* Rows: pixels of y.  k: taps, channels of x. */
template <class P> struct tgc_x_for_y {
    typedef typename P::T T;
    struct State {
        tgc_place y;
        int channel;
    };
    static constexpr int ROWS = P::N * P::YD * P::YH * P::YW;
    static constexpr bool along_k = true;
    static constexpr int VECTOR = P::VECTOR_A;
    __device__ static State start(int row, int group)
    {
        return {tgc_place_of(row, P::YD, P::YH, P::YW), group * P::C};
    }
    __device__ static typename P::Index at(const State &s, int k)
    {
        return tgc_x_at<P>(s.y, tgc_tap_of<P>(k, P::C), s.channel + k % P::C);
    }
};

/* Rows: pixels of x.  k: taps, channels of y. */
template <class P> struct tgc_y_for_x {
    typedef typename P::T T;
    struct State {
        tgc_place x;
        int channel;
    };
    static constexpr int ROWS = P::N * P::XD * P::XH * P::XW;
    static constexpr bool along_k = true;
    static constexpr int VECTOR = P::VECTOR_A;
    __device__ static State start(int row, int group)
    {
        return {tgc_place_of(row, P::XD, P::XH, P::XW), group * P::O};
    }
    __device__ static typename P::Index at(const State &s, int k)
    {
        return tgc_y_at<P>(s.x, tgc_tap_of<P>(k, P::O), s.channel + k % P::O);
    }
};

/* Rows: taps, channels of x.  k: pixels of y. */
template <class P> struct tgc_x_for_w {
    typedef typename P::T T;
    struct State {
        tgc_place tap;
        int channel;
    };
    static constexpr int ROWS = P::KD * P::KH * P::KW * P::C;
    static constexpr bool along_k = false;
    static constexpr int VECTOR = P::VECTOR_A;
    __device__ static State start(int row, int group)
    {
        return {tgc_tap_of<P>(row, P::C), group * P::C + row % P::C};
    }
    __device__ static typename P::Index at(const State &s, int k)
    {
        return tgc_x_at<P>(tgc_place_of(k, P::YD, P::YH, P::YW), s.tap,
                           s.channel);
    }
};

/* Rows: channels of y.  k: pixels of y. */
template <class P> struct tgc_y_for_w {
    typedef typename P::T T;
    typedef int State;
    static constexpr int ROWS = P::O;
    static constexpr bool along_k = false;
    static constexpr int VECTOR = P::VECTOR_B;
    __device__ static State start(int row, int group)
    {
        return group * P::O + row;
    }
    __device__ static typename P::Index at(const State &channel, int k)
    {
        tgc_place p = tgc_place_of(k, P::YD, P::YH, P::YW);
        return (typename P::Index)p.n * P::y_n + channel * P::y_c +
               p.d * P::y_d + p.h * P::y_h + p.w * P::y_w;
    }
};

/* w[o, c, tap] */
template <class P>
__device__ inline int64_t tgc_w_place(int o, int c, const tgc_place &tap)
{
    return o * P::w_o + c * P::w_c + tap.d * P::w_d + tap.h * P::w_h +
           tap.w * P::w_w;
}

/* Rows: channels of y.  k: taps, channels of x. */
template <class P> struct tgc_w_for_y {
    typedef typename P::T T;
    typedef int State;
    static constexpr int ROWS = P::O;
    static constexpr bool along_k = true;
    static constexpr int VECTOR = P::VECTOR_B;
    __device__ static State start(int row, int group)
    {
        return group * P::O + row;
    }
    __device__ static int64_t at(const State &o, int k)
    {
        return tgc_w_place<P>(o, k % P::C, tgc_tap_of<P>(k, P::C));
    }
};

/* Rows: channels of x.  k: taps, channels of y. */
template <class P> struct tgc_w_for_x {
    typedef typename P::T T;
    struct State {
        int c, group;
    };
    static constexpr int ROWS = P::C;
    static constexpr bool along_k = false;
    static constexpr int VECTOR = P::VECTOR_B;
    __device__ static State start(int row, int group)
    {
        return {row, group};
    }
    __device__ static int64_t at(const State &s, int k)
    {
        return tgc_w_place<P>(s.group * P::O + k % P::O, s.c,
                              tgc_tap_of<P>(k, P::O));
    }
};

/* ---- where results go --------------------------------------------------- */

/* The largest power of 2, up to 8, that divides. */
constexpr int tgc_power(int64_t n)
{
    return n % 8 == 0 ? 8 : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;
}

/* NEXT elements from a result to that of the next n; EVEN divides all other
 * steps. */
template <class P, int64_t ROW, int64_t COLUMN, int64_t BATCH>
struct tgc_to_matrix {
    static constexpr int64_t NEXT = COLUMN;
    static constexpr int EVEN = tgc_power(ROW | BATCH);
    __device__ static int64_t place(int m, int n, int batch, int)
    {
        return m * ROW + n * COLUMN + batch * BATCH;
    }
};

template <class P> struct tgc_to_y {
    static constexpr int64_t NEXT = P::y_c;
    static constexpr int EVEN =
        tgc_power(P::y_n | P::y_d | P::y_h | P::y_w | P::O);
    __device__ static int64_t place(int m, int n, int group, int)
    {
        tgc_place p = tgc_place_of(m, P::YD, P::YH, P::YW);
        return p.n * (int64_t)P::y_n + (group * P::O + n) * P::y_c +
               p.d * P::y_d + p.h * P::y_h + p.w * P::y_w;
    }
};

template <class P> struct tgc_to_x {
    static constexpr int64_t NEXT = P::x_c;
    static constexpr int EVEN =
        tgc_power(P::x_n | P::x_d | P::x_h | P::x_w | P::C);
    __device__ static int64_t place(int m, int n, int group, int)
    {
        tgc_place p = tgc_place_of(m, P::XD, P::XH, P::XW);
        return p.n * (int64_t)P::x_n + (group * P::C + n) * P::x_c +
               p.d * P::x_d + p.h * P::x_h + p.w * P::x_w;
    }
};

/* m: taps and channels of x; n: channels of y; each part has weights of its
 * own. */
template <class P> struct tgc_to_w {
    static constexpr int64_t NEXT = P::w_o;
    static constexpr int EVEN = 1;
    __device__ static int64_t place(int m, int n, int group, int part)
    {
        return (int64_t)part * P::w_part +
               tgc_w_place<P>(group * P::O + n, m % P::C,
                              tgc_tap_of<P>(m, P::C));
    }
};

/* ---- tiles -------------------------------------------------------------- */

/* V neighbours as they are in memory. */
template <class T, int V> struct tgc_memory {
    static constexpr bool COMPUTED = false;
    typedef tgc_vec<T, V> Raw;
    const T *x;
    __device__ void load(Raw &raw, int64_t at) const
    {
        raw = tgc_load<V>(x + at);
    }
    __device__ void compute(const Raw &raw, int64_t, tgc_vec<T, V> &v) const
    {
        v = raw;
    }
};

/* Brings TILE rows of BK elements each to tile[k][row], in two halves: what is
 * fetched is in registers until it is put. */
template <class P, class S, class F, int TILE> struct tgc_tile {
    typedef typename P::T T;
    typedef typename P::Index Index;
    typedef typename tgc_math<T>::type Math;
    static constexpr int V = S::VECTOR;
    static constexpr int LINE = S::along_k ? P::BK / V : TILE / V;
    static constexpr int ITEMS = TILE * P::BK / V;
    static constexpr int EACH = (ITEMS + P::THREADS - 1) / P::THREADS;
    static constexpr int STRIDE = TILE + 4;
    typename S::State state[EACH];
    typename F::Raw raw[EACH];
    Index place[EACH]; /* of what is fetched; negative: zeros */

    __device__ static int item(int i)
    {
        return (int)threadIdx.x + i * P::THREADS;
    }
    __device__ static int row_of(int item)
    {
        return S::along_k ? item / LINE : item % LINE * V;
    }
    __device__ static int k_of(int item)
    {
        return S::along_k ? item % LINE * V : item / LINE;
    }
    __device__ void start(int row, int batch)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++)
            state[i] = S::start(row + row_of(item(i)), batch);
    }
    __device__ void fetch(const F &from, int row, int k, int end)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int at = item(i), my_k = k + k_of(at);
            bool inside = (ITEMS % P::THREADS == 0 || at < ITEMS) &&
                          row + row_of(at) < S::ROWS && my_k < end;
            place[i] = inside ? (Index)S::at(state[i], my_k) : -1;
            if (place[i] >= 0)
                from.load(raw[i], place[i]);
        }
    }
    __device__ void put(Math *tile, const F &from) const
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int at = item(i);
            if (ITEMS % P::THREADS != 0 && at >= ITEMS)
                continue;
            int row = row_of(at), k = k_of(at);
            tgc_vec<T, V> v = {};
            if (place[i] >= 0)
                from.compute(raw[i], place[i], v);
#pragma unroll
            for (int u = 0; u < V; u++)
                tile[(S::along_k ? k + u : k) * STRIDE +
                     (S::along_k ? row : row + u)] =
                    tgc_widen(v.v[u]);
        }
    }
};

/* N neighbours of a tile. */
template <int N, class Math>
__device__ inline void tgc_read(const Math *from, Math *to)
{
    constexpr int V = N % 4 == 0 && sizeof(Math) == 4 ? 4 : N % 2 == 0 ? 2 : 1;
#pragma unroll
    for (int i = 0; i < N; i += V) {
        tgc_vec<Math, V> v = tgc_load<V>(from + i);
#pragma unroll
        for (int u = 0; u < V; u++)
            to[i + u] = v.v[u];
    }
}

/* ---- the product -------------------------------------------------------- */

/* Which tile, batch (or group) and part of k a block has; tiles along n are
 * neighbours, so that what they share of a is in the cache. */
template <class P, class A, class B> struct tgc_block {
    static constexpr int TILES_N = (B::ROWS + P::BN - 1) / P::BN;
    static constexpr int TILES_M = (A::ROWS + P::STEP - 1) / P::STEP;
    int m, n, batch, part;
    __device__ tgc_block()
    {
        int i = (int)blockIdx.x;
        n = i % TILES_N * P::BN;
        m = i / TILES_N % TILES_M * P::STEP;
        batch = i / (TILES_N * TILES_M) % P::BATCHES;
        part = i / (TILES_N * TILES_M * P::BATCHES);
    }
    /* Is row i of the tile one of this block's results? */
    __device__ bool has(int i) const
    {
        return (P::STEP == P::BM || i < P::STEP) && m + i < A::ROWS;
    }
};

/* What is fused after a product: nothing. */
struct tgc_nothing {
    template <class T>
    __device__ void operator()(const T *, char *, int, int) const
    {
    }
};

template <class P, class A, class B, class Y>
__device__ inline void
tgc_put_results(typename P::R *y, const tgc_block<P, A, B> &block, int m, int n,
                typename tgc_math<typename P::T>::type (&sum)[P::TM][P::TN])
{
    constexpr bool wide = Y::NEXT == 1 && Y::EVEN % 4 == 0 && P::TN == 4;
#pragma unroll
    for (int i = 0; i < P::TM; i++) {
        if (!block.has(m - block.m + i) || n >= B::ROWS)
            continue;
        if (wide && n + P::TN <= B::ROWS) {
            tgc_vec<typename P::R, 4> v;
#pragma unroll
            for (int j = 0; j < P::TN; j++)
                tgc_narrow(sum[i][j], &v.v[j % 4]);
            tgc_store(y + Y::place(m + i, n, block.batch, block.part), v);
            continue;
        }
#pragma unroll
        for (int j = 0; j < P::TN; j++)
            if (n + j < B::ROWS)
                tgc_narrow(sum[i][j], y + Y::place(m + i, n + j, block.batch,
                                                   block.part));
    }
}

/* The tile of results for what is fused after: [BM][LINE]. */
template <class P>
__device__ inline void
tgc_put_tile(typename P::R *tile, int m, int n,
             typename tgc_math<typename P::T>::type (&sum)[P::TM][P::TN])
{
    __syncthreads(); /* the last tiles have been read */
#pragma unroll
    for (int i = 0; i < P::TM; i++)
#pragma unroll
        for (int j = 0; j < P::TN; j++)
            tgc_narrow(sum[i][j], tile + (m + i) * P::LINE + n + j);
    __syncthreads();
}

/* On the multipliers that every number type has. */
template <class P, class A, class B, class Y, class FA, class FB, class After>
__device__ void tgc_gemm(typename P::R *y, const FA &a, const FB &b, After after)
{
    typedef typename tgc_math<typename P::T>::type Math;
    typedef tgc_tile<P, A, FA, P::BM> TileA;
    typedef tgc_tile<P, B, FB, P::BN> TileB;
    constexpr int SIZE_A = P::BK * TileA::STRIDE, SIZE_B = P::BK * TileB::STRIDE;
    constexpr int TILES = 2 * (SIZE_A + SIZE_B) * (int)sizeof(Math);
    constexpr int LINES =
        P::BM * P::LINE * (int)sizeof(typename P::R) + P::AFTER;
    constexpr int BYTES = P::FUSED && LINES > TILES ? LINES : TILES;
    __shared__ __align__(16) char shared[BYTES];
    Math *const tile_a = (Math *)shared, *const tile_b = tile_a + 2 * SIZE_A;
    const tgc_block<P, A, B> block;
    const int m = (int)threadIdx.x / (P::BN / P::TN) * P::TM;
    const int n = (int)threadIdx.x % (P::BN / P::TN) * P::TN;
    int k = block.part * P::K, end = k + P::K;
    Math sum[P::TM][P::TN] = {};
    TileA load_a;
    TileB load_b;
    load_a.start(block.m, block.batch);
    load_b.start(block.n, block.batch);
    load_a.fetch(a, block.m, k, end);
    load_b.fetch(b, block.n, k, end);
    for (int turn = 0; k < end; turn ^= 1) {
        load_a.put(tile_a + turn * SIZE_A, a);
        load_b.put(tile_b + turn * SIZE_B, b);
        __syncthreads();
        k += P::BK;
        if (k < end) {
            load_a.fetch(a, block.m, k, end);
            load_b.fetch(b, block.n, k, end);
        }
#pragma unroll 4
        for (int i = 0; i < P::BK; i++) {
            Math row[P::TM], column[P::TN];
            tgc_read<P::TM>(tile_a + turn * SIZE_A + i * TileA::STRIDE + m, row);
            tgc_read<P::TN>(tile_b + turn * SIZE_B + i * TileB::STRIDE + n, column);
#pragma unroll
            for (int u = 0; u < P::TM; u++)
#pragma unroll
                for (int v = 0; v < P::TN; v++)
                    sum[u][v] = fma(row[u], column[v], sum[u][v]);
        }
    }
    if (P::KEPT)
        tgc_put_results<P, A, B, Y>(y, block, block.m + m, block.n + n, sum);
    if (P::FUSED) {
        typename P::R *tile = (typename P::R *)shared;
        tgc_put_tile<P>(tile, m, n, sum);
        after(tile, shared + LINES - P::AFTER, block.m, block.n);
    }
}

