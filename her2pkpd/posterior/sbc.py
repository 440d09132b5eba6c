"""Simulation-based calibration: are posteriors right, on average over the prior?

Parameters are drawn from the prior and plates simulated from them; each plate's posterior is sampled, and the truth is
ranked among the draws. If likelihood, prior, derivatives and sampler all say the same, every rank is equally likely
(Talts et al. 2018). Plates are chains: hundreds of posteriors are sampled together, as copies of the lanes, by
Hamiltonian Monte Carlo of a fixed length. Each begins near the mode closest to its truth: what is calibrated is the
posterior and its sampling, not the search for the mode.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from her2pkpd.engine import Options
from her2pkpd.errors import InputError, Problem
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior import checkpoint
from her2pkpd.posterior.density import Density, laplace
from her2pkpd.posterior.nuts import Nuts, NutsSettings
from her2pkpd.posterior.prior import prior_draws

LANES = 4096
"""Lanes of one batch of plates."""

LEAPFROGS = 4
"""Of every trajectory: plates in step cannot each have a tree of their own."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SbcSettings:
    """How to calibrate.

    Attributes:
        plates: plates simulated.
        ranked: draws each truth is ranked among; one more is the number of possible ranks.
        thin: every which draw counts, so that ranked draws are nearly independent.
        warmup: draws of each chain before that.
        bins: of the rank histograms.
        seed: of truths, plates and chains.
    """

    plates: int = 192
    ranked: int = 47
    thin: int = 3
    warmup: int = 100
    bins: int = 12
    seed: int = 1


@dataclass(frozen=True)
class Calibration:
    """What calibration found.

    Attributes:
        names: of the unknowns.
        ranks: (n_plates, n_unknowns) of the truth among the draws, 0 to `ranked`.
        failed: plates that could not be simulated or sampled.
        divergent: part of all trajectories that diverged.
        settings: how.
    """

    names: list[str]
    ranks: np.ndarray
    failed: int
    divergent: float
    settings: SbcSettings

    @property
    def interrupted(self) -> bool:
        """Whether fewer plates were done than asked for."""
        return len(self.ranks) + self.failed < self.settings.plates

    def histogram(self, i: int) -> np.ndarray:
        """(bins,) counts of the ranks of one unknown."""
        edges = np.linspace(-0.5, self.settings.ranked + 0.5, self.settings.bins + 1)
        return np.histogram(self.ranks[:, i], edges)[0]

    def p_value(self, i: int) -> float:
        """Probability of a histogram at least as uneven as this one, were all ranks equally likely (chi-squared)."""
        counts = self.histogram(i)
        expected = counts.sum() / len(counts)
        return float(chi2.sf(np.sum((counts - expected) ** 2) / expected, len(counts) - 1))

    def table(self) -> pd.DataFrame:
        """One row per unknown: ``parameter, p_value, mean_rank, spread, verdict``.

        `mean_rank` is 0.5 where truths lie centrally. `spread` is the standard deviation of the ranks in units of a
        uniform one: above 1 posteriors are too narrow, below 1 too wide.
        """
        unit = (self.ranks + 0.5) / (self.settings.ranked + 1)
        rows = []
        for i, name in enumerate(self.names):
            p, mean, spread = self.p_value(i), float(unit[:, i].mean()), float(unit[:, i].std() * np.sqrt(12))
            rows.append((name, p, mean, spread, _verdict(p, mean, spread)))
        return pd.DataFrame(rows, columns=["parameter", "p_value", "mean_rank", "spread", "verdict"])


def _verdict(p: float, mean: float, spread: float) -> str:
    if p > 0.01:
        return "calibrated"
    if abs(mean - 0.5) > 0.05:
        return "posteriors lie too low" if mean > 0.5 else "posteriors lie too high"
    return "posteriors are too narrow" if spread > 1 else "posteriors are too wide"


class PlatesDensity(Density):
    """A density in which every chain has a plate of its own.

    Args:
        objective: the objective of the fit.
        values: (C, n_observations) measured values.
        options: tolerances.
    """

    def __init__(self, objective: Objective, values: np.ndarray, options: Options | None = None) -> None:
        super().__init__(objective, options)
        self.values = values

    def _objective(self, rows: np.ndarray | None) -> Objective:
        return with_values(self.objective, self.values if rows is None else self.values[rows])


