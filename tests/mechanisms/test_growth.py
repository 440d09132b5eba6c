"""Growth and death against closed forms and the invariances of the GR value."""

import numpy as np
import pytest

from her2pkpd.dosing import Add
from her2pkpd.fit.readouts import growth_rate_inhibition
from tests.systems.wells import CELLS, outputs, run, twin, well

N = f"N.{CELLS}"
FREE = {f"{CELLS}.k_apo": 0.0, "Nmax": 1e30}
"""No death, room without end."""

NO_TARGET = {"lapatinib.HER2.Ki": 1e30, "lapatinib.EGFR.Ki": 1e30, f"{CELLS}.tolerance": 1.0}
"""An inhibitor left with nothing but its toxicity beside HER2."""

TIMES = np.array([0.0, 6.0, 24.0, 72.0, 144.0])


@pytest.fixture(scope="module")
def toxic():
    return well("lapatinib")


def test_untreated_cells_grow_exponentially_while_there_is_room(toxic):
    changes = {**FREE, f"{CELLS}.doubling_time": 31.0, f"{CELLS}.seeded": 700.0}
    found = outputs(toxic, run(toxic, [[]], TIMES, changes), [N], changes)[0, :, 0]
    np.testing.assert_allclose(found, 700.0 * 2 ** (TIMES / 31.0), rtol=1e-8)


def test_crowded_cells_grow_logistically(toxic):
    changes = {f"{CELLS}.k_apo": 0.0, "Nmax": 2e4, f"{CELLS}.doubling_time": 25.0, f"{CELLS}.seeded": 4000.0}
    found = outputs(toxic, run(toxic, [[]], TIMES, changes), [N], changes)[0, :, 0]
    np.testing.assert_allclose(found, 2e4 / (1 + (2e4 / 4e3 - 1) * 2 ** (-TIMES / 25.0)), rtol=1e-8)


def test_death_alone_is_exponential_decay(toxic):
    changes = {f"{CELLS}.k_apo": 0.02, f"{CELLS}.S_crit": 1e9, "n_crit": 4.0, f"{CELLS}.doubling_time": 1e30}
    found = outputs(toxic, run(toxic, [[]], TIMES, changes), [N], changes)[0, :, 0]
    np.testing.assert_allclose(found, 5000.0 * np.exp(-0.02 * TIMES), rtol=1e-8)


def test_constant_kill_gives_a_gr_value_that_does_not_depend_on_time(toxic):
    # N' = kappa N makes GR = 2^(kappa/kappa0) - 1 at any time (Hafner 2016).
    changes = {**FREE, **NO_TARGET, f"{CELLS}.doubling_time": 36.0}
    doses = (1e3, 1e4, 1e5)
    lanes = [[], *([Add(0.0, "lapatinib", c)] for c in doses)]
    cells = outputs(toxic, run(toxic, lanes, TIMES, changes), [N], changes)[..., 0]
    values = dict(zip(toxic.parameter_index, toxic.default_parameters(), strict=True))
    half, top, h = (values[f"lapatinib.{k}_off"] for k in ("IC50", "kmax", "h"))
    for lane, dose in enumerate(doses, start=1):
        gr, *_ = growth_rate_inhibition(cells[lane, 1:], cells[0, 1:], cells[0, 0])
        growth = np.log(2) / 36.0
        kill = top * dose**h / (half**h + dose**h)
        np.testing.assert_allclose(gr, 2 ** ((growth - kill) / growth) - 1, rtol=1e-7)


def test_the_gr_value_does_not_depend_on_the_division_rate_where_viability_does(toxic):
    # A drug that slows division by the same factor in a fast and a slow line: equal GR, unequal viability.
    doses = [[], [Add(0.0, "lapatinib", 200.0)]]
    gr, viability = [], []
    for doubling in (20.0, 60.0):
        changes = {**FREE, "kturn.HER2": 0.0, "kturn.EGFR": 0.0, "lapatinib.kmax_off": 0.0}
        changes |= {"lapatinib.HER2.koff": 1e4, "lapatinib.EGFR.koff": 1e4, f"{CELLS}.doubling_time": doubling}
        cells = outputs(toxic, run(toxic, doses, [0.0, 72.0], changes), [N], changes)[..., 0]
        gr.append(float(growth_rate_inhibition(cells[1, 1:], cells[0, 1:], cells[0, 0])[0][0]))
        viability.append(cells[1, 1] / cells[0, 1])
    assert 0.05 < gr[0] < 0.95
    assert gr[0] == pytest.approx(gr[1], rel=1e-4)
    assert abs(viability[0] - viability[1]) > 0.1


def test_lines_that_do_not_depend_on_the_signal_ignore_losing_it(toxic):
    changes = {**FREE, f"{CELLS}.w": 0.0, "lapatinib.kmax_off": 0.0}
    lanes = [[], [Add(0.0, "lapatinib", 1e6)]]
    cells = outputs(toxic, run(toxic, lanes, TIMES, changes), [N], changes)[..., 0]
    np.testing.assert_allclose(cells[1], cells[0], rtol=1e-9)


def test_one_poison_under_two_names_kills_like_one():
    model = well("lapatinib", twin("lapatinib", "clone"))
    lanes = [
        [Add(0.0, "lapatinib", 3e4)],
        [Add(0.0, "lapatinib", 1e4), Add(0.0, "clone", 2e4)],
    ]
    cells = outputs(model, run(model, lanes, TIMES), [N])[..., 0]
    np.testing.assert_allclose(cells[1], cells[0], rtol=1e-8)
