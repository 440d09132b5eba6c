"""Malformed files: every message names the file, the place, the rule and the remedy, and all problems come at once."""

import re

import pandas as pd
import pytest

from her2pkpd.data.ccle import read_ccle
from her2pkpd.data.gr import gr
from her2pkpd.data.metrics import read_metrics
from her2pkpd.data.plate import Plate, read_plate
from her2pkpd.errors import InputError
from tests.data.helpers import DRUGS, LINES, changed, plate_rows, to_csv
from tests.data.malformed import BAD_PLATES


def write(tmp_path, content, name="plate.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def check(error, path, row, column, rule, remedy):
    for problem in error.problems:
        assert problem.file == str(path)
        assert problem.rule
        assert problem.remedy.endswith((".", "?"))
    found = [p for p in error.problems if (row is None or p.row == row) and (column is None or p.column == column)]
    assert found, str(error)
    assert any(rule in p.rule and remedy in p.remedy for p in found), str(error)
    assert str(path) in str(error)


@pytest.mark.parametrize("case", BAD_PLATES, ids=str)
def test_bad_plate(case, tmp_path):
    content, row, column, rule, remedy = BAD_PLATES[case]
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_plate(path, known_drugs=DRUGS[2:], known_cell_lines=LINES)
    assert caught.value.exit_code == 2
    check(caught.value, path, row, column, rule, remedy)


def test_the_offending_value_is_shown(tmp_path):
    with pytest.raises(InputError, match="row 3, column 'concentration', value '-3'"):
        read_plate(write(tmp_path, changed("concentration", "-3")))


def test_every_case_is_told_apart():
    assert len(BAD_PLATES) >= 40


def combination(**cells):
    rows = [[*plate_rows()[0], "drug_2", "concentration_2", "unit_2"]]
    for k, row in enumerate(plate_rows()[1:]):
        rows.append([*row, "neratinib", str(k), "nM"])
    for name, value in cells.items():
        rows[2][rows[0].index(name)] = value
    return to_csv(rows)


@pytest.mark.parametrize(
    ("cells", "column", "rule"),
    [
        ({"drug_2": ""}, "drug_2", "must name its drug"),
        ({"concentration_2": ""}, "concentration_2", "a drug needs a concentration"),
        ({"concentration_2": "x"}, "concentration_2", "must hold a number"),
        ({"unit_2": ""}, "unit_2", "the unit is missing"),
        ({"unit_2": "h"}, "unit_2", "cannot be converted"),
        ({"drug_2": "lapatinib"}, "drug_2", "only once in a well"),
        ({"drug": "", "concentration": "0"}, "drug_2", "without a gap"),
        ({"drug_2": "herceptinib"}, "drug_2", "unknown drug"),
    ],
)
def test_bad_combinations(cells, column, rule, tmp_path):
    path = write(tmp_path, combination(**cells))
    with pytest.raises(InputError) as caught:
        read_plate(path, known_drugs=DRUGS)
    check(caught.value, path, 3, column, rule, "")


def test_all_problems_come_at_once_in_the_order_of_the_rows(tmp_path):
    rows = plate_rows()
    rows[2][7], rows[3][2], rows[4][3], rows[5][0], rows[6][4] = "x", "-1", "furlong", "HeLa", ""
    path = write(tmp_path, to_csv([*rows, ["too", "short"]]))
    with pytest.raises(InputError) as caught:
        read_plate(path, known_cell_lines=LINES)
    assert [p.row for p in caught.value.problems] == [3, 4, 5, 6, 7, 10]
    assert len(str(caught.value).splitlines()) == 7


def test_logarithms_of_doses_are_recognised(tmp_path):
    rows = plate_rows()
    for k, row in enumerate(rows[1:]):
        row[2] = str(k - 5)
    with pytest.raises(InputError, match="These look like logarithms"):
        read_plate(write(tmp_path, to_csv(rows)))


def test_rows_are_counted_as_in_an_editor(tmp_path):
    text = to_csv(plate_rows()).split("\n")
    text = "\n".join(["", *text[:3], "", " ,,,,,,, ", *text[3:]]).replace("0.75", "zero")
    with pytest.raises(InputError) as caught:
        read_plate(write(tmp_path, text))
    at = text.split("\n").index(next(line for line in text.split("\n") if "zero" in line)) + 1
    assert [p.row for p in caught.value.problems] == [at]


def test_many_bad_rows_stay_readable(tmp_path):
    rows = [
        plate_rows()[0],
        *(["SK-BR-3", "lapatinib", str(k), "nM", "72", "h", "viability", "?"] for k in range(5000)),
    ]
    with pytest.raises(InputError) as caught:
        read_plate(write(tmp_path, to_csv(rows)))
    problems = caught.value.problems
    assert len(problems) == 1001
    assert "4000 more rows, the last of them 5001" in problems[-1].rule
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("name", ["no such file.csv", "."])
def test_unreadable_paths(name, tmp_path):
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        read_plate(tmp_path / name)
    with pytest.raises(InputError, match=r"does not exist|cannot be read"):
        gr(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_with_a_nul_is_refused():
    with pytest.raises(InputError, match="cannot be read"):
        read_plate("plate\x00.csv")


METRICS = [
    ["cell_line", "drug", "metric", "value", "unit", "time", "time_unit", "source"],
    ["SK-BR-3", "lapatinib", "GR50", "30", "nM", "72", "h", "a paper"],
    ["MCF-7", "lapatinib", "IC50", ">8", "uM", "72", "h", "a paper"],
]
BAD_METRICS = {
    "unknown metric": ("metric", "GR5", "unknown metric", "Did you mean 'GR50'"),
    "blank metric": ("metric", "", "metric is missing", "Use one of GR50"),
    "limit of nothing": ("value", "> ", "number is missing", "Fill in"),
    "word": ("value", "low", "must hold a number", "decimal point"),
    "zero potency": ("value", "0", "must be positive", "linear scale"),
    "logarithm": ("value", "-7.5", "must be positive", "linear scale"),
    "wrong unit": ("unit", "h", "cannot be converted", "same kind as 'nM'"),
    "no unit": ("unit", "", "unit is missing", "for example nM"),
    "mass": ("unit", "ug/mL", "needs a molar mass", "molar"),
    "no source": ("source", "", "source is missing", "hearsay"),
    "time without unit": ("time_unit", "", "unit is missing", "for example nM or h"),
    "zero time": ("time", "0", "must be positive", "Correct"),
    "unknown drug": ("drug", "laptinib", "unknown drug", "Did you mean 'lapatinib'"),
    "a copy": (None, None, "given twice", "Delete the copy"),
}


@pytest.mark.parametrize("case", BAD_METRICS, ids=str)
def test_bad_metrics(case, tmp_path):
    column, value, rule, remedy = BAD_METRICS[case]
    rows = [list(row) for row in METRICS]
    if column is None:
        rows.append(list(rows[2]))
        row = 4
    else:
        rows[1][rows[0].index(column)] = value
        row = 2
    path = write(tmp_path, to_csv(rows), "metrics.csv")
    with pytest.raises(InputError) as caught:
        read_metrics(path, known_drugs=DRUGS, known_cell_lines=LINES)
    check(caught.value, path, row, column, rule, remedy)


@pytest.mark.parametrize(("metric", "value"), [("GRmax", "40"), ("GRmax", "not reached"), ("GRinf", "-3"), ("h", "0")])
def test_efficacies_outside_their_range(metric, value, tmp_path):
    rows = [METRICS[0], ["SK-BR-3", "lapatinib", metric, value, "-", "72", "h", "x"]]
    with pytest.raises(InputError, match=r"column 'value'"):
        read_metrics(write(tmp_path, to_csv(rows)))


GR_RULES = {
    "no untreated wells": (lambda f: f[(f["concentration"] > 0) | (f["time"] == 0)], "no untreated wells at 72 h"),
    "no time zero": (lambda f: f[f["time"] > 0], "number of cells when treatment began, or the division time"),
    "zero at time zero": (
        lambda f: f.assign(value=f["value"].where(f["time"] > 0, 0)),
        "at time zero must be positive",
    ),
    "nothing counted": (lambda f: f.assign(readout="pAKT"), "GR needs cell counts"),
}


@pytest.mark.parametrize("case", GR_RULES, ids=str)
def test_bad_plates_for_gr(case, tmp_path):
    rows = plate_rows("cell_count", 3000)
    frame = pd.DataFrame(rows[1:], columns=rows[0]).astype({"concentration": float, "time": float, "value": float})
    start = frame.head(1).assign(time=0.0, value=1000.0)
    change, rule = GR_RULES[case]
    path = tmp_path / "plate.csv"
    change(pd.concat([frame, start])).to_csv(path, index=False)
    with pytest.raises(InputError) as caught:
        gr(path, tmp_path / "out")
    check(caught.value, path, None, None, rule, "")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_ccle_release(tmp_path):
    path = write(tmp_path, to_csv(plate_rows()))
    with pytest.raises(InputError, match="neither layout") as caught:
        read_ccle(path)
    check(caught.value, path, 1, None, "neither layout", "Doses (uM)")


def test_data_frames_are_checked_like_files():
    rows = plate_rows()
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    frame.loc[1, "concentration"] = "-3"
    with pytest.raises(InputError, match=re.escape("data frame, row 3, column 'concentration', value '-3'")):
        Plate.from_frame(frame)
    with pytest.raises(InputError, match="no rows"):
        Plate.from_frame(frame.head(0))
