"""Fitting surfaces: many starts, and intervals from the profile likelihood, all as lanes of one computation.

Replicates of one dose pair count through their mean and number. The interval of a quantity holds every value that
the data, with all other parameters refitted, cannot tell from the best one: F = (RSS - RSS_min)/s^2 up to the
quantile of F(1, n - p). Where the scatter grows with the response or with the slope (proportional noise, errors of
the dose), the intervals are stretched or shrunk by the ratio of the variance under that scatter to the variance
under a constant one. An interval that never ends within the bounds is reported as open (0 or infinity).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import chi2, qmc
from scipy.stats import t as student_t

from her2pkpd.synergy.least_squares import Minimum, minimise
from her2pkpd.synergy.surfaces import (
    COOPERATION_BOUNDS,
    EFFECT_BOUNDS,
    INTERACTION_BOUNDS,
    NO_DOSE,
    SLOPE_BOUNDS,
    Surface,
)

POTENCY_MARGIN = np.log(1e3)
"""A potency may lie this far (log) beyond the doses tested."""

LEVEL = 0.95
STARTS = 16
_STIFF = 1e3
"""Weight of the condition that holds a profiled quantity, per standard error."""
_PROFILE_STEPS = 10
_CHUNK = 24
"""Lanes evaluated together: few enough for their numbers to stay in the cache."""


@dataclass(frozen=True)
class Wells:
    """Wells of one block as a fit sees them: one entry for each distinct dose combination.

    Attributes:
        inputs: (g, k) log doses (and any further numbers).
        mean: (g,) mean response.
        count: (g,) replicates.
        scatter: sum of squares of the replicates around their means.
    """

    inputs: np.ndarray
    mean: np.ndarray
    count: np.ndarray
    scatter: float

    @property
    def n(self) -> int:
        """Number of wells."""
        return int(self.count.sum())


@dataclass(frozen=True)
class SurfaceFit:
    """A fitted surface.

    Attributes:
        surface: what was fitted.
        u: (p,) coordinates.
        table: ``parameter, estimate, lower, upper``, natural values.
        rss: residual sum of squares over the wells.
        n: wells.
        converged: whether the search ended at a minimum.
        noise: standard deviation of a well.
    """

    surface: Surface
    u: np.ndarray
    table: pd.DataFrame
    rss: float
    n: int
    converged: bool
    noise: float

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


def log_doses(doses: np.ndarray) -> np.ndarray:
    """Logarithms of doses, `NO_DOSE` for none."""
    doses = np.asarray(doses, dtype=float)
    return np.where(doses > 0, np.log(np.where(doses > 0, doses, 1.0)), NO_DOSE)


def gather(doses: np.ndarray, response: np.ndarray) -> Wells:
    """Distinct dose combinations of wells: doses (n, k) and responses (n,)."""
    unique, where = np.unique(doses, axis=0, return_inverse=True)
    where = where.ravel()
    count = np.bincount(where).astype(float)
    mean = np.bincount(where, weights=response) / count
    return Wells(log_doses(unique), mean, count, float(np.sum((response - mean[where]) ** 2)))


def bounds(surface: Surface, wells: Wells) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the coordinates, two arrays (p,)."""
    fixed = {
        "effect": EFFECT_BOUNDS, "plateau": (0.0, EFFECT_BOUNDS[1]), "slope": SLOPE_BOUNDS,
        "interaction": INTERACTION_BOUNDS, "cooperation": COOPERATION_BOUNDS, "fraction": (1e-9, 1.0),
        "kappa": (-1.999, 1e3), "shift": (-0.9999, 1e4),
    }  # fmt: skip
    rows = [
        _potency_bounds(wells, _drug_of(p.name)) if p.kind == "potency" else fixed[p.kind] for p in surface.parameters
    ]
    low, high = np.array(rows).T
    return low, high


def _drug_of(name: str) -> int:
    return int(name.lstrip("C")) - 1 if name.startswith("C") else 0


def _potency_bounds(wells: Wells, drug: int) -> tuple[float, float]:
    doses = wells.inputs[:, drug]
    doses = doses[doses > NO_DOSE]
    return float(doses.min() - POTENCY_MARGIN), float(doses.max() + POTENCY_MARGIN)


