"""Intervals from the profile likelihood, all quantities of all blocks as lanes of one computation.

The interval of a quantity holds every value that the data, with all other parameters refitted, cannot tell from the
best one: F = (S - S_min)/s^2 up to the quantile of F(1, n - p), S being the (weighted) sum of squares. An interval that
never ends within the bounds is open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import t as student_t

from her2pkpd.engine.descent import Minimum
from her2pkpd.synergy.lanes import Held, Lanes
from her2pkpd.synergy.starts import BOUNDS, bounds
from her2pkpd.synergy.surfaces import EFFECT_BOUNDS, Surface
from her2pkpd.synergy.wells import Wells

LEVEL = 0.95
_STIFF = 10.0
"""Weight of the condition that holds a profiled quantity, per standard error. What it reaches falls a hundredth short
of its target, but lies on the profile all the same; a stiffer condition makes the valley narrow and the search slow."""
_STEPS = 10
_AGAIN, _BETTER = 3, 1e-6
"""How often profiles may begin again, and by how much (relative) a fit must be better for that."""
_CLOSE = 1e-3
"""Relative distance from the end at which it counts as found."""
_EXACT = 1e-24
"""Variance below which there is no scatter but rounding."""


@dataclass
class _Ends:
    """The search for both ends of every quantity: lanes (S,), each a block, a quantity and a side."""

    block: np.ndarray
    which: np.ndarray
    side: np.ndarray
    centre: np.ndarray
    reach: np.ndarray
    unit: np.ndarray
    scale: np.ndarray
    x: np.ndarray
    inner: np.ndarray = field(init=False)
    inner_z: np.ndarray = field(init=False)
    outer: np.ndarray = field(init=False)
    outer_z: np.ndarray = field(init=False)
    here: np.ndarray = field(init=False)
    settled: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.inner, self.inner_z = self.centre.copy(), np.zeros(len(self.centre))
        self.outer, self.outer_z = np.full((2, len(self.centre)), np.nan)
        self.here, self.settled = self.centre.copy(), np.zeros(len(self.centre), dtype=bool)

    @property
    def between(self) -> np.ndarray:
        """A value between those known to lie inside and outside."""
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.clip((self.reach - self.inner_z) / (self.outer_z - self.inner_z), 0.02, 0.98)
        return self.inner + part * (self.outer - self.inner)

    @property
    def following(self) -> np.ndarray:
        """Where to look next: in between, or farther out while nothing is known to lie outside."""
        least = self.side * self.unit
        more = np.clip(self.reach / np.maximum(self.inner_z, 1e-12), 1.3, 4.0)
        away = self.inner - self.centre
        away = np.where(np.abs(away) < np.abs(least), least, away)
        return np.where(np.isfinite(self.outer), self.between, self.centre + more * away)

    def last(self, open_end: np.ndarray) -> np.ndarray:
        """The ends, as far as they were found; `open_end` where nothing lies outside."""
        return np.where(self.settled, self.here, np.where(np.isfinite(self.outer_z), self.between, open_end))

    def take(self, at: np.ndarray, x: np.ndarray, reached: np.ndarray, z: np.ndarray) -> None:
        """What was found for the lanes `at`: coordinates, the quantity's value, and sqrt(S - S_min) there."""
        self.x[at], self.here[at] = x, reached
        beyond = z > self.reach[at]
        for store, store_z, chosen in ((self.outer, self.outer_z, beyond), (self.inner, self.inner_z, ~beyond)):
            store[at[chosen]], store_z[at[chosen]] = reached[chosen], z[chosen]
        self.settled[at] = np.abs(z - self.reach[at]) < _CLOSE * self.reach[at]


def profile(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum) -> tuple[np.ndarray, Minimum]:
    """Intervals of everything reported.

    A profile that meets a better fit than the one it started from ends there, and begins again from it.

    Args:
        surface: the surface.
        lanes: the blocks under it, weighted as the fit was.
        blocks: the wells of each.
        best: the fit of each, `cost` including the replicates' scatter.

    Returns:
        (blocks, q, 2) ends, logarithms where the quantity is one; NaN without degrees of freedom, infinite (or the
        limit of what the quantity can be) where open. And the best fit of each block.
    """
    found = np.full((len(blocks), len(surface.reported), 2), np.nan)
    best = Minimum(best.u.copy(), best.cost.copy(), best.converged.copy())
    df = np.array([w.n for w in blocks]) - best.u.shape[1]
    todo = np.flatnonzero((df > 0) & np.isfinite(best.cost))
    for _ in range(_AGAIN):
        if not len(todo):
            break
        ends = _begin(surface, lanes, blocks, best, todo)
        lowest = _search(surface, lanes, blocks, best, ends)
        found[ends.block, ends.which, (ends.side > 0).astype(int)] = ends.last(_open(surface, ends))
        todo = np.flatnonzero(lowest.cost < best.cost * (1.0 - _BETTER))
        if len(todo):
            _refit(surface, lanes, blocks, best, lowest, todo)
    value = surface.quantities(best.u)[0]
    found[..., 0], found[..., 1] = np.minimum(found[..., 0], value), np.maximum(found[..., 1], value)
    return found, best


