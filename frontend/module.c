/* module.c: from a file to graphs.
 *
 *     train       image, label, lr -> loss (mean over the batch), correct;
 *                 with mixup or cutmix also other_label, mix
 *     train_part  a part of it that only adds up gradients, where the setting
 *                 accumulate asks for parts
 *     train_tail  the same for the last, smaller batch of an epoch
 *     eval        image, label, count -> loss (sum), correct, over the first
 *                 `count` images of the batch: the last batch is padded;
 *                 predicted, the class of each
 *
 * The net is elaborated once for each; states are shared by name. */
#include "elaborate.h"
#include "parse.h"
#include <inttypes.h>
#include <string.h>

/* ---- pieces of graphs
 * --------------------------------------------------------------- */

static Value node1(Elab *el, const OpDesc *op, Value a, const Attr *attr, int n)
{
    return elab_node(el, el->net->item->name.span, op, &a, 1, attr, n);
}

static Value node2(Elab *el, const OpDesc *op, Value a, Value b)
{
    return elab_node(el, el->net->item->name.span, op, (Value[]){a, b}, 2, NULL,
                     0);
}

static Value input(Elab *el, const char *name, const Type *type)
{
    Attr attr[] = {attr_string("name", name), attr_dtype("dtype", type->dtype),
                   attr_ints("shape", type->dim, type->rank)};
    return elab_node(el, el->net->item->name.span, &op_input, NULL, 0, attr, 3);
}

static void output(Elab *el, const char *name, Value v)
{
    Attr attr = attr_string("name", name);
    node1(el, &op_output, v, &attr, 1);
}

static Value sum(Elab *el, Value v)
{
    Attr attr = attr_ints("axes", (const int64_t[]){0}, 1);
    return node1(el, &op_reduce_sum, v, &attr, 1);
}

static Value constant(Elab *el, Type type, double value)
{
    Attr attr[] = {attr_float("value", value), attr_dtype("dtype", type.dtype),
                   attr_ints("shape", type.dim, type.rank)};
    return elab_node(el, el->net->item->name.span, &op_const, NULL, 0, attr, 3);
}

/* bool[N]: rows below `count`. */
static Value real_rows(Elab *el, int64_t batch)
{
    Type one = type_scalar(DT_I32), many = type_make(DT_I32, 1, &batch);
    Value count = input(el, "count", &one);
    Attr iota[] = {attr_int("axis", 0), attr_dtype("dtype", DT_I32),
                   attr_ints("shape", &batch, 1)};
    Value row =
        elab_node(el, el->net->item->name.span, &op_iota, NULL, 0, iota, 3);
    Attr wide[] = {attr_ints("shape", many.dim, 1), attr_ints("dims", NULL, 0)};
    return node2(el, &op_less, row, node1(el, &op_broadcast, count, wide, 2));
}

/* v where the row is real, else 0. */
static Value only_real(Elab *el, Value real, Value v)
{
    if (!real.node || !v.node)
        return NO_VALUE;
    Value in[] = {real, v, constant(el, *graph_type(el->graph, v), 0)};
    return elab_node(el, el->net->item->name.span, &op_select, in, 3, NULL, 0);
}

/* ---- loss and metrics
 * ---------------------------------------------------------------- */

/* What the net returns must be a score for each class. */
static bool check_scores(Elab *el, Datum scores)
{
    Span at = el->net->item->name.span;
    if (scores.kind == DATUM_ERROR)
        return false;
    if (scores.kind != DATUM_TENSOR) {
        diag_error(el->diag, at, "a net returns one tensor, not %s",
                   datum_text(scores, el->graph, el->arena));
        return false;
    }
    const Type *t = graph_type(el->graph, scores.tensor);
    if (t->rank == 2)
        return true;
    if (diag_error(el->diag, at,
                   "cross_entropy wants [classes] from the net, not %s",
                   shape_text(t, el->arena)))
        diag_hint(el->diag, "return dense(flatten(x), classes)");
    return false;
}

/* So that a label that the net has no score for is found when data is read. */
static void note_classes(Elab *el, Value scores)
{
    char error[MAX_TEXT];
    SettingValue n = {.type = SET_INT,
                      .number = (double)graph_type(el->graph, scores)->dim[1]};
    if (!settings_set(&el->module->settings, el->module->arena, "data.classes",
                      n, 0, error, sizeof error))
        diag_error(el->diag, el->net->item->name.span, "%s", error);
}

