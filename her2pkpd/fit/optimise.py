"""Multi-start maximum a posteriori: Sobol starts that descend together, exact Jacobians (`her2pkpd.fit.descent`)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from her2pkpd.errors import ComputationError
from her2pkpd.fit.descent import descend
from her2pkpd.fit.objective import Evaluation, Objective

LANES = 2048
"""Lanes of one batch: enough to fill vectors and threads, few enough that an interruption costs seconds."""

Progress = Callable[[int, int, float], None]
"""Called after every start with (finished, planned, best cost)."""


@dataclass(frozen=True)
class Start:
    """One finished start.

    Attributes:
        number: 0 is the user's own starting values, the rest are Sobol points.
        cost: -2 log posterior at its end, infinite when it never got a finite value.
        u: its end, coordinates.
        evaluations: evaluations of the objective.
        message: why it stopped.
    """

    number: int
    cost: float
    u: np.ndarray
    evaluations: int
    message: str


@dataclass(frozen=True)
class Optimum:
    """Result of a multi-start.

    Attributes:
        starts: all starts, best first.
        interrupted: whether it was stopped early by the user.
    """

    starts: tuple[Start, ...]
    interrupted: bool = False

    @property
    def best(self) -> Start:
        """The best start."""
        return self.starts[0]

    @property
    def agreeing(self) -> int:
        """Starts that end within 0.5 of the best -2 log posterior: the same optimum for any practical purpose."""
        return sum(s.cost <= self.best.cost + 0.5 for s in self.starts)


def multi_start(
    objective: Objective,
    *,
    starts: int = 8,
    seed: int = 1,
    max_evaluations: int = 100,
    progress: Progress | None = None,
    finished: tuple[Start, ...] = (),
    on_start: Callable[[Start], None] | None = None,
) -> Optimum:
    """Minimise the objective from several starts.

    Args:
        objective: what to minimise.
        starts: number of starts in all, the first from the entries' own starting values.
        seed: of the Sobol sequence.
        max_evaluations: evaluations per start.
        progress: called after every group of starts that descend together.
        finished: starts of an interrupted run; groups that are complete are not repeated.
        on_start: called with every newly finished start, to keep it.

    Returns:
        The `Optimum`; Ctrl-C ends the search and keeps what is finished.

    Raises:
        ComputationError: if no start ever reached a finite objective.
    """
    done: dict[int, Start] = {}
    points = _points(objective, starts, seed)
    interrupted = False
    try:
        for numbers in _groups(objective, starts):
            kept = [s for s in finished if s.number in numbers]
            new = len(kept) < len(numbers)
            if new:
                best = min((s.cost for s in done.values()), default=np.inf)
                kept = _descend(objective, numbers, [points[n] for n in numbers], max_evaluations, best)
            for start in kept:
                done[start.number] = start
                if on_start is not None and new:
                    on_start(start)
            if progress is not None:
                progress(len(done), starts, min(s.cost for s in done.values()))
    except KeyboardInterrupt:
        interrupted = True
        if not done:
            raise
    ranked = tuple(sorted(done.values(), key=lambda s: s.cost))
    if not np.isfinite(ranked[0].cost):
        raise ComputationError(_nowhere_finite(objective, ranked[0]))
    return Optimum(ranked, interrupted)


def _points(objective: Objective, starts: int, seed: int) -> list[np.ndarray]:
    low, high = objective.bounds()
    inner_low, inner_high = objective.start_box()
    points = [np.clip(objective.start(), low, high)]
    if starts > 1:
        sobol = qmc.Sobol(len(low), rng=seed)
        unit = sobol.random_base2(int(np.ceil(np.log2(max(starts - 1, 1)))))[: starts - 1]
        points += [np.clip(inner_low + x * (inner_high - inner_low), low, high) for x in unit]
    return points


class Remembered:
    """The last evaluation, so that SciPy's separate calls for residuals and Jacobian cost one solve."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.u: np.ndarray | None = None
        self.last: Evaluation | None = None
        self.calls = 0

    def __call__(self, u: np.ndarray) -> Evaluation:
        """The objective at coordinates `u` (n_unknowns,)."""
        if self.last is None or self.u is None or not np.array_equal(u, self.u):
            self.u, self.last = u.copy(), self.objective(u)
            self.calls += 1
        return self.last


def _groups(objective: Objective, starts: int) -> list[range]:
    """Starts that descend together: as many as fill LANES lanes. What a start does depends on its own group alone."""
    size = max(1, LANES // max(len(objective.design.lanes), 1))
    return [range(first, min(first + size, starts)) for first in range(0, starts, size)]


def _descend(
    objective: Objective, numbers: range, points: list[np.ndarray], max_evaluations: int, best: float
) -> list[Start]:
    ends = descend(objective, np.array(points), max_evaluations=max_evaluations, best=best)
    return [Start(n, e.cost, e.u, e.evaluations, e.message) for n, e in zip(numbers, ends, strict=True)]


def _nowhere_finite(objective: Objective, start: Start) -> str:
    status = objective(start.u).status
    failed = int(np.sum(status != 0))
    return (
        f"no start reached a finite objective: {failed} of {len(status)} lanes fail at the starting values. "
        "Check starting values and bounds in [estimate], and concentrations in the data."
    )
