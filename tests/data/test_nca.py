"""Non-compartmental analysis against closed forms."""

import json

import numpy as np
import pandas as pd
import pytest

from her2pkpd.cli import main
from her2pkpd.data.nca import Profile, analyse, auc_between, nca, segment_areas, terminal_slope
from her2pkpd.errors import InputError

K, V, DOSE = 0.11, 7.0, 90.0
BASE = {"id": "a", "time_unit": "h", "unit": "mg/L", "dose": 90.0, "dose_unit": "mg"}


def frame(time, concentration, **changed):
    return pd.DataFrame({"time": time, "concentration": concentration, **(BASE | changed)})


def test_a_bolus_is_exact():
    t = np.array([0.0, 0.5, 2.0, 5.0, 11.0, 24.0])
    found = analyse(Profile(t, DOSE / V * np.exp(-K * t), DOSE, "iv"))
    for name, value in {"CL": K * V, "Vz": V, "Vss": V, "half_life": np.log(2) / K, "MRT": 1 / K, "Tmax": 0.0}.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert found["AUCinf"] == pytest.approx(DOSE / (K * V), rel=1e-12)


def test_a_bolus_without_a_sample_at_zero_is_carried_back():
    t = np.array([0.5, 2.0, 5.0, 11.0, 24.0])
    found = analyse(Profile(t, DOSE / V * np.exp(-K * t), DOSE, "iv"))
    assert found["AUCinf"] == pytest.approx(DOSE / (K * V), rel=1e-12)
    assert found["Cmax"] == pytest.approx(DOSE / V, rel=1e-12)


def test_an_infusion_densely_sampled():
    T = 3.0
    t = np.concatenate([np.linspace(0, T, 400), np.linspace(T, 60, 200)[1:]])
    rate = DOSE / T
    c = np.where(t <= T, rate / (K * V) * (1 - np.exp(-K * t)), rate / (K * V) * (np.exp(K * T) - 1) * np.exp(-K * t))
    found = analyse(Profile(t, c, DOSE, "infusion", infusion=T))
    assert found["CL"] == pytest.approx(K * V, rel=1e-5)
    assert found["Vss"] == pytest.approx(V, rel=1e-4)
    assert found["Tmax"] == T


def test_oral_one_compartment_densely_sampled():
    ka = 0.9
    t = np.linspace(0, 120, 3000)
    c = DOSE / V * ka / (ka - K) * (np.exp(-K * t) - np.exp(-ka * t))
    found = analyse(Profile(t, c, DOSE, "oral"))
    assert found["CL"] == pytest.approx(K * V, rel=1e-4)
    assert found["MRT"] == pytest.approx(1 / K + 1 / ka, rel=1e-4)
    assert found["Tmax"] == pytest.approx(np.log(ka / K) / (ka - K), abs=0.05)
    assert np.isnan(found["Vss"])


def test_areas_follow_their_rule():
    auc, aumc = segment_areas(np.array([0.0, 2.0, 6.0]), np.array([1.0, 5.0, 2.0]))
    k = np.log(2.5) / 4
    np.testing.assert_allclose(auc, [6.0, 3.0 / k])
    # Simpson on t*(1 + 2t) from 0 to 2, and the exact moment of a decaying exponential.
    np.testing.assert_allclose(aumc, [2.0 + 16.0 / 3.0, (2 * 5 - 6 * 2) / k + 3.0 / k**2])


def test_partial_areas_interpolate():
    t = np.array([0.0, 4.0, 10.0, 30.0])
    c = 3.0 * np.exp(-0.2 * t)
    exact = 3.0 / 0.2 * (np.exp(-0.2 * 2.5) - np.exp(-0.2 * 17.0))
    assert auc_between(t, c, 2.5, 17.0) == pytest.approx(exact, rel=1e-12)


