/* tiny_plan.c: a plan as the compiler would write it, by hand: softmax
 * regression on 28 x 28 images, SGD with momentum, and a running mean.  It
 * makes a training binary that tests the runtime without the compiler; with
 * TINY_CUDA one for GPUs, whose kernels are tests/emulator/tiny.cu.
 *
 *     train        forward  total | mean  grad  update_w  update_b
 *     train_tail   the same for the 200 % 16 images left over
 *     eval         forward  total
 */
#include "plan.h"
#include <math.h>
#include <stddef.h>

enum { ROWS = 16, TAIL = 200 % ROWS, PIXELS = 28 * 28, CLASSES = 10 };

/* ---- the arena ---------------------------------------------------------- */

enum {
    UP = 64,
    W = 0,
    W_BYTES = CLASSES * PIXELS * 4,
    WM = W + (W_BYTES + UP - 1) / UP * UP,
    B = WM + (W_BYTES + UP - 1) / UP * UP,
    BM = B + UP,
    MEAN = BM + UP,
    IMAGE = MEAN + UP,
    IMAGE_BYTES = ROWS * PIXELS * 4,
    LABEL = IMAGE + 3 * ((IMAGE_BYTES + UP - 1) / UP * UP),
    LR = LABEL + 3 * UP,
    COUNT = LR + UP,
    LOSS = COUNT + UP,
    CORRECT = LOSS + UP,
    SLOPE = CORRECT + UP, /* of the logits, [n,10] */
    ROW_LOSS = SLOPE + ROWS * CLASSES * 4,
    ROW_RIGHT = ROW_LOSS + UP,
    GW = ROW_RIGHT + UP,
    GB = GW + (W_BYTES + UP - 1) / UP * UP,
    ARENA = GB + UP
};

/* ---- kernels ------------------------------------------------------------ */

#ifndef TINY_CUDA
static const float MOMENTUM = 0.9f;

static void forward_row(const KernelCall *c, int64_t row, int64_t count)
{
    float *slope = (float *)c->buf[0] + row * CLASSES;
    const float *x = (const float *)c->buf[3] + row * PIXELS;
    const int32_t *label = (const int32_t *)c->buf[4];
    const float *w = (const float *)c->buf[5], *b = (const float *)c->buf[6];
    float logit[CLASSES], most = -INFINITY, sum = 0;
    int best = 0;
    for (int k = 0; k < CLASSES; k++) {
        logit[k] = b[k];
        for (int i = 0; i < PIXELS; i++)
            logit[k] += w[k * PIXELS + i] * x[i];
        if (logit[k] > most) {
            most = logit[k];
            best = k;
        }
    }
    for (int k = 0; k < CLASSES; k++)
        sum += expf(logit[k] - most);
    for (int k = 0; k < CLASSES; k++)
        slope[k] =
            (expf(logit[k] - most) / sum - (k == label[row])) / (float)count;
    ((float *)c->buf[1])[row] = logf(sum) + most - logit[label[row]];
    ((int32_t *)c->buf[2])[row] = best == label[row];
}

static void forward(const KernelCall *c, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++)
        forward_row(c, row, ROWS);
}

static void forward_tail(const KernelCall *c, int64_t begin, int64_t end)
{
    for (int64_t row = begin; row < end; row++)
        forward_row(c, row, TAIL);
}

static void total(const KernelCall *c, int64_t rows, float scale)
{
    float loss = 0;
    int32_t right = 0;
    for (int64_t row = 0; row < rows; row++) {
        loss += ((const float *)c->buf[2])[row];
        right += ((const int32_t *)c->buf[3])[row];
    }
    *(float *)c->buf[0] = loss * scale;
    *(int32_t *)c->buf[1] = right;
}

static void total_train(const KernelCall *c, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    total(c, ROWS, 1.0f / ROWS);
}

static void total_tail(const KernelCall *c, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    total(c, TAIL, 1.0f / TAIL);
}

static void total_eval(const KernelCall *c, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    total(c, *(const int32_t *)c->buf[4], 1);
}

static void mean(const KernelCall *c, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const float *x = (const float *)c->buf[1];
    float sum = 0;
    for (int i = 0; i < PIXELS; i++)
        sum += x[i];
    float *m = (float *)c->buf[0];
    *m = 0.9f * *m + 0.1f * sum / PIXELS;
}