def starts(surface: Surface, wells: Wells, number: int, seed: int) -> np.ndarray:
    """Starting coordinates (number, p): a guess from the corners of the block, then Sobol points around it."""
    k = surface.n_drugs
    x, y = wells.inputs[:, :k], wells.mean
    rank = np.stack([np.unique(x[:, i], return_inverse=True)[1] for i in range(k)], axis=1).astype(float)
    rank /= np.maximum(rank.max(axis=0), 1)

    def corner(target: Sequence[float]) -> float:
        distance = np.abs(rank - np.array(target)).sum(axis=1)
        return float(y[distance <= distance.min() + 1e-9].mean())

    guess, spread = [], []
    for p in surface.parameters:
        value, width = p.start, 0.0
        if p.kind in ("effect", "plateau"):
            digits = "12" if p.name == "E3" and k == 2 else p.name[1:].replace("0", "")
            value, width = corner([1.0 if str(i + 1) in digits else 0.0 for i in range(k)]), 0.1
        elif p.kind == "potency":
            doses = x[:, _drug_of(p.name)]
            doses = doses[doses > NO_DOSE]
            value, width = float(doses.mean()), max(0.35 * float(np.ptp(doses)), 0.5)
        elif p.kind == "fraction":
            value, width = 0.8, 0.2
        else:
            width = {"slope": 0.7, "interaction": 1.5, "cooperation": 0.3, "kappa": 1.5, "shift": 0.7}[p.kind]
        guess.append(value)
        spread.append(width)
    low, high = bounds(surface, wells)
    cloud = 2.0 * qmc.Sobol(len(guess), rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(number)))) - 1
    cloud[0] = 0.0
    return np.clip(np.array(guess) + cloud[:number] * np.array(spread), low, high)


