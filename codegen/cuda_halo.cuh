/* cuda_halo.cuh: convolutions as in cuda_mma.cuh, where what the taps share is
 * brought, and computed if need be, once.
 *
 *     x ── once for all taps ──> patch in shared memory ─── ldmatrix ─┐
 *     w ── copies under way for STAGES tiles ──> shared memory ───────┴─> mma
 *
 * The pixels of the padded images are counted as they would lie: W of a line, H
 * lines, one image after the other.  In this count a tap is a step that is the
 * same from every pixel, so what neighbouring results need is pixels in a row:
 *
 *     . . . . . . . .     2 lines of 6 results, 3x3 taps: 4 lines of 8, less
 *     . 0 1 2 3 4 5 .     the ends.  ldmatrix takes each row of a from an
 *     . 6 7 8 9 a b .     address of its own: the result's pixel and the
 *     . . . . . . . .     tap's step, a constant.
 *
 * A patch is [pixel][SLICE], LINE from pixel to pixel: an odd number of 16
 * bytes, so 8 neighbours are in different banks (of pixels two apart, as with
 * stride 2, four are).  Where its channels are too many for shared memory they
 * come in slices: the next one is under way while this one is multiplied.
 *
 * P has, besides what cuda_mma.cuh wants: PATCH, the most pixels that a tile
 * needs; SLICE, SLICES of channels; TAPS, of which a tile of b has SOME: all, a
 * line of them, or one.  BK is SOME x SLICE. */

/* Patches of x, rows: pixels of y. */
template <class P> struct tgc_x_patch {
    static constexpr int ROWS = tgc_x_for_y<P>::ROWS, CHANNELS = P::C;
    static constexpr int D = (P::YD - 1) * P::SD + (P::KD - 1) * P::DD + 1;
    static constexpr int H = (P::YH - 1) * P::SH + (P::KH - 1) * P::DH + 1;
    static constexpr int W = (P::YW - 1) * P::SW + (P::KW - 1) * P::DW + 1;
    static constexpr int REACH = /* from the first tap to the last */
        ((P::KD - 1) * P::DD * H + (P::KH - 1) * P::DH) * W +
        (P::KW - 1) * P::DW;
    static constexpr int FIRST = 0; /* the step to tap 0 */
    __device__ static int pixel(int row)
    {
        tgc_place y = tgc_place_of(row, P::YD, P::YH, P::YW);
        return ((y.n * D + y.d * P::SD) * H + y.h * P::SH) * W + y.w * P::SW;
    }
    /* From tap 0 to another one. */
    __device__ static int step(int tap)
    {
        tgc_place t = tgc_place_of(tap, P::KD, P::KH, P::KW);
        return (t.d * P::DD * H + t.h * P::DH) * W + t.w * P::DW;
    }
    /* The element; -1 in the padding. */
    __device__ static typename P::Index at(int pixel, int channel)
    {
        tgc_place x = tgc_place_of(pixel, D, H, W);
        return tgc_in_x<P>(
            {x.n, x.d - P::PD, x.h - P::PH, x.w - P::PW}, channel);
    }
};

/* Patches of y, rows: pixels of x; all strides are 1.  Taps go backwards. */
template <class P> struct tgc_y_patch {
    static constexpr int ROWS = tgc_y_for_x<P>::ROWS, CHANNELS = P::O;
    static constexpr int FAR_D = (P::KD - 1) * P::DD;
    static constexpr int FAR_H = (P::KH - 1) * P::DH;
    static constexpr int FAR_W = (P::KW - 1) * P::DW;
    static constexpr int D = P::XD + FAR_D;
    static constexpr int H = P::XH + FAR_H;
    static constexpr int W = P::XW + FAR_W;
    static constexpr int REACH = (FAR_D * H + FAR_H) * W + FAR_W;
    static constexpr int FIRST = REACH;
    __device__ static int pixel(int row)
    {
        tgc_place x = tgc_place_of(row, P::XD, P::XH, P::XW);
        return ((x.n * D + x.d) * H + x.h) * W + x.w;
    }
    __device__ static int step(int tap)
    {
        tgc_place t = tgc_place_of(tap, P::KD, P::KH, P::KW);
        return -((t.d * P::DD * H + t.h * P::DH) * W + t.w * P::DW);
    }
    __device__ static typename P::Index at(int pixel, int channel)
    {
        tgc_place y = tgc_place_of(pixel, D, H, W);
        return tgc_in_y<P>({y.n, y.d + P::PD - FAR_D, y.h + P::PH - FAR_H,
                            y.w + P::PW - FAR_W},
                           channel);
    }
};

