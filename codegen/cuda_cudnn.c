/* cuda_cudnn.c: see cuda_cudnn.h. */
#include "cuda_cudnn.h"
#include "build.h"
#include "cuda_choice.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    SPATIAL_MOST = 3,
    ATTRS_MOST = 7,
    /* Where cuDNN may work: as much as it reads and writes, which is what its
     * rearranged copies take, and something besides. */
    WORK_SPARE = 4 << 20,
    WORK_MOST = 256 << 20
};

/* ---- lowering ----------------------------------------------------------- */

static Value channels_last(Graph *g, Value v)
{
    Layout layout = layout_channels_last(graph_type(g, v)->rank);
    if (graph_type(g, v)->layout == layout)
        return v;
    v = ir_unary(g, &op_copy, v);
    graph_node(g, v)->type[0].layout = layout;
    return v;
}

static int64_t workspace(const Graph *g, const Node *n, const Value *in)
{
    int64_t bytes = WORK_SPARE + type_bytes(&n->type[0]);
    for (uint32_t i = 0; i < n->n_in; i++)
        bytes += type_bytes(graph_type(g, in[i]));
    return bytes < WORK_MOST ? bytes : WORK_MOST;
}

void cudnn_lower(Graph *g, const Node *n, const Value *in, Value *out)
{
    static const OpDesc *const ops[][2] = {
        {&op_conv, &op_cudnn_conv},
        {&op_conv_grad_input, &op_cudnn_conv_grad_input},
        {&op_conv_grad_weight, &op_cudnn_conv_grad_weight},
    };
    const OpDesc *op = NULL;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        op = node_is(n, ops[i][0]) ? ops[i][1] : op;
    assert(op && "a convolution");
    Attr attr[ATTRS_MOST];
    int n_attr = 0;
    for (; n->op->attrs[n_attr].name; n_attr++)
        attr[n_attr] = n->attr[n_attr];
    attr[n_attr++] = attr_int("workspace", workspace(g, n, in));
    Value both[] = {channels_last(g, in[0]), channels_last(g, in[1])};
    out[0] = ir_node(g, op, both, 2, attr, n_attr);
}

/* ---- the plan ----------------------------------------------------------- */

bool cudnn_is_step(const Graph *g, const Step *s)
{
    const Node *n = &g->node[s->first];
    return node_is(n, &op_cudnn_conv) ||
           node_is(n, &op_cudnn_conv_grad_input) ||
           node_is(n, &op_cudnn_conv_grad_weight);
}

static void fill_type(PlanType *p, const Type *t)
{
    int64_t stride[MAX_RANK];
    type_strides(t, stride);
    p->dtype = (uint8_t)t->dtype;
    p->rank = t->rank;
    memcpy(p->dim, t->dim, t->rank * sizeof *t->dim);
    memcpy(p->stride, stride, t->rank * sizeof *stride);
}

static void fill_ints(int64_t *to, const Node *n, const char *name)
{
    int count;
    const int64_t *v = node_ints(n, name, &count);
    assert(count <= SPATIAL_MOST);
    memcpy(to, v, (size_t)count * sizeof *v);
}

/* Among the arguments of the step, which has each operand once. */
static uint8_t operand(const Step *s, Value v)
{
    uint32_t i = 0;
    while (!value_equal(s->in[i], v))
        i++;
    return (uint8_t)(s->n_out + i);
}

static void fill_conv(PlanConv *p, const Graph *g, const Step *s)
{
    const Node *n = &g->node[s->first];
    const Type *a = graph_type(g, n->in[0]), *b = graph_type(g, n->in[1]);
    uint8_t a_arg = operand(s, n->in[0]), b_arg = operand(s, n->in[1]);
    memset(p, 0, sizeof *p);
    p->workspace_arg = 1; /* results come first, in order */
    if (node_is(n, &op_cudnn_conv)) {
        p->kind = PLAN_CONV;
        fill_type(&p->x, a), fill_type(&p->w, b), fill_type(&p->y, n->type);
        p->x_arg = a_arg, p->w_arg = b_arg;
    } else if (node_is(n, &op_cudnn_conv_grad_input)) {
        p->kind = PLAN_CONV_GRAD_INPUT;
        fill_type(&p->y, a), fill_type(&p->w, b), fill_type(&p->x, n->type);
        p->y_arg = a_arg, p->w_arg = b_arg;
    } else {
        p->kind = PLAN_CONV_GRAD_WEIGHT;
        fill_type(&p->x, a), fill_type(&p->y, b), fill_type(&p->w, n->type);
        p->x_arg = a_arg, p->y_arg = b_arg;
    }
    p->spatial = (uint8_t)(a->rank - 2);
    p->groups = node_int(n, "groups");
    p->workspace = node_int(n, "workspace");
    fill_ints(p->stride, n, "stride");
    fill_ints(p->dilation, n, "dilation");
    fill_ints(p->pad_low, n, "pad_low");
    fill_ints(p->pad_high, n, "pad_high");
}

static void print_ints(const char *name, const int64_t *v, int n, FILE *out)
{
    fprintf(out, ", %s ", name);
    for (int i = 0; i < n; i++)
        fprintf(out, "%s%" PRId64, i ? "," : "", v[i]);
}

static void print_type(const char *name, const PlanType *t, FILE *out)
{
    fprintf(out, "%s %s", name, dtype_name((DType)t->dtype));
    print_ints("dims", t->dim, t->rank, out);
    print_ints("strides", t->stride, t->rank, out);
}

/* All that there is to it: two convolutions of one text are one. */
static void print_conv(const PlanConv *p, FILE *out)
{
    static const char *const kind[] = {
        [PLAN_CONV] = "convolution",
        [PLAN_CONV_GRAD_INPUT] = "gradient of the input",
        [PLAN_CONV_GRAD_WEIGHT] = "gradient of the weights"};
    fprintf(out, "/* cuDNN: %s", kind[p->kind]);
    print_ints("groups", &p->groups, 1, out);
    print_ints("stride", p->stride, p->spatial, out);
    print_ints("dilation", p->dilation, p->spatial, out);
    print_ints("pad_low", p->pad_low, p->spatial, out);
    print_ints("pad_high", p->pad_high, p->spatial, out);
    print_ints("workspace", &p->workspace, 1, out);
    print_type("\n * x", &p->x, out);
    print_type("\n * w", &p->w, out);
    print_type("\n * y", &p->y, out);
    fprintf(out, "\n * arguments x %d, w %d, y %d */\n\n", p->x_arg, p->w_arg,
            p->y_arg);
}

void cudnn_add(Kernels *k, const Graph *g, const Step *s, StepCode *code)
{
    PlanConv conv;
    char *text;
    size_t size;
    fill_conv(&conv, g, s);
    FILE *f = open_memstream(&text, &size);
    print_conv(&conv, f);
    fclose(f);
    *code = (StepCode){kernels_add_text(k, g, s, text), UINT32_MAX, 1};
    free(text);
    KernelText *kernel = &k->kernel[code->kernel];
    if (kernel->conv)
        return;
    kernel->why = choice_why(k->tiles, g, &g->node[s->first], k->arena);
    ARENA_PUSH(k->arena, k->conv, k->n_convs, k->cap_convs, conv);
    kernel->conv = (uint32_t)k->n_convs;
}
