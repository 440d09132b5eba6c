import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, norm

from her2pkpd.cohort.attainment import attainment, wilson
from her2pkpd.cohort.summary_exposure import CONFOUNDED, exposure_response
from her2pkpd.cohort.summary_response import shares, spider, waterfall


def test_against_the_closed_form_of_a_log_normal_trough():
    """AUC = dose/CL with log-normal CL: P(AUC >= t) = Phi((ln(dose/t) - ln CL)/omega)."""
    n, omega, cl = 200_000, 0.4, 4.0
    rng = np.random.default_rng(7)
    dose = np.repeat([100.0, 200.0, 400.0], n)
    table = pd.DataFrame({"dose": dose, "AUC": dose / (cl * np.exp(omega * rng.standard_normal(3 * n)))})
    found = attainment(table, "AUC", [25.0, 60.0], by=["dose"])
    exact = norm.cdf((np.log(found["dose"] / found["target"]) - np.log(cl)) / omega)
    assert np.all(np.abs(found["probability"] - exact) < 4.0 * np.sqrt(exact * (1 - exact) / n))
    assert np.all((found["lower"] < found["probability"]) & (found["probability"] < found["upper"]))
    below = attainment(table, "AUC", [25.0, 60.0], by=["dose"], direction="at most")
    np.testing.assert_allclose(found["probability"] + below["probability"], 1.0)


def test_the_target_itself_is_reached_and_missing_values_are_counted():
    table = pd.DataFrame({"arm": "a", "Cmin": [1.0, 2.0, 3.0, np.nan], "status": ["ok"] * 4})
    for direction in ("at least", "at most"):
        row = attainment(table, "Cmin", 2.0, direction=direction).iloc[0]
        assert row["probability"] == pytest.approx(2 / 3)
        assert row["missing"] == 1


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (50, 50), (123, 1000)])
def test_wilson_is_scipys(k, n):
    exact = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k / n, n) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_weights_shift_the_probability_and_widen_its_interval():
    rng = np.random.default_rng(8)
    x = rng.standard_normal(100_000)
    table = pd.DataFrame({"arm": "a", "x": x, "w": np.exp(0.5 * x)})  # tilted to a normal of mean 0.5
    row = attainment(table, "x", 1.0, weights="w").iloc[0]
    assert row["probability"] == pytest.approx(norm.sf(0.5), abs=4 * np.sqrt(0.25 / row["effective"]))
    assert row["effective"] == pytest.approx(100_000 * np.exp(-0.25), rel=0.02)


def test_quartiles_show_the_confounder():
    """Albumin raises both exposure and response; the dose does nothing. The quartiles rise, the arms do not."""
    rng, n = np.random.default_rng(9), 20_000
    albumin = rng.standard_normal(n)
    arms = []
    for arm, dose in (("low", 1.0), ("high", 2.0)):
        exposure = dose * np.exp(0.3 * albumin + 0.2 * rng.standard_normal(n))
        response = (rng.random(n) < 1 / (1 + np.exp(-albumin))).astype(float)
        arms.append(pd.DataFrame({"arm": arm, "AUC": exposure, "responded": response, "albumin": albumin}))
    found = exposure_response(pd.concat(arms), "AUC", "responded", covariates=["albumin"])
    assert found.warning == CONFOUNDED
    for _, rows in found.groups.groupby("arm"):
        assert np.all(np.diff(rows["response"]) > 0)
        assert (rows["patients"] == n // 4).all()
        assert np.all(rows["high"].to_numpy()[:-1] <= rows["low"].to_numpy()[1:])
    whole = pd.concat(arms).groupby("arm")["responded"].mean()
    assert abs(whole["high"] - whole["low"]) < 0.02
    assert (found.imbalance["standardised"] > 1.5).all()


def test_responders_are_counted_from_recist():
    table = pd.DataFrame({"arm": "a", "AUC": np.arange(8.0), "best_response": ["PD", "SD", "SD", "PR"] * 2})
    found = exposure_response(table, "AUC", "best_response", quartiles=2).groups
    assert found["response"].tolist() == [0.25, 0.25]
    rate = shares(table).set_index("best_response")
    assert rate.loc["CR or PR", "share"] == 0.25
    assert rate.loc["SD", "share"] == 0.5
    w = pd.Series([1.0, 1.0, 1.0, 5.0] * 2, index=np.arange(8))
    weighted = shares(table.assign(patient=np.arange(8)), weights=w).set_index("best_response")
    assert weighted.loc["CR or PR", "share"] == pytest.approx(10 / 16)


def test_waterfall_keeps_ranks_and_weights():
    table = pd.DataFrame({"patient": np.arange(5), "arm": "a", "SLD.best_change": [10.0, -50.0, 0.0, -100.0, 30.0]})
    found = waterfall(table)
    assert found["change"].tolist() == [30.0, 10.0, 0.0, -50.0, -100.0]
    assert found["right"].iloc[-1] == 1.0
    heavy = waterfall(table, weights=pd.Series([1.0, 1.0, 1.0, 6.0, 1.0]))
    assert heavy["right"].iloc[-1] - heavy["left"].iloc[-1] == pytest.approx(0.6)
    many = pd.DataFrame({"patient": np.arange(10_000), "arm": "a", "SLD.best_change": np.linspace(-100, 50, 10_000)})
    few = waterfall(many, bars=100)
    assert len(few) == 100
    np.testing.assert_allclose(few["change"], 50 - 150 * 0.5 * (few["left"] + few["right"]), atol=0.02)


def test_spider_follows_the_same_patients_in_every_arm():
    table = pd.DataFrame({
        "patient": np.repeat(np.arange(100), 4), "arm": np.tile(["a", "a", "b", "b"], 100),
        "time": np.tile([0.0, 1.0], 200), "SLD": np.tile([50.0, 40.0, 50.0, 75.0], 100),
    })  # fmt: skip
    found = spider(table, patients=7)
    who = found.groupby("arm")["patient"].unique()
    assert set(who["a"]) == set(who["b"])
    assert len(who["a"]) == 7
    assert found.query("arm == 'a' and time == 1")["change"].unique() == pytest.approx([-20.0])
    assert found.query("arm == 'b' and time == 1")["change"].unique() == pytest.approx([50.0])
