"""ArviZ's statistics of plain arrays, under the one name that its 0.x and 1.x releases share here."""

from typing import Any

import numpy as np
from scipy.special import logsumexp


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
    return float(np.asarray(_backend().ess(x, method=method)))


EVEN = 0.01
"""Log weights within this of each other need no smoothing."""


def psis(log_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pareto-smoothed, normalised log weights (..., S) and their Pareto k (...,).

    Where all weights are alike, as those of a well far beyond its limit of detection, nothing is smoothed and k is 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        smoothed, k = (np.asarray(x) for x in _backend().psislw(log_weights))
    even = np.ptp(log_weights, axis=-1) < EVEN
    plain = log_weights - logsumexp(log_weights, axis=-1, keepdims=True)
    return np.where(even[..., None], plain, smoothed), np.where(even, 0.0, np.nan_to_num(k, nan=np.inf))
