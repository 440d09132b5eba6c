"""A trial made ready to run: a model for every arm, its planned doses, and what has to be read off its states."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from her2pkpd.cohort.people import matches
from her2pkpd.cohort.settings import Arm, CohortSettings, Rule
from her2pkpd.dosing.regimen import Amount
from her2pkpd.errors import InputError, Problems
from her2pkpd.library import Library, load_drug
from her2pkpd.mechanisms.disposition import Structure, central, depot, plasma
from her2pkpd.mechanisms.released import cycle
from her2pkpd.model import Model
from her2pkpd.model.tape import Tape
from her2pkpd.settings import nearest
from her2pkpd.simulate.overrides import overrides
from her2pkpd.simulate.patient import plasma_unit
from her2pkpd.simulate.patient_scenario import COVARIATE_FLAGS, COVARIATE_UNITS, COVARIATE_WORDS, PatientDose
from her2pkpd.systems.patient import PatientDrug
from her2pkpd.systems.virtual_patient import VOLUME, TumourModel, exposure, virtual_patient
from her2pkpd.units import parse_unit, quantity

PROGRESSION = "progression"


@dataclass(frozen=True)
class Slot:
    """One planned dose of an arm.

    Attributes:
        source: the dose it belongs to.
        stream: names the random numbers of its adherence.
        number: within that dose, from 1.
        time: planned, h, from the beginning of its line.
        amount: planned.
        given: whether it is given at all.
        line, until: of its `ArmDose`.
    """

    source: PatientDose
    stream: str
    number: int
    time: float
    amount: Amount
    given: bool
    line: int
    until: str

    @property
    def drug(self) -> str:
        """Name of the drug."""
        return self.source.drug.name

    @property
    def target(self) -> str:
        """State that receives it."""
        return central(self.drug) if self.source.route == "iv" else depot(self.drug)

    @property
    def mark(self) -> str:
        """State that counts it, or ""."""
        return cycle(self.drug) if self.source.model.payload else ""

    @property
    def duration(self) -> float:
        """Of the infusion, h; 0 is a bolus."""
        return self.source.infusion if self.source.route == "iv" else 0.0


@dataclass(frozen=True)
class Limit:
    """A rule with its limit in the model's unit."""

    rule: Rule
    variable: str
    above: float
    below: float


@dataclass(frozen=True)
class ArmPlan:
    """An arm made ready.

    Attributes:
        arm: what was asked for.
        model: of its patients.
        base: (n_parameters,) parameters of the typical patient, overrides included.
        fixed: parameters the user set for everyone, by index.
        slots: planned doses, in the order of the settings.
        circulating: drugs and payloads in plasma, each with the drug whose doses make its intervals.
        names: variables that are read off the states.
        tape: reads them.
        limits: rules.
        above, below: thresholds by variable, in the model's unit.
        trough: variables read at the end of intervals.
        shown: variables of the time courses.
    """

    arm: Arm
    model: Model
    base: np.ndarray
    fixed: Mapping[int, float]
    slots: tuple[Slot, ...]
    circulating: Mapping[str, str]
    names: tuple[str, ...]
    tape: Tape
    limits: tuple[Limit, ...]
    above: Mapping[str, float]
    below: Mapping[str, float]
    trough: tuple[str, ...]
    shown: tuple[str, ...]

    @cached_property
    def species_read(self) -> tuple[int, ...]:
        """Species that the variables are read from."""
        n = self.model.n_species
        return tuple(sorted(k for k in frozenset().union(*self.tape.dependencies()) if k < n))

    @property
    def has_tumour(self) -> bool:
        """Whether the model has a tumour."""
        return VOLUME in self.model.quantity_table

    @property
    def follows_progression(self) -> bool:
        """Whether treatment depends on tumour assessments."""
        slots = any(s.until or s.line > 1 for s in self.slots)
        return slots or any(x.variable == PROGRESSION for x in self.limits)

    def unit(self, name: str) -> tuple[float, str]:
        """Factor from the model's unit of a variable to the unit it is reported in, and that unit."""
        if name.startswith(plasma("")):
            return plasma_unit(name)
        if name.startswith(exposure("")):
            return area_unit(name.removeprefix(exposure("")))
        own = self.model.quantity_table.get(name) or self.model.species[self.model.species_index[name]]
        return 1.0, own.unit


