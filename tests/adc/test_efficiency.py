"""Direct against bystander kill in shells, per payload molecule: both come from the same molecules."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_drug
from her2pkpd.mechanisms.disposition import central
from her2pkpd.mechanisms.krogh import equal_shells
from her2pkpd.systems.xenograft import xenograft_model

SHELLS = 4
HOURS = np.linspace(0.0, 504.0, 127)
PERMEABILITY = (1e-3, 1.0, 30.0)
DOSES = (0.1, 1.0)
"""mg/kg: below saturation of the kill, and above it."""
KINDS = ("positive", "negative")


@pytest.fixture(scope="module")
def found():
    """Cells damaged and payload held, integrated over time, per nmol of payload that came into positive cells.

    (doses, permeabilities, shells, kinds) each, for as many positive as negative cells of equal sensitivity.
    """
    both = {"doubling_time": 233.0, "share": 0.5}
    populations = {"positive": {**both, "HER2": 1e6}, "negative": {**both, "HER2": 0.0}}
    drug = load_drug("T-DXd")
    geometry = equal_shells(SHELLS, capillary=8e-4, cylinder=75e-4)
    model = xenograft_model([drug], populations, geometry)
    nmol = 0.02 / drug.molar_mass.canonical * 1e6
    p = np.array(
        [model.parameter_vector({"DXd.permeability": x, **{f"{k}.kpino": 0.0 for k in KINDS}}) for x in PERMEABILITY]
    )
    lanes = [[Add(0.0, central("T-DXd"), dose * nmol)] for dose in DOSES for _ in PERMEABILITY]
    p = np.tile(p, (len(DOSES), 1))
    segments = compile_segments(model, lanes, start=0.0, stop=float(HOURS[-1]))
    solution = solve(Batch(model, p, segments, HOURS), Options(rtol=1e-7, atol=1e-10))
    assert solution.ok.all()
    names = [f"{q}.{k}@{i}" for q in ("kill", "N", "payload.DXd") for i in range(1, SHELLS + 1) for k in KINDS]
    read = np.stack([model.outputs(names, y, row) for y, row in zip(solution.y, p, strict=True)])
    kill, cells, payload = np.moveaxis(read.reshape(len(p), len(HOURS), 3, SHELLS, 2), 2, 0)
    volume = p[0, model.parameter_index["Vc"]]
    came = p[0, model.parameter_index["kdeg"]] * _lysosomes(model, solution.y, p, cells, volume)
    damaged, held = (np.trapezoid(x, HOURS, axis=1) for x in (kill * cells, payload * cells * volume))
    shape = (len(DOSES), len(PERMEABILITY), SHELLS, len(KINDS))
    return tuple((x / came[:, None, None]).reshape(shape) for x in (damaged, held))


def _lysosomes(model, y, p, cells, volume):
    """Payload on conjugate in the lysosomes of positive cells over time, nmol h."""
    at = [model.species_index[f"lysosome.T-DXd.positive@{i}"] for i in range(1, SHELLS + 1)]
    return np.trapezoid((y[:, :, at] * cells[..., 0] * volume).sum(axis=2), HOURS, axis=1)


def test_below_saturation_direct_kill_is_the_more_efficient_in_every_shell(found):
    damaged, held = (x[0] for x in found)
    assert np.all(damaged[..., 0] > damaged[..., 1])
    assert np.all(held[..., 0] > held[..., 1])
    # Most where the conjugate is taken up.
    at_its_own = damaged[1, :, 0] / damaged[1, :, 1]
    assert np.all(np.diff(at_its_own) < 0)
    assert at_its_own[0] > 1.5


def test_the_advantage_of_direct_kill_ends_where_payload_is_shared_by_all(found):
    direct, bystander = np.moveaxis(found[0][0].sum(axis=1), -1, 0)
    ratio = direct / bystander
    assert np.all(np.diff(ratio) < 0)
    assert ratio[0] > 10.0
    assert 1.0 < ratio[-1] < 1.02


def test_above_saturation_what_stays_at_home_is_wasted_on_dying_cells(found):
    damaged = found[0].sum(axis=2)[:, 0, 0]
    assert damaged[1] < 0.3 * damaged[0]
