"""What binding, growth and dilution must not make or lose."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash
from her2pkpd.engine import Options
from her2pkpd.mechanisms.antibody import antibody_in_medium, epitope_binding
from her2pkpd.mechanisms.population import count, medium, population, surface
from her2pkpd.mechanisms.receptors import ReceptorState, receptor_states
from her2pkpd.model import Builder, conserved_moieties
from tests.systems.wells import CELLS, outputs, receptors_in_medium, run, well

VERY_TIGHT = Options(rtol=1e-11, atol=1e-14)
TIMES = np.linspace(0.0, 96.0, 13)
ADDITIONS = [Add(0.0, "trastuzumab", 8.0), Add(20.0, "pertuzumab", 15.0), Add(40.0, "trastuzumab", 3.0)]


@pytest.fixture(scope="module", params=["still", "growing"])
def binding_only(request):
    """Two populations that compete for two antibodies; nothing is made, internalised or lost."""
    build = Builder("binding only")
    medium(build, volume=3e-5)
    build.parameter("Vc", 2e-12, "L")
    build.parameter("omega", 3.0, "1")
    for drug, kon, kd in (("trastuzumab", 0.36, 0.314), ("pertuzumab", 0.2, 2.0)):
        antibody_in_medium(build, drug)
        build.parameter(f"{drug}.kon", kon, "1/nM/h")
        build.parameter(f"{drug}.KD", kd, "nM")
    states = receptor_states(["trastuzumab"], ["pertuzumab"])
    for name, receptors, rate in (("high", 1e6, 0.03), ("low", 2e5, 0.01)):
        build.parameter(f"{name}.HER2", receptors, "copies/cell")
        population(build, name, seeded=4e5)
        for state in states:
            start = 1.0 if state == ReceptorState() else 0.0
            build.species(state.species(name), surface(name), "fraction of R0", initial=start)
        epitope_binding(build, name, states)
        if request.param == "growing":
            build.growth(count(name), lambda s, p, rate=rate: rate)
    return build.model()


def test_antibodies_and_receptors_are_the_moieties_of_binding(binding_only):
    moieties = conserved_moieties(binding_only)
    found = {frozenset(n.split(".")[0] for n in m.weights) for m in moieties}
    assert any("trastuzumab" in names for names in found)
    # Two antibodies and two receptor pools; counts that stand still are conserved too.
    still = not any(r.kind == "growth" for r in binding_only.reactions)
    assert len(moieties) == 4 + 2 * still


def test_moieties_stay_along_a_solve(binding_only):
    solution = run(binding_only, [ADDITIONS], TIMES, options=VERY_TIGHT)
    p = binding_only.default_parameters()
    for moiety in conserved_moieties(binding_only):
        total = moiety.total(binding_only, solution.y[0], p)
        scale = np.abs(total).max()
        # Doses are given at 0, 20 and 40 h; the amount stays between them.
        for stage in (TIMES < 20, (TIMES >= 20) & (TIMES < 40), TIMES >= 40):
            assert np.ptp(total[stage]) <= 1e-9 * scale, str(moiety)


def test_what_is_added_is_found_again(binding_only):
    solution = run(binding_only, [ADDITIONS], TIMES, options=VERY_TIGHT)
    s = {x.name: solution.y[0, :, i] for i, x in enumerate(binding_only.species)}
    for drug, given in (("trastuzumab", 11.0), ("pertuzumab", 15.0)):
        bound = 0.0
        for name, receptors in (("high", 1e6), ("low", 2e5)):
            in_medium = receptors_in_medium(s[count(name)], receptors, 3e-5)
            bound = bound + in_medium * sum(v for k, v in s.items() if drug in k and k.endswith(name) and k != drug)
        np.testing.assert_allclose((s[drug] + bound)[-1], given, rtol=1e-9)


def test_in_a_growing_well_antibody_is_neither_made_nor_lost_and_receptors_keep_their_number():
    model = well("trastuzumab", "pertuzumab")
    changes = {"kint": 0.0, f"{CELLS}.k_apo": 0.0, "V": 2e-5, f"{CELLS}.seeded": 1e5, "Nmax": 1e7}
    changes |= {f"{CELLS}.doubling_time": 18.0}
    solution = run(model, [ADDITIONS], TIMES, changes, options=VERY_TIGHT)
    names = ["trastuzumab", f"occupancy.trastuzumab.{CELLS}", f"N.{CELLS}", f"HER2.surface.{CELLS}"]
    free, occupied, cells, on_surface = outputs(model, solution, names, changes)[0].T
    total = free + receptors_in_medium(cells, 1.2e6, 2e-5) * occupied * on_surface
    np.testing.assert_allclose(total, np.where(TIMES < 40, 8.0, 11.0), rtol=1e-9)
    np.testing.assert_allclose(on_surface, 1.0, rtol=1e-9)
    assert cells[-1] > 4 * cells[0]


def test_cells_that_die_take_their_antibody_along():
    model = well("trastuzumab")
    changes = {
        "kint": 0.0,
        f"{CELLS}.S_crit": 1e9,
        "n_crit": 4.0,
        f"{CELLS}.k_apo": 0.05,
        f"{CELLS}.doubling_time": 1e30,
    }
    changes |= {"V": 2e-5, f"{CELLS}.seeded": 1e6, "trastuzumab.KD": 1e-9}
    # With binding this tight all antibody is on the cells, and leaves as they do.
    solution = run(model, [[Add(0.0, "trastuzumab", 20.0), Wash(10.0, ())]], [0.0, 10.0, 30.0], changes)
    free, occupied, cells = outputs(
        model, solution, ["trastuzumab", f"occupancy.trastuzumab.{CELLS}", f"N.{CELLS}"], changes
    )[0].T
    bound = receptors_in_medium(cells, 1.2e6, 2e-5) * occupied
    assert free[1:] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert bound[2] / bound[1] == pytest.approx(np.exp(-0.05 * 20.0), rel=1e-6)
