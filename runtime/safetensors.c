/* safetensors.c: see safetensors.h.  The format's own limits are kept: a
 * header of at most 100 MB, no holes, no overlap, no name twice. */
#include "safetensors.h"
#include "format.h"
#include "json.h"
#include "types.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER_MOST = 100000000, PREFIX = 8 };

struct TensorFile {
    int fd;
    char *path;
    char *header, *names; /* names: every string, unescaped */
    size_t names_used, names_room;
    int64_t data, data_bytes; /* where the tensors' bytes begin; how many */
    Tensor *tensor;
    Metadata *metadata;
    uint32_t n, room, n_metadata, metadata_room;
    const char *current; /* the entry being parsed, for messages */
};

/* ---- the header's parts -------------------------------------------------- */

/* A string into f->names: unescaped text is never longer than its source, so
 * the room is the header's size and cannot run out. */
static const char *take_string(TensorFile *f, Json *j)
{
    size_t length;
    char *to = f->names + f->names_used;
    if (!json_string(j, to, f->names_room - f->names_used, &length))
        return NULL;
    f->names_used += length + 1;
    return to;
}

/* Types that are in the format but not in tgc: their size is known, so that a
 * file may hold some that are not asked for. */
static int64_t foreign_bytes(const char *name)
{
    static const char *const known[] = {"I8",  "F8_E4M3", "F8_E5M2", "I16",
                                        "U16", "U32",     "U64"};
    static const uint8_t bytes[] = {1, 1, 1, 2, 2, 4, 8};
    for (size_t i = 0; i < sizeof bytes; i++)
        if (!strcmp(known[i], name))
            return bytes[i];
    return 0;
}

static bool parse_dtype(Json *j, Tensor *t, int64_t *size)
{
    char name[16];
    if (!json_string(j, name, sizeof name, NULL))
        return false;
    t->dtype = (uint8_t)dtype_named(name);
    *size = t->dtype ? dtype_bytes(t->dtype) : foreign_bytes(name);
    return *size || json_fail(j, "a tensor has an unknown dtype");
}

static bool parse_shape(Json *j, Tensor *t)
{
    if (!json_expect(j, '['))
        return false;
    if (json_try(j, ']'))
        return true;
    do {
        if (t->rank == PLAN_MAX_RANK)
            return json_fail(j, "a tensor has more than 8 dimensions");
        if (!json_count(j, &t->dim[t->rank++]))
            return false;
    } while (json_try(j, ','));
    return json_expect(j, ']');
}

static bool parse_offsets(Json *j, Tensor *t)
{
    return json_expect(j, '[') && json_count(j, &t->begin) &&
           json_expect(j, ',') && json_count(j, &t->end) && json_expect(j, ']');
}

/* Shape and offsets agree, without overflow, and lie inside the file. */
static bool tensor_fits(const TensorFile *f, Json *j, const Tensor *t,
                        int64_t size)
{
    int64_t bytes = size;
    for (int i = 0; i < t->rank; i++)
        if (__builtin_mul_overflow(bytes, t->dim[i], &bytes))
            return json_fail(j, "a tensor's shape is too large");
    if (t->begin > t->end)
        return json_fail(j, "a tensor ends before it begins");
    if (t->end > f->data_bytes)
        return json_fail(j, "a tensor lies beyond the end of the file");
    if (t->end - t->begin != bytes)
        return json_fail(j, "a tensor's shape and its bytes do not agree");
    return true;
}

enum { HAS_DTYPE = 1, HAS_SHAPE = 2, HAS_OFFSETS = 4, HAS_ALL = 7 };

static bool parse_field(Json *j, Tensor *t, int64_t *size, int *seen)
{
    char key[16];
    if (!json_string(j, key, sizeof key, NULL) || !json_expect(j, ':'))
        return false;
    int field = !strcmp(key, "dtype")          ? HAS_DTYPE
                : !strcmp(key, "shape")        ? HAS_SHAPE
                : !strcmp(key, "data_offsets") ? HAS_OFFSETS
                                               : 0;
    if (!field || *seen & field)
        return json_fail(j, "a tensor has an unknown key, or one twice");
    *seen |= field;
    if (field == HAS_DTYPE)
        return parse_dtype(j, t, size);
    return field == HAS_SHAPE ? parse_shape(j, t) : parse_offsets(j, t);
}

static bool parse_tensor(TensorFile *f, Json *j, Tensor *t)
{
    int64_t size = 0;
    int seen = 0;
    if (!json_expect(j, '{'))
        return false;
    do {
        if (!parse_field(j, t, &size, &seen))
            return false;
    } while (json_try(j, ','));
    if (!json_expect(j, '}'))
        return false;
    if (seen != HAS_ALL)
        return json_fail(j, "a tensor lacks dtype, shape or data_offsets");
    return tensor_fits(f, j, t, size);
}

