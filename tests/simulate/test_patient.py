"""Patients: exposure, covariates, variability, refusals; and the scenario as the documentation writes it."""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from her2pkpd.cli import main
from her2pkpd.errors import InputError, ValidityWarning
from her2pkpd.library import drug_names, load_drug
from her2pkpd.simulate import simulate
from her2pkpd.simulate.patient_scenario import read_patient_scenario

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "exposures.json"
SCENARIO = """
[system]
kind = "patient"
covariates = { weight = "70 kg", albumin = "40 g/L", tumour_type = "metastatic breast" }
variability = false

[[dose]]
drug = "T-DXd"
amount = "5.4 mg/kg"
route = "iv"
infusion = "90 min"
every = "21 d"
doses = 6

[output]
times = { start = "0 d", stop = "42 d", step = "0.5 d" }
variables = ["plasma.T-DXd", "plasma.DXd", "occupancy.T-DXd.tumour", "pAKT.tumour", "tumour.volume"]
"""
SHORT = 'times = { start = "0 d", stop = "63 d", step = "0.5 d" }'


def write(tmp_path, text):
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def plasma(tmp_path, dose, system="", output=SHORT):
    text = f'[system]\nkind = "patient"\n{system}\n[[dose]]\n{dose}\n[output]\n{output}\n'
    return simulate(write(tmp_path, text))


def values(result, name):
    table = result.table[result.table["variable"] == name]
    return table.pivot_table(index="id", columns="time", values="value").to_numpy()


def test_the_documented_scenario_runs(tmp_path):
    out = tmp_path / "out.csv"
    assert main(["simulate", str(write(tmp_path, SCENARIO)), "--out", str(out)]) == 0
    table = pd.read_csv(out)
    assert list(table.columns) == ["time", "time_unit", "variable", "value", "unit", "id", "status"]
    assert set(table["status"]) == {"ok"}
    units = dict(zip(table["variable"], table["unit"], strict=True))
    assert (units["plasma.T-DXd"], units["plasma.DXd"], units["tumour.volume"]) == ("ug/mL", "ng/mL", "mL")
    wide = table.pivot_table(index="time", columns="variable", values="value")
    assert 100 < wide["plasma.T-DXd"].max() < 150
    assert wide["occupancy.T-DXd.tumour"].between(0, 1).all()
    assert wide["pAKT.tumour"].min() < 0.9
    assert wide["tumour.volume"].iloc[-1] < wide["tumour.volume"].iloc[0]


def test_a_linear_drug_is_proportional_and_superposes(tmp_path):
    def run(amount, extra=""):
        return values(plasma(tmp_path, f'drug = "pertuzumab"\namount = "{amount}"\n{extra}'), "plasma.pertuzumab")[0]

    np.testing.assert_allclose(run("840 mg"), 2 * run("420 mg"), rtol=1e-5)
    twice = run("420 mg", 'every = "21 d"\ndoses = 2')
    later = run("420 mg", 'time = "21 d"')
    np.testing.assert_allclose(twice, run("420 mg") + later, rtol=2e-5, atol=1e-7)


def test_weight_acts_on_dose_and_on_clearance(tmp_path):
    def auc(weight):
        system = f'covariates = {{ weight = "{weight} kg" }}'
        c = values(plasma(tmp_path, 'drug = "T-DM1"\namount = "3.6 mg/kg"', system), "plasma.T-DM1")[0]
        return np.trapezoid(c)

    # Clearance grows with the square root of weight, the dose with weight: the heavier patient has more exposure.
    assert auc(100) / auc(70) == pytest.approx((100 / 70) ** (1 - 0.49), rel=0.03)


def test_text_and_keys_say_the_same(tmp_path):
    keys = plasma(tmp_path, 'drug = "trastuzumab"\namount = "6 mg/kg"\nloading = "8 mg/kg"\nevery = "21 d"')
    text = plasma(tmp_path, 'drug = "trastuzumab"\nregimen = "6 mg/kg every 3 weeks, loading 8 mg/kg"')
    np.testing.assert_array_equal(values(keys, "plasma.trastuzumab"), values(text, "plasma.trastuzumab"))


def test_missed_delayed_and_reduced_doses(tmp_path):
    dose = 'drug = "pertuzumab"\namount = "420 mg"\nevery = "21 d"\n'
    whole = values(plasma(tmp_path, dose), "plasma.pertuzumab")[0]
    day = lambda d: int(2 * d)  # noqa: E731
    missed = values(plasma(tmp_path, dose + "missed = [2]"), "plasma.pertuzumab")[0]
    assert missed[day(30)] < 0.6 * whole[day(30)]
    delayed = values(plasma(tmp_path, dose + 'delayed = { "2" = "3 d" }'), "plasma.pertuzumab")[0]
    assert delayed[day(22)] < whole[day(22)]
    assert delayed[day(30)] > whole[day(30)]
    reduced = values(plasma(tmp_path, dose + 'reduced = { "2" = "210 mg" }'), "plasma.pertuzumab")[0]
    np.testing.assert_allclose(reduced[: day(20)], whole[: day(20)], rtol=1e-5)
    assert reduced[day(22)] < 0.8 * whole[day(22)]


def test_patients_vary_reproducibly(tmp_path):
    def run(seed):
        system = f"variability = {{ n = 40, seed = {seed} }}"
        return values(plasma(tmp_path, 'drug = "T-DM1"\namount = "3.6 mg/kg"', system), "plasma.T-DM1")

    first = run(1)
    assert first.shape[0] == 40
    np.testing.assert_array_equal(first, run(1))
    assert not np.allclose(first, run(2))
    assert first[:, 20].std() / first[:, 20].mean() > 0.1


