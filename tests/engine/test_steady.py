import numpy as np
import pytest

from her2pkpd.engine import Batch, Directions, Options, Segments, Status, solve
from her2pkpd.engine.steady import periodic, untreated
from her2pkpd.errors import InputError
from her2pkpd.model import Builder
from tests.engine.systems.hard import HARD
from tests.engine.systems.linear import LINEAR, ONE
from tests.engine.systems.nonlinear import NONLINEAR
from tests.engine.systems.runs import lane
from tests.engine.test_systems import disposition

TAU = 12.0
ONE_MODEL = LINEAR["one compartment"].model
BOLUS = Segments([[0.0, TAU]], (0,), jump=[[[10.0]]])


def complex_step(function, x):
    """Exact derivative of an analytic function at x, by each entry of x."""
    steps = 1e-30j * np.eye(len(x))
    return np.stack([np.imag(function(np.asarray(x) + s)) / 1e-30 for s in steps], axis=-1)


def bolus_trough(p):
    cl, v = p
    decay = np.exp(-cl / v * TAU)
    return np.array([10.0 * decay / (1 - decay)])


@pytest.mark.parametrize("clearance", [0.5, 20.0, 1e-5])
def test_repeated_bolus(clearance):
    """However slow the elimination: at a clearance of 1e-5 the state is reached after a million doses."""
    p = np.array([clearance, 3.0])
    found = periodic(ONE_MODEL, p, BOLUS, directions=Directions((0, 1)))
    assert found.ok.all()
    np.testing.assert_allclose(found.y[0], bolus_trough(p), rtol=1e-9)
    assert found.dy is not None
    np.testing.assert_allclose(
        found.dy[0], complex_step(bolus_trough, p), rtol=2e-4 if clearance < 0.1 else 1e-6, atol=1e-15
    )


def test_repeated_infusion_with_derivatives_by_dosing():
    length, rate = 2.0, 7.0
    p = np.array(list(ONE.values()))

    def trough(x):
        k, rate, length, tau = p[0] / p[1], *x
        return np.array([rate / k * (1 - np.exp(-k * length)) * np.exp(-k * (tau - length)) / (1 - np.exp(-k * tau))])

    segments = Segments([[0.0, length, TAU]], (0,), infusion=[[[rate], [0.0]]])
    infusion, boundaries = np.zeros((1, 2, 1, 3)), np.zeros((1, 3, 3))
    infusion[0, 0, 0, 0] = boundaries[0, 1, 1] = boundaries[0, 2, 2] = 1.0
    found = periodic(ONE_MODEL, p, segments, directions=Directions((), infusion=infusion, boundaries=boundaries))
    np.testing.assert_allclose(found.y[0], trough([rate, length, TAU]), rtol=1e-12)
    assert found.dy is not None
    np.testing.assert_allclose(found.dy[0], complex_step(trough, [rate, length, TAU]), rtol=1e-6)


def test_infusion_without_end_is_rate_over_clearance():
    segments = Segments([[0.0, TAU]], (0,), infusion=[[[0.4]]])
    found = periodic(ONE_MODEL, np.array([0.5, 3.0]), segments)
    np.testing.assert_allclose(found.y[0, 0], 0.4 * 3.0 / 0.5, rtol=1e-12)


def test_three_compartments_are_the_geometric_sum_of_exponentials():
    model = LINEAR["three compartments"].model
    rates, coefficients = disposition({s.name: s.value for s in model.parameters})
    found = periodic(model, model.default_parameters(), BOLUS)
    decay = np.exp(-rates * TAU)
    np.testing.assert_allclose(found.y[0, 0], 10.0 * np.sum(coefficients * decay / (1 - decay)), rtol=1e-10)


def saturable():
    """Michaelis-Menten elimination: input above Vmax piles up for ever."""
    build = Builder("saturable")
    build.parameter("Vmax", 1.0, "nM/h")
    build.parameter("Km", 2.0, "nM")
    build.compartment("plasma", lambda s, p: 3.0)
    build.species("C", "plasma")
    build.reaction("elimination", {"C": -1}, lambda s, p: p["Vmax"] * s["C"] / (p["Km"] + s["C"]))
    return build.model()