/* One class a part; uses its scratch, to see that threads do not share. */
static void grad_class(const KernelCall *c, int64_t k, int64_t rows)
{
    float *sum = (float *)c->scratch, bias = 0;
    for (int i = 0; i < PIXELS; i++)
        sum[i] = 0;
    for (int64_t row = 0; row < rows; row++) {
        float slope = ((const float *)c->buf[2])[row * CLASSES + k];
        const float *x = (const float *)c->buf[3] + row * PIXELS;
        for (int i = 0; i < PIXELS; i++)
            sum[i] += slope * x[i];
        bias += slope;
    }
    for (int i = 0; i < PIXELS; i++)
        ((float *)c->buf[0])[k * PIXELS + i] = sum[i];
    ((float *)c->buf[1])[k] = bias;
}

static void grad(const KernelCall *c, int64_t begin, int64_t end)
{
    for (int64_t k = begin; k < end; k++)
        grad_class(c, k, ROWS);
}

static void grad_tail(const KernelCall *c, int64_t begin, int64_t end)
{
    for (int64_t k = begin; k < end; k++)
        grad_class(c, k, TAIL);
}

static void update(const KernelCall *c, int64_t begin, int64_t end)
{
    float *w = (float *)c->buf[0], *m = (float *)c->buf[1];
    const float *g = (const float *)c->buf[2];
    float lr = *(const float *)c->buf[3];
    for (int64_t i = begin; i < end; i++) {
        m[i] = MOMENTUM * m[i] + g[i];
        w[i] -= lr * m[i];
    }
}

/* A part is one class's weights. */
static void update_w(const KernelCall *c, int64_t begin, int64_t end)
{
    update(c, begin * PIXELS, end * PIXELS);
}

#define KERNEL(name, function, threads)                                        \
    {                                                                          \
#name, function, 0, 0, 0, NULL, 0                                      \
    }
#else
#define KERNEL(name, function, threads)                                        \
    {                                                                          \
#name, NULL, threads, 0, 0, NULL, 0                                    \
    }
static const PlanImage images[] = {
    {"sm_90", "\177ELF, as far as an emulator looks", 40, 13000, 0},
    {"compute_80", ".version 9.0", 13, 13000, 0},
};
#endif

static const PlanKernel kernels[] = {
    KERNEL(forward, forward, 64),
    KERNEL(forward_tail, forward_tail, 64),
    KERNEL(total_train, total_train, 32),
    KERNEL(total_tail, total_tail, 32),
    KERNEL(total_eval, total_eval, 32),
    KERNEL(mean, mean, 128),
    KERNEL(grad, grad, 128),
    KERNEL(grad_tail, grad_tail, 128),
    KERNEL(update_w, update_w, 256),
    KERNEL(update_b, update, 1),
};
enum {
    K_FORWARD,
    K_FORWARD_TAIL,
    K_TOTAL,
    K_TOTAL_TAIL,
    K_TOTAL_EVAL,
    K_MEAN,
    K_GRAD,
    K_GRAD_TAIL,
    K_UPDATE_W,
    K_UPDATE_B
};

/* ---- tables ------------------------------------------------------------- */

/* clang-format off */
static const PlanSetting settings[] = {
    {"batch", "16", false, PLAN_SET_INT, NULL, NULL, 1, 1e6, NULL},
    {"data", "idx", false, PLAN_SET_WORD, NULL, NULL, 0, 0, NULL},
    {"data.classes", "10", false, PLAN_SET_INT, NULL, NULL, 1, 1e6, NULL},
    {"data.crop", "2", true, PLAN_SET_INT, NULL, NULL, 0, 64, NULL},
    {"data.flip", "none", true, PLAN_SET_WORD, "none horizontal", NULL, 0, 0, NULL},
    {"data.mean", "[0.5]", false, PLAN_SET_NUMBERS, NULL, NULL, -1e9, 1e9, NULL},
    {"data.std", "[0.5]", false, PLAN_SET_NUMBERS, NULL, NULL, 1e-9, 1e9, NULL},
    {"epochs", "4", true, PLAN_SET_INT, NULL, NULL, 0, 1e9, NULL},
    {"optimizer", "sgd", false, PLAN_SET_WORD, NULL, NULL, 0, 0, NULL},
    {"optimizer.lr", "0.01", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e38, NULL},
    {"schedule", "multistep", true, PLAN_SET_WORD, "constant multistep cosine", NULL, 0, 0, NULL},
    {"schedule.at", "[2]", true, PLAN_SET_NUMBERS, NULL, NULL, 0, 1e9, NULL},
    {"schedule.gamma", "0.1", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e9, NULL},
    {"schedule.warmup_epochs", "0", true, PLAN_SET_FLOAT, NULL, NULL, 0, 1e9, NULL},
    {"seed", "0", true, PLAN_SET_INT, NULL, NULL, 0, 9007199254740992.0, NULL},
#ifdef KEEP_TAIL
    {"tail", "keep", false, PLAN_SET_WORD, NULL, NULL, 0, 0, NULL},
#else
    {"tail", "drop", false, PLAN_SET_WORD, NULL, NULL, 0, 0, NULL},
#endif
    {"threads", "0", true, PLAN_SET_INT, NULL, NULL, 0, 4096, NULL},
};

