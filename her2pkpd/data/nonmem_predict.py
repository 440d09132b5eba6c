"""The library's population models on NONMEM-style data: what the typical patient of every row's covariates has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.data.nonmem import BLANK, Compartment, Occasions, Subject, read_nonmem, records
from her2pkpd.data.nonmem_covariates import Carry, Covariates, changing, filled, time_varying
from her2pkpd.data.table import Source, Table
from her2pkpd.dosing.records import Record
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, Status, solve
from her2pkpd.errors import ComputationError, InputError, Problem, Problems
from her2pkpd.library import Drug, load_drug
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.mechanisms.disposition import central, depot, plasma
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.simulate.caution import Given, warn
from her2pkpd.simulate.patient import DOSING, named_parameters, plasma_unit, structure_of
from her2pkpd.simulate.patient_scenario import COVARIATE_FLAGS, COVARIATE_UNITS, COVARIATE_WORDS
from her2pkpd.systems.patient import PatientDrug, patient_model
from her2pkpd.units import convert, quantity

_OPTIONS = Options(rtol=1e-8, atol=1e-10)


@dataclass(frozen=True)
class Column:
    """What a column of the file is in the library: a covariate, and the unit the file gives it in."""

    column: str
    covariate: str
    unit: str = ""


def predict(
    source: Source | Any,
    drug: str,
    *,
    pk: str | None = None,
    covariates: Sequence[str] = (),
    carry: Carry = "nocb",
    occasions: Occasions = "refuse",
    time_unit: str = "h",
    amount_unit: str = "mg",
) -> pd.DataFrame:
    """Plasma concentrations a published model gives for the doses and covariates of a NONMEM-style file.

    Args:
        source: the file or a data frame, see `her2pkpd.data.nonmem.read_nonmem`. CMT 1 is the depot and 2 the central
            compartment of models with absorption; otherwise 1 is the central compartment.
        drug: name in the library.
        pk: name of one of its models; by default the first.
        covariates: which column is which covariate, "WT=weight" or with a unit "ALB=albumin:g/dL". Columns that bear
            a covariate's name are taken without being asked for, in the library's unit.
        carry: what holds between two rows, the next row's covariates ("nocb", NONMEM's rule) or the last's ("locf").
        occasions: as `read_nonmem`.
        time_unit: of TIME and II.
        amount_unit: of AMT; RATE is in it per `time_unit`.

    Returns:
        One row per observation: ``ID, occasion, TIME, DVID, DV, PRED, unit, status``.

    Raises:
        InputError: for a bad file, and for drugs, models, covariates and units that are not known.

    Warns:
        ValidityWarning: for doses that were not studied in people, or that the model was not estimated from.
    """
    entry = load_drug(drug)
    model = _chosen(entry, pk)
    columns: list[Column] = []

    def check(table: Table) -> None:
        columns.extend(_columns(table.own, covariates, model, table.problems))
        _check(table, columns)

    subjects = read_nonmem(source, occasions=occasions, check=check)
    hours = quantity(f"1 {time_unit}", "h")
    amount = convert(1.0, amount_unit, "nmol", molar_mass=entry.molar_mass.canonical)
    names = [c.column for c in columns]
    subjects = [filled(_canonical(s, hours, amount), names, carry) for s in subjects]
    warn(_given(subjects, entry, model, columns))
    varying = {c.covariate for c in columns if any(changing(s, [c.column]) for s in subjects)}

    def rule(values: Covariates) -> dict[str, float]:
        own = _read(values, columns)
        return dict(named_parameters({entry.name: (model.individual(own), model.released_values(own))}))

    people = [time_varying(s, names, rule, carry) for s in subjects]
    typical = _read({name: subjects[0].first(name) for name in names}, columns)
    system = _system(entry, model, typical, varying)
    lanes = [[*_doses(s, entry, model, columns), *holds] for s, (_, holds) in zip(subjects, people, strict=True)]
    parameters = np.array([system.parameter_vector(first) for first, _ in people])
    return _table(subjects, _solve(system, lanes, parameters, subjects), entry, time_unit, hours)


def predict_file(
    source: str | Path, drug: str, out: str | Path, *, force: bool = False, **options: Any
) -> pd.DataFrame:
    """`predict`, written to a CSV.

    Raises:
        InputError: as `predict`, and for an existing `out` without `force`; nothing is written.
        ComputationError: if individuals failed; the table is written, and marks them.
    """
    from her2pkpd.runinfo import write_text

    if Path(out).exists() and not force:
        raise InputError(Problem("the output file exists", "Choose another name, or say --force.", file=str(out)))
    found = predict(source, drug, **options)
    write_text(out, found.to_csv(index=False))
    failed = found.loc[found["status"] != "ok", "ID"].unique()
    if failed.size:
        raise ComputationError(f"{failed.size} individuals failed, {failed[0]} the first; the table says how.")
    return found


def _chosen(drug: Drug, pk: str | None) -> PharmacokineticModel:
    if not drug.pk:
        raise InputError(Problem(f"the library has no pharmacokinetics of {drug.name}", "Choose another drug."))
    if pk is not None and pk not in drug.pk:
        raise InputError(Problem(f"{drug.name} has no model of that name", nearest(pk, drug.pk), value=pk))
    return drug.pk[pk] if pk else next(iter(drug.pk.values()))


def _columns(own: Sequence[str], given: Sequence[str], model: PharmacokineticModel, problems: Problems) -> list[Column]:
    """The file's columns that are covariates of the model."""
    found: dict[str, Column] = {}
    for name in own:
        if name.lower() in model.covariates:
            found[name.lower()] = Column(name, name.lower(), COVARIATE_UNITS.get(name.lower(), ""))
    for text in given:
        column, _, rest = text.partition("=")
        covariate, _, unit = rest.partition(":")
        if column not in own:
            problems.add("the file has no such column", nearest(column, own), value=text)
        elif covariate not in model.covariates:
            problems.add(f"{model.name} has no such covariate", nearest(covariate, model.covariates), value=text)
        elif unit and covariate not in COVARIATE_UNITS:
            problems.add(f"{covariate} has no unit", f"Write {column}={covariate}.", value=text)
        else:
            found[covariate] = Column(column, covariate, unit or COVARIATE_UNITS.get(covariate, ""))
    return list(found.values())


