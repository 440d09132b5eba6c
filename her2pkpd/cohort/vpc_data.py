"""Predictive check of a library drug's population model against observed concentrations in NONMEM-style data.

The observed design (doses, times, covariates) is simulated again and again: each data set has new random effects for
every subject and a new residual error for every observation. PRED is the concentration with all random effects zero.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from her2pkpd.cohort.vpc import VisualPredictiveCheck, vpc
from her2pkpd.data.nonmem import Compartment, Subject, read_nonmem, records
from her2pkpd.data.table import Source
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import ComputationError, InputError, Problem, Problems
from her2pkpd.library import Drug, load_drug
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.mechanisms.disposition import Structure, central, depot, plasma
from her2pkpd.model import Model
from her2pkpd.settings import nearest
from her2pkpd.systems.patient import PatientDrug, patient_model
from her2pkpd.units import convert


@dataclass(frozen=True)
class Units:
    """Units of the data.

    Attributes:
        time: of TIME and II.
        amount: of AMT; RATE is this per `time`.
        concentration: of DV.
    """

    time: str = "h"
    amount: str = "mg"
    concentration: str = "ug/mL"


@dataclass(frozen=True)
class Design:
    """What was observed, in a form that can be simulated.

    Attributes:
        observed: one row per observation: ``id, time`` (unit of the data), ``value, pred`` (unit of the data),
            ``lloq`` (NaN without a limit), and the columns of the data asked for.
        subjects: the individuals, times in h and amounts in nmol.
        covariates: the library's, (S,) each.
    """

    observed: pd.DataFrame
    subjects: list[Subject]
    covariates: Mapping[str, np.ndarray]


class DataCheck:
    """A population model and the data it is checked against.

    Args:
        data: a NONMEM-style table; doses go to CMT 1, DV below the limit is marked by CENS 1 with the limit in DV.
        drug: name in the library.
        pk: name of its model; None is the first of the route.
        route: "iv", "sc" or "oral": what CMT 1 is.
        units: of the data.
        covariates: column of the data by covariate of the library; those left out are at the model's reference.
        keep: further columns of the data, first value of every subject.

    Raises:
        InputError: for bad data, columns that are missing, and drugs or models the library does not have.
    """

    def __init__(
        self,
        data: Source | Any,
        drug: str,
        *,
        pk: str | None = None,
        route: str = "iv",
        units: Units | None = None,
        covariates: Mapping[str, str] | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        self.drug, self.units, self.route = load_drug(drug), units or Units(), route
        self.pk = _model(self.drug, pk, route)
        mass, own = self.drug.molar_mass.canonical, self.units
        self._hours = convert(1.0, own.time, "h")
        self._amount = convert(1.0, own.amount, "nmol", molar_mass=mass)
        self._shown = convert(1.0, "nM", own.concentration, molar_mass=mass)
        subjects = [_scaled(s, self._hours, self._amount) for s in read_nonmem(data)]
        subjects = [s for s in subjects if len(s.time)]
        columns = _columns(subjects, dict(covariates or {}), keep)
        structure = Structure(
            self.pk.peripherals, self.pk.linear, "Vmax" in self.pk.parameters, "ka" in self.pk.parameters,
            self.pk.transits,
        )  # fmt: skip
        self.model: Model = patient_model([PatientDrug(self.drug, structure, self.pk.individual({}))])
        width = max(len(s.time) for s in subjects)
        self._seen = np.array([np.arange(width) < len(s.time) for s in subjects])
        self._times = np.array([np.pad(s.save_times(), (0, width - len(s.time)), mode="edge") for s in subjects])
        self.design = Design(pd.DataFrame(), subjects, {k: columns[v] for k, v in (covariates or {}).items()})
        self.design = replace(self.design, observed=self._observed(columns, keep))

    def simulate(self, replicates: int, *, seed: int = 0) -> Iterator[np.ndarray]:
        """Data sets with the observed design.

        Args:
            replicates: how many.
            seed: of the random effects and errors.

        Yields:
            (rows of ``design.observed``,) concentrations in the data's unit.

        Raises:
            ComputationError: if a subject cannot be simulated.
        """
        rng = np.random.default_rng(seed)
        names, matrix = self.pk.covariance()
        for _ in range(replicates):
            drawn = rng.multivariate_normal(np.zeros(len(names)), matrix, size=len(self.design.subjects), method="eigh")
            c = self._concentrations(dict(zip(names, drawn.T, strict=True)))
            noise = rng.standard_normal((2, len(c)))
            yield c * (1.0 + self.pk.proportional * noise[0]) + self.pk.additive * self._shown * noise[1]

    def check(self, replicates: int = 500, *, seed: int = 0, **options: Any) -> VisualPredictiveCheck:
        """The visual predictive check.

        Args:
            replicates: simulated data sets.
            seed: of the random effects and errors.
            options: of `her2pkpd.cohort.vpc.vpc`, such as ``correct=True``.
        """
        return vpc(self.design.observed, self.simulate(replicates, seed=seed), **options)

    def _observed(self, columns: Mapping[str, np.ndarray], keep: Sequence[str]) -> pd.DataFrame:
        subjects = self.design.subjects
        many = [len(s.time) for s in subjects]
        value = np.concatenate([s.value for s in subjects])
        low = np.concatenate([s.censored for s in subjects]) == 1
        frame = {
            "id": np.repeat([s.id for s in subjects], many),
            "time": np.concatenate([s.time for s in subjects]) / self._hours,
            "value": np.where(low, np.nan, value),
            "lloq": np.where(low.any(), value[low].min(initial=np.inf), np.nan),
            "pred": self._concentrations({}),
        }
        return pd.DataFrame({**frame, **{k: np.repeat(columns[k], many) for k in keep}})

    def _concentrations(self, deviates: Mapping[str, np.ndarray]) -> np.ndarray:
        subjects, index = self.design.subjects, self.model.parameter_index
        own = self.pk.individuals(self.design.covariates, deviates)
        each = {k: np.broadcast_to(v, len(subjects)) for k, v in own.items()}
        parameters = np.tile(self.model.default_parameters(), (len(subjects), 1))
        for name, values in each.items():
            if f"{self.drug.name}.{name}" in index:
                parameters[:, index[f"{self.drug.name}.{name}"]] = values
        lanes = [records(s, {1: self._compartment(each, i)}) for i, s in enumerate(subjects)]
        stop = float(self._times.max()) + 1.0
        segments = compile_schedule(self.model, lanes, parameters, stop=stop).segments
        found = solve(Batch(self.model, parameters, segments, self._times), Options(rtol=1e-6, atol=1e-9))
        if not found.ok.all():
            bad = subjects[int(np.argmin(found.ok))].id
            raise ComputationError(f"subject {bad} could not be simulated; look at their doses and covariates.")
        c = self.model.outputs([plasma(self.drug.name)], found.y, parameters[:, None, :])[:, :, 0]
        return np.maximum(c[self._seen], 0.0) * self._shown

    def _compartment(self, each: Mapping[str, np.ndarray], subject: int) -> Compartment:
        if self.route == "iv":
            return Compartment(central(self.drug.name))
        lag, share = (float(each[k][subject]) if k in each else d for k, d in (("tlag", 0.0), ("F", 1.0)))
        return Compartment(depot(self.drug.name), lag, share)


def _scaled(subject: Subject, hours: float, amount: float) -> Subject:
    events = tuple(
        replace(
            e, time=e.time * hours, amount=e.amount * amount, rate=e.rate * amount / hours if e.rate > 0 else e.rate,
            interval=e.interval * hours,
        )
        for e in subject.events
    )  # fmt: skip
    return replace(subject, events=events, time=subject.time * hours)


def _model(drug: Drug, name: str | None, route: str) -> PharmacokineticModel:
    fitting = [m for m in drug.pk.values() if route in m.routes and name in (None, m.name)]
    if fitting:
        return fitting[0]
    what = f"{drug.name} has no model '{name}' for the route '{route}'" if name else f"{drug.name} is not given {route}"
    known = {f"{m.name} ({', '.join(m.routes)})" for m in drug.pk.values()}
    raise InputError(Problem(what, nearest(name or route, known), column="pk", value=name))


def _columns(subjects: Sequence[Subject], covariates: dict[str, str], keep: Sequence[str]) -> dict[str, np.ndarray]:
    problems = Problems("data")
    if not subjects:
        problems.add("there are no observations", "Give at least one row with EVID 0.")
    problems.raise_any()
    known = list(subjects[0].covariates)
    for name in (*covariates.values(), *keep):
        if name not in known:
            problems.add(f"no column '{name}'", nearest(name, known), column=name)
    problems.raise_any()
    return {name: np.array([s.first(name) for s in subjects]) for name in {*covariates.values(), *keep}}
