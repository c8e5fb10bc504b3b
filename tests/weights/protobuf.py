"""Reads messages of protocol buffers, without a schema: (field, value) pairs,
where a value is a number or bytes."""


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = ({1: 8, 5: 4}[key & 7], at) if key & 7 != 2 else \
                varint(data, at)
            value, at = data[at:at + size], at + size
            if len(value) != size:
                raise ValueError("a field is cut")
        yield key >> 3, value


def every(data, field):
    return [value for key, value in fields(data) if key == field]


def one(data, field):
    value, = every(data, field)
    return value


def text(data, field):
    return one(data, field).decode()
