"""The GPU's program run on this processor: what the card would compute, but for its own rough reciprocal."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from her2pkpd.engine import Options, Segments, Solution, gpu, nvptx
from her2pkpd.engine import compile as compiler
from her2pkpd.engine.emit.ptx import device_text, host_text


@dataclass(frozen=True)
class Placed:
    """An array where the program can read it."""

    array: np.ndarray

    @property
    def pointer(self) -> int:
        return self.array.ctypes.data


def same(found, expected):
    """Equal: bit for bit where the kernel divides, to rounding where it has a rough reciprocal of its own."""
    if "rcp14" in compiler.host().special:
        scale = np.nanmax(np.abs(expected), initial=1e-300)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=max(1e-9 * scale, found.dtype.kind == "i"))
    else:
        np.testing.assert_array_equal(found, expected)


_programs = {}


def _program(request, flux, inputs):
    key = (request, inputs)
    if key not in _programs:
        text, shape = gpu.program(request, flux, inputs)
        target = compiler.host()
        _programs[key] = (
            compiler.Loaded(compiler.object_code(nvptx.unrolled(host_text(text, shape)), target), target),
            shape,
        )
    return _programs[key]


def solve_retargeted(batch, options=None, directions=None, method_name=None) -> Solution:
    """As `her2pkpd.engine.gpu.solve`, on the processor."""
    options = options or Options()
    request = gpu.request_for(batch.model, batch.segments, options, directions, method_name, batch.saved)
    loaded, shape = _program(request, batch.model.flux_tape, batch.segments.inputs)
    lanes, saves = batch.times.shape
    n, count = batch.model.n_species, directions.count if directions is not None else 0
    call = gpu.Arguments(shape, batch.model, options, lanes, lambda a: Placed(np.ascontiguousarray(a)))
    s, every = batch.segments, slice(None)
    rows = {"parameters": batch.parameters, "initial": batch.initial, "times": batch.times}
    rows |= {x: getattr(s, x) for x in ("boundaries", "jump", "keep", "infusion", "reset")}
    for name, array in (rows | gpu.tangent_rows(batch, directions, every)).items():
        call.rows(name, array)
    y = np.full((lanes, saves, n if request.saved is None else len(request.saved)), -1.0)
    counts = np.full((3, lanes), -1, dtype=np.int64)
    dy = np.full((lanes, saves, n, count), -1.0)
    queue = np.arange(lanes, dtype=np.int64)
    for name, array in zip(("y", "status", "steps", "rejected", "dy", "queue"), (y, *counts, dy, queue), strict=True):
        call.set(name, array.ctypes.data)
    call.set("n_directions", count)
    values = call.values()
    table = np.empty(len(values))
    for k, value in enumerate(values):
        (table.view(np.int64) if isinstance(value, int) else table)[k] = value
    loaded.kernel(table.ctypes.data, None, None)
    return Solution(batch.times, y, *counts, "retargeted", dy if count else None)


@cache
def ptx_of(model, inputs, rtol=1e-6):
    """PTX and shape of a model's kernel."""
    request = gpu.request_for(model, Segments(np.array([[0.0, 1.0]]), inputs), Options(rtol, rtol * 1e-3), None, None)
    text, shape = gpu.program(request, model.flux_tape, inputs)
    return nvptx.ptx(device_text(text, shape), "sm_90"), shape
