"""Which of several models predicts better: leave-one-out cross-validation by importance sampling (PSIS-LOO)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from her2pkpd.errors import InputError, Problem
from her2pkpd.posterior._stats import psis
from her2pkpd.posterior.result import Posterior

UNRELIABLE = 0.7
"""Pareto k above which leaving a well out changes the posterior too much for the estimate."""

CLEAR = 4.0
"""Difference of elpd below which models cannot be told apart, whatever its standard error (Sivula et al. 2020)."""


def loo(posterior: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """Expected log predictive density of every measured value when left out, and its Pareto k.

    Args:
        posterior: draws of a fit.

    Returns:
        elpd (n_data,) and Pareto k (n_data,).
    """
    density = posterior.predictive.log_likelihood
    weights, k = psis(-density.T)
    shifted = density.T + weights
    top = shifted.max(axis=1)
    return top + np.log(np.exp(shifted - top[:, None]).sum(axis=1)), k


def compare(posteriors: Mapping[str, Posterior]) -> pd.DataFrame:
    """Rank models of the same data by how well they predict wells they have not seen.

    Args:
        posteriors: by name of the model; all of the same observations in the same order.

    Returns:
        One row per model, best first: ``model, elpd, elpd_se, difference, difference_se, unreliable`` (wells whose
        Pareto k is above 0.7) and ``verdict``.

    Raises:
        InputError: if the models were fitted to different data.
    """
    data = {name: [(o.signal, o.ends) for o in p.problem.observations] for name, p in posteriors.items()}
    first = next(iter(data))
    for name, own in data.items():
        if own != data[first]:
            rule = f"'{name}' was fitted to other data than '{first}'"
            raise InputError(Problem(rule, "Compare fits of the same wells, in the same order."))
    found = {name: loo(p) for name, p in posteriors.items()}
    ranked = sorted(found, key=lambda name: -found[name][0].sum())
    best = found[ranked[0]][0]
    rows = []
    for name in ranked:
        elpd, k = found[name]
        n, apart = len(elpd), elpd - best
        difference, se = float(apart.sum()), float(np.sqrt(n) * apart.std(ddof=1)) if name != ranked[0] else 0.0
        bad = int((k > UNRELIABLE).sum())
        rows.append((name, elpd.sum(), np.sqrt(n) * elpd.std(ddof=1), difference, se, bad, _verdict(difference, se)))
    columns = ["model", "elpd", "elpd_se", "difference", "difference_se", "unreliable", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(difference: float, se: float) -> str:
    if difference == 0.0:
        return "predicts best"
    if -difference < CLEAR or -difference < 2 * se:
        return "cannot be told from the best"
    return "predicts worse"
