"""Fitting surfaces: many starts, wells weighted where their scatter is uneven, and intervals from the profile.

The fit is least squares. For intervals, wells are weighted by the inverse of their variance where the scatter grows
with the response or with the slope (proportional errors, errors of the dose; `scatter`); estimates and intervals are
those of the weighted fit then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from her2pkpd.engine.descent import Minimum
from her2pkpd.synergy.lanes import Lanes
from her2pkpd.synergy.profile import profile
from her2pkpd.synergy.scatter import relative_variance
from her2pkpd.synergy.starts import bounds, starts
from her2pkpd.synergy.surfaces import Surface
from her2pkpd.synergy.wells import Wells, gather, log_doses

_REWEIGHTINGS = 3
_MANY, _ROUNDS, _ROUNDS_OF_MANY = 10, ((8, 2), (2, 2000)), ((16, 12), (3, 2000))
"""Rounds of a search, as lanes kept and iterations: of a surface of few parameters, and from `_MANY` on."""

_ENOUGH, _POLISH = 1e-9, 2000
"""Relative promise at which a search has converged; iterations granted to the best run to go on from there."""


@dataclass(frozen=True)
class SurfaceFit:
    """A fitted surface.

    Attributes:
        surface: what was fitted.
        u: (p,) coordinates.
        ends: (q, 2) of the 95 % interval of everything reported, logarithms where the quantity is one.
        rss: smallest sum of squares over the wells, unweighted.
        n: wells.
        converged: whether the search ended at a minimum.
        weighted: whether wells were weighted by the inverse of their variance.
    """

    surface: Surface
    u: np.ndarray
    ends: np.ndarray
    rss: float
    n: int
    converged: bool
    weighted: bool = False

    @cached_property
    def table(self) -> pd.DataFrame:
        """``parameter, estimate, lower, upper``, natural values."""
        value = self.surface.quantities(self.u[None])[0][0]
        logarithmic = np.array([self.surface.is_logarithmic(n) for n in self.surface.reported])
        columns = np.column_stack([value, self.ends])
        columns = np.where(logarithmic[:, None], np.exp(np.where(logarithmic[:, None], columns, 0.0)), columns)
        named = dict(zip(("estimate", "lower", "upper"), columns.T, strict=True))
        return pd.DataFrame({"parameter": self.surface.reported, **named})

    @property
    def noise(self) -> float:
        """Standard deviation of a well."""
        return float(np.sqrt(self.rss / max(self.n - len(self.u), 1)))

    @property
    def aicc(self) -> float:
        """Akaike's criterion, corrected for few wells; lower is better."""
        k = len(self.u) + 1
        return self.n * np.log(max(self.rss, 1e-300) / self.n) + 2 * k + 2 * k * (k + 1) / max(self.n - k - 1, 1e-9)

    def __getitem__(self, parameter: str) -> float:
        """Estimate of a parameter by name."""
        return float(self.table.set_index("parameter").loc[parameter, "estimate"])

    def predict(self, doses: np.ndarray) -> np.ndarray:
        """Response at doses (..., k)."""
        return self.surface(log_doses(doses), self.u)


def fit_surfaces(
    surface: Surface, blocks: Sequence[Wells], *, intervals: bool = True, seed: int = 0
) -> list[SurfaceFit]:
    """Fit one surface to many blocks.

    Args:
        surface: the surface.
        blocks: the wells of each.
        intervals: whether to compute 95 % intervals; without them wells are not weighted.
        seed: of the starts.

    Returns:
        One `SurfaceFit` per block; without intervals, or without degrees of freedom, their ends are NaN.
    """
    if not blocks:
        return []
    even = _search(surface, Lanes(surface, blocks), blocks, seed)
    rss = even.cost + [w.scatter for w in blocks]
    ends, weighted, best = np.full((len(blocks), len(surface.reported), 2), np.nan), np.zeros(len(blocks), bool), even
    if intervals:
        lanes, best, weighted = _weighted(surface, blocks, even)
        ends, best = profile(surface, lanes, blocks, best)
        rss = np.where(weighted, rss, np.minimum(rss, best.cost))
    return [
        SurfaceFit(surface, best.u[b], ends[b], float(rss[b]), w.n, bool(even.converged[b]), bool(weighted[b]))
        for b, w in enumerate(blocks)
    ]


def fit_surface(
    surface: Surface, doses: np.ndarray, response: np.ndarray, *, intervals: bool = True, seed: int = 0
) -> SurfaceFit:
    """Fit one surface to wells: doses (n, k), responses (n,) on the survival scale; see `fit_surfaces`."""
    wells = gather(np.asarray(doses, dtype=float), np.asarray(response, dtype=float))
    return fit_surfaces(surface, [wells], intervals=intervals, seed=seed)[0]


def _search(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], seed: int) -> Minimum:
    """Rounds of ever fewer, ever longer runs from the best of the starts."""
    limits = np.array([bounds(surface, w) for w in blocks])
    rounds = _ROUNDS_OF_MANY if len(surface.parameters) >= _MANY else _ROUNDS
    number = rounds[0][0]
    u = np.concatenate([starts(surface, w, number, seed) for w in blocks])
    block = np.repeat(np.arange(len(blocks)), number)
    cost, converged = np.zeros(len(u)), np.zeros(len(u), dtype=bool)
    for kept, iterations in rounds:
        best = np.argsort(cost.reshape(len(blocks), -1), axis=1, kind="stable")[:, :kept]
        chosen = (best + number * np.arange(len(blocks))[:, None]).ravel()
        u, block, number = u[chosen], block[chosen], kept
        found = lanes.minimise(block, u, limits[block, 0], limits[block, 1], iterations=iterations, tolerance=_ENOUGH)
        u, cost, converged = found.u, found.cost, found.converged
    pick = np.argmin(cost.reshape(len(blocks), -1), axis=1) + number * np.arange(len(blocks))
    # Along a flat valley the promise of a step falls below the search's tolerance long before its floor is reached.
    last = lanes.minimise(np.arange(len(blocks)), u[pick], limits[:, 0], limits[:, 1], iterations=_POLISH)
    return Minimum(last.u, last.cost, converged[pick] | last.converged)


def _weighted(surface: Surface, blocks: Sequence[Wells], even: Minimum) -> tuple[Lanes, Minimum, np.ndarray]:
    """Lanes with the blocks' variances, their fits (cost with the scatter of replicates), and which were weighted."""
    variance = [relative_variance(surface, w, u) for w, u in zip(blocks, even.u, strict=True)]
    uneven = np.array([np.ptp(v) > 0 for v in variance])
    u, cost, converged = even.u.copy(), even.cost.copy(), even.converged.copy()
    at = np.flatnonzero(uneven).tolist()
    limits = np.array([bounds(surface, w) for w in blocks])
    for _ in range(_REWEIGHTINGS * bool(len(at))):
        own = Lanes(surface, [blocks[b] for b in at], [variance[b] for b in at])
        found = own.minimise(np.arange(len(at)), u[at], limits[at, 0], limits[at, 1])
        u[at], cost[at], converged[at] = found.u, found.cost, found.converged
        for b in at:
            variance[b] = relative_variance(surface, blocks[b], u[b])
    lanes = Lanes(surface, blocks, variance)
    if len(at):
        found = lanes.minimise(np.array(at), u[at], limits[at, 0], limits[at, 1])
        u[at], cost[at] = found.u, found.cost
    return lanes, Minimum(u, cost + lanes.scatter, converged), uneven
