/* planted_product.cu: a product, and a convolution, whose first operand is
 * computed where it is loaded: a class as print_cuda_before.c prints them.
 * planted.py takes out of the templates what they must not lack. */

struct product_p {
    typedef tgc_f16 T;
    typedef tgc_f16 R;
    typedef int64_t Index;
    static constexpr int BM = 32, STEP = 32, BN = 32, BK = 32;
    static constexpr int WARPS_M = 2, WARPS_N = 2, STAGES = 3, THREADS = 128;
    static constexpr int BATCHES = 1, K = 96, LINE = 40, AFTER = 0;
    static constexpr int VECTOR_A = 8, VECTOR_B = 8;
    static constexpr bool KEPT = true, FUSED = false;
};

struct product_before0 {
    const tgc_f16 *x0;
    static constexpr bool COMPUTED = true;
    struct Raw {
        tgc_vec<tgc_f16, 8> x;
    };
    __device__ void load(Raw &raw, int64_t at) const
    {
        raw.x = tgc_load<8>(x0 + at);
    }
    __device__ void compute(const Raw &raw, int64_t,
                            tgc_vec<tgc_f16, 8> &v) const
    {
        for (int u = 0; u < 8; u++) {
            const float y = tgc_from_f16(raw.x.v[u]) + 1;
            v.v[u] = tgc_to_f16(y < 0 ? 0 : y);
        }
    }
};

/* y[40,32] = relu(a[40,96] + 1) b[32,96]' */
extern "C" __global__ void __launch_bounds__(128)
computed(tgc_f16 *y0, const tgc_f16 *x0, const tgc_f16 *x1)
{
    tgc_gemm_mma<product_p, tgc_matrix<product_p, 40, 96, 1, 0, 8>,
                 tgc_matrix<product_p, 32, 96, 1, 0, 8>,
                 tgc_to_matrix<product_p, 32, 1, 0>>(
        y0, product_before0{x0}, tgc_memory<tgc_f16, 8>{x1}, tgc_nothing());
}

/* y[2,3,4,16] = relu(x[2,3,4,40] + 1) * w[16,3,3,40], 3x3 taps, padding 1, in
 * slices of 16 channels, the last not full; 18 of a tile's rows count. */
struct conv_p {
    typedef tgc_f16 T;
    typedef tgc_f16 R;
    typedef int Index;
    static constexpr int BM = 32, STEP = 18, BN = 16, WARPS_M = 2, WARPS_N = 1;
    static constexpr int STAGES = 3, THREADS = 64, BATCHES = 1, K = 360;
    static constexpr int LINE = 24, AFTER = 0, VECTOR_A = 8, VECTOR_B = 8;
    static constexpr int SLICE = 16, SLICES = 3, TAPS = 9, SOME = 3, BK = 48;
    static constexpr int PATCH = 52;
    static constexpr bool KEPT = true, FUSED = false;
    static constexpr int N = 2, C = 40, O = 16, XD = 1, XH = 3, XW = 4;
    static constexpr int YD = 1, YH = 3, YW = 4, KD = 1, KH = 3, KW = 3;
    static constexpr int SD = 1, SH = 1, SW = 1, DD = 1, DH = 1, DW = 1;
    static constexpr int PD = 0, PH = 1, PW = 1;
    static constexpr int x_n = 480, x_c = 1, x_d = 480, x_h = 160, x_w = 40;
    static constexpr int y_n = 192, y_c = 1, y_d = 192, y_h = 64, y_w = 16;
    static constexpr int w_o = 360, w_c = 1, w_d = 360, w_h = 120, w_w = 40;
};

extern "C" __global__ void __launch_bounds__(64)
convolved(tgc_f16 *y0, const tgc_f16 *x0, const tgc_f16 *x1)
{
    tgc_gemm_halo<conv_p, tgc_x_patch<conv_p>, tgc_w_for_y<conv_p>,
                  tgc_to_y<conv_p>>(y0, product_before0{x0},
                                    tgc_memory<tgc_f16, 8>{x1}, tgc_nothing());
}

/* The same of x as it is. */
extern "C" __global__ void __launch_bounds__(64)
convolved_plain(tgc_f16 *y0, const tgc_f16 *x0, const tgc_f16 *x1)
{
    tgc_gemm_halo<conv_p, tgc_x_patch<conv_p>, tgc_w_for_y<conv_p>,
                  tgc_to_y<conv_p>>(y0, tgc_memory<tgc_f16, 8>{x0},
                                    tgc_memory<tgc_f16, 8>{x1}, tgc_nothing());
}