def test_subcutaneous_doses_lose_what_is_not_available(tmp_path):
    output = 'times = { start = "0 d", stop = "400 d", step = "0.5 d" }'
    under = 'drug = "pertuzumab"\namount = "600 mg"\npk = "Wang 2021"\nroute = '
    areas = [
        np.trapezoid(values(plasma(tmp_path, under + route, output=output), "plasma.pertuzumab")[0])
        for route in ('"sc"', '"iv"')
    ]
    assert areas[0] / areas[1] == pytest.approx(0.712, rel=0.01)


@pytest.mark.parametrize(
    ("drug", "amount", "fine"),
    [("T-DM1", "1.2 mg/kg", "3.6 mg/kg"), ("T-DXd", "12 mg/kg", "5.4 mg/kg"), ("neratinib", "40 mg", "240 mg")],
)
def test_doses_outside_the_studied_range_warn(tmp_path, drug, amount, fine):
    output = 'times = ["0 h", "1 h"]'
    with pytest.warns(ValidityWarning, match="is outside"):
        plasma(tmp_path, f'drug = "{drug}"\namount = "{amount}"', output=output)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plasma(tmp_path, f'drug = "{drug}"\namount = "{fine}"', output=output)


def test_kinase_inhibitors_reach_the_tumour(tmp_path):
    output = 'times = { start = "0 d", stop = "5 d", step = "0.1 d" }\nvariables = ["pAKT.tumour", "plasma.tucatinib"]'
    found = plasma(tmp_path, 'drug = "tucatinib"\nregimen = "300 mg twice daily"', output=output)
    assert values(found, "pAKT.tumour")[0, -1] < 0.5


BAD = {
    "no dose": ("", "at least one dose"),
    "unknown drug": ('[[dose]]\ndrug = "asprin"\namount = "1 mg"', "unknown drug"),
    "no amount": ('[[dose]]\ndrug = "T-DXd"', "is missing"),
    "amount in nM": ('[[dose]]\ndrug = "T-DXd"\namount = "10 nM"', "mg, mg/kg or mg/m2"),
    "several doses, no interval": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\ndoses = 3', "need an interval"),
    "interval of zero": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nevery = "0 d"', "longer than zero"),
    "no such route": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nroute = "oral"', "no model for the route"),
    "unknown route": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nroute = "nasal"', "must be one of"),
    "infused under the skin": (
        '[[dose]]\ndrug = "trastuzumab"\namount = "600 mg"\nroute = "sc"\ninfusion = "1 h"',
        "only an intravenous dose is infused",
    ),
    "unknown model": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\npk = "Lu"', "no model of that name"),
    "both ways": ('[[dose]]\ndrug = "T-DXd"\nregimen = "1 mg"\namount = "1 mg"', "stands beside a regimen"),
    "missed dose zero": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nmissed = [0]', "list of dose numbers"),
    "delay without unit": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\ndelayed = { "2" = "3" }', "unit is missing"),
    "delay of no dose": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\ndelayed = { "x" = "3 d" }', "no dose number"),
    "adherence": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nadherence = 1.5', "between 0 and 1"),
    "two models": (
        (
            '[[dose]]\ndrug = "trastuzumab"\namount = "8 mg/kg"\n'
            '[[dose]]\ndrug = "trastuzumab"\namount = "600 mg"\nroute = "sc"'
        ),
        "is given by two models",
    ),
    "misspelt key": ('[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\nevry = "3 d"', "not a known key"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_scenarios_are_refused(name, tmp_path):
    doses, rule = BAD[name]
    text = f'[system]\nkind = "patient"\n{doses}\n[output]\ntimes = ["0 h", "1 h"]\n'
    with pytest.raises(InputError, match=rule):
        read_patient_scenario(write(tmp_path, text))


@pytest.mark.parametrize(
    ("covariates", "rule"),
    [
        ('{ weight = "0 kg" }', "more than zero"),
        ('{ weight = "70 mL" }', "cannot be converted"),
        ("{ weight = 70 }", "unit is missing"),
        ('{ sex = "woman" }', "must be one of"),
        ('{ japan = "yes" }', "true or false"),
        ('{ shoe = "42" }', "not a known key"),
    ],
)
def test_bad_covariates_are_refused(covariates, rule, tmp_path):
    text = f'[system]\nkind = "patient"\ncovariates = {covariates}\n' + '[[dose]]\ndrug = "T-DXd"\namount = "1 mg"\n'
    with pytest.raises(InputError, match=rule):
        read_patient_scenario(write(tmp_path, text + '[output]\ntimes = ["0 h", "1 h"]\n'))


def test_unknown_outputs_and_parameters_are_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        plasma(
            tmp_path,
            'drug = "T-DXd"\namount = "5.4 mg/kg"\n[parameters]\n"T-DXd.CLL" = "1 L/h"',
            output='times = ["0 h", "1 h"]\nvariables = ["plasma.TDXd"]',
        )
    assert len(caught.value.problems) == 2


def test_every_clinical_model_runs_for_all_its_routes(tmp_path):
    for name in drug_names():
        drug = load_drug(name)
        for model in drug.pk.values():
            for route in model.routes:
                amount = "240 mg" if drug.kind == "tki" else "600 mg" if route == "sc" else "4 mg/kg"
                dose = f'drug = "{name}"\namount = "{amount}"\nroute = "{route}"\npk = "{model.name}"'
                found = plasma(tmp_path, dose, output='times = ["0 h", "1 d"]')
                assert values(found, f"plasma.{name}")[0, -1] > 0


def test_the_committed_exposures_all_pass():
    rows = json.loads(RESULT.read_text("utf-8"))["rows"]
    assert len(rows) >= 30
    assert [r["test"] for r in rows if not r["pass"]] == []
