"""The GPU engine: the program of the CPU kernel, one lane a thread, on an NVIDIA card.

`solve` takes and gives NumPy arrays like every engine. `solve_on_device` takes arrays that lie on the card (JAX,
CuPy, PyTorch) and leaves its results there. `endpoints` reduces trajectories on the card, block by block, for
cohorts whose trajectories together would not fit anywhere.

States and time are float64. A float32 state is not offered: the step-size control works to tolerances near what
float32 can hold, and the parity with the other engines would be lost.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from her2pkpd.engine import _gpu_order as ordering
from her2pkpd.engine import cache, cuda, nvptx
from her2pkpd.engine import compile as compiler
from her2pkpd.engine.cpu import BELOW_ZERO, Request, initial_tangents, resting
from her2pkpd.engine.emit.layout import FIELD, FIELDS
from her2pkpd.engine.emit.ptx import ENTRY, Shape, device_text
from her2pkpd.engine.methods import default_method, method
from her2pkpd.engine.problem import Batch, Directions, Options, Segments, Solution
from her2pkpd.errors import InputError, Problem
from her2pkpd.model.model import Model
from her2pkpd.model.tape import Tape

ENGINE = "gpu"

THREADS = 64
"""Threads per block. Two warps: a block that waits for its longest lane holds up few others."""

LARGEST = 60_000
"""Lines of LLVM IR above which scratch memory stays memory: unrolled, the program would not fit any cache."""


@dataclass(frozen=True)
class Code:
    """A compiled kernel.

    Attributes:
        code: machine code or PTX.
        kind: "cubin" or "ptx".
        shape: what it was made for.
        resources: what the assembler reports, None where the driver assembles.
    """

    code: bytes
    kind: str
    shape: Shape
    resources: nvptx.Resources | None


@dataclass(frozen=True)
class DeviceSolution:
    """Results that lie on the card.

    Attributes:
        y: (L, M, species saved) float64; NaN from where a lane failed.
        status: (L,) int64 `Status` codes.
        steps: (L,) int64 accepted steps.
        rejected: (L,) int64 rejected steps.
        dy: (L, M, n_species, K) derivatives, or None.
    """

    y: cuda.DeviceArray
    status: cuda.DeviceArray
    steps: cuda.DeviceArray
    rejected: cuda.DeviceArray
    dy: cuda.DeviceArray | None = None


def program(request: Request, flux: Tape, inputs: tuple[int, ...], threads: int = THREADS) -> tuple[str, Shape]:
    """The kernel at width 1, to be retargeted, and its shape.

    Args:
        request: as for the CPU kernel, with width 1.
        flux: the tape of dy/dt.
        inputs: the dosed species.
        threads: threads per block.
    """
    text, layout = request.text(flux, compiler.Target("", "", 1, True))
    small = text.count("\n") + method(request.method).stages * _stage_lines(text) <= LARGEST
    registers = small and not request.directions
    return text, Shape(request.n, layout.size, inputs, registers, threads)


def _stage_lines(text: str) -> int:
    start = text.index("@stage(")
    return text.count("\n", start, text.index("\n}", start))


def compiled(request: Request, flux: Tape, inputs: tuple[int, ...], arch: str, threads: int = THREADS) -> Code:
    """Machine code for a card, or PTX where there is no assembler: from disk, or compiled now and kept."""
    kind = "cubin" if nvptx.assembler() else "ptx"
    parts = {"request": request, "inputs": inputs, "arch": arch, "threads": threads, "kind": kind}
    parts |= {"versions": compiler.versions(), "source": cache.source_digest(), "limit": LARGEST}
    name = cache.key(parts)
    found = cache.load(name)
    if found is not None:
        code, layout = found
        taken = [layout.get(x, -1) for x in ("registers", "stack", "spill_stores", "spill_loads")]
        resources = nvptx.Resources(*taken) if taken[0] >= 0 else None
        shape = Shape(request.n, layout["size"], inputs, bool(layout["in_registers"]), threads)
        return Code(code, kind, shape, resources)
    text, shape = program(request, flux, inputs, threads)
    source = nvptx.ptx(device_text(text, shape), arch)
    code, resources = nvptx.assemble(source, arch) if kind == "cubin" else (source.encode(), None)
    layout = {"size": shape.size, "in_registers": int(shape.registers)}
    cache.store(name, code, layout | (vars(resources) if resources else {}))
    return Code(code, kind, shape, resources)


_loaded: dict[Any, tuple[Any, Code]] = {}
_loading = threading.Lock()


def _kernel(request: Request, flux: Tape, inputs: tuple[int, ...]) -> tuple[Any, Code]:
    card = cuda.card()
    with _loading:
        if (request, inputs) not in _loaded:
            code = compiled(request, flux, inputs, nvptx.architecture(*card.capability))
            _loaded[request, inputs] = (card.load(code.code, code.kind, ENTRY), code)
        return _loaded[request, inputs]


def request_for(
    model: Model,
    segments: Segments,
    options: Options,
    directions: Directions | None,
    name: str | None,
    saved: tuple[int, ...] | None = None,
) -> Request:
    """The kernel a solve needs."""
    flux, table = model.flux_tape, method(name or default_method(options.rtol))
    wanted = Request(flux.digest(), model.n_species, table.name, 1, resting(flux, segments), saved)
    if directions is not None and directions.count:
        moved, infusions = tuple(directions.parameters), directions.infusion is not None
        wanted = replace(wanted, saved=None, parameters=moved, directions=directions.count, infusions=infusions)
    return wanted


def solve(
    batch: Batch,
    options: Options | None = None,
    directions: Directions | None = None,
    *,
    method_name: str | None = None,
) -> Solution:
    """Integrate every lane of a batch on the card.

    Lanes are taken in blocks that fit the card's memory.

    Args:
        batch: the problem.
        options: tolerances and limits.
        directions: derivatives wanted, or None.
        method_name: the Rosenbrock method; None chooses by tolerance.

    Returns:
        The `Solution`; it does not depend on the order of lanes or on the blocks.

    Raises:
        InputError: where no card can be used, or for an unknown method.
        ComputationError: where the card fails.
    """
    options = options or Options()
    card = cuda.card()
    parts = []
    for some in _blocks(batch, directions, card):
        found = _on_card(batch, options, directions, some, method_name)
        parts.append([np.asarray(x) for x in (found.y, found.status, found.steps, found.rejected)])
        parts[-1].append(np.zeros(0) if found.dy is None else np.asarray(found.dy))
        del found  # the next block needs its memory
    y, status, steps, rejected, dy = (np.concatenate(x) for x in zip(*parts, strict=True))
    if directions is None or not directions.count:
        return Solution(batch.times, y, status, steps, rejected, ENGINE)
    return Solution(batch.times, batch.select(y), status, steps, rejected, ENGINE, batch.select(dy))


def endpoints(
    batch: Batch,
    reduce: Callable[[cuda.DeviceArray], Any],
    options: Options | None = None,
    *,
    method_name: str | None = None,
) -> tuple[np.ndarray, Solution]:
    """Reduce trajectories on the card; only what `reduce` makes of them is copied back.

    Args:
        batch: the problem.
        reduce: called with the states (lanes of a block, M, species saved) on the card; returns an array with one
            row per lane, on the card or not. `jax.jit(f)` of `jax.numpy.asarray(states)` will do.
        options: tolerances and limits.
        method_name: the Rosenbrock method.

    Returns:
        The rows of all lanes, and a `Solution` that holds statuses and counts but no states: its ``y`` has M = 0.
    """
    options = options or Options()
    rows, parts = [], []
    for some in _blocks(batch, None, cuda.card()):
        found = _on_card(batch, options, None, some, method_name)
        rows.append(np.asarray(reduce(found.y)))
        parts.append([np.asarray(x) for x in (found.status, found.steps, found.rejected)])
        del found  # the next block needs its memory
    status, steps, rejected = (np.concatenate(x) for x in zip(*parts, strict=True))
    none = np.zeros((len(status), 0, batch.model.n_species))
    return np.concatenate(rows), Solution(batch.times[:, :0], none, status, steps, rejected, ENGINE)


def _blocks(batch: Batch, directions: Directions | None, card: cuda.Card) -> list[slice]:
    lanes, saves = batch.times.shape
    n, count = batch.model.n_species, directions.count if directions is not None else 0
    dosing = batch.segments.jump[0].size * (3 + 2 * count)
    per_lane = 8 * (saves * n * (1 + count) + batch.model.n_parameters + n * (1 + count) + dosing + saves + 64)
    most = max(THREADS, int(0.6 * card.free_memory()) // per_lane)
    return [slice(k, min(k + most, lanes)) for k in range(0, lanes, most)] or [slice(0, 0)]


def _on_card(
    batch: Batch, options: Options, directions: Directions | None, some: slice, method_name: str | None
) -> DeviceSolution:
    s = batch.segments
    segments = {x: getattr(s, x)[some] for x in ("boundaries", "jump", "keep", "infusion", "reset")}
    rows: dict[str, Any] = {"parameters": batch.parameters[some], "initial": _initial(batch)[some]}
    rows |= {"times": batch.times[some], **segments}
    rows |= tangent_rows(batch, directions, some)
    request = request_for(batch.model, s, options, directions, method_name, batch.saved)
    return _run(request, batch.model, s.inputs, rows, options)


def _initial(batch: Batch) -> np.ndarray:
    if batch.initial is None:
        raise AssertionError("a batch fills in its initial values")
    return batch.initial


def tangent_rows(batch: Batch, directions: Directions | None, some: slice) -> dict[str, np.ndarray]:
    """The arrays of the argument table that say how directions move initial values and dosing."""
    if directions is None or not directions.count:
        return {}
    count, s, n = directions.count, batch.segments, batch.model.n_species
    lanes = len(batch.parameters[some])
    initial = directions.initial
    if initial is None:
        initial = initial_tangents(batch.model, batch.parameters[some], directions.parameters, count)
    elif len(initial) > 1:
        initial = initial[some]
    shape = (lanes, s.n_segments, len(s.inputs), count)
    rows = {"d_initial": np.broadcast_to(initial, (lanes, n, count))}
    for name, full in (("jump", shape), ("infusion", shape), ("boundaries", (lanes, s.n_segments + 1, count))):
        given = getattr(directions, name)
        if given is not None:
            rows["d_" + name] = np.broadcast_to(given[some] if len(given) > 1 else given, full)
    return rows


def solve_on_device(
    model: Model,
    parameters: Any,
    initial: Any,
    segments: Segments,
    times: np.ndarray,
    options: Options | None = None,
    *,
    method_name: str | None = None,
) -> DeviceSolution:
    """Integrate lanes whose parameters and initial values may lie on the card; results stay there.

    Args:
        model: the model.
        parameters: (L, n_parameters) float64: NumPy, or any array with ``__cuda_array_interface__`` (JAX, CuPy,
            PyTorch), C-contiguous, which is then read where it lies.
        initial: (L, n_species) float64, likewise.
        segments: the dosing, L lanes.
        times: (L, M) or (M,) save times.
        options: tolerances and limits.
        method_name: the Rosenbrock method.

    Returns:
        Arrays on the card; `jax.numpy.asarray(solution.y)` looks at one without a copy, for as long as the
        solution is kept.

    Raises:
        InputError: for an array of the wrong shape or type, or where no card can be used.
    """
    lanes = segments.n_lanes
    times = np.broadcast_to(np.asarray(times, dtype=float), (lanes, np.shape(times)[-1]))
    # Save times and dosing lie on the host and are checked as ever; the parameters of the check do not matter.
    Batch(model, model.default_parameters(), segments, times, np.zeros(model.n_species))
    rows = {"parameters": parameters, "initial": initial, "times": times}
    for name, array, width in (("parameters", parameters, model.n_parameters), ("initial", initial, model.n_species)):
        if tuple(array.shape) != (lanes, width):
            rule = f"{name} must have shape ({lanes}, {width}), one row per lane"
            raise InputError(Problem(rule, "Give one row for every lane.", value=tuple(array.shape)))
    rows |= {x: getattr(segments, x) for x in ("boundaries", "jump", "keep", "infusion", "reset")}
    options = options or Options()
    return _run(request_for(model, segments, options, None, method_name), model, segments.inputs, rows, options)


def _run(
    request: Request, model: Model, inputs: tuple[int, ...], rows: Mapping[str, Any], options: Options
) -> DeviceSolution:
    card = cuda.card()
    kernel, code = _kernel(request, model.flux_tape, inputs)
    lanes, saves = rows["times"].shape
    call = Arguments(code.shape, model, options, lanes, card.to_device)
    for name, array in rows.items():
        call.rows(name, array)
    n, count = model.n_species, request.directions
    y = cuda.DeviceArray(card, (lanes, saves, n if request.saved is None else len(request.saved)))
    counts = [cuda.DeviceArray(card, (lanes,), np.int64) for _ in range(3)]
    dy = cuda.DeviceArray(card, (lanes, saves, n, count)) if count else None
    for name, array in zip(("y", "status", "steps", "rejected"), (y, *counts), strict=True):
        call.set(name, array.pointer)
    if dy is not None:
        call.set("dy", dy.pointer)
    call.set("n_directions", count)

    def start(order: np.ndarray) -> None:
        queue = card.to_device(order)
        call.set("queue", queue.pointer)
        call.set("n_lanes", len(order))
        threads = code.shape.threads
        card.launch(kernel, -(-len(order) // threads), threads, call.values())
        card.synchronise()

    order, parameters = np.arange(lanes, dtype=np.int64), rows["parameters"]
    if lanes >= ordering.SORT_FROM and isinstance(parameters, np.ndarray) and parameters.strides[0]:
        first = ordering.sample(lanes)
        start(first)
        taken = np.asarray(counts[1])[first] + np.asarray(counts[2])[first]
        order = ordering.by_cost(parameters, first, taken)
    if lanes:
        start(order)
    return DeviceSolution(y, counts[0], counts[1], counts[2], dy)


class Arguments:
    """The arguments of a launch: those of the CPU kernel, each a parameter of its own, then the tolerances.

    Args:
        shape: the kernel's shape.
        model: the model.
        options: tolerances and limits.
        lanes: number of lanes.
        place: puts a NumPy array where the kernel can read it; the result has a ``pointer``.
    """

    def __init__(
        self, shape: Shape, model: Model, options: Options, lanes: int, place: Callable[[np.ndarray], Any]
    ) -> None:
        self._place, self._lanes, self._kept = place, lanes, []
        self._table = np.zeros(len(FIELDS), dtype=np.int64)
        self._doubles: list[float] = []
        self.set("n_lanes", lanes)
        self.set("max_steps", options.max_steps)
        self.set("n_inputs", len(shape.inputs))
        self._table.view(float)[FIELD["rtol"]] = options.rtol
        least = options.atol * np.array([s.scale for s in model.species])
        depth = 1.0 / (BELOW_ZERO * least) if options.atol > 0 else 0.0 * least
        if shape.tolerances_passed:
            self._doubles = [float(x) for x in (*least, *depth)]
        else:
            self._point("tolerance", least)
            self._point("depth", depth)

    def set(self, name: str, value: int) -> None:
        """Set a field."""
        self._table[FIELD[name]] = value

    def _point(self, name: str, array: np.ndarray) -> None:
        placed = self._place(array)
        self._kept.append(placed)
        self.set(name, placed.pointer)

    def rows(self, name: str, array: Any) -> None:
        """Point at an array with one row per lane; a row that all lanes share is passed once."""
        if name == "times":
            self.set("n_times", array.shape[1])
        if name == "boundaries":
            self.set("n_segments", array.shape[1] - 1)
        if not isinstance(array, np.ndarray) and hasattr(array, "__cuda_array_interface__"):
            self.set(name, _address(name, array))
            self._kept.append(array)
            self.set(name + "_stride", int(np.prod(array.shape[1:])))
            return
        array = np.asarray(array)
        shared = self._lanes > 1 and array.strides[0] == 0
        kind = np.uint8 if name == "reset" else float
        self._point(name, np.ascontiguousarray(array[:1] if shared else array, dtype=kind))
        self.set(name + "_stride", 0 if shared else int(np.prod(array.shape[1:])))

    def values(self) -> list[int | float]:
        """Integers for the table's fields, then doubles."""
        return [*(int(x) for x in self._table), *self._doubles]


def _address(name: str, array: Any) -> int:
    """Where an array of another library lies on the card."""
    # JAX hands out arrays before they are computed.
    getattr(array, "block_until_ready", lambda: None)()
    interface = array.__cuda_array_interface__
    strides, shape = interface.get("strides"), interface["shape"]
    plain = tuple(8 * int(np.prod(shape[k + 1 :])) for k in range(len(shape)))
    if interface["typestr"] != "<f8" or (strides is not None and tuple(strides) != plain):
        problem = f"{name} must be float64 and C-contiguous on the GPU"
        raise InputError(Problem(problem, "Convert it, for example with jax_enable_x64.", value=interface["typestr"]))
    return int(interface["data"][0])
