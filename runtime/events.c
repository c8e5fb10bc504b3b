/* events.c: see events.h. */
#include "events.h"
#include "file.h"
#include "protobuf.h"
#include "types.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the frame ----------------------------------------------------------- */

enum {
    HEAD = 12, /* length and its sum */
    FOOT = 4,
    EVENT_ROOM = 4096,
    MOST = 1 << 28 /* bytes of an event that is believed */
};

/* The reflected polynomial of iSCSI's CRC (RFC 3720), bit by bit: events are
 * short. */
uint32_t events_crc(const void *data, size_t n)
{
    const uint8_t *byte = data;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= byte[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

/* As TFRecord stores it, so that a sum over sums is no trivial one. */
static uint32_t masked(const void *data, size_t n)
{
    uint32_t crc = events_crc(data, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void little(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t of_little(const uint8_t *from, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << 8 * i;
    return value;
}

static void give_up(Events *e)
{
    fprintf(stderr,
            "warning: cannot write %s: %s; training goes on, TensorBoard's "
            "events end here\n",
            e->path, strerror(errno));
    if (ftruncate(e->fd, e->size))
        errno = 0;
    close(e->fd);
    e->fd = -1;
}

static void write_event(Events *e, const Protobuf *event)
{
    uint8_t head[HEAD], foot[FOOT];
    if (e->fd < 0 || event->failed)
        return;
    little(head, event->n, 8);
    little(head + 8, masked(head, 8), 4);
    little(foot, masked(event->data, event->n), 4);
    if (!file_write(e->fd, (char *)head, HEAD) ||
        !file_write(e->fd, (char *)event->data, event->n) ||
        !file_write(e->fd, (char *)foot, FOOT))
        give_up(e);
    else
        e->size += (int64_t)(HEAD + event->n + FOOT);
}

/* ---- events -------------------------------------------------------------- */

enum { EVENT_TIME = 1, EVENT_STEP, EVENT_VERSION, EVENT_GRAPH, EVENT_SUMMARY };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE, VALUE_HISTOGRAM = 5 };

static void begin(Protobuf *event, int64_t step)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    protobuf_double(event, EVENT_TIME,
                    (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    protobuf_varint(event, EVENT_STEP, (uint64_t)step);
}

void events_scalars(Events *e, int64_t step, const EventScalar *x, int n)
{
    uint8_t room[EVENT_ROOM], inner[EVENT_ROOM / 2], one[512];
    Protobuf event = {.data = room, .room = sizeof room};
    Protobuf summary = {.data = inner, .room = sizeof inner};
    if (e->fd < 0)
        return;
    for (int i = 0; i < n; i++) {
        Protobuf value = {.data = one, .room = sizeof one};
        if (isnan(x[i].value))
            continue;
        protobuf_text(&value, VALUE_TAG, x[i].tag);
        protobuf_float(&value, VALUE_SIMPLE, (float)x[i].value);
        protobuf_bytes(&summary, SUMMARY_VALUE, value.data, value.n);
    }
    begin(&event, step);
    protobuf_bytes(&event, EVENT_SUMMARY, summary.data, summary.n);
    write_event(e, &event);
}

/* ---- histograms ---------------------------------------------------------- */

enum { BUCKETS = 40 };

typedef struct Spread {
    double low, high, sum, squares;
    double limit[BUCKETS], count[BUCKETS];
} Spread;

static void spread_of(Spread *h, uint8_t dtype, const void *data, int64_t n)
{
    size_t size = (size_t)dtype_bytes(dtype);
    *h = (Spread){.low = INFINITY, .high = -INFINITY};
    for (int64_t i = 0; i < n; i++) {
        double v = dtype_load(dtype, (const char *)data + (size_t)i * size);
        h->low = fmin(h->low, v);
        h->high = fmax(h->high, v);
        h->sum += v;
        h->squares += v * v;
    }
    double width = (h->high - h->low) / BUCKETS;
    for (int b = 0; b < BUCKETS; b++)
        h->limit[b] = h->low + width * (b + 1);
    h->limit[BUCKETS - 1] = nextafter(h->high, INFINITY);
    for (int64_t i = 0; i < n; i++) {
        double v = dtype_load(dtype, (const char *)data + (size_t)i * size);
        double at = width > 0 ? floor((v - h->low) / width) : 0;
        h->count[at < 0 ? 0 : at >= BUCKETS ? BUCKETS - 1 : (int)at]++;
    }
}

static void put_doubles(Protobuf *p, int field, const double *value, int n)
{
    uint8_t packed[BUCKETS * 8];
    for (int i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &value[i], sizeof bits);
        little(packed + 8 * i, bits, 8);
    }
    protobuf_bytes(p, field, packed, (size_t)n * 8);
}

void events_histogram(Events *e, int64_t step, const char *tag, uint8_t dtype,
                      const void *data, int64_t n)
{
    uint8_t room[EVENT_ROOM], a[EVENT_ROOM], b[EVENT_ROOM], c[EVENT_ROOM];
    Protobuf event = {.data = room, .room = sizeof room};
    Protobuf summary = {.data = a, .room = sizeof a};
    Protobuf value = {.data = b, .room = sizeof b};
    Protobuf histogram = {.data = c, .room = sizeof c};
    Spread h;
    if (e->fd < 0 || n < 1 || dtype_first_not_finite(dtype, data, n) >= 0)
        return;
    spread_of(&h, dtype, data, n);
    const double scalar[] = {h.low, h.high, (double)n, h.sum, h.squares};
    for (int i = 0; i < 5; i++)
        protobuf_double(&histogram, i + 1, scalar[i]);
    put_doubles(&histogram, 6, h.limit, BUCKETS);
    put_doubles(&histogram, 7, h.count, BUCKETS);
    protobuf_text(&value, VALUE_TAG, tag);
    protobuf_bytes(&value, VALUE_HISTOGRAM, histogram.data, histogram.n);
    protobuf_bytes(&summary, SUMMARY_VALUE, value.data, value.n);
    begin(&event, step);
    protobuf_bytes(&event, EVENT_SUMMARY, summary.data, summary.n);
    write_event(e, &event);
}

/* ---- the graph ----------------------------------------------------------- */

enum { GRAPH_NODE = 1, NODE_NAME = 1, NODE_OP, NODE_INPUT };
enum { NAME_ROOM = 512 };

/* "conv layer1.0.conv1" as step 7: "layer1/0/conv1/conv_7", so that
 * TensorBoard folds what belongs to one block. */
static void step_name(const PlanGraph *g, uint32_t step, char name[NAME_ROOM])
{
    const char *what = g->steps[step].what ? g->steps[step].what : "step";
    const char *space = strchr(what, ' ');
    int op = space ? (int)(space - what) : (int)strlen(what);
    snprintf(name, NAME_ROOM, "%.300s%s%.*s_%u", space ? space + 1 : "",
             space ? "/" : "", op < 100 ? op : 100, what, step);
    for (char *c = name; *c; c++)
        if (*c == '.')
            *c = '/';
        else if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-/",
                         *c))
            *c = '_';
}

static void put_node(Protobuf *graph, const Protobuf *node)
{
    protobuf_bytes(graph, GRAPH_NODE, node->data, node->n);
    graph->failed = graph->failed || node->failed;
}

/* Which step made what step i reads; the node's inputs. */
static void put_inputs(Protobuf *node, const PlanGraph *g, uint32_t i,
                       const int64_t *maker)
{
    const PlanStep *s = &g->steps[i];
    char name[NAME_ROOM];
    for (uint32_t a = s->n_out; a < s->n_args; a++) {
        uint32_t buffer = g->args[s->arg + a];
        if (maker[buffer] >= 0) {
            step_name(g, (uint32_t)maker[buffer], name);
            protobuf_text(node, NODE_INPUT, name);
        } else if (g->buffers[buffer].name) {
            snprintf(name, sizeof name, "state/%s", g->buffers[buffer].name);
            protobuf_text(node, NODE_INPUT, name);
        }
    }
}

static void put_sources(Protobuf *graph, const PlanGraph *g)
{
    for (uint32_t i = 0; i < g->n_buffers; i++) {
        const PlanBuffer *b = &g->buffers[i];
        Protobuf node = {.grows = true};
        char name[NAME_ROOM];
        if ((b->kind != PLAN_STATE && b->kind != PLAN_INPUT) || !b->name)
            continue;
        snprintf(name, sizeof name, "state/%s", b->name);
        protobuf_text(&node, NODE_NAME, name);
        protobuf_text(&node, NODE_OP,
                      b->kind == PLAN_STATE ? "Variable" : "Placeholder");
        put_node(graph, &node);
        free(node.data);
    }
}

static void put_steps(Protobuf *graph, const Plan *plan, const PlanGraph *g,
                      int64_t *maker)
{
    for (uint32_t i = 0; i < g->n_steps; i++) {
        const PlanStep *s = &g->steps[i];
        Protobuf node = {.grows = true};
        char name[NAME_ROOM];
        step_name(g, i, name);
        protobuf_text(&node, NODE_NAME, name);
        protobuf_text(&node, NODE_OP, plan->kernels[s->kernel].name);
        put_inputs(&node, g, i, maker);
        put_node(graph, &node);
        free(node.data);
        for (uint32_t a = 0; a < s->n_out; a++)
            maker[g->args[s->arg + a]] = i;
    }
}

void events_graph(Events *e, const Plan *plan, const char *name)
{
    Protobuf graph = {.grows = true}, event = {.grows = true};
    const PlanGraph *g = NULL;
    for (uint32_t i = 0; i < plan->n_graphs; i++)
        if (!strcmp(plan->graphs[i].name, name))
            g = &plan->graphs[i];
    if (!g || e->fd < 0)
        return;
    int64_t *maker = malloc((g->n_buffers + 1) * sizeof *maker);
    for (uint32_t i = 0; maker && i < g->n_buffers; i++)
        maker[i] = -1;
    if (maker) {
        put_sources(&graph, g);
        put_steps(&graph, plan, g, maker);
        begin(&event, 0);
        protobuf_bytes(&event, EVENT_GRAPH, graph.data, graph.n);
        event.failed = event.failed || graph.failed;
        write_event(e, &event);
    }
    free(maker);
    free(graph.data);
    free(event.data);
}

/* ---- opening ------------------------------------------------------------- */

/* The step of an event that events.c wrote: time and step come first. */
static bool step_of(const uint8_t *event, size_t n, int64_t *step)
{
    size_t at = 9; /* the time's tag and its 8 bytes */
    uint64_t value;
    if (n < at + 2 || event[at++] != EVENT_STEP << 3 ||
        !protobuf_read_varint(event, n, &at, &value))
        return false;
    *step = (int64_t)value;
    return true;
}

/* Bytes of the leading whole events of steps up to `after`. */
static int64_t events_to_keep(int fd, int64_t after)
{
    uint8_t head[HEAD], start[32];
    int64_t keep = 0, step, end = lseek(fd, 0, SEEK_END);
    while (end - keep >= HEAD + FOOT) {
        if (pread(fd, head, HEAD, keep) != HEAD ||
            of_little(head + 8, 4) != masked(head, 8))
            break;
        uint64_t n = of_little(head, 8);
        if (n > MOST || (int64_t)n > end - keep - HEAD - FOOT)
            break;
        size_t part = n < sizeof start ? (size_t)n : sizeof start;
        if (pread(fd, start, part, keep + HEAD) != (ssize_t)part ||
            !step_of(start, part, &step) || step > after)
            break;
        keep += HEAD + (int64_t)n + FOOT;
    }
    return keep;
}

static void write_version(Events *e)
{
    uint8_t room[128];
    Protobuf event = {.data = room, .room = sizeof room};
    begin(&event, 0);
    protobuf_text(&event, EVENT_VERSION, "brain.Event:2");
    write_event(e, &event);
}

bool events_open(Events *e, const char *path, int64_t after, Status *s)
{
    *e = (Events){.fd = -1};
    if (strlen(path) >= sizeof e->path)
        return status_fail(s, "the path is too long: %.80s..", path);
    strcpy(e->path, path);
    e->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (e->fd < 0)
        return status_errno(s, "open", path, NULL);
    e->size = after > 0 ? events_to_keep(e->fd, after) : 0;
    if (ftruncate(e->fd, e->size) || lseek(e->fd, e->size, SEEK_SET) < 0)
        return status_errno(s, "go on with", path, NULL);
    if (e->size == 0)
        write_version(e);
    return true;
}

void events_close(Events *e)
{
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}
