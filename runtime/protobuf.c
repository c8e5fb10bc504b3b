/* protobuf.c: see protobuf.h. */
#include "protobuf.h"
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void put(Protobuf *p, const void *data, size_t n)
{
    if (p->grows && !p->failed && n > p->room - p->n) {
        size_t room = 2 * (p->n + n) + 256;
        uint8_t *more = realloc(p->data, room);
        if (more) {
            p->data = more;
            p->room = room;
        }
    }
    if (p->failed || n > p->room - p->n) {
        p->failed = true;
        return;
    }
    if (n)
        memcpy(p->data + p->n, data, n);
    p->n += n;
}

static void put_varint(Protobuf *p, uint64_t value)
{
    uint8_t byte[10];
    size_t n = 0;
    do {
        byte[n] = value & 127;
        value >>= 7;
        byte[n] |= value ? 128 : 0;
        n++;
    } while (value);
    put(p, byte, n);
}

static void put_tag(Protobuf *p, int field, unsigned type)
{
    put_varint(p, (uint64_t)field << 3 | type);
}

/* Little end first, whatever this machine does. */
static void put_little(Protobuf *p, uint64_t bits, size_t bytes)
{
    uint8_t byte[8];
    for (size_t i = 0; i < bytes; i++)
        byte[i] = (uint8_t)(bits >> 8 * i);
    put(p, byte, bytes);
}

void protobuf_varint(Protobuf *p, int field, uint64_t value)
{
    put_tag(p, field, VARINT);
    put_varint(p, value);
}

void protobuf_double(Protobuf *p, int field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(p, field, FIXED64);
    put_little(p, bits, 8);
}

void protobuf_float(Protobuf *p, int field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_tag(p, field, FIXED32);
    put_little(p, bits, 4);
}

void protobuf_bytes(Protobuf *p, int field, const void *data, size_t n)
{
    put_tag(p, field, LENGTH);
    put_varint(p, n);
    put(p, data, n);
}

void protobuf_text(Protobuf *p, int field, const char *text)
{
    protobuf_bytes(p, field, text, strlen(text));
}

bool protobuf_read_varint(const uint8_t *data, size_t n, size_t *at,
                          uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *at < n; shift += 7) {
        uint8_t byte = data[(*at)++];
        *value |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return true;
    }
    return false;
}
