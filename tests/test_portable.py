"""Functions that give the same bits everywhere: right to rounding, and equal to values kept here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from her2pkpd import portable


@given(st.floats(1e-300, 1e300))
def test_log_is_right_to_rounding(x):
    assert portable.log(x) == pytest.approx(np.log(x), rel=1e-15, abs=1e-16)


@given(st.floats(-690, 690))
def test_exp_is_right_to_rounding(x):
    assert portable.exp(x) == pytest.approx(np.exp(x), rel=4e-16)


@given(st.floats(1e-300, 1.0, exclude_max=True))
def test_normal_quantiles_are_right_to_rounding(u):
    assert portable.normal_quantile(np.array([u]))[0] == pytest.approx(special.ndtri(u), rel=2e-15, abs=1e-16)


@given(st.floats(1e-3, 1e3), st.floats(-4, 4))
def test_powers(x, exponent):
    assert portable.power(x, exponent) == pytest.approx(x**exponent, rel=1e-14)


def test_the_bits_are_those_of_every_machine():
    x = np.array([0.1, 0.7, 2.5, 31.0])
    assert [v.hex() for v in portable.exp(x).tolist()] == EXP
    assert [v.hex() for v in portable.log(x).tolist()] == LOG
    assert [v.hex() for v in portable.normal_quantile(np.array([1e-9, 0.02, 0.3, 0.999])).tolist()] == QUANTILE


EXP = ["0x1.1aec7b35a00d4p+0", "0x1.01c2a61268987p+1", "0x1.85d6fd931e0bbp+3", "0x1.a6b765d8cdf6dp+44"]
LOG = ["-0x1.26bb1bbb55515p+1", "-0x1.6d3c324e13f4fp-2", "0x1.d5240f0e0e078p-1", "0x1.b78ce48912b5ap+1"]
QUANTILE = ["-0x1.7fdc11f44b5a7p+2", "-0x1.06e13e8aadfdbp+1", "-0x1.0c7e39582c5fap-1", "0x1.8b8cbb7204470p+1"]


def test_cholesky_and_its_refusal():
    rng = np.random.default_rng(1)
    root = rng.standard_normal((5, 3))
    matrix = root @ root.T  # of rank 3: two directions have no variance
    low = portable.cholesky(matrix)
    np.testing.assert_allclose(low @ low.T, matrix, atol=1e-12)
    with pytest.raises(ValueError, match="positive semidefinite"):
        portable.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_mixing_is_a_product_with_the_factor():
    rng = np.random.default_rng(2)
    root = rng.standard_normal((4, 4))
    low, z = portable.cholesky(root @ root.T), rng.standard_normal((4, 7))
    np.testing.assert_allclose(np.stack(portable.correlated(low, list(z))), low @ z, rtol=1e-13)
