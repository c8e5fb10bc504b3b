/* weights_input.h: a regular file, read at any place; what the readers of
 * weights share below their formats. */
#ifndef TGC_WEIGHTS_INPUT_H
#define TGC_WEIGHTS_INPUT_H

#include "status.h"
#include <stdint.h>

typedef struct Input {
    char *path;
    int fd;
    int64_t size;
} Input;

/* Anything but a regular file is refused, without waiting for a pipe. */
bool input_open(Input *in, const char *path, Status *s);
void input_close(Input *in);
/* Exactly n bytes; places outside the file are a damaged file. */
bool input_read(const Input *in, int64_t at, void *to, int64_t n, Status *s);

/* "PATH is damaged: .. (get it again, or use another one)"; false */
bool input_damaged(const Input *in, Status *s, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Little-endian numbers, `bytes` of them at most 8. */
static inline uint64_t little_number(const unsigned char *at, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | at[i];
    return v;
}

#endif
