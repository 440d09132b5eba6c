import numpy as np
import pandas as pd
import pytest

from her2pkpd.cohort.vpc import vpc
from her2pkpd.cohort.vpc_bins import bin_edges, bin_index
from her2pkpd.errors import InputError

TIMES = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 12.0])


def design(patients=24, doses=(100.0,)):
    dose = np.repeat(np.resize(doses, patients), len(TIMES))
    frame = pd.DataFrame({"id": np.repeat(np.arange(patients), len(TIMES)), "time": np.tile(TIMES, patients)})
    return frame.assign(dose=dose, pred=dose / 20.0 * np.exp(-0.2 * frame["time"]))


def draw(frame, rng, shift=0.0):
    """One-compartment bolus with variability of CL and V and a proportional error."""
    n = frame["id"].nunique()
    v = 20.0 * np.exp(0.2 * rng.standard_normal(n))[frame["id"]]
    cl = 4.0 * np.exp(0.3 * rng.standard_normal(n) + shift)[frame["id"]]
    c = frame["dose"].to_numpy() / v * np.exp(-cl / v * frame["time"].to_numpy())
    return c * np.exp(0.1 * rng.standard_normal(len(frame)))


@pytest.mark.parametrize("case", ["plain", "corrected", "limit", "both"])
def test_true_models_are_inside_at_the_nominal_rate(case):
    correct, limit = case in ("corrected", "both"), case in ("limit", "both")
    frame = design(doses=(50.0, 100.0, 200.0) if correct else (100.0,))
    if limit:
        frame["lloq"] = 0.6
    rng = np.random.default_rng(11)
    inside = []
    for _ in range(60):
        sets = (draw(frame, rng) for _ in range(39))
        found = vpc(frame.assign(value=draw(frame, rng)), sets, correct=correct, level=0.9)
        table = found.censored if limit and not correct else found.percentiles
        inside.append(table["inside"].mean())
    # From the 2nd to the 38th of 39: 4 in 40 lie outside, fewer where ties (-inf, 0) are possible.
    rate, error = np.mean(inside), np.std(inside) / np.sqrt(60)
    assert rate > 0.9 - 3.5 * error
    if not limit:
        assert rate < 0.9 + 3.5 * error


def test_a_wrong_model_is_outside():
    frame, rng = design(60), np.random.default_rng(1)
    found = vpc(frame.assign(value=draw(frame, rng, shift=0.7)), (draw(frame, rng) for _ in range(100)))
    late = found.percentiles.query("time >= 4 and probability == 0.5")
    assert not late["inside"].any()


def test_prediction_correction_removes_the_dose():
    """Without variability within a dose the corrected values are one curve, whatever the doses."""
    frame = design(30, doses=(25.0, 100.0, 400.0))
    value = 1.1 * frame["pred"].to_numpy()
    sets = [value * f for f in np.linspace(0.8, 1.2, 30)]
    corrected = vpc(frame.assign(value=value), sets, correct=True)
    middle = frame.groupby("time")["pred"].median().to_numpy()
    for _, rows in corrected.percentiles.groupby("probability"):
        np.testing.assert_allclose(rows["observed"], 1.1 * middle)
    plain = vpc(frame.assign(value=value), sets).percentiles.pivot(
        index="bin", columns="probability", values="observed"
    )
    np.testing.assert_allclose(plain[0.95] / plain[0.05], 16.0)


def test_a_lower_bound_is_respected():
    frame = design(30, doses=(25.0, 100.0, 400.0)).assign(pred=lambda x: x["pred"] + 5.0)
    value = frame["pred"].to_numpy() * 1.0
    found = vpc(frame.assign(value=value), [value] * 20, correct=True, lower_bound=5.0).percentiles
    for _, rows in found.groupby("bin"):
        assert np.ptp(rows["observed"]) < 1e-12


def test_percentiles_below_the_limit_are_not_invented():
    frame, rng = design(40), np.random.default_rng(2)
    full = draw(frame, rng)
    sets = [draw(frame, rng) for _ in range(40)]
    limit = 1.0
    seen = frame.assign(value=np.where(full < limit, np.nan, full), lloq=limit)
    found, complete = vpc(seen, sets), vpc(frame.assign(value=full), sets)
    known = np.isfinite(found.percentiles["observed"])
    assert 0 < known.sum() < len(known)
    np.testing.assert_array_equal(known, complete.percentiles["observed"] >= limit)
    np.testing.assert_array_equal(found.percentiles["observed"][known], complete.percentiles["observed"][known])
    share = pd.Series(full < limit).groupby(frame["time"]).mean()
    np.testing.assert_allclose(found.censored["observed"], share)


def test_strata_are_separate():
    frame, rng = design(20).assign(arm=lambda x: np.where(x["id"] < 10, "a", "b")), np.random.default_rng(3)
    value, sets = draw(frame, rng), [draw(frame, rng) for _ in range(25)]
    both = vpc(frame.assign(value=value), sets, stratify="arm").percentiles
    mask = (frame["arm"] == "b").to_numpy()
    alone = vpc(frame[mask].assign(value=value[mask]), [s[mask] for s in sets]).percentiles
    np.testing.assert_allclose(both.loc[both["stratum"] == "b", "upper"], alone["upper"])


def test_bins():
    t = np.repeat([0.0, 1.0, 2.0, 24.0], [5, 3, 4, 8])
    assert bin_index(t, bin_edges(t)).tolist() == np.repeat([0, 1, 2, 3], [5, 3, 4, 8]).tolist()
    spread = np.random.default_rng(4).uniform(0.0, 100.0, 1000)
    counts = np.bincount(bin_index(spread, bin_edges(spread, 8)))
    assert len(counts) == 8
    assert np.ptp(counts) <= 1
    tied = np.repeat(np.arange(50.0), 3)
    assert all(len(set(bin_index(tied, bin_edges(tied, 7))[tied == v])) == 1 for v in range(50))
    np.testing.assert_array_equal(
        bin_index(np.array([0.0, 1.0, 1.9]), bin_edges(np.array([0.0]), [0, 1, 2])), [0, 1, 1]
    )
    with pytest.raises(InputError, match="outside the bins"):
        bin_edges(np.array([3.0]), [0, 1, 2])
    for bins in ("some", 0, [2, 1]):
        with pytest.raises(InputError, match="bins are"):
            bin_edges(t, bins)


@pytest.mark.parametrize(
    ("change", "sets", "message"),
    [
        ({"value": np.nan}, 20, "must be a number"),
        ({"pred": 0.0}, 20, "more than the lower bound"),
        ({}, 19, "at least 20"),
    ],
)
def test_what_is_refused(change, sets, message):
    frame, rng = design(5), np.random.default_rng(5)
    frame = frame.assign(value=draw(frame, rng)).assign(**change)
    with pytest.raises(InputError, match=message):
        vpc(frame, (draw(frame, rng) for _ in range(sets)), correct=True)


def test_a_simulated_set_of_another_size_is_refused():
    frame = design(5).assign(value=1.0)
    with pytest.raises(InputError, match="30 rows"):
        vpc(frame, [np.ones(29)] * 20)
    with pytest.raises(InputError, match="missing values"):
        vpc(frame, [np.full(30, np.nan)] * 20)
    with pytest.raises(InputError, match="no column 'pred'"):
        vpc(frame.drop(columns="pred"), [np.ones(30)] * 20, correct=True)
