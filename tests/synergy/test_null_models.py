"""Null models against closed forms and their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.synergy import make_block, score_block
from her2pkpd.synergy import null_models as null
from tests.synergy.data import GRID, hill

A, B = (0.2, 1.3, 1.0), (0.1, 0.8, 2.0)


def scores(survival, name, **options):
    table = score_block(make_block(GRID, survival, kind="viability"), draws=0, **options).table
    return table[table["score"] == name]


def test_bliss_independent_drugs_have_no_excess():
    both = hill(GRID[:, 0], *A) * hill(GRID[:, 1], *B)
    assert np.allclose(scores(both, "bliss_excess_gt0_is_synergy")["value"], 0.0, atol=1e-12)
    # ZIP shares the null; its slices start at the other drug's survival and end at a multiple of it
    assert np.allclose(scores(both, "zip_delta_gt0_is_synergy")["value"], 0.0, atol=1e-5)


def test_hsa_of_an_inert_partner():
    alone = hill(GRID[:, 0], *A)
    assert np.allclose(scores(alone, "hsa_excess_gt0_is_synergy")["value"], 0.0, atol=1e-12)


def test_a_drug_with_itself_is_loewe_additive_and_not_bliss():
    sham = hill(GRID.sum(axis=1), *A)
    assert np.allclose(scores(sham, "loewe_ci_lt1_is_synergy")["value"], 1.0, atol=1e-2)
    assert np.allclose(scores(sham, "loewe_excess_gt0_is_synergy")["value"], 0.0, atol=1e-6)
    assert scores(sham, "bliss_excess_gt0_is_synergy")["value"].abs().max() > 0.05


def test_loewe_is_masked_beyond_the_weaker_drug():
    weak, strong = (0.6, 1.0, 1.0), (0.0, 1.0, 1.0)
    rows = scores(np.minimum(hill(GRID[:, 0], *weak), hill(GRID[:, 1], *strong)), "loewe_ci_lt1_is_synergy")
    masked = rows["status"] != "ok"
    assert rows.loc[rows["concentration_2"] > 1.0, "status"].eq("effect_not_reached_by_both_drugs").all()
    assert rows.loc[masked, "value"].isna().all()
    assert rows.loc[~masked, "value"].notna().all()


@settings(max_examples=60, deadline=None)
@given(e=st.floats(0.0, 0.4), h=st.floats(0.5, 3.0), c=st.floats(0.1, 10.0), d=st.tuples(*[st.floats(0.01, 30.0)] * 2))
def test_expected_loewe_has_index_one(e, h, c, d):
    curves = (np.array([1.0]), np.array([[e, 0.2]]), np.array([[h, 1.2]]), np.array([[c, 1.0]]))
    doses = np.array([d])
    expected = null.loewe_expected(doses, *curves)
    if np.isfinite(expected[0]):
        alone = null.hill_dose(expected[:, None], curves[0][:, None], *curves[1:])
        assert null.loewe_ci(doses, alone)[0] == pytest.approx(1.0, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(dose=st.floats(1e-3, 1e3), e=st.floats(0.0, 0.9), h=st.floats(0.3, 4.0), c=st.floats(0.01, 100.0))
def test_hill_dose_undoes_hill_effect(dose, e, h, c):
    one = [np.array(x) for x in (1.0, e, h, c)]
    effect = null.hill_effect(np.array(dose), *one)
    if 1e-6 < (1 - effect) / (1 - e) < 1 - 1e-6:
        assert null.hill_dose(effect, *one) == pytest.approx(dose, rel=1e-6)


def test_median_effect_of_a_median_effect_line():
    dose = np.array([0.1, 1.0, 10.0])
    m, middle = null.median_effect(dose, 1 / (1 + (dose / 2.0) ** 1.5))
    assert (m, middle) == (pytest.approx(1.5), pytest.approx(2.0))


def test_growth_rates_that_add_up_are_bliss_independent_on_the_gr_scale():
    k0 = 1.0
    rate_a, rate_b = (k0 * hill(GRID[:, i], *curve) for i, curve in enumerate((A, B)))
    gr = 2 ** ((rate_a + rate_b - k0) / k0) - 1
    block = make_block(GRID, gr, kind="gr")
    table = score_block(block, draws=0).table
    assert np.allclose(table.loc[table["score"].str.startswith("bliss"), "value"], 0.0, atol=1e-12)


def test_inhibition_and_viability_agree():
    both = hill(GRID.sum(axis=1), *A)
    a, b = (
        score_block(make_block(GRID, v, kind=k), draws=0) for v, k in ((both, "viability"), (1 - both, "inhibition"))
    )
    assert np.allclose(a.summary["value"], b.summary["value"], rtol=1e-6)


def test_three_drugs():
    three = np.array([(a, b, c) for a in (0, 0.3, 1, 3.0) for b in (0, 0.3, 1, 3.0) for c in (0, 0.3, 1, 3.0)])
    both = np.prod([hill(three[:, k], 0.2, 1.0, 1.0) for k in range(3)], axis=0)
    summary = score_block(make_block(three, both, kind="viability"), draws=0).summary.set_index("score")
    assert summary.loc["bliss_excess_gt0_is_synergy", "value"] == pytest.approx(0.0, abs=1e-12)
    sham = hill(three.sum(axis=1), 0.2, 1.0, 1.0)
    summary = score_block(make_block(three, sham, kind="viability"), draws=0).summary.set_index("score")
    assert summary.loc["loewe_ci_lt1_is_synergy", "value"] == pytest.approx(1.0, abs=1e-6)


def test_intervals_hold_the_truth():
    truth = hill(GRID[:, 0], *A) * hill(GRID[:, 1], *B)
    rng, held = np.random.default_rng(3), []
    for seed in range(20):
        doses = np.tile(GRID, (3, 1))
        noisy = np.tile(truth, 3) + rng.normal(0, 0.03, len(doses))
        table = score_block(make_block(doses, noisy, kind="viability"), draws=100, seed=seed).table
        bliss = table[table["score"].str.startswith("bliss")]
        held.append(((bliss["lower"] <= 0) & (bliss["upper"] >= 0)).mean())
    assert 0.9 < np.mean(held) < 0.99
