"""Sampling against worked values, exact sums and simulated tumours."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.assays.sampling import (
    Biopsy,
    at_least,
    cells_needed,
    cores_needed,
    missed,
    no_amplified_cell,
    positive_core,
    standard_error,
)
from her2pkpd.assays.spatial import Core, core_icc, disc, missed_by_cores, patches, take_cores

TWENTY = Fraction(20)


@pytest.mark.parametrize(
    ("f", "p", "digits"), [(".05", 0.003, 3), (".1", 0.043, 3), (".2", 0.37, 2), (".3", 0.76, 2), (".5", 0.994, 3)]
)
def test_worked_values_of_a_mosaic(f, p, digits):
    biopsy = Biopsy(Fraction(f), amplified=TWENTY)
    assert cells_needed(20, TWENTY) == 5
    assert round(positive_core(biopsy), digits) == p
    assert no_amplified_cell(biopsy) == pytest.approx((1 - float(Fraction(f))) ** 20, rel=1e-12)


@pytest.mark.parametrize(
    ("icc", "positive", "none", "digits"),
    [(0.01, 0.74, 0.002, 3), (0.1, 0.62, 0.027, 3), (0.5, 0.44, 0.31, 2), (0.9, 0.33, 0.625, 3)],
)
def test_worked_values_of_a_focus(icc, positive, none, digits):
    biopsy = Biopsy(Fraction("0.3"), icc, amplified=TWENTY)
    assert round(positive_core(biopsy), 2) == positive
    assert round(no_amplified_cell(biopsy), digits) == none


def test_worked_values_of_cores():
    found = [missed(Biopsy(Fraction("0.2"), 1.0, None, k)) for k in (1, 2, 4, 6)]
    assert [round(p, 2) for p in found] == [0.80, 0.64, 0.41, 0.26]


def beta_binomial(k, n, a, b):
    """Probability from factorials of rationals only."""
    total = Fraction(1)
    for i in range(k):
        total *= a + i
    for i in range(n - k):
        total *= b + i
    for i in range(n):
        total /= a + b + i
    return math.comb(n, k) * total


@given(
    st.integers(1, 30),
    st.integers(0, 30),
    st.fractions("1/100", "99/100", max_denominator=100),
    st.fractions("1/50", "49/50", max_denominator=50),
)
def test_probabilities_against_exact_sums(n, k, f, icc):
    total = 1 / icc - 1
    exact_sum = sum(beta_binomial(j, n, f * total, (1 - f) * total) for j in range(k, n + 1))
    assert at_least(k, n, float(f), float(icc)) == pytest.approx(float(exact_sum), rel=1e-8, abs=1e-12)
    binomial = sum(math.comb(n, j) * f**j * (1 - f) ** (n - j) for j in range(k, n + 1))
    assert at_least(k, n, float(f)) == pytest.approx(float(binomial), rel=1e-9, abs=1e-14)


@given(st.integers(1, 200), st.fractions("61/10", 60, max_denominator=10), st.fractions(0, "59/10", max_denominator=10))
def test_cells_needed_is_the_least_number(n, a, u):
    k = cells_needed(n, a, u)
    assert k * a + (n - k) * u >= 6 * n > (k - 1) * a + (n - k + 1) * u


@given(st.fractions("1/20", "19/20", max_denominator=20), st.integers(1, 5), st.sampled_from([0.0, 0.2, 0.7, 1.0]))
def test_more_cores_and_more_amplified_cells_miss_less(f, k, icc):
    one = missed(Biopsy(f, icc, 20, k, TWENTY))
    assert missed(Biopsy(f, icc, 20, k + 1, TWENTY)) <= one
    assert missed(Biopsy(min(f + Fraction(1, 20), Fraction(1)), icc, 20, k, TWENTY)) <= one + 1e-12
    needed = cores_needed(Biopsy(f, icc, 20, 1, TWENTY))
    if needed is not None:
        assert missed(Biopsy(f, icc, 20, needed, TWENTY)) <= 0.05 + 1e-12
        assert needed == 1 or missed(Biopsy(f, icc, 20, needed - 1, TWENTY)) > 0.05


def test_a_mosaic_map_is_binomial():
    rng = np.random.default_rng(6)
    core = Core(10, 2)
    seen = take_cores(patches(256, 0.3, 0.0, rng), core, 1, 40_000, rng)
    assert seen.mean() == pytest.approx(0.3, abs=0.003)
    assert seen.std() == pytest.approx(standard_error(Biopsy(Fraction("0.3"), 0.0, 20)), rel=0.03)
    assert (seen >= 0.25).mean() == pytest.approx(at_least(5, 20, 0.3), abs=0.015)


def test_a_focus_and_small_cores_miss_as_one_cell_would():
    rng = np.random.default_rng(7)
    focus = disc(256, 0.2)
    assert focus.mean() == pytest.approx(0.2, abs=1e-4)
    for k in (1, 2, 4):
        assert missed_by_cores(focus, Core(1, 1), k, rng, trials=40_000) == pytest.approx(0.8**k, abs=0.01)


def test_longer_patches_are_more_alike_and_missed_more_often():
    rng = np.random.default_rng(8)
    maps = [patches(256, 0.2, length, rng) for length in (0, 3, 12, 40)]
    iccs = [core_icc(m, Core(40, 3), rng) for m in maps]
    misses = [missed_by_cores(m, Core(40, 3), 2, rng) for m in maps]
    assert iccs == sorted(iccs)
    assert abs(iccs[0]) < 0.01
    assert misses == sorted(misses)
    longer = missed_by_cores(maps[2], Core(120, 3), 2, rng)
    assert longer < misses[2]


def test_icc_of_a_map_gives_its_cores_their_variance():
    rng = np.random.default_rng(9)
    tumour = patches(256, 0.3, 8.0, rng)
    core = Core(30, 2)
    icc = core_icc(tumour, core, rng)
    seen = take_cores(tumour, core, 1, 40_000, rng)
    assert seen.std() == pytest.approx(standard_error(Biopsy(Fraction("0.3"), icc, core.cells)), rel=0.03)
