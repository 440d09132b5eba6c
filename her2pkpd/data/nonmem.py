"""NONMEM-style data: one row an event, read with every quirk named, and written back.

Columns, whatever their case: ID, TIME, DV, AMT, RATE, II, ADDL, SS, CMT, EVID, MDV, DVID, CENS (1 below the limit in
DV, -1 above it), LIMIT; all others are covariates. A blank or "." is zero in a dosing column and missing elsewhere.
EVID 101, 201 ... (the coding of other tools: compartment times 100, plus 1) is recognised, and so is SS 99 for "no".
A TIME that starts again at a reset is refused, or read as a new occasion where the caller says so.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from her2pkpd.data.table import Columns, Source, Table, read_table
from her2pkpd.dosing.dual import Number
from her2pkpd.dosing.records import Dose, Record, Reset

DOSING_COLUMNS = ("amt", "rate", "ii", "addl", "ss", "cmt", "evid", "mdv", "cens")
COLUMNS = Columns(
    ("id", "time"),
    ("dv", *DOSING_COLUMNS, "dvid", "limit"),
    aliases={"#id": "id", "c": "id"},
    hints={"subject": "id", "conc": "dv", "dose": "amt"},
)
BLANK = ("", ".", "NA")
"""What stands for nothing in a cell."""
EVENTS = {0: "observation", 1: "dose", 2: "other event", 3: "reset", 4: "reset and dose"}
MODELLED_RATE, MODELLED_DURATION = -1, -2

Occasions = Literal["refuse", "split"]
"""What to make of a TIME that starts again at a reset: refuse it, or begin a new occasion."""


@dataclass(frozen=True)
class Event:
    """One dosing row: the values as they stand in the file, with EVID 101-style coding resolved.

    Attributes:
        row: of the file; the header is row 1.
        time: in the file's unit.
        evid: 1, 3 or 4.
        amount, rate, interval, additional, steady_state, compartment: AMT, RATE, II, ADDL, SS, CMT.
    """

    row: int
    time: float
    evid: int
    amount: float = 0.0
    rate: float = 0.0
    interval: float = 0.0
    additional: int = 0
    steady_state: int = 0
    compartment: int = 1


@dataclass(frozen=True, eq=False)
class Subject:
    """One individual.

    Attributes:
        id: as in the file.
        events: dosing rows in file order.
        time: (n,) times of the observations.
        value: (n,) DV.
        compartment: (n,) CMT.
        kind: (n,) DVID; "" where there is none.
        censored: (n,) CENS.
        before: (n,) whether a dosing row of the same time stands below: the state is that before the dose.
        covariates: by column, ((m,) times, (m,) values) of every row of the individual.
        rows: (m,) the rows of the file they stand in.
        occasion: 1, and one more each time that TIME starts again; each occasion is a `Subject` of the same id.
    """

    id: str
    events: tuple[Event, ...]
    time: np.ndarray
    value: np.ndarray
    compartment: np.ndarray
    kind: np.ndarray
    censored: np.ndarray
    before: np.ndarray
    covariates: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=int))
    occasion: int = 1

    def first(self, covariate: str) -> Any:
        """A covariate's first value."""
        return self.covariates[covariate][1][0]

    def at_row(self, row: int) -> dict[str, Any]:
        """The covariates that stand in a row of the file."""
        at = int(np.flatnonzero(self.rows == row)[0])
        return {name: values[at] for name, (_, values) in self.covariates.items()}

    def save_times(self) -> np.ndarray:
        """(n,) when to read the state: just before a dose where the row stands above it."""
        return np.where(self.before, np.nextafter(self.time, -np.inf), self.time)


@dataclass(frozen=True)
class Compartment:
    """What a compartment number of the file means in a model.

    Attributes:
        state: state that doses to it raise.
        lag: ALAG, h.
        bioavailability: F.
        rate: R, for RATE = -1.
        duration: D, h, for RATE = -2.
    """

    state: str
    lag: Number = 0.0
    bioavailability: Number = 1.0
    rate: Number | None = None
    duration: Number | None = None


