"""Binding against closed forms: simple, tight, competing, cooperative."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash
from tests.systems.wells import (
    CELLS,
    NO_TRAFFIC,
    ONE_CELL_IN_A_POOL,
    STILL,
    outputs,
    receptors_in_medium,
    renamed,
    run,
    well,
)

KON, KD = 0.36, 0.314
BINDING_ONLY = {**STILL, **NO_TRAFFIC}
DOSES = (1e-3, 0.05, KD, 3.0, 200.0)
TIMES = np.array([0.0, 0.1, 0.5, 2.0, 8.0, 24.0, 400.0])
T, P = f"occupancy.trastuzumab.{CELLS}", f"occupancy.pertuzumab.{CELLS}"
BOTH = f"HER2:trastuzumab:pertuzumab.{CELLS}"


@pytest.fixture(scope="module")
def single():
    return well("trastuzumab")


@pytest.fixture(scope="module")
def pair():
    return well("trastuzumab", "pertuzumab")


def test_binding_without_depletion_follows_the_closed_form(single):
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL}
    found = outputs(single, run(single, [[Add(0.0, "trastuzumab", c)] for c in DOSES], TIMES, changes), [T], changes)
    dose = np.array(DOSES)[:, None]
    rate = KON * (dose + KD)
    np.testing.assert_allclose(found[..., 0], dose / (dose + KD) * (1 - np.exp(-rate * TIMES)), rtol=1e-7, atol=1e-12)


def test_wash_out_leaves_at_the_off_rate(single):
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL}
    times = np.array([50.0, 51.0, 55.0, 60.0])
    found = run(single, [[Add(0.0, "trastuzumab", 10.0), Wash(50.0, ("trastuzumab",))]], [0.0, *times], changes)
    occupied = outputs(single, found, [T], changes)[0, 1:, 0]
    np.testing.assert_allclose(occupied, occupied[0] * np.exp(-KON * KD * (times - 50.0)), rtol=1e-7)


def test_internalisation_and_synthesis_keep_the_receptor_number_and_lower_the_occupancy(single):
    # With the untreated level restored and all states internalised alike, bound receptor leaves at koff + kint.
    changes = {**STILL, **ONE_CELL_IN_A_POOL}
    solution = run(single, [[Add(0.0, "trastuzumab", c)] for c in DOSES], TIMES, changes)
    found = outputs(single, solution, [T, f"HER2.surface.{CELLS}"], changes)
    dose, kint = np.array(DOSES)[:, None], 0.09
    rate = KON * (dose + KD) + kint
    np.testing.assert_allclose(found[..., 0], KON * dose / rate * (1 - np.exp(-rate * TIMES)), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found[..., 1], 1.0, rtol=1e-9)


def morrison(total, receptors, kd):
    """Complex of tight binding, the smaller root of the quadratic in its stable form."""
    b = total + receptors + kd
    return 2 * total * receptors / (b + np.sqrt(b * b - 4 * total * receptors))


@pytest.mark.parametrize(("cells", "volume"), [(5e3, 1e-4), (1e6, 2e-5)])
def test_depletion_follows_the_quadratic_solution(single, cells, volume):
    changes = {**BINDING_ONLY, "V": volume, f"{CELLS}.seeded": cells}
    doses = np.array([0.01, 0.3, 1.0, 30.0, 100.0, 1000.0])
    solution = run(single, [[Add(0.0, "trastuzumab", c)] for c in doses], [0.0, 20000.0], changes)
    occupied, free = outputs(single, solution, [T, "trastuzumab"], changes)[:, 1].T
    receptors = receptors_in_medium(cells, 1.2e6, volume)
    complex_ = morrison(doses, receptors, KD)
    np.testing.assert_allclose(occupied, complex_ / receptors, rtol=1e-8)
    np.testing.assert_allclose(free, doses - complex_, rtol=1e-6)


def test_the_quadratic_differs_from_the_simple_form_where_it_is_tested():
    receptors = receptors_in_medium(1e6, 1.2e6, 2e-5)
    assert receptors > 90
    assert abs(morrison(1.0, receptors, KD) / receptors - 1.0 / (1.0 + KD)) > 0.5


@pytest.mark.parametrize("omega", [0.1, 1.0, 20.0])
def test_two_antibodies_reach_the_equilibrium_of_the_binding_polynomial(pair, omega):
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL, "omega": omega}
    t, p = 0.5, 3.0
    # From both sides: antibodies in either order, one after the other is bound.
    lanes = [
        [Add(0.0, "trastuzumab", t), Add(0.0, "pertuzumab", p)],
        [Add(0.0, "trastuzumab", t), Add(500.0, "pertuzumab", p)],
        [Add(0.0, "pertuzumab", p), Add(500.0, "trastuzumab", t)],
    ]
    found = outputs(pair, run(pair, lanes, [0.0, 5000.0], changes), [T, P, BOTH], changes)[:, 1]
    kd_p = float(pair.parameter_vector({})[pair.parameter_index["pertuzumab.KD"]])
    a, b = t / KD, p / kd_p
    total = 1 + a + b + omega * a * b
    expected = np.array([a + omega * a * b, b + omega * a * b, omega * a * b]) / total
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), rtol=1e-7)


def test_no_current_flows_around_the_binding_cycle(pair):
    # Detailed balance: at equilibrium every binding reaction stands still, not only their sum.
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL, "omega": 7.0}
    doses = [Add(0.0, "trastuzumab", 0.5), Add(0.0, "pertuzumab", 3.0)]
    y = run(pair, [doses], [0.0, 5000.0], changes).y[0, -1]
    rates = np.array([float(r) for r in pair.rate_scalars(list(y), list(pair.parameter_vector(changes)))])
    names = [r.name for r in pair.reactions]
    binding = [i for i, n in enumerate(names) if " binds " in n]
    assert len(binding) == 4
    assert np.abs(rates[binding]).max() < 1e-9


def test_with_omega_one_the_epitopes_are_independent_at_every_moment(pair):
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL}
    alone = [[Add(0.0, "trastuzumab", 2.0)], [Add(0.0, "pertuzumab", 1.0)]]
    solution = run(pair, [[*alone[0], *alone[1]], *alone], TIMES, changes)
    found = outputs(pair, solution, [T, P, BOTH], changes)
    np.testing.assert_allclose(found[0, :, 2], found[0, :, 0] * found[0, :, 1], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found[0, :, 0], found[1, :, 0], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found[0, :, 1], found[2, :, 1], rtol=1e-7, atol=1e-12)


def test_binders_of_domain_iv_compete_and_pertuzumab_stands_aside():
    rival = renamed("trastuzumab", "rival", KD=2.0, kon=0.1)
    model = well("trastuzumab", rival, "pertuzumab")
    changes = {**BINDING_ONLY, **ONE_CELL_IN_A_POOL}
    pertuzumab = [Add(0.0, "pertuzumab", 5.0)]
    both = [Add(0.0, "trastuzumab", 0.4), Add(0.0, "rival", 6.0)]
    names = [T, f"occupancy.rival.{CELLS}", P]
    found = outputs(model, run(model, [[*both, *pertuzumab], both, pertuzumab], [0.0, 5000.0], changes), names, changes)
    a, b = 0.4 / KD, 6.0 / 2.0
    np.testing.assert_allclose(found[0, 1, :2], np.array([a, b]) / (1 + a + b), rtol=1e-7)
    np.testing.assert_allclose(found[1, 1, :2], found[0, 1, :2], rtol=1e-7)
    np.testing.assert_allclose(found[0, 1, 2], found[2, 1, 2], rtol=1e-9)
    assert not any("trastuzumab:rival" in s.name for s in model.species)


def test_a_line_without_receptors_binds_nothing_and_stays_defined():
    model = well("trastuzumab", HER2=0.0)
    solution = run(model, [[Add(0.0, "trastuzumab", 100.0)]], TIMES)
    found = outputs(model, solution, ["trastuzumab", T, f"HER2.surface.{CELLS}"])[0]
    np.testing.assert_allclose(found[:, 0], 100.0, rtol=1e-14)
    assert np.isfinite(found).all()
