"""From records to the table of segments every engine runs, with derivatives along any directions.

Steady states are found first (`her2pkpd.engine.steady`) and enter the table as jumps: setting a state is keeping
nothing of it and adding the new value. Derivatives of times, amounts and rates become tangents of boundaries, jumps
and infusions; those of a steady state follow from the implicit function theorem.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from her2pkpd.dosing.dual import Number, split, value_of
from her2pkpd.dosing.records import Dose, Record
from her2pkpd.dosing.rules import Period, steady_period
from her2pkpd.dosing.timeline import Act, acts
from her2pkpd.engine._steady_work import initial_directions
from her2pkpd.engine.problem import Directions, Segments, Status
from her2pkpd.engine.select import EngineName
from her2pkpd.engine.steady import periodic
from her2pkpd.errors import InputError, Problem
from her2pkpd.model import Model


@dataclass(frozen=True)
class Schedule:
    """The dosing of a batch.

    Attributes:
        segments: L lanes.
        directions: K directions, or None when none were asked for.
        status: (L,) `Status`; a lane whose steady state was not found is NaN from there on.
    """

    segments: Segments
    directions: Directions | None
    status: np.ndarray


class _Table:
    """Arrays of one padded batch that acts are written into."""

    def __init__(self, lanes: int, width: int, inputs: int, count: int) -> None:
        self.boundaries = np.zeros((lanes, width + 1))
        self.jump, self.infusion = np.zeros((2, lanes, width, inputs))
        self.keep = np.ones((lanes, width, inputs))
        self.reset = np.zeros((lanes, width), dtype=bool)
        self.d_boundaries = np.zeros((lanes, width + 1, count))
        self.d_jump, self.d_infusion = np.zeros((2, lanes, width, inputs, count))

    def segments(self, inputs: tuple[int, ...]) -> Segments:
        return Segments(self.boundaries, inputs, self.jump, self.keep, self.infusion, self.reset)

    def directions(self, parameters: tuple[int, ...]) -> Directions:
        return Directions(parameters, None, self.d_jump, self.d_infusion, self.d_boundaries)


def compile_schedule(
    model: Model,
    lanes: Sequence[Sequence[Record]],
    parameters: np.ndarray,
    *,
    start: float | Sequence[float] = 0.0,
    stop: float | Sequence[float],
    wrt: Sequence[str] = (),
    count: int = 0,
    engine: EngineName = "auto",
) -> Schedule:
    """Compile the records of every lane.

    Args:
        model: the model the doses go to.
        lanes: records per lane; at one time, the order given is the order of action.
        parameters: (L, n_parameters) or (n_parameters,); steady states depend on them.
        start: first time, h, per lane or for all.
        stop: last time, h, likewise. What would act later is left out.
        wrt: parameters of the model to differentiate by; they are directions 0, 1, ...
        count: K, directions in all; numbers in the records that carry derivatives (`Dual`) have K of them.
        engine: for steady states of nonlinear models.

    Returns:
        The `Schedule`.

    Raises:
        InputError: for states the model does not have.
    """
    p = np.broadcast_to(np.asarray(parameters, dtype=float), (len(lanes), model.n_parameters))
    starts, stops = (np.broadcast_to(np.asarray(t, dtype=float), (len(lanes),)) for t in (start, stop))
    timed = [_within(acts(lane), a, b) for lane, a, b in zip(lanes, starts, stops, strict=True)]
    inputs = _inputs(model, timed)
    wanted = tuple(model.parameter_index[name] for name in wrt)
    table = _Table(len(lanes), max((len(t) for t in timed), default=0) + 1, len(inputs), max(count, len(wanted)))
    _times(table, timed, starts, stops)
    steady, status = _steady_states(model, timed, p, wanted, table.d_jump.shape[-1], engine)
    for lane, found in enumerate(timed):
        rates: dict[str, Number] = {}
        for k, act in enumerate(found):
            _write(table, lane, k + 1, act, inputs, steady.get((lane, k)), tuple(model.held))
            _run(table, lane, k + 1, act, inputs, rates)
    columns = tuple(model.species_index[name] for name in inputs)
    directions = table.directions(wanted) if table.d_jump.shape[-1] else None
    return Schedule(table.segments(columns), directions, status)


def _within(found: list[Act], start: float, stop: float) -> list[Act]:
    return [act for act in found if start <= value_of(act.time) <= stop]


def _inputs(model: Model, timed: Sequence[Sequence[Act]]) -> list[str]:
    named = {act.target for found in timed for act in found if act.target}
    named |= {name for found in timed for act in found for name in act.values}
    unknown = sorted(named - set(model.species_index))
    if unknown:
        known = ", ".join(model.species_index)
        raise InputError([Problem(f"the model has no state '{name}' to dose", f"It has: {known}.") for name in unknown])
    if any(act.kind.startswith("steady") for found in timed for act in found):
        return [s.name for s in model.species]
    return [s.name for s in model.species if s.name in named]


def _times(table: _Table, timed: Sequence[Sequence[Act]], starts: np.ndarray, stops: np.ndarray) -> None:
    """Segment k + 1 begins with act k; segment 0 lies before the first, and lanes are padded at their end."""
    table.boundaries[:, 0], table.boundaries[:, 1:] = starts, stops[:, None]
    for lane, found in enumerate(timed):
        for k, act in enumerate(found):
            table.boundaries[lane, k + 1], table.d_boundaries[lane, k + 1] = split(act.time)


def _write(
    table: _Table,
    lane: int,
    k: int,
    act: Act,
    inputs: Sequence[str],
    steady: tuple[np.ndarray, np.ndarray | None] | None,
    kept: Sequence[int],
) -> None:
    """Write one act; a steady state leaves the states at positions `kept`, which stand for parameters, alone."""
    if act.kind == "jump":
        _put(table.jump, table.d_jump, (lane, k, inputs.index(act.target)), act.size)
    elif act.kind == "reset":
        table.reset[lane, k] = True
    elif act.kind == "hold":
        for name, value in act.values.items():
            at = (lane, k, inputs.index(name))
            table.keep[at] = 0.0
            _put(table.jump, table.d_jump, at, value)
    elif steady is not None:
        table.keep[lane, k] = 0.0 if act.kind == "steady" else 1.0
        table.jump[lane, k] = steady[0]
        if steady[1] is not None:
            table.d_jump[lane, k] = steady[1]
        table.keep[lane, k, kept], table.jump[lane, k, kept], table.d_jump[lane, k, kept] = 1.0, 0.0, 0.0


def _put(values: np.ndarray, slopes: np.ndarray, at: tuple[int, ...], number: Number) -> None:
    values[at], slopes[at] = split(number)


def _run(table: _Table, lane: int, k: int, act: Act, inputs: Sequence[str], rates: dict[str, Number]) -> None:
    """Infusions running from act `k` on."""
    if act.kind in ("on", "off"):
        rates[act.target] = rates.get(act.target, 0.0) + (act.size if act.kind == "on" else -1.0 * act.size)
    for name, rate in rates.items():
        _put(table.infusion, table.d_infusion, (lane, k, inputs.index(name)), rate)
    if k == table.infusion.shape[1] - 1:
        return
    # Lanes with fewer acts are padded with segments of no length; nothing runs in them.


def _steady_states(
    model: Model,
    timed: Sequence[Sequence[Act]],
    p: np.ndarray,
    wanted: tuple[int, ...],
    count: int,
    engine: EngineName,
) -> tuple[dict[tuple[int, int], tuple[np.ndarray, np.ndarray | None]], np.ndarray]:
    """States of every steady-state act by lane and position, and the status of every lane."""
    asked = [((lane, k), dose, held) for lane, found in enumerate(timed) for k, dose, held in _asked(found)]
    status = np.full(len(timed), int(Status.OK))
    if not asked:
        return {}, status
    table = _Table(len(asked), 3, model.n_species, count)
    for row, (_, dose, _) in enumerate(asked):
        _period(table, row, dose, steady_period(dose), model.species_index[dose.target])
    rows = np.array([lane for (lane, _), _, _ in asked])
    directions = table.directions(wanted) if count else None
    initial = model.initial(p[rows])
    moved = initial_directions(model, p[rows], directions)
    for row, (_, _, held) in enumerate(asked):
        for name, number in held.items():
            at = (row, model.species_index[name])
            initial[at], slope = split(number)
            if moved is not None:
                moved[at] = slope
    if directions is not None:
        directions = replace(directions, initial=moved)
    # Totals that no reaction changes stay as they are in the untreated system, of which a repeated dose is no part;
    # parameters that vary in time are such totals, with the value they have at the record.
    segments = table.segments(tuple(range(model.n_species)))
    found = periodic(model, p[rows], segments, initial=initial, directions=directions, engine=engine)
    np.maximum.at(status, rows, found.status)
    return {
        key: (found.y[row], None if found.dy is None else found.dy[row]) for row, (key, _, _) in enumerate(asked)
    }, status


def _asked(found: Sequence[Act]) -> Iterator[tuple[int, Dose, dict[str, Number]]]:
    """Positions and doses of the steady states of a lane, with what is held when they act."""
    held: dict[str, Number] = {}
    for k, act in enumerate(found):
        held |= act.values
        if act.kind.startswith("steady") and act.dose is not None:
            yield k, act.dose, dict(held)


def _period(table: _Table, row: int, dose: Dose, period: Period, column: int) -> None:
    """One interval as three segments: before the dose acts, while its remainder runs, after."""
    start, end = period.start, period.start + period.duration
    around = value_of(end) > value_of(period.length)
    if around:  # the remainder runs across the end of the interval, and so from its beginning as well
        cuts = [0.0, end - period.length, start, period.length]
        running = (True, False, True)
    else:
        cuts = [0.0, start, end, period.length]
        running = (False, True, False)
    for k, cut in enumerate(cuts):
        _put(table.boundaries, table.d_boundaries, (row, k), cut)
    _put(table.jump, table.d_jump, (row, 2 if around else 1, column), period.amount)
    for k, on in enumerate(running):
        _put(table.infusion, table.d_infusion, (row, k, column), period.base + period.rate if on else period.base)
