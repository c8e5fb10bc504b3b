/* plan.h: the contract between compiler and runtime.
 *
 * A compiled model is this table, packed into bytes (at the end), and the
 * kernels it points to.  The runtime knows nothing else about the model: no
 * graph, no ops, no shapes but those of states, inputs and outputs.
 *
 *     Plan ── settings          "data.crop" = 4, ...
 *       ├─ states               what a checkpoint holds, and how it starts
 *       ├─ lib                  library calls (lib.h), made once at start
 *       ├─ convs                cuda: what cuDNN computes
 *       ├─ kernels              functions for the cpu, names for a GPU
 *       ├─ images               cuda: what holds the kernels of those names
 *       └─ graphs               "train", "train_tail", "eval"
 *            ├─ inputs, outputs
 *            ├─ buffers         offset and bytes in the one arena
 *            └─ steps           kernel + its buffers, in order
 *
 * Everything lies in one arena of plan.arena_bytes, taken at start, plus
 * scratch_bytes for each thread; nothing is allocated after that.
 */
#ifndef TGC_PLAN_H
#define TGC_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PLAN_VERSION = 4, PLAN_MAX_RANK = 8 };

/* ---- kernels ------------------------------------------------------------ */

struct LibCall;

/* What a kernel gets.  It computes the parts begin .. end-1 of the step's
 * `parts`; parts are independent, so any split over threads gives the same
 * bits. */
typedef struct KernelCall {
    char *const *buf;           /* results first, then operands */
    struct LibCall *const *lib; /* the step's library calls */
    char *scratch;              /* this thread's, scratch_bytes */
    int thread;                 /* 0 .. threads-1 */
} KernelCall;

typedef void Kernel(const KernelCall *call, int64_t begin, int64_t end);

/* For generated code: run library call `which` on these buffers. */
void tgc_lib_run(const KernelCall *call, int which, const void *a,
                 const void *b, void *result);

/* ---- types -------------------------------------------------------------- */

/* Same numbers as the IR's DType. */
typedef enum PlanDType {
    PLAN_BOOL = 1,
    PLAN_U8,
    PLAN_I32,
    PLAN_I64,
    PLAN_F16,
    PLAN_BF16,
    PLAN_F32,
    PLAN_F64
} PlanDType;

typedef struct PlanType {
    uint8_t dtype, rank;
    /* Dimensions, logical order, and elements between neighbours along each:
     * an image batch is [N,C,H,W] with channels-last strides. */
    int64_t dim[PLAN_MAX_RANK], stride[PLAN_MAX_RANK];
} PlanType;

/* ---- the tables --------------------------------------------------------- */

/* Same numbers as the IR's SettingType. */
typedef enum PlanSettingKind {
    PLAN_SET_INT,
    PLAN_SET_FLOAT,
    PLAN_SET_BOOL,
    PLAN_SET_WORD,
    PLAN_SET_TEXT,
    PLAN_SET_NUMBERS
} PlanSettingKind;

typedef struct PlanSetting {
    const char *key;  /* "data.mean" */
    const char *text; /* "[0.485, 0.456, 0.406]", "cifar10", "128"; NULL
                         where unset: run_time ones are listed even so */
    bool run_time;    /* may be changed by the binary's command line */
    uint8_t kind;
    const char *words;  /* allowed words, "constant cosine"; NULL: any */
    const char *only;   /* kinds of its section that have it; NULL: all */
    double low, high;   /* allowed numbers */
    const char *origin; /* "resnet.net:23", "default"; NULL: unset */
} PlanSetting;

/* Same numbers as the IR's StateRole. */
typedef enum PlanRole { PLAN_PARAM, PLAN_BUFFER, PLAN_SLOT, PLAN_RUN } PlanRole;

typedef enum PlanInit {
    PLAN_CONST,
    PLAN_NORMAL,
    PLAN_UNIFORM,
    PLAN_PATCHES /* whiten.h; without images normal, mean 0 */
} PlanInit;

typedef struct PlanState {
    const char *name, *of; /* "layer1.0.conv1.weight"; slots: of which one */
    PlanType type;
    uint8_t role, init;
    bool frozen;
    double init_a, init_b; /* const a; mean a, deviation b; a <= x < b;
                              patches: eps a, deviation b */
    int64_t offset, bytes;
} PlanState;

/* Same numbers as the IR's BufferKind. */
typedef enum PlanBufferKind {
    PLAN_STATE,
    PLAN_INPUT,
    PLAN_OUTPUT,
    PLAN_ACTIVATION,
    PLAN_GRADIENT,
    PLAN_WORK,
    PLAN_BUFFER_KINDS
} PlanBufferKind;

typedef struct PlanBuffer {
    int64_t offset, bytes; /* in the arena; inputs: of the first slot */
    uint8_t kind;
    uint8_t dtype;
    int32_t first, last; /* steps */
    const char *name;    /* of the state or input, or of the op */
} PlanBuffer;

