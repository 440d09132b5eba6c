"""The assembled well: invariances no single mechanism has, and the behaviour published for these drugs."""

import numpy as np
import pytest

from her2pkpd.dosing import Add, Wash
from tests.systems.wells import CELLS, outputs, renamed, run, twin, well

TIMES = np.array([0.0, 1.0, 6.0, 24.0, 72.0])
AMPLIFIED = ("SK-BR-3", "BT-474")
READ = ("N", "HER2.surface", "signal", "pAKT", "pERK", "mu", "death")


def read_outs(line=CELLS):
    return [f"{x}.{line}" for x in READ]


@pytest.fixture(scope="module")
def five():
    """All five drugs on two lines in one medium."""
    drugs = ("trastuzumab", "pertuzumab", "lapatinib", "neratinib", "tucatinib")
    return well(*drugs, lines=AMPLIFIED, ligands=("NRG1",))


# --- invariances ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drug", "doses"), [("trastuzumab", (4.0, 6.0)), ("pertuzumab", (1.0, 20.0)), ("lapatinib", (60.0, 5e3)),
                        ("neratinib", (0.5, 40.0)), ("tucatinib", (10.0, 30.0))]
)  # fmt: skip
def test_one_drug_under_two_names_is_one_drug(drug, doses):
    # Dense cells, so that antibodies are depleted and compete for the last receptors.
    model = well(drug, twin(drug, "clone"))
    changes = {f"{CELLS}.seeded": 1e5, "V": 2e-5, "Nmax": 1e6}
    split = [Add(0.0, drug, doses[0]), Add(0.0, "clone", doses[1])]
    whole = [Add(0.0, drug, sum(doses))]
    found = outputs(model, run(model, [split, whole], TIMES, changes), read_outs(), changes)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8, atol=1e-12)


def test_a_sham_combination_adds_up_in_occupancy():
    model = well("trastuzumab", renamed("trastuzumab", "clone"))
    names = [f"occupancy.{d}.{CELLS}" for d in ("trastuzumab", "clone")]
    lanes = [[Add(0.0, "trastuzumab", 4.0), Add(0.0, "clone", 6.0)], [Add(0.0, "trastuzumab", 10.0)]]
    found = outputs(model, run(model, lanes, TIMES), names)
    np.testing.assert_allclose(found[0, :, 0] + found[0, :, 1], found[1, :, 0], rtol=1e-8)
    np.testing.assert_allclose(found[0, 1:, 0] / found[0, 1:, 1], 4.0 / 6.0, rtol=1e-8)


LANES = [
    [],
    [Add(0.0, "trastuzumab", 10.0)],
    [Add(0.0, "trastuzumab", 10.0), Add(12.0, "pertuzumab", 50.0), Wash(40.0, ("trastuzumab", "pertuzumab"))],
    [Add(0.0, "lapatinib", 1e3), Add(0.0, "NRG1", 1.0)],
    [Add(5.0, "neratinib", 3.0), Wash(30.0, ("neratinib",), 0.1), Add(50.0, "tucatinib", 1e5)],
]


def test_a_batch_is_its_lanes(five):
    together = run(five, LANES, TIMES)
    for i, lane in enumerate(LANES):
        alone = run(five, [lane], TIMES)
        np.testing.assert_allclose(together.y[i], alone.y[0], rtol=1e-9, atol=1e-12)


def test_the_order_of_lanes_does_not_matter(five):
    there, back = run(five, LANES, TIMES), run(five, LANES[::-1], TIMES)
    np.testing.assert_array_equal(there.y, back.y[::-1])


def test_a_line_seeded_with_no_neighbours_does_not_feel_them():
    # With room and medium in plenty, a co-culture is two cultures.
    pair = well("trastuzumab", "lapatinib", lines=AMPLIFIED)
    doses = [Add(0.0, "trastuzumab", 10.0), Add(0.0, "lapatinib", 50.0)]
    room = {"Nmax": 1e30, "V": 1e3}
    together = outputs(pair, run(pair, [doses], TIMES, room), [n for x in AMPLIFIED for n in read_outs(x)], room)[0]
    apart = []
    for line in AMPLIFIED:
        alone = well("trastuzumab", "lapatinib", lines=(line,))
        apart.append(outputs(alone, run(alone, [doses], TIMES, room), read_outs(line), room)[0])
    np.testing.assert_allclose(together, np.hstack(apart), rtol=1e-8, atol=1e-12)


def test_an_untreated_well_stays_at_its_steady_state(five):
    found = outputs(
        five, run(five, [[]], TIMES), [f"{x}.{y}" for x in ("signal", "pAKT", "HER2.surface") for y in AMPLIFIED]
    )
    np.testing.assert_allclose(found, 1.0, rtol=1e-9)