def area_unit(name: str) -> tuple[float, str]:
    """Factor from nM*h to the unit the area of a drug is reported in, and that unit: days, hours for inhibitors."""
    factor, unit = plasma_unit(plasma(name))
    mass, volume = unit.split("/")
    if load_drug(name).kind == "tki":
        return factor, f"{mass}*h/{volume}"
    return factor / 24.0, f"{mass}*d/{volume}"


@dataclass(frozen=True)
class Trial:
    """A cohort made ready.

    Attributes:
        settings: what was asked for.
        plans: the arms.
        defaults: typical value of every parameter of any arm.
    """

    settings: CohortSettings
    plans: tuple[ArmPlan, ...]
    defaults: Mapping[str, float]


def build_trial(settings: CohortSettings) -> Trial:
    """Make a cohort ready.

    Raises:
        InputError: for everything that the settings ask of a model and it does not have.
    """
    problems = Problems(settings.path or "cohort")
    plans = [p for arm in settings.arms if (p := _plan(settings, arm, problems)) is not None]
    problems.raise_any()
    defaults: dict[str, float] = {}
    for plan in plans:
        defaults |= dict(zip(plan.model.parameter_index, plan.model.default_parameters().tolist(), strict=True))
    for name, dose in settings.drugs.items():
        defaults |= {f"{name}.{k}": q.canonical for k, q in dose.model.parameters.items() if k in ("F", "tlag")}
    _check_names(settings, plans, defaults, problems)
    problems.raise_any()
    return Trial(settings, tuple(plans), defaults)


def _plan(settings: CohortSettings, arm: Arm, problems: Problems) -> ArmPlan | None:
    try:
        model = _model(settings, arm)
    except InputError as error:
        for p in error.problems:
            problems.add(p.rule, p.remedy, column=p.column, value=p.value)
        return None
    known = [*model.quantity_table, *model.species_index]
    library = Library({name: settings.drugs[name].drug for name in settings.drugs_of(arm)}, {})
    # A parameter of one arm need not exist in another; whether it exists in any is checked for all together.
    own = {k: v for k, v in settings.parameters.items() if library.spelt(k) in model.parameter_index}
    changes = overrides(own, model, problems, library, "patient")
    fixed = {model.parameter_index[k]: v for k, v in changes.items()}
    circulating = _circulating(settings, arm)
    ends = settings.endpoints
    limits = [x for r in arm.rules if (x := _limit(r, model, known, circulating, problems)) is not None]
    above, below = (_thresholds(given, settings, model, key, problems) for key, given in _sides(settings))
    trough = _present(ends.trough, settings, model) if ends.trough is not None else _usual_trough(settings, model)
    shown = _present(settings.output.variables, settings, model) or _usual_shown(model, trough)
    wanted = [plasma(x) for x in circulating] + [exposure(x) for x in circulating]
    wanted += [VOLUME] if VOLUME in model.quantity_table else []
    wanted += [*trough, *above, *below, *(x.variable for x in limits if x.variable != PROGRESSION)]
    wanted += [v for v in shown if v != "SLD"]
    names = tuple(dict.fromkeys(wanted))
    base = model.default_parameters()
    for index, value in fixed.items():
        base[index] = value
    slots = _slots(settings, arm)
    plan = ArmPlan(
        arm, model, base, fixed, slots, circulating, names, model.output_tape(names), tuple(limits), above, below,
        trough, shown,
    )  # fmt: skip
    if plan.follows_progression and not plan.has_tumour:
        rule = f"arm '{arm.name}' follows progression, but no tumour is modelled"
        problems.add(rule, 'Add [tumour] kind = "populations" or "signal".', column="tumour")
    return plan