def _check(table: Table, columns: Sequence[Column]) -> None:
    """Record every covariate of every row that is not what the library takes."""
    for c in columns:
        for row, value in zip(table.rows, table.text(c.column), strict=True):
            if value not in BLANK and (wrong := _wrong(c, value)):
                table.problems.add(*wrong, row=int(row), column=c.column, value=value)


def _wrong(column: Column, value: Any) -> tuple[str, str] | None:
    """What is wrong with a covariate, and what to do about it."""
    name = column.covariate
    if name in COVARIATE_UNITS:
        number = _number(value)  # a column with a single text cell is all text
        fine = number > 0 or (name == "trastuzumab_baseline" and number == 0)
        return None if fine else (f"{name} must be a positive number", "Correct it, or leave it blank.")
    if name in COVARIATE_FLAGS:
        return None if _number(value) in (0, 1) else (f"{name} must be 0 or 1", "1 says yes.")
    return None if value in COVARIATE_WORDS[name] else (f"unknown {name}", nearest(str(value), COVARIATE_WORDS[name]))


def _number(value: Any) -> float:
    try:
        return float(value)
    except ValueError:
        return np.nan


def _read(values: Covariates, columns: Sequence[Column]) -> dict[str, Any]:
    """Covariates by the library's names and in its units."""
    found: dict[str, Any] = {}
    for c in columns:
        value = values[c.column]
        if c.covariate in COVARIATE_UNITS:
            found[c.covariate] = quantity(f"{float(value)} {c.unit}", COVARIATE_UNITS[c.covariate])
        else:
            found[c.covariate] = bool(_number(value)) if c.covariate in COVARIATE_FLAGS else value
    return found


