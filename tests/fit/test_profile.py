"""Profile-likelihood intervals: exact where the model is linear, right where a Laplace interval is not."""

import numpy as np
import pytest
from scipy import optimize, stats

from her2pkpd.fit.intervals import laplace
from her2pkpd.fit.objective import Evaluation
from her2pkpd.fit.profile import profile
from tests.fit.problems import estimate
from tests.fit.test_intervals import BOUNDS, Linear, names


class Curve(Linear):
    """y = f(u) + normal noise, with everything a profile asks of an objective."""

    def __init__(self, estimates, values, model, sd=0.1, estimated=()):
        self.values, self.model = np.asarray(values, dtype=float), model
        super().__init__(np.zeros((len(self.values), len(estimates))), list(estimates), sd, estimated)

    def __call__(self, u):
        n = len(self.free)
        sd = np.exp(u[n]) if self.estimated else self.sd
        predicted, slopes = self.model(u[:n])
        prior, by_prior = self.free.prior_residuals(u[:n])
        residuals, jacobian = (predicted - self.values) / sd, np.zeros((len(self.values), len(u)))
        jacobian[:, :n] = slopes / sd
        if self.estimated:
            jacobian[:, n] = -residuals
            r = np.sqrt(2 * len(self.values) * (u[n] - np.log(1e-6)))
            residuals = np.append(residuals, r)
            jacobian = np.vstack([jacobian, np.append(np.zeros(n), len(self.values) / r)])
        residuals = np.concatenate([residuals, prior])
        jacobian = np.vstack([jacobian, np.pad(by_prior, ((0, 0), (0, len(u) - n)))])
        empty = np.zeros(0)
        return Evaluation(residuals, jacobian, predicted, empty, empty, np.zeros(1, dtype=int), "none")

    def many(self, u, *, options=None):
        each = [self(x) for x in u]
        residuals, jacobian = (np.stack([getattr(e, k) for e in each]) for k in ("residuals", "jacobian"))
        return Evaluation(residuals, jacobian, *[np.zeros((len(u), 0))] * 3, np.zeros((len(u), 1), dtype=int), "none")

    def information(self, u):
        n = len(self.free)
        self.design = self.model(u[:n])[1]
        self.sd = float(np.exp(u[n])) if self.estimated else self.sd
        return super().information(u)


def best(made, start):
    low, high = made.bounds()
    found = optimize.least_squares(
        lambda u: made(u).residuals, start, jac=lambda u: made(u).jacobian, bounds=(low, high), xtol=1e-14, ftol=1e-14
    )
    return found.x


def linear(x):
    return lambda u: (x @ u, x)


def test_of_a_linear_model_with_known_noise_they_are_the_laplace_intervals():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3))
    made = Curve(names(3), 0.1 * rng.standard_normal(20), linear(x))
    u = best(made, np.zeros(3))
    found, lowest = profile(made, u)
    for a, b in zip(found, laplace(made, u)[0], strict=True):
        assert np.log([a.lower, a.upper]) == pytest.approx(np.log([b.lower, b.upper]), abs=2e-3)
        assert (a.kind, b.kind) == ("profile", "Laplace")
        assert a.verdict == b.verdict
    assert lowest == pytest.approx(made(u).cost)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_of_a_linear_model_with_estimated_noise_they_are_students(level):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((9, 2))
    made = Curve(names(2), 0.3 * rng.standard_normal(9), linear(x), estimated=("viability",))
    u = best(made, np.array([0.0, 0.0, np.log(0.3)]))
    found, _ = profile(made, u, level=level)
    residuals = made.values - x @ u[:2]
    covariance = residuals @ residuals / 7 * np.linalg.inv(x.T @ x)
    for i in range(2):
        half = stats.t.ppf(0.5 + level / 2, 7) * np.sqrt(covariance[i, i])
        assert np.log([found[i].lower, found[i].upper]) == pytest.approx([u[i] - half, u[i] + half], abs=0.02 * half)
    assert found[2].kind == "Laplace"


def test_a_likelihood_that_is_lopsided_has_a_lopsided_interval():
    # One exponential decay observed at one time: u is known through exp(-exp(u)) alone, whose deviance is exact.
    made = Curve(names(1), [0.5], lambda u: (np.exp(-np.exp(u)), -(np.exp(u) * np.exp(-np.exp(u)))[None]), sd=0.1)
    u = best(made, np.zeros(1))
    (found,), _ = profile(made, u)
    z = stats.norm.ppf(0.975) * 0.1
    assert [found.lower, found.upper] == pytest.approx([-np.log(0.5 + z), -np.log(0.5 - z)], rel=5e-3)


def test_an_unknown_without_effect_reaches_both_bounds():
    made = Curve(names(2), np.zeros(5), linear(np.column_stack([np.ones(5), np.zeros(5)])))
    found, _ = profile(made, np.zeros(2))
    assert (found[1].lower, found[1].upper) == pytest.approx((BOUNDS["lower"], BOUNDS["upper"]))
    assert found[1].verdict == "not by these data"
    assert found[0].verdict == "determined"


def test_on_a_bound_the_interval_is_one_sided():
    made = Curve([estimate("a", lower=0.5, upper=1.0, start=0.9)], np.full(4, 0.3), linear(np.ones((4, 1))))
    (found,), _ = profile(made, np.array([0.0]))
    assert found.upper == 1.0
    # deviance 400 * ((0.3 - u)^2 - 0.3^2) / 1 = 3.84 at the lower end
    expected = 0.3 - np.sqrt(0.3**2 + stats.chi2.ppf(0.95, 1) / 400)
    assert np.log(found.lower) == pytest.approx(expected, rel=0.03)
    assert found.verdict == "at its upper bound"


def test_a_better_fit_met_on_the_way_is_told():
    # Two wells of the objective; the start sits in the shallower.
    def model(u):
        return np.array([np.cos(3 * u[0]) + 0.3 * u[0]]), np.array([[-3 * np.sin(3 * u[0]) + 0.3]])

    made = Curve([estimate("a", lower=0.02, upper=50.0, start=1.0)], [-3.0], model, sd=1.0)
    u = best(made, np.array([1.0]))
    assert profile(made, u)[1] < made(u).cost - 0.1


def test_where_the_model_fails_the_end_is_not_a_number():
    def model(u):
        return (u if u[0] < 0.05 else np.full(1, np.nan)), np.ones((1, 1))

    made = Curve(names(1), [0.0], model)
    (found,), _ = profile(made, np.zeros(1))
    assert np.isnan(found.upper)
    assert found.kind == "profile, an end not found"
    assert np.log(found.lower) == pytest.approx(-0.196, rel=1e-2)


def test_ctrl_c_keeps_what_is_finished_and_marks_the_rest():
    made = Curve(names(3), np.zeros(9), linear(np.random.default_rng(2).standard_normal((9, 3))))

    def stop(done, _):
        if done == 1:
            raise KeyboardInterrupt

    found, _ = profile(made, np.zeros(3), progress=stop)
    assert [x.kind for x in found] == ["profile", "Laplace", "Laplace"]
    assert all(np.isfinite([x.lower, x.upper]).all() for x in found)
