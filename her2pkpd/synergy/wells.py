"""The wells of a block as a fit sees them: one entry for each distinct combination of doses."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from her2pkpd.synergy.surfaces import NO_DOSE


@dataclass(frozen=True)
class Wells:
    """Wells of one block; replicates of one combination of doses count through their mean and number.

    Attributes:
        inputs: (g, k) log doses (and any further numbers).
        mean: (g,) mean response.
        count: (g,) replicates.
        within: (g,) sum of squares of the replicates around their mean.
    """

    inputs: np.ndarray
    mean: np.ndarray
    count: np.ndarray
    within: np.ndarray

    @property
    def n(self) -> int:
        """Number of wells."""
        return int(self.count.sum())

    @property
    def scatter(self) -> float:
        """Sum of squares of all replicates around their means."""
        return float(self.within.sum())

    @cached_property
    def rank(self) -> np.ndarray:
        """(g, k) place of each dose among its drug's, 0 the lowest (or none), 1 the highest."""
        found = [np.unique(x, return_inverse=True)[1] for x in self.inputs.T]
        return np.stack([r / max(float(r.max()), 1.0) for r in found], axis=1)

    def corner(self, high: tuple[bool, ...]) -> float:
        """Mean response of the wells nearest to a corner of the block: the highest doses of some drugs."""
        if high not in self._corners:
            distance = np.abs(self.rank[:, : len(high)] - np.array(high, dtype=float)).sum(axis=1)
            self._corners[high] = float(self.mean[distance <= distance.min() + 1e-9].mean())
        return self._corners[high]

    @cached_property
    def _corners(self) -> dict[tuple[bool, ...], float]:
        return {}

    @cached_property
    def ranges(self) -> np.ndarray:
        """(k, 3) lowest, mean and highest log dose above none of every drug."""
        doses = [x[x > NO_DOSE] for x in self.inputs.T]
        return np.array([(d.min(), d.mean(), d.max()) if len(d) else (0.0, 0.0, 0.0) for d in doses])


def log_doses(doses: np.ndarray) -> np.ndarray:
    """Logarithms of doses, `NO_DOSE` for none."""
    doses = np.asarray(doses, dtype=float)
    return np.where(doses > 0, np.log(np.where(doses > 0, doses, 1.0)), NO_DOSE)


def distinct(doses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows (g, k) of doses (n, k), in ascending order, and which of them each well has (n,)."""
    order = np.lexsort(doses.T[::-1])
    ordered = doses[order]
    first = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))
    where = np.empty(len(doses), dtype=int)
    where[order] = np.cumsum(first) - 1
    return ordered[first], where


def gather(doses: np.ndarray, response: np.ndarray) -> Wells:
    """Distinct dose combinations of wells: doses (n, k) and responses (n,)."""
    unique, where = distinct(doses)
    count = np.bincount(where).astype(float)
    mean = np.bincount(where, weights=response) / count
    return Wells(log_doses(unique), mean, count, np.bincount(where, weights=(response - mean[where]) ** 2))
