"""Samplers against posteriors known in closed form."""

import numpy as np
import pytest
from scipy import stats

from her2pkpd.fit.noise import Noise
from her2pkpd.fit.run import fit
from her2pkpd.posterior.density import Density, Gaussian, laplace
from her2pkpd.posterior.judge import convergence
from her2pkpd.posterior.nuts import Nuts, NutsSettings
from her2pkpd.posterior.pathfinder import pathfinder
from her2pkpd.posterior.run import sample
from tests.posterior.exact import NAMES, SD, linear, made, problem


def assert_drawn_from(u, mean, covariance):
    """Means within 4 Monte-Carlo standard errors, standard deviations and correlations likewise."""
    _, bulk, _ = convergence(u)
    flat = u.reshape(-1, u.shape[-1])
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(flat.mean(axis=0) - mean) < 4 * sd / np.sqrt(bulk)).all()
    np.testing.assert_allclose(flat.std(axis=0), sd, rtol=4 / np.sqrt(2 * bulk.min()))
    expected = covariance / np.outer(sd, sd)
    assert np.abs(np.corrcoef(flat.T) - expected).max() < 5 / np.sqrt(bulk.min())


@pytest.mark.parametrize("method", ["nuts", "laplace", "smc"])
def test_a_linear_gaussian_posterior_is_recovered(tmp_path, method):
    own, mean, covariance = linear()
    given = problem(own, tmp_path, sample=method, draws=600, chains=4, warmup=200)
    found = sample(fit(given))
    assert_drawn_from(found.u, mean, covariance)
    assert found.diagnosis.passed, found.diagnosis.lines()
    assert found.u.shape == (4, 600, 3)


def test_the_noise_level_of_known_means_is_inverse_chi_squared(tmp_path):
    # 12 values of known mean, a flat prior of log sd: n s^2/sigma^2 is chi-squared with n degrees of freedom.
    values = 1.0 + 0.2 * np.random.default_rng(4).standard_normal(12)

    def flat(u):
        return np.ones((len(u), 12)), np.zeros((len(u), 12, 2))

    own = made(flat, values, names=NAMES[:2], noise={"viability": Noise("normal")})
    found = sample(fit(problem(own, tmp_path, sample="nuts", draws=1000, warmup=200)))
    assert own.names == [*NAMES[:2], "sd.viability"]
    ratio = np.sum((values - 1.0) ** 2) / found.values[..., 2] ** 2
    thin = ratio[:, ::4].ravel()
    assert stats.kstest(thin, stats.chi2(12).cdf).pvalue > 0.001
    # The other unknowns have no data: their posterior is their prior.
    assert stats.kstest(found.u[:, ::4, 0].ravel(), stats.norm.cdf).pvalue > 0.001
    assert (found.overlaps[:2] > 0.9).all()


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_two_modes_are_found_in_their_proportions(tmp_path, shift):
    # y = (u - shift)^2 is measured: values left and right of the shift explain it alike, and the prior, centred at 0,
    # takes the side of the left ones unless there is no shift.
    own = made(
        lambda u: ((u - shift) ** 2 + 1, 2 * (u - shift)[:, None, :]), np.array([2.5]), names=("trastuzumab.KD",)
    )
    found = sample(fit(problem(own, tmp_path, sample="smc", draws=500, chains=4)))
    grid = np.linspace(-3.0, 3.0, 6001)
    density = np.exp(-0.5 * grid**2 - 0.5 * (((grid - shift) ** 2 - 1.5) / SD) ** 2)
    right = grid > shift
    share = density[right].sum() / density.sum()
    assert share == pytest.approx(0.5 if shift == 0 else 0.325, abs=0.01)
    assert (found.u[..., 0] > shift).mean(axis=1) == pytest.approx([share] * 4, abs=0.15)
    assert (found.u[..., 0] > shift).mean() == pytest.approx(share, abs=0.07)
    flat = found.flat[:, 0]
    for side, drawn in ((right, flat[flat > shift]), (~right, flat[flat <= shift])):
        assert drawn.mean() == pytest.approx(np.average(grid[side], weights=density[side]), abs=0.006)


