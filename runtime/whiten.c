/* whiten.c: see whiten.h. */
#include "whiten.h"
#include "types.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATCHES = 5000000, AT_ONCE = 64, SWEEPS = 60 };

/* ---- eigenvectors: Jacobi's rotations (Golub and Van Loan, "Matrix
 * computations", section 8.5) ---------------------------------------------- */

/* Rows and columns p and q of a; rows p and q of v. */
static void rotate(int n, double *a, double *v, int p, int q)
{
    double apq = a[p * n + q];
    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
    double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (int k = 0; k < n; k++) {
        double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
    for (int k = 0; k < n; k++) {
        double x = v[p * n + k], y = v[q * n + k];
        v[p * n + k] = c * x - s * y;
        v[q * n + k] = s * x + c * y;
    }
}

/* Once over all pairs; false where nothing was left to do. */
static bool sweep(int n, double *a, double *v)
{
    bool changed = false;
    for (int p = 0; p < n; p++)
        for (int q = p + 1; q < n; q++) {
            double large = fabs(a[p * n + p]) + fabs(a[q * n + q]);
            if (fabs(a[p * n + q]) > 1e-17 * large) {
                rotate(n, a, v, p, q);
                changed = true;
            }
        }
    return changed;
}

static void exchange(int n, double *value, double *v, int i, int k)
{
    double kept = value[i];
    value[i] = value[k];
    value[k] = kept;
    for (int j = 0; j < n; j++) {
        kept = v[i * n + j];
        v[i * n + j] = v[k * n + j];
        v[k * n + j] = kept;
    }
}

static void choose_sign(int n, double *v)
{
    int largest = 0;
    for (int j = 1; j < n; j++)
        if (fabs(v[j]) > fabs(v[largest]))
            largest = j;
    for (int j = 0; v[largest] < 0 && j < n; j++)
        v[j] = j == largest ? v[j] : -v[j];
    v[largest] = fabs(v[largest]);
}

void whiten_eigen(int n, double *a, double *value, double *v)
{
    memset(v, 0, (size_t)n * (size_t)n * sizeof *v);
    for (int i = 0; i < n; i++)
        v[i * n + i] = 1;
    for (int i = 0; i < SWEEPS && sweep(n, a, v); i++)
        ;
    for (int i = 0; i < n; i++)
        value[i] = a[i * n + i];
    for (int i = 0; i < n; i++) {
        int best = i;
        for (int k = i + 1; k < n; k++)
            if (value[k] > value[best])
                best = k;
        exchange(n, value, v, i, best);
        choose_sign(n, v + i * n);
    }
}

/* ---- products of a patch's values -----------------------------------------
 */

typedef struct Patches {
    int64_t channels, height, width; /* of an image */
    int64_t down, across;            /* of a patch */
    int64_t at_y, at_x;              /* places of a patch in an image */
    int n;                           /* values of a patch */
    int64_t images;                  /* in `pixels`, for now */
    float *pixels;                   /* [AT_ONCE,channels,height,width] */
    double *sum;                     /* [n,n], its lower half */
} Patches;

/* Value i of the patch at the first place of the first image. */
static const float *value_at(const Patches *p, int i)
{
    int64_t x = i % p->across, y = i / p->across % p->down;
    int64_t c = i / p->across / p->down;
    return p->pixels + (c * p->height + y) * p->width + x;
}

static double products(const Patches *p, int i, int k)
{
    const float *a = value_at(p, i), *b = value_at(p, k);
    int64_t size = p->channels * p->height * p->width;
    double sum = 0;
    for (int64_t image = 0; image < p->images; image++)
        for (int64_t y = 0; y < p->at_y; y++) {
            int64_t row = image * size + y * p->width;
            for (int64_t x = row; x < row + p->at_x; x++)
                sum += (double)a[x] * (double)b[x];
        }
    return sum;
}

/* Each sum is one thread's, and goes over the images in their order. */
static void add_products(Patches *p, int threads)
{
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k <= i; k++)
            p->sum[i * p->n + k] += products(p, i, k);
}

