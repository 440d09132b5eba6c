"""The compiled least squares against SciPy, at bounds, and lane by lane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares

from her2pkpd.engine.descent import Descent, observations
from her2pkpd.model.trace import trace

TIMES = np.linspace(0.0, 5.0, 12)


def decay(x, u):
    return u[0] + u[1] * jnp.exp(-jnp.exp(u[2]) * x[0])


def with_slope(function, n_inputs, p):
    def outputs(*z):
        x, u = list(z[:n_inputs]), list(z[n_inputs:])
        return [function(x, u), *jax.grad(lambda v: jnp.asarray(function(x, v)))(u)]

    return trace(outputs, n_inputs + p)


PROBLEM = Descent(with_slope(decay, 1, 3), 1)


def lanes(n, seed=0):
    """Data of n decays with noise, and what made them."""
    rng = np.random.default_rng(seed)
    truth = np.column_stack([rng.uniform(-1, 1, n), rng.uniform(0.5, 3, n), rng.normal(0, 0.5, n)])
    clean = truth[:, :1] + truth[:, 1:2] * np.exp(-np.exp(truth[:, 2:]) * TIMES)
    seen = clean + 0.05 * rng.normal(size=clean.shape)
    weight = rng.uniform(0.5, 2.0, clean.shape)
    inputs = np.broadcast_to(TIMES[:, None], (n, len(TIMES), 1))
    return inputs, seen, weight


def by_scipy(seen, weight, low, high):
    def residual(u):
        return (u[0] + u[1] * np.exp(-np.exp(u[2]) * TIMES) - seen) * weight

    return least_squares(residual, np.clip([0.0, 1.0, 0.0], low, high), bounds=(low, high), xtol=1e-14, ftol=1e-14)


@pytest.mark.parametrize("low", [[-3.0, 0.0, -3.0], [0.2, 0.0, -3.0]], ids=["inside", "on a bound"])
def test_the_minimum_is_scipy_s(low):
    inputs, seen, weight = lanes(11)
    high = np.array([3.0, 5.0, 3.0])
    data = observations(inputs, seen, weight)
    found = PROBLEM.minimise(data, np.tile([0.0, 1.0, 0.0], (11, 1)), (np.array(low), high))
    assert found.converged.all()
    for lane in range(11):
        other = by_scipy(seen[lane], weight[lane], low, high)
        assert found.cost[lane] == pytest.approx(2 * other.cost, rel=1e-8)
        assert np.allclose(found.u[lane], other.x, atol=1e-4)


def test_a_lane_does_not_know_its_neighbours():
    inputs, seen, weight = lanes(21)
    limits = (np.array([-3.0, 0.0, -3.0]), np.array([3.0, 5.0, 3.0]))
    data, start = observations(inputs, seen, weight), np.tile([0.0, 1.0, 0.0], (21, 1))
    together = PROBLEM.minimise(data, start, limits)
    for lane in (0, 7, 20):
        alone = PROBLEM.minimise(data[[lane]], start[[lane]], limits)
        assert np.array_equal(alone.u[0], together.u[lane])
        assert alone.cost[0] == together.cost[lane]


def test_a_start_that_is_not_finite_says_so_and_spares_the_others():
    inputs, seen, weight = lanes(3)
    seen[1, 4] = np.nan
    limits = (np.full(3, -5.0), np.full(3, 5.0))
    found = PROBLEM.minimise(observations(inputs, seen, weight), np.tile([0.0, 1.0, 0.0], (3, 1)), limits)
    assert np.isfinite(found.cost).tolist() == [True, False, True]


def test_rows_without_weight_are_not_there():
    inputs, seen, weight = lanes(2)
    limits = (np.full(3, -5.0), np.full(3, 5.0))
    start = np.tile([0.0, 1.0, 0.0], (2, 1))
    data = observations(inputs, seen, weight)
    more = np.concatenate([data, np.zeros((2, 5, 3))], axis=1)
    assert np.allclose(PROBLEM.minimise(more, start, limits).u, PROBLEM.minimise(data, start, limits).u, atol=1e-9)


def test_a_condition_holds_a_lane():
    own = with_slope(lambda x, u: 1e4 * (u[1] - x[0]), 1, 3)
    problem = Descent(PROBLEM.rows, 1, own, 1)
    inputs, seen, weight = lanes(4)
    target = np.array([[0.7], [1.1], [1.5], [2.0]])
    limits = (np.full(3, -5.0), np.full(3, 5.0))
    start = np.tile([0.0, 1.0, 0.0], (4, 1))
    found = problem.minimise(observations(inputs, seen, weight), start, limits, own=target)
    assert np.allclose(found.u[:, 1], target[:, 0], atol=1e-5)
    # What is left is the minimum over the other two.
    for lane in range(4):

        def residual(v, lane=lane):
            return (v[0] + target[lane, 0] * np.exp(-np.exp(v[1]) * TIMES) - seen[lane]) * weight[lane]

        best = 2 * least_squares(residual, [0.0, 0.0], xtol=1e-14, ftol=1e-14).cost
        assert found.cost[lane] == pytest.approx(best, rel=1e-4)


def test_no_lanes_no_work():
    found = PROBLEM.minimise(np.zeros((0, 4, 3)), np.zeros((0, 3)), (np.full(3, -1.0), np.full(3, 1.0)))
    assert found.u.shape == (0, 3)