/* One more of `size` bytes at the end of a growing array. */
static void *grow(void *array, uint32_t n, uint32_t *room, size_t size)
{
    if (n < *room)
        return array;
    uint32_t more = *room ? 2 * *room : 64;
    void *larger = realloc(array, more * size);
    if (larger)
        *room = more;
    return larger;
}

static bool parse_metadata(TensorFile *f, Json *j)
{
    if (f->n_metadata)
        return json_fail(j, "__metadata__ comes twice");
    if (!json_expect(j, '{'))
        return false;
    if (json_try(j, '}'))
        return true;
    do {
        Metadata m = {0};
        m.key = take_string(f, j);
        if (!m.key || !json_expect(j, ':'))
            return false;
        m.text = take_string(f, j);
        if (!m.text)
            return false;
        Metadata *larger =
            grow(f->metadata, f->n_metadata, &f->metadata_room, sizeof *larger);
        if (!larger)
            return json_fail(j, "there is no memory for it");
        f->metadata = larger;
        f->metadata[f->n_metadata++] = m;
    } while (json_try(j, ','));
    return json_expect(j, '}');
}

static bool parse_entry(TensorFile *f, Json *j)
{
    const char *name = take_string(f, j);
    f->current = name;
    if (!name || !json_expect(j, ':'))
        return false;
    if (!strcmp(name, "__metadata__"))
        return parse_metadata(f, j);
    Tensor *larger = grow(f->tensor, f->n, &f->room, sizeof *larger);
    if (!larger)
        return json_fail(j, "there is no memory for it");
    f->tensor = larger;
    Tensor *t = &f->tensor[f->n];
    memset(t, 0, sizeof *t);
    t->name = name;
    if (!parse_tensor(f, j, t))
        return false;
    f->n++;
    return true;
}

static bool parse_header(TensorFile *f, Json *j)
{
    if (!json_expect(j, '{'))
        return false;
    if (json_try(j, '}'))
        return json_end(j);
    do {
        if (!parse_entry(f, j))
            return false;
    } while (json_try(j, ','));
    return json_expect(j, '}') && json_end(j);
}

/* ---- the whole ----------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const Tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const Tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool damaged(const TensorFile *f, Status *s, const char *why,
                    const char *name)
{
    return status_fail(s,
                       "%s is damaged or no safetensors file: %s%s%s (get it "
                       "again, or use another one)",
                       f->path, why, name ? ": " : "", name ? name : "");
}

/* The tensors cover the data, each byte once. */
static bool check_cover(TensorFile *f, Status *s)
{
    int64_t at = 0;
    if (f->n)
        qsort(f->tensor, f->n, sizeof *f->tensor, by_place);
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->tensor[i].begin != at)
            return damaged(f, s,
                           f->tensor[i].begin < at
                               ? "a tensor overlaps another"
                               : "there is a hole before a tensor",
                           f->tensor[i].name);
        at = f->tensor[i].end;
    }
    if (at != f->data_bytes)
        return damaged(f, s, "there are bytes that no tensor owns", NULL);
    if (f->n)
        qsort(f->tensor, f->n, sizeof *f->tensor, by_name);
    for (uint32_t i = 1; i < f->n; i++)
        if (!strcmp(f->tensor[i - 1].name, f->tensor[i].name))
            return damaged(f, s, "a tensor comes twice", f->tensor[i].name);
    return true;
}

