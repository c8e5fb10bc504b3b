/* onnx.c: see onnx.h. */
#include "onnx_private.h"
#include <stdlib.h>
#include <string.h>

#define FILE_MOST 2147483647u /* what protocol buffers may hold */

int onnx_type(DType t)
{
    static const int type[DT_COUNT] = {
        [DT_BOOL] = 9, [DT_U8] = 2,    [DT_I32] = 6, [DT_I64] = 7,
        [DT_F16] = 10, [DT_BF16] = 16, [DT_F32] = 1, [DT_F64] = 11,
    };
    return type[t];
}

/* ---- initializers ------------------------------------------------------- */

static void put_tensor(OnnxWriter *w, const char *name, DType t,
                       const int64_t *dim, int rank, const void *data,
                       size_t bytes)
{
    Protobuf p = {.grows = true};
    for (int i = 0; i < rank; i++)
        protobuf_varint(&p, TENSOR_DIMS, (uint64_t)dim[i]);
    protobuf_varint(&p, TENSOR_TYPE, (uint64_t)onnx_type(t));
    protobuf_text(&p, TENSOR_NAME, name);
    protobuf_bytes(&p, TENSOR_RAW, data, bytes);
    w->graph.failed = w->graph.failed || p.failed;
    protobuf_bytes(&w->graph, GRAPH_INITIALIZER, p.data, p.n);
    free(p.data);
}

const char *onnx_constant(OnnxWriter *w, DType t, const int64_t *dim, int rank,
                          const void *data, size_t bytes)
{
    const char *name = arena_printf(w->arena, "constant_%u", w->fresh++);
    put_tensor(w, name, t, dim, rank, data, bytes);
    return name;
}

const char *onnx_ints(OnnxWriter *w, const int64_t *v, int n)
{
    int64_t dim = n;
    return onnx_constant(w, DT_I64, &dim, 1, v, (size_t)n * sizeof *v);
}

static bool put_weights(OnnxWriter *w, const State *s)
{
    size_t n = (size_t)type_elements(&s->type);
    if (n > FILE_MOST / sizeof(float))
        return error_set(w->e, "%.200s is larger than an ONNX file can be",
                         s->name);
    float *data = malloc(n * sizeof *data + 1);
    if (!data)
        return error_set(w->e, "no memory for %.200s", s->name);
    bool ok = w->model->weights(w->model->context, s, data, w->e);
    if (ok)
        put_tensor(w, s->name, DT_F32, s->type.dim, s->type.rank, data,
                   n * sizeof *data);
    free(data);
    return ok;
}

/* Once, however many nodes read it. */
static bool put_state(OnnxWriter *w, uint32_t id)
{
    const char *name = node_string(&w->g->node[id], "name");
    w->name[id] = name;
    for (uint32_t i = 1; i < id; i++)
        if (w->name[i] && !strcmp(w->name[i], name))
            return true;
    return put_weights(w,
                       &w->g->module->state[module_state(w->g->module, name)]);
}

/* ---- inputs and outputs ------------------------------------------------- */

static void put_inside(Protobuf *p, int field, Protobuf *inner)
{
    p->failed = p->failed || inner->failed;
    protobuf_bytes(p, field, inner->data, inner->n);
    free(inner->data);
}

static void put_value(Protobuf *graph, int field, const char *name,
                      const Type *t)
{
    Protobuf value = {.grows = true}, type = {.grows = true},
             tensor = {.grows = true}, shape = {.grows = true};
    for (int i = 0; i < t->rank; i++) {
        Protobuf dim = {.grows = true};
        if (t->dim[i] == ONNX_BATCH)
            protobuf_text(&dim, DIM_PARAM, "batch");
        else
            protobuf_varint(&dim, DIM_VALUE, (uint64_t)t->dim[i]);
        put_inside(&shape, SHAPE_DIM, &dim);
    }
    protobuf_varint(&tensor, TENSOR_TYPE_ELEM, (uint64_t)onnx_type(t->dtype));
    put_inside(&tensor, TENSOR_TYPE_SHAPE, &shape);
    put_inside(&type, TYPE_TENSOR, &tensor);
    protobuf_text(&value, VALUE_NAME, name);
    put_inside(&value, VALUE_TYPE, &type);
    put_inside(graph, field, &value);
}

/* ---- which nodes -------------------------------------------------------- */

/* What the right answers are counted by: the operand of the argmax that
 * output "correct" depends on. */