/* Rows of b, whose k counts slices, taps, channels of a slice; zeros where the
 * last slice has more channels than there are. */
template <class P, class B, int CHANNELS> struct tgc_sliced : B {
    __device__ static int64_t at(const typename B::State &s, int k)
    {
        int channel = k / (P::TAPS * P::SLICE) * P::SLICE + k % P::SLICE;
        int tap = k / P::SLICE % P::TAPS;
        return channel < CHANNELS ? (int64_t)B::at(s, tap * CHANNELS + channel)
                                  : -1;
    }
};

/* What a block's rows need of a slice: 8 channels of a pixel are an item. */
template <class P, class H, class F> struct tgc_patch {
    typedef typename P::T T;
    typedef typename P::Index Index;
    static constexpr int LINE = P::SLICE + 8;
    static constexpr int ELEMENTS = P::PATCH * LINE;
    static constexpr int ACROSS = P::SLICE / 8;
    static constexpr int EACH =
        (P::PATCH * ACROSS + P::THREADS - 1) / P::THREADS;
    static constexpr int AT_ONCE = EACH < 4 ? EACH : 4; /* in registers */
    /* N of a thread's items, on their way. */
    template <int N> struct Items {
        typename F::Raw raw[F::COMPUTED ? N : 1];
        Index place[N]; /* negative: zeros */
    };
    int first, pixels, channel;

    __device__ tgc_patch(int row, int last, int group)
        : first(H::pixel(row)),
          pixels(H::pixel(last) - first + 1 + H::REACH),
          channel(group * H::CHANNELS)
    {
    }
    template <int N>
    __device__ void fetch(Items<N> &items, T *patch, const F &from, int slice,
                          int begin) const
    {
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int item = (int)threadIdx.x + (begin + i) * P::THREADS;
            const int pixel = item / ACROSS, c = item % ACROSS * 8;
            const int of_all = slice * P::SLICE + c;
            const bool inside = pixel < pixels && of_all < H::CHANNELS;
            Index at = inside ? H::at(first + pixel, channel + of_all) : -1;
            items.place[i] = at;
            if constexpr (!F::COMPUTED) {
                if (pixel < pixels)
                    tgc_cp_async16(patch + pixel * LINE + c,
                                   from.x + (at < 0 ? 0 : at), at < 0 ? 0 : 16);
            } else if (at >= 0) {
                from.load(items.raw[i], at);
            }
        }
    }
    /* What is computed: from registers to the patch. */
    template <int N>
    __device__ void put(const Items<N> &items, T *patch, const F &from,
                        int begin) const
    {
        if constexpr (!F::COMPUTED)
            return;
#pragma unroll
        for (int i = 0; i < N; i++) {
            const int item = (int)threadIdx.x + (begin + i) * P::THREADS;
            const int pixel = item / ACROSS, c = item % ACROSS * 8;
            tgc_vec<T, 8> v = {};
            if (pixel >= pixels)
                continue;
            if (items.place[i] >= 0)
                from.compute(items.raw[F::COMPUTED ? i : 0], items.place[i], v);
            tgc_store(patch + pixel * LINE + c, v);
        }
    }
    /* The first slice. */
    __device__ void fill(T *patch, const F &from) const
    {
        Items<AT_ONCE> items;
#pragma unroll 1
        for (int i = 0; i < EACH; i += AT_ONCE) {
            fetch(items, patch, from, 0, i);
            put(items, patch, from, i);
        }
    }
};

/* Taps of a tile of b, by the slice: `row` is what this lane brings of a. */
template <class P, class H, class Patch, class TileB, int WM, int WN>
__device__ inline void
tgc_halo_products(float (&sum)[WM / 16][WN / 8][4], const typename P::T *patch,
                  const int (&row)[WM / 16], const typename P::T *tile, int n)
{
#pragma unroll
    for (int k = 0; k < P::BK; k += 16) {
        uint32_t rows[WM / 16][4], columns[WN / 16][4];
        const int at = H::step(k / P::SLICE) * Patch::LINE + k % P::SLICE;
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
            tgc_ldmatrix(rows[i], patch + row[i] + at);
#pragma unroll
        for (int j = 0; j < WN / 16; j++)
            TileB::read(columns[j], tile, n + j * 16, k, true);
#pragma unroll
        for (int i = 0; i < WM / 16; i++)
#pragma unroll
            for (int j = 0; j < WN / 8; j++)
                tgc_mma(typename P::T(), sum[i][j], rows[i],
                        &columns[j / 2][j % 2 * 2]);
    }
}