def _begin(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum, which: np.ndarray) -> _Ends:
    """Both ends of every quantity of some blocks, at the start of their search."""
    u, df = best.u[which], np.array([blocks[b].n for b in which]) - best.u.shape[1]
    value, gradient = surface.quantities(u)
    scale = np.sqrt(np.maximum(best.cost[which] / df, _EXACT))
    each = zip(which.tolist(), gradient, strict=True)
    se = np.stack([_deviations(surface, blocks[b], lanes.weight(b), best.u[b], g) for b, g in each])
    at = np.meshgrid(range(len(which)), range(value.shape[1]), [-1.0, 1.0], indexing="ij")
    row, quantity, side = (x.ravel() for x in at)
    unit = np.clip(se[row, quantity] * scale[row], 1e-6, EFFECT_BOUNDS[1] - EFFECT_BOUNDS[0])
    reach = scale[row] * student_t.ppf(0.5 + LEVEL / 2, df[row])
    return _Ends(which[row], quantity, side, value[row, quantity], reach, unit, scale[row], u[row].copy())


def _search(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum, ends: _Ends) -> Minimum:
    """Find the ends; returns the lowest cost met in every block, and where."""
    limits, scatter = np.array([bounds(surface, w) for w in blocks]), lanes.scatter
    lowest = Minimum(best.u.copy(), best.cost.copy(), best.converged)
    target = ends.centre + ends.side * ends.unit * ends.reach / ends.scale
    for _ in range(_STEPS):
        todo = np.flatnonzero(~ends.settled)
        if not len(todo):
            break
        b, which = ends.block[todo], ends.which[todo]
        stiff = _STIFF * ends.scale[todo] / ends.unit[todo]
        held = Held(which, target[todo], stiff)
        low, high = limits[b, 0], limits[b, 1]
        result = lanes.minimise(b, ends.x[todo], low, high, held=held, iterations=60, tolerance=1e-10)
        reached = surface.quantities(result.u)[0][np.arange(len(todo)), which]
        cost = result.cost - (stiff * (reached - target[todo])) ** 2 + scatter[b]
        ends.take(todo, result.u, reached, np.sqrt(np.maximum(cost - best.cost[b], 0.0)))
        for lane in np.flatnonzero(cost < lowest.cost[b]):
            if cost[lane] < lowest.cost[b[lane]]:
                lowest.u[b[lane]], lowest.cost[b[lane]] = result.u[lane], cost[lane]
        target = ends.following
    return lowest


def _refit(
    surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum, lowest: Minimum, which: np.ndarray
) -> None:
    """Go on from the better fits that profiles have met."""
    limits = np.array([bounds(surface, blocks[b]) for b in which])
    found = lanes.minimise(which, lowest.u[which], limits[:, 0], limits[:, 1])
    best.u[which], best.converged[which] = found.u, found.converged
    best.cost[which] = found.cost + lanes.scatter[which]


def _deviations(surface: Surface, wells: Wells, weight: np.ndarray, u: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Standard deviation (q,) of every quantity for wells of variance 1, along the tangents of the surface.

    Coordinates on a bound are held, unless then hardly anything would be left to move.
    """
    _, slope = surface.with_gradient(wells.inputs, u)
    low, high = bounds(surface, wells)
    inside = (u > low + 1e-9) & (u < high - 1e-9)
    found = []
    for free in (inside, np.ones(len(u), dtype=bool)):
        _, s, vt = np.linalg.svd(slope * weight[:, None] * free, full_matrices=False)
        keep = s > 1e-9 * s.max(initial=1e-300)
        found.append(np.linalg.norm(gradient @ vt[keep].T / s[keep], axis=1))
    return np.maximum(found[0], 1e-2 * found[1])


def _open(surface: Surface, ends: _Ends) -> np.ndarray:
    """The end of an interval the data leave open: the limit of what the quantity can be."""
    limits = {p.name: BOUNDS[p.kind][0] for p in surface.parameters if p.kind in ("kappa", "shift")}
    below = np.array([limits.get(n, -np.inf) for n in surface.reported])
    return np.where(ends.side < 0, below[ends.which], np.inf)
