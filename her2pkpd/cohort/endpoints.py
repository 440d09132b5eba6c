"""Endpoints of patients, read off what was seen of them; all lanes of a chunk at once.

Areas under curves are states of the model, integrated with it. A peak is the end of an infusion, or the vertex of the
parabola through the highest point looked at and its neighbours. Crossings of a threshold are interpolated linearly.
Sums run along a lane in a fixed order, so that a patient's endpoints do not depend on the company.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from her2pkpd.cohort.grid import assessments as assessment_times
from her2pkpd.cohort.grid import before, ends, intervals
from her2pkpd.cohort.response import RESPONSES, evaluate, sum_of_diameters
from her2pkpd.cohort.settings import CohortSettings
from her2pkpd.cohort.treat import Record
from her2pkpd.cohort.trial import ArmPlan
from her2pkpd.engine import Status
from her2pkpd.mechanisms.disposition import plasma
from her2pkpd.systems.virtual_patient import VOLUME, exposure
from her2pkpd.units import convert


@dataclass(frozen=True)
class Coded:
    """A column of few words: (L,) codes into them."""

    codes: np.ndarray
    words: tuple[str, ...]


Columns = dict[str, tuple[np.ndarray | Coded, str, str]]
"""Values, unit and description by name."""

STATUSES = tuple(s.name.lower() for s in Status)


def _words(interval: str) -> str:
    if interval in ("first", "last"):
        return f"the {interval} dosing interval"
    return f"dosing interval {interval.removeprefix('cycle')}"


class _Reader:
    """Finds values at moments."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def at(self, name: str, time: np.ndarray) -> np.ndarray:
        """(L,) a variable at a moment of each lane that was looked at; NaN where it was not."""
        hit = self.record.times == time[:, None]
        place = hit.argmax(axis=1)[:, None]
        value = np.take_along_axis(self.record.values[name], place, axis=1)[:, 0]
        return np.where(hit.any(axis=1), value, np.nan)

    def peak(self, name: str, start: np.ndarray, end: np.ndarray, *, smooth: bool) -> np.ndarray:
        """(L,) the highest value between two moments; of a smooth curve between points, too."""
        times, values = self.record.times, self.record.values[name]
        inside = (times >= start[:, None]) & (times <= end[:, None])
        held = np.where(inside & ~np.isnan(values), values, -np.inf)
        top = held.argmax(axis=1)
        highest = np.take_along_axis(held, top[:, None], 1)[:, 0]
        broken = (inside & np.isnan(values)).any(axis=1) | ~np.isfinite(highest)
        return np.where(broken, np.nan, np.maximum(highest, _vertex(times, held, top)) if smooth else highest)


def _vertex(times: np.ndarray, held: np.ndarray, top: np.ndarray) -> np.ndarray:
    """(L,) height of the parabola through the highest point and its neighbours; -inf where that makes no sense."""
    many = times.shape[1]

    def neighbour(step: int) -> tuple[np.ndarray, np.ndarray]:
        place = np.clip(top + step, 0, many - 1)[:, None]
        return np.take_along_axis(times, place, 1)[:, 0], np.take_along_axis(held, place, 1)[:, 0]

    (t0, y0), (t1, y1), (t2, y2) = neighbour(-1), neighbour(0), neighbour(1)
    with np.errstate(all="ignore"):
        left, right = (y1 - y0) / (t1 - t0), (y2 - y1) / (t2 - t1)
        bend = (right - left) / (t2 - t0)
        slope = left + bend * (t1 - t0)
        height = y1 - slope * slope / (4.0 * bend)
        sound = (t0 < t1) & (t1 < t2) & (bend < 0.0) & np.isfinite(height)
    return np.where(sound, height, -np.inf)


def endpoints(plan: ArmPlan, settings: CohortSettings, record: Record) -> Columns:
    """Endpoints of the patients of one arm.

    Args:
        plan: the arm.
        settings: the cohort.
        record: what was seen.

    Returns:
        Columns of ``endpoints.parquet`` but for patient and arm, (L,) each.
    """
    found: Columns = {
        "status": (Coded(record.status, STATUSES), "1", "how the computation ended"),
        "steps": (record.steps, "1", "steps the solver took"),
    }
    reader = _Reader(record)
    _exposures(found, plan, settings, reader)
    _troughs(found, plan, settings, reader)
    _beyond(found, plan, settings, reader)
    _doses(found, plan, record)
    if plan.has_tumour:
        _response(found, plan, settings, reader)
    return found


def _exposures(found: Columns, plan: ArmPlan, settings: CohortSettings, reader: _Reader) -> None:
    for name, drug in plan.circulating.items():
        factor, unit = plan.unit(exposure(name))
        size, concentration = plan.unit(plasma(name))
        for word, which in intervals(plan, settings, drug).items():
            start, end = ends(plan, settings, reader.record.course, which)
            area = reader.at(exposure(name), before(end)) - reader.at(exposure(name), before(start))
            over = f"plasma.{name} over {_words(word)}"
            found[f"AUC.{name}.{word}"] = (factor * area, unit, f"area under {over}")
            smooth = name != drug or plan.slots[which.slot].source.route != "iv"
            top = reader.peak(plasma(name), start, before(end), smooth=smooth)
            found[f"Cmax.{name}.{word}"] = (size * top, concentration, f"highest {over}")
            low = reader.at(plasma(name), before(end))
            found[f"Cmin.{name}.{word}"] = (size * low, concentration, f"plasma.{name} at the end of {_words(word)}")
        total = reader.at(exposure(name), np.full(len(reader.record.status), settings.stop))
        found[f"AUC.{name}.total"] = (factor * total, unit, f"area under plasma.{name} to the end of the simulation")


