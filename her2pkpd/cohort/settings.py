"""``cohort.toml`` as typed objects: who is treated, with what, and what is wanted of them."""

import fnmatch
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from her2pkpd.dosing.regimen import Amount
from her2pkpd.library import Drug
from her2pkpd.library.pk import PharmacokineticModel
from her2pkpd.simulate.patient_scenario import PatientDose
from her2pkpd.systems.virtual_patient import TumourKind

ATOL = 0.1
"""Absolute tolerance of a step, in units of the relative one and of a species' scale."""

LOSSES = ("PTEN_loss", "PIK3CA_mutation")
"""Alterations downstream of HER2 that may be drawn."""

ACCURACY = 1e-3
"""Error of endpoints that 99 % of patients stay below, unless asked otherwise."""


@dataclass(frozen=True)
class Population:
    """Who is treated.

    Attributes:
        name: of the library's population that covariates are drawn from.
        size: number of patients.
        seed: of every random number.
        design: "crossed": every patient is treated in every arm; "parallel": each in one, drawn at random.
        variability: whether pharmacokinetic parameters vary beyond the covariates.
        covariates: the same for everyone, numbers in the library's units.
        table: the user's own patients, one row each, or None; its columns are covariates and parameters.
    """

    name: str = "metastatic breast"
    size: int = 1000
    seed: int = 0
    design: Literal["crossed", "parallel"] = "crossed"
    variability: bool = True
    covariates: Mapping[str, Any] = field(default_factory=dict)
    table: pd.DataFrame | None = None


@dataclass(frozen=True)
class Tumour:
    """The patients' tumours.

    Attributes:
        kind: "none", "signal" or "populations"; see `her2pkpd.systems.virtual_patient`.
        zones: of "populations".
        ihc: probability of each IHC score, which sets receptors per cell; empty means everyone has `HER2`.
        HER2: median receptors per (positive) cell, copies/cell, where `ihc` is empty.
        HER2_sd: SD of ln(receptors per cell) between tumours of one score.
        negative: median share of HER2-negative cells, of "populations".
        negative_sd: SD of its logit.
        lesions: number of equal spheres whose diameters add up to the covariate ``tumour_burden``.
        loss: probability of ``PTEN_loss`` and ``PIK3CA_mutation``.
        signal: of "populations": whether the positive cells depend on the HER2 signal; None means that they do where
            something in the trial acts on it.
        values: typical values of other constants by name, canonical units.
    """

    kind: TumourKind = "none"
    zones: int = 1
    ihc: Mapping[str, float] = field(default_factory=dict)
    HER2: float = 1e6
    HER2_sd: float = 0.0
    negative: float = 0.0
    negative_sd: float = 0.0
    lesions: int = 3
    loss: Mapping[str, float] = field(default_factory=dict)
    signal: bool | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Variation:
    """Log-normal variability of a parameter of the model.

    Attributes:
        pattern: its name; with ``*`` it stands for several, which then share one deviate.
        sd: standard deviation of the logarithm.
    """

    pattern: str
    sd: float


@dataclass(frozen=True)
class Posterior:
    """Joint draws of parameters; each patient has one of them.

    Attributes:
        draws: one row a draw, columns named as the model's parameters, canonical units.
    """

    draws: pd.DataFrame


@dataclass(frozen=True)
class ArmDose:
    """A dose of an arm.

    Attributes:
        dose: drug, amount, route and times; times count from the beginning of its line.
        line: 1 for first-line treatment; line n + 1 begins when the tumour progresses under line n.
        until: "progression" ends the doses when the tumour progresses; "" does not.
    """

    dose: PatientDose
    line: int = 1
    until: Literal["", "progression"] = ""


@dataclass(frozen=True)
class Rule:
    """What is done to a patient whose state meets a condition at a visit.

    A rule is asked before every dose of its drug from the second on.

    Attributes:
        drug: whose doses it governs.
        variable: a variable of the model, "progression", or for `measure` "auc" a drug or payload in plasma.
        measure: of the variable: "now"; "auc" since the dose before.
        above, below: limits, as text with unit; None where not given.
        then: "reduce" to the next of `levels`, "delay" the dose and those after it, "stop" treatment with the drug.
        levels: amounts to be reduced to, one after the other.
        by: delay, h.
        most: delays in all before the drug is stopped instead.
        stop_after_last: whether a patient at the last level who meets the condition again is taken off the drug.
    """

    drug: str
    variable: str
    measure: Literal["now", "auc"] = "now"
    above: Any = None
    below: Any = None
    then: Literal["reduce", "delay", "stop"] = "reduce"
    levels: tuple[Amount, ...] = ()
    by: float = 0.0
    most: int = 2
    stop_after_last: bool = False


