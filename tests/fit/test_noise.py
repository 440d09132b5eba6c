"""Residuals against the log densities of scipy.stats, and the censored tail against its asymptotic series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from her2pkpd.fit.censor import censored_residual
from her2pkpd.fit.noise import Noise, expected_information, residual, sd_residual

VALUES = np.array([0.02, 0.4, 0.9, 1.3, 7.0])
PREDICTIONS = np.array([0.05, 0.4, 0.2, 2.5, 6.9])


def log_density(kind, value, prediction, sd, df=4.0):
    if kind == "normal":
        return stats.norm.logpdf(value, prediction, sd)
    if kind == "log-normal":
        return stats.lognorm.logpdf(value, sd, scale=prediction)
    return stats.t.logpdf(value, df, prediction, sd)


def one(noise, value, prediction, sd):
    r, slope, by_sd = residual(noise, *(np.atleast_1d(np.asarray(x, dtype=float)) for x in (value, prediction, sd)))
    return r, slope, by_sd


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t"])
@pytest.mark.parametrize("sd", [0.03, 0.5])
def test_differences_of_squares_are_likelihood_ratios(kind, sd):
    noise = Noise(kind, sd)
    for value in VALUES:
        r, *_ = one(noise, np.full(5, value), PREDICTIONS, np.full(5, sd))
        found = r**2 - r[0] ** 2
        density = log_density(kind, value, PREDICTIONS, sd)
        np.testing.assert_allclose(found, -2 * (density - density[0]), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t"])
def test_with_its_own_residual_the_noise_level_is_a_likelihood_too(kind):
    def total(log_sd):
        sd = np.full(5, np.exp(log_sd))
        r, *_ = residual(Noise(kind), VALUES, PREDICTIONS, sd)
        return np.sum(r**2) + sd_residual(log_sd, 5)[0] ** 2

    def density(log_sd):
        return -2 * np.sum(log_density(kind, VALUES, PREDICTIONS, np.exp(log_sd)))

    for log_sd in (-3.0, -1.0, 0.5):
        assert total(log_sd) - total(0.0) == pytest.approx(density(log_sd) - density(0.0), rel=1e-9)


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t"])
def test_derivatives_agree_with_differences(kind):
    noise, sd, h = Noise(kind, df=3.0), np.full(5, 0.2), 1e-6
    _, slope, by_sd = residual(noise, VALUES, PREDICTIONS, sd)
    up, down = (residual(noise, VALUES, PREDICTIONS + s * h, sd)[0] for s in (1, -1))
    np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-6)
    up, down = (residual(noise, VALUES, PREDICTIONS, sd * np.exp(s * h))[0] for s in (1, -1))
    np.testing.assert_allclose(by_sd, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("q", [-1e-5, -1e-7, 0.0, 1e-12, 1e-7, 1e-5])
def test_student_t_is_smooth_through_zero(q):
    r, slope, _ = one(Noise("student-t", df=4.0), 0.0, q, 1.0)
    assert r[0] == pytest.approx(np.sqrt(5 / 4) * q, rel=1e-6, abs=1e-300)
    assert slope[0] == pytest.approx(np.sqrt(5 / 4), rel=1e-6)


def test_student_t_shrugs_at_outliers():
    far = one(Noise("student-t"), 0.0, 1e6, 1.0)
    assert far[0][0] < 15
    assert far[1][0] < 1e-4


# --- censoring -----------------------------------------------------------------------------------------------


def log_tail(z):
    """log of the normal probability below -z for large z, by the asymptotic series (Abramowitz and Stegun 26.2.12)."""
    series = 1 - 1 / z**2 + 3 / z**4 - 15 / z**6 + 105 / z**8 - 945 / z**10
    return -0.5 * z * z - np.log(z * np.sqrt(2 * np.pi)) + np.log(series)


def censored(z, side=1.0, sd=0.25):
    """Residual and slope by the prediction of a value beyond a limit of 3, predicted z standard deviations within."""
    limit = (3.0 - (3.0 + side * z * sd)) / sd
    low, high = (limit, np.inf) if side > 0 else (-np.inf, limit)
    r, by_low, by_high = censored_residual(np.array([low]), np.array([high]))
    return float(r[0]), -float(by_low[0] + by_high[0]) / sd


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("z", [-6.0, -2.5, -0.3, 0.0, 0.4, 2.0, 5.0])
def test_a_censored_value_contributes_its_probability(z, side):
    r, _ = censored(z, side)
    probability, _ = integrate.quad(stats.norm.pdf, -np.inf, z, epsabs=0, epsrel=1e-12)
    assert r**2 == pytest.approx(-2 * np.log(probability), rel=1e-8)


@pytest.mark.parametrize("z", [12.0, 20.0, 30.0])
def test_far_tails_keep_value_and_slope(z):
    wrong, slope = censored(-z)
    assert wrong**2 == pytest.approx(-2 * log_tail(z), rel=1e-6)
    assert slope == pytest.approx(-(z + 1 / z) / wrong / 0.25, rel=1e-3)
    right, slope = censored(z)
    # -log(1 - q) = q for tiny q.
    assert right**2 == pytest.approx(2 * np.exp(log_tail(z)), rel=1e-5)
    assert slope == pytest.approx(-stats.norm.pdf(z) / right / 0.25, rel=1e-6)


@given(st.floats(-30.0, 30.0), st.sampled_from([1.0, -1.0]))
def test_the_slope_is_that_of_the_value(z, side):
    h = 1e-6
    (up, _), (down, _) = censored(z + h, side), censored(z - h, side)
    r, slope = censored(z, side)
    assert np.isfinite([r, slope]).all()
    # Per unit of the prediction, which moves z by side/sd.
    assert slope == pytest.approx((up - down) / (2 * h) * side / 0.25, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("z", [-1e3, -40.0, 40.0, 1e3, 1e8])
def test_beyond_the_tail_nothing_breaks(z):
    assert np.isfinite(censored(z)).all()


# --- expected information ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "df"), [("normal", 4.0), ("log-normal", 4.0), ("student-t", 3.0), ("student-t", 10.0)]
)
def test_expected_information_is_the_mean_squared_score(kind, df):
    prediction, sd, h = 1.7, 0.2, 1e-5
    about_prediction, about_sd = expected_information(Noise(kind, df=df), np.array([prediction]), np.array([sd]))

    def score_squared(value, which):
        moved = {"prediction": (h, 1.0), "sd": (0.0, np.exp(h))}[which]
        up = log_density(kind, value, prediction + moved[0], sd * moved[1], df)
        down = log_density(kind, value, prediction - moved[0], sd / moved[1], df)
        return ((up - down) / (2 * h)) ** 2 * np.exp(log_density(kind, value, prediction, sd, df))

    low, high = (1e-6, 10.0) if kind == "log-normal" else (-200.0, 200.0)
    for which, expected in (("prediction", about_prediction[0]), ("sd", about_sd)):
        found, _ = integrate.quad(score_squared, low, high, args=(which,), points=[prediction], limit=500)
        assert found == pytest.approx(expected, rel=1e-4), which
