"""Steady states: the state an untreated system settles in, and the one a repeated dosing interval returns to.

Neither is found by simulating a fixed number of cycles. A linear system's periodic state solves
``(I - M) y = b`` with the interval's exact map M, b from matrix exponentials; a nonlinear one is the fixed point
of the interval's map by Newton's method, M being the engine's own sensitivity of the map. What is returned is a
proven fixed point: the last correction is below tolerance and the map contracts around it. Derivatives follow
from the implicit function theorem, ``(I - M) dy = dmap``.

Totals that no reaction changes keep the value they have in the initial state.
"""

import numpy as np

from her2pkpd.engine._steady_linear import solve_scaled
from her2pkpd.engine._steady_periodic import fixed_point, fixed_point_tangents, linear_fixed_point
from her2pkpd.engine._steady_rates import grouped
from her2pkpd.engine._steady_work import (
    Found,
    SteadyState,
    Work,
    initial_directions,
    parameter_tangents,
    take,
    take_directions,
)
from her2pkpd.engine.problem import Batch, Directions, Options, Segments, Status
from her2pkpd.engine.select import EngineName, solve
from her2pkpd.errors import InputError, Problem
from her2pkpd.model.model import Model

TIGHT = Options(rtol=1e-9, atol=1e-12)
"""Tolerances of the integrations behind a steady state; their noise is amplified by (I - M)^-1."""

_ITERATIONS = 60


def untreated(
    model: Model,
    parameters: np.ndarray,
    *,
    initial: np.ndarray | None = None,
    directions: Directions | None = None,
    options: Options | None = None,
    ss_rtol: float = 1e-8,
    horizon: float = 1e7,
    engine: EngineName = "auto",
) -> SteadyState:
    """The state the system settles in without dosing.

    The system is simulated from its initial state over ever longer times, then Newton's method finds the root of
    dy/dt next to where it arrived, with conserved totals held. A system that still moves at the horizon (cells
    that grow, a species that is only made) has no steady state and says so.

    Args:
        model: the model.
        parameters: (L, n_parameters) or (n_parameters,).
        initial: (L, n_species), or None for the model's own initial values.
        directions: derivatives wanted; only parameters and initial values matter here.
        options: tolerances of the simulation.
        ss_rtol: relative size of the last Newton correction.
        horizon: longest time simulated, h.
        engine: as in `her2pkpd.engine.solve`.

    Returns:
        The `SteadyState`. Derivatives are NaN where the state is not isolated (a rate constant of zero).
    """
    p = np.atleast_2d(np.asarray(parameters, dtype=float))
    y0 = np.broadcast_to(model.initial(p) if initial is None else np.asarray(initial, float), (len(p), model.n_species))
    times = np.append(10.0 ** np.arange(np.ceil(np.log10(horizon))), horizon)
    found = Found(len(p), model.n_species, directions)
    moved = initial_directions(model, p, directions)
    for rates, lanes in grouped(model, p):
        work = Work(rates, p[lanes], y0[lanes], options or TIGHT, ss_rtol, engine)
        batch = Batch(model, work.p, Segments(np.tile([0.0, horizon], (len(lanes), 1))), times, work.initial)
        arrived = solve(batch, work.options, engine=engine)
        y, count, fine = _root(work, arrived.y[:, -1])
        near = np.abs(y - arrived.y[:, -1]) <= 1e-3 * np.abs(y) + 1e3 * work.options.atol * rates.scale
        status = np.where(fine & near.all(axis=1), Status.OK, Status.STEADY_STATE_NOT_REACHED)
        status = np.where(arrived.status == Status.NOT_FINITE, Status.NOT_FINITE, status)
        dy = None if moved is None else _root_tangents(work, y, directions, moved[lanes])
        found.put(lanes, y, status, count, dy)
    return found.result()


def periodic(
    model: Model,
    parameters: np.ndarray,
    segments: Segments,
    *,
    initial: np.ndarray | None = None,
    directions: Directions | None = None,
    options: Options | None = None,
    ss_rtol: float = 1e-6,
    engine: EngineName = "auto",
) -> SteadyState:
    """The state that one dosing interval, repeated for ever, returns to.

    Args:
        model: the model.
        parameters: (L, n_parameters) or (n_parameters,).
        segments: one interval from its first act to the moment before the next; no resets.
        initial: (L, n_species), or None for the model's own: where the search starts and conserved totals are read.
        directions: derivatives wanted, in terms of `segments`.
        options: tolerances of the integrations.
        ss_rtol: relative size of the last Newton correction.
        engine: as in `her2pkpd.engine.solve`.

    Returns:
        The `SteadyState`, just before the interval's first act: use it as the initial state of a batch.

    Raises:
        InputError: if a segment resets the state.
    """
    if segments.reset.any():
        raise InputError(Problem("a repeated dosing interval cannot reset the state", "Leave the reset out."))
    lanes, n = segments.n_lanes, model.n_species
    p = np.broadcast_to(np.asarray(parameters, dtype=float), (lanes, model.n_parameters))
    y0 = np.broadcast_to(model.initial(p) if initial is None else np.asarray(initial, float), (lanes, n))
    found = Found(lanes, n, directions)
    moved = initial_directions(model, p, directions)
    for rates, group in grouped(model, p):
        work = Work(rates, p[group], y0[group], options or TIGHT, ss_rtol, engine)
        period = take(segments, group)
        y, count, fine = linear_fixed_point(work, period) if rates.linear else fixed_point(work, period)
        status = np.where(fine, Status.OK, Status.STEADY_STATE_NOT_REACHED)
        status = np.where(np.isfinite(work.p).all(axis=1), status, Status.NOT_FINITE)
        dy = None
        if moved is not None and directions is not None:
            dy = fixed_point_tangents(work, period, y, take_directions(directions, group), moved[group])
        found.put(group, y, status, count, dy)
    return found.result()


def _root(work: Work, start: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton's method on dy/dt = 0 with the totals of the initial state: states, iterations, success."""
    rates, n = work.rates, work.rates.model.n_species
    y, count, fine = start.copy(), np.zeros(len(start), dtype=int), np.zeros(len(start), dtype=bool)
    _, wanted = rates.values(work.initial, work.p)
    for _ in range(_ITERATIONS):
        slope, totals = rates.values(y, work.p)
        slope[:, rates.dependent] = totals - wanted
        matrix = rates.held(rates.derivatives(y, work.p)[:, :, :n])
        change = -solve_scaled(matrix, slope[..., None], rates.scale)[..., 0]
        # Not isolated: dy/dt vanishes along a line, and the simulation's end point is as good as any on it.
        change = np.where(np.isfinite(change), change, 0.0)
        size = work.correction_size(change, y)
        y, count = np.where(fine[:, None], y, y + change), count + ~fine
        fine |= size <= 1
        if fine.all():
            break
    return y, count, fine & np.isfinite(y).all(axis=1)


def _root_tangents(work: Work, y: np.ndarray, d: Directions | None, moved: np.ndarray) -> np.ndarray:
    assert d is not None
    rates, n = work.rates, work.rates.model.n_species
    dp = parameter_tangents(rates.model, d)
    here = rates.derivatives(y, work.p)
    right = -rates.held(here[:, :, n:] @ dp)
    right[:, rates.dependent] += work.total_tangents(moved, dp)
    return solve_scaled(rates.held(here[:, :, :n]), right, rates.scale)
