/* inline_png.h: small pictures as text, for pages that carry them inside. */
#ifndef TGC_INLINE_PNG_H
#define TGC_INLINE_PNG_H

#include "status.h"
#include <stdint.h>
#include <stdio.h>

/* "data:image/png;base64,.." of bytes [c,h,w], c 1 (grey) or 3 (RGB); other
 * numbers of channels show the first.  Nothing where memory runs out. */
void png_print(FILE *out, const uint8_t *pixels, int64_t c, int64_t h,
               int64_t w);

#endif