def test_a_mode_that_no_chain_has_seen_is_named(tmp_path):
    # Chains begin at the best optimum, and agree there; the fit's other starts know better.
    own = made(lambda u: ((u - 0.3) ** 2 + 1, 2 * (u - 0.3)[:, None, :]), np.array([2.5]), names=("trastuzumab.KD",))
    found = sample(fit(problem(own, tmp_path, sample="nuts", starts=4, draws=60, warmup=50)))
    assert (found.u < 0.3).all()
    assert found.elsewhere
    # Heights of the modes differ by the prior, (0.3 + 1.22)^2 - (0.3 - 1.22)^2.
    assert min(found.elsewhere) == pytest.approx(4 * 0.3 * np.sqrt(1.5), rel=0.05)
    assert any('use sample = "smc"' in line for line in found.diagnosis.lines() if "modes" in line)


def test_chains_in_different_modes_are_noticed(tmp_path):
    own = made(lambda u: (u**2 + 1, 2 * u[:, None, :]), np.array([2.5]), names=("trastuzumab.KD",))
    density = Density(own)
    around = Gaussian(density.unbounded(np.zeros(1)), np.eye(1) * 0.1)
    draws = Nuts(density, around, NutsSettings(4, 100, 50)).run()
    u = density.bounded(draws.v)
    assert len(set(np.sign(u[:, -1, 0]))) == 2
    agreement, _, _ = convergence(u)
    assert agreement[0] > 1.5


def test_pathfinder_and_laplace_agree_on_a_gaussian():
    own, mean, _ = linear()
    density = Density(own)
    exact = laplace(density, mean)
    vague = Gaussian(exact.centre, 2 * np.diag(np.sqrt(np.diag(exact.factor @ exact.factor.T))))
    found = pathfinder(density, vague, seed=2)
    sd = np.sqrt(np.diag(exact.factor @ exact.factor.T))
    assert (np.abs(found.centre - exact.centre) < 0.5 * sd).all()
    ratio = np.sqrt(np.diag(found.factor @ found.factor.T)) / sd
    assert (ratio > 0.5).all()
    assert (ratio < 2).all()


def test_the_laplace_approximation_of_a_gaussian_is_exact():
    own, mean, covariance = linear()
    density = Density(own)
    found = laplace(density, mean + 0.05)
    u = density.bounded(found.points(np.random.default_rng(0).standard_normal((20_000, 3))))
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(u.mean(axis=0) - mean) < 0.04 * sd).all()
    np.testing.assert_allclose(u.std(axis=0), sd, rtol=0.03)


def test_the_gradient_of_the_energy_is_that_of_the_energy():
    own, mean, _ = linear()
    density = Density(own)
    v, h = density.unbounded(mean) + 0.3, 1e-5
    _, gradient = density(v[None])
    steps = h * np.eye(3)
    expected = (density(v + steps)[0] - density(v - steps)[0]) / (2 * h)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6)
    np.testing.assert_allclose(density.energy(v[None]), density(v[None])[0])
    np.testing.assert_allclose(density.unbounded(density.bounded(v)), v, rtol=1e-9)


def test_a_failing_lane_is_infinite_and_never_accepted(tmp_path):
    own, mean, covariance = linear()
    full = own.predictor.many
    edge = mean[0] + 0.3 * np.sqrt(covariance[0, 0])

    def fragile(u, **more):
        found = full(u, **more)
        found.value[u[:, 0] > edge] = np.nan
        return found

    own.predictor.many = fragile
    found = sample(fit(problem(own, tmp_path, sample="nuts", draws=200, warmup=100)))
    assert found.draws.failed > 0
    assert (found.u[..., 0] <= edge).all()
    assert any(f.check == "failures" for f in found.diagnosis.findings)


def test_trajectories_of_fixed_length_take_the_steps_they_are_told():
    own, mean, _ = linear()
    density = Density(own)
    around = laplace(density, mean)
    run = Nuts(density, around, NutsSettings(chains=4, draws=10, warmup=0, leapfrogs=4))
    run.log_step[:] = np.log(1e-3)
    draws = run.run()
    moved = np.abs(np.diff(around.standardised(draws.v), axis=1))
    assert 0 < moved.max() < 4 * 1e-3 * 6  # four steps with momenta of a few standard deviations
    assert draws.acceptance.min() > 0.999
    assert (draws.leapfrogs == 4).all()
