"""Dual blockade at clinical exposure: time above a target, against exact cases and what theory says."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from her2pkpd.errors import InputError
from her2pkpd.library import load_parameters
from her2pkpd.simulate.patient import simulate_patient
from her2pkpd.simulate.patient_scenario import PatientScenario
from her2pkpd.synergy.exposure import benefit, dual_blockade, inhibition, label_dose, time_above

T, P, L = "trastuzumab", "pertuzumab", "lapatinib"


@given(peak=st.floats(0.1, 1.0), target=st.floats(0.05, 0.95))
@settings(max_examples=50, deadline=None)
def test_time_above_of_a_triangle(peak, target):
    time = np.array([0.0, 4.0, 10.0])
    assert time_above(time, np.array([0.0, peak, 0.0]), target) == pytest.approx(max(0.0, 1 - target / peak), abs=1e-12)


def test_time_above_of_constants_and_failures():
    time = np.linspace(0, 5, 4)
    assert time_above(time, np.full(4, 0.9), 0.8) == 1.0
    assert time_above(time, np.full(4, 0.8), 0.8) == 0.0
    assert np.isnan(time_above(time, np.array([0.9, np.nan, 0.9, 0.9]), 0.8))


def test_label_regimens():
    loading = {d: label_dose(d).regimen for d in (T, P, L)}
    assert (loading[T].amount.value, loading[T].loading.value, loading[T].amount.per) == (6e3, 8e3, "kg")
    assert (loading[P].amount.value, loading[P].loading.value, loading[P].interval) == (420e3, 840e3, 504.0)
    assert (loading[L].amount.value, loading[L].interval) == (1e6, 24.0)


def test_saturating_antibodies_inhibit_what_the_arms_say():
    # No antibody changes internalisation (the library's ratios are 1). Few receptors on a fed cell: both epitopes are
    # covered all cycle long, up to C/(C + KD) = 1 %. What is left of the signal is then the arms that the antibodies do
    # not reach, by the signal's own equation.
    table, nrg1 = load_parameters(), 7.5
    a_li, a_egfr, a_ld = (table[n].canonical for n in ("cell.a_li", "cell.a_egfr", "a_ld"))
    bound = nrg1 / (nrg1 + table["K_NRG1"].canonical)
    arms = {"homodimer": 1 - a_li - a_egfr, "li": a_li * (1 - bound), "ld": 2 * a_ld * bound, "EGFR": a_egfr}
    whole = sum(arms.values())
    for drugs, lost in (((T,), ("li",)), ((P,), ("ld",)), ((T, P), ("li", "ld"))):
        found = inhibition(drugs, HER2=1e3, NRG1=nrg1, read_out="signal")["inhibition"]
        expected = sum(arms[n] for n in lost) / whole
        assert np.allclose(found, expected, atol=0.015), drugs


@pytest.fixture(scope="module")
def table():
    return dual_blockade([3e4, 2e6], [0.0, 7.5], treatments=((T,), (P,), (T, P)))


def test_pertuzumab_adds_only_where_there_is_ligand(table):
    gain = benefit(table).set_index(["NRG1", "to", "HER2"])["gain"].sort_index()
    assert np.allclose(gain.loc[0.0, T], 0.0, atol=1e-6)
    assert gain.loc[7.5, T, 3e4] > 0.9
    assert (table["status"] == "ok").all()


def test_receptors_cost_time_above_target(table):
    rows = table.set_index(["NRG1", "treatment", "HER2"]).sort_index()
    for nrg1, name in ((0.0, T), (7.5, f"{T} + {P}")):
        few, many = rows.loc[(nrg1, name, 3e4)], rows.loc[(nrg1, name, 2e6)]
        assert few["time_above"] > many["time_above"]
        assert few["lowest"] > many["lowest"]


def test_pertuzumab_alone_without_ligand_does_nothing(table):
    alone = table[(table["NRG1"] == 0.0) & (table["treatment"] == P)]
    assert np.allclose(alone[["time_above", "lowest", "mean"]], 0.0, atol=1e-6)


def test_ligand_of_zero_is_no_ligand():
    scenario = PatientScenario((), np.zeros(1), tumour={"a_li": 0.5})
    with_it = inhibition((T,), HER2=1e6, NRG1=0.0, cycle=1, scenario=scenario)
    again = inhibition((T,), HER2=1e6, NRG1=1e-9, cycle=1, scenario=scenario)
    assert np.allclose(with_it["inhibition"], again["inhibition"], atol=1e-6)
    assert with_it["inhibition"].iloc[0] == 0.0


def test_patients_differ_and_each_is_counted():
    found = dual_blockade([1e6], [7.5], treatments=((T, P),), scenario=PatientScenario((), np.zeros(1), patients=4))
    assert list(found["id"]) == [0, 1, 2, 3]
    assert found["lowest"].nunique() == 4


def test_benefit_subtracts_like_from_like():
    rows = [(1.0, 0.0, T, 0, 0.25), (1.0, 0.0, f"{T} + {P}", 0, 0.75), (1.0, 0.0, P, 0, 0.5)]
    found = benefit(pd.DataFrame(rows, columns=["HER2", "NRG1", "treatment", "id", "time_above"]))
    assert found[["to", "without", "together", "gain"]].to_numpy().tolist() == [[T, 0.25, 0.75, 0.5]]


def test_refusals_name_everything():
    with pytest.raises(InputError) as error:
        inhibition(("neratinib",), HER2=-1.0, read_out="pJUN", cycle=0)
    message = str(error.value)
    assert all(word in message for word in ("neratinib", "pJUN", "HER2", "cycle"))
    with pytest.raises(InputError, match="target"):
        dual_blockade([1e6], [0.0], target=1.5)


@pytest.mark.parametrize(
    ("drug", "read", "published", "tolerance"),
    [
        # Herceptin EU SmPC, metastatic breast cancer, 8 then 6 mg/kg every 3 weeks: trough, peak (ug/mL) and AUC
        # (day*ug/mL) at steady state.
        (T, "trough", 44.2, 0.15),
        (T, "peak", 179.0, 0.20),  # the model's peaks are known to run above the label
        (T, "auc", 1736.0, 0.10),
        # Perjeta label: clearance 0.24 L/d, so that 420 mg give 1750 day*ug/mL.
        (P, "auc", 420.0 / 0.24, 0.05),
        # Tyverb label: 36,200 h*ng/mL at 1250 mg; in proportion at the 1000 mg given with trastuzumab.
        (L, "auc", 36.2e3 * 1000 / 1250, 0.03),
    ],
)
def test_label_regimens_give_label_exposures(drug, read, published, tolerance):
    dose = label_dose(drug)
    interval = dose.regimen.interval
    start = 7 * 504.0
    times = start + interval * np.unique(np.concatenate([np.linspace(0, 0.02, 30), np.linspace(0.02, 1, 300)]))
    scenario = PatientScenario((dose,), times * (1 - 1e-9), (f"plasma.{drug}",))
    c = simulate_patient(scenario).table["value"].to_numpy()
    found = {"trough": c[-1], "peak": c.max(), "auc": np.trapezoid(c, times) / (1.0 if drug == L else 24.0)}
    assert found[read] == pytest.approx(published, rel=tolerance)
