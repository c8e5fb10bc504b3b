/* json.h: a strict reader of JSON, piece by piece, for files from outside.
 *
 * The caller knows what must come and asks for it; anything else is a failure
 * with the place where it happened.  Nothing recurses, so nesting cannot
 * exhaust the stack, and nothing is taken but the strings asked for.
 */
#ifndef TGC_JSON_H
#define TGC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Json {
    const char *text;
    size_t size, at;
    const char *error; /* NULL: all is well so far; the first one stays */
} Json;

bool json_fail(Json *j, const char *why); /* returns false */
/* Skips white space; true and past it where the next character is c. */
bool json_try(Json *j, char c);
/* The same, and a failure where it is not. */
bool json_expect(Json *j, char c);
/* A string, unescaped, into `room` bytes at `to`, with a 0 at the end.  A
 * string with a 0 inside, or not UTF-8, is a failure. */
bool json_string(Json *j, char *to, size_t room, size_t *length);
/* A whole number of 0 .. 2^53. */
bool json_count(Json *j, int64_t *value);
/* A number, or null, which is NAN. */
bool json_number(Json *j, double *value);
/* Only white space is left. */
bool json_end(Json *j);

#endif
