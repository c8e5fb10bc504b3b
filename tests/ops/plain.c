/* plain.c: convolutions, pools, norms and losses as plain loops. */
#include "plain.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPATIAL = 3 };

/* ---- windows ---------------------------------------------------------------
 *
 * Everything as three spatial dimensions; those that are missing have extent
 * and window 1. */

typedef struct Geometry {
    int64_t extent[SPATIAL], out[SPATIAL], size[SPATIAL];
    int64_t stride[SPATIAL], dilation[SPATIAL], pad[SPATIAL];
    int64_t area, out_area, taps; /* their products */
} Geometry;

static Geometry geometry(const Node *n, const Type *x, const Type *y,
                         const int64_t *size)
{
    Geometry g = {.area = 1, .out_area = 1, .taps = 1};
    int count;
    for (int i = 0; i < SPATIAL; i++) {
        bool real = i < x->rank - 2;
        g.extent[i] = real ? x->dim[2 + i] : 1;
        g.out[i] = real ? y->dim[2 + i] : 1;
        g.size[i] = real ? size[i] : 1;
        g.stride[i] = real ? node_ints(n, "stride", &count)[i] : 1;
        g.dilation[i] = real ? node_ints(n, "dilation", &count)[i] : 1;
        g.pad[i] = real ? node_ints(n, "pad_low", &count)[i] : 0;
        g.area *= g.extent[i];
        g.out_area *= g.out[i];
        g.taps *= g.size[i];
    }
    return g;
}

static void place(int64_t at, const int64_t *dim, int64_t *index)
{
    index[2] = at % dim[2];
    index[1] = at / dim[2] % dim[1];
    index[0] = at / dim[2] / dim[1];
}

/* Where tap k of window p lies in the input; -1: in the padding. */
static int64_t tapped(const Geometry *g, int64_t p, int64_t k)
{
    int64_t window[SPATIAL], tap[SPATIAL], at = 0;
    place(p, g->out, window);
    place(k, g->size, tap);
    for (int i = 0; i < SPATIAL; i++) {
        int64_t x =
            window[i] * g->stride[i] + tap[i] * g->dilation[i] - g->pad[i];
        if (x < 0 || x >= g->extent[i])
            return -1;
        at = at * g->extent[i] + x;
    }
    return at;
}

/* ---- convolution -----------------------------------------------------------
 *
 * Visits every (y, x, w) that multiply: *to += a * b. */

static void convolve(const Node *n, const Type *tx, const Type *tw,
                     const Type *ty, const double *x, const double *w,
                     const double *y, double *dx, double *dw, double *dy)
{
    Geometry g = geometry(n, tx, ty, &tw->dim[2]);
    int64_t groups = node_int(n, "groups");
    int64_t from = tw->dim[1], to = tw->dim[0] / groups; /* in a group */
    for (int64_t i = 0; i < tx->dim[0]; i++)
        for (int64_t o = 0; o < tw->dim[0]; o++)
            for (int64_t c = 0; c < from; c++)
                for (int64_t p = 0; p < g.out_area; p++)
                    for (int64_t k = 0; k < g.taps; k++) {
                        int64_t at = tapped(&g, p, k);
                        if (at < 0)
                            continue;
                        int64_t channel = o / to * from + c;
                        int64_t xi = (i * tx->dim[1] + channel) * g.area + at;
                        int64_t yi = (i * tw->dim[0] + o) * g.out_area + p;
                        int64_t wi = (o * from + c) * g.taps + k;
                        if (dy)
                            dy[yi] += x[xi] * w[wi];
                        if (dx)
                            dx[xi] += y[yi] * w[wi];
                        if (dw)
                            dw[wi] += y[yi] * x[xi];
                    }
}

static void plain_conv(const PlainCall *c)
{
    convolve(c->node, c->type[0], c->type[1], c->node->type, c->in[0], c->in[1],
             NULL, NULL, NULL, c->out[0]);
}