def _troughs(found: Columns, plan: ArmPlan, settings: CohortSettings, reader: _Reader) -> None:
    drugs = list(dict.fromkeys(s.drug for s in plan.slots))
    for name in plan.trough:
        # A variable of one drug follows its doses; one of the tumour those of the arm's first drug.
        drug = next((d for d in drugs if f".{d}." in f".{name}."), drugs[0] if drugs else "")
        for word, which in intervals(plan, settings, drug).items() if drug else ():
            _, end = ends(plan, settings, reader.record.course, which)
            factor, unit = plan.unit(name)
            value = factor * reader.at(name, before(end))
            found[f"trough.{name}.{word}"] = (value, unit, f"{name} at the end of {_words(word)}")


def _beyond(found: Columns, plan: ArmPlan, settings: CohortSettings, reader: _Reader) -> None:
    if not plan.above and not plan.below:
        return
    times = np.minimum(reader.record.times, settings.stop)
    sides: tuple[tuple[str, Mapping[str, float], float], ...] = (
        ("above", plan.above, 1.0),
        ("below", plan.below, -1.0),
    )
    for side, limits, sign in sides:
        for name, limit in limits.items():
            share = _share_above(times, sign * reader.record.values[name], sign * limit)
            factor, unit = plan.unit(name)
            text = f"share of the time {name} is {side} {factor * limit:g} {unit}"
            found[f"{side}.{name}"] = (share, "fraction", text)


def _share_above(times: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """(L,) share of the time that broken lines through (L, M) values run above a limit."""
    total = np.zeros(len(values))
    for k in range(times.shape[1] - 1):
        length = times[:, k + 1] - times[:, k]
        low = np.minimum(values[:, k], values[:, k + 1])
        high = np.maximum(values[:, k], values[:, k + 1])
        with np.errstate(all="ignore"):
            part = (high - limit) / (high - low)
        part = np.where(low >= limit, 1.0, np.where(high <= limit, 0.0, part))
        part = np.where(np.isnan(low), np.nan, part)
        total = total + np.where(length > 0.0, part * length, 0.0)
    return total / (times[:, -1] - times[:, 0])


def _doses(found: Columns, plan: ArmPlan, record: Record) -> None:
    course = record.course
    reached = np.isfinite(course.time)
    for drug in dict.fromkeys(s.drug for s in plan.slots):
        own = [j for j, s in enumerate(plan.slots) if s.drug == drug]
        given, planned = np.zeros(course.lanes), np.zeros(course.lanes)
        count = np.zeros(course.lanes, dtype=np.int64)
        for j in own:
            taken = (course.amount[:, j] > 0.0) & reached[:, j]
            given = given + np.where(taken, course.amount[:, j], 0.0)
            planned = planned + np.where(reached[:, j], course.planned[:, j], 0.0)
            count += taken
        with np.errstate(invalid="ignore"):
            intensity = given / planned
        found[f"doses.{drug}"] = (count, "1", f"doses of {drug} given")
        found[f"intensity.{drug}"] = (intensity, "fraction", f"amount of {drug} given over amount planned")
        if drug in course.reductions:
            found[f"reductions.{drug}"] = (course.reductions[drug], "1", f"reductions of {drug} by a rule")
            found[f"delays.{drug}"] = (course.delays[drug], "1", f"delays of {drug} by a rule")
    if plan.limits or plan.follows_progression:
        found["off_treatment"] = (course.off / 24.0, "d", "when treatment was ended")
        found["line"] = (course.line, "1", "last line of treatment begun")


def _response(found: Columns, plan: ArmPlan, settings: CohortSettings, reader: _Reader) -> None:
    factor = convert(1.0, plan.unit(VOLUME)[1], "L")
    times = np.concatenate([[0.0], assessment_times(settings)])
    lanes = len(reader.record.status)
    volume = np.stack([reader.at(VOLUME, np.full(lanes, t)) for t in times], axis=1)
    sld = sum_of_diameters(volume * factor, settings.tumour.lesions)
    units = {"SLD.baseline": "mm", "SLD.best_change": "%", "SLD.last_change": "%", "TTP": "d", "TTR": "d"}
    texts = {
        "SLD.baseline": "sum of the longest diameters at the first dose",
        "SLD.best_change": "lowest change of the sum from baseline",
        "SLD.last_change": "change of the sum from baseline at the last assessment",
        "best_response": "best response by RECIST 1.1",
        "TTP": "time of progression, or of the last assessment where progressed is false",
        "progressed": "whether TTP is an event",
        "TTR": "time of the first response",
    }
    for name, values in evaluate(sld, times / 24.0, settings.tumour.lesions).items():
        column = Coded(values, RESPONSES) if name == "best_response" else values
        found[name] = (column, units.get(name, "1"), texts[name])
