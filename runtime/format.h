/* format.h: numbers and strings as people and JSON read them. */
#ifndef TGC_FORMAT_H
#define TGC_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* "1.5 GiB", "812 KiB"; returns text. */
const char *format_bytes(double bytes, char *text, size_t size);
/* "2h05m", "3m12s", "41s"; returns text. */
const char *format_duration(double seconds, char *text, size_t size);
/* "1,234,567"; returns text. */
const char *format_count(int64_t n, char *text, size_t size);

/* Escape for a JSON string, without the quotes; returns text. */
const char *format_json(const char *plain, char *text, size_t size);

#endif
