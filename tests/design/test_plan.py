"""From a settings file to a plate: what is proposed, laid out and written, and what is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from her2pkpd import cli
from her2pkpd.data.plate import read_plate
from her2pkpd.design.layout import positions
from her2pkpd.design.plan import plan_plate
from her2pkpd.design.settings import dose_series

FIRST = """
title = "First plate"
[estimate."lapatinib.HER2.Ki"]
prior = { median = "20 nM", spread = 2.0 }
[estimate.k_apo]
prior = { median = "0.01 1/h", spread = 2.0 }
[noise.viability]
sd = 0.04
[design]
wells = 20
target = "k_apo"
cell_lines = ["SK-BR-3"]
times = ["24 h", "72 h"]
draws = 4
controls = 3
[[design.drug]]
name = "lapatinib"
lowest = "1 nM"
highest = "10 uM"
per_decade = 2
"""


@pytest.fixture
def write(tmp_path):
    def write(text=FIRST, name="fit.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_plate_before_any_data(write, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["design", str(write()), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    names = sorted(p.name for p in out.iterdir())
    assert names == ["design.csv", "design.json", "figures", "gain.csv", "plate.csv", "report.html", "run.json"]
    kinds, plate = pd.read_csv(out / "design.csv"), pd.read_csv(out / "plate.csv", keep_default_na=False)
    for own in ("proposed", "usual"):
        assert kinds.loc[kinds["plate"] == own, "wells"].sum() == 20
    usual = kinds[kinds["plate"] == "usual"]
    assert sorted(usual["concentration"])[:1] == [pytest.approx(3.16)]
    assert len(usual) == 8
    assert usual["time"].nunique() == 1
    treated = plate[plate["drug"] != ""]
    assert len(treated) == 20
    assert not plate.duplicated(["plate", "well"]).any()
    assert plate["value"].eq("").all()
    assert (plate[plate["drug"] == ""].groupby("plate").size() == 3).all()
    # One time a plate, and no well at its edge.
    assert (plate.groupby("plate")["time"].nunique() == 1).all()
    assert not plate["well"].str.match(r"[AH]|.*(01|12)$").any()
    gain = pd.read_csv(out / "gain.csv").set_index("parameter")
    assert gain.loc["SK-BR-3.k_apo", "target"]
    assert (gain["proposed"] <= gain["before"]).all()
    assert gain.loc["SK-BR-3.k_apo", "proposed"] < gain.loc["SK-BR-3.k_apo", "usual"]
    assert json.loads((out / "design.json").read_text())["target"] == ["SK-BR-3.k_apo"]
    assert json.loads((out / "run.json").read_text())["command"] == "design"


def test_a_filled_plate_can_be_read_and_fitted(write, tmp_path):
    plate = plan_plate(write()).plate.assign(value=0.5)
    (tmp_path / "plate.csv").write_text(plate.to_csv(index=False))
    assert len(read_plate(tmp_path / "plate.csv").frame) == len(plate)


def test_data_there_are_count_as_known(write, tmp_path):
    plan = plan_plate(write())
    rows = plan.plate.assign(value=lambda f: np.where(f["drug"] == "", 1.0, 1 / (1 + f["concentration"] / 500)))
    (tmp_path / "plate.csv").write_text(rows.to_csv(index=False))
    text = FIRST.replace("[design]", "[method]\nstarts = 1\n[design]")
    text = text.replace("[estimate.k_apo]", '[[data]]\nfile = "plate.csv"\n[estimate.k_apo]')
    second = plan_plate(write(text, "second.toml"))
    before, after = (p.gain.set_index("parameter") for p in (plan, second))
    assert (after["before"] < before["before"]).all()
    assert (after["proposed"] < after["before"]).all()


def test_one_well_read_at_all_times_tells_more_than_one_read_once(write):
    once, live = (plan_plate(write(FIRST.replace("draws", f'reading = "{r}"\ndraws'))) for r in ("endpoint", "live"))
    assert live.gain["proposed"].to_numpy()[1] < once.gain["proposed"].to_numpy()[1]
    plate = live.plate
    assert (plate[plate["drug"] != ""].groupby(["plate", "well"]).size() == 2).all()
    assert len(plate[plate["drug"] != ""]) == 40


def test_draws_may_come_from_elsewhere(write):
    draws = pd.DataFrame({"lapatinib.HER2.Ki": np.log([10.0, 30.0]), "SK-BR-3.k_apo": np.log([0.005, 0.02])})
    assert plan_plate(write(), draws=draws).candidates.pool.rows.shape[0] == 2


def test_pairs_of_drugs_and_many_plates(write):
    text = FIRST.replace("wells = 20", 'wells = 120\ncombinations = [["lapatinib", "trastuzumab"]]')
    text += '[[design.drug]]\nname = "trastuzumab"\nconcentrations = ["1 nM", "30 nM"]\n'
    plan = plan_plate(write(text))
    assert plan.wells["wells"].sum() == 120
    assert plan.wells["wells"].max() <= 6
    assert "drug_2" in plan.plate.columns
    assert plan.plate["plate"].nunique() >= 3


def test_dose_series_and_positions():
    assert dose_series(1.0, 100.0, 2) == (1.0, 3.16, 10.0, 31.6, 100.0)
    assert len(positions(96, edge=False)) == 60
    assert len(positions(384, edge=True)) == 384
    assert positions(96, edge=False)[0] == "B02"


REFUSED = {
    "no design": (FIRST.split("[design]", maxsplit=1)[0], "column 'data': needs at least one"),
    "unknown key": (FIRST.replace("controls", "control"), "column 'design.control': is not a known key"),
    "unknown target": (FIRST.replace('target = "k_apo"', 'target = "k_apoo"'), "'k_apoo': is not estimated"),
    "unknown drug": (FIRST.replace('name = "lapatinib"', 'name = "lapatinobody"'), "design.drug[1].name"),
    "range": (FIRST.replace("1 nM", "1 mM"), "must be above zero and below highest"),
    "time": (FIRST.replace('"24 h"', '"-1 h"'), "must be after the drugs are added"),
    "scatter": (FIRST.replace("sd = 0.04", 'kind = "normal"'), "the scatter of viability (sd) is not known"),
    "too few kinds": (FIRST.replace("wells = 20", "wells = 500"), "fewer than the 500 wells asked for"),
    "pair": (FIRST.replace("draws", 'combinations = [["lapatinib", "neratinib"]]\ndraws'), "'neratinib' has no"),
    "no times": (FIRST.replace('times = ["24 h", "72 h"]\n', ""), "there are no data to take it from"),
    "fit folder": (FIRST.replace("draws", 'fit = "nowhere"\ndraws'), "is not of a finished fit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_key_and_write_nothing(write, tmp_path, capsys, case):
    text, message = REFUSED[case]
    out = tmp_path / "out"
    assert cli.main(["design", str(write(text)), "--out", str(out), "--quiet"]) == 2
    assert re.search(re.escape(message), capsys.readouterr().err)
    assert not out.exists()


def test_a_fit_without_data_is_refused_although_it_has_a_design(write, tmp_path, capsys):
    assert cli.main(["fit", str(write()), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    assert "hold no treated well" in capsys.readouterr().err
