/* zip.h: the entries of a zip file, as PyTorch and NumPy write them: stored
 * or deflated, with and without zip64.
 *
 *     local header, name, extra, data   for each entry
 *     ..
 *     central directory                 names, places, sizes, checksums
 *     end record                        where the directory is
 *
 * The directory is believed where it holds together: every entry lies in the
 * file before the directory, no two overlap, no name comes twice, the local
 * header has the same name and method.  Sizes and checksums are checked when
 * the data is read; nothing is unpacked past the size that is declared.
 */
#ifndef TGC_ZIP_H
#define TGC_ZIP_H

#include "weights_input.h"

typedef struct ZipEntry {
    const char *name;
    int64_t header;       /* the local header's place */
    int64_t at;           /* the data's place */
    int64_t packed, size; /* bytes in the file, bytes of content */
    uint32_t crc;
    bool deflated;
} ZipEntry;

typedef struct ZipFile ZipFile;

/* Keeps `in`, which must stay open. */
ZipFile *zip_open(const Input *in, Status *s);
void zip_close(ZipFile *z); /* NULL is fine */
uint32_t zip_count(const ZipFile *z);
const ZipEntry *zip_at(const ZipFile *z, uint32_t i);         /* by name */
const ZipEntry *zip_find(const ZipFile *z, const char *name); /* or NULL */

/* The first n bytes of the content, n <= size, without its checksum. */
bool zip_head(const ZipFile *z, const ZipEntry *e, void *to, int64_t n,
              Status *s);
/* Bytes begin .. end-1 of the content; goes through all of it and checks its
 * size and checksum. */
bool zip_read(const ZipFile *z, const ZipEntry *e, int64_t begin, int64_t end,
              void *to, Status *s);

#endif