# --- published behaviour -------------------------------------------------------------------------------------


def growth_rate(cells, control):
    return 2 ** (np.log(cells[-1] / cells[0]) / np.log(control[-1] / control[0])) - 1


def gr50(model, line, drug):
    doses = np.geomspace(0.01, 1e5, 57)
    lanes = [[], *([Add(0.0, drug, d)] for d in doses)]
    cells = outputs(model, run(model, lanes, [0.0, 72.0]), [f"N.{line}"])[..., 0]
    gr = np.array([growth_rate(c, cells[0]) for c in cells[1:]])
    below = int(np.argmax(gr < 0.5))
    assert gr[0] > 0.9
    assert gr[below] < 0.5
    return float(doses[below])


@pytest.mark.parametrize("line", AMPLIFIED)
def test_rank_of_potency_in_amplified_lines(line):
    # Conlon 2021: neratinib > tucatinib > lapatinib.
    drugs = ("neratinib", "tucatinib", "lapatinib")
    model = well(*drugs, lines=(line,))
    found = [gr50(model, line, d) for d in drugs]
    assert found == sorted(found)
    assert found[0] < 0.3 * found[1]


def hours_until_recovered(model, drug, dose, level=0.8):
    """Time from wash-out until pAKT is back at `level` of the untreated cell."""
    after = np.linspace(0.0, 120.0, 1201)
    solution = run(model, [[Add(0.0, drug, dose), Wash(24.0, (drug,))]], [0.0, *(24.0 + after)])
    akt = outputs(model, solution, [f"pAKT.{CELLS}"])[0, 1:, 0]
    assert akt[0] < 0.3
    return float(after[np.argmax(akt > level)])


def test_neratinib_outlasts_its_wash_out_by_a_day_and_lapatinib_by_hours(five):
    # Wood 2004 (slow but reversible), Rabindran 2004 (covalent): recovery by release or by new receptor.
    model = well("lapatinib", "neratinib")
    assert hours_until_recovered(model, "lapatinib", 500.0) < 12
    assert hours_until_recovered(model, "neratinib", 50.0) > 24


def test_neuregulin_rescues_from_trastuzumab_and_pertuzumab_takes_the_rescue_away(five):
    # Lewis Phillips 2014.
    t, p, nrg1 = Add(0.0, "trastuzumab", 100.0), Add(0.0, "pertuzumab", 100.0), Add(0.0, "NRG1", 7.5)
    lanes = [[], [t], [nrg1], [nrg1, t], [nrg1, p], [nrg1, t, p]]
    found = outputs(five, run(five, lanes, [0.0, 72.0]), [f"signal.{CELLS}", f"N.{CELLS}"])[:, 1]
    untreated, by_t, driven, driven_t, driven_p, driven_tp = found[:, 0]
    assert by_t < 0.6 * untreated
    assert driven_t > 1.5 * by_t
    assert driven_p < 0.8 * driven
    assert driven_tp < driven_p
    assert driven_tp < 0.8 * driven_t
    cells = dict(zip(("none", "T", "NRG1", "NRG1+T", "NRG1+P", "NRG1+T+P"), found[:, 1], strict=True))
    assert cells["T"] < cells["NRG1+T"]
    assert cells["NRG1+T+P"] < min(cells["NRG1+T"], cells["NRG1+P"])


def test_trastuzumab_is_partial_and_needs_more_than_half_occupancy():
    # Heiser/LINCS: GRmax 0.4-0.6 in SK-BR-3, GEC50 1-10 nM, several times KD.
    model = well("trastuzumab")
    doses = np.geomspace(0.01, 1e3, 41)
    lanes = [[], *([Add(0.0, "trastuzumab", d)] for d in doses)]
    solution = run(model, lanes, [0.0, 72.0])
    cells = outputs(model, solution, [f"N.{CELLS}"])[..., 0]
    gr = np.array([growth_rate(c, cells[0]) for c in cells[1:]])
    assert 0.3 < gr[-1] < 0.7
    half = doses[np.argmax(gr < 0.5 * (1 + gr[-1]))]
    assert 0.5 < half < 10


def test_fewer_receptors_bind_less_antibody_in_all_but_the_same_share():
    # Occupancy at equilibrium does not depend on the receptor number; the amount bound does.
    changes = {"V": 1e3}
    model = well("trastuzumab", lines=("SK-BR-3", "MCF-7"))
    names = [f"occupancy.trastuzumab.{x}" for x in ("SK-BR-3", "MCF-7")]
    found = outputs(model, run(model, [[Add(0.0, "trastuzumab", 1.0)]], [0.0, 48.0], changes), names, changes)[0, 1]
    assert found[0] == pytest.approx(found[1], rel=0.02)
