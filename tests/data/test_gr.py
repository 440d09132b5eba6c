"""GR: the formulas, what must not change them, and which wells are compared with which."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import trim_mean

from her2pkpd.data.gr import gr, gr_metrics, gr_values
from her2pkpd.data.gr_controls import trimmed_mean
from her2pkpd.data.gr_curve import fit_gr_curve
from her2pkpd.data.plate import Plate
from her2pkpd.errors import InputError
from tests.data.helpers import counts

DOSES = np.array([1.0, 3, 10, 30, 100, 300, 1000, 3000])
TRUE = {"GRinf": -0.2, "GEC50": 40.0, "h": 1.3}
METRICS = ["GR50", "GRmax", "GEC50", "GRinf", "h", "GR_AOC", "r2", "pval"]


def curve(dose, GRinf=-0.2, GEC50=40.0, h=1.3):
    return GRinf + (1 - GRinf) / (1 + (np.asarray(dose) / GEC50) ** h)


def rate(gr_value):
    """Growth rate, relative to untreated, that makes this GR."""
    return np.log2(1 + np.asarray(gr_value))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    hours=st.floats(12, 200),
    growth=st.floats(0.005, 0.06),
    x0=st.floats(10, 1e6),
    kappa=st.lists(st.floats(-3, 1.3), min_size=1, max_size=6),
)
def test_exponential_growth_gives_the_same_gr_at_any_time(hours, growth, x0, kappa):
    """dx/dt = kappa x makes GR = 2**(kappa/kappa0) - 1, whatever the time, the division rate and the cells seeded."""
    plate = counts(DOSES[: len(kappa)], kappa, hours=hours, growth=growth, x0=x0)
    values = gr_values(plate)
    treated = (values["concentration"] > 0).to_numpy()
    assert values.loc[treated, "GR"].to_numpy() == pytest.approx(np.exp2(kappa) - 1, abs=1e-9)
    controls = (values["concentration"] == 0).to_numpy() & (values["time"] > 0).to_numpy()
    assert values.loc[controls, "GR"].to_numpy() == pytest.approx(1.0)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(hours=st.floats(24, 120), growth=st.floats(0.01, 0.05), kappa=st.floats(-1, 1.2))
def test_the_division_time_stands_in_for_the_count_at_time_zero(hours, growth, kappa):
    plate = counts(DOSES[:1], [kappa], hours=hours, growth=growth)
    without = plate[plate["time"] > 0]
    given_time = gr_values(without, division_time=float(np.log(2) / growth))
    assert given_time["GR"][0] == pytest.approx(gr_values(plate)["GR"][0], abs=1e-9)
    column = without.assign(division_time=np.log(2) / growth / 24, division_time_unit="d")
    assert gr_values(column)["GR"][0] == pytest.approx(given_time["GR"][0], abs=1e-12)
    per_line = gr_values(without, division_time={"SK-BR-3": float(np.log(2) / growth)})
    assert per_line["GR"][0] == given_time["GR"][0]


def test_viability_stands_for_the_ratio_to_untreated():
    plate = counts(DOSES, rate(curve(DOSES)))
    ratio = plate[(plate["time"] > 0) & (plate["concentration"] > 0)]
    ratio = ratio.assign(readout="percent_viability", value=100 * ratio["value"] / plate["value"][len(DOSES)])
    found = gr(ratio, division_time=float(np.log(2) / 0.03))
    assert found.values["GR"].to_numpy() == pytest.approx(curve(DOSES), abs=1e-9)
    assert found.metrics["GEC50"][0] == pytest.approx(40, rel=1e-4)


def test_gr_itself_is_kept():
    rows = pd.DataFrame(
        {"cell_line": "A", "drug": "x", "concentration": DOSES, "unit": "nM", "time": 72, "time_unit": "h"}
    )
    found = gr(rows.assign(readout="gr", value=curve(DOSES)))
    assert found.values["GR"].tolist() == curve(DOSES).tolist()
    assert found.metrics["GRinf"][0] == pytest.approx(-0.2, abs=1e-5)


@pytest.mark.parametrize(
    "true", [TRUE, {"GRinf": 0.3, "GEC50": 5.0, "h": 0.7}, {"GRinf": -0.9, "GEC50": 700.0, "h": 3.0}]
)
def test_a_curve_without_noise_is_recovered(true):
    found = fit_gr_curve(DOSES, curve(DOSES, **true))
    assert {name: getattr(found, name) for name in true} == pytest.approx(true, rel=1e-5)
    assert curve(found.GR50, **true) == pytest.approx(0.5, abs=1e-5)
    assert found.fit == "sigmoid"
    assert found.GRmax == pytest.approx(curve(3000, **true))
    fine = np.geomspace(1, 3000, 20_001)
    area = found.GR_AOC
    assert area == pytest.approx(1 - curve(fine, **true).mean(), abs=0.02)


def test_a_shallow_curve_never_reaches_gr50():
    found = fit_gr_curve(DOSES, curve(DOSES, GRinf=0.6))
    assert found.fit == "sigmoid"
    assert np.isposinf(found.GR50)


@pytest.mark.parametrize(("level", "gr50"), [(0.9, np.inf), (0.1, -np.inf)])
def test_a_flat_line_is_reported_as_published(level, gr50):
    noise = 0.02 * np.array([1, -1, -1, 1, 1, -1, 1, -1])
    found = fit_gr_curve(DOSES, level + noise)
    assert (found.fit, found.GR50, found.GEC50, found.h) == ("flat", gr50, 0.0, 0.01)
    assert found.GRinf == pytest.approx(level)
    assert found.pval >= 0.05


def test_a_constant_curve():
    found = fit_gr_curve(DOSES, np.ones(8))
    assert (found.fit, found.pval, found.GRinf) == ("flat", 1.0, 1.0)


def test_the_f_test_has_its_nominal_level_or_less():
    rng = np.random.default_rng(7)
    rejected = [fit_gr_curve(DOSES, 0.9 + 0.05 * rng.standard_normal(8)).fit == "sigmoid" for _ in range(80)]
    # Of 80 trials at 5 %, 10 or more come up once in a hundred; bounds and the extra degree of freedom make it rarer.
    assert sum(rejected) < 10


def test_few_doses_carry_no_curve():
    found = fit_gr_curve(DOSES[:3], np.array([0.9, 0.5, 0.1]))
    assert (found.fit, found.GRmax) == ("none", 0.1)
    assert np.isnan(found.GR50)
    assert "fewer than 4 doses" in found.status
    assert np.isnan(fit_gr_curve(DOSES[:1], np.array([0.9])).GR_AOC)


def test_a_gr50_beyond_the_doses_is_marked():
    assert fit_gr_curve(DOSES[:5], curve(DOSES[:5], GEC50=400)).status == "GR50 lies outside the doses tested"


def test_no_cell_left_is_minus_one_and_no_growth_is_no_gr():
    plate = counts(DOSES[:2], [1, 1])
    plate.loc[0, "value"] = 0
    assert gr_values(plate)["GR"][0] == -1.0
    still = counts(DOSES, np.ones(8), growth=0.0)
    found = gr(still)
    assert np.isnan(found.values["GR"]).all()
    assert found.metrics["status"][0].startswith("no GR value: untreated cells did not grow")


@pytest.mark.parametrize("n", range(1, 14))
def test_trimmed_mean(n):
    values = np.random.default_rng(n).normal(size=n)
    if n % 4 == 0:
        assert trimmed_mean(values) == pytest.approx(trim_mean(values, 0.25))
    # a quarter rounded to the nearest number, halves down: n = 2 keeps both, 3 its median, 6 the middle four
    cut = {1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 1, 7: 2, 8: 2, 9: 2, 10: 2, 11: 3, 12: 3, 13: 3}[n]
    assert trimmed_mean(values) == pytest.approx(np.sort(values)[cut : n - cut].mean())


def noisy(seed=0, **options):
    rng = np.random.default_rng(seed)
    plate = counts(DOSES, rate(curve(DOSES)), **options)
    plate["value"] = (plate["value"] * np.exp(0.03 * rng.standard_normal(len(plate)))).round()
    return plate


def test_controls_are_trimmed_means():
    plate = noisy(untreated=8)
    late = ((plate["concentration"] == 0) & (plate["time"] > 0)).to_numpy()
    plate.loc[np.flatnonzero(late)[0], "value"] *= 10
    expected = np.sort(plate.loc[late, "value"])[2:6].mean()
    assert gr_values(plate)["cell_count__ctrl"].dropna().unique() == pytest.approx([expected])


@pytest.mark.parametrize(("unit", "factor"), [("uM", 1e-3), ("pM", 1e3), ("ug/mL", 1.0)])
def test_units_only_scale_the_doses(unit, factor):
    plate = noisy()
    other = gr(plate.assign(unit=unit, concentration=plate["concentration"] * factor)).metrics.iloc[0]
    expected = gr(plate).metrics.iloc[0]
    assert other["unit"] == unit
    for name in METRICS:
        scale = factor if name in ("GR50", "GEC50") else 1.0
        assert other[name] == pytest.approx(expected[name] * scale, rel=1e-7), name


def test_units_may_be_mixed():
    plate = noisy()
    high = plate["concentration"] > 50
    mixed = plate.assign(
        unit=np.where(high, "uM", "nM"), concentration=plate["concentration"].where(~high, plate["concentration"] / 1e3)
    )
    pd.testing.assert_frame_equal(gr(mixed).metrics, gr(plate).metrics, rtol=1e-9)


def test_a_plate_is_read_like_its_file():
    plate = noisy()
    from_plate = gr(Plate.from_frame(plate)).metrics
    pd.testing.assert_frame_equal(from_plate, gr(plate).metrics, rtol=1e-9)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(random):
    plate = noisy()
    order = list(range(len(plate)))
    random.shuffle(order)
    pd.testing.assert_frame_equal(gr(plate.iloc[order].reset_index(drop=True)).metrics, gr(plate).metrics, rtol=1e-6)


def test_naming_the_wells_does_not_matter():
    """Replicates without controls of their own are points of one curve."""
    plate = pd.concat([noisy(1), noisy(2)[:8], noisy(3)[:8]], ignore_index=True)
    plate["replicate"] = [f"well {k}" for k in range(len(plate))]
    other = plate.assign(replicate=[f"{k}" for k in reversed(range(len(plate)))])
    assert len(gr(plate).metrics) == 1
    pd.testing.assert_frame_equal(gr(plate).metrics, gr(other).metrics, rtol=1e-9)


def test_pooling_replicates_weighs_them_equally():
    one = noisy()
    twice = pd.concat([one.assign(replicate="a"), one.assign(replicate="b")], ignore_index=True)
    pooled = gr(twice, by=()).metrics.iloc[0]
    for name in METRICS[:-1]:
        assert pooled[name] == pytest.approx(gr(one).metrics.iloc[0][name], rel=1e-5), name


def test_plates_with_own_controls_are_own_experiments():
    a, b = noisy(1, growth=0.03), noisy(2, growth=0.02, x0=300)
    both = pd.concat([a.assign(plate="A"), b.assign(plate="B")], ignore_index=True)
    metrics = gr(both).metrics
    assert metrics["plate"].tolist() == ["A", "B"]
    for k, plate in enumerate((a, b)):
        assert metrics[METRICS].iloc[k].to_numpy(float) == pytest.approx(
            gr(plate).metrics[METRICS].iloc[0].to_numpy(float), rel=1e-9
        )


def test_a_label_without_own_controls_is_pooled():
    plate = noisy()
    plate["plate"] = ["A", "B"] * (len(plate) // 2)
    plate.loc[plate["concentration"] == 0, "plate"] = "controls"
    found = gr(plate)
    assert len(found.metrics) == 1
    assert "plate" not in found.metrics


def test_time_zero_is_shared_by_plates_that_have_none():
    a, b = noisy(1), noisy(2)
    both = pd.concat([a.assign(plate="A"), b[b["time"] > 0].assign(plate="B")], ignore_index=True)
    values = gr_values(both)
    assert values["cell_count__time0"].dropna().nunique() == 1
    assert values.loc[values["plate"] == "A", "cell_count__ctrl"].nunique() == 1
    assert values["cell_count__ctrl"].nunique() == 2


def test_untreated_wells_serve_every_drug():
    a, b = noisy(1), noisy(2, drug="neratinib")
    shared = pd.concat([a, b[b["concentration"] > 0]], ignore_index=True)
    metrics = gr(shared).metrics
    assert metrics["drug"].tolist() == ["lapatinib", "neratinib"]
    assert gr_values(shared)["cell_count__ctrl"].nunique() == 1


def test_combinations_make_a_curve_at_every_dose_of_the_other_drug():
    single = counts(DOSES, rate(curve(DOSES))).assign(drug_2="", concentration_2=np.nan, unit_2="")
    other = single[:8].assign(drug="", drug_2="neratinib", concentration=0.0, concentration_2=DOSES, unit_2="uM")
    both = single[:8].assign(drug_2="neratinib", concentration_2=5.0, unit_2="nM")
    other["value"] = counts(DOSES, rate(curve(DOSES, GEC50=7)))["value"][:8]
    other["drug"] = "lapatinib"
    metrics = gr(pd.concat([single, other, both], ignore_index=True)).metrics
    assert metrics[["drug", "drug_2", "concentration_2"]].to_numpy().tolist() == [
        ["lapatinib", "", 0.0],
        ["lapatinib", "neratinib", 5.0],
        ["neratinib", "", 0.0],
    ]
    assert metrics["GEC50"].to_numpy() == pytest.approx([40, 40, 7], rel=1e-4)
    assert metrics["unit"].tolist() == ["nM", "nM", "uM"]


def test_files_are_written(tmp_path):
    path = tmp_path / "plate.csv"
    noisy().assign(note="x").to_csv(path, index=False)
    found = gr(path, tmp_path / "out")
    metrics = pd.read_csv(tmp_path / "out" / "gr_metrics.csv")
    values = pd.read_csv(tmp_path / "out" / "gr_values.csv")
    contract = ["cell_line", "drug", "time", "GR50", "GRmax", "GEC50", "GRinf", "h", "GR_AOC", "r2", "fit", "pval"]
    assert [name for name in metrics.columns if name in contract] == contract
    assert set(pd.read_csv(path).columns) < set(values.columns)
    assert "GR" in values
    assert metrics["GR50"][0] == pytest.approx(found.metrics["GR50"][0])
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status_counts"] == {"sigmoid": 1}
    assert "1 curves (1 sigmoid)" in repr(found)
    gr(path, tmp_path / "out")
    noisy(5).to_csv(path, index=False)
    with pytest.raises(InputError, match="on other inputs"):
        gr(path, tmp_path / "out")
    gr(path, tmp_path / "out", force=True)


def test_a_bare_frame_of_gr_values_is_fitted():
    frame = pd.DataFrame({"cell_line": "A", "agent": "x", "concentration": DOSES, "time": 72, "GRvalue": curve(DOSES)})
    metrics = gr_metrics(pd.concat([frame.assign(serum=1), frame.assign(serum=2)]))
    assert metrics["serum"].tolist() == ["1", "2"]
    with pytest.raises(InputError, match="no column 'medium'"):
        gr_metrics(frame, by=("medium",))
    with pytest.raises(InputError, match="column 'GR'"):
        gr_metrics(frame.drop(columns="GRvalue"))
