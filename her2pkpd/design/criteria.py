"""How much a set of wells tells: D-optimality, and the width of the interval of chosen parameters.

Every candidate well contributes an information matrix F'F, where the rows of F are its readings' sensitivities in
standard deviations. All criteria are averages over draws of the parameters, so that a plate is good for what is
plausible and not for one guess only (pseudo-Bayesian design: Chaloner and Verdinelli, Stat Sci 10 (1995) 273).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pool:
    """All wells a plate may be made of.

    Attributes:
        rows: (n_draws, n_candidates, n_readings, n_unknowns) sensitivities in standard deviations.
        known: (n_draws, n_unknowns, n_unknowns) information there is already: priors and earlier data.
    """

    rows: np.ndarray
    known: np.ndarray

    @property
    def size(self) -> int:
        """Number of candidates."""
        return self.rows.shape[1]

    def times(self, covariance: np.ndarray) -> np.ndarray:
        """Rows times a matrix (n_draws, n_unknowns, n_unknowns), as few large products."""
        draws, wells, readings, n = self.rows.shape
        return (self.rows.reshape(draws, wells * readings, n) @ covariance).reshape(self.rows.shape)

    def information(self, counts: np.ndarray) -> np.ndarray:
        """(n_draws, n_unknowns, n_unknowns) of `counts` (n_candidates,) wells of each kind, and what is known."""
        at = np.flatnonzero(counts)
        rows = self.rows[:, at]
        return self.known + np.einsum("dcri,c,dcrj->dij", rows, counts[at].astype(float), rows, optimize=True)


@dataclass(frozen=True)
class Criterion:
    """What is to be large.

    Attributes:
        targets: positions of the unknowns whose intervals are to be narrow: minus the mean logarithm of their
            variances (c-optimal for one, Ds in its diagonal form for several). Empty means all of them together: the
            mean logarithm of the determinant, a part per unknown (D-optimal).
    """

    targets: tuple[int, ...] = ()

    def value(self, information: np.ndarray) -> float:
        """Of an information (n_draws, n_unknowns, n_unknowns); one more is e times less variance, each."""
        if not self.targets:
            sign, logdet = np.linalg.slogdet(information)
            return float(np.mean(logdet)) / information.shape[-1] if np.all(sign > 0) else -np.inf
        return -float(np.mean(np.log(self._variances(np.linalg.inv(information)))))

    def gains(self, pool: Pool, covariance: np.ndarray) -> np.ndarray:
        """(n_candidates,) how much one more well of each kind adds to the value.

        Args:
            pool: the candidates.
            covariance: (n_draws, n_unknowns, n_unknowns) inverse of the information without that well.
        """
        moved = pool.times(covariance)
        single = pool.rows.shape[2] == 1
        if single:
            spread = 1.0 + np.sum(moved * pool.rows, axis=-1, keepdims=True)
        else:
            spread = moved @ np.swapaxes(pool.rows, -1, -2) + np.eye(pool.rows.shape[2])
        if not self.targets:
            logdet = np.log(spread[..., 0, 0]) if single else np.linalg.slogdet(spread)[1]
            return logdet.mean(axis=0) / covariance.shape[-1]
        own = moved[..., self.targets]
        less = np.sum(own * (own / spread if single else np.linalg.solve(spread, own)), axis=-2)
        before = self._variances(covariance)[:, None]
        return -np.log1p(-np.minimum(less / before, 1 - 1e-15)).mean(axis=(0, 2))

    def slopes(self, pool: Pool, covariance: np.ndarray) -> np.ndarray:
        """(n_candidates,) how fast the value rises with the number of wells of each kind."""
        moved = pool.times(covariance)
        if not self.targets:
            return np.sum(moved * pool.rows, axis=(2, 3)).mean(axis=0) / covariance.shape[-1]
        squares = np.sum(moved[..., self.targets] ** 2, axis=2)
        return (squares / self._variances(covariance)[:, None]).mean(axis=(0, 2))

    def _variances(self, covariance: np.ndarray) -> np.ndarray:
        return np.maximum(np.diagonal(covariance, axis1=-2, axis2=-1)[:, self.targets], 1e-300)


def widths(information: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(n_unknowns,) expected width of 95 % intervals on the coordinates, no wider than the bounds.

    Args:
        information: (n_draws, n_unknowns, n_unknowns).
        bounds: (n_unknowns,) distance of the bounds.
    """
    variances = np.diagonal(np.linalg.inv(information), axis1=-2, axis2=-1)
    return np.minimum(2 * 1.96 * np.sqrt(np.maximum(variances, 0.0)), bounds).mean(axis=0)
