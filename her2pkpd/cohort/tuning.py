"""How loose a tolerance may be: found on the first patients of the cohort itself.

Step-size control bounds the error of a step, not that of an endpoint, and what one tolerance gives differs a
hundredfold between a linear antibody and a saturable one. So the first `PILOT` patients are treated at a tight
tolerance and at ever tighter loose ones, until the endpoints of 99 % of them are right to the accuracy asked for.
"""

from dataclasses import replace

import numpy as np

from her2pkpd.cohort.blocks import compute
from her2pkpd.cohort.rows import Values
from her2pkpd.cohort.treat import Solve
from her2pkpd.cohort.trial import Trial

PILOT = 128
"""Patients the tolerance is found on."""

CANDIDATES = (0.05, 0.02, 0.01, 0.005, 0.002, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6)
TIGHT = 1e-8

NEGLIGIBLE = 0.01
"""Values below this share of the cohort's large ones (95 %) count absolutely."""

FRACTIONS, LEAST_FRACTION = ("trough.occupancy.", "trough.pAKT.", "trough.pERK.", "above.", "below."), 0.1
"""Fractions below this count absolutely."""

DISCRETE = ("TTP", "TTR", "off_treatment")
"""Endpoints that jump from one visit to the next."""


def tuned(trial: Trial, solve: Solve, *, known: float | None = None) -> Trial:
    """The trial with a tolerance: the one set, or the loosest that is accurate enough.

    Args:
        trial: the cohort.
        solve: the engine.
        known: the tolerance an interrupted run has found, which need not be looked for again.
    """
    solver = trial.settings.solver
    if solver.rtol is not None:
        return trial
    if known is not None:
        return replace(trial, settings=replace(trial.settings, solver=replace(solver, rtol=known)))
    size = min(PILOT, trial.settings.population.size)

    def at(rtol: float) -> Trial:
        own = replace(trial.settings.output, trajectories=0)
        return replace(trial, settings=replace(trial.settings, solver=replace(solver, rtol=rtol), output=own))

    exact = compute(at(TIGHT), range(size), solve).endpoints
    chosen = CANDIDATES[-1]
    for rtol in CANDIDATES:
        if worst_error(compute(at(rtol), range(size), solve).endpoints, exact) <= solver.accuracy:
            chosen = rtol
            break
    return replace(trial, settings=replace(trial.settings, solver=replace(solver, rtol=chosen)))


def worst_error(found: dict[str, Values], exact: dict[str, Values]) -> float:
    """Largest error among endpoints, of 99 % of rows; changes of tumour size in units of the baseline.

    Args:
        found: columns of ``endpoints.parquet``.
        exact: the same, computed tightly.
    """
    worst = 0.0
    for name, true in exact.items():
        ours = found[name]
        if not isinstance(true, np.ndarray) or true.dtype.kind != "f" or name in DISCRETE:
            continue
        assert isinstance(ours, np.ndarray)
        known = np.isfinite(true)
        if not known.any():
            continue
        size = np.abs(true[known])
        least = max(NEGLIGIBLE * np.quantile(size, 0.95), LEAST_FRACTION if name.startswith(FRACTIONS) else 0.0)
        scale = 100.0 if name.endswith("_change") else np.maximum(size, least)
        error = np.abs(ours[known] - true[known]) / np.maximum(scale, 1e-300)
        worst = max(worst, float(np.quantile(np.where(np.isnan(error), np.inf, error), 0.99)))
    return worst