static void plain_conv_grad_input(const PlainCall *c)
{
    convolve(c->node, c->node->type, c->type[1], c->type[0], NULL, c->in[1],
             c->in[0], c->out[0], NULL, NULL);
}

static void plain_conv_grad_weight(const PlainCall *c)
{
    convolve(c->node, c->type[0], c->node->type, c->type[1], c->in[0], NULL,
             c->in[1], NULL, c->out[0], NULL);
}

/* ---- the library's convolutions --------------------------------------------
 *
 * What the library calls packed is here the plain order with zeros behind. */

static Type weights_of(const Node *n, int64_t from, int64_t to)
{
    int spatial;
    const int64_t *kernel = node_ints(n, "kernel", &spatial);
    Type w = {.dtype = DT_F64, .rank = (uint8_t)(2 + spatial)};
    w.dim[0] = to;
    w.dim[1] = from / node_int(n, "groups");
    for (int i = 0; i < spatial; i++)
        w.dim[2 + i] = kernel[i];
    return w;
}

static void plain_lib_pack(const PlainCall *c)
{
    int64_t n = type_elements(c->type[0]);
    assert(n <= type_elements(c->node->type));
    memcpy(c->out[0], c->in[0], (size_t)n * sizeof **c->out);
}

static void plain_lib_unpack(const PlainCall *c)
{
    int64_t n = type_elements(c->node->type);
    assert(n <= type_elements(c->type[0]));
    memcpy(c->out[0], c->in[0], (size_t)n * sizeof **c->out);
}

static void plain_lib_conv(const PlainCall *c)
{
    const Type *y = c->node->type;
    Type w = weights_of(c->node, c->type[0]->dim[1], y->dim[1]);
    convolve(c->node, c->type[0], &w, y, c->in[0], c->in[1], NULL, NULL, NULL,
             c->out[0]);
}

static void plain_lib_conv_grad_input(const PlainCall *c)
{
    const Type *x = c->node->type, *y = c->type[0];
    Type w = weights_of(c->node, x->dim[1], y->dim[1]);
    convolve(c->node, x, &w, y, NULL, c->in[1], c->in[0], c->out[0], NULL,
             NULL);
}

/* A partial result for each call's images. */
static void plain_lib_conv_grad_weight(const PlainCall *c)
{
    Type x = *c->type[0], y = *c->type[1];
    Type w = weights_of(c->node, x.dim[1], y.dim[1]);
    int64_t calls = c->node->type->dim[0], packed = c->node->type->dim[1];
    assert(type_elements(&w) <= packed);
    x.dim[0] /= calls;
    y.dim[0] /= calls;
    for (int64_t i = 0; i < calls; i++)
        convolve(c->node, &x, &w, &y, c->in[0] + i * type_elements(&x), NULL,
                 c->in[1] + i * type_elements(&y), NULL, c->out[0] + i * packed,
                 NULL);
}

/* ---- pools -------------------------------------------------------------- */

static Geometry pool_geometry(const Node *n, const Type *x, const Type *y)
{
    int count;
    return geometry(n, x, y, node_ints(n, "size", &count));
}

/* The tap with the largest element, the first of equals. */
static int64_t largest_tap(const Geometry *g, const double *plane, int64_t p)
{
    int64_t best = -1;
    for (int64_t k = 0; k < g->taps; k++) {
        int64_t at = tapped(g, p, k);
        if (at >= 0 && (best < 0 || plane[at] > plane[best]))
            best = at;
    }
    return best;
}

static void plain_max_pool(const PlainCall *c)
{
    const Type *x = c->type[0];
    Geometry g = pool_geometry(c->node, x, c->node->type);
    for (int64_t i = 0; i < x->dim[0] * x->dim[1]; i++)
        for (int64_t p = 0; p < g.out_area; p++) {
            const double *plane = c->in[0] + i * g.area;
            c->out[0][i * g.out_area + p] = plane[largest_tap(&g, plane, p)];
        }
}

