"""The fused CPU kernel: one call integrates all lanes, SIMD across lanes, threads across blocks.

The Rosenbrock step of the model is compiled once (`program`, `emit`) and holds the adaptive loop, the dosing
segments and the dense output, so nothing returns to Python between the first step and the last. States are
never clipped, which would add mass and bias the solution: a species may undershoot zero by some tolerances. A
step that takes one further below, although at zero its rate would not let it, is refused like an inaccurate one;
a species whose rate does lead below zero may go there.
"""

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache as cache_in_memory

import numpy as np

from her2pkpd.engine import cache
from her2pkpd.engine import compile as compiler
from her2pkpd.engine.emit.asm import Machine
from her2pkpd.engine.emit.kernel import KernelWriter
from her2pkpd.engine.emit.layout import FIELD, FIELDS, LANE_INTEGERS, Layout
from her2pkpd.engine.emit.tangents import TangentPlan
from her2pkpd.engine.initial import initial_jacobian
from her2pkpd.engine.methods import default_method, method
from her2pkpd.engine.problem import Batch, Directions, Options, Segments, Solution
from her2pkpd.engine.program.step import StepProgram
from her2pkpd.engine.program.tangent import tangent_program
from her2pkpd.model.model import Model
from her2pkpd.model.tape import CONST, Tape

ENGINE = "kernel"

BELOW_ZERO = 10.0
"""Absolute tolerances by which a species may undershoot zero."""


@dataclass(frozen=True)
class Compiled:
    """A kernel in memory.

    Attributes:
        loaded: the machine code.
        size: vectors of scratch memory it needs.
        width: lanes per vector.
    """

    loaded: compiler.Loaded
    size: int
    width: int


@dataclass(frozen=True)
class Request:
    """What a kernel is compiled for; equal requests share one.

    Attributes:
        model: digest of the tape of dy/dt.
        n: number of species.
        method: name of the Rosenbrock method.
        width: lanes per vector.
        resting: species that only change at doses, see `StepProgram`.
        parameters: parameters moved by the leading directions.
        saved: species to save, None for all.
        directions: number of directions, 0 for a kernel without tangents.
        infusions: whether directions may move infusions.
    """

    model: str
    n: int
    method: str
    width: int
    resting: tuple[int, ...] = ()
    saved: tuple[int, ...] | None = None
    parameters: tuple[int, ...] = ()
    directions: int = 0
    infusions: bool = False

    def text(self, flux: Tape, target: compiler.Target) -> tuple[str, Layout]:
        """LLVM IR of the kernel for a tape of dy/dt, and the layout of its scratch memory."""
        step = StepProgram(flux, self.n, self.resting)
        plan = None
        if self.directions:
            program = tangent_program(step, self.parameters)
            plan = TangentPlan(program, self.parameters, self.directions, self.infusions)
        writer = KernelWriter(
            step.finish(),
            method(self.method),
            self.n,
            flux.n_inputs - self.n,
            Machine(self.width, target.fma, target.special),
            plan,
            self.saved,
        )
        return writer.text(), writer.layout


_loaded: dict[Request, Compiled] = {}
_loading = threading.Lock()


def compiled(request: Request, flux: Tape) -> Compiled:
    """The kernel of a request: from memory, from disk, or compiled now.

    Args:
        request: what is wanted.
        flux: the tape of dy/dt whose digest the request carries.
    """
    with _loading:
        if request not in _loaded:
            _loaded[request] = _from_disk_or_new(request, flux)
        return _loaded[request]


def _from_disk_or_new(request: Request, flux: Tape) -> Compiled:
    target = compiler.host()
    parts = {"request": request, "target": target, "versions": compiler.versions(), "source": cache.source_digest()}
    name = cache.key(parts)
    found = cache.load(name)
    if found is not None:
        with contextlib.suppress(RuntimeError):
            return Compiled(compiler.Loaded(found[0], target), found[1]["size"], request.width)
    text, layout = request.text(flux, target)
    code = compiler.object_code(text, target)
    cache.store(name, code, {"size": layout.size})
    return Compiled(compiler.Loaded(code, target), layout.size, request.width)


