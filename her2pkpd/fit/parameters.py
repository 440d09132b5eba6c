"""Free parameters: which model parameters are estimated, shared by whom, with which prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit

from her2pkpd.fit.transform import Scale, Transform

DEVIATION = 8.0
"""Largest distance of a pooled copy from its centre, in standard deviations, where that is estimated."""

SPREAD_BOX = (1e-3, 20.0)
"""Bounds of an estimated standard deviation of pooled coordinates."""


@dataclass(frozen=True)
class Prior:
    """A normal prior on the coordinate of a parameter.

    Attributes:
        median: natural value at the middle.
        spread: for a log scale the fold that one standard deviation spans (2 = a factor of two either way);
            for other scales the standard deviation of the coordinate.
    """

    median: float
    spread: float

    def on(self, transform: Transform) -> tuple[float, float]:
        """Mean and standard deviation of the coordinate."""
        sd = np.log(self.spread) if transform.scale == "log" else self.spread
        return float(transform.forward(self.median)), float(sd)


@dataclass(frozen=True)
class Estimate:
    """One entry of ``[estimate]``: a model parameter, free, in one or several copies.

    Attributes:
        target: model parameter it multiplies into, as the generic well names it ("cells.w", "lapatinib.HER2.Ki"),
            or "scale", the factor on every read-out.
        name: name of the entry; several entries may share one target and then multiply.
        per: columns whose distinct values get a copy each; empty means one shared copy.
        scale: scale it is estimated on.
        lower: lower bound, canonical unit.
        upper: upper bound, canonical unit.
        start: value to start from (the first start), canonical unit.
        prior: prior of every copy, or None for bounds alone.
        pooled: spread around a common estimated centre (same meaning as `Prior.spread`), or None.
        hierarchy: whether that spread is estimated as well; `pooled` then is the scale of its half-normal prior.
        unit: canonical unit.
        where: restrict it to lanes whose columns have these values.
    """

    target: str
    name: str
    per: tuple[str, ...]
    scale: Scale
    lower: float
    upper: float
    start: float
    prior: Prior | None = None
    pooled: float | None = None
    unit: str = "1"
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hierarchy: bool = False

    @property
    def pool_sd(self) -> float:
        """Standard deviation of the coordinates of pooled copies, or the scale of its prior."""
        spread = float(self.pooled or 1.0)
        return float(np.log(spread)) if self.scale == "log" else spread

    @property
    def transform(self) -> Transform:
        """Its scale as a `Transform`."""
        return Transform(self.scale, self.lower, self.upper)


@dataclass(frozen=True)
class Free:
    """One scalar unknown.

    Attributes:
        name: as it appears in ``parameters.csv`` ("SK-BR-3.w", "lapatinib.HER2.Ki").
        estimate: the entry it belongs to.
        role: "copy"; "centre" for the common centre of pooled copies; and where their spread is estimated, "spread"
            for it, and "deviation" for the copies, whose unknown is the distance from the centre in spreads.
    """

    name: str
    estimate: Estimate
    role: str = "copy"

    @property
    def transform(self) -> Transform:
        """Scale of the natural value: that of the entry, or of its spread."""
        return Transform("log", *SPREAD_BOX) if self.role == "spread" else self.estimate.transform

    @property
    def unit(self) -> str:
        """Canonical unit of the natural value."""
        return "1" if self.role == "spread" else self.estimate.unit

    def start(self) -> float:
        """Starting value of the unknown."""
        if self.role == "deviation":
            return 0.0
        if self.role == "spread":
            return float(np.log(0.5 * self.estimate.pool_sd))
        return float(self.transform.forward(self.estimate.start))

    def box(self, *, start: bool = False) -> tuple[float, float]:
        """Bounds of the unknown, or of where multi-start looks."""
        if self.role == "deviation":
            return (-0.5, 0.5) if start else (-DEVIATION, DEVIATION)
        if self.role == "spread":
            sd = self.estimate.pool_sd
            return (np.log(0.1 * sd), np.log(sd)) if start else self.transform.box()
        return self.transform.start_box() if start else self.transform.box()


class FreeParameters:
    """The vector of unknowns and how it reaches every lane.

    Args:
        estimates: the entries.
        rows: one mapping of column to value per lane ("cell_line", "assay", ...), the groups copies are made for.
    """

    def __init__(self, estimates: Sequence[Estimate], rows: Sequence[dict[str, str]]) -> None:
        self.estimates = tuple(estimates)
        self.free: list[Free] = []
        self.index: list[np.ndarray] = []
        self.pools: list[tuple[int, np.ndarray]] = []
        self.hierarchies: list[tuple[int, int, np.ndarray]] = []
        for estimate in self.estimates:
            self.index.append(self._copies(estimate, rows))
        self.targets = tuple(dict.fromkeys(e.target for e in self.estimates))

    def _copies(self, estimate: Estimate, rows: Sequence[dict[str, str]]) -> np.ndarray:
        first = len(self.free)
        groups: dict[tuple[str, ...], int] = {}
        index = np.full(len(rows), -1)
        for lane, row in enumerate(rows):
            if any(row.get(column, "") not in values for column, values in estimate.where):
                continue
            key = tuple(row.get(column, "") for column in estimate.per)
            if key not in groups:
                groups[key] = len(self.free)
                role = "deviation" if estimate.hierarchy else "copy"
                self.free.append(Free(self._name(estimate, key), estimate, role))
            index[lane] = groups[key]
        if estimate.pooled is not None and groups:
            members = np.arange(first, len(self.free))
            centre = len(self.free)
            self.free.append(Free(f"{estimate.name} (centre)", estimate, "centre"))
            if estimate.hierarchy:
                self.hierarchies.append((centre, centre + 1, members))
                of = "log" if estimate.scale == "log" else "coordinate"
                self.free.append(Free(f"{estimate.name} (sd of {of})", estimate, "spread"))
            else:
                self.pools.append((centre, members))
        return index

    @staticmethod
    def _name(estimate: Estimate, key: tuple[str, ...]) -> str:
        name = estimate.name.removeprefix("cells.")
        return ".".join([*key, name]) if key else name

    @property
    def names(self) -> list[str]:
        """Names of the unknowns."""
        return [f.name for f in self.free]

    def __len__(self) -> int:
        return len(self.free)

    def start(self) -> np.ndarray:
        """The entries' own starting values, shape (n_free,)."""
        return np.array([f.start() for f in self.free])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the unknowns, two arrays of shape (n_free,)."""
        low, high = zip(*(f.box() for f in self.free), strict=True)
        return np.array(low), np.array(high)

    def start_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Box in which multi-start looks: one prior standard deviation either way, or else the bounds."""
        low, high = [], []
        for free in self.free:
            a, b = free.box(start=True)
            if free.estimate.prior is not None and free.role in ("copy", "centre"):
                mean, sd = free.estimate.prior.on(free.transform)
                a, b = max(a, mean - sd), min(b, mean + sd)
            low.append(a)
            high.append(b)
        return np.array(low), np.array(high)

    def coordinates(self, u: np.ndarray) -> np.ndarray:
        """Coordinates of the natural values, (..., n_free): deviations become centre + spread * deviation."""
        if not self.hierarchies:
            return u
        result = u.copy()
        for centre, spread, members in self.hierarchies:
            result[..., members] = u[..., [centre]] + np.exp(u[..., [spread]]) * u[..., members]
        return result

    def chain(self, u: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
        """Derivatives by the unknowns from those by the coordinates, both (..., m, n_free)."""
        if not self.hierarchies:
            return jacobian
        result = jacobian.copy()
        for centre, spread, members in self.hierarchies:
            own = jacobian[..., members] * np.exp(u[..., None, [spread]])
            result[..., members] = own
            result[..., centre] += jacobian[..., members].sum(axis=-1)
            result[..., spread] += (own * u[..., None, members]).sum(axis=-1)
        return result

    def coordinate_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the natural values' coordinates, two arrays of shape (n_free,)."""
        low, high = zip(*(f.transform.box() for f in self.free), strict=True)
        return np.array(low), np.array(high)

    def coordinate_slopes(self, u: np.ndarray) -> np.ndarray:
        """(n_free, n_free) derivatives of `coordinates` (rows) by the unknowns at `u` (n_free,)."""
        return self.chain(u, np.eye(len(u)))

    def values(self, u: np.ndarray) -> np.ndarray:
        """Natural values, shape (..., n_free)."""
        c = self.coordinates(np.asarray(u, dtype=float))
        return np.stack([f.transform.backward(c[..., i]) for i, f in enumerate(self.free)], axis=-1)

    def lane_values(
        self, u: np.ndarray, target: str, base: np.ndarray
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Value of one target in every lane, and how it depends on the unknowns.

        Args:
            u: coordinates (`coordinates`), shape (..., n_free).
            target: name of the model parameter.
            base: (L,) value where no entry applies.

        Returns:
            Values (..., L), and for every entry on this target a pair (index of the unknown per lane or -1 (L,),
            d value/d coordinate per lane (..., L)).
        """
        entries = [(e, i) for e, i in zip(self.estimates, self.index, strict=True) if e.target == target]
        touched = np.zeros(base.shape, dtype=bool)
        factors, slopes = [], []
        for estimate, index in entries:
            safe = np.where(index >= 0, index, 0)
            factors.append(np.where(index >= 0, estimate.transform.backward(u[..., safe]), 1.0))
            slopes.append(np.where(index >= 0, estimate.transform.slope(u[..., safe]), 0.0))
            touched |= index >= 0
        value = np.where(touched, np.prod(factors, axis=0), base)
        parts = []
        for k, (_, index) in enumerate(entries):
            others = np.prod([f for j, f in enumerate(factors) if j != k], axis=0) if len(factors) > 1 else 1.0
            parts.append((index, slopes[k] * others))
        return value, parts

    def prior_residuals(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardised distances from priors and from pooled centres, with their Jacobian.

        A bounded parameter (logit scale) without a prior has Jeffreys' prior for a proportion, Beta(1/2, 1/2) between
        its bounds. On the coordinate that is a broad bell, which keeps the estimate off the bounds, where no interval
        could be made; a uniform prior would do so too, but pull estimates near a bound twice as far inwards.
        An estimated spread has a half-normal prior, its deviations a standard normal one.

        Args:
            u: unknowns (..., n_free).

        Returns:
            Residuals (..., n_prior) and Jacobian (..., n_prior, n_free).
        """
        matrix, mean = self._linear_priors
        linear = u @ matrix.T - mean
        bell, by_bell = _jeffreys_residual(u[..., self.jeffreys])
        sd, by_sd = _half_normal(u[..., [s for _, s, _ in self.hierarchies]], self._pool_sd)
        residuals = np.concatenate([linear, bell, sd], axis=-1)
        jacobian = np.zeros((*residuals.shape, u.shape[-1]))
        rows = len(mean) + np.arange(bell.shape[-1])
        jacobian[..., : len(mean), :] = matrix
        jacobian[..., rows, self.jeffreys] = by_bell
        columns = np.repeat([s for _, s, _ in self.hierarchies], 2).astype(int)
        jacobian[..., len(mean) + bell.shape[-1] + np.arange(len(columns)), columns] = by_sd
        return residuals, jacobian

    @cached_property
    def _pool_sd(self) -> np.ndarray:
        return np.array([self.free[centre].estimate.pool_sd for centre, _, _ in self.hierarchies])

    @cached_property
    def jeffreys(self) -> np.ndarray:
        """Positions of bounded unknowns without a prior, which have Jeffreys'."""
        plain = [f.estimate.prior is None and f.estimate.pooled is None for f in self.free]
        return np.array([i for i, f in enumerate(self.free) if plain[i] and f.estimate.scale == "logit"], dtype=int)

    @cached_property
    def _linear_priors(self) -> tuple[np.ndarray, np.ndarray]:
        """Normal priors as residuals: matrix (n, n_free) and mean (n,)."""
        rows: list[tuple[dict[int, float], float]] = []
        for i, free in enumerate(self.free):
            own = free.role == "centre" or (free.role == "copy" and free.estimate.pooled is None)
            if free.role == "deviation":
                rows.append(({i: 1.0}, 0.0))
            elif free.estimate.prior is not None and own:
                mean, sd = free.estimate.prior.on(free.transform)
                rows.append(({i: 1 / sd}, mean / sd))
        for centre, members in self.pools:
            sd = self.free[centre].estimate.pool_sd
            rows += [({int(m): 1 / sd, centre: -1 / sd}, 0.0) for m in members]
        matrix = np.zeros((len(rows), len(self.free)))
        for r, (slopes, _) in enumerate(rows):
            matrix[r, list(slopes)] = list(slopes.values())
        return matrix, np.array([mean for _, mean in rows])


def _jeffreys_residual(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sqrt(-log(4 x (1 - x))) with x = expit(u), signed like u, and its derivative: Beta(1/2, 1/2) seen from u."""
    squared = np.abs(u) + 2 * np.log1p(np.exp(-np.abs(u))) - 2 * np.log(2)
    r = np.copysign(np.sqrt(np.maximum(squared, 0.0)), u)
    near = np.abs(u) <= 1e-4
    return r, np.where(near, 0.5, (expit(u) - 0.5) / np.where(near, 1.0, r))


def _half_normal(log_sd: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals (..., 2 k) of a half-normal prior of k standard deviations, seen from their logs; derivatives alike."""
    ratio = np.exp(log_sd) / scale
    # The density of the log is that of the sd times the sd: -2 log sd, raised to stay positive within the bounds.
    jacobian = np.sqrt(2 * (np.log(SPREAD_BOX[1]) + 1 - log_sd))
    shape = (*log_sd.shape[:-1], 2 * log_sd.shape[-1])
    return (
        np.stack([ratio, jacobian], axis=-1).reshape(shape),
        np.stack([ratio, -1 / jacobian], axis=-1).reshape(shape),
    )
