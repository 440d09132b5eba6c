"""Shears: curved ridges become straight, and densities stay what they are."""

import numpy as np
import pytest
from scipy import stats

from her2pkpd.posterior import checkpoint
from her2pkpd.posterior.coordinates import Coordinates, adapted, whitening
from her2pkpd.posterior.density import Density, Gaussian, laplace
from her2pkpd.posterior.judge import convergence
from her2pkpd.posterior.nuts import Nuts, NutsSettings
from her2pkpd.posterior.shear import Shear, find_shears
from tests.posterior.exact import SD, banana, banana_moments, linear

RNG = np.random.default_rng(5)
SHEAR = Shear(1, 0.3, 0.7, np.array([-1.5, 2.0]), np.array([[0.4, 0.0, -1.1], [0.05, 0.0, 0.3]]))
OTHER = Shear(2, -0.2, 1.3, np.array([-2.5, 1.0]), np.array([[0.2, -0.6, 0.0], [0.1, 0.1, 0.0]]))
FACTOR = np.array([[1.5, 0.0, 0.0], [-0.4, 2.5, 0.0], [0.7, 1.1, 0.8]])
BENT = Coordinates(Gaussian(np.array([0.2, -1.0, 0.5]), FACTOR), (SHEAR, OTHER))


def differences(function, points, h=1e-6):
    """Central differences (..., n, n) of a function of points (..., n), derivatives in the last axis."""
    steps = h * np.eye(points.shape[-1])
    return np.stack([(function(points + s) - function(points - s)) / (2 * h) for s in steps], axis=-1)


def test_a_shear_is_undone_and_keeps_volumes():
    q = 2 * RNG.standard_normal((40, 3))
    v = SHEAR.bent(q)
    np.testing.assert_allclose(SHEAR.straight(v), q, atol=1e-13)
    np.testing.assert_array_equal(v[:, 1], q[:, 1])
    np.testing.assert_allclose(np.linalg.det(differences(SHEAR.bent, q)), 1.0, atol=1e-8)


def test_a_shear_goes_on_straight_and_smoothly_beyond_the_draws():
    along = SHEAR.middle + SHEAR.scale * np.array([-2.0, -1.75, -1.5, 2.0, 3.0, 4.0])
    q = np.zeros((6, 3))
    q[:, 1] = along
    slopes = differences(SHEAR.bent, q)[:, :, 1]
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-8)
    np.testing.assert_allclose(slopes[1], slopes[2], atol=1e-4)  # continuous at the last draw
    np.testing.assert_allclose(slopes[4], slopes[5], atol=1e-8)
    np.testing.assert_allclose(slopes[3], slopes[4], atol=1e-4)


def test_points_slopes_and_their_inverses_agree_with_differences():
    z = RNG.standard_normal((5, 3))
    v = BENT.points(z)
    np.testing.assert_allclose(BENT.standardised(v), z, atol=1e-12)
    np.testing.assert_allclose(BENT.points(z[:, None])[:, 0], v)
    gradient = np.cos(v)  # of the sum of sines
    slopes = BENT.slopes(gradient, v)
    expected = differences(lambda z: np.sin(BENT.points(z)).sum(axis=-1), z)
    np.testing.assert_allclose(slopes, expected, atol=1e-7)
    again, raised = BENT.raised(z, slopes)
    np.testing.assert_allclose(again, v)
    np.testing.assert_allclose(raised, gradient, atol=1e-12)


def test_coordinates_survive_being_saved(tmp_path):
    for given in (BENT, Coordinates(BENT.gaussian)):
        checkpoint.save(tmp_path / "c.npz", "mine", given.save())
        found = Coordinates.load(checkpoint.load(tmp_path / "c.npz", "mine"))
        z = RNG.standard_normal((4, 3))
        np.testing.assert_array_equal(found.points(z), given.points(z))
        assert len(found.shears) == len(given.shears)


def bent_normal(m, n, rng):
    """Draws (m, n) along a ridge curved in coordinate 2, with gradients; straight in q_k = v_k - (v_2^2)/2."""
    covariance = 0.3 + np.diag(np.linspace(0.2, 3, n))
    covariance[2] = covariance[:, 2] = 9 * (np.arange(n) == 2)
    true = Shear(2, 0.0, 1.0, np.array([-99.0, 99.0]), np.array([0.5 * (np.arange(n) != 2), np.zeros(n)]))
    q = rng.multivariate_normal(np.zeros(n), covariance, size=m)
    v = true.bent(q)
    return v, true.gradients(np.linalg.solve(covariance, q.T).T, v)


def test_forty_draws_show_a_ridge_and_where_it_bends():
    v, gradients = bent_normal(40, 6, np.random.default_rng(1))
    old = Coordinates(Gaussian(np.zeros(6), np.eye(6)))
    found = adapted(old, v, gradients)
    assert [s.along for s in found.shears] == [2]
    more, slopes = bent_normal(2000, 6, np.random.default_rng(2))
    inside = np.abs(more[:, 2]) < 5
    z, by_z = found.standardised(more)[inside], found.slopes(slopes, more)[inside]
    # Of a standard normal, slopes are the point itself; from a centre that is off, but for a constant.
    assert np.std(by_z - z, axis=0).max() < 0.15
    assert np.abs(np.mean(by_z - z, axis=0)).max() < 0.6