template <class P, class H, class B, class Y, class FA, class FB, class After>
__device__ void tgc_gemm_halo(typename P::R *y, const FA &a, const FB &b,
                              After after)
{
    typedef typename P::T T;
    typedef tgc_patch<P, H, FA> Patch;
    typedef tgc_half_tile<P, tgc_sliced<P, B, H::CHANNELS>, FB, P::BN> TileB;
    constexpr int WM = P::BM / P::WARPS_M, WN = P::BN / P::WARPS_N;
    constexpr int TURNS = P::TAPS / P::SOME; /* of a slice */
    constexpr int ALL = TURNS * P::SLICES, END = ALL * P::BK;
    constexpr int RING = P::STAGES < ALL ? P::STAGES : ALL;
    constexpr int PATCHES = (P::SLICES > 1 ? 2 : 1) * Patch::ELEMENTS;
    constexpr int TILES = (PATCHES + RING * TileB::ELEMENTS) * (int)sizeof(T);
    constexpr int LINES =
        P::BM * P::LINE * (int)sizeof(typename P::R) + P::AFTER;
    /* Turns in which the next slice sets out, so that it is there in time. */
    constexpr int SPREAD = TURNS > 1 ? TURNS - 1 : 1;
    constexpr int ITEMS = (Patch::EACH + SPREAD - 1) / SPREAD;
    static_assert(TURNS > 1 || P::STAGES == 2, "the next slice comes too late");
    __shared__ __align__(16) char shared[TILES > LINES ? TILES : LINES];
    T *const patches = (T *)shared, *const tiles = patches + PATCHES;
    const tgc_block<P, H, B> block;
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    const int m = warp % P::WARPS_M * WM, n = warp / P::WARPS_M * WN;
    const int last = (P::STEP < H::ROWS - block.m ? block.m + P::STEP
                                                  : H::ROWS) - 1;
    const Patch patch(block.m, last, block.batch);
    int row[WM / 16]; /* of the patch, that this lane brings to a tile of a */
#pragma unroll
    for (int i = 0; i < WM / 16; i++) {
        const int mine = block.m + m + i * 16 + lane % 16;
        row[i] = (H::pixel(mine < last ? mine : last) - patch.first +
                  H::FIRST) * Patch::LINE + lane / 16 * 8;
    }
    float sum[WM / 16][WN / 8][4] = {};
    TileB load_b;
    load_b.start(block.n, block.batch);
    patch.fill(patches, a);
#pragma unroll
    for (int s = 0; s < P::STAGES - 1; s++) {
        if (s < ALL) {
            load_b.fetch(tiles + s * TileB::ELEMENTS, b, s * P::BK, END);
            load_b.put(tiles + s * TileB::ELEMENTS, b, s * P::BK, END);
        }
        tgc_cp_async_commit();
    }
#pragma unroll 1
    for (int turn = 0; turn < ALL; turn++) {
        tgc_cp_async_wait<P::STAGES - 2>();
        __syncthreads(); /* tile and patch are there, those before were read */
        const int slice = turn / TURNS, of_slice = turn % TURNS;
        const int next = turn + P::STAGES - 1, k_next = next * P::BK;
        const bool more = slice + 1 < P::SLICES && of_slice < SPREAD;
        T *const to = tiles + next % P::STAGES * TileB::ELEMENTS;
        T *const other = patches + (slice + 1) % 2 * Patch::ELEMENTS;
        typename Patch::template Items<ITEMS> items;
        if (more)
            patch.fetch(items, other, a, slice + 1, of_slice * ITEMS);
        if (next < ALL)
            load_b.fetch(to, b, k_next, END);
        tgc_cp_async_commit();
        const T *const tile = tiles + turn % P::STAGES * TileB::ELEMENTS;
        const T *const from = patches + slice % 2 * Patch::ELEMENTS +
                              H::step(of_slice * P::SOME) * Patch::LINE;
        tgc_halo_products<P, H, Patch, TileB, WM, WN>(sum, from, row, tile, n);
        if (more)
            patch.put(items, other, a, of_slice * ITEMS);
        if (next < ALL)
            load_b.put(to, b, k_next, END);
    }
    tgc_put_sums<P, H, B, Y, WM, WN>(y, block, (typename P::R *)shared, m, n,
                                     sum);
    after((const typename P::R *)shared, shared + LINES - P::AFTER, block.m,
          block.n);
}
