"""What dump.c must print, computed by NumPy."""
import zlib

import numpy as np

NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64",
         "int32": "I32", "uint8": "U8", "bool": "BOOL"}


def line(name, array, dtype=None):
    """dtype: where NumPy has no such type."""
    dtype = dtype or NAMES.get(str(array.dtype), "?")
    shape = ",".join(map(str, array.shape))
    if array.dtype.kind == "f":
        array = array.astype("<f4")
    crc = "-" if dtype == "?" else f"{zlib.crc32(array.tobytes()):08x}"
    return f"{name} {dtype} [{shape}] {crc}"


def lines(kind, arrays):
    """arrays: name -> array, or (array, dtype)."""
    rows = [line(n, *(a if isinstance(a, tuple) else (a,)))
            for n, a in sorted(arrays.items())]
    return "\n".join([kind] + rows) + "\n"