static bool has_parameter(const Elab *el)
{
    for (size_t i = 0; i < el->module->n_states; i++)
        if (el->module->state[i].role == STATE_PARAM)
            return true;
    return false;
}

/* The loss of each row, [N]. */
static Value row_loss(Elab *el, Value scores, Value label)
{
    double smoothing =
        settings_number(&el->module->settings, "loss.label_smoothing");
    Attr smooth = attr_float("smoothing", el->training ? smoothing : 0);
    return elab_node(el, el->net->item->name.span, &op_softmax_cross_entropy,
                     (Value[]){scores, label}, 2, &smooth, 1);
}

/* Images of two: mix * loss(label) + (1 - mix) * loss(other_label). */
static Value mixed_loss(Elab *el, Value own, Value scores)
{
    const Settings *s = &el->module->settings;
    Type many = type_make(DT_I32, 1, &el->batch), one = type_scalar(DT_F32);
    if (!own.node || !el->training ||
        (settings_number(s, "data.mixup") <= 0 &&
         settings_number(s, "data.cutmix") <= 0))
        return own;
    Value other = row_loss(el, scores, input(el, "other_label", &many));
    Value mix = input(el, "mix", &one);
    if (!other.node)
        return other;
    DType real = graph_type(el->graph, own)->dtype;
    Attr dtype = attr_dtype("dtype", real);
    if (real != DT_F32)
        mix = node1(el, &op_cast, mix, &dtype, 1);
    Attr wide[] = {attr_ints("shape", many.dim, 1), attr_ints("dims", NULL, 0)};
    mix = node1(el, &op_broadcast, mix, wide, 2);
    Value more = node2(el, &op_mul, mix, node2(el, &op_sub, own, other));
    return node2(el, &op_add, other, more);
}

static void add_loss(Elab *el, Value scores, Value label)
{
    Attr axis = attr_int("axis", 1);
    Attr dtype = attr_dtype("dtype", DT_I32);
    Value each = mixed_loss(el, row_loss(el, scores, label), scores);
    Value best = node1(el, &op_argmax, scores, &axis, 1);
    Value right = node2(el, &op_equal, best, label);
    Value correct = node1(el, &op_cast, right, &dtype, 1);
    if (!each.node || !correct.node)
        return;
    if (!el->training) {
        Value real = real_rows(el, el->batch);
        output(el, "loss", sum(el, only_real(el, real, each)));
        output(el, "correct", sum(el, only_real(el, real, correct)));
        output(el, "predicted", best);
        return;
    }
    Value total = sum(el, each);
    Value share = constant(el, type_scalar(graph_type(el->graph, total)->dtype),
                           1 / (double)el->batch);
    output(el, "loss", node2(el, &op_mul, total, share));
    output(el, "correct", sum(el, correct));
}

/* ---- the input
 * -------------------------------------------------------------------------- */

/* The one input of the net: its shape; false after a message.  A row of
 * numbers comes as an image of one row. */
static bool input_type(Elab *el, Type *t, bool *row)
{
    const Item *net = el->net->item;
    *t = (Type){.dtype = DT_F32};
    if (net->parameters.n != 1) {
        diag_error(el->diag, net->name.span,
                   "a net has one input, as in net %s(image: [3, 32, 32])",
                   net->name.text);
        return false;
    }
    const Parameter *p = &net->parameters.item[0];
    if (!p->value) {
        diag_error(el->diag, p->name.span, "%s needs a shape: %s: [3, 32, 32]",
                   p->name.text, p->name.text);
        return false;
    }
    el->in = el->net->unit;
    bool ok = elab_shape(el, p->value, t);
    el->in = NULL;
    t->dim[0] = el->batch;
    *row = t->rank == 2;
    if (*row)
        *t =
            type_make(DT_F32, 4, (const int64_t[]){t->dim[0], 1, 1, t->dim[1]});
    if (ok && (t->rank != 4 || !type_fits(t))) {
        diag_error(el->diag, p->value->span,
                   t->rank != 4 ? "an input is [channels, height, width], or a "
                                  "row of numbers: [length]"
                                : "a batch of such inputs would be too large");
        return false;
    }
    if (ok && *row &&
        settings_number(&el->module->settings, "test_flip") != 0) {
        diag_error(el->diag, p->value->span,
                   "test_flip mirrors images, and a row of numbers is none");
        return false;
    }
    return ok;
}

