"""Noise that follows the prediction, censored wells, unknown scales and offsets: against densities written out."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy import stats

from her2pkpd.fit.censor import log_probability
from her2pkpd.fit.likelihood import Block
from her2pkpd.fit.noise import Noise
from her2pkpd.fit.nuisance import make_group

N = 8
RNG = np.random.default_rng(2)
PREDICTION = RNG.uniform(0.2, 1.0, N)
VALUE = PREDICTION * (1 + 0.2 * RNG.standard_normal(N))
SIDE = np.array([0, 0, 0, 0, 0, 1, -1, 2])
UPPER = np.where(SIDE == 2, VALUE + 0.1, np.nan)
U = np.array([0.3, -2.0, -1.5])
SLOPES = RNG.standard_normal((N, 1))


def block(noise, *, side=SIDE, groups=()):
    columns = {level: 1 + k for k, level in enumerate(noise.levels)}
    return Block("viability", noise, np.arange(N), VALUE, UPPER, side, np.full(N, np.nan), groups, columns)


def at(own, u):
    """Residuals and Jacobian where the first unknown moves all predictions along SLOPES."""
    prediction = PREDICTION + SLOPES[:, 0] * (u[0] - U[0])
    jacobian = np.concatenate([SLOPES, np.zeros((N, 2))], axis=1)
    r, slope = own.rows(u[None], prediction[None], jacobian[None])
    return r[0], slope[0], prediction


def log_density(noise, prediction, u):
    """Of all wells, by scipy.stats."""
    levels = dict(zip(noise.levels, np.exp(u[1:]), strict=False))
    sigma = np.sqrt(levels.get("sd", 0.0) ** 2 + (levels.get("cv", 0.0) * prediction) ** 2)
    total = 0.0
    for y, top, f, s, side in zip(VALUE, UPPER, prediction, sigma, SIDE, strict=True):
        law = {
            "log-normal": stats.lognorm(s, scale=f), "student-t": stats.t(noise.df, f, s),
        }.get(noise.kind, stats.norm(f, s))  # fmt: skip
        if side == 2:
            total += np.log(law.cdf(top) - law.cdf(y))
        else:
            total += {0: law.logpdf, 1: law.logsf, -1: law.logcdf}[int(side)](y)
    return float(total)


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t", "proportional", "combined"])
def test_every_noise_is_a_likelihood_censored_wells_included(kind):
    noise = Noise(kind)
    own, other = block(noise), U + np.array([0.03, 0.2, -0.3])
    found = np.sum(at(own, other)[0] ** 2) - np.sum(at(own, U)[0] ** 2)
    expected = -2 * (log_density(noise, at(own, other)[2], other) - log_density(noise, PREDICTION, U))
    assert found == pytest.approx(expected, rel=1e-6)
    pointwise = own.log_likelihood(U[None], PREDICTION[None]).sum()
    assert pointwise == pytest.approx(log_density(noise, PREDICTION, U), rel=1e-6)


@pytest.mark.parametrize("kind", ["normal", "log-normal", "student-t", "proportional", "combined"])
def test_slopes_are_those_of_the_residuals(kind):
    own, h = block(Noise(kind)), 1e-6
    _, slope, _ = at(own, U)
    for k in range(1 + len(own.columns)):
        step = h * np.eye(3)[k]
        expected = (at(own, U + step)[0] - at(own, U - step)[0]) / (2 * h)
        np.testing.assert_allclose(slope[:, k], expected, rtol=1e-5, atol=1e-6)


GROUPED = [
    Noise("normal", scale="plate"), Noise("normal", scale="plate", scale_spread=0.1), Noise("normal", offset="plate"),
    Noise("normal", scale="plate", offset="plate", scale_spread=0.3, offset_sd=0.2),
    Noise("log-normal", scale="plate"), Noise("log-normal", scale="plate", scale_spread=1.3),
]  # fmt: skip


def groups(noise):
    halves = (np.arange(N // 2), np.arange(N // 2, N))
    return [
        make_group(
            wells, VALUE[wells], log=noise.kind == "log-normal", scale=bool(noise.scale), offset=bool(noise.offset),
            scale_spread=noise.scale_spread, offset_sd=noise.offset_sd,
        )
        for wells in halves
    ]  # fmt: skip


def covariances(noise, prediction, sd):
    """Mean and covariance of each half's values (of their logs), effects integrated out."""
    for group in groups(noise):
        f, one = prediction[group.wells], np.ones(N // 2)
        own = sd**2 * np.eye(N // 2)
        if group.log:
            yield group.wells, np.log(VALUE[group.wells]), np.log(f), own + group.scale**2 * np.outer(one, one)
            continue
        mean = f * (group.centre if group.scale is not None else 1.0)
        own += 0.0 if group.scale is None else group.scale**2 * np.outer(f, f)
        own += 0.0 if group.offset is None else group.offset**2 * np.outer(one, one)
        yield group.wells, VALUE[group.wells], mean, own


@pytest.mark.parametrize("noise", GROUPED, ids=str)
def test_scales_and_offsets_are_integrated_out_exactly(noise):
    own = block(noise, side=np.zeros(N, dtype=int), groups=groups(noise))

    def exact(u):
        prediction, sd = at(own, u)[2], np.exp(u[1])
        parts = covariances(noise, prediction, sd)
        return sum(stats.multivariate_normal(m, c).logpdf(y) for _, y, m, c in parts)

    other = U + np.array([0.05, 0.3, 0.0])
    found = np.sum(at(own, other)[0] ** 2) - np.sum(at(own, U)[0] ** 2)
    assert found == pytest.approx(-2 * (exact(other) - exact(U)), rel=1e-6, abs=1e-6)
    _, slope, _ = at(own, U)
    h = 1e-6
    for k in (0, 1):
        step = h * np.eye(3)[k]
        expected = (at(own, U + step)[0] - at(own, U - step)[0]) / (2 * h)
        np.testing.assert_allclose(slope[:, k], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("noise", GROUPED, ids=str)
def test_a_well_of_a_group_is_left_out_given_the_others(noise):
    own = block(noise, side=np.zeros(N, dtype=int), groups=groups(noise))
    found = own.log_likelihood(U[None], PREDICTION[None])[0]
    for wells, y, mean, cov in covariances(noise, PREDICTION, np.exp(U[1])):
        rest = np.arange(1, N // 2)
        weight = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, 0])
        centre, variance = mean[0] + weight @ (y - mean)[rest], cov[0, 0] - weight @ cov[rest, 0]
        expected = stats.norm.logpdf(y[0], centre, np.sqrt(variance)) - (y[0] if noise.kind == "log-normal" else 0.0)
        assert found[wells[0]] == pytest.approx(expected, rel=1e-4)


def test_known_standard_deviations_of_wells_replace_the_level():
    own = replace(block(Noise("combined")), known_sd=np.where(np.arange(N) < 3, 0.05, np.nan))
    spread = own.spread(U[None], PREDICTION[None])
    np.testing.assert_allclose(spread.sigma[0, :3], 0.05, rtol=1e-6)
    assert (spread.sigma[0, 3:] > 0.1).all()


# --- censoring, far out --------------------------------------------------------------------------------------


def exact_log_probability(a, b):
    """log P and slopes in 60 digits."""
    with mpmath.workdps(60):
        below = lambda x: mpmath.mpf(0) if x == -np.inf else mpmath.erfc(-mpmath.mpf(x) / mpmath.sqrt(2)) / 2  # noqa: E731
        bell = lambda x: mpmath.mpf(0) if np.isinf(x) else mpmath.npdf(mpmath.mpf(x))  # noqa: E731
        p = below(b) - below(a) if a <= -b else below(-a) - below(-b)
        rest = below(a) + below(-b)
        log_p = -rest if rest < 1e-30 else mpmath.log(p)
        return float(log_p), float(-bell(a) / p), float(bell(b) / p)


Z = np.array([-200.0, -60.0, -38.0, -9.0, -1.0, 0.0, 0.5, 4.0, 37.0, 80.0, 200.0])


@pytest.mark.parametrize("width", [np.inf, 1e-3, 0.3, 4.0])
def test_log_probability_and_slopes_hold_to_200_standard_deviations(width):
    limits = [(z, z + width) for z in Z] + ([(-np.inf, z) for z in Z] if width == np.inf else [])
    for a, b in limits:
        found = [float(x) for x in log_probability(np.array(a), np.array(b))]
        np.testing.assert_allclose(found, exact_log_probability(a, b), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("df", [2.0, 5.0])
def test_student_t_limits(df):
    for a, b in ((-1.0, 2.0), (-np.inf, -30.0), (30.0, np.inf), (40.0, 41.0), (-200.0, np.inf)):
        log_p, by_a, by_b = (float(x) for x in log_probability(np.array(a), np.array(b), df))
        p = stats.t.cdf(-a, df) - stats.t.cdf(-b, df) if a > 0 else stats.t.cdf(b, df) - stats.t.cdf(a, df)
        assert log_p == pytest.approx(np.log(p), rel=1e-9)
        assert by_a == pytest.approx(-stats.t.pdf(a, df) / p, rel=1e-9)
        assert by_b == pytest.approx(stats.t.pdf(b, df) / p, rel=1e-9)
