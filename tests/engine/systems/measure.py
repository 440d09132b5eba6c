"""How errors are measured."""

import numpy as np


def tolerances_off(y, exact, options, model) -> float:
    """Largest error of the states in units of the requested tolerance."""
    scale = np.array([s.scale for s in model.species])
    return float(np.max(np.abs(y - exact) / (options.atol * scale + options.rtol * np.abs(exact))))


def relative(found, exact) -> float:
    """Largest error of a derivative relative to the largest value that state and direction take over time.

    Derivatives ten thousand times smaller than the largest count as that large: many are zero by cancellation.

    Args:
        found: (..., M, n, K).
        exact: the same shape.
    """
    size = np.max(np.abs(exact), axis=-3, keepdims=True)
    floor = max(1e-4 * np.max(np.abs(exact)), 1e-300)
    return float(np.max(np.abs(found - exact) / np.maximum(size, floor)))
