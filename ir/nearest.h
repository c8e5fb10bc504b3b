/* nearest.h: "did you mean": the known name that is least far from a wrong one.
 *
 *     Nearest n = nearest_of("momentun");
 *     for (...) nearest_try(&n, known[i]);
 *     if (nearest_name(&n)) ... did you mean %s?
 */
#ifndef TGC_NEAREST_H
#define TGC_NEAREST_H

typedef struct Nearest {
    const char *wrong, *best;
    int distance;
} Nearest;

Nearest nearest_of(const char *wrong);
void nearest_try(Nearest *n, const char *known); /* of equals the first stays */
const char *nearest_name(const Nearest *n);      /* NULL: none is near enough */

#endif
