/* format.c: `tgc fmt`. */
#include "frontend.h"

bool frontend_format(const char *path, const FrontendOptions *o, FILE *out)
{
    (void)out;
    fprintf(o->messages ? o->messages : stderr,
            "%s: tgc fmt is not there yet\n", path);
    return false;
}
