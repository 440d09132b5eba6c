"""Levenberg-Marquardt as routines: what one observation adds to the normal equations, and what one iteration does.

Every lane is a small least-squares problem of its own, with its own damping (Nielsen 1999, IMM-REP-1999-05) on
Marquardt's scaling, and bounds kept by projection: a coordinate on its bound whose gradient points outward is held
there for the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from her2pkpd.engine.program.calculus import transplant
from her2pkpd.engine.program.routine import Routine, Slot
from her2pkpd.model.tape import Tape, TapeBuilder
from her2pkpd.model.trace import trace

NOT_YET = 1e300
"""Cost of a lane before anything finite was found."""

GIVE_UP = 1e14
"""Damping beyond which no step of a lane can still help."""

START_DAMPING = 3e-3
LEAST_DAMPING = 1e-15
_NEGLIGIBLE = 1e-12
"""Diagonal, relative to the largest, below which a direction counts as without effect."""


@dataclass(frozen=True)
class State:
    """Places of a lane's numbers in array ``state``, for p coordinates.

    Attributes:
        p: number of coordinates.
    """

    p: int

    @property
    def normal(self) -> int:
        """Length of cost, gradient and lower triangle of the normal matrix, in this order."""
        return 1 + self.p + self.p * (self.p + 1) // 2

    @property
    def size(self) -> int:
        """Length of the whole: coordinates, normal equations, damping, its factor, promise, whether done, how."""
        return self.p + self.normal + 5

    @property
    def cost(self) -> int:
        """Place of the cost."""
        return self.p

    @property
    def damping(self) -> int:
        """Place of the damping; its growth factor, the promised decrease, done and converged follow."""
        return self.p + self.normal


def observation(rows: Tape, n_inputs: int) -> Routine:
    """The routine ``observe``: one observation's part of cost, gradient and normal matrix, added to ``acc``.

    Args:
        rows: inputs of an observation, then coordinates, to the value and its derivatives by the coordinates.
        n_inputs: number of inputs; in array ``data`` the observed value and the square root of the weight follow.
    """
    p = rows.n_inputs - n_inputs
    n = State(p).normal
    build = TapeBuilder(n_inputs + 2 + p + n)
    data, trial, acc = (build.inputs[a:b] for a, b in _cuts(n_inputs + 2, p, n))
    value, *slope = transplant(build, rows, [*data[:n_inputs], *trial])
    seen, weight = data[n_inputs:]
    residual = build.apply("mul", build.apply("sub", value, seen), weight)
    slope = [build.apply("mul", s, weight) for s in slope]
    slots = (*_slots("data", n_inputs + 2), *_slots("trial", p), *_slots("acc", n))
    return Routine("observe", build.finish(_added(build, acc, residual, slope)), slots, _slots("acc", n))


def condition(own: Tape, n_inputs: int) -> Routine:
    """The routine ``hold``: one further residual of the lane itself.

    Args:
        own: inputs of the lane, then coordinates, to the residual and its derivatives by the coordinates.
        n_inputs: number of inputs, in array ``own``.
    """
    p = own.n_inputs - n_inputs
    n = State(p).normal
    build = TapeBuilder(n_inputs + p + n)
    given, trial, acc = (build.inputs[a:b] for a, b in _cuts(n_inputs, p, n))
    residual, *slope = transplant(build, own, [*given, *trial])
    slots = (*_slots("own", n_inputs), *_slots("trial", p), *_slots("acc", n))
    return Routine("hold", build.finish(_added(build, acc, residual, slope)), slots, _slots("acc", n))


def iteration(p: int) -> Routine:
    """The routine ``update``: take or refuse ``trial`` by what was found there, and propose the next.

    Reads ``acc``, ``state``, ``trial`` and ``limits`` (lower bounds, upper bounds, tolerance); writes ``after`` (the
    new state) and ``next`` (the new trial).
    """
    at = State(p)

    def outputs(*x: Any) -> list[Any]:
        acc, state, trial, limits = (x[a:b] for a, b in _cuts(at.normal, at.size, p, 2 * p + 1))
        damping, factor, promised, done, settled = state[at.damping :]
        cost = state[at.cost]
        better = jnp.logical_and(acc[0] < cost, done == 0.0)
        gain = (cost - acc[0]) / promised
        kept = [jnp.where(better, new, old) for new, old in zip((*trial, *acc), state[: at.damping], strict=True)]
        eased = damping * jnp.maximum(1 / 3, 1 - (2 * jnp.minimum(gain, 1.5) - 1) ** 3)
        damping = jnp.where(better, jnp.maximum(eased, LEAST_DAMPING), damping * factor)
        factor = jnp.where(better, 2.0, 2.0 * factor)
        u, cost = kept[:p], kept[at.cost]
        step, promised = _step(u, kept[at.cost + 1 :], damping, limits[:p], limits[p : 2 * p])
        end = jnp.logical_or(promised <= limits[2 * p] * cost + 1e-300, damping > GIVE_UP)
        settled = jnp.where(jnp.logical_or(settled > 0.0, end), 1.0, 0.0)
        following = [a + jnp.where(settled > 0.0, 0.0, s) for a, s in zip(u, step, strict=True)]
        return [*kept, damping, factor, promised, settled, settled, *following]

    tape = trace(outputs, at.normal + at.size + 3 * p + 1)
    arrays = (("acc", at.normal), ("state", at.size), ("trial", p), ("limits", 2 * p + 1))
    slots = tuple(s for name, n in arrays for s in _slots(name, n))
    return Routine("update", tape, slots, (*_slots("after", at.size), *_slots("next", p)))


def _cuts(*lengths: int) -> list[tuple[int, int]]:
    ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
    return [(end - n, end) for end, n in zip(ends, lengths, strict=True)]


def _slots(array: str, n: int) -> tuple[Slot, ...]:
    return tuple(Slot(array, k) for k in range(n))


def _added(build: TapeBuilder, acc: Sequence[int], residual: int, slope: Sequence[int]) -> list[int]:
    """``acc`` plus r^2, J r and the lower triangle of J J^T."""
    products = [(residual, residual), *((s, residual) for s in slope)]
    products += [(slope[i], slope[j]) for i in range(len(slope)) for j in range(i + 1)]
    return [build.apply("add", a, build.apply("mul", *pair)) for a, pair in zip(acc, products, strict=True)]


def _step(u: list[Any], normal: list[Any], damping: Any, low: Sequence[Any], high: Sequence[Any]) -> tuple[Any, Any]:
    """The damped step, clipped to the bounds, and the decrease of the cost it promises."""
    p = len(u)
    gradient, triangle = normal[:p], normal[p:]
    a = {(i, j): triangle[i * (i + 1) // 2 + j] for i in range(p) for j in range(i + 1)}
    held = [
        jnp.logical_or(jnp.logical_and(x <= lo, g > 0.0), jnp.logical_and(x >= hi, g < 0.0))
        for x, lo, hi, g in zip(u, low, high, gradient, strict=True)
    ]
    free = [jnp.where(h, 0.0, 1.0) for h in held]
    pull = [f * g for f, g in zip(free, gradient, strict=True)]
    largest = a[0, 0]
    for i in range(1, p):
        largest = jnp.maximum(largest, a[i, i])
    # A direction without effect still needs a number on the diagonal; its gradient is zero, so is its step.
    floor = _NEGLIGIBLE * largest + 1e-300
    diagonal = [free[i] * a[i, i] for i in range(p)]
    diagonal = [d + damping * jnp.maximum(d, floor) + floor for d in diagonal]
    open_ = {(i, j): free[i] * free[j] * a[i, j] for i in range(p) for j in range(i)}
    solved = _solve(diagonal, open_, pull)
    step = [jnp.clip(x - s, lo, hi) - x for x, s, lo, hi in zip(u, solved, low, high, strict=True)]
    curved = sum(step[i] * step[i] * a[i, i] for i in range(p))
    curved += 2.0 * sum(step[i] * step[j] * a[i, j] for i in range(p) for j in range(i))
    promised = -2.0 * sum(s * g for s, g in zip(step, pull, strict=True)) - curved
    longest = sum(jnp.abs(s) for s in step)
    # Clipping can turn a good step into one that promises nothing; more damping follows then.
    return step, jnp.where(promised > 0.0, promised, jnp.where(longest > 0.0, 1e-12, 0.0))


def _solve(diagonal: list[Any], below: dict[tuple[int, int], Any], right: list[Any]) -> list[Any]:
    """Solve a symmetric positive definite system by L D L^T; a pivot lost to rounding becomes a tiny one."""
    p, factor = len(diagonal), dict(below)
    pivot: list[Any] = []
    for i in range(p):
        for j in range(i):
            # factor[i, j] is L*D until the row is complete.
            for k in range(j):
                factor[i, j] = factor[i, j] - factor[i, k] * factor[j, k]
        left = diagonal[i]
        for j in range(i):
            scaled = factor[i, j] / pivot[j]
            left = left - factor[i, j] * scaled
            factor[i, j] = scaled
        pivot.append(jnp.maximum(left, 1e-15 * diagonal[i]))
    y = list(right)
    for i in range(p):
        for j in range(i):
            y[i] = y[i] - factor[i, j] * y[j]
    x = [v / d for v, d in zip(y, pivot, strict=True)]
    for i in reversed(range(p)):
        for j in range(i + 1, p):
            x[i] = x[i] - factor[j, i] * x[j]
    return x
