/* data_pictures.h: pictures in many files, decoded once.
 *
 * What comes out is kept in a file of the cache folder, from which images are
 * read as from any other, or in memory.
 *
 *     head      "tgcpics1", key, n, bytes of an image, damaged ones, sum of
 *               the sums
 *     pixels    n images u8 [c,h,w]; a damaged one is zeros
 *     sums      n numbers of 64 bits; 0: damaged
 *
 * The key stands for everything that the pixels depend on.  The file is
 * written without a name, or beside, and takes its place when it is whole; it
 * is read through and compared with its sums before it is used, and made anew
 * where anything is wrong with it. */
#ifndef TGC_DATA_PICTURES_H
#define TGC_DATA_PICTURES_H

#include "data.h"
#include "picture.h"
#include <limits.h>

typedef struct Pictures {
    int64_t n;
    char **path; /* [n] */
    PictureFit fit;
    uint64_t key;  /* of names, sizes, times and what is done with them */
    char name[32]; /* of the cache's file */
    const DataRequest *request;
} Pictures;

/* Fills pixels or fetch of the set, whose n, c, h and w are those of
 * `pictures`; damaged ones are left out of it where the request says so. */
bool data_use_pictures(DataSet *set, const Pictures *x, Status *s);

/* ---- its parts ----------------------------------------------------------- */

/* 64 bits that change when a byte does; never 0. */
uint64_t pictures_sum(const uint8_t *bytes, size_t n);

/* Calls `each` for 0 .. n-1 from several threads, each with a context of its
 * own (from `open`, may be NULL); false after a failure, of which that with
 * the lowest number is kept, or when the watch says stop. */
typedef struct Crew {
    const char *what; /* "decoding pictures" */
    int64_t n;
    int threads;
    const DataWatch *watch;
    void *shared;
    void *(*open)(void *shared, Status *s); /* NULL: no context */
    bool (*each)(void *shared, void *own, int64_t i, Status *s);
    void (*close)(void *own);
} Crew;

bool crew_run(const Crew *crew, Status *s);

#endif
