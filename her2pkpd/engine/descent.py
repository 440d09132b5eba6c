"""Many small least-squares problems at once, compiled: one call runs all iterations of all lanes.

A screen, a bootstrap and a profile likelihood are thousands of fits of one function with a handful of parameters.
Solved one by one, nearly all the time goes to the overhead of calls; here `program.descent` becomes machine code like
a model does, and a fit costs microseconds. Lanes do not depend on each other.
"""

import contextlib
import threading
from dataclasses import dataclass

import numpy as np

from her2pkpd.engine import cache
from her2pkpd.engine import compile as compiler
from her2pkpd.engine.emit.descent import FIELDS, DescentWriter, offsets
from her2pkpd.engine.program.descent import NOT_YET, State, condition, iteration, observation
from her2pkpd.model.tape import Tape

AT_ONCE = 256
"""Vectors of lanes in one call: between calls an interrupt is answered."""


@dataclass(frozen=True)
class Minimum:
    """Where every lane ended.

    Attributes:
        u: (S, p) coordinates.
        cost: (S,) sum of squares; infinite where the start was not finite.
        converged: (S,) whether the lane stopped because nothing more was to be gained.
    """

    u: np.ndarray
    cost: np.ndarray
    converged: np.ndarray


@dataclass(frozen=True)
class Descent:
    """A least-squares problem: what one observation of a lane is, and what holds for the lane as a whole.

    Attributes:
        rows: inputs of an observation, then coordinates, to its value and the derivatives by the coordinates.
        n_inputs: numbers of inputs of an observation.
        own: inputs of a lane, then coordinates, to one further residual and its derivatives; or None.
        n_own: number of inputs of a lane.
    """

    rows: Tape
    n_inputs: int
    own: Tape | None = None
    n_own: int = 0

    @property
    def at(self) -> State:
        """Places of a lane's numbers."""
        return State(self.rows.n_inputs - self.n_inputs)

    def text(self, target: compiler.Target) -> str:
        """LLVM IR of the kernel."""
        routines = [observation(self.rows, self.n_inputs), iteration(self.at.p)]
        routines += [condition(self.own, self.n_own)] if self.own else []
        lengths = {"data": self.n_inputs + 2, "own": self.n_own}
        return DescentWriter(routines, lengths, self.at, target.width, target.fma, target.special).text()

    def minimise(
        self,
        data: np.ndarray,
        start: np.ndarray,
        bounds: tuple[np.ndarray, np.ndarray],
        *,
        own: np.ndarray | None = None,
        iterations: int = 200,
        tolerance: float = 1e-12,
    ) -> Minimum:
        """Minimise the sum of squares of every lane.

        Args:
            data: (S, n, n_inputs + 2) of the observations: inputs, observed value, and what the residual is multiplied
                by, 0 for an observation that is not there; see `observations`.
            start: (S, p) starting coordinates, clipped into the bounds.
            bounds: lower and upper, each (p,) or (S, p).
            own: (S, n_own) inputs of the lanes.
            iterations: at most this many steps.
            tolerance: a lane is done when a full step promises to lower its cost by less than this part.

        Returns:
            The `Minimum` of every lane.
        """
        lanes, p = start.shape
        lower, upper = (np.broadcast_to(b, (lanes, p)) for b in bounds)
        limits = np.column_stack([lower, upper, np.full(lanes, tolerance)])
        own = np.zeros((lanes, self.n_own)) if own is None else own
        kernel, width = _kernel(self), compiler.host().width
        u, cost, converged = np.empty((lanes, p)), np.empty(lanes), np.empty(lanes)
        for first in range(0, lanes, AT_ONCE * width):
            part = slice(first, first + AT_ONCE * width)
            given = {"data": data[part], "own": own[part], "limits": limits[part]}
            u[part], cost[part], converged[part] = self._call(
                kernel, width, given, np.clip(start[part], lower[part], upper[part]), iterations
            )
        return Minimum(u, np.where(cost < NOT_YET, cost, np.inf), converged > 0)

    def _call(
        self, kernel: compiler.Loaded, width: int, given: dict[str, np.ndarray], start: np.ndarray, iterations: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lanes = len(start)
        arrays = {name: _vectors(x, width) for name, x in given.items()} | {"u": _vectors(start, width)}
        blocks = len(arrays["u"])
        arrays |= {name: _aligned((blocks, width)) for name in ("cost", "converged")}
        table = np.zeros(len(FIELDS), dtype=np.int64)
        table[:3] = blocks, given["data"].shape[1], iterations
        for k, name in enumerate(FIELDS[3:], start=3):
            table[k] = arrays[name].ctypes.data
        scratch = _aligned((offsets(self.at)["size"], width))
        kernel.kernel(table.ctypes.data, scratch.ctypes.data, 0)
        u = arrays["u"].transpose(0, 2, 1).reshape(-1, start.shape[1])[:lanes]
        return u, arrays["cost"].ravel()[:lanes], arrays["converged"].ravel()[:lanes]


def observations(inputs: np.ndarray, observed: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Inputs (..., n, n_inputs), observed values (..., n) and weights (..., n) as `Descent.minimise` takes them."""
    shape = np.broadcast_shapes(inputs.shape[:-1], observed.shape, weight.shape)
    data = np.empty((*shape, inputs.shape[-1] + 2))
    data[..., :-2], data[..., -2], data[..., -1] = inputs, observed, weight
    return data


_loaded: dict[Descent, compiler.Loaded] = {}
_loading = threading.Lock()


def _kernel(descent: Descent) -> compiler.Loaded:
    """The machine code of a problem: from memory, from disk, or compiled now."""
    with _loading:
        if descent not in _loaded:
            _loaded[descent] = _from_disk_or_new(descent)
        return _loaded[descent]


def _from_disk_or_new(descent: Descent) -> compiler.Loaded:
    target = compiler.host()
    tapes = (descent.rows.digest(), descent.own.digest() if descent.own else "")
    asked = {"descent": tapes, "inputs": (descent.n_inputs, descent.n_own), "target": target}
    name = cache.key(asked | {"versions": compiler.versions(), "source": cache.source_digest()})
    found = cache.load(name)
    if found is not None:
        with contextlib.suppress(RuntimeError):
            return compiler.Loaded(found[0], target)
    code = compiler.object_code(descent.text(target), target)
    cache.store(name, code, {"size": offsets(descent.at)["size"]})
    return compiler.Loaded(code, target)


def _vectors(rows: np.ndarray, width: int) -> np.ndarray:
    """Rows (S, ...) of lanes as (blocks, ..., width); the last block repeats its last lane."""
    blocks = -(-len(rows) // width)
    which = np.minimum(np.arange(blocks * width), len(rows) - 1)
    packed = _aligned((blocks, *rows.shape[1:], width))
    packed[...] = np.moveaxis(rows[which].reshape(blocks, width, *rows.shape[1:]), 1, -1)
    return packed


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """A zeroed array at a 64-byte boundary."""
    size = int(np.prod(shape))
    raw = np.zeros(size + 8)
    skip = (-raw.ctypes.data % 64) // 8
    return raw[skip : skip + size].reshape(shape)
