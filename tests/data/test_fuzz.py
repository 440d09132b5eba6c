"""Searching for an exception other than `InputError`: random bytes, random tables, damaged good files."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from her2pkpd.data.ccle import read_ccle, read_ccle_metrics
from her2pkpd.data.gr import gr
from her2pkpd.data.metrics import read_metrics
from her2pkpd.data.plate import Plate, read_plate
from her2pkpd.data.table import Columns, read_table
from her2pkpd.errors import InputError
from tests.data.helpers import DRUGS, LINES, counts, plate_rows, to_csv

SOME = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = "0|-1|1e-3|1e400|-inf|nan|1,5|1,000|>8|<= 0.1|not reached|#N/A|10 nM|\u0663|\uff11\uff12".split("|")
WORDS = "nM|uM|ug/mL|h|/|*|%|log nM|\u00b5M|viability|percent_viability|cell_count|gr|pAKT|SK-BR-3|skbr3|DMSO|IC50"
NASTY = st.sampled_from(["", " ", '"', "'", "\n", "\t", ";", "\ufeff", "\x0b", "\u2028", *NUMBERS, *WORDS.split("|")])
CELL = st.one_of(NASTY, st.text(max_size=6), st.floats().map(repr), st.integers().map(str))
GOOD_PLATE = to_csv(plate_rows())
GOOD_COUNTS = counts(np.geomspace(1, 1000, 6), np.linspace(1, -0.5, 6)).to_csv(index=False)
GOOD_METRICS = to_csv(
    [
        [
            "cell_line",
            "drug",
            "metric",
            "value",
            "unit",
            "time",
            "time_unit",
            "source",
            "top_concentration",
            "top_unit",
        ],
        ["SK-BR-3", "lapatinib", "GR50", "30", "nM", "72", "h", "a paper", "10", "uM"],
        ["MCF-7", "lapatinib", "IC50", "not reached", "uM", "", "", "a paper", "", ""],
        ["MCF-7", "lapatinib", "GRmax", ">0.8", "%", "3", "d", "a paper", "", ""],
    ]
)
GOOD_CASE_A = "cell_line,drug,concentration,time,cell_count,cell_count__ctrl,cell_count__time0\n" + "".join(
    f"A,x,{dose},72,{1000 - k * 100},1000,250\n" for k, dose in enumerate((1, 3, 10, 30, 100, 300))
)
GOOD_CCLE = (
    "CCLE Cell Line Name,Primary Cell Line Name,Compound,Doses (uM),Activity Data (median),Activity SD,EC50 (uM),"
    'IC50 (uM),Amax,ActArea\nBT474_BREAST,BT-474,Lapatinib,".1,1,8","-5,-50,-90","1,2,3",1.1,1,-95,1.5\n'
)

GOOD = [GOOD_PLATE, GOOD_COUNTS, GOOD_METRICS, GOOD_CASE_A, GOOD_CCLE]


def problems_of(read, source):
    """The problems a reader finds, or None; anything but an `InputError` escapes."""
    try:
        read(source)
    except InputError as error:
        return error.problems
    return None


def read_all(path):
    """Every reader; whatever is wrong must leave as an `InputError` that says where and what."""
    for read in (
        lambda p: read_plate(p, known_drugs=DRUGS, known_cell_lines=LINES, molar_masses={"lapatinib": 581.06}),
        read_plate,
        lambda p: gr(p, p.parent / "out", force=True),
        lambda p: read_metrics(p, molar_masses={"lapatinib": 581.06}),
        read_ccle,
        read_ccle_metrics,
    ):
        problems = problems_of(read, path)
        assert all(problem.rule and problem.remedy and problem.file for problem in problems or ())
        assert problems is None or problems


@SOME
@given(st.binary(max_size=300))
def test_random_bytes(tmp_path, content):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    read_all(path)


@SOME
@given(
    st.lists(st.lists(CELL, max_size=9), max_size=6),
    st.sampled_from(GOOD),
)
def test_random_rows_under_a_good_header(tmp_path, rows, good):
    path = tmp_path / "x.csv"
    path.write_bytes((good.split("\n")[0] + "\n" + to_csv(rows)).encode("utf-8", "surrogatepass"))
    read_all(path)


@SOME
@given(
    st.sampled_from(GOOD),
    st.lists(st.tuples(st.integers(0, 10_000), CELL, st.booleans()), min_size=1, max_size=4),
)
def test_damaged_files(tmp_path, good, damages):
    for at, text, overwrite in damages:
        where = at % (len(good) + 1)
        good = good[:where] + text + good[where + (len(text) if overwrite else 0) :]
    path = tmp_path / "x.csv"
    path.write_bytes(good.encode("utf-8", "surrogatepass"))
    read_all(path)


@SOME
@given(
    st.integers(1, 8),
    st.integers(0, 7),
    CELL,
    st.sampled_from(["viability", "percent_inhibition", "cell_count", "gr", "pERK"]),
)
def test_one_cell_replaced(tmp_path, row, column, cell, readout):
    rows = plate_rows(readout)
    rows[row][column] = cell
    path = tmp_path / "x.csv"
    path.write_bytes(to_csv(rows).encode("utf-8", "surrogatepass"))
    read_all(path)


VALUES = st.one_of(
    CELL,
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.complex_numbers(),
    st.dates(),
    st.lists(st.integers(), max_size=2),
)


@SOME
@given(st.dictionaries(st.sampled_from([*plate_rows()[0], "x", "drug_2"]), st.lists(VALUES, min_size=3, max_size=3)))
def test_random_data_frames(columns):
    rows = plate_rows()
    frame = pd.DataFrame(rows[1:4], columns=rows[0]).assign(
        **{name: pd.Series(cells, dtype=object) for name, cells in columns.items()}
    )
    for read in (Plate.from_frame, read_metrics, gr):
        problems = problems_of(read, frame)
        assert problems is None or problems


@SOME
@given(st.integers(0, 9), st.sampled_from(["value", "concentration", "time"]), st.floats(0, allow_infinity=False))
def test_extreme_numbers(row, column, number):
    plate = counts(np.geomspace(1, 1000, 6), np.linspace(1, -0.5, 6))
    plate.loc[row, column] = number
    problems = problems_of(gr, plate)
    assert problems is None or problems


@SOME
@given(st.text(max_size=80), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
def test_the_table_door(tmp_path, text, encoding):
    path = tmp_path / "x.csv"
    path.write_bytes(("a,b,c\n1,2,3\n" + text).encode(encoding, "replace"))

    def read(source):
        table = read_table(source, Columns(("a", "b"), ("c",)))
        numbers = table.numbers("a")
        assert numbers.dtype == np.float64
        assert len(table.text("b")) == len(table) == len(numbers)
        table.raise_any()

    problems = problems_of(read, path)
    assert problems is None or problems


@pytest.mark.parametrize("good", GOOD)
def test_the_undamaged_files_are_good(good, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(good)
    read = {GOOD_PLATE: read_plate, GOOD_COUNTS: gr, GOOD_METRICS: read_metrics, GOOD_CASE_A: gr, GOOD_CCLE: read_ccle}[
        good
    ]
    read(path)
