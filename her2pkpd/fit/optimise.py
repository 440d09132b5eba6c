"""Multi-start maximum a posteriori: Sobol starts, SciPy's trust-region reflective least squares, exact Jacobians."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.stats import qmc

from her2pkpd.errors import ComputationError
from her2pkpd.fit.objective import Evaluation, Objective

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
        progress: called after every start.
        finished: starts of an interrupted run, which are not repeated.
        on_start: called with every newly finished start, to keep it.

    Returns:
        The `Optimum`; Ctrl-C ends the search and keeps what is finished.

    Raises:
        ComputationError: if no start ever reached a finite objective.
    """
    done = {s.number: s for s in finished}
    points = _points(objective, starts, seed)
    interrupted = False
    try:
        for number, point in enumerate(points):
            if number not in done:
                done[number] = _descend(objective, number, point, max_evaluations)
                if on_start is not None:
                    on_start(done[number])
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


def _descend(objective: Objective, number: int, point: np.ndarray, max_evaluations: int) -> Start:
    remembered = Remembered(objective)
    if not np.isfinite(remembered(point).cost):
        return Start(number, np.inf, point, 1, "the objective is not finite at the start")
    low, high = objective.bounds()
    margin = 1e-9 * np.maximum(1.0, np.abs(point))
    result = least_squares(
        lambda u: remembered(u).residuals,
        np.clip(point, low + margin, high - margin),
        jac=lambda u: remembered(u).jacobian,  # type: ignore[arg-type]
        bounds=(low, high),
        method="trf",
        x_scale="jac",
        max_nfev=max_evaluations,
        ftol=1e-10,
        xtol=1e-8,
        gtol=1e-8,
    )
    return Start(number, 2.0 * float(result.cost), np.asarray(result.x), remembered.calls, str(result.message))


def _nowhere_finite(objective: Objective, start: Start) -> str:
    status = objective(start.u).status
    failed = int(np.sum(status != 0))
    return (
        f"no start reached a finite objective: {failed} of {len(status)} lanes fail at the starting values. "
        "Check starting values and bounds in [estimate], and concentrations in the data."
    )
