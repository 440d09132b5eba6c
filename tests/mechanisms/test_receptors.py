"""Synthesis and internalisation of surface HER2."""

import numpy as np

from her2pkpd.dosing import Add
from her2pkpd.mechanisms.receptors import ReceptorState, receptor_states
from tests.systems.wells import CELLS, ONE_CELL_IN_A_POOL, STILL, outputs, run, well

SURFACE = f"HER2.surface.{CELLS}"
KINT = 0.09


def test_states_are_all_combinations_with_the_free_receptor_first():
    states = receptor_states(["t", "c"], ["p"])
    assert states[0] == ReceptorState()
    assert len(states) == len(set(states)) == 3 * 2
    assert states[-1].species("X") == "HER2:c:p.X"


def test_untreated_cells_keep_their_receptors_whatever_their_division():
    model = well("trastuzumab")
    for doubling in (10.0, 80.0, 1e30):
        changes = {f"{CELLS}.doubling_time": doubling}
        found = outputs(model, run(model, [[]], [0.0, 30.0, 100.0], changes), [SURFACE], changes)
        np.testing.assert_allclose(found, 1.0, rtol=1e-9)


def test_pairs_of_antibodies_drive_receptors_inside_at_their_own_rate():
    model = well("trastuzumab", "pertuzumab")
    changes = {**STILL, **ONE_CELL_IN_A_POOL, "antibody_pair.internalisation_ratio": 4.0}
    doses = [[Add(0.0, d, 1e4) for d in drugs] for drugs in (("trastuzumab",), ("trastuzumab", "pertuzumab"))]
    found = outputs(model, run(model, doses, [0.0, 500.0], changes), [SURFACE], changes)[:, 1, 0]
    # All receptors are paired: made at kint, lost at 4 kint.
    np.testing.assert_allclose(found, [1.0, 0.25], rtol=1e-3)


def test_an_antibody_that_speeds_internalisation_lowers_its_receptor():
    model = well("trastuzumab")
    changes = {**STILL, **ONE_CELL_IN_A_POOL, "trastuzumab.internalisation_ratio": 3.0}
    times = np.array([0.0, 2.0, 10.0, 300.0])
    found = outputs(model, run(model, [[Add(0.0, "trastuzumab", 1e6)]], times, changes), [SURFACE], changes)[0, :, 0]
    # All bound at once: dR/dt = kint - 3*kint*R from R = 1.
    np.testing.assert_allclose(found, 1 / 3 + 2 / 3 * np.exp(-3 * KINT * times), rtol=1e-3)


def test_published_half_life_of_net_internalisation():
    # Maass 2016: 6 to 14 h, measured without synthesis.
    model = well("trastuzumab")
    kint = model.default_parameters()[model.parameter_index["kint"]]
    assert 6 <= np.log(2) / kint <= 14
