"""`fit`: from a problem to parameters with intervals and verdicts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from her2pkpd.fit.identify import Identifiability, identify
from her2pkpd.fit.intervals import Interval, laplace
from her2pkpd.fit.objective import Evaluation
from her2pkpd.fit.optimise import Optimum, Progress, Start, multi_start
from her2pkpd.fit.problem import FitProblem, load_problem
from her2pkpd.fit.profile import profile
from her2pkpd.fit.profile_curve import ProfileCurve
from her2pkpd.fit.tables import (
    EFFICACY_DIFFERENCE,
    POTENCY_FOLD,
    parameter_table,
    prediction_table,
    published_table,
)

WORSE = 0.1
"""How much lower than the optimum's a constrained fit's -2 log posterior may be: what step control leaves."""


class Sampled(Protocol):
    """What a posterior can say of itself here; `her2pkpd.posterior` makes them."""

    @property
    def flat(self) -> np.ndarray:
        """(n_draws, n_unknowns) unknowns."""
        ...

    def summary(self) -> str:
        """A few lines."""
        ...


@dataclass(frozen=True)
class FitResult:
    """A finished fit.

    Attributes:
        problem: what was fitted.
        optimum: all starts, best first.
        evaluation: the objective at the best.
        intervals: one per unknown.
        covariance: of the coordinates, (n_unknowns, n_unknowns).
        lowest: the lowest objective met; below that of the best start if profiles found a better optimum.
        curves: profiles through the points that the search for the intervals has visited; empty without profiles.
        posterior: draws of the posterior, where ``[method] sample`` asked for them.
        cut_short: whether their drawing was stopped by the user.
    """

    problem: FitProblem
    optimum: Optimum
    evaluation: Evaluation
    intervals: list[Interval]
    covariance: np.ndarray
    lowest: float
    posterior: Sampled | None = None
    cut_short: bool = False
    curves: tuple[ProfileCurve, ...] = ()

    @cached_property
    def identifiability(self) -> Identifiability:
        """What these data determine, by Fisher information, profiles and draws, as far as there are any."""
        draws = None if self.posterior is None else self.posterior.flat
        return identify(
            self.problem.objective, self.optimum.best.u, intervals=self.intervals, curves=self.curves, draws=draws
        )

    @property
    def parameters(self) -> pd.DataFrame:
        """``parameter, unit, estimate, lower, upper, interval, verdict``."""
        return parameter_table(self.problem.objective, self.intervals)

    @property
    def predictions(self) -> pd.DataFrame:
        """Measured and predicted, one row per well or published metric."""
        return prediction_table(self.problem.objective, self.evaluation)

    @property
    def published(self) -> pd.DataFrame:
        """Published against fitted metrics; empty without published metrics."""
        return published_table(self.problem.metrics, self.evaluation)

    @property
    def converged(self) -> bool:
        """Whether more than one start ended at the best optimum (or only one was asked for)."""
        return len(self.optimum.starts) == 1 or self.optimum.agreeing > 1

    @property
    def lacking(self) -> str:
        """What the user stopped before it was done: starts, profile intervals, draws of the posterior; or nothing."""
        kinds = [x.kind for x in self.intervals[: len(self.problem.objective.free)]]
        if self.optimum.interrupted:
            return "starts"
        if self.problem.settings.method.intervals == "profile" and "Laplace" in kinds:
            return "profile intervals"
        return "draws of the posterior" if self.cut_short else ""

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before everything asked for was done."""
        return bool(self.lacking)

    def summary(self) -> str:
        """A few lines: data, unknowns, objective, agreement of the starts, verdicts."""
        verdicts = pd.Series([x.verdict.split(" (")[0] for x in self.intervals]).value_counts()
        starts = self.optimum.starts
        wells = f"{len(self.problem.observations)} wells"
        limited = sum(o.censoring != "none" for o in self.problem.observations)
        wells += f" ({limited} of them known by a limit only)" if limited else ""
        lines = [
            f"{self.problem.settings.title}",
            f"  data       {wells}, {len(self.problem.metrics)} published metrics",
            f"  unknowns   {len(self.intervals)}: " + ", ".join(f"{n} {v}" for v, n in verdicts.items()),
            f"  objective  {self.optimum.best.cost:.2f} (-2 log posterior up to a constant)",
            f"  starts     {len(starts)}, of which {self.optimum.agreeing} end at the best optimum",
        ]
        if self.problem.metrics:
            met, total = int(np.sum(self.published["within"].to_numpy())), len(self.problem.metrics)
            how = f"{POTENCY_FOLD:g}-fold for potencies, {EFFICACY_DIFFERENCE:g} for GRmax"
            lines.append(f"  published  {met} of {total} values met ({how})")
        if not self.converged:
            lines.append("  WARNING    only one start found the best optimum: raise [method] starts before trusting it")
        if self.lowest < self.optimum.best.cost - WORSE:
            lines.append(f"  WARNING    a profile found a better fit ({self.lowest:.2f}): raise [method] starts")
        if self.interrupted:
            lines.append(f"  WARNING    interrupted: fewer {self.lacking} than asked for")
        if self.posterior is not None:
            lines.append(self.posterior.summary())
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.summary()


def fit(
    problem: str | Path | FitProblem,
    *,
    progress: Progress | None = None,
    finished: tuple[Start, ...] = (),
    on_start: Callable[[Start], None] | None = None,
    on_profile: Callable[[int, int], None] | None = None,
) -> FitResult:
    """Fit a problem.

    Args:
        problem: path of a ``fit.toml``, or the problem loaded from one.
        progress: called after every start with (finished, planned, best objective).
        finished: starts of an interrupted run, not to be repeated.
        on_start: called with every newly finished start.
        on_profile: called after every profiled unknown with (finished, planned).

    Returns:
        The `FitResult`.

    Raises:
        InputError: listing everything wrong with settings or data.
        ComputationError: if no start ever reached a finite objective.
    """
    if not isinstance(problem, FitProblem):
        problem = load_problem(problem)
    method = problem.settings.method
    optimum = multi_start(
        problem.objective,
        starts=method.starts,
        seed=method.seed,
        max_evaluations=method.max_evaluations,
        progress=progress,
        finished=finished,
        on_start=on_start,
    )
    evaluation = problem.objective(optimum.best.u)
    intervals, covariance = laplace(problem.objective, optimum.best.u)
    lowest, curves = optimum.best.cost, list[ProfileCurve]()
    if method.intervals == "profile" and not optimum.interrupted:
        intervals, lowest = profile(problem.objective, optimum.best.u, progress=on_profile, keep=curves.append)
    return FitResult(problem, optimum, evaluation, intervals, covariance, lowest, curves=tuple(curves))
