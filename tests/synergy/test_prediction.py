"""Predictions of combinations from single drugs: right where the model is true, and scored on unseen wells."""

import numpy as np
import pytest

from her2pkpd import InputError, load_cell_line, load_drug
from her2pkpd.synergy import make_block
from her2pkpd.synergy.mechanism import Combination, parameter_draws, predicted_survival
from her2pkpd.synergy.prediction import predict_by_mechanism, predict_from_singles, prediction_score
from tests.synergy.data import GRID, hill

INDEPENDENT = hill(GRID[:, 0], 0.3, 1.2, 1.0) * hill(GRID[:, 1], 0.2, 0.9, 2.0)


def measured(clean, copies=3, noise=0.03, seed=0):
    doses = np.tile(GRID, (copies, 1))
    return make_block(
        doses, np.tile(clean, copies) + np.random.default_rng(seed).normal(0, noise, len(doses)), kind="viability"
    )


def test_the_true_null_predicts_to_within_noise_and_the_others_do_not():
    score = prediction_score(predict_from_singles(measured(INDEPENDENT))).set_index("model")
    assert score.loc["independence", "rmse"] < 1.5 * 0.03
    assert 0.85 <= score.loc["independence", "coverage"] <= 1.0
    assert score.loc["strongest_alone", "rmse"] > 2 * score.loc["independence", "rmse"]
    sham = hill(GRID.sum(axis=1), 0.2, 1.3, 1.0)
    score = prediction_score(predict_from_singles(measured(sham))).set_index("model")
    assert score.loc["loewe", "rmse"] < 1.5 * 0.03
    assert score.loc["loewe", "rmse"] < 0.5 * score.loc["independence", "rmse"]


def test_the_combination_s_wells_are_not_used():
    block = measured(INDEPENDENT)
    other = make_block(block.doses, np.where(block.combined, 0.5, block.survival), kind="viability")
    a, b = predict_from_singles(block), predict_from_singles(other)
    assert np.allclose(a["predicted"], b["predicted"], equal_nan=True)
    assert np.allclose(a["lower"], b["lower"], equal_nan=True)


def test_the_mechanism_s_band_holds_wells_made_by_it():
    case = Combination(
        load_cell_line("BT-474"), (load_drug("trastuzumab"), load_drug("lapatinib")),
        np.array([(a, b) for a in (3.0, 30.0) for b in (20.0, 200.0)]), {},
    )  # fmt: skip
    rng = np.random.default_rng(3)
    draws = {"cells.S50": 0.3 * np.exp(0.2 * rng.normal(size=40)), "lapatinib.HER2.Ki": np.full(40, 15.0)}
    truth = predicted_survival(case, case.model(), parameter_draws(case.model(), draws)[:1])[0, :, 0]
    doses = np.tile(case.doses, (6, 1))
    block = make_block(doses, np.tile(truth, 6) + rng.normal(0, 0.03, len(doses)), kind="viability")
    table = predict_by_mechanism(case, draws, block, 0.03)
    assert ((table["lower"] < table["measured"]) & (table["measured"] < table["upper"])).mean() >= 0.75
    assert table["wells"].tolist() == [6, 6, 6, 6]
    assert prediction_score(table)["rmse"].item() < 0.2


def test_refused_without_single_drugs():
    keep = (GRID > 0).all(axis=1)
    with pytest.raises(InputError, match="alone at three doses"):
        predict_from_singles(make_block(GRID[keep], INDEPENDENT[keep], kind="viability"))
