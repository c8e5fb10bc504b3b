/* memory_report.h: what `tgc memory` says about a planned graph.
 *
 *     memory_live.c      bytes live at each step, by class
 *     memory_table.c     the peak in words
 *     memory_picture.c   the whole step as a picture
 */
#ifndef TGC_MEMORY_REPORT_H
#define TGC_MEMORY_REPORT_H

#include "target.h"
#include <stdio.h>

/* A class beside the kinds of buffers: what pass `checkpoint` makes again. */
enum { MEMORY_AGAIN = BUF_KINDS, MEMORY_CLASSES };

/* Live bytes by class at every step of a graph that pass `memory` placed. */
typedef struct MemoryLive {
    const Graph *g;
    uint32_t n_steps; /* at least 1 */
    int64_t (*live)[MEMORY_CLASSES];
    int64_t peak; /* most bytes live at one step */
    uint32_t peak_step;
} MemoryLive;

MemoryLive memory_live(const Graph *g, Arena *a);

extern const char
    *const memory_class[MEMORY_CLASSES]; /* "parameters and slots" */

/* "1.5 GiB": at least three digits, in the unit that fits. */
enum { BYTES_TEXT = 24 };
const char *bytes_text(int64_t bytes, char text[BYTES_TEXT]);

/* The number of `n` largest buffers live at the step, largest first. */
uint32_t memory_largest(const Graph *g, uint32_t step, const Buffer **largest,
                        uint32_t n);
bool buffer_again(const Graph *g, const Buffer *b); /* is it made again? */
/* "resnet.net:26", "" for a buffer that no line of the model asked for. */
const char *buffer_line(const Graph *g, const Buffer *b, Arena *a);
const char *buffer_name(const Graph *g, const Buffer *b, Arena *a);
void memory_print_largest(const MemoryLive *l, FILE *out);
void memory_print_classes(const MemoryLive *l, FILE *out);

void memory_print_table(const MemoryLive *l, const Target *t, FILE *out);
void memory_print_picture(const MemoryLive *l, FILE *out);

#endif