static Value find_scores(const Graph *g)
{
    bool *leads = calloc(g->n_nodes, sizeof *leads);
    Value scores = NO_VALUE;
    for (uint32_t id = g->n_nodes - 1; leads && id > 0; id--) {
        const Node *n = &g->node[id];
        bool root = node_is(n, &op_output) &&
                    !strcmp(node_string(n, "name"), "correct");
        if (!root && !leads[id])
            continue;
        if (node_is(n, &op_argmax)) {
            scores = n->in[0];
            break;
        }
        for (uint32_t i = 0; i < n->n_in; i++)
            leads[n->in[i].node] = true;
    }
    free(leads);
    return scores;
}

static bool *find_needed(const Graph *g, Value scores, Arena *a)
{
    bool *needed = arena_array(a, g->n_nodes, sizeof *needed);
    needed[scores.node] = true;
    for (uint32_t id = scores.node; id > 0; id--)
        for (uint32_t i = 0; needed[id] && i < g->node[id].n_in; i++)
            needed[g->node[id].in[i].node] = true;
    return needed;
}

static bool put_one(OnnxWriter *w, uint32_t id)
{
    const Node *n = &w->g->node[id];
    if (node_is(n, &op_state))
        return put_state(w, id);
    if (!node_is(n, &op_input))
        return onnx_node(w, id);
    w->name[id] = node_string(n, "name");
    put_value(&w->graph, GRAPH_INPUT, w->name[id], &n->type[0]);
    return true;
}

static bool put_graph(OnnxWriter *w)
{
    const Graph *g = w->g;
    Value scores = find_scores(g);
    if (!scores.node)
        return error_set(w->e, "graph %s does not compare scores to labels",
                         g->name);
    bool *needed = find_needed(g, scores, w->arena);
    protobuf_text(&w->graph, GRAPH_NAME, g->module->name);
    for (uint32_t id = 1; id <= scores.node; id++)
        if (needed[id] && !put_one(w, id))
            return false;
    Protobuf node = {.grows = true};
    protobuf_text(&node, NODE_INPUT, w->name[scores.node]);
    protobuf_text(&node, NODE_OUTPUT, "scores");
    protobuf_text(&node, NODE_NAME, "scores");
    protobuf_text(&node, NODE_OP, "Identity");
    put_inside(&w->graph, GRAPH_NODE, &node);
    put_value(&w->graph, GRAPH_OUTPUT, "scores", graph_type(g, scores));
    return true;
}

/* ---- the file ----------------------------------------------------------- */

/* What the images went through before they reached the net. */
static void put_settings(Protobuf *file, const Module *m, Arena *a)
{
    static const char *const keys[] = {"data", "data.mean", "data.std"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const SettingValue *v = settings_get(&m->settings, keys[i]);
        Protobuf entry = {.grows = true};
        if (!v)
            continue;
        protobuf_text(&entry, ENTRY_KEY, keys[i]);
        protobuf_text(&entry, ENTRY_VALUE, setting_value_text(v, a));
        put_inside(file, MODEL_METADATA, &entry);
    }
}

static void put_model(OnnxWriter *w, Protobuf *file)
{
    Protobuf opset = {.grows = true};
    protobuf_varint(file, MODEL_IR_VERSION, 8);
    protobuf_text(file, MODEL_PRODUCER, "tgc");
    protobuf_text(&opset, OPSET_DOMAIN, "");
    protobuf_varint(&opset, OPSET_VERSION, ONNX_OPSET);
    put_inside(file, MODEL_OPSET, &opset);
    put_settings(file, w->g->module, w->arena);
    put_inside(file, MODEL_GRAPH, &w->graph);
}

bool onnx_write(const OnnxModel *m, Protobuf *file, Error *e)
{
    Arena *a = arena_new();
    OnnxWriter w = {.model = m, .g = m->graph, .arena = a, .e = e};
    w.graph.grows = true;
    w.name = arena_array(a, m->graph->n_nodes, sizeof *w.name);
    w.small = arena_array(a, m->graph->n_nodes, sizeof *w.small);
    *file = (Protobuf){.grows = true};
    bool ok = put_graph(&w);
    if (ok)
        put_model(&w, file);
    else
        free(w.graph.data);
    if (ok && file->failed)
        ok = error_set(e, "no memory for the ONNX file");
    if (ok && file->n > FILE_MOST)
        ok = error_set(e, "an ONNX file holds at most 2 GB");
    if (!ok) {
        free(file->data);
        *file = (Protobuf){0};
    }
    arena_free(a);
    return ok;
}
