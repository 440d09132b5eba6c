"""The state a repeated dosing interval returns to: the fixed point of the interval's map."""

from dataclasses import replace

import numpy as np

from her2pkpd.engine._steady_linear import contracts, period_map, solve_scaled
from her2pkpd.engine._steady_work import Work, parameter_tangents, take
from her2pkpd.engine.problem import Batch, Directions, Segments
from her2pkpd.engine.select import solve

_ITERATIONS = 60

_WARM_UP = 4
"""Intervals simulated before Newton's method starts, to come from the side nature comes from."""


def _untouched(work: Work, dosed: np.ndarray) -> np.ndarray:
    """(L, r) whether a conserved total is left alone by the dosing; `dosed` (L, n) marks the species that are not."""
    members = np.zeros((len(work.rates.moieties), dosed.shape[1]), dtype=bool)
    for row, moiety in zip(members, work.rates.moieties, strict=True):
        row[[work.rates.model.species_index[name] for name, weight in moiety.weights.items() if weight]] = True
    return np.asarray(~(dosed[:, None, :] & members).any(axis=2))


def _dosed(n: int, segments: Segments) -> np.ndarray:
    """(L, n) species that a segment raises, infuses or washes."""
    touched = (segments.jump != 0) | (segments.infusion != 0) | (segments.keep != 1)
    mask = np.zeros((segments.n_lanes, n), dtype=bool)
    mask[:, list(segments.inputs)] = touched.any(axis=1)
    return mask


