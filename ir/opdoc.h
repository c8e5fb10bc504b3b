/* opdoc.h: the manual of operators, written from the table. */
#ifndef TGC_OPDOC_H
#define TGC_OPDOC_H

#include <stdio.h>

void ops_print_markdown(FILE *out); /* docs/ops.md */

#endif
