/* cuda_mma.cuh: the products of cuda_gemm.cuh for 16-bit numbers, on the matrix
 * unit: what is gathered is the same, sums are float32.
 *
 *     global memory ── copies under way for STAGES tiles ──> shared memory
 *                   ── ldmatrix ──> registers ── mma ──> sums
 *                   ── through shared memory, in whole lines ──> results
 *                      (there lies the tile for what is fused after)
 *
 * Where what is gathered is computed first, loads are under way for one tile, in
 * registers, and results are put in shared memory after this tile's products.
 *
 * A block has WARPS_M x WARPS_N warps; each has WM x WN of the block's BM x BN
 * results, as 16 x 8 tiles.  Tiles in shared memory lie as what is gathered
 * does, [row][k] or [k][row], so that 16 bytes are copied at once; ldmatrix
 * turns the latter over.  Lines are 8 longer than they need be: then the eight
 * rows that are read together are in different banks. */

template <class P, class S, class F, int TILE> struct tgc_half_tile {
    typedef typename P::T T;
    typedef typename P::Index Index;
    static constexpr int V = S::VECTOR;
    static constexpr int LINE = (S::along_k ? P::BK : TILE) + 8;
    static constexpr int ELEMENTS = (S::along_k ? TILE : P::BK) * LINE;
    static constexpr int A_LINE = (S::along_k ? P::BK : TILE) / V;
    static constexpr int ITEMS = TILE * P::BK / V;
    static constexpr int EACH = (ITEMS + P::THREADS - 1) / P::THREADS;
    static constexpr bool keeps = V > 1; /* few states: kept in registers */
    static constexpr bool ahead = F::COMPUTED && V > 1; /* few loads, too */
    typename S::State state[keeps ? EACH : 1];
    typename F::Raw raw[ahead ? EACH : 1];
    Index place[ahead ? EACH : 1];
    int row, batch;

    __device__ static int row_of(int item)
    {
        return S::along_k ? item / A_LINE : item % A_LINE * V;
    }
    __device__ static int k_of(int item)
    {
        return S::along_k ? item % A_LINE * V : item / A_LINE;
    }
    __device__ void start(int first, int which)
    {
        row = first;
        batch = which;
        if (keeps)
#pragma unroll
            for (int i = 0; i < EACH; i++)
                state[i] = S::start(
                    row + row_of((int)threadIdx.x + i * P::THREADS), batch);
    }
    __device__ static int item(int i)
    {
        return (int)threadIdx.x + i * P::THREADS;
    }
    __device__ static T *place_in(T *tile, int item)
    {
        int r = row_of(item), k = k_of(item);
        return tile + (S::along_k ? r * LINE + k : k * LINE + r);
    }
    /* Which element item(i) is; negative: zeros. */
    __device__ Index place_of(int i, int k, int end) const
    {
        int r = row_of(item(i)), my_k = k + k_of(item(i));
        if (row + r >= S::ROWS || my_k >= end)
            return -1;
        return (Index)S::at(keeps ? state[i] : S::start(row + r, batch), my_k);
    }
    /* From memory: on its way to the tile.  Else what it is computed from is on
     * its way to registers, until it is put. */
    __device__ void fetch(T *tile, const F &from, int k, int end)
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (ITEMS % P::THREADS != 0 && item(i) >= ITEMS)
                continue;
            if constexpr (ahead) {
                place[i] = place_of(i, k, end);
                if (place[i] >= 0)
                    from.load(raw[i], place[i]);
            } else if constexpr (!F::COMPUTED) {
                T *to = place_in(tile, item(i));
                Index at = place_of(i, k, end);
                if constexpr (V > 1)
                    tgc_cp_async16(to, from.x + (at < 0 ? 0 : at),
                                   at < 0 ? 0 : 16);
                else
                    *to = at < 0 ? T() : from.x[at];
            }
        }
    }
    /* What is computed: to the tile that fetch was told of. */
    __device__ void put(T *tile, const F &from, int k, int end)
    {
        if constexpr (!F::COMPUTED)
            return;
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            if (ITEMS % P::THREADS != 0 && item(i) >= ITEMS)
                continue;
            Index at = ahead ? place[ahead ? i : 0] : place_of(i, k, end);
            tgc_vec<T, V> v = {};
            if (at >= 0) {
                if constexpr (!ahead)
                    from.load(raw[0], at);
                from.compute(raw[ahead ? i : 0], at, v);
            }
            tgc_store(place_in(tile, item(i)), v);
        }
    }
    /* 16 rows and 16 of k as four 8x8 tiles: across first, or along k first. */
    __device__ static void read(uint32_t (&r)[4], const T *tile, int row, int k,
                                bool k_first)
    {
        int lane = (int)threadIdx.x % 32, one = lane / 8 % 2 * 8;
        int two = lane / 16 * 8;
        row += k_first ? two : one;
        k += k_first ? one : two;
        if (S::along_k)
            tgc_ldmatrix(r, tile + (row + lane % 8) * LINE + k);
        else
            tgc_ldmatrix_trans(r, tile + (k + lane % 8) * LINE + row);
    }
};

