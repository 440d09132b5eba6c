"""The bulk formula: worked values, exact inverses, intervals; and the origin of overexpression."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from her2pkpd.assays.copy_number import (
    QUANTITIES,
    Bulk,
    UndeterminedError,
    log2_ratio,
    mean_copies,
    observed,
    solve,
    solve_interval,
    tumour_copies,
)
from her2pkpd.assays.exact import exact
from her2pkpd.assays.origin import overexpression_origin

WORKED = [
    ("1 1 20 2", "20"), (".7 1 20 2", "14.6"), (".4 1 20 2", "9.2"), (".2 1 20 2", "5.6"), (".4 .3 20 2", "4.16"),
    (".3 .1 20 2", "2.54"), (".6 .5 8 2", "3.8"), (".5 1 6 2", "4.0"), (".4 .3 20 3", "4.44"),
]  # fmt: skip
FRACTIONS = st.fractions(0, 1, max_denominator=100)
COPIES = st.fractions(0, 60, max_denominator=10)


@pytest.mark.parametrize(("given_values", "copies"), WORKED)
def test_worked_values_are_exact(given_values, copies):
    assert observed(*(exact(v) for v in given_values.split())) == exact(copies)


@pytest.mark.parametrize(
    ("amplified", "at_4", "at_6"), [(6, 0.5, 1.0), (8, 0.33, 0.67), (10, 0.25, 0.5), (20, 0.11, 0.22)]
)
def test_purity_at_the_thresholds(amplified, at_4, at_6):
    for cn, purity in ((4, at_4), (6, at_6)):
        _, bulk = solve(Bulk(None, Fraction(1), Fraction(amplified), Fraction(2), Fraction(cn)))
        assert round(float(bulk.purity), 2) == purity


@given(FRACTIONS, FRACTIONS, COPIES, COPIES, st.sampled_from(QUANTITIES))
def test_the_inverse_recovers_the_truth(p, f, a, u, name):
    truth = Bulk(p, f, a, u, observed(p, f, a, u))
    degenerate = {
        "purity": mean_copies(f, a, u) == 2,
        "fraction_amplified": p == 0 or a == u,
        "cn_amplified": p == 0 or f == 0,
        "cn_unamplified": p == 0 or f == 1,
        "cn_observed": False,
    }
    asked = replace(truth, **{name: None})
    if degenerate[name]:
        with pytest.raises(UndeterminedError, match="not determined"):
            solve(asked)
    else:
        assert solve(asked) == (name, truth)


@given(FRACTIONS, FRACTIONS, FRACTIONS, COPIES, COPIES)
def test_monotone_in_copies_purity_and_fraction(p, f, g, a, b):
    low, high = sorted((a, b))
    assert observed(p, f, low) <= observed(p, f, high)
    assume(high >= 2)
    f, g = sorted((f, g))
    assert observed(p, f, high) <= observed(p, g, high)
    assert observed(f, p, high) <= observed(g, p, high)


def test_impossible_and_unasked():
    with pytest.raises(UndeterminedError, match="no purity between 0 and 1"):
        solve(Bulk(None, Fraction(1), Fraction(6), Fraction(2), Fraction(20)))
    with pytest.raises(UndeterminedError, match="missing here: none"):
        solve(Bulk(*map(Fraction, (1, 1, 2, 2, 2))))
    with pytest.raises(UndeterminedError, match="exactly one"):
        solve(Bulk())


def test_ratio_and_ploidy_undo_each_other():
    for purity, ploidy, copies in ((0.3, 2.0, 9.0), (0.7, 3.4, 12.0), (1.0, 4.0, 4.0)):
        cn = purity * copies + (1 - purity) * 2
        ratio = 2 ** log2_ratio(cn, purity=purity, ploidy=ploidy)
        assert tumour_copies(ratio, purity=purity, ploidy=ploidy) == pytest.approx(copies, rel=1e-12)
    assert log2_ratio(4.0) == 1.0
    assert log2_ratio(0.0) == -math.inf


def test_interval_of_one_error_is_the_transformed_interval():
    bulk = Bulk(Fraction("0.5"), None, Fraction(20), Fraction(2), Fraction(8))
    low, high, possible = solve_interval(bulk, {"cn_observed": 0.5}, draws=200_000)
    exact_ends = [((8 + z * 0.5 - 1) / 0.5 - 2) / 18 for z in (-1.959964, 1.959964)]
    assert (low, high) == pytest.approx(exact_ends, rel=5e-3)
    assert possible > 0.999


def test_intervals_hold_the_truth():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        cn, p = 0.6 * (0.4 * 15 + 0.6 * 2) + 0.8 + 0.3 * rng.standard_normal(), 0.6 + 0.05 * rng.standard_normal()
        bulk = Bulk(exact(p), None, Fraction(15), Fraction(2), exact(cn))
        low, high, _ = solve_interval(bulk, {"cn_observed": 0.3, "purity": 0.05}, draws=2000)
        hits += low <= 0.4 <= high
    assert abs(hits / 300 - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 300)


def test_origin_of_overexpression():
    assert overexpression_origin(18, {"ERBB2": 20, "GRB7": 12, "STARD3": 9}).call == "amplification"
    assert overexpression_origin(2.1, {"ERBB2": 9, "GRB7": 1.1}).call == "transcriptional up-regulation"
    assert overexpression_origin(18, {"ERBB2": 1.2, "GRB7": 1.0}).call == "not overexpressed"
    assert overexpression_origin(12, {"ERBB2": 9, "GRB7": 1.0}).call == "unclear"
    with pytest.raises(ValueError, match="needed"):
        overexpression_origin(2, {"ERBB2": 3})
