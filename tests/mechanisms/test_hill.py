"""The saturating function where plain powers go wrong."""

import jax
import numpy as np
import pytest

from her2pkpd.mechanisms.hill import hill


@pytest.mark.parametrize("n", [0.5, 1.0, 2.0, 4.0])
def test_hill_is_the_textbook_function_for_positive_values(n):
    x, half = np.geomspace(1e-6, 1e6, 25), 3.0
    np.testing.assert_allclose(hill(x, half, n), x**n / (half**n + x**n), rtol=1e-12)


@pytest.mark.parametrize("n", [0.7, 1.0, 2.0, 6.0])
@pytest.mark.parametrize("x", [-1e6, -1e-15, 0.0, 1e-300, 1e-20, 1e-9, 1.0, 1e30, 1e300])
def test_value_and_derivatives_are_finite_everywhere(x, n):
    value, slopes = jax.value_and_grad(hill, argnums=(0, 1, 2))(x, 2.0, n)
    assert 0.0 <= value <= 1.0
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("x", [-5.0, -1e-12, 0.0])
def test_nothing_has_no_effect(x):
    value, slopes = jax.value_and_grad(hill, argnums=(0, 1, 2))(x, 2.0, 1.5)
    assert value == 0.0
    np.testing.assert_array_equal(slopes, 0.0)


@pytest.mark.parametrize("x", [1e-3, 1.0, 40.0])
def test_derivatives_are_those_of_the_formula(x):
    half, n = 2.0, 1.7
    f = x**n / (half**n + x**n)
    expected = [n * f * (1 - f) / x, -n * f * (1 - f) / half, f * (1 - f) * np.log(x / half)]
    slopes = jax.grad(hill, argnums=(0, 1, 2))(x, half, n)
    np.testing.assert_allclose(slopes, expected, rtol=1e-10)


def test_half_effect_at_half_and_full_effect_far_above():
    assert hill(7.0, 7.0, 3.3) == 0.5
    assert hill(1e300, 1.0, 4.0) == 1.0


def test_the_effect_taken_as_zero_is_negligible():
    # Below 1e-12 of half, even a slope of 1 leaves less than one part in 10^12.
    assert hill(1.01e-12, 1.0, 1.0) < 2e-12
