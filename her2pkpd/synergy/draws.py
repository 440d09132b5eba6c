"""Draws of the mechanism's parameters: from a fit's posterior, or from the spread the library gives its numbers."""

from collections.abc import Sequence

import numpy as np

from her2pkpd.fit.design import POPULATION
from her2pkpd.fit.library_priors import known_quantities
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.run import FitResult
from her2pkpd.library import Drug, Quantity

Z95 = 1.959963984540054
PAIR = "antibody_pair.internalisation_ratio"


def fit_draws(result: FitResult, cell_line: str, n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Parameters of one cell line's well, drawn from the Laplace posterior of a fit.

    Args:
        result: the fit.
        cell_line: one of its cell lines.
        n: draws.
        seed: of the draws.

    Returns:
        (n,) values by model parameter, for `her2pkpd.synergy.mechanism.mechanistic_synergy`; of everything estimated
        that this line has.

    Raises:
        KeyError: if the fit has no such cell line.
    """
    rng = np.random.default_rng(seed)
    u = rng.multivariate_normal(result.optimum.best.u, result.covariance, size=n, method="eigh")
    return posterior_draws(result.problem.objective, cell_line, u)


def posterior_draws(objective: Objective, cell_line: str, u: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters of one cell line's well for draws of a fit's unknowns, wherever those come from.

    Args:
        objective: of the fit.
        cell_line: one of its cell lines.
        u: (n, unknowns) coordinates; what lies outside the bounds counts as on them.

    Returns:
        As `fit_draws`.

    Raises:
        KeyError: if the fit has no such cell line.
    """
    lanes = [i for i, t in enumerate(objective.design.lanes) if t.cell_line == cell_line]
    if not lanes:
        raise KeyError(cell_line)
    low, high = objective.bounds()
    free = np.clip(u, low, high)[:, : len(objective.free)]
    predictor = objective.predictor
    values = np.stack([predictor.lane_parameters(x)[0][lanes[0]] for x in free])
    names = [p.name for p in objective.design.model.parameters]
    return {names[i]: values[:, i] for i in predictor.columns if np.ptp(values[:, i]) > 0}


def library_draws(drugs: Sequence[Drug], n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Draws of what the library knows with a spread: the drugs' binding and the shared constants.

    The ends of a spread are taken as its 2.5 and 97.5 % points, log-normal on either side of the value: a range that
    begins at the value has nothing below it. A receptor with antibodies on both epitopes goes in no slower than with
    either alone (Szymanska 2016: pairs drive internalisation that single antibodies do not).

    Args:
        drugs: library entries.
        n: draws.
        seed: of the draws.

    Returns:
        (n,) values by model parameter.
    """
    rng = np.random.default_rng(seed)
    own = f"{POPULATION}."
    antibodies = [d for d in drugs if d.binding]
    known = {n: q for n, q in known_quantities(antibodies).items() if not n.startswith(own) or n == f"{own}a_li"}
    drawn = {name: x for name, q in known.items() if len(x := _drawn(q, rng.normal(size=n)))}
    single = [drawn[name] for d in drugs if (name := f"{d.name}.internalisation_ratio") in drawn]
    if PAIR in drawn and single:
        drawn[PAIR] = np.maximum(drawn[PAIR], np.max(single, axis=0))
    return drawn


def _drawn(quantity: Quantity, z: np.ndarray) -> np.ndarray:
    """A quantity at standard normal deviates `z`; empty for one without spread."""
    value, spread = quantity.canonical, quantity.spread
    if spread is None or not 0 < spread.low < spread.high:
        return np.zeros(0)
    below, above = np.log(value / spread.low) / Z95, np.log(spread.high / value) / Z95
    return value * np.exp(np.where(z < 0, below, above) * z)
