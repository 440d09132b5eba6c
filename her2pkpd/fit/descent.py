"""Least squares from many points at once: Levenberg-Marquardt steps in which every start is a copy of all lanes.

One evaluation of the objective at C points is one batch for the engine, so that C starts cost little more than one
where a single start leaves vector lanes idle. Bounds are kept by projection: coordinates held at a bound by the
gradient sit out the step. A point whose lanes fail is refused like one that is worse. Starts that fall behind without
catching up are retired.
"""

from dataclasses import dataclass

import numpy as np

from her2pkpd.fit.objective import Objective

PRECISION = 1e-7
"""A start has arrived when the next step promises to lower -2 log posterior by less than this ..."""

RELATIVE = 1e-10
"""... or by less than this part of it."""

LONGEST_STEP = 2.5
"""Largest move of a coordinate in one step: a factor of twelve, on a log scale."""

STIFFEST = 1e12
"""Damping at which no step is left to be tried."""

REVIEW, PATIENCE, BEHIND = 5, 4, 20.0
"""Every REVIEW steps a start is retired that would not come within BEHIND of the best in PATIENCE more such spans."""

ARRIVED, STUCK, LIMIT, RETIRED = (
    "converged",
    "no step lowers the objective any more",
    "evaluation limit reached",
    "retired: far behind the best start and not catching up",
)
NOT_FINITE = "the objective is not finite at the start"


@dataclass(frozen=True)
class End:
    """Where a start ended.

    Attributes:
        cost: -2 log posterior, infinite when it never got a finite value.
        u: coordinates.
        evaluations: evaluations of the objective.
        message: why it stopped.
    """

    cost: float
    u: np.ndarray
    evaluations: int
    message: str


class _Starts:
    """The state of C starts; arrays have a leading axis of length C."""

    def __init__(self, objective: Objective, points: np.ndarray) -> None:
        self.objective = objective
        self.low, self.high = objective.bounds()
        self.u = np.clip(points, self.low, self.high)
        self.damping = np.full(len(points), 1e-2)
        self.growth = np.full(len(points), 2.0)
        self.evaluations = np.ones(len(points), dtype=int)
        first = objective.many(self.u)
        self.cost, self.gradient, self.hessian = _normal_equations(first.residuals, first.jacobian)
        self.message = ["" if np.isfinite(c) else NOT_FINITE for c in self.cost]

    @property
    def running(self) -> np.ndarray:
        """Positions of those not finished."""
        return np.array([i for i, m in enumerate(self.message) if not m], dtype=int)

    def step(self, at: np.ndarray) -> None:
        """One step of the starts at these positions."""
        moves, promised = self._moves(at)
        for i, gain in zip(at, promised, strict=True):
            if gain < max(PRECISION, RELATIVE * self.cost[i]):
                self.message[i] = ARRIVED
        going = promised >= np.maximum(PRECISION, RELATIVE * self.cost[at])
        at, moves, promised = at[going], moves[going], promised[going]
        if not len(at):
            return
        trial = np.clip(self.u[at] + moves, self.low, self.high)
        found = self.objective.many(trial)
        cost, gradient, hessian = _normal_equations(found.residuals, found.jacobian)
        self.evaluations[at] += 1
        quality = np.where(np.isfinite(cost), (self.cost[at] - cost) / promised, -1.0)
        self._damp(at, quality)
        good = quality > 1e-4
        won = at[good]
        self.u[won], self.cost[won] = trial[good], cost[good]
        self.gradient[won], self.hessian[won] = gradient[good], hessian[good]
        for i in at[self.damping[at] > STIFFEST]:
            self.message[i] = STUCK

    def _moves(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Damped Gauss-Newton steps (k, n), and how much each promises to lower the cost (k,)."""
        u, g, h = self.u[at], self.gradient[at], self.hessian[at]
        held = ((u <= self.low) & (g > 0)) | ((u >= self.high) & (g < 0))
        g = np.where(held, 0.0, g)
        h = np.where(held[:, :, None] | held[:, None, :], 0.0, h)
        diagonal = np.einsum("cii->ci", h)
        weight = np.where(held, 1.0, np.maximum(diagonal, 1e-8 * diagonal.max(axis=1, keepdims=True) + 1e-12))
        damped = h + (self.damping[at, None] * weight)[:, :, None] * np.eye(u.shape[-1])
        moves = -np.linalg.solve(damped, g[..., None])[..., 0]
        moves *= np.minimum(1.0, LONGEST_STEP / np.maximum(np.abs(moves).max(axis=1), 1e-300))[:, None]
        moves = np.clip(u + moves, self.low, self.high) - u
        promised = -(2 * np.sum(g * moves, axis=1) + np.einsum("ci,cij,cj->c", moves, h, moves))
        return moves, promised

    def _damp(self, at: np.ndarray, quality: np.ndarray) -> None:
        """Damping after Nielsen (1999): less after good steps, ever more after bad ones."""
        good = quality > 1e-4
        factor = np.maximum(1 / 3, 1 - (2 * np.clip(quality, 0.0, 1.0) - 1) ** 3)
        self.damping[at] = np.maximum(self.damping[at] * np.where(good, factor, self.growth[at]), 1e-12)
        self.growth[at] = np.where(good, 2.0, 2 * self.growth[at])

    def retire(self, before: np.ndarray, best: float) -> None:
        """Give up starts that would not catch up with the best at the pace since `before`."""
        best = min(best, float(self.cost.min()))
        for i in self.running:
            pace = before[i] - self.cost[i]
            if self.cost[i] - PATIENCE * pace > best + BEHIND:
                self.message[i] = RETIRED


def _normal_equations(residuals: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cost (C,), and the normal equations (C, n) and (C, n, n); infinite cost where anything is NaN."""
    cost = np.sum(residuals**2, axis=1)
    jt = np.swapaxes(jacobian, 1, 2)
    gradient, hessian = (jt @ residuals[..., None])[..., 0], jt @ jacobian
    sound = np.isfinite(cost) & np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    return np.where(sound, cost, np.inf), gradient, hessian


def descend(objective: Objective, points: np.ndarray, *, max_evaluations: int, best: float = np.inf) -> list[End]:
    """Minimise the objective from C points together.

    Args:
        objective: what to minimise.
        points: (C, n_unknowns) where to start.
        max_evaluations: evaluations per start.
        best: lowest cost known from elsewhere; starts far above it may be retired.

    Returns:
        One `End` per point.
    """
    starts = _Starts(objective, points)
    before = np.where(np.isfinite(starts.cost), starts.cost, np.inf)
    for count in range(1, max_evaluations):
        running = starts.running
        if not len(running):
            break
        starts.step(running)
        if count % REVIEW == 0:
            if count > REVIEW:
                starts.retire(before, best)
            before = starts.cost.copy()
    return [
        End(float(c), u, int(n), m or LIMIT)
        for c, u, n, m in zip(starts.cost, starts.u, starts.evaluations, starts.message, strict=True)
    ]