def read_nonmem(
    source: Source | Any, *, occasions: Occasions = "refuse", check: Callable[[Table], None] | None = None
) -> list[Subject]:
    """Read a NONMEM-style table.

    Args:
        source: a CSV or TSV file, or a data frame of pandas, polars or another library.
        occasions: what to make of a TIME that falls within an ID at a reset (EVID 3 or 4): "refuse" it, or "split",
            as NONMEM does: the system is reset and time counts anew, so that what follows is a `Subject` of its own,
            with the same id and the next occasion's number. Without a reset a falling TIME is always an error.
        check: looks at the table as well; what it adds to the table's problems is reported with the others.

    Returns:
        The individuals, in file order. Rows with MDV 1 are no observations; EVID 2 rows only carry covariates.

    Raises:
        InputError: listing every bad row with the rule and the remedy.
    """
    table = read_table(source, COLUMNS)
    columns = {name: _numbers(table, name, 0.0) for name in DOSING_COLUMNS}
    columns["ss"] = np.where(columns["ss"] == 99, 0.0, columns["ss"])
    columns["time"] = _times(table)
    columns["dv"] = _numbers(table, "dv", np.nan)
    _event_kinds(table, columns)
    _check_doses(table, columns)
    _check_observations(table, columns)
    _check_order(table, columns, occasions)
    if check:
        check(table)
    table.raise_any()
    identity = table.text("id")
    covariates = {name: _covariate(table, name) for name in table.own}
    found = []
    for name in dict.fromkeys(identity):
        rows = np.flatnonzero(identity == name)
        starts = np.flatnonzero(np.diff(columns["time"][rows]) < 0) + 1
        for number, part in enumerate(np.split(rows, starts), start=1):
            found.append(_subject(name, number, part, table, columns, covariates))
    return found


def _numbers(table: Table, column: str, blank: float) -> np.ndarray:
    values = np.full(len(table), blank)
    if column not in table:
        return values
    bad = np.zeros(len(table), dtype=bool)
    for i, text in enumerate(table.text(column)):
        if text in BLANK:
            continue
        try:
            values[i] = float(text)
        except ValueError:
            bad[i] = True
    bad |= ~np.isfinite(values) & np.isfinite(blank)
    table.flag(bad, column, f"{column.upper()} must be a number", 'Give a number, a blank or ".".')
    return np.where(bad, blank, values)


def _times(table: Table) -> np.ndarray:
    dated = np.array([bool(re.search(r"\d[:/]\d|\d-\d", t)) for t in table.text("time")])
    table.flag(
        dated, "time", "TIME must be a number, not a date or a clock time", "Give the hours since the first row."
    )
    blank = np.array([t in BLANK for t in table.text("time")])
    table.flag(blank, "time", "TIME is missing", "Give the time of every row.")
    values = np.full(len(table), np.nan)
    for i, text in enumerate(table.text("time")):
        if dated[i] or blank[i]:
            continue
        try:
            values[i] = float(text)
        except ValueError:
            table.flag(np.array([i]), "time", "TIME must be a number", "Give the hours since the first row.")
    infinite = np.isinf(values)
    table.flag(infinite, "time", "TIME must be finite", "Give an ordinary number.")
    return np.where(infinite, np.nan, values)


