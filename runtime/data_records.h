/* data_records.h: images that stay in their files.
 *
 * Plain files of records of one length need no copy in memory: an image is
 * read where it lies when its turn comes.  What the system has of the files in
 * its cache is not the program's memory, and costs no more to read than
 * memory. */
#ifndef TGC_DATA_RECORDS_H
#define TGC_DATA_RECORDS_H

#include "data.h"

enum { RECORDS_MOST_FILES = 8 };

typedef struct RecordShape {
    int64_t bytes; /* of a record */
    int64_t skip;  /* before its pixels */
    int64_t each;  /* records in a file */
    int64_t head;  /* bytes of the file before the first record */
} RecordShape;

/* The set's images are records of these files, in order; its pixels are given
 * up.  The files were checked before: a read that fails is a failure of
 * `fetch`. */
bool data_use_records(DataSet *set, const RecordShape *shape,
                      const char *const *paths, int files, Status *s);

#endif
