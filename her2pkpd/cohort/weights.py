"""Virtual populations: weights under which a plausible cohort has the statistics of a real one.

A cohort is drawn from what is plausible; a trial reports a response rate, quantiles of exposure, means. Among all
weights that reproduce these statistics, the ones closest to equal in relative entropy are

    w_i proportional to exp(sum_k lambda_k * g_k(x_i)),     sum_i w_i g_k(x_i) = t_k,

g_k being the value, its square, or an indicator (entropy balancing, Hainmueller 2012, Polit Anal 20:25; exponential
tilting). lambda minimises a smooth convex function. This replaces the acceptance by density ratio of Allen, Rieger &
Musante 2016 (CPT Pharmacometrics Syst Pharmacol 5:140), which needs the density of the target; `resample` draws a
virtual population from the weights in the same way.

Weights that reproduce the statistics exist only where these lie inside what the cohort spans; otherwise the refusal
names the targets that conflict. The effective sample size says how many patients the weighted cohort is worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.optimize import linprog, minimize

from her2pkpd.cohort.summary_quantiles import effective_sample_size
from her2pkpd.cohort.summary_source import Rows, Source, Weights, id_of, read
from her2pkpd.errors import ComputationError, Problems

Statistic = Literal["mean", "sd", "fraction_above", "fraction_below", "quantile"]
_STATISTICS = ("mean", "sd", "fraction_above", "fraction_below", "quantile")

CLOSE = 1e-9
"""Largest difference from an exact target, in standard deviations of the cohort."""


@dataclass(frozen=True)
class Target:
    """One statistic the weighted cohort shall have.

    Attributes:
        column: of the cohort's table.
        statistic: "mean"; "sd" (together with a "mean" of the same column); "fraction_above" or "fraction_below" the
            `threshold` (a response rate is the fraction of 0/1 above 0.5); "quantile" at `probability`.
        value: what it shall be.
        threshold: for the fractions.
        probability: for the quantile.
        error: standard error of `value`; 0 is met exactly, more is met up to about its size, closer where that is
            cheap. On the scale of the statistic; of the probability, for a quantile.
        where: values other columns must have, such as an arm; the statistic is then one of those patients.
    """

    column: str
    statistic: Statistic
    value: float
    threshold: float = float("nan")
    probability: float = float("nan")
    error: float = 0.0
    where: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """How messages call it."""
        of = "".join(f", {k} {v}" for k, v in self.where)
        at = {"quantile": f" {self.probability:g}", "fraction_above": f" {self.threshold:g}"}
        at["fraction_below"] = at["fraction_above"]
        return f"{self.statistic.replace('_', ' ')}{at.get(self.statistic, '')} of {self.column}{of}"


@dataclass(frozen=True)
class VirtualPopulation:
    """Weights of a cohort.

    Attributes:
        weights: by patient, mean 1.
        effective: effective sample size.
        patients: in the cohort.
        targets: one row per target: ``target, value, before, after, error, multiplier``.
    """

    weights: pd.Series
    effective: float
    patients: int
    targets: pd.DataFrame


def tilt(
    source: Source,
    targets: Sequence[Target],
    *,
    prior: Weights = None,
    smallest: float = 20.0,
) -> VirtualPopulation:
    """Weigh a cohort so that it has given statistics.

    Args:
        source: one row per patient and arm. A patient has one weight, whatever the arm; a
            target may look at one arm by its `where`.
        targets: the statistics.
        prior: weights to stay close to; None is equal ones.
        smallest: effective sample size below which the weights are refused.

    Returns:
        The `VirtualPopulation`.

    Raises:
        InputError: for columns that are not there; targets no weights can reach, naming those that conflict; and
            weights that rest on fewer than `smallest` patients.
        ComputationError: if the optimisation does not converge.
    """
    _check(targets)
    ids, before, features, aims = _features(source, targets, prior)
    scale = np.maximum(features.std(axis=0), 1e-300)
    centred = (features - aims) / scale
    errors = np.array([t.error for t in targets]) / scale
    multiplier = _solve(centred, before, errors)
    weight = _tilted(centred, before, multiplier)
    missed = np.abs(weight @ centred + errors**2 * multiplier)
    if not np.all(missed <= CLOSE):
        _refuse_infeasible(targets, centred, errors, features)
        raise ComputationError(
            f"The weights miss a target by {missed.max():.2g} standard deviations; relax it with an error."
        )
    effective = effective_sample_size(weight)
    if effective < smallest:
        _refuse_few(targets, effective, smallest)
    after = [_achieved(t, features[:, k], weight) for k, t in enumerate(targets)]
    first = [_achieved(t, features[:, k], before) for k, t in enumerate(targets)]
    table = pd.DataFrame(
        {
            "target": [t.name for t in targets],
            "value": [t.probability if t.statistic == "quantile" else t.value for t in targets],
            "before": first,
            "after": after,
            "error": [t.error for t in targets],
            "multiplier": multiplier / scale,
        }
    )
    series = pd.Series(weight * len(weight), index=pd.Index(ids, name=id_of(source)), name="weight")
    return VirtualPopulation(series, effective, len(weight), table)


def resample(population: VirtualPopulation | pd.Series, patients: int, *, seed: int = 0) -> np.ndarray:
    """Draw a virtual population with equal weights.

    Systematic resampling: with one random start u, patient i is taken once for every (k + u)/n that falls into their
    share of the total weight, so that each is drawn within one of n times their share.

    Args:
        population: weights by patient.
        patients: how many to draw.
        seed: of the random start.

    Returns:
        (patients,) ids; a patient with much weight comes several times.
    """
    weights = population.weights if isinstance(population, VirtualPopulation) else population
    ends = np.cumsum(weights.to_numpy(dtype=float))
    points = (np.arange(patients) + np.random.default_rng(seed).random()) / patients * ends[-1]
    return weights.index.to_numpy()[np.minimum(np.searchsorted(ends, points, side="right"), len(ends) - 1)]


def _features(
    source: Source, targets: Sequence[Target], prior: Weights
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Patients, their prior weights (sum 1), (patients, targets) features, and what their means shall be."""
    who = id_of(source)
    columns = list(dict.fromkeys([who, *(t.column for t in targets), *(k for t in targets for k, _ in t.where)]))
    rows = read(source, columns, weights=prior)
    ids, first, patient = np.unique(rows.frame[who].to_numpy(), return_index=True, return_inverse=True)
    features = np.zeros((len(ids), len(targets)))
    aims = np.empty(len(targets))
    problems = Problems("targets")
    for k, target in enumerate(targets):
        chosen = _chosen(rows, target.where)
        own = patient[chosen]
        x = rows.values(target.column)[chosen]
        counts = np.bincount(own, minlength=len(ids))
        if np.isnan(x).any() or not np.all(counts == 1):
            rule = f"the {target.name} needs one value of every patient"
            problems.add(rule, "Name one arm with where, and a column without missing values.", row=k + 1)
            continue
        features[own, k], aims[k] = _feature(target, x, targets)
    problems.raise_any()
    before = rows.weight[first]
    return ids, before / before.sum(), features, aims


