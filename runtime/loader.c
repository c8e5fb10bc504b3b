/* loader.c: threads fill a ring of slots ahead of the step; see loader.h.
 *
 *     batch i of a run lies in slot i % n:
 *
 *         free -> filling -> ready -> taken -> free
 *              threads           next    release
 *
 * A thread takes PIECE rows of a batch at a time, so that all of them work on
 * the batch that is needed first.  What a row holds depends on its place in
 * the epoch alone, so who fills it does not matter.
 *
 * One lock guards all of `Run`; rows are filled outside it. */
#include "loader.h"
#include "augment.h"
#include "loader_order.h"
#include "loader_private.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE = 32, MOST_THREADS = 64 };

typedef enum SlotState {
    SLOT_FREE,
    SLOT_FILLING,
    SLOT_READY,
    SLOT_TAKEN
} SlotState;

typedef struct Slot {
    SlotState state;
    int64_t left; /* rows that no thread has finished yet */
    int64_t bad;  /* the first row that failed, if status says so */
    Status status;
} Slot;

typedef struct Run {
    LoaderSlots slots;
    Slot slot[LOADER_MAX_SLOTS];
    int64_t epoch, first, end;
    int64_t fill, row; /* the next piece: batch and row in it */
    int64_t next;      /* the next batch that loader_next hands out */
    bool running, closing;
    int busy; /* threads that are filling */
} Run;

typedef struct Worker {
    Loader *loader;
    uint8_t *scratch; /* for one image */
    float *room;      /* for augment_image, then an image to be mixed in */
    pthread_t thread;
} Worker;

struct Loader {
    DataSet set;
    Augment augment;
    PlanType image, label;
    bool keep_tail, shuffle;
    uint64_t seed;
    MixOptions mix;
    uint32_t *order; /* [set.n] */
    pthread_mutex_t lock;
    pthread_cond_t work, done; /* for workers; for the caller */
    Run run;
    int n_workers;
    Worker worker[MOST_THREADS];
};

const DataSet *loader_set(const Loader *l)
{
    return &l->set;
}

int64_t loader_samples(const Loader *l)
{
    return l->set.n;
}

const char *loader_note(const Loader *l)
{
    return l->set.note;
}

const char *loader_class_name(const Loader *l, int64_t class)
{
    return l->set.names && class >= 0 && class < l->set.classes
               ? l->set.names[class]
               : NULL;
}

int64_t loader_batches(const Loader *l)
{
    int64_t batch = l->image.dim[0];
    return (l->set.n + (l->keep_tail ? batch - 1 : 0)) / batch;
}

static int64_t batch_count(const Loader *l, int64_t batch)
{
    int64_t rows = l->image.dim[0], left = l->set.n - batch * rows;
    return left < rows ? left : rows;
}

/* Rows to write: a slot of a smaller graph has room for the tail only. */
static int64_t batch_rows(const Loader *l)
{
    int64_t rows = l->image.dim[0];
    return l->run.slots.rows < rows ? l->run.slots.rows : rows;
}

/* ---- filling ------------------------------------------------------------- */

typedef struct Piece {
    int slot;
    int64_t batch, begin, end; /* rows */
    Mix mix;
} Piece;

/* Numbers are not pixels: nothing but mean and deviation changes them. */
static void place_numbers(const Augment *a, const float *from, float *to)
{
    for (int64_t c = 0; c < a->c; c++)
        for (int64_t y = 0; y < a->h; y++)
            for (int64_t x = 0; x < a->w; x++)
                to[c * a->stride_c + y * a->stride_h + x * a->stride_w] =
                    (*from++ - a->mean[c]) / a->std[c];
}

static const float *numbers_of(const Loader *l, int64_t sample)
{
    const DataSet *d = &l->set;
    return d->numbers + data_place(d, sample) * d->c * d->h * d->w;
}

static const uint8_t *pixels_of(const Loader *l, int64_t sample,
                                uint8_t *scratch, Status *s)
{
    const DataSet *d = &l->set;
    return d->pixels ? d->pixels + sample * d->c * d->h * d->w
                     : d->fetch(d, data_place(d, sample), scratch, s);
}

bool loader_image(const Loader *l, int64_t index, float *to, Status *s)
{
    const DataSet *d = &l->set;
    size_t size = (size_t)(d->c * d->h * d->w);
    Augment plain = l->augment;
    plain.stride_c = d->h * d->w;
    plain.stride_h = d->w;
    plain.stride_w = 1;
    if (d->numbers) {
        place_numbers(&plain, numbers_of(l, index), to);
        return true;
    }
    uint8_t *scratch = d->pixels ? NULL : malloc(size);
    if (!d->pixels && !scratch)
        return status_fail(s, "no memory for an image");
    const uint8_t *pixels = d->pixels
                                ? d->pixels + (size_t)index * size
                                : d->fetch(d, data_place(d, index), scratch, s);
    if (pixels)
        augment_render(&plain, (View){0, 0, 1}, pixels, to);
    free(scratch);
    return pixels != NULL;
}

