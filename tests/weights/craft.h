/* craft.h: files of weights made byte by byte, with every lie that a test
 * wants in them. */
#ifndef TGC_TESTS_CRAFT_H
#define TGC_TESTS_CRAFT_H

#include "weights.h"
#include <stddef.h>

enum { CRAFT_ROOM = 1 << 23 };

typedef struct Bytes {
    unsigned char *at; /* CRAFT_ROOM of them */
    size_t n;
} Bytes;

Bytes bytes_new(void);
void bytes_free(Bytes *b);
void bytes_add(Bytes *b, const void *data, size_t n);
void bytes_number(Bytes *b, uint64_t v, int bytes); /* little-endian */
void bytes_text(Bytes *b, const char *text);
/* A literal with NULs in it. */
#define bytes_literal(b, text) bytes_add(b, text, sizeof(text) - 1)

/* ---- files ---------------------------------------------------------------
 */

/* Opens the bytes as a file and reads every tensor of at most a million
 * elements; the message, "" if all is well.  `sum`, if not NULL, gets a sum of
 * names, shapes and elements. */
const char *craft_message(const Bytes *b, Status *s, unsigned long *sum);
/* The same file, open; NULL is a failed test. */
WeightFile *craft_open(const Bytes *b);

/* ---- zip -----------------------------------------------------------------
 */

/* Zero in what begins with `lie_`: the truth. */
typedef struct Entry {
    const char *name;
    const void *data;
    size_t size;
    bool deflate, zip64;
    int method, flags; /* lies */
    uint64_t size_lie, packed_lie, header_lie;
    uint32_t crc_lie;       /* added to the sum */
    const char *local_name; /* NULL: the same */
} Entry;

void craft_zip(Bytes *b, const Entry *entry, int n);

/* ---- pickles -------------------------------------------------------------
 */

typedef struct TensorCraft {
    const char *name, *type, *key; /* "FloatStorage" */
    int64_t count, offset;
    int rank, strides; /* strides: their number; 0: as rank */
    int64_t dim[10], stride[10];
    const char *view; /* opcodes behind the count, without NUL; or NULL */
} TensorCraft;

void craft_int(Bytes *b, int64_t v);
void craft_text(Bytes *b, const char *text); /* as Python 2 wrote it */
void craft_tensor(Bytes *b, const TensorCraft *t);
/* A dict of tensors as a whole pickle. */
void craft_dict(Bytes *b, const TensorCraft *t, int n);

/* A zip as PyTorch makes it: the pickle, and storage "0" of so many bytes,
 * which are 0, 1, 2, .. as float32. */
void craft_torch(Bytes *b, const Bytes *pickle, size_t storage);
/* What comes before the object in PyTorch's old format. */
void craft_legacy(Bytes *b);

#endif