def straight_draws(kind, m, rng):
    """Draws (m, 8) of a posterior without curved ridges, and gradients of its energy."""
    if kind == "heavy-tailed":
        x = rng.standard_t(5, (m, 8))
        return x, 6 * x / (5 + x * x)
    if kind == "skewed":
        x = np.log(rng.gamma(5, size=(m, 8)))
        return x, np.exp(x) - 5
    turned = np.linalg.qr(rng.standard_normal((8, 8)))[0] * np.geomspace(0.1, 10, 8)
    x = rng.standard_normal((m, 8))
    return x @ turned, np.linalg.solve(turned, x.T).T


@pytest.mark.parametrize("kind", ["normal", "heavy-tailed", "skewed"])
@pytest.mark.parametrize("m", [60, 400])
def test_straight_posteriors_are_left_alone(kind, m):
    rng = np.random.default_rng(m)
    scale = np.geomspace(1e-4, 1e4, 8)
    for _ in range(20):
        x, slopes = straight_draws(kind, m, rng)
        assert find_shears(x * scale, slopes / scale) == ()


def test_too_few_draws_or_a_chain_that_does_not_move_shear_nothing():
    v, gradients = bent_normal(19, 6, np.random.default_rng(1))
    assert find_shears(v, gradients) == ()
    assert find_shears(np.zeros((50, 3)), np.zeros((50, 3))) == ()
    assert find_shears(RNG.standard_normal((50, 1)), RNG.standard_normal((50, 1))) == ()


def test_few_draws_of_a_normal_distribution_are_enough_to_whiten_it():
    n = 12
    rng = np.random.default_rng(0)
    root = rng.standard_normal((n, n))
    covariance = root @ root.T / n + 0.1 * np.eye(n)
    draws = rng.multivariate_normal(np.ones(n), covariance, size=60)
    found = whitening(draws, np.linalg.solve(covariance, (draws - 1).T).T)
    unlike = np.linalg.eigvals(np.linalg.solve(covariance, found)).real
    assert unlike.min() > 0.7
    assert unlike.max() < 1.4
    # Two draws say next to nothing: the coordinates stay.
    assert np.linalg.cond(whitening(draws[:2], draws[:2])) < 3


def sampler(own, start, **settings):
    density = Density(own)
    return density, Nuts(density, laplace(density, start), NutsSettings(**settings))


def test_a_curved_posterior_is_sampled_right_and_cheaply():
    own, start = banana()
    density, run = sampler(own, start, draws=1000, warmup=200)
    draws = run.run()
    assert [s.along for s in run.potential.around.shears] == [0]
    u = density.bounded(draws.v)
    agreement, bulk, tail = convergence(u)
    assert agreement.max() < 1.01
    assert min(bulk.min(), tail.min()) > 1000
    assert draws.diverging.mean() < 0.01
    assert draws.leapfrogs.mean() < 12
    mean, square, marginal = banana_moments()
    flat = u.reshape(-1, 3)
    error = 4 * flat.std(axis=0) / np.sqrt(bulk)
    assert (np.abs(flat.mean(axis=0) - mean) < error).all()
    assert (np.abs((flat**2).mean(axis=0) - square) < 4 * (flat**2).std(axis=0) / np.sqrt(np.minimum(bulk, tail))).all()
    assert stats.kstest(u[:, ::2, 0].ravel(), marginal).pvalue > 0.001
    # How far draws lie off the ridge, drawn in by the prior, is normal.
    inward = 1 / (1 + SD**2)
    off = (u[:, ::2, 1] - inward * u[:, ::2, 0] ** 2) / (SD * np.sqrt(inward))
    assert stats.kstest(off.ravel(), stats.norm.cdf).pvalue > 0.001


def test_a_normal_posterior_is_not_sheared():
    own, mean, _ = linear()
    _, run = sampler(own, mean, draws=10, warmup=200)
    run.run()
    assert run.potential.around.shears == ()


def test_a_sheared_run_continued_from_any_round_makes_the_same_draws(tmp_path):
    own, start = banana()
    kept = {}

    def keep(arrays):
        file = tmp_path / "state.npz"
        checkpoint.save(file, "mine", arrays)
        kept[int(arrays["round"])] = checkpoint.load(file, "mine")

    whole = sampler(own, start, chains=3, draws=30, warmup=100)[1].run(keep=keep)
    assert "shear_along" in kept[6]
    for stop in (3, 6, 11):
        again = sampler(own, start, chains=3, draws=30, warmup=100)[1]
        again.restore(kept[stop])
        rest = again.run()
        np.testing.assert_array_equal(rest.v, whole.v)
        np.testing.assert_array_equal(rest.leapfrogs, whole.leapfrogs)
