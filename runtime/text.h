/* text.h: numbers and names as people write and read them. */
#ifndef TGC_TEXT_H
#define TGC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "1.5 GiB", "812 KiB"; returns text. */
const char *text_bytes(double bytes, char *text, size_t size);
/* "2h05m", "3m12s", "41s"; returns text. */
const char *text_duration(double seconds, char *text, size_t size);
/* "1,234,567"; returns text. */
const char *text_count(int64_t n, char *text, size_t size);

/* The whole of text must be the number. */
bool text_int(const char *text, int64_t *value);
bool text_number(const char *text, double *value);
/* "[0.1, 2]" or "0.1": how many there are, at most `room`; -1: malformed. */
int text_numbers(const char *text, double *value, int room);

/* Escape for a JSON string, without the quotes; returns text. */
const char *text_json(const char *plain, char *text, size_t size);

/* For "did you mean": offer names one by one, then ask. */
typedef struct Suggestion {
    const char *wanted, *best;
    int distance;
} Suggestion;
Suggestion suggestion_for(const char *wanted);
void suggestion_offer(Suggestion *s, const char *name);
/* NULL where nothing offered was close. */
const char *suggestion_best(const Suggestion *s);

#endif
