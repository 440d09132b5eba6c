"""``scenario.toml`` with ``kind = "patient"``: who is treated with what, read and checked as one typed object."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from her2pkpd.dosing.regimen import Amount, Regimen, read_amount, read_regimen
from her2pkpd.errors import InputError, Problems
from her2pkpd.library import Drug, drug_names, load_drug
from her2pkpd.library.pk import PharmacokineticModel, offered_routes, route_model
from her2pkpd.library.populations import population_names
from her2pkpd.settings import Section, nearest, read_settings
from her2pkpd.simulate.scenario import read_times
from her2pkpd.units import quantity

COVARIATE_UNITS = {
    "weight": "kg",
    "lbw": "kg",
    "height": "cm",
    "bsa": "m2",
    "bmi": "kg/m2",
    "albumin": "g/L",
    "ast": "U/L",
    "alt": "U/L",
    "ecd": "ng/mL",
    "tumour_burden": "mm",
    "trastuzumab_baseline": "ug/mL",
}
"""Covariates that are numbers, with the unit the library's effects use."""

COVARIATE_WORDS = {
    "tumour_type": ("metastatic breast", "early breast", "gastric", "colorectal", "other", "healthy"),
    "sex": ("female", "male"),
    "food": ("fasted", "fed", "low-fat", "high-fat"),
    "cyp3a4": ("none", "strong inhibitor", "strong inducer"),
    "acid": ("none", "proton-pump inhibitor"),
}
COVARIATE_FLAGS = ("japan", "asia", "liver_metastases", "four_or_more_sites")
ROUTES = ("iv", "sc", "oral")
TUMOUR_KEYS = {"HER2": "copies/cell", "doubling_time": "h", "initial_volume": "L", "NRG1": "nM"}
MAX_PATIENTS = 100_000
MAX_DOSES = 10_000


@dataclass(frozen=True)
class PatientDose:
    """One ``[[dose]]``: a drug given once or again and again.

    Attributes:
        drug: the library's entry.
        model: its pharmacokinetics.
        route: "iv", "sc" or "oral".
        regimen: amount, interval, loading dose, number of doses.
        time: of the first dose, h.
        infusion: h; 0 is a bolus.
        missed: numbers of doses that are not given, the first being 1.
        delayed: delay by number of the dose, h; it shifts that dose and no other.
        reduced: amount from that dose on, by number of the dose.
        adherence: probability that a dose is taken.
        steady_state: whether the first dose finds the patient in the steady state of the regimen.
    """

    drug: Drug
    model: PharmacokineticModel
    route: str
    regimen: Regimen
    time: float = 0.0
    infusion: float = 0.0
    missed: tuple[int, ...] = ()
    delayed: Mapping[int, float] = field(default_factory=dict)
    reduced: Mapping[int, Amount] = field(default_factory=dict)
    adherence: float = 1.0
    steady_state: bool = False


@dataclass(frozen=True)
class PatientScenario:
    """Patients, as ``scenario.toml`` describes them.

    Attributes:
        doses: what is given.
        times: output times, h, ascending.
        variables: what to report; empty means the plasma of every drug.
        covariates: given ones by name; numbers in `COVARIATE_UNITS`.
        population: where the others are drawn from.
        patients: how many are drawn; 0 is the typical patient.
        seed: of the draw.
        tumour: the tumour's own values, or None for the library's.
        parameters: overrides by name, as text with unit.
    """

    doses: tuple[PatientDose, ...]
    times: np.ndarray
    variables: tuple[str, ...] = ()
    covariates: Mapping[str, Any] = field(default_factory=dict)
    population: str = "metastatic breast"
    patients: int = 0
    seed: int = 0
    tumour: Mapping[str, float] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def drugs(self) -> dict[str, PatientDose]:
        """The first dose of every drug, by drug."""
        found: dict[str, PatientDose] = {}
        for dose in self.doses:
            found.setdefault(dose.drug.name, dose)
        return found


