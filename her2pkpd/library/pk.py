"""Population pharmacokinetics of a drug: typical values, covariates, variability, residual error, validity.

A drug's file may hold several published models, ``[pk.NAME]``; they are never mixed, because constants such as Vmax
and Km of one study mean nothing in another.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from her2pkpd import portable
from her2pkpd.errors import Problems
from her2pkpd.library.numbers import Quantity
from her2pkpd.library.quantity import Table, check_keys, read_quantity, read_source
from her2pkpd.sources import Source

CovariateValue = float | str | bool
Convention = Literal["ln(1 + CV^2)", "CV^2"]

PAYLOAD_UNITS = {
    "Krel": "1/h",
    "Krel_cycle_exponent": "1",
    "Krel_later_cycles": "1",
    "payload_per_antibody": "1",
    "CL": "L/h",
    "Vc": "L",
}
MICRO = {"CL": ("ke", "Vc"), "Q": ("K12", "Vc"), "Vp": ("K12", "Vc", "K21")}
"""Clearances and volumes of models that were published in rate constants: CL = ke*Vc, Q = K12*Vc, Vp = Q/K21."""

_UNITS = {
    "ke": "1/h",
    "K12": "1/h",
    "K21": "1/h",
    "CL": "L/h",
    "Q": "L/h",
    "Q2": "L/h",
    "Vc": "L",
    "Vp": "L",
    "Vp2": "L",
    "Vmax": "nmol/h",
    "Km": "nM",
    "ka": "1/h",
    "ktr": "1/h",
    "F": "1",
    "tlag": "h",
    "D": "h",
}
_FORMS = ("power", "exponential", "linear", "factor")
_KEYS = (
    *("citation", "certainty", "description", "routes", "peripherals", "linear", "transits", "cv_convention"),
    *("parameters", "covariate", "covariance", "correlation", "residual", "validity", "released"),
)


@dataclass(frozen=True)
class Effect:
    """How a covariate moves a parameter.

    Attributes:
        parameter: what it moves.
        covariate: its name.
        form: "power" (x/reference)^c, "exponential" exp(c*(x - reference)), "linear" 1 + c*(x - reference), "factor"
            c where the covariate `equals`.
        coefficient: c.
        reference: value at which it does nothing.
        unit: of the covariate.
        equals: for "factor".
        cap: the covariate counts as at most this.
    """

    parameter: str
    covariate: str
    form: Literal["power", "exponential", "linear", "factor"]
    coefficient: float
    reference: float = 0.0
    unit: str = "1"
    equals: CovariateValue = True
    cap: float = math.inf

    def multiplier(self, value: Any) -> Any:
        """Factor on the parameter at a value of the covariate, in the effect's own unit; values may be an array."""
        if self.form == "factor":
            return np.where(np.asarray(value) == self.equals, self.coefficient, 1.0)
        x = np.minimum(np.asarray(value, dtype=float), self.cap)
        if self.form == "power":
            return portable.power(x / self.reference, self.coefficient)
        shift = self.coefficient * (x - self.reference)
        return portable.exp(shift) if self.form == "exponential" else 1.0 + shift


@dataclass(frozen=True)
class Validity:
    """Where a model was estimated; outside it a simulation warns.

    Attributes:
        quantity: "dose" (per administration) or a covariate.
        low, high: ends.
        unit: of both.
        reason: what is known outside.
    """

    quantity: str
    low: float
    high: float
    unit: str
    reason: str


