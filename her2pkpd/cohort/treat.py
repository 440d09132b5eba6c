"""Treat patients: integrate to the next decision, decide for every lane at once, go on.

An arm without decisions is integrated in one call. Otherwise all lanes run to their own next decision (a dose under a
rule, a tumour assessment that treatment depends on), the rules are applied to all of them as arrays, and the lanes
start again from where they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from her2pkpd.cohort.course import Course
from her2pkpd.cohort.grid import Grid
from her2pkpd.cohort.people import People
from her2pkpd.cohort.response import progressed, sum_of_diameters
from her2pkpd.cohort.settings import ATOL, CohortSettings
from her2pkpd.cohort.trial import PROGRESSION, ArmPlan
from her2pkpd.dosing.table import compile_slots
from her2pkpd.engine import Batch, Options, Solution
from her2pkpd.model.tape import evaluate
from her2pkpd.systems.virtual_patient import VOLUME
from her2pkpd.units import convert

Solve = Callable[[Batch, Options], Solution]


@dataclass
class Record:
    """What was seen of the lanes.

    Attributes:
        times: (L, M) h, not decreasing.
        values: by variable, (L, M), in the model's unit; NaN from where a lane failed.
        status: (L,) of the engine.
        steps: (L,) taken.
        course: the doses, as they were given.
        line_start: (L,) when the present line began, h.
    """

    times: np.ndarray
    values: dict[str, np.ndarray]
    status: np.ndarray
    steps: np.ndarray
    course: Course


class _Watch:
    """Tumour assessments during treatment: the smallest sum so far, and who has progressed under the present line."""

    def __init__(self, plan: ArmPlan, settings: CohortSettings, lanes: int) -> None:
        every, stop = settings.endpoints.assess, settings.stop
        self.times = np.arange(1, int(stop / every + 1e-9) + 1) * every if plan.follows_progression else np.zeros(0)
        self.nadir = np.full(lanes, np.nan)
        self.bad = np.zeros(lanes, dtype=bool)

    def next_after(self, now: np.ndarray) -> np.ndarray:
        """(L,) the next assessment, h."""
        if not len(self.times):
            return np.full(len(now), np.inf)
        return np.append(self.times, np.inf)[np.searchsorted(self.times, now, side="right")]

    def look(self, lanes: np.ndarray, sld: np.ndarray) -> np.ndarray:
        """Take in an assessment; returns the lanes that progress now."""
        worse = lanes & ~self.bad & progressed(sld, self.nadir)
        self.nadir = np.where(lanes, np.fmin(self.nadir, sld), self.nadir)
        self.bad |= worse
        return worse


def treat(
    plan: ArmPlan, settings: CohortSettings, people: People, numbers: np.ndarray | range, solve: Solve, *, shown: bool
) -> Record:
    """Treat patients in an arm.

    Args:
        plan: the arm.
        settings: the cohort.
        people: the patients.
        numbers: who they are, for luck with adherence.
        solve: the engine.
        shown: whether whole time courses are wanted of them.

    Returns:
        The `Record`.
    """
    lanes = len(numbers)
    grid = Grid(plan, settings, shown=shown)
    p = _parameters(plan, people, lanes)
    course = Course(plan, people, numbers, settings.population.seed)
    watch = _Watch(plan, settings, lanes)
    y = plan.model.initial(p)
    now, stop = np.zeros(lanes), np.full(lanes, settings.stop)
    status, steps = np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
    seen: list[tuple[np.ndarray, list[np.ndarray]]] = []
    since = [np.zeros(lanes) for _ in plan.limits]
    rtol = settings.solver.rtol
    assert rtol is not None, "a trial is tuned before it is run"
    options = Options(rtol, ATOL * rtol, settings.solver.max_steps)
    decides = bool(plan.limits) or plan.follows_progression
    saved = None if decides else plan.species_read
    while True:
        goal = np.minimum(np.minimum(course.next_decision(), watch.next_after(now)), stop)
        active = np.flatnonzero(goal > now)
        if not len(active):
            break
        times = grid.times(course, now[active], goal[active], active)
        segments = compile_slots(plan.model, course.slots(active), now[active], goal[active], last=False)
        found = solve(Batch(plan.model, p[active], segments, times, y[active], saved), options)
        status[active] = np.where(status[active] == 0, found.status, status[active])
        steps[active] += found.steps
        seen.append(_spread(lanes, active, times, _read(plan, found.y, p[active], saved)))
        now = goal
        if not decides:
            break
        y[active] = found.y[:, -1]
        _decide(plan, settings, course, watch, now, stop, dict(zip(plan.names, _latest(seen), strict=True)), since)
    times, values = _joined(seen)
    return Record(times, dict(zip(plan.names, values, strict=True)), status, steps, course)


def _parameters(plan: ArmPlan, people: People, lanes: int) -> np.ndarray:
    p = np.tile(plan.base, (lanes, 1))
    index = plan.model.parameter_index
    for name, value in people.parameters.items():
        if name in index:
            p[:, index[name]] = value
    for k, value in plan.fixed.items():
        p[:, k] = value
    return p


def _read(plan: ArmPlan, y: np.ndarray, p: np.ndarray, saved: tuple[int, ...] | None) -> list[np.ndarray]:
    """The variables from saved species; those not saved are not read."""
    shape = y.shape[:2]
    states: list[np.ndarray | None] = [None] * plan.model.n_species
    for place, k in enumerate(saved if saved is not None else range(plan.model.n_species)):
        states[k] = y[:, :, place]
    found = evaluate(plan.tape, [*states, *np.moveaxis(p[:, None, :], -1, 0)])
    return [np.ascontiguousarray(np.broadcast_to(v, shape), dtype=float) for v in found]


def _spread(
    lanes: int, active: np.ndarray, times: np.ndarray, values: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A window's rows for all lanes; those that took no part are NaN, and their times infinite."""
    if len(active) == lanes:
        return times, values
    all_times = np.full((lanes, times.shape[1]), np.inf)
    all_times[active] = times
    spread = []
    for value in values:
        whole = np.full((lanes, times.shape[1]), np.nan)
        whole[active] = value
        spread.append(whole)
    return all_times, spread


