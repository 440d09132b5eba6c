"""A sampled posterior: draws, predictions, diagnosis, and tables of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from her2pkpd.engine import Options
from her2pkpd.fit.intervals import DETERMINED_FOLD, DETERMINED_PART
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior.judge import Diagnosis, diagnose
from her2pkpd.posterior.nuts import Draws
from her2pkpd.posterior.predictive import Predictive, predictive
from her2pkpd.posterior.prior import overlap, prior_draws

LEVEL = 0.95
QUANTILES = (0.5 - LEVEL / 2, 0.5, 0.5 + LEVEL / 2)

SAME = 0.7
"""Overlap of prior and posterior above which the prior is said to decide."""

ALONE = 0.9
"""Overlap above which a pooled copy is where its pool alone would put it."""

METHODS = {"nuts": "NUTS", "laplace": "Laplace draws", "smc": "SMC"}


@dataclass(frozen=True)
class Posterior:
    """Draws of the posterior of a fit.

    Attributes:
        problem: what was fitted.
        method: "nuts", "laplace" or "smc".
        u: (chains, draws, n_unknowns) unknowns.
        draws: what the sampler says about itself.
        options: tolerances the engine worked with.
        seconds: wall time of sampling, of this process.
        pareto_k: of importance weights, for Laplace draws: how far the approximation is off; NaN otherwise.
        max_tree_depth: of NUTS.
        elsewhere: how much worse than the best, in -2 log posterior, are optima of the fit where no chain has been.
    """

    problem: FitProblem
    method: str
    u: np.ndarray
    draws: Draws
    options: Options
    seconds: float = np.nan
    pareto_k: float = np.nan
    max_tree_depth: int = 0
    elsewhere: tuple[float, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the unknowns."""
        return self.problem.objective.names

    @property
    def units(self) -> list[str]:
        """Their canonical units."""
        objective = self.problem.objective
        return [f.unit for f in objective.free.free] + ["1"] * len(objective.estimated)

    @property
    def flat(self) -> np.ndarray:
        """(chains * draws, n_unknowns) unknowns."""
        return self.u.reshape(-1, self.u.shape[-1])

    @property
    def interrupted(self) -> bool:
        """Whether it holds fewer draws than asked for."""
        return self.u.shape[1] < self.problem.settings.method.draws

    @cached_property
    def values(self) -> np.ndarray:
        """(chains, draws, n_unknowns) natural values, in canonical units."""
        n = self.problem.objective.n_free
        return np.concatenate([self.problem.objective.free.values(self.u[..., :n]), np.exp(self.u[..., n:])], axis=-1)

    @cached_property
    def predictive(self) -> Predictive:
        """Predictions, densities and replicated plates at every draw."""
        return predictive(self.problem, self.flat)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """Whether the draws can be trusted, and what to do if not."""
        return diagnose(self)

    @cached_property
    def prior(self) -> np.ndarray:
        """(4000, n_unknowns) draws of the prior; noise levels without one are drawn between their bounds."""
        return prior_draws(self.problem.objective, 4000, loose=True)

    @property
    def prior_values(self) -> np.ndarray:
        """(4000, n_unknowns) natural values of the draws of the prior."""
        n = self.problem.objective.n_free
        natural = self.problem.objective.free.values(self.prior[:, :n])
        return np.concatenate([natural, np.exp(self.prior[:, n:])], axis=1)

    @cached_property
    def overlaps(self) -> np.ndarray:
        """(n_unknowns,) area shared by prior and posterior."""
        # Pooled copies are compared on their own coordinates, not on their deviations.
        free, n = self.problem.objective.free, self.problem.objective.n_free
        before, after = self.prior.copy(), self.flat.copy()
        before[:, :n], after[:, :n] = free.coordinates(before[:, :n]), free.coordinates(after[:, :n])
        return np.array([overlap(before[:, i], after[:, i]) for i in range(after.shape[1])])

    def table(self) -> pd.DataFrame:
        """One row per unknown.

        Columns: ``parameter, unit, estimate`` (median), ``lower, upper, interval`` (what kind it is), ``verdict, mean,
        sd, rhat, ess_bulk, ess_tail, prior_overlap``.
        """
        flat = self.values.reshape(-1, self.values.shape[-1])
        lower, median, upper = np.quantile(flat, QUANTILES, axis=0)
        return pd.DataFrame(
            {
                "parameter": self.names, "unit": self.units, "estimate": median, "lower": lower, "upper": upper,
                "interval": f"95 % equal-tailed posterior ({METHODS[self.method]})", "verdict": self.verdicts,
                "mean": flat.mean(axis=0), "sd": flat.std(axis=0, ddof=1), "rhat": self.diagnosis.rhat,
                "ess_bulk": self.diagnosis.ess_bulk, "ess_tail": self.diagnosis.ess_tail,
                "prior_overlap": self.overlaps,
            }
        )  # fmt: skip

    @cached_property
    def verdicts(self) -> list[str]:
        """Of every unknown: determined, or not by these data."""
        lower, _, upper = np.quantile(self.values, QUANTILES, axis=(0, 1))
        return [self._verdict(i, lower[i], upper[i]) for i in range(len(lower))]

    def _verdict(self, i: int, lower: float, upper: float) -> str:
        """Plain words, by the rule of the fit's own intervals."""
        free = self.problem.objective.free.free
        scale = free[i].transform.scale if i < len(free) else "log"
        if scale == "log":
            narrow = upper < DETERMINED_FOLD * lower
        else:
            narrow = upper - lower < DETERMINED_PART * (free[i].estimate.upper - free[i].estimate.lower)
        decided = self.overlaps[i] > SAME
        if self._by_pool[i]:
            return "not by these data (its pool decides)"
        if narrow and not decided:
            return "determined"
        return "not by these data (the prior decides)" if decided else "not by these data"

    @cached_property
    def _by_pool(self) -> np.ndarray:
        """(n_unknowns,) copies whose distance from their pool's centre is what it would be without own data."""
        free, found = self.problem.objective.free, np.zeros(self.flat.shape[1], dtype=bool)
        plain = np.random.default_rng(0).standard_normal(4000)
        for centre, members in free.pools:
            apart = (self.flat[:, members] - self.flat[:, [centre]]) / free.free[centre].estimate.pool_sd
            found[members] = [overlap(plain, x) > ALONE for x in apart.T]
        for _, _, members in free.hierarchies:
            found[members] = [overlap(plain, x) > ALONE for x in self.flat[:, members].T]
        return found

    def summary(self) -> str:
        """A few lines: how it was sampled, and what the diagnosis says."""
        chains, draws, _ = self.u.shape
        how = f"{METHODS[self.method]}, {chains} chains of {draws} draws"
        return "\n".join([f"  posterior  {how}", *(f"  {line}" for line in self.diagnosis.lines())])

    def __repr__(self) -> str:
        return f"Posterior of {self.problem.settings.title}\n{self.summary()}"