@dataclass(frozen=True)
class PharmacokineticModel:
    """One published model.

    Attributes:
        name: its key in the file.
        source: citation and certainty of every number that has none of its own.
        description: what it is for, and what to beware of.
        routes: "iv", "sc", "oral": routes it describes.
        peripherals, linear, transits: structure; a model is saturable if it has Vmax, has a depot if it has ka.
        parameters: typical values by name, canonical units.
        variances: variances of the normal deviates of log parameters.
        covariances: covariances of those deviates.
        effects: covariate model.
        proportional: SD of the proportional residual error, as a fraction.
        additive: SD of the additive residual error, nM.
        validity: where it holds.
        payload: released payload, or "".
        released: its constants.
    """

    name: str
    source: Source
    description: str
    routes: tuple[str, ...]
    peripherals: int
    linear: bool
    transits: int
    parameters: Mapping[str, Quantity]
    variances: Mapping[str, float]
    covariances: Mapping[tuple[str, str], float]
    effects: tuple[Effect, ...]
    proportional: float = 0.0
    additive: float = 0.0
    validity: tuple[Validity, ...] = ()
    payload: str = ""
    released: Mapping[str, Quantity] = field(default_factory=dict)

    @property
    def covariates(self) -> dict[str, str]:
        """Covariates it uses, with their units."""
        return {e.covariate: e.unit for e in self.effects}

    def covariance(self) -> tuple[list[str], np.ndarray]:
        """Names of the varying parameters and the covariance matrix of their log deviates."""
        names = list(self.variances)
        matrix = np.diag([self.variances[n] for n in names])
        for (a, b), value in self.covariances.items():
            i, j = names.index(a), names.index(b)
            matrix[i, j] = matrix[j, i] = value
        return names, matrix

    def individuals(
        self, covariates: Mapping[str, Any], deviates: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, Any]:
        """Parameters of patients, canonical units: typical value * covariate effects * exp(deviate).

        A model published in rate constants (`MICRO`) gives clearances and volumes: its Q and Vp follow Vc.

        Args:
            covariates: arrays by name, (L,) each, in the unit of `covariates`; one that is missing is at its reference.
            deviates: log deviates by parameter, (L,) each.

        Returns:
            By name: (L,) where patients differ, a number where they do not.
        """
        values: dict[str, Any] = {name: q.canonical for name, q in self.parameters.items()}
        for effect in self.effects:
            if effect.covariate in covariates and effect.parameter in values:
                values[effect.parameter] = values[effect.parameter] * effect.multiplier(covariates[effect.covariate])
        for name, deviate in (deviates or {}).items():
            values[name] = values[name] * portable.exp(deviate)
        if "ke" in values:
            values["CL"] = values.pop("ke") * values["Vc"]
        if "K12" in values:
            values["Q"] = values.pop("K12") * values["Vc"]
            values["Vp"] = values["Q"] / values.pop("K21")
        return values

    def individual(
        self, covariates: Mapping[str, CovariateValue], deviates: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """`individuals` for one patient."""
        many = {name: np.asarray(deviate) for name, deviate in (deviates or {}).items()}
        return {name: float(value) for name, value in self.individuals(covariates, many).items()}

    def moved_by(self, covariates: Iterable[str]) -> set[str]:
        """Names in `individual` of the parameters that any of the covariates moves."""
        chosen = set(covariates)
        moved = {e.parameter for e in self.effects if e.covariate in chosen}
        through = {name for name, parts in MICRO.items() if parts[0] in self.parameters and moved & set(parts)}
        return (moved | through) - {part for parts in MICRO.values() for part in parts if part != "Vc"}

    def released_individuals(self, covariates: Mapping[str, Any]) -> dict[str, Any]:
        """Constants of the released payload, by name as `individuals`; see `PAYLOAD_UNITS`."""
        values: dict[str, Any] = {name: q.canonical for name, q in self.released.items()}
        for effect in self.effects:
            payload, _, name = effect.parameter.partition(".")
            if payload == self.payload and name in values and effect.covariate in covariates:
                values[name] = values[name] * effect.multiplier(covariates[effect.covariate])
        if "Krel_cycle_exponent" in values:
            values["Krel_cycle_exponent"] *= -1.0
        return values

    def released_values(self, covariates: Mapping[str, CovariateValue]) -> dict[str, float]:
        """`released_individuals` for one patient."""
        return {name: float(value) for name, value in self.released_individuals(covariates).items()}


def read_pk(tables: Table, molar_mass: float, problems: Problems) -> dict[str, PharmacokineticModel]:
    """Every ``[pk.NAME]`` of a drug's file.

    Args:
        tables: the ``[pk]`` table.
        molar_mass: g/mol.
        problems: collects what is wrong.
    """
    found = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            problems.add("must be a table", f"Write [pk.{name}].", column=f"pk.{name}", value=table)
            continue
        model = _read(name, table, molar_mass, problems)
        if model:
            found[name] = model
    return found


def _read(name: str, table: Table, molar_mass: float, problems: Problems) -> PharmacokineticModel | None:
    key, before = f"pk.{name}", len(problems.found)
    check_keys(table, _KEYS, key, problems)
    source = read_source(table, key, problems)
    given = table.get("parameters", {})
    check_keys(given, _UNITS, f"{key}.parameters", problems)
    elimination = ("CL",) if table.get("linear", True) and "ke" not in given else ()
    for needed in ("Vc", *elimination, *(("K21",) if "K12" in given else ())):
        if needed not in given:
            problems.add("is missing", f"Give {needed} with its unit.", column=f"{key}.parameters.{needed}")
    shared = {"citation": source.citation, "certainty": source.certainty} if source else {}
    parameters: dict[str, Quantity] = {}
    variances: dict[str, float] = {}
    power = table.get("cv_convention", "ln(1 + CV^2)")
    if power not in ("ln(1 + CV^2)", "CV^2"):
        rule = 'cv_convention must be "ln(1 + CV^2)" or "CV^2"'
        problems.add(rule, "Say how the CV was made from omega^2.", column=f"{key}.cv_convention", value=power)
    for macro, (constant, *_) in MICRO.items():
        if macro in given and constant in given:
            rule, remedy = f"stands beside {constant}, which says the same", "Keep one of the two."
            problems.add(rule, remedy, column=f"{key}.parameters.{macro}", value=given[macro])
    for which, entry in given.items():
        place, unit = f"{key}.parameters.{which}", _UNITS.get(which)
        quantity = read_quantity({**shared, **entry}, place, problems, unit=unit, molar_mass=molar_mass)
        if quantity:
            parameters[which] = quantity
        if "cv" in entry:
            variances[which] = math.log1p(entry["cv"] ** 2) if power == "ln(1 + CV^2)" else entry["cv"] ** 2
    covariances = _covariances(table, variances, key, problems)
    effects = tuple(_effect(x, f"{key}.covariate[{i + 1}]", problems) for i, x in enumerate(table.get("covariate", [])))
    released, payload = _released(table.get("released", {}), key, shared, problems)
    residual = table.get("residual", {})
    additive = (
        read_quantity(
            {**shared, **residual["additive"]}, f"{key}.residual.additive", problems, unit="nM", molar_mass=molar_mass
        )
        if "additive" in residual
        else None
    )
    if len(problems.found) > before or source is None:
        return None
    return PharmacokineticModel(
        name, source, str(table.get("description", "")), tuple(table.get("routes", ())),
        int(table.get("peripherals", 1)), bool(table.get("linear", True)), int(table.get("transits", 0)),
        parameters, variances, covariances, tuple(e for e in effects if e),
        float(residual.get("proportional", 0.0)), additive.canonical if additive else 0.0,
        tuple(Validity(**v) for v in table.get("validity", ())), payload, released,
    )  # fmt: skip


def _effect(table: Table, key: str, problems: Problems) -> Effect | None:
    known = ["parameter", "covariate", "form", "coefficient", "reference", "unit", "equals", "cap"]
    check_keys(table, known, key, problems)
    missing = [k for k in known[:4] if k not in table]
    if missing or table.get("form") not in _FORMS:
        rule = f"an effect needs parameter, covariate, coefficient and a form, one of {', '.join(_FORMS)}"
        problems.add(rule, "Complete it.", column=key, value=dict(table))
        return None
    return Effect(**{k: table[k] for k in known if k in table})


def _covariances(
    table: Table, variances: Mapping[str, float], key: str, problems: Problems
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for kind in ("covariance", "correlation"):
        for pair, value in table.get(kind, {}).items():
            a, _, b = pair.partition(" ")
            if a not in variances or b not in variances:
                rule = "a covariance must join two parameters that have a cv"
                problems.add(rule, 'Write "CL Vc" = 0.02.', column=f"{key}.{kind}", value=pair)
                continue
            scale = math.sqrt(variances[a] * variances[b]) if kind == "correlation" else 1.0
            found[a, b] = value * scale
    return found


def _released(table: Table, key: str, shared: Mapping[str, Any], problems: Problems) -> tuple[dict[str, Quantity], str]:
    if not table:
        return {}, ""
    check_keys(table, ["payload", *PAYLOAD_UNITS], f"{key}.released", problems)
    found: dict[str, Quantity] = {}
    for name, unit in PAYLOAD_UNITS.items():
        entry = {**shared, **table.get(name, {})}
        quantity = read_quantity(entry, f"{key}.released.{name}", problems, unit=unit)
        if quantity:
            found[name] = quantity
    return found, str(table.get("payload", ""))


def route_model(models: Mapping[str, PharmacokineticModel], route: str) -> PharmacokineticModel | None:
    """The first model that describes a route: the library's default for it."""
    return next((m for m in models.values() if route in m.routes), None)


def offered_routes(models: Mapping[str, PharmacokineticModel]) -> Sequence[str]:
    """Every route some model describes."""
    return list(dict.fromkeys(r for m in models.values() for r in m.routes))