class Lanes:
    """Residuals of one surface on the wells of many blocks, lane by lane.

    Args:
        surface: the surface.
        blocks: wells by block; shorter ones are padded with wells of no weight.
    """

    def __init__(self, surface: Surface, blocks: Sequence[Wells]) -> None:
        self.surface = surface
        g = max(len(w.mean) for w in blocks)
        self.inputs = np.stack([np.pad(w.inputs, ((0, g - len(w.mean)), (0, 0))) for w in blocks])
        self.mean = np.stack([np.pad(w.mean, (0, g - len(w.mean))) for w in blocks])
        self.weight = np.sqrt(np.stack([np.pad(w.count, (0, g - len(w.mean))) for w in blocks]))

    def __call__(self, u: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted residuals (s, g) and Jacobian (s, g, p) of coordinates u (s, p) on the blocks given."""
        residual = np.empty((len(u), self.mean.shape[1]))
        jacobian = np.empty((*residual.shape, u.shape[1]))
        for first in range(0, len(u), _CHUNK):
            part = slice(first, first + _CHUNK)
            b = block[part]
            value, slope = self.surface.with_gradient(self.inputs[b], u[part])
            residual[part] = (value - self.mean[b]) * self.weight[b]
            jacobian[part] = slope * self.weight[b][..., None]
        return residual, jacobian


def fit_surfaces(
    surface: Surface,
    blocks: Sequence[Wells],
    *,
    intervals: bool = True,
    number: int = STARTS,
    seed: int = 0,
) -> list[SurfaceFit]:
    """Fit one surface to many blocks.

    Args:
        surface: the surface.
        blocks: the wells of each.
        intervals: whether to compute 95 % intervals.
        number: starts per block.
        seed: of the starts.

    Returns:
        One `SurfaceFit` per block; without intervals, or without degrees of freedom, their ends are NaN.
    """
    if not blocks:
        return []
    lanes = Lanes(surface, blocks)
    best = _search(surface, lanes, blocks, number, seed)
    fits = []
    for b, wells in enumerate(blocks):
        table = _intervals(surface, wells, best.u[b], best.cost[b], intervals)
        rss = float(best.cost[b]) + wells.scatter
        noise = np.sqrt(rss / max(wells.n - len(surface.parameters), 1))
        fits.append(SurfaceFit(surface, best.u[b], table, rss, wells.n, bool(best.converged[b]), float(noise)))
    return fits


def fit_surface(
    surface: Surface, doses: np.ndarray, response: np.ndarray, *, intervals: bool = True, seed: int = 0
) -> SurfaceFit:
    """Fit one surface to wells: doses (n, k), responses (n,) on the survival scale; see `fit_surfaces`."""
    wells = gather(np.asarray(doses, dtype=float), np.asarray(response, dtype=float))
    return fit_surfaces(surface, [wells], intervals=intervals, seed=seed)[0]


def _search(surface: Surface, lanes: Lanes, blocks: Sequence[Wells], number: int, seed: int) -> Minimum:
    """Short runs from all starts, then the two best of every block to the end."""
    limits = [bounds(surface, w) for w in blocks]
    low, high = (np.stack([b[i] for b in limits]) for i in (0, 1))
    first = np.concatenate([starts(surface, w, number, seed) for w in blocks])
    block = np.repeat(np.arange(len(blocks)), number)
    short = _run(lanes, block, first, low, high, 12)
    order = np.argsort(short.cost.reshape(len(blocks), number), axis=1)[:, :2]
    chosen = (order + number * np.arange(len(blocks))[:, None]).ravel()
    block = np.repeat(np.arange(len(blocks)), order.shape[1])
    end = _run(lanes, block, short.u[chosen], low, high, 400)
    pick = np.argmin(end.cost.reshape(len(blocks), -1), axis=1) + order.shape[1] * np.arange(len(blocks))
    return Minimum(end.u[pick], end.cost[pick], end.converged[pick])


def _run(lanes: Lanes, block: np.ndarray, u: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int) -> Minimum:
    return minimise(lambda x, lane: lanes(x, block[lane]), u, low[block], high[block], iterations=steps)


def _intervals(surface: Surface, wells: Wells, u: np.ndarray, cost: float, wanted: bool) -> pd.DataFrame:
    value, gradient = surface.quantities(u[None])
    value, gradient = value[0], gradient[0]
    low, high = np.full(len(value), np.nan), np.full(len(value), np.nan)
    df = wells.n - len(u)
    if wanted and df > 0 and np.isfinite(cost):
        variance = max((cost + wells.scatter) / df, 1e-24)
        stretch, se = _standard_errors(surface, wells, u, gradient, variance)
        reach = np.sqrt(variance) * float(student_t.ppf(0.5 + LEVEL / 2, df)) * stretch
        low, high = _profile(surface, wells, u, cost, se, reach)
    rows = []
    for i, name in enumerate(surface.reported):
        turn = np.exp if surface.is_logarithmic(name) else float
        rows.append((name, float(turn(value[i])), float(turn(low[i])), float(turn(high[i]))))
    return pd.DataFrame(rows, columns=["parameter", "estimate", "lower", "upper"])


def _standard_errors(
    surface: Surface, wells: Wells, u: np.ndarray, gradient: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Per quantity the stretch of its interval by uneven scatter, and its standard error under even scatter."""
    predicted, slope = surface.with_gradient(wells.inputs, u)
    low, high = bounds(surface, wells)
    inside = (u > low + 1e-9) & (u < high - 1e-9)
    weighted = slope * np.sqrt(wells.count)[:, None] * inside
    u_, s_, vt = np.linalg.svd(weighted, full_matrices=False)
    keep = s_ > 1e-9 * s_.max(initial=1e-300)
    rows = (gradient @ vt[keep].T / s_[keep]) @ u_[:, keep].T
    even = np.maximum(np.einsum("qg,qg->q", rows, rows), 1e-30)
    relative = _uneven(surface, wells, u, predicted, variance)
    uneven = np.einsum("qg,qg,g->q", rows, rows, relative)
    return np.sqrt(np.maximum(uneven, 0.05 * even) / even), np.sqrt(even * variance)


def _uneven(surface: Surface, wells: Wells, u: np.ndarray, predicted: np.ndarray, variance: float) -> np.ndarray:
    """(g,) variance of a well relative to the mean one: a + b E^2 + c (dE/dlog dose)^2 where the data ask for it."""
    even = np.ones(len(predicted))
    slopes = surface.dose_slopes(wells.inputs, u)[:, : surface.n_drugs]
    basis = np.column_stack([even, predicted**2, np.sum(slopes**2, axis=1)])
    df = max(wells.n - len(u), 1)
    square = (predicted - wells.mean) ** 2 * wells.count * wells.n / df
    # Replicates' scatter is known per block only in sum; the group means carry it dose by dose.
    if len(predicted) < 12 or not np.all(np.isfinite(square)):
        return even
    mean = np.maximum(square.mean(), 1e-30)
    fitted = np.full(len(square), mean)
    for _ in range(20):
        weight = 1.0 / np.maximum(fitted, 0.02 * mean)
        part, _norm = nnls(basis * weight[:, None], square * weight)
        fitted = np.maximum(basis @ part, 0.02 * mean)
    gain = float(np.sum(np.log(mean) + square / mean) - np.sum(np.log(fitted) + square / fitted))
    return fitted / mean if gain > chi2.ppf(0.95, 2) else even


def _profile(
    surface: Surface, wells: Wells, u: np.ndarray, cost: float, se: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of every quantity's interval: where sqrt(RSS - RSS_min) equals `reach` (q,)."""
    q = len(se)
    low, high = bounds(surface, wells)
    which, side = np.tile(np.arange(q), 2), np.repeat([-1.0, 1.0], q)
    best = surface.quantities(u[None])[0][0]
    span = np.maximum(EFFECT_BOUNDS[1] - EFFECT_BOUNDS[0], 1.0)
    unit = np.clip(se, 1e-9, span)[which]
    lanes = Lanes(surface, [wells])
    scale = np.sqrt(max(cost + wells.scatter, 1e-24) / max(wells.n - len(u), 1))
    x, here = np.tile(u, (2 * q, 1)), best[which].copy()
    inner, inner_z = here.copy(), np.zeros(2 * q)
    outer, outer_z = np.full(2 * q, np.nan), np.full(2 * q, np.nan)
    step = side * unit * (reach / scale)[which]
    target = here + step
    limit = 1e-3 * reach[which]
    settled = np.zeros(2 * q, dtype=bool)
    for _ in range(_PROFILE_STEPS):
        todo = np.flatnonzero(~settled)
        if not len(todo):
            break
        result = _held(surface, lanes, x[todo], target[todo], which[todo], unit[todo] / scale, low, high)
        x[todo] = result
        reached = surface.quantities(x[todo])[0][np.arange(len(todo)), which[todo]]
        residual, _ = lanes(x[todo], np.zeros(len(todo), dtype=int))
        z = np.sqrt(np.maximum(np.einsum("sg,sg->s", residual, residual) - cost, 0.0))
        beyond = z > reach[which[todo]]
        for store, store_z, at in ((outer, outer_z, beyond), (inner, inner_z, ~beyond)):
            store[todo[at]], store_z[todo[at]] = reached[at], z[at]
        settled[todo] = np.abs(z - reach[which[todo]]) < limit[todo]
        here[todo] = reached
        target = _next(best[which], inner, inner_z, outer, outer_z, reach[which], side * unit)
    between = _between(inner, inner_z, outer, outer_z, reach[which])
    open_end = _open(surface, which, side, low)
    ends = np.where(settled, here, np.where(np.isfinite(outer_z), between, open_end))
    return ends[:q], ends[q:]


def _open(surface: Surface, which: np.ndarray, side: np.ndarray, low: np.ndarray) -> np.ndarray:
    """The end of an interval the data leave open: the limit of what the quantity can be."""
    limits = {p.name: float(low[i]) for i, p in enumerate(surface.parameters) if p.kind in ("kappa", "shift")}
    below = np.array([limits.get(n, -np.inf) for n in surface.reported])
    return np.where(side < 0, below[which], np.inf)


def _between(inner: np.ndarray, zi: np.ndarray, outer: np.ndarray, zo: np.ndarray, reach: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((reach - zi) / (zo - zi), 0.02, 0.98)
    return inner + part * (outer - inner)


def _next(
    centre: np.ndarray,
    inner: np.ndarray,
    zi: np.ndarray,
    outer: np.ndarray,
    zo: np.ndarray,
    reach: np.ndarray,
    smallest: np.ndarray,
) -> np.ndarray:
    """Between the values known to be inside and outside; farther out while none is outside."""
    more = np.clip(reach / np.maximum(zi, 1e-12), 1.3, 4.0)
    away = inner - centre
    away = np.where(np.abs(away) < np.abs(smallest), smallest, away)
    return np.where(np.isfinite(outer), _between(inner, zi, outer, zo, reach), centre + more * away)


def _held(
    surface: Surface,
    lanes: Lanes,
    u: np.ndarray,
    target: np.ndarray,
    which: np.ndarray,
    unit: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Refit with one quantity of every lane held at its target by a stiff condition."""

    def function(x: np.ndarray, lane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        residual, jacobian = lanes(x, np.zeros(len(x), dtype=int))
        value, gradient = surface.quantities(x)
        rows = np.arange(len(x))
        stiff = (_STIFF / unit)[lane]
        extra = (value[rows, which[lane]] - target[lane]) * stiff
        more = gradient[rows, which[lane]] * stiff[:, None]
        return np.concatenate([residual, extra[:, None]], 1), np.concatenate([jacobian, more[:, None]], 1)

    return minimise(function, u, low, high, iterations=60, tolerance=1e-10).u
