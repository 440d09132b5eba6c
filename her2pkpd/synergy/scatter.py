"""How the scatter of wells depends on the response and on the errors of the doses."""

import numpy as np
from scipy.optimize import nnls
from scipy.stats import chi2

from her2pkpd.synergy.surfaces import Surface
from her2pkpd.synergy.wells import Wells

ENOUGH = 12
"""Distinct dose combinations below which scatter is taken as even."""

_SMALLEST = 0.02
"""Variance of a well, relative to the mean one, that no estimate may fall below."""
_EXACT = 1e-20
"""Mean square below which there is no scatter but rounding."""


def relative_variance(surface: Surface, wells: Wells, u: np.ndarray) -> np.ndarray:
    """Variance of a well at each dose combination relative to the mean one.

    a + b E^2 + c (dE/d log dose)^2, none of them negative, from the squares of the wells' distances to the fitted
    surface; all ones where the likelihood does not ask for more than a (at 5 %).

    Args:
        surface: the surface.
        wells: the wells.
        u: (p,) fitted coordinates.

    Returns:
        (g,).
    """
    even = np.ones(len(wells.mean))
    predicted = surface(wells.inputs, u)
    slopes = surface.dose_slopes(wells.inputs, u)[:, : surface.n_drugs]
    df = max(wells.n - len(u), 1)
    square = (wells.count * (predicted - wells.mean) ** 2 + wells.within) / wells.count * wells.n / df
    mean = float(np.average(square, weights=wells.count)) if np.all(np.isfinite(square)) else 0.0
    if len(predicted) < ENOUGH or mean < _EXACT:
        return even
    fitted = _components(np.column_stack([even, predicted**2, np.sum(slopes**2, axis=1)]), square, wells.count, mean)
    gain = np.sum(wells.count * (np.log(mean) + square / mean - np.log(fitted) - square / fitted))
    return fitted / mean if gain > chi2.ppf(0.95, 2) else even


def _components(basis: np.ndarray, square: np.ndarray, count: np.ndarray, mean: float) -> np.ndarray:
    """Fitted variances (g,): squares of normal errors have twice their own variance, so weights follow the fit."""
    fitted = np.full(len(square), mean)
    for _ in range(20):
        weight = np.sqrt(count) / fitted
        part, _norm = nnls(basis * weight[:, None], square * weight)
        fitted = np.maximum(basis @ part, _SMALLEST * mean)
    return fitted
