"""Effector cells in a well with conjugates: exact rates, switches, the balance of payload, and what is published."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.systems.well import cell_parameters, well_model
from tests.adc.test_balance import amount

TIGHT = Options(rtol=1e-9, atol=1e-12)
STILL = {"kint": 0.0, "V": 1e6, "Nmax": 1e30}
QUIET = {"k_apo": 0.0, "doubling_time": 1e30, "kpino": 0.0}


def run(drugs, line, doses, hours, *, effectors=60.0, changes=None, quiet=False, ledger=False, explicit=False):
    """Model, parameters and states (times, species) of one well."""
    cells = {line: {**cell_parameters(load_cell_line(line)), "seeded": 5000.0}}
    model = well_model([load_drug(d) for d in drugs], cells, effectors=effectors, ledger=ledger, explicit_dar=explicit)
    wanted = dict(changes or {})
    if quiet:
        wanted |= STILL | {f"{line}.{k}": v for k, v in QUIET.items()}
        wanted |= {n: 0.0 for n in model.parameter_index if n.endswith((".kmax", ".deconjugation")) and "adcc" not in n}
    p = model.parameter_vector({k: v for k, v in wanted.items() if k in model.parameter_index})
    segments = compile_segments(model, [doses], start=0.0, stop=hours[-1])
    found = solve(Batch(model, p[None], segments, np.array(hours, dtype=float)), TIGHT)
    assert found.ok.all()
    return model, p, found.y[0]


def survival(drug, line, nM, hours=10.0, **options):
    model, _, y = run([drug], line, [Add(0.0, drug, nM)], [0.0, hours], **options)
    cells = y[:, model.species_index[f"N.{line}"]]
    return cells[1] / cells[0]


def test_cells_die_at_the_rate_their_bound_antibodies_say():
    """Binding at equilibrium in a pool nothing depletes: an exponential with a rate worked out here."""
    model, _, y = run(["T-DXd"], "SK-BR-3", [Add(0.0, "T-DXd", 0.05)], [0.0, 400.0, 404.0], quiet=True, effectors=0.5)
    table = load_parameters()
    KD, copies = load_drug("T-DXd").binding["KD"].canonical, load_cell_line("SK-BR-3").HER2.canonical
    bound = copies * 0.05 / (0.05 + KD)
    half = table["adcc.B50"].canonical * 1.5
    rate = table["adcc.kmax"].canonical * 0.5 / (0.5 + table["adcc.E50"].canonical) * bound / (half + bound)
    cells = y[1:, model.species_index["N.SK-BR-3"]]
    assert np.log(cells[0] / cells[1]) == pytest.approx(4 * rate, rel=1e-6)


@pytest.mark.parametrize("adc", ["T-DM1", "T-DXd"])
def test_a_conjugate_does_what_its_antibody_does(adc):
    naked = survival("trastuzumab", "SK-BR-3", 10.0, quiet=True)
    assert survival(adc, "SK-BR-3", 10.0, quiet=True) == pytest.approx(naked, rel=1e-6)
    assert naked < 0.6


def test_a_silent_fc_part_and_no_effectors_are_the_same():
    silent = survival("T-DXd", "SK-BR-3", 1.0, changes={"T-DXd.Fc": 0.0, "trastuzumab.Fc": 0.0})
    none = survival("T-DXd", "SK-BR-3", 1.0, effectors=0.0)
    without = survival("T-DXd", "SK-BR-3", 1.0, effectors=None)
    assert silent == pytest.approx(none, rel=1e-8)
    assert none == pytest.approx(without, rel=1e-7)
    assert survival("T-DXd", "SK-BR-3", 1.0) < 0.8 * without


def test_lysis_is_that_of_barok_2007_and_needs_the_antigen():
    # 50 to 60 % at 60:1, alike in sensitive and resistant cells; Collins 2012: none without HER2, some in MCF-7.
    lysed = {x: 1 - survival("trastuzumab", x, 68.0, quiet=True) for x in ("SK-BR-3", "JIMT-1", "MCF-7", "MDA-MB-468")}
    assert lysed["SK-BR-3"] == pytest.approx(0.55, abs=0.15)
    assert lysed["JIMT-1"] == pytest.approx(lysed["SK-BR-3"], abs=0.1)
    assert 0.2 < lysed["MCF-7"] < lysed["SK-BR-3"]
    assert lysed["MDA-MB-468"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(("adc", "explicit"), [("T-DXd", False), ("T-DM1", True)])
def test_effectors_neither_make_nor_lose_payload(adc, explicit):
    name = f"{adc}.DAR4" if explicit else adc
    hours = np.linspace(0.0, 96.0, 7)
    model, p, y = run([adc], "SK-BR-3", [Add(0.0, name, 5.0)], hours, ledger=True, explicit=explicit)
    held, debris = amount(model, y, p, adc), y[:, model.species_index["payload.debris"]]
    np.testing.assert_allclose(held + debris, held[0], rtol=1e-7)
    assert y[-1, model.species_index["N.SK-BR-3"]] < 0.2 * y[0, model.species_index["N.SK-BR-3"]]


def test_low_her2_is_killed_where_signalling_does_nothing():
    """ADCC needs few antibodies: a line without dependence on HER2 dies of it, and of nothing else."""
    alone = survival("trastuzumab", "MCF-7", 10.0, hours=24.0, effectors=None)
    assert survival("trastuzumab", "MCF-7", 10.0, hours=24.0, effectors=20.0) < 0.6 * alone
