"""What a posterior predicts: read-outs at every draw, densities of the measured values, and new plates."""

from dataclasses import dataclass

import numpy as np

from her2pkpd.fit.objective import Objective
from her2pkpd.fit.problem import FitProblem

LANES = 4096
"""Lanes of one batch."""


@dataclass(frozen=True)
class Predictive:
    """Predictions at S draws.

    Attributes:
        prediction: (S, n_observations) of the wells; NaN where a lane failed.
        log_likelihood: (S, n_observations + n_metrics) log density of every measured value and published metric.
        replicated: (S, n_observations) new measurements of the same wells.
        metrics: (S, n_metrics) read-off metrics, log10 nM for potencies.
    """

    prediction: np.ndarray
    log_likelihood: np.ndarray
    replicated: np.ndarray
    metrics: np.ndarray


def predictive(problem: FitProblem, u: np.ndarray, *, seed: int = 0) -> Predictive:
    """Predict at draws.

    Args:
        problem: the fit.
        u: (S, n_unknowns) draws.
        seed: of the new measurements.
    """
    objective, rng = problem.objective, np.random.default_rng(seed)
    size = max(1, LANES // len(objective.design.lanes))
    parts = [_chunk(objective, u[i : i + size], rng) for i in range(0, len(u), size)]
    prediction, density, replicated, metrics = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Predictive(prediction, density, replicated, metrics)


def _chunk(
    objective: Objective, u: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    found = objective.many(u, derivatives=False)
    density, replicated = np.zeros_like(found.predictions), np.zeros_like(found.predictions)
    for block in objective.blocks:
        own = found.predictions[:, block.wells]
        density[:, block.wells] = block.log_likelihood(u, own)
        replicated[:, block.wells] = block.replicate(u, own, rng)
    published = objective.metric_log_likelihood(found.metrics)
    return found.predictions, np.concatenate([density, published], axis=1), replicated, found.metrics