/* To the first element of the window that is its result. */
static void plain_max_pool_grad(const PlainCall *c)
{
    const Type *x = c->type[0];
    Geometry g = pool_geometry(c->node, x, c->type[1]);
    for (int64_t i = 0; i < x->dim[0] * x->dim[1]; i++)
        for (int64_t p = 0; p < g.out_area; p++)
            for (int64_t k = 0; k < g.taps; k++) {
                int64_t at = tapped(&g, p, k), y = i * g.out_area + p;
                if (at < 0 || c->in[0][i * g.area + at] != c->in[1][y])
                    continue;
                c->out[0][i * g.area + at] += c->in[2][y];
                break;
            }
}

/* Window p's average is the sum of its elements over this. */
static double window_count(const Node *n, const Geometry *g, int64_t p)
{
    double count = 0;
    for (int64_t k = 0; k < g->taps; k++)
        count += node_int(n, "count_include_pad") || tapped(g, p, k) >= 0;
    return count;
}

/* *y += average of x, or *dx += what dy gives it. */
static void average(const Node *n, const Type *tx, const Type *ty,
                    const double *x, double *y, double *dx, const double *dy)
{
    Geometry g = pool_geometry(n, tx, ty);
    for (int64_t i = 0; i < tx->dim[0] * tx->dim[1]; i++)
        for (int64_t p = 0; p < g.out_area; p++) {
            double count = window_count(n, &g, p);
            for (int64_t k = 0; k < g.taps; k++) {
                int64_t at = tapped(&g, p, k);
                if (at >= 0 && x)
                    y[i * g.out_area + p] += x[i * g.area + at] / count;
                if (at >= 0 && dx)
                    dx[i * g.area + at] += dy[i * g.out_area + p] / count;
            }
        }
}

static void plain_avg_pool(const PlainCall *c)
{
    average(c->node, c->type[0], c->node->type, c->in[0], c->out[0], NULL,
            NULL);
}

static void plain_avg_pool_grad(const PlainCall *c)
{
    average(c->node, c->node->type, c->type[0], NULL, NULL, c->out[0],
            c->in[0]);
}

/* ---- matmul ------------------------------------------------------------- */

static void plain_matmul(const PlainCall *c)
{
    const Type *a = c->type[0], *y = c->node->type;
    int last = a->rank - 1;
    bool ta = node_int(c->node, "transpose_a");
    bool tb = node_int(c->node, "transpose_b");
    int64_t rows = y->dim[last - 1], columns = y->dim[last];
    int64_t inner = a->dim[ta ? last - 1 : last];
    int64_t matrices = type_elements(y) / rows / columns;
    for (int64_t m = 0; m < matrices; m++)
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                for (int64_t k = 0; k < inner; k++) {
                    int64_t at_a = ta ? k * rows + i : i * inner + k;
                    int64_t at_b = tb ? j * inner + k : k * columns + j;
                    c->out[0][(m * rows + i) * columns + j] +=
                        c->in[0][m * rows * inner + at_a] *
                        c->in[1][m * inner * columns + at_b];
                }
}

/* ---- norms -------------------------------------------------------------- */

/* x as [n, channels, inner] */
typedef struct Channels {
    int64_t n, channels, inner;
} Channels;

static Channels channels_of(const Type *x)
{
    return (Channels){x->dim[0], x->dim[1],
                      type_elements(x) / x->dim[0] / x->dim[1]};
}

static int64_t at_channel(const Channels *s, int64_t channel, int64_t i)
{
    return (i / s->inner * s->channels + channel) * s->inner + i % s->inner;
}