def _hold(work: Work, rows: np.ndarray, totals: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(L, n, k): where a total is left alone (`free`), it takes the row of its dependent species."""
    rows, dependent = rows.copy(), work.rates.dependent
    rows[:, dependent] = np.where(free[:, :, None], totals, rows[:, dependent])
    return rows


def _totals_off(work: Work, y: np.ndarray) -> np.ndarray:
    """(L, r) how far the totals are from those of the initial state."""
    return work.rates.values(work.initial, work.p)[1] - work.rates.values(y, work.p)[1]


def linear_fixed_point(work: Work, segments: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Exact fixed point of a linear system: states (L, n), iterations (L,), success (L,)."""
    rates, n = work.rates, work.rates.model.n_species
    none = np.zeros_like(work.initial)
    fine = np.asarray(np.isfinite(work.p).all(axis=1))
    p = np.where(fine[:, None], work.p, 1.0)
    a = rates.derivatives(none, p)[:, :n, :n]
    m, b = period_map(a, rates.values(none, p)[0], segments)
    free = _untouched(work, _dosed(n, segments))
    constraint = rates.derivatives(none, p)[:, n:, :n]
    matrix = _hold(work, np.eye(n) - m, constraint, free)
    right = _hold(work, b[..., None], _totals_off(work, none)[..., None], free)
    y = solve_scaled(matrix, right, rates.scale)[..., 0]
    fine &= np.isfinite(y).all(axis=1) & contracts(m, free.sum(axis=1))
    return y, np.ones(len(y), dtype=int), fine


def fixed_point(work: Work, segments: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fixed point of a nonlinear system by Newton's method: states (L, n), iterations (L,), success (L,).

    A Newton step that makes matters worse is undone and replaced by one interval of plain simulation.
    """
    lanes, n = work.initial.shape
    free = _untouched(work, _dosed(n, segments))
    y = _warm(work, segments)
    back, best = y.copy(), np.full(lanes, np.inf)
    count, fine = np.zeros(lanes, dtype=int), np.zeros(lanes, dtype=bool)
    active = np.flatnonzero(np.isfinite(y).all(axis=1))
    for _ in range(_ITERATIONS):
        if not active.size:
            break
        part = replace(work, p=work.p[active], initial=work.initial[active])
        end, m = _one_period(part, take(segments, active), y[active])
        miss = np.max(np.abs(end - y[active]) / (np.abs(y[active]) + work.rates.scale), axis=1)
        change = _newton(part, y[active], end, m, free[active])
        worse = ~(miss <= 2 * best[active]) | ~np.isfinite(change).all(axis=1)
        done = ~worse & (work.correction_size(change, y[active]) <= 1)
        step = np.where(worse[:, None], back[active], y[active] + _inside(y[active], change, done))
        y[active], back[active] = step, end
        best[active] = np.where(worse, np.inf, miss)
        count[active] += 1
        fine[active] = done & contracts(m, free[active].sum(axis=1))
        active = active[~done & np.isfinite(step).all(axis=1)]
    return y, count, fine


def _warm(work: Work, segments: Segments) -> np.ndarray:
    """States after a few intervals from the initial state."""
    length = segments.boundaries[:, -1:] - segments.boundaries[:, :1]
    shifted = [segments.boundaries[:, :-1] + i * length for i in range(_WARM_UP)]
    boundaries = np.concatenate([*shifted, segments.boundaries[:, :1] + _WARM_UP * length], axis=1)
    dosing = [np.tile(x, (1, _WARM_UP, 1)) for x in (segments.jump, segments.keep, segments.infusion)]
    many = Segments(boundaries, segments.inputs, *dosing)
    batch = Batch(work.rates.model, work.p, many, boundaries[:, -1:], work.initial)
    return solve(batch, work.options, engine=work.engine).y[:, -1].copy()


def _one_period(work: Work, segments: Segments, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """End of one interval from `y` (L, n), and its derivative by `y` (L, n, n)."""
    n = y.shape[1]
    batch = Batch(work.rates.model, work.p, segments, segments.boundaries[:, -1:], y)
    directions = Directions((), np.broadcast_to(np.eye(n), (len(y), n, n)))
    found = solve(batch, work.options, directions, engine=work.engine)
    assert found.dy is not None
    return found.y[:, -1], found.dy[:, -1]


def _newton(work: Work, y: np.ndarray, end: np.ndarray, m: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(L, n) Newton correction of the fixed point, with untouched totals put right."""
    n = y.shape[1]
    constraint = work.rates.derivatives(y, work.p)[:, n:, :n]
    matrix = _hold(work, np.eye(n) - m, constraint, free)
    right = _hold(work, (end - y)[..., None], _totals_off(work, y)[..., None], free)
    return solve_scaled(matrix, right, work.rates.scale)[..., 0]


def _inside(y: np.ndarray, change: np.ndarray, done: np.ndarray) -> np.ndarray:
    """A correction shortened so that no positive state loses more than nine tenths of itself."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where((y > 0) & (change < -0.9 * y), -0.9 * y / change, 1.0)
    share = np.where(done, 1.0, np.nanmin(room, axis=1))
    return share[:, None] * change


def fixed_point_tangents(work: Work, segments: Segments, y: np.ndarray, d: Directions, moved: np.ndarray) -> np.ndarray:
    """(L, n, K) derivatives of the fixed point along `d`; `moved` (L, n, K) is how the initial state moves."""
    (lanes, n), count = y.shape, d.count

    def wider(x: np.ndarray | None) -> np.ndarray | None:
        return None if x is None else np.concatenate([x, np.zeros((*x.shape[:-1], n))], axis=-1)

    own = np.concatenate([np.zeros((lanes, n, count)), np.broadcast_to(np.eye(n), (lanes, n, n))], axis=-1)
    both = Directions(d.parameters, own, wider(d.jump), wider(d.infusion), wider(d.boundaries))
    batch = Batch(work.rates.model, work.p, segments, segments.boundaries[:, -1:], y)
    found = solve(batch, work.options, both, engine=work.engine)
    assert found.dy is not None
    right, m = found.dy[:, -1, :, :count], found.dy[:, -1, :, count:]
    if d.boundaries is not None:
        # The save time stands still; the interval's end does not.
        slope, _ = work.rates.values(y, work.p)
        slope[:, list(segments.inputs)] += segments.infusion[:, -1]
        right = right + slope[:, :, None] * d.boundaries[:, -1, None, :]
    dosed = _dosed(n, segments)
    for x in (d.jump, d.infusion):
        if x is not None:
            dosed[:, list(segments.inputs)] |= (x != 0).any(axis=(1, 3))
    free = _untouched(work, dosed)
    here = work.rates.derivatives(y, work.p)[:, n:]
    dp = parameter_tangents(work.rates.model, d)
    totals = work.total_tangents(moved, dp) - here[:, :, n:] @ dp
    return solve_scaled(
        _hold(work, np.eye(n) - m, here[:, :, :n], free), _hold(work, right, totals, free), work.rates.scale
    )