def read_patient_scenario(path: str | Path) -> PatientScenario:
    """Read and check a ``scenario.toml`` of kind "patient".

    Raises:
        InputError: listing everything wrong with it.
    """
    top = read_settings(path)
    system = top.section("system")
    system.text("kind", choices=("patient",))
    covariates = read_covariates(system.section("covariates"))
    population = system.text("population", _population_of(covariates), choices=population_names())
    patients, seed = _variability(system)
    tumour = _tumour(system)
    doses = [d for s in top.sections("dose") if (d := read_dose(s)) is not None]
    if not top.table.get("dose"):
        top.problems.add("a patient needs at least one dose", "Add a [[dose]].", column="dose")
    one_model_per_drug(doses, top.problems)
    _nothing_before_steady(doses, top.problems)
    parameters = top.get("parameters", dict, {}, words="a table [parameters]") or {}
    output = top.section("output")
    times = read_times(output, top.problems)
    variables = output.texts("variables", (), words="a list of names in quotes") or ()
    top.finish()
    top.problems.raise_any()
    assert times is not None
    return PatientScenario(
        tuple(doses), times, variables, covariates, population, patients, seed, tumour, dict(parameters)
    )


def _population_of(covariates: Mapping[str, Any]) -> str:
    given = covariates.get("tumour_type")
    return given if given in population_names() else "metastatic breast"


def read_covariates(table: Section) -> dict[str, Any]:
    """Covariates given in a table, numbers in `COVARIATE_UNITS`."""
    found: dict[str, Any] = {}
    for name, unit in COVARIATE_UNITS.items():
        if table.has(name):
            value = table.quantity(name, unit, low=0.0)
            if value == 0.0 and name != "trastuzumab_baseline":
                table.complain(name, "must be more than zero", "Correct the number.")
            found[name] = value
    for name, words in COVARIATE_WORDS.items():
        if table.has(name):
            found[name] = table.text(name, choices=words)
    for name in COVARIATE_FLAGS:
        if table.has(name):
            found[name] = table.flag(name)
    return found


def _variability(system: Section) -> tuple[int, int]:
    """Number of patients (0 for the typical one) and seed; n and seed may stand in the table or in [system]."""
    given = system.get("variability", (bool, dict), False, words="false, true, or { n = 1000, seed = 1 }")
    holder = system.section("variability") if isinstance(given, dict) else system
    n = holder.integer("n", 0 if given is False else 1000, low=0, high=MAX_PATIENTS)
    seed = holder.integer("seed", 0)
    return (n if given is not False or system.has("n") else 0), seed


def _tumour(system: Section) -> dict[str, float] | None:
    if not system.has("tumour"):
        return None
    table = system.section("tumour")
    found = {}
    for name, unit in TUMOUR_KEYS.items():
        if table.has(name) and (value := table.quantity(name, unit, low=0.0)) is not None:
            found[name] = value
    return found


def read_dose(section: Section) -> PatientDose | None:
    """Read one ``[[dose]]``; None where something is wrong with it, which is then recorded."""
    name = section.text("drug")
    regimen = _regimen(section)
    timing = {
        "time": section.quantity("time", "h", 0.0, low=0.0) or 0.0,
        "infusion": section.quantity("infusion", "h", 0.0, low=0.0) or 0.0,
        "missed": _numbers(section),
        "delayed": _by_number(section, "delayed", lambda text: quantity(text, "h")),
        "reduced": _by_number(section, "reduced", read_amount),
        "adherence": section.number("adherence", 1.0),
        "steady_state": bool(section.flag("steady_state", False)),
    }
    if not 0.0 < timing["adherence"] <= 1.0:
        section.complain("adherence", "must lie between 0 and 1", "Give the probability that a dose is taken.")
    drug = _drug(section, name)
    wanted = section.text("route", None, choices=ROUTES)
    chosen = section.text("pk", None)
    if drug is None or regimen is None:
        return None
    route = wanted or ("oral" if drug.kind == "tki" else "iv")
    model = _model(section, drug, route, chosen)
    if route != "iv" and timing["infusion"]:
        section.complain("infusion", "only an intravenous dose is infused", 'Set route = "iv", or leave infusion out.')
    if model is None:
        return None
    dose = PatientDose(drug, model, route, regimen, **timing)
    if dose.steady_state:
        _check_steady(section, dose)
    return dose


def _check_steady(section: Section, dose: PatientDose) -> None:
    def refuse(rule: str, remedy: str) -> None:
        section.complain("steady_state", rule, remedy)

    if not dose.regimen.interval:
        refuse("a steady state needs an interval", 'Add every = "21 d".')
    if dose.regimen.loading is not None:
        refuse("a patient in steady state gets no loading dose", "Leave out the loading dose, or steady_state.")
    if 1 in dose.missed or 1 in dose.delayed or 1 in dose.reduced:
        rule = "the first dose stands for all that were given before and cannot be missed, delayed or reduced"
        refuse(rule, "Number the doses from the second on.")
    if "Krel_cycle_exponent" in dose.model.released:
        rule = f"the release of {dose.model.payload} depends on how many doses were given, so there is no steady state"
        refuse(rule, "Simulate the doses from the first on.")


