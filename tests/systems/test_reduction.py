"""The plate's quasi-steady signal against the network it is derived from."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.systems.cell import CellOptions, baseline, cell_model, network_parameters
from her2pkpd.systems.reduction import input_signal, reduced_arms
from tests.systems.wells import well

CELL = "SK-BR-3"
TIGHT = Options(1e-8, 1e-11)

LIMIT = {
    "dimer.K_HER2_HER2": 1e10, "dimer.K_HER2_HER3": 1e10, "dimer.K_HER2_NRG1_HER3": 1e10, "dimer.uncoupling": 1.0,
    "net.a_HER2_HER2": 2e-6,
    "net.a_HER2_HER3": 2e-4, "net.a_driven": 1e-3, "kint": 1e-9, "kshed": 0.0, "kint.HER2_driven": 1e-9,
    "net.K_T677": 1e12, "net.q_HER3": 0.0, "net.f_FOXO": 0.0, "V": 1.0, f"{CELL}.HER3": 1e4,
    "NRG1.KD": 1.5, "kturn.HER2": 1e-9, "lapatinib.HER2.koff": 50.0,
}  # fmt: skip
"""Receptors not depleted by pairing, phosphorylation linear, nothing that moves receptors, no feedback."""


@pytest.fixture(scope="module")
def network():
    drugs = [load_drug(d) for d in ("trastuzumab", "pertuzumab", "lapatinib")]
    own = {**network_parameters(load_cell_line(CELL)), "EGFR": 0.0, "HER4": 0.0}
    return cell_model(
        CELL, own, drugs=drugs, ligands=("NRG1",), options=CellOptions(growth=False, shedding=False)
    )  # fmt: skip


TREATMENTS = [{}, {"trastuzumab": 1.0}, {"trastuzumab": 1e3}, {"pertuzumab": 1e4}, {"lapatinib": 55.0},
              {"NRG1": 1.5}, {"NRG1": 50.0, "pertuzumab": 2.0}, {"NRG1": 50.0, "lapatinib": 300.0},
              {"NRG1": 4.0, "trastuzumab": 1e3}]  # fmt: skip


def network_signal(model, changes):
    p, y = baseline(model, model.parameter_vector(changes), CELL)
    lanes = [[Add(0.0, s, x) for s, x in t.items()] for t in TREATMENTS]
    segments = compile_segments(model, lanes, start=0.0, stop=200.0)
    n = len(lanes)
    state = solve(Batch(model, np.repeat(p, n, 0), segments, np.array([200.0]), np.repeat(y, n, 0)), TIGHT).y[:, 0]
    rest = sum(input_signal(model, p, y, CELL).values())
    return sum(input_signal(model, np.repeat(p, n, 0), state, CELL).values()) / rest


def plate_signal(arms):
    model = well("trastuzumab", "pertuzumab", "lapatinib", ligands=("NRG1",), lines=(CELL,), doubling_time=1e30,
                 k_apo=0.0, a_li=arms["a_li"], a_egfr=arms["a_egfr"])  # fmt: skip
    changes = {"a_ld": arms["a_ld"], "kint": 1e-9, "kturn.HER2": 1e-9, "V": 1.0, "lapatinib.HER2.koff": 50.0}
    p = model.parameter_vector(changes)
    lanes = [[Add(0.0, s, x) for s, x in t.items()] for t in TREATMENTS]
    segments = compile_segments(model, lanes, start=0.0, stop=200.0)
    y = solve(Batch(model, np.tile(p, (len(lanes), 1)), segments, np.array([200.0])), TIGHT).y[:, 0]
    return model.outputs([f"signal.{CELL}"], y, p)[:, 0]


def test_in_its_limit_the_reduction_is_exact(network):
    arms = reduced_arms(network, network.parameter_vector(LIMIT), CELL)
    assert 0.05 < arms["a_li"] < 0.95
    np.testing.assert_allclose(plate_signal(arms), network_signal(network, LIMIT), rtol=0.01)


def test_at_the_defaults_it_keeps_the_order_of_treatments(network):
    still = {
        k: LIMIT[k]
        for k in ("kint", "kshed", "kint.HER2_driven", "kturn.HER2", "V", "lapatinib.HER2.koff", "dimer.uncoupling")
    }
    full = network_signal(network, {**still, "net.f_FOXO": 0.0})
    reduced = plate_signal(reduced_arms(network, network.parameter_vector({**still, "net.f_FOXO": 0.0}), CELL))
    # Without ligand the arms are nearly linear; driven ones saturate and resist inhibitors, which the plate's do not.
    np.testing.assert_allclose(reduced[:5], full[:5], rtol=0.25)
    assert full[7] > reduced[7]
