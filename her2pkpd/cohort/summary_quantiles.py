"""Weighted means and quantiles, and how many patients a weighted result rests on."""

import math
from collections.abc import Sequence

import numpy as np

ROUNDING = 1e-12
"""A distribution function this close below a probability has reached it."""


def quantiles(
    values: np.ndarray, probabilities: Sequence[float] | np.ndarray, weight: np.ndarray | None = None
) -> np.ndarray:
    """Quantiles by inverting the (weighted) distribution function: every one is the value of some patient.

    Integer weights give what that many copies of each patient would; the scale of the weights does not matter; equal
    weights are no weights. Infinite values (a progression that never comes) have their place like any other.

    Args:
        values: (n,).
        probabilities: (k,) between 0 and 1.
        weight: (n,), zero or positive; None is equal weights.

    Returns:
        (k,); NaN where there are no values, or no weight.
    """
    values = np.asarray(values, dtype=float)
    wanted = np.asarray(probabilities, dtype=float)
    if not len(values) or np.isnan(values).any() or (weight is not None and not np.sum(weight) > 0):
        return np.full(wanted.shape, np.nan)
    order = np.argsort(values)
    cumulative = np.arange(1.0, len(values) + 1.0) if weight is None else np.cumsum(weight[order])
    place = np.searchsorted(cumulative, wanted * cumulative[-1] * (1.0 - ROUNDING))
    if weight is not None:  # the lowest quantile is that of somebody who counts
        place = np.maximum(place, np.searchsorted(cumulative, 0.0, side="right"))
    return values[order[place]]


def order_statistics(values: np.ndarray, probabilities: Sequence[float]) -> np.ndarray:
    """(k, ...) the same quantiles along the first axis of an array, without weights."""
    n = len(values)
    places = [max(math.ceil(p * n * (1.0 - ROUNDING)) - 1, 0) for p in probabilities]
    return np.sort(values, axis=0)[places]


def mean(values: np.ndarray, weight: np.ndarray) -> float:
    """Weighted mean; NaN without weight."""
    total = float(np.sum(weight))
    return float(np.dot(weight, values) / total) if total > 0 else float("nan")


def sd(values: np.ndarray, weight: np.ndarray) -> float:
    """Weighted standard deviation, unbiased in its square: with equal weights the usual one, n - 1 below."""
    total, squares = float(np.sum(weight)), float(np.dot(weight, weight))
    if not total > 0 or total**2 <= squares * (1.0 + 1e-12):
        return float("nan")
    spread = float(np.dot(weight, (values - mean(values, weight)) ** 2)) / total
    return float(np.sqrt(spread / (1.0 - squares / total**2)))


def effective_sample_size(weight: np.ndarray) -> float:
    """Kish's (sum w)^2 / sum w^2: the number of equally weighted patients that would say as much about a mean."""
    squares = float(np.dot(weight, weight))
    return float(np.sum(weight)) ** 2 / squares if squares > 0 else 0.0
