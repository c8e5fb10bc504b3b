/* craft.c: see craft.h. */
#include "craft.h"
#include "types.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

Bytes bytes_new(void)
{
    Bytes b = {malloc(CRAFT_ROOM), 0};
    assert_non_null(b.at);
    return b;
}

void bytes_free(Bytes *b)
{
    free(b->at);
}

void bytes_add(Bytes *b, const void *data, size_t n)
{
    assert_true(n <= CRAFT_ROOM - b->n);
    if (n)
        memcpy(b->at + b->n, data, n);
    b->n += n;
}

void bytes_number(Bytes *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        unsigned char c = i < 8 ? (unsigned char)(v >> (8 * i)) : 0;
        bytes_add(b, &c, 1);
    }
}

void bytes_text(Bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

/* ---- files --------------------------------------------------------------- */

static unsigned long add_sum(unsigned long sum, const void *data, size_t n)
{
    return crc32(sum, data, (uInt)n);
}

static bool read_one(const WeightFile *f, const Weight *w, Status *s,
                     unsigned long *sum)
{
    int64_t n = 1;
    uint8_t as = weights_converts(w->dtype, PLAN_F32) ? PLAN_F32 : w->dtype;
    for (int i = 0; i < w->rank; i++)
        if (__builtin_mul_overflow(n, w->dim[i], &n))
            return true;
    if (!w->dtype || n > 1000000 || n == 0)
        return true;
    char *data = malloc((size_t)(n * dtype_bytes(as)));
    assert_non_null(data);
    bool done = weights_read(f, w, as, data, s);
    if (done) {
        *sum = add_sum(*sum, w->name, strlen(w->name));
        *sum = add_sum(*sum, w->dim, sizeof w->dim);
        *sum = add_sum(*sum, data, (size_t)(n * dtype_bytes(as)));
    }
    free(data);
    return done;
}

static WeightFile *open_bytes(const Bytes *b, Status *s)
{
    char path[64];
    int fd = memfd_create("weights", 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->at, b->n), b->n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    WeightFile *f = weights_open(path, s);
    close(fd); /* the reader has it open */
    return f;
}

const char *craft_message(const Bytes *b, Status *s, unsigned long *sum)
{
    unsigned long unused, *to = sum ? sum : &unused;
    *s = (Status){0};
    *to = crc32(0, NULL, 0);
    WeightFile *f = open_bytes(b, s);
    assert_true((f == NULL) == s->failed);
    bool done = f != NULL;
    for (uint32_t i = 0; done && i < weights_count(f); i++) {
        assert_ptr_equal(weights_find(f, weights_at(f, i)->name),
                         weights_at(f, i));
        done = read_one(f, weights_at(f, i), s, to);
        assert_true(done != s->failed);
    }
    weights_close(f);
    return s->text;
}

WeightFile *craft_open(const Bytes *b)
{
    Status s = {0};
    WeightFile *f = open_bytes(b, &s);
    assert_string_equal(s.text, "");
    return f;
}

/* ---- zip ----------------------------------------------------------------- */

typedef struct Placed {
    size_t header;
    uint64_t packed;
    uint32_t crc;
} Placed;

static size_t add_deflated(Bytes *b, const Entry *e)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 9, 0), Z_OK);
    z.next_in = (Bytef *)e->data;
    z.avail_in = (uInt)e->size;
    z.next_out = b->at + b->n;
    z.avail_out = (uInt)(CRAFT_ROOM - b->n);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = z.total_out;
    deflateEnd(&z);
    b->n += n;
    return n;
}

static int method_of(const Entry *e)
{
    return e->method ? e->method : e->deflate ? 8 : 0;
}

/* Sizes are left to the directory, as PyTorch does it. */
static Placed add_local(Bytes *b, const Entry *e)
{
    const char *name = e->local_name ? e->local_name : e->name;
    Placed at = {.header = b->n};
    bytes_literal(b, "PK\3\4\24\0\0\0");
    bytes_number(b, (uint64_t)method_of(e), 2);
    bytes_number(b, 0, 16);
    bytes_number(b, strlen(name), 2);
    bytes_number(b, 4, 2);
    bytes_text(b, name);
    bytes_literal(b, "FB\0\0"); /* padding */
    size_t before = b->n;
    if (e->deflate)
        add_deflated(b, e);
    else
        bytes_add(b, e->data, e->size);
    at.packed = b->n - before;
    at.crc = (uint32_t)crc32(crc32(0, NULL, 0), e->data, (uInt)e->size);
    return at;
}