def _canonical(subject: Subject, hours: float, amount: float) -> Subject:
    """Times in h and amounts in nmol."""
    events = tuple(
        replace(
            e,
            time=e.time * hours,
            amount=e.amount * amount,
            rate=e.rate * amount / hours if e.rate > 0 else e.rate,
            interval=e.interval * hours,
        )
        for e in subject.events
    )
    covariates = {name: (times * hours, values) for name, (times, values) in subject.covariates.items()}
    return replace(subject, events=events, time=subject.time * hours, covariates=covariates)


def _system(drug: Drug, model: PharmacokineticModel, given: Mapping[str, Any], varying: set[str]) -> Model:
    own, released = model.individual(given), model.released_values(given)
    moved = sorted(model.moved_by(varying) - set(DOSING))
    held = [name if model.payload and name.startswith(f"{model.payload}.") else f"{drug.name}.{name}" for name in moved]
    return patient_model([PatientDrug(drug, structure_of(model), own, model.payload, released)], held=held)


def _doses(subject: Subject, drug: Drug, model: PharmacokineticModel, columns: Sequence[Column]) -> list[Record]:
    absorbed = "ka" in model.parameters

    def places(values: Covariates) -> dict[int, Compartment]:
        if not absorbed:
            return {1: Compartment(central(drug.name))}
        own = model.individual(_read(values, columns))
        first = Compartment(depot(drug.name), own.get("tlag", 0.0), own.get("F", 1.0))
        return {1: first, 2: Compartment(central(drug.name))}

    return records(subject, places)


def _given(
    subjects: Sequence[Subject], drug: Drug, model: PharmacokineticModel, columns: Sequence[Column]
) -> list[Given]:
    """The doses of everyone, by route and interval."""
    injected = 2 if "ka" in model.parameters else 1
    under = next((r for r in model.routes if r != "iv"), "iv")
    weighed = any(c.covariate == "weight" for c in columns)
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for subject in subjects:
        weight = (
            float(_read({c.column: subject.first(c.column) for c in columns}, columns)["weight"]) if weighed else 0.0
        )
        for event in subject.events:
            if event.amount > 0.0:
                route = "iv" if event.compartment == injected else under
                found.setdefault((route, event.interval), []).append((event.amount, weight))
    per_nmol = convert(1.0, "nmol", "ug", molar_mass=drug.molar_mass.canonical)
    doses = {key: np.array(rows) for key, rows in found.items()}
    return [
        Given(drug, model, route, rows[:, 0] * per_nmol, rows[:, 1] if weighed else None, interval)
        for (route, interval), rows in doses.items()
    ]


def _solve(system: Model, lanes: Sequence[Sequence[Record]], p: np.ndarray, subjects: Sequence[Subject]) -> Any:
    starts = [min([*s.time, *(e.time for e in s.events)], default=0.0) for s in subjects]
    stops = [max([*s.time, *(e.time for e in s.events)], default=0.0) for s in subjects]
    width = max((s.time.size for s in subjects), default=0)
    shown = [np.maximum(s.save_times(), start) for s, start in zip(subjects, starts, strict=True)]
    times = np.array([np.append(t, np.full(width - t.size, stop)) for t, stop in zip(shown, stops, strict=True)])
    schedule = compile_schedule(system, lanes, p, start=starts, stop=stops)
    found = solve(Batch(system, p, schedule.segments, times), _OPTIONS)
    return system, p, found, np.maximum(found.status, schedule.status)


def _table(subjects: Sequence[Subject], solved: Any, drug: Drug, time_unit: str, hours: float) -> pd.DataFrame:
    system, p, found, status = solved
    name = plasma(drug.name)
    factor, unit = plasma_unit(name)
    values = system.outputs([name], found.y, p[:, None, :])[..., 0] * factor
    parts = []
    for lane, subject in enumerate(subjects):
        n = subject.time.size
        own = {"ID": subject.id, "occasion": subject.occasion, "TIME": subject.time / hours, "time_unit": time_unit}
        own |= {"DVID": subject.kind, "DV": subject.value, "PRED": values[lane, :n], "unit": unit}
        parts.append(pd.DataFrame(own | {"status": Status(int(status[lane])).name.lower()}))
    return pd.concat(parts, ignore_index=True)
