/* zip_private.h: what zip.c (the directory) and zip_read.c (the data) share.
 */
#ifndef TGC_ZIP_PRIVATE_H
#define TGC_ZIP_PRIVATE_H

#include "zip.h"
#include <stddef.h>

struct ZipFile {
    const Input *in;
    ZipEntry *entry; /* by name */
    uint32_t n;
    char *names;
    size_t names_used;
};

#endif
