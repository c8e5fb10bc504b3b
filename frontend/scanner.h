/* scanner.h: the scanner's functions, for the parser alone. */
#ifndef TGC_SCANNER_H
#define TGC_SCANNER_H

#include "parse.h"
#include "parser.h"

bool scanner_open(Parser *p); /* false: no memory */
void scanner_close(Parser *p);
int scanner_next(NETSTYPE *value, Span *at, void *scanner); /* 0 at the end */
void scanner_leave_label(Parser *p); /* after an error inside of one */

#endif
