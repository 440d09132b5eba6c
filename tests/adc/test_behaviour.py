"""What ADCs are known to do: bystander kill and its switches, the binding-site barrier, and the best permeability."""

import numpy as np
import pytest

from her2pkpd.design import Setting, best, gradient, sweep
from her2pkpd.design.adc import variant
from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, Options, solve
from her2pkpd.errors import InputError
from her2pkpd.library import load_cell_line, load_drug
from her2pkpd.mechanisms.disposition import central
from her2pkpd.mechanisms.krogh import equal_shells, thiele_modulus, two_zones
from her2pkpd.systems.dar_plasma import dar_doses, dar_plasma_model
from her2pkpd.systems.well import cell_parameters, well_model
from her2pkpd.systems.xenograft import xenograft_model

OPTIONS = Options(rtol=1e-7, atol=1e-10)
PAIR = ("KPL-4", "MDA-MB-468")
PLATE = {"V": 2e-3, "Nmax": 4e6}


def survival(drug, share=0.25, changes=(), hours=(0.0, 120.0)):
    """Survival of positive and negative cells, (lanes, times, 2); `changes` is one mapping per lane."""
    changes = list(changes) or [{}]
    cells = {
        x: {**cell_parameters(load_cell_line(x)), "seeded": 4e5 * s}
        for x, s in zip(PAIR, (share, 1 - share), strict=True)
    }
    name = drug if isinstance(drug, str) else drug.name
    model = well_model([load_drug(drug) if isinstance(drug, str) else drug], cells)
    p = np.array([model.parameter_vector({**PLATE, **c}) for c in changes])
    n = len(changes)
    segments = compile_segments(model, [[]] * n + [[Add(0.0, name, 10.0)]] * n, start=0.0, stop=hours[-1])
    found = solve(Batch(model, np.vstack([p, p]), segments, np.array(hours)), OPTIONS)
    cells = found.y[..., [model.species_index[f"N.{x}"] for x in PAIR]]
    return cells[n:] / cells[:n]


def test_t_dxd_kills_the_neighbour_and_t_dm1_spares_it():
    # Ogitani 2016 Cancer Sci 107:1039: KPL-4 with MDA-MB-468.
    dxd, dm1 = survival("T-DXd")[0, -1], survival("T-DM1")[0, -1]
    assert dxd[0] < 0.15
    assert dxd[1] < 0.5
    assert dm1[0] < 0.5
    assert dm1[1] > 0.85


def test_bystander_kill_grows_with_positive_cells_lags_and_fades():
    # Singh 2016 AAPS J.
    shares = (0.1, 0.25, 0.5, 0.9)
    split = [{f"{x}.seeded": 4e5 * s for x, s in zip(PAIR, (a, 1 - a), strict=True)} for a in shares]
    hours = np.arange(0.0, 241.0, 6.0)
    found = survival("T-DXd", changes=split, hours=hours)
    at_120 = found[:, list(hours).index(120.0), 1]
    assert np.all(np.diff(at_120) < 0)
    positive, negative = found[1].T
    assert hours[np.argmax(negative < 0.9)] > max(12.0, hours[np.argmax(positive < 0.9)])
    rate = -np.gradient(np.log(negative), hours)
    assert rate[-1] < 0.7 * rate.max()


SWITCHES = {
    "as it is": {},
    "cleavage off": {"T-DXd.cleavage": 0.0},
    "permeability zero": {"DXd.permeability": 0.0},
    "charged": {"DXd.kin": 0.0216, "DXd.kout": 0.0151},
}


@pytest.fixture(scope="module")
def switched():
    return dict(zip(SWITCHES, survival("T-DXd", changes=SWITCHES.values())[:, -1], strict=True))


def test_each_switch_turns_the_bystander_off(switched):
    assert switched["as it is"][1] < 0.5
    for name in ("cleavage off", "permeability zero", "charged"):
        assert switched[name][1] > 0.85, name


def test_what_the_switches_leave(switched):
    # Without cleavage the antibody is left; what cannot leave kills its own cell all the better, as T-DM1 does.
    assert switched["cleavage off"][0] == pytest.approx(survival("trastuzumab")[0, -1, 0], rel=0.05)
    assert switched["permeability zero"][0] < switched["as it is"][0] + 0.02
    assert switched["charged"][0] < 0.15


def test_populations_meet_in_the_medium_alone():
    # In a sea of medium payload is diluted to nothing, and negative cells do not notice their neighbours.
    room = {"V": 10.0, "Nmax": 1e30}
    assert survival("T-DXd", changes=[room])[0, -1, 1] > 0.99 * survival("T-DXd", share=1e-6, changes=[room])[0, -1, 1]


@pytest.fixture(scope="module")
def shelled():
    """Antibody bound per cell in five shells, a day after a low, a high, and a carried low dose of T-DM1."""
    drugs = [load_drug("T-DM1"), load_drug("trastuzumab")]
    values = {"HER2": 1e6, "doubling_time": 233.0, "share": 1.0, "Lys-MCC-DM1.kmax": 0.0}
    model = xenograft_model(drugs, {"cells": values}, equal_shells(5, capillary=8e-4, cylinder=75e-4))
    nmol = 3.6 * 0.02 / drugs[0].molar_mass.canonical * 1e6
    dm1, naked = central("T-DM1"), central("trastuzumab")
    lanes = [
        [Add(0.0, dm1, 0.3 * nmol)],
        [Add(0.0, dm1, 10 * nmol)],
        [Add(0.0, dm1, 0.3 * nmol), Add(0.0, naked, 3 * nmol)],
    ]
    segments = compile_segments(model, lanes, start=0.0, stop=24.0)
    found = solve(Batch(model, model.default_parameters()[None], segments, np.array([0.0, 24.0])), OPTIONS)
    names = [f"HER2:T-DM1.cells@{i}" for i in range(1, 6)]
    return model.outputs(names, found.y[:, -1], model.default_parameters())


