"""ArviZ's statistics of plain arrays, under the one name that its 0.x and 1.x releases share here."""

from typing import Any

import numpy as np
from scipy.special import logsumexp

TAILS = (0.05, 0.95)
"""Probabilities of the quantiles whose effective sample size is that of the tails."""

EVEN = 0.01
"""Log weights within this of each other count as alike."""


def has_inference_data() -> bool:
    """Whether the installed ArviZ is of the 0.x releases, which have containers of their own."""
    import arviz as az

    return int(str(az.__version__).partition(".")[0]) < 1


def _backend() -> Any:
    if has_inference_data():
        import arviz as az

        return az
    from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports] - of ArviZ 1.x

    return array_stats


def rhat(x: np.ndarray) -> float:
    """Rank-normalised split R-hat of draws (chains, draws)."""
    return float(np.asarray(_backend().rhat(x)))


def ess(x: np.ndarray, method: str) -> float:
    """Effective sample size of draws (chains, draws); `method` is "bulk" or "tail"."""
    prob = TAILS if method == "tail" else None
    return float(np.asarray(_backend().ess(x, method=method, prob=prob)))


def psis(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed, normalised log weights (..., S) and their Pareto k (...,).

    Where the largest weights are alike, as those of a well far beyond its limit of detection, there is no tail to
    smooth: such weights stay as they are, and k is 0.
    """
    rows = log_weights.reshape(-1, log_weights.shape[-1])
    draws = rows.shape[1]
    tail = int(np.ceil(min(0.2 * draws, 3 * np.sqrt(draws))))
    even = np.ptp(np.sort(rows, axis=1)[:, -tail - 1 :], axis=1) < EVEN
    smoothed, k = rows - logsumexp(rows, axis=1, keepdims=True), np.zeros(len(rows))
    if not even.all():
        # ArviZ 0.x takes log weights, 1.x the log likelihood that they are the negative of.
        sign = 1 if has_inference_data() else -1
        smoothed[~even], k[~even] = (np.asarray(x) for x in _backend().psislw(sign * rows[~even]))
    return smoothed.reshape(log_weights.shape), k.reshape(log_weights.shape[:-1])
