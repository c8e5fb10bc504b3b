/* index.h: one line an op, sorted by name.  Used as
 *     #define OP(name) ...
 *     #include "ops/index.h"
 * (no guard: it is included more than once). */
