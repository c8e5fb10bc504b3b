/* format.c: see format.h. */
#include "format.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *format_bytes(double bytes, char *text, size_t size)
{
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int i = 0;
    while (bytes >= 1024 && i < 4) {
        bytes /= 1024;
        i++;
    }
    int digits = i == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
    snprintf(text, size, "%.*f %s", digits, bytes, unit[i]);
    return text;
}

const char *format_duration(double seconds, char *text, size_t size)
{
    if (!(seconds >= 0 && seconds < 1e9)) {
        snprintf(text, size, "?");
        return text;
    }
    long long t = llround(seconds);
    if (t >= 3600)
        snprintf(text, size, "%lldh%02lldm", t / 3600, t / 60 % 60);
    else if (t >= 60)
        snprintf(text, size, "%lldm%02llds", t / 60, t % 60);
    else
        snprintf(text, size, "%llds", t);
    return text;
}

const char *format_count(int64_t n, char *text, size_t size)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

const char *format_json(const char *plain, char *text, size_t size)
{
    size_t used = 0;
    for (; *plain && used + 7 < size; plain++) {
        unsigned char c = (unsigned char)*plain;
        if (c == '"' || c == '\\') {
            text[used++] = '\\';
            text[used++] = (char)c;
        } else if (c < 0x20) {
            used += (size_t)snprintf(text + used, size - used, "\\u%04x", c);
        } else {
            text[used++] = (char)c;
        }
    }
    text[used] = 0;
    return text;
}
