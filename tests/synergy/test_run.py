"""The verb: its folder, its rules for awkward plates, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from her2pkpd import InputError, synergy
from her2pkpd.cli import main
from her2pkpd.data.oneil import read_oneil
from her2pkpd.synergy import read_blocks
from tests.synergy.data import DOSES, GRID, hill, plate

BOTH = hill(GRID[:, 0], 0.3, 1.2, 1.0) * hill(GRID[:, 1], 0.2, 0.9, 2.0)
CONTRACT = ["block", "drug", "concentration", "drug_2", "concentration_2", "score", "value", "lower", "upper"]


def noisy(copies=2, seed=0):
    doses = np.tile(GRID, (copies, 1))
    return doses, np.tile(BOTH, copies) + np.random.default_rng(seed).normal(0, 0.02, len(doses))


def test_folder(tmp_path):
    plate(*noisy()).to_csv(tmp_path / "plate.csv", index=False)
    out = tmp_path / "out"
    assert main(["synergy", str(tmp_path / "plate.csv"), "--out", str(out), "--quiet"]) == 0
    scores, surfaces = pd.read_csv(out / "synergy.csv"), pd.read_csv(out / "surfaces.csv")
    assert set(CONTRACT) <= set(scores.columns)
    assert list(surfaces.columns) == ["block", "model", "parameter", "estimate", "lower", "upper"]
    assert set(scores["concentration"]) == set(DOSES[1:])
    assert scores.loc[scores["status"] == "ok", ["value", "lower", "upper"]].notna().all(axis=None)
    assert all("_is_synergy" in s for s in scores["score"])
    bliss = scores[scores["score"] == "bliss_excess_gt0_is_synergy"]
    assert (bliss["q"] < 0.05).mean() < 0.2
    summary = json.loads((out / "summary.json").read_text())
    assert summary["blocks"][0]["response"] == "viability"
    assert len(list((out / "figures").glob("*.png"))) == 8
    assert json.loads((out / "run.json").read_text())["status"] == "ok"
    assert (out / "report.html").stat().st_size > 10_000


def test_a_screen_ranks_the_synergistic_block_first():
    frames = []
    for i in range(6):
        doses, value = noisy(1, i)
        both = (doses > 0).all(axis=1)
        frames.append(
            plate(doses, np.clip(value - 0.15 * both * (i == 4), 0, None), drugs=("A", f"B{i}"), block=f"b{i}")
        )
    result = synergy(pd.concat(frames), draws=100)
    bliss = result.ranking[result.ranking["score"] == "bliss_excess_gt0_is_synergy"]
    assert bliss["block"].iloc[0] == "b4"
    assert bliss["q"].iloc[0] < 0.05
    assert (bliss["q"].iloc[1:] >= bliss["p"].iloc[1:]).all()


def test_one_dose_gives_bliss_and_hsa_only():
    few = np.array([(0, 0), (1, 0), (0, 1), (1, 1)] * 3, dtype=float)
    value = np.tile([1.0, 0.6, 0.5, 0.2], 3) + np.random.default_rng(0).normal(0, 0.01, 12)
    result = synergy(plate(few, value))
    status = result.scores.set_index("score")["status"]
    assert status["bliss_excess_gt0_is_synergy"] == "ok"
    assert status["loewe_ci_lt1_is_synergy"] == "fewer_than_3_doses_alone"
    assert len(result.surfaces) == 0
    assert {r.split(":")[0] for r in next(iter(result.rules.values()))} >= {"few_doses", "no_surface"}


def test_missing_single_agents_leave_the_surfaces():
    keep = (GRID > 0).all(axis=1)
    result = synergy(plate(GRID[keep], BOTH[keep]), draws=10)
    assert (result.scores["status"] != "ok").all()
    assert len(result.surfaces) > 0
    assert any(r.startswith("single_agents_missing") for r in next(iter(result.rules.values())))


def test_mixed_units_are_converted_and_said():
    frame = plate(GRID, BOTH)
    frame.loc[3:9, ["concentration_2", "unit_2"]] = [[v * 1000, "nM"] for v in frame.loc[3:9, "concentration_2"]]
    mixed, plain = synergy(frame, draws=0), synergy(plate(GRID, BOTH), draws=0)
    assert np.allclose(mixed.ranking["value"], plain.ranking["value"], equal_nan=True)
    assert any(r.startswith("mixed_units") for r in next(iter(mixed.rules.values())))


def test_amounts_and_masses_cannot_be_mixed():
    frame = plate(GRID, BOTH)
    frame.loc[3, "unit_2"] = "ug/mL"
    with pytest.raises(InputError, match="amounts and in masses"):
        synergy(frame)


def test_a_drug_with_itself_may_be_given_twice():
    alone = hill(GRID.sum(axis=1), 0.2, 1.3, 1.0)
    frame = plate(GRID, alone, drugs=("A", "A"))
    single = (GRID > 0).sum(axis=1) < 2
    frame = pd.concat([frame[~single], frame[single & (GRID[:, 1] == 0)].assign(drug_2="", concentration_2=0.0)])
    summary = synergy(frame, draws=0).ranking.set_index("score")
    assert summary.loc["loewe_ci_lt1_is_synergy", "value"] == pytest.approx(1.0, abs=0.01)


def test_counts_are_taken_relative_to_untreated_wells():
    a = synergy(plate(GRID, BOTH * 3000, readout="cell_count"), draws=0).ranking["value"]
    b = synergy(plate(GRID, BOTH), draws=0).ranking["value"]
    assert np.allclose(a, b, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(value=f["value"] * 100), "percentages"),
        (lambda f: f.drop(columns="replicate"), "the same well"),
        (lambda f: f.assign(concentration=f["concentration"] - 1), "logarithm"),
        (lambda f: f.assign(drug_2="", concentration_2=0.0, replicate=range(len(f))), "no combination to score"),
        (lambda f: f.assign(readout="effect"), "unknown readout"),
    ],
)
def test_refused(change, words, tmp_path, capsys):
    frame = plate(*noisy(2))
    change(frame).to_csv(tmp_path / "plate.csv", index=False)
    assert main(["synergy", str(tmp_path / "plate.csv"), "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_layout_of_the_oneil_screen():
    table = pd.DataFrame({
        "drug1id": ["A", "A"], "drug2id": ["B", ""], "drug1dose": [0.1, 0.1], "drug2dose": [0.2, np.nan],
        "cellid": "A375", "batchid": 1, "viability1": [0.5, 0.8], "viability2": [0.6, np.nan],
    })  # fmt: skip
    wells = read_oneil(table)
    assert wells["value"].tolist() == [0.5, 0.6, 0.8]
    (block,) = read_blocks(wells)
    assert block.drugs == ("A", "B")
    assert block.doses[:, 1].tolist() == [0.2, 0.2, 0.0]
