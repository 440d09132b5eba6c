"""Visual predictive checks: do the percentiles of observed data lie where the model's own data sets put them?

The model simulates the observed design many times; in every bin of time the percentiles of the observations are
compared with the interval of the same percentiles over the simulated data sets (Karlsson & Holford 2008).

Prediction correction (Bergstrand, Hooker, Wallin & Karlsson 2011, AAPS J 13:143) removes what differs between the
patients of a bin for known reasons (dose, covariates): with PRED the prediction for the typical patient of an
observation's design, and its median in the bin,

    y_pc = lb + (y - lb) * (median PRED - lb)/(PRED - lb),

or ``ln y_pc = ln y + ln(median PRED) - ln PRED`` on the log scale, which is the same with lb = 0.

Values below the quantification limit are known to be low and not how low. A percentile is reported where it is the
same whether these are as low as can be or just below the limit, and is "below quantification" otherwise; with
prediction correction the limit is corrected like the value. Their fraction is compared in a panel of its own
(Bergstrand & Karlsson 2009, AAPS J 11:371).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from her2pkpd.cohort.summary_quantiles import order_statistics, quantiles
from her2pkpd.cohort.vpc_bins import bin_edges, bin_index
from her2pkpd.errors import InputError, Problem, Problems


@dataclass(frozen=True)
class VisualPredictiveCheck:
    """Observed and simulated percentiles by bin.

    Attributes:
        percentiles: ``stratum, bin, left, right, time`` (median of the bin's observations), ``observations,
            probability, observed, lower, median, upper, inside``; -inf stands for "below quantification".
        censored: the fraction below quantification, with the same columns but for ``probability``; empty without a
            limit.
        points: the observations as compared: ``stratum, bin, time, value, censored``.
        replicates: simulated data sets.
        level: of the intervals.
        corrected: whether values are prediction-corrected.
    """

    percentiles: pd.DataFrame
    censored: pd.DataFrame
    points: pd.DataFrame
    replicates: int
    level: float
    corrected: bool


def vpc(
    observed: pd.DataFrame,
    simulated: Iterable[np.ndarray],
    *,
    probabilities: Sequence[float] = (0.05, 0.5, 0.95),
    level: float = 0.95,
    bins: str | int | Sequence[float] = "auto",
    stratify: str | None = None,
    correct: bool = False,
    lower_bound: float = 0.0,
) -> VisualPredictiveCheck:
    """Compare observed data with data sets simulated from the model.

    Args:
        observed: one row per observation: ``time``, ``value``, and where they apply ``lloq`` (limit of quantification;
            a value below it, or missing beside it, is censored), ``pred`` (prediction for the typical patient of the
            same design, needed for `correct`) and the column named by `stratify`.
        simulated: (rows,) arrays, each a simulated value with residual error for every row of `observed`, in its
            order; a generator is consumed one data set at a time.
        probabilities: percentiles compared.
        level: of the intervals over simulated data sets.
        bins: as `her2pkpd.cohort.vpc_bins.bin_edges` takes them.
        stratify: column to divide the observations by.
        correct: prediction-correct.
        lower_bound: lb above; for log-transformed data correct the values before the logarithm.

    Returns:
        The `VisualPredictiveCheck`.

    Raises:
        InputError: for missing columns, values that are not numbers, predictions at or below `lower_bound`, and
            simulated data sets of another length, with missing values, or fewer than 20.
    """
    _check(observed, stratify, correct, lower_bound)
    time, y = (observed[c].to_numpy(dtype=float) for c in ("time", "value"))
    limit = observed["lloq"].to_numpy(dtype=float) if "lloq" in observed else np.full(len(y), np.nan)
    edges = bin_edges(time, bins)
    own = observed[stratify].to_numpy() if stratify else np.full(len(y), "all", dtype=object)
    groups = _groups(own, bin_index(time, edges))
    factor = _factors(observed, groups, lower_bound) if correct else np.ones(len(y))
    shift = lower_bound if correct else 0.0
    comparison = _Comparison(groups, np.asarray(probabilities, dtype=float), limit, factor, shift)
    seen, below = comparison.statistics(y)
    found = [comparison.statistics(s) for s in _datasets(simulated, len(y))]
    many, many_below = np.stack([f[0] for f in found]), np.stack([f[1] for f in found])
    keys = [(stratum, k, edges[k], edges[k + 1], np.median(time[i]), len(i)) for (stratum, k), i in groups.items()]
    names = ["stratum", "bin", "left", "right", "time", "observations"]
    frame = pd.DataFrame(keys, columns=names)
    percentiles = [
        frame.assign(probability=p, **_interval(seen[:, j], many[:, :, j], level)) for j, p in enumerate(probabilities)
    ]
    censored = frame.assign(**_interval(below, many_below, level)) if np.isfinite(limit).any() else frame.iloc[:0]
    low = comparison.censored(y)
    points = pd.DataFrame({"stratum": own, "bin": bin_index(time, edges), "time": time, "censored": low})
    points["value"] = comparison.values(np.where(low, limit, y))
    table = pd.concat(percentiles).sort_values(["stratum", "bin", "probability"], ignore_index=True)
    return VisualPredictiveCheck(table, censored, points, len(found), level, correct)


@dataclass(frozen=True)
class _Comparison:
    """What is computed from the observed data and, in the same way, from every simulated data set."""

    groups: dict[tuple[object, int], np.ndarray]
    probabilities: np.ndarray
    limit: np.ndarray
    factor: np.ndarray
    lower_bound: float

    def censored(self, y: np.ndarray) -> np.ndarray:
        return np.isfinite(self.limit) & ~(y >= self.limit)

    def values(self, y: np.ndarray) -> np.ndarray:
        return self.lower_bound + (y - self.lower_bound) * self.factor

    def statistics(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(groups, probabilities) percentiles, -inf where below quantification, and (groups,) fractions below it."""
        low = self.censored(y)
        least = np.where(low, -np.inf, self.values(np.where(low, 1.0, y)))
        most = np.where(low, self.values(np.where(low, self.limit, 1.0)), least)
        found = np.empty((len(self.groups), len(self.probabilities)))
        for row, i in zip(found, self.groups.values(), strict=True):
            row[:] = quantiles(least[i], self.probabilities)
            if low[i].any():
                row[quantiles(most[i], self.probabilities) != row] = -np.inf
        return found, np.array([low[i].mean() for i in self.groups.values()])


def _interval(observed: np.ndarray, simulated: np.ndarray, level: float) -> dict[str, np.ndarray]:
    """Interval over data sets by order statistics, which holds a further one of the kind with probability `level`."""
    tail = 0.5 * (1.0 - level)
    ends = order_statistics(simulated, [tail, 0.5, 1.0 - tail])
    inside = (observed >= ends[0]) & (observed <= ends[2])
    return {"observed": observed, "lower": ends[0], "median": ends[1], "upper": ends[2], "inside": inside}


def _groups(stratum: np.ndarray, bins: np.ndarray) -> dict[tuple[object, int], np.ndarray]:
    places = pd.DataFrame({"stratum": stratum, "bin": bins}).groupby(["stratum", "bin"], sort=True).indices
    return {(stratum, int(k)): np.asarray(i) for (stratum, k), i in places.items()}  # pyright: ignore[reportGeneralTypeIssues]


def _factors(observed: pd.DataFrame, groups: dict[tuple[object, int], np.ndarray], lower_bound: float) -> np.ndarray:
    pred = observed["pred"].to_numpy(dtype=float) - lower_bound
    factor = np.empty(len(pred))
    for i in groups.values():
        factor[i] = np.median(pred[i]) / pred[i]
    return factor


_FEWEST = 20


def _datasets(simulated: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    count = 0
    for count, given in enumerate(simulated, start=1):
        y = np.asarray(given, dtype=float)
        if y.shape != (rows,):
            rule = f"a simulated data set must have the {rows} rows of the observed one"
            raise InputError(Problem(rule, "Simulate the observed design.", row=count, value=y.shape))
        if np.isnan(y).any():
            rule = "a simulated data set has missing values"
            raise InputError(Problem(rule, "Leave out data sets whose simulation failed.", row=count))
        yield y
    if count < _FEWEST:
        rule = f"a predictive check needs at least {_FEWEST} simulated data sets, better 1000"
        raise InputError(Problem(rule, "Simulate more.", column="simulated", value=count))


def _check(observed: pd.DataFrame, stratify: str | None, correct: bool, lower_bound: float) -> None:
    problems = Problems("observed")
    for name in ("time", "value", *(["pred"] if correct else []), *([stratify] if stratify else [])):
        if name not in observed:
            problems.add(f"no column '{name}'", "Add it to the observed data.", column=name)
    problems.raise_any()
    limit = observed["lloq"] if "lloq" in observed else pd.Series(np.nan, observed.index)
    rows = range(2, len(observed) + 2)
    for row, t, y, low in zip(rows, observed["time"], observed["value"], limit, strict=True):
        if not np.isfinite(t):
            problems.add("must be a number", "Correct the time.", row=row, column="time", value=t)
        if not np.isfinite(y) and not (np.isnan(y) and np.isfinite(low)):
            remedy = "Correct the value, or give its lloq where it was below quantification."
            problems.add("must be a number", remedy, row=row, column="value", value=y)
    if correct:
        for row, pred in zip(rows, observed["pred"], strict=True):
            if not (np.isfinite(pred) and pred > lower_bound):
                rule = f"a prediction must be more than the lower bound {lower_bound:g}"
                problems.add(rule, "Leave out observations before the first dose.", row=row, column="pred", value=pred)
    if not len(observed):
        problems.add("there are no observations", "Give at least one row.")
    problems.raise_any()
