import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import CensoredData, ecdf

from her2pkpd.cohort.survival import kaplan_meier, product_limit, survival_table
from her2pkpd.errors import InputError

# Freireich 1963, remission in weeks under 6-mercaptopurine: the table of most textbooks; + is censored.
REMISSION = [6, 6, 6, 7, 10, 13, 16, 22, 23, 6.5, 9, 10.5, 11, 17, 19, 20, 25, 32, 32, 34, 35]
RELAPSED = [1] * 9 + [0] * 12
PUBLISHED = {
    6: (21, 0.857),
    7: (17, 0.807),
    10: (15, 0.753),
    13: (12, 0.690),
    16: (11, 0.627),
    22: (7, 0.538),
    23: (6, 0.448),
}


def test_a_hand_worked_table():
    # Five patients: events at 1, 2 (two leave at 2, after the event) and 4.
    curve = product_limit(np.array([1.0, 2.0, 2.0, 4.0, 5.0]), np.array([1, 1, 0, 1, 0]))
    np.testing.assert_allclose(curve.time, [1.0, 2.0, 4.0, 5.0])
    np.testing.assert_allclose(curve.at_risk, [5.0, 4.0, 2.0, 1.0])
    np.testing.assert_allclose(curve.events, [1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(curve.survival, [4 / 5, 3 / 5, 3 / 10, 3 / 10])
    # Greenwood at 4: 0.3^2*(1/20 + 1/12 + 1/2), on the log(-log) scale
    s2 = (1 / 20 + 1 / 12 + 1 / 2) / np.log(0.3) ** 2
    assert curve.lower[2] == pytest.approx(0.3 ** np.exp(1.959963984540054 * np.sqrt(s2)))
    assert curve.median()[0] == 4.0


def test_the_remission_data_of_the_textbooks():
    curve = product_limit(np.array(REMISSION), np.array(RELAPSED))
    for week, (at_risk, survival) in PUBLISHED.items():
        row = curve.at([week]).iloc[0]
        assert row["at_risk"] == at_risk
        assert row["survival"] == pytest.approx(survival, abs=6e-4)
    assert curve.median()[0] == 23.0
    assert curve.median()[2] == np.inf


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40))
def test_the_same_as_scipy(rows):
    t, d = np.array([float(r[0]) for r in rows]), np.array([r[1] for r in rows])
    curve = product_limit(t, d)
    if not d.any():
        assert (curve.survival == 1.0).all()
        return
    other = ecdf(CensoredData(uncensored=t[d], right=t[~d])).sf
    np.testing.assert_allclose(curve.survival, other.evaluate(curve.time), atol=1e-12)
    at = curve.time[(curve.survival < 1.0) & (curve.survival > 0.0)]
    if len(at):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SciPy warns where the survival is 0 or 1
            band = other.confidence_interval(method="log-log")
            low, high = band.low, band.high
        inside = np.isin(curve.time, at)
        np.testing.assert_allclose(curve.lower[inside], low.evaluate(at), atol=1e-9)
        np.testing.assert_allclose(curve.upper[inside], high.evaluate(at), atol=1e-9)


def test_without_censoring_it_is_the_share_without_an_event():
    t = np.random.default_rng(1).exponential(10.0, 4000)
    curve = product_limit(t, np.ones(4000))
    np.testing.assert_allclose(curve.survival, 1.0 - np.arange(1, 4001) / 4000, atol=1e-12)
    n, s = 4000, curve.survival[999]  # Greenwood is then the binomial variance
    width = np.log(np.log(curve.lower[999]) / np.log(s)) / 1.959963984540054
    assert width * abs(np.log(s)) * s == pytest.approx(np.sqrt(s * (1 - s) / n), rel=1e-9)


def test_an_exponential_with_censoring_is_within_its_band():
    rng = np.random.default_rng(2)
    inside = np.zeros(3)
    for _ in range(400):
        t, c = rng.exponential(10.0, 150), rng.uniform(0.0, 30.0, 150)
        at = product_limit(np.minimum(t, c), t <= c).at([3.0, 7.0, 12.0])
        true = np.exp(-at["time"] / 10.0)
        inside += (at["lower"] <= true) & (true <= at["upper"])
    np.testing.assert_allclose(inside / 400, 0.95, atol=3.5 * np.sqrt(0.95 * 0.05 / 400))


def test_weights_are_copies_up_to_scale():
    rng = np.random.default_rng(3)
    t, d, w = rng.integers(1, 30, 200).astype(float), rng.random(200) < 0.7, rng.integers(0, 4, 200)
    weighted = product_limit(t, d, w.astype(float))
    copied = product_limit(np.repeat(t, w), np.repeat(d, w))
    at = np.arange(1.0, 30.0)
    np.testing.assert_allclose(weighted.at(at)["survival"], copied.at(at)["survival"], atol=1e-12)
    assert weighted.at_risk[0] == pytest.approx(w.sum() ** 2 / np.sum(w**2))


def test_beyond_follow_up_nothing_is_known():
    curve = product_limit(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0]))
    table = curve.at([0.5, 3.0, 4.0])
    assert table["survival"].tolist()[:2] == pytest.approx([1.0, 2 / 3])
    assert np.isnan(table["survival"].iloc[2])
    assert table["at_risk"].tolist() == [3.0, 1.0, 0.0]
    dead = product_limit(np.array([1.0, 2.0]), np.array([1, 1]))
    assert dead.at([9.0])["survival"].iloc[0] == 0.0


def test_a_cohort_by_arm():
    table = pd.DataFrame({"patient": [0, 1, 2, 0, 1, 2], "arm": list("aaabbb"), "status": "ok"})
    table["TTP"], table["progressed"] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [True, False, True, True, True, False]
    curves = kaplan_meier(table)
    assert [c.group["arm"] for c in curves] == ["a", "b"]
    found = survival_table(curves, [2.0, 4.0])
    assert found["at_risk"].tolist() == [2.0, 0.0, 3.0, 3.0]
    with pytest.raises(InputError, match="true or false"):
        kaplan_meier(table.assign(progressed=2))
    with pytest.raises(InputError, match="zero or positive"):
        kaplan_meier(table.assign(TTP=-1.0))
