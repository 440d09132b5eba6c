"""Pathfinder: a normal approximation from the way an optimiser takes (Zhang et al. 2022), through BlackJAX."""

from typing import Any

import numpy as np

from her2pkpd.posterior.bridge import energy_function
from her2pkpd.posterior.density import Density, Gaussian

DRAWS = 400
"""Draws the covariance is made from."""


def pathfinder(density: Density, around: Gaussian, *, seed: int = 1) -> Gaussian:
    """The normal approximation with the least divergence from the posterior, of those met on the way to the mode.

    Where a posterior is skewed, it lies closer to its bulk than the approximation at the mode does.

    Args:
        density: the density.
        around: an approximation whose standardised coordinates are searched in.
        seed: of its draws and of the point it starts from, two standard deviations out.

    Returns:
        The approximation; `around` itself where Pathfinder found nothing finite.
    """
    import jax
    from blackjax.vi.pathfinder import approximate, sample

    def host(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, gradient = density(around.points(z))
        return np.where(np.isfinite(energy), energy, 1e30), around.slopes(gradient)

    start = np.random.default_rng(seed).standard_normal(density.n)
    start *= 2.0 / np.linalg.norm(start) * np.sqrt(density.n)
    with jax.enable_x64(True):
        energy = energy_function(host, density.n)
        key = jax.random.PRNGKey(seed)
        state, _ = approximate(key, lambda z: -energy(z), jax.numpy.asarray(start), num_samples=32)
        draws: Any = sample(key, state, DRAWS)
    z = np.asarray(draws[0])
    if not np.isfinite(z).all():
        return around
    v = around.points(z)
    return Gaussian.from_covariance(v.mean(axis=0), np.cov(v.T).reshape(density.n, density.n))
