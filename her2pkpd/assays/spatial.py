"""A tumour in two dimensions: where the amplified cells lie, and what cores find.

The map is a Gaussian random field cut at the height that leaves the wanted fraction amplified: with a correlation
length of 0 every cell is independent (mosaic), with a long one there are patches. `disc` is one focus. Maps are
periodic, so every place is like every other and a core's expected fraction is the tumour's.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Core:
    """A needle core in a section: a strip of cells.

    Attributes:
        length: cells along the needle.
        width: cells across it.
    """

    length: int = 100
    width: int = 5

    @property
    def cells(self) -> int:
        """Cells in the strip."""
        return self.length * self.width


def patches(size: int, fraction: float, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """A map with patches.

    Args:
        size: cells along each side.
        fraction: of cells amplified; met exactly but for rounding to whole cells.
        correlation: length in cells over which neighbours resemble each other; 0 is a mosaic.
        rng: random numbers.

    Returns:
        (size, size) booleans.
    """
    from scipy import ndimage

    height = rng.standard_normal((size, size))
    if correlation > 0:
        height = ndimage.gaussian_filter(height, correlation / np.sqrt(2), mode="wrap")
    count = round(fraction * size * size)
    amplified = np.zeros(size * size, dtype=bool)
    amplified[np.argsort(height, axis=None)[size * size - count :]] = True
    return amplified.reshape(size, size)


def disc(size: int, fraction: float) -> np.ndarray:
    """A map with one round focus of this fraction of the cells, as far as a disc fits."""
    at = (np.arange(size) - size // 2) ** 2
    distance = (at[:, None] + at[None, :]).astype(float).ravel()
    amplified = np.zeros(size * size, dtype=bool)
    amplified[np.argsort(distance, kind="stable")[: round(fraction * size * size)]] = True
    return amplified.reshape(size, size)


def take_cores(tumour: np.ndarray, core: Core, cores: int, trials: int, rng: np.random.Generator) -> np.ndarray:
    """Amplified fraction in cores at random places, along either axis.

    Args:
        tumour: (size, size) booleans.
        core: their shape.
        cores: of one biopsy.
        trials: biopsies.
        rng: random numbers.

    Returns:
        (trials, cores) fractions.
    """
    size = len(tumour)
    means = []
    for shape in ((core.length, core.width), (core.width, core.length)):
        total = tumour.astype(float)
        for axis, extent in enumerate(shape):
            sums = np.cumsum(np.concatenate([total, total], axis=axis), axis=axis)
            ahead = np.take(sums, np.arange(size) + extent - 1, axis=axis)
            total = ahead - np.take(sums, np.arange(size), axis=axis) + total
        means.append(total / core.cells)
    which, x, y = (rng.integers(0, high, (trials, cores)) for high in (2, size, size))
    return np.stack(means)[which, x, y]


def core_icc(tumour: np.ndarray, core: Core, rng: np.random.Generator, trials: int = 20_000) -> float:
    """Intra-class correlation that gives cores of this shape their variance: (n*Var/(f(1 - f)) - 1)/(n - 1).

    It is what the beta-binomial of `her2pkpd.assays.sampling` needs to stand for this map.
    """
    f = float(tumour.mean())
    if f in (0.0, 1.0):
        return 0.0
    seen = take_cores(tumour, core, 1, trials, rng)
    variance = float(((seen - f) ** 2).mean())
    return (core.cells * variance / (f * (1 - f)) - 1) / (core.cells - 1)


def missed_by_cores(
    tumour: np.ndarray, core: Core, cores: int, rng: np.random.Generator, *, needed: float = 0.0, trials: int = 20_000
) -> float:
    """Probability that no core holds more than `needed` of amplified cells (0: none at all)."""
    return float((take_cores(tumour, core, cores, trials, rng) <= needed).all(axis=1).mean())