def test_steady_state_metrics():
    tau = 12.0
    t = np.linspace(0, tau, 9)
    c = DOSE / V * np.exp(-K * t) / (1 - np.exp(-K * tau))
    found = analyse(Profile(t, c, DOSE, "iv", tau=tau))
    assert found["AUCtau"] == pytest.approx(DOSE / (K * V), rel=1e-12)
    assert found["CL"] == pytest.approx(K * V, rel=1e-12)
    assert found["Cavg"] == pytest.approx(DOSE / (K * V) / tau, rel=1e-12)
    assert found["Cmin"] == pytest.approx(c[-1])


def test_the_slope_uses_the_most_points_among_equal_fits():
    t = np.arange(10.0)
    c = np.where(t == 0, 0.0, 100 * np.exp(-0.3 * t))
    found = terminal_slope(t, c)
    assert (found.points, found.first) == (8, 2.0)
    assert found.lambda_z == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("c", "reason"),
    [([0, 5, 3], "fewer than 3 measurable"), ([0, 1, 2, 3], "points after Cmax"), ([0, 9, 2, 3, 4], "does not fall")],
)
def test_no_slope_says_why(c, reason):
    found = terminal_slope(np.arange(float(len(c))), np.array(c, dtype=float))
    assert np.isnan(found.lambda_z)
    assert reason in found.reason


def test_values_below_the_limit():
    t = [0, 1, 2, 3, 4, 5, 6]
    row = nca(frame(t, ["BLQ", "<0.1", "4", "2", "1", "0.5", "BLQ"])).iloc[0]
    assert row["Tlast"] == 5
    # 0 up to the last value below the limit, linear up, logarithmic down.
    assert row["AUClast"] == pytest.approx(2.0 + (4.0 - 0.5) / np.log(2))
    assert nca(frame([0, 1], ["BLQ", "."])).iloc[0]["lambda_z_rule"] == "no measurable concentration"


def test_units_do_not_matter():
    t = np.array([0.0, 1.0, 4.0, 9.0])
    c = DOSE / V * np.exp(-K * t)
    plain = nca(frame(t, c, route="iv")).iloc[0]
    other = nca(frame(t / 24, c * 1e3, route="iv", time_unit="d", unit="ng/mL", dose=0.09, dose_unit="g")).iloc[0]
    assert other["CL"] == pytest.approx(plain["CL"], rel=1e-12)
    assert other["half_life"] == pytest.approx(plain["half_life"], rel=1e-12)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"time": [0, 2, 1]}, "times of a profile must rise"),
        ({"time": [-1, 0, 1]}, "time counts from the dose"),
        ({"concentration": ["3", "two", "1"]}, "concentration must be a number"),
        ({"concentration": ["3", "-2", "1"]}, "concentration must be a number"),
        ({"dose": 0.0}, "dose must be more than zero"),
        ({"dose": [1.0, 2.0, 2.0]}, "must be the same in all rows"),
        ({"unit": "mg"}, "cannot be converted"),
        ({"time_unit": "kg"}, "cannot be converted"),
        ({"route": "nasal"}, "route must be"),
        ({"dose_unit": "nmol"}, "needs a molar mass"),
    ],
)
def test_bad_profiles_are_refused(changed, rule):
    table = pd.DataFrame({"time": [0, 1, 2], "concentration": ["3", "2", "1"], **(BASE | {"id": "a"})} | changed)
    with pytest.raises(InputError, match=rule):
        nca(table)


def test_the_command(tmp_path):
    source = tmp_path / "data.csv"
    frame([0, 1, 4, 9], [9.0, 7.0, 4.0, 2.0], route="iv").to_csv(source, index=False)
    assert main(["nca", str(source), "--out", str(tmp_path / "out")]) == 0
    assert list(pd.read_csv(tmp_path / "out" / "nca.csv")["id"]) == ["a"]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["command"] == "nca"
    source.write_text("id,time\n1,2\n")
    assert main(["nca", str(source), "--out", str(tmp_path / "bad")]) == 2
    assert not (tmp_path / "bad").exists()
