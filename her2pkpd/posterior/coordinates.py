"""Coordinates a sampler moves in: straight ones of the posterior, whitened."""

from dataclasses import dataclass

import numpy as np

from her2pkpd.posterior.density import Gaussian
from her2pkpd.posterior.shear import Shear, find_shears

HELD = 1.0
"""Draws that the old coordinates count for when new ones are made from draws."""

WORTH = 0.5
"""Part of the Fisher divergence that is left at most where shears are kept."""


@dataclass(frozen=True)
class Coordinates:
    """Standardised points z and the coordinates v of a density: v -> straightened by shears -> standardised.

    Attributes:
        gaussian: normal approximation of the straightened posterior, one for all chains or one for each.
        shears: what straightens it, in the order they are applied to v.
    """

    gaussian: Gaussian
    shears: tuple[Shear, ...] = ()

    def points(self, z: np.ndarray) -> np.ndarray:
        """Coordinates v of standardised points z: (C, n), or (C, draws, n)."""
        v = self.gaussian.points(z)
        for shear in reversed(self.shears):
            v = shear.bent(v)
        return v

    def standardised(self, v: np.ndarray) -> np.ndarray:
        """Standardised points z of coordinates v, shaped alike."""
        for shear in self.shears:
            v = shear.straight(v)
        return self.gaussian.standardised(v)

    def slopes(self, gradient: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Gradients by z (C, n), of those by v at v."""
        return self.gaussian.slopes(_straight(self.shears, v, gradient)[1])

    def raised(self, z: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates v of standardised points (C, n) and gradients by v, of those by z."""
        v, gradient = self.gaussian.points(z), self.gaussian.gradients(slopes)
        for shear in reversed(self.shears):
            v = shear.bent(v)
            gradient = shear.gradients(gradient, v)
        return v, gradient

    def some(self, rows: np.ndarray) -> "Coordinates":
        """Of some of the chains."""
        return Coordinates(self.gaussian.some(rows), self.shears)

    def save(self) -> dict[str, np.ndarray]:
        """As named arrays."""
        arrays = {"centre": self.gaussian.centre, "factor": self.gaussian.factor}
        for name in ("along", "middle", "scale", "reach", "bend") if self.shears else ():
            arrays[f"shear_{name}"] = np.array([getattr(s, name) for s in self.shears])
        return arrays

    @classmethod
    def load(cls, arrays: dict[str, np.ndarray]) -> "Coordinates":
        """From what `save` gave."""
        columns = [arrays.get(f"shear_{name}", ()) for name in ("along", "middle", "scale", "reach", "bend")]
        shears = tuple(Shear(int(i), float(m), float(s), r, b) for i, m, s, r, b in zip(*columns, strict=True))
        return cls(Gaussian(arrays["centre"], arrays["factor"]), shears)


def adapted(old: Coordinates, v: np.ndarray, gradients: np.ndarray) -> Coordinates:
    """New coordinates from draws, held together by old ones where draws are few.

    Shears are kept where they make the slopes of all draws more like those of a standard normal. Where ridges bend one
    way here and another way there, as among copies whose spread is unknown, a shear that straightens most of them would
    trap chains among the others.

    Args:
        old: coordinates for all chains.
        v: (m, n) draws.
        gradients: (m, n) of the energy there.
    """
    straight = _whitened(old.gaussian, (), v, gradients)
    shears = find_shears(v, gradients)
    if not shears:
        return straight
    bent = _whitened(old.gaussian, shears, v, gradients)
    return bent if _misfit(bent, v, gradients) < WORTH * _misfit(straight, v, gradients) else straight


def _whitened(old: Gaussian, shears: tuple[Shear, ...], v: np.ndarray, gradients: np.ndarray) -> Coordinates:
    """Coordinates with these shears, the rest whitened."""
    straight, gradients = _straight(shears, v, gradients)
    z, slopes = old.standardised(straight), old.slopes(gradients)
    within = Gaussian.from_covariance(z.mean(axis=0), whitening(z, slopes))
    return Coordinates(Gaussian(old.points(within.centre), old.factor @ within.factor), shears)


def _misfit(coordinates: Coordinates, v: np.ndarray, gradients: np.ndarray) -> float:
    """Mean square by which slopes of draws differ from those of a standard normal: the Fisher divergence."""
    off = coordinates.slopes(gradients, v) - coordinates.standardised(v)
    return float(np.mean(np.sum((off - off.mean(axis=0)) ** 2, axis=1)))


def _straight(shears: tuple[Shear, ...], v: np.ndarray, gradients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Straight coordinates of v, and gradients by them."""
    for shear in shears:
        v, gradients = shear.straight(v), shear.slopes(gradients, v)
    return v, gradients


def whitening(z: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Covariance (n, n) of the normal distribution closest to draws and the slopes of their energy.

    It is the geometric mean of the draws' covariance and of the inverse of the slopes': of all linear maps, the one
    that makes slopes most like those of a standard normal, of least Fisher divergence (Seyboldt, Carlson and Carpenter
    2026, arXiv:2603.18845). A few dozen draws from a normal distribution make it nearly exact, as the errors of the two
    cancel. A draw of a standard normal is added to both, so that directions which the draws do not span stay as they
    are.

    Args:
        z: (m, n) draws.
        slopes: (m, n) gradients of the energy there.
    """
    m, n = z.shape
    of_draws, of_slopes = ((m * np.cov(x.T, ddof=0).reshape(n, n) + HELD * np.eye(n)) / (m + HELD) for x in (z, slopes))
    return _geometric_mean(of_draws, np.linalg.inv(of_slopes))


def _geometric_mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The positive definite matrix half-way between two."""
    root, back = (_power(a, p) for p in (0.5, -0.5))
    return root @ _power(back @ b @ back, 0.5) @ root


def _power(matrix: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return (vectors * np.maximum(values, 1e-300) ** power) @ vectors.T
