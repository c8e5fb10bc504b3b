"""Kernels of one emulated file, called from Python."""
import array
import ctypes
import os
import subprocess
import sys

import tgctest as t

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import emulate  # noqa: E402


def build(out, *files):
    """The emulator with these kernels; skips where there is no C++."""
    if not emulate.compiler():
        t.skip("no C++ compiler (g++)")
    emulate.emulate(out, files)
    return out


class Span(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("bytes", ctypes.c_size_t),
                ("written", ctypes.c_int), ("fresh", ctypes.c_int)]


class Launch(ctypes.Structure):
    _fields_ = [("kernel", ctypes.c_char_p), ("grid", ctypes.c_uint * 3),
                ("block", ctypes.c_uint * 3), ("shared", ctypes.c_size_t),
                ("args", ctypes.POINTER(ctypes.c_void_p)),
                ("span", ctypes.POINTER(Span)), ("n_spans", ctypes.c_uint)]


class Gpu:
    """Arrays are array.array; a launch's results come first, as numbers of
    elements and their type: (64, "f"), or a filled array to go on from."""

    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.emu_alloc.restype = ctypes.c_void_p
        self.lib.emu_error.restype = ctypes.c_char_p
        self.error = ""

    def seed(self, n):
        self.lib.emu_seed(ctypes.c_uint64(n))

    def take(self, what):
        """(address, bytes, array) on the device."""
        fresh = isinstance(what, tuple)
        data = array.array(what[1], [0] * what[0]) if fresh else what
        size = len(data) * data.itemsize
        at = self.lib.emu_alloc(ctypes.c_size_t(size))
        if not fresh:
            ctypes.memmove(at, data.buffer_info()[0], size)
            self.lib.emu_define(ctypes.c_void_p(at), ctypes.c_size_t(size))
        return at, size, data

    def launch(self, kernel, grid, block, results, operands, shared=0):
        """The results as arrays, or None and the reason in self.error."""
        taken = [self.take(x) for x in [*results, *operands]]
        n, n_out = len(taken), len(results)
        address = [ctypes.c_void_p(x[0]) for x in taken]
        args = (ctypes.c_void_p * n)(*[ctypes.addressof(a) for a in address])
        spans = (Span * n)(*[
            Span(x[0], x[1], i < n_out, i < n_out and isinstance(
                results[i], tuple)) for i, x in enumerate(taken)])
        launch = Launch(kernel.encode(), (grid, 1, 1), (block, 1, 1), shared,
                        args, spans, n)
        status = self.lib.emu_launch(ctypes.byref(launch))
        self.error = self.lib.emu_error().decode() if status else ""
        out = []
        for at, size, data in taken[:n_out]:
            out.append(array.array(data.typecode,
                                   ctypes.string_at(at, size)))
        for at, _, _ in taken:
            self.lib.emu_free(ctypes.c_void_p(at))
        return None if status else out


def half(values, bf16=False):
    """As 16-bit numbers."""
    import struct
    if not bf16:
        return array.array("H", [struct.unpack("H", struct.pack("e", v))[0]
                                 for v in values])
    return array.array("H", [struct.unpack("I", struct.pack("f", v))[0] >> 16
                             for v in values])
