"""Exact laws of the receptors: mass action, squares that close, sums that stay, a partner without a kinase."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, Segments, solve
from her2pkpd.library import load_drug
from her2pkpd.mechanisms.dimers import Form, dimerisation, dimers, forms, membrane
from her2pkpd.mechanisms.receptors import ReceptorState, receptor_states
from her2pkpd.model import Builder, conserved_moieties
from her2pkpd.systems.cell import CellOptions, baseline, cell_model

CELL = "cell"
STILL = {
    "kint": 0.0, "kshed": 0.0, "kturn.EGFR": 0.0, "kint.EGFR_driven": 0.0, "kint.HER2_driven": 0.0,
}  # fmt: skip
OWN = {"HER2": 1e6, "HER3": 3e4, "EGFR": 2e5, "HER4": 1e4}
TIGHT = Options(rtol=1e-9, atol=1e-12)


def cell(*drugs, ligands=("NRG1", "EGF"), own=OWN, **options):
    options = CellOptions(growth=False, **{"shedding": False, **options})
    return cell_model(CELL, own, drugs=[load_drug(d) for d in drugs], ligands=ligands, options=options)


def settle(model, doses, changes, hours=3000.0, start=None):
    p = model.parameter_vector({**STILL, **changes})[None]
    segments = compile_segments(model, [[Add(0.0, *d) for d in doses]], start=0.0, stop=hours)
    solution = solve(Batch(model, p, segments, np.array([hours]), start), TIGHT)
    assert solution.ok.all()
    return {n: solution.y[0, 0, i] for n, i in model.species_index.items()}


def homodimer_rate(copies):
    """Rate of spontaneous formation, koff*D at equilibrium, which is kon*R^2."""
    model = cell(ligands=(), own={"HER2": copies})
    return settle(model, [], {f"{CELL}.HER2": copies})[f"HER2|HER2.{CELL}"]


def test_forty_times_the_receptor_makes_1600_times_the_homodimer_until_receptors_run_out():
    low = homodimer_rate(2.5) / homodimer_rate(2.5 / 40)
    assert low == pytest.approx(1600, rel=1e-3)
    # At 2e4 to 8e5 copies free receptors are depleted: less than the square, by the quadratic's solution.
    K, r = 3.9e5, np.array([2e4, 8e5])
    free = K / 4 * (np.sqrt(1 + 8 * r / K) - 1)
    high = homodimer_rate(8e5) / homodimer_rate(2e4)
    assert high == pytest.approx((free[1] / free[0]) ** 2, rel=1e-6)
    assert 100 < high < 1000


def equilibrium(model, state, p, reaction):
    """Rate of a reversible reaction relative to its forward part."""
    s, q = model.scopes([state[n] for n in model.species_index], p)
    net = float(reaction.rate(s, q))
    bare = {**state, **{n: 0.0 for n, c in reaction.stoichiometry.items() if float(c) > 0}}
    s, _ = model.scopes([bare[n] for n in model.species_index], p)
    return net / max(abs(float(reaction.rate(s, q))), 1e-12)


def test_every_reversible_cycle_is_in_detailed_balance():
    # In equilibrium every single reaction stands still, not only the sum: squares of binding and pairing close.
    model = cell("trastuzumab", "pertuzumab")
    doses = [("NRG1", 2.0), ("EGF", 3.0), ("trastuzumab", 0.4), ("pertuzumab", 1.0)]
    state = settle(model, doses, {"V": 1e3}, hours=2e5)
    p = list(model.parameter_vector({**STILL, "V": 1e3}))
    reversible = [
        r for r in model.reactions if "pairs with" in r.name or "binds HER" in r.name or "binds EGFR" in r.name
    ]
    assert len(reversible) > 40
    for reaction in reversible:
        assert abs(equilibrium(model, state, p, reaction)) < 1e-5, reaction.name


def test_receptors_are_conserved_and_the_medium_pays_for_antibody():
    model = cell("trastuzumab", "pertuzumab")
    doses = [("NRG1", 2.0), ("EGF", 3.0), ("trastuzumab", 4.0), ("pertuzumab", 1.0)]
    state = settle(model, doses, {}, hours=5.0)
    y = np.array([state[n] for n in model.species_index])
    p = model.parameter_vector(STILL)
    names = [f"{r}.membrane.{CELL}" for r in OWN]
    np.testing.assert_allclose(model.outputs(names, y, p), list(OWN.values()), rtol=1e-8)
    carried = sum(
        x * n.split(".")[0].count("trastuzumab") for n, x in state.items() if n != "trastuzumab" and "kinase" not in n
    )
    medium = (state["trastuzumab"] - 4.0) * 1e-4 / 5000 / 1e9 * 6.02214076e23
    assert medium == pytest.approx(-carried, rel=1e-6)


def test_moieties_are_found_from_the_stoichiometry():
    build = Builder("pairs")
    build.compartment(membrane(CELL), lambda s, p: 1.0)
    present = forms(("NRG1",), receptor_states([], []))
    for form in present:
        build.species(form.species(CELL), membrane(CELL), "copies/cell")
    dimerisation(build, CELL, dimers(present))
    assert len(conserved_moieties(build.model())) == len(present)


def test_trastuzumab_leaves_homodimers_and_takes_spontaneous_heterodimers():
    model = cell("trastuzumab", ligands=())
    bare = settle(model, [], {})
    treated = settle(model, [("trastuzumab", 1e4)], {"V": 1.0})

    def homo(s):
        return sum(x for n, x in s.items() if n.count("HER2") == 2 and "|" in n)

    # HER2:HER3 gives its HER2 back, which pairs with itself.
    assert homo(treated) == pytest.approx(homo(bare), rel=0.03)
    assert treated[f"HER2|HER3.{CELL}"] < 0.01 * bare[f"HER2|HER3.{CELL}"]
    # What is left of the pair is mass action with a constant weaker by 1 - uncoupling.
    e = dict(zip(model.parameter_index, model.default_parameters(), strict=True))["dimer.uncoupling"]
    ratio = bare[f"HER2|HER3.{CELL}"] / bare[f"HER3.{CELL}"] * (1.0 - e)
    assert treated[f"HER2:trastuzumab|HER3.{CELL}"] / treated[f"HER3.{CELL}"] == pytest.approx(ratio, rel=0.03)


def test_pertuzumab_blocks_driven_pairs_and_nothing_else():
    model = cell("pertuzumab", ligands=("NRG1",))
    bare, driven = settle(model, [], {}), settle(model, [("NRG1", 10.0)], {})
    blocked = settle(model, [("NRG1", 10.0), ("pertuzumab", 1e5)], {"V": 1.0})
    alone = settle(model, [("pertuzumab", 1e5)], {"V": 1.0})
    key = f"HER2|HER3:NRG1.{CELL}"
    assert blocked[key] < 0.01 * driven[key]

    def pairs(s):
        return sum(x for n, x in s.items() if n.startswith("HER2") and "|HER3" in n)

    assert pairs(alone) == pytest.approx(pairs(bare), rel=1e-3)


def test_her2_is_the_preferred_partner():
    state = settle(cell(own={"HER2": 5e4, "EGFR": 5e4, "HER3": 5e4}), [("NRG1", 50.0), ("EGF", 50.0)],
                   {f"{CELL}.{r}": 5e4 * (r != "HER4") for r in OWN})  # fmt: skip
    assert state[f"HER2|EGFR:EGF.{CELL}"] > state[f"EGFR:EGF|HER3:NRG1.{CELL}"]
    assert state[f"HER2|HER3:NRG1.{CELL}"] > state[f"EGFR:EGF|HER3:NRG1.{CELL}"]


def test_her3_alone_signals_nothing_whatever_its_ligand():
    model = cell(own={"HER2": 0.0, "EGFR": 0.0, "HER3": 1e6})
    changes = {f"{CELL}.{r}": 1e6 * (r == "HER3") for r in OWN}
    state = settle(model, [("NRG1", 100.0)], changes, hours=2.0)
    assert state[f"HER3:NRG1.{CELL}"] > 9e5
    assert all(state[f"p{r}.{CELL}"] == 0.0 for r in OWN)


def test_a_kinase_held_by_an_inhibitor_silences_the_partner_of_her3():
    model = cell("lapatinib", ligands=("NRG1",))
    state = settle(model, [("NRG1", 10.0), ("lapatinib", 1e9)], {}, hours=200.0)
    free = settle(model, [("NRG1", 10.0)], {}, hours=200.0)
    assert state[f"pHER3.{CELL}"] < 1e-4 * free[f"pHER3.{CELL}"]


@pytest.mark.parametrize("receptor", ["EGFR", "HER3", "HER4"])
def test_tethered_receptors_do_not_pair_among_themselves(receptor):
    bare = [Form(receptor), Form("HER3") if receptor != "HER3" else Form("HER4")]
    assert dimers(bare) == []


def test_untreated_cells_keep_the_receptors_measured():
    model = cell(shedding=True)
    p, y = baseline(model, model.default_parameters(), CELL)
    names = [f"{r}.membrane.{CELL}" for r in OWN]
    solution = solve(Batch(model, p, Segments(np.array([[0.0, 500.0]])), np.array([500.0]), y), TIGHT)
    for state in (y[0], solution.y[0, 0]):
        np.testing.assert_allclose(model.outputs(names, state, p[0]), list(OWN.values()), rtol=1e-6)
    # Four hundred thousand HER2 are shed in 80 h, and 5 % of HER2 is p95.
    kshed, kint = (p[0, model.parameter_index[k]] for k in ("kshed", "kint"))
    assert y[0, model.species_index[f"p95HER2.{CELL}"]] == pytest.approx(1e6 * kshed / kint, rel=1e-6)


def test_trastuzumab_stops_shedding_and_pertuzumab_does_not():
    model = cell("trastuzumab", "pertuzumab", shedding=True)
    p, y = baseline(model, model.parameter_vector({"V": 1.0}), CELL)
    lanes = [[], [Add(0.0, "trastuzumab", 100.0)], [Add(0.0, "pertuzumab", 1000.0)]]
    segments = compile_segments(model, lanes, start=0.0, stop=48.0)
    solution = solve(Batch(model, np.tile(p, (3, 1)), segments, np.array([24.0, 48.0]), np.tile(y, (3, 1))), TIGHT)
    shed = np.diff(solution.y[:, :, model.species_index["sHER2"]], axis=1)[:, 0]
    assert shed[1] < 0.02 * shed[0]
    assert 0.5 < shed[2] / shed[0] < 1.05
    assert ReceptorState("trastuzumab").species(CELL) in model.species_index