/* The same without its pixels. */
static void fill_window(const Worker *w, const Piece *p, int64_t row,
                        PlanRow *to, int32_t *label)
{
    const Loader *l = w->loader;
    int64_t sample = l->order[p->batch * l->image.dim[0] + row];
    *to = augment_row(&l->augment, l->run.epoch, data_place(&l->set, sample));
    to->sample = (int32_t)sample;
    *label = l->set.labels[sample];
}

/* The image of a row of the batch, and its label. */
static bool fill_image(const Worker *w, const Piece *p, int64_t row, float *to,
                       int32_t *label, Status *s)
{
    const Loader *l = w->loader;
    const DataSet *d = &l->set;
    int64_t sample = l->order[p->batch * l->image.dim[0] + row];
    int64_t place = data_place(d, sample);
    *label = d->labels[sample];
    if (d->numbers) {
        place_numbers(&l->augment, numbers_of(l, sample), to);
        return true;
    }
    const uint8_t *pixels = pixels_of(l, sample, w->scratch, s);
    if (!pixels)
        return false;
    augment_image(&l->augment, l->run.epoch, place, pixels, w->room, to);
    return true;
}

/* The other image is made a second time, for this row alone: so rows need not
 * wait for each other. */
static bool mix_in(const Worker *w, const Piece *p, int64_t row, float *image,
                   int32_t *other, Status *s)
{
    const Loader *l = w->loader;
    const PlanType *t = &l->image;
    float *second = w->room + augment_room(&l->augment);
    float weight = (float)p->mix.weight;
    if (!fill_image(w, p, (row + p->mix.shift) % batch_count(l, p->batch),
                    second, other, s))
        return false;
    const int64_t whole[4] = {0, 0, t->dim[2], t->dim[3]};
    const int64_t *box = p->mix.kind == MIX_CUT ? p->mix.box : whole;
    float kept = p->mix.kind == MIX_CUT ? 0 : weight;
    for (int64_t y = box[0]; y < box[2]; y++)
        for (int64_t c = 0; c < t->dim[1]; c++)
            for (int64_t x = box[1]; x < box[3]; x++) {
                int64_t at =
                    c * t->stride[1] + y * t->stride[2] + x * t->stride[3];
                image[at] = kept * image[at] + (1 - kept) * second[at];
            }
    return true;
}

static bool fill_row(const Worker *w, const Piece *p, int64_t row, Status *s)
{
    const Loader *l = w->loader;
    const LoaderSlots *slots = &l->run.slots;
    float *image = slots->image[p->slot] + row * l->image.stride[0];
    int32_t *label = slots->label[p->slot] + row * l->label.stride[0];
    int32_t *others = slots->other[p->slot];
    int32_t *other = others ? others + row * l->label.stride[0] : NULL;
    PlanRow *window = slots->row[p->slot] ? slots->row[p->slot] + row : NULL;
    if (window && row < batch_count(l, p->batch)) {
        fill_window(w, p, row, window, label);
        return true;
    }
    if (window) {
        *window = (PlanRow){.sample = -1};
        *label = 0;
        return true;
    }
    if (row >= batch_count(l, p->batch)) {
        augment_zero(&l->augment, image);
        *label = 0;
        if (other)
            *other = 0;
        return true;
    }
    if (!fill_image(w, p, row, image, label, s))
        return false;
    if (!other)
        return true;
    *other = *label;
    return p->mix.kind == MIX_NONE || mix_in(w, p, row, image, other, s);
}

static Mix batch_mix(const Loader *l, int64_t batch)
{
    if (!l->run.slots.other[0])
        return (Mix){.kind = MIX_NONE, .weight = 1};
    return mix_draw(&l->mix, l->seed, l->run.epoch, batch,
                    batch_count(l, batch), l->image.dim[2], l->image.dim[3]);
}

