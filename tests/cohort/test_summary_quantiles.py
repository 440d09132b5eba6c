import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from her2pkpd.cohort.summary_quantiles import effective_sample_size, mean, order_statistics, quantiles, sd

P = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
NUMBERS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 5)), min_size=1, max_size=40)


@given(NUMBERS)
def test_whole_weights_are_replication(rows):
    x, w = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    if not w.sum():
        assert np.isnan(quantiles(x, P, w)).all()
        return
    copies = np.repeat(x, w.astype(int))
    np.testing.assert_array_equal(quantiles(x, P, w), quantiles(copies, P))
    assert mean(x, w) == pytest.approx(copies.mean(), abs=1e-6)


@given(NUMBERS, st.floats(1e-6, 1e6))
def test_the_scale_and_equal_weights_do_not_matter(rows, scale):
    x, w = np.array([r[0] for r in rows]), np.array([r[1] + 1.0 for r in rows])
    np.testing.assert_array_equal(quantiles(x, P, w), quantiles(x, P, scale * w))
    np.testing.assert_array_equal(quantiles(x, P), quantiles(x, P, np.full(len(x), scale)))
    np.testing.assert_array_equal(quantiles(x, P), np.quantile(x, P, method="inverted_cdf"))
    np.testing.assert_array_equal(quantiles(x, P), order_statistics(x, P))


def test_infinite_values_have_a_place():
    x = np.array([3.0, np.inf, 1.0, -np.inf])
    np.testing.assert_array_equal(quantiles(x, [0.25, 0.5, 0.75, 1.0]), [-np.inf, 1.0, 3.0, np.inf])
    assert np.isnan(quantiles(np.array([1.0, np.nan]), [0.5])).all()
    assert np.isnan(quantiles(np.empty(0), [0.5])).all()


def test_moments_against_numpy_and_the_effective_size_against_its_formula():
    rng = np.random.default_rng(0)
    x, w = rng.normal(3.0, 2.0, 500), rng.uniform(0.0, 1.0, 500)
    assert sd(x, np.ones(500)) == pytest.approx(np.std(x, ddof=1), rel=1e-12)
    assert sd(x, w) == pytest.approx(np.sqrt(np.cov(x, aweights=w)), rel=1e-12)
    assert effective_sample_size(w) == pytest.approx(w.sum() ** 2 / np.sum(w**2), rel=1e-14)
    assert effective_sample_size(np.array([2.0, 2.0, 0.0])) == 2.0
    assert effective_sample_size(np.zeros(3)) == 0.0


def test_importance_weights_turn_one_normal_distribution_into_another():
    x = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    w = norm.pdf(x, 0.5, 0.8) / norm.pdf(x)
    np.testing.assert_allclose(quantiles(x, [0.05, 0.5, 0.95], w), norm.ppf([0.05, 0.5, 0.95], 0.5, 0.8), atol=2e-3)
