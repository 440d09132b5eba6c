"""A patient who starts in steady state: against the doses given one by one, and what cannot be."""

import numpy as np
import pytest

from her2pkpd.errors import InputError
from her2pkpd.simulate import simulate
from her2pkpd.simulate.patient_scenario import read_patient_scenario
from tests.simulate.test_patient import values, write

DOSES = {
    "trastuzumab": 'amount = "6 mg/kg"\ninfusion = "90 min"\nevery = "21 d"',
    "tucatinib": 'amount = "300 mg"\nevery = "12 h"',
    "pertuzumab": 'amount = "600 mg"\nroute = "sc"\nevery = "21 d"',
}
MANY = {"trastuzumab": (60, 21 * 24), "tucatinib": (400, 12), "pertuzumab": (60, 21 * 24)}


def run(tmp_path, doses, system="", hours=(0, 30, 250, 500), start=0.0):
    times = ", ".join(f'"{start + h} h"' for h in hours)
    body = "".join(f'[[dose]]\ndrug = "{drug}"\n{text}\n' for drug, text in doses)
    text = f'[system]\nkind = "patient"\n{system}\n{body}[output]\ntimes = [{times}]\n'
    return simulate(write(tmp_path, text))


@pytest.mark.parametrize("drug", DOSES)
def test_it_is_where_many_doses_lead(drug, tmp_path):
    """Linear and saturable elimination, infusion and absorption with lag: hundreds of explicit doses before."""
    number, interval = MANY[drug]
    steady = values(run(tmp_path, [(drug, DOSES[drug] + "\nsteady_state = true")]), f"plasma.{drug}")
    long = values(run(tmp_path, [(drug, DOSES[drug])], start=number * interval), f"plasma.{drug}")
    np.testing.assert_allclose(steady, long, rtol=2e-5)


def test_each_patient_and_each_drug_has_its_own(tmp_path):
    doses = [(drug, text + "\nsteady_state = true") for drug, text in DOSES.items()]
    both = run(tmp_path, doses, "variability = { n = 5, seed = 3 }", hours=(0, 504, 1008))
    assert set(both.table["status"]) == {"ok"}
    for drug in DOSES:
        found = values(both, f"plasma.{drug}")
        np.testing.assert_allclose(found, np.tile(found[:, :1], 3), rtol=1e-4)
        assert len(set(np.round(found[:, 0], 6))) == 5


def test_what_follows_may_be_missed(tmp_path):
    doses = [("tucatinib", DOSES["tucatinib"] + "\nsteady_state = true\nmissed = [2, 3, 4, 5, 6]")]
    found = values(run(tmp_path, doses, hours=(0, 12, 60)), "plasma.tucatinib")[0]
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] < 0.2 * found[0]


ONE = '[[dose]]\ndrug = "{}"\namount = "6 mg/kg"\nsteady_state = true\n{}\n'
BAD = {
    "no interval": (ONE.format("trastuzumab", ""), "needs an interval"),
    "a loading dose": (ONE.format("trastuzumab", 'every = "21 d"\nloading = "8 mg/kg"'), "no loading dose"),
    "first missed": (ONE.format("trastuzumab", 'every = "21 d"\nmissed = [1]'), "cannot be missed"),
    "first delayed": (ONE.format("trastuzumab", 'every = "21 d"\ndelayed = { "1" = "3 d" }'), "cannot be missed"),
    "by cycle": (ONE.format("T-DXd", 'every = "21 d"'), "depends on how many doses"),
    "not a flag": (ONE.format("trastuzumab", 'every = "21 d"').replace("true", '"yes"'), "true or false"),
    "given before": (
        '[[dose]]\ndrug = "trastuzumab"\namount = "8 mg/kg"\n'
        + ONE.format("trastuzumab", 'every = "21 d"\ntime = "1 d"'),
        "is given before its steady state",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_has_no_steady_state_is_refused(name, tmp_path):
    doses, rule = BAD[name]
    text = f'[system]\nkind = "patient"\n{doses}\n[output]\ntimes = ["0 h", "1 h"]\n'
    with pytest.raises(InputError, match=rule) as caught:
        read_patient_scenario(write(tmp_path, text))
    assert all(p.remedy for p in caught.value.problems)


def test_a_tumour_has_none(tmp_path):
    with pytest.raises(InputError, match="a tumour that grows"):
        run(tmp_path, [("trastuzumab", DOSES["trastuzumab"] + "\nsteady_state = true")], "tumour = {}")
