"""Draws of the mechanism's parameters: from a fit's posterior, or from the spread the library gives its numbers."""

from collections.abc import Sequence

import numpy as np

from her2pkpd.fit.design import POPULATION
from her2pkpd.fit.library_priors import known_quantities
from her2pkpd.fit.run import FitResult
from her2pkpd.library import Drug


def fit_draws(result: FitResult, cell_line: str, n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Parameters of one cell line's well, drawn from the Laplace posterior of a fit.

    Args:
        result: the fit.
        cell_line: one of its cell lines.
        n: draws.
        seed: of the draws.

    Returns:
        (n,) values by model parameter, for `her2pkpd.synergy.mechanism.mechanistic_synergy`.

    Raises:
        KeyError: if the fit has no such cell line.
    """
    objective = result.problem.objective
    lanes = [i for i, t in enumerate(objective.design.lanes) if t.cell_line == cell_line]
    if not lanes:
        raise KeyError(cell_line)
    low, high = objective.bounds()
    rng = np.random.default_rng(seed)
    u = rng.multivariate_normal(result.optimum.best.u, result.covariance, size=n, method="eigh")
    u = np.clip(u, low, high)[:, : len(objective.free)]
    values = np.stack([objective.predictor.lane_parameters(x)[0][lanes[0]] for x in u])
    return {p.name: values[:, i] for i, p in enumerate(objective.design.model.parameters)}


def library_draws(drugs: Sequence[Drug], n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Log-normal draws of what the library knows with a spread: the drugs' binding and the shared constants.

    Args:
        drugs: library entries.
        n: draws.
        seed: of the draws.

    Returns:
        (n,) values by model parameter.
    """
    rng = np.random.default_rng(seed)
    own = f"{POPULATION}."
    known = {n: q for n, q in known_quantities(drugs).items() if not n.startswith(own) or n == f"{own}a_li"}
    return {
        name: q.canonical * np.exp(rng.normal(size=n) * spread)
        for name, q in known.items()
        if (spread := q.log_sd) > 0 and q.canonical > 0
    }
