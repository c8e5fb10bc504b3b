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
    char **names;                /* [classes]; NULL: nobody named them */
    int32_t *labels;             /* [n] */
    int32_t *pick;               /* [n] the place of each in the files, rising;
                                    NULL: the set is all of them */
    uint8_t *pixels;             /* [n,c,h,w]; NULL: `fetch` has them */
    float *numbers;              /* not pixels, but numbers as they are, by
                                    their place in the files [..,c,h,w]; then
                                    there are neither pixels nor a `fetch` */
    DataFetch *fetch;            /* for sources that are not kept in memory;
                                    takes the place in the files */
    void *context;               /* the fetcher's own */
    void (*close)(DataSet *set); /* frees the context; or NULL */
    char note[512];              /* something that people should know; or "" */
};

/* Told now and then, from the caller's thread, how far `what` is; NULL: it is
 * over.  False: stop. */
typedef struct DataWatch {
    bool (*call)(void *context, const char *what, int64_t done, int64_t all);
    void *context;
} DataWatch;

/* What the model wants. */
typedef struct DataRequest {
    const char *dir;
    bool train; /* which split */
    int64_t c, h, w;
    int64_t classes; /* 0: as the data says */
    int64_t rows;    /* numbers are whole, 0 .. rows-1; 0: any */

    /* Training images only. */
    double validation;   /* this share is held out */
    bool held;           /* those are wanted, not the rest */
    double fraction;     /* this share of the rest; 0: all */
    uint64_t split_seed; /* who belongs where */

    /* Pictures in files of their own only. */
    int64_t resize;    /* their smaller side becomes this; 0: nothing changes */
    const char *cache; /* folder for decoded ones; NULL: memory */
    bool skip_damaged; /* else one is a failure */
    int threads;       /* that decode; 0: one */
    const DataWatch *watch; /* or NULL */
} DataRequest;

/* False with one sentence that names the file, what is wrong with it in
 * numbers, and what to do; `set` holds nothing then. */
bool data_read(DataSet *set, const char *kind, const DataRequest *r, Status *s);
void data_free(DataSet *set);
/* The name of a class, or its number in `room`. */
const char *data_class(const DataSet *set, int64_t label, char room[24]);

/* What it consists of, in sentences: "images", or "samples" where they are
 * numbers. */
static inline const char *data_things(const DataSet *set)
{
    return set->numbers ? "samples" : "images";
}

/* Where image i of the set is in the files; what is random about it depends on
 * that place. */
static inline int64_t data_place(const DataSet *set, int64_t i)
{
    return set->pick ? set->pick[i] : i;
}

/* ---- for readers --------------------------------------------------------- */

typedef struct DataSource DataSource;
typedef bool DataRead(const DataSource *source, const DataRequest *r,
                      DataSet *set, Status *s);

struct DataSource {
    const char *kind;  /* the word in the setting `data` */
    const char *title; /* "CIFAR-10" */
    const char *get;   /* how to come by the files, for "missing" */
    DataRead *read;
    const void *format;   /* what the reader wants to know of this source */
    const char *names[3]; /* files that may have the names of the classes */
    const char *classes; /* between commas, where no file names them; or NULL */
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

/* Only the images i with keep[i] stay; gives up the memory of the others. */
bool data_keep(DataSet *set, const bool *keep, Status *s);
/* The part that the request wants of a set of all training images.  Classes
 * are shared out evenly; one that would be left empty is a failure. */
bool data_split(DataSet *set, const DataRequest *r, Status *s);

/* Names of the set's classes out of the first of these files below `dir` that
 * has one a line for each. */
void data_names_read(DataSet *set, const char *dir, const char *const *files);

DataRead cifar_read, idx_read, array_read, folder_read;
extern const struct CifarFormat cifar_format_10, cifar_format_100;
extern const struct ArrayFormat array_format_npy, array_format_raw;

#endif
