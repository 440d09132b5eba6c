"""Scales: there and back, and slopes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.fit.transform import Transform

SCALES = [
    Transform("log", 1e-3, 1e3),
    Transform("logit", 0.0, 1.0),
    Transform("logit", -2.0, 5.0),
    Transform("linear", -1.0, 4.0),
]
each = st.sampled_from(SCALES)


@given(each, st.floats(0.001, 0.999))
def test_there_and_back(transform, part):
    value = transform.lower + part * (transform.upper - transform.lower)
    assert transform.backward(transform.forward(value)) == pytest.approx(value, rel=1e-10)


@given(each, st.floats(-6.0, 6.0))
def test_the_slope_is_the_derivative(transform, u):
    h = 1e-6
    expected = (transform.backward(u + h) - transform.backward(u - h)) / (2 * h)
    assert transform.slope(u) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("transform", SCALES)
def test_bounds_of_the_coordinate_are_bounds_of_the_value(transform):
    low, high = transform.backward(np.array(transform.box()))
    width = transform.upper - transform.lower
    assert low == pytest.approx(transform.lower, abs=1e-6 * width)
    assert high == pytest.approx(transform.upper, abs=1e-6 * width)
    inner, outer = transform.start_box(), transform.box()
    assert outer[0] <= inner[0] < inner[1] <= outer[1]


@pytest.mark.parametrize("transform", SCALES)
@pytest.mark.parametrize("u", [-1e5, -800.0, 800.0, 1e5])
def test_any_coordinate_has_a_finite_value_and_slope(transform, u):
    with np.errstate(over="raise"):
        assert np.isfinite(transform.backward(u))
        assert np.isfinite(transform.slope(u))


def test_a_value_on_the_edge_of_a_logit_scale_stays_finite():
    t = Transform("logit", 0.0, 1.0)
    assert np.isfinite(t.forward(np.array([0.0, 1.0]))).all()
