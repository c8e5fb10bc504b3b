/* tiny.cu: the kernels of tests/runtime/tiny_plan.c by hand, as a test of what
 * runs them; in the form that runtime/plan.h asks for. */
enum { ROWS = 16, TAIL = 200 % ROWS, PIXELS = 28 * 28, CLASSES = 10 };

/* A row of logits: a class for each of the first threads' turns. */
__device__ static void forward_row(float *slope, float *loss, int32_t *right,
                                   const float *image, const int32_t *label,
                                   const float *w, const float *b, float count)
{
    __shared__ float part[64], logit[CLASSES];
    int row = blockIdx.x, t = threadIdx.x;
    const float *x = image + row * PIXELS;
    for (int k = 0; k < CLASSES; k++) {
        float sum = 0;
        for (int i = t; i < PIXELS; i += 64)
            sum += w[k * PIXELS + i] * x[i];
        part[t] = sum;
        __syncthreads();
        for (int half = 32; half; half /= 2) {
            if (t < half)
                part[t] += part[t + half];
            __syncthreads();
        }
        if (t == 0)
            logit[k] = part[0] + b[k];
        __syncthreads();
    }
    if (t)
        return;
    float most = logit[0], sum = 0;
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        if (logit[k] > most) {
            most = logit[k];
            best = k;
        }
    for (int k = 0; k < CLASSES; k++)
        sum += expf(logit[k] - most);
    for (int k = 0; k < CLASSES; k++)
        slope[row * CLASSES + k] =
            (expf(logit[k] - most) / sum - (float)(k == label[row])) / count;
    loss[row] = logf(sum) + most - logit[label[row]];
    right[row] = best == label[row];
}

extern "C" __global__ void __launch_bounds__(64)
forward(float *y0, float *y1, int32_t *y2, const float *x0, const int32_t *x1,
        const float *x2, const float *x3)
{
    forward_row(y0, y1, y2, x0, x1, x2, x3, ROWS);
}

extern "C" __global__ void __launch_bounds__(64)
forward_tail(float *y0, float *y1, int32_t *y2, const float *x0,
             const int32_t *x1, const float *x2, const float *x3)
{
    forward_row(y0, y1, y2, x0, x1, x2, x3, TAIL);
}

/* One warp. */
__device__ static void total(float *y0, int32_t *y1, const float *loss,
                             const int32_t *right, int rows, float scale)
{
    int t = threadIdx.x;
    float sum = t < rows ? loss[t] : 0;
    int32_t count = t < rows ? right[t] : 0;
    for (int by = 16; by; by /= 2) {
        sum += __shfl_down_sync(0xffffffffu, sum, by);
        count += __shfl_down_sync(0xffffffffu, count, by);
    }
    if (t == 0) {
        *y0 = sum * scale;
        *y1 = count;
    }
}

extern "C" __global__ void __launch_bounds__(32)
total_train(float *y0, int32_t *y1, const float *x0, const int32_t *x1)
{
    total(y0, y1, x0, x1, ROWS, 1.0f / ROWS);
}

extern "C" __global__ void __launch_bounds__(32)
total_tail(float *y0, int32_t *y1, const float *x0, const int32_t *x1)
{
    total(y0, y1, x0, x1, TAIL, 1.0f / TAIL);
}

extern "C" __global__ void __launch_bounds__(32)
total_eval(float *y0, int32_t *y1, const float *x0, const int32_t *x1,
           const int32_t *x2)
{
    total(y0, y1, x0, x1, *x2, 1);
}

/* The first row's mean, in a fixed order. */
extern "C" __global__ void __launch_bounds__(128)
mean(float *y0, const float *x0)
{
    __shared__ float part[4];
    int t = threadIdx.x;
    float sum = 0;
    for (int i = t; i < PIXELS; i += 128)
        sum += x0[i];
    for (int by = 16; by; by /= 2)
        sum += __shfl_xor_sync(0xffffffffu, sum, by);
    if (t % 32 == 0)
        part[t / 32] = sum;
    __syncthreads();
    if (t == 0)
        *y0 = 0.9f * *y0 +
              0.1f * (part[0] + part[1] + part[2] + part[3]) / PIXELS;
}

__device__ static void grad_class(float *gw, float *gb, const float *slope,
                                  const float *image, int rows)
{
    int k = blockIdx.x, t = threadIdx.x;
    for (int i = t; i < PIXELS; i += 128) {
        float sum = 0;
        for (int row = 0; row < rows; row++)
            sum += slope[row * CLASSES + k] * image[row * PIXELS + i];
        gw[k * PIXELS + i] = sum;
    }
    if (t)
        return;
    float bias = 0;
    for (int row = 0; row < rows; row++)
        bias += slope[row * CLASSES + k];
    gb[k] = bias;
}

extern "C" __global__ void __launch_bounds__(128)
grad(float *y0, float *y1, const float *x0, const float *x1)
{
    grad_class(y0, y1, x0, x1, ROWS);
}

extern "C" __global__ void __launch_bounds__(128)
grad_tail(float *y0, float *y1, const float *x0, const float *x1)
{
    grad_class(y0, y1, x0, x1, TAIL);
}

__device__ static void update(float *w, float *m, const float *g, float lr,
                              int i)
{
    m[i] = 0.9f * m[i] + g[i];
    w[i] -= lr * m[i];
}

extern "C" __global__ void __launch_bounds__(256)
update_w(float *y0, float *y1, const float *x0, const float *x1)
{
    for (int i = threadIdx.x; i < PIXELS; i += 256)
        update(y0, y1, x0, *x1, blockIdx.x * PIXELS + i);
}

extern "C" __global__ void __launch_bounds__(1)
update_b(float *y0, float *y1, const float *x0, const float *x1)
{
    update(y0, y1, x0, *x1, blockIdx.x);
}