static bool add_images(Patches *p, const Loader *l, int threads, Status *s)
{
    int64_t places = p->at_y * p->at_x, n = loader_samples(l);
    int64_t most = PATCHES / places < 1 ? 1 : PATCHES / places;
    int64_t size = p->channels * p->height * p->width;
    n = n > most ? most : n;
    for (int64_t i = 0; i < n; i += p->images) {
        p->images = n - i < AT_ONCE ? n - i : AT_ONCE;
        for (int64_t k = 0; k < p->images; k++)
            if (!loader_image(l, i + k, p->pixels + k * size, s))
                return false;
        add_products(p, threads);
    }
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k <= i; k++) {
            p->sum[i * p->n + k] /= (double)n * (double)places;
            p->sum[k * p->n + i] = p->sum[i * p->n + k];
        }
    return true;
}

/* ---- filters ---------------------------------------------------------------
 */

/* Filters in their plain order; `room` has n * (n + 1) doubles. */
static void write_filters(const Patches *p, const PlanState *t, double *room,
                          char *to)
{
    int n = p->n;
    int64_t bytes = dtype_bytes(t->type.dtype);
    double *value = room + n * n;
    whiten_eigen(n, p->sum, value, room);
    for (int64_t f = 0; f < t->type.dim[0]; f++) {
        int64_t k = f % n;
        double scale = 1 / sqrt(fmax(value[k], 0) + t->init_a);
        for (int64_t i = 0; i < n; i++)
            dtype_store(t->type.dtype, to + (f * n + i) * bytes,
                        (f < n ? scale : -scale) * room[k * n + i]);
    }
}

static bool whiten(Executor *e, uint32_t state, const PlanType *image,
                   const Loader *l, Status *s)
{
    const PlanState *t = &executor_plan(e)->states[state];
    const int64_t *d = t->type.dim;
    Patches p = {.channels = image->dim[1],
                 .height = image->dim[2],
                 .width = image->dim[3],
                 .down = d[2],
                 .across = d[3],
                 .at_y = image->dim[2] - d[2] + 1,
                 .at_x = image->dim[3] - d[3] + 1,
                 .n = (int)(d[1] * d[2] * d[3])};
    if (d[1] != p.channels || p.at_y < 1 || p.at_x < 1 || d[0] > 2 * p.n)
        return status_fail(s,
                           "%s: its filters are not for patches of these "
                           "images",
                           t->name);
    size_t n = (size_t)p.n, area = (size_t)(p.height * p.width);
    double *room = calloc(n * (n + 1), sizeof *room);
    char *plain = malloc((size_t)type_elements(&t->type) * sizeof(double));
    p.sum = calloc(n * n, sizeof *p.sum);
    p.pixels = calloc(AT_ONCE * (size_t)p.channels * area, sizeof *p.pixels);
    bool done = room && plain && p.sum && p.pixels;
    if (!done)
        status_fail(s, "no memory for the patches of %s", t->name);
    else if ((done = add_images(&p, l, executor_threads(e), s))) {
        write_filters(&p, t, room, plain);
        type_scatter(&t->type, plain, executor_state(e, state));
    }
    free(room);
    free(plain);
    free(p.sum);
    free(p.pixels);
    return done;
}

bool whiten_states(Executor *e, const Loader *images, Status *s)
{
    const Plan *plan = executor_plan(e);
    int graph = executor_graph(e, "train"), n = 0;
    const PlanPort *image = executor_port(e, graph, "image");
    for (uint32_t i = 0; i < plan->n_states; i++) {
        if (plan->states[i].init != PLAN_PATCHES)
            continue;
        n++;
        if (!whiten(e, i, &image->type, images, s))
            return false;
    }
    return !n || executor_push(e, s);
}