def _chosen(rows: Rows, where: tuple[tuple[str, Any], ...]) -> np.ndarray:
    mask = np.ones(len(rows), dtype=bool)
    for name, value in where:
        mask &= (rows.frame[name] == value).to_numpy()
    return np.flatnonzero(mask)


def _feature(target: Target, x: np.ndarray, targets: Sequence[Target]) -> tuple[np.ndarray, float]:
    if target.statistic == "mean":
        return x, target.value
    if target.statistic == "sd":
        centre = next(
            t.value for t in targets if (t.column, t.statistic, t.where) == (target.column, "mean", target.where)
        )
        return (x - centre) ** 2, target.value**2
    if target.statistic == "quantile":
        return (x <= target.value).astype(float), target.probability
    above = target.statistic == "fraction_above"
    return (x > target.threshold if above else x < target.threshold).astype(float), target.value


def _achieved(target: Target, feature: np.ndarray, weight: np.ndarray) -> float:
    found = float(weight @ feature) / float(weight.sum())
    return float(np.sqrt(found)) if target.statistic == "sd" else found


def _tilted(centred: np.ndarray, before: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    exponent = centred @ multiplier
    weight = before * np.exp(exponent - exponent.max())
    return weight / weight.sum()


_FAR = 500.0
"""Multipliers (in standard deviations) beyond which the targets lie on or outside what the cohort spans."""


def _solve(centred: np.ndarray, before: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """The minimum of log sum_i b_i exp(lambda.g_i) + sum_k (lambda_k error_k)^2/2, by Newton in a trust region."""
    used = before > 0
    g, log = centred[used], np.log(before[used])

    def parts(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        exponent = g @ x + log
        top = float(exponent.max())
        w = np.exp(exponent - top)
        total = float(w.sum())
        w /= total
        moment = w @ g
        return top + np.log(total), moment, (g * w[:, None]).T @ g - np.outer(moment, moment)

    def hessian(x: np.ndarray) -> np.ndarray:
        return parts(x)[2] + np.diag(errors**2)

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        level, moment, _ = parts(x)
        return level + 0.5 * float(np.sum((errors * x) ** 2)), moment + errors**2 * x

    start = np.zeros(centred.shape[1])
    found = minimize(
        value, start, jac=True, hess=hessian, method="trust-exact", options={"gtol": 1e-11, "maxiter": 300}
    )
    x = np.asarray(found.x)
    for _ in range(5):  # the trust region stops where the objective no longer changes; the gradient still does
        slope = value(x)[1]
        if np.abs(slope).max(initial=0.0) < 0.01 * CLOSE or np.abs(x).max(initial=0.0) > _FAR:
            break
        x = x - np.linalg.lstsq(hessian(x), slope, rcond=None)[0]
    return x


def _refuse_infeasible(
    targets: Sequence[Target], centred: np.ndarray, errors: np.ndarray, features: np.ndarray
) -> None:
    """Raise, naming the smallest set of targets that conflict, if no weights reach the exact ones together."""
    exact = [k for k in range(len(targets)) if errors[k] == 0.0]
    if not exact or _reachable(centred[:, exact]):
        return
    conflict = list(exact)
    for k in exact:
        rest = [j for j in conflict if j != k]
        if rest and not _reachable(centred[:, rest]):
            conflict = rest
    problems = Problems("targets")
    for k in conflict:
        t, own = targets[k], features[:, k]
        low, high = (np.sqrt(x) if t.statistic == "sd" else x for x in (own.min(), own.max()))
        alone = "" if len(conflict) == 1 else " together with the other targets named here"
        rule = f"no weights give the {t.name} this value{alone}; patients range from {low:.4g} to {high:.4g}"
        remedy = "Draw a wider cohort, relax the target with an error, or leave it out."
        problems.add(rule, remedy, row=k + 1, column=t.column, value=t.value)
    problems.raise_any()


def _reachable(centred: np.ndarray) -> bool:
    """Whether zero lies inside the hull of the rows: no direction in which all rows point, some strictly."""
    rows = np.unique(centred, axis=0)
    found = linprog(
        -rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=[(-1.0, 1.0)] * rows.shape[1], method="highs"
    )
    return bool(found.status == 0 and -found.fun < 1e-7 * len(rows))


def _refuse_few(targets: Sequence[Target], effective: float, smallest: float) -> None:
    problems = Problems("targets")
    rule = f"the weighted cohort is worth {effective:.1f} patients, fewer than {smallest:g}"
    remedy = "Draw more patients, or from a population nearer to the targets; or lower the limit knowingly."
    problems.add(rule, remedy, value=", ".join(t.name for t in targets))
    problems.raise_any()


def _check(targets: Sequence[Target]) -> None:
    problems = Problems("targets")
    means = {(t.column, t.where) for t in targets if t.statistic == "mean"}
    for row, t in enumerate(targets, start=1):
        if t.statistic not in _STATISTICS:
            problems.add(f"unknown statistic '{t.statistic}'", f"Known: {', '.join(_STATISTICS)}.", row=row)
        if not np.isfinite(t.value) or not t.error >= 0.0:
            problems.add("value must be finite and error zero or more", "Correct it.", row=row, value=t.value)
        if t.statistic == "sd" and (not t.value > 0 or (t.column, t.where) not in means):
            problems.add("an sd must be positive and needs a mean of the same column", "Add the mean.", row=row)
        if t.statistic.startswith("fraction") and not (np.isfinite(t.threshold) and 0.0 <= t.value <= 1.0):
            problems.add("a fraction needs a threshold and lies between 0 and 1", "Correct it.", row=row, value=t.value)
        if t.statistic == "quantile" and not 0.0 < t.probability < 1.0:
            rule = "a quantile needs a probability between 0 and 1"
            problems.add(rule, "Add it.", row=row, column=t.column, value=t.probability)
    if not targets:
        problems.add("there are no targets", "Give at least one.")
    problems.raise_any()


def by_column(targets: Mapping[str, float]) -> list[Target]:
    """Targets for the means of several columns."""
    return [Target(column, "mean", value) for column, value in targets.items()]
