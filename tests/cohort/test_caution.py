"""Doses outside what was studied: the same words from cohort, simulate and predict, and none where all is well."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest

from her2pkpd.cli import main
from her2pkpd.cohort import cohort
from her2pkpd.cohort.caution import doses_given
from her2pkpd.cohort.engines import Resources
from her2pkpd.cohort.trial import build_trial
from her2pkpd.data.nonmem_predict import predict
from her2pkpd.errors import InputError, ValidityWarning
from her2pkpd.library import drug_names, load_drug
from her2pkpd.simulate import simulate
from her2pkpd.simulate.caution import cautions
from tests.cohort.cohorts import PLASMA, TDXD, plasma, write

LABEL = {
    "trastuzumab": (
        'regimen = "6 mg/kg every 3 weeks, loading 8 mg/kg for 4 doses"',
        'amount = "600 mg"\nroute = "sc"',
    ),
    "pertuzumab": ('regimen = "420 mg every 3 weeks, loading 840 mg for 4 doses"', 'amount = "600 mg"\nroute = "sc"'),
    "T-DM1": ('regimen = "3.6 mg/kg every 3 weeks for 4 doses"', 'regimen = "2.4 mg/kg weekly, 4 doses"'),
    "T-DXd": ('regimen = "5.4 mg/kg every 3 weeks for 4 doses"', 'amount = "8 mg/kg"'),
    "lapatinib": ('regimen = "1250 mg once daily, 9 doses"', 'regimen = "500 mg twice daily, 9 doses"'),
    "neratinib": ('regimen = "240 mg once daily, 9 doses"', 'amount = "160 mg"'),
    "tucatinib": ('regimen = "300 mg twice daily, 9 doses"', 'amount = "50 mg"'),
}
ODD = {
    "trastuzumab": ('amount = "12 mg/kg"', 'amount = "900 mg"\nroute = "sc"', 'regimen = "6 mg/kg every 3 d, 3 doses"'),
    "pertuzumab": ('amount = "5 g"', 'amount = "0.1 mg/kg"'),
    "T-DM1": ('amount = "6 mg/kg"', 'regimen = "3.6 mg/kg weekly, 3 doses"', 'amount = "0.1 mg/kg"'),
    "T-DXd": ('amount = "10 mg/kg"', 'regimen = "5.4 mg/kg weekly, 3 doses"', 'amount = "0.5 mg/kg"'),
    "lapatinib": ('amount = "3 g"', 'regimen = "1250 mg twice daily, 3 doses"'),
    "neratinib": ('amount = "600 mg"', 'regimen = "240 mg twice daily, 3 doses"'),
    "tucatinib": ('amount = "1.2 g"', 'regimen = "300 mg every 6 h, 9 doses"'),
}


def said(tmp_path, drug, dose):
    return cautions(doses_given(build_trial(plasma(tmp_path, f'drug = "{drug}"\n{dose}', size=50))))


@pytest.mark.parametrize(("drug", "dose"), [(drug, dose) for drug, doses in LABEL.items() for dose in doses])
def test_doses_in_use_pass(tmp_path, drug, dose):
    assert said(tmp_path, drug, dose) == []


@pytest.mark.parametrize(("drug", "dose"), [(drug, dose) for drug, doses in ODD.items() for dose in doses])
def test_others_are_named_with_what_was_studied(tmp_path, drug, dose):
    text = " ".join(said(tmp_path, drug, dose))
    assert f"{drug} " in text
    assert "outside the doses studied in people: " in text
    assert all(x.source.citation in text for x in load_drug(drug).studied if x.route in text.split()[1])


def test_every_drug_with_pharmacokinetics_has_a_studied_range():
    known = [load_drug(name) for name in drug_names()]
    assert [d.name for d in known if d.pk and not d.studied] == []
    assert all({x.route for x in d.studied} >= {r for m in d.pk.values() for r in m.routes} for d in known)


def test_a_flat_dose_is_too_much_for_some(tmp_path):
    (text,) = said(tmp_path, "trastuzumab", 'amount = "600 mg"')
    assert "mg/kg (in " in text
    assert "% of patients)" in text


def test_levels_of_a_rule_count(tmp_path):
    rule = "[[arm.rule]]\ndrug = 'T-DXd'\nvariable = 'plasma.DXd'\nabove = '9 ng/mL'\nthen = 'reduce'\n"
    text = f'drug = "T-DXd"\nregimen = "5.4 mg/kg every 3 weeks for 4 doses"\n{rule}levels = ["4.4 mg/kg", "0.4 mg/kg"]'
    (found,) = cautions(doses_given(build_trial(plasma(tmp_path, text, size=5))))
    assert "T-DXd iv at 0.4 mg/kg" in found


def test_cohort_simulate_and_predict_say_the_same(tmp_path, capsys):
    dose = TDXD.replace("5.4", "12")
    with pytest.warns(ValidityWarning, match="outside the doses studied") as of_cohort:
        cohort(plasma(tmp_path, dose, size=2, rest="[solver]\nrtol = 0.01"), resources=Resources("kernel", threads=1))
    scenario = f'[system]\nkind = "patient"\n[[dose]]\n{dose}\n[output]\ntimes = ["0 h", "1 h"]\n'
    with pytest.warns(ValidityWarning) as of_simulate:
        simulate(write(tmp_path, scenario, "scenario.toml"))
    rows = {"ID": 1, "TIME": [0, 1], "EVID": [1, 0], "AMT": [840, 0], "II": [504, 0], "ADDL": [2, 0], "DV": [0, 1],
            "weight": 70}  # fmt: skip
    with pytest.warns(ValidityWarning) as of_predict:
        predict(pd.DataFrame(rows), "T-DXd")
    words = [str(w[0].message) for w in (of_cohort, of_simulate, of_predict)]
    assert len(set(words)) == 1
    path = write(tmp_path, PLASMA.format(size=2, population="", dose=dose, rest="[solver]\nrtol = 0.01"))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["cohort", str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err == f"her2pkpd cohort: warning: {words[0]}\n"
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["cautions"] == words[:1]
    assert words[0] in (tmp_path / "out" / "report.html").read_text()


def test_predict_without_weight_does_not_guess_it():
    rows = {"ID": 1, "TIME": [0, 1], "EVID": [1, 0], "AMT": [9000, 0], "DV": [0, 1]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predict(pd.DataFrame(rows), "T-DXd")
    assert np.isfinite(found["PRED"]).all()


def test_a_range_of_ones_own_is_checked(tmp_path):
    text = '[identity]\nname = "T-DXd"\n[[studied]]\nroute = "iv"\nlow = 8\nhigh = 1\nunit = "mg"\n'
    with pytest.raises(InputError, match=r"studied\[1\].*low first") as error:
        load_drug("T-DXd", write(tmp_path, text + 'citation = "x"\ncertainty = "memory"\nevery = "3 kg"\n', "own.toml"))
    assert "studied[1].every" in str(error.value)
