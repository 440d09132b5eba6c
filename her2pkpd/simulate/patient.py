"""Simulate patients: one typical, or many drawn from a population."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.dosing.records import Dose
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, Solution, Status, solve
from her2pkpd.engine.select import EngineName
from her2pkpd.errors import InputError, Problem, Problems
from her2pkpd.library import Library, load_drug
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.library.populations import load_population, with_derived
from her2pkpd.mechanisms.disposition import Structure, central, depot, plasma
from her2pkpd.mechanisms.released import cycle
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.simulate.caution import planned, warn
from her2pkpd.simulate.overrides import overrides
from her2pkpd.simulate.patient_scenario import PatientDose, PatientScenario
from her2pkpd.simulate.well import Simulation
from her2pkpd.systems.patient import PatientDrug, patient_model
from her2pkpd.units import convert

DOSING = ("F", "tlag")
"""Parameters that act on the dose and not in the model."""


def simulate_patient(
    scenario: PatientScenario, *, options: Options | None = None, engine: EngineName = "auto"
) -> Simulation:
    """Simulate patients.

    Args:
        scenario: the patients and what they are given.
        options: tolerances of the engine.
        engine: which engine.

    Returns:
        The `Simulation`; ``id`` in its table is the patient. A patient who fails leaves NaN and the status.

    Raises:
        InputError: for parameters and variables the model does not have.

    Warns:
        ValidityWarning: for doses that were not studied in people, or that a model was not estimated from.
    """
    batch, variables, status = prepare_patient(scenario)
    solution = solve(batch, options or _OPTIONS, engine=engine)
    solution = replace(solution, status=np.where(status, status, solution.status))
    return Simulation(_table(batch.model, batch.parameters, solution, variables, scenario), batch.model, solution)


def prepare_patient(scenario: PatientScenario) -> tuple[Batch, list[str], np.ndarray]:
    """What is solved for a scenario, one lane a patient, what is reported of it, and the status of its dosing.

    Raises:
        InputError: as `simulate_patient`.

    Warns:
        ValidityWarning: likewise.
    """
    rng = np.random.default_rng(scenario.seed)
    covariates = _patients(scenario, rng)
    people = [_individuals(scenario, own, rng) for own in covariates]
    _warn(scenario, covariates)
    model = _model(scenario, people[0])
    problems = Problems()
    library = Library({name: load_drug(name) for name in scenario.drugs}, {})
    changes = overrides(scenario.parameters, model, problems, library, "patient")
    variables = _variables(scenario, model, problems)
    problems.raise_any()
    parameters = np.tile(model.default_parameters(), (len(people), 1))
    for row, own in zip(parameters, people, strict=True):
        for name, value in named_parameters(own):
            row[model.parameter_index[name]] = value
        for name, value in changes.items():
            row[model.parameter_index[name]] = value
    stop = float(scenario.times[-1])
    lanes = [_records(scenario, own, c, stop, rng) for own, c in zip(people, covariates, strict=True)]
    schedule = compile_schedule(model, lanes, parameters, stop=stop)
    return Batch(model, parameters, schedule.segments, scenario.times), variables, schedule.status


_OPTIONS = Options(rtol=1e-6, atol=1e-9)


def _patients(scenario: PatientScenario, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Covariates of every patient; the typical one has those given, and the population's weight for doses per kg."""
    population = load_population(scenario.population)
    if not scenario.patients:
        typical = population.typical()
        given = {"weight": typical["weight"], **scenario.covariates}
        if "bsa" in scenario.covariates or "weight" in scenario.covariates or "height" in scenario.covariates:
            given = with_derived(given, height=typical["height"])
        return [given]
    return [
        with_derived({**{k: v for k, v in own.items() if k not in ("bsa", "bmi")}, **scenario.covariates})
        for own in population.draw(scenario.patients, rng)
    ]


