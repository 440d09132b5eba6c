"""Free parameters: which model parameters are estimated, shared by whom, with which prior."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from her2pkpd.fit.transform import Scale, Transform


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
        role: "copy", or "centre" for the common centre of pooled copies.
    """

    name: str
    estimate: Estimate
    role: str = "copy"

    @property
    def transform(self) -> Transform:
        """Scale of the entry."""
        return self.estimate.transform


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
                self.free.append(Free(self._name(estimate, key), estimate))
            index[lane] = groups[key]
        if estimate.pooled is not None and groups:
            members = np.arange(first, len(self.free))
            self.pools.append((len(self.free), members))
            self.free.append(Free(f"{estimate.name} (centre)", estimate, "centre"))
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
        """Coordinates of the entries' own starting values, shape (n_free,)."""
        return np.array([float(f.transform.forward(f.estimate.start)) for f in self.free])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the coordinates, two arrays of shape (n_free,)."""
        low, high = zip(*(f.transform.box() for f in self.free), strict=True)
        return np.array(low), np.array(high)

    def start_box(self) -> tuple[np.ndarray, np.ndarray]:
        """Box in which multi-start looks: one prior standard deviation either way, or else the bounds."""
        low, high = [], []
        for free in self.free:
            a, b = free.transform.start_box()
            if free.estimate.prior is not None:
                mean, sd = free.estimate.prior.on(free.transform)
                a, b = max(a, mean - sd), min(b, mean + sd)
            low.append(a)
            high.append(b)
        return np.array(low), np.array(high)

    def values(self, u: np.ndarray) -> np.ndarray:
        """Natural values, shape (n_free,)."""
        return np.array([float(f.transform.backward(x)) for f, x in zip(self.free, u, strict=True)])

    def lane_values(
        self, u: np.ndarray, target: str, base: np.ndarray
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Value of one target in every lane, and how it depends on the unknowns.

        Args:
            u: coordinates, shape (n_free,).
            target: name of the model parameter.
            base: (L,) value where no entry applies.

        Returns:
            Values (L,), and for every entry on this target a pair (index of the unknown per lane or -1,
            d value/d coordinate per lane).
        """
        entries = [(e, i) for e, i in zip(self.estimates, self.index, strict=True) if e.target == target]
        touched = np.zeros(base.shape, dtype=bool)
        factors, slopes = [], []
        for estimate, index in entries:
            safe = np.where(index >= 0, index, 0)
            factors.append(np.where(index >= 0, estimate.transform.backward(u[safe]), 1.0))
            slopes.append(np.where(index >= 0, estimate.transform.slope(u[safe]), 0.0))
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

        Returns:
            Residuals (n_prior,) and Jacobian (n_prior, n_free).
        """
        rows: list[tuple[float, dict[int, float]]] = []
        for i, free in enumerate(self.free):
            if free.estimate.prior is not None and (free.role == "centre" or free.estimate.pooled is None):
                mean, sd = free.estimate.prior.on(free.transform)
                rows.append(((u[i] - mean) / sd, {i: 1 / sd}))
            elif free.estimate.prior is None and free.estimate.pooled is None and free.estimate.scale == "logit":
                value, slope = _jeffreys_residual(float(u[i]))
                rows.append((value, {i: slope}))
        for centre, members in self.pools:
            estimate = self.free[centre].estimate
            spread = float(estimate.pooled or 1.0)
            sd = float(np.log(spread)) if estimate.scale == "log" else spread
            rows += [((u[m] - u[centre]) / sd, {int(m): 1 / sd, centre: -1 / sd}) for m in members]
        jacobian = np.zeros((len(rows), len(u)))
        for r, (_, slopes) in enumerate(rows):
            for column, slope in slopes.items():
                jacobian[r, column] = slope
        return np.array([r for r, _ in rows]), jacobian


def _jeffreys_residual(u: float) -> tuple[float, float]:
    """sqrt(-log(4 x (1 - x))) with x = expit(u), signed like u, and its derivative: Beta(1/2, 1/2) seen from u."""
    x = float(expit(u))
    squared = abs(u) + 2 * float(np.log1p(np.exp(-abs(u)))) - 2 * float(np.log(2))
    r = float(np.copysign(np.sqrt(max(squared, 0.0)), u))
    return r, (x - 0.5) / r if abs(u) > 1e-4 else 0.5
