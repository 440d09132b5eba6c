"""Which drug reaches which arm of the signal, by arithmetic on the states."""

import numpy as np
import pytest

from her2pkpd.dosing import Add
from her2pkpd.library import cell_line_names
from tests.systems.wells import CELLS, run, well

NAMES = [f"{x}.{CELLS}" for x in ("signal", "pAKT", "pERK")]
FREE, T, P, TP = (f"HER2{x}.{CELLS}" for x in ("", ":trastuzumab", ":pertuzumab", ":trastuzumab:pertuzumab"))
A_LI = 0.65


@pytest.fixture(scope="module")
def model():
    return well("trastuzumab", "pertuzumab", "lapatinib", ligands=("NRG1", "EGF"))


def signals(model, state, changes=(), names=NAMES):
    y = np.zeros(model.n_species)
    y[model.species_index[f"N.{CELLS}"]] = 1.0
    for name, value in state.items():
        y[model.species_index[name]] = value
    return model.outputs(
        names, y, model.parameter_vector({f"{CELLS}.a_li": A_LI, f"{CELLS}.a_egfr": 0.0, **dict(changes)})
    )


def test_an_untreated_cell_has_signal_one(model):
    np.testing.assert_allclose(signals(model, {FREE: 1.0}), 1.0, rtol=1e-14)
    np.testing.assert_allclose(signals(model, {FREE: 1.0}, {f"{CELLS}.a_egfr": 0.2}), 1.0, rtol=1e-14)


@pytest.mark.parametrize("line", cell_line_names()[::7])
def test_every_line_starts_from_one(line):
    own = well("trastuzumab", lines=(line,))
    y, p = own.initial(own.default_parameters()), own.default_parameters()
    np.testing.assert_allclose(own.outputs([f"{x}.{line}" for x in ("signal", "pAKT", "pERK")], y, p), 1.0, rtol=1e-12)


def test_trastuzumab_cuts_the_ligand_independent_heterodimer_and_nothing_else(model):
    signal, akt, erk = signals(model, {T: 1.0})
    assert signal == pytest.approx(1 - A_LI)
    # The heterodimer carries most of AKT, so AKT falls further than ERK.
    assert akt == pytest.approx(0.4 * (1 - A_LI) / (0.4 * (1 - A_LI) + 0.8 * A_LI))
    assert erk == pytest.approx(0.6 * (1 - A_LI) / (0.6 * (1 - A_LI) + 0.2 * A_LI))
    assert akt < signal < erk


def test_pertuzumab_without_ligand_leaves_the_signal_alone(model):
    np.testing.assert_allclose(signals(model, {P: 1.0}), 1.0, rtol=1e-14)


def test_neuregulin_drives_what_pertuzumab_blocks(model):
    saturating = {"NRG1": 1e12}
    free, by_t, by_p, by_both = (signals(model, {s: 1.0, **saturating}, {"a_ld": 0.9})[0] for s in (FREE, T, P, TP))
    assert free == pytest.approx(1 - A_LI + 2 * 0.9, rel=1e-9)
    assert by_t == pytest.approx(free, rel=1e-9)
    assert by_p == pytest.approx(1 - A_LI, rel=1e-9)
    assert by_both == pytest.approx(by_p, rel=1e-9)


def test_half_the_ligand_arm_at_its_constant(model):
    k = model.default_parameters()[model.parameter_index["K_NRG1"]]
    signal = signals(model, {FREE: 1.0, "NRG1": k}, {"a_ld": 0.9})[0]
    assert signal == pytest.approx(1 - A_LI + 0.5 * A_LI + 0.9, rel=1e-12)


def test_a_fully_inhibited_kinase_is_silent_on_its_arms(model):
    both = {f"{k}.kinase:lapatinib.{CELLS}": 1.0 for k in ("HER2", "EGFR")}
    np.testing.assert_allclose(signals(model, {FREE: 1.0, "NRG1": 5.0, "EGF": 5.0, **both}), 0.0, atol=1e-15)
    her2_only = {f"HER2.kinase:lapatinib.{CELLS}": 1.0}
    assert signals(model, {FREE: 1.0, **her2_only}, {f"{CELLS}.a_egfr": 0.3})[0] == pytest.approx(0.3)


def test_loss_of_receptors_lowers_homodimers_by_the_square(model):
    assert signals(model, {FREE: 0.5}, {f"{CELLS}.a_li": 0.0})[0] == pytest.approx(0.25)
    assert signals(model, {FREE: 0.5}, {f"{CELLS}.a_li": 1.0})[0] == pytest.approx(0.5)


def test_the_effect_of_an_antibody_vanishes_continuously_with_the_receptors(model):
    name = f"{CELLS}.HER2"
    at = lambda copies, state: signals(model, {state: 1.0}, {name: copies})[0]  # noqa: E731
    full = 1.0 - at(1e6, T)
    copies = np.array([0.0, 1e-9, 1e-3, 0.5, 3.0, 40.0, 1e4])
    # Of cells with so many receptors on average the share exp(-copies) has none.
    lost = np.array([1.0 - at(x, T) for x in copies])
    np.testing.assert_allclose(lost, full * -np.expm1(-copies), rtol=1e-6, atol=1e-15)
    assert lost[0] == 0.0
    assert lost[-1] == full


def test_a_line_without_receptors_grows_as_if_untreated():
    own = well("trastuzumab")
    lanes = [[], [Add(0.0, "trastuzumab", 100.0)]]
    counts = []
    for copies in (0.0, 1e-6, 1e4):
        found = run(own, lanes, [0.0, 72.0], {f"{CELLS}.HER2": copies}).y[:, -1, own.species_index[f"N.{CELLS}"]]
        counts.append(found[1] / found[0])
    assert counts[0] == pytest.approx(1.0, rel=1e-9)
    assert counts[1] == pytest.approx(1.0, abs=1e-5)
    assert counts[2] < 0.9
