"""A chunk of patients from beginning to end: drawn, treated, reduced to rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from her2pkpd.cohort.endpoints import Coded, Columns, endpoints
from her2pkpd.cohort.grid import before, shown_times
from her2pkpd.cohort.people import People, draw_people
from her2pkpd.cohort.response import sum_of_diameters
from her2pkpd.cohort.rows import Block, Values
from her2pkpd.cohort.treat import Record, Solve, treat
from her2pkpd.cohort.trial import ArmPlan, Trial
from her2pkpd.simulate.patient_scenario import COVARIATE_UNITS, COVARIATE_WORDS
from her2pkpd.systems.virtual_patient import VOLUME
from her2pkpd.units import convert

LABELS = {
    "ihc": ("1", "IHC score of the tumour"),
    "draw": ("1", "row of the posterior the patient's mechanism was drawn from"),
    "PTEN_loss": ("1", "whether the tumour has lost PTEN"),
    "PIK3CA_mutation": ("1", "whether the tumour has an activating PIK3CA mutation"),
    "patient": ("1", "number of the patient"),
    "arm": ("1", "arm of the trial"),
}
SCORES = ("0", "1+", "2+", "3+")


def compute(trial: Trial, patients: range, solve: Solve) -> Block:
    """Draw and treat patients.

    Args:
        trial: the cohort.
        patients: who.
        solve: the engine.

    Returns:
        Their `Block`; rows do not depend on who else is computed with them, bit for bit.
    """
    people = draw_people(trial.settings, trial.defaults, patients)
    numbers = np.arange(patients.start, patients.stop)
    rows, columns, courses = [], [], []
    for index, plan in enumerate(trial.plans):
        who = np.arange(len(numbers)) if people.arm is None else np.flatnonzero(people.arm == index)
        allocated = len(who)
        if not allocated:
            who = np.zeros(1, dtype=np.int64)  # for its columns, which every chunk must have; the row is dropped
        everyone = len(who) == len(numbers)
        some = people if everyone else people.take(who)
        record = treat(plan, trial.settings, some, patients if everyone else numbers[who], solve, shown=False)
        rows.append((index, who[:allocated]))
        columns.append(_first(endpoints(plan, trial.settings, record), allocated))
        courses.append(_courses(plan, trial, people, numbers, who[:allocated], index, solve))
    ended = _merge(trial, rows, columns, numbers)
    return Block({"patient": numbers, **_who(people, trial)}, ended, _stack([c for c in courses if c]))


def _first(columns: Columns, many: int) -> Columns:
    """The first rows of some columns."""
    cut = {n: Coded(v.codes[:many], v.words) if isinstance(v, Coded) else v[:many] for n, (v, _, _) in columns.items()}
    return {name: (cut[name], unit, text) for name, (_, unit, text) in columns.items()}


def _who(people: People, trial: Trial) -> dict[str, Values]:
    found: dict[str, Values] = {}
    for name, values in people.columns().items():
        if name in COVARIATE_WORDS:
            words = COVARIATE_WORDS[name]
            found[name] = Coded(np.array([words.index(x) for x in values]), words)
        elif name == "ihc":
            found[name] = Coded(np.array([SCORES.index(x) for x in values]), SCORES)
        else:
            found[name] = values
    if people.arm is not None:
        found["arm"] = Coded(people.arm, tuple(p.arm.name for p in trial.plans))
    return found


def _merge(
    trial: Trial, rows: Sequence[tuple[int, np.ndarray]], columns: Sequence[Columns], numbers: np.ndarray
) -> dict[str, Values]:
    """Rows of all arms, by patient and then by arm; what an arm does not have is NaN, or zero where it is counted."""
    arm = np.concatenate([np.full(len(who), index) for index, who in rows])
    place = np.concatenate([who for _, who in rows])
    order = np.lexsort((arm, place))
    found: dict[str, Values] = {"patient": numbers[place[order]]}
    found["arm"] = Coded(arm[order], tuple(p.arm.name for p in trial.plans))
    for name in dict.fromkeys(n for table in columns for n in table):
        parts = [table[name][0] if name in table else None for table in columns]
        found[name] = _filled(parts, [len(who) for _, who in rows], order)
    return found


def _filled(parts: Sequence[Values | None], lengths: Sequence[int], order: np.ndarray) -> Values:
    known = next(p for p in parts if p is not None)
    plain = [p.codes if isinstance(p, Coded) else p for p in parts]
    like = known.codes if isinstance(known, Coded) else known
    empty = np.nan if like.dtype.kind == "f" else 0
    whole = [np.full(n, empty, like.dtype) if p is None else p for p, n in zip(plain, lengths, strict=True)]
    values = np.concatenate(whole)[order]
    return Coded(values, known.words) if isinstance(known, Coded) else values


def chosen(trial: Trial) -> np.ndarray:
    """Patients whose time courses are kept: evenly spread over the cohort."""
    size, many = trial.settings.population.size, trial.settings.output.trajectories
    return np.unique(np.arange(min(many, size)) * size // max(min(many, size), 1))


def _courses(
    plan: ArmPlan, trial: Trial, people: People, numbers: np.ndarray, who: np.ndarray, arm: int, solve: Solve
) -> dict[str, Values]:
    wanted = who[np.isin(numbers[who], chosen(trial))] if trial.settings.output.trajectories else who[:0]
    if not len(wanted):
        return {}
    record = treat(plan, trial.settings, people.take(wanted), numbers[wanted], solve, shown=True)
    times = before(shown_times(trial.settings))
    found: dict[str, Values] = {
        "patient": np.repeat(numbers[wanted], len(times)),
        "arm": Coded(np.full(len(wanted) * len(times), arm), tuple(p.arm.name for p in trial.plans)),
        "time": np.tile(shown_times(trial.settings), len(wanted)),
    }
    for name in plan.shown:
        found[name] = _at_times(plan, trial, record, name, times).ravel()
    return found


def _at_times(plan: ArmPlan, trial: Trial, record: Record, name: str, times: np.ndarray) -> np.ndarray:
    """(L, T) a variable at common times, in the unit it is reported in."""
    place = np.stack([(record.times == t).argmax(axis=1) for t in times], axis=1)
    if name == "SLD":
        volume = np.take_along_axis(record.values[VOLUME], place, axis=1) * convert(1.0, plan.unit(VOLUME)[1], "L")
        return sum_of_diameters(volume, trial.settings.tumour.lesions)
    return plan.unit(name)[0] * np.take_along_axis(record.values[name], place, axis=1)


def _stack(tables: Iterable[Mapping[str, Values]]) -> dict[str, Values]:
    """Time courses of all arms, one below the other, by patient and then by arm."""
    tables = list(tables)
    if not tables:
        return {}
    names = list(dict.fromkeys(n for t in tables for n in t))
    lengths = [len(t["time"]) for t in tables]  # type: ignore[arg-type]
    key = [np.concatenate([_codes(t[n]) for t in tables]) for n in ("time", "arm", "patient")]
    order = np.lexsort(key)
    return {n: _filled([t.get(n) for t in tables], lengths, order) for n in names}


def _codes(values: Values) -> np.ndarray:
    return values.codes if isinstance(values, Coded) else values


def meanings(trial: Trial, columns: Iterable[Columns]) -> dict[str, dict[str, dict[str, str]]]:
    """Unit and description of every column of the three tables."""
    ended = {"patient": _meaning("patient"), "arm": _meaning("arm")}
    for table in columns:
        for name, (_, unit, text) in table.items():
            ended.setdefault(name, {"unit": unit, "description": text})
    shown = {"patient": _meaning("patient"), "arm": _meaning("arm")}
    shown["time"] = {"unit": "h", "description": "since the first dose; what a dose finds where there is one"}
    for plan in trial.plans:
        for name in plan.shown:
            own = ("mm", "sum of the longest diameters") if name == "SLD" else (plan.unit(name)[1], name)
            shown.setdefault(name, {"unit": own[0], "description": own[1]})
    return {"patients": _people_meanings(trial), "endpoints": ended, "trajectories": shown}


def _meaning(name: str) -> dict[str, str]:
    return dict(zip(("unit", "description"), LABELS[name], strict=True))


def _people_meanings(trial: Trial) -> dict[str, dict[str, str]]:
    people = draw_people(trial.settings, trial.defaults, range(1))
    units = {p.name: p.unit for plan in trial.plans for p in plan.model.parameters}
    found = {"patient": _meaning("patient")}
    for name in people.columns():
        if name in LABELS:
            found[name] = _meaning(name)
        elif name in people.covariates:
            found[name] = {"unit": COVARIATE_UNITS.get(name, "1"), "description": f"covariate {name}"}
        else:
            unit = units.get(name, "h" if name.endswith(".tlag") else "1")
            found[name] = {"unit": unit, "description": f"the patient's own {name}"}
    if people.arm is not None:
        found["arm"] = _meaning("arm")
    return found


def template(trial: Trial, solve: Solve) -> tuple[Block, dict[str, Any]]:
    """One patient in every arm: which columns there are, of what kind, and what they mean.

    It also compiles what has to be compiled.
    """
    people = draw_people(trial.settings, trial.defaults, range(1))
    people.arm = None
    columns, rows, courses = [], [], []
    for index, plan in enumerate(trial.plans):
        record = treat(plan, trial.settings, people, range(1), solve, shown=False)
        columns.append(endpoints(plan, trial.settings, record))
        rows.append((index, np.zeros(1, dtype=np.int64)))
        courses.append(
            _courses(plan, trial, people, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), index, solve)
        )
    who = _who(draw_people(trial.settings, trial.defaults, range(1)), trial)
    block = Block(
        {"patient": np.zeros(1, dtype=np.int64), **who}, _merge(trial, rows, columns, np.zeros(1, dtype=np.int64)),
        _stack([c for c in courses if c]),
    )  # fmt: skip
    return block, meanings(trial, columns)
