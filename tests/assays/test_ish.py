"""Every count gets exactly one call; both sides of every threshold; editions; counts and their intervals."""

from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.assays.counts import (
    Nuclei,
    copies_interval,
    group_probabilities,
    heterogeneity,
    nuclei,
    ratio_interval,
)
from her2pkpd.assays.exact import exact, shown
from her2pkpd.assays.ish import Signals, dual_probe, ish_group, single_probe, with_second_population
from her2pkpd.errors import InputError

JUST = Fraction(1, 10**15)
RATIOS = [Fraction(0), Fraction("1.8") - JUST, Fraction("1.8"), 2 - JUST, Fraction(2), Fraction("2.2"),
          Fraction("2.2") + JUST, Fraction(9)]  # fmt: skip
COPIES = [Fraction(0), 4 - JUST, Fraction(4), 6 - JUST, Fraction(6), 6 + JUST, Fraction(30)]
IHC = ("", "0", "1+", "0/1+", "2+", "3+")
CALLS = {
    "positive", "negative", "negative with comment", "equivocal", "adjudicate", "needs recount",
    "perform dual-probe ISH", "perform IHC",
}  # fmt: skip


def group_by_hand(ratio, copies):
    if ratio >= 2:
        return 1 if copies >= 4 else 2
    return 3 if copies >= 6 else 4 if copies >= 4 else 5


def call_by_hand_2018(group, ihc, recounted):
    """The figures of the guideline, branch by branch."""
    if group in (1, 5):
        return "positive" if group == 1 else "negative"
    if ihc == "2+":
        if recounted is None or recounted != group:
            return "needs recount" if recounted is None else "adjudicate"
        return "positive" if group == 3 else "negative with comment"
    return {"": "perform IHC", "3+": "positive"}.get(ihc, "negative with comment")


def test_the_whole_dual_probe_table_of_2018():
    recounts = [None, *(Signals(Fraction(c), Fraction(r)) for r, c in ((3, 9), (3, 1), (1, 9), (1, 5), (1, 1)))]
    groups = [None, 1, 2, 3, 4, 5]
    seen = set()
    for ratio, copies, ihc, k in product(RATIOS, COPIES, IHC, range(6)):
        call = dual_probe(Signals(copies, ratio), ihc=ihc, recount=recounts[k])
        assert call.group == group_by_hand(ratio, copies)
        assert call.call == call_by_hand_2018(call.group, ihc, groups[k])
        assert call.call in CALLS
        assert f"group {call.group}" in call.reason
        seen.add(call.call)
    assert seen == CALLS - {"equivocal", "perform dual-probe ISH"}


def test_the_whole_dual_probe_table_of_2013_and_2007():
    for ratio, copies, ihc in product(RATIOS, COPIES, IHC):
        new = dual_probe(Signals(copies, ratio), ihc=ihc, rules="2013").call
        assert new == ("positive" if ratio >= 2 or copies >= 6 else "equivocal" if copies >= 4 else "negative")
        old = dual_probe(Signals(copies, ratio), ihc=ihc, rules="2007").call
        assert old == (
            "positive" if ratio > Fraction("2.2") else "equivocal" if ratio >= Fraction("1.8") else "negative"
        )


def test_the_whole_single_probe_table():
    for copies, ihc, group in product(COPIES, IHC, (None, 1, 2, 3, 4, 5)):
        call = single_probe(copies, ihc=ihc, dual_group=group).call
        assert call in CALLS
        if copies >= 6:
            assert call == "positive"
        elif copies < 4:
            assert call == "negative"
        elif ihc == "3+" or group == 1:
            assert call == "positive"
        elif group == 5:
            assert call == "negative"
        elif group is None:
            assert call == ("negative" if ihc in ("0", "1+", "0/1+") else "perform dual-probe ISH")
        else:
            assert call == call_by_hand_2018(group, ihc, None)
        older = single_probe(copies, ihc=ihc, rules="2013").call
        assert older == ("positive" if copies >= 6 else "equivocal" if copies >= 4 else "negative")
        oldest = single_probe(copies, ihc=ihc, rules="2007").call
        assert oldest == ("positive" if copies > 6 else "equivocal" if copies >= 4 else "negative")


