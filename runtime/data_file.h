/* data_file.h: a file of numbers, plain or gzip, that is not to be trusted.
 *
 *     DataFile f = {0};
 *     if (!data_file_open(&f, folder, names, get, status)) ...
 *     data_file_read(&f, header, 16, status)       exactly so many bytes
 *     data_file_expect(&f, bytes, what, status)    is that how long it is?
 *     data_file_read(&f, pixels, ...)
 *     data_file_end(&f, status)                    nothing more, sums right
 *     data_file_close(&f)
 */
#ifndef TGC_DATA_FILE_H
#define TGC_DATA_FILE_H

#include "status.h"
#include <limits.h>
#include <stdint.h>

typedef struct DataFile {
    char path[PATH_MAX];
    struct gzFile_s *stream;
    int64_t size; /* on disk */
    int64_t at;   /* bytes read, after unpacking */
    bool gzip;
} DataFile;

/* A folder that holds one of `names`, plain or with .gz: `dir`, or one of
 * the folders `below` it.  Lists end with NULL.  `get` tells how to come by
 * the files. */
bool data_folder_find(char folder[PATH_MAX], const char *dir,
                      const char *const *below, const char *const *names,
                      const char *get, Status *s);

/* The first of `names` that is in the folder, plain or with .gz. */
bool data_file_open(DataFile *f, const char *folder, const char *const *names,
                    const char *get, Status *s);

/* Unpacked, the file must have `bytes` bytes, which are `what` ("10000 records
 * of 3073 bytes").  Call before taking memory for them: refuses what cannot
 * be.  For gzip that is certain only after data_file_end. */
bool data_file_expect(DataFile *f, int64_t bytes, const char *what, Status *s);
bool data_file_read(DataFile *f, void *to, int64_t bytes, Status *s);
/* What follows the end of the gzip data is ignored, as gzip does. */
bool data_file_end(DataFile *f, Status *s);
void data_file_close(DataFile *f); /* at any time, twice too */

#endif
