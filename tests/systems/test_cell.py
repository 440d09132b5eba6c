"""Sanity limits of the signalling network, over the whole prior of its parameters."""

import numpy as np
import pytest
from scipy.stats import qmc

from her2pkpd.dosing import Add, compile_segments
from her2pkpd.engine import Batch, solve
from her2pkpd.library import load_cell_line, load_drug, load_parameters
from her2pkpd.systems.cell import CellOptions, baseline, cell_model, network_parameters

LINE = "SK-BR-3"
DOWNSTREAM = {"MEKi": "MEK", "AKTi": "AKT:ATP", "allosteric": "AKT:allosteric", "PI3Ki": "PI3K", "rapamycin": "mTOR"}
HOURS = np.array([0.0, 1 / 6, 1.0, 24.0, 300.0])
MOST = 1e4
LAPATINIB = [0.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]


@pytest.fixture(scope="module")
def model():
    own = network_parameters(load_cell_line(LINE))
    options = CellOptions(growth=False, downstream=DOWNSTREAM)
    return cell_model(LINE, own, drugs=[load_drug("lapatinib")], ligands=("NRG1",), options=options)


@pytest.fixture(scope="module")
def draws(model):
    """The default and 63 draws that fill the whole of every prior range, log-uniform."""
    table, at = load_parameters(), model.parameter_index
    kinds = ("net.", "dimer.K", "kint.", "NRG1.")
    ranges = {
        k: q.spread for k, q in table.items() if k.startswith(kinds) and k in at and q.spread and q.spread.low > 0
    }
    low, high = np.log([(r.low, r.high) for r in ranges.values()]).T
    unit = qmc.Sobol(len(ranges), seed=1).random(64)[1:]
    p = np.tile(model.default_parameters(), (64, 1))
    p[1:, [at[k] for k in ranges]] = np.exp(low + unit * (high - low))
    return p


@pytest.fixture(scope="module")
def run(model, draws):
    def respond(treatments, names, changes=(), hours=HOURS):
        p = draws.copy()
        for name, value in dict(changes).items():
            p[:, model.parameter_index[name]] = value
        p, y = baseline(model, p, LINE)
        n, m = len(p), len(treatments)
        lanes = [[Add(0.0, s, x) for s, x in t.items() if x] for t in treatments] * n
        segments = compile_segments(model, lanes, start=0.0, stop=hours[-1])
        p, y = np.repeat(p, m, 0), np.repeat(y, m, 0)
        solution = solve(Batch(model, p, segments, hours, y))
        assert solution.ok.all()
        out = model.outputs([f"{x}.{LINE}" for x in names], solution.y, p[:, None])
        return out.reshape(n, m, len(hours), len(names))

    return respond


def test_an_untreated_cell_stays_as_it_is(run):
    found = run([{}], ("pAKT", "pERK", "signal", "HER3_mRNA"))
    np.testing.assert_allclose(found, 1.0, rtol=1e-4)


def test_lapatinib_is_monotone_and_nrg1_shifts_it_right_and_lifts_its_plateau(run):
    plain, driven = (
        run([{"lapatinib": d, **more} for d in LAPATINIB], ("signal", "pHER2", "survival"))
        for more in ({}, {"NRG1": 10.0})
    )
    assert (np.diff(plain[:, :, 3:], axis=1) <= 1e-6 * np.maximum(plain[:, :1, 3:], 1.0)).all()
    # Where the prior has NRG1 form no dimers worth speaking of, or lose them within minutes, it changes nothing or
    # takes receptors away: a few draws in a hundred. The library's values, the first, must hold all the time.
    plain, driven = plain[..., 0], driven[..., 0]
    for hour, most in ((2, 0.85), (3, 0.75)):
        for limit in (
            (driven[:, :, hour] >= plain[:, :, hour] - 1e-6).all(axis=1),
            driven[:, -1, hour] > plain[:, -1, hour],
            driven[:, 2, hour] / driven[:, 0, hour] > plain[:, 2, hour] / plain[:, 0, hour],
        ):
            assert limit[0]
            assert limit.mean() >= most


def test_a_mek_inhibitor_never_lowers_akt_activity_and_erk_falls_at_once(run):
    found = run([{"MEKi": MOST}], ("AKT_activity", "pERK", "pHER2"))[:, 0]
    assert (found[:, 3:, 0] >= found[:, :1, 0] * (1 - 1e-3)).all()
    assert (found[:, 1, 1] < 0.5).all()
    assert (found[:, -1, 2] >= found[:, 0, 2] * (1 - 1e-6)).all()


def test_erk_falls_within_ten_minutes_of_a_kinase_inhibitor(run):
    found = run([{"lapatinib": 3000.0}], ("pERK",))[:, 0, :, 0]
    assert (np.diff(found[:, :3], axis=1) < 0).all()
    assert found[0, 1] < 0.75


@pytest.mark.parametrize("drug", ["AKTi", "allosteric"])
def test_an_akt_inhibitor_never_lowers_her3_expression_and_always_lowers_akt_activity(run, drug):
    found = run([{}, {drug: 90.0}], ("HER3_mRNA", "AKT_activity"))
    assert (found[:, 1, -1, 0] >= 1 - 1e-6).all()
    assert (found[:, 1, 1:, 1] < found[:, 0, 1:, 1]).all()