def test_perivascular_cells_take_it_all_until_the_dose_is_high(shelled):
    low, high, carried = shelled
    assert np.all(np.diff(low) < 0)
    assert low[0] > 10 * low[-1]
    assert high[-1] > 0.3 * high[0]
    # Carrier dose (Cilliers 2018): less on each perivascular cell, more on distal ones.
    assert carried[0] < low[0]
    assert carried[-1] > 2 * low[-1]


def test_thiele_modulus_falls_with_dose_and_rises_with_antigen():
    shells = two_zones(capillary=8e-4, cylinder=75e-4)
    at = {"kint": 0.09, "eps": 0.24, "D": 1e-7 * 3600, "KD": 0.314}
    phi = [thiele_modulus(shells, antigen=830.0, at_wall=a, **at) for a in (10.0, 100.0)]
    # 4.7 and 0.5 in the literature sheet's own estimate.
    assert phi == pytest.approx([4.7, 0.48], rel=0.05)
    assert thiele_modulus(shells, antigen=1660.0, at_wall=10.0, **at) == pytest.approx(2 * phi[0])


def test_permeability_has_an_optimum_in_a_mixed_tumour():
    # Khera 2018: too slow stays in its cell, too fast washes out; direct kill is the more efficient.
    found = sweep(load_drug("T-DXd"), {"permeability": [0.0, 1e-4, 1e-2, 1.0, 30.0]})
    assert best(found)["permeability"] == 1e-2
    assert found["tumour"].iloc[0] < 0.5
    assert np.all(found["positive"] > found["negative"])
    assert np.all(np.diff(found["positive"]) < 0)


def test_half_the_dar_at_equal_payload_is_the_same_kill_below_saturation():
    # The tumour takes in antibody in proportion to its dose, so payload is what counts; at equal antibody it is less.
    equal = sweep(load_drug("T-DXd"), {"DAR": [4.0, 8.0]}, Setting(equal_payload=True))["tumour"]
    same = sweep(load_drug("T-DXd"), {"DAR": [4.0, 8.0]})["tumour"]
    assert equal[0] == pytest.approx(equal[1], rel=0.01)
    assert same[0] < 0.8 * same[1]


def test_gradients_agree_with_differences():
    setting = Setting(options=Options(rtol=1e-9, atol=1e-12))
    found = gradient(load_drug("T-DXd"), ("DAR", "permeability"), setting)
    for knob, base in (("DAR", 7.0), ("permeability", 1.0)):
        step = 1e-3
        values = [base * (1 - step), base * (1 + step)]
        if knob == "DAR":
            values = [8.0 * (1 - 2 * step), 8.0]
        rows = sweep(load_drug("T-DXd"), {knob: values}, setting)
        slope = -np.log(10) * (rows["negative"][1] - rows["negative"][0]) / np.log(values[1] / values[0])
        assert found.loc[knob, "negative"] == pytest.approx(slope, rel=5e-3)


def test_a_charge_keeps_the_payload_at_home():
    charged = variant(load_drug("T-DXd"), "charged", load_drug("Lys-MCC-DM1"))
    assert charged.conjugate.payload.constants["kout"].canonical == pytest.approx(0.0151)
    with pytest.raises(InputError, match="is not a payload"):
        variant(load_drug("T-DXd"), "odd", load_drug("pertuzumab"))


@pytest.mark.parametrize(
    ("drug", "grid", "rule"),
    [("T-DXd", {"DAR": [9.0]}, "at most the number of sites"), ("T-DM1", {"cleavage": [1.0]}, "not cleavable"),
     ("T-DXd", {"colour": [1.0]}, "is not a knob"), ("T-DXd", {"kc50": [-1.0]}, "must not be negative"),
     ("trastuzumab", {"DAR": [1.0]}, "is not an ADC")],
)  # fmt: skip
def test_impossible_designs_are_refused(drug, grid, rule):
    with pytest.raises(InputError, match=rule):
        sweep(load_drug(drug), grid)


def test_mean_dar_of_the_lot_of_bender_2014():
    model = dar_plasma_model()
    p = model.default_parameters()
    days = np.array([0.0, 1, 3, 7, 14, 21])
    segments = compile_segments(model, [dar_doses(100.0)], start=0.0, stop=504.0)
    found = solve(Batch(model, p[None], segments, 24 * days), OPTIONS)
    dar, antibody = model.outputs(["mean DAR", "total antibody"], found.y[0], p).T
    np.testing.assert_allclose(dar, [3.07, 2.82, 2.53, 2.16, 1.65, 1.26], rtol=0.01)
    # How much payload it carries does not change how antibody is cleared.
    bare = compile_segments(model, [[Add(0.0, "central.T-DM1.DAR0", 100.0)]], start=0.0, stop=504.0)
    alone = solve(Batch(model, p[None], bare, 24 * days), OPTIONS)
    np.testing.assert_allclose(antibody, model.outputs(["total antibody"], alone.y[0], p)[:, 0], rtol=1e-6)
