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


def test_over_the_library_s_spreads_the_excess_may_be_nothing():
    result = mechanistic_synergy(combination(7.5), draws=library_draws((T, P), 60), arms=[])
    low, high = np.quantile(result.excess, [0.025, 0.975])
    assert low < 0.0 < high


def test_with_internalisation_held_the_excess_holds_across_the_other_spreads():
    draws = {n: v for n, v in library_draws((T, P), 12).items() if not n.endswith("internalisation_ratio")}
    result = mechanistic_synergy(combination(7.5), draws=draws, arms=[Arm("ligand-driven HER2:HER3", {"a_ld": 0.0})])
    assert np.mean(result.excess > 0) > 0.9
    assert abs(result.arms["excess_without"].iloc[0]) < 0.02


def test_a_kinase_inhibitor_and_an_antibody():
    case = Combination(load_cell_line("BT-474"), (T, load_drug("lapatinib")), np.array([[10.0, 50.0]]), {})
    arms = mechanistic_synergy(case).arms
    assert "kinase inhibition" in set(arms["arm"])
    assert np.isfinite(arms["shapley"]).all()
