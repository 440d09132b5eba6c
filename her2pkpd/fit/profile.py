"""Profile-likelihood intervals: how far a parameter can be moved before the data object, all others following.

The deviance of a value is the increase of -2 log posterior at the best fit that has this value. On the way out from
the optimum every constrained fit starts where the last one ended. The interval ends where the deviance reaches the
quantile of chi-squared; where the noise level is estimated from the same wells, that of the F distribution for the
degrees of freedom left, which is exact for a linear model. An interval that reaches a bound ends there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from scipy.optimize import brentq, least_squares

from her2pkpd.fit.intervals import Curvature, Interval, curvature, laplace
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.optimise import Remembered
from her2pkpd.fit.profile_curve import Point, ProfileCurve, point

MAX_EVALUATIONS = 40
"""Of one constrained fit."""

MAX_STEPS = 12
"""Steps outwards before an end counts as not found."""

PRECISION = 0.01
"""Of an interval's end, in standard deviations."""


@dataclass
class _Profile:
    """The deviance of one unknown.

    Attributes:
        objective: the objective.
        i: position of the unknown.
        u: unknowns at the optimum.
        at: coordinate that is profiled, at the optimum.
        best: objective at the optimum.
        slope: of all unknowns by this coordinate at the optimum, where first constrained fits start.
        ends: unknowns of the constrained fits done on this side, by the coordinate held.
        met: every constrained fit done.
        lowest: lowest objective met.
    """

    objective: Objective
    i: int
    u: np.ndarray
    at: float
    best: float
    slope: np.ndarray
    ends: dict[float, np.ndarray] = field(default_factory=dict)
    met: list[Point] = field(default_factory=list)
    lowest: float = np.inf

    def __call__(self, value: float) -> float:
        """Square root of the deviance; NaN where the model cannot be solved."""
        low, high = self.objective.bounds()
        others = np.arange(len(self.u)) != self.i
        u = self._start(value)
        remembered = Remembered(self.objective)

        def full(part: np.ndarray) -> np.ndarray:
            u[others] = part
            return self._hold(u, value)

        def jacobian(part: np.ndarray) -> np.ndarray:
            own, follows = remembered(full(part)).jacobian, self._slopes(u)
            return own[:, others] - np.outer(own[:, self.i], follows[others] / follows[self.i])

        margin = 1e-9 * np.maximum(1.0, np.abs(u[others]))
        start = np.clip(u[others], low[others] + margin, high[others] - margin)
        if not np.isfinite(remembered(full(start)).cost):
            return np.nan
        found = least_squares(
            lambda part: remembered(full(part)).residuals,
            start,
            jac=jacobian,  # type: ignore[arg-type]
            bounds=(low[others], high[others]),
            x_scale="jac",
            max_nfev=MAX_EVALUATIONS,
            ftol=1e-7,
            xtol=1e-5,
            gtol=1e-6,
        )
        self.ends[value] = full(found.x).copy()
        cost = 2.0 * float(found.cost)
        self.met.append(point(self.objective, self.i, self.ends[value], found.fun))
        self.lowest = min(self.lowest, cost)
        return float(np.sqrt(max(cost - self.best, 0.0)))

    def _start(self, value: float) -> np.ndarray:
        """From the nearest constrained fit, along the line that leads there from the optimum."""
        if not self.ends:
            start = self.u + self.slope * (value - self.at)
        else:
            nearest = min(self.ends, key=lambda x: abs(x - value))
            part = (value - self.at) / (nearest - self.at)
            start = self.u + part * (self.ends[nearest] - self.u)
        return self._hold(start, value)

    def _hold(self, u: np.ndarray, value: float) -> np.ndarray:
        """Give unknown `i` what its coordinate needs to be `value`; the coordinate is linear in it."""
        free = self.objective.free
        if free.free[self.i].role == "deviation":
            u[self.i] += (value - free.coordinates(u[: len(free)])[self.i]) / self._slopes(u)[self.i]
        else:
            u[self.i] = value
        return u

    def _slopes(self, u: np.ndarray) -> np.ndarray:
        """(n_unknowns,) derivatives of the coordinate."""
        n = len(self.objective.free)
        return np.pad(self.objective.free.coordinate_slopes(u[:n])[self.i], (0, len(u) - n))