/* From the warps' registers to shared memory, and from there in lines. */
template <class P, class A, class B, class Y, int WM, int WN>
__device__ inline void tgc_put_sums(typename P::R *y,
                                    const tgc_block<P, A, B> &block,
                                    typename P::R *lines, int m, int n,
                                    const float (&sum)[WM / 16][WN / 8][4])
{
    typedef typename P::R R;
    constexpr int LINE = P::LINE;
    constexpr int MOST = 16 / (int)sizeof(R);
    constexpr int V = Y::NEXT != 1 ? 1 : Y::EVEN < MOST ? Y::EVEN : MOST;
    const int q = (int)threadIdx.x % 32 / 4, p = (int)threadIdx.x % 4 * 2;
    __syncthreads(); /* the last tiles have been read */
#pragma unroll
    for (int i = 0; i < WM / 16; i++)
#pragma unroll
        for (int j = 0; j < WN / 8; j++)
#pragma unroll
            for (int u = 0; u < 4; u += 2) {
                tgc_vec<R, 2> two;
                tgc_narrow(sum[i][j][u], &two.v[0]);
                tgc_narrow(sum[i][j][u + 1], &two.v[1]);
                tgc_store(
                    &lines[(m + i * 16 + q + u / 2 * 8) * LINE + n + j * 8 + p],
                    two);
            }
    __syncthreads();
    for (int i = (int)threadIdx.x; P::KEPT && i < P::BM * P::BN / V;
         i += P::THREADS) {
        int row = i / (P::BN / V), column = i % (P::BN / V) * V;
        if (block.has(row) && block.n + column < B::ROWS)
            tgc_store(y + Y::place(block.m + row, block.n + column, block.batch,
                                   block.part),
                      tgc_load<V>(&lines[row * LINE + column]));
    }
}

/* The products of a tile of each, which lie one behind the other: this warp's
 * rows from m on, columns from n on. */
template <class P, class TileA, class TileB, int WM, int WN>
__device__ inline void tgc_multiply(const typename P::T *tile, int m, int n,
                                    float (&sum)[WM / 16][WN / 8][4])
{
#pragma unroll
    for (int k = 0; k < P::BK; k += 16) {
        uint32_t rows[WM / 16][4], columns[WN / 16][4];
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
            TileA::read(rows[i], tile, m + i * 16, k, false);
#pragma unroll
        for (int j = 0; j < WN / 16; j++)
            TileB::read(columns[j], tile + TileA::ELEMENTS, n + j * 16, k,
                        true);
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
#pragma unroll
            for (int j = 0; j < WN / 8; j++)
                tgc_mma(typename P::T(), sum[i][j], rows[i],
                        &columns[j / 2][j % 2 * 2]);
    }
}

template <class P, class A, class B, class Y, class FA, class FB, class After>
__device__ void tgc_gemm_mma(typename P::R *y, const FA &a, const FB &b,
                             After after)
{
    typedef typename P::T T;
    typedef tgc_half_tile<P, A, FA, P::BM> TileA;
    typedef tgc_half_tile<P, B, FB, P::BN> TileB;
    constexpr int WM = P::BM / P::WARPS_M, WN = P::BN / P::WARPS_N;
    constexpr int STAGE = TileA::ELEMENTS + TileB::ELEMENTS;
    constexpr int TILES = P::STAGES * STAGE * (int)sizeof(T);
    constexpr int LINES =
        P::BM * P::LINE * (int)sizeof(typename P::R) + P::AFTER;
    __shared__ __align__(16) char shared[TILES > LINES ? TILES : LINES];
    T *const tiles = (T *)shared;
    const tgc_block<P, A, B> block;
    const int warp = (int)threadIdx.x / 32;
    const int m = warp % P::WARPS_M * WM, n = warp / P::WARPS_M * WN;
    const int first = block.part * P::K, end = first + P::K;
    constexpr int TURNS = (P::K + P::BK - 1) / P::BK;
    float sum[WM / 16][WN / 8][4] = {};
    TileA load_a;
    TileB load_b;
    load_a.start(block.m, block.batch);
    load_b.start(block.n, block.batch);
    /* The first turns only bring what comes next.  They are part of the loop: a
     * text of their own made compiling a third dearer.  Few turns are no loop:
     * it would keep in registers what only one turn wants. */
    constexpr int UNROLL = TURNS < P::STAGES ? TURNS + P::STAGES - 1 : 1;
#pragma unroll UNROLL
    for (int turn = 1 - P::STAGES; turn < TURNS; turn++) {
        if (turn >= 0) {
            tgc_cp_async_wait<P::STAGES - 2>();
            __syncthreads(); /* this tile is there, the one before was read */
        }
        const int next = turn + P::STAGES - 1, k_next = first + next * P::BK;
        T *to = tiles + next % P::STAGES * STAGE;
        if (next < TURNS) {
            load_a.fetch(to, a, k_next, end);
            load_b.fetch(to + TileA::ELEMENTS, b, k_next, end);
        }
        tgc_cp_async_commit();
        if (turn >= 0)
            tgc_multiply<P, TileA, TileB, WM, WN>(
                tiles + turn % P::STAGES * STAGE, m, n, sum);
        if (next < TURNS) {
            load_a.put(to, a, k_next, end);
            load_b.put(to + TileA::ELEMENTS, b, k_next, end);
        }
    }
    tgc_put_sums<P, A, B, Y, WM, WN>(y, block, (typename P::R *)shared, m, n,
                                     sum);
    after((const typename P::R *)shared, shared + LINES - P::AFTER, block.m,
          block.n);
}
