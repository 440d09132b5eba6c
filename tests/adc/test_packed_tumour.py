"""Neighbours in a packed tumour: what decides whether a payload that exchanges slowly spares them."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_drug, load_parameters
from her2pkpd.mechanisms.disposition import central
from her2pkpd.systems.xenograft import xenograft_model

OPTIONS = Options(rtol=1e-7, atol=1e-10)
DAYS = 21.0
LYS = {k: load_drug("Lys-MCC-DM1").payload.constants[k].canonical for k in ("kin", "kout")}
EXCHANGE = {f"DXd.{k}": v for k, v in LYS.items()}


def neighbours(adc, changes):
    """Surviving HER2-negative cells of a half positive tumour over control, and the most payload they held, nM."""
    drug, table = load_drug(adc), load_parameters()
    payload = drug.conjugate.payload.name
    own = {"doubling_time": table["tumour.mouse.doubling_time"].canonical, "share": 0.5}
    own |= {f"{payload}.kmax": table[f"tumour.mouse.{payload}.kmax"].canonical}
    model = xenograft_model([drug], {"+": {**own, "HER2": 1e6}, "-": {**own, "HER2": 0.0}})
    p = np.array([model.parameter_vector(x) for x in changes])
    dose = Add(0.0, central(adc), 3.0 * 0.02 / drug.molar_mass.canonical * 1e6)
    n, times = len(changes), np.linspace(0.0, 24 * DAYS, 43)
    segments = compile_segments(model, [[dose]] * n + [[]] * n, start=0.0, stop=times[-1])
    found = solve(Batch(model, np.vstack([p, p]), segments, times), OPTIONS)
    assert found.ok.all()
    cells = sum(found.y[:, -1, model.species_index[f"N.-@{i}"]] for i in (1, 2))
    held = model.outputs([f"payload.{payload}.-@2"], found.y[:n], p[:, None, :])[..., 0].max(axis=1)
    return cells[:n] / cells[n:], held


@pytest.fixture(scope="module")
def deruxtecan():
    changes = {
        "as it is": {},
        "exchange of Lys-MCC-DM1": EXCHANGE,
        "and its kc50": {**EXCHANGE, "-.DXd.kc50": 200.0, "+.DXd.kc50": 200.0},
        "a tenth of its uptake": {**EXCHANGE, "DXd.kin": 0.1 * LYS["kin"]},
        "hardly any uptake": {**EXCHANGE, "DXd.kin": 0.01 * LYS["kin"]},
        "slower by a thousand": {"DXd.permeability": 1e-3},
        "slower by a million": {"DXd.permeability": 1e-6},
    }
    survival, held = neighbours("T-DXd", list(changes.values()))
    return dict(zip(changes, zip(survival, held, strict=True), strict=True))


def test_slow_exchange_alone_does_not_spare_the_neighbour(deruxtecan):
    """All payload leaves within weeks, and the fluid holds what production and wash-out make of it."""
    assert 5 / LYS["kout"] < 24 * DAYS
    assert deruxtecan["as it is"][0] < 0.05
    assert deruxtecan["slower by a thousand"][0] < 0.05
    assert deruxtecan["exchange of Lys-MCC-DM1"][0] < 0.05
    assert deruxtecan["slower by a million"][0] > 0.85


def test_little_uptake_or_little_potency_does(deruxtecan):
    survival = [deruxtecan[k][0] for k in ("exchange of Lys-MCC-DM1", "a tenth of its uptake", "hardly any uptake")]
    assert np.all(np.diff(survival) > 0)
    assert survival[-1] > 0.9
    assert deruxtecan["and its kc50"][0] > 0.95


def test_t_dm1_spares_neighbours_by_potency(deruxtecan):
    """Neighbours hold as much catabolite per payload given as with the slow DXd; it takes 200 nM to hurt them."""
    (survival,), (held,) = neighbours("T-DM1", [{}])
    assert survival > 0.95
    ratio = load_drug("T-DM1").conjugate.DAR.canonical / load_drug("T-DXd").conjugate.DAR.canonical
    assert 0.5 < held / deruxtecan["and its kc50"][1] / ratio < 2.0
    assert held > 0.5 * load_drug("DXd").payload.constants["kc50"].canonical
    (hurt,), _ = neighbours("T-DM1", [{"-.Lys-MCC-DM1.kc50": 9.5}])
    assert hurt < 0.6