#define F32(rank_, ...) {PLAN_F32, rank_, __VA_ARGS__}
static const PlanState states[] = {
    {"fc.weight", "", F32(2, {CLASSES, PIXELS}, {PIXELS, 1}), PLAN_PARAM,
     PLAN_NORMAL, false, 0, 0.01, W, W_BYTES},
    {"fc.bias", "", F32(1, {CLASSES}, {1}), PLAN_PARAM, PLAN_UNIFORM, false,
     -0.01, 0.01, B, CLASSES * 4},
    {"norm.running_mean", "", F32(1, {1}, {1}), PLAN_BUFFER, PLAN_CONST, false,
     0, 0, MEAN, 4},
    {"fc.weight.momentum", "fc.weight", F32(2, {CLASSES, PIXELS}, {PIXELS, 1}),
     PLAN_SLOT, PLAN_CONST, false, 0, 0, WM, W_BYTES},
    {"fc.bias.momentum", "fc.bias", F32(1, {CLASSES}, {1}), PLAN_SLOT,
     PLAN_CONST, false, 0, 0, BM, CLASSES * 4},
};

enum { B_W, B_WM, B_B, B_BM, B_MEAN, B_IMAGE, B_LABEL, B_LR, B_COUNT, B_LOSS,
       B_CORRECT, B_SLOPE, B_ROW_LOSS, B_ROW_RIGHT, B_GW, B_GB };

static const PlanBuffer buffers[] = {
    {W, W_BYTES, PLAN_STATE, PLAN_F32, 0, 9, "fc.weight"},
    {WM, W_BYTES, PLAN_STATE, PLAN_F32, 0, 9, "fc.weight.momentum"},
    {B, CLASSES * 4, PLAN_STATE, PLAN_F32, 0, 9, "fc.bias"},
    {BM, CLASSES * 4, PLAN_STATE, PLAN_F32, 0, 9, "fc.bias.momentum"},
    {MEAN, 4, PLAN_STATE, PLAN_F32, 0, 9, "norm.running_mean"},
    {IMAGE, IMAGE_BYTES, PLAN_INPUT, PLAN_F32, 0, 9, "image"},
    {LABEL, ROWS * 4, PLAN_INPUT, PLAN_I32, 0, 9, "label"},
    {LR, 4, PLAN_INPUT, PLAN_F32, 0, 9, "lr"},
    {COUNT, 4, PLAN_INPUT, PLAN_I32, 0, 9, "count"},
    {LOSS, 4, PLAN_OUTPUT, PLAN_F32, 1, 9, "loss"},
    {CORRECT, 4, PLAN_OUTPUT, PLAN_I32, 1, 9, "correct"},
    {SLOPE, ROWS * CLASSES * 4, PLAN_ACTIVATION, PLAN_F32, 0, 3, "slope"},
    {ROW_LOSS, ROWS * 4, PLAN_WORK, PLAN_F32, 0, 1, "row_loss"},
    {ROW_RIGHT, ROWS * 4, PLAN_WORK, PLAN_I32, 0, 1, "row_right"},
    {GW, W_BYTES, PLAN_GRADIENT, PLAN_F32, 3, 4, "gw"},
    {GB, CLASSES * 4, PLAN_GRADIENT, PLAN_F32, 3, 5, "gb"},
};

static const uint32_t args[] = {
    /*  0 forward  */ B_SLOPE, B_ROW_LOSS, B_ROW_RIGHT, B_IMAGE, B_LABEL, B_W, B_B,
    /*  7 total    */ B_LOSS, B_CORRECT, B_ROW_LOSS, B_ROW_RIGHT, B_COUNT,
    /* 12 mean     */ B_MEAN, B_IMAGE,
    /* 14 grad     */ B_GW, B_GB, B_SLOPE, B_IMAGE,
    /* 18 update_w */ B_W, B_WM, B_GW, B_LR,
    /* 22 update_b */ B_B, B_BM, B_GB, B_LR,
};

