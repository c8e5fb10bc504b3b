/* status.c: see status.h. */
#include "status.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool status_fail(Status *s, const char *format, ...)
{
    if (s->failed)
        return false;
    s->failed = true;
    va_list list;
    va_start(list, format);
    vsnprintf(s->text, sizeof s->text, format, list);
    va_end(list);
    /* Names out of files end up here: no escape sequences to the terminal. */
    for (char *c = s->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return false;
}

bool status_errno(Status *s, const char *call, const char *object,
                  const char *hint)
{
    int code = errno;
    const char *why = strerror(code);
    if (!hint && code == ENOSPC)
        hint = "free some space there or choose another folder";
    if (!hint && (code == EACCES || code == EROFS || code == EPERM))
        hint = "check its permissions or choose another folder";
    if (hint)
        return status_fail(s, "cannot %s %s: %s (%s)", call, object, why, hint);
    return status_fail(s, "cannot %s %s: %s", call, object, why);
}