def test_nothing_is_rounded():
    assert ish_group(exact("1.995"), exact("6.0")) == 3
    assert ish_group(exact(1.9999999999999998), exact(4)) == 5 - 1
    assert exact("1.99999999999999999999") < 2 == exact(2.0)
    assert shown(exact("1.99999999")) == "1.9999..."
    assert exact(np.float64(2.2)) == Fraction(11, 5)
    assert exact(0.1) + exact(0.2) == exact(0.3)
    for bad in ("x", "nan", "inf", True, None, "1e999", "1" * 80):
        with pytest.raises(ValueError, match="number"):
            exact(bad)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=20, max_size=60))
def test_means_of_counts_are_exact(pairs):
    her2, cep17 = zip(*pairs, strict=True)
    if sum(cep17) == 0:
        with pytest.raises(InputError, match="no CEP17"):
            nuclei(her2, cep17)
        return
    seen = nuclei(her2, cep17).signals
    assert seen.copies == Fraction(sum(her2), len(pairs))
    assert seen.ratio == Fraction(sum(her2), sum(cep17))
    assert (seen.ratio >= 2) == (sum(her2) >= 2 * sum(cep17))


@pytest.mark.parametrize(
    ("her2", "cep17", "rule"),
    [
        ([2] * 19, [2] * 19, "at least 20 nuclei"),
        ([2] * 20, [0] * 20, "no CEP17 signal"),
        ([2.5] * 20, [2] * 20, "whole numbers"),
        ([-1] * 20, [2] * 20, "whole numbers"),
        ([2] * 20, [2] * 21, "both counts"),
    ],
)
def test_bad_counts(her2, cep17, rule):
    with pytest.raises(InputError, match=rule):
        nuclei(her2, cep17)


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)
    hits = np.zeros(2)
    trials = 800
    for _ in range(trials):
        chromosomes = rng.integers(1, 4, 40)
        counted = Nuclei(rng.poisson(2.5 * chromosomes), chromosomes)
        for k, (low, high) in enumerate((copies_interval(counted), ratio_interval(counted))):
            hits[k] += low <= (5.0, 2.5)[k] <= high
    assert np.all(np.abs(hits / trials - 0.95) < 4 * np.sqrt(0.95 * 0.05 / trials))


def test_probability_of_another_group_against_simulation():
    rng = np.random.default_rng(4)
    counted = Nuclei(rng.poisson(6.0, 40), rng.poisson(3.0, 40))
    found = group_probabilities(counted, 40)
    assert sum(found.values()) == pytest.approx(1)
    data = np.stack([counted.her2, counted.cep17])
    means = rng.multivariate_normal(data.mean(axis=1), np.cov(data) * 2 / 40, size=200_000)
    groups = pd.Series([0]).reindex(range(1, 6), fill_value=0)
    h, c = means.T
    by_hand = np.where(h >= 2 * c, np.where(h >= 4, 1, 2), np.where(h >= 6, 3, np.where(h >= 4, 4, 5)))
    for group in groups.index:
        assert found[group] == pytest.approx(np.mean(by_hand == group), abs=4e-3)


def test_heterogeneity_boundaries_are_exact():
    def of(k, n=20):
        return heterogeneity(Nuclei(np.array([7] * k + [2] * (n - k)), np.full(n, 2)))

    assert [of(k).copies_heterogeneous for k in (0, 1, 9, 10)] == [False, True, True, False]
    edge = heterogeneity(Nuclei(np.full(20, 11), np.full(20, 5)))  # 11/5 is not above 2.2
    assert edge.by_ratio == 0


def test_a_second_population_counts_from_just_above_ten_percent():
    main, focus = (dual_probe(Signals(Fraction(c), Fraction(r))) for c, r in ((2, 1), (20, 9)))
    assert with_second_population(main, focus, Fraction(10)).call == "negative"
    above = with_second_population(main, focus, 10 + JUST)
    assert (above.call, above.group) == ("positive", 1)
    assert with_second_population(focus, main, Fraction(40)).call == "positive"
