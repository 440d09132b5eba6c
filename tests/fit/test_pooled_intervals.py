"""Intervals of copies pooled with an estimated spread, against the same model written with the copies as unknowns."""

import numpy as np
import pytest
from scipy import optimize, stats

from her2pkpd.fit.intervals import curvature, laplace
from her2pkpd.fit.parameters import SPREAD_BOX, FreeParameters, Prior
from her2pkpd.fit.profile import profile, trace_profile
from tests.fit.problems import estimate
from tests.fit.test_profile import Curve, best

LINES, WELLS, SD, POOL = ("A", "B", "C", "D"), 3, 0.2, 2.0
CENTRE = (np.log(2.0), np.log(3.0))
VALUES = np.array([0.2, 0.5, 0.3, 1.1, 1.3, 0.9, 0.6, 0.4, 0.7, 1.6, 1.4, 1.8])
DESIGN = np.kron(np.eye(len(LINES)), np.ones((WELLS, 1)))


class Pooled(Curve):
    """Wells that measure the log of their own line's copy."""

    def __init__(self):
        def model(u):
            wells = np.pad(DESIGN, ((0, 0), (0, 2)))
            return wells @ self.free.coordinates(u), self.free.chain(u, wells)

        copies = {"per": ("cell_line",), "pooled": POOL, "hierarchy": True, "prior": Prior(2.0, 3.0)}
        super().__init__([estimate("x", lower=1e-4, upper=1e4, start=1.0, **copies)], VALUES, model, SD)

    def __post_init__(self):
        self.free = FreeParameters(self.estimates, [{"cell_line": x} for x in LINES])


def centred(spread):
    """Rows (matrix, right side) of the model with the copies and their centre as unknowns, at a log spread."""
    n = len(LINES)
    distance = np.column_stack([np.eye(n), -np.ones(n)]) / np.exp(spread)
    prior = np.append(np.zeros(n), 1.0)[None] / CENTRE[1]
    matrix = np.vstack([np.pad(DESIGN, ((0, 0), (0, 1))) / SD, distance, prior])
    return matrix, np.concatenate([VALUES / SD, np.zeros(n), [CENTRE[0] / CENTRE[1]]])


def of_the_spread(spread):
    """Residuals of the half-normal prior of the spread."""
    return np.array([np.exp(spread) / np.log(POOL), np.sqrt(2 * (np.log(SPREAD_BOX[1]) + 1 - spread))])


def lowest(held=None, value=0.0):
    """Lowest objective, with one copy held at a value: (objective, copies and centre, log spread)."""

    def at(spread):
        matrix, right = centred(spread)
        others = np.arange(matrix.shape[1]) != held
        theta = np.full(matrix.shape[1], value)
        theta[others] = np.linalg.lstsq(matrix[:, others], right - matrix @ np.where(others, 0.0, value), rcond=None)[0]
        return np.sum((matrix @ theta - right) ** 2) + np.sum(of_the_spread(spread) ** 2), theta

    found = optimize.minimize_scalar(lambda s: at(s)[0], bounds=(-4, 2), method="bounded", options={"xatol": 1e-10})
    return found.fun, at(found.x)[1], found.x


@pytest.fixture(scope="module")
def fitted():
    made = Pooled()
    u = best(made, np.append(np.zeros(len(LINES) + 1), np.log(0.5)))
    cost, theta, spread = lowest()
    assert made(u).cost == pytest.approx(cost, abs=1e-9)
    np.testing.assert_allclose(made.free.coordinates(u)[:-1], theta, atol=1e-5)
    assert u[-1] == pytest.approx(spread, abs=1e-5)
    return made, u


def test_laplace_intervals_are_those_of_the_copies_themselves(fitted):
    made, u = fitted
    found, unknowns = laplace(made, u)
    _, theta, spread = lowest()
    matrix, right = centred(spread)
    by_spread = np.zeros(len(matrix))
    rows = slice(len(VALUES), len(VALUES) + len(LINES))
    by_spread[rows] = -(matrix @ theta - right)[rows]
    prior = np.zeros((2, matrix.shape[1] + 1))
    h = 1e-6
    prior[:, -1] = (of_the_spread(spread + h) - of_the_spread(spread - h)) / (2 * h)
    jacobian = np.vstack([np.column_stack([matrix, by_spread]), prior])
    expected = np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(curvature(made, u).covariance, expected, rtol=1e-4, atol=1e-8)
    half = stats.norm.ppf(0.975) * np.sqrt(np.diag(expected))
    for i, x in enumerate(found[:-1]):
        assert np.log(x.estimate) == pytest.approx(theta[i], abs=1e-5)
        assert np.log([x.lower, x.upper]) == pytest.approx([theta[i] - half[i], theta[i] + half[i]], abs=1e-4)
        assert x.verdict == "determined"
    # What draws of a normal approximation need is the covariance of the unknowns.
    slopes = made.free.coordinate_slopes(u)
    np.testing.assert_allclose(slopes @ unknowns @ slopes.T, expected, rtol=1e-4, atol=1e-8)


def test_profile_intervals_are_those_of_the_copies_themselves(fitted):
    made, u = fitted
    curves = []
    found, least = profile(made, u, keep=curves.append)
    best_cost, theta, _ = lowest()
    assert least == pytest.approx(best_cost, abs=1e-6)
    threshold = stats.chi2.ppf(0.95, 1)
    for i in range(len(LINES)):
        for end, side in ((found[i].lower, -1), (found[i].upper, 1)):
            exact = optimize.brentq(
                lambda d, i=i, side=side: lowest(i, theta[i] + side * d)[0] - best_cost - threshold, 0.01, 3.0
            )
            assert np.log(end) == pytest.approx(theta[i] + side * exact, abs=0.01 * exact)
        assert found[i].kind == "profile"
        np.testing.assert_allclose(curves[i].values.min(), found[i].lower, rtol=0.02)
        for p in curves[i].points:
            assert p.cost == pytest.approx(lowest(i, p.u[i])[0], abs=1e-3)


def test_a_traced_profile_is_that_of_the_copy(fitted):
    made, u = fitted
    curve = trace_profile(made, u, 1)
    assert curve.shape == "closed"
    for p in curve.points:
        assert p.cost == pytest.approx(lowest(1, p.u[1])[0], abs=1e-3)
