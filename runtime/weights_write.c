/* weights_write.c: see weights_write.h.
 *
 *     archive/data.pkl    the pickle of {name: tensor, ..}
 *     archive/byteorder   "little"
 *     archive/data/0 ..   the elements of each tensor
 *     archive/version     "3\n"
 *
 * Entries are stored, their data at multiples of 64 as PyTorch has them; the
 * times are those of the oldest file that zip knows, so that the same weights
 * are the same bytes. */
#include "weights_write.h"
#include "safetensors.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { ALIGNED = 64, NAME_MOST = 64, OLDEST = 0x21, NAMES_ARE_UTF8 = 0x800 };

static int64_t elements_of(const WeightItem *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->rank; i++)
        n *= x->dim[i];
    return n;
}

static void put_number(FILE *f, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++, v >>= 8)
        fputc((int)(v & 0xff), f);
}

/* ---- the pickle, protocol 2 ---------------------------------------------- */

static void pickle_text(FILE *f, const char *text)
{
    fputc('X', f);
    put_number(f, strlen(text), 4);
    fputs(text, f);
}

static void pickle_int(FILE *f, int64_t v)
{
    bool small = v <= INT32_MAX;
    fputs(small ? "J" : "\x8a\x08", f); /* LONG1 of 8 bytes */
    put_number(f, (uint64_t)v, small ? 4 : 8);
}

static void pickle_ints(FILE *f, const int64_t *v, int n)
{
    fputc('(', f);
    for (int i = 0; i < n; i++)
        pickle_int(f, v[i]);
    fputc('t', f);
}

/* _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict()), where the
 * storage is ("storage", FloatStorage, key, "cpu", elements). */
static void pickle_tensor(FILE *f, const WeightItem *x, uint32_t key)
{
    char text[16];
    int64_t stride[PLAN_MAX_RANK], step = 1;
    for (int i = x->rank; i-- > 0; step *= x->dim[i])
        stride[i] = step;
    snprintf(text, sizeof text, "%u", key);
    fputs("ctorch._utils\n_rebuild_tensor_v2\n((", f);
    pickle_text(f, "storage");
    fputs("ctorch\nFloatStorage\n", f);
    pickle_text(f, text);
    pickle_text(f, "cpu");
    pickle_int(f, elements_of(x));
    fputs("tQ", f); /* a tuple that names something outside of the pickle */
    pickle_int(f, 0);
    pickle_ints(f, x->dim, x->rank);
    pickle_ints(f, stride, x->rank);
    fputs("\x89" /* False */ "ccollections\nOrderedDict\n)RtR", f);
}

static bool pickle_all(const WeightList *l, char **text, size_t *n)
{
    FILE *f = open_memstream(text, n);
    if (!f)
        return false;
    fputs("\x80\x02}(", f);
    for (uint32_t i = 0; i < l->n; i++) {
        pickle_text(f, l->item[i].name);
        pickle_tensor(f, &l->item[i], i);
    }
    fputs("u.", f);
    return fclose(f) == 0;
}

/* ---- the zip ------------------------------------------------------------- */

typedef struct Entry {
    char name[NAME_MOST];
    uint32_t crc;
    int64_t size, at; /* bytes; where the local header is */
} Entry;

typedef struct Zip {
    FILE *to;
    int64_t at;
    Entry *entry;
    uint32_t n;
} Zip;

/* What both headers of an entry have alike. */
static void put_common(FILE *f, const Entry *e, uint32_t extra)
{
    put_number(f, 20, 2); /* version of zip that can read it */
    put_number(f, NAMES_ARE_UTF8, 2);
    put_number(f, 0, 2); /* stored */
    put_number(f, 0, 2);
    put_number(f, OLDEST, 2);
    put_number(f, e->crc, 4);
    put_number(f, (uint64_t)e->size, 4);
    put_number(f, (uint64_t)e->size, 4);
    put_number(f, strlen(e->name), 2);
    put_number(f, extra, 2);
}

static void zip_add(Zip *z, const char *name, const void *data, size_t n)
{
    enum { HEADER = 30, EXTRA = 4 };
    Entry *e = &z->entry[z->n++];
    *e = (Entry){.size = (int64_t)n, .at = z->at};
    snprintf(e->name, sizeof e->name, "archive/%s", name);
    e->crc = (uint32_t)crc32_z(0, data, n);
    int64_t before = z->at + HEADER + (int64_t)strlen(e->name) + EXTRA;
    int64_t pad = (ALIGNED - before % ALIGNED) % ALIGNED;
    put_number(z->to, 0x04034b50, 4);
    put_common(z->to, e, (uint32_t)(EXTRA + pad));
    fputs(e->name, z->to);
    put_number(z->to, 0x4246, 2); /* "FB", padding */
    put_number(z->to, (uint64_t)pad, 2);
    for (int64_t i = 0; i < pad; i++)
        fputc('Z', z->to);
    fwrite(data, 1, n, z->to);
    z->at = before + pad + (int64_t)n;
}