/* The lock is held. */
static bool take_piece(Loader *l, Piece *p)
{
    Run *r = &l->run;
    if (!r->running || r->fill == r->end)
        return false;
    int at = (int)((r->fill - r->first) % r->slots.n);
    int64_t rows = batch_rows(l);
    Slot *slot = &r->slot[at];
    if (r->row == 0) {
        if (slot->state != SLOT_FREE)
            return false;
        *slot = (Slot){.state = SLOT_FILLING, .left = rows};
    }
    *p = (Piece){at, r->fill, r->row, r->row + PIECE, batch_mix(l, r->fill)};
    if (p->end >= rows)
        p->end = rows;
    r->row = p->end;
    if (r->row == rows) {
        r->fill++;
        r->row = 0;
    }
    r->busy++;
    return true;
}

/* The lock is held.  Of several failures in a batch the first row's is kept,
 * whichever thread was first. */
static void finish_piece(Loader *l, const Piece *p, int64_t bad,
                         const Status *s)
{
    Slot *slot = &l->run.slot[p->slot];
    if (s->failed && (!slot->status.failed || bad < slot->bad)) {
        slot->bad = bad;
        slot->status = *s;
    }
    slot->left -= p->end - p->begin;
    if (slot->left == 0)
        slot->state = SLOT_READY;
    l->run.busy--;
    if (slot->left == 0 || !l->run.running)
        pthread_cond_broadcast(&l->done);
}

