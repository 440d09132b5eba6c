"""A profile as a curve: how much worse the best fit becomes when one unknown is moved, and who moves with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.interpolate import PchipInterpolator

from her2pkpd.fit.objective import Objective
from her2pkpd.fit.transform import Transform

Shape = Literal["closed", "open below", "open above", "open", "flat"]

FLAT = 0.01
"""A profile of the data that rises by less than this part of the interval's deviance over its whole range is flat."""


@dataclass(frozen=True)
class Point:
    """One constrained fit.

    Attributes:
        cost: -2 log posterior.
        data: the part of it that is the data's: without priors.
        u: (n_unknowns,) its coordinates.
        held: whether another unknown sits on a bound there, and could not follow.
    """

    cost: float
    data: float
    u: np.ndarray
    held: bool = False


@dataclass(frozen=True)
class ProfileCurve:
    """The profile of one unknown, through all constrained fits done.

    Attributes:
        name: the unknown.
        i: its position among the unknowns.
        transform: the scale it is estimated on.
        points: the fits, in order of the unknown's coordinate; the optimum is among them.
        threshold: deviance at the ends of the interval.
    """

    name: str
    i: int
    transform: Transform
    points: Sequence[Point]
    threshold: float

    @property
    def coordinates(self) -> np.ndarray:
        """(n_points, n_unknowns) coordinates of the fits."""
        return np.array([p.u for p in self.points])

    @property
    def values(self) -> np.ndarray:
        """(n_points,) natural values of the unknown."""
        return self.transform.backward(self.coordinates[:, self.i])

    @property
    def deviance(self) -> np.ndarray:
        """(n_points,) increase of -2 log posterior over the lowest met."""
        cost = np.array([p.cost for p in self.points])
        return cost - cost.min()

    @property
    def data_deviance(self) -> np.ndarray:
        """(n_points,) the data's part of the deviance, over its lowest."""
        data = np.array([p.data for p in self.points])
        return data - data.min()

    @property
    def shape(self) -> Shape:
        """Whether the interval ends on both sides, on one, on neither, or the data do not object to any value."""
        data, total = self.data_deviance, self.deviance
        best = int(np.argmin(total))
        followed = np.array([not p.held for p in self.points])
        if followed.sum() > 1 and data[followed].max() < FLAT * self.threshold:
            return "flat"
        near = 0.98 * self.threshold  # the search for an end stops within a hundredth of it
        below, above = (bool(len(side) and side.max() >= near) for side in (total[:best], total[best + 1 :]))
        if below and above:
            return "closed"
        return "open" if not (below or above) else "open above" if below else "open below"

    def smooth(self, points: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Values and deviance of a smooth line through the points: the signed root of a deviance is nearly straight."""
        x, best = self.coordinates[:, self.i], int(np.argmin(self.deviance))
        x, first = np.unique(x, return_index=True)
        if len(x) < 3:
            return self.transform.backward(x), self.deviance[first]
        root = np.sqrt(self.deviance[first]) * np.sign(x - self.coordinates[best, self.i])
        grid = np.linspace(x[0], x[-1], points)
        return self.transform.backward(grid), PchipInterpolator(x, root)(grid) ** 2

    def followers(self) -> np.ndarray:
        """(n_unknowns,) by how much each coordinate moves when this one is moved by one, over the whole curve."""
        moved = self.coordinates - self.coordinates.mean(axis=0)
        own = moved[:, self.i]
        return moved.T @ own / max(float(own @ own), 1e-300)


def point(objective: Objective, i: int, u: np.ndarray, residuals: np.ndarray) -> Point:
    """A constrained fit of unknown `i`, with unknowns `u`, as a point of its profile."""
    low, high = objective.bounds()
    on_bound = (u - low < 1e-3) | (high - u < 1e-3)
    on_bound[i] = False
    n = len(objective.free)
    at = np.concatenate([objective.free.coordinates(u[:n]), u[n:]])
    return Point(float(np.sum(residuals**2)), data_cost(objective, residuals), at, bool(on_bound.any()))


def data_cost(objective: Objective, residuals: np.ndarray) -> float:
    """The part of a sum of squared residuals that is not the priors', which come last."""
    return float(np.sum(residuals[: len(residuals) - prior_rows(objective)] ** 2))


def prior_rows(objective: Objective) -> int:
    """Number of residuals that are the priors'."""
    return objective.free.prior_residuals(np.zeros(len(objective.free)))[0].size
