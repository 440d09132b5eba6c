"""Linear algebra of steady states, for stacks of small matrices."""

import numpy as np
from scipy.linalg import expm

from her2pkpd.engine.problem import Segments


def solve_scaled(matrix: np.ndarray, right: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Solve a stack of systems after scaling unknowns by `scale` and rows to size one; NaN where singular.

    Args:
        matrix: (L, n, n).
        right: (L, n, k).
        scale: (n,) typical size of the unknowns.

    Returns:
        (L, n, k).
    """
    scaled = matrix * scale
    size = np.max(np.abs(scaled), axis=2, keepdims=True)
    size = np.where(size > 0, size, 1.0)
    scaled, right = scaled / size, right / size
    fine = np.asarray(np.isfinite(scaled).all(axis=(1, 2)) & np.isfinite(right).all(axis=(1, 2)))
    fine[fine] &= np.linalg.cond(scaled[fine]) < 1e14
    found = np.full(right.shape, np.nan)
    if fine.any():
        found[fine] = np.linalg.solve(scaled[fine], right[fine])
    return found * scale[:, None]


def period_map(a: np.ndarray, source: np.ndarray, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
    """The map y -> M y + b of one period of y' = A y + source, by matrix exponentials.

    Args:
        a: (L, n, n).
        source: (L, n).
        segments: the period, L lanes.

    Returns:
        M (L, n, n) and b (L, n).
    """
    lanes, n = source.shape
    inputs = list(segments.inputs)
    m, b = np.broadcast_to(np.eye(n), a.shape).copy(), np.zeros((lanes, n))
    for k, length in enumerate(np.diff(segments.boundaries, axis=1).T):
        m[:, inputs] *= segments.keep[:, k, :, None]
        b[:, inputs] = segments.keep[:, k] * b[:, inputs] + segments.jump[:, k]
        bordered = np.zeros((lanes, n + 1, n + 1))
        bordered[:, :n, :n], bordered[:, :n, n] = a, source
        bordered[:, inputs, n] += segments.infusion[:, k]
        step = expm(bordered * length[:, None, None])
        m, b = step[:, :n, :n] @ m, (step[:, :n, :n] @ b[..., None])[..., 0] + step[:, :n, n]
    return m, b


def contracts(m: np.ndarray, free: np.ndarray) -> np.ndarray:
    """(L,) whether a period brings neighbours closer in every direction but the conserved ones.

    Args:
        m: (L, n, n) derivative of the period map.
        free: (L,) number of conserved totals.
    """
    fine = np.asarray(np.isfinite(m).all(axis=(1, 2)))
    sizes = np.abs(np.linalg.eigvals(np.where(fine[:, None, None], m, 0.0)))
    return fine & ((sizes >= 1 - 1e-11).sum(axis=1) <= free) & (sizes.max(axis=1) < 1 + 1e-6)