static void *work(void *context)
{
    Worker *w = context;
    Loader *l = w->loader;
    Piece p;
    pthread_mutex_lock(&l->lock);
    while (!l->run.closing) {
        if (!take_piece(l, &p)) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        Status status = {0};
        int64_t row = p.begin;
        while (row < p.end && fill_row(w, &p, row, &status))
            row++;
        pthread_mutex_lock(&l->lock);
        finish_piece(l, &p, row, &status);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- running ------------------------------------------------------------- */

static bool check_range(const Loader *l, const LoaderSlots *slots,
                        int64_t epoch, int64_t first, int64_t end, Status *s)
{
    assert(slots->n >= 1 && slots->n <= LOADER_MAX_SLOTS && slots->rows >= 1);
    int64_t batches = loader_batches(l);
    if (epoch < 0 || epoch > UINT32_MAX || first < 0 || first > end ||
        end > batches)
        return status_fail(s,
                           "there is no epoch %lld with batches %lld to %lld: "
                           "the data makes %lld batches",
                           (long long)epoch, (long long)first, (long long)end,
                           (long long)batches);
    assert((first == end || slots->rows >= batch_count(l, first)) &&
           "the slots have room for a batch");
    return true;
}

bool loader_start(Loader *l, const LoaderSlots *slots, int64_t epoch,
                  int64_t first, int64_t end, Status *s)
{
    if (!check_range(l, slots, epoch, first, end, s))
        return false;
    loader_stop(l);
    if (l->shuffle)
        order_shuffled(l->order, l->set.n, l->seed, epoch);
    else
        order_plain(l->order, l->set.n);
    pthread_mutex_lock(&l->lock);
    Run *r = &l->run;
    r->slots = *slots;
    r->epoch = epoch;
    r->first = r->fill = r->next = first;
    r->row = 0;
    r->end = end;
    r->running = true;
    for (int i = 0; i < LOADER_MAX_SLOTS; i++)
        r->slot[i].state = SLOT_FREE;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return true;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool loader_next(Loader *l, LoaderBatch *batch, Status *s)
{
    Run *r = &l->run;
    bool good = false;
    double begin = seconds();
    pthread_mutex_lock(&l->lock);
    if (r->running && r->next < r->end) {
        int at = (int)((r->next - r->first) % r->slots.n);
        Slot *slot = &r->slot[at];
        assert(slot->state != SLOT_TAKEN && "a slot was not released");
        while (slot->state != SLOT_READY)
            pthread_cond_wait(&l->done, &l->lock);
        good = !slot->status.failed;
        if (good) {
            slot->state = SLOT_TAKEN;
            *batch = (LoaderBatch){
                at,      batch_count(l, r->next), r->epoch,
                r->next, seconds() - begin,       batch_mix(l, r->next).weight};
            r->next++;
        } else {
            status_fail(s, "%s", slot->status.text);
        }
    }
    pthread_mutex_unlock(&l->lock);
    return good;
}

void loader_release(Loader *l, int slot)
{
    pthread_mutex_lock(&l->lock);
    assert(slot >= 0 && slot < l->run.slots.n);
    l->run.slot[slot].state = SLOT_FREE;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

void loader_stop(Loader *l)
{
    pthread_mutex_lock(&l->lock);
    l->run.running = false;
    while (l->run.busy)
        pthread_cond_wait(&l->done, &l->lock);
    pthread_mutex_unlock(&l->lock);
}

/* ---- opening ------------------------------------------------------------- */

/* Signals are the main thread's, so new threads start with all of them
 * blocked. */
static bool start_workers(Loader *l, int n, Status *s)
{
    size_t bytes = (size_t)(l->set.c * l->set.h * l->set.w);
    size_t room = (size_t)(augment_room(&l->augment) + l->image.stride[0] + 1) *
                  sizeof(float);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < n && !s->failed; i++) {
        Worker *w = &l->worker[i];
        w->loader = l;
        w->scratch = l->set.pixels ? NULL : malloc(bytes);
        w->room = calloc(1, room);
        int code = !w->room || (!w->scratch && !l->set.pixels)
                       ? ENOMEM
                       : pthread_create(&w->thread, NULL, work, w);
        l->n_workers += code == 0;
        if (!code)
            continue;
        status_fail(s, "cannot start loader thread %d of %d: %s", i + 1, n,
                    strerror(code));
        free(w->scratch);
        free(w->room);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !s->failed;
}

static bool check_batch(const Loader *l, Status *s)
{
    if (loader_batches(l) > 0)
        return true;
    return status_fail(s,
                       "the data has %lld %s, too few for one batch of "
                       "%lld; take a smaller batch, or tail = keep",
                       (long long)l->set.n, data_things(&l->set),
                       (long long)l->image.dim[0]);
}

static bool prepare(Loader *l, const LoaderOptions *o, Status *s)
{
    if (o->threads < 1 || o->threads > MOST_THREADS)
        return status_fail(s, "%d loader threads were asked for; 1 to %d work",
                           o->threads, MOST_THREADS);
    l->order = malloc((size_t)l->set.n * sizeof *l->order);
    if (!l->order)
        return status_fail(s, "there is no memory for the order of %lld %s",
                           (long long)l->set.n, data_things(&l->set));
    if (!augment_prepare(&l->augment, o, s))
        return false;
    augment_larger(&l->augment, l->set.h, l->set.w);
    if (l->set.numbers && l->augment.list.n)
        return status_fail(s, "the data are numbers, not pictures: data.crop, "
                              "data.flip and data.augment do not apply");
    return check_batch(l, s) && start_workers(l, o->threads, s);
}

Loader *loader_open_set(const LoaderOptions *o, DataSet *set, Status *s)
{
    Loader *l = calloc(1, sizeof *l);
    if (!l) {
        data_free(set);
        status_fail(s, "there is no memory for a loader");
        return NULL;
    }
    l->set = *set;
    *set = (DataSet){0};
    l->image = o->image;
    l->label = o->label;
    l->keep_tail = o->keep_tail;
    l->shuffle = o->shuffle;
    l->seed = o->seed;
    l->mix = o->augment ? o->mix : (MixOptions){0};
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    if (prepare(l, o, s))
        return l;
    loader_close(l);
    return NULL;
}

const float *loader_values(const Loader *l)
{
    bool mixes = l->mix.mixup > 0 || l->mix.cutmix > 0;
    bool same = l->set.h == l->image.dim[2] && l->set.w == l->image.dim[3];
    return !l->set.numbers && l->augment.moves && same && !mixes
               ? l->augment.value[0]
               : NULL;
}

bool loader_pixels(const Loader *l, int64_t sample, uint8_t *to, Status *s)
{
    size_t bytes = (size_t)(l->set.c * l->set.h * l->set.w);
    const uint8_t *from = pixels_of(l, sample, to, s);
    if (from && from != to)
        memcpy(to, from, bytes);
    return from != NULL;
}

Loader *loader_open(const LoaderOptions *o, Status *s)
{
    DataRequest request = {.dir = o->dir,
                           .train = o->train,
                           .c = o->image.dim[1],
                           .h = o->image.dim[2],
                           .w = o->image.dim[3],
                           .classes = o->classes,
                           .rows = o->rows,
                           .validation = o->validation,
                           .held = o->held,
                           .fraction = o->fraction,
                           .split_seed = o->split_seed,
                           .resize = o->resize,
                           .cache = o->cache,
                           .skip_damaged = o->skip_damaged,
                           .threads = o->decode_threads,
                           .watch = o->watch};
    DataSet set;
    if (!data_read(&set, o->kind, &request, s))
        return NULL;
    return loader_open_set(o, &set, s);
}

void loader_close(Loader *l)
{
    if (!l)
        return;
    loader_stop(l);
    pthread_mutex_lock(&l->lock);
    l->run.closing = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->n_workers; i++) {
        pthread_join(l->worker[i].thread, NULL);
        free(l->worker[i].scratch);
        free(l->worker[i].room);
    }
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    data_free(&l->set);
    free(l->order);
    free(l);
}
