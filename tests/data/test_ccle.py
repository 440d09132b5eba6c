"""CCLE 2012 in its wide and its long layout, and its limits."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd.data.ccle import read_ccle, read_ccle_metrics
from her2pkpd.errors import InputError
from tests.data.helpers import CCLE, needs_ccle

WIDE = pd.DataFrame(
    {
        "CCLE Cell Line Name": ["BT474_BREAST", "MCF7_BREAST"],
        "Primary Cell Line Name": ["BT-474", "MCF7"],
        "Compound": "Lapatinib",
        "Target": "EGFR",
        "Doses (uM)": [".0025,.0080,8", ".0025,8"],
        "Activity Data (median)": ["8.41,-17,-118", "0,-60"],
        "Activity SD": ["28.5,21.1,1.0", ".5,2"],
        "Num Data": [3, 2],
        "FitType": "Sigmoid",
        "EC50 (uM)": ["0.5", "NA"],
        "IC50 (uM)": [0.116, 8.0],
        "Amax": [-118.4, -60.0],
        "ActArea": [3.38, 0.7],
    }
)


def test_wide_layout():
    plate = read_ccle(WIDE)
    frame = plate.frame
    assert frame["concentration"].to_numpy() == pytest.approx([2.5, 8, 8000, 2.5, 8000])
    assert frame["value"].to_numpy() == pytest.approx([1.0841, 0.83, -0.18, 1, 0.4])
    assert frame["sd"].to_numpy() == pytest.approx([0.285, 0.211, 0.01, 0.005, 0.02])
    assert frame["ccle_name"].tolist() == ["BT474_BREAST"] * 3 + ["MCF7_BREAST"] * 2
    assert set(frame["time"]) == {72.0}
    assert "assumed" in plate.notes[0]
    assert "assumed" in repr(plate)


def test_selection_and_names():
    plate = read_ccle(
        WIDE,
        drugs=["lapatinib"],
        drug_names={"Lapatinib": "lapatinib"},
        cell_lines=["MCF-7"],
        cell_line_names={"MCF7": "MCF-7"},
    )
    assert (plate.cell_lines, plate.drugs, len(plate)) == (("MCF-7",), ("lapatinib",), 2)
    with pytest.raises(InputError, match="no row is left"):
        read_ccle(WIDE, drugs=["tucatinib"])


def test_lists_of_unequal_length_are_refused():
    with pytest.raises(InputError, match=r"row 3, column 'activity'.*one value for each dose"):
        read_ccle(WIDE.assign(**{"Activity Data (median)": ["8,-17,-118", "0,-60,-70"]}))


def test_published_metrics():
    metrics = read_ccle_metrics(WIDE).set_index(["cell_line", "metric"])
    assert metrics.loc[("BT-474", "IC50"), ["value", "censoring"]].tolist() == [pytest.approx(116), "none"]
    assert metrics.loc[("MCF7", "IC50"), ["value", "censoring"]].tolist() == [8000, "right"]
    assert metrics.loc[("BT-474", "Emax"), "value"] == pytest.approx(-0.184)
    assert ("MCF7", "EC50") not in metrics.index


@needs_ccle
def test_the_release():
    wide = read_ccle(CCLE / "ccle_breast_wide_all24drugs.csv")
    long = read_ccle(CCLE / "ccle_breast_long_all24drugs.csv")
    keys = ["cell_line", "drug", "concentration"]
    columns = [*keys, "value", "sd"]
    assert len(wide) == 5599
    pd.testing.assert_frame_equal(
        wide.frame.sort_values(keys)[columns].reset_index(drop=True),
        long.frame.sort_values(keys)[columns].reset_index(drop=True),
    )
    raw = pd.read_csv(CCLE / "ccle_breast_long_all24drugs.csv")
    assert np.array_equal(long.frame["value"], 1 + raw["activity_median_pct"] / 100)
    assert len(long.cell_lines) == 30
    assert len(long.drugs) == 24


@needs_ccle
def test_limits_of_the_release():
    metrics = read_ccle_metrics(CCLE / "ccle_breast_wide_all24drugs.csv")
    raw = pd.read_csv(CCLE / "ccle_breast_wide_all24drugs.csv")
    ic50 = metrics[metrics["metric"] == "IC50"]
    assert (ic50["censoring"] == "right").sum() >= (raw["IC50 (uM)"] == 8).sum() == 427
    assert (ic50["censoring"] == "left").sum() == (raw["IC50 (uM)"] <= 0.0025).sum()
    lapatinib = ic50[(ic50["drug"] == "Lapatinib") & (ic50["censoring"] == "none")]
    assert lapatinib.sort_values("value")["cell_line"].tolist()[:4] == ["BT-474", "ZR-75-30", "AU565", "SK-BR-3"]
