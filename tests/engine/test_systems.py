"""The corpus itself: its flows against textbook sums of exponentials, its classics against printed end points."""

import numpy as np
import pytest

from her2pkpd.model.tape import evaluate
from tests.engine.systems import HARD, LINEAR
from tests.engine.systems.linear import LINKS, ONE, THREE, TWO
from tests.engine.systems.runs import EXACT


def disposition(values: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Exponents and coefficients of the central concentration after a unit bolus (Gibaldi & Perrier, appendix B)."""
    v = list(values.values())
    k10, k1 = v[0] / v[1], [(v[i] / v[1], v[i] / v[i + 1]) for i in range(2, len(v), 2)]
    back = [b for _, b in k1]
    polynomial = np.poly1d([1.0, k10 + sum(a for a, _ in k1)]) * np.poly1d(np.poly([-b for b in back]))
    for i, (out, b) in enumerate(k1):
        others = np.poly([-x for j, x in enumerate(back) if j != i])
        polynomial = polynomial - out * b * np.poly1d(others)
    rates = -np.roots(polynomial).real
    return rates, np.array([np.prod(back - r) / np.prod(np.delete(rates, i) - r) for i, r in enumerate(rates)])


@pytest.mark.parametrize(
    ("name", "values"), [("one compartment", ONE), ("two compartments", TWO), ("three compartments", THREE)]
)
def test_linear_flow_is_the_textbook_sum_of_exponentials(name, values):
    system, t, rate, length = LINEAR[name], 7.0, 3.0, 2.0
    n, p = system.model.n_species, np.array(list(values.values()))
    rates, coefficients = disposition(values)
    none = np.zeros(n)
    bolus = system.flow(p, np.eye(n)[0], none, t)
    assert bolus[0] == pytest.approx(coefficients @ np.exp(-rates * t), rel=1e-12)
    during = system.flow(p, none, rate * np.eye(n)[0], length)
    after = system.flow(p, during, none, t - length)
    share = (np.exp(rates * length) - 1) / rates * np.exp(-rates * t)
    assert after[0] == pytest.approx(rate * coefficients @ share, rel=1e-12)


def test_chain_flow_is_the_poisson_distribution():
    k, t = 0.7, 4.0
    y = LINEAR["chain"].flow(np.array([k, 1.0]), np.eye(LINKS)[0], np.zeros(LINKS), t)
    factorial = np.cumprod([1, *range(1, LINKS)])
    np.testing.assert_allclose(y, np.exp(-k * t) * (k * t) ** np.arange(LINKS) / factorial, rtol=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_flow_satisfies_the_equations_of_the_model(name):
    system = EXACT[name]
    p = system.model.default_parameters()
    y = system.initial(p) + 0.37
    h = 1e-4 * system.span
    ends = [system.flow(p, y, np.zeros(len(y)), s * h) for s in (-2, -1, 1, 2)]
    slope = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
    model = np.array(evaluate(system.model.flux_tape, [*y, *p]))
    np.testing.assert_allclose(slope, model, rtol=1e-8, atol=1e-8 * np.abs(model).max())


@pytest.mark.parametrize("name", HARD)
def test_classic_is_written_the_same_way_twice(name):
    system = HARD[name]
    for y in np.random.default_rng(1).uniform(0.01, 2.0, (5, system.model.n_species)):
        model = np.array(evaluate(system.model.flux_tape, [*y, *system.model.default_parameters()]))
        np.testing.assert_allclose(model, system.rhs(y), rtol=1e-12)


@pytest.mark.parametrize("name", HARD)
def test_classic_ends_where_the_literature_says(name):
    system = HARD[name]
    for state, value in system.published:
        assert system.reference[-1, state] == pytest.approx(value, rel=system.digits)
