/* data.h: data sets, read through and checked.
 *
 *     DataSet set = {0};
 *     if (!data_read(&set, "cifar10", &request, status)) ...
 *     data_free(&set);
 *
 * A source is one entry in the table of data.c: its name (the setting `data`),
 * a reader, and where people get the files.  A reader finds its files, checks
 * every number in them before it believes it, and fills a DataSet.
 */
#ifndef TGC_DATA_H
#define TGC_DATA_H

#include "status.h"
#include <stdint.h>

typedef struct DataSet DataSet;

/* The pixels u8 [c,h,w] of one image, in `scratch` (c*h*w bytes) or wherever
 * they lie; NULL after a failure.  Called by several threads at once. */
typedef const uint8_t *DataFetch(const DataSet *set, int64_t index,
                                 uint8_t *scratch, Status *s);

struct DataSet {
    int64_t n, c, h, w;
    int64_t classes;             /* labels are 0 .. classes-1 */
    int32_t *labels;             /* [n] */
    uint8_t *pixels;             /* [n,c,h,w]; NULL: `fetch` has them */
    DataFetch *fetch;            /* for sources that are not kept in memory */
    void *context;               /* the fetcher's own */
    void (*close)(DataSet *set); /* frees the context; or NULL */
};

/* What the model wants. */
typedef struct DataRequest {
    const char *dir;
    bool train; /* which split */
    int64_t c, h, w;
    int64_t classes; /* 0: as the data says */
} DataRequest;

/* False with one sentence that names the file, what is wrong with it in
 * numbers, and what to do; `set` holds nothing then. */
bool data_read(DataSet *set, const char *kind, const DataRequest *r, Status *s);
void data_free(DataSet *set);

/* ---- for readers --------------------------------------------------------- */

typedef struct DataSource DataSource;
typedef bool DataRead(const DataSource *source, const DataRequest *r,
                      DataSet *set, Status *s);

struct DataSource {
    const char *kind;  /* the word in the setting `data` */
    const char *title; /* "CIFAR-10" */
    const char *get;   /* how to come by the files, for "missing" */
    DataRead *read;
    const void *format; /* what the reader wants to know of this source */
};

/* Memory for n images; sets n, c, h, w. */
bool data_allocate(DataSet *set, int64_t n, const DataRequest *r,
                   const char *path, Status *s);
/* Images of [c,h,w] in this file are what the model takes. */
bool data_check_shape(const DataRequest *r, const char *path, int64_t c,
                      int64_t h, int64_t w, Status *s);
/* Label number `index` of this file (from 0) is one that the model knows. */
bool data_check_label(const DataRequest *r, const char *path, int64_t index,
                      int64_t label, Status *s);

DataRead cifar_read, idx_read;
extern const struct CifarFormat cifar_format_10, cifar_format_100;

#endif
