import numpy as np
import pytest

from her2pkpd.engine.methods import METHODS, method
from her2pkpd.errors import InputError


def rates(y):
    """A nonlinear system whose solution is known: two Lotka-Volterra species and a forced third, autonomous."""
    a, b, c = y
    return np.array([a * (0.8 - b), b * (a - 1.1), -0.5 * c * c + np.sin(a) * b])


def slopes(y):
    a, b, c = y
    return np.array([[0.8 - b, -a, 0.0], [b, a - 1.1, 0.0], [np.cos(a) * b, np.sin(a), -c]])


def step(m, y, h):
    """One step as the tables define it: new state, error estimate, and the dense output as a function."""
    w = np.eye(len(y)) / (h * m.gamma) - slopes(y)
    u = []
    for i in range(m.stages):
        argument = y + sum((m.a_matrix[i, j] * u[j] for j in range(i)), np.zeros(len(y)))
        coupling = sum((m.c_matrix[i, j] / h * u[j] for j in range(i)), np.zeros(len(y)))
        u.append(np.linalg.solve(w, rates(argument) + coupling))
    new = y + m.b @ np.array(u)
    rows = [np.array(row) @ np.array(u) for row in m.dense]

    def inside(x):
        inner = np.zeros(len(y))
        for row in reversed(rows):
            inner = inner * x + row
        return (1 - x) * y + x * (new + (1 - x) * inner)

    return new, u[-1], inside


def reference(y, t):
    from scipy.integrate import solve_ivp

    return solve_ivp(lambda _, z: rates(z), (0, t), y, "DOP853", rtol=1e-13, atol=1e-14).y[:, -1]


START = np.array([1.3, 0.7, 0.4])


def order(errors):
    return np.log2(errors[0] / errors[1])


@pytest.mark.parametrize("name", METHODS)
def test_the_solution_converges_with_the_order_claimed(name):
    m, exact, errors = METHODS[name], reference(START, 2.0), []
    for n in (16, 32):
        y = START
        for _ in range(n):
            y = step(m, y, 2.0 / n)[0]
        errors.append(np.abs(y - exact).max())
    assert order(errors) > m.order - 0.35


@pytest.mark.parametrize("name", METHODS)
def test_the_error_estimate_shrinks_as_its_order_says(name):
    m = METHODS[name]
    errors = [np.abs(step(m, START, h)[1]).max() for h in (0.05, 0.025)]
    assert order(errors) == pytest.approx(m.error_order + 1, abs=0.5)


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].dense])
def test_dense_output_keeps_its_order_inside_a_step(name):
    m, inside = METHODS[name], np.linspace(0.1, 0.9, 5)
    errors = []
    for h in (0.1, 0.05):
        dense = step(m, START, h)[2]
        errors.append(max(np.abs(dense(x) - reference(START, x * h)).max() for x in inside))
    assert order(errors) > m.dense_order + 1 - 0.4


@pytest.mark.parametrize("name", METHODS)
def test_the_method_damps_what_is_infinitely_stiff(name):
    """L-stability: the stability function, from the tables and one scalar equation, vanishes at infinity."""
    m, z = METHODS[name], -1e12
    w, u = 1 / m.gamma - z, []
    for i in range(m.stages):
        argument = 1 + sum(m.a_matrix[i, j] * u[j] for j in range(i))
        u.append((z * argument + sum(m.c_matrix[i, j] * u[j] for j in range(i))) / w)
    assert abs(1 + m.b @ np.array(u)) < 1e-4


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(InputError, match="rodas4"):
        method("euler")