/* "image", "label", "count" (valid rows of the batch), "lr", "step" (batches
 * so far), "seed", "share" (this batch's, of the images of a training step):
 * the runtime fills what it knows by name and refuses a plan that asks for
 * anything else. */
typedef struct PlanPort {
    const char *name;
    PlanType type;
    uint32_t buffer;
    uint32_t slots; /* inputs fed by the loader: copies, `bytes` rounded up to
                       64 apart, used in turn; else 1 */
} PlanPort;

typedef struct PlanStep {
    uint32_t kernel;        /* in Plan.kernels */
    uint32_t arg;           /* first of its buffers in PlanGraph.args */
    uint16_t n_args, n_out; /* the first n_out are written */
    uint32_t lib;           /* first of its calls in PlanGraph.libs */
    uint32_t n_libs;
    int64_t parts;
    double flops, bytes;    /* so that small steps stay on one thread */
    const char *what, *loc; /* "conv layer1.0.conv1", "resnet.net:14:27" */
} PlanStep;

typedef struct PlanGraph {
    const char *name;
    const PlanPort *inputs, *outputs;
    uint32_t n_inputs, n_outputs;
    const PlanBuffer *buffers;
    uint32_t n_buffers;
    const PlanStep *steps;
    uint32_t n_steps;
    const uint32_t *args; /* buffer numbers */
    uint32_t n_args;
    const uint32_t *libs; /* numbers in Plan.lib */
    uint32_t n_libs;
    int32_t loss_step; /* after this step the loss is known and no state
                          that matters has changed yet; -1: none */
    int64_t arena_bytes, live_bytes; /* of this graph; arena: the largest */
    int32_t peak_step;
    uint32_t unfused_steps; /* each op a kernel of its own; 0: not known */
    double unfused_bytes;   /* that those would move */
} PlanGraph;

/* For the cpu, a function.  For cuda, a kernel of every image,
 *
 *     extern "C" __global__ void __launch_bounds__(threads)
 *     NAME(T0 *y0, .., const T1 *x0, ..)
 *
 * with a pointer for each argument of the step, results first; blockIdx.x is
 * the part, the grid has as many blocks as the step has parts.  All else is
 * constant in its text. */
typedef struct PlanKernel {
    const char *name;
    Kernel *run;      /* cuda: NULL */
    uint32_t threads; /* cuda: of a block, its launch bound; cpu: 0 */
    uint32_t shared;  /* cuda: bytes of dynamic shared memory of a block */
    uint32_t conv;    /* cuda: 1 + a number in Plan.convs: no kernel of the
                         images, threads is 0; 0: it is one */
    const char *why;  /* cuda, convolutions: why it is one; NULL */
    uint32_t unit;    /* cuda: the image's that it is in, of a GPU's images */
} PlanKernel;

/* A convolution or a gradient of one, by cuDNN.  Images and weights have the
 * shapes of the forward convolution
 *
 *     x [N,C,spatial..]  w [O,C/groups,k..]  y [N,O,out..]
 *
 * and one of the three, or its gradient, is what is computed. */
typedef enum PlanConvKind {
    PLAN_CONV = 1,        /* y */
    PLAN_CONV_GRAD_INPUT, /* x, from y and w */
    PLAN_CONV_GRAD_WEIGHT /* w, from x and y */
} PlanConvKind;

enum { PLAN_MAX_SPATIAL = 3 };

typedef struct PlanConv {
    uint8_t kind, spatial;                      /* 1..3 */
    uint8_t x_arg, w_arg, y_arg, workspace_arg; /* among the step's arguments */
    PlanType x, w, y;
    int64_t groups;
    int64_t stride[PLAN_MAX_SPATIAL], dilation[PLAN_MAX_SPATIAL];
    int64_t pad_low[PLAN_MAX_SPATIAL], pad_high[PLAN_MAX_SPATIAL];
    int64_t workspace; /* bytes that there are: an engine that wants more is
                          not taken */
} PlanConv;

typedef enum PlanDevice { PLAN_CPU, PLAN_CUDA } PlanDevice;

/* Cuda kernels of the plan, compiled for one kind of GPU: those of one unit;
 * all units of an `arch` are the whole.  A cubin runs on GPUs of the same major
 * number from its minor number on (with the letter a: on just that one), PTX on
 * all from its number on. */
typedef struct PlanImage {
    const char *arch; /* "sm_90", "sm_90a": a cubin; "compute_90": PTX, with a
                         zero at its end */
    const void *data;
    int64_t bytes;
    int32_t cuda; /* version of what made it, 13000 is 13.0; a driver that
                     knows less may refuse it.  0: not known */
    uint32_t unit;
} PlanImage;

/* A kernel that does what another does, in a tile of another size, for bench
 * --tune. */
typedef struct PlanCandidate {
    uint32_t instead; /* kernel that the steps run */
    uint32_t kernel;
    int64_t parts;    /* of such a step */
    const char *tile; /* its name, for the file of tiles */
} PlanCandidate;

