/* number.h: numbers that people typed. */
#ifndef TGC_NUMBER_H
#define TGC_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* The whole of text must be the number. */
bool number_int(const char *text, int64_t *value);
bool number_float(const char *text, double *value);
/* "[0.1, 2]" or "0.1": how many there are, at most `room`; -1: malformed. */
int number_list(const char *text, double *value, int room);
/* Seconds in "90s", "30m", "1h30m", "2d", above 0. */
bool number_duration(const char *text, double *seconds);

#endif