def with_values(objective: Objective, values: np.ndarray) -> Objective:
    """The same objective, each of C points compared with values of its own (C, n_observations)."""
    own = copy(objective)
    own.blocks = [replace(b, value=values[:, b.wells]) for b in objective.blocks]
    return own


def simulate_plates(objective: Objective, u: np.ndarray, *, seed: int) -> np.ndarray:
    """Plates simulated at unknowns (C, n): (C, n_observations), NaN where a lane failed."""
    rng = np.random.default_rng(seed)
    prediction = objective.many(u, derivatives=False).predictions
    values = np.zeros_like(prediction)
    for block in objective.blocks:
        values[:, block.wells] = block.replicate(u, prediction[:, block.wells], rng)
    return values


def calibrate(
    problem: FitProblem,
    settings: SbcSettings | None = None,
    *,
    progress: Progress | None = None,
    keep: str | Path | None = None,
    inputs: str = "",
) -> Calibration:
    """Calibrate the posteriors of a fit.

    Args:
        problem: the fit; its wells say what is measured, their values do not matter.
        settings: how.
        progress: called every few draws with (plates done, planned, words); plates in work count in part.
        keep: file for finished batches; a run that finds one of the same `inputs` goes on from there.
        inputs: what the file belongs to.

    Returns:
        The `Calibration`; that of the finished plates when ended by Ctrl-C.

    Raises:
        InputError: if the fit has published metrics or censored wells, which cannot be simulated here, or noise
            levels without a prior.
    """
    settings, objective = settings or SbcSettings(), problem.objective
    _check(problem)
    truths = prior_draws(objective, settings.plates, seed=settings.seed)
    size = max(1, LANES // len(objective.design.lanes))
    key = f"{inputs} {settings}"
    known = checkpoint.load(keep, key) if keep is not None else None
    ranks = [known["ranks"]] if known else []
    done, failed, divergent = list(known["counts"]) if known else [0, 0, 0.0]
    try:
        for first in range(int(done), settings.plates, size):
            own = truths[first : first + size]
            found, lost, share = _batch(objective, own, settings, first, progress)
            ranks.append(found)
            done, failed, divergent = first + len(own), failed + lost, divergent + share * len(found)
            if keep is not None:
                counts = np.array([done, failed, divergent])
                checkpoint.save(keep, key, {"ranks": np.concatenate(ranks), "counts": counts})
    except KeyboardInterrupt:
        if not ranks:
            raise
    table = np.concatenate(ranks)
    return Calibration(objective.names, table, int(failed), float(divergent) / max(len(table), 1), settings)


def _check(problem: FitProblem) -> None:
    if problem.metrics:
        raise InputError(Problem("published metrics cannot be simulated as wells can", "Calibrate with a plate."))
    if any(o.censoring != "none" for o in problem.observations):
        raise InputError(Problem("censored wells cannot be simulated", "Calibrate with a plate without limits."))


def _batch(
    objective: Objective, truths: np.ndarray, settings: SbcSettings, first: int, progress: Progress | None
) -> tuple[np.ndarray, int, float]:
    """Ranks of a batch of plates (C', n), how many were lost, and the part of divergent trajectories."""
    values = simulate_plates(objective, truths, seed=settings.seed + 7919 * (first + 1))
    sound = np.isfinite(values).all(axis=1)
    sound = np.flatnonzero(sound)
    sound = sound[np.isfinite(with_values(objective, values[sound]).many(truths[sound]).costs)]
    truths, lost = truths[sound], len(truths) - len(sound)
    density = PlatesDensity(objective, values[sound], Options(1e-5, 1e-7))
    around = laplace(density, truths)
    how = NutsSettings(
        len(truths), settings.ranked * settings.thin, settings.warmup, leapfrogs=LEAPFROGS,
        seed=settings.seed + first, separate=True,
    )  # fmt: skip

    def tick(draw: int, draws: int, words: str) -> None:
        if progress is not None:
            progress(first + len(values) * draw // draws, settings.plates, words)

    draws = Nuts(density, around, how).run(progress=tick)
    if draws.v.shape[1] < how.draws:  # ranks among fewer draws would be no ranks
        raise KeyboardInterrupt
    u = density.bounded(draws.v[:, settings.thin - 1 :: settings.thin])
    n, free = objective.n_free, objective.free
    u[..., :n], truths[:, :n] = free.coordinates(u[..., :n]), free.coordinates(truths[:, :n])
    return (u < truths[:, None]).sum(axis=1), lost, float(draws.diverging.mean())