static void statistics(const double *x, const Channels *s, int64_t channel,
                       double *mean, double *var)
{
    int64_t count = s->n * s->inner;
    *mean = *var = 0;
    for (int64_t i = 0; i < count; i++)
        *mean += x[at_channel(s, channel, i)] / (double)count;
    for (int64_t i = 0; i < count; i++) {
        double d = x[at_channel(s, channel, i)] - *mean;
        *var += d * d / (double)count;
    }
}

static void plain_moments(const PlainCall *c)
{
    Channels s = channels_of(c->type[0]);
    for (int64_t k = 0; k < s.channels; k++)
        statistics(c->in[0], &s, k, &c->out[0][k], &c->out[1][k]);
}

static void normalise(const PlainCall *c, const double *mean, const double *var)
{
    Channels s = channels_of(c->type[0]);
    double eps = node_float(c->node, "eps");
    for (int64_t k = 0; k < s.channels; k++)
        for (int64_t i = 0; i < s.n * s.inner; i++) {
            int64_t at = at_channel(&s, k, i);
            double hat = (c->in[0][at] - mean[k]) / sqrt(var[k] + eps);
            c->out[0][at] = c->in[1][k] * hat + c->in[2][k];
        }
}

static void plain_batch_norm(const PlainCall *c)
{
    Channels s = channels_of(c->type[0]);
    for (int64_t k = 0; k < s.channels; k++)
        statistics(c->in[0], &s, k, &c->out[1][k], &c->out[2][k]);
    normalise(c, c->out[1], c->out[2]);
}

static void plain_batch_norm_inference(const PlainCall *c)
{
    normalise(c, c->in[3], c->in[4]);
}

static void plain_batch_norm_grad(const PlainCall *c)
{
    const double *dy = c->in[0], *x = c->in[1], *mean = c->in[2];
    const double *var = c->in[3], *gamma = c->in[4];
    Channels s = channels_of(c->type[1]);
    double eps = node_float(c->node, "eps"), n = (double)(s.n * s.inner);
    for (int64_t k = 0; k < s.channels; k++) {
        double sd = sqrt(var[k] + eps), *dgamma = &c->out[1][k];
        double *dbeta = &c->out[2][k];
        for (int64_t i = 0; i < s.n * s.inner; i++) {
            int64_t at = at_channel(&s, k, i);
            *dbeta += dy[at];
            *dgamma += dy[at] * (x[at] - mean[k]) / sd;
        }
        for (int64_t i = 0; i < s.n * s.inner; i++) {
            int64_t at = at_channel(&s, k, i);
            double hat = (x[at] - mean[k]) / sd;
            c->out[0][at] =
                gamma[k] / sd * (dy[at] - *dbeta / n - hat * *dgamma / n);
        }
    }
}

/* ---- layer norm ------------------------------------------------------------
 */

/* For element `at` of x: the row it is normalised with, and its place there. */
static void row_of(const Node *n, const Type *x, int64_t at, int64_t *row,
                   int64_t *column)
{
    int count, next = 0;
    const int64_t *axes = node_ints(n, "axes", &count);
    int64_t index[MAX_RANK];
    for (int d = x->rank - 1; d >= 0; d--) {
        index[d] = at % x->dim[d];
        at /= x->dim[d];
    }
    *row = *column = 0;
    for (int d = 0; d < x->rank; d++)
        if (next < count && axes[next] == d) {
            *column = *column * x->dim[d] + index[d];
            next++;
        } else {
            *row = *row * x->dim[d] + index[d];
        }
}

/* Average over each row of a[i] b[i] (b may be NULL), for the row of `at`. */
static double row_average(const Node *n, const Type *x, const double *a,
                          const double *b, int64_t at)
{
    int64_t row, column, mine, count = 0;
    double sum = 0;
    row_of(n, x, at, &mine, &column);
    for (int64_t i = 0; i < type_elements(x); i++) {
        row_of(n, x, i, &row, &column);
        if (row != mine)
            continue;
        sum += a[i] * (b ? b[i] : 1);
        count++;
    }
    return sum / (double)count;
}

