/* cuda_mma.cuh: the products of cuda_gemm.cuh for 16-bit numbers, on the matrix
 * unit: what is gathered is the same, sums are float32.
 *
 *     global memory ── copies under way for STAGES tiles ──> shared memory
 *                   ── ldmatrix ──> registers ── mma ──> sums
 *                   ── through shared memory, in whole lines ──> results
 *                      (there lies the tile for what is fused after)
 *
 * A block has WARPS_M x WARPS_N warps; each has WM x WN of the block's BM x BN
 * results, as 16 x 8 tiles.  Tiles in shared memory lie as what is gathered
 * does, [row][k] or [k][row], so that 16 bytes are copied at once; ldmatrix
 * turns the latter over.  Lines are 8 longer than they need be: then the eight
 * rows that are read together are in different banks. */

template <class P, class S, int TILE> struct tgc_half_tile {
    typedef typename P::T T;
    static constexpr int V = S::VECTOR;
    static constexpr int LINE = (S::along_k ? P::BK : TILE) + 8;
    static constexpr int ELEMENTS = (S::along_k ? TILE : P::BK) * LINE;
    static constexpr int A_LINE = (S::along_k ? P::BK : TILE) / V;
    static constexpr int ITEMS = TILE * P::BK / V;
    static constexpr int EACH = (ITEMS + P::THREADS - 1) / P::THREADS;
    static constexpr bool keeps = V > 1; /* few states: kept in registers */
    typename S::State state[keeps ? EACH : 1];
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
    __device__ void fetch(T *tile, const T *from, int k, int end) const
    {
#pragma unroll
        for (int i = 0; i < EACH; i++) {
            int item = (int)threadIdx.x + i * P::THREADS;
            if (ITEMS % P::THREADS != 0 && item >= ITEMS)
                continue;
            int r = row_of(item), my_k = k_of(item);
            T *to = tile + (S::along_k ? r * LINE + my_k : my_k * LINE + r);
            const T *p = 0;
            if (row + r < S::ROWS && k + my_k < end)
                p = S::at(from, keeps ? state[i] : S::start(row + r, batch),
                          k + my_k);
            if (V > 1)
                tgc_cp_async16(to, p ? p : from, p ? 16 : 0);
            else
                *to = p ? *p : T();
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
            for (int u = 0; u < 4; u++)
                tgc_narrow(sum[i][j][u],
                           &lines[(m + i * 16 + q + u / 2 * 8) * LINE + n +
                                  j * 8 + p + u % 2]);
    __syncthreads();
    for (int i = (int)threadIdx.x; P::KEPT && i < P::BM * P::BN / V;
         i += P::THREADS) {
        int row = i / (P::BN / V), column = i % (P::BN / V) * V;
        if (block.m + row < A::ROWS && block.n + column < B::ROWS)
            tgc_store(y + Y::place(block.m + row, block.n + column, block.batch,
                                   block.part),
                      tgc_load<V>(&lines[row * LINE + column]));
    }
}

template <class P, class A, class B, class Y, class After>
__device__ void tgc_gemm_mma(typename P::R *y, const typename P::T *a,
                             const typename P::T *b, After after)
{
    typedef typename P::T T;
    typedef tgc_half_tile<P, A, P::BM> TileA;
    typedef tgc_half_tile<P, B, P::BN> TileB;
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
#pragma unroll
    for (int s = 0; s < P::STAGES - 1; s++) {
        if (s < TURNS) {
            load_a.fetch(tiles + s * STAGE, a, first + s * P::BK, end);
            load_b.fetch(tiles + s * STAGE + TileA::ELEMENTS, b,
                         first + s * P::BK, end);
        }
        tgc_cp_async_commit();
    }
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn++) {
        tgc_cp_async_wait<P::STAGES - 2>();
        __syncthreads(); /* this tile is there, the one before was read */
        int next = turn + P::STAGES - 1;
        T *to = tiles + next % P::STAGES * STAGE;
        if (next < TURNS) {
            load_a.fetch(to, a, first + next * P::BK, end);
            load_b.fetch(to + TileA::ELEMENTS, b, first + next * P::BK, end);
        }
        tgc_cp_async_commit();
        const T *tile = tiles + turn % P::STAGES * STAGE;
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
                    tgc_mma(T(), sum[i][j], rows[i],
                            &columns[j / 2][j % 2 * 2]);
        }
    }
    tgc_put_sums<P, A, B, Y, WM, WN>(y, block, (typename P::R *)shared, m, n,
                                     sum);
    after((const typename P::R *)shared, shared + LINES - P::AFTER, block.m,
          block.n);
}

