"""Sequential Monte Carlo from prior to posterior through BlackJAX, for posteriors with several modes.

Particles drawn from the prior are led to the posterior by raising the likelihood's power from 0 to 1, as fast as the
weights allow; in between they walk at random, with steps of the particles' own covariance. Every chain is a run of
its own, so that R-hat tells whether runs found the same modes in the same proportions. No gradients are needed:
an evaluation costs a tenth of one of NUTS.
"""

from typing import Any

import numpy as np

from her2pkpd.errors import ComputationError
from her2pkpd.fit.problem import FitProblem
from her2pkpd.posterior.bridge import on_host
from her2pkpd.posterior.density import Density
from her2pkpd.posterior.nuts import Draws, NutsSettings, Progress
from her2pkpd.posterior.prior import prior_draws
from her2pkpd.posterior.result import Posterior

TARGET_ESS = 0.6
"""Effective part of the particles that a rise of the likelihood's power leaves."""

MOST_STAGES = 200
LANES = 8192


class Tempered:
    """Prior and likelihood of a density, apart.

    Args:
        density: the density.
    """

    def __init__(self, density: Density) -> None:
        self.density = density
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def log_prior(self, v: np.ndarray) -> tuple[np.ndarray]:
        """(C,) at coordinates v (C, n), Jacobian included, up to a constant."""
        moved = self.density.space.move(v)
        prior = -0.5 * self.density.objective.prior_cost(moved.u)
        return (prior + np.sum(moved.log_slope, axis=1),)

    def log_likelihood(self, v: np.ndarray) -> tuple[np.ndarray]:
        """(C,) up to a constant; very small where a lane fails. The last points are remembered."""
        if self._last is None or not np.array_equal(self._last[0], v):
            size = max(1, LANES // len(self.density.objective.design.lanes))
            energy = np.concatenate([self.density.energy(v[i : i + size]) for i in range(0, len(v), size)])
            prior = self.log_prior(v)[0]
            self._last = v.copy(), np.where(np.isfinite(energy), -energy - prior, -1e30)
        return (self._last[1],)


def smc(problem: FitProblem, density: Density, settings: NutsSettings, progress: Progress | None = None) -> Posterior:
    """Sample by adaptive tempering, `settings.chains` runs of `settings.draws` particles.

    Args:
        problem: the fit.
        density: its density.
        settings: chains, draws and seed.
        progress: called after every stage with (percent of the way, 100, words).
    """
    import jax

    with jax.enable_x64(True):
        kernels = _kernels(Tempered(density))
        runs = [
            _run(kernels, density, settings.draws, settings.seed + c, _reporter(progress, c, settings.chains))
            for c in range(settings.chains)
        ]
    v = np.stack(runs)
    nothing = np.zeros(v.shape[:2])
    draws = Draws(v, nothing, nothing, nothing > 0, nothing, nothing, evaluations=density.evaluations)
    options = density.options or density.objective.predictor.options
    return Posterior(problem, "smc", density.bounded(v), draws, options)


def _reporter(progress: Progress | None, chain: int, chains: int) -> Any:
    def report(power: float) -> None:
        if progress is not None:
            progress(round(100 * (chain + power) / chains), 100, f"tempering, run {chain + 1} of {chains}")

    return report


def _run(kernels: tuple[Any, Any], density: Density, particles: int, seed: int, report: Any) -> np.ndarray:
    """One run: (particles, n) draws of the posterior."""
    import jax
    from blackjax.smc import extend_params
    from blackjax.smc.tempered import init

    rising, moving = kernels
    state = init(jax.numpy.asarray(density.unbounded(prior_draws(density.objective, particles, seed=seed, loose=True))))
    key = jax.random.PRNGKey(seed)
    for _ in range(MOST_STAGES):
        key, own = jax.random.split(key)
        parameters = {"factor": extend_params(jax.numpy.asarray(_walk(np.asarray(state.particles), state.weights)))}
        if float(state.tempering_param) >= 1.0:
            return np.asarray(moving(own, state, parameters)[0].particles)
        state, _ = rising(own, state, parameters)
        report(float(state.tempering_param))
    raise ComputationError(f"tempering did not end within {MOST_STAGES} stages; priors may be far from the data.")


def _kernels(tempered: Tempered) -> tuple[Any, Any]:
    """A stage that raises the power, and one that only resamples and moves; both compiled, once for all runs."""
    import jax
    from blackjax.mcmc import random_walk
    from blackjax.smc import adaptive_tempered, resampling
    from blackjax.smc import tempered as fixed

    prior, likelihood = (on_host(f, ((),)) for f in (tempered.log_prior, tempered.log_likelihood))
    walk = random_walk.build_additive_step()

    def step(key: Any, state: Any, log_density: Any, factor: Any) -> Any:
        return walk(key, state, log_density, lambda k, x: factor @ jax.random.normal(k, x.shape))

    parts = (lambda v: prior(v)[0], lambda v: likelihood(v)[0], step, random_walk.init, resampling.systematic)
    count = 5 + tempered.density.n
    rise = adaptive_tempered.build_kernel(*parts, target_ess=TARGET_ESS)
    move = fixed.build_kernel(*parts)
    return (
        jax.jit(lambda key, state, parameters: rise(key, state, count, parameters)),
        jax.jit(lambda key, state, parameters: move(key, state, 2 * count, 1.0, parameters)),
    )


def _walk(v: np.ndarray, weights: Any) -> np.ndarray:
    """Factor (n, n) of the random walk's steps: 2.38/sqrt(n) times that of the weighted particles' covariance."""
    w = np.asarray(weights)
    mean = w @ v
    covariance = (v - mean).T @ ((v - mean) * w[:, None])
    n = v.shape[1]
    return 2.38 / np.sqrt(n) * np.linalg.cholesky(covariance + 1e-10 * np.eye(n))
