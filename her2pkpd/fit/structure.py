"""Structural identifiability: directions in which the unknowns can be moved without any effect on any reading.

The rank of the sensitivity matrix decides (Rothenberg, Econometrica 39 (1971) 577; Jacquez and Greif, Math Biosci 77
(1985) 201). A direction counts as without effect when it has none at the estimate and at points spread over the box
in which starts are looked for: an effect that vanishes at the estimate only (a toxicity that the fit has moved out of
reach) is a matter of these data, not of the experiment. Measured values and priors do not enter; a different
experiment has a different answer.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from her2pkpd.engine import Options
from her2pkpd.fit.combinations import sparse_basis
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.profile_curve import prior_rows

NO_EFFECT = 1e-6
"""Singular value of the scaled sensitivities, as a part of the largest, below which a direction has no effect."""

TIGHT = Options(rtol=1e-9, atol=1e-12)
"""Tolerances the sensitivities are computed with, well below `NO_EFFECT`."""

ELSEWHERE = 4
"""Points of the box at which an effect is looked for too."""


@dataclass(frozen=True)
class Structure:
    """Rank of the sensitivities of all readings.

    Attributes:
        rank: number of directions with an effect.
        null: (n_free, n_free - rank) directions without, as sparse as they can be written; zeros are exact.
    """

    rank: int
    null: np.ndarray

    @property
    def involved(self) -> np.ndarray:
        """(n_free,) unknowns that take part in a direction without effect."""
        return np.any(self.null != 0, axis=1)

    @property
    def idle(self) -> np.ndarray:
        """(n_free,) unknowns without any effect by themselves."""
        alone = self.null[:, np.sum(self.null != 0, axis=0) == 1]
        return np.any(alone != 0, axis=1)


def structure(objective: Objective, u: np.ndarray, *, seed: int = 1) -> Structure:
    """Find the directions without effect at `u` (n_unknowns,) and everywhere else.

    Args:
        objective: the objective; its data decide which readings there are, not what they are.
        u: coordinates of the estimate.
        seed: of the points of the box.
    """
    low, high = objective.free.start_box()
    points = np.tile(u, (1 + ELSEWHERE, 1))
    points[1:, : len(low)] = low + (high - low) * qmc.Sobol(len(low), rng=seed).random(ELSEWHERE)
    found = objective.many(points, options=TIGHT).jacobian
    data = found[:, : found.shape[1] - prior_rows(objective), : len(low)]
    # No reading depends on the centre of a pool but through its copies: it is not for readings to determine.
    centres = np.eye(len(low))[[centre for centre, _ in objective.free.pools]]
    return rank_of(np.vstack([centres, *(_comparable(rows) for rows in data)]))


def _comparable(rows: np.ndarray) -> np.ndarray:
    """Sensitivities of all readings that could be computed at one point, (n, n_free), on one scale."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    return rows / max(float(np.abs(rows).max(initial=0.0)), 1e-300)


def rank_of(rows: np.ndarray) -> Structure:
    """Rank and null space of sensitivities (n_rows, n_free)."""
    n = rows.shape[1]
    size = np.linalg.norm(rows, axis=0)
    least = NO_EFFECT * max(float(size.max(initial=0.0)), 1e-300)
    scale = np.where(size > least, size, 1.0)
    scaled = np.where(size > least, rows / scale, 0.0)
    _, values, right = np.linalg.svd(scaled, full_matrices=True)
    rank = int(np.sum(values > NO_EFFECT * max(float(values.max(initial=0.0)), 1.0)))
    null = right[rank:].T / scale[:, None]
    return Structure(rank, _sparse(null) if rank < n else np.zeros((n, 0)))


def _sparse(null: np.ndarray) -> np.ndarray:
    """The same space by vectors with as many zeros as possible: see `sparse_basis`."""
    null = null / np.abs(null).max(axis=0)
    reduced = sparse_basis(null.T).T
    reduced[np.abs(reduced) < 1e-5] = 0.0
    return reduced