/* hat = (x - mean) / sd and, where wanted, sd. */
static void row_normalise(const Node *n, const Type *t, const double *x,
                          double *hat, double *sd)
{
    for (int64_t i = 0; i < type_elements(t); i++) {
        double mean = row_average(n, t, x, NULL, i);
        double var = row_average(n, t, x, x, i) - mean * mean;
        double s = sqrt(var + node_float(n, "eps"));
        hat[i] = (x[i] - mean) / s;
        if (sd)
            sd[i] = s;
    }
}

static void plain_layer_norm(const PlainCall *c)
{
    int64_t row, column;
    row_normalise(c->node, c->type[0], c->in[0], c->out[0], NULL);
    for (int64_t i = 0; i < type_elements(c->type[0]); i++) {
        row_of(c->node, c->type[0], i, &row, &column);
        c->out[0][i] = c->out[0][i] * c->in[1][column] + c->in[2][column];
    }
}

static void plain_layer_norm_grad(const PlainCall *c)
{
    const Type *t = c->type[1];
    int64_t n = type_elements(t), row, column;
    double *hat = calloc((size_t)n * 3, sizeof *hat);
    double *sd = hat + n, *h = sd + n;
    row_normalise(c->node, t, c->in[1], hat, sd);
    for (int64_t i = 0; i < n; i++) {
        row_of(c->node, t, i, &row, &column);
        h[i] = c->in[0][i] * c->in[2][column];
        c->out[1][column] += c->in[0][i] * hat[i];
        c->out[2][column] += c->in[0][i];
    }
    for (int64_t i = 0; i < n; i++)
        c->out[0][i] = (h[i] - row_average(c->node, t, h, NULL, i) -
                        hat[i] * row_average(c->node, t, h, hat, i)) /
                       sd[i];
    free(hat);
}

/* ---- softmax and losses ------------------------------------------------- */

/* A type as [outer, size, inner] around one dimension. */
typedef struct Lines {
    int64_t outer, size, inner;
} Lines;

static Lines lines_of(const Type *t, int64_t axis)
{
    Lines l = {1, t->dim[axis], 1};
    for (int d = 0; d < t->rank; d++) {
        l.outer *= d < axis ? t->dim[d] : 1;
        l.inner *= d > axis ? t->dim[d] : 1;
    }
    return l;
}

/* Element c of line i; a line of a reduced value is element i itself. */
static int64_t in_line(const Lines *l, int64_t i, int64_t c)
{
    return (i / l->inner * l->size + c) * l->inner + i % l->inner;
}

/* log of softmax of element c */
static double log_softmax(const double *x, const Lines *l, int64_t i, int64_t c)
{
    double most = -DBL_MAX, sum = 0;
    for (int64_t k = 0; k < l->size; k++)
        most = fmax(most, x[in_line(l, i, k)]);
    for (int64_t k = 0; k < l->size; k++)
        sum += exp(x[in_line(l, i, k)] - most);
    return x[in_line(l, i, c)] - most - log(sum);
}

static void plain_log_softmax(const PlainCall *c)
{
    Lines l = lines_of(c->type[0], node_int(c->node, "axis"));
    for (int64_t i = 0; i < l.outer * l.inner; i++)
        for (int64_t k = 0; k < l.size; k++)
            c->out[0][in_line(&l, i, k)] = log_softmax(c->in[0], &l, i, k);
}

static void plain_softmax(const PlainCall *c)
{
    plain_log_softmax(c);
    for (int64_t i = 0; i < type_elements(c->node->type); i++)
        c->out[0][i] = exp(c->out[0][i]);
}

static void plain_argmax(const PlainCall *c)
{
    Lines l = lines_of(c->type[0], node_int(c->node, "axis"));
    for (int64_t i = 0; i < l.outer * l.inner; i++)
        for (int64_t k = 1; k < l.size; k++) {
            int64_t best = (int64_t)c->out[0][i];
            if (c->in[0][in_line(&l, i, k)] > c->in[0][in_line(&l, i, best)])
                c->out[0][i] = (double)k;
        }
}

