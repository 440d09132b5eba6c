"""Every staining gets exactly one score, on the right side of every boundary, in every edition."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.assays.editions import edition
from her2pkpd.assays.ihc import COMPLETENESSES, INTENSITIES, SCORES, score_ihc, staining
from her2pkpd.errors import InputError, Problems

JUST = Fraction(1, 10**12)
EDITIONS = ("2007", "2013", "2018", "2023")


def score(intensity, completeness, percent, year="2018"):
    return score_ihc(staining(intensity, completeness, percent), edition_name=year).score


# Typed from the tables of the guidelines, not from editions.toml: (pattern, percent): scores of 2007, 2013, 2018.
TRUTH = [
    ("none none", 0, "0 0 0"),
    ("faint incomplete", JUST, "1+ 0 0"),
    ("faint incomplete", 10, "1+ 0 0"),
    ("faint incomplete", 10 + JUST, "1+ 1+ 1+"),
    ("faint incomplete", 100, "1+ 1+ 1+"),
    ("weak incomplete", 10 + JUST, "1+ 2+ 1+"),
    ("moderate incomplete", 10 + JUST, "2+ 2+ 2+"),
    ("intense incomplete", 10 + JUST, "2+ 2+ 2+"),
    ("weak complete", 10 - JUST, "1+ 1+ 1+"),
    ("weak complete", 10, "2+ 1+ 1+"),
    ("weak complete", 10 + JUST, "2+ 2+ 2+"),
    ("weak-moderate complete", 10 + JUST, "2+ 2+ 2+"),
    ("moderate complete", 100, "2+ 2+ 2+"),
    ("intense complete", JUST, "2+ 2+ 2+"),
    ("intense complete", 10, "2+ 2+ 2+"),
    ("intense complete", 10 + JUST, "2+ 3+ 3+"),
    ("intense complete", 30, "2+ 3+ 3+"),
    ("intense complete", 30 + JUST, "3+ 3+ 3+"),
]


@pytest.mark.parametrize(("pattern", "percent", "scores"), TRUTH)
def test_truth_table(pattern, percent, scores):
    found = [score(*pattern.split(), percent, year) for year in EDITIONS]
    assert found == [*scores.split(), scores.split()[-1]]


def test_every_combination_has_one_score_or_one_refusal():
    percents = [0, JUST, 5, 10, 10 + JUST, 30, 30 + JUST, 99, 100]
    scored = 0
    for year, intensity, completeness, percent in product(EDITIONS, INTENSITIES, COMPLETENESSES, percents):
        problems = Problems("case")
        seen = staining(intensity, completeness, percent, problems)
        if seen is None:
            assert len(problems.found) == 1
            assert (intensity == "none") or (completeness == "none") or percent == 0
            continue
        call = score_ihc(seen, edition_name=year)
        scored += 1
        assert call.score in SCORES
        assert call.call == {"0": "negative", "1+": "negative", "2+": "equivocal", "3+": "positive"}[call.score]
        assert call.reason
    assert scored == len(EDITIONS) * (5 * 2 * 8 + 2)


def test_patterns_of_one_specimen_add_up():
    both = [staining("intense", "complete", 6), staining("weak", "complete", 6)]
    assert score_ihc(both).score == "2+"
    assert score_ihc([staining("weak", "complete", 6), staining("faint", "incomplete", 6)]).score == "1+"
    assert score_ihc([staining("intense", "complete", 6), staining("intense", "complete", 6)]).score == "3+"


@pytest.mark.parametrize(
    ("pattern", "percent", "ish", "category"),
    [
        ("none none", 0, "", "HER2-null"),
        ("faint incomplete", 10, "", "HER2-ultralow"),
        ("faint incomplete", 11, "", "HER2-low"),
        ("weak complete", 11, "", "2+, ISH decides"),
        ("weak complete", 11, "negative", "HER2-low"),
        ("weak complete", 11, "positive", "HER2-positive"),
        ("intense complete", 11, "negative", "HER2-positive"),
    ],
)
def test_trial_categories(pattern, percent, ish, category):
    assert score_ihc(staining(*pattern.split(), percent), ish=ish).category == category
    assert score_ihc(staining(*pattern.split(), percent), ish=ish, edition_name="2013").category == ""


@given(
    st.sampled_from(EDITIONS), st.sampled_from(INTENSITIES[1:]), st.sampled_from(COMPLETENESSES[1:]),
    st.integers(1, 100), st.integers(1, 100),
)  # fmt: skip
def test_more_cells_never_score_lower(year, intensity, completeness, a, b):
    low, high = sorted((a, b))
    assert score(intensity, completeness, low, year) <= score(intensity, completeness, high, year)


@given(st.sampled_from(EDITIONS), st.integers(1, 100), st.sampled_from(COMPLETENESSES[1:]))
def test_darker_staining_never_scores_lower(year, percent, completeness):
    scores = [score(word, completeness, percent, year) for word in INTENSITIES[1:]]
    if year == "2007":  # 2007 alone asks for more cells of intense staining (30 %), but never less than 2+ for any
        assert scores == sorted(scores) or scores[-1] == "2+"
    else:
        assert scores == sorted(scores)


def test_unknown_edition_and_reaffirmed_rules():
    assert edition("2023") is edition("2018")
    with pytest.raises(InputError, match="unknown edition"):
        edition("2020")
