/* sealed.c: see sealed.h. */
#include "sealed.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

static const uint64_t sum_of_nothing = UINT64_C(0xcbf29ce484222325);

/* Fowler, Noll and Vo's hash, FNV-1a, of a line and its end. */
static uint64_t add_line(uint64_t sum, const char *line)
{
    for (; *line; line++)
        sum = (sum ^ (unsigned char)*line) * UINT64_C(0x100000001b3);
    return (sum ^ '\n') * UINT64_C(0x100000001b3);
}

bool sealed_create(SealedWriter *w, const char *path)
{
    *w = (SealedWriter){.sum = sum_of_nothing};
    if (snprintf(w->path, sizeof w->path, "%s", path) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    snprintf(w->beside, sizeof w->beside, "%s.tgc-%ld", path, (long)getpid());
    w->f = fopen(w->beside, "w");
    return w->f != NULL;
}

void sealed_line(SealedWriter *w, const char *format, ...)
{
    char line[SEALED_LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    w->sum = add_line(w->sum, line);
    fprintf(w->f, "%s\n", line);
}

bool sealed_finish(SealedWriter *w, size_t rows)
{
    fprintf(w->f, "end %zu %016" PRIx64 "\n", rows, w->sum);
    bool ok = !fflush(w->f) && !ferror(w->f);
    int why = errno;
    if (fclose(w->f) && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(w->beside, w->path) == 0)
        return true;
    if (ok)
        why = errno;
    unlink(w->beside);
    errno = why;
    return false;
}

bool sealed_next(SealedReader *r)
{
    r->sum = r->number ? add_line(r->sum, r->line) : sum_of_nothing;
    if (!fgets(r->line, sizeof r->line, r->f))
        return false;
    r->number++;
    size_t n = strlen(r->line);
    if (!n || r->line[n - 1] != '\n')
        return false;
    r->line[n - 1] = 0;
    return true;
}

bool sealed_ends(SealedReader *r, size_t rows)
{
    size_t n = 0;
    int at = 0;
    uint64_t sum = 0;
    return sscanf(r->line, "end %zu %16" SCNx64 "%n", &n, &sum, &at) == 2 &&
           !r->line[at] && n == rows && sum == r->sum && getc(r->f) == EOF;
}
