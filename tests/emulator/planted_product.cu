/* planted_product.cu: a product whose first operand is computed where it is
 * loaded: a class as print_cuda_before.c prints them.  planted.py takes out of
 * the template what it must not lack. */

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
