"""Synergy of the mechanism: the arms of dual blockade, and additivity where theory asks for it."""

import numpy as np
import pytest

from her2pkpd import load_cell_line, load_drug
from her2pkpd.synergy.draws import library_draws
from her2pkpd.synergy.mechanism import Arm, Combination, mechanistic_synergy

T, P = load_drug("trastuzumab"), load_drug("pertuzumab")
DOSES = np.array([[10.0, 10.0], [100.0, 100.0]])
PAIR = "antibody_pair.internalisation_ratio"


def combination(nrg1, **more):
    return Combination(load_cell_line("SK-BR-3"), (T, P), DOSES, {"NRG1": nrg1}, **more)


def test_with_ligand_the_two_antibodies_cover_both_arms():
    result = mechanistic_synergy(combination(7.5))
    arms = result.arms.set_index("arm")
    assert result.excess[0] > 0.01
    assert result.carried_by in ("ligand-driven HER2:HER3", "ligand-independent HER2:HER3")
    for name in ("ligand-driven HER2:HER3", "ligand-independent HER2:HER3"):
        assert abs(arms.loc[name, "excess_without"]) < 0.1 * result.excess[0]


def test_without_ligand_there_is_nothing_to_divide():
    result = mechanistic_synergy(combination(0.0))
    assert abs(result.excess[0]) < 1e-3
    assert result.carried_by == ""


def test_shares_sum_to_the_whole():
    none = mechanistic_synergy(combination(7.5), arms=[])
    result = mechanistic_synergy(combination(7.5))
    off = {n: v for a in ({"a_ld": 0.0}, {"cells.a_li": 0.0}) for n, v in a.items()}
    floor = mechanistic_synergy(combination(7.5), arms=[], draws={n: np.array([v]) for n, v in off.items()})
    assert none.excess[0] == pytest.approx(result.excess[0], abs=1e-6)
    assert result.arms["shapley"].sum() == pytest.approx(result.excess[0] - floor.excess[0], abs=2e-3)


def test_arms_of_the_signal_add_up():
    # The signal is a sum of arms: what each antibody takes from its own arm is taken from the sum, whatever the other
    # does, as long as pairs are not internalised faster than single antibodies and growth does not follow the signal
    # (w = 0): slower growth under both would dilute bound receptor less, a part in four thousand of the signal.
    alike = {
        n: np.array([1.0]) for n in (PAIR, "trastuzumab.internalisation_ratio", "pertuzumab.internalisation_ratio")
    } | {"cells.w": np.array([0.0])}
    case = combination(7.5, read_out="signal", time=24.0)
    table = mechanistic_synergy(case, arms=[], draws=alike).table
    single = [
        mechanistic_synergy(Combination(case.cell_line, (T, P), d, case.ligand, 24.0, "signal"), arms=[], draws=alike)
        .table["survival"]
        .to_numpy()
        for d in (DOSES * [1, 1e-9], DOSES * [1e-9, 1])
    ]
    assert np.allclose(1 - table["survival"], (1 - single[0]) + (1 - single[1]), atol=1e-5)


LIGAND_ARM, BASAL_ARM = "ligand-driven HER2:HER3", "ligand-independent HER2:HER3"


def test_over_the_library_s_spreads_both_arms_carry_the_synergy_with_ligand_only():
    draws = library_draws((T, P), 24)
    fed, starved = (mechanistic_synergy(combination(nrg1), draws=draws) for nrg1 in (7.5, 0.0))
    assert (fed.excess > 0).all()
    shares = {k: r.arms.set_index("arm")["shapley"] for k, r in (("fed", fed), ("starved", starved))}
    assert shares["fed"][LIGAND_ARM] > 0.01
    assert shares["fed"][BASAL_ARM] > 0.01
    assert shares["starved"][LIGAND_ARM] == 0.0
    assert abs(shares["starved"][BASAL_ARM]) < 1e-3
    assert fed.arms["largest"].sum() == pytest.approx(1.0)


def test_with_internalisation_held_the_two_arms_are_all_there_is():
    draws = {n: v for n, v in library_draws((T, P), 12).items() if not n.endswith("internalisation_ratio")}
    arms = [Arm(LIGAND_ARM, {"a_ld": 0.0}), Arm(BASAL_ARM, {"cells.a_li": 0.0})]
    result = mechanistic_synergy(combination(7.5), draws=draws, arms=arms)
    assert (result.excess > 0).all()
    assert (result.arms["excess_without"].abs() < 0.02).all()
    assert (mechanistic_synergy(combination(0.0), draws=draws, arms=[]).excess < 1e-3).all()


def test_a_kinase_inhibitor_and_an_antibody():
    case = Combination(load_cell_line("BT-474"), (T, load_drug("lapatinib")), np.array([[10.0, 50.0]]), {})
    arms = mechanistic_synergy(case).arms
    assert "kinase inhibition" in set(arms["arm"])
    assert np.isfinite(arms["shapley"]).all()