def profile(
    objective: Objective,
    u: np.ndarray,
    *,
    level: float = 0.95,
    progress: Callable[[int, int], None] | None = None,
    keep: Callable[[ProfileCurve], None] | None = None,
    only: Sequence[int] | None = None,
) -> tuple[list[Interval], float]:
    """Profile-likelihood intervals of every unknown at an optimum; noise levels keep their Laplace intervals.

    Args:
        objective: the objective.
        u: coordinates of the optimum, (n_unknowns,).
        level: probability of the interval.
        progress: called after every unknown with (finished, planned).
        only: positions of the unknowns to profile, all by default; the others keep their Laplace intervals.
        keep: called with the curve of every finished unknown, through the points the search has visited.

    Returns:
        One `Interval` per unknown, and the lowest objective met on the way: below that of `u` where `u` is no
        optimum. Ctrl-C ends the work; what is not finished keeps its Laplace interval, and says so.
    """
    curved = curvature(objective, u)
    best = objective(u).cost
    intervals, lowest = laplace(objective, u, level=level)[0], best
    try:
        wanted = range(len(objective.free)) if only is None else only
        for done, i in enumerate(wanted, start=1):
            own = _Profile(objective, i, u, float(curved.at[i]), best, curved.slope(i))
            intervals[i] = _interval(own, curved, intervals[i], level)
            lowest = min(lowest, own.lowest)
            if keep is not None:
                keep(_curve(own, curved.deviance(level)))
            if progress is not None:
                progress(done, len(wanted))
    except KeyboardInterrupt:
        pass
    return intervals, lowest


def trace_profile(
    objective: Objective, u: np.ndarray, i: int, *, level: float = 0.95, points: int = 8, reach: float = 1.4
) -> ProfileCurve:
    """The profile of one unknown by continuation: small steps outwards, each from where the last one ended.

    Args:
        objective: the objective.
        u: coordinates of the optimum, (n_unknowns,).
        i: position of the unknown.
        level: probability of the interval the curve must contain.
        points: on each side, about.
        reach: how far to go, in square roots of the interval's deviance.

    Returns:
        The `ProfileCurve`; a side ends at the bound, or where the model cannot be solved.
    """
    curved = curvature(objective, u)
    own = _Profile(objective, i, u, float(curved.at[i]), objective(u).cost, curved.slope(i))
    target = curved.deviance(level) ** 0.5
    for side, bound in zip((-1.0, 1.0), curved.box(i), strict=True):
        _walk(own, side, abs(bound - own.at), curved.sd(i), reach * target, points)
    return _curve(own, curved.deviance(level))


def _walk(own: _Profile, side: float, far: float, sd: float, stop: float, points: int) -> None:
    own.ends.clear()
    rise, step = stop / points, max(sd, 1e-3 * far) * stop / points
    distance, before = 0.0, 0.0
    for _ in range(4 * points):
        if distance >= far or before >= stop:
            return
        distance = min(distance + step, far)
        now = own(own.at + side * distance)
        if not np.isfinite(now):
            return
        step *= float(np.clip(rise / max(now - before, 1e-9), 0.5, 2.0))
        before = now


def _curve(own: _Profile, threshold: float) -> ProfileCurve:
    middle = point(own.objective, own.i, own.u, own.objective(own.u).residuals)
    points = sorted([middle, *own.met], key=lambda p: float(p.u[own.i]))
    return ProfileCurve(own.objective.names[own.i], own.i, own.objective.free.free[own.i].transform, points, threshold)


def _interval(own: _Profile, curved: Curvature, plain: Interval, level: float) -> Interval:
    """The interval of one unknown, and its verdict by that interval."""
    low, high = curved.box(own.i)
    sd = plain.sd if 0 < plain.sd < high - low else 0.1 * (high - low)
    target = curved.deviance(level) ** 0.5
    at = own.at
    below, above = (_end(own, target, at + side * target * sd, bound, sd) for side, bound in ((-1, low), (1, high)))
    transform = curved.transform(own.i)
    lower, upper = (float(transform.backward(x)) for x in (below, above))
    verdict = plain.verdict if not curved.inside[own.i] else curved.verdict(own.i, (below, above))
    kind = "profile" if np.isfinite([lower, upper]).all() else "profile, an end not found"
    return replace(plain, lower=lower, upper=upper, verdict=verdict, kind=kind)


def _end(own: _Profile, target: float, guess: float, bound: float, sd: float) -> float:
    """Where the deviance reaches its target: stepping outwards until it is passed, then closing in."""
    at = own.at
    if abs(bound - at) < 1e-6:
        return bound
    reach = abs(bound - at)
    known = {0.0: -target}
    own.ends.clear()

    def above(distance: float) -> float:
        if distance not in known:
            missed = own(at + np.sign(bound - at) * distance) - target
            known[distance] = 0.0 if abs(missed) < PRECISION else missed  # a zero ends the search
        return known[distance]

    inner, outer = 0.0, min(abs(guess - at), reach)
    for _ in range(MAX_STEPS):
        missed = above(outer)
        if not np.isfinite(missed):
            return np.nan
        if missed >= 0:
            distance = cast(float, brentq(above, inner, outer, xtol=1e-3 * PRECISION * sd))
            return float(at + np.sign(bound - at) * distance)
        if outer == reach:
            return bound
        factor = float(np.clip(1.1 * target / max(missed + target, 1e-3), 1.2, 3.0))
        inner, outer = outer, min(factor * outer, reach)
    return np.nan
