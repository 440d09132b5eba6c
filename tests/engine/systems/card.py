"""A card that is imitated on the processor."""

import ctypes

import numpy as np

from her2pkpd.engine import compile as compiler
from her2pkpd.engine import cuda, gpu, nvptx
from her2pkpd.engine.emit.ptx import host_text


class Buffer:
    """Memory of the imitated card."""

    def __init__(self, size):
        self.memory = np.full(size, 0xAB, dtype=np.uint8)
        self.handle = self.memory.ctypes.data


class ImitatedCard:
    """A card that runs programs on the processor and counts what is asked of it."""

    name, capability = "imitation", (9, 0)

    def __init__(self, free=10**9):
        self.free, self.launches = free, []

    def allocate(self, size):
        return Buffer(size)

    def free_memory(self):
        return self.free

    def to_device(self, array):
        found = cuda.DeviceArray(self, array.shape, array.dtype)
        ctypes.memmove(found.pointer, array.ctypes.data, array.nbytes)
        return found

    def to_host(self, array, pointer):
        ctypes.memmove(array.ctypes.data, pointer, array.nbytes)

    def launch(self, kernel, blocks, threads, arguments):
        self.launches.append((blocks, threads))
        table = np.empty(len(arguments))
        for k, value in enumerate(arguments):
            (table.view(np.int64) if isinstance(value, int) else table)[k] = value
        kernel.kernel(table.ctypes.data, None, None)

    def synchronise(self):
        pass


def imitated(monkeypatch):
    """An imitated card in the place of the real one."""
    found = ImitatedCard()
    kept = {}

    def kernel(request, flux, inputs):
        if (request, inputs) not in kept:
            text, shape = gpu.program(request, flux, inputs)
            target = compiler.host()
            code = compiler.object_code(nvptx.unrolled(host_text(text, shape)), target)
            kept[request, inputs] = compiler.Loaded(code, target), gpu.Code(code, "host", shape, None)
        return kept[request, inputs]

    monkeypatch.setattr(cuda, "card", lambda: found)
    monkeypatch.setattr(gpu, "_kernel", kernel)
    return found