def _drug(section: Section, name: str | None) -> Drug | None:
    if name is None:
        return None
    try:
        return load_drug(name)
    except InputError:
        section.complain("drug", f"unknown drug '{name}'", nearest(name, drug_names()))
        return None


def _model(section: Section, drug: Drug, route: str, chosen: str | None) -> PharmacokineticModel | None:
    if not drug.pk:
        section.complain("drug", f"the library has no pharmacokinetics of {drug.name}", "Add [pk] to its file.")
        return None
    if chosen is not None and chosen not in drug.pk:
        section.complain("pk", f"{drug.name} has no model of that name", nearest(chosen, drug.pk))
        return None
    model = drug.pk[chosen] if chosen else route_model(drug.pk, route)
    if model is None or route not in model.routes:
        known = ", ".join(offered_routes(drug.pk) if chosen is None else drug.pk[chosen].routes)
        section.problems.add(
            f"{drug.name} has no model for the route '{route}'",
            f"Known routes: {known}.",
            column=section.name("route"),
            value=route,
        )
        return None
    return model


def _regimen(section: Section) -> Regimen | None:
    """From ``regimen``, or from ``amount``, ``every``, ``doses`` and ``loading``."""
    try:
        if section.has("regimen"):
            for key in ("amount", "every", "doses", "loading"):
                if section.has(key):
                    section.complain(key, "stands beside a regimen that says the same", "Keep one of the two.")
            return read_regimen(str(section.table["regimen"]))
        amount = section.text("amount")
        every = section.quantity("every", "h", 0.0, low=0.0)
        doses = section.integer("doses", None, low=1, high=MAX_DOSES)
        loading = section.text("loading", None)
        if doses and doses > 1 and not every:
            section.complain("doses", "several doses need an interval", 'Add every = "21 d".')
        if section.has("every") and every == 0.0:
            section.complain("every", "must be longer than zero", "Leave it out for a single dose.")
        if amount is None:
            return None
        return Regimen(read_amount(amount), every or 0.0, read_amount(loading) if loading else None, doses)
    except InputError as error:
        for p in error.problems:
            section.problems.add(p.rule, p.remedy, column=section.name("amount"), value=p.value)
        return None


def _numbers(section: Section) -> tuple[int, ...]:
    given = section.get("missed", list, [], words="a list of dose numbers, the first being 1") or []
    if not all(isinstance(x, int) and not isinstance(x, bool) and x >= 1 for x in given):
        section.complain("missed", "must be a list of dose numbers, the first being 1", "Write missed = [3].")
        return ()
    return tuple(given)


def _by_number(section: Section, key: str, read: Any) -> dict[int, Any]:
    """A table such as ``{ "2" = "3 d" }``, by number of the dose."""
    given = section.get(key, dict, {}, words='a table by dose number, such as { "2" = "..." }') or {}
    found = {}
    for number, text in given.items():
        if not re.fullmatch(r"[1-9]\d*", number):
            section.complain(key, f"'{number}' is no dose number", 'Write { "2" = "..." } for the second dose.')
            continue
        try:
            found[int(number)] = read(text)
        except InputError as error:
            for p in error.problems:
                section.problems.add(p.rule, p.remedy, column=f"{section.name(key)}.{number}", value=text)
    return found


def _nothing_before_steady(doses: list[PatientDose], problems: Problems) -> None:
    for i, dose in enumerate(doses, start=1):
        others = [d for d in doses if d is not dose and d.drug.name == dose.drug.name]
        if dose.steady_state and any(d.time <= dose.time for d in others):
            rule = f"{dose.drug.name} is given before its steady state, which stands for all that was given before"
            remedy = "Leave out the earlier dose, or steady_state."
            problems.add(rule, remedy, column=f"dose[{i}].steady_state", value=True)


def one_model_per_drug(doses: list[PatientDose], problems: Problems) -> None:
    """Report drugs that are given by two pharmacokinetic models at once."""
    models: dict[str, str] = {}
    for dose in doses:
        before = models.setdefault(dose.drug.name, dose.model.name)
        if before != dose.model.name:
            problems.add(
                f"{dose.drug.name} is given by two models, {before} and {dose.model.name}",
                f'Add pk = "{dose.model.name}" to both doses, if it describes both routes.',
                column="dose.pk",
            )
