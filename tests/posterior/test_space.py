"""Coordinates without bounds: their derivatives, their inverse, and what priors become on them."""

import numpy as np
import pytest
from scipy import special, stats

from her2pkpd.posterior.space import Space

SPACE = Space(np.array([-3.0, -15.0, 2.0]), np.array([5.0, 15.0, 2.5]), np.array([1]))


@pytest.mark.parametrize("size", [0.3, 1.0, 2.5])
def test_slope_and_bend_are_the_derivatives(size):
    v, h = size * np.array([0.7, -0.9, 1.1]), 1e-5
    found = SPACE.move(v)
    up, down = SPACE.move(v + h), SPACE.move(v - h)
    np.testing.assert_allclose(found.slope, (up.u - down.u) / (2 * h), rtol=1e-7)
    np.testing.assert_allclose(found.bend, (up.log_slope - down.log_slope) / (2 * h), rtol=1e-6)
    # Constants apart, log_slope is the logarithm of the slope.
    elsewhere = SPACE.move(0.5 * v)
    np.testing.assert_allclose(np.log(found.slope / elsewhere.slope), found.log_slope - elsewhere.log_slope, rtol=1e-9)


@pytest.mark.parametrize("u", [(-2.9, -14.0, 2.01), (0.0, 0.1, 2.2), (4.99, 12.0, 2.49)])
def test_back_and_forth(u):
    np.testing.assert_allclose(SPACE.move(SPACE.back(np.array(u))).u, u, rtol=1e-9)


def test_a_uniform_prior_and_jeffreys_become_standard_normal():
    v = np.random.default_rng(0).standard_normal((20_000, 3))
    u = SPACE.move(v).u
    assert stats.kstest(u[:, 0], stats.uniform(-3, 8).cdf).pvalue > 0.01
    assert stats.kstest(special.expit(u[:, 1]), stats.beta(0.5, 0.5).cdf).pvalue > 0.01


def test_far_out_everything_stays_finite_and_within_bounds():
    v = np.array([[60.0, 60.0, -60.0], [-60.0, -60.0, 60.0], [8.0, -8.0, 8.0]])
    found = SPACE.move(v)
    for part in (found.u, found.slope, found.log_slope, found.bend):
        assert np.isfinite(part).all()
    assert (found.u >= SPACE.low).all()
    assert (found.u <= SPACE.high).all()