static void add_central(Bytes *b, const Entry *e, const Placed *at)
{
    uint64_t number[] = {e->packed_lie ? e->packed_lie : at->packed,
                         e->size_lie ? e->size_lie : e->size,
                         e->header_lie ? e->header_lie : at->header};
    bytes_literal(b, "PK\1\2\24\0\24\0");
    bytes_number(b, (uint64_t)e->flags, 2);
    bytes_number(b, (uint64_t)method_of(e), 2);
    bytes_number(b, 0, 4);
    bytes_number(b, at->crc + e->crc_lie, 4);
    for (int i = 0; i < 2; i++)
        bytes_number(b, e->zip64 ? 0xffffffff : number[i], 4);
    bytes_number(b, strlen(e->name), 2);
    bytes_number(b, e->zip64 ? 28 : 0, 2);
    bytes_number(b, 0, 10);
    bytes_number(b, e->zip64 ? 0xffffffff : number[2], 4);
    bytes_text(b, e->name);
    if (!e->zip64)
        return;
    bytes_literal(b, "\1\0\30\0"); /* size, packed size, place */
    bytes_number(b, number[1], 8);
    bytes_number(b, number[0], 8);
    bytes_number(b, number[2], 8);
}

void craft_zip(Bytes *b, const Entry *entry, int n)
{
    Placed at[16];
    assert_true(n <= 16);
    for (int i = 0; i < n; i++)
        at[i] = add_local(b, &entry[i]);
    size_t directory = b->n;
    for (int i = 0; i < n; i++)
        add_central(b, &entry[i], &at[i]);
    size_t bytes = b->n - directory;
    bytes_literal(b, "PK\5\6\0\0\0\0");
    bytes_number(b, (uint64_t)n, 2);
    bytes_number(b, (uint64_t)n, 2);
    bytes_number(b, bytes, 4);
    bytes_number(b, directory, 4);
    bytes_number(b, 0, 2);
}

/* ---- pickles ------------------------------------------------------------- */

void craft_int(Bytes *b, int64_t v)
{
    bytes_literal(b, "\x8a\x08");
    bytes_number(b, (uint64_t)v, 8);
}

void craft_text(Bytes *b, const char *text)
{
    bytes_text(b, "U");
    bytes_number(b, strlen(text), 1);
    bytes_text(b, text);
}

static void craft_tuple(Bytes *b, const int64_t *v, int n)
{
    bytes_text(b, "(");
    for (int i = 0; i < n; i++)
        craft_int(b, v[i]);
    bytes_text(b, "t");
}

void craft_tensor(Bytes *b, const TensorCraft *t)
{
    bytes_text(b, "ctorch._utils\n_rebuild_tensor_v2\n((");
    craft_text(b, "storage");
    bytes_text(b, "ctorch\n");
    bytes_text(b, t->type ? t->type : "FloatStorage");
    bytes_text(b, "\n");
    craft_text(b, t->key ? t->key : "0");
    craft_text(b, "cpu");
    craft_int(b, t->count);
    if (t->view)
        bytes_text(b, t->view);
    bytes_text(b, "tQ");
    craft_int(b, t->offset);
    craft_tuple(b, t->dim, t->rank);
    craft_tuple(b, t->stride, t->strides ? t->strides : t->rank);
    bytes_text(b, "tR");
}

void craft_dict(Bytes *b, const TensorCraft *t, int n)
{
    bytes_text(b, "\x80\x02}(");
    for (int i = 0; i < n; i++) {
        craft_text(b, t[i].name ? t[i].name : "a");
        craft_tensor(b, &t[i]);
    }
    bytes_text(b, "u.");
}

void craft_torch(Bytes *b, const Bytes *pickle, size_t storage)
{
    float data[64];
    assert_true(storage <= sizeof data);
    for (int i = 0; i < 64; i++)
        data[i] = (float)i;
    const Entry entry[] = {
        {.name = "x/data.pkl", .data = pickle->at, .size = pickle->n},
        {.name = "x/data/0", .data = data, .size = storage},
    };
    craft_zip(b, entry, 2);
}

void craft_legacy(Bytes *b)
{
    bytes_literal(b, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                     "\x80\x02M\xe9\x03.");
    bytes_text(b, "\x80\x02}");
    craft_text(b, "little_endian");
    bytes_literal(b, "\x88s.");
}
