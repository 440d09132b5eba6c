"""The four-parameter logistic, curve by curve, with intervals: the baseline every mechanism is compared with.

    y(c) = bottom + (top - bottom) / (1 + (c / EC50)**h)

fitted by (weighted) least squares in bottom, top, log10 EC50 and log10 h. Bounds, from the curve's own data: the
asymptotes may leave the range of the responses by once its width on either side, EC50 the doses above zero by two
powers of ten, h lies in [0.1, 10]. A curve may rise: bottom is the response at infinite dose, top at none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.optimize import brentq, least_squares
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from her2pkpd.data.grouping import groups
from her2pkpd.data.hill import LN10, hill, hill_jacobian, scan
from her2pkpd.data.plate import Plate
from her2pkpd.errors import InputError, Problem

PARAMETERS = ("bottom", "top", "EC50", "h")
"""Names in the order of the fit."""
_SLOPES = (0.1, 10.0)
_MARGIN = 2.0
MIN_DOSES = 4
"""Different doses (zero included) a curve needs."""

Interval = Literal["laplace", "profile"]


@dataclass(frozen=True)
class LogisticCurve:
    """One fitted curve.

    Attributes:
        estimate: (4,) bottom, top, EC50 (unit of the doses), h; NaN where nothing was fitted.
        lower: (4,) lower limits of the intervals; -inf or 0 where the data set none.
        upper: (4,) upper limits; inf where the data set none.
        at_bound: (4,) whether the estimate lies on a bound of the search.
        rms: unweighted root-mean-square residual.
        r2: coefficient of determination.
        pval: F-test against a horizontal line; NaN without degrees of freedom.
        n: points.
        status: "ok", "flat" (the line is not rejected at 5 %) or why nothing was fitted.
    """

    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    at_bound: np.ndarray
    rms: float
    r2: float
    pval: float
    n: int
    status: str

    def __call__(self, dose: np.ndarray) -> np.ndarray:
        """Response at doses (n,), in the unit of the fit."""
        bottom, top, mid, slope = self.estimate
        return hill(np.asarray(dose, dtype=float), bottom, top, float(np.log10(mid)), slope)


@dataclass(frozen=True, eq=False)
class LogisticFits:
    """Fits of many curves.

    Attributes:
        parameters: one parameter of one curve a row: the keys, ``parameter, unit, estimate, lower, upper, interval,
            verdict``.
        curves: one curve a row: the keys, ``n, rms, r2, pval, status``.
        fits: the curves by their key.
    """

    parameters: pd.DataFrame
    curves: pd.DataFrame
    fits: dict[tuple[object, ...], LogisticCurve]

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {status}" for status, n in self.curves["status"].value_counts().items())
        head = self.curves.head(12).to_string(index=False, float_format="{:.3g}".format)
        return f"Logistic fits of {len(self.curves)} curves ({counts})\n{head}"


def fit_logistic(
    plate: Plate,
    *,
    by: Sequence[str] = (),
    weights: Literal["none", "sd"] = "none",
    interval: Interval = "laplace",
    level: float = 0.95,
) -> LogisticFits:
    """Fit every single-drug curve of a plate.

    Untreated wells of the same cell line, time, readout (and `by`) join every curve at dose 0. Replicates are
    points of one curve unless `by` tells them apart. Wells with two drugs are left out.

    Args:
        plate: the wells.
        by: further columns that tell curves apart (``"replicate"``, ``"plate"``).
        weights: "sd" weights each residual by 1/sd (see `fit_curve`).
        interval: how intervals are made, see `fit_curve`.
        level: their level.

    Returns:
        The fits, keyed by cell line, drug, time, readout and `by`; EC50 in nM.

    Raises:
        InputError: if a column of `by` is missing, sd is wanted and not given, or no well holds exactly one drug.
    """
    frame = plate.values_only("A logistic curve needs").frame
    missing = [name for name in by if name not in frame.columns]
    if missing:
        raise InputError(Problem(f"the plate has no column {missing[0]!r}", "Choose another for `by`.", plate.name))
    if weights == "sd" and not (frame["sd"].to_numpy() > 0).any():
        raise InputError(Problem("weights 'sd' need the column sd", "Add it, or use weights 'none'.", plate.name))
    keys = ["cell_line", "drug", "time", "readout", *by]
    shared = [key for key in keys if key != "drug"]
    curves = _single_drug(plate, frame)
    untreated = dict(groups(frame.loc[plate.untreated], shared))
    if curves.empty:
        raise InputError(Problem("no well holds exactly one drug", "Give single-drug wells.", plate.name))
    fits: dict[tuple[object, ...], LogisticCurve] = {}
    for key, wells in groups(curves, keys):
        controls = untreated.get(tuple(part for name, part in zip(keys, key, strict=True) if name != "drug"))
        points = wells if controls is None else pd.concat([wells, controls])
        sd = points["sd"].to_numpy(dtype=float) if weights == "sd" else None
        dose, value = points["concentration"].to_numpy(dtype=float), points["value"].to_numpy(dtype=float)
        fits[key] = fit_curve(dose, value, sd=sd, interval=interval, level=level)
    return _tables(keys, fits, interval, level)


def fit_curve(
    dose: np.ndarray,
    response: np.ndarray,
    *,
    sd: np.ndarray | None = None,
    interval: Interval = "laplace",
    level: float = 0.95,
) -> LogisticCurve:
    """Fit one curve.

    Args:
        dose: (n,) doses, zero included.
        response: (n,) responses.
        sd: (n,) standard deviations, used as relative weights; missing and very small ones (below a quarter of the
            median) are raised to a quarter of the median, so that no point of an accidental sd of 0 rules the fit.
        interval: "laplace" takes the curvature at the optimum (t-distributed, symmetric in log EC50 and log h),
            "profile" the drop of the profile likelihood (F-distributed).
        level: level of the intervals.

    Returns:
        The fit. With fewer than `MIN_DOSES` different doses nothing is fitted; with no degrees of freedom left the
        intervals are open. An interval that leaves the range searched is open on that side.
    """
    dose, response = np.asarray(dose, dtype=float), np.asarray(response, dtype=float)
    valid = np.isfinite(dose) & np.isfinite(response)
    dose, response = dose[valid], response[valid]
    weight = np.ones(len(dose)) if sd is None else _weights(np.asarray(sd, dtype=float)[valid])
    if len(np.unique(dose)) < MIN_DOSES or not (dose > 0).any():
        nothing = np.full(4, np.nan)
        status = f"fewer than {MIN_DOSES} doses: no curve fitted"
        return LogisticCurve(nothing, nothing, nothing, np.zeros(4, bool), np.nan, np.nan, np.nan, len(dose), status)
    problem = _LeastSquares(dose, response, weight)
    theta, rss = problem.best()
    total = float((weight * (response - np.average(response, weights=weight)) ** 2).sum())
    free = len(dose) - 4
    pval = _flat_pval(rss, total, free)
    lower, upper = _intervals(problem, theta, rss, free, interval, level)
    lower = np.where(lower < problem.lower, -np.inf, lower)
    upper = np.where(upper > problem.upper, np.inf, upper)
    edge = 1e-4 * (problem.upper - problem.lower)
    at_bound = (theta <= problem.lower + edge) | (theta >= problem.upper - edge)
    residual = response - problem.curve(theta)
    return LogisticCurve(
        _natural(theta),
        _natural(lower),
        _natural(upper),
        at_bound,
        rms=float(np.sqrt(np.mean(residual**2))),
        r2=1.0 - rss / total if total > 0 else float("nan"),
        pval=pval,
        n=len(dose),
        status="flat" if pval >= 0.05 else "ok",
    )


class _LeastSquares:
    """The fit of one curve in theta = (bottom, top, log10 EC50, log10 h)."""

    def __init__(self, dose: np.ndarray, response: np.ndarray, weight: np.ndarray) -> None:
        self.dose, self.response, self.weight = dose, response, weight
        low, high = float(response.min()), float(response.max())
        width = max(high - low, 1e-6 * max(abs(high), abs(low)), 1e-9)
        logs = np.log10(dose[dose > 0])
        slopes = np.log10(_SLOPES)
        self.lower = np.array([low - width, low - width, logs.min() - _MARGIN, slopes[0]])
        self.upper = np.array([high + width, high + width, logs.max() + _MARGIN, slopes[1]])
        self.scale = np.array([width, width, 1.0, 1.0])

    def curve(self, theta: np.ndarray) -> np.ndarray:
        return hill(self.dose, theta[0], theta[1], theta[2], 10.0 ** theta[3])

    def residual(self, theta: np.ndarray) -> np.ndarray:
        return np.sqrt(self.weight) * (self.curve(theta) - self.response)

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        slope = 10.0 ** theta[3]
        columns = hill_jacobian(self.dose, theta[0], theta[1], theta[2], slope)
        columns[:, 3] *= slope * LN10
        return np.sqrt(self.weight)[:, None] * columns

    def polish(self, start: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, float]:
        """Minimise over the parameters in `free` (mask), the others held at `start`."""
        inside = 1e-6 * (self.upper - self.lower)
        theta = np.where(free, np.clip(start, self.lower + inside, self.upper - inside), start)

        def full(part: np.ndarray) -> np.ndarray:
            point = theta.copy()
            point[free] = part
            return point

        result = least_squares(
            lambda part: self.residual(full(part)),
            theta[free],
            lambda part: self.jacobian(full(part))[:, free],  # pyright: ignore[reportArgumentType] - SciPy takes it
            bounds=(self.lower[free], self.upper[free]),
            x_scale=self.scale[free],
            xtol=1e-10,
            ftol=1e-12,
            gtol=1e-12,
            max_nfev=500,
        )
        return full(result.x), float(2.0 * result.cost)

    def best(self) -> tuple[np.ndarray, float]:
        """The best of the least-squares fits from three points of a grid over EC50 and h."""
        mids, slopes = np.linspace(self.lower[2], self.upper[2], 33), np.geomspace(0.2, 5.0, 8)
        grid = np.array(scan(self.dose, self.response, self.weight, mids, slopes))
        inside = ((grid[:, :2] >= self.lower[:2]) & (grid[:, :2] <= self.upper[:2])).all(axis=1)
        starts = np.concatenate((grid[inside][:2], grid[:1]))
        starts[:, 3] = np.log10(starts[:, 3])
        found = [self.polish(start, np.ones(4, dtype=bool)) for start in starts]
        return min(found, key=lambda pair: pair[1])


def _weights(sd: np.ndarray) -> np.ndarray:
    known = sd[np.isfinite(sd) & (sd > 0)]
    if not len(known):
        return np.ones(len(sd))
    floor = 0.25 * float(np.median(known))
    weight = 1.0 / np.where(sd > floor, sd, floor) ** 2
    return weight / weight.mean()


def _natural(theta: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.concatenate((theta[:2], np.power(10.0, theta[2:])))


def _flat_pval(rss: float, total: float, free: int) -> float:
    if free <= 0:
        return float("nan")
    if rss >= total:
        return 1.0
    return float(f_distribution.sf((total - rss) / 3.0 / (max(rss, 1e-300) / free), 3, free))


def _intervals(
    problem: _LeastSquares, theta: np.ndarray, rss: float, free: int, interval: Interval, level: float
) -> tuple[np.ndarray, np.ndarray]:
    if free <= 0:
        return np.full(4, -np.inf), np.full(4, np.inf)
    jacobian = problem.jacobian(theta) * problem.scale
    _, singular, vectors = np.linalg.svd(jacobian, full_matrices=False)
    usable = singular > 1e-9 * max(singular[0], 1e-300)
    variance = np.full(4, np.inf)
    if usable.all():
        variance = ((vectors.T / singular) ** 2).sum(axis=1)
    elif usable.any():
        # A direction the data do not see leaves every parameter that takes part in it open.
        seen = ((vectors[usable].T / singular[usable]) ** 2).sum(axis=1)
        variance = np.where((vectors[~usable] ** 2).sum(axis=0) > 1e-9, np.inf, seen)
    half = t_distribution.ppf(0.5 + level / 2, free) * np.sqrt(rss / free * variance) * problem.scale
    half = np.where(np.isnan(half), np.inf, half)
    if interval == "laplace":
        return theta - half, theta + half
    threshold = float(rss * (1.0 + f_distribution.ppf(level, 1, free) / free))
    ends = [[_profile_end(problem, theta, threshold, k, sign, half[k]) for sign in (-1.0, 1.0)] for k in range(4)]
    return np.array([end[0] for end in ends]), np.array([end[1] for end in ends])


def _profile_end(
    problem: _LeastSquares, theta: np.ndarray, threshold: float, k: int, sign: float, guess: float
) -> float:
    """Where the sum of squares, minimised over the other parameters, rises to `threshold`; infinite if it never does.

    Parameter k moves away from the optimum in steps that double from half of `guess`, the Laplace half-width, until
    the threshold or the bound is passed; the others follow from where they were.
    """
    others = np.arange(4) != k
    reach = float(problem.upper[k] - theta[k] if sign > 0 else theta[k] - problem.lower[k])
    warm = theta
    known = {0.0: float(np.sum(problem.residual(theta) ** 2)) - threshold}

    def excess(distance: float) -> float:
        nonlocal warm
        if distance not in known:
            warm, value = problem.polish(np.where(others, warm, theta[k] + sign * distance), others)
            known[distance] = value - threshold
        return known[distance]

    step = min(guess / 2 if np.isfinite(guess) and guess > 0 else np.inf, reach / 16)
    previous, distance = 0.0, step
    while reach > 0:
        if excess(distance) > 0:
            root = brentq(excess, previous, distance, xtol=1e-3 * step, rtol=1e-6)  # pyright: ignore[reportArgumentType]
            return float(theta[k] + sign * root)  # pyright: ignore[reportOperatorIssue]
        if distance >= reach:
            break
        previous, distance = distance, min(2 * distance, reach)
    return sign * np.inf


def _single_drug(plate: Plate, frame: pd.DataFrame) -> pd.DataFrame:
    tails = ["" if k == 1 else f"_{k}" for k in range(1, plate.n_drugs + 1)]
    doses = frame[["concentration" + tail for tail in tails]].to_numpy(dtype=float)
    one = (doses > 0).sum(axis=1) == 1
    wells, which = frame.loc[one].copy(), np.argmax(doses[one] > 0, axis=1)
    row = np.arange(len(wells))
    wells["drug"] = wells[["drug" + tail for tail in tails]].to_numpy(dtype=object)[row, which]
    wells["concentration"] = doses[one][row, which]
    return wells


def _verdict(fit: LogisticCurve, k: int) -> str:
    return (
        "determined"
        if np.isfinite(fit.lower[k]) and np.isfinite(fit.upper[k]) and not fit.at_bound[k]
        else "not by these data"
    )


def _tables(
    keys: Sequence[str], fits: dict[tuple[object, ...], LogisticCurve], interval: Interval, level: float
) -> LogisticFits:
    units = {"bottom": "-", "top": "-", "EC50": "nM", "h": "-"}
    label = f"{interval} {100 * level:g} %"
    parameters = [
        (*key, name, units[name], fit.estimate[k], fit.lower[k], fit.upper[k], label, _verdict(fit, k))
        for key, fit in fits.items()
        for k, name in enumerate(PARAMETERS)
    ]
    curves = [(*key, fit.n, fit.rms, fit.r2, fit.pval, fit.status) for key, fit in fits.items()]
    columns = [*keys, "parameter", "unit", "estimate", "lower", "upper", "interval", "verdict"]
    return LogisticFits(
        pd.DataFrame(parameters, columns=columns),
        pd.DataFrame(curves, columns=[*keys, "n", "rms", "r2", "pval", "status"]),
        fits,
    )
