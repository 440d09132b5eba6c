"""Good plates: units, scales, names, layouts, hashes, size."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.data.csv_text import load_cells
from her2pkpd.data.plate import Plate, read_plate
from her2pkpd.data.readouts import Readout
from her2pkpd.errors import InputError, Problems
from tests.data.helpers import DRUGS, HEADER, LINES, changed, plate_rows, to_csv, with_column

TRASTUZUMAB = 145_532.0
"""g/mol, of the protein part (Herceptin's label gives the mass in kDa only)."""


def frame_of(rows):
    return pd.DataFrame(rows[1:], columns=rows[0])


def read(tmp_path, text, encoding="utf-8", **options):
    path = tmp_path / "plate.csv"
    path.write_bytes(text.encode(encoding))
    return read_plate(path, **options)


def test_canonical_frame(tmp_path):
    plate = read(tmp_path, to_csv(plate_rows()))
    frame = plate.frame
    names = "row cell_line drug concentration time readout value sd replicate plate block seeded_cells division_time"
    assert list(frame.columns) == names.split()
    assert frame["row"].tolist() == list(range(2, 10))
    assert frame["concentration"].tolist() == [0, 1, 3, 10, 30, 100, 300, 1000]
    assert plate.readouts == (Readout.VIABILITY,)
    assert plate.untreated.tolist() == [True] + [False] * 7
    assert "8 wells, viability" in repr(plate)
    assert "1 to 1000 nM" in repr(plate)


@pytest.mark.parametrize(
    ("unit", "factor"), [("nM", 1), ("uM", 1e3), ("µM", 1e3), ("pM", 1e-3), ("mM", 1e6), ("nmol/L", 1), ("M", 1e9)]
)
def test_molar_units(unit, factor, tmp_path):
    rows = plate_rows()
    for row in rows[1:]:
        row[2], row[3] = f"{float(row[2]) / factor:.17g}", unit
    assert read(tmp_path, to_csv(rows)).frame["concentration"].to_numpy() == pytest.approx(
        [0, 1, 3, 10, 30, 100, 300, 1000], rel=1e-14
    )


def test_mass_units_go_through_the_molar_mass(tmp_path):
    text = to_csv(plate_rows()).replace("lapatinib", "trastuzumab").replace("nM", "ug/mL")
    plate = read(tmp_path, text, molar_masses={"trastuzumab": TRASTUZUMAB})
    # 1 ug/mL = 1e-3 g/L; over 145,532 g/mol that is 6.8713 nM
    assert plate.frame["concentration"][1] == pytest.approx(6.8713, rel=1e-5)


@pytest.mark.parametrize(("unit", "time"), [("h", "72"), ("d", "3"), ("min", "4320"), ("days", "3.0")])
def test_times_are_hours(unit, time, tmp_path):
    rows = plate_rows()
    for row in rows[1:]:
        row[4], row[5] = time, unit
    assert read(tmp_path, to_csv(rows)).frame["time"].to_numpy() == pytest.approx(72)


@pytest.mark.parametrize(
    ("readout", "written"),
    [
        ("viability", lambda v: v),
        ("percent_viability", lambda v: 100 * v),
        ("inhibition", lambda v: 1 - v),
        ("Percent Inhibition", lambda v: 100 * (1 - v)),
    ],
)
def test_scales_of_viability(readout, written, tmp_path):
    true = np.array([1.0, 0.97, 0.9, 0.75, 0.5, 0.23, 0.09, 0.03])
    rows = plate_rows(readout)
    for row, value in zip(rows[1:], true, strict=True):
        row[7] = repr(float(written(value)))
    rows = [
        [*row, cell]
        for row, cell in zip(rows, ["sd", *[repr(float(abs(written(0.0) - written(0.05))))] * 8], strict=True)
    ]
    plate = read(tmp_path, to_csv(rows))
    assert plate.frame["value"].to_numpy() == pytest.approx(true, abs=1e-12)
    assert plate.frame["sd"].to_numpy() == pytest.approx(0.05)
    assert plate.readouts == (Readout.VIABILITY,)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("quoted", [False, True])
def test_dialects(encoding, newline, separator, quoted, tmp_path):
    expected = read(tmp_path, to_csv(plate_rows()))
    text = to_csv(plate_rows()).replace(",", separator)
    if quoted:
        text = text.replace("lapatinib", '"lapatinib"')
    assert read(tmp_path, text.replace("\n", newline), encoding) == expected


def test_spreadsheet_leftovers_are_ignored(tmp_path):
    lines = to_csv(plate_rows()).split("\n")
    text = "\n".join([lines[0] + ",,", *[f" {line} ,," for line in lines[1:-1]], ",,,,,,,,,", ""])
    assert read(tmp_path, text) == read(tmp_path, to_csv(plate_rows()))


def test_headers_may_be_written_as_in_print(tmp_path):
    text = to_csv(plate_rows()).replace("cell_line", "Cell line", 1).replace("time_unit", "TIME-UNIT", 1)
    assert read(tmp_path, text) == read(tmp_path, to_csv(plate_rows()))


def test_own_columns_are_carried(tmp_path):
    text = with_column("operator", ["a", "b"] * 4)
    plate = read(tmp_path, text)
    assert plate.own_columns == ("operator",)
    assert plate.frame["operator"].tolist() == ["a", "b"] * 4


def test_names_are_matched_loosely_and_written_as_known(tmp_path):
    text = to_csv(plate_rows()).replace("SK-BR-3", "skbr3").replace("lapatinib", "Lapatinib")
    plate = read(tmp_path, text, known_drugs=DRUGS, known_cell_lines=LINES)
    assert plate.cell_lines == ("SK-BR-3",)
    assert plate.drugs == ("lapatinib",)


def test_synonyms_are_replaced(tmp_path):
    text = to_csv(plate_rows()).replace("lapatinib", "GW-572016")
    plate = read(tmp_path, text, known_drugs={"lapatinib": "lapatinib", "GW572016": "lapatinib"})
    assert plate.drugs == ("lapatinib",)


def test_two_known_names_that_differ_only_in_dashes_stay_apart(tmp_path):
    with pytest.raises(InputError, match="unknown cell line"):
        read(tmp_path, to_csv(plate_rows()).replace("SK-BR-3", "SKBR3"), known_cell_lines=("SK-BR-3", "SKB-R3"))


@pytest.mark.parametrize("word", ["", "DMSO", "none", "untreated", "Vehicle", "-"])
def test_untreated_wells_need_no_drug(word, tmp_path):
    text = changed("drug", word, row=2)
    plate = read(tmp_path, text, known_drugs=DRUGS)
    assert plate.frame["drug"][0] == ""
    assert plate.drugs == ("lapatinib",)


def test_untreated_wells_without_drug_need_no_unit(tmp_path):
    rows = plate_rows()
    rows[1][1] = rows[1][3] = ""
    assert read(tmp_path, to_csv(rows)).untreated[0]


def test_combinations(tmp_path):
    rows = [[*plate_rows()[0], "drug_2", "concentration_2", "unit_2"]]
    for k, row in enumerate(plate_rows()[1:]):
        rows.append([*row, "neratinib", str(k / 1000), "uM"] if k else [*row, "", "", ""])
    plate = read(tmp_path, to_csv(rows), known_drugs=DRUGS)
    assert plate.n_drugs == 2
    assert plate.drugs == ("lapatinib", "neratinib")
    assert plate.frame["concentration_2"].to_numpy() == pytest.approx(range(8))
    assert len(plate.select(drug="lapatinib")) == 1
    assert len(plate.select(drug=["lapatinib", "neratinib"])) == 8


def test_selection(tmp_path):
    rows = plate_rows()
    rows += [["MCF-7", "neratinib", *row[2:]] for row in rows[1:]]
    plate = read(tmp_path, to_csv(rows))
    assert plate.select(cell_line="MCF-7").drugs == ("neratinib",)
    assert len(plate.select(drug="neratinib")) == 9  # eight wells and the other line's untreated one
    with pytest.raises(InputError, match="no well has cell line HeLa"):
        plate.select(cell_line="HeLa")


def test_many_untreated_wells_are_no_copies(tmp_path):
    extra = [[*plate_rows()[1][:7], value] for value in ("0.98", "1.03", "1.01")]
    assert read(tmp_path, to_csv([*plate_rows(), *extra])).untreated.sum() == 4


def test_several_readouts_in_one_file(tmp_path):
    rows = plate_rows()
    rows += [[*row[:6], "pAKT", row[7]] for row in rows[1:]]
    plate = read(tmp_path, to_csv(rows))
    assert plate.readouts == (Readout.VIABILITY, Readout.PAKT)
    assert len(plate.select(readout="pAKT")) == 8


def test_a_plate_cannot_be_changed(tmp_path):
    plate = read(tmp_path, to_csv(plate_rows()))
    before = plate.content_hash
    frame = plate.frame
    frame.loc[0, "value"] = 7.0
    assert plate.frame["value"][0] == 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        plate.name = "other"
    assert plate.content_hash == before


def test_equal_content_is_equal_whatever_the_unit_and_the_file(tmp_path):
    rows = plate_rows()
    for row in rows[1:]:
        row[2], row[3] = str(float(row[2]) * 1000), "pM"
    other = Plate.from_frame(frame_of(rows))
    plate = read(tmp_path, to_csv(plate_rows()))
    assert plate == other
    assert hash(plate) == hash(other)
    assert plate != read(tmp_path, changed("value", "0.96"))


def test_frames_with_numbers_equal_frames_with_text():
    text = frame_of(plate_rows())
    numbers = text.astype({"concentration": float, "time": int, "value": float})
    assert Plate.from_frame(text) == Plate.from_frame(numbers)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e8, allow_subnormal=False), st.floats(0, 5), st.integers(0, 10**6)),
        min_size=1,
        max_size=20,
        unique_by=lambda t: t[2],
    )
)
def test_numbers_survive_the_file_exactly(tmp_path_factory, wells):
    path = tmp_path_factory.mktemp("plate") / "plate.csv"
    values = [min(value, 4.9) for _, value, _ in wells]
    rows = [
        ["SK-BR-3", "lapatinib", repr(dose + 1), "nM", "72", "h", "viability", repr(value), str(k)]
        for (dose, _, k), value in zip(wells, values, strict=True)
    ]
    path.write_text(to_csv([[*HEADER, "replicate"], *rows]))
    frame = read_plate(path).frame
    assert frame["concentration"].tolist() == [dose + 1 for dose, _, _ in wells]
    assert frame["value"].tolist() == values


def test_a_million_rows(tmp_path):
    n = 1_000_000
    rng = np.random.default_rng(1)
    dose, value = rng.lognormal(3, 2, n), rng.uniform(0, 1.2, n)
    lines = [
        f"SK-BR-3,lapatinib,{d:.6g},nM,72,h,viability,{v:.4f},{k % 3}"
        for k, (d, v) in enumerate(zip(dose, value, strict=True))
    ]
    lines[777_777] = lines[777_777].replace("nM", "nMM")
    path = tmp_path / "big.csv"
    path.write_text("\n".join([",".join([*HEADER, "replicate"]), *lines]))
    with pytest.raises(InputError) as caught:
        read_plate(path)
    assert [(p.row, p.column, p.value) for p in caught.value.problems if p.column == "unit"] == [
        (777_779, "unit", "nMM")
    ]


def test_blank_columns_make_no_cells(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    cells = load_cells(path, Problems(str(path)))
    assert cells.header == ["a", "b"]
    assert cells.rows.tolist() == [2]
