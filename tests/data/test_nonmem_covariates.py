"""Covariates that change within an individual, against integration by hand between the rows."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from her2pkpd.cli import main
from her2pkpd.data.nonmem import Compartment, read_nonmem, records
from her2pkpd.data.nonmem_covariates import steps, time_varying
from her2pkpd.data.nonmem_predict import predict
from her2pkpd.dosing.dual import Dual
from her2pkpd.dosing.records import Dose, Hold, Reset
from her2pkpd.dosing.schedule import compile_schedule
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import InputError
from her2pkpd.library import load_drug
from her2pkpd.mechanisms.disposition import Structure, disposition
from her2pkpd.model import Builder
from her2pkpd.model.builder import ModelError

TIGHT = Options(rtol=1e-10, atol=1e-12)
TIMES = [0.0, 24.0, 200.0, 504.0, 520.0, 800.0]
WEIGHTS = [70.0, 75.0, 80.0, 60.0, 66.0, 90.0]
ALBUMIN = [40.0, 40.0, 35.0, 30.0, 44.0, 38.0]
FRAME = pd.DataFrame(
    {
        "ID": 1,
        "TIME": [0.0, *TIMES, 504.0],
        "DV": 1.0,
        "AMT": [500.0, *[0.0] * 6, 400.0],
        "EVID": [1, *[0] * 6, 1],
        "MDV": [1, *[0] * 6, 1],
        "weight": [70.0, *WEIGHTS, 60.0],
        "albumin": [40.0, *ALBUMIN, 30.0],
    }
).sort_values(["TIME", "EVID"], ascending=[True, False], kind="stable")


def one_compartment(*held):
    build = Builder("one")
    build.parameter("d.CL", 2.0, "L/h")
    build.parameter("d.Vc", 10.0, "L")
    disposition(build, "d", Structure(peripherals=0))
    for name in held:
        build.held(name)
    return build.model()


def by_hand(carry):
    """Trastuzumab of Quartino 2019, integrated from row to row with constants worked out here."""
    molar = load_drug("trastuzumab").molar_mass.canonical
    rows = list(zip(TIMES, WEIGHTS, ALBUMIN, strict=True))
    y, found = np.array([500e6 / molar, 0.0]), [500e6 / molar / 2.62]
    for (start, *before), (stop, *after) in itertools.pairwise(rows):
        weight, albumin = after if carry == "nocb" else before
        cl = 0.127 / 24 * (weight / 66) ** 0.967 * (albumin / 40) ** -0.998
        vmax, km = 8.81e6 / molar / 24 * 1e-3, 8.92e6 / molar

        def slope(_, a, cl=cl, vmax=vmax, km=km):
            c, q = a[0] / 2.62, 0.544 / 24
            lost = cl * c + 1e3 * vmax * c / (km + c)
            return [-lost - q * (c - a[1] / 2.97), q * (c - a[1] / 2.97)]

        y = solve_ivp(slope, (start, stop), y, rtol=1e-11, atol=1e-9, method="LSODA").y[:, -1]
        if stop == 504.0:
            y = y + np.array([400e6 / molar, 0.0])
        found.append(y[0] / 2.62)
    return np.array(found) * molar * 1e-6


@pytest.mark.parametrize("carry", ["nocb", "locf"])
def test_a_library_model_follows_the_covariates_of_the_file(carry):
    found = predict(FRAME, "trastuzumab", carry=carry)
    assert set(found["status"]) == {"ok"}
    np.testing.assert_allclose(found["PRED"], by_hand(carry), rtol=1e-7)


def test_time_and_covariates_come_in_the_files_own_units():
    other = FRAME.assign(TIME=FRAME["TIME"] / 24, ALB=FRAME["albumin"] / 10, WT=FRAME["weight"]).drop(
        columns=["albumin", "weight"]
    )
    found = predict(other, "trastuzumab", covariates=["WT=weight", "ALB=albumin:g/dL"], time_unit="d")
    np.testing.assert_allclose(found["PRED"], predict(FRAME, "trastuzumab")["PRED"], rtol=1e-7)


def test_the_two_conventions_by_their_steps():
    (subject,) = read_nonmem(FRAME)
    later, earlier = (steps(subject, ["weight"], carry) for carry in ("nocb", "locf"))
    assert [round(t, 6) for t, _ in earlier] == [0, 24, 200, 504, 520, 800]
    assert [round(t, 6) for t, _ in later] == [0, 0, 24, 200, 504, 520]
    assert [v["weight"] for _, v in later] == [v["weight"] for _, v in earlier] == WEIGHTS


def test_blanks_are_filled_in_the_direction_of_the_rule():
    frame = FRAME.assign(weight=[None, None, None, 80.0, None, 60.0, None, None])
    (subject,) = read_nonmem(frame)
    assert [v["weight"] for _, v in steps(subject, ["weight"], "locf")] == [80.0, 60.0]
    assert [round(t) for t, _ in steps(subject, ["weight"], "locf")] == [0, 504]
    assert [round(t) for t, _ in steps(subject, ["weight"], "nocb")] == [0, 200]


def test_a_users_own_model_takes_a_users_own_rule():
    """Volume and clearance by weight; amounts and concentrations against exponentials from row to row."""
    (subject,) = read_nonmem(FRAME)
    model = one_compartment("d.CL", "d.Vc")
    rule = lambda c: {"d.CL": 2.0 * (c["weight"] / 70) ** 0.75, "d.Vc": 10.0 * c["weight"] / 70}  # noqa: E731
    first, holds = time_varying(subject, ["weight"], rule, "nocb")
    doses = records(subject, {1: Compartment("central.d")})
    p = model.parameter_vector(first)
    schedule = compile_schedule(model, [[*doses, *holds]], p, stop=800.0)
    y = solve(Batch(model, p, schedule.segments, np.array([TIMES])), TIGHT).y
    found = model.outputs(["plasma.d"], y, p)[0, :, 0]
    amount, expected = 500.0, [500.0 / 10.0]
    for start, stop, weight in zip(TIMES, TIMES[1:], WEIGHTS[1:], strict=False):
        amount *= np.exp(-0.2 * (weight / 70) ** -0.25 * (stop - start))
        amount += 400.0 if stop == 504.0 else 0.0
        expected.append(amount / (10.0 * weight / 70))
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


def test_lag_and_bioavailability_are_those_of_the_dosing_row():
    (subject,) = read_nonmem(FRAME)
    places = lambda c: {1: Compartment("central.d", lag=c["weight"] / 10, bioavailability=c["albumin"] / 100)}  # noqa: E731
    first, second = records(subject, places)
    assert isinstance(first, Dose)
    assert isinstance(second, Dose)
    assert (first.lag, second.lag) == (7.0, 6.0)
    assert (first.bioavailability, second.bioavailability) == (0.4, 0.3)


def test_a_steady_state_is_that_of_the_covariates_at_its_record():
    model = one_compartment("d.CL")
    p, ss = model.default_parameters(), Dose(30.0, "central.d", 50.0, interval=12.0, steady_state=1)
    lanes = [[Hold(5.0, {"d.CL": 1.0}), ss], [Hold(5.0, {"d.CL": 1.0}), Dose(0.0, "central.d", 7.0), ss]]
    lanes[1][-1] = Dose(30.0, "central.d", 50.0, interval=12.0, steady_state=2)
    schedule = compile_schedule(model, lanes, p, stop=40.0)
    assert not schedule.status.any()
    y = solve(Batch(model, p, schedule.segments, np.array([36.0])), TIGHT).y[:, 0, 0]
    trough = 50.0 / (1 - np.exp(-0.1 * 12))
    earlier = 7.0 * np.exp(-0.2 * 5 - 0.1 * 31)
    np.testing.assert_allclose(y, np.exp(-0.6) * trough + np.array([0.0, earlier]), rtol=1e-7)


def test_a_reset_leaves_covariates_alone():
    model = one_compartment("d.CL")
    p = model.default_parameters()
    lane = [Hold(1.0, {"d.CL": 1.0}), Dose(2.0, "central.d", 9.0), Reset(3.0), Dose(4.0, "central.d", 10.0)]
    y = solve(Batch(model, p, compile_schedule(model, [lane], p, stop=9.0).segments, np.array([9.0])), TIGHT).y
    assert y[0, 0, 0] == pytest.approx(10 * np.exp(-0.5), rel=1e-8)


def test_derivatives_by_what_is_held_and_by_when():
    """By the new clearance, by the old one and by the moment of change, steady state included: exact exponentials."""
    model = one_compartment("d.CL")
    p = model.default_parameters()
    held = Hold(Dual.along(5.0, 1, 3), {"d.CL": Dual.along(1.0, 2, 3)})
    ss = Dose(30.0, "central.d", 50.0, interval=12.0, steady_state=1)
    lanes = [[Dose(0.0, "central.d", 7.0), held], [held, ss]]
    schedule = compile_schedule(model, lanes, p, stop=40.0, wrt=["d.CL"], count=3)
    found = solve(Batch(model, p, schedule.segments, np.array([36.0])), TIGHT, schedule.directions)
    assert found.dy is not None
    single = 7.0 * np.exp(-0.2 * 5 - 0.1 * 31)
    np.testing.assert_allclose(found.dy[0, 0, 0], single * np.array([-0.5, -0.1, -3.1]), rtol=1e-6)
    step, k = 1e-20j, 0.1
    steady = lambda k: 50.0 * np.exp(-6 * k) / (1 - np.exp(-12 * k))  # noqa: E731
    np.testing.assert_allclose(found.dy[1, 0, 0, 2], steady(k + step / 10).imag / 1e-20, rtol=1e-6)
    np.testing.assert_allclose(found.dy[1, 0, 0, :2], 0.0, atol=1e-9)


def test_the_engines_agree_on_held_parameters():
    model = one_compartment("d.CL")
    p = model.default_parameters()
    lane = [Dose(0.0, "central.d", 7.0), Hold(5.0, {"d.CL": 1.0}), Hold(9.0, {"d.CL": 3.0})]
    segments = compile_schedule(model, [lane], p, stop=20.0).segments
    one, other = (
        solve(Batch(model, p, segments, np.array([4.0, 20.0])), TIGHT, engine=e) for e in ("kernel", "reference")
    )
    np.testing.assert_allclose(one.y, other.y, rtol=1e-7)
    exact = 7.0 * float(expm(np.array([[-0.2 * 5 - 0.1 * 4 - 0.3 * 11]]))[0, 0])
    assert one.y[0, 1, 0] == pytest.approx(exact, rel=1e-8)


BAD = {
    "no such covariate": (lambda: steps(read_nonmem(FRAME)[0], ["height"], "nocb"), "no covariate 'height'"),
    "no value": (lambda: steps(read_nonmem(FRAME.assign(weight=None))[0], ["weight"], "nocb"), "no value of this"),
    "no such rule": (lambda: steps(read_nonmem(FRAME)[0], ["weight"], "linear"), '"nocb" or "locf"'),
    "no such column": (lambda: predict(FRAME, "trastuzumab", covariates=["WT=weight"]), "no such column"),
    "not in the model": (lambda: predict(FRAME, "trastuzumab", covariates=["weight=ecd"]), "no such covariate"),
    "negative weight": (lambda: predict(FRAME.assign(weight=-1.0), "trastuzumab"), "positive number"),
    "words": (lambda: predict(FRAME.assign(tumour_type="lung"), "trastuzumab"), "unknown tumour_type"),
    "yes or no": (lambda: predict(FRAME.assign(liver_metastases=2), "trastuzumab"), "must be 0 or 1"),
    "never given": (lambda: predict(FRAME.assign(weight=None), "trastuzumab"), "no value of this covariate"),
    "unit of another kind": (lambda: predict(FRAME, "trastuzumab", covariates=["weight=weight:mL"]), "cannot be conv"),
    "no pharmacokinetics": (lambda: predict(FRAME, "SYD985"), "no pharmacokinetics"),
    "no such model": (lambda: predict(FRAME, "trastuzumab", pk="Bruno"), "no model of that name"),
    "unknown compartment": (lambda: predict(FRAME.assign(CMT=3), "trastuzumab"), "does not have"),
    "modelled rate": (lambda: predict(FRAME.assign(RATE=[-1, *[0] * 7]), "trastuzumab"), "needs a modelled rate"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_said(name):
    call, words = BAD[name]
    with pytest.raises(InputError, match=words):
        call()


def test_every_bad_covariate_is_named_with_its_row():
    with pytest.raises(InputError) as caught:
        predict(FRAME.assign(weight=[70.0, -1.0, 75.0, 0.0, 60.0, 60.0, 66.0, 90.0]), "trastuzumab")
    assert [(p.row, p.column) for p in caught.value.problems] == [(3, "weight"), (5, "weight")]


def test_bad_rows_bad_covariates_and_bad_requests_are_named_together():
    bad = FRAME.astype({"TIME": object, "weight": object})
    bad.loc[1, "TIME"], bad.loc[2, "weight"] = "noon", "heavy"
    with pytest.raises(InputError) as caught:
        predict(bad, "trastuzumab", covariates=["weight=wieght"])
    found = {(p.row, p.column) for p in caught.value.problems}
    assert found >= {(None, None), (3, "time"), (4, "weight")}


def test_blank_covariates_of_a_dosing_row_are_filled_too():
    """Bioavailability and lag are read at the dose, where the file may leave the covariate to its neighbours."""
    full = FRAME.assign(CMT=1, AMT=np.where(FRAME["AMT"] > 0, 600.0, 0.0))
    blank = full.assign(weight=[None, *FRAME["weight"][1:]])
    found, whole = (predict(x, "trastuzumab", pk="Quartino 2016") for x in (blank, full))
    np.testing.assert_allclose(found["PRED"], whole["PRED"], rtol=1e-8)


def test_a_number_of_molecules_cannot_vary_in_time():
    build = Builder("wrong")
    build.species("A", None, "1")
    build.parameter("n", 2.0, "1")
    build.reaction("makes A", {"A": "n"}, lambda s, p: 1.0)
    build.held("n")
    with pytest.raises(ModelError, match="cannot vary in time"):
        build.model()
    with pytest.raises(ModelError, match="no parameter of the model"):
        build.held("m")


def test_the_command_line_predicts(tmp_path, capsys):
    data, out = tmp_path / "data.csv", tmp_path / "out.csv"
    FRAME.rename(columns={"weight": "WT"}).to_csv(data, index=False)
    words = ["predict", str(data), "--drug", "Herceptin", "--covariate", "WT=weight", "--out", str(out)]
    assert main(words) == 0
    assert "6 observations of 1 individuals" in capsys.readouterr().out
    np.testing.assert_allclose(pd.read_csv(out)["PRED"], by_hand("nocb"), rtol=1e-7)
    assert main(words) == 2
    assert "output file exists" in capsys.readouterr().err
