"""Sequential Monte Carlo from prior to posterior through BlackJAX, for posteriors with several modes.

Particles drawn from the prior are led to the posterior by raising the likelihood's power from 0 to 1, as fast as the
weights allow; in between they walk at random, with steps of the particles' own covariance. Every chain is a run of
its own, so that R-hat tells whether runs found the same modes in the same proportions. No gradients are needed:
an evaluation costs a tenth of one of NUTS. A stage is the unit of work: after each the whole state can be saved, and a
run that continues from it ends with the same draws as one that was never stopped.
"""

from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from her2pkpd.errors import ComputationError
from her2pkpd.posterior.bridge import on_host, stoppable
from her2pkpd.posterior.density import Density
from her2pkpd.posterior.nuts import Draws, Keep, NutsSettings, Progress
from her2pkpd.posterior.prior import prior_draws

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


class Smc:
    """Adaptive tempering, `settings.chains` runs of `settings.draws` particles one after another.

    Args:
        density: what to sample.
        settings: chains, draws and seed.
    """

    def __init__(self, density: Density, settings: NutsSettings) -> None:
        self.density, self.settings = density, settings
        self.ended: list[np.ndarray] = []
        self.stage = 0
        self.state: Any = None
        self.key: Any = None

    @property
    def finished(self) -> bool:
        """Whether all runs have ended."""
        return len(self.ended) == self.settings.chains

    def run(self, *, progress: Progress | None = None, keep: Keep | None = None) -> Draws:
        """Sample to the end.

        Args:
            progress: called after every stage with (percent of the way, 100, words).
            keep: called after every stage with the state.

        Returns:
            The `Draws`: the particles (chains, draws, n).

        Raises:
            ComputationError: if a run does not end.
        """
        import jax

        with jax.enable_x64(True):
            stages, tempered = _stages(self.density.n), Tempered(self.density)
            while not self.finished:
                if self.state is None:
                    self._begin()
                self._one_stage(stages, tempered)
                if keep is not None:
                    keep(self.save())
                if progress is not None:
                    progress(*self._way())
        v = np.stack(self.ended)
        nothing = np.zeros(v.shape[:2])
        return Draws(v, nothing, nothing, nothing > 0, nothing, nothing, evaluations=self.density.evaluations)

    def _begin(self) -> None:
        """Particles of the next run, from the prior."""
        import jax
        from blackjax.smc.tempered import init

        seed = self.settings.seed + len(self.ended)
        particles = prior_draws(self.density.objective, self.settings.draws, seed=seed, loose=True)
        self.state = init(jax.numpy.asarray(self.density.unbounded(particles)))
        self.key, self.stage = jax.random.PRNGKey(seed), 0

    def _one_stage(self, stages: "_Stages", tempered: Tempered) -> None:
        """Raise the power, or where it has come to 1, let particles walk a last time and end the run."""
        import jax
        from blackjax.smc import extend_params

        if self.stage == MOST_STAGES:
            words = f"tempering did not end within {MOST_STAGES} stages; priors may be far from the data."
            raise ComputationError(words)
        self.stage += 1
        self.key, own = jax.random.split(self.key)
        factor = _walk(np.asarray(self.state.particles), self.state.weights)
        parameters = {"factor": extend_params(jax.numpy.asarray(factor))}
        if float(self.state.tempering_param) >= 1.0:
            self.ended.append(np.asarray(stages.move(tempered, own, self.state, parameters).particles))
            self.state = None
        else:
            self.state = stages.rise(tempered, own, self.state, parameters)

    def _way(self) -> tuple[int, int, str]:
        chains = self.settings.chains
        power = 0.0 if self.state is None else float(self.state.tempering_param)
        now = min(len(self.ended) + 1, chains)
        return round(100 * (len(self.ended) + power) / chains), 100, f"tempering, run {now} of {chains}"

    def save(self) -> dict[str, np.ndarray]:
        """Everything needed to go on, as arrays."""
        arrays = {"ended": np.array(self.ended), "evaluations": np.array(self.density.evaluations)}
        if self.state is not None:
            arrays |= {"stage": np.array(self.stage), "key": np.asarray(self.key)}
            arrays |= {f"state_{name}": np.asarray(x) for name, x in self.state._asdict().items()}
        return arrays

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `save` gave."""
        import jax

        self.ended, self.density.evaluations = list(arrays["ended"]), int(arrays["evaluations"])
        self.state = None
        if "stage" in arrays:
            with jax.enable_x64(True):
                self._begin()
                own = {name: jax.numpy.asarray(arrays[f"state_{name}"]) for name in self.state._asdict()}
                self.state = self.state._replace(**own)
                self.key, self.stage = jax.numpy.asarray(arrays["key"]), int(arrays["stage"])


class _Stages:
    """Stages that raise the power, and ones that only resample and move, compiled once for as many unknowns.

    Compiled code calls the density it is lent for the time of a call; one call at a time.
    """

    def __init__(self, n: int) -> None:
        import jax
        from blackjax.mcmc import random_walk
        from blackjax.smc import adaptive_tempered, resampling, tempered

        self._lock, self._lent = Lock(), list[Tempered]()
        prior, likelihood = on_host(self._prior, ((),)), on_host(self._likelihood, ((),))
        walk = random_walk.build_additive_step()

        def step(key: Any, state: Any, log_density: Any, factor: Any) -> Any:
            return walk(key, state, log_density, lambda k, x: factor @ jax.random.normal(k, x.shape))

        parts = (lambda v: prior(v)[0], lambda v: likelihood(v)[0], step, random_walk.init, resampling.systematic)
        rise, move = adaptive_tempered.build_kernel(*parts, target_ess=TARGET_ESS), tempered.build_kernel(*parts)
        steps = 5 + n
        self._rise = jax.jit(lambda key, state, parameters: rise(key, state, steps, parameters))
        self._move = jax.jit(lambda key, state, parameters: move(key, state, 2 * steps, 1.0, parameters))

    def _prior(self, v: np.ndarray) -> tuple[np.ndarray]:
        return self._lent[0].log_prior(v)

    def _likelihood(self, v: np.ndarray) -> tuple[np.ndarray]:
        return self._lent[0].log_likelihood(v)

    def rise(self, lent: Tempered, *args: Any) -> Any:
        """The state at a higher power."""
        return self._run(lent, self._rise, args)

    def move(self, lent: Tempered, *args: Any) -> Any:
        """The state after a long walk at power 1."""
        return self._run(lent, self._move, args)

    def _run(self, lent: Tempered, compiled: Any, args: tuple[Any, ...]) -> Any:
        import jax

        with self._lock:
            self._lent[:] = [lent]
            try:
                with stoppable():
                    return jax.block_until_ready(compiled(*args))[0]
            finally:
                self._lent.clear()


_stages = lru_cache(maxsize=8)(_Stages)


def _walk(v: np.ndarray, weights: Any) -> np.ndarray:
    """Factor (n, n) of the random walk's steps: 2.38/sqrt(n) times that of the weighted particles' covariance."""
    w = np.asarray(weights)
    mean = w @ v
    covariance = (v - mean).T @ ((v - mean) * w[:, None])
    n = v.shape[1]
    return 2.38 / np.sqrt(n) * np.linalg.cholesky(covariance + 1e-10 * np.eye(n))