/* Beside the kernels, the last unit of a tgc has tgc_fetch, which makes a batch
 * of images that live on the device (codegen/cuda_fetch.cuh).  An image of the
 * batch is a window of one of them: pixel (y, x) comes from (y0 + y, x0 + x *
 * step), and is black outside; in the box it is the mean. */
typedef struct PlanRow {
    int32_t sample; /* -1: zeros */
    int32_t y0, x0, step;
    int32_t box[4]; /* top, left, bottom, right; the ends are exclusive */
} PlanRow;

struct LibDesc;

typedef struct Plan {
    uint32_t version;
    const char *model;    /* "resnet110" */
    const char *compiler; /* "tgc 0.1, gcc 12.2, -march=..." */
    const char *march;    /* "native", and PLAN_CPU_FEATURES, so that the
                             wrong machine is told, not crashed */
    int64_t parameters;   /* trained scalars */
    int64_t arena_bytes, scratch_bytes;
    int64_t program_bytes; /* what the program takes of memory besides these */
    const PlanSetting *settings;
    uint32_t n_settings;
    const PlanState *states;
    uint32_t n_states;
    const struct LibDesc *lib;
    uint32_t n_libs;
    const PlanConv *convs; /* cuda */
    uint32_t n_convs;
    const PlanKernel *kernels;
    uint32_t n_kernels;
    const PlanCandidate *candidates; /* by `instead`: itself, then the others */
    uint32_t n_candidates;
    const PlanGraph *graphs;
    uint32_t n_graphs;
    uint8_t device;          /* PlanDevice: what the kernels are made for */
    const PlanImage *images; /* cuda */
    uint32_t n_images;
} Plan;

/* The instruction sets that the file including this was compiled for, as one
 * literal: " avx2 fma avx512f".  Generated code puts it into Plan.march. */
#ifdef __AVX2__
#define PLAN_HAS_AVX2 " avx avx2"
#else
#define PLAN_HAS_AVX2
#endif
#ifdef __FMA__
#define PLAN_HAS_FMA " fma"
#else
#define PLAN_HAS_FMA
#endif
#ifdef __AVX512F__
#define PLAN_HAS_AVX512F " avx512f"
#else
#define PLAN_HAS_AVX512F
#endif
#ifdef __AVX512BW__
#define PLAN_HAS_AVX512BW " avx512bw avx512dq avx512vl"
#else
#define PLAN_HAS_AVX512BW
#endif
#ifdef __AVX512BF16__
#define PLAN_HAS_AVX512BF16 " avx512bf16"
#else
#define PLAN_HAS_AVX512BF16
#endif
#define PLAN_CPU_FEATURES                                                      \
    PLAN_HAS_AVX2 PLAN_HAS_FMA PLAN_HAS_AVX512F PLAN_HAS_AVX512BW              \
        PLAN_HAS_AVX512BF16

/* ---- the packed form ---------------------------------------------------- */

/* The tables of a ResNet-1202 take six megabytes, and less than one when they
 * are compressed.  So the compiler fills the structs above as they are and
 * packs them into bytes (codegen/plan_pack.c); a program unpacks them when it
 * starts (plan_unpack.c), for a ResNet-1202 in 20 ms.
 *
 * A new field that is a number needs nothing but its line above.  A pointer,
 * to a text or to a table, needs a line in plan_shape.c, too. */
typedef struct PlanPack {
    const unsigned char *data;
    int64_t packed, bytes;   /* of data; of what it unpacks to */
    Kernel *const *run;      /* PlanKernel.run of each kernel; cuda: NULL */
    const PlanImage *images; /* cuda */
    uint32_t n_images;
    /* Plan.compiler and .march, known when the C compiler runs. */
    const char *compiler, *march;
} PlanPack;

/* What a struct of the plan points to.  In packed bytes a pointer is the place
 * of what it points to, from their beginning; 0 is NULL.  First of all comes
 * PlanHead, then the Plan. */
typedef struct PlanShape PlanShape;
typedef struct PlanLink {
    size_t at;           /* of the pointer in its struct */
    size_t count;        /* of the uint32_t number of elements, but for texts */
    const PlanShape *to; /* the elements; NULL: a text */
} PlanLink;
struct PlanShape {
    size_t size;
    const PlanLink *link;
    size_t n_links;
};
extern const PlanShape plan_shape; /* of Plan */
uint32_t plan_link_count(const PlanLink *link, const void *element);
/* A number that is another one when structs have changed. */
uint64_t plan_layout(void);

typedef struct PlanHead {
    uint64_t version, layout;
} PlanHead;

/* The plan as it was; free it with plan_free.  NULL, with a sentence in error,
 * where it is damaged or of another version, or there is no memory. */
Plan *plan_unpack(const PlanPack *pack, char *error, size_t size);
void plan_free(Plan *plan); /* NULL is fine */

/* The generated main is:  return tgc_main_packed(&pack, argc, argv);
 * tgc_main is for a plan written by hand. */
int tgc_main(const Plan *plan, int argc, char **argv);
int tgc_main_packed(const PlanPack *pack, int argc, char **argv);

#endif
