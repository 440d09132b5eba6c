import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.cohort.attainment import attainment
from her2pkpd.cohort.summary_quantiles import quantiles
from her2pkpd.cohort.summary_source import Join
from her2pkpd.cohort.weights import Target, resample, tilt
from her2pkpd.errors import InputError


@pytest.fixture(scope="module")
def cohort():
    rng, n = np.random.default_rng(10), 5000
    frame = pd.DataFrame(
        {"patient": np.arange(n), "AUC": rng.lognormal(6.0, 0.5, n), "kc50": rng.lognormal(3.0, 1.0, n)}
    )
    return frame.assign(responded=(frame["AUC"] / frame["kc50"] > 25).astype(float))


def test_moments_fractions_and_quantiles_are_met_exactly(cohort):
    targets = [
        Target("AUC", "mean", 500.0),
        Target("AUC", "sd", 180.0),
        Target("responded", "fraction_above", 0.62, threshold=0.5),
        Target("kc50", "quantile", 15.0, probability=0.5),
        Target("AUC", "quantile", 300.0, probability=0.1),
    ]
    found = tilt(cohort, targets)
    w, x = found.weights.to_numpy(), cohort["AUC"].to_numpy()
    assert np.average(x, weights=w) == pytest.approx(500.0, rel=1e-9)
    assert np.sqrt(np.average((x - 500.0) ** 2, weights=w)) == pytest.approx(180.0, rel=1e-9)
    assert np.average(cohort["responded"], weights=w) == pytest.approx(0.62, rel=1e-9)
    assert np.average(cohort["kc50"] <= 15.0, weights=w) == pytest.approx(0.5, rel=1e-9)
    assert quantiles(x, [0.1], w)[0] == x[x <= 300.0].max()
    np.testing.assert_allclose(found.targets["after"], found.targets["value"], rtol=1e-9)
    assert found.effective == pytest.approx(w.sum() ** 2 / np.sum(w**2), rel=1e-12)
    assert 100 < found.effective < len(cohort)
    assert w.mean() == pytest.approx(1.0)


def test_a_normal_mean_has_its_closed_form():
    """Tilting N(0, 1) to mean m: w = exp(m x), effective share exp(-m^2)."""
    x = np.random.default_rng(0).standard_normal(400_000)
    found = tilt(pd.DataFrame({"patient": np.arange(len(x)), "x": x}), [Target("x", "mean", 0.5)])
    assert found.targets["multiplier"].iloc[0] == pytest.approx(0.5, abs=0.01)
    assert found.effective / len(x) == pytest.approx(np.exp(-0.25), rel=0.01)
    assert np.average(x**2, weights=found.weights) == pytest.approx(1.25, abs=0.02)


def test_a_binary_target_has_its_closed_form():
    y = np.repeat([0.0, 1.0], [700, 300])
    found = tilt(pd.DataFrame({"id": np.arange(1000), "y": y}), [Target("y", "mean", 0.6)])
    w = found.weights.to_numpy()
    np.testing.assert_allclose(w[y == 1], 0.6 / 0.3, rtol=1e-9)
    np.testing.assert_allclose(w[y == 0], 0.4 / 0.7, rtol=1e-9)
    assert found.effective == pytest.approx(1000**2 / (300 * 4 + 700 * (4 / 7) ** 2), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(-0.8, 0.8), st.floats(0.6, 1.3))
def test_what_the_cohort_has_already_changes_nothing_and_what_it_spans_is_reached(seed, mean, sd):
    x = np.random.default_rng(seed).standard_normal(400)
    frame = pd.DataFrame({"id": np.arange(400), "x": x})
    same = tilt(frame, [Target("x", "mean", float(x.mean()))])
    np.testing.assert_allclose(same.weights, 1.0, atol=1e-7)
    found = tilt(frame, [Target("x", "mean", mean), Target("x", "sd", sd)], smallest=1.0)
    assert np.average(x, weights=found.weights) == pytest.approx(mean, abs=1e-8)
    assert np.average((x - mean) ** 2, weights=found.weights) == pytest.approx(sd**2, abs=1e-8)


