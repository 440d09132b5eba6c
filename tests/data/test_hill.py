"""The Hill curve and its derivatives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.data.hill import hill, hill_jacobian, scan

DOSE = np.array([0.0, 1e-3, 0.1, 1, 7.0, 100, 1e6])
THETA = st.tuples(st.floats(-1, 2), st.floats(-1, 2), st.floats(-3, 3), st.floats(0.1, 8))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(THETA)
def test_the_curve_is_the_fraction_it_is_named_after(theta):
    bottom, top, mid, slope = theta
    direct = bottom + (top - bottom) / (1 + (DOSE / 10**mid) ** slope)
    assert hill(DOSE, *theta) == pytest.approx(direct, abs=1e-12)
    assert hill(np.array([10.0**mid]), *theta)[0] == pytest.approx((bottom + top) / 2)


def test_extreme_doses_stay_finite():
    assert hill(np.array([0.0, 1e300, 1e-300]), 0.2, 1.0, 0.0, 10.0).tolist() == [1.0, 0.2, 1.0]
    assert np.isfinite(hill_jacobian(np.array([0.0, 1e300, 1e-300]), 0.2, 1.0, 0.0, 10.0)).all()


@settings(max_examples=50, deadline=None, derandomize=True)
@given(THETA)
def test_derivatives_are_those_of_the_curve(theta):
    analytic = hill_jacobian(DOSE, *theta)
    for k in range(4):
        step = np.zeros(4)
        step[k] = 1e-6
        numeric = (hill(DOSE, *(np.array(theta) + step)) - hill(DOSE, *(np.array(theta) - step))) / 2e-6
        assert analytic[:, k] == pytest.approx(numeric, abs=2e-8)


@pytest.mark.parametrize("top", [None, 1.0])
def test_a_grid_point_that_fits_exactly_is_found(top):
    dose = np.geomspace(1, 1000, 9)
    mids, slopes = np.linspace(0, 3, 13), np.array([0.5, 1.0, 2.0])
    found = scan(dose, hill(dose, 0.2, 1.0, 1.5, 2.0), np.ones(9), mids, slopes, top=top)
    assert len(found) == 39
    assert found[0] == pytest.approx((0.2, 1.0, 1.5, 2.0), abs=1e-6)
