"""Kinase inhibitors against the closed forms of slow binding and inactivation."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash
from tests.systems.wells import CELLS, STILL, outputs, run, well

TIMES = np.array([0.0, 0.3, 1.0, 4.0, 12.0, 48.0, 1000.0])
DOSES = (0.1, 5.0, 30.0, 1e3, 1e5)


@pytest.fixture(scope="module")
def inhibited():
    return well("lapatinib", "neratinib")


def constant(model, name):
    return float(model.default_parameters()[model.parameter_index[name]])


def held(kinase, drug):
    return f"{kinase}.kinase:{drug}.{CELLS}"


@pytest.mark.parametrize("kinase", ["HER2", "EGFR"])
def test_reversible_occupancy_approaches_its_plateau_exponentially(inhibited, kinase):
    solution = run(inhibited, [[Add(0.0, "lapatinib", c)] for c in DOSES], TIMES, STILL)
    found = outputs(inhibited, solution, [held(kinase, "lapatinib")], STILL)[..., 0]
    ki, koff = (constant(inhibited, f"lapatinib.{kinase}.{k}") for k in ("Ki", "koff"))
    turnover = constant(inhibited, f"kturn.{kinase}")
    ratio = np.array(DOSES)[:, None] / ki
    rate = koff * (1 + ratio) + turnover
    np.testing.assert_allclose(found, koff * ratio / rate * (1 - np.exp(-rate * TIMES)), rtol=1e-7, atol=1e-11)


def test_without_turnover_the_equilibrium_is_the_binding_isotherm(inhibited):
    changes = {**STILL, "kturn.HER2": 0.0}
    solution = run(inhibited, [[Add(0.0, "lapatinib", c)] for c in DOSES], [0.0, 2000.0], changes)
    found = outputs(inhibited, solution, [held("HER2", "lapatinib")], changes)[:, 1, 0]
    dose, ki = np.array(DOSES), constant(inhibited, "lapatinib.HER2.Ki")
    np.testing.assert_allclose(found, dose / (dose + ki), rtol=1e-8)


@pytest.mark.parametrize("kinase", ["HER2", "EGFR"])
def test_covalent_steady_state_balances_inactivation_and_synthesis(inhibited, kinase):
    solution = run(inhibited, [[Add(0.0, "neratinib", c)] for c in DOSES], TIMES, STILL)
    active = outputs(inhibited, solution, [f"{kinase}.kinase_active.{CELLS}"], STILL)[..., 0]
    half, kinact = (constant(inhibited, f"neratinib.{kinase}.{k}") for k in ("KI", "kinact"))
    turnover = constant(inhibited, f"kturn.{kinase}")
    dose = np.array(DOSES)[:, None]
    inactivation = kinact * dose / (half + dose)
    rate = inactivation + turnover
    np.testing.assert_allclose(active, 1 - inactivation / rate * (1 - np.exp(-rate * TIMES)), rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(active[:, -1], (turnover / rate)[:, 0], rtol=1e-7)


@pytest.mark.parametrize(("drug", "koff"), [("lapatinib", True), ("neratinib", False)])
def test_after_wash_out_reversible_sites_empty_and_covalent_ones_wait_for_new_receptor(inhibited, drug, koff):
    times = np.array([0.0, 24.0, 26.0, 36.0, 60.0])
    solution = run(inhibited, [[Add(0.0, drug, 300.0), Wash(24.0, (drug,))]], times, STILL)
    found = outputs(inhibited, solution, [held("HER2", drug)], STILL)[0, 1:, 0]
    rate = constant(inhibited, "kturn.HER2") + (constant(inhibited, "lapatinib.HER2.koff") if koff else 0.0)
    np.testing.assert_allclose(found, found[0] * np.exp(-rate * (times[1:] - 24.0)), rtol=1e-7)


def test_two_inhibitors_compete_for_the_pocket(inhibited):
    # Steady state of two linear equations for the occupied fractions, solved by linear algebra.
    changes = {**STILL, "kturn.HER2": 0.05}
    a, b = 40.0, 3.0
    solution = run(inhibited, [[Add(0.0, "lapatinib", a), Add(0.0, "neratinib", b)]], [0.0, 5000.0], changes)
    found = outputs(inhibited, solution, [held("HER2", "lapatinib"), held("HER2", "neratinib")], changes)[0, 1]
    on = constant(inhibited, "lapatinib.HER2.koff") * a / constant(inhibited, "lapatinib.HER2.Ki")
    kill = constant(inhibited, "neratinib.HER2.kinact") * b / (constant(inhibited, "neratinib.HER2.KI") + b)
    matrix = [[on + constant(inhibited, "lapatinib.HER2.koff") + 0.05, on], [kill, kill + 0.05]]
    np.testing.assert_allclose(found, np.linalg.solve(matrix, [on, kill]), rtol=1e-8)


def test_division_replaces_inhibited_kinase_like_turnover_does(inhibited):
    # Cells whose division does not depend on the signal, far from crowding: mu is ln2/td throughout.
    changes = {f"{CELLS}.w": 0.0, f"{CELLS}.k_apo": 0.0, f"{CELLS}.doubling_time": 10.0, "Nmax": 1e30}
    times = np.array([0.0, 24.0, 30.0, 44.0])
    solution = run(inhibited, [[Add(0.0, "neratinib", 50.0), Wash(24.0, ("neratinib",))]], times, changes)
    found = outputs(inhibited, solution, [held("HER2", "neratinib")], changes)[0, 1:, 0]
    rate = constant(inhibited, "kturn.HER2") + np.log(2) / 10.0
    np.testing.assert_allclose(found, found[0] * np.exp(-rate * (times[1:] - 24.0)), rtol=1e-7)


def test_tucatinib_spares_egfr():
    model = well("tucatinib")
    solution = run(model, [[Add(0.0, "tucatinib", 100.0)]], [0.0, 48.0], STILL)
    her2, egfr = outputs(model, solution, [f"{k}.kinase_active.{CELLS}" for k in ("HER2", "EGFR")], STILL)[0, 1]
    assert her2 < 0.1
    assert egfr > 0.98