def test_saturable_elimination_agrees_with_a_long_simulation():
    model, cycles = saturable(), 150
    doses = np.array([0.5, 6.0, 10.0])
    segments = Segments(np.tile([0.0, TAU], (3, 1)), (0,), jump=doses[:, None, None])
    jump = np.zeros((3, 1, 1, 3))
    jump[..., 2] = 1.0
    directions = Directions((0, 1), jump=jump)
    found = periodic(model, model.default_parameters(), segments, directions=directions)
    assert found.ok.all()
    many = Segments(
        np.tile(TAU * np.arange(cycles + 1.0), (3, 1)), (0,), jump=np.tile(doses[:, None, None], (1, cycles, 1))
    )
    along = Directions((0, 1), jump=np.tile(jump, (1, cycles, 1, 1)))
    brute = solve(Batch(model, model.default_parameters(), many, [[cycles * TAU]]), Options(1e-9, 1e-12), along)
    np.testing.assert_allclose(found.y, brute.y[:, 0], rtol=1e-6)
    assert found.dy is not None
    assert brute.dy is not None
    np.testing.assert_allclose(found.dy, brute.dy[:, 0], rtol=1e-5)
    assert found.iterations.max() < 15


def test_more_than_can_be_eliminated_has_no_steady_state():
    model = saturable()
    segments = Segments([[0.0, TAU], [0.0, TAU]], (0,), jump=[[[12.5]], [[6.0]]])
    found = periodic(model, model.default_parameters(), segments)
    assert [Status(s) for s in found.status] == [Status.STEADY_STATE_NOT_REACHED, Status.OK]
    assert np.isnan(found.y[0]).all()
    assert np.isfinite(found.y[1]).all()


def target_binding(turnover: bool):
    """A drug that is eliminated and binds a target, whose amount is constant or turns over."""
    build = Builder("target")
    for name, value in (("kel", 0.1), ("kon", 0.5), ("koff", 0.05), ("kint", 0.2), ("ksyn", 0.3), ("kdeg", 0.1)):
        build.parameter(name, value, "1/h")
    build.parameter("kin", 0.2, "nM/h")
    build.compartment("plasma", lambda s, p: 3.0)
    for name in ("L", "R", "LR"):
        build.species(name, "plasma", initial=4.0 if name == "R" else 0.0)
    build.reaction(
        "binding", {"L": -1, "R": -1, "LR": 1}, lambda s, p: p["kon"] * s["L"] * s["R"] - p["koff"] * s["LR"]
    )
    build.reaction("elimination", {"L": -1}, lambda s, p: p["kel"] * s["L"])
    if turnover:
        build.reaction("input", {"L": 1}, lambda s, p: p["kin"])
        build.reaction("synthesis", {"R": 1}, lambda s, p: p["ksyn"])
        build.reaction("degradation", {"R": -1}, lambda s, p: p["kdeg"] * s["R"])
        build.reaction("internalisation", {"LR": -1}, lambda s, p: p["kint"] * s["LR"])
    return build.model()


def test_periodic_state_with_a_conserved_target_agrees_with_a_long_simulation():
    model, cycles = target_binding(False), 60
    found = periodic(model, model.default_parameters(), BOLUS)
    assert found.ok.all()
    many = Segments([TAU * np.arange(cycles + 1.0)], (0,), jump=np.full((1, cycles, 1), 10.0))
    brute = solve(Batch(model, model.default_parameters(), many, [[cycles * TAU]]), Options(1e-10, 1e-13))
    np.testing.assert_allclose(found.y[0], brute.y[0, 0], rtol=1e-7)
    assert found.y[0, 1] + found.y[0, 2] == pytest.approx(4.0, rel=1e-12)


def test_target_baseline_is_the_root_of_its_quadratic():
    """Gibiansky & Gibiansky, J Pharmacokinet Pharmacodyn 36 (2009) 341-347: baseline of ligand and target."""
    model = target_binding(True)
    p = model.default_parameters()

    def baseline(p):
        kel, kon, koff, kint, ksyn, kdeg, kin = p
        # Free ligand solves kin = kel L + kint LR with LR = kon L R / (koff + kint) and R = (ksyn - kint LR) / kdeg.
        c = kon / (koff + kint)
        a2, a1, a0 = kel * kint * c, kel * kdeg + kint * c * (ksyn - kin), -kin * kdeg
        free = (-a1 + np.sqrt(a1**2 - 4 * a2 * a0)) / (2 * a2)
        receptor = ksyn / (kdeg + kint * c * free)
        return np.array([free, receptor, c * free * receptor])

    found = untreated(model, p, directions=Directions(tuple(range(7))))
    np.testing.assert_allclose(found.y[0], baseline(p.astype(complex)).real, rtol=1e-10)
    assert found.dy is not None
    np.testing.assert_allclose(found.dy[0], complex_step(baseline, p), rtol=1e-8)