/* [N,1,1,n] to [N,n] */
static Value as_row(Elab *el, Value x)
{
    const Type *t = graph_type(el->graph, x);
    Attr shape = attr_ints("shape", (const int64_t[]){t->dim[0], t->dim[3]}, 2);
    return node1(el, &op_reshape, x, &shape, 1);
}

/* Images come as f32; whatever the net makes of them takes the type of its
 * first value, weights included.  Half types are the pass `half`'s business. */
static Value to_precision(Elab *el, Value image)
{
    const char *name = settings_text(&el->module->settings, "precision");
    DType wanted = dtype_wide(dtype_named(name));
    Attr dtype = attr_dtype("dtype", wanted);
    if (graph_type(el->graph, image)->dtype == wanted)
        return image;
    return node1(el, &op_cast, image, &dtype, 1);
}

/* ---- evaluation of mirrored images -------------------------------------- */

/* v between zeros: `low` rows before it and `high` behind it. */
static Value between_rows(Elab *el, Value v, int64_t low, int64_t high)
{
    Attr attr[] = {attr_ints("low", (const int64_t[]){low, 0, 0, 0}, 4),
                   attr_ints("high", (const int64_t[]){high, 0, 0, 0}, 4),
                   attr_ints("step", (const int64_t[]){1, 1, 1, 1}, 4)};
    return node1(el, &op_pad, v, attr, 3);
}

/* Rows begin .. begin + n-1 of [M, classes]. */
static Value some_rows(Elab *el, Value v, int64_t begin, int64_t n)
{
    int64_t classes = graph_type(el->graph, v)->dim[1];
    Attr attr[] = {attr_ints("start", (const int64_t[]){begin, 0}, 2),
                   attr_ints("stop", (const int64_t[]){begin + n, classes}, 2),
                   attr_ints("step", (const int64_t[]){1, 1}, 2)};
    return node1(el, &op_slice, v, attr, 3);
}

/* The net runs once, on a batch of twice the size: the images [N,C,H,W], then
 * their mirror images. */
static Datum scores_of_both(Elab *el, Value image)
{
    const int64_t n = el->batch;
    Attr axes = attr_ints("axes", (const int64_t[]){3}, 1);
    Value mirrored = node1(el, &op_reverse, image, &axes, 1);
    Value both = node2(el, &op_add, between_rows(el, image, 0, n),
                       between_rows(el, mirrored, n, 0));
    Datum scores = elab_run_net(el, both);
    if (el->diag->errors || !check_scores(el, scores))
        return datum_error();
    Value sum = node2(el, &op_add, some_rows(el, scores.tensor, 0, n),
                      some_rows(el, scores.tensor, n, n));
    Value half = constant(el, *graph_type(el->graph, sum), 0.5);
    return datum_tensor(node2(el, &op_mul, sum, half));
}

static Datum scores_of(Elab *el, Value image)
{
    bool both = settings_number(&el->module->settings, "test_flip") != 0;
    return both && !el->training ? scores_of_both(el, image)
                                 : elab_run_net(el, image);
}

/* ---- graphs
 * -------------------------------------------------------------------------- */

static void build_graph(Elab *el, const char *name, bool training,
                        int64_t batch)
{
    Type image, label = type_make(DT_I32, 1, &batch);
    el->graph = graph_new(el->module, name);
    el->training = training;
    el->batch = batch;
    el->seed = el->step = NO_VALUE;
    el->streams = 0;
    el->steps = 0;
    el->paths = (Scope){0};
    bool row;
    if (input_type(el, &image, &row)) {
        Value x = input(el, "image", &image);
        Value y = input(el, "label", &label);
        Type scalar = type_scalar(DT_F32), exact = type_scalar(DT_F64);
        if (training)
            input(el, "lr", &scalar);
        if (training && el->parts > 1)
            input(el, "share", &exact); /* of the step's images */
        x = to_precision(el, x);
        Datum scores = scores_of(el, row ? as_row(el, x) : x);
        if (!el->diag->errors && check_scores(el, scores)) {
            note_classes(el, scores.tensor);
            add_loss(el, scores.tensor, y);
        }
    }
    module_add_graph(el->module, el->graph);
    el->graph = NULL;
}