def solve(
    batch: Batch,
    options: Options | None = None,
    directions: Directions | None = None,
    *,
    threads: int | None = None,
    width: int | None = None,
    method_name: str | None = None,
) -> Solution:
    """Integrate every lane of a batch on the CPU.

    Args:
        batch: the problem.
        options: tolerances and limits.
        directions: derivatives wanted, or None.
        threads: threads to use, default one per core this process may run on.
        width: lanes per vector, default what suits the processor.
        method_name: the Rosenbrock method, one of `methods.METHODS`; None chooses by tolerance.

    Returns:
        The `Solution`; results are the same bit for bit whatever the order of lanes and the number of threads.

    Raises:
        InputError: for an unknown method.
    """
    options = options or Options()
    model = batch.model
    width = width or compiler.lanes(model.n_species)
    flux = model.flux_tape
    table = method(method_name or default_method(options.rtol))
    request = Request(flux.digest(), model.n_species, table.name, width, resting(flux, batch.segments), batch.saved)
    if directions is not None and directions.count:
        request = replace(
            request,
            saved=None,
            parameters=tuple(directions.parameters),
            directions=directions.count,
            infusions=directions.infusion is not None,
        )
    code = compiled(request, flux)
    call = _Call(batch, options, directions, model.n_species if request.saved is None else len(request.saved))
    blocks = -(-call.lanes // code.width)
    call.run_on(code, max(1, min(threads or _cores(), blocks)))
    return call.solution()


def resting(flux: Tape, segments: Segments) -> tuple[int, ...]:
    """Species that nothing but doses changes: without a rate, and never infused.

    Args:
        flux: the tape of dy/dt.
        segments: the dosing.
    """
    still = {k for k, node in enumerate(flux.outputs) if flux.nodes[node].op == CONST and flux.nodes[node].value == 0.0}
    infused = (k for j, k in enumerate(segments.inputs) if k in still and np.any(segments.infusion[:, :, j]))
    return tuple(sorted(still.difference(infused)))


def initial_tangents(model: Model, parameters: np.ndarray, moved: tuple[int, ...], count: int) -> np.ndarray:
    """How the model's own initial values move with its parameters.

    Args:
        model: the model.
        parameters: (L, n_parameters).
        moved: parameters of the leading directions.
        count: number of directions; those beyond `moved` get zero.

    Returns:
        (L, n_species, count).
    """
    result = np.zeros((len(parameters), model.n_species, count))
    result[..., : len(moved)] = initial_jacobian(model, parameters)[..., list(moved)]
    return result


@cache_in_memory
def _pool() -> ThreadPoolExecutor:
    """Threads kept for all calls; more than there are cores serve callers that ask for more."""
    return ThreadPoolExecutor(4 * _cores(), thread_name_prefix="her2pkpd")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Call:
    """The argument table of one call, with the arrays it points at."""

    def __init__(self, batch: Batch, options: Options, directions: Directions | None, row: int) -> None:
        segments = batch.segments
        self.batch, self.lanes = batch, segments.n_lanes
        n_times = batch.times.shape[1]
        self.table = np.zeros(len(FIELDS), dtype=np.int64)
        self.counter = np.zeros(8, dtype=np.int64)
        self.y = np.empty((self.lanes, n_times, row))
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
        self._point("depth", 1.0 / (BELOW_ZERO * options.atol * scale) if options.atol > 0 else 0.0 * scale)
        for name in ("y", "status", "steps", "rejected"):
            self._point(name, getattr(self, name))
        for name in ("parameters", "initial", "times"):
            self._rows(name, getattr(batch, name), float)
        for name in ("boundaries", "jump", "keep", "infusion"):
            self._rows(name, getattr(segments, name), float)
        self._rows("reset", segments.reset, np.uint8)
        self.dy: np.ndarray | None = None
        if directions is not None and directions.count:
            self._tangents(directions, n_times, batch.model.n_species)

    def _tangents(self, directions: Directions, n_times: int, n: int) -> None:
        count, model = directions.count, self.batch.model
        self.dy = np.empty((self.lanes, n_times, n, count))
        self._point("dy", self.dy)
        self._set("n_directions", count)
        initial = directions.initial
        if initial is None:
            initial = initial_tangents(model, self.batch.parameters, directions.parameters, count)
        segments = self.batch.segments
        shape = (self.lanes, segments.n_segments, len(segments.inputs), count)
        self._rows("d_initial", np.broadcast_to(initial, (self.lanes, n, count)), float)
        for name, given, full in (
            ("d_jump", directions.jump, shape),
            ("d_infusion", directions.infusion, shape),
            ("d_boundaries", directions.boundaries, (self.lanes, segments.n_segments + 1, count)),
        ):
            if given is not None:
                self._rows(name, np.broadcast_to(given, full), float)

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

    def run_on(self, code: Compiled, threads: int) -> None:
        """Integrate all lanes on some threads; lanes are handed out one by one, so no thread waits for another."""
        if threads == 1 and self.lanes <= 4 * code.width:
            self.run(code)
            return
        # Even a single worker runs beside the main thread, which stays free to take an interrupt.
        running = [_pool().submit(self.run, code) for _ in range(threads)]
        try:
            for done in running:
                done.result()
        finally:
            # After an interrupt the lanes under way end, and no other is begun.
            self.counter[0] = self.lanes
            wait(running)

    def run(self, code: Compiled) -> None:
        """Integrate lanes until none is waiting."""
        doubles = _aligned(code.size * code.width, np.float64)
        integers = _aligned(len(LANE_INTEGERS) * code.width, np.int64)
        code.loaded.kernel(self.table.ctypes.data, doubles.ctypes.data, integers.ctypes.data)

    def solution(self) -> Solution:
        """What came out."""
        y, dy = self.y, self.dy
        if dy is not None:  # kernels with tangents save all species
            y, dy = self.batch.select(y), self.batch.select(dy)
        return Solution(self.batch.times, y, self.status, self.steps, self.rejected, ENGINE, dy)


def _aligned(size: int, dtype: type) -> np.ndarray:
    """A zeroed array of 8-byte elements at a 64-byte boundary."""
    raw = np.zeros(size + 8, dtype=dtype)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + size]