def _individuals(
    scenario: PatientScenario, covariates: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Parameters of one patient and of the released payload, by drug."""
    found = {}
    for name, dose in scenario.drugs.items():
        deviates: dict[str, float] = {}
        if scenario.patients:
            names, matrix = dose.model.covariance()
            drawn = rng.multivariate_normal(np.zeros(len(names)), matrix, method="eigh") if names else []
            deviates = dict(zip(names, map(float, drawn), strict=True))
        found[name] = (dose.model.individual(covariates, deviates), dose.model.released_values(covariates))
    return found


def structure_of(own: PharmacokineticModel) -> Structure:
    """Compartments and processes of a published model."""
    return Structure(own.peripherals, own.linear, "Vmax" in own.parameters, "ka" in own.parameters, own.transits)


def _model(scenario: PatientScenario, people: Mapping[str, tuple[dict[str, float], dict[str, float]]]) -> Model:
    drugs = [
        PatientDrug(dose.drug, structure_of(dose.model), people[name][0], dose.model.payload, people[name][1])
        for name, dose in scenario.drugs.items()
    ]
    wants = scenario.tumour is not None or any(
        v.endswith(".tumour") or v.startswith("tumour.") for v in (*scenario.variables, *scenario.parameters)
    )
    if wants and any(dose.steady_state for dose in scenario.doses):
        rule = "a tumour that grows or shrinks has no steady state"
        raise InputError(Problem(rule, "Simulate the doses from the first on.", column="dose.steady_state", value=True))
    return patient_model(drugs, (scenario.tumour or {}) if wants else None)


def named_parameters(people: Mapping[str, tuple[dict[str, float], dict[str, float]]]) -> list[tuple[str, float]]:
    """Parameters of a patient as the model names them."""
    found = []
    for drug, (own, released) in people.items():
        found += [(f"{drug}.{k}", v) for k, v in own.items() if k not in DOSING]
        payload = load_drug(drug).pk
        name = next((m.payload for m in payload.values() if m.payload), "")
        found += [(f"{name}.{k}" if k in ("CL", "Vc") else f"{drug}.{k}", v) for k, v in released.items()]
    return found


def _records(
    scenario: PatientScenario,
    people: Mapping[str, tuple[dict[str, float], dict[str, float]]],
    covariates: Mapping[str, Any],
    stop: float,
    rng: np.random.Generator,
) -> list[Dose]:
    found: list[Dose] = []
    for dose in scenario.doses:
        own, marked = people[dose.drug.name][0], {cycle(dose.drug.name): 1.0} if dose.model.payload else {}
        injected = dose.route == "iv"
        for number, time in _times(dose, stop):
            first_of_many = dose.steady_state and number == 1
            skipped = dose.adherence < 1.0 and rng.random() >= dose.adherence and not first_of_many
            if number in dose.missed or skipped:
                continue
            mass = _amount(dose, number).micrograms(covariates["weight"], covariates.get("bsa", 1.7))
            amount = convert(mass, "ug", "nmol", molar_mass=dose.drug.molar_mass.canonical)
            found.append(
                Dose(
                    time,
                    central(dose.drug.name) if injected else depot(dose.drug.name),
                    amount,
                    "duration" if injected and dose.infusion else "bolus",
                    duration=dose.infusion,
                    # Added rather than set, since other drugs may have a steady state of their own.
                    interval=dose.regimen.interval if first_of_many else 0.0,
                    steady_state=2 if first_of_many else 0,
                    lag=0.0 if injected else own.get("tlag", 0.0),
                    bioavailability=1.0 if injected else own.get("F", 1.0),
                    marks=marked,
                )
            )
    return found


def _times(dose: PatientDose, stop: float) -> list[tuple[int, float]]:
    """Numbers and times of the doses up to the end of the simulation."""
    regimen = dose.regimen
    many = regimen.doses or (1 if not regimen.interval else int((stop - dose.time) / regimen.interval + 1e-9) + 1)
    planned = [(i + 1, dose.time + i * regimen.interval + dose.delayed.get(i + 1, 0.0)) for i in range(max(many, 0))]
    return [(number, time) for number, time in planned if time <= stop]


def _amount(dose: PatientDose, number: int) -> Any:
    if number == 1 and dose.regimen.loading is not None:
        return dose.regimen.loading
    changes = [n for n in dose.reduced if n <= number]
    return dose.reduced[max(changes)] if changes else dose.regimen.amount


def _warn(scenario: PatientScenario, covariates: Sequence[Mapping[str, Any]]) -> None:
    weight, bsa = (np.array([c.get(k, usual) for c in covariates]) for k, usual in (("weight", 70.0), ("bsa", 1.7)))
    warn([given for dose in scenario.doses for given in planned(dose, weight, bsa)], stacklevel=4)


def _variables(scenario: PatientScenario, model: Model, problems: Problems) -> list[str]:
    known = [*model.quantity_table, *model.species_index]
    for name in scenario.variables:
        if name not in known:
            problems.add("unknown variable", nearest(name, known), column="output.variables", value=name)
    return list(scenario.variables) or [name for name in model.quantity_table if name.startswith("plasma.")]


def plasma_unit(name: str) -> tuple[float, str]:
    """Factor from nM and unit of a plasma output: ug/mL for proteins, ng/mL for small molecules."""
    drug = load_drug(name.removeprefix("plasma."))
    unit = "ug/mL" if drug.kind in ("antibody", "adc") else "ng/mL"
    return convert(1.0, "nM", unit, molar_mass=drug.molar_mass.canonical), unit


def _table(
    model: Model, parameters: np.ndarray, solution: Solution, variables: Sequence[str], scenario: PatientScenario
) -> pd.DataFrame:
    values = model.outputs(variables, solution.y, parameters[:, None, :])
    units = {s.name: s.unit for s in model.species} | {q.name: q.unit for q in model.quantities}
    lanes, times = values.shape[:2]
    status = np.array([Status(int(s)).name.lower() for s in solution.status], dtype=object)
    parts = []
    for i, name in enumerate(variables):
        factor, unit = plasma_unit(name) if name.startswith(plasma("")) else (1.0, units[name])
        parts.append(
            pd.DataFrame(
                {
                    "time": np.tile(scenario.times, lanes),
                    "time_unit": "h",
                    "variable": name,
                    "value": (values[:, :, i] * factor).ravel(),
                    "unit": unit,
                    "id": np.repeat(np.arange(lanes), times),
                    "status": np.repeat(status, times),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
