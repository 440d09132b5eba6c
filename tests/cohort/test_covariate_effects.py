import numpy as np
import pandas as pd
import pytest

from her2pkpd.cohort.covariate_effects import contrasts, covariate_effects
from her2pkpd.errors import ComputationError, InputError

REFERENCE = {"weight": 70.0, "sex": "female", "asia": False}


def clearance(people):
    return np.array([
        0.5 * (p["weight"] / 70.0) ** 0.75 * (1.2 if p["sex"] == "male" else 1.0) * (0.9 if p["asia"] else 1.0)
        for p in people
    ])  # fmt: skip


def test_effects_are_those_of_the_model():
    values = {"weight": [49.0, 98.0], "sex": ["female", "male"], "asia": [False, True]}
    found = covariate_effects(clearance, REFERENCE, values)
    expected = [(49 / 70) ** 0.75, (98 / 70) ** 0.75, 1.2, 0.9]
    np.testing.assert_allclose(found["ratio"], expected)
    assert found["lower"].isna().all()


def test_draws_give_intervals():
    exponent = np.random.default_rng(0).normal(0.75, 0.1, 4000)

    def draws(people):
        return np.array([[(p["weight"] / 70.0) ** e for p in people] for e in exponent])

    row = covariate_effects(draws, REFERENCE, {"weight": [98.0]}).iloc[0]
    np.testing.assert_allclose(
        [row["lower"], row["ratio"], row["upper"]], 1.4 ** (0.75 + 0.1 * np.array([-1.645, 0.0, 1.645])), rtol=4e-3
    )


def test_contrasts_are_what_patients_have():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"weight": rng.lognormal(np.log(70), 0.21, 100_000), "asia": rng.random(100_000) < 0.1})
    table["sex"] = "female"
    found = contrasts(table, ["weight", "asia", "sex"])
    np.testing.assert_allclose(found["weight"], 70 * np.exp(0.21 * np.array([-1.645, 1.645])), rtol=0.01)
    assert found["asia"] == [False, True]
    assert found["sex"] == ["female"]


def test_derived_covariates_follow():
    bsa = {"height": 160.0, "weight": 70.0}

    def follow(p):
        return {**p, "bsa": (p["weight"] * p["height"] / 3600) ** 0.5}

    found = covariate_effects(
        lambda people: np.array([p["bsa"] for p in people]), bsa, {"weight": [140.0]}, derived=follow
    )
    assert found["ratio"].iloc[0] == pytest.approx(2**0.5)


def test_refusals():
    with pytest.raises(InputError, match="has no height"):
        covariate_effects(clearance, REFERENCE, {"height": [150.0]})
    with pytest.raises(ComputationError, match="weight 98"):
        covariate_effects(lambda people: np.array([1.0, np.nan]), REFERENCE, {"weight": [98.0]})
