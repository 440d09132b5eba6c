import numpy as np
import pandas as pd
import pytest

from her2pkpd.cohort.sensitivity_given import explained_variance
from tests.cohort.test_sensitivity import ishigami, ishigami_exact


def table(n, seed=0):
    return pd.DataFrame(np.random.default_rng(seed).uniform(-np.pi, np.pi, (n, 3)), columns=["x1", "x2", "x3"])


def test_ishigami_from_a_plain_sample():
    x = table(100_000)
    found = explained_variance(x.assign(arm="a", y=ishigami(x)), "y", ["x1", "x2", "x3"], groups=60).set_index("input")
    np.testing.assert_allclose(found.loc[["x1", "x2", "x3"], "share"], ishigami_exact()[0], atol=0.01)


def test_a_linear_relation_explains_its_squared_correlation():
    rng = np.random.default_rng(1)
    x = rng.standard_normal(50_000)
    y = 0.6 * x + 0.8 * rng.standard_normal(50_000)
    found = explained_variance(pd.DataFrame({"x": x, "y": y}), "y", ["x"], by=[], groups=50)
    assert found["share"].iloc[0] == pytest.approx(0.36, abs=0.01)


def test_chance_explains_nothing_on_average():
    shares = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"x": rng.random(100), "y": rng.random(100)})
        shares.append(explained_variance(frame, "y", ["x"], by=[])["share"].iloc[0])
    assert abs(np.mean(shares)) < 3.5 * np.std(shares) / np.sqrt(200)


def test_words_flags_and_what_does_not_vary():
    frame = pd.DataFrame({"arm": "a", "sex": ["f", "m"] * 50, "asia": [True, False] * 50, "one": 1.0})
    frame["y"] = np.where(frame["sex"] == "m", 2.0, 1.0)
    found = explained_variance(frame, "y", ["sex", "asia", "one"]).set_index("input")["share"]
    assert found["sex"] == found["asia"] == 1.0
    assert np.isnan(found["one"])


def test_weights_are_copies():
    x = table(4000)
    w = np.random.default_rng(2).integers(0, 3, 4000)
    frame = x.assign(y=ishigami(x), w=w.astype(float))
    copied = frame.loc[np.repeat(frame.index, w)].reset_index(drop=True)
    a = explained_variance(frame, "y", ["x1"], by=[], weights="w")["share"].iloc[0]
    b = explained_variance(copied, "y", ["x1"], by=[])["share"].iloc[0]
    assert a == pytest.approx(b, abs=0.01)
