"""Payload is neither made nor lost, in every configuration; antibody is conserved down the chain of payload numbers."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.mechanisms.disposition import central, peripheral
from her2pkpd.mechanisms.krogh import equal_shells, fluid, place
from her2pkpd.systems.adc_patient import NEGATIVE, POSITIVE, adc_doses, adc_patient_model, two_populations
from her2pkpd.systems.conjugates import conjugate_doses, cytotoxics
from her2pkpd.systems.well import cell_parameters, well_model
from her2pkpd.systems.xenograft import xenograft_model

TIGHT = Options(rtol=1e-11, atol=1e-13)
LINES = ("SK-BR-3", "MDA-MB-468")
TIMES = np.linspace(0.0, 120.0, 9)


def carried(name, drug, DAR):
    """Payloads on one of what a species counts."""
    molecule, adc = load_drug(drug).conjugate, f"{drug}.DAR"
    body = name.split(":")[1] if name.startswith("HER2:") else name
    for n in range(molecule.sites, 0, -1):
        if body.startswith(f"{adc}{n}"):
            return float(n)
    if body.startswith((f"{drug}.", f"{drug}@")) or body == drug:
        return DAR
    start = (molecule.payload.name, "lysosome.", "linker_payload.", "cytosol.", "target.")
    return 1.0 if name.startswith(start) else 0.0


def amount(model, y, p, drug):
    """All payload a state holds, nmol; `y` (times, species)."""
    total = 0.0
    for i, species in enumerate(model.species):
        weight = carried(species.name, drug, p[model.parameter_index[f"{drug}.DAR"]])
        if species.compartment and weight:
            volume = model.compartment_table[species.compartment].volume
            for_time = [volume(*model.scopes(list(row), list(p))) for row in y]
            total = total + weight * y[:, i] * np.array([float(v) for v in for_time])
    return total


def well_run(drug, explicit, changes, *, ratio=(4000.0, 4000.0)):
    cells = {x: {**cell_parameters(load_cell_line(x)), "seeded": n} for x, n in zip(LINES, ratio, strict=True)}
    model = well_model([load_drug(drug)], cells, explicit_dar=explicit, ledger=True)
    doses = conjugate_doses(load_drug(drug), 0.0, 20.0) if explicit else [Add(0.0, drug, 20.0)]
    p = model.parameter_vector({k: v for k, v in changes.items() if k in model.parameter_index})
    segments = compile_segments(model, [doses], start=0.0, stop=TIMES[-1])
    solution = solve(Batch(model, p[None], segments, TIMES), TIGHT)
    assert solution.ok.all()
    return model, p, solution.y[0]


QUIET = {f"{x}.{k}": v for x in LINES for k, v in (("k_apo", 0.0), ("doubling_time", 1e30))}
NO_KILL = {f"{x}.{y}.kmax": 0.0 for x in LINES for y in ("DXd", "Lys-MCC-DM1", "MMAE", "DUBA")}
SETTINGS = {"still": QUIET | NO_KILL, "growing": NO_KILL | {f"{x}.k_apo": 0.0 for x in LINES}, "dying": {}}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("drug", "explicit"), [("T-DM1", False), ("T-DM1", True), ("T-DXd", False), ("T-vc-MMAE", True), ("SYD985", False)]
)
def test_payload_of_a_co_culture_is_balanced(drug, explicit, setting):
    model, p, y = well_run(drug, explicit, SETTINGS[setting])
    held, debris = amount(model, y, p, drug), y[:, model.species_index["payload.debris"]]
    np.testing.assert_allclose(held + debris, held[0], rtol=1e-8)
    assert held[0] > 0
    if setting != "dying" or not load_drug(drug).conjugate.linker.cleavable:
        np.testing.assert_allclose(debris, 0.0, atol=1e-12 * held[0])


def test_debris_takes_what_is_not_released():
    model, p, y = well_run("T-DM1", False, {"Lys-MCC-DM1.release_at_death": 0.0})
    held, debris = amount(model, y, p, "T-DM1"), y[:, model.species_index["payload.debris"]]
    np.testing.assert_allclose(held + debris, held[0], rtol=1e-8)
    assert debris[-1] > 1e-3 * held[0]


def test_the_chain_conserves_antibody():
    model, _, y = well_run(
        "T-DM1", True, SETTINGS["still"] | {"kint": 0.0, "SK-BR-3.kpino": 0.0, "MDA-MB-468.kpino": 0.0}
    )
    s = model.species_index
    free = y[:, [s["trastuzumab"], *(s[f"T-DM1.DAR{n}"] for n in range(1, 9))]].sum(axis=1)
    surface = 4000.0 * 1.2e6 / 6.02214076e23 * 1e9 / 1e-4
    bound = sum(y[:, i] for n, i in s.items() if n.startswith("HER2:") and n.endswith("SK-BR-3"))
    np.testing.assert_allclose(free + surface * bound, 20.0, rtol=1e-9)


def test_chain_and_mean_dar_agree_on_payload_and_kill_and_differ_in_naked_antibody():
    chain, p, y = well_run("T-DM1", True, {})
    mean, q, z = well_run("T-DM1", False, {})
    # The lumped conjugate holds no naked antibody at the start; the binomial lot holds 1 %.
    for name in (
        "N.SK-BR-3",
        "N.MDA-MB-468",
        "Lys-MCC-DM1",
        "payload.Lys-MCC-DM1.SK-BR-3",
        "payload.Lys-MCC-DM1.MDA-MB-468",
    ):
        a, b = (m.outputs([name], x, v)[:, 0] for m, x, v in ((chain, y, p), (mean, z, q)))
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-14)
    naked = [x[-1, m.species_index["trastuzumab"]] for m, x in ((chain, y), (mean, z))]
    assert naked[0] < 0.5 * naked[1]


def test_a_mouse_with_a_tumour_is_balanced():
    adc = load_drug("T-DXd")
    populations = {
        "pos": {"HER2": 1e6, "doubling_time": 233.0, "share": 0.6},
        "neg": {"HER2": 0.0, "doubling_time": 200.0, "share": 0.4},
    }
    model = xenograft_model([adc], populations, ledger=True)
    p = model.default_parameters()
    given = 4.0 * 0.02 / adc.molar_mass.canonical * 1e6
    times = np.linspace(0.0, 504.0, 8)
    segments = compile_segments(model, [[Add(0.0, central("T-DXd"), given)]], start=0.0, stop=504.0)
    solution = solve(Batch(model, p[None], segments, times), TIGHT)
    y, s = solution.y[0], model.species_index
    held = amount(model, y, p, "T-DXd")
    held = held + 8.0 * (y[:, s[central("T-DXd")]] + y[:, s[peripheral("T-DXd")]]) + y[:, s[central("DXd")]]
    held = held + sum(y[:, s[x]] for x in ("payload.drained", "payload.debris", "payload.eliminated"))
    np.testing.assert_allclose(held, 8.0 * given, rtol=1e-8)
    volume = model.outputs(["tumour.volume"], y, p)[:, 0]
    assert volume[-1] < volume[0]


@pytest.mark.parametrize("number", [0, 4])
def test_a_patient_s_tumour_is_balanced_by_what_crosses_its_walls(number):
    geometry = equal_shells(number, capillary=8e-4, cylinder=75e-4) if number else None
    model = adc_patient_model(geometry=geometry, ledger=True)
    p = model.default_parameters()
    times = np.linspace(0.0, 504.0, 6)
    segments = compile_segments(model, [adc_doses(cycles=1)], start=0.0, stop=504.0)
    y = solve(Batch(model, p[None], segments, times), TIGHT).y[0]
    held = amount(model, y, p, "T-DXd")
    out = sum(y[:, model.species_index[f"payload.{x}"]] for x in ("washed_out", "drained", "debris"))
    gross = np.abs(held).max() + y[:, model.species_index["payload.drained"]].max()
    assert np.abs(held + out).max() < 1e-8 * gross
    assert {POSITIVE, NEGATIVE} == set(two_populations())
    assert fluid("protein", 1).endswith(place(1))
    assert cytotoxics([load_drug("T-DXd")]).conjugates == ["T-DXd"]
