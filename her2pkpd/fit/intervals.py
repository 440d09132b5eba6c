"""Laplace intervals, and a plain verdict per parameter: determined, only a combination is, or not by these data.

The information matrix is the expected (Fisher) information of the data, from exact derivatives, plus that of the
priors. A parameter that sits on a bound is held there: its interval is not normal and none is given; no interval
reaches beyond the bounds. Where the noise level is estimated from the same wells, its maximum-likelihood value is too
small by the parameters spent; it is reported, and all intervals are widened, for n - p degrees of freedom with the
quantile of Student's t.
"""

from dataclasses import dataclass

import numpy as np
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
        kind: how the interval was made, "Laplace" or "profile".
    """

    name: str
    estimate: float
    lower: float
    upper: float
    verdict: str
    sd: float
    kind: str = "Laplace"


@dataclass(frozen=True)
class Curvature:
    """The objective around an optimum, as far as its second derivatives tell.

    A natural value's coordinate is its unknown, except for copies pooled with an estimated spread: their unknown is the
    distance from the centre in spreads, and what can be said of the copy itself follows by the chain rule.

    Attributes:
        objective: the objective.
        u: unknowns at the optimum, (n_unknowns,).
        inside: (n_unknowns,) which do not sit on a bound.
        unknowns: covariance of the unknowns, (n_unknowns, n_unknowns); rows of parameters on a bound are zero.
        slopes: (n_unknowns, n_unknowns) derivatives of the coordinates (rows) by the unknowns.
        at: (n_unknowns,) coordinates at the optimum.
        covariance: of the coordinates, (n_unknowns, n_unknowns).
        conditional: (n_unknowns,) standard deviations of the coordinates if everything else were known.
        prior_sd: (n_unknowns,) standard deviations of the priors, infinite without one.
        inflation: of variances, for a noise level estimated from the same wells.
        degrees: degrees of freedom left for the noise level, infinite where it is known.
    """

    objective: Objective
    u: np.ndarray
    inside: np.ndarray
    unknowns: np.ndarray
    slopes: np.ndarray
    at: np.ndarray
    covariance: np.ndarray
    conditional: np.ndarray
    prior_sd: np.ndarray
    inflation: float
    degrees: float

    def transform(self, i: int) -> Transform:
        """Scale an unknown is estimated on."""
        if i < len(self.objective.free):
            return self.objective.free.free[i].transform
        return Transform("log", 1e-4, 1e3)

    def sd(self, i: int) -> float:
        """Standard deviation of a coordinate."""
        return float(np.sqrt(max(self.covariance[i, i], 0.0)))

    def slope(self, i: int) -> np.ndarray:
        """(n_unknowns,) how all unknowns follow when one coordinate is moved."""
        moved = self.unknowns @ self.slopes[i]
        return moved / self.covariance[i, i] if self.covariance[i, i] > 0 else np.zeros(len(self.u))

    def box(self, i: int) -> tuple[float, float]:
        """Bounds of a coordinate."""
        n = len(self.objective.free)
        low, high = self.objective.free.coordinate_bounds() if i < n else self.objective.bounds()
        return float(low[i]), float(high[i])

    def quantile(self, level: float) -> float:
        """Half-width of an interval in standard deviations."""
        return float(student_t.ppf(0.5 + level / 2, self.degrees))

    def deviance(self, level: float) -> float:
        """Increase of -2 log posterior at the ends of an interval: n log(1 + F/(n - p)), or that of chi-squared."""
        f = self.quantile(level) ** 2
        n = self.objective.n_data
        return f if np.isinf(self.degrees) else float(n * np.log1p(f / self.degrees))

    def verdict(self, i: int, ends: tuple[float, float]) -> str:
        """Plain words for an unknown whose 95 % interval has these ends, coordinates."""
        sd, conditional, prior_sd = self.sd(i), float(self.conditional[i]), float(self.prior_sd[i])
        if _is_narrow(self.transform(i), *ends) and sd < 0.7 * prior_sd:
            return "determined"
        if not _is_narrow(self.transform(i), self.at[i] - 1.96 * conditional, self.at[i] + 1.96 * conditional):
            return "not by these data"
        if sd >= 0.7 * prior_sd and conditional >= prior_sd:
            return "not by these data (the prior decides)"
        partner = _partner(self.objective, i, self.covariance)
        return f"only a combination is (with {partner})" if partner else "not by these data"


def curvature(objective: Objective, u: np.ndarray) -> Curvature:
    """Information, covariance and degrees of freedom at an optimum `u` (n_unknowns,)."""
    n = len(objective.free)
    low, high = objective.bounds()
    inside = (u - low > 1e-3) & (high - u > 1e-3)
    information = objective.information(u)[np.ix_(inside, inside)]
    prior = _prior_information(objective, u)[np.ix_(inside, inside)]
    covariance = np.zeros((len(u), len(u)))
    covariance[np.ix_(inside, inside)] = _inverse(information, (high - low)[inside])
    inflation, degrees = _spent(objective, covariance, information - prior, inside)
    covariance[:n, :n] *= inflation
    conditional, prior_sd = np.full(len(u), np.inf), np.full(len(u), np.inf)
    believed = np.diag(prior) - _pooling(objective, len(u))[inside]
    conditional[inside] = 1 / np.sqrt(np.maximum(np.diag(information) - believed, 1e-300))
    prior_sd[inside] = 1 / np.sqrt(np.maximum(believed, 1e-300))
    slopes, at = np.eye(len(u)), u.copy()
    slopes[:n, :n], at[:n] = objective.free.coordinate_slopes(u[:n]), objective.free.coordinates(u[:n])
    own = np.diag(slopes)  # with all others known, a coordinate moves with its own unknown alone
    return Curvature(
        objective, u, inside, covariance, slopes, at, slopes @ covariance @ slopes.T, conditional * own, prior_sd * own,
        inflation, degrees,
    )  # fmt: skip


def laplace(objective: Objective, u: np.ndarray, *, level: float = 0.95) -> tuple[list[Interval], np.ndarray]:
    """Intervals of every unknown at an optimum.

    Args:
        objective: the objective.
        u: coordinates of the optimum, (n_unknowns,).
        level: probability of the interval.

    Returns:
        One `Interval` per unknown, and the covariance of the unknowns (n_unknowns, n_unknowns); rows of parameters on
        a bound are zero.
    """
    curved = curvature(objective, u)
    centre = curved.at.copy()
    centre[len(objective.free) :] += 0.5 * np.log(curved.inflation)
    result = []
    for i, name in enumerate(objective.names):
        transform, sd = curved.transform(i), curved.sd(i)
        estimate = float(transform.backward(centre[i]))
        low, high = curved.box(i)
        if not curved.inside[i]:
            end = "lower" if u[i] - objective.bounds()[0][i] <= 1e-3 else "upper"
            result.append(Interval(name, estimate, np.nan, np.nan, f"at its {end} bound", 0.0))
            continue
        z = curved.quantile(level)
        ends = transform.backward(np.clip([centre[i] - z * sd, centre[i] + z * sd], low, high))
        verdict = curved.verdict(i, (curved.at[i] - 1.96 * sd, curved.at[i] + 1.96 * sd))
        result.append(Interval(name, estimate, float(ends[0]), float(ends[1]), verdict, sd))
    return result, curved.unknowns


def _inverse(information: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Covariance from information; a direction nothing informs about gets a variance far beyond its bounds.

    A pseudo-inverse would give such a direction no variance at all, and call an unknown without effect determined.
    """
    information = information + np.diag((VAGUE * width) ** -2.0)
    scale = 1 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    floor = len(values) * np.finfo(float).eps
    return (vectors / np.maximum(values, floor)) @ vectors.T * np.outer(scale, scale)


