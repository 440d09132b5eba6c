"""The posterior density of a fit, in coordinates without bounds, for many chains at once.

A sampler wants a smooth density on all of space: unknowns u between their bounds become coordinates v
(`her2pkpd.posterior.space`), and the density carries the Jacobian of that map, so that draws of v are draws of u.
Chains are copies of the lanes: an evaluation at C points is one batch for the engine.
"""

from dataclasses import dataclass

import numpy as np

from her2pkpd.engine import Options
from her2pkpd.errors import ComputationError
from her2pkpd.fit.objective import Objective
from her2pkpd.posterior.space import Space

LOOSEST = (3e-4, 1e-4, 1e-5, 1e-6, 1e-7)
"""Tolerances tried for sampling, loosest first."""

HARMLESS = 0.02
"""Largest error of the log density, between points a posterior standard deviation apart, that a tolerance may make."""

INNER = 4.0
"""Largest coordinate that a search for the mode starts from: on a bound itself nothing moves."""


@dataclass
class Density:
    """Energy (minus log density, up to a constant) of a posterior.

    Attributes:
        objective: the objective of the fit.
        options: tolerances of the engine; None takes the objective's.
        evaluations: points evaluated so far.
        failed: those of them at which a lane failed.
    """

    objective: Objective
    options: Options | None = None
    evaluations: int = 0
    failed: int = 0

    def __post_init__(self) -> None:
        low, high = self.objective.bounds()
        self.space = Space(low, high, self.objective.free.jeffreys)

    @property
    def n(self) -> int:
        """Number of unknowns."""
        return len(self.space.low)

    def bounded(self, v: np.ndarray) -> np.ndarray:
        """Unknowns of the fit at coordinates v, (..., n)."""
        return self.space.move(v).u

    def unbounded(self, u: np.ndarray) -> np.ndarray:
        """Coordinates v of unknowns u, (..., n); a bound itself becomes a point close to it."""
        return self.space.back(u)

    def __call__(self, v: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Energy and gradient.

        Args:
            v: coordinates (C, n).
            rows: (C,) which chains these are, where each chain has data of its own.

        Returns:
            Energies (C,), infinite where a lane failed, and gradients (C, n), zero there.
        """
        moved = self.space.move(v)
        found = self._objective(rows).many(moved.u, options=self.options)
        energy = 0.5 * found.costs - np.sum(moved.log_slope, axis=1)
        with np.errstate(invalid="ignore"):
            gradient = 0.5 * found.gradients * moved.slope - moved.bend
        sound = np.isfinite(energy) & np.isfinite(gradient).all(axis=1)
        self.evaluations += len(v)
        self.failed += int((~sound).sum())
        return np.where(sound, energy, np.inf), np.where(sound[:, None], gradient, 0.0)

    def energy(self, v: np.ndarray) -> np.ndarray:
        """Energies (C,) at coordinates v (C, n), without gradients: a tenth of the work."""
        moved = self.space.move(v)
        found = self.objective.many(moved.u, options=self.options, derivatives=False)
        energy = 0.5 * found.costs - np.sum(moved.log_slope, axis=1)
        self.evaluations += len(v)
        return np.where(np.isfinite(energy), energy, np.inf)

    def _objective(self, rows: np.ndarray | None) -> Objective:
        return self.objective

    def curvature(self, v: np.ndarray, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Energies (C,), gradients (C, n) and Gauss-Newton Hessians (C, n, n) at points (C, n), as tight as the fit."""
        moved = self.space.move(v)
        found = self._objective(rows).many(moved.u)
        jacobian = found.jacobian * moved.slope[:, None, :]
        own = 0.5 * found.gradients * moved.slope
        # Second derivatives of the map: 1 from its Jacobian, and what bends the likelihood, where that adds curvature.
        bent = 1.0 + np.maximum(own * moved.bend, 0.0)
        hessian = np.swapaxes(jacobian, 1, 2) @ jacobian + bent[..., None] * np.eye(self.n)
        energy = 0.5 * found.costs - np.sum(moved.log_slope, axis=1)
        sound = np.isfinite(energy) & np.isfinite(hessian).all(axis=(1, 2))
        return np.where(sound, energy, np.inf), own - moved.bend, hessian


@dataclass(frozen=True)
class Gaussian:
    """A normal approximation of the posterior in the coordinates v, one for all chains or one for each.

    Attributes:
        centre: (n,), or (C, n).
        factor: (n, n) or (C, n, n) lower triangular, its product with its transpose the covariance.
    """

    centre: np.ndarray
    factor: np.ndarray

    @classmethod
    def from_covariance(cls, centre: np.ndarray, covariance: np.ndarray) -> "Gaussian":
        """From mean (n,) and covariance (n, n)."""
        scale = np.sqrt(np.einsum("...ii->...i", covariance))
        correlation = covariance / (scale[..., None] * scale[..., None, :]) + 1e-10 * np.eye(scale.shape[-1])
        return cls(centre, scale[..., None] * np.linalg.cholesky(correlation))

    def points(self, z: np.ndarray) -> np.ndarray:
        """Coordinates v of standardised points z: (C, n), or (C, draws, n)."""
        centre, factor = self._shaped(z)
        return centre + (factor @ z[..., None])[..., 0]

    def standardised(self, v: np.ndarray) -> np.ndarray:
        """Standardised points z of coordinates v, shaped alike."""
        centre, factor = self._shaped(v)
        return np.linalg.solve(factor, (v - centre)[..., None])[..., 0]

    def slopes(self, gradient: np.ndarray) -> np.ndarray:
        """Gradients by z (C, n) from those by v."""
        return (np.swapaxes(self.factor, -1, -2) @ gradient[..., None])[..., 0]

    def gradients(self, slopes: np.ndarray) -> np.ndarray:
        """Gradients by v (C, n) from those by z."""
        return np.linalg.solve(np.swapaxes(self.factor, -1, -2), slopes[..., None])[..., 0]

    def _shaped(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.centre.ndim == 1 or points.ndim == 2:
            return self.centre, self.factor
        return self.centre[:, None], self.factor[:, None]

    def some(self, rows: np.ndarray) -> "Gaussian":
        """Of some of the chains."""
        return self if self.centre.ndim == 1 else Gaussian(self.centre[rows], self.factor[rows])


def laplace(density: Density, u: np.ndarray, *, steps: int = 40) -> Gaussian:
    """The normal approximation at the mode of the density in v, found by damped Newton steps from a MAP estimate.

    Args:
        density: the density.
        u: unknowns at the MAP estimate, (n,); or (C, n), one for every chain of a density with data per chain.
        steps: most steps taken.

    Raises:
        ComputationError: if the density is not finite at `u`.
    """
    v = np.clip(density.unbounded(np.atleast_2d(u)), -INNER, INNER)
    energy, gradient, hessian = density.curvature(v, np.arange(len(v)))
    if not np.isfinite(energy).all():
        raise ComputationError("the posterior is not finite at the best estimate: wells fail there.")
    damping = np.zeros(len(v))
    going = np.arange(len(v))
    for _ in range(steps):
        move, promised = _newton(gradient[going], hessian[going], damping[going])
        arrived = (promised < 1e-6) | (damping[going] > 1e6)
        going, move = going[~arrived], move[~arrived]
        if not len(going):
            break
        trial = density.curvature(v[going] + move, going)
        better = trial[0] < energy[going]
        won = going[better]
        v[won] += move[better]
        energy[won], gradient[won], hessian[won] = (x[better] for x in trial)
        damping[won] = np.where(damping[won] < 1e-3, 0.0, damping[won] * 0.2)
        damping[going[~better]] = np.maximum(damping[going[~better]] * 5.0, 0.1)
    covariance = np.linalg.inv(hessian)
    many = Gaussian.from_covariance(v, covariance)
    return many if np.ndim(u) == 2 else Gaussian(many.centre[0], many.factor[0])


def _newton(gradient: np.ndarray, hessian: np.ndarray, damping: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Damped Newton steps (C, n), no longer than 2 in any coordinate, and how much they promise (C,)."""
    diagonal = np.einsum("cii->ci", hessian)
    damped = hessian + (damping[:, None] * diagonal)[..., None] * np.eye(hessian.shape[-1])
    move = -np.linalg.solve(damped, gradient[..., None])[..., 0]
    promised = -0.5 * np.sum(gradient * move, axis=1)
    return move * np.minimum(1.0, 2.0 / np.maximum(np.abs(move).max(axis=1), 1e-300))[:, None], promised


def harmless_options(density: Density, around: Gaussian, *, seed: int = 0) -> Options:
    """The loosest tolerances that leave the density what it is.

    Energies at a few draws of the approximation are compared with those at the objective's own tolerances; what
    counts is how far their differences from point to point are off.
    """
    tight = density.objective.options or Options(1e-7, 1e-9)
    v = around.points(np.random.default_rng(seed).standard_normal((8, density.n)))
    exact, exact_slope = Density(density.objective, tight)(v)
    slope = around.slopes(exact_slope)
    sound = np.isfinite(exact) & (exact < exact.min() + 3 * density.n + 30)
    for rtol in LOOSEST:
        if rtol <= tight.rtol:
            break
        options = Options(rtol, rtol * 1e-2)
        found, found_slope = Density(density.objective, options)(v)
        if not np.isfinite(found[sound]).all():
            continue
        off = found[sound] - exact[sound]
        turned = np.abs(around.slopes(found_slope) - slope)[sound]
        if np.ptp(off) < HARMLESS and turned.max() < 5 * HARMLESS:
            return options
    return tight
