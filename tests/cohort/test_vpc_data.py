import numpy as np
import pandas as pd
import pytest

from her2pkpd.cohort.vpc_data import DataCheck, Units
from her2pkpd.errors import InputError

DAYS = Units(time="d")
COVARIATES = {"weight": "wt", "albumin": "alb"}


def table(subjects=30, censor=None):
    """Weekly and three-weekly trastuzumab, 30-min infusions; concentrations to be filled in."""
    rng, rows = np.random.default_rng(0), []
    for i in range(subjects):
        weight, albumin = 70 * np.exp(0.2 * rng.standard_normal()), 40 + 4 * rng.standard_normal()
        weekly = i % 2
        doses = [(7.0 * k, 4.0 if k == 0 else 2.0) for k in range(4)] if weekly else [(0.0, 8.0), (21.0, 6.0)]
        own = {"ID": i + 1, "wt": weight, "alb": albumin, "weekly": weekly, "CENS": 0}
        rows += [
            {**own, "TIME": t, "AMT": d * weight, "RATE": d * weight / (0.5 / 24), "EVID": 1, "DV": np.nan}
            for t, d in doses
        ]
        rows += [
            {**own, "TIME": t, "AMT": 0.0, "RATE": 0.0, "EVID": 0, "DV": 1.0} for t in (0.1, 3.0, 6.9, 13.9, 20.9, 28.0)
        ]
    return pd.DataFrame(rows).sort_values(["ID", "TIME"], ignore_index=True)


@pytest.fixture(scope="module")
def simulated():
    """Data the model made."""
    frame = table()
    check = DataCheck(frame, "trastuzumab", pk="Quartino 2019", units=DAYS, covariates=COVARIATES)
    values = next(iter(check.simulate(1, seed=99)))
    frame.loc[frame["EVID"] == 0, "DV"] = np.maximum(values, 0.01)
    return frame


def test_data_of_the_model_pass(simulated):
    check = DataCheck(simulated, "trastuzumab", pk="Quartino 2019", units=DAYS, covariates=COVARIATES, keep=["weekly"])
    for options in ({"stratify": "weekly"}, {"correct": True}):
        found = check.check(100, **options)
        assert found.percentiles["inside"].mean() > 0.8
        assert found.replicates == 100
    assert set(found.percentiles["stratum"]) == {"all"}


def test_data_of_another_dose_do_not(simulated):
    doubled = simulated.assign(DV=2.0 * simulated["DV"])
    check = DataCheck(doubled, "trastuzumab", pk="Quartino 2019", units=DAYS, covariates=COVARIATES)
    median = check.check(60, correct=True).percentiles.query("probability == 0.5")
    assert not median["inside"].any()


def test_predictions_are_those_of_the_typical_patient(simulated):
    """Peak of the first dose: dose/Vc but for what half an hour's infusion and two hours lose."""
    check = DataCheck(simulated, "trastuzumab", pk="Quartino 2019", units=DAYS, covariates=COVARIATES)
    first = check.design.observed.groupby("id").first().reset_index()
    weight = simulated.groupby("ID")["wt"].first().to_numpy()
    per_kg = np.where(np.arange(len(weight)) % 2, 4.0, 8.0)
    np.testing.assert_allclose(
        first.sort_values("id", key=lambda x: x.astype(int))["pred"], per_kg * weight / 2.62, rtol=0.05
    )


def test_censored_values_have_their_limit(simulated):
    low = simulated["EVID"].eq(0) & (simulated["DV"] < 20.0)
    cut = simulated.assign(CENS=low.astype(int), DV=simulated["DV"].where(~low, 20.0))
    check = DataCheck(cut, "trastuzumab", pk="Quartino 2019", units=DAYS, covariates=COVARIATES)
    assert check.design.observed["value"].isna().sum() == low.sum()
    assert (check.design.observed["lloq"] == 20.0).all()
    assert len(check.check(25).censored)


def test_under_the_skin_less_arrives_later():
    frame = table(4)
    frame["RATE"] = 0.0
    sc, iv = (
        DataCheck(
            frame, "trastuzumab", pk="Quartino 2016", route=r, units=DAYS, covariates={"weight": "wt"}
        ).design.observed
        for r in ("sc", "iv")
    )
    early = iv["time"] < 1
    assert (sc["pred"][early] < 0.2 * iv["pred"][early]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariates": {"weight": "weight_kg"}}, "no column 'weight_kg'"),
        ({"pk": "Quartino"}, "no model 'Quartino' for the route 'iv'"),
        ({"route": "oral"}, "is not given oral"),
    ],
)
def test_what_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        DataCheck(table(2), "trastuzumab", **change)