def _spent(objective: Objective, covariance: np.ndarray, data: np.ndarray, inside: np.ndarray) -> tuple[float, float]:
    """Variance inflation n/(n - p) and degrees of freedom n - p; 1 and infinitely many when no noise is estimated.

    p counts what the data determine: the trace of the hat matrix, in which a parameter held by its prior hardly
    counts.
    """
    if not objective.estimated:
        return 1.0, np.inf
    free = inside & (np.arange(len(inside)) < len(objective.free))
    kept = free[inside]
    spent = float(np.trace(covariance[np.ix_(free, free)] @ data[np.ix_(kept, kept)]))
    n = objective.n_data
    degrees = max(n - spent, 1.0)
    return n / degrees, degrees


def _prior_information(objective: Objective, u: np.ndarray) -> np.ndarray:
    n = len(objective.free)
    _, jacobian = objective.free.prior_residuals(u[:n])
    information = np.zeros((len(u), len(u)))
    information[:n, :n] = jacobian.T @ jacobian
    return information


def _pooling(objective: Objective, n: int) -> np.ndarray:
    """(n,) information on the centres of pools from their copies: they are its data, and no prior of it."""
    found = np.zeros(n)
    for centre, members in objective.free.pools:
        found[centre] = len(members) / objective.free.free[centre].estimate.pool_sd ** 2
    return found


def _is_narrow(transform: Transform, lower: float, upper: float) -> bool:
    """Whether an interval between two coordinates counts as known."""
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return False
    ends = transform.backward(np.array([lower, upper]))
    if transform.scale == "log":
        return bool(ends[1] < DETERMINED_FOLD * ends[0])
    return bool(ends[1] - ends[0] < DETERMINED_PART * (transform.upper - transform.lower))


def _partner(objective: Objective, i: int, covariance: np.ndarray) -> str:
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = np.abs(covariance[i] / (sd * sd[i]))
    correlation[i] = 0.0
    j = int(np.argmax(correlation))
    return objective.names[j] if correlation[j] > 0.3 else ""
