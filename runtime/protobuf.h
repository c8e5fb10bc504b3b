/* protobuf.h: writes messages of protocol buffers, field by field.
 *
 * The wire format (protobuf.dev/programming-guides/encoding): a field is a
 * varint `number << 3 | type`, then its value; a message inside a message is
 * its length and its bytes.
 */
#ifndef TGC_PROTOBUF_H
#define TGC_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes in the caller's memory, or, with room 0, in memory that grows. */
typedef struct Protobuf {
    uint8_t *data;
    size_t n, room;
    bool grows, failed; /* failed: what did not fit is not there */
} Protobuf;

void protobuf_varint(Protobuf *p, int field, uint64_t value);
void protobuf_double(Protobuf *p, int field, double value);
void protobuf_float(Protobuf *p, int field, float value);
void protobuf_bytes(Protobuf *p, int field, const void *data, size_t n);
void protobuf_text(Protobuf *p, int field, const char *text);

/* Reads a varint at *at, and moves past it; false where it is cut. */
bool protobuf_read_varint(const uint8_t *data, size_t n, size_t *at,
                          uint64_t *value);

#endif