def test_phospho_akt_and_akt_activity_are_two_things(run):
    found = run([{}, {"AKTi": 90.0}, {"allosteric": 90.0}], ("AKT", "AKT_activity"))[:, :, 2]
    assert (found[:, 1, 0] > found[:, 0, 0]).all()  # in the ATP pocket: phosphorylated and idle
    assert (found[:, 1, 1] < found[:, 0, 1]).all()
    assert (found[:, 2] < found[:, 0]).all()


def test_without_the_foxo_edge_there_is_no_her3_rebound(run):
    off = {"net.f_FOXO": 0.0}
    np.testing.assert_allclose(run([{"lapatinib": 3000.0}], ("HER3_mRNA",), off), 1.0, rtol=1e-9)
    rebound = run([{"lapatinib": 3000.0}], ("HER3_mRNA",))[:, 0, 3, 0]
    assert (rebound >= 1.0 - 1e-6).all()
    assert rebound[0] > 1.5


def test_without_the_t677_edge_a_mek_inhibitor_does_not_raise_her2_phosphorylation(run):
    off = {"net.K_T677": 1e9, "net.q_HER3": 0.0, "net.f_FOXO": 0.0}
    found = run([{"MEKi": MOST}], ("pHER2",), off)[:, 0, :, 0]
    np.testing.assert_allclose(found / found[:, :1], 1.0, rtol=1e-6)
    on = run([{"MEKi": MOST}], ("pHER2",))[:, 0, :, 0]
    assert (on[:, 2] > on[:, 0]).all()
    assert on[0, 2] > 1.2 * on[0, 0]
    # The fall of ERK itself does not need the edge.
    assert (run([{"MEKi": MOST}], ("pERK",), off)[:, 0, 1] < 0.5).all()


def test_pten_loss_raises_basal_akt_far_more_than_erk(run):
    kept, lost = (run([{}], ("AKT", "ERK"), {f"{LINE}.PTEN": x})[:, 0, 0] for x in (1.0, 0.1))
    rise = lost / kept
    assert (rise[:, 0] > 1).all()
    assert rise[0, 0] > 1.3
    assert (rise[:, 0] - 1 > 3 * np.abs(rise[:, 1] - 1)).all()


def test_mutant_pik3ca_raises_akt_through_irs1_and_holds_it_under_lapatinib(run):
    mutant = {f"{LINE}.PIK3CA": 1.0}
    wild, mutated, idle = (
        run([{"lapatinib": 1000.0}], ("AKT",), x)[:, 0, :, 0] for x in ({}, mutant, {**mutant, "net.f_PIK3CA": 0.0})
    )
    np.testing.assert_allclose(idle, wild, rtol=1e-9)
    assert (mutated[:, 0] >= wild[:, 0] * (1 - 1e-6)).all()
    assert mutated[0, 3] / mutated[0, 0] > wild[0, 3] / wild[0, 0] + 0.1


def test_rapamycin_releases_irs1(run):
    found = run([{"rapamycin": MOST}], ("IRS1", "pAKT"))[:, 0]
    assert (found[:, 3] >= found[:, 0] - 1e-6).all()


def test_dead_kinases_leave_no_receptor_signal(run):
    found = run([{"lapatinib": 1e9, "NRG1": 10.0}], ("pHER2", "pHER3", "pEGFR"))[:, 0, -1]
    assert (found < 1e-3).all()


def test_amplification_and_super_enhancer_make_the_same_receptor_and_other_neighbours():
    own = {"HER2": 2.5e4, "doubling_time": 48.0}
    model = cell_model("cell", own, options=CellOptions(growth=False, expression=True))
    cases = [{}, {"cell.gene_copies": 80.0}, {"cell.k_tx": 40.0}]
    p, y = baseline(model, np.array([model.parameter_vector(c) for c in cases]), "cell")
    names = ["HER2.membrane.cell", "mRNA.ERBB2.cell", "mRNA.GRB7.cell", "mRNA.STARD3.cell"]
    normal, amplified, enhanced = model.outputs(names, y, p) / model.outputs(names, y, p)[0]
    np.testing.assert_allclose(amplified, 40.0, rtol=1e-5)
    np.testing.assert_allclose(enhanced, [40.0, 40.0, 1.0, 1.0], rtol=1e-5)
    assert normal[0] == 1.0


def test_effectors_kill_by_antibody_bound_and_by_their_receptor():
    model = cell_model(
        "cell", {"HER2": 2e4, "doubling_time": 48.0}, drugs=[load_drug("trastuzumab")],
        options=CellOptions(effectors=True),
    )  # fmt: skip
    cases = [{"effectors": 0.0}, {"effectors": 20.0}, {"effectors": 60.0}, {"effectors": 60.0, "adcc.F158": 0.0},
             {"effectors": 60.0, "adcc.F158": 1.0}, {"effectors": 60.0, "cell.HER2": 0.0}]  # fmt: skip
    p, y = baseline(model, np.array([model.parameter_vector(c) for c in cases]), "cell")
    lanes = [[Add(0.0, "trastuzumab", 10.0)]] * len(cases)
    segments = compile_segments(model, lanes, start=0.0, stop=10.0)
    cells = solve(Batch(model, p, segments, np.array([10.0]), y)).y[:, 0, model.species_index["N.cell"]]
    none, few, many, v, f, bare = cells
    assert none > few > many
    assert v < many < f
    assert bare == pytest.approx(none, rel=0.02)
