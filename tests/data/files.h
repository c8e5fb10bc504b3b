/* files.h: data files for tests, made by the test, in a folder of its own. */
#ifndef TGC_TEST_FILES_H
#define TGC_TEST_FILES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new empty folder; folder_remove also frees the name. */
char *folder_make(void);
void folder_remove(char *folder);
void folder_below(const char *folder, const char *name);

/* Bytes as they are, or packed by gzip. */
void file_write(const char *folder, const char *name, const void *data,
                size_t size, bool gzip);
/* A file of zeros that takes no room on the disk. */
void file_zeros(const char *folder, const char *name, int64_t size);
void file_put(const char *folder, const char *name, int64_t at,
              const void *data, size_t size);
void file_cut(const char *folder, const char *name, int64_t size);
int64_t file_size(const char *folder, const char *name);
void file_remove(const char *folder, const char *name);

/* An IDX file with these dimensions; `data` has all its bytes. */
void idx_write(const char *folder, const char *name, int rank,
               const uint32_t *dim, const uint8_t *data, size_t size,
               bool gzip);

#endif
