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

    @cached_property
    def ranges(self) -> np.ndarray:
        """(k, 3) lowest, mean and highest log dose above none of every drug."""
        doses = [x[x > NO_DOSE] for x in self.inputs.T]
        return np.array([(d.min(), d.mean(), d.max()) if len(d) else (0.0, 0.0, 0.0) for d in doses])


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
    return Wells(log_doses(unique), mean, count, np.bincount(where, weights=(response - mean[where]) ** 2))