/* Images in the last batch of an epoch, where it is kept and differs; else 0.
 */
static int64_t tail_batch(const Settings *s, int64_t batch)
{
    if (strcmp(settings_text(s, "tail"), "keep"))
        return 0;
    return settings_samples(s) % batch;
}

/* With several parts to a batch, a batch of a graph is one of them. */
static void build_graphs(Elab *el)
{
    const Settings *s = &el->module->settings;
    el->parts = (int64_t)settings_number(s, "accumulate");
    int64_t batch = (int64_t)settings_number(s, "batch") / el->parts;
    int64_t tail = tail_batch(s, batch);
    build_graph(el, "train", true, batch);
    if (!el->diag->errors && !has_parameter(el))
        diag_error(el->diag, el->net->item->name.span,
                   "net %s has nothing to train: no layer with weights",
                   el->net->item->name.text);
    if (!el->diag->errors)
        elab_check_groups(el);
    if (!el->diag->errors && el->parts > 1)
        build_graph(el, "train_part", true, batch);
    if (!el->diag->errors)
        elab_freeze(el);
    if (!el->diag->errors && tail)
        build_graph(el, "train_tail", true, tail);
    if (!el->diag->errors)
        build_graph(el, "eval", false, batch);
}

/* ---- the way in
 * ---------------------------------------------------------------------- */

/* "models/resnet20.net": resnet20 */
static const char *module_name(const char *path, Arena *a)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    if (n > 4 && !strcmp(name + n - 4, ".net"))
        n -= 4;
    char *text = n ? arena_strndup(a, name, n) : arena_strdup(a, "net");
    for (char *p = text; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                    "0123456789_-.",
                    *p))
            *p = '_';
    return text;
}

static Diag diag_new(const FrontendOptions *o, Arena *a)
{
    FILE *out = o->messages ? o->messages : stderr;
    return (Diag){.out = out, .color = o->color, .arena = a};
}

static Module *elaborate(const Source *source, const FrontendOptions *o,
                         Diag *diag, Arena *a)
{
    Elab el = {.options = o, .arena = a, .diag = diag};
    el.module = module_new(module_name(source->path, a));
    elab_load(&el, source);
    if (!diag->errors)
        elab_settings(&el);
    if (!diag->errors)
        build_graphs(&el);
    if (!diag->errors)
        return el.module;
    if (diag_full(diag))
        fprintf(diag->out, "tgc: %d errors; the rest is not shown\n",
                diag->errors);
    module_free(el.module);
    return NULL;
}

Module *frontend_compile_text(const char *text, size_t size, const char *path,
                              const FrontendOptions *o)
{
    Arena *a = arena_new();
    Diag diag = diag_new(o, a);
    Error e;
    const Source *source = source_text(a, path, text, size, &e);
    Module *m = source ? elaborate(source, o, &diag, a) : NULL;
    if (!source)
        fprintf(diag.out, "%s: error: %s\n", path, e.text);
    arena_free(a);
    return m;
}

/* Reads the file, or says why not. */
static const Source *open_source(const char *path, Diag *diag, Arena *a)
{
    Error e;
    const Source *source = source_read(a, path, &e);
    if (!source)
        fprintf(diag->out, "%s: error: %s\n", path, e.text);
    return source;
}

Module *frontend_compile(const char *path, const FrontendOptions *o)
{
    Arena *a = arena_new();
    Diag diag = diag_new(o, a);
    const Source *source = open_source(path, &diag, a);
    Module *m = source ? elaborate(source, o, &diag, a) : NULL;
    arena_free(a);
    return m;
}

bool frontend_print_ast(const char *path, const FrontendOptions *o, FILE *out)
{
    Arena *a = arena_new();
    Diag diag = diag_new(o, a);
    const Source *source = open_source(path, &diag, a);
    File *file = source ? parse_file(source, a, &diag) : NULL;
    bool ok = file && !diag.errors;
    if (ok)
        file_print(file, out);
    arena_free(a);
    return ok;
}
