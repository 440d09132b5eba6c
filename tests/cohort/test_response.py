"""RECIST on sums that leave no doubt, and on any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from her2pkpd.cohort.people import volume_of
from her2pkpd.cohort.response import RESPONSES, evaluate, progressed, sum_of_diameters

WEEKS = np.array([0.0, 42.0, 84.0, 126.0])


def of(*sums, lesions=2):
    found = evaluate(np.array([sums], dtype=float), WEEKS[: len(sums)], lesions)
    return {k: v[0] for k, v in found.items()}


@pytest.mark.parametrize(
    ("sums", "best", "ttp", "event", "ttr"),
    [
        ((100, 95, 90, 85), "SD", 126, False, np.nan),
        ((100, 70, 60, 80), "PR", 126, True, 42),  # 80 is 20 above the nadir of 60
        ((100, 71, 70, 70), "PR", 126, False, 84),
        ((100, 120, 10, 10), "PD", 42, True, np.nan),  # what comes after progression does not count
        ((100, 119, 120, 130), "SD", 84, True, np.nan),
        ((100, 3.9, 3.0, 3.0), "CR", 126, False, 42),
        ((10, 12, 13, 16), "SD", 126, True, np.nan),  # 20 % but less than 5 mm until the last
        ((100, 50, 3.0, 9.0), "CR", 126, True, 42),
    ],
)
def test_responses(sums, best, ttp, event, ttr):
    found = of(*sums)
    assert RESPONSES[found["best_response"]] == best
    assert (found["TTP"], bool(found["progressed"])) == (ttp, event)
    np.testing.assert_equal(found["TTR"], ttr)
    assert found["SLD.best_change"] == pytest.approx(100 * (min(sums[1:]) / sums[0] - 1))


def test_who_could_not_be_computed_is_not_evaluable():
    found = of(100, 50, np.nan, np.nan)
    assert RESPONSES[found["best_response"]] == "NE"
    assert np.isnan([found[k] for k in ("TTP", "TTR", "SLD.best_change")]).all()
    assert not found["progressed"]
    assert RESPONSES[of(100)["best_response"]] == "NE"


@given(st.lists(st.floats(1, 300), min_size=2, max_size=4), st.integers(1, 5))
def test_a_response_never_follows_progression(sums, lesions):
    found = of(*sums, lesions=lesions)
    if found["progressed"] and not np.isnan(found["TTR"]):
        assert found["TTR"] < found["TTP"]
    assert (RESPONSES[found["best_response"]] in ("CR", "PR")) == (not np.isnan(found["TTR"]))


@given(st.floats(0.1, 500), st.integers(1, 5))
def test_diameters_and_volumes_are_inverse(diameter, lesions):
    assert sum_of_diameters(volume_of(np.array(diameter), lesions), lesions) == pytest.approx(diameter, rel=1e-12)


def test_progression_needs_a_fifth_and_five_millimetres():
    sums, nadir = np.array([12.0, 120.0, 24.9, 25.0]), np.array([10.0, 100.0, 20.0, 20.0])
    assert progressed(sums, nadir).tolist() == [False, True, False, True]
