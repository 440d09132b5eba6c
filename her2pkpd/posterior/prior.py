"""Draws from the prior of a fit: what was believed before the data."""

from collections.abc import Callable

import numpy as np

from her2pkpd.errors import InputError, Problem
from her2pkpd.fit.objective import Objective
from her2pkpd.fit.parameters import Free

_TRIES = 200


def prior_draws(objective: Objective, n: int, *, seed: int = 0, loose: bool = False) -> np.ndarray:
    """Unknowns drawn from the prior, within their bounds.

    Args:
        objective: the objective of a fit.
        n: draws.
        seed: of the draws.
        loose: whether to draw noise levels without a prior of their own between their bounds.

    Returns:
        (n, n_unknowns).

    Raises:
        InputError: if a noise level is to be estimated that has no prior but its bounds, seven decades wide: data
            drawn with it would look like no plate.
    """
    vague = [name for name in objective.estimated if name not in objective.level_priors]
    if vague and not loose:
        remedy = "Give sd (or cv) in [noise], or sd_prior = { median = 0.05, spread = 1.5 }."
        rule = "drawing from the prior needs a prior of every noise level"
        raise InputError(Problem(rule, remedy, column=", ".join(vague)))
    rng = np.random.default_rng(seed)
    free, (low, high) = objective.free, objective.bounds()
    u = np.stack([_one(f, n, rng) for f in free.free], axis=1)
    for centre, members in free.pools:
        sd = free.free[centre].estimate.pool_sd
        u[:, members] = u[:, [centre]] + sd * rng.standard_normal((n, len(members)))
    levels = []
    for i, name in enumerate(objective.estimated, start=len(free)):
        mean, sd = objective.level_priors.get(name, (np.nan, np.nan))
        known = name in objective.level_priors
        levels.append(mean + sd * rng.standard_normal((n, 1)) if known else rng.uniform(low[i], high[i], (n, 1)))
    u = np.concatenate([u, *levels], axis=1)
    return np.clip(u, low + 1e-9, high - 1e-9)


def _one(free: Free, n: int, rng: np.random.Generator) -> np.ndarray:
    """Draws of one unknown; pooled copies are drawn around their centres afterwards."""
    low, high = free.box()
    if free.role == "deviation":
        return rng.standard_normal(n)
    if free.role == "spread":
        return np.log(free.estimate.pool_sd * np.abs(rng.standard_normal(n)) + 1e-12)
    if free.estimate.prior is not None:
        mean, sd = free.estimate.prior.on(free.transform)
        return _within(lambda k: mean + sd * rng.standard_normal(k), n, low, high)
    if free.estimate.scale == "logit" and free.estimate.pooled is None:
        unit = rng.beta(0.5, 0.5, n)
        return np.log(unit) - np.log1p(-unit)
    return rng.uniform(low, high, n)


def _within(draw: Callable[[int], np.ndarray], n: int, low: float, high: float) -> np.ndarray:
    found = draw(n)
    for _ in range(_TRIES):
        outside = (found < low) | (found > high)
        if not outside.any():
            break
        found[outside] = draw(int(outside.sum()))
    return found


def overlap(prior: np.ndarray, posterior: np.ndarray, *, bins: int = 40) -> float:
    """How much of the posterior the prior alone explains: the area the two densities share, from 0 to 1.

    Near 1 the data said nothing about the unknown; near 0 they said everything.

    Args:
        prior: (n,) draws of the prior.
        posterior: (m,) draws of the posterior.
        bins: of the histograms compared, equally full of prior and posterior draws together.
    """
    edges = np.unique(np.quantile(np.concatenate([prior, posterior]), np.linspace(0, 1, bins + 1)))
    if len(edges) < 3:
        return 1.0
    edges[0], edges[-1] = -np.inf, np.inf
    shares = [np.histogram(x, edges)[0] / len(x) for x in (prior, posterior)]
    return float(np.minimum(*shares).sum())
