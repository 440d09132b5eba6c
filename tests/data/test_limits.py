"""Wells known by limits: what a plate may say, on every scale, and who refuses them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.data.gr import gr
from her2pkpd.data.limits import INTERVAL, LEFT, NONE, RIGHT, censoring_of
from her2pkpd.data.logistic import fit_logistic
from her2pkpd.data.plate import Plate
from her2pkpd.errors import InputError
from her2pkpd.synergy.blocks import read_blocks
from tests.data.helpers import plate_rows, to_csv, with_column
from tests.data.test_plate import frame_of, read

WORDS = (NONE, LEFT, RIGHT, INTERVAL)


def plate(words, upper=None, readout="viability", values=None):
    """The good plate with what its eight wells say of their values."""
    rows = [[*r] for r in plate_rows(readout)]
    for k, row in enumerate(rows[1:]):
        row += [words[k], "" if upper is None else upper[k]]
        row[7] = row[7] if values is None else str(values[k])
    return frame_of([[*rows[0], "censoring", "upper_limit"], *rows[1:]])


def messages(frame):
    with pytest.raises(InputError) as caught:
        Plate.from_frame(frame)
    return [(p.row, p.column, p.rule) for p in caught.value.problems]


def test_a_plate_says_what_is_only_a_limit(tmp_path):
    words = ["", "none", "", "Left", "RIGHT", "interval", "", "left"]
    upper = ["", "", "", "", "", "0.9", "", ""]
    text = to_csv([plate(words, upper).columns.tolist(), *plate(words, upper).to_numpy().tolist()])
    found = read(tmp_path, text)
    assert found.frame["censoring"].tolist() == [NONE, NONE, NONE, LEFT, RIGHT, INTERVAL, NONE, LEFT]
    assert found.frame["upper_limit"][5] == 0.9
    assert found.frame["upper_limit"].isna().sum() == 7
    assert "4 wells are known by a limit only" in repr(found)


def test_a_plate_without_the_column_holds_values(tmp_path):
    frame = read(tmp_path, to_csv(plate_rows())).frame
    assert "censoring" not in frame
    assert (censoring_of(frame) == NONE).all()
    # "upper" is often the end of a confidence interval, and stays the user's own.
    assert read(tmp_path, with_column("upper", "1.2")).own_columns == ("upper",)
    assert read(tmp_path, with_column("censored", "left")).frame["censoring"].tolist() == [LEFT] * 8


def test_every_bad_row_is_named():
    words = ["", "below", "interval", "interval", "left", "1", "", "interval"]
    upper = ["", "", "", "0.1", "0.5", "", "0.4", "7"]
    assert messages(plate(words, upper)) == [
        (3, "censoring", "censoring must be none, left, right or interval"),
        (4, "upper_limit", "an interval needs its upper limit"),
        (5, "upper_limit", "upper_limit must be above value"),
        (6, "upper_limit", "only an interval has an upper limit"),
        (7, "censoring", "censoring must be none, left, right or interval"),
        (8, "upper_limit", "only an interval has an upper limit"),
        (9, "upper_limit", "'viability' must lie between -1 and 5"),
    ]


def test_upper_limits_need_the_column_that_says_what_they_are(tmp_path):
    with pytest.raises(InputError, match="only an interval has an upper limit") as caught:
        read(tmp_path, with_column("upper_limit", "2"))
    assert len(caught.value.problems) == 8


def test_two_limits_of_one_well_are_the_same_well(tmp_path):
    rows = [[*r, "left"] for r in plate_rows()[1:]]
    again = [[*rows[3][:7], "0.9", "right"]]
    with pytest.raises(InputError, match="the same well is given in row 5"):
        Plate.from_frame(frame_of([[*plate_rows()[0], "censoring"], *rows, *again]))


def test_untreated_wells_beyond_a_limit_do_not_set_the_scale():
    values = [0.2, *[float(r[7]) for r in plate_rows()[2:]]]
    assert any("untreated wells" in rule for _, _, rule in messages(plate([""] * 8, values=values)))
    assert len(Plate.from_frame(plate(["right", *[""] * 7], values=values))) == 8


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS), st.floats(-0.4, 0.9), st.floats(0.01, 0.5)), min_size=7, max_size=7),
    st.sampled_from(
        [("percent_viability", 100.0, 0.0), ("inhibition", -1.0, 1.0), ("percent_inhibition", -100.0, 100.0)]
    ),
)
def test_limits_mean_the_same_on_every_scale(wells, scale):
    name, factor, offset = scale
    words = [NONE, *(w for w, _, _ in wells)]
    low = np.array([1.0, *(x for _, x, _ in wells)])
    high = low + np.array([0.1, *(d for _, _, d in wells)])
    upper = [f"{h!r}" if w == INTERVAL else "" for w, h in zip(words, high.tolist(), strict=True)]
    plain = Plate.from_frame(plate(words, upper, values=low.tolist())).frame
    a, b = offset + factor * low, offset + factor * high
    down = factor < 0
    turned = {LEFT: RIGHT, RIGHT: LEFT} if down else {}
    ends = [(y, x) if down and w == INTERVAL else (x, y) for w, x, y in zip(words, a, b, strict=True)]
    upper = [f"{float(y)!r}" if w == INTERVAL else "" for w, (_, y) in zip(words, ends, strict=True)]
    written = plate([turned.get(w, w) for w in words], upper, name, [float(x) for x, _ in ends])
    other = Plate.from_frame(written).frame
    assert other["censoring"].tolist() == plain["censoring"].tolist() == words
    np.testing.assert_allclose(other["value"], plain["value"], atol=1e-12)
    np.testing.assert_allclose(other["upper_limit"], plain["upper_limit"], atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="leftrighnonvaL<>0 1", max_size=8), min_size=8, max_size=8),
    st.lists(st.sampled_from(["", "x", "-1", "0.5", "1e99", "nan"]), min_size=8, max_size=8),
)
def test_any_text_is_read_or_refused_by_name(words, upper):
    frame, problems = None, []
    try:
        frame = Plate.from_frame(plate(words, upper)).frame
    except InputError as error:
        problems = error.problems
    assert {p.column for p in problems} <= {"censoring", "upper_limit"}
    assert all(p.row and p.rule and p.remedy for p in problems)
    if frame is not None:
        assert set(frame["censoring"]) <= set(WORDS)
        assert (frame["upper_limit"].notna() == (frame["censoring"] == INTERVAL)).all()


def test_what_needs_values_refuses_limits_row_by_row():
    given_ = plate(["", "left", "", "right", *[""] * 4])
    made = Plate.from_frame(given_)
    for calculate in (gr, fit_logistic, read_blocks):
        for source in (made, given_) if calculate is not fit_logistic else (made,):
            with pytest.raises(InputError, match="this row gives a limit") as caught:
                calculate(source)
            assert [(p.row, p.column, p.value) for p in caught.value.problems] == [
                (3, "censoring", "left"),
                (5, "censoring", "right"),
            ]