def _model(settings: CohortSettings, arm: Arm) -> Model:
    drugs = []
    for name in settings.drugs_of(arm):
        dose = settings.drugs[name]
        own = dose.model
        structure = Structure(
            own.peripherals, own.linear, "Vmax" in own.parameters, "ka" in own.parameters, own.transits
        )
        drugs.append(PatientDrug(dose.drug, structure, own.individual({}), own.payload, own.released_values({})))
    tumour = settings.tumour
    ligand = settings.varies_ligand and (tumour.kind == "signal" or settings.signals)
    return virtual_patient(drugs, TumourModel(tumour.kind, tumour.zones, settings.signals, ligand, tumour.values))


def _circulating(settings: CohortSettings, arm: Arm) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in settings.drugs_of(arm):
        found[name] = name
        if settings.drugs[name].model.payload:
            found.setdefault(settings.drugs[name].model.payload, name)
    chosen = settings.endpoints.exposure
    return found if chosen is None else {k: v for k, v in found.items() if k in chosen or plasma(k) in chosen}


def _slots(settings: CohortSettings, arm: Arm) -> tuple[Slot, ...]:
    found = []
    for block, given in enumerate(arm.doses):
        dose, regimen = given.dose, given.dose.regimen
        for number in range(1, (regimen.doses or 1) + 1):
            time = dose.time + (number - 1) * regimen.interval + dose.delayed.get(number, 0.0)
            if time >= settings.stop:
                continue
            amount = regimen.amount
            if number == 1 and regimen.loading is not None:
                amount = regimen.loading
            changes = [n for n in dose.reduced if n <= number]
            amount = dose.reduced[max(changes)] if changes else amount
            stream = f"adherence {dose.drug.name} {block}"
            given_at_all = number not in dose.missed
            found.append(Slot(dose, stream, number, time, amount, given_at_all, given.line, given.until))
    return tuple(found)


def _sides(settings: CohortSettings) -> tuple[tuple[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]]:
    return ("above", settings.endpoints.above), ("below", settings.endpoints.below)


def _present(names: Sequence[str], settings: CohortSettings, model: Model) -> tuple[str, ...]:
    """Those of some variables that this arm's model has."""
    return tuple(n for n in names if n in model.quantity_table or n in model.species_index or n == "SLD")


def _usual_trough(settings: CohortSettings, model: Model) -> tuple[str, ...]:
    wanted = [q for q in model.quantity_table if q.startswith(("occupancy.", "pAKT.")) and "@" not in q]
    return tuple(wanted)


def _usual_shown(model: Model, trough: Sequence[str]) -> tuple[str, ...]:
    names = [q for q in model.quantity_table if q.startswith(plasma(""))]
    tumour = [VOLUME, "SLD"] if VOLUME in model.quantity_table else []
    return (*names, *tumour, *trough)


def _thresholds(
    given: Mapping[str, Any], settings: CohortSettings, model: Model, key: str, problems: Problems
) -> dict[str, float]:
    found = {}
    for name in _present(list(given), settings, model):
        value = _value(given[name], name, model, problems, f"endpoints.{key}.{name}")
        if value is not None:
            found[name] = value
    return found


def _value(text: Any, name: str, model: Model, problems: Problems, column: str) -> float | None:
    """A limit of a variable, in the model's unit; those relative to something are plain numbers."""
    own = model.quantity_table.get(name) or model.species[model.species_index[name]]
    drug = next((name.removeprefix(x) for x in (plasma(""), exposure("")) if name.startswith(x)), "")
    try:
        parse_unit(own.unit)
        unit = own.unit
    except InputError:
        unit = "1"  # "relative to untreated" and the like
    try:
        return quantity(text, unit, molar_mass=_molar_mass(drug) if drug else None)
    except InputError as error:
        for p in error.problems:
            problems.add(p.rule, p.remedy, column=column, value=text)
        return None


