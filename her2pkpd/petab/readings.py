"""Wells as PEtab observables and measurements; so are priors that PEtab has no distribution for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit

from her2pkpd.errors import Problems
from her2pkpd.export._formula import number
from her2pkpd.export._identifiers import identifier
from her2pkpd.fit.design import POPULATION, Signal
from her2pkpd.fit.metrics import Metric, curve_signals
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.objective import Evaluation, Observation
from her2pkpd.fit.readouts import is_relative, output_of
from her2pkpd.fit.structure import TIGHT
from her2pkpd.petab.experiments import Experiments
from her2pkpd.petab.names import Names
from her2pkpd.petab.pair import TWIN

PRIOR = "prior"
"""Data set of the measurements that stand for priors."""

DATA = "data"


@dataclass(frozen=True)
class Reading:
    """One row of the measurement table, with what it says in numbers.

    Attributes:
        observable, experiment: identifiers.
        time: h.
        value: measured.
        noise: values or identifiers for the placeholders of the noise formula.
        own: prediction and standard deviation by this package, from an evaluation of the objective and the unknowns.
        log_normal: whether the noise is.
        data_set: `DATA` or `PRIOR`.
    """

    observable: str
    experiment: str
    time: float
    value: float
    noise: tuple[str, ...]
    own: Callable[[Evaluation, np.ndarray], tuple[float, float]]
    log_normal: bool = False
    data_set: str = DATA


@dataclass
class Readings:
    """Observables and measurements, made as they are asked for.

    Attributes:
        names: identifiers of the problem.
        experiments: where wells become experiments.
        observables: rows ``observableId, observableName, observableFormula, noiseFormula, noiseDistribution,
            noisePlaceholders``.
        rows: the measurements.
        left_out: what PEtab cannot say, in words.
    """

    names: Names
    experiments: Experiments
    observables: list[tuple[str, str, str, str, str, str]] = field(default_factory=list)
    rows: list[Reading] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    _known: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def add_wells(self, observations: Sequence[Observation]) -> None:
        """Add measured wells; censored ones are left out, by name."""
        for i, o in enumerate(observations):
            signal = o.signal
            if o.censoring != "none":
                self.left_out.append(f"{_words(signal)}: known to lie {_SIDES[o.censoring]} only")
                continue
            noise = self.names.objective.noise.get(signal.readout, Noise())
            known = o.sd if o.sd is not None and noise.file_sd else None
            observable = self._observable(signal, noise)
            levels = {k: self._level(k, signal.readout, noise, known) for k in noise.levels}
            own = self._well(i, levels)
            experiment, log_normal = self.experiments.of(signal.treatment), noise.kind == "log-normal"
            words = tuple(text for text, _ in levels.values())
            self.rows.append(Reading(observable, experiment, signal.time, o.value, words, own, log_normal))

    @staticmethod
    def _well(i: int, levels: Mapping[str, tuple[str, Callable[[np.ndarray], float]]]) -> Any:
        def own(evaluation: Evaluation, u: np.ndarray) -> tuple[float, float]:
            prediction = float(evaluation.predictions[i])
            sd, cv = (levels[k][1](u) if k in levels else 0.0 for k in ("sd", "cv"))
            return prediction, float(np.hypot(sd, cv * prediction))

        return own

    def add_metrics(self, metrics: Sequence[Metric]) -> None:
        """Add GRmax as the response at the highest dose; what is read off a whole curve is left out, by name."""
        sd = self.names.objective.metric_noise.efficacy
        for j, m in enumerate(metrics):
            if m.is_potency or m.censoring != "none":
                why = "read off a whole curve" if m.is_potency else f"known to lie {_SIDES[m.censoring]} only"
                self.left_out.append(f"{m.metric} of {m.drug} in {m.cell_line}, {m.time:g} h: {why}")
                continue
            signal = curve_signals(m)[-1]
            observable = self._observable(signal, Noise(sd=1.0), "metric")
            experiment = self.experiments.of(signal.treatment)
            own = partial(_metric, j, sd)
            self.rows.append(Reading(observable, experiment, signal.time, m.value, (number(sd),), own))

    def _observable(self, signal: Signal, noise: Noise, use: str = "well") -> str:
        """Identifier of what a well is read for; the factor of its normalisation is part of the formula."""
        lane = self.names.objective.design.lane_of[signal.treatment]
        scale = self.names.value("scale", lane, 1.0) if "scale" in self.names.objective.free.targets else "1.0"
        key = (signal.readout, scale, use)
        if key not in self._known:
            name = self._known[key] = identifier(f"read {signal.readout} {use}", self.names.taken)
            formula = self.formula(signal.readout)
            formula = formula if scale == "1.0" else f"{scale} * ({formula})"
            places = {k: f"{k}_{name}" for k in noise.levels}
            spread = places.get("sd", "")
            if noise.follows:
                relative = f"({places['cv']} * ({formula}))^2"
                spread = f"sqrt({places['sd']}^2 + {relative})" if spread else f"sqrt({relative})"
            kind = "log-normal" if noise.kind == "log-normal" else "normal"
            words = signal.readout if use == "well" else f"published {signal.readout} at the highest dose"
            self.observables.append((name, words, formula, spread, kind, ";".join(places.values())))
        return self._known[key]

    def formula(self, readout: str) -> str:
        """A read-out in identifiers of the model."""
        treated = self.names.output(output_of(readout, POPULATION))
        if not is_relative(readout):
            return treated
        control = self.names.output(TWIN + output_of(readout, POPULATION))
        if readout == "gr":
            seeded = self.names.ids["parameter"][f"{POPULATION}.seeded"]
            return f"2 ^ (ln({treated} / {seeded}) / ln({control} / {seeded})) - 1"
        return f"{treated} / {control}"

    def _level(
        self, level: str, readout: str, noise: Noise, known: float | None
    ) -> tuple[str, Callable[[np.ndarray], float]]:
        """A noise level of a well, as the measurement table says it and as a function of the unknowns."""
        given = noise.levels[level] if known is None else known if level == "sd" else 0.0
        if given is not None:
            return number(given), lambda _: given
        k = self.names.objective.names.index(f"{level}.{readout}")
        return self.names.of[k], lambda u: float(np.exp(u[k]))

    def add_priors(self) -> None:
        """Priors that no distribution of PEtab's is: Jeffreys', normal on log odds, copies around their centre."""
        free = self.names.objective.free
        for k, own in enumerate(free.free):
            e, x = own.estimate, self.names.coordinate(own, k)
            if own.role not in ("copy", "centre") or e.scale != "logit":
                continue
            if e.prior is not None and (own.role == "centre" or e.pooled is None):
                mean, sd = e.prior.on(own.transform)
                self._prior(own.name, x, mean, sd, partial(_difference, k, None))
            elif e.prior is None and e.pooled is None:
                low, width = number(e.lower), number(e.upper - e.lower)
                part = f"(({self.names.of[k]} - {low}) / {width})"
                self._prior(own.name, f"sqrt(abs(ln(4 * {part} * (1 - {part}))))", 0.0, 1.0, partial(_jeffreys, k))
        for centre, members in free.pools:
            sd, middle = free.free[centre].estimate.pool_sd, self.names.coordinate(free.free[centre], centre)
            for m in members:
                formula = f"{self.names.coordinate(free.free[m], int(m))} - {middle}"
                self._prior(free.names[m], formula, 0.0, sd, partial(_difference, int(m), centre))

    def _prior(
        self, of: str, formula: str, mean: float, sd: float, value: Callable[[np.ndarray], float]
    ) -> None:  # fmt: skip
        name = identifier(f"prior {of}", self.names.taken)
        self.observables.append((name, f"prior of {of}", formula, number(sd), "normal", ""))
        anywhere = self.rows[0].experiment if self.rows else ""
        own = partial(_of_unknowns, value, sd)
        self.rows.append(Reading(name, anywhere, 0.0, mean, (), own, data_set=PRIOR))


def _metric(j: int, sd: float, evaluation: Evaluation, _: np.ndarray) -> tuple[float, float]:
    return float(evaluation.metrics[j]), sd


def _of_unknowns(
    value: Callable[[np.ndarray], float], sd: float, _: Evaluation, u: np.ndarray
) -> tuple[float, float]:  # fmt: skip
    return value(u), sd


def _difference(k: int, other: int | None, u: np.ndarray) -> float:
    return float(u[k] - (0.0 if other is None else u[other]))


def _jeffreys(k: int, u: np.ndarray) -> float:
    x = expit(float(u[k]))
    return float(np.sqrt(abs(np.log(4 * x * (1 - x)))))


_SIDES = {"right": "above a limit", "left": "below a limit", "interval": "between limits"}


def _words(signal: Signal) -> str:
    doses = " + ".join(f"{drug} {nM:g} nM" for drug, nM in signal.treatment.doses) or "untreated"
    return f"{signal.readout} of {signal.treatment.cell_line}, {doses}, {signal.time:g} h"


def refuse(names: Names, problems: Problems) -> None:
    """Report noise that PEtab has no words for."""
    for readout, noise in names.objective.noise.items():
        if noise.kind == "student-t":
            rule, remedy = "PEtab has no Student-t noise", 'Use kind = "normal" or "log-normal" for the export.'
            problems.add(rule, remedy, column=f"noise.{readout}.kind", value=noise.kind)
        if noise.grouped:
            rule = "PEtab has no scale or offset that is solved for inside the likelihood"
            remedy = 'Use an [estimate.scale] with per = "assay" for the export.'
            problems.add(rule, remedy, column=f"noise.{readout}")


def negative_log_likelihood(readings: Readings, u: np.ndarray) -> float:
    """-log likelihood of everything exported at unknowns `u`, by this package's own engine, constants included.

    Measurements that stand for priors count, as they do for whoever reads the files.
    """
    evaluation = readings.names.objective.many(u[None], options=TIGHT).at(0)
    total = 0.0
    for row in readings.rows:
        prediction, sd = row.own(evaluation, u)
        error = np.log(row.value / prediction) if row.log_normal else row.value - prediction
        total += 0.5 * (error / sd) ** 2 + np.log(sd) + 0.5 * np.log(2 * np.pi)
        total += np.log(row.value) if row.log_normal else 0.0
    return float(total)