#define BIG 1e9 /* flops, so that the work is shared by all threads */
#define TRAIN_STEPS(name, forward_, total_, grad_, rows) \
    static const PlanStep name[] = { \
        {forward_, 0, 7, 3, 0, 0, rows, BIG, BIG, "dense fc", "tiny.net:7:12"}, \
        {total_, 7, 4, 2, 0, 0, 1, 1, 1, "cross_entropy", "tiny.net:9:5"}, \
        {K_MEAN, 12, 2, 1, 0, 0, 1, 1, 1, "mean", "tiny.net:6:5"}, \
        {grad_, 14, 4, 2, 0, 0, CLASSES, BIG, BIG, "grad", "tiny.net:7:12"}, \
        {K_UPDATE_W, 18, 4, 2, 0, 0, CLASSES, BIG, BIG, "sgd fc.weight", ""}, \
        {K_UPDATE_B, 22, 4, 2, 0, 0, CLASSES, 1, 1, "sgd fc.bias", ""}, \
    }
TRAIN_STEPS(train_steps, K_FORWARD, K_TOTAL, K_GRAD, ROWS);
TRAIN_STEPS(tail_steps, K_FORWARD_TAIL, K_TOTAL_TAIL, K_GRAD_TAIL, TAIL);
static const PlanStep eval_steps[] = {
    {K_FORWARD, 0, 7, 3, 0, 0, ROWS, BIG, BIG, "dense fc", "tiny.net:7:12"},
    {K_TOTAL_EVAL, 7, 5, 2, 0, 0, 1, 1, 1, "cross_entropy", "tiny.net:9:5"},
};

#define IMAGE_PORT(rows) {"image", \
    F32(4, {rows, 1, 28, 28}, {PIXELS, 1, 28, 1}), B_IMAGE, 3}
#define LABEL_PORT(rows) {"label", {PLAN_I32, 1, {rows}, {1}}, B_LABEL, 3}
static const PlanPort train_in[] = {
    IMAGE_PORT(ROWS), LABEL_PORT(ROWS), {"lr", {PLAN_F32, 0, {0}, {0}}, B_LR, 1}};
static const PlanPort tail_in[] = {
    IMAGE_PORT(TAIL), LABEL_PORT(TAIL), {"lr", {PLAN_F32, 0, {0}, {0}}, B_LR, 1}};
static const PlanPort eval_in[] = {
    IMAGE_PORT(ROWS), LABEL_PORT(ROWS),
    {"count", {PLAN_I32, 0, {0}, {0}}, B_COUNT, 1}};
static const PlanPort out[] = {
    {"loss", {PLAN_F32, 0, {0}, {0}}, B_LOSS, 1},
    {"correct", {PLAN_I32, 0, {0}, {0}}, B_CORRECT, 1}};

enum { BUFFERS = sizeof buffers / sizeof *buffers,
       ARGS = sizeof args / sizeof *args };
static const PlanGraph graphs[] = {
    {"train", train_in, out, 3, 2, buffers, BUFFERS, train_steps, 6, args, ARGS, NULL, 0,
     1, ARENA, ARENA, 3, 0, 0},
    {"train_tail", tail_in, out, 3, 2, buffers, BUFFERS, tail_steps, 6, args,
     ARGS, NULL, 0, 1, ARENA, ARENA, 3, 0, 0},
    {"eval", eval_in, out, 3, 2, buffers, BUFFERS, eval_steps, 2, args, ARGS, NULL, 0,
     -1, ARENA, ARENA, 0, 0, 0},
};
/* clang-format on */

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
static const Plan tiny_plan = {
    .version = PLAN_VERSION,
    .model = "tiny",
    .compiler = "by hand",
    .march = "native" PLAN_CPU_FEATURES,
    .parameters = CLASSES * PIXELS + CLASSES,
    .arena_bytes = ARENA,
    .scratch_bytes = PIXELS * 4,
    .settings = settings,
    .n_settings = COUNT_OF(settings),
    .states = states,
    .n_states = COUNT_OF(states),
    .kernels = kernels,
    .n_kernels = COUNT_OF(kernels),
    .graphs = graphs,
    .n_graphs = COUNT_OF(graphs),
#ifdef TINY_CUDA
    .device = PLAN_CUDA,
    .images = images,
    .n_images = COUNT_OF(images),
#endif
};

int main(int argc, char **argv)
{
    return tgc_main(&tiny_plan, argc, argv);
}