def _joined(seen: list[tuple[np.ndarray, list[np.ndarray]]]) -> tuple[np.ndarray, list[np.ndarray]]:
    if len(seen) == 1:
        return seen[0]
    times = np.concatenate([t for t, _ in seen], axis=1)
    many = [np.concatenate(parts, axis=1) for parts in zip(*(v for _, v in seen), strict=True)]
    if np.isinf(times).any():
        order = np.argsort(times, axis=1, kind="stable")
        times, many = np.take_along_axis(times, order, 1), [np.take_along_axis(v, order, 1) for v in many]
    return times, many


def _latest(seen: list[tuple[np.ndarray, list[np.ndarray]]]) -> list[np.ndarray]:
    """The last value seen of every variable, (L,)."""
    latest = [v[:, -1].copy() for v in seen[0][1]]
    for times, values in seen[1:]:
        took_part = np.isfinite(times[:, -1])
        for own, value in zip(latest, values, strict=True):
            own[took_part] = value[took_part, -1]
    return latest


def _decide(
    plan: ArmPlan, settings: CohortSettings, course: Course, watch: _Watch, now: np.ndarray, stop: np.ndarray,
    latest: dict[str, np.ndarray], since: list[np.ndarray],
) -> None:  # fmt: skip
    """Everything that is decided at the lanes' present times."""
    if plan.follows_progression:
        _assess(plan, settings, course, watch, now, latest)
    due = course.open & (course.time == now[:, None]) & (now < stop)[:, None]
    for j in np.flatnonzero(due.any(axis=0)):
        _ask(plan, course, watch, int(j), due[:, j], now, latest, since)
    for k, limit in enumerate(plan.limits):
        if limit.rule.measure == "auc":
            own = [j for j, s in enumerate(plan.slots) if s.drug == limit.rule.drug]
            given = (course.time[:, own] == now[:, None]).any(axis=1)
            since[k] = np.where(given, latest[limit.variable], since[k])
    # Doses that could only be given after the end await nothing.
    course.open &= course.time < stop[:, None]


def _assess(
    plan: ArmPlan,
    settings: CohortSettings,
    course: Course,
    watch: _Watch,
    now: np.ndarray,
    latest: dict[str, np.ndarray],
) -> None:
    factor = convert(1.0, plan.unit(VOLUME)[1], "L")
    sld = sum_of_diameters(latest[VOLUME] * factor, settings.tumour.lesions)
    if np.isnan(watch.nadir).all():
        watch.nadir = _baseline(plan, course, settings)
    worse = watch.look(np.isin(now, watch.times), sld)
    if worse.any():
        course.stop(worse, now, until=True)
        begun = course.begin_line(worse, now)
        watch.bad &= ~begun
        watch.nadir = np.where(begun, sld, watch.nadir)


def _baseline(plan: ArmPlan, course: Course, settings: CohortSettings) -> np.ndarray:
    p = _parameters(plan, course.people, course.lanes)
    y = plan.model.initial(p)
    volume = plan.model.outputs([VOLUME], y, p)[:, 0] * convert(1.0, plan.unit(VOLUME)[1], "L")
    return sum_of_diameters(volume, settings.tumour.lesions)


def _ask(
    plan: ArmPlan, course: Course, watch: _Watch, j: int, due: np.ndarray, now: np.ndarray,
    latest: dict[str, np.ndarray], since: list[np.ndarray],
) -> None:  # fmt: skip
    """Apply the rules to one slot of the lanes whose turn it is: stopping before delaying, delaying before reducing."""
    drug = plan.slots[j].drug
    waiting = np.zeros_like(due)
    asked = [k for k, x in enumerate(plan.limits) if x.rule.drug == drug]
    asked.sort(key=lambda k: ("stop", "delay", "reduce").index(plan.limits[k].rule.then))
    for k in asked:
        limit = plan.limits[k]
        lanes = due & ~waiting & course.open[:, j]
        if limit.variable == PROGRESSION:
            met = lanes & watch.bad
        else:
            value = latest[limit.variable] - (since[k] if limit.rule.measure == "auc" else 0.0)
            met = lanes & ((value > limit.above) | (value < limit.below))
        if not met.any():
            continue
        if limit.rule.then == "stop":
            course.stop(met, now, drug)
        elif limit.rule.then == "delay":
            waiting |= course.delay(limit.rule, met, now)
        else:
            course.reduce(k, met, now)
    course.open[due & ~waiting, j] = False
