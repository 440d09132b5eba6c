"""Trafficking: two sets that describe one receptor, and soluble HER2 under antibodies."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_drug, load_parameters
from her2pkpd.mechanisms.trafficking import endosome
from her2pkpd.systems.cell import CellOptions, baseline, cell_model

CELL = "cell"
OWN = {"HER2": 1e6, "HER3": 2e4, "EGFR": 5e4, "doubling_time": 40.0}
TIGHT = Options(rtol=1e-8, atol=1e-11)


def cell(*drugs, **options):
    options = CellOptions(**{"growth": False, **options})
    return cell_model(CELL, OWN, drugs=[load_drug(d) for d in drugs], options=options)


def run(model, doses, hours, **changes):
    p, y = baseline(model, model.parameter_vector({"V": 1.0, **changes}), CELL)
    segments = compile_segments(model, [[Add(0.0, *d) for d in doses]], start=0.0, stop=hours[-1])
    solution = solve(Batch(model, p, segments, np.array(hours), y), TIGHT)
    assert solution.ok.all()
    return p, solution.y[0]


@pytest.fixture(scope="module")
def recycling():
    return cell(trafficking="recycling", shedding=False)


def test_recycling_set_has_the_published_net_loss_and_endosome(recycling):
    table = load_parameters()
    kendo, krec, kdeg = (table[f"recycling.{k}"].canonical for k in ("kendo", "krec", "kdeg"))
    # Half-lives of 4.5 h into the cell and 5.4 h for good; 0.28 inside per copy outside.
    assert np.log(2) / kendo == pytest.approx(4.5, abs=0.05)
    p, y = run(recycling, [], [0.0, 48.0])
    at = recycling.species_index
    outside, inside = (y[-1, at[n]] for n in ("HER2.cell", endosome("HER2.cell")))
    assert inside / outside == pytest.approx(kendo / (krec + kdeg), rel=1e-4)
    assert inside / outside == pytest.approx(0.28, abs=0.01)
    assert recycling.outputs([f"HER2.membrane.{CELL}"], y, p[0])[-1, 0] == pytest.approx(1e6, rel=1e-4)
    # Without synthesis what is on the membrane and inside goes at the slow eigenvalue, near the published 5.4 h.
    matrix = np.array([[-kendo, krec], [kendo, -krec - kdeg]])
    assert "kint" not in recycling.parameter_index
    slow = -np.linalg.eigvals(matrix).max()
    assert np.log(2) / slow == pytest.approx(5.4, abs=0.3)


def test_dividing_cells_keep_their_receptors_under_either_set():
    for route in ("net", "recycling"):
        model = cell(trafficking=route, growth=True, shedding=False)
        p, y = run(model, [], [0.0, 120.0], Nmax=1e12)
        held = model.outputs([f"{r}.membrane.{CELL}" for r in ("HER2", "HER3", "EGFR")], y, p[0])[-1]
        # The endosome of a resting cell is a little fuller than that of a dividing one.
        np.testing.assert_allclose(held, [1e6, 2e4, 5e4], rtol=0.01)


def test_bound_receptor_is_conserved_between_membrane_and_endosome():
    model = cell("trastuzumab", trafficking="recycling", shedding=False)
    still = {"recycling.kdeg": 0.0, "kturn.EGFR": 0.0}
    p, y = model.parameter_vector({"V": 1.0, **still})[None], None
    y = model.initial(p)
    segments = compile_segments(model, [[Add(0.0, "trastuzumab", 10.0)]], start=0.0, stop=24.0)
    found = solve(Batch(model, p, segments, np.array([0.0, 24.0]), y), TIGHT).y[0]
    weight = np.array([n.count("HER2") if n.endswith(f".{CELL}") else 0 for n in model.species_index], float)
    weight[[i for n, i in model.species_index.items() if n.startswith(("p", "HER2.kinase"))]] = 0.0
    np.testing.assert_allclose(found @ weight, 1e6, rtol=1e-6)


def soluble(drug, hours):
    model = cell(*([drug] if drug else []))
    _, y = run(model, [(drug, 100.0)] if drug else [], hours)
    return y[:, model.species_index["sHER2"]]


def test_soluble_her2_rises_slower_under_trastuzumab_and_as_before_under_pertuzumab():
    hours = [0.0, 24.0, 48.0, 96.0]
    alone, trastuzumab, pertuzumab = (np.diff(soluble(d, hours)) for d in ("", "trastuzumab", "pertuzumab"))
    assert (trastuzumab < 0.05 * alone).all()
    # Pertuzumab leaves shedding alone; there is only less HER2 to shed, as it goes in faster.
    assert (pertuzumab <= alone).all()
    np.testing.assert_allclose(pertuzumab, alone, rtol=0.3)


def test_what_is_shed_is_what_leaves_the_membrane():
    """Without internalisation and synthesis soluble HER2 and p95HER2 are the HER2 that is gone."""
    model = cell()
    changes = {"kint": 1e-9, "V": 1.0, "kshed": 0.01}
    p = model.parameter_vector(changes)[None]
    y = model.initial(p)
    y[:, model.species_index[f"p95HER2.{CELL}"]] = 0.0
    segments = compile_segments(model, [[]], start=0.0, stop=50.0)
    found = solve(Batch(model, p, segments, np.array([50.0]), y), TIGHT).y[0, 0]
    at = model.species_index
    made = 0.01 * 50.0 * 1e6  # synthesis keeps the membrane at its number, so shedding goes on at kshed*R0
    assert found[at[f"p95HER2.{CELL}"]] == pytest.approx(made, rel=1e-4)
    assert found[at["sHER2"]] == pytest.approx(made * 5000 / 6.02214076e23 * 1e9, rel=1e-4)