def _molar_mass(name: str) -> float:
    return load_drug(name).molar_mass.canonical


def _limit(
    rule: Rule, model: Model, known: Sequence[str], circulating: Mapping[str, str], problems: Problems
) -> Limit | None:
    if rule.variable == PROGRESSION:
        return Limit(rule, PROGRESSION, np.inf, -np.inf)
    name = exposure(rule.variable.removeprefix(plasma(""))) if rule.measure == "auc" else rule.variable
    if name not in known:
        problems.add("unknown variable", nearest(name, known), column="arm.rule.variable", value=rule.variable)
        return None
    above = np.inf if rule.above is None else _value(rule.above, name, model, problems, "arm.rule.above")
    below = -np.inf if rule.below is None else _value(rule.below, name, model, problems, "arm.rule.below")
    return None if above is None or below is None else Limit(rule, name, above, below)


def _check_names(
    settings: CohortSettings, plans: Sequence[ArmPlan], defaults: Mapping[str, float], problems: Problems
) -> None:
    known = {n for plan in plans for n in (*plan.model.quantity_table, *plan.model.species_index)}
    ends, out = settings.endpoints, settings.output
    for column, names in (
        ("endpoints.trough", ends.trough or ()),
        ("endpoints.above", ends.above),
        ("endpoints.below", ends.below),
        ("output.variables", [v for v in out.variables if v != "SLD"]),
    ):
        for name in names:
            if name not in known:
                problems.add("unknown variable", nearest(name, known), column=column, value=name)
    circulating = {x for plan in plans for x in (s.removeprefix(plasma("")) for s in plan.model.quantity_table)}
    for name in ends.exposure or ():
        if name.removeprefix(plasma("")) not in circulating:
            rule = "is neither a drug nor a payload in plasma"
            problems.add(rule, nearest(name, circulating), column="endpoints.exposure", value=name)
    library = Library({name: d.drug for name, d in settings.drugs.items()}, {})
    for name in settings.parameters:
        if library.spelt(name) not in defaults:
            rule = "is not a parameter of any arm's model"
            problems.add(rule, nearest(name, defaults), column=f"parameters.{name}", value=settings.parameters[name])
    for variation in settings.variations:
        if not matches(variation.pattern, defaults):
            rule = "is not a parameter of any arm's model"
            problems.add(rule, nearest(variation.pattern, defaults), column="variability", value=variation.pattern)
    for name in settings.posterior.draws if settings.posterior is not None else ():
        if name not in defaults:
            rule = "is not a parameter of any arm's model"
            remedy = f"{nearest(name, defaults)} [posterior.parameters] maps parameters to columns."
            problems.add(rule, remedy, column="posterior.parameters", value=name)
    _check_table(settings, defaults, problems)


def _check_table(settings: CohortSettings, defaults: Mapping[str, float], problems: Problems) -> None:
    covariates = {*COVARIATE_UNITS, *COVARIATE_WORDS, *COVARIATE_FLAGS}
    table = settings.population.table
    if table is None:
        return
    for name in table:
        if name not in covariates and name not in defaults:
            rule = "is neither a covariate nor a parameter of any arm's model"
            problems.add(rule, nearest(name, {*covariates, *defaults}), column="population.table", value=name)
    weighed = any(a.per for d in settings.doses for a in _amounts(d))
    if weighed and "weight" not in table and "weight" not in settings.population.covariates:
        rule = "doses per kg or m2 need the patients' weight"
        problems.add(rule, "Add a column 'weight [kg]'.", column="population.table")


def _amounts(dose: PatientDose) -> list[Amount]:
    loading = [dose.regimen.loading] if dose.regimen.loading is not None else []
    return [dose.regimen.amount, *loading, *dose.reduced.values()]