def test_equilibrium_keeps_its_totals():
    system = NONLINEAR["binding"]
    p = np.array([[0.8, 0.3, 5.0], [2.0, 0.01, 1.0]])
    long = 1e4

    def equilibrium(p):
        return system.flow(p, np.array([p[2], 2.0, 0.1], dtype=complex), np.zeros(3), long)

    found = untreated(system.model, p, directions=Directions((0, 1, 2)))
    assert found.dy is not None
    for i in range(2):
        np.testing.assert_allclose(found.y[i], equilibrium(p[i].astype(complex)).real, rtol=1e-10)
        np.testing.assert_allclose(found.dy[i], complex_step(equilibrium, p[i]), rtol=1e-7, atol=1e-12)


def test_what_never_settles_says_so():
    uptake = NONLINEAR["uptake"].model
    assert untreated(uptake, uptake.default_parameters(), horizon=1e3).status[0] == Status.STEADY_STATE_NOT_REACHED
    clock = HARD["Oregonator"].model
    found = untreated(clock, clock.default_parameters(), horizon=1e3)
    assert found.status[0] == Status.STEADY_STATE_NOT_REACHED
    assert np.isnan(found.y).all()


def test_dosing_a_closed_system_has_no_steady_state():
    model = NONLINEAR["binding"].model
    assert periodic(model, model.default_parameters(), BOLUS).status[0] == Status.STEADY_STATE_NOT_REACHED


def test_nan_stays_in_its_lane():
    p = np.array([[0.5, 3.0], [np.nan, 3.0], [0.5, 3.0]])
    segments = Segments(np.tile([0.0, TAU], (3, 1)), (0,), jump=np.full((3, 1, 1), 10.0))
    found = periodic(ONE_MODEL, p, segments)
    assert [Status(s) for s in found.status] == [Status.OK, Status.NOT_FINITE, Status.OK]
    assert [Status(s) for s in untreated(ONE_MODEL, p).status] == [Status.OK, Status.NOT_FINITE, Status.OK]


def test_lanes_may_differ_in_their_coefficients():
    """The number of payloads per antibody is a parameter, and with it the conserved total."""
    build = Builder("payload")
    build.parameter("DAR", 8.0, "1")
    build.compartment("well", lambda s, p: 1e-4)
    build.species("ADC", "well", initial=1.0)
    build.species("payload", "well")
    build.species("trapped", "well")
    build.reaction("release", {"ADC": -1, "payload": "DAR"}, lambda s, p: 0.1 * s["ADC"])
    build.reaction("trapping", {"payload": -1, "trapped": 1}, lambda s, p: 0.3 * s["payload"] - 0.1 * s["trapped"])
    model = build.model()
    found = untreated(model, np.array([[8.0], [4.0], [8.0]]))
    np.testing.assert_allclose(found.y, np.array([8.0, 4.0, 8.0])[:, None] * [0.0, 0.25, 0.75], rtol=1e-9, atol=1e-10)


def test_resets_are_refused():
    with pytest.raises(InputError, match="cannot reset"):
        periodic(ONE_MODEL, np.array([0.5, 3.0]), Segments([[0.0, 1.0]], reset=[[True]]))


def test_a_batch_is_its_lanes():
    model = saturable()
    segments = Segments(np.tile([0.0, TAU], (3, 1)), (0,), jump=np.array([1.0, 5.0, 9.0])[:, None, None])
    together = periodic(model, model.default_parameters(), segments)
    whole = Batch(model, model.default_parameters(), segments, [TAU])
    for i in range(3):
        alone = periodic(model, model.default_parameters(), lane(whole, i).segments)
        np.testing.assert_allclose(alone.y[0], together.y[i], rtol=1e-8)
