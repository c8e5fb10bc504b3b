/* libcall.c: what a library node asks of the library. */
#include "libcall.h"
#include <string.h>

static void copy_spatial(int64_t *to, const int64_t *from, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = from[i];
}

static void copy_ints(int64_t *to, const Node *n, const char *attr)
{
    int count;
    const int64_t *v = node_ints(n, attr, &count);
    copy_spatial(to, v, count);
}

/* Of input [call, in_channels, in..] and result [call, out_channels, ..]. */
static void conv_desc(LibDesc *d, const Node *n, int kind, DType dtype,
                      int spatial, const int64_t *in)
{
    d->kind = (uint8_t)kind;
    d->dtype = (uint8_t)dtype;
    d->wide = (uint8_t)dtype_wide(dtype);
    d->spatial = (uint8_t)spatial;
    d->batch = node_int(n, "call");
    d->groups = node_int(n, "groups");
    d->winograd = node_int(n, "winograd") != 0;
    copy_spatial(d->in, in, spatial);
    copy_ints(d->kernel, n, "kernel");
    copy_ints(d->stride, n, "stride");
    copy_ints(d->dilation, n, "dilation");
    copy_ints(d->pad_low, n, "pad_low");
    copy_ints(d->pad_high, n, "pad_high");
    for (int i = 0; i < spatial; i++) {
        int64_t reach = d->dilation[i] * (d->kernel[i] - 1) + 1;
        int64_t room = d->in[i] + d->pad_low[i] + d->pad_high[i] - reach;
        d->out[i] = room / d->stride[i] + 1;
    }
}

static void pack_desc(LibDesc *d, const Node *n, int kind, const Type *w)
{
    int spatial;
    const int64_t *in = node_ints(n, "size", &spatial);
    conv_desc(d, n, kind, (DType)node_int(n, "dtype"), spatial, in);
    d->wide = (uint8_t)w->dtype;
    d->of = (uint8_t)node_int(n, "of");
    d->out_channels = w->dim[0];
    d->in_channels = w->dim[1] * d->groups;
}

static void matmul_desc(LibDesc *d, const Node *n, const Type *a, const Type *b)
{
    int last = a->rank - 1;
    bool ta = node_int(n, "transpose_a"), tb = node_int(n, "transpose_b");
    d->kind = LIB_MATMUL;
    d->dtype = (uint8_t)a->dtype;
    d->wide = (uint8_t)n->type->dtype;
    d->m = node_int(n, "rows");
    d->n = n->type->dim[last];
    d->k = a->dim[ta ? last - 1 : last];
    d->a_row = ta ? 1 : a->dim[last];
    d->a_col = ta ? a->dim[last] : 1;
    d->b_row = tb ? 1 : b->dim[last];
    d->b_col = tb ? b->dim[last] : 1;
}

void libcall_desc(const Graph *g, const Node *n, LibDesc *d)
{
    memset(d, 0, sizeof *d);
    const Type *a = graph_type(g, n->in[0]), *y = n->type;
    if (node_is(n, &op_lib_matmul)) {
        matmul_desc(d, n, a, graph_type(g, n->in[1]));
    } else if (node_is(n, &op_lib_pack)) {
        pack_desc(d, n, LIB_PACK, a);
    } else if (node_is(n, &op_lib_unpack)) {
        pack_desc(d, n, LIB_UNPACK, y);
    } else if (node_is(n, &op_lib_conv)) {
        conv_desc(d, n, LIB_CONV, a->dtype, a->rank - 2, &a->dim[2]);
        d->in_channels = a->dim[1];
        d->out_channels = y->dim[1];
    } else if (node_is(n, &op_lib_conv_grad_input)) {
        conv_desc(d, n, LIB_CONV_GRAD_INPUT, a->dtype, a->rank - 2, &y->dim[2]);
        d->in_channels = y->dim[1];
        d->out_channels = a->dim[1];
    } else {
        conv_desc(d, n, LIB_CONV_GRAD_WEIGHT, a->dtype, a->rank - 2,
                  &a->dim[2]);
        d->in_channels = a->dim[1];
        d->out_channels = graph_type(g, n->in[1])->dim[1];
    }
}

static bool lies(const Type *t, Layout layout)
{
    return t->rank < 3 ? t->layout == 0 : t->layout == layout;
}

bool libcall_lies_well(const Graph *g, const Node *n)
{
    bool plain = node_is(n, &op_lib_matmul) || node_is(n, &op_lib_pack) ||
                 node_is(n, &op_lib_unpack);
    bool well = true;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const Type *t = graph_type(g, n->in[i]);
        well &= lies(t, plain ? 0 : layout_channels_last(t->rank));
    }
    const Type *y = n->type;
    return well && lies(y, plain ? 0 : layout_channels_last(y->rank));
}

static int64_t bytes_for(const Type *t, int64_t parts)
{
    return type_bytes(t) / parts;
}

static LibParts matmul_parts(const Graph *g, const Node *n)
{
    const Type *a = graph_type(g, n->in[0]), *b = graph_type(g, n->in[1]);
    const Type *y = n->type;
    int64_t parts =
        type_elements(y) / (node_int(n, "rows") * y->dim[y->rank - 1]);
    LibParts p = {parts, bytes_for(a, parts), 0, bytes_for(y, parts)};
    if (y->rank > 2)
        p.b_bytes = bytes_for(b, parts);
    else if (node_int(n, "transpose_a")) /* rows are neighbours */
        p.a_bytes = node_int(n, "rows") * (int64_t)dtype_size(a->dtype);
    return p;
}

LibParts libcall_parts(const Graph *g, const Node *n)
{
    if (node_is(n, &op_lib_matmul))
        return matmul_parts(g, n);
    if (node_is(n, &op_lib_pack) || node_is(n, &op_lib_unpack))
        return (LibParts){.parts = 1};
    const Type *a = graph_type(g, n->in[0]);
    int64_t parts = a->dim[0] / node_int(n, "call");
    LibParts p = {parts, bytes_for(a, parts), 0, bytes_for(n->type, parts)};
    if (node_is(n, &op_lib_conv_grad_weight))
        p.b_bytes = bytes_for(graph_type(g, n->in[1]), parts);
    return p;
}