def test_an_uncertain_target_is_met_as_far_as_it_is_cheap(cohort):
    exact = tilt(cohort, [Target("AUC", "mean", 700.0)])
    loose = tilt(cohort, [Target("AUC", "mean", 700.0, error=60.0)])
    mean = np.average(cohort["AUC"], weights=loose.weights)
    assert cohort["AUC"].mean() < mean < 700.0
    assert loose.effective > exact.effective
    # Where the two costs balance: mean - target = -error^2*multiplier.
    assert mean - 700.0 == pytest.approx(-(60.0**2) * loose.targets["multiplier"].iloc[0], rel=1e-6)


def test_targets_of_an_arm_weigh_the_patients_of_all(cohort):
    rows = pd.concat([cohort.assign(arm="a"), cohort.assign(arm="b", AUC=2 * cohort["AUC"])], ignore_index=True)
    found = tilt(rows, [Target("AUC", "mean", 1000.0, where=(("arm", "b"),))])
    other = tilt(cohort, [Target("AUC", "mean", 500.0)])
    np.testing.assert_allclose(found.weights, other.weights, rtol=1e-6)
    both = attainment(rows, "AUC", 500.0, weights=found.weights)
    assert both["effective"].to_numpy() == pytest.approx([found.effective] * 2)
    with pytest.raises(InputError, match="one value of every patient"):
        tilt(rows, [Target("AUC", "mean", 1000.0)])
    joined = Join(rows.drop(columns="kc50"), cohort[["patient", "kc50"]])
    median = tilt(joined, [Target("kc50", "quantile", 20.0, probability=0.4, where=(("arm", "a"),))])
    assert np.average(cohort["kc50"] <= 20.0, weights=median.weights) == pytest.approx(0.4, rel=1e-9)


def test_a_target_nobody_spans_is_refused(cohort):
    with pytest.raises(InputError, match=r"no weights give the mean of AUC this value; patients range from"):
        tilt(cohort, [Target("AUC", "mean", 1e6), Target("kc50", "mean", 20.0)])
    with pytest.raises(InputError, match="2 problems") as caught:
        tilt(
            cohort,
            [
                Target("kc50", "mean", 20.0),
                Target("AUC", "fraction_above", 0.9, threshold=400.0),
                Target("AUC", "quantile", 350.0, probability=0.5),
            ],
        )
    assert "kc50" not in str(caught.value)
    assert "together with the other targets" in str(caught.value)
    with pytest.raises(InputError, match=r"worth .* patients, fewer than 20"):
        tilt(cohort, [Target("AUC", "mean", float(cohort["AUC"].max()) * 0.95)])


def test_an_edge_of_what_the_cohort_spans_is_refused(cohort):
    with pytest.raises(InputError):
        tilt(cohort, [Target("responded", "mean", 1.0), Target("AUC", "mean", float(cohort["AUC"].max()))])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target("AUC", "sd", 100.0), "needs a mean"),
        (Target("AUC", "fraction_above", 0.5), "needs a threshold"),
        (Target("AUC", "quantile", 100.0), "needs a probability"),
        (Target("AUC", "median", 100.0), "unknown statistic"),  # pyright: ignore[reportArgumentType]
        (Target("AUC", "mean", float("nan")), "must be finite"),
        (Target("nothing", "mean", 1.0), "no column 'nothing'"),
    ],
)
def test_what_is_refused(cohort, target, message):
    with pytest.raises(InputError, match=message):
        tilt(cohort, [target])


def test_resampling_keeps_shares(cohort):
    found = tilt(cohort, [Target("AUC", "mean", 550.0), Target("responded", "mean", 0.7)])
    drawn = resample(found, 2000, seed=3)
    assert len(drawn) == 2000
    counts = np.bincount(drawn, minlength=len(cohort))
    expected = 2000 * found.weights.to_numpy() / found.weights.sum()
    assert np.all(np.abs(counts - expected) < 1.0)
    np.testing.assert_array_equal(drawn, resample(found, 2000, seed=3))
    own = cohort.set_index("patient").loc[drawn]
    assert own["AUC"].mean() == pytest.approx(550.0, rel=0.02)
    assert own["responded"].mean() == pytest.approx(0.7, abs=0.02)


def test_a_prior_is_where_the_weights_start(cohort):
    prior = pd.Series(np.where(cohort["kc50"] > 100.0, 0.0, 2.0), index=cohort["patient"])
    found = tilt(cohort, [Target("AUC", "mean", 500.0)], prior=prior)
    assert (found.weights[cohort["kc50"].to_numpy() > 100.0] == 0.0).all()
    assert np.average(cohort["AUC"], weights=found.weights) == pytest.approx(500.0, rel=1e-9)
