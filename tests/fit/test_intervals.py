"""Laplace intervals and verdicts on linear problems, where the answer is known."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats

from her2pkpd.fit.intervals import laplace
from her2pkpd.fit.parameters import FreeParameters, Prior
from tests.fit.problems import estimate

BOUNDS = {"lower": 1e-6, "upper": 1e6, "start": 1.0}


@dataclass
class Linear:
    """Stands in for an objective: y = X u + noise of known or estimated sd."""

    design: np.ndarray
    estimates: list
    sd: float = 0.1
    estimated: tuple = ()
    free: FreeParameters = field(init=False)

    def __post_init__(self):
        self.free = FreeParameters(self.estimates, [{}])

    @property
    def names(self):
        return [*self.free.names, *(f"sd.{r}" for r in self.estimated)]

    @property
    def n_data(self):
        return len(self.design)

    def bounds(self):
        low, high = self.free.bounds()
        return np.append(low, [np.log(1e-4)] * len(self.estimated)), np.append(
            high, [np.log(1e3)] * len(self.estimated)
        )

    def information(self, u):
        n = len(self.free)
        total = np.zeros((len(u), len(u)))
        prior = self.free.prior_residuals(u[:n])[1]
        total[:n, :n] = self.design.T @ self.design / self.sd**2 + prior.T @ prior
        for k in range(len(self.estimated)):
            total[n + k, n + k] = 2 * self.n_data
        return total


def run(design, *estimates, u=None, **more):
    made = Linear(np.asarray(design, dtype=float), list(estimates), **more)
    start = np.zeros(len(made.names)) if u is None else np.asarray(u)
    intervals, covariance = laplace(made, start)
    return {x.name: x for x in intervals}, covariance


def names(n, **more):
    return [estimate(c, **BOUNDS, **more) for c in "abcdef"[:n]]


def test_with_known_noise_intervals_are_those_of_least_squares():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 3))
    found, covariance = run(x, *names(3))
    expected = 0.1**2 * np.linalg.inv(x.T @ x)
    np.testing.assert_allclose(covariance, expected, rtol=1e-6)
    for i, name in enumerate("abc"):
        half = stats.norm.ppf(0.975) * np.sqrt(expected[i, i])
        assert np.log([found[name].lower, found[name].upper]) == pytest.approx([-half, half], rel=1e-6)
        assert found[name].verdict == "determined"


def test_with_estimated_noise_they_are_those_of_student():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((12, 3))
    found, _ = run(x, *names(3), estimated=("viability",), u=[0.0, 0.0, 0.0, np.log(0.1)])
    covariance = 0.1**2 * 12 / 9 * np.linalg.inv(x.T @ x)
    half = stats.t.ppf(0.975, 9) * np.sqrt(covariance[0, 0])
    assert np.log(found["a"].upper) == pytest.approx(half, rel=1e-4)
    # The unbiased variance: n/(n - p) times the maximum-likelihood one.
    assert found["sd.viability"].estimate == pytest.approx(0.1 * np.sqrt(12 / 9), rel=1e-4)


def test_an_unknown_without_effect_is_not_determined():
    x = np.column_stack([np.ones(20), np.zeros(20)])
    found, covariance = run(x, *names(2))
    assert found["a"].verdict == "determined"
    assert found["b"].verdict == "not by these data"
    assert covariance[1, 1] > 100
    assert (found["b"].lower, found["b"].upper) == pytest.approx((1e-6, 1e6))


@pytest.mark.parametrize("size", [1.0, 1e5])
def test_of_two_that_do_the_same_only_a_combination_is_known(size):
    x = size * np.column_stack([np.ones(20), np.ones(20), np.linspace(-1, 1, 20)])
    found, _ = run(x, *names(3))
    assert found["a"].verdict == "only a combination is (with b)"
    assert found["b"].verdict == "only a combination is (with a)"
    assert found["c"].verdict == "determined"


def test_a_prior_alone_determines_nothing():
    x = np.column_stack([np.ones(20), np.zeros(20)])
    found, covariance = run(x, estimate("a", **BOUNDS), estimate("b", **BOUNDS, prior=Prior(1.0, 1.5)))
    assert covariance[1, 1] == pytest.approx(np.log(1.5) ** 2, rel=1e-4)
    assert found["b"].verdict.startswith("not by these data")


def test_on_a_bound_there_is_no_interval_and_no_effect_on_others():
    x = np.column_stack([np.ones(20), np.ones(20)])
    found, covariance = run(x, *names(2), u=[0.0, np.log(1e6)])
    assert found["b"].verdict == "at its upper bound"
    assert np.isnan(found["b"].upper)
    assert found["a"].verdict == "determined"
    np.testing.assert_array_equal(covariance[1], 0.0)


def test_a_bounded_scale_is_determined_when_the_interval_covers_less_than_half():
    for sd, verdict in ((0.1, "determined"), (2.0, "not by these data")):
        w = estimate("w", scale="logit", lower=0.0, upper=1.0, start=0.5)
        found, _ = run([[1.0]], w, sd=sd)
        assert found["w"].verdict == verdict
        assert 0 < found["w"].lower < 0.5 < found["w"].upper < 1


def test_the_level_asked_for_is_the_level_given():
    made = Linear(np.ones((9, 1)), names(1))
    for level in (0.5, 0.9, 0.99):
        (found,), _ = laplace(made, np.zeros(1), level=level)
        assert np.log(found.upper) == pytest.approx(stats.norm.ppf(0.5 + level / 2) * 0.1 / 3, rel=1e-6)