static void zip_end(Zip *z)
{
    int64_t size = 0;
    for (uint32_t i = 0; i < z->n; i++) {
        const Entry *e = &z->entry[i];
        put_number(z->to, 0x02014b50, 4);
        put_number(z->to, 20, 2);
        put_common(z->to, e, 0);
        put_number(z->to, 0, 10); /* comment, volume, attributes */
        put_number(z->to, (uint64_t)e->at, 4);
        fputs(e->name, z->to);
        size += 46 + (int64_t)strlen(e->name);
    }
    put_number(z->to, 0x06054b50, 4);
    put_number(z->to, 0, 4);
    put_number(z->to, z->n, 2);
    put_number(z->to, z->n, 2);
    put_number(z->to, (uint64_t)size, 4);
    put_number(z->to, (uint64_t)z->at, 4);
    put_number(z->to, 0, 2);
}

/* ---- the files ----------------------------------------------------------- */

static bool no_memory(Status *s)
{
    return status_fail(s, "there is no memory to write weights");
}

/* Room for the largest, and the bytes of all; NULL without memory. */
static float *room_for(const WeightList *l, int64_t *bytes)
{
    int64_t most = 1;
    *bytes = 0;
    for (uint32_t i = 0; i < l->n; i++) {
        int64_t n = elements_of(&l->item[i]);
        most = n > most ? n : most;
        *bytes += n * (int64_t)sizeof(float);
    }
    return malloc((size_t)most * sizeof(float));
}

static bool add_tensors(Zip *z, const WeightList *l, float *room, Status *s)
{
    for (uint32_t i = 0; i < l->n; i++) {
        char name[24];
        if (!l->values(l->context, i, room, s))
            return false;
        snprintf(name, sizeof name, "data/%u", i);
        zip_add(z, name, room,
                (size_t)elements_of(&l->item[i]) * sizeof(float));
    }
    return true;
}

bool weights_write_torch(FILE *to, const WeightList *l, Status *s)
{
    enum { OTHERS = 3, ENTRIES_MOST = 65535 };
    Zip z = {.to = to, .entry = calloc(l->n + OTHERS, sizeof *z.entry)};
    char *pickle = NULL;
    size_t n = 0;
    int64_t bytes;
    float *room = room_for(l, &bytes);
    bool good = room && z.entry && pickle_all(l, &pickle, &n);
    if (!good) {
        no_memory(s);
    } else if (l->n + OTHERS > ENTRIES_MOST ||
               bytes + (int64_t)n + ((int64_t)l->n << 9) > UINT32_MAX) {
        good = status_fail(s,
                           "%lld bytes in %u tensors are too much for this "
                           "kind of file; .safetensors has no such limit",
                           (long long)bytes, l->n);
    } else {
        zip_add(&z, "data.pkl", pickle, n);
        zip_add(&z, "byteorder", "little", 6);
        good = add_tensors(&z, l, room, s);
        zip_add(&z, "version", "3\n", 2);
        zip_end(&z);
    }
    free(pickle);
    free(room);
    free(z.entry);
    return good;
}

/* The header of l; its size, 0 without memory. */
static size_t head_of(const WeightList *l, char **head)
{
    Tensor *t = calloc(l->n + 1, sizeof *t);
    static const Metadata format = {"format", "pt"};
    size_t room = 256, n = 0;
    int64_t at = 0;
    for (uint32_t i = 0; t && i < l->n; i++) {
        const WeightItem *x = &l->item[i];
        int64_t end = at + elements_of(x) * (int64_t)sizeof(float);
        t[i] = (Tensor){x->name, PLAN_F32, x->rank, {0}, at, end};
        memcpy(t[i].dim, x->dim, sizeof x->dim);
        at = end;
        room += 6 * strlen(x->name) + 320;
    }
    *head = t ? malloc(room) : NULL;
    if (*head)
        n = tensors_header(t, l->n, &format, 1, *head, room);
    free(t);
    return n;
}

bool weights_write_safetensors(FILE *to, const WeightList *l, Status *s)
{
    char *head = NULL;
    int64_t bytes;
    float *room = room_for(l, &bytes);
    size_t n = room ? head_of(l, &head) : 0;
    bool good = n || no_memory(s);
    if (good)
        fwrite(head, 1, n, to);
    for (uint32_t i = 0; good && i < l->n; i++) {
        good = l->values(l->context, i, room, s);
        if (good)
            fwrite(room, sizeof(float), (size_t)elements_of(&l->item[i]), to);
    }
    free(head);
    free(room);
    return good;
}
