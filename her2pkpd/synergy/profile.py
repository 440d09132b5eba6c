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
_STIFF = 1e3
"""Weight of the condition that holds a profiled quantity, per standard error."""
_STEPS = 10
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

    def take(self, at: np.ndarray, x: np.ndarray, reached: np.ndarray, z: np.ndarray) -> None:
        """What was found for the lanes `at`: coordinates, the quantity's value, and sqrt(S - S_min) there."""
        self.x[at], self.here[at] = x, reached
        beyond = z > self.reach[at]
        for store, store_z, chosen in ((self.outer, self.outer_z, beyond), (self.inner, self.inner_z, ~beyond)):
            store[at[chosen]], store_z[at[chosen]] = reached[chosen], z[chosen]
        self.settled[at] = np.abs(z - self.reach[at]) < _CLOSE * self.reach[at]


def profile(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum) -> np.ndarray:
    """Intervals of everything reported.

    Args:
        surface: the surface.
        lanes: the blocks under it, weighted as the fit was.
        blocks: the wells of each.
        best: the fit of each, `cost` including the replicates' scatter.

    Returns:
        (blocks, q, 2) ends, logarithms where the quantity is one; NaN without degrees of freedom, infinite (or the
        limit of what the quantity can be) where open.
    """
    q, p = len(surface.reported), best.u.shape[1]
    found = np.full((len(blocks), q, 2), np.nan)
    df = np.array([w.n for w in blocks]) - p
    able = np.flatnonzero((df > 0) & np.isfinite(best.cost))
    if not len(able):
        return found
    variance = np.maximum(best.cost[able] / df[able], _EXACT)
    value, gradient = surface.quantities(best.u[able])
    scale = np.sqrt(variance)
    se = np.stack(
        [
            _deviations(surface, blocks[b], lanes.weight(b), best.u[b], g)
            for b, g in zip(able.tolist(), gradient, strict=True)
        ]
    )
    block, which, side = (x.ravel() for x in np.meshgrid(range(len(able)), range(q), [-1.0, 1.0], indexing="ij"))
    span = EFFECT_BOUNDS[1] - EFFECT_BOUNDS[0]
    unit = np.clip(se[block, which] * scale[block], 1e-9, span)
    reach = scale[block] * student_t.ppf(0.5 + LEVEL / 2, df[able][block])
    ends = _Ends(able[block], which, side, value[block, which], reach, unit, scale[block], best.u[able[block]].copy())
    _search(surface, lanes, blocks, best, ends)
    last = np.where(ends.settled, ends.here, np.where(np.isfinite(ends.outer_z), ends.between, _open(surface, ends)))
    found[ends.block, which, (side > 0).astype(int)] = last
    return found


def _search(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], best: Minimum, ends: _Ends) -> None:
    limits = np.array([bounds(surface, w) for w in blocks])
    scatter = lanes.scatter
    target = ends.centre + ends.side * ends.unit * ends.reach / ends.scale
    for _ in range(_STEPS):
        todo = np.flatnonzero(~ends.settled)
        if not len(todo):
            return
        b, which = ends.block[todo], ends.which[todo]
        stiff = _STIFF * ends.scale[todo] / ends.unit[todo]
        held = Held(which, target[todo], stiff)
        low, high = limits[b, 0], limits[b, 1]
        result = lanes.minimise(b, ends.x[todo], low, high, held=held, iterations=60, tolerance=1e-10)
        reached = surface.quantities(result.u)[0][np.arange(len(todo)), which]
        cost = result.cost - (stiff * (reached - target[todo])) ** 2 + scatter[b]
        ends.take(todo, result.u, reached, np.sqrt(np.maximum(cost - best.cost[b], 0.0)))
        target = ends.following


def _deviations(surface: Surface, wells: Wells, weight: np.ndarray, u: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Standard deviation (q,) of every quantity for wells of variance 1, along the tangents of the surface."""
    _, slope = surface.with_gradient(wells.inputs, u)
    low, high = bounds(surface, wells)
    inside = (u > low + 1e-9) & (u < high - 1e-9)
    _, s, vt = np.linalg.svd(slope * weight[:, None] * inside, full_matrices=False)
    keep = s > 1e-9 * s.max(initial=1e-300)
    return np.maximum(np.linalg.norm(gradient @ vt[keep].T / s[keep], axis=1), 1e-15)


def _open(surface: Surface, ends: _Ends) -> np.ndarray:
    """The end of an interval the data leave open: the limit of what the quantity can be."""
    limits = {p.name: BOUNDS[p.kind][0] for p in surface.parameters if p.kind in ("kappa", "shift")}
    below = np.array([limits.get(n, -np.inf) for n in surface.reported])
    return np.where(ends.side < 0, below[ends.which], np.inf)