def _event_kinds(table: Table, columns: dict[str, np.ndarray]) -> None:
    """EVID from AMT where the column is missing; EVID 101-style coding resolved."""
    evid, cmt = columns["evid"], columns["cmt"]
    if "evid" not in table:
        columns["evid"] = np.where((columns["amt"] != 0) | (columns["rate"] != 0), 1.0, 0.0)
    else:
        coded = (evid >= 101) & (evid % 100 == 1) & (evid < 10000)
        columns["evid"] = np.where(coded, 1.0, evid)
        columns["cmt"] = np.where(coded, evid // 100, cmt)
        infusion = evid >= 10000
        remedy = "Give one row with EVID 1, AMT and RATE instead of the rows that switch the rate on and off."
        table.flag(infusion, "evid", "EVID codes an infusion by switching its rate", remedy)
        odd = ~np.isin(columns["evid"], list(EVENTS)) & ~infusion
        remedy = "Use 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose, or 101-style coding (CMT*100 + 1)."
        table.flag(odd, "evid", "EVID is not one of 0, 1, 2, 3, 4", remedy)
    columns["cmt"] = np.where(columns["cmt"] == 0, 1.0, columns["cmt"])


def _check_doses(table: Table, c: Mapping[str, np.ndarray]) -> None:
    dose, amt, rate = np.isin(c["evid"], (1, 4)), c["amt"], c["rate"]
    endless = (c["ss"] > 0) & (rate > 0) & (amt == 0)

    def whole(name: str) -> np.ndarray:
        return (c[name] < 0) | (c[name] != np.floor(c[name]))

    rules = (
        (amt < 0, "amt", "AMT must not be negative", "Give the amount; a reset is EVID 3."),
        (dose & (amt == 0) & (rate == 0), "amt", "a dose needs AMT", "Give AMT, or EVID 2 for an event without dose."),
        (dose & (amt == 0) & (rate != 0) & ~endless, "amt", "an infusion needs AMT", "Give AMT, or SS 1 to end one."),
        (~dose & (amt != 0), "amt", "only a dose has AMT", "Set EVID 1, or AMT 0."),
        (~dose & (rate != 0), "rate", "only a dose has RATE", "Set EVID 1, or RATE 0."),
        ((rate < 0) & ~np.isin(rate, (-1, -2)), "rate", "RATE must be 0, positive, -1 or -2", "Correct it."),
        (whole("addl"), "addl", "ADDL must be a whole number of zero or more", "Count the doses after the first."),
        (~dose & (c["addl"] != 0), "addl", "only a dose has ADDL", "Set EVID 1, or ADDL 0."),
        (c["ii"] < 0, "ii", "II must not be negative", "Give the time between doses."),
        ((c["addl"] > 0) & (c["ii"] == 0), "ii", "ADDL needs II", "Give the time between doses."),
        (~np.isin(c["ss"], (0, 1, 2)), "ss", "SS must be 0, 1 or 2", "1 sets the steady state, 2 adds it."),
        (~dose & (c["ss"] != 0), "ss", "only a dose has SS", "Set EVID 1, or SS 0."),
        ((c["ss"] > 0) & (c["ii"] == 0) & ~endless, "ii", "SS needs II", "Give the time between doses."),
        (endless & (c["ii"] != 0), "ii", "an infusion without end has no II", "Set II 0, or give AMT."),
        (endless & (c["addl"] != 0), "addl", "an infusion without end has no ADDL", "Set ADDL 0, or give AMT."),
        (c["cmt"] < 0, "cmt", "a negative CMT would switch a compartment off", "Use EVID 3 to reset, or leave it out."),
        ((c["cmt"] > 0) & (c["cmt"] % 1 != 0), "cmt", "CMT must be a whole number", "Count compartments from 1."),
    )
    for where, column, rule, remedy in rules:
        table.flag(where, column, rule, remedy)


def _check_observations(table: Table, c: dict[str, np.ndarray]) -> None:
    observed = c["evid"] == 0
    if "mdv" not in table:
        c["mdv"] = np.where(observed & np.isfinite(c["dv"]), 0.0, 1.0)
    odd = ~np.isin(c["mdv"], (0, 1))
    table.flag(odd, "mdv", "MDV must be 0 or 1", "1 says that DV is missing.")
    empty = observed & (c["mdv"] == 0) & ~np.isfinite(c["dv"]) & ("mdv" in table)
    table.flag(empty, "dv", "an observation needs DV", "Give DV, or MDV 1.")
    infinite = np.isinf(c["dv"])
    table.flag(infinite, "dv", "DV must be finite", "Give a number, or MDV 1.")
    bad = ~np.isin(c["cens"], (-1, 0, 1))
    table.flag(bad, "cens", "CENS must be -1, 0 or 1", "1: below the limit in DV; -1: above it.")
    blank = np.array([t in ("", ".") for t in table.text("id")])
    table.flag(blank, "id", "ID is missing", "Give the individual of every row.")


def _check_order(table: Table, c: Mapping[str, np.ndarray], occasions: Occasions) -> None:
    identity, time = table.text("id"), c["time"]
    seen: set[str] = set()
    for i, name in enumerate(identity):
        if i and name == identity[i - 1]:
            if time[i] < time[i - 1] and c["evid"][i] not in (3, 4):
                table.flag(np.array([i]), "time", "TIME must not fall within an ID", "Sort the rows by time.")
            elif time[i] < time[i - 1] and occasions == "refuse":
                rule = "TIME starts again at a reset, which begins a new occasion"
                remedy = 'Read the file with occasions="split", or let the times run on.'
                table.flag(np.array([i]), "time", rule, remedy)
            continue
        if name in seen:
            table.flag(np.array([i]), "id", "the rows of an ID must stand together", "Sort by ID, or give a new ID.")
        seen.add(name)


def _covariate(table: Table, name: str) -> np.ndarray:
    """Numbers where every cell is one, text otherwise."""
    texts = table.text(name)
    try:
        return np.array([np.nan if t in BLANK else float(t) for t in texts])
    except ValueError:
        return texts


def _subject(
    name: str,
    occasion: int,
    rows: np.ndarray,
    table: Table,
    c: Mapping[str, np.ndarray],
    covariates: Mapping[str, np.ndarray],
) -> Subject:
    dosing = rows[np.isin(c["evid"][rows], (1, 3, 4))]
    seen = rows[(c["evid"][rows] == 0) & (c["mdv"][rows] == 0)]
    events = tuple(
        Event(
            int(table.rows[i]),
            float(c["time"][i]),
            int(c["evid"][i]),
            float(c["amt"][i]),
            float(c["rate"][i]),
            float(c["ii"][i]),
            int(c["addl"][i]),
            int(c["ss"][i]),
            int(c["cmt"][i]),
        )
        for i in dosing
    )
    before = np.array([bool(np.any((dosing > i) & (c["time"][dosing] == c["time"][i]))) for i in seen], dtype=bool)
    return Subject(
        name,
        events,
        c["time"][seen],
        c["dv"][seen],
        c["cmt"][seen].astype(int),
        table.text("dvid")[seen],
        c["cens"][seen].astype(int),
        before,
        {k: (c["time"][rows], v[rows]) for k, v in covariates.items()},
        table.rows[rows],
        occasion,
    )


Compartments = Mapping[int, Compartment] | Callable[[Mapping[str, Any]], Mapping[int, Compartment]]
"""What each CMT means; a function of a row's covariates where lag, F, rate or duration depend on them."""


def records(subject: Subject, compartments: Compartments) -> list[Record]:
    """A subject's dosing rows as records for a model.

    Args:
        subject: the individual; times in h.
        compartments: what each CMT means. A function is given the covariates of the dosing row itself.

    Raises:
        InputError: for a compartment that has no meaning, and for RATE -1 or -2 without the modelled rate or duration.
    """
    from her2pkpd.errors import Problems

    problems, found = Problems(), list[Record]()
    for event in subject.events:
        if event.evid == 3:
            found.append(Reset(event.time))
            continue
        meanings = compartments(subject.at_row(event.row)) if callable(compartments) else compartments
        place = meanings.get(event.compartment)
        if place is None:
            known = ", ".join(map(str, meanings))
            problems.add(
                "doses go to a compartment the model does not have",
                f"The model has {known}.",
                row=event.row,
                column="cmt",
                value=event.compartment,
            )
            continue
        modelled = {MODELLED_RATE: place.rate, MODELLED_DURATION: place.duration}.get(int(event.rate), 0.0)
        if modelled is None:
            what = "rate" if event.rate == MODELLED_RATE else "duration"
            rule, remedy = f"RATE {event.rate:g} needs a modelled {what}", f"Give the compartment a {what}."
            problems.add(rule, remedy, row=event.row, column="rate", value=event.rate)
            continue
        found.append(_dose(event, place, modelled))
    problems.raise_any()
    return found


def _dose(event: Event, place: Compartment, modelled: Number) -> Dose:
    by_rate = event.rate > 0 or event.rate == MODELLED_RATE
    return Dose(
        event.time,
        place.state,
        event.amount,
        "rate" if by_rate else "duration" if event.rate == MODELLED_DURATION else "bolus",
        event.rate if event.rate > 0 else modelled if by_rate else 0.0,
        modelled if event.rate == MODELLED_DURATION else 0.0,
        event.interval,
        event.additional,
        event.steady_state,
        event.evid == 4,
        place.lag,
        place.bioavailability,
    )


def nonmem_frame(subjects: Iterable[Subject]) -> pd.DataFrame:
    """Subjects as a NONMEM-style table; `read_nonmem` of it gives the same subjects."""
    parts = [row for subject in subjects for row in _rows(subject)]
    return pd.DataFrame(parts)


def _rows(subject: Subject) -> list[dict[str, Any]]:
    rows: list[tuple[float, int, dict[str, Any]]] = []
    for e in subject.events:
        dosing = dict(zip(("AMT", "RATE", "II", "ADDL", "SS", "CMT"), _dosing(e), strict=True))
        rows.append((e.time, 1, {"ID": subject.id, "TIME": e.time, "DV": np.nan, "EVID": e.evid, "MDV": 1, **dosing}))
    for i, time in enumerate(subject.time):
        empty = dict.fromkeys(("AMT", "RATE", "II", "ADDL", "SS"), 0)
        row = {"ID": subject.id, "TIME": time, "DV": subject.value[i], "EVID": 0, "MDV": 0, **empty}
        row |= {"CMT": subject.compartment[i], "DVID": subject.kind[i] or np.nan, "CENS": subject.censored[i]}
        rows.append((time, 0 if subject.before[i] else 2, row))
    for time, _, row in rows:
        row |= {k: _at(t, v, time) for k, (t, v) in subject.covariates.items()}
    return [row for _, _, row in sorted(rows, key=lambda r: r[:2])]


def _dosing(e: Event) -> Sequence[float]:
    return (e.amount, e.rate, e.interval, e.additional, e.steady_state, e.compartment)


def _at(times: np.ndarray, values: np.ndarray, time: float) -> Any:
    return values[max(int(np.searchsorted(times, time, side="right")) - 1, 0)]


def write_nonmem(subjects: Iterable[Subject], path: str | Path) -> None:
    """Write subjects as a NONMEM-style CSV."""
    from her2pkpd.runinfo import write_text

    write_text(path, nonmem_frame(subjects).to_csv(index=False, na_rep="."))
