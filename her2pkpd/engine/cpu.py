"""The fused CPU kernel: one call integrates all lanes, SIMD across lanes, threads across blocks.

The Rosenbrock step of the model is compiled once (`program`, `emit`) and holds the adaptive loop, the dosing
segments and the dense output, so nothing returns to Python between the first step and the last. States are
never clipped: a species may undershoot zero by about its tolerance, and is left there, because clipping would
add mass and bias the solution.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from her2pkpd.engine import compile as compiler
from her2pkpd.engine.emit.kernel import KernelWriter
from her2pkpd.engine.emit.layout import FIELD, FIELDS, LANE_INTEGERS, Layout
from her2pkpd.engine.methods import DEFAULT, Method, method
from her2pkpd.engine.problem import Batch, Directions, Options, Solution
from her2pkpd.engine.program.step import StepProgram
from her2pkpd.model.tape import Tape

ENGINE = "kernel"


@dataclass(frozen=True)
class Compiled:
    """A kernel in memory.

    Attributes:
        loaded: the machine code.
        layout: its scratch memory.
        width: lanes per vector.
    """

    loaded: compiler.Loaded
    layout: Layout
    width: int


@lru_cache(maxsize=64)
def compiled(flux: Tape, n: int, table: Method, width: int | None = None) -> Compiled:
    """The kernel of a model, compiled or taken from memory."""
    target = compiler.host()
    width = width or target.width
    routines = StepProgram(flux, n).finish()
    writer = KernelWriter(routines, table, n, flux.n_inputs - n, width, target.fma)
    code = compiler.object_code(writer.text(), target)
    return Compiled(compiler.Loaded(code, target), writer.layout, width)


def solve(
    batch: Batch,
    options: Options | None = None,
    directions: Directions | None = None,
    *,
    threads: int | None = None,
    width: int | None = None,
    method_name: str = DEFAULT,
) -> Solution:
    """Integrate every lane of a batch on the CPU.

    Args:
        batch: the problem.
        options: tolerances and limits.
        directions: derivatives wanted, or None.
        threads: threads to use, default one per core this process may run on.
        width: lanes per vector, default what suits the processor.
        method_name: the Rosenbrock method, one of `methods.METHODS`.

    Returns:
        The `Solution`; results are the same bit for bit whatever the order of lanes and the number of threads.

    Raises:
        InputError: for an unknown method.
    """
    options = options or Options()
    model = batch.model
    code = compiled(model.flux_tape, model.n_species, method(method_name), width)
    call = _Call(batch, options)
    blocks = -(-call.lanes // code.width)
    threads = max(1, min(threads or _cores(), blocks))
    if threads == 1:
        call.run(code)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(call.run, code) for _ in range(threads)]:
                done.result()
    return call.solution()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Call:
    """The argument table of one call, with the arrays it points at."""

    def __init__(self, batch: Batch, options: Options) -> None:
        segments = batch.segments
        self.batch, self.lanes = batch, segments.n_lanes
        n_times, n = batch.times.shape[1], batch.model.n_species
        self.table = np.zeros(len(FIELDS), dtype=np.int64)
        self.counter = np.zeros(8, dtype=np.int64)
        self.y = np.empty((self.lanes, n_times, n))
        self.status, self.steps, self.rejected = (np.zeros(self.lanes, dtype=np.int64) for _ in range(3))
        scale = np.array([s.scale for s in batch.model.species])
        self._keep: list[np.ndarray] = []
        self._set("n_lanes", self.lanes)
        self._set("n_times", n_times)
        self._set("n_segments", segments.n_segments)
        self._set("n_inputs", len(segments.inputs))
        self._set("max_steps", options.max_steps)
        self.table.view(float)[FIELD["rtol"]] = options.rtol
        self._point("counter", self.counter)
        self._point("queue", np.arange(self.lanes, dtype=np.int64))
        self._point("inputs", np.array(segments.inputs, dtype=np.int64))
        self._point("tolerance", options.atol * scale)
        for name in ("y", "status", "steps", "rejected"):
            self._point(name, getattr(self, name))
        for name in ("parameters", "initial", "times"):
            self._rows(name, getattr(batch, name), float)
        for name in ("boundaries", "jump", "keep", "infusion"):
            self._rows(name, getattr(segments, name), float)
        self._rows("reset", segments.reset, np.uint8)

    def _set(self, name: str, value: int) -> None:
        self.table[FIELD[name]] = value

    def _point(self, name: str, array: np.ndarray) -> None:
        self._keep.append(array)
        self._set(name, array.ctypes.data)

    def _rows(self, name: str, array: np.ndarray, dtype: type) -> None:
        """Point at an array with one row per lane; a row all lanes share is passed once."""
        shared = self.lanes > 1 and array.strides[0] == 0
        array = np.ascontiguousarray(array[:1] if shared else array, dtype=dtype)
        self._point(name, array)
        self._set(name + "_stride", 0 if shared else int(np.prod(array.shape[1:])))

    def run(self, code: Compiled) -> None:
        """Integrate lanes until none is waiting."""
        doubles = _aligned(code.layout.size * code.width, np.float64)
        integers = _aligned(len(LANE_INTEGERS) * code.width, np.int64)
        code.loaded.kernel(self.table.ctypes.data, doubles.ctypes.data, integers.ctypes.data)

    def solution(self) -> Solution:
        """What came out."""
        return Solution(self.batch.times, self.y, self.status, self.steps, self.rejected, ENGINE)


def _aligned(size: int, dtype: type) -> np.ndarray:
    """A zeroed array of 8-byte elements at a 64-byte boundary."""
    raw = np.zeros(size + 8, dtype=dtype)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + size]