static bool read_fully(const TensorFile *f, int64_t at, void *to, size_t n,
                       Status *s)
{
    for (size_t done = 0; done < n;) {
        ssize_t got =
            pread(f->fd, (char *)to + done, n - done, (off_t)at + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return status_errno(s, "read", f->path, NULL);
        if (got == 0)
            return damaged(f, s, "it ends too early", NULL);
        done += (size_t)got;
    }
    return true;
}

static bool read_header(TensorFile *f, int64_t file_bytes, Status *s)
{
    unsigned char prefix[PREFIX];
    if (file_bytes < PREFIX)
        return damaged(f, s, "it is shorter than 8 bytes", NULL);
    if (!read_fully(f, 0, prefix, PREFIX, s))
        return false;
    uint64_t size = 0;
    for (int i = PREFIX - 1; i >= 0; i--)
        size = size << 8 | prefix[i];
    if (size > HEADER_MOST || size > (uint64_t)file_bytes - PREFIX)
        return damaged(f, s, "its header would be longer than the file", NULL);
    f->data = PREFIX + (int64_t)size;
    f->data_bytes = file_bytes - f->data;
    f->header = malloc(size + 1);
    f->names_room = size + 1;
    f->names = malloc(f->names_room);
    if (!f->header || !f->names)
        return status_fail(s, "no memory for the header of %s", f->path);
    if (!read_fully(f, PREFIX, f->header, size, s))
        return false;
    Json j = {f->header, size, 0, NULL};
    if (!parse_header(f, &j)) {
        char place[300];
        snprintf(place, sizeof place, "%.200s%sbyte %zu of its header",
                 f->current ? f->current : "", f->current ? ", " : "", j.at);
        return damaged(f, s, j.error, place);
    }
    return check_cover(f, s);
}

static bool open_file(TensorFile *f, const char *path, Status *s)
{
    struct stat info;
    f->fd = -1;
    f->path = strdup(path);
    if (!f->path)
        return status_fail(s, "no memory");
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        return status_errno(s, "open", path,
                            errno == ENOENT ? "check the path" : NULL);
    if (fstat(f->fd, &info))
        return status_errno(s, "read", path, NULL);
    if (!S_ISREG(info.st_mode))
        return status_fail(s,
                           "%s is not a regular file (a safetensors file "
                           "is wanted)",
                           path);
    return read_header(f, info.st_size, s);
}

TensorFile *tensors_open(const char *path, Status *s)
{
    TensorFile *f = calloc(1, sizeof *f);
    if (!f) {
        status_fail(s, "no memory");
        return NULL;
    }
    if (open_file(f, path, s))
        return f;
    tensors_close(f);
    return NULL;
}

void tensors_close(TensorFile *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->header);
    free(f->names);
    free(f->tensor);
    free(f->metadata);
    free(f);
}

const char *tensors_path(const TensorFile *f)
{
    return f->path;
}

uint32_t tensors_count(const TensorFile *f)
{
    return f->n;
}

const Tensor *tensors_at(const TensorFile *f, uint32_t i)
{
    return &f->tensor[i];
}

const Tensor *tensors_find(const TensorFile *f, const char *name)
{
    const Tensor key = {.name = name};
    return f->n ? bsearch(&key, f->tensor, f->n, sizeof key, by_name) : NULL;
}

const char *tensors_metadata(const TensorFile *f, const char *key)
{
    for (uint32_t i = 0; i < f->n_metadata; i++)
        if (!strcmp(f->metadata[i].key, key))
            return f->metadata[i].text;
    return NULL;
}

bool tensors_read(const TensorFile *f, const Tensor *t, void *to, Status *s)
{
    return read_fully(f, f->data + t->begin, to, (size_t)(t->end - t->begin),
                      s);
}

/* ---- writing ------------------------------------------------------------- */

typedef struct Text {
    char *to;
    size_t room, used;
    bool full;
} Text;

static void text_add(Text *t, const char *more)
{
    size_t n = strlen(more);
    if (t->full || n >= t->room - t->used) {
        t->full = true;
        return;
    }
    memcpy(t->to + t->used, more, n);
    t->used += n;
}

static void text_string(Text *t, const char *plain)
{
    char escaped[2048];
    text_add(t, "\"");
    text_add(t, format_json(plain, escaped, sizeof escaped));
    text_add(t, "\"");
}

static void text_tensor(Text *out, const Tensor *t)
{
    char number[64];
    text_string(out, t->name);
    text_add(out, ":{\"dtype\":\"");
    text_add(out, dtype_name(t->dtype));
    text_add(out, "\",\"shape\":[");
    for (int i = 0; i < t->rank; i++) {
        snprintf(number, sizeof number, i ? ",%lld" : "%lld",
                 (long long)t->dim[i]);
        text_add(out, number);
    }
    snprintf(number, sizeof number, "],\"data_offsets\":[%lld,%lld]}",
             (long long)t->begin, (long long)t->end);
    text_add(out, number);
}

size_t tensors_header(const Tensor *t, uint32_t n, const Metadata *m,
                      uint32_t n_metadata, char *to, size_t room)
{
    Text out = {to, room, PREFIX, room <= PREFIX};
    text_add(&out, "{\"__metadata__\":{");
    for (uint32_t i = 0; i < n_metadata; i++) {
        text_add(&out, i ? "," : "");
        text_string(&out, m[i].key);
        text_add(&out, ":");
        text_string(&out, m[i].text);
    }
    text_add(&out, "}");
    for (uint32_t i = 0; i < n; i++) {
        text_add(&out, ",");
        text_tensor(&out, &t[i]);
    }
    text_add(&out, "}");
    while (!out.full && out.used % 8)
        text_add(&out, " ");
    if (out.full)
        return 0;
    uint64_t size = out.used - PREFIX;
    for (int i = 0; i < PREFIX; i++)
        to[i] = (char)(size >> (8 * i));
    return out.used;
}