/* How much of the target is class k. */
static double target(const PlainCall *c, const Lines *l, int64_t i, int64_t k)
{
    double smoothing = node_float(c->node, "smoothing");
    return smoothing / (double)l->size +
           (c->in[1][i] == (double)k ? 1 - smoothing : 0);
}

static void plain_cross_entropy(const PlainCall *c)
{
    Lines l = lines_of(c->type[0], 1);
    for (int64_t i = 0; i < l.outer * l.inner; i++)
        for (int64_t k = 0; k < l.size; k++)
            c->out[0][i] -=
                target(c, &l, i, k) * log_softmax(c->in[0], &l, i, k);
}

static void plain_cross_entropy_grad(const PlainCall *c)
{
    Lines l = lines_of(c->type[0], 1);
    for (int64_t i = 0; i < l.outer * l.inner; i++)
        for (int64_t k = 0; k < l.size; k++)
            c->out[0][in_line(&l, i, k)] =
                c->in[2][i] *
                (exp(log_softmax(c->in[0], &l, i, k)) - target(c, &l, i, k));
}

static bool has_row(double index, int64_t rows)
{
    return index >= 0 && index < (double)rows;
}

static void plain_gather(const PlainCall *c)
{
    int64_t width = c->type[0]->dim[1];
    for (int64_t i = 0; i < type_elements(c->type[1]); i++)
        for (int64_t k = 0; k < width; k++)
            c->out[0][i * width + k] =
                has_row(c->in[1][i], c->type[0]->dim[0])
                    ? c->in[0][(int64_t)c->in[1][i] * width + k]
                    : NAN;
}

static void plain_gather_grad(const PlainCall *c)
{
    int64_t width = c->node->type[0].dim[1];
    int64_t rows = node_int(c->node, "rows");
    for (int64_t i = 0; i < type_elements(c->type[0]); i++)
        for (int64_t k = 0; has_row(c->in[0][i], rows) && k < width; k++)
            c->out[0][(int64_t)c->in[0][i] * width + k] +=
                c->in[1][i * width + k];
}

/* ---- the table ---------------------------------------------------------- */

static const struct {
    const char *op;
    Plain *run;
} table[] = {
    {"argmax", plain_argmax},
    {"avg_pool", plain_avg_pool},
    {"avg_pool_grad", plain_avg_pool_grad},
    {"batch_norm", plain_batch_norm},
    {"batch_norm_grad", plain_batch_norm_grad},
    {"batch_norm_inference", plain_batch_norm_inference},
    {"conv", plain_conv},
    {"conv_grad_input", plain_conv_grad_input},
    {"conv_grad_weight", plain_conv_grad_weight},
    {"gather", plain_gather},
    {"gather_grad", plain_gather_grad},
    {"layer_norm", plain_layer_norm},
    {"layer_norm_grad", plain_layer_norm_grad},
    {"lib_conv", plain_lib_conv},
    {"lib_conv_grad_input", plain_lib_conv_grad_input},
    {"lib_conv_grad_weight", plain_lib_conv_grad_weight},
    {"lib_matmul", plain_matmul},
    {"lib_pack", plain_lib_pack},
    {"lib_unpack", plain_lib_unpack},
    {"log_softmax", plain_log_softmax},
    {"matmul", plain_matmul},
    {"max_pool", plain_max_pool},
    {"max_pool_grad", plain_max_pool_grad},
    {"moments", plain_moments},
    {"softmax", plain_softmax},
    {"softmax_cross_entropy", plain_cross_entropy},
    {"softmax_cross_entropy_grad", plain_cross_entropy_grad},
};

Plain *plain_named(const char *op)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].op, op))
            return table[i].run;
    return NULL;
}
