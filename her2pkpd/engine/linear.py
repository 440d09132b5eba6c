"""Linear systems in closed form: y' = A y + u between events, by the eigenvectors of A.

Exact to rounding, at a cost that does not depend on how long an interval is. Derivatives are exact as well: that of
exp(A t) along dA is, in the basis of eigenvectors, the Hadamard product of dA with divided differences of exp(lambda t)
(Daleckii & Krein 1965; Higham, Functions of Matrices, 2008, theorem 3.11). A batch in which eigenvectors of some lane
nearly coincide, as in a chain of equal steps, is handed to the kernel.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from her2pkpd.engine._reference_timeline import Dosing, spread, timeline
from her2pkpd.engine._steady_rates import Rates
from her2pkpd.engine.initial import initial_jacobian
from her2pkpd.engine.problem import Batch, Directions, Options, Solution, Status
from her2pkpd.errors import InputError, Problem
from her2pkpd.model.model import Model

LARGEST = 12
"""Species up to which a model is looked at; larger linear systems are sparse, and the kernel is faster."""

_CONDITION = 1e6
_NEAR = 1e-4


@lru_cache(maxsize=256)
def is_linear(model: Model) -> bool:
    """Whether the model is small and its rates are linear in the state."""
    return model.n_species <= LARGEST and Rates(model, ()).linear


def solve(batch: Batch, options: Options, directions: Directions | None = None) -> Solution:
    """Integrate a batch of a linear model.

    Args:
        batch: the problem.
        options: passed on where the kernel takes over; the closed form needs none.
        directions: derivatives wanted, or None.

    Returns:
        The `Solution`; steps are zero.

    Raises:
        InputError: for a model whose rates are not linear.
    """
    if not Rates(batch.model, ()).linear:
        raise InputError(Problem("the model is not linear", 'Use engine "auto" or "kernel".', value=batch.model.name))
    system = _System.of(batch)
    if system is None:
        from her2pkpd.engine.cpu import solve as by_kernel

        return by_kernel(batch, options, directions)
    # What overflows or is not a number ends as the lane's status.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _run(batch, system, None if directions is None else _Tangents(batch, system, directions))


class _System:
    """A, its eigenvectors and the constant source, for L lanes of n species."""

    def __init__(self, a: np.ndarray, source: np.ndarray, rates: Rates) -> None:
        self.a, self.source, self.rates = a, source, rates
        self.values, self.vectors = np.linalg.eig(a.astype(complex))
        self.inverse = np.linalg.inv(self.vectors)

    @staticmethod
    def of(batch: Batch) -> "_System | None":
        """The system, or None where eigenvectors nearly coincide."""
        n, p = batch.model.n_species, batch.parameters
        rates, none = Rates(batch.model, ()), np.zeros((len(p), n))
        fine = np.asarray(np.isfinite(p).all(axis=1))
        p = np.where(fine[:, None], p, 1.0)
        with np.errstate(all="ignore"):
            a, source = rates.derivatives(none, p)[:, :n, :n], rates.values(none, p)[0]
        good = np.asarray(np.isfinite(a).all(axis=(1, 2)) & fine)
        a = np.where(good[:, None, None], a, 0.0)
        try:
            found = _System(a, source, rates)
        except np.linalg.LinAlgError:
            return None
        found.source = np.where(good[:, None], found.source, np.nan)
        return found if np.linalg.cond(found.vectors).max(initial=1.0) < _CONDITION else None

    def into(self, x: np.ndarray) -> np.ndarray:
        """(L, n) in the basis of eigenvectors."""
        return (self.inverse @ x[..., None])[..., 0]

    def back(self, x: np.ndarray) -> np.ndarray:
        """(L, n) from the basis of eigenvectors."""
        return np.real((self.vectors @ x[..., None])[..., 0])


def _phi(values: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Integral of exp(lambda s) from 0 to t."""
    x = values * t
    small = np.abs(x) < 1e-12
    return np.where(small, t, np.expm1(np.where(small, 1.0, x)) / np.where(small, 1.0, values))


