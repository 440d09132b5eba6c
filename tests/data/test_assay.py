"""Assay tables: the contract of the columns, results beside the input, and refusals by name and row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd import assay, assay_file, cli
from her2pkpd.errors import InputError

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "asco_cap_reference" / "single_probe_cases.csv"

IHC = "case,intensity,completeness,percent_cells\n1,intense,complete,11\n2,faint,incomplete,10\n3,none,none,\n"
ISH = "case,ratio,her2_copies,ihc,recount_ratio,recount_her2_copies\n1,1.995,6,2+,1.9,6.1\n2,,5,2+,,\n3,2.0,4.0,,,\n"
COPIES = "purity,fraction_amplified,cn_amplified,cn_unamplified,cn_observed\n.7,1,20,2,\n.4,,20,2,4.16\n,1,8,2,4\n"
BIOPSY = (
    "pattern,fraction_amplified,icc,nuclei,cores,cn_amplified,cn_unamplified\nfocal,.2,,,4,,\nmosaic,.3,,20,1,20,2\n"
)


def write(tmp_path, text, name="in.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def run(tmp_path, kind, text, *more):
    out = tmp_path / "out.csv"
    code = cli.main(["assay", kind, str(write(tmp_path, text)), "--out", str(out), *more])
    return code, pd.read_csv(out, dtype=str, keep_default_na=False) if out.exists() else None


def test_the_contract_of_the_columns(tmp_path, capsys):
    code, ihc = run(tmp_path, "ihc", IHC)
    assert code == 0
    assert list(ihc["score"]) == ["3+", "0", "0"]
    assert list(ihc["call"]) == ["positive", "negative", "negative"]
    assert list(ihc["category"]) == ["HER2-positive", "HER2-ultralow", "HER2-null"]
    assert list(ihc.columns[:4]) == ["case", "intensity", "completeness", "percent_cells"]
    assert "3 cases: 2 negative, 1 positive" in capsys.readouterr().out
    ish = run(tmp_path, "ish", ISH, "--force")[1]
    assert list(ish["group"]) == ["3", "", "1"]
    assert list(ish["call"]) == ["positive", "perform dual-probe ISH", "positive"]
    copies = run(tmp_path, "copy-number", COPIES, "--force")[1]
    assert list(copies["cn_observed"]) == ["14.6", "4.16", "4"]
    assert copies["fraction_amplified"][1] == "0.3"
    assert float(copies["purity"][2]) == pytest.approx(1 / 3)
    assert list(copies["call"]) == ["positive", "equivocal", "equivocal"]
    biopsy = run(tmp_path, "sampling", BIOPSY, "--force")[1]
    assert float(biopsy["probability_missed"][0]) == pytest.approx(0.8**4)
    assert round(float(biopsy["probability_positive"][1]), 2) == 0.76
    assert all(
        len(r) > 20 for table in (ihc, ish, copies, biopsy) for r in table["reason"] if r != "no membrane staining"
    )


def test_no_staining_needs_no_completeness(tmp_path):
    found = assay("ihc", write(tmp_path, "case,intensity,completeness,percent_cells\n1,none,,\n2,none,none,100\n"))
    assert list(found["category"]) == ["HER2-null", "HER2-null"]


def test_editions_by_option_and_by_column(tmp_path):
    text = "case,intensity,completeness,percent_cells,edition\n1,intense,complete,20,\n2,intense,complete,20,2013\n"
    assert list(run(tmp_path, "ihc", text, "--edition", "2007")[1]["score"]) == ["2+", "3+"]
    ratio_only = "case,ratio\n1,2.2\n2,2.21\n3,1.79\n"
    assert list(assay("ish", write(tmp_path, ratio_only), edition="2007")["call"]) == [
        "equivocal",
        "positive",
        "negative",
    ]


def test_reference_cases():
    if not REFERENCE.exists():
        pytest.skip("the shared data are not here")
    cases = pd.read_csv(REFERENCE, dtype=str, keep_default_na=False)
    assert list(assay("ish", REFERENCE)["call"]) == list(cases["result_2018_2023"])


def test_columns_of_the_input_are_kept(tmp_path):
    frame = assay("ish", write(tmp_path, "case,ratio,her2_cn,group,note\n1,3,9,x,keep\n"))
    assert frame["group_given"][0] == "x"
    assert frame["note"][0] == "keep"
    assert frame["group"][0] == "1"


def nuclei_table(counts, **more):
    rows = [
        {"case": c, "nucleus": i, "her2_signals": h, "cep17_signals": k, **more} for i, (c, h, k) in enumerate(counts)
    ]
    return pd.DataFrame(rows)


def test_nuclei_become_one_line_a_case():
    frame = nuclei_table([("a", 8, 2)] * 20 + [("b", 2, 2)] * 20 + [("c", 199, 100)] * 20)
    found = assay("ish", frame)
    assert list(found["case"]) == ["a", "b", "c"]
    assert list(found["group"]) == ["1", "5", "3"]
    assert list(found["ratio"]) == [4.0, 1.0, 1.99]
    assert (found["her2_copies_lower"] <= found["her2_copies"]).all()
    recount = nuclei_table([("a", 13, 8)] * 20, ihc="2+", count="first")
    second = nuclei_table([("a", 12, 8)] * 20, ihc="2+", count="recount")
    assert assay("ish", pd.concat([recount, second]))["call"][0] == "positive"


def test_sums_of_signals():
    frame = pd.DataFrame({"case": [1, 2], "nuclei": [20, 20], "her2_signals": [79, 80], "cep17_signals": [40, 40]})
    found = assay("ish", frame)
    assert list(found["group"]) == ["5", "1"]
    assert "1.975" in found["reason"][0]


BAD = [
    ("ihc", IHC + "4,intense,complete,101\n", 5, "percent_cells", "between 0 and 100"),
    ("ihc", IHC + "4,intense,none,20\n", 5, "completeness", "contradict"),
    ("ihc", IHC + "4,none,none,50\n", 5, "percent_cells", "no staining"),
    ("ihc", IHC + "4,weak,complete,0\n", 5, "percent_cells", "seen in some cells"),
    ("ihc", IHC + "4,pink,complete,20\n", 5, "intensity", "must be one of"),
    ("ihc", IHC + "4,weak,complete,\n", 5, "percent_cells", "missing"),
    ("ihc", IHC + "4,,complete,20\n", 5, "intensity", "missing"),
    ("ihc", IHC + "1,weak,complete,20\n", 5, "case", "twice"),
    ("ihc", IHC + "4,weak,complete,12 %\n", 5, "percent_cells", "number alone"),
    ("ihc", IHC.replace("percent_cells", "percent"), 1, "percent_cells", "missing"),
    ("ish", ISH + "4,2.5,3.0,4+,,\n", 5, "ihc", "must be one of"),
    ("ish", ISH + "4,2.5,,,,\n", 5, "her2_copies", "missing"),
    ("ish", ISH + "4,-1,3,,,\n", 5, "ratio", "zero or positive"),
    ("ish", ISH + "4,1.5,6.5,2+,1.6,\n", 5, "recount_her2_copies", "a recount needs"),
    ("ish", ISH + "4,,5,2+,1.6,5\n", 5, "recount_ratio", "no meaning"),
    ("ish", "case,nuclei,her2_signals,cep17_signals\n1,19,80,40\n", 2, "nuclei", "at least 20 nuclei"),
    ("ish", "case,nuclei,her2_signals,cep17_signals\n1,20,80,0\n", 2, "cep17_signals", "no CEP17"),
    ("ish", "case,nuclei,her2_signals,cep17_signals\n1,20,80.5,40\n", 2, "her2_signals", "whole number"),
    ("ish", "case,nuclei,her2_signals\n1,,80\n", 2, "nuclei", "missing"),
    ("ish", "case,ratio,her2_copies,cep17_copies\n1,2.5,6,3\n", 2, "ratio", "contradicts"),
    ("ish", "case,her2_copies,cep17_copies\n1,6,0\n", 2, "cep17_copies", "positive"),
    ("ish", "case,ratio,her2_copies,dual_probe_group\n1,3,8,5\n", 2, "dual_probe_group", "contradicts"),
    ("ish", "case,ratio,her2_copies,edition\n1,3,8,1999\n", 2, "edition", "unknown edition"),
    ("ish", "case,nucleus,her2_signals,cep17_signals\n1,1,4,2\n1,2,4,2\n", 2, "nucleus", "at least 20 nuclei"),
    ("copy-number", COPIES + ".5,.5,8,2,\n,,8,2,4\n", 6, "cn_observed", "exactly one quantity"),
    ("copy-number", COPIES + "1.2,.5,8,2,\n", 5, "purity", "between 0 and 1"),
    ("copy-number", COPIES + ",1,6,2,20\n", 5, "purity", "no purity between"),
    ("copy-number", COPIES + ",.5,2,2,2\n", 5, "purity", "not determined"),
    ("copy-number", COPIES + ".5,1,20,2,4\n", 5, "cn_observed", "contradict"),
    ("sampling", BIOPSY + "patchy,.2,,,1,,\n", 4, "pattern", "must be one of"),
    ("sampling", BIOPSY + "focal,20,,,1,,\n", 4, "fraction_amplified", "between 0 and 1"),
    ("sampling", BIOPSY + "mosaic,.2,.5,20,1,,\n", 4, "icc", "independent"),
    ("sampling", BIOPSY + "focal,.2,.5,,1,,\n", 4, "nuclei", "matters"),
    ("sampling", BIOPSY + "focal,.2,,,0,,\n", 4, "cores", "at least one core"),
    ("sampling", BIOPSY + "focal,.2,,,1,2,2\n", 4, "cn_amplified", "more copies"),
]


@pytest.mark.parametrize(("kind", "text", "row", "column", "rule"), BAD)
def test_bad_rows_are_refused_by_name(kind, text, row, column, rule, tmp_path, capsys):
    code, table = run(tmp_path, kind, text)
    assert code == 2
    assert table is None
    shown = capsys.readouterr().err
    place = f"row {row}, column '{column}'"
    assert any(place in line and rule in line for line in shown.splitlines()), shown
    assert "Traceback" not in shown


def test_all_problems_come_at_once(tmp_path):
    text = IHC + "4,pink,complete,20\n5,weak,complete,200\n6,none,complete,20\n"
    with pytest.raises(InputError) as caught:
        assay("ihc", write(tmp_path, text))
    assert [p.row for p in caught.value.problems] == [5, 6, 7]


def test_unknown_kind_and_edition_without_guideline(tmp_path):
    with pytest.raises(InputError, match="unknown assay"):
        assay("elisa", write(tmp_path, IHC))
    with pytest.raises(InputError, match="no guideline rules"):
        assay("sampling", write(tmp_path, BIOPSY), edition="2018")
    assay_file("sampling", write(tmp_path, BIOPSY), tmp_path / "o.csv")
    with pytest.raises(InputError, match="exists"):
        assay_file("sampling", write(tmp_path, BIOPSY), tmp_path / "o.csv")


CELL = st.sampled_from(
    ["", "0", "1", "2.0", "-1", "x", "2+", "3+", "1e400", "0.5", "20", "nan", "faint", "complete", "focal"]
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["ihc", "ish", "copy-number", "sampling"]),
    st.lists(st.lists(CELL, min_size=7, max_size=7), min_size=1, max_size=3),
)
def test_any_cells_are_called_or_refused(kind, rows):
    header = {"ihc": IHC, "ish": ISH, "copy-number": COPIES, "sampling": BIOPSY}[kind].split("\n", 1)[0].split(",")
    frame = pd.DataFrame([row[: len(header)] for row in rows], columns=header, dtype=object)
    try:
        table = assay(kind, frame)
    except InputError as error:
        assert all(problem.rule and problem.remedy for problem in error.problems)  # noqa: PT017
    else:
        assert len(table) == len(rows)
        assert table["call"].astype(bool).all()
        assert not np.any(table["reason"] == "")
