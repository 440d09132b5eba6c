"""Many small least-squares problems at once: Levenberg-Marquardt on lanes, in NumPy.

A bootstrap, a profile likelihood and a screen are thousands of fits of one function with a handful of parameters.
Solved one by one, nearly all the time goes to the overhead of calls; solved as lanes of one array, a fit costs
microseconds. Each lane has its own damping (Nielsen 1999, IMM-REP-1999-05), Marquardt's scaling, and bounds kept by
projection: a coordinate on its bound whose gradient points outward is held there for the step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Coordinates (s, p) and lane numbers (s,) to residuals (s, n) and their Jacobian (s, n, p)."""

GIVE_UP = 1e14
"""Damping beyond which no step of a lane can still help."""


@dataclass(frozen=True)
class Minimum:
    """Where every lane ended.

    Attributes:
        u: (S, p) coordinates.
        cost: (S,) sum of squares; infinite where the start was not finite.
        converged: (S,) whether the lane stopped because nothing more was to be gained.
    """

    u: np.ndarray
    cost: np.ndarray
    converged: np.ndarray


def minimise(
    function: Function,
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    iterations: int = 200,
    tolerance: float = 1e-12,
) -> Minimum:
    """Minimise the sum of squares of every lane.

    Args:
        function: residuals and Jacobian; lanes that leave its domain may return NaN, the step is then shortened.
        start: (S, p) starting coordinates, clipped into the bounds.
        lower: (p,) or (S, p) lower bounds.
        upper: (p,) or (S, p) upper bounds.
        iterations: at most this many steps.
        tolerance: a lane is done when a full step promises to lower its cost by less than this part.

    Returns:
        The `Minimum` of every lane.
    """
    lanes, p = start.shape
    lower, upper = np.broadcast_to(lower, (lanes, p)), np.broadcast_to(upper, (lanes, p))
    u = np.clip(start, lower, upper)
    residual, jacobian = function(u, np.arange(lanes))
    cost = _cost(residual)
    gradient, normal = _normal(residual, jacobian)
    damping, factor = np.full(lanes, 1e-3), np.full(lanes, 2.0)
    converged = np.zeros(lanes, dtype=bool)
    active = np.flatnonzero(np.isfinite(cost))
    for _ in range(iterations):
        if not len(active):
            break
        step, promised = _step(u, gradient, normal, damping, lower, upper, active)
        done = promised <= tolerance * cost[active] + 1e-300
        converged[active[done]] = True
        active, step, promised = active[~done], step[~done], promised[~done]
        if not len(active):
            break
        trial = u[active] + step
        residual, jacobian = function(trial, active)
        new = _cost(residual)
        gain = (cost[active] - new) / promised
        better = np.isfinite(new) & (gain > 0)
        hit = active[better]
        u[hit], cost[hit] = trial[better], new[better]
        gradient[hit], normal[hit] = _normal(residual[better], jacobian[better])
        damping[hit] *= np.maximum(1 / 3, 1 - (2 * np.minimum(gain[better], 1.5) - 1) ** 3)
        factor[hit] = 2.0
        missed = active[~better]
        damping[missed] *= factor[missed]
        factor[missed] *= 2.0
        stuck = missed[damping[missed] > GIVE_UP]
        converged[stuck] = True
        active = active[damping[active] <= GIVE_UP]
    return Minimum(u, cost, converged)


def _cost(residual: np.ndarray) -> np.ndarray:
    total = np.einsum("sn,sn->s", residual, residual)
    return np.where(np.isfinite(total), total, np.inf)


def _normal(residual: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    transposed = jacobian.swapaxes(1, 2)
    return (transposed @ residual[..., None])[..., 0], transposed @ jacobian


def _step(
    u: np.ndarray,
    gradient: np.ndarray,
    normal: np.ndarray,
    damping: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    active: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The damped step of every active lane, clipped to the bounds, and the decrease it promises."""
    g, a, x = gradient[active], normal[active].copy(), u[active]
    low, high = lower[active], upper[active]
    held = ((x <= low) & (g > 0)) | ((x >= high) & (g < 0))
    g = np.where(held, 0.0, g)
    open_ = ~held
    a *= open_[:, :, None] & open_[:, None, :]
    index = np.arange(a.shape[1])
    diagonal = a[:, index, index]
    # A direction without effect still needs a number on the diagonal; its gradient is zero, so is its step.
    floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    a[:, index, index] = diagonal + damping[active][:, None] * np.maximum(diagonal, floor) + floor
    step = -np.linalg.solve(a, g[..., None])[..., 0]
    step = np.clip(x + step, low, high) - x
    curved = np.einsum("sp,spq,sq->s", step, normal[active], step)
    promised = -2.0 * np.einsum("sp,sp->s", step, g) - curved
    # Clipping can turn a good step into one that promises nothing; more damping follows then.
    return step, np.where(promised > 0, promised, np.where(np.abs(step).max(axis=1) > 0, 1e-12, 0.0))