def _divided(values: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Divided differences (L, n, n) of exp(lambda t) and of `_phi`; `t` is (L, 1)."""
    one, other, t = values[:, :, None], values[:, None, :], t[:, :, None]
    x = (one - other) * t
    near = np.abs(x) < _NEAR
    gap = np.where(near, 1.0, one - other)
    quotient = np.where(near, 1.0 + x / 2.0 + x * x / 6.0, np.expm1(np.where(near, 1.0, x)) / np.where(near, 1.0, x))
    of_exponential = np.exp(other * t) * t * quotient
    middle = 0.5 * (one + other)
    y = middle * t
    low = np.abs(y) < _NEAR
    safe = np.where(low, 1.0, middle)
    slope = np.where(low, t * t * (0.5 + y / 3.0 + y * y / 8.0), (t * np.exp(y) - _phi(middle, t)) / safe)
    of_phi = np.where(near, slope, (_phi(one, t) - _phi(other, t)) / gap)
    return of_exponential, of_phi


class _Tangents:
    """Derivatives along K directions, carried beside the state."""

    def __init__(self, batch: Batch, system: _System, d: Directions) -> None:
        model, p, n = batch.model, batch.parameters, batch.model.n_species
        lanes, self.count, columns = len(p), d.count, list(d.parameters)
        slopes = [system.rates.derivatives(np.broadcast_to(e, (lanes, n)), p)[:, :n, n:] for e in _basis(n)]
        self.d_source = np.zeros((lanes, n, self.count))
        da = np.zeros((lanes, self.count, n, n))
        self.d_source[:, :, : len(columns)] = slopes[0][:, :, columns]
        for j, slope in enumerate(slopes[1:]):
            da[:, : len(columns), :, j] = np.moveaxis((slope - slopes[0])[:, :, columns], 2, 1)
        self.turned = system.inverse[:, None] @ da @ system.vectors[:, None]
        self.initial = np.zeros((lanes, n, self.count))
        if d.initial is not None:
            self.initial[:] = d.initial
        else:
            self.initial[:, :, : len(columns)] = initial_jacobian(model, p)[:, :, columns]
        self.y = self.initial.copy()
        s = batch.segments
        k = s.n_segments
        self.boundaries = np.zeros((lanes, k + 1, self.count)) if d.boundaries is None else d.boundaries
        zero = np.zeros((lanes, k, len(s.inputs), self.count))
        self.jump, self.infusion = (
            spread(np, zero if x is None else np.broadcast_to(x, zero.shape), s.inputs, n, 0.0)
            for x in (d.jump, d.infusion)
        )

    def advance(self, system: _System, z: np.ndarray, w: np.ndarray, t: np.ndarray, segment: np.ndarray) -> None:
        """Through an interval of length `t` (L, 1), from state `z` with input `w`, both in the eigenbasis."""
        rows = np.arange(len(t))
        grow, swell = _divided(system.values, t)
        moved = np.einsum("lkij,lij->lki", self.turned, grow * z[:, None, :] + swell * w[:, None, :])
        e, phi = np.exp(system.values * t), _phi(system.values, t)
        inputs = self.d_source + self.infusion[rows, segment]
        own = (system.inverse @ self.y) * e[:, :, None] + (system.inverse @ inputs) * phi[:, :, None]
        self.y = (system.vectors @ (own + np.swapaxes(moved, 1, 2))).real


def _basis(n: int) -> np.ndarray:
    return np.vstack([np.zeros(n), np.eye(n)])


def _run(batch: Batch, system: _System, tangents: _Tangents | None) -> Solution:
    s, n = batch.segments, batch.model.n_species
    lanes, saves = batch.times.shape
    dosing = Dosing(s.boundaries, s.jump, s.keep, s.infusion, s.reset, batch.times)
    line = timeline(np, dosing, s.inputs, n)
    rows = np.arange(lanes)
    where = np.concatenate([line.dosing.boundaries, line.dosing.times], axis=1)
    times = np.take_along_axis(where, line.source, axis=1)[:lanes]
    start = np.asarray(batch.initial, dtype=float)
    y, out = start.copy(), np.full((lanes, saves, n), np.nan)
    d_out = None if tangents is None else np.full((lanes, saves, n, tangents.count), np.nan)
    last, d_last, segment = times[:, :1], 0.0, np.zeros(lanes, dtype=int)
    for event in range(int(line.last[:lanes].max(initial=0)) + 1):
        act, save = line.act[:lanes, event], line.save[:lanes, event]
        now, u = times[:, event : event + 1], system.source + line.dosing.infusion[rows, segment]
        y = _advance(system, tangents, y, u, now - last, segment)
        if tangents is not None:
            d_last = _shift(system, tangents, (y, u), (line.source[:lanes, event], act, save), d_last)
        _act(line, tangents, (y, start), act)
        kept = save >= 0
        out[rows[kept], save[kept]] = y[kept]
        if d_out is not None and tangents is not None:
            d_out[rows[kept], save[kept]] = tangents.y[kept]
        last, segment = now, np.maximum(line.segment[:lanes, event], 0)
    fine = np.isfinite(out).all(axis=(1, 2)) & np.isfinite(y).all(axis=1)
    out[~fine] = np.nan
    if d_out is not None:
        d_out[~fine] = np.nan
    none = np.zeros(lanes, dtype=int)
    status = np.where(fine, int(Status.OK), int(Status.NOT_FINITE))
    d_out = None if d_out is None else batch.select(d_out)
    return Solution(batch.times, batch.select(out), status, none, none.copy(), "linear", d_out)


def _advance(
    system: _System, tangents: _Tangents | None, y: np.ndarray, u: np.ndarray, t: np.ndarray, segment: np.ndarray
) -> np.ndarray:
    if not np.any(t > 0):
        return y
    z, w = system.into(y), system.into(u)
    if tangents is not None:
        tangents.advance(system, z, w, t, segment)
    moved = system.back(np.exp(system.values * t) * z + _phi(system.values, t) * w)
    return np.where(t > 0, moved, y)


def _shift(
    system: _System,
    tangents: _Tangents,
    state: tuple[np.ndarray, np.ndarray],
    event: tuple[np.ndarray, np.ndarray, np.ndarray],
    d_last: Any,
) -> np.ndarray:
    """Adds what a moving end of the interval does; returns how the event's time moves, (L, K)."""
    y, u = state
    source, _, save = event
    rows = np.arange(len(y))
    edge = np.minimum(source, tangents.boundaries.shape[1] - 1)
    d_now = np.where((save < 0)[:, None], tangents.boundaries[rows, edge], 0.0)
    slope = (system.a @ y[..., None])[..., 0] + u
    tangents.y = tangents.y + slope[:, :, None] * (d_now - d_last)[:, None, :]
    return d_now


def _act(line: Any, tangents: _Tangents | None, state: tuple[np.ndarray, np.ndarray], act: np.ndarray) -> None:
    """Reset, keep and jump at the start of a segment, in place."""
    y, start = state
    chosen = np.flatnonzero(act >= 0)
    if not chosen.size:
        return
    at = (chosen, act[chosen])
    reset, keep, jump = line.dosing.reset[at], line.dosing.keep[at], line.dosing.jump[at]
    y[chosen] = keep * np.where(reset[:, None], start[chosen], y[chosen]) + jump
    if tangents is not None:
        before = np.where(reset[:, None, None], tangents.initial[chosen], tangents.y[chosen])
        tangents.y[chosen] = keep[:, :, None] * before + tangents.jump[at]
