"""ArviZ's statistics of plain arrays, under the one name that its 0.x and 1.x releases share here."""

from typing import Any

import numpy as np


def _backend() -> Any:
    import arviz as az

    if hasattr(az, "InferenceData"):
        return az
    from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports] - of ArviZ 1.x

    return array_stats


def rhat(x: np.ndarray) -> float:
    """Rank-normalised split R-hat of draws (chains, draws)."""
    return float(np.asarray(_backend().rhat(x)))


def ess(x: np.ndarray, method: str) -> float:
    """Effective sample size of draws (chains, draws); `method` is "bulk" or "tail"."""
    return float(np.asarray(_backend().ess(x, method=method)))


def psis(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed, normalised log weights (..., S) and their Pareto k (...,)."""
    smoothed, k = _backend().psislw(log_weights)
    return np.asarray(smoothed), np.asarray(k)
