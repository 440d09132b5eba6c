"""Published metrics: limits stay limits."""

import numpy as np
import pandas as pd
import pytest

from her2pkpd.data.metrics import read_metrics


def one(value, metric="IC50", unit="uM", **more):
    row = {"cell_line": "SK-BR-3", "drug": "lapatinib", "metric": metric, "value": value, "unit": unit}
    row |= {"time": "72", "time_unit": "h", "source": "a paper"} | more
    return read_metrics(pd.DataFrame([row]), molar_masses={"lapatinib": 581.06}).iloc[0]


@pytest.mark.parametrize(
    ("text", "value", "censoring"),
    [
        ("0.2", 200, "none"),
        ("1e-3", 1, "none"),
        (">8", 8000, "right"),
        (">= 16.7", 16700, "right"),
        ("≥8", 8000, "right"),
        ("<0.001", 1, "left"),
        ("<=0.001", 1, "left"),
        ("≤ 1e-3", 1, "left"),
        ("not reached", np.nan, "right"),
        ("Inf", np.nan, "right"),
        ("-inf", np.nan, "left"),
    ],
)
def test_values_and_limits(text, value, censoring):
    row = one(text)
    assert row["value"] == pytest.approx(value, nan_ok=True)
    assert row["censoring"] == censoring
    assert row["unit"] == "nM"


def test_the_highest_dose_is_the_limit_where_it_is_known():
    row = one("not reached", unit="nM", top_concentration="8", top_unit="uM")
    assert (row["value"], row["censoring"], row["top_concentration"]) == (8000, "right", 8000)


def test_a_number_keeps_its_value_beside_the_highest_dose():
    assert one("0.2", top_concentration="8", top_unit="uM")["value"] == pytest.approx(200)


def test_numbers_of_a_data_frame():
    assert one(0.2)["value"] == pytest.approx(200)
    assert one(np.inf)["censoring"] == "right"


def test_mass_and_percent():
    # 1 ug/mL of 581.06 g/mol is 1721.0 nM
    assert one("1", unit="ug/mL")["value"] == pytest.approx(1e6 / 581.06)
    assert one("45", metric="GRmax", unit="%")["value"] == pytest.approx(0.45)
    assert one(">0.9", metric="grmax", unit="-")["censoring"] == "right"


def test_unknown_durations_stay_unknown():
    assert np.isnan(one("1", time="", time_unit="")["time"])
    assert one("1", time="3", time_unit="d")["time"] == 72


def test_other_columns_are_carried():
    row = one("1", note="second screen")
    assert row["note"] == "second screen"
    assert row["certainty"] == ""