@dataclass(frozen=True)
class Arm:
    """One arm of the trial."""

    name: str
    doses: tuple[ArmDose, ...] = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Endpoints:
    """What is kept of every patient.

    Attributes:
        exposure: drugs and payloads whose AUC, Cmax and Cmin are kept; None means all.
        intervals: dosing intervals they are kept for: "first", "last" or a number.
        trough: variables whose value at the end of those intervals is kept; None means occupancy and pAKT.
        above, below: thresholds by variable, as text with unit: the share of time spent beyond them is kept.
        assess: time between tumour assessments, h.
    """

    exposure: tuple[str, ...] | None = None
    intervals: tuple[str, ...] = ("first", "last")
    trough: tuple[str, ...] | None = None
    above: Mapping[str, Any] = field(default_factory=dict)
    below: Mapping[str, Any] = field(default_factory=dict)
    assess: float = 1008.0


@dataclass(frozen=True)
class Output:
    """How long, and what else is written.

    Attributes:
        stop: end of the simulation, h; None is the end of the longest planned treatment.
        part: patients in a file.
        trajectories: how many patients' time courses are kept, evenly spread over the cohort.
        step: time between their points, h.
        variables: their variables; empty means plasma, tumour volume and what the troughs are of.
    """

    stop: float | None = None
    part: int = 10_000
    trajectories: int = 0
    step: float = 24.0
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Solver:
    """How accurately patients are computed.

    Attributes:
        rtol: relative tolerance of a step; None takes the loosest that reaches `accuracy` (`her2pkpd.cohort.tuning`).
        accuracy: relative error of endpoints that 99 % of patients stay below.
        max_steps: steps a patient may take between two decisions.
    """

    rtol: float | None = None
    accuracy: float = ACCURACY
    max_steps: int = 100_000


@dataclass(frozen=True)
class CohortSettings:
    """A cohort.

    Attributes:
        population: who.
        arms: with what.
        tumour, variations, posterior: what their tumours are like.
        endpoints, output, solver: what is kept, and how well it is computed.
        parameters: the same for everyone, as text with unit, by name.
        path: the file, for messages.
    """

    population: Population
    arms: tuple[Arm, ...]
    tumour: Tumour = field(default_factory=Tumour)
    variations: tuple[Variation, ...] = ()
    posterior: Posterior | None = None
    endpoints: Endpoints = field(default_factory=Endpoints)
    output: Output = field(default_factory=Output)
    solver: Solver = field(default_factory=Solver)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything the results depend on but the library; the file's name and comments do not count."""
        return hashlib.sha256(json.dumps(_plain(replace(self, path="")), sort_keys=True).encode()).hexdigest()

    @cached_property
    def doses(self) -> Sequence[PatientDose]:
        """Every dose of every arm."""
        return [d.dose for arm in self.arms for d in arm.doses]

    @cached_property
    def drugs(self) -> Mapping[str, PatientDose]:
        """The first dose of every drug, by drug."""
        found: dict[str, PatientDose] = {}
        for dose in self.doses:
            found.setdefault(dose.drug.name, dose)
        return found

    def drugs_of(self, arm: Arm) -> list[str]:
        """Drugs of an arm; an arm without any is modelled with those of the trial."""
        return list(dict.fromkeys(d.dose.drug.name for d in arm.doses)) or list(self.drugs)

    @cached_property
    def varies_ligand(self) -> bool:
        """Whether there is, or may be, NRG1 around the cells of the tumours."""
        return "NRG1" in self.tumour.values or any(
            fnmatch.fnmatchcase("tumour.NRG1", v.pattern.replace("[", "[[]")) for v in self.variations
        )

    @cached_property
    def signals(self) -> bool:
        """Whether a tumour of kind "populations" has the HER2 signal: the same in all arms, so that they compare."""
        if self.tumour.kind != "populations":
            return False
        if self.tumour.signal is not None:
            return self.tumour.signal
        acting = any(d.drug.kind in ("antibody", "tki") for d in self.doses)
        return acting or bool(self.tumour.loss) or self.varies_ligand

    @cached_property
    def stop(self) -> float:
        """End of the simulation, h."""
        if self.output.stop is not None:
            return self.output.stop
        return max((_end(d) for d in self.doses), default=0.0)


def _plain(value: Any) -> Any:
    """A settings object as JSON can hold it; entries of the library by name, as the library has a hash of its own."""
    if isinstance(value, (Drug, PharmacokineticModel)):
        return value.name
    if isinstance(value, pd.DataFrame):
        return hashlib.sha256(value.to_csv(index=False).encode()).hexdigest()
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return repr(value)


def _end(dose: PatientDose) -> float:
    return dose.time + max(dose.regimen.doses or 1, 1) * (dose.regimen.interval or 504.0)
