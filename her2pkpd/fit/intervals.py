"""Laplace intervals, and a plain verdict per parameter: determined, only a combination is, or not by these data.

The information matrix is the expected (Fisher) information of the data, from exact derivatives, plus that of the
priors. A parameter that sits on a bound is held there: its interval is not normal and none is given; no interval
reaches beyond the bounds. Where the noise level is estimated from the same wells, its maximum-likelihood value is too
small by the parameters spent; it is reported, and all intervals are widened, for n - p degrees of freedom with the
quantile of Student's t.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student_t

from her2pkpd.fit.objective import Objective
from her2pkpd.fit.transform import Transform

DETERMINED_FOLD = 10.0
"""A parameter on a log scale counts as determined when its 95 % interval spans less than this fold."""

VAGUE = 10.0
"""Standard deviation, in widths of its bounds, of a coordinate that neither data nor prior inform about."""

DETERMINED_PART = 0.5
"""On a bounded scale, when its interval covers less than this part of the range."""


@dataclass(frozen=True)
class Interval:
    """One unknown after the fit.

    Attributes:
        name: name of the unknown.
        estimate: natural value.
        lower: lower end of the interval, NaN when the parameter sits on a bound.
        upper: upper end.
        verdict: plain words.
        sd: standard deviation of the coordinate.
    """

    name: str
    estimate: float
    lower: float
    upper: float
    verdict: str
    sd: float


def laplace(objective: Objective, u: np.ndarray, *, level: float = 0.95) -> tuple[list[Interval], np.ndarray]:
    """Intervals of every unknown at an optimum.

    Args:
        objective: the objective.
        u: coordinates of the optimum, (n_unknowns,).
        level: probability of the interval.

    Returns:
        One `Interval` per unknown, and the covariance of the coordinates (n_unknowns, n_unknowns); rows of
        parameters on a bound are zero.
    """
    low, high = objective.bounds()
    inside = (u - low > 1e-3) & (high - u > 1e-3)
    information = objective.information(u)[np.ix_(inside, inside)]
    prior = _prior_information(objective, u)[np.ix_(inside, inside)]
    covariance = np.zeros((len(u), len(u)))
    covariance[np.ix_(inside, inside)] = _inverse(information, (high - low)[inside])
    inflation, z = _spent(objective, covariance, information - prior, inside, level)
    covariance[: len(objective.free), : len(objective.free)] *= inflation
    centre = u.copy()
    centre[len(objective.free) :] += 0.5 * np.log(inflation)
    conditional = np.full(len(u), np.inf)
    conditional[inside] = 1 / np.sqrt(np.maximum(np.diag(information) - np.diag(prior), 1e-300))
    prior_sd = np.full(len(u), np.inf)
    prior_sd[inside] = 1 / np.sqrt(np.maximum(np.diag(prior), 1e-300))
    result = []
    for i, name in enumerate(objective.names):
        transform, sd = _transform(objective, i), float(np.sqrt(max(covariance[i, i], 0.0)))
        estimate = float(transform.backward(centre[i]))
        if not inside[i]:
            end = "lower" if u[i] - low[i] <= 1e-3 else "upper"
            result.append(Interval(name, estimate, np.nan, np.nan, f"at its {end} bound", 0.0))
            continue
        ends = transform.backward(np.clip([centre[i] - z * sd, centre[i] + z * sd], low[i], high[i]))
        verdict = _verdict(objective, i, u, covariance, float(conditional[i]), float(prior_sd[i]))
        result.append(Interval(name, estimate, float(ends[0]), float(ends[1]), verdict, sd))
    return result, covariance


def _inverse(information: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Covariance from information; a direction nothing informs about gets a variance far beyond its bounds.

    A pseudo-inverse would give such a direction no variance at all, and call an unknown without effect determined.
    """
    information = information + np.diag((VAGUE * width) ** -2.0)
    scale = 1 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    floor = len(values) * np.finfo(float).eps
    return (vectors / np.maximum(values, floor)) @ vectors.T * np.outer(scale, scale)


def _spent(
    objective: Objective, covariance: np.ndarray, data: np.ndarray, inside: np.ndarray, level: float
) -> tuple[float, float]:
    """Variance inflation n/(n - p) and the quantile for intervals; 1 and the normal one when no noise is estimated.

    p counts what the data determine: the trace of the hat matrix, in which a parameter held by its prior hardly
    counts.
    """
    if not objective.estimated:
        return 1.0, float(norm.ppf(0.5 + level / 2))
    free = inside & (np.arange(len(inside)) < len(objective.free))
    kept = free[inside]
    spent = float(np.trace(covariance[np.ix_(free, free)] @ data[np.ix_(kept, kept)]))
    n = objective.n_data
    degrees = max(n - spent, 1.0)
    return n / degrees, float(student_t.ppf(0.5 + level / 2, degrees))


def _transform(objective: Objective, i: int) -> Transform:
    if i < len(objective.free):
        return objective.free.free[i].transform
    return Transform("log", 1e-4, 1e3)


def _prior_information(objective: Objective, u: np.ndarray) -> np.ndarray:
    n = len(objective.free)
    _, jacobian = objective.free.prior_residuals(u[:n])
    information = np.zeros((len(u), len(u)))
    information[:n, :n] = jacobian.T @ jacobian
    return information


def _is_narrow(transform: Transform, u: float, sd: float) -> bool:
    if not np.isfinite(sd):
        return False
    ends = transform.backward(np.array([u - 1.96 * sd, u + 1.96 * sd]))
    if transform.scale == "log":
        return bool(ends[1] < DETERMINED_FOLD * ends[0])
    return bool(ends[1] - ends[0] < DETERMINED_PART * (transform.upper - transform.lower))


def _verdict(
    objective: Objective, i: int, u: np.ndarray, covariance: np.ndarray, conditional: float, prior_sd: float
) -> str:
    transform, sd = _transform(objective, i), float(np.sqrt(max(covariance[i, i], 0.0)))
    if _is_narrow(transform, u[i], sd) and sd < 0.7 * prior_sd:
        return "determined"
    if not _is_narrow(transform, u[i], conditional):
        return "not by these data"
    if sd >= 0.7 * prior_sd and conditional >= prior_sd:
        return "not by these data (the prior decides)"
    partner = _partner(objective, i, covariance)
    return f"only a combination is (with {partner})" if partner else "not by these data"


def _partner(objective: Objective, i: int, covariance: np.ndarray) -> str:
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = np.abs(covariance[i] / (sd * sd[i]))
    correlation[i] = 0.0
    j = int(np.argmax(correlation))
    return objective.names[j] if correlation[j] > 0.3 else ""
